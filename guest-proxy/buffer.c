/* SPDX-License-Identifier: MIT */
#include "buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport.h"

#define FOURCC(a, b, c, d)                                                                         \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

static const struct format_size {
	uint32_t format;
	uint32_t bytes;
} format_sizes[] = {
	{0, 4}, /* wl_shm's own number of ARGB8888 */
	{1, 4}, /* and of XRGB8888 */
	{FOURCC('X', 'B', '2', '4'), 4},
	{FOURCC('A', 'B', '2', '4'), 4},
	{FOURCC('R', 'X', '2', '4'), 4},
	{FOURCC('R', 'A', '2', '4'), 4},
	{FOURCC('B', 'X', '2', '4'), 4},
	{FOURCC('B', 'A', '2', '4'), 4},
	{FOURCC('X', 'R', '3', '0'), 4},
	{FOURCC('A', 'R', '3', '0'), 4},
	{FOURCC('X', 'B', '3', '0'), 4},
	{FOURCC('A', 'B', '3', '0'), 4},
	{FOURCC('R', 'X', '3', '0'), 4},
	{FOURCC('R', 'A', '3', '0'), 4},
	{FOURCC('B', 'X', '3', '0'), 4},
	{FOURCC('B', 'A', '3', '0'), 4},
	{FOURCC('R', 'G', '2', '4'), 3},
	{FOURCC('B', 'G', '2', '4'), 3},
	{FOURCC('R', 'G', '1', '6'), 2},
	{FOURCC('B', 'G', '1', '6'), 2},
	{FOURCC('X', 'R', '1', '5'), 2},
	{FOURCC('A', 'R', '1', '5'), 2},
	{FOURCC('X', 'B', '1', '5'), 2},
	{FOURCC('A', 'B', '1', '5'), 2},
	{FOURCC('X', 'R', '1', '2'), 2},
	{FOURCC('A', 'R', '1', '2'), 2},
	{FOURCC('X', 'B', '1', '2'), 2},
	{FOURCC('A', 'B', '1', '2'), 2},
	{FOURCC('C', '8', ' ', ' '), 1},
	{FOURCC('R', '8', ' ', ' '), 1},
	{FOURCC('R', '1', '6', ' '), 2},
	{FOURCC('G', 'R', '8', '8'), 2},
	{FOURCC('R', 'G', '8', '8'), 2},
	{FOURCC('X', 'R', '4', '8'), 8},
	{FOURCC('A', 'R', '4', '8'), 8},
	{FOURCC('X', 'B', '4', '8'), 8},
	{FOURCC('A', 'B', '4', '8'), 8},
	{FOURCC('X', 'R', '4', 'H'), 8},
	{FOURCC('A', 'R', '4', 'H'), 8},
	{FOURCC('X', 'B', '4', 'H'), 8},
	{FOURCC('A', 'B', '4', 'H'), 8},
};

uint32_t gp_format_bytes(uint32_t format)
{
	for (size_t i = 0; i < sizeof(format_sizes) / sizeof(format_sizes[0]); i++) {
		if (format_sizes[i].format == format) {
			return format_sizes[i].bytes;
		}
	}
	return 0;
}

bool gp_buffer_geometry_valid(const struct gp_buffer_geometry *geometry, uint64_t pool_bytes)
{
	if (geometry->offset < 0 || geometry->width <= 0 || geometry->height <= 0 ||
	    geometry->stride < geometry->width) {
		return false;
	}
	uint64_t bytes = (uint64_t)geometry->stride * (uint64_t)geometry->height;
	return bytes <= INT32_MAX && (uint64_t)geometry->offset + bytes <= pool_bytes;
}

uint64_t gp_buffer_bytes(const struct gp_buffer_geometry *geometry, uint64_t pool_bytes)
{
	uint64_t bytes = (uint64_t)geometry->stride * (uint64_t)geometry->height;
	uint64_t rest = pool_bytes - (uint64_t)geometry->offset;
	if (gp_format_bytes(geometry->format) == 0) {
		/* More planes may follow, of up to the size of the first and up to three in all. */
		bytes = bytes * 3 < rest ? bytes * 3 : rest;
	}
	return bytes;
}

struct gp_buffer *gp_buffer_create(struct gp_mapping *mapping, struct gp_blob *blob, uint64_t start,
				   const struct gp_buffer_geometry *geometry,
				   struct gp_stats *stats)
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
	buffer->whole = true;
	wl_list_init(&buffer->link);
	return buffer;
}

struct gp_blob *gp_buffer_destroy(struct gp_buffer *buffer)
{
	if (buffer == NULL) {
		return NULL;
	}
	struct gp_blob *blob = buffer->blob;
	wl_list_remove(&buffer->link);
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

static int copy_rect(struct gp_buffer *buffer, const struct gp_rect *rect, uint32_t pixel_bytes)
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
	const struct gp_buffer_geometry *g = &buffer->geometry;
	const struct gp_rect all = {0, 0, g->width, g->height};
	uint32_t pixel_bytes = gp_format_bytes(g->format);
	bool rows_fit = (uint64_t)g->width * pixel_bytes <= (uint64_t)g->stride;
	int ret = 0;
	if (buffer->whole || (buffer->damage.count > 0 && (pixel_bytes == 0 || !rows_fit))) {
		ret = copy_whole(buffer);
	} else {
		for (uint32_t i = 0; ret == 0 && i < buffer->damage.count; i++) {
			struct gp_rect rect = gp_rect_intersect(&buffer->damage.rects[i], &all);
			if (!gp_rect_empty(&rect)) {
				ret = copy_rect(buffer, &rect, pixel_bytes);
			}
		}
	}
	buffer->whole = false;
	gp_damage_clear(&buffer->damage);
	return buffer->mapping->broken ? -EFAULT : ret;
}
