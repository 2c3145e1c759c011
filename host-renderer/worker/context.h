/* SPDX-License-Identifier: MIT
 *
 * Contexts of guest programs: their commands and fences. Context 0 is there from the start, for what is about no
 * context. A context whose process in the render server has died is lost: it stays, and refuses what is
 * asked of it, until the device destroys it.
 */
#ifndef HR_WORKER_CONTEXT_H
#define HR_WORKER_CONTEXT_H

#include <wayland-util.h>

#include "worker.h"

/** A context. */
struct wk_context {
	uint32_t id;
	uint32_t capset_id; /* VIRTIO_GPU_CAPSET_*; 0: context 0 */
	bool lost;
	int socket_fd; /* to its process in the render server, libvirglrenderer's own; -1: it has none */
	struct wl_list fences;	    /* fences that wait, oldest first: context.c */
	struct wl_list attachments; /* wk_attachment.context_link */
};

/** Find by id. NULL if there is none. */
struct wk_context *wk_context_find(const struct wk_worker *worker, uint32_t id);

/** True if it is OpenGL's: VirGL. */
bool wk_context_is_virgl(const struct wk_context *context);

/** Before a call of libvirglrenderer that waits for this context's process, and after it. In between the
 * process is given some seconds; then its socket is shut down, and the context is lost: nobody else shall
 * wait for it. */
void wk_context_guard(const struct wk_context *context);
void wk_context_unguard(void);

/** Make context 0. Returns 0 or -errno. */
int wk_contexts_init(struct wk_worker *worker);

/** Destroy all. Nothing is told to the device. */
void wk_contexts_finish(struct wk_worker *worker);

/** Obey WK_CONTEXT_CREATE. Returns 0; -EINVAL a bad id, or a kind that is not served; -EEXIST; -EIO the
 * library refused; -ENOMEM. */
int wk_context_create(struct wk_worker *worker, const struct wk_packet *packet);

/** Obey WK_CONTEXT_DESTROY: its fences are done. Returns 0, -ENOENT. */
int wk_context_destroy(struct wk_worker *worker, const struct wk_packet *packet);

/** Obey WK_SUBMIT. Returns 0; -ENOENT; -ENODEV the context is lost; -EINVAL bad size or commands. */
int wk_context_submit(struct wk_worker *worker, const struct wk_packet *packet);

/** Obey WK_FENCE: answered by WK_FENCE_DONE, at once if nothing can be waited for. Returns 0, -ENOMEM. */
int wk_context_fence(struct wk_worker *worker, const struct wk_packet *packet);

/** The process of a context has died: its fences are done, the rest of it is refused. */
void wk_context_lose(struct wk_worker *worker, uint32_t id);

/** A fence of libvirglrenderer is done, and those before it on its ring. */
void wk_context_retire(struct wk_worker *worker, const struct wk_retired *retired);

#endif
