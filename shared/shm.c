/* SPDX-License-Identifier: MIT */
#include "shm.h"

#include <errno.h>
#include <string.h>

#include "br-tables.h"
#include "relay.h"
#include "wire.h"

/* wl_shm.format: the two that each server has. */
#define LAST_COMMON_FORMAT 1

bool br_shm_geometry_valid(const struct br_shm_geometry *geometry, uint64_t pool_bytes)
{
	if (geometry->offset < 0 || geometry->width <= 0 || geometry->height <= 0 ||
	    geometry->stride < geometry->width) {
		return false;
	}
	uint64_t bytes = (uint64_t)geometry->stride * (uint64_t)geometry->height;
	return bytes <= INT32_MAX && (uint64_t)geometry->offset + bytes <= pool_bytes;
}

static void handle_event(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	struct br_own_shm *shm = object->data;
	(void)relay;
	if (msg->opcode == BR_EVT_WL_SHM_FORMAT && shm->n_formats < BR_LIMIT_SHM_FORMATS) {
		shm->formats[shm->n_formats++] = msg->args[0].u;
	}
}

static void handle_destroy(struct br_relay *relay, struct br_object *object)
{
	struct br_own_shm *shm = object->data;
	(void)relay;
	shm->object = NULL;
}

static void handle_complete(struct br_relay *relay, void *data)
{
	struct br_own_shm *shm = data;
	shm->complete = true;
	shm->completed(relay, shm);
}

int br_own_shm_bind(struct br_relay *relay, struct br_own_shm *shm, struct br_object *registry,
		    uint32_t name)
{
	struct br_object *object = br_relay_bind(relay, registry, name, BR_IFACE_WL_SHM, 1);
	if (object == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "too many objects");
		return -ENOMEM;
	}
	object->data = shm;
	object->event = handle_event;
	object->destroy = handle_destroy;
	shm->object = object;
	return shm->completed == NULL ? 0 : br_relay_sync(relay, handle_complete, shm);
}

bool br_own_shm_has_format(const struct br_own_shm *shm, uint32_t format)
{
	for (uint32_t i = 0; i < shm->n_formats; i++) {
		if (shm->formats[i] == format) {
			return true;
		}
	}
	return format <= LAST_COMMON_FORMAT;
}

int br_shm_create_buffer(struct br_relay *relay, struct br_object *shm, struct br_handle *memory,
			 uint64_t pool_bytes, struct br_object *buffer,
			 const struct br_shm_geometry *geometry)
{
	struct br_object *pool =
		br_relay_create_server_object(relay, BR_IFACE_WL_SHM_POOL, shm->version);
	if (pool == NULL || pool_bytes > INT32_MAX) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
				      "out of memory, or of objects");
		return -ENOMEM;
	}
	const union br_arg pool_args[] = {
		{.object = pool}, {.handle = 0}, {.i = (int32_t)pool_bytes}};
	const union br_arg buffer_args[] = {
		{.object = buffer},	 {.i = geometry->offset}, {.i = geometry->width},
		{.i = geometry->height}, {.i = geometry->stride}, {.u = geometry->format},
	};
	memory->kind = BR_FD_SHM;
	int ret =
		br_relay_send(relay, BR_REQUEST, shm, BR_REQ_WL_SHM_CREATE_POOL, pool_args, memory);
	if (ret == 0) {
		ret = br_relay_send(relay, BR_REQUEST, pool, BR_REQ_WL_SHM_POOL_CREATE_BUFFER,
				    buffer_args, NULL);
	}
	return ret < 0 ? ret
		       : br_relay_send(relay, BR_REQUEST, pool, BR_REQ_WL_SHM_POOL_DESTROY, NULL,
				       NULL);
}
