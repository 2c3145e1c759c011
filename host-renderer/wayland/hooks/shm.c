/* SPDX-License-Identifier: MIT
 *
 * wl_shm pools: the memory must be there before the compositor maps it. A client that sent a file of
 * its own can still shrink it later; compositors guard against that themselves, as they must for local
 * clients.
 *
 * Memory in the window of a virtual machine is a part of one large file. The compositor gets a pool
 * from the file's start to the end of that part, and buffers that lie further in; what is outside of
 * the part is kept from the client here.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "br-tables.h"
#include "hold.h"
#include "hooks.h"
#include "hr-hooks.h"
#include "wire.h"

/* Error codes of wl_shm. Source: wayland.xml, wl_shm.error. */
enum { SHM_ERROR_INVALID_STRIDE = 1, SHM_ERROR_INVALID_FD = 2 };

/* Data of a wl_shm_pool. */
struct pool {
	int32_t size;	/* bytes, as the client knows it */
	uint64_t start; /* of the memory in its file */
	uint64_t bytes; /* that the memory has; 0: as many as the file */
	struct hr_hold *hold;
};

static void pool_destroy(struct br_relay *relay, struct br_object *object)
{
	struct pool *pool = object->data;
	(void)relay;
	hr_hold_unref(pool->hold);
	free(pool);
	object->data = NULL;
}

struct hr_hold *hr_hold_of_pool(const struct br_object *pool)
{
	return pool->destroy == pool_destroy ? ((const struct pool *)pool->data)->hold : NULL;
}

/* True if the memory has size bytes, and the compositor can count to their end. */
static bool fits(const struct br_handle *handle, int32_t size)
{
	struct stat st;
	uint64_t end = handle->offset + (uint64_t)size;
	if (handle->bytes != 0 && (uint64_t)size > handle->bytes) {
		return false;
	}
	return end <= INT32_MAX && fstat(handle->fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size >= end;
}

enum br_verdict hr_hook_wl_shm_create_pool(struct br_relay *relay, struct br_msg *msg,
					   const struct br_args_wl_shm_create_pool *args)
{
	const struct br_handle *handle = &msg->handles[msg->args[1].handle];
	struct br_object *object = msg->args[0].object;
	int32_t size = msg->args[2].i;
	(void)args;
	if (size <= 0 || (uint32_t)size > BR_LIMIT_POOL_BYTES) {
		br_relay_client_error(relay, msg->object, SHM_ERROR_INVALID_STRIDE,
				      "create_pool: invalid size (%d)", size);
		return BR_DROP;
	}
	if (handle->fd < 0 || !fits(handle, size)) {
		br_relay_client_error(relay, msg->object, SHM_ERROR_INVALID_FD,
				      "create_pool: the file does not hold %d bytes of memory",
				      size);
		return BR_DROP;
	}
	struct hr_hold *hold;
	int ret = hr_hold_create(hr_hook_state(relay), handle->bytes, &hold);
	struct pool *pool = ret == 0 ? malloc(sizeof(*pool)) : NULL;
	if (!pool) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "create_pool: %s",
				      ret == -ENOSPC ? "the program has too much memory in pools "
						       "and their buffers"
						     : "out of memory");
		hr_hold_unref(ret == 0 ? hold : NULL);
		return BR_DROP;
	}
	*pool = (struct pool){
		.size = size, .start = handle->offset, .bytes = handle->bytes, .hold = hold};
	object->data = pool;
	object->destroy = pool_destroy;
	msg->args[2].i = (int32_t)(pool->start + (uint64_t)size);
	return BR_FORWARD;
}

enum br_verdict hr_hook_wl_shm_pool_resize(struct br_relay *relay, struct br_msg *msg,
					   const struct br_args_wl_shm_pool_resize *args)
{
	int32_t size = msg->args[0].i;
	struct pool *pool = msg->object->data;
	(void)args;
	if (size < pool->size || (uint32_t)size > BR_LIMIT_POOL_BYTES ||
	    (pool->bytes != 0 && (uint64_t)size > pool->bytes)) {
		br_relay_client_error(relay, msg->object, SHM_ERROR_INVALID_FD,
				      "resize: a pool of %d bytes can't become %d bytes",
				      pool->size, size);
		return BR_DROP;
	}
	pool->size = size;
	msg->args[0].i = (int32_t)(pool->start + (uint64_t)size);
	return BR_FORWARD;
}

/* The compositor checks the same, but against the whole file. Source: libwayland's wl_shm. */
static bool is_inside(const struct pool *pool, const struct br_args_wl_shm_pool_create_buffer *args)
{
	return args->offset >= 0 && args->width > 0 && args->height > 0 &&
	       args->stride >= args->width &&
	       (int64_t)args->stride * args->height <= (int64_t)pool->size - args->offset;
}

enum br_verdict hr_hook_wl_shm_pool_create_buffer(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_shm_pool_create_buffer *args)
{
	const struct pool *pool = msg->object->data;
	if (pool->start != 0 && !is_inside(pool, args)) {
		br_relay_client_error(relay, msg->object, SHM_ERROR_INVALID_STRIDE,
				      "create_buffer: invalid offset, width, height or stride "
				      "(%d, %dx%d, %d)",
				      args->offset, args->width, args->height, args->stride);
		return BR_DROP;
	}
	hr_hold_attach(pool->hold, msg->args[0].object);
	/* Without a start the compositor checks the numbers, whatever they are. */
	msg->args[1].i = pool->start != 0 ? args->offset + (int32_t)pool->start : args->offset;
	return BR_FORWARD;
}
