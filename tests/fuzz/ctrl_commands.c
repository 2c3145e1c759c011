/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "../gpu/context.h"
#include "../gpu/device.h"
#include "../gpu/resource.h"
#include "../wayland/context.h"
#include "ctrl_commands.h"
#include "fd.h"
#include "guest.h"

#define RAM_BYTES (1u << 20)
#define MAX_COMMAND_BYTES 4096

struct hr_window ctrl_window;

static uint8_t ram[RAM_BYTES];

static void complete(void *data, uint64_t cookie, const void *response, size_t len, int fd)
{
	const struct virtio_gpu_ctrl_hdr *hdr = response;
	(void)data;
	(void)cookie;
	if (len < sizeof(*hdr) || hdr->type < VIRTIO_GPU_RESP_OK_NODATA || fd >= 0) {
		abort();
	}
}

static void *guest_memory(void *data, uint64_t address, uint64_t len)
{
	(void)data;
	return len > 0 && address < RAM_BYTES && len <= RAM_BYTES - address ? ram + address : NULL;
}

static int map(void *data, struct hr_resource *resource, uint64_t offset,
	       const struct hr_request *request)
{
	(void)data;
	return hr_window_map(&ctrl_window, resource, offset, request);
}

static void unmap(void *data, struct hr_resource *resource)
{
	(void)data;
	hr_window_unmap(&ctrl_window, resource);
}

const struct hr_frontend_ops ctrl_ops = {
	.complete = complete,
	.guest_memory = guest_memory,
	.map = map,
	.unmap = unmap,
};

static const uint32_t types[] = {
	VIRTIO_GPU_CMD_CTX_CREATE,
	VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
	VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE,
	VIRTIO_GPU_CMD_SUBMIT_3D,
	VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB,
	VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB,
	VIRTIO_GPU_CMD_RESOURCE_UNREF,
	VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D,
	VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D,
	VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
	VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
	VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE,
	VIRTIO_GPU_CMD_CTX_DESTROY,
	VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID,
	VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
	VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
	VIRTIO_GPU_CMD_RESOURCE_FLUSH,
	VIRTIO_GPU_CMD_GET_CAPSET_INFO,
	VIRTIO_GPU_CMD_GET_CAPSET,
	VIRTIO_GPU_CMD_GET_DISPLAY_INFO,
	VIRTIO_GPU_CMD_GET_EDID,
	VIRTIO_GPU_CMD_SET_SCANOUT,
	VIRTIO_GPU_CMD_UPDATE_CURSOR,
	VIRTIO_GPU_CMD_MOVE_CURSOR,
	0xdead,
	VIRTIO_GPU_CMD_RESOURCE_CREATE_3D,
};

/* A command in pieces that can be changed. */
union command {
	uint8_t bytes[MAX_COMMAND_BYTES];
	struct virtio_gpu_ctrl_hdr hdr;
	struct virtio_gpu_resource_unref any; /* where most have their resource's id */
	struct virtio_gpu_resource_create_blob blob;
	struct virtio_gpu_resource_attach_backing attach;
	struct virtio_gpu_resource_map_blob map;
	struct virtio_gpu_transfer_host_3d transfer;
	struct virtio_gpu_cmd_submit submit;
};

static void tame_entries(uint8_t *bytes, uint32_t *n, size_t room)
{
	*n = *n & 0x80 ? *n : *n & 3;
	for (uint32_t i = 0; i < 4 && (i + 1) * sizeof(struct virtio_gpu_mem_entry) <= room; i++) {
		struct virtio_gpu_mem_entry entry;
		memcpy(&entry, bytes + i * sizeof(entry), sizeof(entry));
		entry.addr &= 2 * RAM_BYTES - 1;
		entry.length &= 0xffff;
		memcpy(bytes + i * sizeof(entry), &entry, sizeof(entry));
	}
}

static void tame(union command *cmd, size_t len)
{
	cmd->any.resource_id &= 7;
	switch (cmd->hdr.type) {
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
		cmd->blob.blob_mem &= 3;
		cmd->blob.blob_id &= 7;
		cmd->blob.size &= 0x3fffff;
		tame_entries(cmd->bytes + sizeof(cmd->blob), &cmd->blob.nr_entries,
			     sizeof(*cmd) - sizeof(cmd->blob));
		break;
	case VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING:
		tame_entries(cmd->bytes + sizeof(cmd->attach), &cmd->attach.nr_entries,
			     sizeof(*cmd) - sizeof(cmd->attach));
		break;
	case VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
		cmd->map.offset &= 0x1ff800;
		break;
	case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D:
	case VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D:
		cmd->transfer.resource_id &= 7;
		break;
	case VIRTIO_GPU_CMD_SUBMIT_3D:
		cmd->submit.size = len < sizeof(cmd->submit)
					   ? cmd->submit.size
					   : (uint32_t)(len - sizeof(cmd->submit));
		break;
	default:
		break;
	}
}

void ctrl_run(struct hr_device *device, const uint8_t *head, const uint8_t *bytes, size_t len)
{
	static union command cmd;
	struct hr_request request = {
		.bytes = cmd.bytes,
		.len = sizeof(cmd.hdr) + len,
		.cursor = head[1] & 0x40,
	};
	cmd.hdr = (struct virtio_gpu_ctrl_hdr){
		.type = types[head[0] % (sizeof(types) / sizeof(types[0]))],
		.flags = head[1] & 3,
		.ctx_id = head[1] >> 2 & 3,
		.ring_idx = head[1] >> 4 & 3,
	};
	memcpy(cmd.bytes + sizeof(cmd.hdr), bytes, len);
	tame(&cmd, request.len);
	hr_device_handle(device, &request);
	if (head[1] & 0x80 && fake_client) {
		(void)br_stream_write(&fake_client->out, bytes, len);
		fake_client->events->events_ready(fake_client->data);
	}
}

size_t ctrl_payload_bytes(const uint8_t *head, size_t left)
{
	size_t len = (size_t)(head[2] | head[3] << 8) % 1000 * 4;
	return len < left ? len : left;
}

void ctrl_window_open(struct wl_event_loop *loop)
{
	const struct hr_window_options options = {.bytes = CTRL_WINDOW_BYTES};
	if (!loop || hr_window_init(&ctrl_window, loop, &options, NULL, NULL) < 0) {
		abort();
	}
	ctrl_window.arena_fd = hr_memory_create(CTRL_WINDOW_BYTES);
	ctrl_window.mapped = true;
}
