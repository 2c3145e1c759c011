/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the control and cursor commands of a device that has guest memory and a window, as behind
 * virtqueues. The input is a row of commands, each of four bytes (which command; flags, ring and context;
 * how many bytes follow, in units of 4) and a payload. Ids and addresses are made small, so that commands
 * meet. Build with tests/unit/guest.c, whose fake client it uses.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "../gpu/context.h"
#include "../gpu/device.h"
#include "../gpu/resource.h"
#include "../vhost/window.h"
#include "../wayland/context.h"
#include "fd.h"
#include "guest.h"

#define RAM_BYTES (1u << 20)
#define WINDOW_BYTES (1u << 20)
#define MAX_COMMAND_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t ram[RAM_BYTES];
static struct hr_window window;

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
	return hr_window_map(&window, resource, offset, request);
}

static void unmap(void *data, struct hr_resource *resource)
{
	(void)data;
	hr_window_unmap(&window, resource);
}

static const struct hr_frontend_ops ops = {
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

static void run_command(struct hr_device *device, const uint8_t *head, const uint8_t *bytes,
			size_t len)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct hr_capset *const capsets[] = {&hr_wayland_capset};
	const struct hr_frontend frontend = {.ops = &ops,
					     .extensions = XD_EXT_PIPE_CREDIT | XD_EXT_CLOCK};
	struct hr_host host = {.next_client = 1};
	host.loop = wl_event_loop_create();
	const struct hr_window_options options = {.bytes = WINDOW_BYTES};
	if (!host.loop || hr_window_init(&window, host.loop, &options, NULL, NULL) < 0) {
		abort();
	}
	window.arena_fd = hr_memory_create(WINDOW_BYTES);
	window.mapped = true;
	struct hr_device *device = hr_device_create(&host, &frontend, capsets, 1);
	for (size_t at = 0; at + 4 <= size;) {
		size_t len = (size_t)(data[at + 2] | data[at + 3] << 8) % 1000 * 4;
		len = len < size - at - 4 ? len : size - at - 4;
		run_command(device, data + at, data + at + 4, len);
		at += 4 + len;
	}
	hr_device_destroy(device);
	hr_window_finish(&window);
	wl_event_loop_destroy(host.loop);
	return 0;
}
