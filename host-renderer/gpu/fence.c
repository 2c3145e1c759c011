/* SPDX-License-Identifier: MIT */
#include "fence.h"

#include <errno.h>
#include <stdlib.h>

#include "context.h"
#include "device.h"
#include "limits.h"

/* No program may take all that is shared. */
#define PROGRAM_SHARE 4

static bool is_ordered(const struct virtio_gpu_ctrl_hdr *hdr)
{
	return (hdr->flags & (VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX)) ==
	       VIRTIO_GPU_FLAG_FENCE;
}

static void put_in_order(struct hr_fence *fence)
{
	if (is_ordered(&fence->hdr)) {
		wl_list_insert(fence->device->ordered.prev, &fence->order_link);
	} else {
		wl_list_init(&fence->order_link);
	}
}

int hr_fence_hold(struct hr_submit *submit, struct wl_list *list, uint32_t *count, bool reserved)
{
	struct hr_device *device = submit->request->device;
	if (*count >= BR_LIMIT_FENCES ||
	    (!reserved && (device->n_shared_fences >= device->max_shared_fences ||
			   *count > device->max_shared_fences / PROGRAM_SHARE))) {
		return -ENOSPC;
	}
	struct hr_fence *fence = malloc(sizeof(*fence));
	if (!fence) {
		return -ENOMEM;
	}
	*fence = (struct hr_fence){
		.device = device,
		.hdr = submit->request->hdr,
		.cookie = submit->request->cookie,
		.count = count,
		.reserved = reserved,
	};
	put_in_order(fence);
	wl_list_insert(list->prev, &fence->link);
	(*count)++;
	device->n_shared_fences += reserved ? 0 : 1;
	submit->held = true;
	return 0;
}

static void respond(struct hr_fence *fence)
{
	wl_list_remove(&fence->order_link);
	hr_device_respond(fence->device, &fence->hdr, fence->cookie, fence->answer);
	free(fence);
}

static void finish(struct hr_fence *fence, uint32_t answer)
{
	struct hr_device *device = fence->device;
	bool ordered = is_ordered(&fence->hdr);
	wl_list_remove(&fence->link);
	(*fence->count)--;
	device->n_shared_fences -= fence->reserved ? 0 : 1;
	fence->answer = answer;
	if (!ordered) {
		respond(fence);
	}
	while (ordered && !wl_list_empty(&device->ordered)) {
		struct hr_fence *oldest = wl_container_of(device->ordered.next, oldest, order_link);
		if (oldest->answer == 0) {
			break;
		}
		respond(oldest);
	}
}

void hr_fence_complete(struct hr_fence *fence)
{
	finish(fence, VIRTIO_GPU_RESP_OK_NODATA);
}

static void finish_all(struct wl_list *list, uint32_t answer)
{
	while (!wl_list_empty(list)) {
		struct hr_fence *fence = wl_container_of(list->next, fence, link);
		finish(fence, answer);
	}
}

void hr_fence_complete_all(struct wl_list *list)
{
	finish_all(list, VIRTIO_GPU_RESP_OK_NODATA);
}

void hr_fence_fail_all(struct wl_list *list)
{
	finish_all(list, VIRTIO_GPU_RESP_ERR_UNSPEC);
}

void hr_fence_answer(struct hr_device *device, const struct virtio_gpu_ctrl_hdr *request,
		     uint64_t cookie, uint32_t type)
{
	struct hr_fence *fence = NULL;
	if (is_ordered(request) && !wl_list_empty(&device->ordered)) {
		fence = calloc(1, sizeof(*fence));
	}
	if (!fence) {
		hr_device_respond(device, request, cookie, type);
		return;
	}
	*fence = (struct hr_fence){
		.device = device, .hdr = *request, .cookie = cookie, .answer = type};
	put_in_order(fence);
}

void hr_fence_drop_ordered(struct hr_device *device)
{
	while (!wl_list_empty(&device->ordered)) {
		struct hr_fence *fence = wl_container_of(device->ordered.next, fence, order_link);
		respond(fence);
	}
}
