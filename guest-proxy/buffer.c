/* SPDX-License-Identifier: MIT */
#include "buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dmabuf.h"
#include "format.h"
#include "transport.h"

uint64_t gp_buffer_bytes(const struct br_shm_geometry *geometry, uint64_t pool_bytes)
{
	uint64_t bytes = (uint64_t)geometry->stride * (uint64_t)geometry->height;
	uint64_t rest = pool_bytes - (uint64_t)geometry->offset;
	if (br_format_bytes(geometry->format) == 0) {
		/* More planes may follow, of up to the size of the first and up to three in all. */
		bytes = bytes * 3 < rest ? bytes * 3 : rest;
	}
	return bytes;
}

struct gp_buffer *gp_buffer_create(struct gp_mapping *mapping, struct gp_blob *blob, uint64_t start,
				   const struct br_shm_geometry *geometry, struct gp_stats *stats)
{
	struct gp_buffer *buffer = calloc(1, sizeof(*buffer));
	if (buffer == NULL) {
		return NULL;
	}
	buffer->mapping = gp_mapping_ref(mapping);
	buffer->blob = gp_blob_ref(blob);
	buffer->start = start;
	buffer->geometry = *geometry;
	buffer->stats = stats;
	br_copied_init(&buffer->base, geometry->width, geometry->height);
	return buffer;
}

struct gp_blob *gp_buffer_destroy(struct gp_buffer *buffer)
{
	if (buffer == NULL) {
		return NULL;
	}
	struct gp_blob *blob = buffer->blob;
	buffer->mapping = gp_mapping_unref(buffer->mapping);
	free(buffer);
	return blob;
}

/* Copy rows, counted from the mapping's start, and let the host see them. */
static int copy(struct gp_buffer *buffer, struct gp_rows rows)
{
	const uint8_t *from = buffer->mapping->bytes + rows.offset;
	rows.offset -= (uint32_t)buffer->start;
	uint8_t *to = buffer->blob->map + rows.offset;
	for (uint32_t i = 0; i < rows.count; i++, from += rows.stride, to += rows.stride) {
		memcpy(to, from, rows.bytes);
	}
	buffer->stats->copied_bytes += (uint64_t)rows.bytes * rows.count;
	return buffer->blob->written ? buffer->blob->written(buffer->blob, &rows) : 0;
}

static int copy_whole(struct gp_buffer *buffer)
{
	uint64_t end = buffer->start + buffer->blob->size;
	uint64_t size = buffer->mapping->size < end ? buffer->mapping->size : end;
	uint32_t bytes = (uint32_t)gp_buffer_bytes(&buffer->geometry, size);
	const struct gp_rows rows = {
		.offset = (uint32_t)buffer->geometry.offset,
		.stride = bytes,
		.bytes = bytes,
		.count = 1,
	};
	buffer->stats->full_frames++;
	return copy(buffer, rows);
}

static int copy_rect(struct gp_buffer *buffer, const struct br_rect *rect, uint32_t pixel_bytes)
{
	uint32_t stride = (uint32_t)buffer->geometry.stride;
	struct gp_rows rows = {
		.offset = (uint32_t)buffer->geometry.offset + (uint32_t)rect->y0 * stride +
			  (uint32_t)rect->x0 * pixel_bytes,
		.stride = stride,
		.bytes = (uint32_t)(rect->x1 - rect->x0) * pixel_bytes,
		.count = (uint32_t)(rect->y1 - rect->y0),
	};
	if (rows.bytes == stride) {
		rows.bytes *= rows.count;
		rows.stride = rows.bytes;
		rows.count = 1;
	}
	return copy(buffer, rows);
}

int gp_buffer_sync(struct gp_buffer *buffer)
{
	const struct br_shm_geometry *g = &buffer->geometry;
	const struct br_rect all = {0, 0, g->width, g->height};
	uint32_t pixel_bytes = br_format_bytes(g->format);
	bool rows_fit = (uint64_t)g->width * pixel_bytes <= (uint64_t)g->stride;
	int ret = 0;
	int dmabuf_fd = buffer->mapping->dmabuf_fd;
	if (dmabuf_fd >= 0) {
		br_dmabuf_begin_read(dmabuf_fd);
	}
	if (buffer->base.whole ||
	    (buffer->base.damage.count > 0 && (pixel_bytes == 0 || !rows_fit))) {
		ret = copy_whole(buffer);
	} else {
		for (uint32_t i = 0; ret == 0 && i < buffer->base.damage.count; i++) {
			struct br_rect rect =
				br_rect_intersect(&buffer->base.damage.rects[i], &all);
			if (!br_rect_empty(&rect)) {
				ret = copy_rect(buffer, &rect, pixel_bytes);
			}
		}
	}
	if (dmabuf_fd >= 0) {
		br_dmabuf_end_read(dmabuf_fd);
	}
	buffer->base.whole = false;
	br_damage_clear(&buffer->base.damage);
	return buffer->mapping->broken ? -EFAULT : ret;
}
