/* SPDX-License-Identifier: MIT */
#include "host_device.h"

#include <signal.h>
#include <stdio.h>
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
