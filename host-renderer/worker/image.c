/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <errno.h>
#include <linux/dma-buf.h>
#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <virglrenderer.h>

#include "fd.h"
#include "gl.h"
#include "renderer.h"
#include "resource.h"
#include "send.h"
#include "target.h"

#define PIXEL_BYTES 4

/* True if two dma-bufs are one: each has an inode of its own. */
static bool is_same_file(int a, int b)
{
	struct stat left, right;
	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_dev == right.st_dev &&
	       left.st_ino == right.st_ino;
}

/* An image that libvirglrenderer has allocated with gbm for others. Some builds of it do. Returns 0, or
 * -ENOTSUP. */
static int export_allocated(const struct wk_object *object, struct wk_exported *exported,
			    int *ret_fd)
{
	struct virgl_renderer_export_query query = {
		.hdr = {.stype = VIRGL_RENDERER_STRUCTURE_TYPE_EXPORT_QUERY, .size = sizeof(query)},
		.in_resource_id = object->id,
		.in_export_fds = 1,
		.out_fds = {-1, -1, -1, -1},
	};
	if (virgl_renderer_execute(&query, sizeof(query)) != 0 || query.out_num_fds == 0 ||
	    query.out_num_fds > WK_MAX_PLANES) {
		return -ENOTSUP;
	}
	bool one = query.out_fourcc != 0 && query.out_fds[0] >= 0;
	for (uint32_t i = 0; i < query.out_num_fds; i++) {
		one = one && is_same_file(query.out_fds[0], query.out_fds[i]);
		exported->strides[i] = query.out_strides[i];
		exported->offsets[i] = query.out_offsets[i];
		if (i > 0) {
			br_fd_clear(&query.out_fds[i]);
		}
	}
	if (!one) {
		br_fd_clear(&query.out_fds[0]);
		return -ENOTSUP;
	}
	exported->n_planes = query.out_num_fds;
	exported->fourcc = query.out_fourcc;
	exported->modifier = query.out_modifier;
	*ret_fd = query.out_fds[0];
	return 0;
}

/* An image that the OpenGL driver makes a dma-buf of. Returns 0, or -ENOTSUP. */
static int export_texture(const struct wk_object *object, struct wk_exported *exported, int *ret_fd)
{
	struct virgl_renderer_resource_info_ext info = {
		.version = VIRGL_RENDERER_RESOURCE_INFO_EXT_VERSION};
	int fd = -1, stride = 0, offset = 0;
	/* Of more planes the last call would write more than there is room for. */
	if (virgl_renderer_resource_get_info_ext((int)object->id, &info) != 0 ||
	    !info.has_dmabuf_export || info.planes != 1 || info.base.drm_fourcc == 0 ||
	    virgl_renderer_get_fd_for_texture2(info.base.tex_id, &fd, &stride, &offset) != 0) {
		return -ENOTSUP;
	}
	exported->n_planes = 1;
	exported->fourcc = (uint32_t)info.base.drm_fourcc;
	exported->modifier = info.modifiers;
	exported->strides[0] = (uint32_t)stride;
	exported->offsets[0] = (uint32_t)offset;
	*ret_fd = fd;
	return fd >= 0 ? 0 : -ENOTSUP;
}

/* How an image lies in its memory. Returns 0; -ENOTSUP it can't be exported, or not as one file. */
static int export_image(const struct wk_object *object, struct wk_exported *exported, int *ret_fd)
{
	struct virgl_renderer_resource_info info = {0};
	/* No context of a guest is to be current. */
	virgl_renderer_force_ctx_0();
	if (virgl_renderer_resource_get_info((int)object->id, &info) != 0 || info.tex_id == 0) {
		return -ENOTSUP;
	}
	int ret = export_allocated(object, exported, ret_fd);
	if (ret == -ENOTSUP) {
		ret = export_texture(object, exported, ret_fd);
	}
	exported->kind = WK_DMABUF;
	exported->width = info.width;
	exported->height = info.height;
	return ret;
}

/* Returns 0; -ENOTSUP there is no memory, or none that others can use; else -errno. */
static int export_blob(struct wk_worker *worker, const struct wk_object *object, uint32_t *ret_kind,
		       int *ret_fd)
{
	uint32_t type = 0;
	int fd = -1;
	/* It calls memory that it can't export an invalid argument. */
	if (virgl_renderer_resource_export_blob(object->id, &type, &fd) != 0 || fd < 0) {
		if (object->is_host_memory && !object->is_image) {
			wk_log(worker, BR_LOG_WARN, 0,
			       "resource %u can't be mapped or shown: the GPU's driver does not "
			       "hand on this memory (as amdgpu does not what is private to a VM)",
			       object->id);
		}
		return -ENOTSUP;
	}
	if (type == VIRGL_RENDERER_BLOB_FD_TYPE_OPAQUE) {
		br_fd_clear(&fd);
		wk_log(worker, BR_LOG_WARN, 0,
		       "resource %u can't be mapped or shown: the host's Vulkan driver lacks "
		       "VK_EXT_external_memory_dma_buf (lavapipe has it where there is "
		       "/dev/udmabuf)",
		       object->id);
		return -ENOTSUP;
	}
	*ret_kind = type == VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF ? WK_DMABUF : WK_SHM;
	*ret_fd = fd;
	return 0;
}

int wk_image_export(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_resource *request = packet->bytes;
	struct wk_object *object = wk_resource_find(worker, request->resource_id);
	struct wk_exported exported = {.hdr = request->hdr, .err = -ENOENT};
	int BR_CLEANUP_FD fd = -1;
	exported.hdr.type = WK_EXPORTED;
	if (object != NULL) {
		exported.err = object->is_image ? export_image(object, &exported, &fd) : -ENOTSUP;
		if (exported.err == -ENOTSUP) {
			exported.err = export_blob(worker, object, &exported.kind, &fd);
		}
	}
	if (exported.err == 0 &&
	    virgl_renderer_resource_get_map_info(object->id, &exported.map_info) != 0) {
		exported.map_info = 0;
	}
	wk_send(worker, &exported, sizeof(exported), NULL, 0, fd);
	return 0;
}

static bool has_4_bytes(uint32_t format)
{
	switch (format) {
	case VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM:
	case VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM:
	case VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM:
	case VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM:
	case VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM:
	case VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM:
	case VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM:
	case VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM:
	/* Those that only VirGL has. Source: its enum virgl_formats */
	case 8:	  /* R10G10B10A2_UNORM */
	case 100: /* B8G8R8A8_SRGB */
	case 101: /* B8G8R8X8_SRGB */
	case 104: /* R8G8B8A8_SRGB */
	case 131: /* B10G10R10A2_UNORM */
		return true;
	default:
		return false;
	}
}

/* The part of the file that is written to, mapped. */
struct target {
	uint8_t *base; /* of the first pixel that is read */
	uint64_t len;  /* bytes from there to the end of the file */
	void *map;
	size_t map_len;
};

static bool rows_fit(uint64_t offset, uint64_t stride, const struct wk_read_back *request,
		     uint64_t bytes)
{
	uint64_t end_x = (uint64_t)request->x + request->w,
		 end_y = (uint64_t)request->y + request->h;
	uint64_t end;
	return end_x * PIXEL_BYTES <= stride && !__builtin_mul_overflow(end_y - 1, stride, &end) &&
	       !__builtin_add_overflow(end, end_x * PIXEL_BYTES, &end) &&
	       !__builtin_add_overflow(end, offset, &end) && end <= bytes;
}

static int map_target(const struct wk_read_back *request, int fd, struct target *ret_target)
{
	struct stat stat;
	if (fstat(fd, &stat) < 0) {
		return -errno;
	}
	uint64_t bytes = (uint64_t)stat.st_size;
	if (!rows_fit(request->offset, request->stride, request, bytes)) {
		return -EINVAL;
	}
	uint64_t first = request->offset + (uint64_t)request->y * request->stride +
			 (uint64_t)request->x * PIXEL_BYTES;
	uint64_t end = first + (uint64_t)request->h * request->stride;
	end = end < bytes ? end : bytes;
	uint64_t start = first & ~((uint64_t)sysconf(_SC_PAGESIZE) - 1);
	void *map = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	if (map == MAP_FAILED) {
		return -errno;
	}
	*ret_target = (struct target){
		.base = (uint8_t *)map + (first - start),
		.len = end - first,
		.map = map,
		.map_len = end - start,
	};
	return 0;
}

static int read_image(const struct wk_object *object, const struct wk_read_back *request,
		      const struct target *target)
{
	struct virgl_renderer_resource_info info = {0};
	struct virtio_gpu_box box = {
		.x = request->x, .y = request->y, .w = request->w, .h = request->h, .d = 1};
	int ret = wk_renderer_error(virgl_renderer_resource_get_info((int)object->id, &info));
	if (ret < 0 || info.tex_id == 0) {
		return -ENOTSUP;
	}
	if (!has_4_bytes(info.virgl_format)) {
		return -ENOTSUP;
	}
	if ((uint64_t)request->x + request->w > info.width ||
	    (uint64_t)request->y + request->h > info.height) {
		return -EINVAL;
	}
	/* libvirglrenderer wants to see whole rows, the last included, though it writes only pixels. */
	uint64_t whole = (uint64_t)request->h * request->stride;
	void *rest = whole > target->len ? malloc(whole - target->len) : NULL;
	struct iovec iov[2] = {
		{.iov_base = target->base, .iov_len = target->len},
		{.iov_base = rest, .iov_len = whole - target->len},
	};
	if (whole > target->len && rest == NULL) {
		return -ENOMEM;
	}
	ret = wk_renderer_error(virgl_renderer_transfer_read_iov(object->id, 0, 0, request->stride,
								 0, (struct virgl_box *)&box, 0,
								 iov, rest != NULL ? 2 : 1));
	free(rest);
	return ret;
}

/* Map a blob for reading, once. */
static int map_blob(struct wk_worker *worker, struct wk_object *object)
{
	uint32_t kind;
	int BR_CLEANUP_FD fd = -1;
	if (object->map != NULL) {
		return 0;
	}
	int ret = export_blob(worker, object, &kind, &fd);
	if (ret < 0) {
		return ret;
	}
	off_t bytes = lseek(fd, 0, SEEK_END);
	if (bytes <= 0) {
		return bytes < 0 ? -errno : -ENOTSUP;
	}
	void *map = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	object->map = map;
	object->map_len = (size_t)bytes;
	object->map_fd = kind == WK_DMABUF ? br_fd_take(&fd) : -1;
	return 0;
}

static void sync_blob(const struct wk_object *object, uint64_t flags)
{
	struct dma_buf_sync sync = {.flags = DMA_BUF_SYNC_READ | flags};
	if (object->map_fd < 0) {
		return;
	}
	while (ioctl(object->map_fd, DMA_BUF_IOCTL_SYNC, &sync) < 0 &&
	       (errno == EINTR || errno == EAGAIN)) {
	}
}

static int read_blob(struct wk_worker *worker, struct wk_object *object,
		     const struct wk_read_back *request, const struct target *target)
{
	int ret = map_blob(worker, object);
	if (ret < 0) {
		return ret;
	}
	if (!rows_fit(request->image_offset, request->image_stride, request, object->map_len)) {
		return -EINVAL;
	}
	const uint8_t *from = (const uint8_t *)object->map + request->image_offset +
			      (uint64_t)request->y * request->image_stride +
			      (uint64_t)request->x * PIXEL_BYTES;
	sync_blob(object, DMA_BUF_SYNC_START);
	for (uint32_t row = 0; row < request->h; row++) {
		memcpy(target->base + (uint64_t)row * request->stride,
		       from + (uint64_t)row * request->image_stride,
		       (size_t)request->w * PIXEL_BYTES);
	}
	sync_blob(object, DMA_BUF_SYNC_END);
	return 0;
}

static bool part_fits(const struct wk_read_back *request)
{
	return request->n_planes <= WK_MAX_PLANES && request->width <= INT32_MAX &&
	       request->height <= INT32_MAX &&
	       (uint64_t)request->x + request->w <= request->width &&
	       (uint64_t)request->y + request->h <= request->height;
}

/* Read a blob that has other pixels than a CPU could copy. */
static int draw_blob(struct wk_worker *worker, const struct wk_object *object,
		     const struct wk_read_back *request, const struct target *target)
{
	uint32_t kind;
	int BR_CLEANUP_FD fd = -1;
	if (!part_fits(request)) {
		return -EINVAL;
	}
	int ret = export_blob(worker, object, &kind, &fd);
	if (ret == 0) {
		ret = kind == WK_DMABUF ? wk_gl_read(worker, fd, request, target->base) : -ENOTSUP;
	}
	return ret;
}

/* The dma-buf that an image or a blob is in. */
static int export_dmabuf(struct wk_worker *worker, const struct wk_object *object, int *ret_fd)
{
	struct wk_exported layout = {0};
	int BR_CLEANUP_FD fd = -1;
	int ret = object->is_image ? export_image(object, &layout, &fd) : -ENOTSUP;
	if (ret == -ENOTSUP) {
		ret = export_blob(worker, object, &layout.kind, &fd);
	}
	if (ret < 0 || layout.kind != WK_DMABUF) {
		return ret < 0 ? ret : -ENOTSUP;
	}
	*ret_fd = br_fd_take(&fd);
	return 0;
}

static int draw_to_target(struct wk_worker *worker, const struct wk_object *object,
			  const struct wk_read_back *request, int target_fd)
{
	int BR_CLEANUP_FD fd = -1;
	if (request->n_planes == 0 || !part_fits(request)) {
		return -EINVAL;
	}
	int ret = export_dmabuf(worker, object, &fd);
	return ret < 0 ? ret : wk_gl_draw(worker, fd, request, target_fd);
}

/* Returns 0 and its dma-buf, which the resource was drawn to: else that would cost a frame later. */
static int allocate(struct wk_worker *worker, struct wk_read_back *request, int *ret_fd)
{
	const struct wk_object *object = wk_resource_find(worker, request->resource_id);
	int BR_CLEANUP_FD fd = -1;
	if (object == NULL) {
		return -ENOENT;
	}
	int ret = wk_target_allocate(worker, request, &fd);
	if (ret < 0) {
		return ret;
	}
	request->x = request->y = 0;
	request->w = request->h = 1;
	ret = draw_to_target(worker, object, request, fd);
	if (ret < 0) {
		return ret;
	}
	*ret_fd = br_fd_take(&fd);
	return 0;
}

int wk_image_allocate(struct wk_worker *worker, const struct wk_packet *packet)
{
	struct wk_read_back request = *(const struct wk_read_back *)packet->bytes;
	struct wk_exported allocated = {.hdr = request.hdr, .kind = WK_DMABUF};
	int BR_CLEANUP_FD fd = -1;
	allocated.hdr.type = WK_EXPORTED;
	allocated.err = allocate(worker, &request, &fd);
	if (allocated.err == 0) {
		allocated.n_planes = 1;
		allocated.width = request.width;
		allocated.height = request.height;
		allocated.fourcc = request.target_fourcc;
		allocated.strides[0] = request.stride;
		allocated.offsets[0] = (uint32_t)request.offset;
		allocated.modifier = request.target_modifier;
	}
	wk_send(worker, &allocated, sizeof(allocated), NULL, 0, fd);
	return 0;
}

int wk_image_read_back(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_read_back *request = packet->bytes;
	struct wk_object *object = wk_resource_find(worker, request->resource_id);
	struct target target = {0};
	if (object == NULL) {
		return -ENOENT;
	}
	if (packet->n_fds == 0 || request->w == 0 || request->h == 0) {
		return -EINVAL;
	}
	if (request->target_fourcc != 0) {
		return draw_to_target(worker, object, request, packet->fds[0]);
	}
	int ret = map_target(request, packet->fds[0], &target);
	if (ret < 0) {
		return ret;
	}
	ret = object->is_image ? read_image(object, request, &target) : -ENOTSUP;
	if (ret == -ENOTSUP) {
		ret = request->n_planes > 0 ? draw_blob(worker, object, request, &target)
					    : read_blob(worker, object, request, &target);
	}
	(void)munmap(target.map, target.map_len);
	return ret;
}

void wk_image_forget(struct wk_object *object)
{
	if (object->map != NULL) {
		(void)munmap(object->map, object->map_len);
		object->map = NULL;
	}
	br_fd_clear(&object->map_fd);
}
