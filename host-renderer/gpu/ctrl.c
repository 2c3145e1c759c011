/* SPDX-License-Identifier: MIT */
#include "ctrl.h"

#include <errno.h>
#include <string.h>

#include "context.h"
#include "ctrl_private.h"
#include "defer.h"
#include "device.h"
#include "fence.h"
#include "limits.h"
#include "render.h"
#include "resource.h"

struct ctrl_row {
	uint32_t type;
	uint16_t size; /* of the fixed part */
	bool exact;    /* nothing may follow */
	uint8_t max_fds;
	bool cursor; /* belongs on the cursor queue */
	hr_handler_fn handle;
};

uint32_t hr_ctrl_response_of(int err)
{
	switch (err) {
	case 0:
		return VIRTIO_GPU_RESP_OK_NODATA;
	case -EINVAL:
	case -EPROTO:
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	case -ENOENT:
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	case -ENOMEM:
	case -ENOSPC:
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	default:
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	}
}

struct virtio_gpu_ctrl_hdr hr_ctrl_response(const struct virtio_gpu_ctrl_hdr *request,
					    uint32_t type)
{
	uint32_t flags = request->flags & (VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX);
	return (struct virtio_gpu_ctrl_hdr){
		.type = type,
		.flags = flags,
		.fence_id = flags & VIRTIO_GPU_FLAG_FENCE ? request->fence_id : 0,
		.ctx_id = request->ctx_id,
		.ring_idx = request->ring_idx,
	};
}

uint32_t hr_ctrl_answer(struct hr_device *device, const struct hr_request *request,
			const void *response, size_t len, int fd)
{
	device->frontend.ops->complete(device->frontend.data, request->cookie, response, len, fd);
	return 0;
}

static uint32_t handle_get_display_info(struct hr_device *device, struct hr_request *request,
					const union hr_command *cmd)
{
	(void)cmd;
	struct virtio_gpu_resp_display_info response = {
		.hdr = hr_ctrl_response(&request->hdr, VIRTIO_GPU_RESP_OK_DISPLAY_INFO),
	};
	return hr_ctrl_answer(device, request, &response, sizeof(response), -1);
}

static uint32_t handle_no_scanout(struct hr_device *device, struct hr_request *request,
				  const union hr_command *cmd)
{
	(void)device;
	(void)request;
	(void)cmd;
	return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
}

static uint32_t handle_get_capset_info(struct hr_device *device, struct hr_request *request,
				       const union hr_command *cmd)
{
	uint32_t index = cmd->get_capset_info.capset_index;
	if (index >= device->n_capsets) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	const struct hr_capset *capset = device->capsets[index];
	struct virtio_gpu_resp_capset_info response = {
		.hdr = hr_ctrl_response(&request->hdr, VIRTIO_GPU_RESP_OK_CAPSET_INFO),
		.capset_id = capset->id,
		.capset_max_version = capset->max_version,
		.capset_max_size = capset->size,
	};
	return hr_ctrl_answer(device, request, &response, sizeof(response), -1);
}

static const struct hr_capset *find_capset(const struct hr_device *device, uint32_t id)
{
	for (uint32_t i = 0; i < device->n_capsets; i++) {
		if (device->capsets[i]->id == id) {
			return device->capsets[i];
		}
	}
	return NULL;
}

static uint32_t handle_get_capset(struct hr_device *device, struct hr_request *request,
				  const union hr_command *cmd)
{
	const struct hr_capset *capset = find_capset(device, cmd->get_capset.capset_id);
	if (!capset || cmd->get_capset.capset_version > capset->max_version) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	struct {
		struct virtio_gpu_ctrl_hdr hdr;
		uint8_t capset[HR_MAX_CAPSET_BYTES];
	} response = {.hdr = hr_ctrl_response(&request->hdr, VIRTIO_GPU_RESP_OK_CAPSET)};
	capset->fill(capset, device, response.capset);
	return hr_ctrl_answer(device, request, &response, sizeof(response.hdr) + capset->size, -1);
}

static uint32_t handle_ctx_create(struct hr_device *device, struct hr_request *request,
				  const union hr_command *cmd)
{
	char name[sizeof(cmd->ctx_create.debug_name) + 1] = {0};
	uint32_t id = cmd->ctx_create.context_init & VIRTIO_GPU_CONTEXT_INIT_CAPSET_ID_MASK;
	/* Of before capsets could be chosen. */
	const struct hr_capset *capset =
		find_capset(device, id != 0 ? id : VIRTIO_GPU_CAPSET_VIRGL2);
	if (!capset || cmd->ctx_create.nlen > sizeof(cmd->ctx_create.debug_name)) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	if (request->hdr.ctx_id == 0) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	memcpy(name, cmd->ctx_create.debug_name, cmd->ctx_create.nlen);
	int ret = hr_device_create_context(device, request->hdr.ctx_id, capset, name);
	return ret == -EEXIST ? VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID : hr_ctrl_response_of(ret);
}

static uint32_t handle_ctx_destroy(struct hr_device *device, struct hr_request *request,
				   const union hr_command *cmd)
{
	(void)cmd;
	struct hr_context *context = hr_device_find_context(device, request->hdr.ctx_id);
	if (!context) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	hr_device_destroy_context(context);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t handle_ctx_resource(struct hr_device *device, struct hr_request *request,
				    const union hr_command *cmd)
{
	struct hr_context *context = hr_device_find_context(device, request->hdr.ctx_id);
	if (!context) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	struct hr_resource *resource = hr_resource_find(device, cmd->ctx_resource.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (request->hdr.type == VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE) {
		hr_render_detach(context, resource);
		return hr_ctrl_response_of(hr_resource_detach(resource, context));
	}
	if (hr_render_attach_needs_memory(context, resource) && hr_render_need_memory(resource)) {
		return HR_WAIT;
	}
	int ret = hr_resource_attach(resource, context);
	if (ret == 0) {
		hr_render_attach(context, resource);
	}
	return hr_ctrl_response_of(ret);
}

static uint32_t handle_submit_3d(struct hr_device *device, struct hr_request *request,
				 const union hr_command *cmd)
{
	struct hr_context *context = hr_device_find_context(device, request->hdr.ctx_id);
	if (!context) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	if (cmd->submit.size > request->len - sizeof(cmd->submit)) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	struct hr_submit submit = {
		.bytes = request->bytes + sizeof(cmd->submit),
		.len = cmd->submit.size,
		.fds = request->fds,
		.n_fds = request->n_fds,
		.request = request,
		.fenced = request->hdr.flags & VIRTIO_GPU_FLAG_FENCE,
		.on_ring = request->hdr.flags & VIRTIO_GPU_FLAG_INFO_RING_IDX,
		.ring_idx = request->hdr.ring_idx,
	};
	int ret = context->ops->submit(context, &submit);
	return submit.held ? 0 : hr_ctrl_response_of(ret);
}

#define ROW(type, member, exact, fds, fn)                                                          \
	{VIRTIO_GPU_CMD_##type, sizeof(((union hr_command *)0)->member), exact, fds, false, fn}
#define CURSOR_ROW(type)                                                                           \
	{VIRTIO_GPU_CMD_##type, sizeof(struct virtio_gpu_update_cursor), true, 0, true,            \
	 handle_no_scanout}

/* In the order of how often they come. */
static const struct ctrl_row rows[] = {
	ROW(SUBMIT_3D, submit, false, UINT8_MAX, handle_submit_3d),
	ROW(TRANSFER_TO_HOST_3D, transfer_3d, true, 0, hr_ctrl_transfer_3d),
	ROW(RESOURCE_CREATE_BLOB, create_blob, false, 1, hr_ctrl_resource_create_blob),
	ROW(RESOURCE_CREATE_3D, create_3d, true, 0, hr_ctrl_resource_create_3d),
	ROW(RESOURCE_UNREF, unref, true, 0, hr_ctrl_resource_unref),
	ROW(RESOURCE_MAP_BLOB, map_blob, true, 0, hr_ctrl_resource_map_blob),
	ROW(RESOURCE_UNMAP_BLOB, unmap_blob, true, 0, hr_ctrl_resource_unmap_blob),
	ROW(RESOURCE_ASSIGN_UUID, assign_uuid, true, 0, hr_ctrl_resource_assign_uuid),
	ROW(CTX_ATTACH_RESOURCE, ctx_resource, true, 0, handle_ctx_resource),
	ROW(CTX_DETACH_RESOURCE, ctx_resource, true, 0, handle_ctx_resource),
	ROW(CTX_CREATE, ctx_create, true, 0, handle_ctx_create),
	ROW(CTX_DESTROY, hdr, true, 0, handle_ctx_destroy),
	ROW(TRANSFER_FROM_HOST_3D, transfer_3d, true, 0, hr_ctrl_transfer_3d),
	ROW(RESOURCE_ATTACH_BACKING, attach_backing, false, 0, hr_ctrl_resource_attach_backing),
	ROW(RESOURCE_DETACH_BACKING, detach_backing, true, 0, hr_ctrl_resource_detach_backing),
	ROW(GET_CAPSET_INFO, get_capset_info, true, 0, handle_get_capset_info),
	ROW(GET_CAPSET, get_capset, true, 0, handle_get_capset),
	ROW(RESOURCE_CREATE_2D, create_2d, true, 0, hr_ctrl_resource_create_2d),
	ROW(TRANSFER_TO_HOST_2D, transfer_2d, true, 0, hr_ctrl_transfer_to_host_2d),
	ROW(RESOURCE_FLUSH, flush, true, 0, hr_ctrl_resource_flush),
	ROW(GET_DISPLAY_INFO, hdr, true, 0, handle_get_display_info),
	ROW(SET_SCANOUT, hdr, false, 0, handle_no_scanout),
	ROW(SET_SCANOUT_BLOB, hdr, false, 0, handle_no_scanout),
	ROW(GET_EDID, hdr, false, 0, handle_no_scanout),
	CURSOR_ROW(UPDATE_CURSOR),
	CURSOR_ROW(MOVE_CURSOR),
};

static const struct ctrl_row *find_row(uint32_t type)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].type == type) {
			return &rows[i];
		}
	}
	return NULL;
}

static uint32_t dispatch(struct hr_device *device, struct hr_request *request)
{
	const struct ctrl_row *row = find_row(request->hdr.type);
	if (!row || row->cursor != request->cursor) {
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	}
	if (request->len < row->size || (row->exact && request->len != row->size) ||
	    request->n_fds > row->max_fds) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	union hr_command cmd = {0};
	memcpy(&cmd, request->bytes, row->size);
	return row->handle(device, request, &cmd);
}

/* Answer, unless that was done. Returns false if the request has to wait. */
static bool finish(struct hr_device *device, const struct hr_request *request, uint32_t type)
{
	if (type != 0 && type != HR_WAIT) {
		hr_fence_answer(device, &request->hdr, request->cookie, type);
	}
	return type != HR_WAIT;
}

bool hr_ctrl_handle_deferred(struct hr_device *device, struct hr_request *request)
{
	return finish(device, request, dispatch(device, request));
}

void hr_ctrl_handle(struct hr_device *device, struct hr_request *request)
{
	request->hdr = (struct virtio_gpu_ctrl_hdr){0};
	uint32_t type = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (request->len >= sizeof(request->hdr)) {
		memcpy(&request->hdr, request->bytes, sizeof(request->hdr));
		type = hr_defer_must(device, request) ? HR_WAIT : dispatch(device, request);
	}
	if (type == HR_WAIT) {
		int ret = hr_defer(device, request);
		type = ret < 0 ? hr_ctrl_response_of(ret) : HR_WAIT;
	}
	(void)finish(device, request, type);
}
