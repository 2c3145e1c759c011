/* SPDX-License-Identifier: MIT */
#include "item.h"

#include <drm/drm_fourcc.h>
#include <errno.h>
#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../gpu/resource.h"
#include "fd.h"
#include "limits.h"

/* Ids above are taken by other kinds in the protocol. */
#define LAST_ITEM_ID 0x3fffffffu
/* The largest page of a Linux guest: it rounds sizes up to its own. */
#define MAX_GUEST_PAGE_BYTES 65536u

/* A format: bytes per pixel of each plane, and how much smaller the planes after the first are. */
struct format {
	uint32_t fourcc;
	uint8_t planes, bytes[3], sub_x, sub_y;
};

static const struct format formats[] = {
	{DRM_FORMAT_R8, 1, {1}, 1, 1},
	{DRM_FORMAT_GR88, 1, {2}, 1, 1},
	{DRM_FORMAT_RGB565, 1, {2}, 1, 1},
	{DRM_FORMAT_BGR888, 1, {3}, 1, 1},
	{DRM_FORMAT_RGB888, 1, {3}, 1, 1},
	{DRM_FORMAT_XRGB8888, 1, {4}, 1, 1},
	{DRM_FORMAT_ARGB8888, 1, {4}, 1, 1},
	{DRM_FORMAT_XBGR8888, 1, {4}, 1, 1},
	{DRM_FORMAT_ABGR8888, 1, {4}, 1, 1},
	{DRM_FORMAT_XRGB2101010, 1, {4}, 1, 1},
	{DRM_FORMAT_ARGB2101010, 1, {4}, 1, 1},
	{DRM_FORMAT_XBGR2101010, 1, {4}, 1, 1},
	{DRM_FORMAT_ABGR2101010, 1, {4}, 1, 1},
	{DRM_FORMAT_XBGR16161616F, 1, {8}, 1, 1},
	{DRM_FORMAT_ABGR16161616F, 1, {8}, 1, 1},
	{DRM_FORMAT_NV12, 2, {1, 2}, 2, 2},
	{DRM_FORMAT_P010, 2, {2, 4}, 2, 2},
	{DRM_FORMAT_YVU420, 3, {1, 1, 1}, 2, 2},
};

static uint64_t round_up(uint64_t size, uint64_t page)
{
	return (size + page - 1) / page * page;
}

static uint64_t host_page(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

void hr_items_init(struct hr_items *items)
{
	*items = (struct hr_items){.last_id = XD_FIRST_ITEM_ID - 1};
}

void hr_items_finish(struct hr_items *items)
{
	for (size_t i = 0; i < items->n_items; i++) {
		br_fd_clear(&items->items[i].item_fd);
	}
	free(items->items);
	free(items->images);
	hr_items_init(items);
}

int hr_items_next_id(struct hr_items *items, uint32_t *ret_id)
{
	if (items->last_id >= LAST_ITEM_ID) {
		return -ENOSPC;
	}
	*ret_id = ++items->last_id;
	return 0;
}

/* Make room for one more element. */
static int grow(void **array, size_t count, size_t *capacity, size_t limit, size_t element_bytes)
{
	if (count >= limit) {
		return -ENOSPC;
	}
	if (count < *capacity) {
		return 0;
	}
	size_t wanted = *capacity ? *capacity * 2 : 8;
	void *grown = reallocarray(*array, wanted, element_bytes);
	if (!grown) {
		return -ENOMEM;
	}
	*array = grown;
	*capacity = wanted;
	return 0;
}

/* Bytes of a file or dma-buf; 0 if it has no size. */
static uint64_t memory_size(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return 0;
	}
	if (S_ISREG(st.st_mode)) {
		return (uint64_t)st.st_size;
	}
	/* dma-bufs of older kernels have a size, but not the type. */
	off_t end = (st.st_mode & S_IFMT) == 0 ? lseek(fd, 0, SEEK_END) : 0;
	return end > 0 ? (uint64_t)end : 0;
}

int hr_items_add_take(struct hr_items *items, int *fd, uint32_t *ret_id, uint32_t *ret_size)
{
	uint64_t size = memory_size(*fd);
	if (size == 0 || size > UINT32_MAX) {
		return -EINVAL;
	}
	int ret = grow((void **)&items->items, items->n_items, &items->items_capacity,
		       BR_LIMIT_ITEMS, sizeof(*items->items));
	uint32_t id = 0;
	ret = ret < 0 ? ret : hr_items_next_id(items, &id);
	if (ret < 0) {
		return ret;
	}
	items->items[items->n_items++] =
		(struct hr_item){.id = id, .item_fd = br_fd_take(fd), .size = size};
	*ret_id = id;
	*ret_size = (uint32_t)size;
	return 0;
}

/* Planes packed one behind the other, rows without padding. */
static int image_layout(const struct format *format, uint32_t width, uint32_t height,
			struct xd_image_requirements *ret)
{
	uint64_t size = 0;
	for (unsigned i = 0; i < format->planes; i++) {
		uint64_t sub_x = i ? format->sub_x : 1, sub_y = i ? format->sub_y : 1;
		uint64_t stride = (width + sub_x - 1) / sub_x * format->bytes[i];
		uint64_t rows = (height + sub_y - 1) / sub_y, plane;
		if (stride > UINT32_MAX || size > UINT32_MAX ||
		    __builtin_mul_overflow(stride, rows, &plane) || plane > BR_LIMIT_BLOB_BYTES) {
			return -EINVAL;
		}
		ret->strides[i] = (uint32_t)stride;
		ret->offsets[i] = (uint32_t)size;
		size += plane;
	}
	ret->size = round_up(size, host_page());
	return size > 0 && ret->size <= BR_LIMIT_BLOB_BYTES ? 0 : -EINVAL;
}

static const struct format *find_format(uint32_t fourcc)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (formats[i].fourcc == fourcc) {
			return &formats[i];
		}
	}
	return NULL;
}

int hr_items_image(struct hr_items *items, uint32_t width, uint32_t height, uint32_t format,
		   struct xd_image_requirements *ret_requirements)
{
	for (size_t i = 0; i < items->n_images; i++) {
		const struct hr_image *image = &items->images[i];
		if (image->width == width && image->height == height && image->format == format) {
			*ret_requirements = image->requirements;
			return 0;
		}
	}
	struct hr_image image = {.width = width, .height = height, .format = format};
	image.requirements.map_info = VIRTIO_GPU_MAP_CACHE_CACHED;
	image.requirements.memory_idx = -1;
	image.requirements.physical_device_idx = -1;
	const struct format *known = find_format(format);
	if (!known || image_layout(known, width, height, &image.requirements) < 0) {
		return -EINVAL;
	}
	int ret = grow((void **)&items->images, items->n_images, &items->images_capacity,
		       BR_LIMIT_IMAGE_REQS, sizeof(*items->images));
	ret = ret < 0 ? ret : hr_items_next_id(items, &image.requirements.blob_id);
	if (ret < 0) {
		return ret;
	}
	items->images[items->n_images++] = image;
	*ret_requirements = image.requirements;
	return 0;
}

static int image_memory(const struct hr_image *image, uint64_t size, struct hr_memory *ret_memory)
{
	uint64_t least = image->requirements.size;
	if (size < least || size > round_up(least, MAX_GUEST_PAGE_BYTES)) {
		return -EINVAL;
	}
	*ret_memory = (struct hr_memory){
		.fd = -1,
		.fresh = true,
		.map_info = image->requirements.map_info,
	};
	return 0;
}

int hr_items_memory(struct hr_items *items, uint64_t id, uint64_t size, bool copied,
		    struct hr_memory *ret_memory)
{
	uint64_t page = copied ? MAX_GUEST_PAGE_BYTES : host_page();
	for (size_t i = 0; i < items->n_images; i++) {
		if (items->images[i].requirements.blob_id == id) {
			return image_memory(&items->images[i], size, ret_memory);
		}
	}
	for (size_t i = 0; i < items->n_items; i++) {
		struct hr_item *item = &items->items[i];
		if (item->id != id) {
			continue;
		}
		if (size > round_up(item->size, page)) {
			return -EINVAL;
		}
		*ret_memory = (struct hr_memory){
			.fd = item->item_fd,
			.map_info = VIRTIO_GPU_MAP_CACHE_CACHED,
		};
		*item = items->items[--items->n_items];
		return 0;
	}
	return -ENOENT;
}
