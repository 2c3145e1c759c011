/* SPDX-License-Identifier: MIT */
#include "fence.h"

#include <errno.h>
#include <stdlib.h>

#include "context.h"
#include "device.h"
#include "limits.h"

/* No program may take all that is shared. */
#define PROGRAM_SHARE 4

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
	wl_list_insert(list->prev, &fence->link);
	(*count)++;
	device->n_shared_fences += reserved ? 0 : 1;
	submit->held = true;
	return 0;
}

void hr_fence_complete(struct hr_fence *fence)
{
	struct hr_fence copy = *fence;
	wl_list_remove(&fence->link);
	(*copy.count)--;
	copy.device->n_shared_fences -= copy.reserved ? 0 : 1;
	free(fence);
	hr_device_respond(copy.device, &copy.hdr, copy.cookie, VIRTIO_GPU_RESP_OK_NODATA);
}

void hr_fence_complete_all(struct wl_list *list)
{
	while (!wl_list_empty(list)) {
		struct hr_fence *fence = wl_container_of(list->next, fence, link);
		hr_fence_complete(fence);
	}
}
