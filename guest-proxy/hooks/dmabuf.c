/* SPDX-License-Identifier: MIT
 *
 * linux-dmabuf in a virtual machine. A dma-buf of the virtio-gpu is memory that the host has: only its
 * resource's id is sent, and a commit waits until the guest's fences say that it is drawn. A dma-buf of
 * any other device is copied, as wl_shm memory is. Where fds are handed on, none of this happens.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "br-tables.h"
#include "dmabuf.h"
#include "fd.h"
#include "gp-hooks.h"
#include "limits.h"
#include "state.h"
#include "wire.h"

/* Data of a wl_buffer of the virtio-gpu's memory. */
struct gp_dmabuf {
	int fds[BR_MAX_PLANES];		      /* owned; -1: none, or as one before */
	struct gp_blob *blobs[BR_MAX_PLANES]; /* owned; NULL: none */
};

/* Data of a zwp_linux_buffer_params_v1. */
struct params {
	struct br_params base;		      /* its memory has only fds */
	struct gp_blob *blobs[BR_MAX_PLANES]; /* owned; NULL where the host can't see it */
	bool foreign, native;		      /* planes of either kind are there */
};

static uint64_t render_node(const struct gp_state *state)
{
	return state->channel != NULL ? gp_channel_render_node(state->channel) : 0;
}

/* --- buffers --- */

static void dmabuf_destroy(struct br_relay *relay, struct br_object *object)
{
	struct gp_state *state = gp_state_of(relay);
	struct gp_dmabuf *dmabuf = object->data;
	br_surfaces_forget(&state->surfaces, NULL, dmabuf);
	for (unsigned i = 0; i < BR_MAX_PLANES; i++) {
		br_fd_clear(&dmabuf->fds[i]);
		gp_state_retire(state, dmabuf->blobs[i]);
	}
	free(dmabuf);
	object->data = NULL;
}

struct gp_dmabuf *gp_dmabuf_of(const struct br_object *object)
{
	return object != NULL && object->destroy == dmabuf_destroy ? object->data : NULL;
}

bool gp_dmabuf_finished(struct gp_state *state, const struct gp_dmabuf *dmabuf)
{
	for (unsigned i = 0; i < BR_MAX_PLANES; i++) {
		if (dmabuf->fds[i] >= 0 && !gp_state_fence_passed(state, dmabuf->fds[i])) {
			return false;
		}
	}
	return true;
}

static bool seen_before(const struct params *params, unsigned index)
{
	for (unsigned i = 0; i < index; i++) {
		if (params->blobs[i] != NULL &&
		    params->blobs[i]->res_id == params->blobs[index]->res_id) {
			return true;
		}
	}
	return false;
}

/* Hand the planes to the wl_buffer that they became. */
static void keep(struct br_relay *relay, struct params *params, struct br_object *object)
{
	struct gp_dmabuf *dmabuf = calloc(1, sizeof(*dmabuf));
	if (dmabuf == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return;
	}
	for (unsigned i = 0; i < BR_MAX_PLANES; i++) {
		dmabuf->fds[i] = -1;
		if (params->blobs[i] != NULL && !seen_before(params, i)) {
			dmabuf->fds[i] = br_fd_take(&params->base.planes[i].memory.fd);
		}
	}
	memcpy(dmabuf->blobs, params->blobs, sizeof(dmabuf->blobs));
	memset(params->blobs, 0, sizeof(params->blobs));
	object->data = dmabuf;
	object->destroy = dmabuf_destroy;
}

/* --- parameters --- */

static void params_destroy(struct br_relay *relay, struct br_object *object)
{
	struct params *params = object->data;
	for (unsigned i = 0; i < BR_MAX_PLANES; i++) {
		gp_state_retire(gp_state_of(relay), params->blobs[i]);
	}
	br_params_finish(&params->base);
	free(params);
	object->data = NULL;
}

enum br_verdict gp_hook_zwp_linux_dmabuf_v1_create_params(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_dmabuf_v1_create_params *args)
{
	struct br_object *object = msg->args[0].object;
	(void)args;
	if (render_node(gp_state_of(relay)) == 0) {
		return BR_FORWARD;
	}
	/* The formats are known when the first buffer of another device comes. */
	gp_own_shm_need(relay);
	object->data = calloc(1, sizeof(struct params));
	if (object->data == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return BR_DROP;
	}
	object->destroy = params_destroy;
	return BR_FORWARD;
}

enum br_verdict gp_hook_zwp_linux_buffer_params_v1_add(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_buffer_params_v1_add *args)
{
	struct params *params = msg->object->data;
	struct br_handle *handle = &msg->handles[0];
	const struct br_plane plane = {.offset = args->offset, .stride = args->stride};
	uint32_t i = args->plane_idx;
	if (params == NULL) {
		return BR_FORWARD;
	}
	if (!br_params_add(relay, msg->object, &params->base, i, &plane,
			   (uint64_t)args->modifier_hi << 32 | args->modifier_lo)) {
		return BR_DROP;
	}
	params->base.planes[i].memory.fd = br_fd_take(&handle->fd);
	int ret = gp_state_of(relay)->channel == NULL
			  ? -ENOTCONN
			  : gp_channel_import(gp_state_of(relay)->channel,
					      params->base.planes[i].memory.fd, &params->blobs[i]);
	if (ret == 0) {
		params->native = true;
		handle->res_id = params->blobs[i]->res_id;
		return BR_FORWARD;
	}
	params->foreign = true;
	if (ret != -ENODEV) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
				      "add: the dma-buf can't be imported: %s", strerror(-ret));
	}
	return BR_DROP;
}

/* The buffer can't be made. Only for create_immed that ends the client, with a reason. */
static enum br_verdict refuse(struct br_relay *relay, struct br_msg *msg, bool immed,
			      const char *reason)
{
	if (immed) {
		br_relay_client_error(relay, msg->object, BR_PARAMS_INVALID_WL_BUFFER,
				      "create_immed: a dma-buf that is not the virtio-gpu's: %s",
				      reason);
	} else {
		(void)br_relay_send(relay, BR_EVENT, msg->object,
				    BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_FAILED, NULL, NULL);
	}
	return BR_DROP;
}

/* Make the wl_buffer at the server; buffer: the client's, or NULL to tell it of a new one. */
static void send_copied(struct br_relay *relay, struct br_object *params_object,
			struct br_object *buffer, struct gp_mapping *mapping, struct gp_blob *blob,
			const struct br_shm_geometry *geometry)
{
	struct br_object *object = buffer;
	if (object == NULL) {
		object = br_relay_create_server_object(relay, BR_IFACE_WL_BUFFER, 1);
	}
	if (object == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "too many objects");
		return;
	}
	const union br_arg created = {.object = object};
	uint64_t bytes = (uint64_t)geometry->stride * (uint64_t)geometry->height;
	if (gp_buffer_keep(relay, object, mapping, blob, (uint64_t)geometry->offset, geometry) &&
	    gp_buffer_send(relay, gp_state_of(relay)->own_shm.object, object, blob, bytes,
			   geometry) &&
	    buffer == NULL) {
		(void)br_relay_send(relay, BR_EVENT, params_object,
				    BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_CREATED, &created, NULL);
	}
}

/* A buffer of another device's memory becomes a mirrored one. buffer: NULL for create. */
static enum br_verdict create_copied(struct br_relay *relay, struct br_msg *msg,
				     struct br_object *buffer, const struct br_params_image *image)
{
	struct gp_state *state = gp_state_of(relay);
	struct params *params = msg->object->data;
	int *fd = &params->base.planes[0].memory.fd;
	struct br_shm_geometry geometry;
	struct gp_mapping *mapping;
	struct gp_blob *blob;
	bool immed = buffer != NULL;
	uint64_t size = br_memory_bytes(*fd);
	if (params->native) {
		return refuse(relay, msg, immed, "planes of two devices");
	}
	int ret = br_params_to_shm(&params->base, image, size, &geometry);
	if (ret == -ERANGE) {
		br_relay_client_error(relay, msg->object, BR_PARAMS_OUT_OF_BOUNDS,
				      "create: offset and stride lead out of the dma-buf");
		return BR_DROP;
	}
	if (ret < 0 || state->own_shm.object == NULL ||
	    !br_own_shm_has_format(&state->own_shm, geometry.format)) {
		return refuse(relay, msg, immed, "its format or modifier can't be copied");
	}
	uint64_t bytes = (uint64_t)geometry.stride * (uint64_t)geometry.height;
	ret = gp_state_alloc(state, bytes, &blob);
	if (ret == -EAGAIN) {
		return BR_AGAIN;
	}
	if (ret < 0) {
		return refuse(relay, msg, immed, "the host gives no memory for a copy");
	}
	ret = gp_mapping_create_dmabuf_take(fd, (size_t)geometry.offset + bytes, &mapping);
	params->base.used = true;
	if (ret < 0) {
		gp_state_retire(state, blob);
		return refuse(relay, msg, immed, "it can't be mapped");
	}
	send_copied(relay, msg->object, buffer, mapping, blob, &geometry);
	(void)gp_mapping_unref(mapping);
	gp_state_retire(state, blob);
	return BR_DROP;
}

static enum br_verdict create(struct br_relay *relay, struct br_msg *msg, struct br_object *buffer,
			      const struct br_params_image *image)
{
	struct params *params = msg->object->data;
	if (params == NULL) {
		return BR_FORWARD;
	}
	if (!br_params_check(relay, msg->object, &params->base, image)) {
		return BR_DROP;
	}
	if (params->foreign) {
		return create_copied(relay, msg, buffer, image);
	}
	params->base.used = true;
	if (buffer != NULL) {
		keep(relay, params, buffer);
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_zwp_linux_buffer_params_v1_create(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_buffer_params_v1_create *args)
{
	const struct br_params_image image = {args->width, args->height, args->format, args->flags};
	return create(relay, msg, NULL, &image);
}

enum br_verdict gp_hook_zwp_linux_buffer_params_v1_create_immed(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_buffer_params_v1_create_immed *args)
{
	const struct br_params_image image = {args->width, args->height, args->format, args->flags};
	return create(relay, msg, msg->args[0].object, &image);
}

enum br_verdict gp_hook_zwp_linux_buffer_params_v1_created(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_buffer_params_v1_created *args)
{
	struct params *params = msg->object->data;
	(void)args;
	if (params != NULL) {
		keep(relay, params, msg->args[0].object);
	}
	return BR_FORWARD;
}

/* --- feedback --- */

/* The host's number of its device means nothing in the guest, whose GPU is the virtio-gpu. */
static enum br_verdict rewrite_device(struct br_relay *relay, struct br_msg *msg)
{
	struct gp_state *state = gp_state_of(relay);
	state->device = (dev_t)render_node(state);
	if (state->device != 0) {
		msg->args[0].array.ptr = &state->device;
		msg->args[0].array.len = sizeof(state->device);
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_zwp_linux_dmabuf_feedback_v1_main_device(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_dmabuf_feedback_v1_main_device *args)
{
	(void)args;
	return rewrite_device(relay, msg);
}

enum br_verdict gp_hook_zwp_linux_dmabuf_feedback_v1_tranche_target_device(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_dmabuf_feedback_v1_tranche_target_device *args)
{
	(void)args;
	return rewrite_device(relay, msg);
}
