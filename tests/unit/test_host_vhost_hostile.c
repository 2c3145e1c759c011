/* SPDX-License-Identifier: MIT
 *
 * The vhost-user front end of the device, with a VMM and a driver that lie. Whatever they do, there is
 * an error for them, or the end of their connection; never a crash, a hang, or growth.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "limits.h"
#include "vhost_frontend.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BAD VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define NO_MEMORY VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY

static uint32_t type_of(const struct front *front)
{
	struct virtio_gpu_ctrl_hdr hdr;
	memcpy(&hdr, front->answer, sizeof(hdr));
	return hdr.type;
}

/* Connect again, after the host has thrown the VMM out. */
static void reconnect(struct front *front)
{
	struct front_quirks quirks = front->quirks;
	front_finish(front);
	front_start(front, quirks);
}

static bool is_connected(struct front *front)
{
	uint64_t features;
	front_send(front, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	return front_receive(front, &features, sizeof(features)) == sizeof(features);
}

/* --- messages --- */

/* Sizes and numbers that no VMM sends: refused if an answer was asked for, else the end. */
static void test_messages(struct front *front)
{
	static const struct {
		uint32_t request;
		uint32_t size;
	} cases[] = {
		{0, 0},	  {2, 4},   {3, 8},  {5, 0},   {5, 8},	{5, 9},		 {8, 4},
		{8, 16},  {9, 39},  {10, 0}, {11, 4},  {12, 0}, {18, 16},	 {24, 4},
		{24, 12}, {24, 11}, {6, 16}, {37, 40}, {99, 0}, {UINT32_MAX, 8},
	};
	uint8_t payload[64];
	memset(payload, 0xff, sizeof(payload));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int ret = front_send_ack(front, cases[i].request, payload, cases[i].size, NULL, 0);
		CHECK(ret != 0);
		reconnect(front);
		front_send(front, cases[i].request, 0, payload, cases[i].size, NULL, 0);
		CHECK(!is_connected(front));
		reconnect(front);
	}
}

static void test_message_framing(struct front *front)
{
	struct vu_header header = {.request = VU_GET_CONFIG, .flags = VU_VERSION, .size = 1u << 30};
	/* Too large; of another version; and in pieces, which is fine. */
	CHECK(write(front->fd, &header, sizeof(header)) == sizeof(header));
	CHECK(!is_connected(front));
	reconnect(front);
	header = (struct vu_header){.request = VU_GET_FEATURES, .flags = 3};
	CHECK(write(front->fd, &header, sizeof(header)) == sizeof(header));
	CHECK(!is_connected(front));
	reconnect(front);
	uint64_t features;
	header.flags = VU_VERSION;
	for (size_t i = 0; i < sizeof(header); i++) {
		CHECK(write(front->fd, (uint8_t *)&header + i, 1) == 1);
		front_run(front);
	}
	CHECK_EQ(front_receive(front, &features, sizeof(features)), sizeof(features));
	/* Half a message, and gone. */
	CHECK(write(front->fd, &header, 5) == 5);
	reconnect(front);
	CHECK(is_connected(front));
}

static void test_stray_fds(struct front *front)
{
	int fds[12];
	uint64_t index = 0;
	for (int i = 0; i < 12; i++) {
		fds[i] = front->ram_fd;
	}
	front_send(front, VU_GET_FEATURES, 0, NULL, 0, fds, 1);
	CHECK(!is_connected(front));
	reconnect(front);
	front_send(front, VU_GET_FEATURES, 0, NULL, 0, fds, 12);
	CHECK(!is_connected(front));
	reconnect(front);
	/* None, two, one too many; a queue that there is not. */
	fds[0] = fds[1] = front->queues[0].kick_fd;
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_KICK, &index, 8, NULL, 0), 1);
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_KICK, &index, 8, fds, 2), 1);
	index = VU_VRING_NO_FD;
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_CALL, &index, 8, fds, 1), 1);
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_KICK, &index, 8, NULL, 0), 1);
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_CALL, &index, 8, NULL, 0), 0);
	index = 2;
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_CALL, &index, 8, fds, 1), 1);
	CHECK_EQ(front_send_ack(front, VU_SET_BACKEND_REQ_FD, NULL, 0, NULL, 0), 1);
}

static int send_region(struct front *front, struct vu_region region, int fd)
{
	struct vu_mem_table table = {.n_regions = 1, .regions = {region}};
	return front_send_ack(front, VU_SET_MEM_TABLE, &table, 8 + sizeof(region), &fd, 1);
}

static void test_memory_tables(struct front *front)
{
	int pipes[2];
	struct vu_region good = {.bytes = FRONT_HALF, .user_address = FRONT_USER};
	struct vu_region bad = good;
	CHECK(pipe2(pipes, O_CLOEXEC) == 0);
	CHECK_EQ(send_region(front, good, pipes[0]), 1);
	CHECK_EQ(send_region(front, good, front->fd), 1);
	close(pipes[0]);
	close(pipes[1]);
	bad.bytes = 0;
	CHECK_EQ(send_region(front, bad, front->ram_fd), 1);
	bad.bytes = FRONT_RAM_BYTES + 1;
	CHECK_EQ(send_region(front, bad, front->ram_fd), 1);
	bad = good;
	bad.file_offset = FRONT_RAM_BYTES;
	CHECK_EQ(send_region(front, bad, front->ram_fd), 1);
	bad.file_offset = UINT64_MAX - 4095;
	CHECK_EQ(send_region(front, bad, front->ram_fd), 1);
	bad = good;
	bad.guest_address = UINT64_MAX - 4095;
	CHECK_EQ(send_region(front, bad, front->ram_fd), 1);
	bad = good;
	bad.user_address = UINT64_MAX;
	CHECK_EQ(send_region(front, bad, front->ram_fd), 1);
	/* Two in the same place; nine; fewer fds than regions. */
	struct vu_mem_table table = {.n_regions = 2, .regions = {good, good}};
	int fds[] = {front->ram_fd, front->ram_fd};
	CHECK_EQ(front_send_ack(front, VU_SET_MEM_TABLE, &table, 8 + 64, fds, 2), 1);
	CHECK_EQ(front_send_ack(front, VU_SET_MEM_TABLE, &table, 8 + 64, fds, 1), 1);
	table.n_regions = 9;
	CHECK_EQ(front_send_ack(front, VU_SET_MEM_TABLE, &table, 8 + 64, fds, 2), 1);
	/* What was there before a bad one is still there. */
	front_driver_start(front, true);
	CHECK_EQ(send_region(front, bad, front->ram_fd), 1);
	struct virtio_gpu_get_capset_info info = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO};
	CHECK_EQ(front_call(front, &info, sizeof(info)), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	/* Memory without the rings in it: the queue stands still, and works again when they are back. */
	good.user_address += FRONT_RAM_BYTES;
	CHECK_EQ(send_region(front, good, front->ram_fd), 0);
	uint16_t head;
	(void)front_request(front, 0, &info, sizeof(info));
	CHECK(!front_take(front, 0, &head));
	CHECK(is_connected(front));
}

static void test_vring_setup(struct front *front)
{
	struct vu_vring_state state = {0, 0}, enable = {0, 1};
	struct vu_vring_addr addr = {0};
	uint64_t index = 0;
	static const uint32_t nums[] = {0, 3, 100, 2048, 1u << 31, UINT32_MAX};
	for (size_t i = 0; i < sizeof(nums) / sizeof(nums[0]); i++) {
		state.num = nums[i];
		CHECK_EQ(front_send_ack(front, VU_SET_VRING_NUM, &state, 8, NULL, 0), 1);
	}
	state = (struct vu_vring_state){2, 64};
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_NUM, &state, 8, NULL, 0), 1);
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_ENABLE, &state, 8, NULL, 0), 1);
	state = (struct vu_vring_state){0, 65536};
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_BASE, &state, 8, NULL, 0), 1);
	/* Before anything else; and with rings that are nowhere. */
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_KICK, &index, 8, &front->queues[0].kick_fd, 1),
		 0);
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_ENABLE, &enable, 8, NULL, 0), 0);
	front_kick(front, 0);
	front_run(front);
	uint64_t features = 1ull << 32 | VU_F_PROTOCOL_FEATURES;
	CHECK_EQ(front_send_ack(front, VU_SET_FEATURES, &features, 8, NULL, 0), 0);
	CHECK_EQ(front_send_memory(front), 0);
	state.num = 64;
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_NUM, &state, 8, NULL, 0), 0);
	static const uint64_t addresses[] = {0, FRONT_USER + 1, FRONT_USER + FRONT_HALF - 16,
					     FRONT_USER - 16, UINT64_MAX - 15};
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		addr.desc = addr.avail = addr.used = addresses[i];
		CHECK_EQ(front_send_ack(front, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
		CHECK_EQ(front_send_ack(front, VU_SET_VRING_ENABLE, &enable, 8, NULL, 0), 1);
	}
	/* Features that were not offered; a legacy driver. */
	features = 1ull << 5;
	CHECK_EQ(front_send_ack(front, VU_SET_FEATURES, &features, 8, NULL, 0), 1);
	features = 1ull << 15;
	CHECK_EQ(front_send_ack(front, VU_SET_PROTOCOL_FEATURES, &features, 8, NULL, 0), 1);
	features = 0;
	CHECK_EQ(front_send_ack(front, VU_SET_FEATURES, &features, 8, NULL, 0), 0);
	addr.desc = addr.avail = addr.used = FRONT_USER;
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_ENABLE, &enable, 8, NULL, 0), 1);
	CHECK(is_connected(front));
	/* While it runs nothing of it can be changed. */
	reconnect(front);
	front_driver_start(front, true);
	state = (struct vu_vring_state){0, 32};
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_NUM, &state, 8, NULL, 0), 1);
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_BASE, &state, 8, NULL, 0), 1);
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 1);
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_KICK, &index, 8, &front->queues[0].kick_fd, 1),
		 1);
}

/* Fds that are no eventfds: readable for ever, or full. */
static void test_wrong_eventfds(struct front *front)
{
	int pipes[2], null_fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	struct virtio_gpu_get_capset_info info = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO};
	uint16_t head;
	CHECK(pipe2(pipes, O_CLOEXEC) == 0 && null_fd >= 0);
	uint8_t page[4096] = {0};
	CHECK(fcntl(pipes[1], F_SETFL, O_NONBLOCK) == 0);
	while (write(pipes[1], page, sizeof(page)) > 0) {
	}
	CHECK(fcntl(pipes[1], F_SETFL, 0) == 0); /* blocking again */
	front_driver_start(front, true);
	uint64_t index = 0;
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_CALL, &index, 8, &pipes[1], 1), 0);
	CHECK_EQ(front_call(front, &info, sizeof(info)), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	close(pipes[1]);
	front_driver_stop(front);
	struct vu_vring_state enable = {0, 1};
	front->running = true;
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_KICK, &index, 8, &pipes[0], 1), 0);
	(void)front_send_ack(front, VU_SET_VRING_ENABLE, &enable, 8, NULL, 0);
	front_run(front);
	(void)front_take(front, 0, &head);
	close(pipes[0]);
	close(null_fd);
	for (int i = 0; i < 100; i++) {
		front_run(front); /* it does not stay readable: this ends */
	}
	CHECK(is_connected(front));
}

/* The back-end channel brings nonsense, or closes while the device waits for it. */
static void test_back_channel(struct front *front)
{
	uint64_t value = 7;
	struct virtio_gpu_get_capset_info info = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO};
	struct vu_header header = {.request = 77, .flags = VU_VERSION, .size = 8};
	CHECK(write(front->back_fd, &header, sizeof(header)) == sizeof(header));
	CHECK(write(front->back_fd, &value, sizeof(value)) == sizeof(value));
	front_run(front);
	front_driver_start(front, true);
	CHECK_EQ(front->maps, 0);
	CHECK_EQ(front_call(front, &info, sizeof(info)), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	reconnect(front);
	close(front->back_fd);
	front->back_fd = -1;
	front_driver_start(front, true);
	CHECK_EQ(front_call(front, &info, sizeof(info)), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
}

/* --- rings --- */

/* What breaks a ring breaks it until the driver starts anew, and nothing else. */
static void check_broken(struct front *front)
{
	struct virtio_gpu_get_capset_info info = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO};
	uint16_t head, used = front->queues[0].used->idx;
	front_kick(front, 0);
	front_run(front);
	CHECK_EQ(front->queues[0].used->idx, used);
	CHECK(is_connected(front));
	struct virtio_gpu_update_cursor cursor = {.hdr.type = VIRTIO_GPU_CMD_UPDATE_CURSOR};
	(void)front_request(front, 1, &cursor, sizeof(cursor));
	CHECK(front_take(front, 1, &head));
	front_driver_stop(front);
	front_driver_start(front, true);
	CHECK_EQ(front_call(front, &info, sizeof(info)), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	front_driver_stop(front);
	front_driver_start(front, true);
}

static void test_rings(struct front *front)
{
	struct front_queue *queue = &front->queues[0];
	uint8_t *bytes;
	front_driver_start(front, true);
	/* More requests than the ring holds. */
	queue->avail->idx = (uint16_t)(queue->avail->idx + FRONT_QUEUE_SIZE + 1);
	check_broken(front);
	/* A head that is no descriptor. */
	queue->avail->ring[0] = FRONT_QUEUE_SIZE;
	queue->avail->idx++;
	check_broken(front);
	/* A chain that leads out of the table, one in a circle, one of itself. */
	static const uint16_t nexts[][2] = {{FRONT_QUEUE_SIZE, 0}, {1, 0}, {0, 0}};
	for (size_t i = 0; i < 3; i++) {
		queue->desc[0] = (struct vring_desc){
			.len = 24, .flags = VRING_DESC_F_NEXT, .next = nexts[i][0]};
		queue->desc[1] = (struct vring_desc){
			.len = 24, .flags = VRING_DESC_F_NEXT, .next = nexts[i][1]};
		queue->avail->idx++;
		check_broken(front);
	}
	/* Something to read behind something to write. */
	struct vring_desc order[] = {{.len = 24, .flags = VRING_DESC_F_WRITE}, {.len = 24}};
	(void)front_add(front, 0, order, 2);
	check_broken(front);
	/* Indirect tables: of half a descriptor, empty, nowhere, too long, in another, and followed. */
	uint64_t table = front_alloc(front, 4096, &bytes);
	const struct vring_desc indirect[] = {
		{.addr = table, .len = 24, .flags = VRING_DESC_F_INDIRECT},
		{.addr = table, .len = 0, .flags = VRING_DESC_F_INDIRECT},
		{.addr = FRONT_HALF - 16, .len = 32, .flags = VRING_DESC_F_INDIRECT},
		{.addr = UINT64_MAX - 15, .len = 32, .flags = VRING_DESC_F_INDIRECT},
		{.addr = table, .len = UINT32_MAX - 15, .flags = VRING_DESC_F_INDIRECT},
		{.addr = table, .len = 16, .flags = VRING_DESC_F_INDIRECT},
		{.addr = table, .len = 16, .flags = VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT},
	};
	for (size_t i = 0; i < sizeof(indirect) / sizeof(indirect[0]); i++) {
		struct vring_desc nested = {
			.addr = table, .len = 16, .flags = VRING_DESC_F_INDIRECT};
		memcpy(front->ram + table, &nested, sizeof(nested));
		queue->desc[0] = indirect[i];
		queue->avail->ring[queue->avail->idx % FRONT_QUEUE_SIZE] = 0;
		queue->avail->idx++;
		if (i == 1) {
			continue; /* is as good as a direct one, and answered */
		}
		check_broken(front);
	}
}

/* The same buffer again and again, while its request waits. */
static void test_repeated_head(struct front *front)
{
	static const struct xd_poll poll_cmd = {
		.hdr = {.cmd = XD_CMD_POLL, .cmd_size = sizeof(poll_cmd)}};
	uint8_t *ring[2];
	front_driver_start(front, true);
	front_open(front, ring);
	uint16_t head = front_submit(front, &poll_cmd, sizeof(poll_cmd), XD_RING_CHANNEL);
	struct front_queue *queue = &front->queues[0];
	for (int i = 0; i < 2 * FRONT_QUEUE_SIZE; i++) {
		queue->avail->ring[queue->avail->idx % FRONT_QUEUE_SIZE] = head;
		queue->avail->idx++;
		front_kick(front, 0);
		front_run(front);
	}
	check_broken(front);
}

/* --- buffers --- */

static uint16_t request_in(struct front *front, const struct vring_desc *descs, unsigned n)
{
	uint16_t head = front_add(front, 0, descs, n);
	front_kick(front, 0);
	return head;
}

/* Buffers that are odd but break nothing: an error in the answer, or an empty answer. */
static void test_buffers(struct front *front)
{
	struct virtio_gpu_get_capset_info info = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO};
	uint8_t *bytes, *answer;
	uint16_t head;
	front_driver_start(front, true);
	uint64_t at = front_alloc(front, 64, &bytes), to = front_alloc(front, 512, &answer);
	memcpy(bytes, &info, sizeof(info));
	const struct vring_desc good = {.addr = to, .len = 408, .flags = VRING_DESC_F_WRITE};
	static const struct {
		uint64_t address;
		uint32_t len;
	} readable[] = {
		{UINT64_MAX, 24},
		{UINT64_MAX - 8, 24},
		{FRONT_HALF - 8, 24},
		{FRONT_HALF, 24},
		{FRONT_HIGH + FRONT_HALF - 1, 24},
		{0, UINT32_MAX},
		{0x40000, 23},
		{0x40000, 0},
	};
	for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++) {
		struct vring_desc descs[] = {{.addr = readable[i].address, .len = readable[i].len},
					     good};
		(void)request_in(front, descs, 2);
		CHECK(front_take(front, 0, &head));
		CHECK(type_of(front) >= VIRTIO_GPU_RESP_ERR_UNSPEC);
	}
	/* The answer has no room, little, or a place that is none. */
	struct vring_desc only = {.addr = at, .len = sizeof(info)};
	(void)request_in(front, &only, 1);
	struct vring_desc little[] = {only, {.addr = to, .len = 10, .flags = VRING_DESC_F_WRITE}};
	(void)request_in(front, little, 2);
	struct vring_desc nowhere[] = {
		only, {.addr = UINT64_MAX - 3, .len = 408, .flags = VRING_DESC_F_WRITE}};
	(void)request_in(front, nowhere, 2);
	struct vring_desc half[] = {
		only, {.addr = FRONT_HALF - 8, .len = 408, .flags = VRING_DESC_F_WRITE}};
	(void)request_in(front, half, 2);
	front_run(front);
	struct front_queue *queue = &front->queues[0];
	CHECK_EQ((uint16_t)(queue->used->idx - queue->used_seen), 4);
	static const uint32_t written[] = {0, 10, 0, 0};
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(queue->used->ring[queue->used_seen++ % FRONT_QUEUE_SIZE].len, written[i]);
	}
	CHECK_EQ(front_call(front, &info, sizeof(info)), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
}

/* A command larger than any is refused, also if a program of the guest can make the kernel send it. */
static void test_giant_command(struct front *front)
{
	uint8_t *bytes, *table;
	uint16_t head;
	front_driver_start(front, true);
	uint64_t at = front_alloc(front, 65536, &bytes);
	const uint32_t n = 3000;
	uint64_t list = front_alloc(front, (n + 1) * sizeof(struct vring_desc), &table);
	struct virtio_gpu_ctrl_hdr hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D,
					  .flags = VIRTIO_GPU_FLAG_FENCE,
					  .fence_id = 99,
					  .ctx_id = CTX};
	memcpy(bytes, &hdr, sizeof(hdr));
	for (uint32_t len = 16; len <= 65536; len = len * 4096) {
		struct vring_desc *descs = (void *)table;
		for (uint32_t i = 0; i < n; i++) {
			descs[i] = (struct vring_desc){.addr = at,
						       .len = i ? len : 64,
						       .flags = VRING_DESC_F_NEXT,
						       .next = (uint16_t)(i + 1)};
		}
		descs[n] = (struct vring_desc){.addr = at, .len = 408, .flags = VRING_DESC_F_WRITE};
		struct front_queue *queue = &front->queues[0];
		queue->desc[0] = (struct vring_desc){.addr = list,
						     .len = (n + 1) * (uint32_t)sizeof(*descs),
						     .flags = VRING_DESC_F_INDIRECT};
		queue->avail->ring[queue->avail_idx % FRONT_QUEUE_SIZE] = 0;
		queue->avail->idx = ++queue->avail_idx;
		front_kick(front, 0);
		front_run(front);
		CHECK_EQ(queue->used->idx, queue->avail_idx);
		queue->used_seen = queue->avail_idx;
		memcpy(&hdr, bytes, sizeof(hdr));
		CHECK_EQ(hdr.type, NO_MEMORY);
		CHECK(hdr.flags & VIRTIO_GPU_FLAG_FENCE && hdr.fence_id == 99);
		hdr.type = VIRTIO_GPU_CMD_SUBMIT_3D;
		memcpy(bytes, &hdr, sizeof(hdr));
	}
	(void)head;
}

/* --- commands --- */

struct blob_cmd {
	struct virtio_gpu_resource_create_blob blob;
	struct virtio_gpu_mem_entry entries[4];
};

static uint32_t create(struct front *front, struct blob_cmd cmd, size_t n_entries)
{
	cmd.blob.hdr = (struct virtio_gpu_ctrl_hdr){.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
						    .ctx_id = CTX};
	cmd.blob.resource_id = 50;
	return front_call(front, &cmd, sizeof(cmd.blob) + n_entries * sizeof(cmd.entries[0]));
}

static void test_counts(struct front *front)
{
	uint8_t *ring[2];
	front_driver_start(front, true);
	front_open(front, ring);
	struct blob_cmd guest = {
		.blob = {.blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST, .size = 4096, .nr_entries = 1},
		.entries = {{.addr = 0x1000, .length = 4096}}};
	struct blob_cmd cmd = guest;
	static const uint32_t counts[] = {0, 2, 5, 262145, UINT32_MAX};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		cmd.blob.nr_entries = counts[i];
		CHECK_EQ(create(front, cmd, 1), BAD);
	}
	static const struct {
		uint64_t address;
		uint32_t len;
	} entries[] = {
		{FRONT_HALF, 4096},
		{FRONT_HALF - 1, 4096},
		{UINT64_MAX - 100, 4096},
		{0, 0},
		{0, UINT32_MAX},
		{FRONT_HIGH - 1, 4096},
		{0, 4095},
	};
	cmd = guest;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		cmd.entries[0] = (struct virtio_gpu_mem_entry){.addr = entries[i].address,
							       .length = entries[i].len};
		CHECK_EQ(create(front, cmd, 1), BAD);
	}
	static const uint64_t sizes[] = {0, 1ull << 63, UINT64_MAX, BR_LIMIT_BLOB_BYTES + 1, 4097};
	cmd = guest;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		cmd.blob.size = sizes[i];
		CHECK_EQ(create(front, cmd, 1), BAD);
	}
	CHECK_EQ(create(front, guest, 1), OK);
	/* A device full of resources, and of contexts. */
	struct virtio_gpu_resource_create_2d flat = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
						     .format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
						     .width = 1,
						     .height = 1};
	uint32_t type = OK, n = 0;
	for (flat.resource_id = 100; type == OK; flat.resource_id++, n++) {
		type = front_call(front, &flat, sizeof(flat));
	}
	CHECK_EQ(type, NO_MEMORY);
	CHECK_EQ(n, BR_LIMIT_RESOURCES - 3 + 1);
	struct virtio_gpu_ctx_create context = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_CREATE, .ctx_id = 10},
		.context_init = XD_CAPSET_ID};
	type = OK;
	for (n = 0; type == OK; context.hdr.ctx_id++, n++) {
		type = front_call(front, &context, sizeof(context));
	}
	CHECK_EQ(type, NO_MEMORY);
	CHECK_EQ(n, BR_LIMIT_CLIENTS);
}

/* --- racing writes --- */

struct scribbler {
	uint8_t *memory;
	size_t bytes;
	atomic_bool stop;
};

static void *scribble(void *data)
{
	struct scribbler *scribbler = data;
	uint32_t state = 1;
	while (!atomic_load(&scribbler->stop)) {
		state = state * 1664525 + 1013904223;
		((volatile uint8_t *)scribbler->memory)[(state >> 8) % scribbler->bytes] =
			(uint8_t)state;
	}
	return NULL;
}

/* Rings and everything in them change while the host reads them. */
static void test_scribbled_rings(struct front *front)
{
	for (int round = 0; round < 30; round++) {
		front_driver_start(front, true);
		struct scribbler scribbler = {.memory = front->ram, .bytes = 0x60000};
		pthread_t thread;
		CHECK(pthread_create(&thread, NULL, scribble, &scribbler) == 0);
		for (int i = 0; i < 100; i++) {
			front_kick(front, (unsigned)i & 1);
			wl_event_loop_dispatch(front->host.loop, 0);
		}
		atomic_store(&scribbler.stop, true);
		CHECK(pthread_join(thread, NULL) == 0);
		front_driver_stop(front);
	}
	CHECK(is_connected(front));
}

/* The mailbox, while the host fills it. */
static void test_scribbled_mailbox(struct front *front)
{
	static const struct xd_poll poll_cmd = {
		.hdr = {.cmd = XD_CMD_POLL, .cmd_size = sizeof(poll_cmd)}};
	uint8_t *ring[2];
	uint16_t head;
	front_driver_start(front, true);
	front_open(front, ring);
	struct scribbler scribbler = {.memory = ring[1], .bytes = 4096};
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, scribble, &scribbler) == 0);
	for (int i = 0; i < 300; i++) {
		(void)front_submit(front, &poll_cmd, sizeof(poll_cmd), XD_RING_CHANNEL);
		CHECK(br_stream_write(&fake_client->out, "some bytes", 10) == 0);
		fake_client->events->events_ready(fake_client->data);
		CHECK(front_take(front, 0, &head));
	}
	atomic_store(&scribbler.stop, true);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK_EQ(br_stream_bytes(&fake_client->out), 0);
}

/* Chains as long as can be, which cost nothing but time: others get their turn between them. */
static void test_long_chains(struct front *front)
{
	uint8_t *bytes;
	const uint32_t n = 65536;
	const uint16_t chains = 12;
	front_driver_start(front, true);
	uint64_t at = front_alloc(front, n * sizeof(struct vring_desc), &bytes);
	struct vring_desc *descs = (void *)bytes;
	for (uint32_t i = 0; i < n; i++) {
		descs[i] = (struct vring_desc){.addr = at, .len = 1};
		descs[i].flags = i + 1 < n ? VRING_DESC_F_NEXT : VRING_DESC_F_WRITE;
		descs[i].next = (uint16_t)(i + 1);
	}
	struct front_queue *queue = &front->queues[0];
	uint16_t before = queue->used->idx;
	for (uint16_t i = 0; i < chains; i++) {
		queue->desc[i] = (struct vring_desc){.addr = at,
						     .len = n * (uint32_t)sizeof(*descs),
						     .flags = VRING_DESC_F_INDIRECT};
		queue->avail->ring[queue->avail_idx % FRONT_QUEUE_SIZE] = i;
		queue->avail->idx = ++queue->avail_idx;
	}
	front_kick(front, 0);
	wl_event_loop_dispatch(front->host.loop, 0);
	uint16_t done = (uint16_t)(queue->used->idx - before);
	CHECK(done > 0 && done <= 4);
	front_run(front);
	CHECK_EQ((uint16_t)(queue->used->idx - before), chains);
	queue->used_seen = queue->used->idx;
}

int main(void)
{
	static const struct front_case cases[] = {
		FRONT_CASE(messages),	     FRONT_CASE(message_framing),
		FRONT_CASE(stray_fds),	     FRONT_CASE(memory_tables),
		FRONT_CASE(vring_setup),     FRONT_CASE(wrong_eventfds),
		FRONT_CASE(back_channel),    FRONT_CASE(rings),
		FRONT_CASE(repeated_head),   FRONT_CASE(buffers),
		FRONT_CASE(giant_command),   FRONT_CASE(counts),
		FRONT_CASE(scribbled_rings), FRONT_CASE(scribbled_mailbox),
		FRONT_CASE(long_chains),
	};
	return front_run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
