/* SPDX-License-Identifier: MIT
 *
 * Messages to the device. Only from the main thread.
 */
#ifndef HR_WORKER_SEND_H
#define HR_WORKER_SEND_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "log.h"
#include "protocol.h"

struct wk_worker;

/** Send a message, and what follows it, with an fd (borrowed; -1: none). Waits while the device does not
 * read. A device that is gone ends the worker: worker->stop. */
void wk_send(struct wk_worker *worker, const void *message, size_t size, const void *more,
	     size_t more_size, int fd);

/** Answer a request with WK_DONE. err: 0 or -errno. */
void wk_send_done(struct wk_worker *worker, const struct wk_header *request, int err);

/** A line for the device's log; at most 20 a second are sent, the rest is counted and told with the next
 * one. ctx_id: whom it is about; 0: nobody. */
void wk_log(struct wk_worker *worker, enum br_log_level level, uint32_t ctx_id, const char *fmt,
	    ...) __attribute__((format(printf, 4, 5)));

#endif
