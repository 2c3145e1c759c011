/* SPDX-License-Identifier: MIT
 *
 * A device's end of a GPU worker: starts the real one ($CAUSEWAY_GPU_WORKER) on Mesa's software drivers, and
 * asks it for things. $GPU_RIG_PRELOAD is preloaded into it, $GPU_RIG_RENDER_NODE is its render node.
 */
#ifndef GPU_RIG_H
#define GPU_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/protocol.h"

#define GPU_RIG_FENCES 256
/* Guest memory: this many bytes from this address on. */
#define GPU_RIG_RAM_ADDRESS 0x100000u
#define GPU_RIG_RAM_BYTES (4u << 20)

/** A worker. */
struct gpu_rig {
	pid_t pid;
	int pid_fd, sock_fd;
	struct wk_ready ready;
	uint32_t capset_bytes[8]; /* by id; 0: not offered */
	uint8_t *ram;		  /* the guest's */
	uint32_t seq;
	uint64_t fences[GPU_RIG_FENCES]; /* those done, in order */
	size_t n_fences;
	uint32_t log_ctx_id; /* of the last line */
	char log[WK_TEXT_BYTES];
	unsigned n_logs;
};

/** Start a worker, and wait until it says what works of what is asked for (enum wk_flags). */
void gpu_rig_try(struct gpu_rig *rig, uint32_t flags);

/** Start a worker with all of these, and with guest memory. Skips the test if the driver for one is not
 * installed. */
void gpu_rig_start(struct gpu_rig *rig, uint32_t flags);

/** Close the worker's socket; fails unless it ends well, and with it all processes that it started. */
void gpu_rig_end(struct gpu_rig *rig);

/** Forget a worker that has ended, or shall. */
void gpu_rig_kill(struct gpu_rig *rig);

/** Send a message that nobody answers; fd: -1 none. */
void gpu_rig_send(struct gpu_rig *rig, const void *message, size_t size, int fd);

/** Send a request and wait for its WK_DONE. Returns its err. message starts with a struct wk_header. */
int gpu_rig_ask(struct gpu_rig *rig, void *message, size_t size, int fd);

/** The same, with bytes behind the message. */
int gpu_rig_ask_with(struct gpu_rig *rig, void *message, size_t size, const void *more,
		     size_t more_size);

/** Send a request that takes its time, and wait these many seconds for a message; gpu_rig_answer() waits for
 * the WK_DONE, and returns its err. */
void gpu_rig_ask_stuck(struct gpu_rig *rig, void *message, size_t size, int seconds);
int gpu_rig_answer(struct gpu_rig *rig);

/** Ask for a resource's memory. Returns the answer; *ret_fd: the caller's, -1 none. */
struct wk_exported gpu_rig_export(struct gpu_rig *rig, uint32_t resource_id, int *ret_fd);

/** The same for any message that WK_EXPORTED answers. */
struct wk_exported gpu_rig_ask_exported(struct gpu_rig *rig, void *message, size_t size,
					int *ret_fd);

/** Make a context of a capset. Returns err. */
int gpu_rig_context(struct gpu_rig *rig, uint32_t ctx_id, uint32_t capset_id);

/** Ask for what takes a resource and a context. Returns err. */
int gpu_rig_resource(struct gpu_rig *rig, uint32_t type, uint32_t ctx_id, uint32_t resource_id);

/** Submit commands. Returns err. */
int gpu_rig_submit(struct gpu_rig *rig, uint32_t ctx_id, const uint32_t *commands, size_t n);

/** Ask for a fence, and wait until it is done. */
void gpu_rig_fence(struct gpu_rig *rig, uint32_t ctx_id, uint32_t ring_idx, uint64_t id);

/** Wait until a fence is done. */
void gpu_rig_wait_fence(struct gpu_rig *rig, uint64_t id);

/** Wait for a log line that has this in it. */
void gpu_rig_wait_log(struct gpu_rig *rig, const char *part);

/** The worker's descendants whose names start so, at most max of them. The kernel knows 15 bytes of a name.
 * Returns how many. */
size_t gpu_rig_processes(const struct gpu_rig *rig, const char *name, pid_t *pids, size_t max);

/** The worker's own child of that name: a process that it has just forked has the same name for a while. */
pid_t gpu_rig_child(const struct gpu_rig *rig, const char *name);

/** Wait for the end of one of these. */
void gpu_rig_wait_gone(pid_t pid);

/** How many fds the worker has open. */
size_t gpu_rig_count_fds(const struct gpu_rig *rig);

#endif
