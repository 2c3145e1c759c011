/* SPDX-License-Identifier: MIT */
#include "defer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "ctrl.h"
#include "device.h"
#include "fd.h"
#include "limits.h"
#include "resource.h"
#include "socket_proto.h"

/** A request that waits. */
struct deferred {
	struct wl_list link; /* hr_device.deferred */
	struct hr_request request;
	uint32_t ctx_id, resource_id; /* what it names; 0: none */
	uint32_t owner;		      /* the context that it counts for */
	int fds[SK_MAX_FDS];
	uint8_t bytes[];
};

static uint32_t resource_of(const struct hr_request *request)
{
	size_t at = sizeof(struct virtio_gpu_ctrl_hdr);
	uint32_t id;
	switch (request->hdr.type) {
	case VIRTIO_GPU_CMD_SUBMIT_3D:
	case VIRTIO_GPU_CMD_CTX_CREATE:
	case VIRTIO_GPU_CMD_CTX_DESTROY:
	case VIRTIO_GPU_CMD_GET_CAPSET_INFO:
	case VIRTIO_GPU_CMD_GET_CAPSET:
	case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
	case VIRTIO_GPU_CMD_UPDATE_CURSOR:
	case VIRTIO_GPU_CMD_MOVE_CURSOR:
		return 0;
	case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D:
	case VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D:
		at = offsetof(struct virtio_gpu_transfer_host_3d, resource_id);
		break;
	case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D:
		at = offsetof(struct virtio_gpu_transfer_to_host_2d, resource_id);
		break;
	case VIRTIO_GPU_CMD_RESOURCE_FLUSH:
		at = offsetof(struct virtio_gpu_resource_flush, resource_id);
		break;
	default: /* all others have it right behind the header */
		break;
	}
	if (request->len < at + sizeof(id)) {
		return 0;
	}
	memcpy(&id, request->bytes + at, sizeof(id));
	return id;
}

static bool shares(const struct deferred *deferred, uint32_t ctx_id, uint32_t resource_id)
{
	return (ctx_id != 0 && deferred->ctx_id == ctx_id) ||
	       (resource_id != 0 && deferred->resource_id == resource_id);
}

bool hr_defer_must(const struct hr_device *device, const struct hr_request *request)
{
	const struct deferred *deferred;
	if (wl_list_empty(&device->deferred) || device->running_deferred) {
		return false;
	}
	uint32_t resource_id = resource_of(request);
	wl_list_for_each (deferred, &device->deferred, link) {
		if (shares(deferred, request->hdr.ctx_id, resource_id)) {
			return true;
		}
	}
	return false;
}

/* The context that a request is for, or that made its resource; 0: none. */
static uint32_t owner_of(struct hr_device *device, const struct hr_request *request)
{
	const struct hr_resource *resource = hr_resource_find(device, resource_of(request));
	if (request->hdr.ctx_id != 0 || !resource || !resource->maker) {
		return request->hdr.ctx_id;
	}
	return resource->maker->id;
}

static bool has_room(const struct hr_device *device, uint32_t owner, size_t len)
{
	const struct deferred *deferred;
	size_t bytes = 0;
	uint32_t n = 0;
	wl_list_for_each (deferred, &device->deferred, link) {
		n += deferred->owner == owner ? 1 : 0;
		bytes += deferred->request.len;
	}
	return device->n_deferred < BR_LIMIT_DEFERRED && n < BR_LIMIT_CTX_DEFERRED &&
	       len <= BR_LIMIT_DEFERRED_BYTES - bytes;
}

int hr_defer(struct hr_device *device, struct hr_request *request)
{
	uint32_t owner = owner_of(device, request);
	if (!has_room(device, owner, request->len) || request->n_fds > SK_MAX_FDS) {
		return -ENOSPC;
	}
	struct deferred *deferred = malloc(sizeof(*deferred) + request->len);
	if (!deferred) {
		return -ENOMEM;
	}
	deferred->request = *request;
	deferred->request.bytes = deferred->bytes;
	deferred->request.fds = deferred->fds;
	deferred->ctx_id = request->hdr.ctx_id;
	deferred->owner = owner;
	deferred->resource_id = resource_of(request);
	memcpy(deferred->bytes, request->bytes, request->len);
	for (size_t i = 0; i < request->n_fds; i++) {
		deferred->fds[i] = br_fd_take(&request->fds[i]);
	}
	wl_list_insert(device->deferred.prev, &deferred->link);
	device->n_deferred++;
	return 0;
}

static void deferred_destroy(struct hr_device *device, struct deferred *deferred)
{
	wl_list_remove(&deferred->link);
	device->n_deferred--;
	for (size_t i = 0; i < deferred->request.n_fds; i++) {
		br_fd_clear(&deferred->fds[i]);
	}
	free(deferred);
}

static bool waits_for_older(const struct hr_device *device, const struct deferred *deferred)
{
	const struct deferred *older;
	wl_list_for_each (older, &device->deferred, link) {
		if (older == deferred) {
			return false;
		}
		if (shares(older, deferred->ctx_id, deferred->resource_id)) {
			return true;
		}
	}
	return false;
}

void hr_defer_run(struct hr_device *device)
{
	struct deferred *deferred, *next;
	if (device->running_deferred) {
		return;
	}
	device->running_deferred = true;
	wl_list_for_each_safe (deferred, next, &device->deferred, link) {
		if (!waits_for_older(device, deferred) &&
		    hr_ctrl_handle_deferred(device, &deferred->request)) {
			deferred_destroy(device, deferred);
		}
	}
	device->running_deferred = false;
}

void hr_defer_drop_all(struct hr_device *device)
{
	while (!wl_list_empty(&device->deferred)) {
		struct deferred *deferred = wl_container_of(device->deferred.next, deferred, link);
		hr_device_respond(device, &deferred->request.hdr, deferred->request.cookie,
				  VIRTIO_GPU_RESP_ERR_UNSPEC);
		deferred_destroy(device, deferred);
	}
}
