/* SPDX-License-Identifier: MIT
 *
 * The host's GPU: what kinds of GPU work can be offered to guests. A worker is asked once, at the start;
 * devices then start workers of their own.
 */
#ifndef HR_GPU_GPU_H
#define HR_GPU_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../worker/protocol.h"
#include "context.h"

struct wl_event_loop;

/** What the user wants. Strings are borrowed, for good. */
struct hr_gpu_options {
	uint32_t flags;		 /* enum wk_flags */
	bool required;		 /* named by the user: without one of them we don't start */
	const char *render_node; /* path; NULL: whatever the drivers find */
};

/** The host's GPU. Owned by main; outlives every device. */
struct hr_gpu {
	struct wl_event_loop *loop;
	char *program; /* the worker's path; owned */
	const char *render_node;
	uint32_t flags;	    /* enum wk_flags: what works */
	uint32_t answer_ms; /* a worker that leaves a question open for longer is killed */
	const struct hr_capset *capsets[HR_MAX_CAPSETS];
	uint32_t n_capsets;
};

/** Find out what there is; waits for the worker's answer, up to 20 s. *ret_gpu is the caller's, and has no
 * capsets where nothing works. Returns 0; -ENOENT something required does not work (logged); else
 * -errno. */
int hr_gpu_create(struct wl_event_loop *loop, const struct hr_gpu_options *options,
		  struct hr_gpu **ret_gpu);

/** Free it. NULL is fine. */
void hr_gpu_destroy(struct hr_gpu *gpu);

/** The message that starts a worker's work; *ret_fd, the render node or -1, is the caller's. */
struct wk_init hr_gpu_init_message(const struct hr_gpu *gpu, uint32_t flags, int *ret_fd);

/** Log a line of a worker. */
void hr_gpu_log(const struct wk_log *message, size_t len);

/** Print what works, and what does not and why, as --check does. Returns true if all that was asked
 * for works. */
bool hr_gpu_check(const struct hr_gpu_options *options);

#endif
