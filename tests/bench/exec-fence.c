/* SPDX-License-Identifier: MIT
 *
 * exec-fence fence|event|channel COUNT
 *
 * How long a command takes to the host and back, without the proxy and its clients: "fence" waits for
 * the sync file of an EXECBUFFER, "event" for the event of a fence on a polled ring. "channel" has the
 * compositor in it: a wl_display.sync in a SEND, and POLLs until its answer is in the mailbox. Prints
 * "MEDIAN us min MIN avg AVG".
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node.h"

#define EVENT_MS 20000
#define SYNC_ID 2 /* free again after each wl_display.delete_id */
/* wl_callback.done and wl_display.delete_id. */
#define ANSWER_BYTES 24

/* A context with the channel's two answer pages. */
struct channel {
	int fd;
	struct object query_ring, ring;
};

struct sync_command {
	struct xd_send_receive send;
	uint32_t message[3];
};

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* A query that the host answers at once. */
static const struct xd_get_image_requirements query = {
	.hdr = {.cmd = XD_CMD_GET_IMAGE_REQUIREMENTS, .cmd_size = sizeof(query)},
	.width = 64,
	.height = 64,
	.drm_format = NODE_FOURCC_XR24,
	.flags = NODE_IMAGE_FLAGS,
};

static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		die("%s", what);
	}
}

static void open_channel(struct channel *channel, uint32_t type)
{
	channel->fd = node_open();
	check(node_init_context(channel->fd, XD_NUM_RINGS, 1u << XD_RING_CHANNEL), "CONTEXT_INIT");
	check(node_make_object(channel->fd, VIRTGPU_BLOB_MEM_GUEST, 0, NODE_RING_BYTES,
			       &channel->query_ring),
	      "the query ring");
	check(node_make_object(channel->fd, VIRTGPU_BLOB_MEM_GUEST, 0, NODE_RING_BYTES,
			       &channel->ring),
	      "the channel's ring");
	struct xd_init init = {.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizeof(init)},
			       .query_ring_id = channel->query_ring.res_id,
			       .channel_ring_id = channel->ring.res_id,
			       .channel_type = type};
	check(node_submit(channel->fd, &init, sizeof(init)), "INIT");
}

/* Submit on the polled ring, and wait for the event of its fence. */
static void submit_polled(struct channel *channel, const void *command, uint32_t size)
{
	uint8_t event[64];
	struct pollfd wait = {.fd = channel->fd, .events = POLLIN};
	check(node_exec(channel->fd, command, size, XD_RING_CHANNEL, NULL), "EXECBUFFER");
	if (poll(&wait, 1, EVENT_MS) != 1 || read(channel->fd, event, sizeof(event)) <= 0) {
		die("waited %d ms for the event of a fence", EVENT_MS);
	}
}

static void trip_fence(struct channel *channel)
{
	check(node_submit(channel->fd, &query, sizeof(query)), "EXECBUFFER");
}

static void trip_event(struct channel *channel)
{
	submit_polled(channel, &query, sizeof(query));
}

static void trip_channel(struct channel *channel)
{
	struct xd_poll poll_command = {
		.hdr = {.cmd = XD_CMD_POLL, .cmd_size = sizeof(poll_command)}};
	struct sync_command sync = {
		.send = {.hdr = {.cmd = XD_CMD_SEND, .cmd_size = sizeof(sync)},
			 .opaque_data_size = sizeof(sync.message)},
		.message = {1, sizeof(sync.message) << 16, SYNC_ID}, /* wl_display.sync */
	};
	uint32_t got = 0;
	check(node_exec(channel->fd, &sync, sizeof(sync), XD_RING_QUERY, NULL), "SEND");
	while (got < ANSWER_BYTES) {
		struct xd_send_receive answer;
		memset(channel->ring.map, 0, sizeof(answer));
		submit_polled(channel, &poll_command, sizeof(poll_command));
		memcpy(&answer, channel->ring.map, sizeof(answer));
		if (answer.hdr.cmd != XD_CMD_RECEIVE) {
			errno = EPROTO;
			die("command %u in the mailbox", answer.hdr.cmd);
		}
		got += answer.opaque_data_size;
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	size_t count = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 0;
	void (*trip)(struct channel *channel) = strcmp(mode, "fence") == 0     ? trip_fence
						: strcmp(mode, "event") == 0   ? trip_event
						: strcmp(mode, "channel") == 0 ? trip_channel
									       : NULL;
	uint64_t *ns = calloc(count > 0 ? count : 1, sizeof(*ns)), total = 0;
	struct channel channel;
	if (trip == NULL || count == 0 || ns == NULL) {
		fputs("usage: exec-fence fence|event|channel COUNT\n", stderr);
		return 2;
	}
	open_channel(&channel, trip == trip_channel ? XD_CHANNEL_WAYLAND : XD_CHANNEL_NONE);
	for (size_t i = 0; i < count; i++) {
		uint64_t start = now_ns();
		trip(&channel);
		ns[i] = now_ns() - start;
		total += ns[i];
	}
	qsort(ns, count, sizeof(*ns), compare);
	printf("%.3f us min %.3f avg %.3f\n", (double)ns[count / 2] / 1000.0,
	       (double)ns[0] / 1000.0, (double)total / (double)count / 1000.0);
	free(ns);
	return 0;
}
