/* SPDX-License-Identifier: MIT
 *
 * A GPU worker: a process that holds the GPU's drivers, so that this one does not. Messages go to it and
 * come from it in order; nothing waits for it here. Whatever becomes of it is told once. Source:
 * worker/protocol.h.
 */
#ifndef HR_GPU_WORKER_H
#define HR_GPU_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "../worker/protocol.h"

struct hr_worker;
struct wl_event_loop;

/** What the owner of a worker hears, from the loop. */
struct hr_worker_events {
	/* A message of at least a header. fds: those taken become -1, the rest is closed. */
	void (*message)(void *data, const struct wk_header *message, size_t len, int *fds,
			size_t n_fds);
	/* Its process has ended, whoever wished it; no more is heard. The owner destroys it. */
	void (*ended)(void *data, const char *reason);
};

/** Start a process of this program (a path). *ret_worker is the caller's. Returns 0 or -errno. */
int hr_worker_start(struct wl_event_loop *loop, const char *program,
		    const struct hr_worker_events *events, void *data,
		    struct hr_worker **ret_worker);

/** Send a message: its struct, and what lies behind that (bytes; in a file if they are too many). fds: n of
 * them, borrowed, copied where they have to wait; none if bytes may need a file. A worker that
 * leaves more than BR_LIMIT_WORKER_QUEUE_BYTES unread is killed. */
void hr_worker_send(struct hr_worker *worker, const void *message, size_t message_bytes,
		    const void *bytes, size_t n_bytes, const int *fds, size_t n_fds);

/** Kill the process; ended() follows. The reason (constant) is told there. */
void hr_worker_kill(struct hr_worker *worker, const char *reason);

/** Kill it if it lives, and forget it. NULL is fine. */
void hr_worker_destroy(struct hr_worker *worker);

#endif
