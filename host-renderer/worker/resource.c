/* SPDX-License-Identifier: MIT */
#include "resource.h"

#include <errno.h>
#include <linux/virtio_gpu.h>
#include <search.h>
#include <stdlib.h>
#include <virglrenderer.h>

#include "context.h"
#include "fd.h"
#include "image.h"
#include "limits.h"
#include "renderer.h"

static int compare(const void *a, const void *b)
{
	uint32_t left = ((const struct wk_object *)a)->id;
	uint32_t right = ((const struct wk_object *)b)->id;
	return left < right ? -1 : left > right;
}

struct wk_object *wk_resource_find(const struct wk_worker *worker, uint32_t id)
{
	const struct wk_object key = {.id = id};
	void *node = tfind(&key, &worker->resources, compare);
	return node != NULL ? *(struct wk_object **)node : NULL;
}

/* Make a place for an id. Returns 0; -EINVAL, -EEXIST, -ENOSPC, -ENOMEM. */
static int add_object(struct wk_worker *worker, uint32_t id, struct wk_object **ret_object)
{
	/* Some of libvirglrenderer's calls take an int. */
	if (id == 0 || id > INT32_MAX) {
		return -EINVAL;
	}
	if (wk_resource_find(worker, id) != NULL) {
		return -EEXIST;
	}
	if (worker->n_resources >= BR_LIMIT_RESOURCES) {
		return -ENOSPC;
	}
	struct wk_object *object = calloc(1, sizeof(*object));
	if (object == NULL) {
		return -ENOMEM;
	}
	object->id = id;
	object->map_fd = -1;
	wl_list_init(&object->attachments);
	if (tsearch(object, &worker->resources, compare) == NULL) {
		free(object);
		return -ENOMEM;
	}
	worker->n_resources++;
	*ret_object = object;
	return 0;
}

static void free_attachment(struct wk_attachment *attachment)
{
	wl_list_remove(&attachment->context_link);
	wl_list_remove(&attachment->resource_link);
	free(attachment);
}

static void detach(const struct wk_object *object, struct wk_attachment *attachment)
{
	wk_context_guard(attachment->context);
	virgl_renderer_ctx_detach_resource((int)attachment->context->id, (int)object->id);
	wk_context_unguard();
	free_attachment(attachment);
}

static void detach_everywhere(struct wk_object *object)
{
	struct wk_attachment *attachment, *next;
	wl_list_for_each_safe (attachment, next, &object->attachments, resource_link) {
		detach(object, attachment);
	}
}

/* Free the place; libvirglrenderer does not know the resource any more. */
static void remove_object(struct wk_worker *worker, struct wk_object *object)
{
	struct wk_attachment *attachment, *next;
	/* Those detached already are in the list no more. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	wl_list_for_each_safe (attachment, next, &object->attachments, resource_link) {
		wl_list_remove(&attachment->context_link);
		free(attachment);
	}
	wk_image_forget(object);
	wk_pages_finish(&object->pages);
	(void)tdelete(object, &worker->resources, compare);
	worker->n_resources--;
	worker->image_bytes -= object->image_bytes;
	free(object);
}

/* What an image takes, if each pixel has 4 bytes; of a buffer the width is in bytes. */
static int get_image_bytes(const struct wk_create_3d *create, uint64_t *ret_bytes)
{
	const uint32_t factors[] = {create->width, create->height, create->depth,
				    create->array_size, create->nr_samples};
	uint64_t bytes = create->target == 0 ? 1 : 4;
	for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
		uint32_t factor = factors[i] > 0 ? factors[i] : 1;
		if (__builtin_mul_overflow(bytes, factor, &bytes)) {
			return -ENOSPC;
		}
	}
	*ret_bytes = bytes;
	return bytes <= BR_LIMIT_BLOB_BYTES ? 0 : -ENOSPC;
}

int wk_resource_create_3d(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_create_3d *create = packet->bytes;
	struct virgl_renderer_resource_create_args args = {
		.handle = create->resource_id,
		.target = create->target,
		.format = create->format,
		.bind = create->bind,
		.width = create->width,
		.height = create->height,
		.depth = create->depth,
		.array_size = create->array_size,
		.last_level = create->last_level,
		.nr_samples = create->nr_samples,
		.flags = create->flags,
	};
	struct wk_object *object;
	uint64_t bytes;
	if (!(worker->flags & WK_VIRGL)) {
		return -EINVAL;
	}
	int ret = get_image_bytes(create, &bytes);
	if (ret < 0) {
		return ret;
	}
	if (bytes > BR_LIMIT_DEVICE_BYTES - worker->image_bytes) {
		return -ENOSPC;
	}
	ret = add_object(worker, create->resource_id, &object);
	if (ret < 0) {
		return ret;
	}
	object->is_image = true;
	/* No context of a guest is to be current, whichever ran last. */
	virgl_renderer_force_ctx_0();
	ret = wk_renderer_error(virgl_renderer_resource_create(&args, NULL, 0));
	if (ret < 0) {
		remove_object(worker, object);
		return ret;
	}
	object->image_bytes = bytes;
	worker->image_bytes += bytes;
	return 0;
}

/* What is left to libvirglrenderer. */
static int create_blob(const struct wk_create_blob *create, const struct wk_context *context,
		       const struct wk_pages *pages)
{
	const struct virgl_renderer_resource_create_blob_args args = {
		.res_handle = create->resource_id,
		.ctx_id = create->hdr.ctx_id,
		.blob_mem = create->blob_mem,
		.blob_flags = create->blob_flags,
		.blob_id = create->blob_id,
		.size = create->size,
		.iovecs = pages->iov,
		.num_iovs = pages->n_iov,
	};
	wk_context_guard(context);
	int ret = wk_renderer_error(virgl_renderer_resource_create_blob(&args));
	wk_context_unguard();
	return ret;
}

int wk_resource_create_blob(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_create_blob *create = packet->bytes;
	const struct wk_context *context = wk_context_find(worker, create->hdr.ctx_id);
	struct wk_object *object;
	if (context == NULL) {
		return -ENOENT;
	}
	if (context->lost) {
		return -ENODEV;
	}
	if (create->size > BR_LIMIT_BLOB_BYTES) {
		return -ENOSPC;
	}
	int ret = add_object(worker, create->resource_id, &object);
	if (ret < 0) {
		return ret;
	}
	object->is_image = wk_context_is_virgl(context);
	object->is_host_memory = create->blob_mem != VIRTIO_GPU_BLOB_MEM_GUEST;
	ret = wk_pages_init(&object->pages, worker, packet, sizeof(*create), create->n_entries);
	if (ret == 0) {
		ret = create_blob(create, context, &object->pages);
	}
	if (ret < 0) {
		remove_object(worker, object);
	}
	return ret;
}

int wk_resource_import(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_import *import = packet->bytes;
	struct wk_object *object;
	if (packet->n_fds == 0 || (import->kind != WK_DMABUF && import->kind != WK_SHM)) {
		return -EINVAL;
	}
	int ret = add_object(worker, import->resource_id, &object);
	if (ret < 0) {
		return ret;
	}
	const struct virgl_renderer_resource_import_blob_args args = {
		.res_handle = import->resource_id,
		.blob_mem = VIRGL_RENDERER_BLOB_MEM_HOST3D,
		.fd_type = import->kind == WK_DMABUF ? VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF
						     : VIRGL_RENDERER_BLOB_FD_TYPE_SHM,
		.fd = packet->fds[0],
		.size = import->size,
	};
	ret = wk_renderer_error(virgl_renderer_resource_import_blob(&args));
	if (ret < 0) {
		remove_object(worker, object);
		return ret;
	}
	(void)br_fd_take(&packet->fds[0]); /* libvirglrenderer's now */
	return 0;
}

int wk_resource_unref(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_resource *request = packet->bytes;
	struct wk_object *object = wk_resource_find(worker, request->resource_id);
	if (object == NULL) {
		return -ENOENT;
	}
	detach_everywhere(object);
	virgl_renderer_resource_unref(object->id);
	remove_object(worker, object);
	return 0;
}

static struct wk_attachment *find_attachment(const struct wk_object *object,
					     const struct wk_context *context)
{
	struct wk_attachment *attachment;
	wl_list_for_each (attachment, &object->attachments, resource_link) {
		if (attachment->context == context) {
			return attachment;
		}
	}
	return NULL;
}

int wk_resource_attach(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_resource *request = packet->bytes;
	struct wk_object *object = wk_resource_find(worker, request->resource_id);
	struct wk_context *context = wk_context_find(worker, request->hdr.ctx_id);
	if (object == NULL || context == NULL || context->id == 0) {
		return -ENOENT;
	}
	if (context->lost) {
		return -ENODEV;
	}
	if (find_attachment(object, context) != NULL) {
		return 0;
	}
	struct wk_attachment *attachment = malloc(sizeof(*attachment));
	if (attachment == NULL) {
		return -ENOMEM;
	}
	attachment->context = context;
	wl_list_insert(&context->attachments, &attachment->context_link);
	wl_list_insert(&object->attachments, &attachment->resource_link);
	wk_context_guard(context);
	virgl_renderer_ctx_attach_resource((int)context->id, (int)object->id);
	wk_context_unguard();
	return 0;
}

int wk_resource_detach(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_resource *request = packet->bytes;
	struct wk_object *object = wk_resource_find(worker, request->resource_id);
	struct wk_context *context = wk_context_find(worker, request->hdr.ctx_id);
	struct wk_attachment *attachment =
		object != NULL && context != NULL ? find_attachment(object, context) : NULL;
	if (attachment == NULL) {
		return -ENOENT;
	}
	detach(object, attachment);
	return 0;
}

/* libvirglrenderer's own list goes with its context. */
void wk_resource_detach_all(struct wk_context *context)
{
	struct wk_attachment *attachment, *next;
	wl_list_for_each_safe (attachment, next, &context->attachments, context_link) {
		free_attachment(attachment);
	}
}

int wk_resource_attach_backing(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_attach_backing *request = packet->bytes;
	struct wk_object *object = wk_resource_find(worker, request->resource_id);
	struct wk_pages pages;
	if (object == NULL) {
		return -ENOENT;
	}
	if (object->pages.iov != NULL) {
		return -EEXIST;
	}
	int ret = wk_pages_init(&pages, worker, packet, sizeof(*request), request->n_entries);
	if (ret < 0 || pages.n_iov == 0) {
		return ret;
	}
	ret = wk_renderer_error(
		virgl_renderer_resource_attach_iov((int)object->id, pages.iov, (int)pages.n_iov));
	if (ret < 0) {
		wk_pages_finish(&pages);
		return ret;
	}
	object->pages = pages;
	return 0;
}

int wk_resource_detach_backing(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_resource *request = packet->bytes;
	struct wk_object *object = wk_resource_find(worker, request->resource_id);
	if (object == NULL) {
		return -ENOENT;
	}
	virgl_renderer_resource_detach_iov((int)object->id, NULL, NULL);
	wk_pages_finish(&object->pages);
	return 0;
}

/* Returns 0, -ENOENT, -ENODEV. */
static int check_transfer(const struct wk_worker *worker, const struct wk_transfer *transfer)
{
	const struct wk_context *context = wk_context_find(worker, transfer->hdr.ctx_id);
	if (context == NULL || wk_resource_find(worker, transfer->resource_id) == NULL) {
		return -ENOENT;
	}
	return context->lost ? -ENODEV : 0;
}

static struct virtio_gpu_box get_box(const struct wk_transfer *transfer)
{
	return (struct virtio_gpu_box){
		.x = transfer->x,
		.y = transfer->y,
		.z = transfer->z,
		.w = transfer->w,
		.h = transfer->h,
		.d = transfer->d,
	};
}

int wk_resource_transfer_to_host(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_transfer *transfer = packet->bytes;
	struct virtio_gpu_box box = get_box(transfer);
	int ret = check_transfer(worker, transfer);
	if (ret < 0) {
		return ret;
	}
	return wk_renderer_error(virgl_renderer_transfer_write_iov(
		transfer->resource_id, transfer->hdr.ctx_id, (int)transfer->level, transfer->stride,
		transfer->layer_stride, (struct virgl_box *)&box, transfer->offset, NULL, 0));
}

int wk_resource_transfer_from_host(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_transfer *transfer = packet->bytes;
	struct virtio_gpu_box box = get_box(transfer);
	int ret = check_transfer(worker, transfer);
	if (ret < 0) {
		return ret;
	}
	return wk_renderer_error(virgl_renderer_transfer_read_iov(
		transfer->resource_id, transfer->hdr.ctx_id, transfer->level, transfer->stride,
		transfer->layer_stride, (struct virgl_box *)&box, transfer->offset, NULL, 0));
}

void wk_resources_finish(struct wk_worker *worker)
{
	while (worker->resources != NULL) {
		struct wk_object *object = *(struct wk_object **)worker->resources;
		detach_everywhere(object);
		virgl_renderer_resource_unref(object->id);
		remove_object(worker, object);
	}
}
