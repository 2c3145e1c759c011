/* SPDX-License-Identifier: MIT
 *
 * The Wayland stream of a cross-domain context: SEND feeds the client's relay, and what the relay has
 * for the guest goes out as RECEIVE. Turns identifiers into handles and back.
 */
#ifndef HR_WAYLAND_CHANNEL_H
#define HR_WAYLAND_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context.h"

/** Take a SEND of len bytes (at least sizeof(struct xd_send_receive)). *fd_index: the next of the
 * submit's fds. Returns 0; -errno after which the client has been failed. */
int hr_channel_send(struct hr_wl_context *context, struct hr_submit *submit, const uint8_t *bytes,
		    size_t len, size_t *fd_index);

/** Send one RECEIVE, EOF included. Returns false if there was nothing to send, or it may not be. */
bool hr_channel_emit(struct hr_wl_context *context);

#endif
