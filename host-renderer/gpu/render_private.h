/* SPDX-License-Identifier: MIT
 *
 * Shared by what render.h declares: render.c (capsets and contexts), render_resource.c (resources),
 * render_worker.c (workers, and what they answer).
 */
#ifndef HR_GPU_RENDER_PRIVATE_H
#define HR_GPU_RENDER_PRIVATE_H

#include <linux/virtio_gpu.h>
#include <stddef.h>
#include <stdint.h>
#include <wayland-util.h>

#include "../worker/protocol.h"
#include "context.h"

struct hr_device;
struct hr_fence;
struct hr_gpu;
struct hr_resource;
struct hr_worker;
struct wl_event_source;

/** A worker of a device. */
struct hr_render_worker {
	struct wl_list link; /* hr_device.workers */
	struct hr_device *device;
	struct hr_worker *process; /* NULL once it has ended */
	uint32_t refs; /* contexts, resources that it knows; and the device, of its main one */
	uint64_t next_fence;
	uint32_t next_seq;
	struct wl_list contexts;  /* hr_render_context.worker_link */
	struct wl_list asks;	  /* hr_ask.link, in the order of their answers */
	struct wl_list transfers; /* hr_fence.link */
	uint32_t n_transfers;
	struct wl_event_source *watchdog; /* runs while there are asks, for answer_ms */
	int answer_ms;
};

/** A GPU context. */
struct hr_render_context {
	struct hr_context base;
	struct hr_render_worker *worker;
	struct wl_list worker_link;
	struct wl_list fences; /* hr_fence.link */
	uint32_t n_fences;
};

/** A request of the guest whose answer waits for workers. */
struct hr_held {
	uint32_t refs;
	struct hr_device *device;
	struct virtio_gpu_ctrl_hdr hdr;
	uint64_t cookie;
};

/** What a worker was asked for. */
enum hr_ask_kind {
	HR_ASK_CONTEXT,
	HR_ASK_BLOB,
	HR_ASK_EXPORT,
	HR_ASK_TRANSFER,
	HR_ASK_RELEASE,
	HR_ASK_READ_BACK,
	HR_ASK_ALLOCATE
};

/** An answer that a worker owes. */
struct hr_ask {
	struct wl_list link;
	enum hr_ask_kind kind;
	uint32_t seq;
	uint32_t ctx_id;
	struct hr_resource *resource;	   /* HR_ASK_BLOB, HR_ASK_EXPORT; referenced */
	struct hr_fence *fence;		   /* HR_ASK_TRANSFER */
	struct hr_held *held;		   /* HR_ASK_RELEASE */
	void (*done)(void *data, int err); /* HR_ASK_READ_BACK, HR_ASK_ALLOCATE; NULL: canceled */
	void *data;
	struct hr_read_back *allocated; /* HR_ASK_ALLOCATE; not if canceled */
};

/** Start a worker for these kinds (enum wk_flags). *ret_worker has one reference, the caller's. Returns 0 or
 * -errno. */
int hr_render_worker_create(struct hr_device *device, const struct hr_gpu *gpu, uint32_t flags,
			    struct hr_render_worker **ret_worker);

/** Drop a reference; the last ends its process. */
void hr_render_worker_unref(struct hr_render_worker *worker);

/** Ask: hdr, of the message to be sent next, gets its seq. Returns what to fill in; or NULL if memory is out:
 * then the worker, which must have a process, is killed, which answers everything. */
struct hr_ask *hr_render_ask(struct hr_render_worker *worker, enum hr_ask_kind kind,
			     struct wk_header *hdr);

/** Send a message that is only its struct; nothing if the process has ended. */
void hr_render_send(struct hr_render_worker *worker, const void *message, size_t len);

/** The GPU context that this is, or NULL if it is of another kind. */
struct hr_render_context *hr_render_context_of(struct hr_context *base);

#endif
