/* SPDX-License-Identifier: MIT
 *
 * The host's end of the channel with the habits of other guests than ours: Sommelier (SOM),
 * wayland-proxy-virtwl (WPV), wl-cross-domain-proxy (WCDP), muvm. Behind virtqueues, as they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"
#include "vhost_frontend.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define PAGE 4096

static const struct xd_poll poll_cmd = {
	.hdr = {.cmd = XD_CMD_POLL, .ring_idx = XD_RING_CHANNEL, .cmd_size = sizeof(poll_cmd)}};

static uint16_t send_poll(struct front *front)
{
	return front_submit(front, &poll_cmd, sizeof(poll_cmd), XD_RING_CHANNEL);
}

static void say(const char *text)
{
	CHECK(br_stream_write(&fake_client->out, text, strlen(text)) == 0);
	fake_client->events->events_ready(fake_client->data);
}

static uint32_t answer_of(struct front *front, uint16_t want)
{
	struct virtio_gpu_ctrl_hdr hdr;
	uint16_t head;
	CHECK(front_take(front, 0, &head));
	CHECK_EQ(head, want);
	memcpy(&hdr, front->answer, sizeof(hdr));
	return hdr.type;
}

static uint32_t submit(struct front *front, const void *cmds, size_t len)
{
	return answer_of(front, front_submit(front, cmds, len, -1));
}

static void take_poll(struct front *front, uint16_t poll, const uint8_t *ring,
		      struct xd_send_receive *ret_head)
{
	CHECK_EQ(answer_of(front, poll), OK);
	memcpy(ret_head, ring, sizeof(*ret_head));
}

/* WPV compares the first 32 bits with the command's number: the rest of the header is 0. */
static void test_headers_of_zeroes(struct front *front)
{
	struct xd_send_receive head;
	uint8_t *ring[2];
	uint32_t words[2];
	front_driver_start(front, true);
	front_open(front, ring);
	memset(ring[1], 0xff, PAGE);
	uint16_t poll = send_poll(front);
	say("x");
	take_poll(front, poll, ring[1], &head);
	memcpy(words, ring[1], sizeof(words));
	CHECK(words[0] == XD_CMD_RECEIVE && words[1] == 0);
	/* READ too. */
	struct {
		struct xd_send_receive head;
		uint8_t data[8];
	} cmd = {.head = {.hdr = {.cmd = XD_CMD_SEND, .cmd_size = sizeof(cmd)},
			  .num_identifiers = 1,
			  .opaque_data_size = 8,
			  .identifiers = {XD_FIRST_READ_PIPE_ID},
			  .types = {XD_ITEM_READ_PIPE}}};
	CHECK_EQ(submit(front, &cmd, sizeof(cmd)), OK);
	struct br_handle handle = {.fd = -1};
	CHECK(br_stream_pop_handle(&fake_client->in, &handle));
	CHECK(write(handle.fd, "pasted", 6) == 6);
	memset(ring[1], 0xff, PAGE);
	take_poll(front, send_poll(front), ring[1], &head);
	memcpy(words, ring[1], sizeof(words));
	CHECK(words[0] == XD_CMD_READ && words[1] == 0);
	struct xd_read_write read_head;
	memcpy(&read_head, ring[1], sizeof(read_head));
	CHECK(read_head.identifier == XD_FIRST_READ_PIPE_ID && read_head.hang_up == 0);
	CHECK(memcmp(ring[1] + sizeof(read_head), "pasted", 6) == 0);
	/* The end: no bytes, and hang_up. */
	close(handle.fd);
	take_poll(front, send_poll(front), ring[1], &head);
	memcpy(&read_head, ring[1], sizeof(read_head));
	CHECK(read_head.hang_up == 1 && read_head.opaque_data_size == 0);
}

/* WPV polls only when it wants to read, and reads the mailbox in place until then. */
static void test_lazy_poll(struct front *front)
{
	struct xd_send_receive head;
	uint8_t *ring[2], before[PAGE];
	uint16_t unused;
	front_driver_start(front, true);
	front_open(front, ring);
	memcpy(before, ring[1], PAGE);
	for (int i = 0; i < 50; i++) {
		say("event ");
	}
	CHECK(!front_take(front, 0, &unused));
	CHECK(memcmp(before, ring[1], PAGE) == 0);
	take_poll(front, send_poll(front), ring[1], &head);
	CHECK_EQ(head.opaque_data_size, 300);
	memcpy(before, ring[1], PAGE);
	say("later");
	front_run(front);
	CHECK(memcmp(before, ring[1], PAGE) == 0);
	take_poll(front, send_poll(front), ring[1], &head);
	CHECK_EQ(head.opaque_data_size, 5);
}

/* What does not fit a page comes in pages, in order. */
static void test_one_page(struct front *front)
{
	struct xd_send_receive head;
	static char text[20001], got[20001];
	uint8_t *ring[2];
	size_t done = 0;
	front_driver_start(front, true);
	front_open(front, ring);
	for (size_t i = 0; i < 20000; i++) {
		text[i] = (char)('a' + i % 23);
	}
	say(text);
	while (done < 20000) {
		take_poll(front, send_poll(front), ring[1], &head);
		CHECK(head.opaque_data_size > 0 && head.opaque_data_size <= XD_MAX_DATA_COMPAT);
		memcpy(got + done, ring[1] + sizeof(head), head.opaque_data_size);
		done += head.opaque_data_size;
	}
	CHECK(memcmp(text, got, 20000) == 0);
}

/* SOM and WCDP don't know the end of the stream, and poll on: that must cost nobody anything. */
static void test_poll_behind_the_end(struct front *front)
{
	struct xd_send_receive head;
	uint8_t *ring[2];
	uint16_t unused;
	front_driver_start(front, true);
	front_open(front, ring);
	uint16_t poll = send_poll(front);
	fake_client->events->closed(fake_client->data);
	take_poll(front, poll, ring[1], &head);
	CHECK_EQ(head.hdr.cmd, XD_CMD_RECEIVE);
	CHECK(head.num_identifiers == 0 && head.opaque_data_size == 0);
	(void)send_poll(front);
	CHECK(!front_take(front, 0, &unused));
	/* Nothing to do for the host either: its loop sleeps. */
	CHECK_EQ(wl_event_loop_dispatch(front->host.loop, 0), 0);
	/* What is sent still is no error, which would be on the console for each. */
	struct xd_send_receive send = {.hdr = {.cmd = XD_CMD_SEND, .cmd_size = sizeof(send)}};
	CHECK_EQ(submit(front, &send, sizeof(send)), OK);
}

/* SOM and WCDP end a pipe with the command that brings its last bytes; WPV with an empty one, and it may
 * bring a page. */
static void test_ends_of_pipes(struct front *front)
{
	static struct {
		struct xd_read_write head;
		uint8_t data[PAGE];
	} cmd;
	struct xd_send_receive head;
	uint8_t *ring[2], got[PAGE];
	front_driver_start(front, true);
	front_open(front, ring);
	for (int wpv = 0; wpv < 2; wpv++) {
		int ends[2];
		CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
		struct br_handle handle = {.fd = ends[1], .kind = BR_FD_PIPE_WRITE};
		CHECK(br_stream_push_handle_take(&fake_client->out, &handle) == 0);
		uint16_t poll = send_poll(front);
		say("send");
		take_poll(front, poll, ring[1], &head);
		CHECK(head.num_identifiers == 1 && head.types[0] == XD_ITEM_WRITE_PIPE);
		uint32_t len = wpv ? PAGE : 4072;
		memset(cmd.data, 'a' + wpv, sizeof(cmd.data));
		cmd.head = (struct xd_read_write){
			.hdr = {.cmd = XD_CMD_WRITE,
				.cmd_size = (uint16_t)(sizeof(cmd.head) + len)},
			.identifier = head.identifiers[0],
			.hang_up = !wpv,
			.opaque_data_size = len,
		};
		CHECK_EQ(submit(front, &cmd, sizeof(cmd.head) + len), OK);
		CHECK_EQ(read(ends[0], got, sizeof(got)), len);
		CHECK(memcmp(got, cmd.data, len) == 0);
		if (wpv) {
			CHECK(read(ends[0], got, 1) < 0 && errno == EAGAIN);
			cmd.head.hdr.cmd_size = sizeof(cmd.head);
			cmd.head.hang_up = 1;
			cmd.head.opaque_data_size = 0;
			CHECK_EQ(submit(front, &cmd, sizeof(cmd.head)), OK);
		}
		CHECK_EQ(read(ends[0], got, 1), 0);
		close(ends[0]);
	}
}

/* Ids of read pipes are the guest's guess: one after the other, whatever else has ids. A wrong one ends
 * the program, not the device. */
static void test_read_pipe_ids(struct front *front)
{
	static struct {
		struct xd_send_receive head;
		uint8_t data[8];
	} cmd;
	uint8_t *ring[2];
	front_driver_start(front, true);
	front_open(front, ring);
	for (uint32_t i = 0; i < 5; i++) {
		cmd.head = (struct xd_send_receive){
			.hdr = {.cmd = XD_CMD_SEND, .cmd_size = sizeof(cmd)},
			.num_identifiers = 1,
			.opaque_data_size = 8,
			.identifiers = {XD_FIRST_READ_PIPE_ID + i},
			.types = {XD_ITEM_READ_PIPE},
		};
		CHECK_EQ(submit(front, &cmd, sizeof(cmd)), OK);
		struct br_handle handle = {.fd = -1};
		CHECK(br_stream_pop_handle(&fake_client->in, &handle));
		close(handle.fd);
	}
	cmd.head.identifiers[0] = XD_FIRST_READ_PIPE_ID + 99;
	CHECK(submit(front, &cmd, sizeof(cmd)) != OK);
	CHECK(fake_client->failure[0] != '\0');
}

/* Several commands in one submit; SOM sends its INIT alone, WCDP not. */
static void test_commands_in_a_row(struct front *front)
{
	struct {
		struct xd_init init;
		struct xd_poll poll;
	} __attribute__((packed)) cmds = {
		.init = {.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizeof(cmds.init)},
			 .query_ring_id = 1,
			 .channel_ring_id = 2,
			 .channel_type = XD_CHANNEL_WAYLAND},
		.poll = poll_cmd,
	};
	struct xd_send_receive head;
	uint8_t *ring[2];
	front_driver_start(front, true);
	front_open_rings(front, ring);
	uint16_t poll = front_submit(front, &cmds, sizeof(cmds), XD_RING_CHANNEL);
	front_run(front);
	CHECK(fake_client != NULL);
	say("hello");
	take_poll(front, poll, ring[1], &head);
	CHECK_EQ(head.opaque_data_size, 5);
	/* A size that is none ends the row, and the program: nothing is read twice. */
	cmds.poll.hdr.cmd_size = 0;
	CHECK(submit(front, (uint8_t *)&cmds + sizeof(cmds.init), sizeof(cmds.poll)) != OK);
	CHECK(fake_client->failure[0] != '\0');
}

/* INIT of the year 2022 has one ring for both; of muvm a version; of crosvm a UUID. */
static void test_init_sizes(struct front *front)
{
	const size_t sizes[] = {16, 20, 24, 36};
	for (size_t i = 0; i < 4; i++) {
		struct xd_init_uuid init = {
			.init = {.hdr = {.cmd = XD_CMD_INIT, .cmd_size = (uint16_t)sizes[i]},
				 .query_ring_id = 1,
				 .channel_ring_id = sizes[i] == 16 ? XD_CHANNEL_WAYLAND : 2,
				 .channel_type = XD_CHANNEL_WAYLAND},
		};
		struct xd_send_receive head;
		uint8_t *ring[2];
		front_driver_start(front, true);
		front_open_rings(front, ring);
		CHECK_EQ(submit(front, &init, sizes[i]), OK);
		CHECK(fake_client != NULL);
		uint16_t poll = send_poll(front);
		say("hello");
		take_poll(front, poll, ring[sizes[i] == 16 ? 0 : 1], &head);
		CHECK_EQ(head.opaque_data_size, 5);
		front_driver_stop(front);
	}
}

/* A read-only file from the compositor, as SOM and WPV get their keymaps: blob of its very size, once;
 * the guest may drop it unread. */
static void test_items(struct front *front)
{
	struct xd_send_receive head;
	uint8_t *ring[2];
	front_driver_start(front, true);
	front_open(front, ring);
	for (uint32_t i = 0; i < 3; i++) {
		struct br_handle handle = {.fd = memfd_create("keymap", MFD_CLOEXEC),
					   .kind = BR_FD_FILE};
		CHECK(ftruncate(handle.fd, 5000) == 0);
		CHECK(br_stream_push_handle_take(&fake_client->out, &handle) == 0);
		uint16_t poll = send_poll(front);
		say("keymap");
		take_poll(front, poll, ring[1], &head);
		CHECK(head.num_identifiers == 1 && head.types[0] == XD_ITEM_BLOB);
		CHECK_EQ(head.identifiers[0], XD_FIRST_ITEM_ID + i);
		CHECK_EQ(head.sizes[0], 5000);
	}
	struct virtio_gpu_resource_create_blob blob = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, .ctx_id = CTX},
		.resource_id = 5,
		.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
		.blob_flags =
			VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE | VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE,
		.blob_id = XD_FIRST_ITEM_ID + 1,
		.size = 8192,
	};
	CHECK_EQ(front_call(front, &blob, sizeof(blob)), OK);
}

int main(void)
{
	static const struct front_case cases[] = {
		FRONT_CASE(headers_of_zeroes),
		FRONT_CASE(lazy_poll),
		FRONT_CASE(one_page),
		FRONT_CASE(poll_behind_the_end),
		FRONT_CASE(ends_of_pipes),
		FRONT_CASE(read_pipe_ids),
		FRONT_CASE(commands_in_a_row),
		FRONT_CASE(init_sizes),
		FRONT_CASE(items),
	};
	return front_run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
