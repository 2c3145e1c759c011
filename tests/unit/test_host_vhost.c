/* SPDX-License-Identifier: MIT
 *
 * The vhost-user front end of the device, with a well-behaved VMM and driver.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "limits.h"
#include "vhost_blobs.h"
#include "vhost_frontend.h"

static const struct xd_poll poll_cmd = {.hdr = {.cmd = XD_CMD_POLL, .cmd_size = sizeof(poll_cmd)}};

static void say(const char *text)
{
	CHECK(br_stream_write(&fake_client->out, text, strlen(text)) == 0);
	fake_client->events->events_ready(fake_client->data);
}

static void test_capsets(struct front *front)
{
	struct virtio_gpu_get_capset_info info = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO};
	front_driver_start(front, true);
	CHECK_EQ(front_call(front, &info, sizeof(info)), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	struct virtio_gpu_resp_capset_info answer;
	memcpy(&answer, front->answer, sizeof(answer));
	CHECK_EQ(answer.capset_id, XD_CAPSET_ID);
	CHECK_EQ(answer.capset_max_size, sizeof(struct xd_capset_ext));
	struct virtio_gpu_get_capset get = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET, .capset_id = 5};
	CHECK_EQ(front_call(front, &get, sizeof(get)), VIRTIO_GPU_RESP_OK_CAPSET);
	struct xd_capset_ext capset;
	memcpy(&capset, front->answer + sizeof(struct virtio_gpu_ctrl_hdr), sizeof(capset));
	CHECK_EQ(capset.base.version, 1);
	CHECK_EQ(capset.magic, XD_CAPSET_MAGIC);
	CHECK_EQ(capset.extensions, XD_EXT_PIPE_CREDIT | XD_EXT_CLOCK);
}

/* A call, and only one, for each time that the driver asks to be told. */
static void test_notification(struct front *front)
{
	uint64_t count = 0;
	struct virtio_gpu_get_capset_info info = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO};
	front_driver_start(front, true);
	CHECK_EQ(front_call(front, &info, sizeof(info)), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	CHECK(read(front->queues[0].call_fd, &count, sizeof(count)) == sizeof(count) && count == 1);
	if (front->quirks.no_event_idx) {
		front->queues[0].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	} else {
		front->queues[0].avail->ring[FRONT_QUEUE_SIZE] = 40;
	}
	(void)front_request(front, 0, &info, sizeof(info));
	front_run(front);
	CHECK(front->queues[0].used->idx == 2);
	CHECK(read(front->queues[0].call_fd, &count, sizeof(count)) < 0 && errno == EAGAIN);
}

/* More requests than one wake-up serves, with one kick. */
static void test_burst(struct front *front)
{
	struct virtio_gpu_get_capset_info info = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO};
	uint16_t head;
	front_driver_start(front, true);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < FRONT_QUEUE_SIZE / 2; i++) {
			(void)front_request(front, 0, &info, sizeof(info));
		}
		for (int i = 0; i < FRONT_QUEUE_SIZE / 2; i++) {
			CHECK(front_take(front, 0, &head));
			CHECK_EQ(front_type(front), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
		}
	}
}

static void test_channel(struct front *front)
{
	uint8_t *ring[2];
	uint16_t head, poll;
	front_driver_start(front, true);
	front_open(front, ring);
	/* A POLL waits while other rings go on. */
	poll = front_submit(front, &poll_cmd, sizeof(poll_cmd), XD_RING_CHANNEL);
	CHECK(!front_take(front, 0, &head));
	uint64_t size;
	CHECK_EQ(front_ask_image(front, ring[0], 4, &size), XD_FIRST_ITEM_ID);
	CHECK_EQ(size, 4 * 4096);
	/* More than the first piece of the mailbox holds. */
	char text[3001];
	memset(text, 'x', 3000);
	text[3000] = 0;
	say(text);
	CHECK(front_take(front, 0, &head));
	CHECK_EQ(head, poll);
	struct xd_send_receive receive;
	memcpy(&receive, ring[1], sizeof(receive));
	CHECK_EQ(receive.hdr.cmd, XD_CMD_RECEIVE);
	CHECK_EQ(receive.opaque_data_size, 3000);
	CHECK(memcmp(ring[1] + sizeof(receive), text, 3000) == 0);
}

/* Memory from the compositor is copied into the window. */
static void test_item(struct front *front)
{
	uint8_t *ring[2];
	uint16_t head;
	front_driver_start(front, true);
	front_open(front, ring);
	struct br_handle handle = {.fd = memfd_create("keymap", MFD_CLOEXEC), .kind = BR_FD_FILE};
	CHECK(write(handle.fd, "xkb", 4) == 4);
	CHECK(br_stream_push_handle_take(&fake_client->out, &handle) == 0);
	(void)front_submit(front, &poll_cmd, sizeof(poll_cmd), XD_RING_CHANNEL);
	say("keymap");
	CHECK(front_take(front, 0, &head));
	struct xd_send_receive receive;
	memcpy(&receive, ring[1], sizeof(receive));
	CHECK(receive.num_identifiers == 1 && receive.types[0] == XD_ITEM_BLOB &&
	      receive.sizes[0] == 4);
	CHECK_EQ(front_create_host3d(front, 5, receive.identifiers[0], 4096), OK);
	CHECK_EQ(front_map_blob(front, 5, 0), VIRTIO_GPU_RESP_OK_MAP_INFO);
	CHECK(memcmp(front->window, "xkb", 4) == 0 && front->window[4] == 0);
	/* Each can be had once. */
	CHECK_EQ(front_create_host3d(front, 6, receive.identifiers[0], 4096), BAD);
}

static uint32_t create_pages(struct front *front, uint32_t id, uint32_t mem, uint64_t blob_id,
			     uint64_t size, uint8_t **ret_pages)
{
	struct {
		struct virtio_gpu_resource_create_blob blob;
		struct virtio_gpu_mem_entry entries[2];
	} cmd = {
		.blob = {.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, .ctx_id = CTX},
			 .resource_id = id,
			 .blob_mem = mem,
			 .blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
			 .nr_entries = 2,
			 .blob_id = blob_id,
			 .size = size},
	};
	/* The second half first. */
	uint64_t address = front_alloc(front, size, ret_pages);
	uint32_t half = (uint32_t)size / 2;
	cmd.entries[0] = (struct virtio_gpu_mem_entry){.addr = address + half, .length = half};
	cmd.entries[1] = (struct virtio_gpu_mem_entry){.addr = address, .length = half};
	uint32_t type = front_call(front, &cmd, sizeof(cmd));
	return type == OK ? front_attach(front, id) : type;
}

static uint32_t transfer(struct front *front, uint32_t type, uint32_t id, struct virtio_gpu_box box,
			 uint64_t offset, uint32_t stride)
{
	struct virtio_gpu_transfer_host_3d cmd = {.hdr = {.type = type, .ctx_id = CTX},
						  .box = box,
						  .offset = offset,
						  .resource_id = id,
						  .stride = stride};
	return front_call(front, &cmd, sizeof(cmd));
}

static void test_transfer(struct front *front)
{
	const uint32_t to = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D;
	uint8_t *ring[2], *pages, seen[8192];
	uint64_t size;
	front_driver_start(front, true);
	CHECK_EQ(front->maps, 0);
	front_open(front, ring);
	uint32_t blob_id = front_ask_image(front, ring[0], 2, &size);
	CHECK_EQ(size, 8192);
	CHECK_EQ(create_pages(front, 5, VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST, blob_id, size, &pages),
		 OK);
	CHECK_EQ(front_map_blob(front, 5, 0), BAD);
	for (size_t i = 0; i < size; i++) {
		pages[i] = (uint8_t)(i % 251 + 1);
	}
	/* Byte i of the resource is at pages[(i + 4096) % 8192]. Three rows of 10 bytes, 1000 apart,
	 * across the border of the two entries. */
	struct virtio_gpu_box box = {.x = 5, .y = 1, .w = 10, .h = 3, .d = 1};
	CHECK_EQ(transfer(front, to, 5, box, 1100, 1000), OK);
	struct br_handle handle = front_send_resource(front, 5);
	CHECK(handle.fd >= 0 && handle.offset == 0);
	CHECK(pread(handle.fd, seen, sizeof(seen), 0) == (ssize_t)sizeof(seen));
	for (size_t i = 0; i < size; i++) {
		size_t from = i >= 2105 ? i - 2105 : 3000;
		bool inside = from < 3000 && from % 1000 < 10;
		CHECK_EQ(seen[i], inside ? pages[(i + 4096) % 8192] : 0);
	}
	CHECK_EQ(front->host.copied_bytes, 30);
	/* All of it, in one piece; and back. */
	box = (struct virtio_gpu_box){.w = 8192, .h = 1, .d = 1};
	CHECK_EQ(transfer(front, to, 5, box, 0, 0), OK);
	CHECK(pread(handle.fd, seen, sizeof(seen), 0) == (ssize_t)sizeof(seen));
	CHECK(memcmp(seen, pages + 4096, 4096) == 0 && memcmp(seen + 4096, pages, 4096) == 0);
	memset(pages, 0, size);
	CHECK_EQ(transfer(front, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, 5, box, 0, 0), OK);
	CHECK(memcmp(seen, pages + 4096, 4096) == 0 && memcmp(seen + 4096, pages, 4096) == 0);
	/* Outside of it, or not of this kind. */
	CHECK_EQ(transfer(front, to, 5, box, 1, 0), BAD);
	box.d = 2;
	CHECK_EQ(transfer(front, to, 5, box, 0, 0), BAD);
	box = (struct virtio_gpu_box){.y = UINT32_MAX, .w = 1, .h = UINT32_MAX, .d = 1};
	CHECK_EQ(transfer(front, to, 5, box, UINT64_MAX, UINT32_MAX), BAD);
	CHECK_EQ(transfer(front, to, 1, box, 0, 0), BAD);
	CHECK_EQ(transfer(front, to, 77, box, 0, 0), BAD_RESOURCE);
	close(handle.fd);
	/* Without its pages there is nothing to copy; given again, there is. */
	box = (struct virtio_gpu_box){.w = 16, .h = 1, .d = 1};
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 5), OK);
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 5),
		 VIRTIO_GPU_RESP_ERR_UNSPEC);
	CHECK_EQ(transfer(front, to, 5, box, 0, 0), BAD);
	struct {
		struct virtio_gpu_resource_attach_backing attach;
		struct virtio_gpu_mem_entry entry;
	} cmd = {.attach = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
			    .resource_id = 5,
			    .nr_entries = 1}};
	cmd.entry.addr = front_alloc_high(front, 4096, &pages);
	cmd.entry.length = 4096;
	CHECK_EQ(front_call(front, &cmd, sizeof(cmd)), OK);
	CHECK_EQ(transfer(front, to, 5, box, 0, 0), OK);
	CHECK_EQ(transfer(front, to, 5, box, 4090, 0), BAD);
	CHECK_EQ(front_call(front, &cmd, sizeof(cmd)), VIRTIO_GPU_RESP_ERR_UNSPEC);
}

/* One command makes the host copy only so much, and only so many pieces. */
static void test_transfer_limits(struct front *front)
{
	uint8_t *ring[2], *pages;
	uint64_t size;
	front_driver_start(front, true);
	front_open(front, ring);
	uint32_t blob_id = front_ask_image(front, ring[0], 32, &size);
	CHECK_EQ(create_pages(front, 5, VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST, blob_id, size, &pages),
		 OK);
	struct virtio_gpu_box box = {.w = 1, .h = BR_LIMIT_TRANSFER_ROWS + 1, .d = 1};
	CHECK_EQ(transfer(front, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, 5, box, 0, 2),
		 VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	CHECK_EQ(front->host.copied_bytes, 0);
	box.h--;
	CHECK_EQ(transfer(front, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, 5, box, 0, 2), OK);
	CHECK_EQ(front->host.copied_bytes, BR_LIMIT_TRANSFER_ROWS);
}

/* Guest pages that are sent become a file that the guest can't change any more. */
static void test_pages_as_file(struct front *front)
{
	uint8_t *ring[2], *pages;
	char text[8];
	front_driver_start(front, true);
	front_open(front, ring);
	CHECK_EQ(create_pages(front, 5, VIRTIO_GPU_BLOB_MEM_GUEST, 0, 8192, &pages), OK);
	memcpy(pages + 4096, "profile", 8);
	struct br_handle handle = front_send_resource(front, 5);
	CHECK(handle.fd >= 0);
	memset(pages, 0, 8192);
	CHECK(pread(handle.fd, text, 8, 0) == 8 && memcmp(text, "profile", 8) == 0);
	close(handle.fd);
}

static void test_2d_and_cursor(struct front *front)
{
	struct virtio_gpu_resource_create_2d create = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
		.resource_id = 3,
		.format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
		.width = 64,
		.height = 32,
	};
	front_driver_start(front, true);
	CHECK_EQ(front_call(front, &create, sizeof(create)), OK);
	CHECK_EQ(front_call(front, &create, sizeof(create)), BAD_RESOURCE);
	create.resource_id = 4;
	create.format = 99;
	CHECK_EQ(front_call(front, &create, sizeof(create)), BAD);
	create.format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM;
	create.width = create.height = UINT32_MAX;
	CHECK_EQ(front_call(front, &create, sizeof(create)), BAD);
	struct {
		struct virtio_gpu_resource_attach_backing attach;
		struct virtio_gpu_mem_entry entry;
	} backing = {.attach = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
				.resource_id = 3,
				.nr_entries = 1}};
	uint8_t *bytes;
	backing.entry.addr = front_alloc(front, 8192, &bytes);
	backing.entry.length = 8192;
	CHECK_EQ(front_call(front, &backing, sizeof(backing)), OK);
	struct virtio_gpu_transfer_to_host_2d to = {
		.hdr.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
		.resource_id = 3,
		.r = {.width = 64, .height = 32},
	};
	CHECK_EQ(front_call(front, &to, sizeof(to)), OK);
	to.r.x = 1;
	CHECK_EQ(front_call(front, &to, sizeof(to)), BAD);
	struct virtio_gpu_resource_flush flush = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH,
						  .resource_id = 3,
						  .r = {.width = 64, .height = 32}};
	CHECK_EQ(front_call(front, &flush, sizeof(flush)), OK);
	struct virtio_gpu_set_scanout scanout = {.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT,
						 .resource_id = 3};
	CHECK_EQ(front_call(front, &scanout, sizeof(scanout)),
		 VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID);
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNREF, 3), OK);
	/* Each command on its own queue. */
	struct virtio_gpu_update_cursor cursor = {.hdr.type = VIRTIO_GPU_CMD_UPDATE_CURSOR};
	uint16_t head;
	(void)front_request(front, 1, &cursor, sizeof(cursor));
	CHECK(front_take(front, 1, &head));
	CHECK_EQ(front_type(front), VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID);
	CHECK_EQ(front_call(front, &cursor, sizeof(cursor)), VIRTIO_GPU_RESP_ERR_UNSPEC);
	(void)front_request(front, 1, &flush, sizeof(flush));
	CHECK(front_take(front, 1, &head));
	CHECK_EQ(front_type(front), VIRTIO_GPU_RESP_ERR_UNSPEC);
}

/* Requests that wait keep their places in the queue, and must leave some for the others. */
static void test_waiting_requests(struct front *front)
{
	uint8_t *ring[2];
	uint64_t size;
	uint16_t head;
	unsigned refused = 0;
	front_driver_start(front, true);
	front_open(front, ring);
	for (unsigned i = 0; i < 40; i++) {
		(void)front_submit(front, &poll_cmd, sizeof(poll_cmd), XD_RING_CHANNEL);
		if (front_take(front, 0, &head)) {
			CHECK_EQ(front_type(front), NO_MEMORY);
			refused++;
		}
	}
	/* One of its own, and a quarter of the quarter that all share. */
	CHECK_EQ(40 - refused, 1 + FRONT_QUEUE_SIZE / 4 / 4);
	CHECK_EQ(front_ask_image(front, ring[0], 1, &size), XD_FIRST_ITEM_ID);
	/* More programs than half of the places are refused, each by the end of its stream. */
	struct virtio_gpu_ctx_create create = {.hdr = {.type = VIRTIO_GPU_CMD_CTX_CREATE},
					       .context_init = XD_CAPSET_ID};
	const struct xd_init init = {
		.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizeof(init)},
		.query_ring_id = 1,
		.channel_ring_id = 2,
		.channel_type = XD_CHANNEL_WAYLAND,
	};
	unsigned channels = 1;
	for (create.hdr.ctx_id = 2; create.hdr.ctx_id < 50; create.hdr.ctx_id++) {
		CHECK_EQ(front_call(front, &create, sizeof(create)), OK);
		for (uint32_t id = 1; id <= 2; id++) {
			struct virtio_gpu_ctx_resource attach_cmd = {
				.hdr = {.type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE,
					.ctx_id = create.hdr.ctx_id},
				.resource_id = id,
			};
			CHECK_EQ(front_call(front, &attach_cmd, sizeof(attach_cmd)), OK);
		}
		struct {
			struct virtio_gpu_cmd_submit submit;
			struct xd_init init;
		} cmd = {.submit = {.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D,
					    .ctx_id = create.hdr.ctx_id},
				    .size = sizeof(init)},
			 .init = init};
		uint32_t type = front_call(front, &cmd, sizeof(cmd));
		CHECK(type == OK || type == NO_MEMORY);
		channels += type == OK;
	}
	CHECK_EQ(channels, FRONT_QUEUE_SIZE / 2);
	/* The fake keeps only the newest: end them all before the test does. */
	for (uint32_t id = 49; id >= 2; id--) {
		struct virtio_gpu_ctrl_hdr destroy = {.type = VIRTIO_GPU_CMD_CTX_DESTROY,
						      .ctx_id = id};
		CHECK_EQ(front_call(front, &destroy, sizeof(destroy)), OK);
	}
}

/* A pause: the guest notices nothing, and nothing is written to it meanwhile. */
static void test_pause(struct front *front)
{
	uint8_t *ring[2];
	uint16_t head, poll;
	front_driver_start(front, true);
	front_open(front, ring);
	poll = front_submit(front, &poll_cmd, sizeof(poll_cmd), XD_RING_CHANNEL);
	CHECK(!front_take(front, 0, &head));
	front_driver_stop(front);
	uint8_t before = ring[1][0];
	say("meanwhile");
	front_run(front);
	CHECK(ring[1][0] == before && front->queues[0].used->idx == front->queues[0].used_seen);
	front_driver_start(front, false);
	CHECK_EQ(front->maps, front->quirks.each ? 0 : 1);
	CHECK(front_take(front, 0, &head));
	CHECK_EQ(head, poll);
	CHECK(memcmp(ring[1] + sizeof(struct xd_send_receive), "meanwhile", 9) == 0);
	CHECK(fake_client != NULL);
}

/* A request that ends during a pause is answered behind it. */
static void test_pause_keeps_answers(struct front *front)
{
	struct {
		struct xd_send_receive head;
		uint8_t data[8];
	} cmd = {.head = {.hdr = {.cmd = XD_CMD_SEND, .cmd_size = sizeof(cmd)},
			  .opaque_data_size = 8}};
	uint8_t *ring[2];
	uint16_t head;
	front_driver_start(front, true);
	front_open(front, ring);
	fake_client->congested = true;
	uint16_t sent = front_submit(front, &cmd, sizeof(cmd), XD_RING_SEND);
	CHECK(!front_take(front, 0, &head));
	front_driver_stop(front);
	fake_client->congested = false;
	fake_client->events->requests_drained(fake_client->data);
	CHECK(!front_take(front, 0, &head));
	front_driver_start(front, false);
	CHECK(front_take(front, 0, &head));
	CHECK_EQ(head, sent);
	CHECK_EQ(front_type(front), OK);
}

/* A reset: nothing of before is left, and the window is there again. */
static void test_reset(struct front *front)
{
	uint8_t *ring[2];
	uint64_t size;
	uint16_t head;
	for (unsigned i = 1; i <= 5; i++) {
		front_driver_start(front, true);
		CHECK_EQ(front->maps, i);
		CHECK(fake_client == NULL);
		front_open(front, ring);
		uint32_t blob_id = front_ask_image(front, ring[0], 2, &size);
		CHECK_EQ(front_create_host3d(front, 5, blob_id, size), OK);
		CHECK_EQ(front_map_blob(front, 5, 0), VIRTIO_GPU_RESP_OK_MAP_INFO);
		CHECK(front->window[0] == 0);
		front->window[0] = 0xaa;
		(void)front_submit(front, &poll_cmd, sizeof(poll_cmd), XD_RING_CHANNEL);
		CHECK(!front_take(front, 0, &head));
		front_driver_stop(front);
	}
}

/* A blob that is gone as soon as the VMM has mapped it, which is while the device is stopped: QEMU 11.1
 * ends if it is asked for anything then. */
static void lose_blob_while_stopped(struct front *front)
{
	uint8_t *ring[2];
	uint64_t size;
	uint16_t head;
	front_driver_start(front, true);
	front_open(front, ring);
	uint32_t blob_id = front_ask_image(front, ring[0], 2, &size);
	CHECK_EQ(front_create_host3d(front, 5, blob_id, size), OK);
	front->hold_replies = true;
	const struct virtio_gpu_resource_map_blob map = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, .resource_id = 5};
	(void)front_request(front, 0, &map, sizeof(map));
	CHECK(!front_take(front, 0, &head));
	CHECK_EQ(front->n_shown, 1);
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNREF, 5), OK);
}

static void test_pause_asks_nothing(struct front *front)
{
	uint16_t head;
	lose_blob_while_stopped(front);
	front_driver_stop(front);
	front_release_replies(front);
	CHECK_EQ(front->n_shown, 1);
	front_driver_start(front, false);
	CHECK_EQ(front->n_shown, 0);
	CHECK(front_take(front, 0, &head));
	CHECK_EQ(front_type(front), VIRTIO_GPU_RESP_OK_MAP_INFO);
}

static void test_reset_asks_nothing(struct front *front)
{
	uint8_t *ring[2];
	for (unsigned late = 0; late < 2; late++) {
		lose_blob_while_stopped(front);
		front_driver_stop(front);
		if (!late) {
			front_release_replies(front);
		}
		front_driver_start(front, true);
		CHECK_EQ(front->n_shown, 0);
		front_release_replies(front);
		front_open(front, ring);
		front_driver_stop(front);
	}
}

static void test_memory_moves(struct front *front)
{
	uint8_t *ring[2];
	uint16_t head, poll;
	front_driver_start(front, true);
	front_open(front, ring);
	poll = front_submit(front, &poll_cmd, sizeof(poll_cmd), XD_RING_CHANNEL);
	CHECK(!front_take(front, 0, &head));
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(front_send_memory(front), 0);
	}
	say("after");
	CHECK(front_take(front, 0, &head));
	CHECK_EQ(head, poll);
	CHECK(memcmp(ring[1] + sizeof(struct xd_send_receive), "after", 5) == 0);
}

/* One VMM at a time; the next after it has left. */
static void test_reconnect(struct front *front)
{
	int pair[2];
	uint8_t *ring[2];
	front_driver_start(front, true);
	front_open(front, ring);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	CHECK_EQ(hr_vhost_serve_take(front->vhost, &pair[1]), -EBUSY);
	br_fd_clear(&front->fd);
	front_run(front);
	CHECK(fake_client == NULL);
	front->fd = pair[0];
	CHECK_EQ(hr_vhost_serve_take(front->vhost, &pair[1]), 0);
	uint64_t features;
	front_send(front, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	CHECK_EQ(front_receive(front, &features, sizeof(features)), sizeof(features));
}

static void test_ids(struct front *front)
{
	uint8_t *ring[2], *pages;
	front_driver_start(front, true);
	struct virtio_gpu_ctx_create create = {.hdr = {.type = VIRTIO_GPU_CMD_CTX_CREATE},
					       .context_init = 4};
	CHECK_EQ(front_call(front, &create, sizeof(create)), BAD);
	create.context_init = 5;
	CHECK_EQ(front_call(front, &create, sizeof(create)), BAD_CONTEXT);
	CHECK_EQ(front_create_host3d(front, 5, 2, 4096), BAD_CONTEXT);
	front_open(front, ring);
	CHECK_EQ(front_create_host3d(front, 5, 2, 4096), BAD);
	CHECK_EQ(create_pages(front, 0, VIRTIO_GPU_BLOB_MEM_GUEST, 0, 8192, &pages), BAD_RESOURCE);
	CHECK_EQ(create_pages(front, 1, VIRTIO_GPU_BLOB_MEM_GUEST, 0, 8192, &pages), BAD_RESOURCE);
	CHECK_EQ(create_pages(front, 5, VIRTIO_GPU_BLOB_MEM_GUEST, 7, 8192, &pages), BAD);
	CHECK_EQ(create_pages(front, 5, 4, 0, 8192, &pages), BAD);
	CHECK_EQ(front_attach(front, 55), BAD_RESOURCE);
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 1), BAD);
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 55), BAD_RESOURCE);
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 1),
		 VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	/* A ring that goes away while the channel has it: its memory stays until then. */
	CHECK_EQ(front_on_resource(front, VIRTIO_GPU_CMD_RESOURCE_UNREF, 2), OK);
	uint16_t head;
	(void)front_submit(front, &poll_cmd, sizeof(poll_cmd), XD_RING_CHANNEL);
	say("still");
	CHECK(front_take(front, 0, &head));
	CHECK(memcmp(ring[1] + sizeof(struct xd_send_receive), "still", 5) == 0);
}

int main(void)
{
	static const struct front_case cases[] = {
		FRONT_CASE(capsets),
		FRONT_CASE(capsets, .indirect = true),
		FRONT_CASE(notification),
		FRONT_CASE(notification, .no_event_idx = true),
		FRONT_CASE(burst),
		FRONT_CASE(burst, .indirect = true),
		FRONT_CASE(burst, .no_event_idx = true),
		FRONT_CASE(channel),
		FRONT_CASE(item),
		FRONT_CASE(item, .each = true),
		FRONT_CASE(transfer, .no_shmem = true),
		FRONT_CASE(transfer_limits, .no_shmem = true),
		FRONT_CASE(pages_as_file),
		FRONT_CASE(2d_and_cursor),
		FRONT_CASE(waiting_requests, .indirect = true),
		FRONT_CASE(pause),
		FRONT_CASE(pause, .each = true),
		FRONT_CASE(pause_keeps_answers),
		FRONT_CASE(pause_asks_nothing, .each = true),
		FRONT_CASE(reset_asks_nothing, .each = true),
		FRONT_CASE(reset),
		FRONT_CASE(memory_moves),
		FRONT_CASE(reconnect),
		FRONT_CASE(ids),
	};
	return front_run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
