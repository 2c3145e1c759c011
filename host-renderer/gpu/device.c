/* SPDX-License-Identifier: MIT */
#include "device.h"

#include <errno.h>
#include <stdlib.h>

#include "context.h"
#include "ctrl.h"
#include "defer.h"
#include "fence.h"
#include "limits.h"
#include "render.h"
#include "resource.h"

struct hr_device *hr_device_create(struct hr_host *host, const struct hr_frontend *frontend,
				   const struct hr_capset *const *capsets, uint32_t n_capsets)
{
	struct hr_device *device = calloc(1, sizeof(*device));
	if (!device) {
		return NULL;
	}
	device->scratch = malloc(HR_SCRATCH_BYTES);
	if (!device->scratch) {
		free(device);
		return NULL;
	}
	device->host = host;
	device->frontend = *frontend;
	device->capsets = capsets;
	device->n_capsets = n_capsets;
	device->max_channels = UINT32_MAX;
	device->max_shared_fences = UINT32_MAX;
	wl_list_init(&device->ordered);
	wl_list_init(&device->deferred);
	wl_list_init(&device->workers);
	for (size_t i = 0; i < HR_CONTEXT_BUCKETS; i++) {
		wl_list_init(&device->contexts[i]);
	}
	for (size_t i = 0; i < HR_RESOURCE_BUCKETS; i++) {
		wl_list_init(&device->resources[i]);
	}
	return device;
}

void hr_device_destroy(struct hr_device *device)
{
	if (!device) {
		return;
	}
	hr_defer_drop_all(device);
	for (size_t i = 0; i < HR_CONTEXT_BUCKETS; i++) {
		struct hr_context *context, *next;
		wl_list_for_each_safe (context, next, &device->contexts[i], link) {
			hr_device_destroy_context(context);
		}
	}
	for (size_t i = 0; i < HR_RESOURCE_BUCKETS; i++) {
		struct hr_resource *resource, *next;
		wl_list_for_each_safe (resource, next, &device->resources[i], link) {
			hr_resource_remove(resource);
		}
	}
	hr_render_finish(device);
	hr_fence_drop_ordered(device);
	free(device->scratch);
	free(device);
}

void hr_device_handle(struct hr_device *device, struct hr_request *request)
{
	request->device = device;
	hr_ctrl_handle(device, request);
}

void hr_device_resume(struct hr_device *device)
{
	device->push_full = false;
	device->paused = false;
	/* Behind the one that filled the way last time: each gets its turn. */
	uint32_t first = device->next_bucket;
	for (uint32_t i = 0; i < HR_CONTEXT_BUCKETS; i++) {
		uint32_t bucket = (first + i) % HR_CONTEXT_BUCKETS;
		struct hr_context *context;
		wl_list_for_each (context, &device->contexts[bucket], link) {
			context->ops->resume(context);
		}
		if (device->push_full) {
			device->next_bucket = (bucket + 1) % HR_CONTEXT_BUCKETS;
			return;
		}
	}
}

void hr_device_push(struct hr_device *device, uint32_t ctx_id, const struct iovec *iov,
		    size_t n_iov, const int *fds, size_t n_fds)
{
	const struct hr_frontend *frontend = &device->frontend;
	if (!frontend->ops->push(frontend->data, ctx_id, iov, n_iov, fds, n_fds)) {
		device->push_full = true;
	}
}

void hr_device_respond(struct hr_device *device, const struct virtio_gpu_ctrl_hdr *request,
		       uint64_t cookie, uint32_t type)
{
	struct virtio_gpu_ctrl_hdr response = hr_ctrl_response(request, type);
	device->frontend.ops->complete(device->frontend.data, cookie, &response, sizeof(response),
				       -1);
}

struct hr_context *hr_device_find_context(struct hr_device *device, uint32_t id)
{
	struct hr_context *context;
	wl_list_for_each (context, &device->contexts[id % HR_CONTEXT_BUCKETS], link) {
		if (context->id == id) {
			return context;
		}
	}
	return NULL;
}

int hr_device_create_context(struct hr_device *device, uint32_t id, const struct hr_capset *capset,
			     const char *name)
{
	if (hr_device_find_context(device, id)) {
		return -EEXIST;
	}
	if (device->n_contexts >= BR_LIMIT_CLIENTS) {
		return -ENOSPC;
	}
	struct hr_context *context;
	int ret = capset->create(capset, device, id, name, &context);
	if (ret < 0) {
		return ret;
	}
	context->device = device;
	context->id = id;
	wl_list_init(&context->attachments);
	wl_list_init(&context->made);
	wl_list_insert(&device->contexts[id % HR_CONTEXT_BUCKETS], &context->link);
	device->n_contexts++;
	return 0;
}

void hr_device_destroy_context(struct hr_context *context)
{
	wl_list_remove(&context->link);
	context->device->n_contexts--;
	hr_resource_detach_all(context);
	hr_resource_orphan_all(context);
	context->ops->destroy(context);
}
