/* SPDX-License-Identifier: MIT */
#include "resource.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "context.h"
#include "device.h"
#include "dmabuf.h"
#include "fd.h"
#include "limits.h"
#include "render.h"

static struct wl_list *bucket(struct hr_device *device, uint32_t id)
{
	return &device->resources[id % HR_RESOURCE_BUCKETS];
}

struct hr_resource *hr_resource_create_take(struct hr_device *device, uint32_t id, uint64_t size,
					    struct hr_memory *memory)
{
	struct hr_resource *resource = calloc(1, sizeof(*resource));
	if (!resource) {
		return NULL;
	}
	resource->device = device;
	resource->id = id;
	resource->refs = 1;
	resource->size = size;
	resource->memory_fd = br_fd_take(&memory->fd);
	resource->fresh = memory->fresh;
	resource->map_info = memory->map_info;
	wl_list_init(&resource->made_link);
	wl_list_init(&resource->attachments);
	wl_list_init(&resource->knowers);
	wl_list_insert(bucket(device, id), &resource->link);
	device->n_resources++;
	return resource;
}

int hr_resource_need_memory(struct hr_resource *resource)
{
	if (resource->memory_fd >= 0) {
		return 0;
	}
	if (!resource->fresh) {
		return -ENXIO;
	}
	int fd = hr_memory_create(resource->size);
	if (fd < 0) {
		return fd;
	}
	resource->memory_fd = fd;
	return 0;
}

void hr_resource_set_maker(struct hr_resource *resource, struct hr_context *context)
{
	resource->maker = context;
	wl_list_insert(&context->made, &resource->made_link);
}

static void forget_maker(struct hr_resource *resource)
{
	resource->maker = NULL;
	wl_list_remove(&resource->made_link);
	wl_list_init(&resource->made_link);
}

void hr_resource_orphan_all(struct hr_context *context)
{
	struct hr_resource *resource, *next;
	wl_list_for_each_safe (resource, next, &context->made, made_link) {
		forget_maker(resource);
	}
}

void hr_resource_set_mapped(struct hr_resource *resource, bool mapped)
{
	if (resource->maker && mapped != resource->mapped) {
		resource->maker->n_mapped += mapped ? 1 : -1u;
	}
	resource->mapped = mapped;
}

struct hr_resource *hr_resource_find(struct hr_device *device, uint32_t id)
{
	struct hr_resource *resource;
	wl_list_for_each (resource, bucket(device, id), link) {
		if (resource->id == id) {
			return resource;
		}
	}
	return NULL;
}

static struct hr_attachment *find_attachment(struct hr_resource *resource,
					     struct hr_context *context)
{
	struct hr_attachment *attachment;
	wl_list_for_each (attachment, &resource->attachments, resource_link) {
		if (attachment->context == context) {
			return attachment;
		}
	}
	return NULL;
}

struct hr_resource *hr_resource_find_attached(struct hr_context *context, uint32_t id)
{
	struct hr_resource *resource = hr_resource_find(context->device, id);
	return resource && find_attachment(resource, context) ? resource : NULL;
}

static void attachment_destroy(struct hr_attachment *attachment)
{
	wl_list_remove(&attachment->context_link);
	wl_list_remove(&attachment->resource_link);
	attachment->context->n_attachments--;
	free(attachment);
}

void hr_resource_remove(struct hr_resource *resource)
{
	struct hr_attachment *attachment, *next;
	wl_list_for_each_safe (attachment, next, &resource->attachments, resource_link) {
		attachment_destroy(attachment);
	}
	wl_list_remove(&resource->link);
	wl_list_init(&resource->link);
	hr_resource_unref(resource);
}

struct hr_resource *hr_resource_ref(struct hr_resource *resource)
{
	resource->refs++;
	return resource;
}

struct hr_resource *hr_resource_unref(struct hr_resource *resource)
{
	if (!resource || --resource->refs > 0) {
		return NULL;
	}
	struct hr_device *device = resource->device;
	if (resource->mapped && device->frontend.ops->unmap) {
		device->frontend.ops->unmap(device->frontend.data, resource);
	}
	hr_resource_set_mapped(resource, false);
	forget_maker(resource);
	hr_render_forget(resource);
	device->n_resources--;
	device->host_bytes -= resource->charged;
	hr_pages_finish(device, &resource->pages);
	if (!resource->in_window) {
		br_fd_clear(&resource->memory_fd);
	}
	free(resource);
	return NULL;
}

int hr_resource_attach(struct hr_resource *resource, struct hr_context *context)
{
	if (find_attachment(resource, context)) {
		return 0;
	}
	if (context->n_attachments >= BR_LIMIT_CTX_RESOURCES) {
		return -ENOSPC;
	}
	struct hr_attachment *attachment = malloc(sizeof(*attachment));
	if (!attachment) {
		return -ENOMEM;
	}
	attachment->context = context;
	attachment->resource = resource;
	wl_list_insert(&context->attachments, &attachment->context_link);
	wl_list_insert(&resource->attachments, &attachment->resource_link);
	context->n_attachments++;
	return 0;
}

int hr_resource_detach(struct hr_resource *resource, struct hr_context *context)
{
	struct hr_attachment *attachment = find_attachment(resource, context);
	if (!attachment) {
		return -ENOENT;
	}
	attachment_destroy(attachment);
	return 0;
}

void hr_resource_detach_all(struct hr_context *context)
{
	struct hr_attachment *attachment, *next;
	wl_list_for_each_safe (attachment, next, &context->attachments, context_link) {
		attachment_destroy(attachment);
	}
}

int hr_resource_write(struct hr_resource *resource, uint32_t offset, const struct iovec *iov,
		      size_t n_iov)
{
	size_t len = 0;
	if (resource->pages.n_runs > 0) {
		return hr_pages_write(resource->device, &resource->pages, offset, iov, n_iov);
	}
	for (size_t i = 0; i < n_iov; i++) {
		len += iov[i].iov_len;
	}
	if (len > resource->size || offset > resource->size - len) {
		return -ENOSPC;
	}
	ssize_t n = pwritev(resource->memory_fd, iov, (int)n_iov, offset);
	if (n < 0) {
		return -errno;
	}
	return (size_t)n == len ? 0 : -EIO;
}

int hr_memory_create(uint64_t size)
{
	int fd BR_CLEANUP_FD = memfd_create("causeway-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		return -errno;
	}
	return br_fd_take(&fd);
}

int hr_memory_seal(int fd, uint64_t size)
{
	bool dmabuf = br_dmabuf_is(fd);
	int seals = 0;
	if (!dmabuf) {
		(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
		seals = fcntl(fd, F_GET_SEALS);
	}
	if (!dmabuf && (seals < 0 || !(seals & F_SEAL_SHRINK))) {
		return -EPERM;
	}
	off_t end = lseek(fd, 0, SEEK_END);
	/* dma-bufs of old kernels don't tell. */
	return (end < 0 && dmabuf) || (end >= 0 && (uint64_t)end >= size) ? 0 : -EINVAL;
}
