/* SPDX-License-Identifier: MIT
 *
 * What of a mirrored buffer is copied, and which rows the host is told of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffer.h"
#include "fd.h"
#include "test.h"
#include "transport.h"

#define FILE_BYTES 65536
#define XRGB8888 1
#define NV12 0x3231564e

struct rig {
	struct gp_blob blob; /* first: it is what written() gets */
	int file;
	uint8_t *pixels;
	uint8_t memory[FILE_BYTES];
	struct gp_mapping *mapping;
	struct gp_stats stats;
	struct gp_rows rows[8];
	size_t n_rows;
	int written_err;
};

static int on_written(struct gp_blob *blob, const struct gp_rows *rows)
{
	struct rig *rig = (struct rig *)blob;
	CHECK(rig->n_rows < 8);
	rig->rows[rig->n_rows++] = *rows;
	/* What it is told of is there already. */
	for (uint32_t i = 0; i < rows->count; i++) {
		uint64_t at = rows->offset + (uint64_t)i * rows->stride;
		CHECK(at + rows->bytes <= blob->size);
	}
	return rig->written_err;
}

static void start(struct rig *rig)
{
	*rig = (struct rig){.blob = {.refs = 1, .size = FILE_BYTES, .written = on_written}};
	rig->blob.map = rig->memory;
	rig->file = memfd_create("pool", MFD_CLOEXEC);
	CHECK_INT(ftruncate(rig->file, FILE_BYTES), 0);
	rig->pixels = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, rig->file, 0);
	CHECK(rig->pixels != MAP_FAILED);
	for (size_t i = 0; i < FILE_BYTES; i++) {
		rig->pixels[i] = (uint8_t)(i * 7 + 1);
	}
	CHECK_INT(gp_mapping_create(rig->file, FILE_BYTES, &rig->mapping), 0);
}

static void finish(struct rig *rig, struct gp_buffer *buffer)
{
	CHECK(gp_buffer_destroy(buffer) == &rig->blob);
	(void)gp_mapping_unref(rig->mapping);
	(void)munmap(rig->pixels, FILE_BYTES);
	br_fd_clear(&rig->file);
}

static struct gp_buffer *make(struct rig *rig, uint64_t start,
			      const struct br_shm_geometry *geometry)
{
	struct gp_buffer *buffer =
		gp_buffer_create(rig->mapping, &rig->blob, start, geometry, &rig->stats);
	CHECK(buffer != NULL);
	return buffer;
}

static void check_rows(const struct rig *rig, size_t i, uint32_t offset, uint32_t stride,
		       uint32_t bytes, uint32_t count)
{
	CHECK(i < rig->n_rows);
	CHECK_INT(rig->rows[i].offset, offset);
	CHECK_INT(rig->rows[i].stride, stride);
	CHECK_INT(rig->rows[i].bytes, bytes);
	CHECK_INT(rig->rows[i].count, count);
}

static void damage(struct gp_buffer *buffer, int32_t x, int32_t y, int32_t width, int32_t height)
{
	const struct br_rect rect = br_rect_make(x, y, width, height);
	br_damage_add(&buffer->base.damage, &rect);
}

static const struct br_shm_geometry usual = {
	.offset = 1000, .stride = 256, .width = 60, .height = 20, .format = XRGB8888};

TEST(first_sync_is_of_everything)
{
	struct rig rig;
	start(&rig);
	struct gp_buffer *buffer = make(&rig, 0, &usual);
	CHECK_INT(gp_buffer_sync(buffer), 0);
	CHECK_INT(rig.n_rows, 1);
	check_rows(&rig, 0, 1000, 20 * 256, 20 * 256, 1);
	CHECK_MEM(rig.memory + 1000, rig.pixels + 1000, 20 * 256);
	CHECK_INT(rig.memory[999] | rig.memory[1000 + 20 * 256], 0);
	CHECK_INT(rig.stats.copied_bytes, 20 * 256);
	CHECK_INT(rig.stats.full_frames, 1);
	/* Nothing differs any more. */
	CHECK_INT(gp_buffer_sync(buffer), 0);
	CHECK_INT(rig.n_rows, 1);
	finish(&rig, buffer);
}

TEST(later_ones_are_of_what_is_damaged)
{
	struct rig rig;
	start(&rig);
	struct gp_buffer *buffer = make(&rig, 0, &usual);
	buffer->base.whole = false;
	damage(buffer, 2, 3, 5, 4);
	damage(buffer, 50, 18, 100, 100); /* cut to the buffer */
	damage(buffer, -5, -5, 3, 3);	  /* outside */
	CHECK_INT(gp_buffer_sync(buffer), 0);
	CHECK_INT(rig.n_rows, 2);
	check_rows(&rig, 0, 1000 + 3 * 256 + 2 * 4, 256, 20, 4);
	check_rows(&rig, 1, 1000 + 18 * 256 + 50 * 4, 256, 40, 2);
	CHECK_MEM(rig.memory + 1000 + 6 * 256 + 8, rig.pixels + 1000 + 6 * 256 + 8, 20);
	CHECK_INT(rig.memory[1000 + 6 * 256 + 7] | rig.memory[1000 + 6 * 256 + 28], 0);
	CHECK_INT(rig.memory[1000 + 2 * 256 + 8] | rig.memory[1000 + 7 * 256 + 8], 0);
	CHECK_INT(rig.stats.copied_bytes, 4 * 20 + 2 * 40);
	CHECK_INT(rig.stats.full_frames, 0);
	finish(&rig, buffer);
}

TEST(rows_are_counted_from_the_start_of_the_memory)
{
	struct rig rig;
	start(&rig);
	struct gp_buffer *buffer = make(&rig, 512, &usual);
	buffer->base.whole = false;
	damage(buffer, 0, 1, 1, 2);
	CHECK_INT(gp_buffer_sync(buffer), 0);
	check_rows(&rig, 0, 1000 - 512 + 256, 256, 4, 2);
	CHECK_MEM(rig.memory + 1000 - 512 + 256, rig.pixels + 1000 + 256, 4);
	buffer->base.whole = true;
	CHECK_INT(gp_buffer_sync(buffer), 0);
	check_rows(&rig, 1, 1000 - 512, 20 * 256, 20 * 256, 1);
	CHECK_MEM(rig.memory + 1000 - 512, rig.pixels + 1000, 20 * 256);
	finish(&rig, buffer);
}

TEST(rows_that_touch_are_one)
{
	struct rig rig;
	const struct br_shm_geometry tight = {
		.stride = 64, .width = 16, .height = 8, .format = XRGB8888};
	start(&rig);
	struct gp_buffer *buffer = make(&rig, 0, &tight);
	buffer->base.whole = false;
	damage(buffer, 0, 2, 16, 3);
	CHECK_INT(gp_buffer_sync(buffer), 0);
	CHECK_INT(rig.n_rows, 1);
	check_rows(&rig, 0, 128, 3 * 64, 3 * 64, 1);
	finish(&rig, buffer);
}

TEST(formats_of_several_planes_go_as_a_whole)
{
	struct rig rig;
	const struct br_shm_geometry planar = {
		.stride = 64, .width = 64, .height = 8, .format = NV12};
	start(&rig);
	struct gp_buffer *buffer = make(&rig, 0, &planar);
	buffer->base.whole = false;
	CHECK_INT(gp_buffer_sync(buffer), 0);
	CHECK_INT(rig.n_rows, 0); /* nothing is damaged */
	damage(buffer, 1, 1, 1, 1);
	CHECK_INT(gp_buffer_sync(buffer), 0);
	check_rows(&rig, 0, 0, 3 * 64 * 8, 3 * 64 * 8, 1);
	finish(&rig, buffer);
}

TEST(errors_are_the_callers)
{
	struct rig rig;
	start(&rig);
	struct gp_buffer *buffer = make(&rig, 0, &usual);
	rig.written_err = -ENOTCONN;
	CHECK_INT(gp_buffer_sync(buffer), -ENOTCONN);
	rig.written_err = 0;
	/* Behind the last page that the file still has. */
	const struct br_shm_geometry late = {
		.offset = 40960, .stride = 256, .width = 60, .height = 20, .format = XRGB8888};
	struct gp_buffer *gone = make(&rig, 0, &late);
	CHECK_INT(ftruncate(rig.file, 8192), 0);
	CHECK_INT(gp_buffer_sync(gone), -EFAULT);
	CHECK(gp_buffer_destroy(gone) == &rig.blob);
	finish(&rig, buffer);
}
