/* SPDX-License-Identifier: MIT */
#include "ctrl.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "context.h"
#include "device.h"
#include "fd.h"
#include "limits.h"
#include "resource.h"

/* A command that fits no other: all fixed parts, aligned. */
union command {
	struct virtio_gpu_ctrl_hdr hdr;
	struct virtio_gpu_get_capset_info get_capset_info;
	struct virtio_gpu_get_capset get_capset;
	struct virtio_gpu_ctx_create ctx_create;
	struct virtio_gpu_ctx_resource ctx_resource;
	struct virtio_gpu_resource_unref unref;
	struct virtio_gpu_resource_create_blob create_blob;
	struct virtio_gpu_resource_map_blob map_blob;
	struct virtio_gpu_cmd_submit submit;
};

/* The type of the answer; or 0 if it was given already, or will be by a fence. */
typedef uint32_t (*handler_fn)(struct hr_device *device, struct hr_request *request,
			       const union command *cmd);

struct ctrl_row {
	uint32_t type;
	uint16_t size; /* of the fixed part */
	bool exact;    /* nothing may follow */
	uint8_t max_fds;
	handler_fn handle;
};

static uint32_t response_of(int err)
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

static uint32_t answer(struct hr_device *device, const struct hr_request *request,
		       const void *response, size_t len, int fd)
{
	device->frontend.ops->complete(device->frontend.data, request->cookie, response, len, fd);
	return 0;
}

static uint32_t handle_get_display_info(struct hr_device *device, struct hr_request *request,
					const union command *cmd)
{
	(void)cmd;
	struct virtio_gpu_resp_display_info response = {
		.hdr = hr_ctrl_response(&request->hdr, VIRTIO_GPU_RESP_OK_DISPLAY_INFO),
	};
	return answer(device, request, &response, sizeof(response), -1);
}

static uint32_t handle_no_scanout(struct hr_device *device, struct hr_request *request,
				  const union command *cmd)
{
	(void)device;
	(void)request;
	(void)cmd;
	return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
}

static uint32_t handle_get_capset_info(struct hr_device *device, struct hr_request *request,
				       const union command *cmd)
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
	return answer(device, request, &response, sizeof(response), -1);
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
				  const union command *cmd)
{
	const struct hr_capset *capset = find_capset(device, cmd->get_capset.capset_id);
	if (!capset || cmd->get_capset.capset_version > capset->max_version) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	struct {
		struct virtio_gpu_ctrl_hdr hdr;
		uint8_t capset[HR_MAX_CAPSET_BYTES];
	} response = {.hdr = hr_ctrl_response(&request->hdr, VIRTIO_GPU_RESP_OK_CAPSET)};
	capset->fill(device, response.capset);
	return answer(device, request, &response, sizeof(response.hdr) + capset->size, -1);
}

static uint32_t handle_ctx_create(struct hr_device *device, struct hr_request *request,
				  const union command *cmd)
{
	uint32_t id = cmd->ctx_create.context_init & VIRTIO_GPU_CONTEXT_INIT_CAPSET_ID_MASK;
	const struct hr_capset *capset = find_capset(device, id);
	if (!capset || cmd->ctx_create.nlen > sizeof(cmd->ctx_create.debug_name)) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	if (request->hdr.ctx_id == 0) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	int ret = hr_device_create_context(device, request->hdr.ctx_id, capset);
	return ret == -EEXIST ? VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID : response_of(ret);
}

static uint32_t handle_ctx_destroy(struct hr_device *device, struct hr_request *request,
				   const union command *cmd)
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
				    const union command *cmd)
{
	struct hr_context *context = hr_device_find_context(device, request->hdr.ctx_id);
	if (!context) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	struct hr_resource *resource = hr_resource_find(device, cmd->ctx_resource.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	return response_of(request->hdr.type == VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE
				   ? hr_resource_attach(resource, context)
				   : hr_resource_detach(resource, context));
}

/* Guest memory: an fd beside the command. */
static int guest_memory(struct hr_request *request,
			const struct virtio_gpu_resource_create_blob *cmd,
			struct hr_memory *ret_memory)
{
	struct stat st;
	if (request->n_fds != 1 || cmd->nr_entries != 0 || cmd->blob_id != 0 ||
	    fstat(request->fds[0], &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size < cmd->size) {
		return -EINVAL;
	}
	ret_memory->fd = br_fd_take(&request->fds[0]);
	return 0;
}

static int host_memory(struct hr_device *device, struct hr_request *request,
		       const struct virtio_gpu_resource_create_blob *cmd,
		       struct hr_context *context, struct hr_memory *ret_memory)
{
	if (request->n_fds != 0 || cmd->nr_entries != 0) {
		return -EINVAL;
	}
	if (cmd->size > BR_LIMIT_DEVICE_BYTES - device->host_bytes) {
		return -ENOSPC;
	}
	return context->ops->create_blob(context, cmd->blob_id, cmd->size, ret_memory);
}

static uint32_t create_blob(struct hr_device *device, struct hr_request *request,
			    const struct virtio_gpu_resource_create_blob *cmd)
{
	struct hr_memory memory = {.fd = -1};
	int ret = -EINVAL;
	if (cmd->blob_mem == VIRTIO_GPU_BLOB_MEM_GUEST) {
		ret = guest_memory(request, cmd, &memory);
	} else if (cmd->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D) {
		struct hr_context *context = hr_device_find_context(device, request->hdr.ctx_id);
		if (!context) {
			return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
		}
		ret = host_memory(device, request, cmd, context, &memory);
		ret = ret == -ENOENT ? -EINVAL : ret;
	}
	if (ret < 0) {
		return response_of(ret);
	}
	struct hr_resource *resource =
		hr_resource_create_take(device, cmd->resource_id, cmd->size, &memory.fd);
	if (!resource) {
		br_fd_clear(&memory.fd);
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	}
	resource->blob_mem = cmd->blob_mem;
	resource->blob_flags = cmd->blob_flags;
	resource->map_info = memory.map_info;
	if (cmd->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D) {
		resource->charged = cmd->size;
		device->host_bytes += cmd->size;
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t handle_resource_create_blob(struct hr_device *device, struct hr_request *request,
					    const union command *cmd)
{
	const struct virtio_gpu_resource_create_blob *blob = &cmd->create_blob;
	if (blob->resource_id == 0 || hr_resource_find(device, blob->resource_id)) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (blob->size == 0 || blob->size > BR_LIMIT_BLOB_BYTES) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	if (device->n_resources >= BR_LIMIT_RESOURCES) {
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	}
	return create_blob(device, request, blob);
}

static uint32_t handle_resource_unref(struct hr_device *device, struct hr_request *request,
				      const union command *cmd)
{
	(void)request;
	struct hr_resource *resource = hr_resource_find(device, cmd->unref.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	hr_resource_remove(resource);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t handle_resource_map_blob(struct hr_device *device, struct hr_request *request,
					 const union command *cmd)
{
	struct hr_resource *resource = hr_resource_find(device, cmd->map_blob.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->blob_mem != VIRTIO_GPU_BLOB_MEM_HOST3D || resource->mapped ||
	    !(resource->blob_flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE)) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	resource->mapped = true;
	struct virtio_gpu_resp_map_info response = {
		.hdr = hr_ctrl_response(&request->hdr, VIRTIO_GPU_RESP_OK_MAP_INFO),
		.map_info = resource->map_info,
	};
	return answer(device, request, &response, sizeof(response), resource->memory_fd);
}

static uint32_t handle_resource_unmap_blob(struct hr_device *device, struct hr_request *request,
					   const union command *cmd)
{
	(void)request;
	struct hr_resource *resource = hr_resource_find(device, cmd->unref.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (!resource->mapped) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	resource->mapped = false;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t handle_resource_assign_uuid(struct hr_device *device, struct hr_request *request,
					    const union command *cmd)
{
	struct hr_resource *resource = hr_resource_find(device, cmd->unref.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (!resource->has_uuid) {
		if (getrandom(resource->uuid, sizeof(resource->uuid), GRND_NONBLOCK) !=
		    (ssize_t)sizeof(resource->uuid)) {
			return VIRTIO_GPU_RESP_ERR_UNSPEC;
		}
		/* A random UUID (version 4, variant 1). Source: RFC 9562, section 5.4. */
		resource->uuid[6] = (uint8_t)((resource->uuid[6] & 0x0f) | 0x40);
		resource->uuid[8] = (uint8_t)((resource->uuid[8] & 0x3f) | 0x80);
		resource->has_uuid = true;
	}
	struct virtio_gpu_resp_resource_uuid response = {
		.hdr = hr_ctrl_response(&request->hdr, VIRTIO_GPU_RESP_OK_RESOURCE_UUID),
	};
	memcpy(response.uuid, resource->uuid, sizeof(response.uuid));
	return answer(device, request, &response, sizeof(response), -1);
}

static uint32_t handle_submit_3d(struct hr_device *device, struct hr_request *request,
				 const union command *cmd)
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
	return submit.held ? 0 : response_of(ret);
}

#define ROW(type, member, exact, fds, fn)                                                          \
	{VIRTIO_GPU_CMD_##type, sizeof(((union command *)0)->member), exact, fds, fn}

/* In the order of how often they come. */
static const struct ctrl_row rows[] = {
	ROW(SUBMIT_3D, submit, false, UINT8_MAX, handle_submit_3d),
	ROW(RESOURCE_CREATE_BLOB, create_blob, false, 1, handle_resource_create_blob),
	ROW(RESOURCE_UNREF, unref, true, 0, handle_resource_unref),
	ROW(RESOURCE_MAP_BLOB, map_blob, true, 0, handle_resource_map_blob),
	ROW(RESOURCE_UNMAP_BLOB, unref, true, 0, handle_resource_unmap_blob),
	ROW(RESOURCE_ASSIGN_UUID, unref, true, 0, handle_resource_assign_uuid),
	ROW(CTX_ATTACH_RESOURCE, ctx_resource, true, 0, handle_ctx_resource),
	ROW(CTX_DETACH_RESOURCE, ctx_resource, true, 0, handle_ctx_resource),
	ROW(CTX_CREATE, ctx_create, true, 0, handle_ctx_create),
	ROW(CTX_DESTROY, hdr, true, 0, handle_ctx_destroy),
	ROW(GET_CAPSET_INFO, get_capset_info, true, 0, handle_get_capset_info),
	ROW(GET_CAPSET, get_capset, true, 0, handle_get_capset),
	ROW(GET_DISPLAY_INFO, hdr, true, 0, handle_get_display_info),
	ROW(SET_SCANOUT, hdr, false, 0, handle_no_scanout),
	ROW(SET_SCANOUT_BLOB, hdr, false, 0, handle_no_scanout),
	ROW(GET_EDID, hdr, false, 0, handle_no_scanout),
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
	if (!row) {
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	}
	if (request->len < row->size || (row->exact && request->len != row->size) ||
	    request->n_fds > row->max_fds) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	union command cmd = {0};
	memcpy(&cmd, request->bytes, row->size);
	return row->handle(device, request, &cmd);
}

void hr_ctrl_handle(struct hr_device *device, struct hr_request *request)
{
	request->hdr = (struct virtio_gpu_ctrl_hdr){0};
	uint32_t type = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (request->len >= sizeof(request->hdr)) {
		memcpy(&request->hdr, request->bytes, sizeof(request->hdr));
		type = dispatch(device, request);
	}
	if (type != 0) {
		hr_device_respond(device, &request->hdr, request->cookie, type);
	}
}
