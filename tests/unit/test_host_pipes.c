/* SPDX-License-Identifier: MIT
 *
 * Pipes through the host's device, as a guest sees them. Each case also checks that no fd is left.
 */
#include <drm/drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wayland/context.h"
#include "host_device.h"
#include "limits.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BAD VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
static void test_read_pipe(struct guest *guest)
{
	guest_open(guest, PUSH_ALL, NULL);
	int fd = open_read_pipe(guest, 0x80000001);
	int other = open_read_pipe(guest, 0x80000002);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	const size_t total = 64u << 20;
	size_t written = 0, got = 0, granted = 0;
	static uint8_t block[65536];
	CHECK(write(other, "other", 5) == 5);
	CHECK(!guest_receive(guest)); /* no credit */
	for (int idle = 0; got < total && idle < 3;) {
		size_t len = total - written < sizeof(block) ? total - written : sizeof(block);
		for (size_t i = 0; i < len; i++) {
			block[i] = byte_at(written + i);
		}
		ssize_t n = write(fd, block, len);
		written += n > 0 ? (size_t)n : 0;
		if (granted - got < 20000) {
			grant(guest, 0x80000001, 200001);
			granted += 200001;
		}
		idle++;
		while (guest_receive(guest)) {
			struct xd_read_write head;
			memcpy(&head, guest->bytes, sizeof(head));
			CHECK_EQ(head.identifier, 0x80000001);
			CHECK_EQ(head.opaque_data_size, guest->len - sizeof(head));
			CHECK_EQ(head.hang_up, 0);
			for (size_t i = sizeof(head); i < guest->len; i++, got++) {
				CHECK(guest->bytes[i] == byte_at(got));
			}
			CHECK(got <= granted);
			idle = 0;
		}
	}
	CHECK_EQ(got, total);
	close(fd);
	grant(guest, 0x80000001, 1);
	CHECK(guest_receive(guest));
	struct xd_read_write head;
	memcpy(&head, guest->bytes, sizeof(head));
	CHECK(head.identifier == 0x80000001 && head.hang_up == 1 && head.opaque_data_size == 0);
	grant(guest, 0x80000001, 1); /* on its way when it ended: no error */
	CHECK(!guest_receive(guest));
	grant(guest, 0x80000003, 1); /* never existed */
	CHECK(guest_receive(guest));
	CHECK_EQ(guest_type(guest), BAD);
	grant(guest, 0x80000002, 3);
	CHECK(guest_receive(guest));
	CHECK(guest->len == 24 + 3 && memcmp(guest->bytes + 24, "oth", 3) == 0);
	CHECK(!guest_receive(guest));
	close(other);

	/* A wrong guess of the number ends the client. */
	struct send send = make_send(8);
	send.head.num_identifiers = 1;
	send.head.identifiers[0] = 0x80000007;
	send.head.types[0] = XD_ITEM_READ_PIPE;
	guest_submit(guest, &send, send.head.hdr.cmd_size, -1, NULL, 0);
	guest_run(guest);
	CHECK(fake_client->failure[0]);
}

static void test_read_pipe_mailbox(struct guest *guest)
{
	int rings[2];
	guest_open(guest, 0, rings);
	int fd = open_read_pipe(guest, 0x80000001);
	CHECK(write(fd, "data", 4) == 4);
	CHECK(!guest_receive(guest)); /* no POLL */
	close(fd);
	guest_submit(guest, &poll_cmd, sizeof(poll_cmd), 1, NULL, 0);
	CHECK(guest_receive(guest));
	uint8_t page[4096];
	struct xd_read_write *head = (struct xd_read_write *)page;
	CHECK(pread(rings[1], page, sizeof(page), 0) == 4096);
	CHECK(head->hdr.cmd == XD_CMD_READ && head->hdr.cmd_size == 0);
	CHECK(head->opaque_data_size == 4 && memcmp(page + 24, "data", 4) == 0);
	CHECK(!guest_receive(guest));
	guest_submit(guest, &poll_cmd, sizeof(poll_cmd), 1, NULL, 0);
	CHECK(guest_receive(guest));
	CHECK(pread(rings[1], page, sizeof(page), 0) == 4096);
	CHECK(head->opaque_data_size == 0 && head->hang_up == 1);
	close(rings[0]);
	close(rings[1]);
}

static size_t drain(int fd, size_t got)
{
	static uint8_t block[65536];
	ssize_t n = read(fd, block, sizeof(block));
	for (ssize_t i = 0; i < n; i++, got++) {
		CHECK(block[i] == byte_at(got));
	}
	return got;
}

static void test_write_pipe(struct guest *guest)
{
	guest_open(guest, XD_EXT_PUSH | XD_EXT_PIPE_CREDIT, NULL);
	grant(guest, 0, 1u << 20);
	uint32_t slow_id, fast_id;
	int slow = open_write_pipe(guest, &slow_id), fast = open_write_pipe(guest, &fast_id);
	CHECK(fcntl(slow, F_SETFL, O_NONBLOCK) == 0 && fcntl(fast, F_SETFL, O_NONBLOCK) == 0);
	/* The reader of one pauses: its fences stop, the other's don't. */
	size_t sent = 0, got = 0, pending = 0;
	while (pending == 0) {
		guest_write(guest, slow_id, sent, 40000, false);
		sent += 40000;
		pending = guest_receive(guest) ? 0 : 1;
		CHECK(sent < BR_LIMIT_PIPE_QUEUE_BYTES);
	}
	uint64_t other = guest_write(guest, fast_id, 0, 1000, true);
	CHECK(guest_receive(guest));
	CHECK_EQ(guest->packet.cookie, other);
	CHECK_EQ(drain(fast, 0), 1000);
	CHECK(read(fast, write_cmd.data, 1) == 0); /* EOF */
	/* The reader goes on: every byte arrives, and the fence comes. */
	const size_t total = 64u << 20;
	for (int idle = 0; got < total && idle < 100; idle++) {
		if (pending == 0 && sent < total) {
			size_t len = total - sent < 40000 ? total - sent : 40000;
			guest_write(guest, slow_id, sent, len, sent + len == total);
			sent += len;
			pending = 1;
		}
		if (guest_receive(guest)) {
			CHECK_EQ(guest_type(guest), OK);
			pending = 0;
			idle = 0;
		}
		got = drain(slow, got);
	}
	CHECK_EQ(got, total);
	guest_run(guest);
	CHECK(read(slow, write_cmd.data, 1) == 0);
	close(slow);
	close(fast);

	/* A reader that died is nobody's error, and told of, whether something is written or not; more
	 * than the bound is an error. */
	int dead = open_write_pipe(guest, &fast_id);
	close(dead);
	struct xd_read_write lost;
	CHECK(guest_receive(guest));
	CHECK(guest->packet.type == SK_PUSH && guest->len == sizeof(lost));
	memcpy(&lost, guest->bytes, sizeof(lost));
	CHECK_EQ(lost.hdr.cmd, XD_CMD_READ);
	CHECK_EQ(lost.identifier, fast_id);
	CHECK(lost.hang_up == 1 && lost.opaque_data_size == 0);
	guest_write(guest, fast_id, 0, 1000, false);
	CHECK(guest_receive(guest) && guest_type(guest) == OK);
	guest_write(guest, fast_id, 0, 1000, true);
	CHECK(guest_receive(guest) && guest_type(guest) == OK);
	guest_write(guest, 0x1000, 0, 0, true);
	CHECK(guest_receive(guest));
	CHECK(fake_client->failure[0]);
}

static void test_write_pipe_bound(struct guest *guest)
{
	guest_open(guest, XD_EXT_PUSH, NULL);
	grant(guest, 0, 1u << 20);
	uint32_t id;
	int fd = open_write_pipe(guest, &id);
	for (int i = 0; i < 60 && !fake_client->failure[0]; i++) {
		guest_write(guest, id, 0, 40000, false);
		guest_run(guest);
	}
	CHECK(strstr(fake_client->failure, "pipe"));
	close(fd);
}

/* Each pipe within its bound, all of them together not. */
static void test_write_pipes_bound(struct guest *guest)
{
	enum { PIPES = 100, WRITES = 20 };
	int fds[PIPES];
	guest_open(guest, XD_EXT_PUSH, NULL);
	grant(guest, 0, 1u << 20);
	for (int i = 0; i < PIPES; i++) {
		uint32_t id;
		fds[i] = open_write_pipe(guest, &id);
		for (int n = 0; n < WRITES && !fake_client->failure[0]; n++) {
			guest_write(guest, id, 0, 40000, false);
			while (guest_receive(guest)) {
			}
		}
		if (fake_client->failure[0]) {
			CHECK(i * WRITES * 40000 > (int)BR_LIMIT_CTX_PIPE_BYTES / 2);
			close(fds[i]);
			for (int n = 0; n < i; n++) {
				close(fds[n]);
			}
			return;
		}
	}
	bool limited = false;
	CHECK(limited);
}

static void test_credit_is_limited(struct guest *guest)
{
	int64_t credit = -300;
	(void)guest;
	hr_wl_add_credit(&credit, 100);
	CHECK_EQ(credit, -200);
	hr_wl_add_credit(&credit, 1200);
	CHECK_EQ(credit, 1000);
	for (int i = 0; i < 3; i++) {
		hr_wl_add_credit(&credit, UINT32_MAX);
		CHECK_EQ(credit, BR_LIMIT_CREDIT_BYTES);
	}
}

int main(void)
{
	static const struct device_case cases[] = {
		CASE(read_pipe),	CASE(read_pipe_mailbox), CASE(write_pipe),
		CASE(write_pipe_bound), CASE(write_pipes_bound), CASE(credit_is_limited),
	};
	return run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
