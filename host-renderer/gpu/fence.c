/* SPDX-License-Identifier: MIT */
#include "fence.h"

#include <errno.h>
#include <stdlib.h>

#include "context.h"
#include "device.h"
#include "limits.h"

int hr_fence_hold(struct hr_submit *submit, struct wl_list *list, uint32_t *count)
{
	if (*count >= BR_LIMIT_FENCES) {
		return -ENOSPC;
	}
	struct hr_fence *fence = malloc(sizeof(*fence));
	if (!fence) {
		return -ENOMEM;
	}
	*fence = (struct hr_fence){
		.device = submit->request->device,
		.hdr = submit->request->hdr,
		.cookie = submit->request->cookie,
		.count = count,
	};
	wl_list_insert(list->prev, &fence->link);
	(*count)++;
	submit->held = true;
	return 0;
}

void hr_fence_complete(struct hr_fence *fence)
{
	struct hr_fence copy = *fence;
	wl_list_remove(&fence->link);
	(*copy.count)--;
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
