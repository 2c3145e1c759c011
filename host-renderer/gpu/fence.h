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
};

/** Take over the answer of a fenced submit, behind those already in list. *count is kept up to date.
 * reserved: there is room for this one in the front end, whatever the others hold. Returns 0; -ENOSPC
 * if *count reached BR_LIMIT_FENCES, or there is no room; -ENOMEM. */
int hr_fence_hold(struct hr_submit *submit, struct wl_list *list, uint32_t *count, bool reserved);

/** Answer the request and free the fence. */
void hr_fence_complete(struct hr_fence *fence);

/** Complete all fences of a list, oldest first. */
void hr_fence_complete_all(struct wl_list *list);

#endif
