/* SPDX-License-Identifier: MIT */
#include "vhost_blobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t front_type(const struct front *front)
{
	struct virtio_gpu_ctrl_hdr hdr;
	memcpy(&hdr, front->answer, sizeof(hdr));
	return hdr.type;
}

uint32_t front_ask_image(struct front *front, const uint8_t *query, uint32_t rows,
			 uint64_t *ret_size)
{
	const struct xd_get_image_requirements cmd = {
		.hdr = {.cmd = XD_CMD_GET_IMAGE_REQUIREMENTS, .cmd_size = sizeof(cmd)},
		.width = 4096,
		.height = rows,
		.drm_format = 0x20203852,
	};
	struct xd_image_requirements answer;
	uint16_t head;
	(void)front_submit(front, &cmd, sizeof(cmd), XD_RING_QUERY);
	CHECK(front_take(front, 0, &head));
	CHECK_EQ(front_type(front), OK);
	memcpy(&answer, query, sizeof(answer));
	*ret_size = answer.size;
	return answer.blob_id;
}

uint32_t front_attach(struct front *front, uint32_t id)
{
	struct virtio_gpu_ctx_resource cmd = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, .ctx_id = CTX},
		.resource_id = id};
	return front_call(front, &cmd, sizeof(cmd));
}

uint32_t front_create_host3d(struct front *front, uint32_t id, uint64_t blob_id, uint64_t size)
{
	struct virtio_gpu_resource_create_blob blob = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, .ctx_id = CTX},
		.resource_id = id,
		.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
		.blob_id = blob_id,
		.size = size,
	};
	uint32_t type = front_call(front, &blob, sizeof(blob));
	return type == OK ? front_attach(front, id) : type;
}

uint32_t front_map_blob(struct front *front, uint32_t id, uint64_t offset)
{
	struct virtio_gpu_resource_map_blob map = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, .resource_id = id, .offset = offset};
	return front_call(front, &map, sizeof(map));
}

uint32_t front_on_resource(struct front *front, uint32_t type, uint32_t id)
{
	struct virtio_gpu_resource_unref cmd = {.hdr.type = type, .resource_id = id};
	return front_call(front, &cmd, sizeof(cmd));
}

struct br_handle front_send_resource(struct front *front, uint32_t id)
{
	struct {
		struct xd_send_receive head;
		uint8_t data[8];
	} cmd = {.head = {.hdr = {.cmd = XD_CMD_SEND, .cmd_size = sizeof(cmd)},
			  .num_identifiers = 1,
			  .opaque_data_size = 8,
			  .identifiers = {id},
			  .types = {XD_ITEM_BLOB}}};
	struct br_handle handle = {.fd = -1};
	uint16_t head;
	(void)front_submit(front, &cmd, sizeof(cmd), XD_RING_SEND);
	CHECK(front_take(front, 0, &head));
	if (front_type(front) == OK) {
		CHECK(br_stream_pop_handle(&fake_client->in, &handle));
	}
	return handle;
}
