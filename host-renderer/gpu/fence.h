/* SPDX-License-Identifier: MIT
 *
 * Fences: answers to requests that wait for something. Named by the request's {ctx_id, ring_idx,
 * fence_id}; each completes on its own, in whatever order its context decides.
 */
#ifndef HR_GPU_FENCE_H
#define HR_GPU_FENCE_H

#include <linux/virtio_gpu.h>
#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>

struct hr_device;
struct hr_submit;

/** A pending answer. Owned by the context that holds it. */
struct hr_fence {
	struct wl_list link; /* a list of the context */
	struct hr_device *device;
	struct virtio_gpu_ctrl_hdr hdr; /* of the request */
	uint64_t cookie;
	uint32_t *count; /* the context's number of pending fences, which this one is part of */
	bool reserved;	 /* not one of hr_device.n_shared_fences */
	uint64_t id;	 /* for the context's own use */
	/* A fence on no ring is signalled by the guest together with all that are older: such answers go
	 * out in order. */
	struct wl_list order_link; /* hr_device.ordered; self-linked if it is on a ring */
	uint32_t answer;	   /* VIRTIO_GPU_RESP_*; 0: not yet */
};

/** Take over the answer of a fenced submit, behind those already in list. *count is kept up to date.
 * reserved: there is room for this one in the front end, whatever the others hold. Returns 0; -ENOSPC
 * if *count reached BR_LIMIT_FENCES, or there is no room; -ENOMEM. */
int hr_fence_hold(struct hr_submit *submit, struct wl_list *list, uint32_t *count, bool reserved);

/** Answer the request and free the fence: at once, or behind older ones on no ring. */
void hr_fence_complete(struct hr_fence *fence);

/** Complete all fences of a list, oldest first. */
void hr_fence_complete_all(struct wl_list *list);

/** The same, with an error as the answer. */
void hr_fence_fail_all(struct wl_list *list);

/** Answer a request that needs no waiting for: at once, or behind older fences on no ring if it is fenced
 * so. */
void hr_fence_answer(struct hr_device *device, const struct virtio_gpu_ctrl_hdr *request,
		     uint64_t cookie, uint32_t type);

/** Forget the answers that wait for their turn: the device ends. */
void hr_fence_drop_ordered(struct hr_device *device);

#endif
