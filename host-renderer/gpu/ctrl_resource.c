/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "context.h"
#include "ctrl.h"
#include "ctrl_private.h"
#include "device.h"
#include "fd.h"
#include "host.h"
#include "limits.h"
#include "render.h"
#include "resource.h"

/* Memory entries behind a fixed part of head bytes. */
static int take_entries(struct hr_device *device, const struct hr_request *request, size_t head,
			uint32_t n, struct hr_pages *ret_pages)
{
	if (!device->frontend.ops->guest_memory ||
	    n > (request->len - head) / sizeof(struct virtio_gpu_mem_entry)) {
		return -EINVAL;
	}
	return hr_pages_init(device, ret_pages, request->bytes + head, n);
}

/* --- blobs --- */

/* Guest memory of a guest that we can't reach into: an fd beside the command. */
static int guest_file(struct hr_request *request, const struct virtio_gpu_resource_create_blob *cmd,
		      struct hr_memory *ret_memory)
{
	struct stat st;
	if (request->n_fds != 1 || cmd->nr_entries != 0 || fstat(request->fds[0], &st) < 0 ||
	    !S_ISREG(st.st_mode) || (uint64_t)st.st_size < cmd->size) {
		return -EINVAL;
	}
	ret_memory->fd = br_fd_take(&request->fds[0]);
	return 0;
}

static int host_memory(struct hr_device *device, struct hr_request *request,
		       const struct virtio_gpu_resource_create_blob *cmd,
		       struct hr_memory *ret_memory)
{
	struct hr_context *context = hr_device_find_context(device, request->hdr.ctx_id);
	if (!context || request->n_fds != 0) {
		return -EINVAL;
	}
	if (cmd->size > BR_LIMIT_DEVICE_BYTES - device->host_bytes) {
		return -ENOSPC;
	}
	int ret = context->ops->create_blob(context, cmd->blob_id, cmd->size, ret_memory);
	return ret == -ENOENT ? -EINVAL : ret;
}

/* What a blob is made of, by its kind. */
static int blob_memory(struct hr_device *device, struct hr_request *request,
		       const struct virtio_gpu_resource_create_blob *cmd,
		       struct hr_memory *ret_memory, struct hr_pages *ret_pages)
{
	bool guest = cmd->blob_mem == VIRTIO_GPU_BLOB_MEM_GUEST ||
		     cmd->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST;
	bool host = cmd->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D ||
		    cmd->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST;
	int ret = (!guest && !host) || (!guest && cmd->nr_entries != 0) ||
				  (!host && cmd->blob_id != 0)
			  ? -EINVAL
			  : 0;
	if (ret == 0 && guest && device->frontend.ops->guest_memory) {
		ret = take_entries(device, request, sizeof(*cmd), cmd->nr_entries, ret_pages);
		ret = ret == 0 && ret_pages->bytes < cmd->size ? -EINVAL : ret;
	} else if (ret == 0 && guest) {
		ret = host ? -EINVAL : guest_file(request, cmd, ret_memory);
	}
	return ret == 0 && host ? host_memory(device, request, cmd, ret_memory) : ret;
}

static int create_blob(struct hr_device *device, struct hr_request *request,
		       const struct virtio_gpu_resource_create_blob *cmd)
{
	struct hr_memory memory = {.fd = -1};
	struct hr_pages pages = {0};
	int ret = blob_memory(device, request, cmd, &memory, &pages);
	struct hr_resource *resource = NULL;
	if (ret == 0) {
		resource = hr_resource_create_take(device, cmd->resource_id, cmd->size, &memory);
		ret = resource ? 0 : -ENOMEM;
	}
	if (!resource) {
		br_fd_clear(&memory.fd);
		hr_pages_finish(device, &pages);
		return ret;
	}
	struct hr_context *context = hr_device_find_context(device, request->hdr.ctx_id);
	if (context) {
		hr_resource_set_maker(resource, context);
	}
	resource->pages = pages;
	resource->blob_mem = cmd->blob_mem;
	resource->blob_flags = cmd->blob_flags;
	if (cmd->blob_mem != VIRTIO_GPU_BLOB_MEM_GUEST) {
		resource->charged = cmd->size;
		device->host_bytes += cmd->size;
	}
	if (memory.gpu) {
		hr_render_create_blob(context, resource, cmd->blob_id);
	}
	return 0;
}

static uint32_t check_new_id(struct hr_device *device, uint32_t id)
{
	if (id == 0 || hr_resource_find(device, id)) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	return device->n_resources >= BR_LIMIT_RESOURCES ? VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY : 0;
}

uint32_t hr_ctrl_resource_create_blob(struct hr_device *device, struct hr_request *request,
				      const union hr_command *cmd)
{
	const struct virtio_gpu_resource_create_blob *blob = &cmd->create_blob;
	uint32_t refusal = check_new_id(device, blob->resource_id);
	if (refusal != 0) {
		return refusal;
	}
	if (blob->size == 0 || blob->size > BR_LIMIT_BLOB_BYTES) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	if (blob->blob_mem != VIRTIO_GPU_BLOB_MEM_GUEST &&
	    !hr_device_find_context(device, request->hdr.ctx_id)) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	return hr_ctrl_response_of(create_blob(device, request, blob));
}

uint32_t hr_ctrl_resource_create_3d(struct hr_device *device, struct hr_request *request,
				    const union hr_command *cmd)
{
	(void)request;
	uint32_t refusal = check_new_id(device, cmd->create_3d.resource_id);
	return refusal != 0 ? refusal
			    : hr_ctrl_response_of(hr_render_create_3d(device, &cmd->create_3d));
}

uint32_t hr_ctrl_resource_unref(struct hr_device *device, struct hr_request *request,
				const union hr_command *cmd)
{
	struct hr_resource *resource = hr_resource_find(device, cmd->unref.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	bool held = hr_render_unref(resource, request);
	hr_resource_remove(resource);
	return held ? 0 : VIRTIO_GPU_RESP_OK_NODATA;
}

/* --- the window --- */

static int map(struct hr_resource *resource, uint64_t offset, const struct hr_request *request)
{
	const struct hr_frontend *frontend = &resource->device->frontend;
	if (resource->blob_mem != VIRTIO_GPU_BLOB_MEM_HOST3D || resource->mapped ||
	    !(resource->blob_flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE)) {
		return -EINVAL;
	}
	hr_resource_set_mapped(resource, true);
	int ret = frontend->ops->map ? frontend->ops->map(frontend->data, resource, offset, request)
				     : hr_resource_need_memory(resource);
	hr_resource_set_mapped(resource, ret == 0 || ret == -EINPROGRESS);
	return ret;
}

void hr_device_mapped(struct hr_device *device, const struct virtio_gpu_ctrl_hdr *request,
		      uint64_t cookie, struct hr_resource *resource, int err)
{
	if (err < 0) {
		hr_resource_set_mapped(resource, false);
		hr_device_respond(device, request, cookie, hr_ctrl_response_of(err));
		return;
	}
	struct virtio_gpu_resp_map_info response = {
		.hdr = hr_ctrl_response(request, VIRTIO_GPU_RESP_OK_MAP_INFO),
		.map_info = resource->map_info,
	};
	device->frontend.ops->complete(device->frontend.data, cookie, &response, sizeof(response),
				       device->frontend.ops->map ? -1 : resource->memory_fd);
}

uint32_t hr_ctrl_resource_map_blob(struct hr_device *device, struct hr_request *request,
				   const union hr_command *cmd)
{
	struct hr_resource *resource = hr_resource_find(device, cmd->map_blob.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->gpu != HR_GPU_NONE && hr_render_need_memory(resource)) {
		return HR_WAIT;
	}
	int ret = map(resource, cmd->map_blob.offset, request);
	if (ret < 0) {
		return ret == -EINPROGRESS ? 0 : hr_ctrl_response_of(ret);
	}
	hr_device_mapped(device, &request->hdr, request->cookie, resource, 0);
	return 0;
}

uint32_t hr_ctrl_resource_unmap_blob(struct hr_device *device, struct hr_request *request,
				     const union hr_command *cmd)
{
	(void)request;
	struct hr_resource *resource = hr_resource_find(device, cmd->unmap_blob.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (!resource->mapped) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	if (device->frontend.ops->unmap) {
		device->frontend.ops->unmap(device->frontend.data, resource);
	}
	hr_resource_set_mapped(resource, false);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* --- guest pages --- */

uint32_t hr_ctrl_resource_attach_backing(struct hr_device *device, struct hr_request *request,
					 const union hr_command *cmd)
{
	const struct virtio_gpu_resource_attach_backing *attach = &cmd->attach_backing;
	struct hr_resource *resource = hr_resource_find(device, attach->resource_id);
	struct hr_pages pages;
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D || resource->pages.n_runs > 0) {
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	}
	int ret = take_entries(device, request, sizeof(*attach), attach->nr_entries, &pages);
	if (ret < 0) {
		return hr_ctrl_response_of(ret);
	}
	resource->pages = pages;
	hr_render_attach_backing(resource);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t hr_ctrl_resource_detach_backing(struct hr_device *device, struct hr_request *request,
					 const union hr_command *cmd)
{
	(void)request;
	struct hr_resource *resource = hr_resource_find(device, cmd->detach_backing.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->pages.n_runs == 0) {
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	}
	bool held = hr_render_detach_backing(resource, request);
	hr_pages_finish(device, &resource->pages);
	return held ? 0 : VIRTIO_GPU_RESP_OK_NODATA;
}

/* Copy the bytes of a box. What its numbers mean for linear memory: bytes in a row, and rows. */
static int transfer(struct hr_resource *resource, const struct virtio_gpu_transfer_host_3d *cmd)
{
	const struct virtio_gpu_box *box = &cmd->box;
	bool to_host = cmd->hdr.type == VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D;
	uint64_t rows = box->h, row_bytes = box->w, stride = cmd->stride, first, end;
	/* What came from the compositor is not the guest's to write. */
	if (resource->blob_mem != VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST || cmd->level != 0 ||
	    box->z != 0 || box->d != 1 || (to_host && !resource->fresh) ||
	    (rows > 1 && row_bytes > stride)) {
		return -EINVAL;
	}
	if (rows == 0 || row_bytes == 0) {
		return 0;
	}
	if (__builtin_add_overflow(cmd->offset, box->y * stride + box->x, &first) ||
	    __builtin_add_overflow(first, (rows - 1) * stride + row_bytes, &end) ||
	    end > resource->size) {
		return -EINVAL;
	}
	if (row_bytes == stride) {
		row_bytes *= rows;
		rows = 1;
	}
	if (rows > BR_LIMIT_TRANSFER_ROWS || rows * row_bytes > BR_LIMIT_TRANSFER_BYTES) {
		return -ENOSPC;
	}
	int ret = hr_resource_need_memory(resource);
	for (uint64_t i = 0; i < rows && ret == 0; i++) {
		uint64_t at = first + i * stride;
		ret = hr_pages_copy(resource->device, &resource->pages, at, row_bytes,
				    resource->memory_fd, resource->memory_offset + at,
				    to_host ? HR_PAGES_TO_FILE : HR_PAGES_FROM_FILE);
	}
	resource->device->host->copied_bytes += ret == 0 ? rows * row_bytes : 0;
	return ret;
}

uint32_t hr_ctrl_transfer_3d(struct hr_device *device, struct hr_request *request,
			     const union hr_command *cmd)
{
	struct hr_context *context = hr_device_find_context(device, request->hdr.ctx_id);
	if (!context) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	struct hr_resource *resource =
		hr_resource_find_attached(context, cmd->transfer_3d.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->gpu != HR_GPU_NONE) {
		int ret = hr_render_transfer(context, resource, request, &cmd->transfer_3d);
		return ret == 0 ? 0 : hr_ctrl_response_of(ret);
	}
	return hr_ctrl_response_of(transfer(resource, &cmd->transfer_3d));
}

/* --- 2D resources ---
 *
 * A guest without displays still has a card node, whose users may make dumb buffers. Nobody can see
 * them: only what the guest can find out of them is kept. */

static uint32_t bytes_2d(const struct virtio_gpu_resource_create_2d *cmd, uint64_t *ret_bytes)
{
	switch (cmd->format) {
	case VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM:
	case VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM:
	case VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM:
	case VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM:
	case VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM:
	case VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM:
	case VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM:
	case VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM:
		break;
	default:
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	if (__builtin_mul_overflow((uint64_t)cmd->width * cmd->height, 4ull, ret_bytes) ||
	    *ret_bytes == 0 || *ret_bytes > BR_LIMIT_BLOB_BYTES) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	return 0;
}

uint32_t hr_ctrl_resource_create_2d(struct hr_device *device, struct hr_request *request,
				    const union hr_command *cmd)
{
	(void)request;
	uint64_t bytes;
	struct hr_memory none = {.fd = -1};
	uint32_t refusal = check_new_id(device, cmd->create_2d.resource_id);
	refusal = refusal != 0 ? refusal : bytes_2d(&cmd->create_2d, &bytes);
	if (refusal != 0) {
		return refusal;
	}
	struct hr_resource *resource =
		hr_resource_create_take(device, cmd->create_2d.resource_id, bytes, &none);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	}
	resource->width = cmd->create_2d.width;
	resource->height = cmd->create_2d.height;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t check_2d(struct hr_device *device, uint32_t id, const struct virtio_gpu_rect *rect)
{
	const struct hr_resource *resource = hr_resource_find(device, id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->blob_mem != 0 || (uint64_t)rect->x + rect->width > resource->width ||
	    (uint64_t)rect->y + rect->height > resource->height) {
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t hr_ctrl_transfer_to_host_2d(struct hr_device *device, struct hr_request *request,
				     const union hr_command *cmd)
{
	(void)request;
	return check_2d(device, cmd->transfer_2d.resource_id, &cmd->transfer_2d.r);
}

uint32_t hr_ctrl_resource_flush(struct hr_device *device, struct hr_request *request,
				const union hr_command *cmd)
{
	(void)request;
	return check_2d(device, cmd->flush.resource_id, &cmd->flush.r);
}

/* --- identity --- */

uint32_t hr_ctrl_resource_assign_uuid(struct hr_device *device, struct hr_request *request,
				      const union hr_command *cmd)
{
	struct hr_resource *resource = hr_resource_find(device, cmd->assign_uuid.resource_id);
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
	return hr_ctrl_answer(device, request, &response, sizeof(response), -1);
}
