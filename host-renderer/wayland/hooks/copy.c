/* SPDX-License-Identifier: MIT
 *
 * Buffers for a compositor that can't import the guest's: in wl_shm. Memory in a plain file is the pool
 * itself; a dma-buf is copied into one, what has changed of it, before the compositor hears of the commit.
 * The same for a dma-buf that is drawn to another one (blit.c).
 * Only the client's own requests wait for that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../../gpu/resource.h"
#include "../host.h"
#include "../readback.h"
#include "../readback_gpu.h"
#include "br-tables.h"
#include "dmabuf.h"
#include "fd.h"
#include "hold.h"
#include "hooks.h"
#include "log.h"
#include "wire.h"

/* Data of a wl_buffer. */
struct copied {
	struct br_copied base;
	struct hr_readback *readback;	      /* of this process, or */
	struct hr_gpu_readback *gpu_readback; /* of a worker */
	uint8_t *map;			      /* the copy, for readback */
	size_t bytes;
};

static void copied_free(struct copied *copied)
{
	hr_readback_destroy(copied->readback);
	hr_gpu_readback_destroy(copied->gpu_readback);
	if (copied->map != NULL) {
		(void)munmap(copied->map, copied->bytes);
	}
	free(copied);
}

static void copied_destroy(struct br_relay *relay, struct br_object *object)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	struct copied *copied = object->data;
	br_surfaces_forget(&state->surfaces, &copied->base, NULL);
	if (state->copying_buffer == &copied->base) {
		state->copying_buffer = NULL;
		if (state->copying == HR_COPY_RUNNING) {
			state->copying = HR_COPY_DONE;
			state->wake(state);
		}
	}
	state->n_copied--;
	state->copied_bytes -= copied->bytes;
	copied_free(copied);
	object->data = NULL;
}

struct br_copied *hr_copied_of(const struct br_object *object)
{
	return object != NULL && object->destroy == copied_destroy ? object->data : NULL;
}

/* The pool is the client's own memory. */
static int send_file(struct br_relay *relay, struct br_object *buffer, struct br_handle *memory,
		     const struct br_shm_geometry *geometry)
{
	struct stat st;
	struct br_shm_geometry there = *geometry;
	uint64_t start = memory->offset + (uint64_t)geometry->offset;
	uint64_t end = start + (uint64_t)geometry->stride * (uint64_t)geometry->height;
	if (fstat(memory->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		return -ENODEV;
	}
	if (end > INT32_MAX || (uint64_t)st.st_size < end ||
	    (memory->bytes != 0 && end - memory->offset > memory->bytes)) {
		return -EINVAL;
	}
	struct hr_hold *hold;
	int ret = hr_hold_create(hr_hook_state(relay), memory->bytes, &hold);
	if (ret < 0) {
		return ret;
	}
	there.offset = (int32_t)start;
	ret = br_shm_create_buffer(relay, hr_hook_state(relay)->own_shm.object, memory, end, buffer,
				   &there);
	if (ret == 0) {
		hr_hold_attach(hold, buffer);
	}
	hr_hold_unref(hold);
	return ret;
}

/* Memory for the copy; *ret_fd is the caller's. */
static int make_copy(struct hr_hook_state *state, struct copied *copied, struct br_handle *memory,
		     const struct br_shm_geometry *geometry, int *ret_fd)
{
	int fd BR_CLEANUP_FD = hr_memory_create(copied->bytes);
	if (fd < 0) {
		return fd;
	}
	void *map = mmap(NULL, copied->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	copied->map = map;
	int ret = hr_readback_create_take(state->host, memory, geometry, copied->map,
					  &copied->readback);
	if (ret == 0) {
		*ret_fd = br_fd_take(&fd);
	}
	return ret;
}

/* Returns 0 and something without a reader, the caller's. */
static int copied_create(const struct hr_hook_state *state, const struct br_shm_geometry *geometry,
			 struct copied **ret_copied)
{
	size_t bytes = (size_t)geometry->stride * (size_t)geometry->height;
	if (state->n_copied >= BR_LIMIT_COPIED_BUFFERS ||
	    bytes > BR_LIMIT_COPIED_BYTES - state->copied_bytes) {
		return -ENOSPC;
	}
	struct copied *copied = calloc(1, sizeof(*copied));
	if (copied == NULL) {
		return -ENOMEM;
	}
	br_copied_init(&copied->base, geometry->width, geometry->height);
	copied->bytes = bytes;
	*ret_copied = copied;
	return 0;
}

static void copied_attach(struct hr_hook_state *state, struct br_object *buffer,
			  struct copied *copied)
{
	state->n_copied++;
	state->copied_bytes += copied->bytes;
	buffer->data = copied;
	buffer->destroy = copied_destroy;
}

/* Make the compositor's buffer in the pool of the copy; takes *pool_fd. */
static int copied_send(struct br_relay *relay, struct br_object *buffer, struct copied *copied,
		       int *pool_fd, const struct br_shm_geometry *geometry)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	struct br_handle pool = {.fd = br_fd_take(pool_fd)};
	struct br_shm_geometry there = *geometry;
	there.offset = 0;
	copied_attach(state, buffer, copied);
	return br_shm_create_buffer(relay, state->own_shm.object, &pool, copied->bytes, buffer,
				    &there);
}

static int send_copy(struct br_relay *relay, struct br_object *buffer, struct br_handle *memory,
		     const struct br_shm_geometry *geometry)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	struct copied *copied;
	int pool_fd = -1;
	int ret = copied_create(state, geometry, &copied);
	if (ret < 0) {
		return ret;
	}
	ret = make_copy(state, copied, memory, geometry, &pool_fd);
	if (ret < 0) {
		copied_free(copied);
		return ret;
	}
	return copied_send(relay, buffer, copied, &pool_fd, geometry);
}

bool hr_copy_is_one_resource(const struct br_params *params)
{
	for (unsigned i = 1; i < BR_MAX_PLANES; i++) {
		if (params->planes[i].set &&
		    params->planes[i].memory.res_id != params->planes[0].memory.res_id) {
			return false;
		}
	}
	return true;
}

struct hr_resource *hr_copy_resource_of(const struct hr_hook_state *state,
					const struct br_handle *memory)
{
	if (state->context == NULL || memory->res_id == 0) {
		return NULL;
	}
	struct hr_resource *resource = hr_resource_find_attached(state->context, memory->res_id);
	if (resource == NULL || resource->gpu == HR_GPU_NONE) {
		return NULL;
	}
	/* Memory that is a plain file needs no worker: the compositor reads it itself. But if the host has
	 * its own layout, only the worker knows what the guest means. */
	bool plain_file = memory->fd >= 0 && !br_dmabuf_is(memory->fd);
	return plain_file && resource->layout.n_planes == 0 ? NULL : resource;
}

int hr_copy_create_gpu_buffer(struct br_relay *relay, struct br_object *buffer,
			      struct hr_resource *resource, const struct br_params *params,
			      const struct br_params_image *image)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	struct br_shm_geometry geometry;
	struct copied *copied;
	int ret = hr_copy_is_one_resource(params)
			  ? hr_gpu_readback_geometry(resource, params, image, &geometry)
			  : -ENOTSUP;
	if (ret == 0 && !br_own_shm_has_format(&state->own_shm, geometry.format)) {
		ret = -ENOTSUP;
	}
	ret = ret < 0 ? ret : copied_create(state, &geometry, &copied);
	if (ret < 0) {
		return ret;
	}
	int fd = hr_memory_create(copied->bytes);
	ret = fd < 0 ? fd
		     : hr_gpu_readback_create(state->host, resource, params, image, fd,
					      &copied->gpu_readback);
	if (ret < 0) {
		br_fd_clear(&fd);
		copied_free(copied);
		return ret;
	}
	return copied_send(relay, buffer, copied, &fd, &geometry);
}

int hr_copy_attach(struct br_relay *relay, struct br_object *buffer,
		   struct hr_gpu_readback *readback, const struct br_params_image *image)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	const struct br_shm_geometry geometry = {
		.stride = image->width * 4, /* about: it is the GPU's memory */
		.width = image->width,
		.height = image->height,
	};
	struct copied *copied;
	int ret = copied_create(state, &geometry, &copied);
	if (ret < 0) {
		return ret;
	}
	copied->gpu_readback = readback;
	copied_attach(state, buffer, copied);
	return 0;
}

int hr_copy_create_buffer(struct br_relay *relay, struct br_object *buffer,
			  struct br_handle *memory, const struct br_shm_geometry *geometry)
{
	int ret = br_dmabuf_is(memory->fd) ? send_copy(relay, buffer, memory, geometry)
					   : send_file(relay, buffer, memory, geometry);
	br_fd_clear(&memory->fd);
	return ret;
}

static void handle_copied(void *data, int err)
{
	struct hr_hook_state *state = data;
	state->copying = HR_COPY_DONE;
	state->copy_error = err;
	state->wake(state);
}

void hr_copy_failed(struct br_relay *relay, struct br_copied *copied, int err)
{
	br_log_peer(BR_LOG_WARN, "host: client=%u: a frame can't be read back: %s",
		    br_relay_client_number(relay), strerror(-err));
	if (copied != NULL) {
		copied->whole = true;
	}
}

enum br_verdict hr_copy_update(struct br_relay *relay, struct br_copied *base)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	struct copied *copied = (struct copied *)base;
	const struct br_rect all = {0, 0, base->width, base->height};
	struct br_rect rects[BR_LIMIT_DAMAGE_RECTS];
	struct hr_readback_ask ask = {.rects = rects, .done = handle_copied, .data = state};
	if (base->whole) {
		rects[ask.n_rects++] = all;
	}
	for (uint32_t i = 0; !base->whole && i < base->damage.count; i++) {
		rects[ask.n_rects] = br_rect_intersect(&base->damage.rects[i], &all);
		ask.n_rects += br_rect_empty(&rects[ask.n_rects]) ? 0 : 1;
	}
	base->whole = false;
	br_damage_clear(&base->damage);
	if (ask.n_rects == 0) {
		return BR_FORWARD;
	}
	int ret = copied->gpu_readback != NULL ? hr_gpu_readback_ask(copied->gpu_readback, &ask)
					       : hr_readback_ask(copied->readback, &ask);
	if (ret < 0) {
		hr_copy_failed(relay, base, ret);
		return BR_FORWARD;
	}
	state->copying = HR_COPY_RUNNING;
	state->copying_buffer = base;
	state->copy_error = 0;
	return BR_AGAIN;
}
