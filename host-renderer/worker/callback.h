/* SPDX-License-Identifier: MIT
 *
 * What libvirglrenderer calls, mostly on threads of its own and with its locks held: so nothing is done
 * here but to note it and to wake the main thread.
 */
#ifndef HR_WORKER_CALLBACK_H
#define HR_WORKER_CALLBACK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <wayland-util.h>

#include "protocol.h"

/** A fence that is done. */
struct wk_retired {
	uint32_t ctx_id; /* 0: one of virgl_renderer_create_fence() */
	uint32_t ring_idx;
	uint64_t number; /* as given to libvirglrenderer */
};

/** A line of libvirglrenderer's log. */
struct wk_line {
	uint32_t level; /* enum br_log_level */
	char text[WK_TEXT_BYTES];
};

/** What was noted and not taken yet. */
struct wk_callbacks {
	int wake_fd; /* eventfd: readable if there is something */
	pthread_mutex_t lock;
	/* The rest only with the lock. */
	struct wl_array retired; /* struct wk_retired */
	struct wl_array lines;	 /* struct wk_line */
	unsigned lost_lines;	 /* there were too many */
};

/** Returns 0 or -errno. */
int wk_callbacks_init(struct wk_callbacks *callbacks);
void wk_callbacks_finish(struct wk_callbacks *callbacks);

/** Note a fence. From any thread. */
void wk_callbacks_retire(struct wk_callbacks *callbacks, const struct wk_retired *retired);

/** Note a line. From any thread. */
void wk_callbacks_log(struct wk_callbacks *callbacks, uint32_t level, const char *text);

/** Take what there is: both arrays are the caller's, wl_array_release(). *ret_lost_lines: lines that found
 * no room. */
void wk_callbacks_take(struct wk_callbacks *callbacks, struct wl_array *ret_retired,
		       struct wl_array *ret_lines, unsigned *ret_lost_lines);

#endif
