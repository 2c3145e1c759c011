/* SPDX-License-Identifier: MIT */
#include "render.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wayland-util.h>

#include "device.h"
#include "fence.h"
#include "render_private.h"
#include "resource.h"
#include "worker.h"

/** A worker that knows a resource. */
struct knower {
	struct wl_list link; /* hr_resource.knowers; the first one has made it */
	struct hr_render_worker *worker;
};

static struct knower *find_knower(const struct hr_resource *resource,
				  const struct hr_render_worker *worker)
{
	struct knower *knower;
	wl_list_for_each (knower, &resource->knowers, link) {
		if (knower->worker == worker) {
			return knower;
		}
	}
	return NULL;
}

static bool add_knower(struct hr_resource *resource, struct hr_render_worker *worker)
{
	struct knower *knower = malloc(sizeof(*knower));
	if (!knower) {
		return false;
	}
	knower->worker = worker;
	worker->refs++;
	wl_list_insert(resource->knowers.prev, &knower->link);
	return true;
}

static struct hr_render_worker *maker_of(const struct hr_resource *resource)
{
	const struct knower *knower = wl_container_of(resource->knowers.next, knower, link);
	return wl_list_empty(&resource->knowers) ? NULL : knower->worker;
}

/* The pages as a worker wants them. Returns NULL if there are none, or memory is out. */
static struct wk_entry *entries_of(const struct hr_pages *pages)
{
	struct wk_entry *entries =
		pages->n_runs > 0 ? malloc(pages->n_runs * sizeof(*entries)) : NULL;
	for (uint32_t i = 0; entries && i < pages->n_runs; i++) {
		entries[i] = (struct wk_entry){
			.address = pages->runs[i].address,
			.bytes = pages->runs[i].bytes,
		};
	}
	return entries;
}

static void send_blob(struct hr_render_worker *worker, uint32_t ctx_id,
		      struct hr_resource *resource, uint64_t blob_id)
{
	struct wk_entry *entries = entries_of(&resource->pages);
	struct wk_create_blob message = {
		.hdr = {.type = WK_CREATE_BLOB, .ctx_id = ctx_id},
		.resource_id = resource->id,
		.blob_mem = resource->blob_mem,
		.blob_flags = resource->blob_flags,
		.n_entries = entries ? resource->pages.n_runs : 0,
		.blob_id = blob_id,
		.size = resource->size,
	};
	struct hr_ask *ask =
		worker->process ? hr_render_ask(worker, HR_ASK_BLOB, &message.hdr) : NULL;
	if (ask) {
		ask->resource = hr_resource_ref(resource);
		hr_worker_send(worker->process, &message, sizeof(message), entries,
			       message.n_entries * sizeof(*entries), NULL, 0);
	}
	free(entries);
}

void hr_render_create_blob(struct hr_context *base, struct hr_resource *resource, uint64_t blob_id)
{
	struct hr_render_context *context = hr_render_context_of(base);
	resource->gpu = HR_GPU_PRIVATE;
	if (!add_knower(resource, context->worker)) {
		resource->gpu = HR_GPU_FAILED;
		return;
	}
	send_blob(context->worker, base->id, resource, blob_id);
}

int hr_render_create_3d(struct hr_device *device, const struct virtio_gpu_resource_create_3d *cmd)
{
	struct hr_render_worker *worker = device->main_worker;
	struct hr_memory none = {.fd = -1, .gpu = true};
	if (!worker || !worker->process) {
		return -ENOTSUP;
	}
	struct hr_resource *resource = hr_resource_create_take(device, cmd->resource_id, 0, &none);
	if (!resource || !add_knower(resource, worker)) {
		if (resource) {
			hr_resource_remove(resource);
		}
		return -ENOMEM;
	}
	resource->gpu = HR_GPU_PRIVATE;
	resource->width = cmd->width;
	resource->height = cmd->height;
	const struct wk_create_3d message = {
		.hdr = {.type = WK_CREATE_3D},
		.resource_id = cmd->resource_id,
		.target = cmd->target,
		.format = cmd->format,
		.bind = cmd->bind,
		.width = cmd->width,
		.height = cmd->height,
		.depth = cmd->depth,
		.array_size = cmd->array_size,
		.last_level = cmd->last_level,
		.nr_samples = cmd->nr_samples,
		.flags = cmd->flags,
	};
	hr_render_send(worker, &message, sizeof(message));
	return 0;
}

void hr_render_attach_backing(struct hr_resource *resource)
{
	struct hr_render_worker *worker = maker_of(resource);
	struct wk_entry *entries = entries_of(&resource->pages);
	if (worker && worker->process && entries) {
		const struct wk_attach_backing message = {
			.hdr = {.type = WK_ATTACH_BACKING},
			.resource_id = resource->id,
			.n_entries = resource->pages.n_runs,
		};
		hr_worker_send(worker->process, &message, sizeof(message), entries,
			       message.n_entries * sizeof(*entries), NULL, 0);
	}
	free(entries);
}

/* Let all workers do this with the resource. The request is held until they have let go of its pages. */
static bool release(struct hr_resource *resource, enum wk_type type,
		    const struct hr_request *request)
{
	struct hr_held *held = NULL;
	struct knower *knower;
	wl_list_for_each (knower, &resource->knowers, link) {
		struct hr_render_worker *worker = knower->worker;
		struct wk_resource message = {.hdr = {.type = type}, .resource_id = resource->id};
		struct hr_ask *ask = NULL;
		if (!worker->process) {
			continue;
		}
		if (resource->pages.n_runs > 0) {
			held = held ? held : calloc(1, sizeof(*held));
			ask = held ? hr_render_ask(worker, HR_ASK_RELEASE, &message.hdr) : NULL;
		}
		if (ask) {
			ask->held = held;
			held->refs++;
		}
		hr_render_send(worker, &message, sizeof(message));
	}
	if (held && held->refs > 0) {
		held->device = resource->device;
		held->hdr = request->hdr;
		held->cookie = request->cookie;
		return true;
	}
	free(held);
	return false;
}

bool hr_render_detach_backing(struct hr_resource *resource, const struct hr_request *request)
{
	return release(resource, WK_DETACH_BACKING, request);
}

bool hr_render_unref(struct hr_resource *resource, const struct hr_request *request)
{
	return release(resource, WK_UNREF, request);
}

int hr_render_transfer(struct hr_context *base, struct hr_resource *resource,
		       const struct hr_request *request,
		       const struct virtio_gpu_transfer_host_3d *cmd)
{
	struct hr_render_worker *worker = maker_of(resource);
	struct hr_submit submit = {.request = request};
	bool to_host = cmd->hdr.type == VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D;
	struct wk_transfer message = {
		.hdr = {.type = to_host ? WK_TRANSFER_TO_HOST : WK_TRANSFER_FROM_HOST,
			.ctx_id = base->id},
		.resource_id = resource->id,
		.level = cmd->level,
		.stride = cmd->stride,
		.layer_stride = cmd->layer_stride,
		.x = cmd->box.x,
		.y = cmd->box.y,
		.z = cmd->box.z,
		.w = cmd->box.w,
		.h = cmd->box.h,
		.d = cmd->box.d,
		.offset = cmd->offset,
	};
	if (!worker || !worker->process) {
		return -EIO;
	}
	int ret = hr_fence_hold(&submit, &worker->transfers, &worker->n_transfers, false);
	if (ret < 0) {
		return ret;
	}
	struct hr_ask *ask = hr_render_ask(worker, HR_ASK_TRANSFER, &message.hdr);
	if (ask) {
		ask->fence = wl_container_of(worker->transfers.prev, ask->fence, link);
		hr_render_send(worker, &message, sizeof(message));
	}
	return 0;
}

bool hr_render_need_memory(struct hr_resource *resource)
{
	struct hr_render_worker *worker = maker_of(resource);
	if (resource->gpu == HR_GPU_ASKED) {
		return true;
	}
	if (resource->gpu != HR_GPU_PRIVATE) {
		return false;
	}
	struct wk_resource message = {.hdr = {.type = WK_EXPORT}, .resource_id = resource->id};
	struct hr_ask *ask = worker && worker->process
				     ? hr_render_ask(worker, HR_ASK_EXPORT, &message.hdr)
				     : NULL;
	if (!ask) {
		resource->gpu = HR_GPU_FAILED;
		return false;
	}
	ask->resource = hr_resource_ref(resource);
	resource->gpu = HR_GPU_ASKED;
	hr_render_send(worker, &message, sizeof(message));
	return true;
}

static struct wk_read_back message_of(const struct hr_resource *resource,
				      const struct hr_read_back *read_back)
{
	struct wk_read_back message = {
		.hdr = {.type = WK_READ_BACK},
		.resource_id = resource->id,
		.x = read_back->x,
		.y = read_back->y,
		.w = read_back->w,
		.h = read_back->h,
		.stride = read_back->stride,
		.offset = read_back->offset,
		.image_stride = read_back->image_stride,
		.image_offset = read_back->image_offset,
		.n_planes = read_back->n_planes,
		.width = read_back->width,
		.height = read_back->height,
		.fourcc = read_back->fourcc,
		.modifier = read_back->modifier,
		.target_fourcc = read_back->target_fourcc,
		.target_modifier = read_back->target_modifier,
	};
	memcpy(message.plane_strides, read_back->plane_strides, sizeof(message.plane_strides));
	memcpy(message.plane_offsets, read_back->plane_offsets, sizeof(message.plane_offsets));
	return message;
}

static struct hr_render_worker *reader_of(struct hr_resource *resource)
{
	struct hr_render_worker *worker = maker_of(resource);
	return worker && worker->process && !wl_list_empty(&resource->link) ? worker : NULL;
}

int hr_render_read_back(struct hr_resource *resource, const struct hr_read_back *read_back,
			void (*done)(void *data, int err), void *data, struct hr_ask **ret_ask)
{
	struct hr_render_worker *worker = reader_of(resource);
	struct wk_read_back message = message_of(resource, read_back);
	if (!worker) {
		return -EIO;
	}
	struct hr_ask *ask = hr_render_ask(worker, HR_ASK_READ_BACK, &message.hdr);
	if (!ask) {
		return -ENOMEM;
	}
	ask->done = done;
	ask->data = data;
	hr_worker_send(worker->process, &message, sizeof(message), NULL, 0, &read_back->fd, 1);
	*ret_ask = ask;
	return 0;
}

int hr_render_allocate(struct hr_resource *resource, struct hr_read_back *read_back,
		       void (*done)(void *data, int err), void *data, struct hr_ask **ret_ask)
{
	struct hr_render_worker *worker = reader_of(resource);
	struct wk_read_back message = message_of(resource, read_back);
	message.hdr.type = WK_ALLOCATE;
	if (!worker) {
		return -EIO;
	}
	struct hr_ask *ask = hr_render_ask(worker, HR_ASK_ALLOCATE, &message.hdr);
	if (!ask) {
		return -ENOMEM;
	}
	ask->done = done;
	ask->data = data;
	ask->allocated = read_back;
	hr_render_send(worker, &message, sizeof(message));
	*ret_ask = ask;
	return 0;
}

void hr_render_cancel(struct hr_ask *ask)
{
	ask->done = NULL;
}

bool hr_render_attach_needs_memory(struct hr_context *context, const struct hr_resource *resource)
{
	const struct hr_render_context *render = hr_render_context_of(context);
	return resource->gpu != HR_GPU_NONE && (!render || !find_knower(resource, render->worker));
}

/* A worker gets to know a resource that it has not made. Returns false if it can't. */
static bool introduce(struct hr_render_worker *worker, struct hr_resource *resource)
{
	const struct wk_import message = {
		.hdr = {.type = WK_IMPORT},
		.resource_id = resource->id,
		.kind = resource->dmabuf ? WK_DMABUF : WK_SHM,
		.size = resource->size,
	};
	bool has_memory = hr_resource_need_memory(resource) == 0;
	if ((!has_memory && resource->pages.n_runs == 0) || resource->memory_offset != 0 ||
	    !add_knower(resource, worker)) {
		return false;
	}
	if (has_memory) {
		hr_worker_send(worker->process, &message, sizeof(message), NULL, 0,
			       &resource->memory_fd, 1);
	} else {
		send_blob(worker, 0, resource, 0);
	}
	return true;
}

void hr_render_attach(struct hr_context *base, struct hr_resource *resource)
{
	const struct wk_resource message = {
		.hdr = {.type = WK_ATTACH, .ctx_id = base->id},
		.resource_id = resource->id,
	};
	struct hr_render_context *context = hr_render_context_of(base);
	if (!context || !context->worker->process) {
		return;
	}
	struct hr_render_worker *worker = context->worker;
	if (find_knower(resource, worker) || introduce(worker, resource)) {
		hr_render_send(worker, &message, sizeof(message));
	}
}

void hr_render_detach(struct hr_context *base, struct hr_resource *resource)
{
	const struct wk_resource message = {
		.hdr = {.type = WK_DETACH, .ctx_id = base->id},
		.resource_id = resource->id,
	};
	struct hr_render_context *context = hr_render_context_of(base);
	if (context && find_knower(resource, context->worker)) {
		hr_render_send(context->worker, &message, sizeof(message));
	}
}

void hr_render_forget(struct hr_resource *resource)
{
	struct knower *knower, *next;
	wl_list_for_each_safe (knower, next, &resource->knowers, link) {
		wl_list_remove(&knower->link);
		hr_render_worker_unref(knower->worker);
		free(knower);
	}
}
