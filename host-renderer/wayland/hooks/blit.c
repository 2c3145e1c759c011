/* SPDX-License-Identifier: MIT */
#include "blit.h"

#include <errno.h>
#include <stdlib.h>

#include "../../gpu/render.h"
#include "../host.h"
#include "../readback_gpu.h"
#include "../restore.h"
#include "br-tables.h"
#include "dmabuf.h"
#include "fd.h"
#include "hooks.h"

enum phase { PHASE_ALLOCATING, PHASE_ASKED, PHASE_CREATED, PHASE_FAILED };

struct hr_blit {
	struct br_relay *relay;
	uint32_t dmabuf_id;	  /* of the client's linux-dmabuf */
	struct br_object *params; /* of ours, for the copy; NULL: none, or gone */
	struct hr_gpu_readback *readback;
	struct br_params_image image;
	enum phase phase;
	uint32_t created_id; /* of PHASE_CREATED: the compositor's wl_buffer */
};

/* The client's requests are looked at again, and what the compositor is to hear is sent. */
static void settle(struct hr_blit *blit, enum phase phase)
{
	struct hr_hook_state *state = hr_hook_state(blit->relay);
	blit->phase = phase;
	state->wake(state);
}

static void params_destroy(struct br_relay *relay, struct br_object *object)
{
	struct hr_blit *blit = object->data;
	(void)relay;
	if (blit != NULL) {
		blit->params = NULL;
	}
	object->data = NULL;
}

/* The compositor's answer. Nobody asks these parameters for more. */
static void handle_answer(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	struct hr_blit *blit = object->data;
	(void)relay;
	bool created = msg->opcode == BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_CREATED;
	if (blit == NULL || blit->phase == PHASE_FAILED) {
		return;
	}
	if (created) {
		blit->created_id = msg->args[0].object->server_id;
	} else {
		hr_restore_note_answer(object);
	}
	settle(blit, created ? PHASE_CREATED : PHASE_FAILED);
}

static int add_plane(struct br_relay *relay, struct br_object *params,
		     const struct hr_read_back *target)
{
	struct br_handle handle = {.fd = br_fd_dup(target->fd), .kind = BR_FD_DMABUF};
	const union br_arg args[] = {{.handle = 0},
				     {.u = 0},
				     {.u = (uint32_t)target->offset},
				     {.u = target->stride},
				     {.u = (uint32_t)(target->target_modifier >> 32)},
				     {.u = (uint32_t)target->target_modifier}};
	int ret = handle.fd < 0
			  ? handle.fd
			  : br_relay_send(relay, BR_REQUEST, params,
					  BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, args, &handle);
	br_fd_clear(&handle.fd);
	return ret;
}

/* Ask the compositor for a buffer of the copy. */
static int ask(struct hr_blit *blit)
{
	struct br_relay *relay = blit->relay;
	const struct hr_read_back *target = hr_gpu_readback_target(blit->readback);
	struct br_object *dmabuf = br_relay_client_object(relay, blit->dmabuf_id);
	if (dmabuf == NULL || dmabuf->iface != BR_IFACE_ZWP_LINUX_DMABUF_V1) {
		return -ENOTSUP;
	}
	blit->params = br_relay_create_server_object(relay, BR_IFACE_ZWP_LINUX_BUFFER_PARAMS_V1,
						     dmabuf->version);
	if (blit->params == NULL) {
		return -ENOMEM;
	}
	blit->params->data = blit;
	blit->params->destroy = params_destroy;
	blit->params->event = handle_answer;
	const union br_arg new_params = {.object = blit->params};
	const union br_arg image[] = {{.i = blit->image.width},
				      {.i = blit->image.height},
				      {.u = target->target_fourcc},
				      {.u = 0}};
	int ret = br_relay_send(relay, BR_REQUEST, dmabuf, BR_REQ_ZWP_LINUX_DMABUF_V1_CREATE_PARAMS,
				&new_params, NULL);
	ret = ret < 0 ? ret : add_plane(relay, blit->params, target);
	return ret < 0 ? ret
		       : br_relay_send(relay, BR_REQUEST, blit->params,
				       BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE, image, NULL);
}

static void handle_ready(void *data, int err)
{
	struct hr_blit *blit = data;
	err = err < 0 ? err : ask(blit);
	settle(blit, err < 0 ? PHASE_FAILED : PHASE_ASKED);
}

struct hr_blit *hr_blit_create(struct br_relay *relay, struct br_object *dmabuf,
			       struct hr_resource *resource, const struct br_params *params,
			       const struct br_params_image *image)
{
	struct hr_blit *blit = calloc(1, sizeof(*blit));
	if (blit == NULL) {
		return NULL;
	}
	*blit = (struct hr_blit){.relay = relay, .dmabuf_id = dmabuf->client_id, .image = *image};
	if (hr_gpu_readback_create_drawn(hr_hook_state(relay)->host, resource, params, image,
					 handle_ready, blit, &blit->readback) < 0) {
		free(blit);
		return NULL;
	}
	return blit;
}

bool hr_blit_is_busy(const struct hr_blit *blit)
{
	return blit->phase == PHASE_ALLOCATING || blit->phase == PHASE_ASKED;
}

int hr_blit_finish(struct br_relay *relay, struct hr_blit *blit, struct br_object *buffer)
{
	const struct hr_read_back *target = hr_gpu_readback_target(blit->readback);
	const union br_arg image[] = {{.i = blit->image.width},
				      {.i = blit->image.height},
				      {.u = target->target_fourcc},
				      {.u = 0}};
	if (blit->phase != PHASE_CREATED || blit->params == NULL) {
		return -ENOTSUP;
	}
	if (br_relay_adopt(relay, buffer, blit->created_id) < 0) {
		return -ENOTSUP;
	}
	int ret = hr_copy_attach(relay, buffer, blit->readback, &blit->image);
	if (ret < 0) {
		return ret;
	}
	blit->readback = NULL;
	hr_restore_note_dmabuf(relay, blit->params, buffer, image);
	return 0;
}

void hr_blit_destroy(struct hr_blit *blit)
{
	if (blit == NULL) {
		return;
	}
	hr_gpu_readback_destroy(blit->readback);
	if (blit->params != NULL) {
		blit->params->data = NULL;
		(void)br_relay_send(blit->relay, BR_REQUEST, blit->params,
				    BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_DESTROY, NULL, NULL);
	}
	free(blit);
}
