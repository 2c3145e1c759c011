/* SPDX-License-Identifier: MIT
 *
 * The buffers of linux-dmabuf. They go to the compositor as they are. Where it has no linux-dmabuf (then
 * offer.c stands for it), can't import one, it gets a copy in another dma-buf (blit.c); where that can't be either, or the user wants it
 * so, they become wl_shm (copy.c).
 *
 * A compositor ends a client whose create_immed fails; so that a buffer can still be shown in the other
 * way, we ask it by create instead, and the client's requests wait for the answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../gpu/resource.h"
#include "../host.h"
#include "../restore.h"
#include "blit.h"
#include "br-tables.h"
#include "dmabuf.h"
#include "fd.h"
#include "format.h"
#include "hooks.h"
#include "hr-hooks.h"
#include "wire.h"

/* Of a create_immed that we asked by create. */
enum phase { PHASE_NONE, PHASE_ASKED, PHASE_CREATED, PHASE_FAILED, PHASE_BLIT };

/* Data of a zwp_linux_buffer_params_v1. */
struct params {
	struct br_params base;
	struct br_params_image image;
	uint32_t host_fourcc; /* as the host has it; 0: as the guest says */
	bool ours;	      /* the compositor is not asked */
	enum phase phase;
	uint32_t created_id;  /* of PHASE_CREATED: the compositor's wl_buffer */
	uint32_t dmabuf_id;   /* the client's linux-dmabuf that made it */
	struct hr_blit *blit; /* of PHASE_BLIT */
};

static void drop_planes(struct hr_hook_state *state, struct params *params)
{
	for (unsigned i = 0; i < BR_MAX_PLANES; i++) {
		struct br_plane *plane = &params->base.planes[i];
		if (plane->set && plane->memory.fd >= 0) {
			br_fd_clear(&plane->memory.fd);
			state->n_kept_fds--;
		}
	}
}

static void params_destroy(struct br_relay *relay, struct br_object *object)
{
	struct params *params = object->data;
	drop_planes(hr_hook_state(relay), params);
	hr_blit_destroy(params->blit);
	free(params);
	object->data = NULL;
}

/* --- buffers that the compositor imported --- */

static uint32_t host_format(const struct params *params)
{
	return params->host_fourcc == 0
		       ? params->image.format
		       : br_format_with_alpha_of(params->host_fourcc, params->image.format);
}

static void native_destroy(struct br_relay *relay, struct br_object *object)
{
	br_surfaces_forget(&hr_hook_state(relay)->surfaces, NULL, object);
}

static void mark_native(struct br_relay *relay, struct br_object *params_object,
			struct br_object *buffer)
{
	const struct params *params = params_object->data;
	const struct br_params_image *image = &params->image;
	const union br_arg args[] = {{.i = image->width},
				     {.i = image->height},
				     {.u = host_format(params)},
				     {.u = image->flags}};
	buffer->destroy = native_destroy;
	hr_restore_note_dmabuf(relay, params_object, buffer, args);
}

bool hr_dmabuf_is_native(const struct br_object *object)
{
	return object != NULL && object->destroy == native_destroy;
}

/* --- buffers in wl_shm --- */

/* Make the compositor's wl_buffer. Returns as hr_copy_create_buffer(); -ENOTSUP wl_shm can't say it. */
static int make_shm(struct br_relay *relay, struct params *params, struct br_object *buffer)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	struct br_handle *memory = &params->base.planes[0].memory;
	struct br_shm_geometry geometry;
	hr_offer_need_shm(relay);
	struct hr_resource *resource = hr_copy_resource_of(state, memory);
	if (state->own_shm.object != NULL && resource != NULL) {
		return hr_copy_create_gpu_buffer(relay, buffer, resource, &params->base,
						 &params->image);
	}
	if (memory->fd < 0 || state->own_shm.object == NULL) {
		return -ENOTSUP;
	}
	uint64_t bytes = memory->bytes != 0 ? memory->bytes : br_memory_bytes(memory->fd);
	int ret = br_params_to_shm(&params->base, &params->image, bytes, &geometry);
	if (ret < 0 || !br_own_shm_has_format(&state->own_shm, geometry.format)) {
		return ret < 0 ? ret : -ENOTSUP;
	}
	state->n_kept_fds--;
	return hr_copy_create_buffer(relay, buffer, memory, &geometry);
}

/* The same for create: the client is told of a new buffer. Returns false if there is none. */
static bool make_new_shm(struct br_relay *relay, struct br_object *params_object)
{
	struct params *params = params_object->data;
	struct br_object *buffer = br_relay_create_server_object(relay, BR_IFACE_WL_BUFFER, 1);
	const union br_arg arg = {.object = buffer};
	if (buffer == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "too many objects");
		return false;
	}
	int ret = make_shm(relay, params, buffer);
	drop_planes(hr_hook_state(relay), params);
	if (ret < 0) {
		br_relay_forget(relay, buffer);
		return false;
	}
	(void)br_relay_send(relay, BR_EVENT, params_object,
			    BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_CREATED, &arg, NULL);
	return true;
}

static void make_immed_shm(struct br_relay *relay, struct br_msg *msg)
{
	struct params *params = msg->object->data;
	int ret = make_shm(relay, params, msg->args[0].object);
	drop_planes(hr_hook_state(relay), params);
	if (ret < 0) {
		br_relay_client_error(relay, msg->object,
				      ret == -ERANGE ? BR_PARAMS_OUT_OF_BOUNDS
						     : BR_PARAMS_INVALID_WL_BUFFER,
				      "create_immed: the compositor can't import the buffer, and "
				      "wl_shm can't show it: %s",
				      strerror(-ret));
	}
}

/* --- requests --- */

enum br_verdict hr_hook_zwp_linux_dmabuf_v1_create_params(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_dmabuf_v1_create_params *args)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	struct br_object *object = msg->args[0].object;
	bool ours = msg->object->state == BR_OBJECT_OURS;
	(void)args;
	if (state->host == NULL) {
		return BR_FORWARD;
	}
	if (state->host->present != HR_PRESENT_DMABUF) {
		/* The formats are known when the first buffer is refused. */
		hr_offer_need_shm(relay);
	}
	struct params *params = calloc(1, sizeof(*params));
	if (params == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return BR_DROP;
	}
	params->ours = ours;
	params->dmabuf_id = msg->object->client_id;
	object->state = ours ? BR_OBJECT_OURS : object->state;
	object->data = params;
	object->destroy = params_destroy;
	return ours ? BR_DROP : BR_FORWARD;
}

/* Keep a plane's memory for a buffer in wl_shm. */
static void keep_memory(struct br_relay *relay, struct params *params, struct br_plane *plane,
			struct br_handle *handle)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	if (!params->ours && state->host->present != HR_PRESENT_AUTO) {
		return;
	}
	if (state->n_kept_fds >= BR_LIMIT_KEPT_FDS) {
		if (params->ours) {
			br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
					      "add: more than %d dma-bufs without a buffer",
					      BR_LIMIT_KEPT_FDS);
		}
		return;
	}
	if (handle->fd < 0) {
		plane->memory = *handle; /* a resource whose worker alone has the memory */
		return;
	}
	int fd = params->ours ? br_fd_take(&handle->fd) : br_fd_dup(handle->fd);
	if (fd >= 0) {
		plane->memory = *handle;
		plane->memory.fd = fd;
		state->n_kept_fds++;
	}
}

/* Memory that lies somewhere in a file. The window of a virtual machine is such a file, and others' memory
 * is in it too: that is never a dma-buf, and wl_shm knows how to keep to its part. */
static bool move_offset(struct br_relay *relay, struct br_msg *msg)
{
	uint64_t offset = msg->handles[0].offset + (uint64_t)msg->args[2].u;
	if (offset > UINT32_MAX) {
		br_relay_client_error(relay, msg->object, BR_PARAMS_OUT_OF_BOUNDS,
				      "add: the offset is too large");
		return false;
	}
	msg->args[2].u = (uint32_t)offset;
	return true;
}

/* VirGL's programs know how an image lies in their own memory, but not how in the host's. */
static void take_host_layout(const struct hr_hook_state *state, struct params *params,
			     struct br_msg *msg)
{
	const struct hr_resource *resource = hr_copy_resource_of(state, &msg->handles[0]);
	uint32_t plane = msg->args[1].u;
	if (params != NULL && resource != NULL && plane < resource->layout.n_planes) {
		msg->args[2].u = resource->layout.offsets[plane];
		msg->args[3].u = resource->layout.strides[plane];
		msg->args[4].u = (uint32_t)(resource->layout.modifier >> 32);
		msg->args[5].u = (uint32_t)resource->layout.modifier;
		params->host_fourcc = resource->layout.fourcc;
	}
}

enum br_verdict hr_hook_zwp_linux_buffer_params_v1_add(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_buffer_params_v1_add *args)
{
	struct params *params = msg->object->data;
	struct br_handle *handle = &msg->handles[0];
	take_host_layout(hr_hook_state(relay), params, msg);
	const struct br_plane plane = {.offset = msg->args[2].u, .stride = msg->args[3].u};
	if (params == NULL) {
		return move_offset(relay, msg) ? BR_FORWARD : BR_DROP;
	}
	if (!br_params_add(relay, msg->object, &params->base, args->plane_idx, &plane,
			   (uint64_t)msg->args[4].u << 32 | msg->args[5].u)) {
		return BR_DROP;
	}
	params->ours = params->ours || handle->fd < 0 ||
		       (handle->offset != 0 && !br_dmabuf_is(handle->fd));
	keep_memory(relay, params, &params->base.planes[args->plane_idx], handle);
	return !params->ours && move_offset(relay, msg) ? BR_FORWARD : BR_DROP;
}

enum br_verdict hr_hook_zwp_linux_buffer_params_v1_create(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_buffer_params_v1_create *args)
{
	struct params *params = msg->object->data;
	if (params == NULL) {
		return BR_FORWARD;
	}
	params->image =
		(struct br_params_image){args->width, args->height, args->format, args->flags};
	if (!br_params_check(relay, msg->object, &params->base, &params->image)) {
		return BR_DROP;
	}
	params->base.used = true;
	if (!params->ours) {
		msg->args[2].u = host_format(params);
		return BR_FORWARD;
	}
	if (!make_new_shm(relay, msg->object)) {
		(void)br_relay_send(relay, BR_EVENT, msg->object,
				    BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_FAILED, NULL, NULL);
	}
	return BR_DROP;
}

/* The compositor has refused it. Returns true if a copy in another dma-buf has to be waited for. */
static bool begin_blit(struct br_relay *relay, struct params *params)
{
	const struct hr_hook_state *state = hr_hook_state(relay);
	struct br_object *dmabuf = br_relay_client_object(relay, params->dmabuf_id);
	struct hr_resource *resource = hr_copy_resource_of(state, &params->base.planes[0].memory);
	struct br_params_image image = params->image;
	if (dmabuf == NULL || dmabuf->iface != BR_IFACE_ZWP_LINUX_DMABUF_V1 || resource == NULL ||
	    !hr_copy_is_one_resource(&params->base)) {
		return false;
	}
	image.format = host_format(params);
	params->blit = hr_blit_create(relay, dmabuf, resource, &params->base, &image);
	params->phase = params->blit != NULL ? PHASE_BLIT : params->phase;
	return params->blit != NULL;
}

/* Returns false if wl_shm is next. */
static bool finish_blit(struct br_relay *relay, struct br_msg *msg)
{
	struct params *params = msg->object->data;
	int ret = hr_blit_finish(relay, params->blit, msg->args[0].object);
	hr_blit_destroy(params->blit);
	params->blit = NULL;
	if (ret == 0) {
		drop_planes(hr_hook_state(relay), params);
	} else if (ret != -ENOTSUP) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
				      "host: no room for a copy of the buffer");
	}
	return ret != -ENOTSUP;
}

/* The compositor has answered what we asked for a create_immed. */
static enum br_verdict finish_immed(struct br_relay *relay, struct br_msg *msg)
{
	struct params *params = msg->object->data;
	struct br_object *buffer = msg->args[0].object;
	if (params->phase == PHASE_FAILED && begin_blit(relay, params)) {
		return BR_AGAIN;
	}
	if (params->phase == PHASE_FAILED ||
	    (params->phase == PHASE_BLIT && !finish_blit(relay, msg))) {
		make_immed_shm(relay, msg);
	} else if (params->phase == PHASE_BLIT) {
		/* It is there. */
	} else if (br_relay_adopt(relay, buffer, params->created_id) < 0) {
		br_relay_client_error(relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "host: the compositor's buffer is gone");
	} else {
		drop_planes(hr_hook_state(relay), params);
		mark_native(relay, msg->object, buffer);
	}
	params->phase = PHASE_NONE;
	return BR_DROP;
}

enum br_verdict hr_hook_zwp_linux_buffer_params_v1_create_immed(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_buffer_params_v1_create_immed *args)
{
	struct params *params = msg->object->data;
	if (params == NULL) {
		return BR_FORWARD;
	}
	if (params->phase != PHASE_NONE) {
		bool busy = params->phase == PHASE_ASKED ||
			    (params->phase == PHASE_BLIT && hr_blit_is_busy(params->blit));
		return busy ? BR_AGAIN : finish_immed(relay, msg);
	}
	params->image =
		(struct br_params_image){args->width, args->height, args->format, args->flags};
	if (!br_params_check(relay, msg->object, &params->base, &params->image)) {
		return BR_DROP;
	}
	params->base.used = true;
	if (params->ours) {
		make_immed_shm(relay, msg);
		return BR_DROP;
	}
	msg->args[3].u = host_format(params);
	if (hr_hook_state(relay)->host->present != HR_PRESENT_AUTO) {
		msg->args[0].object->destroy = native_destroy;
		return BR_FORWARD;
	}
	params->phase = PHASE_ASKED;
	/* Behind the new id are the arguments of create. */
	if (br_relay_send(relay, BR_REQUEST, msg->object, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE,
			  &msg->args[1], NULL) < 0) {
		return BR_DROP;
	}
	return BR_AGAIN;
}

/* --- answers --- */

static enum br_verdict answer_immed(struct br_relay *relay, struct params *params, enum phase phase)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	params->phase = phase;
	state->wake(state);
	return BR_DROP;
}

enum br_verdict hr_hook_zwp_linux_buffer_params_v1_created(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_buffer_params_v1_created *args)
{
	struct params *params = msg->object->data;
	(void)args;
	if (params == NULL) {
		return BR_FORWARD;
	}
	if (params->phase == PHASE_ASKED || params->phase == PHASE_CREATED) {
		params->created_id = msg->args[0].object->server_id;
		return answer_immed(relay, params, PHASE_CREATED);
	}
	drop_planes(hr_hook_state(relay), params);
	mark_native(relay, msg->object, msg->args[0].object);
	return BR_FORWARD;
}

enum br_verdict hr_hook_zwp_linux_buffer_params_v1_failed(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_buffer_params_v1_failed *args)
{
	struct params *params = msg->object->data;
	(void)args;
	if (params == NULL) {
		return BR_FORWARD;
	}
	hr_restore_note_answer(msg->object);
	if (params->phase == PHASE_ASKED) {
		return answer_immed(relay, params, PHASE_FAILED);
	}
	if (hr_hook_state(relay)->host->present == HR_PRESENT_AUTO && params->base.used &&
	    make_new_shm(relay, msg->object)) {
		return BR_DROP;
	}
	return BR_FORWARD;
}
