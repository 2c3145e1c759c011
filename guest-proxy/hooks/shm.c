/* SPDX-License-Identifier: MIT
 *
 * Mirrored wl_shm pools: the host gets memory of its own kind for each, and each buffer remembers
 * the memory that it was made in. Some programs have pools that are far larger than what is in them: of
 * a large pool only the buffers are mirrored, each in memory of its own.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "br-tables.h"
#include "state.h"
#include "fd.h"
#include "gp-hooks.h"
#include "limits.h"
#include "wire.h"

/* Pools up to this size are mirrored as a whole: room for two frames of 4K make one allocation. */
#define MAX_WHOLE_POOL_BYTES (64 << 20)
/* What the server has for a larger one, so that there is a pool for it. */
#define PLACEHOLDER_BYTES 4096

/* Source: wayland.xml, enum wl_shm.error. */
enum shm_error { SHM_INVALID_FORMAT, SHM_INVALID_STRIDE, SHM_INVALID_FD };

/* Data of a wl_shm. Outlives it while pools refer to it. */
struct shm {
	uint32_t refs;
	struct br_object *object; /* NULL once it is gone */
};

/* Data of a wl_shm_pool. */
struct pool {
	struct shm *shm;	    /* one reference */
	int fd;			    /* the client's file */
	struct gp_mapping *mapping; /* of the newest size */
	struct gp_blob *blob;	    /* at least as large, unless large */
	bool large;		    /* buffers from now on have blobs of their own */
	/* The server's pool for it after a resize, whose data this is; NULL: its own. */
	struct br_object *successor;
};

static void shm_unref(struct shm *shm)
{
	if (shm != NULL && --shm->refs == 0) {
		free(shm);
	}
}

static void shm_destroy(struct br_relay *relay, struct br_object *object)
{
	struct shm *shm = object->data;
	(void)relay;
	shm->object = NULL;
	object->data = NULL;
	shm_unref(shm);
}

int gp_shm_bound(struct br_object *object)
{
	struct shm *shm = calloc(1, sizeof(*shm));
	if (shm == NULL) {
		return -ENOMEM;
	}
	shm->refs = 1;
	shm->object = object;
	object->data = shm;
	object->destroy = shm_destroy;
	return 0;
}

static void successor_destroy(struct br_relay *relay, struct br_object *object)
{
	struct pool *pool = object->data;
	(void)relay;
	if (pool != NULL && pool->successor == object) {
		pool->successor = NULL;
	}
}

static void pool_destroy(struct br_relay *relay, struct br_object *object)
{
	struct pool *pool = object->data;
	if (pool->successor != NULL) {
		pool->successor->data = NULL;
	}
	shm_unref(pool->shm);
	br_fd_clear(&pool->fd);
	pool->mapping = gp_mapping_unref(pool->mapping);
	gp_state_retire(gp_state_of(relay), pool->blob);
	free(pool);
	object->data = NULL;
}

/* Get memory of both kinds for size bytes of a client's file. Returns as gp_state_alloc(), having
 * ended the client unless that is 0 or -EAGAIN. */
static int prepare(struct br_relay *relay, struct br_msg *msg, int fd, int32_t size,
		   uint64_t alloc_bytes, struct gp_mapping **ret_mapping, struct gp_blob **ret_blob)
{
	struct gp_mapping *mapping;
	int ret = gp_mapping_create(fd, (size_t)size, &mapping);
	if (ret < 0) {
		br_relay_client_error(relay, msg->object, SHM_INVALID_FD,
				      "%s: can't map %d bytes of the file: %s", msg->desc->name,
				      size, strerror(-ret));
		return ret;
	}
	if (alloc_bytes > 0) {
		ret = gp_state_alloc(gp_state_of(relay), alloc_bytes, ret_blob);
	}
	if (ret < 0) {
		(void)gp_mapping_unref(mapping);
		if (ret != -EAGAIN) {
			br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
					      "%s: the host gives no memory for %" PRIu64
					      " bytes: %s",
					      msg->desc->name, alloc_bytes, strerror(-ret));
		}
		return ret;
	}
	*ret_mapping = mapping;
	return 0;
}

enum br_verdict gp_hook_wl_shm_create_pool(struct br_relay *relay, struct br_msg *msg,
					   const struct br_args_wl_shm_create_pool *args)
{
	struct shm *shm = msg->object->data;
	struct br_handle *handle = &msg->handles[0];
	struct br_object *object = msg->args[0].object;
	if (!gp_state_of(relay)->mirror) {
		return BR_FORWARD;
	}
	if (args->size <= 0 || args->size > (int32_t)BR_LIMIT_POOL_BYTES || shm == NULL) {
		br_relay_client_error(relay, msg->object, SHM_INVALID_STRIDE,
				      "create_pool: invalid size (%d)", args->size);
		return BR_DROP;
	}
	struct pool *pool = calloc(1, sizeof(*pool));
	if (pool == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return BR_DROP;
	}
	int32_t mirrored = args->size > MAX_WHOLE_POOL_BYTES ? PLACEHOLDER_BYTES : args->size;
	int ret = prepare(relay, msg, handle->fd, args->size, (uint64_t)mirrored, &pool->mapping,
			  &pool->blob);
	if (ret < 0) {
		free(pool);
		return ret == -EAGAIN ? BR_AGAIN : BR_DROP;
	}
	pool->shm = shm;
	shm->refs++;
	pool->fd = br_fd_take(&handle->fd);
	object->data = pool;
	object->destroy = pool_destroy;
	handle->res_id = pool->blob->res_id;
	pool->large = mirrored != args->size;
	msg->args[2].i = mirrored;
	return BR_FORWARD;
}

/* Give the host a pool in the new memory, in place of the one before. */
static int replace_server_pool(struct br_relay *relay, struct br_object *object, struct pool *pool,
			       struct gp_blob *blob, int32_t size)
{
	struct br_object *successor =
		br_relay_create_server_object(relay, BR_IFACE_WL_SHM_POOL, object->version);
	if (successor == NULL) {
		return -ENOMEM;
	}
	struct br_handle handle = {.fd = -1, .kind = BR_FD_SHM, .res_id = blob->res_id};
	union br_arg args[3] = {{.object = successor}, {.handle = 0}, {.i = size}};
	int ret = br_relay_send(relay, BR_REQUEST, pool->shm->object, BR_REQ_WL_SHM_CREATE_POOL,
				args, &handle);
	if (ret == 0 && pool->successor != NULL) {
		ret = br_relay_send(relay, BR_REQUEST, pool->successor, BR_REQ_WL_SHM_POOL_DESTROY,
				    NULL, NULL);
	}
	if (pool->successor != NULL) {
		pool->successor->data = NULL;
	}
	successor->data = pool;
	successor->destroy = successor_destroy;
	pool->successor = successor;
	return ret;
}

/* The host's memory is large enough already, only its pool is told. */
static enum br_verdict grow_in_place(struct br_relay *relay, struct pool *pool, int32_t size)
{
	const union br_arg arg = {.i = size};
	if (pool->successor == NULL) {
		return BR_FORWARD;
	}
	(void)br_relay_send(relay, BR_REQUEST, pool->successor, BR_REQ_WL_SHM_POOL_RESIZE, &arg,
			    NULL);
	return BR_DROP;
}

enum br_verdict gp_hook_wl_shm_pool_resize(struct br_relay *relay, struct br_msg *msg,
					   const struct br_args_wl_shm_pool_resize *args)
{
	struct pool *pool = msg->object->data;
	struct gp_mapping *mapping;
	struct gp_blob *blob = NULL;
	if (pool == NULL) {
		return BR_FORWARD;
	}
	if (args->size <= 0 || args->size > (int32_t)BR_LIMIT_POOL_BYTES ||
	    (size_t)args->size < pool->mapping->size) {
		br_relay_client_error(relay, msg->object, SHM_INVALID_FD,
				      "resize: invalid size (%d), it was %zu", args->size,
				      pool->mapping->size);
		return BR_DROP;
	}
	if (pool->shm->object == NULL) {
		br_relay_client_error(relay, msg->object, SHM_INVALID_FD,
				      "resize after wl_shm.release is not supported");
		return BR_DROP;
	}
	pool->large = pool->large || args->size > MAX_WHOLE_POOL_BYTES;
	bool fits = pool->large || (uint64_t)args->size <= pool->blob->size;
	/* Pools grow in many small steps: twice the size each time makes few new ones. */
	uint64_t wanted = pool->blob->size * 2;
	wanted = wanted > MAX_WHOLE_POOL_BYTES ? MAX_WHOLE_POOL_BYTES : wanted;
	wanted = wanted < (uint64_t)args->size ? (uint64_t)args->size : wanted;
	int ret = prepare(relay, msg, pool->fd, args->size, fits ? 0 : wanted, &mapping, &blob);
	if (ret < 0) {
		return ret == -EAGAIN ? BR_AGAIN : BR_DROP;
	}
	(void)gp_mapping_unref(pool->mapping);
	pool->mapping = mapping;
	if (pool->large) {
		return BR_DROP;
	}
	if (fits) {
		return grow_in_place(relay, pool, args->size);
	}
	if (replace_server_pool(relay, msg->object, pool, blob, args->size) < 0) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "resize: out of memory");
	}
	gp_state_retire(gp_state_of(relay), pool->blob);
	pool->blob = blob;
	return BR_DROP;
}

enum br_verdict gp_hook_wl_shm_pool_destroy(struct br_relay *relay, struct br_msg *msg,
					    const struct br_args_wl_shm_pool_destroy *args)
{
	struct pool *pool = msg->object->data;
	(void)args;
	if (pool != NULL && pool->successor != NULL) {
		(void)br_relay_send(relay, BR_REQUEST, pool->successor, BR_REQ_WL_SHM_POOL_DESTROY,
				    NULL, NULL);
	}
	return BR_FORWARD;
}

static void buffer_object_destroy(struct br_relay *relay, struct br_object *object)
{
	struct gp_state *state = gp_state_of(relay);
	br_surfaces_forget(&state->surfaces, object->data, NULL);
	gp_state_retire(state, gp_buffer_destroy(object->data));
	object->data = NULL;
}

bool gp_buffer_keep(struct br_relay *relay, struct br_object *object, struct gp_mapping *mapping,
		    struct gp_blob *blob, uint64_t start, const struct br_shm_geometry *geometry)
{
	struct gp_buffer *buffer =
		gp_buffer_create(mapping, blob, start, geometry, gp_state_of(relay)->stats);
	if (buffer == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return false;
	}
	buffer->object = object;
	object->data = buffer;
	object->destroy = buffer_object_destroy;
	return true;
}

bool gp_buffer_send(struct br_relay *relay, struct br_object *shm, struct br_object *object,
		    const struct gp_blob *blob, uint64_t bytes,
		    const struct br_shm_geometry *geometry)
{
	struct br_handle handle = {.fd = -1, .res_id = blob->res_id};
	struct br_shm_geometry there = *geometry;
	there.offset = 0;
	return br_shm_create_buffer(relay, shm, &handle, bytes, object, &there) == 0;
}

static enum br_verdict create_lone_buffer(struct br_relay *relay, struct br_msg *msg,
					  struct pool *pool, const struct br_shm_geometry *geometry)
{
	struct gp_blob *blob;
	uint64_t bytes = gp_buffer_bytes(geometry, pool->mapping->size);
	if (pool->shm->object == NULL) {
		br_relay_client_error(relay, msg->object, SHM_INVALID_FD,
				      "create_buffer in a large pool after wl_shm.release is not "
				      "supported");
		return BR_DROP;
	}
	int ret = gp_state_alloc(gp_state_of(relay), bytes, &blob);
	if (ret == -EAGAIN) {
		return BR_AGAIN;
	}
	if (ret < 0) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
				      "create_buffer: the host gives no memory for %" PRIu64
				      " bytes: %s",
				      bytes, strerror(-ret));
		return BR_DROP;
	}
	if (gp_buffer_keep(relay, msg->args[0].object, pool->mapping, blob,
			   (uint64_t)geometry->offset, geometry)) {
		(void)gp_buffer_send(relay, pool->shm->object, msg->args[0].object, blob, bytes,
				     geometry);
	}
	gp_state_retire(gp_state_of(relay), blob);
	return BR_DROP;
}

enum br_verdict gp_hook_wl_shm_pool_create_buffer(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_shm_pool_create_buffer *args)
{
	struct pool *pool = msg->object->data;
	struct br_object *object = msg->args[0].object;
	const struct br_shm_geometry geometry = {
		.offset = args->offset,
		.stride = args->stride,
		.width = args->width,
		.height = args->height,
		.format = args->format,
	};
	if (pool == NULL) {
		return BR_FORWARD;
	}
	if (!br_shm_geometry_valid(&geometry, pool->mapping->size)) {
		br_relay_client_error(relay, msg->object, SHM_INVALID_STRIDE,
				      "create_buffer: invalid offset, width, height or stride "
				      "(%d, %dx%d, %d)",
				      args->offset, args->width, args->height, args->stride);
		return BR_DROP;
	}
	if (pool->large) {
		return create_lone_buffer(relay, msg, pool, &geometry);
	}
	if (!gp_buffer_keep(relay, object, pool->mapping, pool->blob, 0, &geometry)) {
		return BR_DROP;
	}
	if (pool->successor == NULL) {
		return BR_FORWARD;
	}
	(void)br_relay_send(relay, BR_REQUEST, pool->successor, BR_REQ_WL_SHM_POOL_CREATE_BUFFER,
			    msg->args, NULL);
	return BR_DROP;
}

struct gp_buffer *gp_buffer_of(const struct br_object *object)
{
	/* Others hooks may keep something else in a wl_buffer. */
	return object != NULL && object->destroy == buffer_object_destroy ? object->data : NULL;
}

bool gp_buffer_sync_or_fail(struct br_relay *relay, struct gp_buffer *buffer)
{
	int ret = gp_buffer_sync(buffer);
	if (ret == 0) {
		return true;
	}
	if (ret != -EFAULT) {
		br_relay_client_error(relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "guest: pixels can't be sent to the host: %s",
				      strerror(-ret));
		return false;
	}
	/* On the wl_buffer with wl_shm's code, as libwayland has it. */
	br_relay_client_error(relay, buffer->object, SHM_INVALID_FD,
			      "the shared memory file is shorter than its wl_shm_pool");
	return false;
}

enum br_verdict gp_hook_xdg_toplevel_icon_v1_add_buffer(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_xdg_toplevel_icon_v1_add_buffer *args)
{
	struct gp_buffer *buffer = gp_buffer_of(args->buffer);
	(void)msg;
	if (buffer != NULL) {
		buffer->base.whole = true;
		if (!gp_buffer_sync_or_fail(relay, buffer)) {
			return BR_DROP;
		}
	}
	return BR_FORWARD;
}
