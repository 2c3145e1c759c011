/* SPDX-License-Identifier: MIT */
#include "render.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wayland-util.h>

#include "device.h"
#include "fence.h"
#include "gpu.h"
#include "render_private.h"
#include "worker.h"

/** A kind of GPU context. */
struct render_capset {
	struct hr_capset base;
	const struct hr_gpu *gpu;
	uint8_t bytes[];
};

/* The worker for a context of this capset, with a reference for it. */
static int find_worker(struct hr_device *device, const struct render_capset *capset,
		       struct hr_render_worker **ret_worker)
{
	const struct hr_gpu *gpu = capset->gpu;
	if (capset->base.id == VIRTIO_GPU_CAPSET_DRM) {
		return hr_render_worker_create(device, gpu, WK_DRM, ret_worker);
	}
	if (!device->main_worker) {
		int ret = hr_render_worker_create(device, gpu, gpu->flags & (WK_VENUS | WK_VIRGL),
						  &device->main_worker);
		if (ret < 0) {
			return ret;
		}
	}
	device->main_worker->refs++;
	*ret_worker = device->main_worker;
	return 0;
}

static struct hr_render_context *from_base(struct hr_context *base)
{
	struct hr_render_context *context = wl_container_of(base, context, base);
	return context;
}

static void context_destroy(struct hr_context *base)
{
	struct hr_render_context *context = from_base(base);
	const struct wk_header message = {.type = WK_CONTEXT_DESTROY, .ctx_id = base->id};
	hr_render_send(context->worker, &message, sizeof(message));
	wl_list_remove(&context->worker_link);
	hr_fence_complete_all(&context->fences);
	hr_render_worker_unref(context->worker);
	free(context);
}

static void send_fence(struct hr_render_context *context, struct hr_fence *fence, uint8_t ring_idx)
{
	fence->id = ++context->worker->next_fence;
	const struct wk_fence message = {
		.hdr = {.type = WK_FENCE, .ctx_id = context->base.id},
		.ring_idx = ring_idx,
		.id = fence->id,
	};
	hr_render_send(context->worker, &message, sizeof(message));
}

static int context_submit(struct hr_context *base, struct hr_submit *submit)
{
	struct hr_render_context *context = from_base(base);
	struct hr_fence *fence = NULL;
	if (!context->worker->process) {
		return -EIO;
	}
	if (submit->len % 4 != 0) {
		return -EINVAL;
	}
	if (submit->fenced) {
		int ret = hr_fence_hold(submit, &context->fences, &context->n_fences, false);
		if (ret < 0) {
			return ret;
		}
		fence = wl_container_of(context->fences.prev, fence, link);
	}
	if (submit->len > 0) {
		const struct wk_submit message = {
			.hdr = {.type = WK_SUBMIT, .ctx_id = base->id},
			.size = (uint32_t)submit->len,
		};
		hr_worker_send(context->worker->process, &message, sizeof(message), submit->bytes,
			       submit->len, NULL, 0);
	}
	if (fence) {
		send_fence(context, fence, submit->on_ring ? submit->ring_idx : 0);
	}
	return 0;
}

static int context_create_blob(struct hr_context *base, uint64_t blob_id, uint64_t size,
			       struct hr_memory *ret_memory)
{
	(void)blob_id;
	(void)size;
	if (!from_base(base)->worker->process) {
		return -EIO;
	}
	*ret_memory = (struct hr_memory){.fd = -1, .gpu = true};
	return 0;
}

static void context_resume(struct hr_context *base)
{
	(void)base;
}

static const struct hr_context_ops context_ops = {
	.destroy = context_destroy,
	.submit = context_submit,
	.create_blob = context_create_blob,
	.resume = context_resume,
};

static int context_create(const struct hr_capset *base, struct hr_device *device, uint32_t id,
			  const char *name, struct hr_context **ret_context)
{
	const struct render_capset *capset = wl_container_of(base, capset, base);
	struct wk_context_create message = {
		.hdr = {.type = WK_CONTEXT_CREATE, .ctx_id = id},
		.capset_id = base->id,
	};
	struct hr_render_context *context = calloc(1, sizeof(*context));
	if (!context) {
		return -ENOMEM;
	}
	int ret = find_worker(device, capset, &context->worker);
	if (ret < 0) {
		free(context);
		return ret;
	}
	context->base.ops = &context_ops;
	wl_list_init(&context->fences);
	wl_list_insert(&context->worker->contexts, &context->worker_link);
	strncpy(message.name, name, sizeof(message.name) - 1);
	if (context->worker->process &&
	    hr_render_ask(context->worker, HR_ASK_CONTEXT, &message.hdr)) {
		hr_render_send(context->worker, &message, sizeof(message));
	}
	*ret_context = &context->base;
	return 0;
}

static void fill(const struct hr_capset *base, const struct hr_device *device, void *ret_capset)
{
	const struct render_capset *capset = wl_container_of(base, capset, base);
	(void)device;
	memcpy(ret_capset, capset->bytes, base->size);
}

const struct hr_capset *hr_render_capset_create(const struct hr_gpu *gpu, uint32_t id,
						uint32_t max_version, const uint8_t *bytes,
						uint32_t size)
{
	struct render_capset *capset = malloc(sizeof(*capset) + size);
	if (!capset) {
		return NULL;
	}
	capset->base = (struct hr_capset){
		.id = id,
		.max_version = max_version,
		.size = size,
		.fill = fill,
		.create = context_create,
	};
	capset->gpu = gpu;
	memcpy(capset->bytes, bytes, size);
	return &capset->base;
}

void hr_render_capset_destroy(const struct hr_capset *base)
{
	struct render_capset *capset = wl_container_of(base, capset, base);
	free(capset);
}

struct hr_render_context *hr_render_context_of(struct hr_context *base)
{
	return base->ops == &context_ops ? from_base(base) : NULL;
}
