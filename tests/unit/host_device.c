/* SPDX-License-Identifier: MIT */
#include "host_device.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct send make_send(size_t len)
{
	struct send cmd = {.head = {.hdr = {.cmd = XD_CMD_SEND,
					    .cmd_size = (uint16_t)(sizeof(cmd.head) + len)},
				    .opaque_data_size = (uint32_t)len}};
	for (size_t i = 0; i < len; i++) {
		cmd.data[i] = (uint8_t)(i * 7 + 1);
	}
	return cmd;
}

const struct xd_poll poll_cmd = {.hdr = {.cmd = XD_CMD_POLL, .cmd_size = sizeof(poll_cmd)}};

void grant(struct guest *guest, uint32_t id, uint32_t bytes)
{
	struct xd_grant cmd = {.hdr = {.cmd = XD_CMD_GRANT, .cmd_size = sizeof(cmd)},
			       .identifier = id,
			       .bytes = bytes};
	guest_submit(guest, &cmd, sizeof(cmd), -1, NULL, 0);
}

void add_event(const char *text, size_t len)
{
	CHECK(br_stream_write(&fake_client->out, text, len) == 0);
	fake_client->events->events_ready(fake_client->data);
}

uint8_t byte_at(size_t i)
{
	return (uint8_t)(i ^ (i >> 8) ^ (i >> 16) * 31);
}

int open_read_pipe(struct guest *guest, uint32_t id)
{
	struct send send = make_send(8);
	send.head.num_identifiers = 1;
	send.head.identifiers[0] = id;
	send.head.types[0] = XD_ITEM_READ_PIPE;
	guest_submit(guest, &send, send.head.hdr.cmd_size, -1, NULL, 0);
	guest_run(guest);
	struct br_handle handle = {.fd = -1};
	CHECK(br_stream_pop_handle(&fake_client->in, &handle));
	CHECK(!(fcntl(handle.fd, F_GETFL) & O_NONBLOCK));
	return handle.fd;
}

int open_write_pipe(struct guest *guest, uint32_t *ret_id)
{
	int ends[2];
	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	struct br_handle handle = {.fd = ends[1], .kind = BR_FD_PIPE_WRITE};
	CHECK(br_stream_push_handle_take(&fake_client->out, &handle) == 0);
	add_event("send", 4);
	CHECK(guest_receive(guest));
	struct xd_send_receive head;
	memcpy(&head, guest->bytes, sizeof(head));
	CHECK(head.num_identifiers == 1 && head.types[0] == XD_ITEM_WRITE_PIPE);
	*ret_id = head.identifiers[0];
	return ends[0];
}

struct write_cmd write_cmd;

uint64_t guest_write(struct guest *guest, uint32_t id, size_t from, size_t len, bool hang_up)
{
	write_cmd.head = (struct xd_read_write){
		.hdr = {.cmd = XD_CMD_WRITE, .cmd_size = (uint16_t)(sizeof(write_cmd.head) + len)},
		.identifier = id,
		.hang_up = hang_up,
		.opaque_data_size = (uint32_t)len,
	};
	for (size_t i = 0; i < len; i++) {
		write_cmd.data[i] = byte_at(from + i);
	}
	return guest_submit(guest, &write_cmd, sizeof(write_cmd.head) + len, 0, NULL, 0);
}

int run_cases(const struct device_case *cases, size_t n)
{
	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	printf("1..%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		static struct guest guest;
		int before = open_fds();
		guest_start(&guest);
		cases[i].run(&guest);
		guest_finish(&guest);
		if (open_fds() != before) {
			printf("not ok %zu %s: %d fds left\n", i + 1, cases[i].name,
			       open_fds() - before);
			return 1;
		}
		printf("ok %zu %s\n", i + 1, cases[i].name);
		fflush(stdout);
	}
	return 0;
}
