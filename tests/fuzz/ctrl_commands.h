/* SPDX-License-Identifier: MIT
 *
 * Control and cursor commands of a device that has guest memory and a window, as behind virtqueues, made of a
 * fuzzer's bytes. Ids and addresses are made small, so that commands meet.
 */
#ifndef CTRL_COMMANDS_H
#define CTRL_COMMANDS_H

#include <stddef.h>
#include <stdint.h>

#include "../gpu/device.h"
#include "../vhost/window.h"

#define CTRL_WINDOW_BYTES (1u << 20)
/** In front of each: which command; flags, ring and context; how many bytes follow, in units of 4. */
#define CTRL_HEAD_BYTES 4

extern const struct hr_frontend_ops ctrl_ops;
extern struct hr_window ctrl_window;

/** Make the window; hr_window_finish() ends it. */
void ctrl_window_open(struct wl_event_loop *loop);

/** The bytes behind a head, of so many that are left. */
size_t ctrl_payload_bytes(const uint8_t *head, size_t left);

/** Run a command. */
void ctrl_run(struct hr_device *device, const uint8_t *head, const uint8_t *bytes, size_t len);

#endif
