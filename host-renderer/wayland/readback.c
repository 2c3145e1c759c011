/* SPDX-License-Identifier: MIT */
#include "readback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <wayland-server-core.h>

#include "dmabuf.h"
#include "fd.h"
#include "format.h"
#include "host.h"
#include "stream.h"

/* Copied at a time, before others have their turn: about a millisecond. */
#define PIECE_BYTES (4u << 20)

struct hr_readback {
	struct hr_host *host;
	int dmabuf_fd;
	uint8_t *map; /* of all of it up to the image's end */
	size_t map_bytes;
	struct br_shm_geometry geometry; /* offset: of the first row in map */
	uint32_t pixel_bytes;
	uint8_t *target;
	/* What was asked for. done NULL: nothing. */
	struct hr_readback_ask ask; /* rects is unused */
	struct br_rect rects[BR_LIMIT_DAMAGE_RECTS];
	uint32_t rect; /* that is being copied */
	int32_t row;   /* of it, the next */
	struct wl_event_source *source;
	int turn_fd; /* can always be read: the loop comes back; -1 before it was needed */
};

static void unwatch(struct hr_readback *readback)
{
	if (readback->source != NULL) {
		wl_event_source_remove(readback->source);
		readback->source = NULL;
	}
}

int hr_readback_create_take(struct hr_host *host, struct br_handle *memory,
			    const struct br_shm_geometry *geometry, uint8_t *target,
			    struct hr_readback **ret_readback)
{
	uint64_t end = memory->offset + (uint64_t)geometry->offset +
		       (uint64_t)geometry->stride * (uint64_t)geometry->height;
	if (!br_dmabuf_is(memory->fd) || br_format_bytes(geometry->format) == 0) {
		return -ENODEV;
	}
	if (end > br_memory_bytes(memory->fd)) {
		return -EINVAL;
	}
	struct hr_readback *readback = calloc(1, sizeof(*readback));
	if (readback == NULL) {
		return -ENOMEM;
	}
	void *map = mmap(NULL, (size_t)end, PROT_READ, MAP_SHARED, memory->fd, 0);
	if (map == MAP_FAILED) {
		free(readback);
		return -ENODEV;
	}
	*readback = (struct hr_readback){
		.host = host,
		.dmabuf_fd = br_fd_take(&memory->fd),
		.map = map,
		.map_bytes = (size_t)end,
		.geometry = *geometry,
		.pixel_bytes = br_format_bytes(geometry->format),
		.target = target,
		.turn_fd = -1,
	};
	readback->map += memory->offset + (uint64_t)geometry->offset;
	*ret_readback = readback;
	return 0;
}

void hr_readback_destroy(struct hr_readback *readback)
{
	if (readback == NULL) {
		return;
	}
	unwatch(readback);
	const struct br_shm_geometry *g = &readback->geometry;
	size_t image = (size_t)g->stride * (size_t)g->height;
	(void)munmap(readback->map + image - readback->map_bytes, readback->map_bytes);
	br_fd_clear(&readback->dmabuf_fd);
	br_fd_clear(&readback->turn_fd);
	free(readback);
}

/* Copy some rows of the current rectangle. Returns the bytes. */
static size_t copy_rows(struct hr_readback *readback)
{
	const struct br_rect *rect = &readback->rects[readback->rect];
	size_t stride = (size_t)readback->geometry.stride;
	size_t bytes = (size_t)(rect->x1 - rect->x0) * readback->pixel_bytes;
	size_t at = (size_t)rect->x0 * readback->pixel_bytes;
	size_t copied = 0;
	br_dmabuf_begin_read(readback->dmabuf_fd);
	while (readback->row < rect->y1 && copied < PIECE_BYTES) {
		size_t row_at = (size_t)readback->row * stride + at;
		memcpy(readback->target + row_at, readback->map + row_at, bytes);
		copied += bytes;
		readback->row++;
	}
	br_dmabuf_end_read(readback->dmabuf_fd);
	readback->host->copied_bytes += copied;
	return copied;
}

static void next_rect(struct hr_readback *readback)
{
	readback->rect++;
	readback->row =
		readback->rect < readback->ask.n_rects ? readback->rects[readback->rect].y0 : 0;
}

/* A turn of the loop. */
static int handle_turn(int fd, uint32_t mask, void *data)
{
	struct hr_readback *readback = data;
	size_t copied = 0;
	(void)fd;
	(void)mask;
	while (readback->rect < readback->ask.n_rects && copied < PIECE_BYTES) {
		copied += copy_rows(readback);
		if (readback->row >= readback->rects[readback->rect].y1) {
			next_rect(readback);
		}
	}
	if (readback->rect < readback->ask.n_rects) {
		return 0;
	}
	const struct hr_readback_ask ask = readback->ask;
	readback->ask.done = NULL;
	unwatch(readback);
	ask.done(ask.data, 0);
	return 0;
}

static int watch(struct hr_readback *readback, int fd, wl_event_loop_fd_func_t handler)
{
	unwatch(readback);
	readback->source = wl_event_loop_add_fd(readback->host->loop, fd, WL_EVENT_READABLE,
						handler, readback);
	return readback->source != NULL ? 0 : -ENOMEM;
}

/* What is drawn into the memory is finished. */
static int handle_finished(int fd, uint32_t mask, void *data)
{
	struct hr_readback *readback = data;
	(void)fd;
	(void)mask;
	if (watch(readback, readback->turn_fd, handle_turn) < 0) {
		const struct hr_readback_ask ask = readback->ask;
		readback->ask.done = NULL;
		ask.done(ask.data, -ENOMEM);
	}
	return 0;
}

int hr_readback_ask(struct hr_readback *readback, const struct hr_readback_ask *ask)
{
	if (readback->ask.done != NULL || ask->n_rects > BR_LIMIT_DAMAGE_RECTS) {
		return -EINVAL;
	}
	if (readback->turn_fd < 0) {
		readback->turn_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
		if (readback->turn_fd < 0) {
			return -errno;
		}
	}
	bool finished = br_dmabuf_readable(readback->dmabuf_fd);
	int ret = watch(readback, finished ? readback->turn_fd : readback->dmabuf_fd,
			finished ? handle_turn : handle_finished);
	if (ret < 0) {
		return ret;
	}
	readback->ask = *ask;
	readback->ask.rects = NULL;
	memcpy(readback->rects, ask->rects, ask->n_rects * sizeof(*ask->rects));
	readback->rect = 0;
	readback->row = ask->n_rects > 0 ? readback->rects[0].y0 : 0;
	return 0;
}
