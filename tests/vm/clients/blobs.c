/* SPDX-License-Identifier: MIT
 *
 * blobs COUNT [WIDTH HEIGHT]
 *
 * Makes, maps, fills and frees COUNT host blobs of an image's size, one after another, through the
 * first render node that has the cross-domain capset. New memory has to be zero, whoever had that place
 * before. Prints "blobs COUNT BYTES"; or what went wrong, and exits with 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node.h"

static void make_object(int fd, uint32_t mem, uint64_t blob_id, uint64_t size, struct object *ret)
{
	errno = -node_make_object(fd, mem, blob_id, size, ret);
	if (errno != 0) {
		die("a blob of %llu bytes", (unsigned long long)size);
	}
}

static void submit(int fd, const void *command, uint32_t size)
{
	errno = -node_submit(fd, command, size);
	if (errno != 0) {
		die("EXECBUFFER");
	}
}

static struct xd_image_requirements query(int fd, uint32_t width, uint32_t height)
{
	struct object query_ring, channel_ring;
	make_object(fd, VIRTGPU_BLOB_MEM_GUEST, 0, NODE_RING_BYTES, &query_ring);
	make_object(fd, VIRTGPU_BLOB_MEM_GUEST, 0, NODE_RING_BYTES, &channel_ring);
	struct xd_init init = {.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizeof(init)},
			       .query_ring_id = query_ring.res_id,
			       .channel_ring_id = channel_ring.res_id,
			       .channel_type = XD_CHANNEL_NONE};
	submit(fd, &init, sizeof(init));
	struct xd_get_image_requirements get = {
		.hdr = {.cmd = XD_CMD_GET_IMAGE_REQUIREMENTS, .cmd_size = sizeof(get)},
		.width = width,
		.height = height,
		.drm_format = NODE_FOURCC_XR24,
		.flags = NODE_IMAGE_FLAGS};
	submit(fd, &get, sizeof(get));
	struct xd_image_requirements answer;
	memcpy(&answer, query_ring.map, sizeof(answer));
	if (answer.blob_id == 0 || answer.size < (uint64_t)width * height * 4) {
		errno = EPROTO;
		die("the host said nothing about an image of %ux%u", width, height);
	}
	return answer;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
	uint32_t width = argc > 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 128;
	uint32_t height = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 128;
	int fd = node_open();
	errno = -node_init_context(fd, XD_NUM_RINGS, 0);
	if (errno != 0) {
		die("CONTEXT_INIT");
	}
	struct xd_image_requirements image = query(fd, width, height);
	for (unsigned i = 0; i < count; i++) {
		struct object blob;
		make_object(fd, VIRTGPU_BLOB_MEM_HOST3D, image.blob_id, image.size, &blob);
		for (uint64_t at = 0; at < blob.size; at += 4096) {
			if (blob.map[at] != 0 || blob.map[at + 4095] != 0) {
				errno = EPROTO;
				die("blob %u: somebody's bytes at %llu", i, (unsigned long long)at);
			}
		}
		memset(blob.map, (int)(1 + i % 255), blob.size);
		errno = -node_free_object(fd, &blob);
		if (errno != 0) {
			die("GEM_CLOSE");
		}
	}
	printf("blobs %u %llu\n", count, (unsigned long long)image.size);
	close(fd);
	return 0;
}
