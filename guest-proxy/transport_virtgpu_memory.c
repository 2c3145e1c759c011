/* SPDX-License-Identifier: MIT
 *
 * Memory of a virtio-gpu. That of the host is mapped through the device's window; where there is none, or
 * no room in it, guest pages stand for it, and what changed is transferred. Source:
 * <drm/virtgpu_drm.h>; virtio 1.3, section 5.7.6.10.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>

#include <drm/virtgpu_drm.h>

#include "fd.h"
#include "limits.h"
#include "transport_virtgpu.h"

/** A resource of this backend. */
struct virtgpu_resource {
	struct gp_resource base;
	uint32_t bo_handle; /* GEM handle of the context's file; 0: none */
};

/** Memory of the host on its way. */
struct creation {
	struct virtgpu_resource *resource;
	uint32_t blob_id;
	uint64_t size; /* bytes asked for */
	enum gp_host_memory kind;
	gp_resource_fn done;
	void *data;
};

static struct virtgpu_context *context_of(const struct gp_resource *resource)
{
	return (struct virtgpu_context *)resource->context;
}

static uint64_t round_to_page(uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	return (size + page - 1) / page * page;
}

static struct virtgpu_resource *resource_new(struct gp_context *context, uint64_t size)
{
	struct virtgpu_resource *resource = calloc(1, sizeof(*resource));
	if (resource != NULL) {
		resource->base.context = context;
		resource->base.size = round_to_page(size);
		resource->base.fd = -1;
	}
	return resource;
}

/* Count a handle of a resource. If that can't be, the handle may be another's too, and stays open. */
static int bo_ref(struct virtgpu_context *context, uint32_t handle)
{
	if (handle >= context->n_bo_refs) {
		uint32_t n = handle < 32 ? 64 : handle * 2;
		uint32_t *grown = reallocarray(context->bo_refs, n, sizeof(*grown));
		if (grown == NULL) {
			return -ENOMEM;
		}
		memset(grown + context->n_bo_refs, 0, (n - context->n_bo_refs) * sizeof(*grown));
		context->bo_refs = grown;
		context->n_bo_refs = n;
	}
	context->bo_refs[handle]++;
	return 0;
}

/* The last one closes it: the kernel detaches it from the context then. */
static void bo_unref(struct virtgpu_context *context, uint32_t handle)
{
	if (handle != 0 && --context->bo_refs[handle] == 0) {
		(void)drmCloseBufferHandle(context->drm_fd, handle);
	}
}

void virtgpu_resource_destroy(struct gp_resource *base)
{
	struct virtgpu_resource *resource = (struct virtgpu_resource *)base;
	if (base->map != NULL) {
		(void)munmap(base->map, base->size);
	}
	bo_unref(context_of(base), resource->bo_handle);
	br_fd_clear(&base->fd);
	free(resource);
}

/* Make a blob. The kernel attaches it to the context. */
static int create_blob(struct virtgpu_resource *resource, uint32_t mem, uint32_t flags,
		       uint32_t blob_id)
{
	struct drm_virtgpu_resource_create_blob create = {
		.blob_mem = mem,
		.blob_flags = flags,
		.size = resource->base.size,
		.blob_id = blob_id,
	};
	if (drmIoctl(context_of(&resource->base)->drm_fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB,
		     &create) < 0) {
		return -errno;
	}
	int ret = bo_ref(context_of(&resource->base), create.bo_handle);
	if (ret < 0) {
		(void)drmCloseBufferHandle(context_of(&resource->base)->drm_fd, create.bo_handle);
		return ret;
	}
	resource->bo_handle = create.bo_handle;
	resource->base.id = create.res_handle;
	return 0;
}

/* Map all of it: the kernel maps no part of memory in the window. */
static int map(struct virtgpu_resource *resource)
{
	struct drm_virtgpu_map request = {.handle = resource->bo_handle};
	int fd = context_of(&resource->base)->drm_fd;
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_MAP, &request) < 0) {
		return -errno;
	}
	void *mapped = mmap(NULL, resource->base.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			    (off_t)request.offset);
	if (mapped == MAP_FAILED) {
		mapped = mmap(NULL, resource->base.size, PROT_READ, MAP_SHARED, fd,
			      (off_t)request.offset);
	}
	if (mapped == MAP_FAILED) {
		return -errno;
	}
	resource->base.map = mapped;
	return 0;
}

/* --- memory of ours --- */

static int fill_from_file(struct virtgpu_resource *resource, int fd, uint64_t size)
{
	for (uint64_t at = 0; at < size;) {
		ssize_t n = pread(fd, resource->base.map + at, size - at, (off_t)at);
		if (n <= 0) {
			return n < 0 ? -errno : 0;
		}
		at += (uint64_t)n;
	}
	return 0;
}

static int make_guest(struct virtgpu_resource *resource, int fd, uint64_t size)
{
	if (fd >= 0 && size > BR_LIMIT_FILE_BYTES) {
		return -ENOSPC;
	}
	int ret = create_blob(resource, VIRTGPU_BLOB_MEM_GUEST, VIRTGPU_BLOB_FLAG_USE_MAPPABLE, 0);
	ret = ret < 0 ? ret : map(resource);
	return ret < 0 || fd < 0 ? ret : fill_from_file(resource, fd, size);
}

int virtgpu_create_guest(struct gp_context *base, int fd, uint64_t size,
			 struct gp_resource **ret_resource)
{
	struct virtgpu_resource *resource = resource_new(base, size);
	if (resource == NULL) {
		return -ENOMEM;
	}
	int ret = make_guest(resource, fd, size);
	if (ret < 0) {
		virtgpu_resource_destroy(&resource->base);
		return ret;
	}
	*ret_resource = &resource->base;
	return 0;
}

/* --- memory of other programs' --- */

/* Pages of the guest are not for a compositor: the host would have to copy them, each time. Newer kernels
 * import memory of other devices as such. */
static bool host_has_memory(const struct drm_virtgpu_resource_info *info)
{
	return info->blob_mem != VIRTGPU_BLOB_MEM_GUEST;
}

static int import(struct virtgpu_resource *resource, int fd)
{
	struct virtgpu_context *context = context_of(&resource->base);
	struct drm_virtgpu_resource_info info = {0};
	uint32_t handle;
	if (drmPrimeFDToHandle(context->drm_fd, fd, &handle) < 0) {
		return errno == ENOMEM || errno == EMFILE ? -errno : -ENODEV;
	}
	int ret = bo_ref(context, handle);
	if (ret < 0) {
		return ret;
	}
	resource->bo_handle = handle;
	info.bo_handle = handle;
	if (drmIoctl(context->drm_fd, DRM_IOCTL_VIRTGPU_RESOURCE_INFO, &info) < 0) {
		return -errno;
	}
	resource->base.id = info.res_handle;
	resource->base.size = info.size;
	return host_has_memory(&info) ? 0 : -ENODEV;
}

int virtgpu_import(struct gp_context *base, int fd, struct gp_resource **ret_resource)
{
	struct virtgpu_resource *resource = resource_new(base, 0);
	if (resource == NULL) {
		return -ENOMEM;
	}
	int ret = import(resource, fd);
	if (ret < 0) {
		virtgpu_resource_destroy(&resource->base);
		return ret;
	}
	*ret_resource = &resource->base;
	return 0;
}

/* --- memory of the host --- */

/* In pieces that the host takes. */
static int transfer_from_host(struct virtgpu_resource *resource)
{
	for (uint64_t at = 0; at < resource->base.size; at += BR_LIMIT_TRANSFER_BYTES) {
		uint64_t left = resource->base.size - at;
		struct drm_virtgpu_3d_transfer_from_host transfer = {
			.bo_handle = resource->bo_handle,
			.box = {.w = left < BR_LIMIT_TRANSFER_BYTES ? (uint32_t)left
								    : BR_LIMIT_TRANSFER_BYTES,
				.h = 1,
				.d = 1},
			.offset = (uint32_t)at,
		};
		if (drmIoctl(context_of(&resource->base)->drm_fd,
			     DRM_IOCTL_VIRTGPU_TRANSFER_FROM_HOST, &transfer) < 0) {
			return -errno;
		}
	}
	return 0;
}

static int transfer_rows(struct virtgpu_resource *resource, const struct gp_rows *rows)
{
	struct drm_virtgpu_3d_transfer_to_host transfer = {
		.bo_handle = resource->bo_handle,
		.box = {.w = rows->bytes, .h = rows->count, .d = 1},
		.offset = rows->offset,
		.stride = rows->stride,
	};
	return drmIoctl(context_of(&resource->base)->drm_fd, DRM_IOCTL_VIRTGPU_TRANSFER_TO_HOST,
			&transfer) < 0
		       ? -errno
		       : 0;
}

/* Of one row that is too long for a command. */
static int transfer_long_row(struct virtgpu_resource *resource, struct gp_rows row)
{
	uint32_t left = row.bytes;
	int ret = 0;
	for (row.count = 1; left > 0 && ret == 0; left -= row.bytes, row.offset += row.bytes) {
		row.bytes = left < BR_LIMIT_TRANSFER_BYTES ? left : BR_LIMIT_TRANSFER_BYTES;
		row.stride = row.bytes;
		ret = transfer_rows(resource, &row);
	}
	return ret;
}

int virtgpu_resource_transfer(struct gp_resource *base, const struct gp_rows *rows)
{
	struct virtgpu_resource *resource = (struct virtgpu_resource *)base;
	struct gp_rows piece = *rows;
	uint32_t most = rows->bytes > 0 ? BR_LIMIT_TRANSFER_BYTES / rows->bytes : 0;
	most = most < BR_LIMIT_TRANSFER_ROWS ? most : BR_LIMIT_TRANSFER_ROWS;
	int ret = 0;
	for (uint32_t left = rows->count; left > 0 && ret == 0; left -= piece.count) {
		piece.count = left < most ? left : most;
		if (most == 0) {
			piece.count = 1;
			ret = transfer_long_row(resource, piece);
		} else {
			ret = transfer_rows(resource, &piece);
		}
		piece.offset += piece.count * piece.stride;
	}
	return ret;
}

/* A program gets a file that nobody else has, and can map as it likes: not the device's memory. */
static int copy_to_file(struct virtgpu_resource *resource, uint64_t size)
{
	int fd BR_CLEANUP_FD = memfd_create("causeway-file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) {
		return -errno;
	}
	for (uint64_t at = 0; at < size;) {
		ssize_t n = write(fd, resource->base.map + at, size - at);
		if (n <= 0) {
			return n < 0 ? -errno : -EIO;
		}
		at += (uint64_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
		return -errno;
	}
	resource->base.fd = br_fd_take(&fd);
	return 0;
}

static int try_pages(struct creation *creation);

/* Other hosts have no memory of that kind for the channel. */
static bool may_try_pages(const struct creation *creation)
{
	return context_of(&creation->resource->base)->transport->base.caps.causeway;
}

/* The host has answered whatever belongs to the memory. */
static void handle_made(void *data, int err)
{
	struct creation *creation = data;
	struct virtgpu_resource *resource = creation->resource;
	if (err == 0 && resource->base.map == NULL) {
		err = map(resource);
		if (err < 0 && may_try_pages(creation) && try_pages(creation) == 0) {
			return;
		}
	}
	if (err == 0 && creation->kind == GP_HOST_ITEM) {
		err = copy_to_file(resource, creation->size);
	}
	gp_resource_fn done = creation->done;
	void *done_data = creation->data;
	free(creation);
	if (err < 0) {
		virtgpu_resource_destroy(&resource->base);
	}
	done(done_data, err, err < 0 ? NULL : &resource->base);
}

/* An empty command whose fence ends behind all that was asked for before: so nothing here waits. */
static int submit_barrier(struct creation *creation)
{
	const struct gp_submit submit = {
		.ring_idx = XD_RING_QUERY,
		.done = handle_made,
		.data = creation,
	};
	return virtgpu_submit(creation->resource->base.context, &submit);
}

static int try_window(struct creation *creation)
{
	int ret = create_blob(creation->resource, VIRTGPU_BLOB_MEM_HOST3D,
			      VIRTGPU_BLOB_FLAG_USE_MAPPABLE | VIRTGPU_BLOB_FLAG_USE_SHAREABLE,
			      creation->blob_id);
	return ret < 0 ? ret : submit_barrier(creation);
}

/* Guest pages beside the host's memory. */
static int try_pages(struct creation *creation)
{
	struct virtgpu_resource *resource = creation->resource;
	bo_unref(context_of(&resource->base), resource->bo_handle);
	resource->bo_handle = 0;
	int ret = create_blob(resource, VIRTGPU_BLOB_MEM_HOST3D_GUEST,
			      VIRTGPU_BLOB_FLAG_USE_MAPPABLE | VIRTGPU_BLOB_FLAG_USE_SHAREABLE,
			      creation->blob_id);
	ret = ret < 0 ? ret : map(resource);
	if (ret == 0 && creation->kind == GP_HOST_ITEM) {
		ret = transfer_from_host(resource);
	}
	resource->base.needs_transfer = ret == 0;
	return ret < 0 ? ret : submit_barrier(creation);
}

/* An item can be asked for only once, and is copied in any case: it needs no window. An image can be
 * asked for again when there is no room in the window. */
static int make_host(struct creation *creation, bool window)
{
	bool pages = may_try_pages(creation);
	int ret = -ENOSPC;
	if (!pages || (window && creation->kind == GP_HOST_IMAGE)) {
		ret = try_window(creation);
	}
	return ret < 0 && pages ? try_pages(creation) : ret;
}

int virtgpu_create_host(struct gp_context *base, uint32_t blob_id, uint64_t size,
			enum gp_host_memory kind, gp_resource_fn done, void *data)
{
	struct virtgpu_context *context = (struct virtgpu_context *)base;
	struct creation *creation = malloc(sizeof(*creation));
	struct virtgpu_resource *resource = resource_new(base, size);
	int ret = -ENOMEM;
	if (creation != NULL && resource != NULL) {
		*creation = (struct creation){.resource = resource,
					      .blob_id = blob_id,
					      .size = size,
					      .kind = kind,
					      .done = done,
					      .data = data};
		ret = make_host(creation, context->transport->node.window);
	}
	if (ret < 0) {
		if (resource != NULL) {
			virtgpu_resource_destroy(&resource->base);
		}
		free(creation);
	}
	return ret;
}
