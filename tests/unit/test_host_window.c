/* SPDX-License-Identifier: MIT
 *
 * The host-visible window, with a well-behaved VMM and driver.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"
#include "limits.h"
#include "vhost_blobs.h"
#include "vhost_frontend.h"

static void test_window(struct front *front)
{
	uint8_t *ring[2];
	uint64_t size;
	front_driver_start(front, true);
	CHECK_EQ(front->maps, 1);
	front_open(front, ring);
	uint32_t blob_id = front_ask_image(front, ring[0], 2, &size);
	CHECK_EQ(front_create_host3d(front, 5, blob_id, size), OK);
	CHECK_EQ(front_map_blob(front, 5, 0x3000), VIRTIO_GPU_RESP_OK_MAP_INFO);
	memcpy(front->window + 0x3000, "from the guest", 15);
	struct br_handle handle = front_send_resource(front, 5);
	CHECK(handle.fd >= 0 && handle.offset == 0x3000 && handle.bytes == size);
	char text[15];
	CHECK(pread(handle.fd, text, 15, (off_t)handle.offset) == 15);
	CHECK(memcmp(text, "from the guest", 15) == 0);
	CHECK(pwrite(handle.fd, "from the host", 14, (off_t)handle.offset) == 14);
	CHECK(memcmp(front->window + 0x3000, "from the host", 14) == 0);
	close(handle.fd);
	/* Not twice, not over another, not outside, not between pages. */
	CHECK_EQ(front_map_blob(front, 5, 0x10000), BAD);
	CHECK_EQ(front_create_host3d(front, 6, blob_id, size), OK);
	CHECK_EQ(front_map_blob(front, 6, 0x4000), BAD);
	CHECK_EQ(front_map_blob(front, 6, 0x2000), BAD);
	CHECK_EQ(front_map_blob(front, 6, FRONT_WINDOW - 4096), BAD);
	CHECK_EQ(front_map_blob(front, 6, FRONT_WINDOW), BAD);
	CHECK_EQ(front_map_blob(front, 6, UINT64_MAX - 4095), BAD);
	CHECK_EQ(front_map_blob(front, 6, 0x5800), BAD);
	CHECK_EQ(front_map_blob(front, 6, FRONT_WINDOW - size), VIRTIO_GPU_RESP_OK_MAP_INFO);
	CHECK_EQ(front_map_blob(front, 9, 0), BAD_RESOURCE);
	/* The next one there finds nothing of the one before. */
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNREF, 5), OK);
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNREF, 5), BAD_RESOURCE);
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 6), OK);
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 6), BAD);
	CHECK_EQ(front_map_blob(front, 6, 0x3000), VIRTIO_GPU_RESP_OK_MAP_INFO);
	for (size_t i = 0; i < size; i++) {
		CHECK(front->window[0x3000 + i] == 0);
	}
	CHECK_EQ(front->maps, 1);
}

/* The same where the VMM maps every blob by itself. */
static void test_window_each(struct front *front)
{
	uint8_t *ring[2];
	uint64_t size;
	front_driver_start(front, true);
	CHECK_EQ(front->maps, 0);
	front_open(front, ring);
	uint32_t blob_id = front_ask_image(front, ring[0], 2, &size);
	CHECK_EQ(front_create_host3d(front, 5, blob_id, size), OK);
	CHECK_EQ(front_map_blob(front, 5, 0x3000), VIRTIO_GPU_RESP_OK_MAP_INFO);
	CHECK_EQ(front->maps, 1);
	memcpy(front->window + 0x3000, "from the guest", 15);
	struct br_handle handle = front_send_resource(front, 5);
	CHECK(handle.fd >= 0 && handle.offset == 0);
	char text[15];
	CHECK(pread(handle.fd, text, 15, 0) == 15 && memcmp(text, "from the guest", 15) == 0);
	close(handle.fd);
	CHECK_EQ(front_create_host3d(front, 6, blob_id, size), OK);
	CHECK_EQ(front_map_blob(front, 6, 0x4000), BAD);
	CHECK_EQ(front_map_blob(front, 6, 0x5000), VIRTIO_GPU_RESP_OK_MAP_INFO);
	/* A place is free again at once, and shows other memory. */
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNREF, 5), OK);
	CHECK_EQ(front_create_host3d(front, 7, blob_id, size), OK);
	CHECK_EQ(front_map_blob(front, 7, 0x3000), VIRTIO_GPU_RESP_OK_MAP_INFO);
	CHECK_EQ(front->window[0x3000], 0);
	CHECK_EQ(front->n_shown, 2);
	/* A VMM that refuses costs the guest this one. */
	front->quirks.refuse_map = true;
	CHECK_EQ(front_create_host3d(front, 8, blob_id, size), OK);
	CHECK_EQ(front_map_blob(front, 8, 0x10000), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	front->quirks.refuse_map = false;
	CHECK_EQ(front_map_blob(front, 8, 0x10000), VIRTIO_GPU_RESP_OK_MAP_INFO);
	/* Nothing is said to a VMM that resets the device, which drops everything itself. */
	front_driver_stop(front);
	front_driver_start(front, true);
	CHECK_EQ(front->n_shown, 0);
}

/* Map one more than may be; first: id of the first resource, and the page to put it. */
static void map_too_many(struct front *front, uint32_t first, uint32_t limit)
{
	uint8_t *ring[2];
	uint64_t size;
	front_open(front, ring);
	uint32_t n, blob_id = front_ask_image(front, ring[0], 1, &size);
	for (n = first; n < first + limit; n++) {
		CHECK_EQ(front_create_host3d(front, n, blob_id, 4096), OK);
		CHECK_EQ(front_map_blob(front, n, n * 4096ull), VIRTIO_GPU_RESP_OK_MAP_INFO);
	}
	CHECK_EQ(front_create_host3d(front, n, blob_id, 4096), OK);
	CHECK_EQ(front_map_blob(front, n, n * 4096ull), NO_MEMORY);
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNREF, first), OK);
	CHECK_EQ(front_map_blob(front, n, n * 4096ull), VIRTIO_GPU_RESP_OK_MAP_INFO);
}

/* A guest can't use up the places that a VMM, or KVM, has for memory, nor one program those of all. */
static void test_window_each_limit(struct front *front)
{
	struct virtio_gpu_ctx_destroy destroy = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_DESTROY, .ctx_id = CTX}};
	uint32_t first = 10;
	front_driver_start(front, true);
	for (uint32_t left = BR_LIMIT_WINDOW_MAPS; left >= BR_LIMIT_CTX_MAPS;) {
		map_too_many(front, first, BR_LIMIT_CTX_MAPS);
		CHECK_EQ(front_call(front, &destroy, sizeof(destroy)), OK);
		CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1), OK);
		CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNREF, 2), OK);
		first += BR_LIMIT_CTX_MAPS + 1;
		left -= BR_LIMIT_CTX_MAPS;
	}
	uint8_t *ring[2];
	uint64_t size;
	front_open(front, ring);
	uint32_t blob_id = front_ask_image(front, ring[0], 1, &size);
	CHECK_EQ(front_create_host3d(front, first, blob_id, 4096), OK);
	CHECK_EQ(front_map_blob(front, first, first * 4096ull), NO_MEMORY);
}

/* A VMM that is busy reads its channel late: nothing that was asked for is lost. */
static void test_window_queue(struct front *front)
{
	struct virtio_gpu_resource_map_blob map = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB};
	uint8_t *ring[2];
	uint64_t size;
	uint16_t head;
	front_driver_start(front, true);
	front_open(front, ring);
	uint32_t blob_id = front_ask_image(front, ring[0], 1, &size);
	for (uint32_t id = 10; id < 10 + FRONT_QUEUE_SIZE; id++) {
		CHECK_EQ(front_create_host3d(front, id, blob_id, 4096), OK);
	}
	for (unsigned round = 0; round < 2; round++) {
		front->deaf = true;
		for (uint32_t id = 10; id < 10 + FRONT_QUEUE_SIZE; id++) {
			map.resource_id = id;
			map.offset = id * 4096ull;
			(void)front_request(front, 0, &map, sizeof(map));
		}
		CHECK(!front_take(front, 0, &head));
		front->deaf = false;
		front_run(front);
		for (unsigned n = 0; n < FRONT_QUEUE_SIZE; n++) {
			front_run(front);
			CHECK(front_take(front, 0, &head));
			CHECK_EQ(front_type(front), VIRTIO_GPU_RESP_OK_MAP_INFO);
		}
		CHECK_EQ(front->n_shown, FRONT_QUEUE_SIZE);
		for (uint32_t id = 10; id < 10 + FRONT_QUEUE_SIZE; id++) {
			CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, id),
				 OK);
		}
		CHECK_EQ(front->n_shown, 0);
	}
	/* Its end answers those that still wait. */
	front->deaf = true;
	for (uint32_t id = 10; id < 10 + FRONT_QUEUE_SIZE; id++) {
		map.resource_id = id;
		map.offset = id * 4096ull;
		(void)front_request(front, 0, &map, sizeof(map));
	}
	br_fd_clear(&front->back_fd);
	for (unsigned n = 0; n < FRONT_QUEUE_SIZE; n++) {
		front_run(front);
		CHECK(front_take(front, 0, &head));
		CHECK(front_type(front) != VIRTIO_GPU_RESP_OK_MAP_INFO);
	}
}

static void test_refused_window(struct front *front)
{
	uint8_t *ring[2];
	uint64_t size;
	front_driver_start(front, true);
	CHECK_EQ(front->maps, 0);
	front_open(front, ring);
	uint32_t blob_id = front_ask_image(front, ring[0], 2, &size);
	CHECK_EQ(front_create_host3d(front, 5, blob_id, size), OK);
	CHECK_EQ(front_map_blob(front, 5, 0), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
}

int main(void)
{
	static const struct front_case cases[] = {
		FRONT_CASE(window),
		FRONT_CASE(window_each, .each = true),
		FRONT_CASE(window_each_limit, .each = true, .window_bytes = 64u << 20),
		FRONT_CASE(window_queue, .each = true, .indirect = true),
		FRONT_CASE(refused_window, .refuse_map = true),
	};
	return front_run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
