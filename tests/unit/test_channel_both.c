/* SPDX-License-Identifier: MIT
 *
 * Both ends of a channel: the guest's, and causeway-host's device with a fake program's connection
 * behind it (guest.h), in one thread on one loop. Every test runs with each set of extensions.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../guest-proxy/channel.h"
#include "fd.h"
#include "guest.h"
#include "limits.h"
#include "relay.h"
#undef CHECK /* guest.h has its own; the harness names the test */
#include "test.h"
#include "transport.h"

#define MIB (1024u * 1024u)

static const uint32_t masks[] = {
	0,	    XD_EXT_PIPE_CREDIT, XD_EXT_PUSH, XD_EXT_PUSH | XD_EXT_PIPE_CREDIT,
	XD_EXT_FDS, XD_EXT_CLOCK,	UINT32_MAX,
};

struct both {
	char dir[32], path[64];
	struct hr_host host;
	struct hr_socket *sock;
	struct gp_transport *transport;
	struct gp_channel *channel;
	struct br_stream in, out, got;
	bool paused;
	unsigned writable, closed;
	char reason[128];
};

static void take(struct both *both)
{
	struct br_handle handle;
	while (br_stream_pop_handle(&both->in, &handle)) {
		CHECK_INT(br_stream_push_handle_take(&both->got, &handle), 0);
	}
	CHECK_INT(
		br_stream_write(&both->got, br_stream_peek(&both->in), br_stream_bytes(&both->in)),
		0);
	br_stream_consume(&both->in, br_stream_bytes(&both->in));
	gp_channel_resume(both->channel);
}

static void on_received(void *data)
{
	struct both *both = data;
	if (!both->paused) {
		take(both);
	}
}

static void on_writable(void *data)
{
	((struct both *)data)->writable++;
}

static void on_closed(void *data, const char *reason)
{
	struct both *both = data;
	both->closed++;
	snprintf(both->reason, sizeof(both->reason), "%s", reason);
}

static const struct gp_channel_events events = {
	.received = on_received,
	.writable = on_writable,
	.closed = on_closed,
};

/* Everything is on one loop: when it has nothing to do, nobody has. Idle callbacks do not show. */
static bool is_stuck(struct both *both)
{
	for (int i = 0; i < 3; i++) {
		struct pollfd poll_fd = {.fd = wl_event_loop_get_fd(both->host.loop),
					 .events = POLLIN};
		int n = poll(&poll_fd, 1, 0);
		CHECK_INT(wl_event_loop_dispatch(both->host.loop, 0), 0);
		if (n > 0) {
			return false;
		}
	}
	return true;
}

static void settle(struct both *both)
{
	while (!is_stuck(both)) {
	}
}

static void start(struct both *both, uint32_t extensions)
{
	(void)signal(SIGPIPE, SIG_IGN); /* as both programs do */
	*both = (struct both){.dir = "/tmp/both-XXXXXX"};
	CHECK(mkdtemp(both->dir) != NULL);
	snprintf(both->path, sizeof(both->path), "%s/socket", both->dir);
	both->host.loop = wl_event_loop_create();
	CHECK_INT(hr_socket_start(&both->host, both->path, &both->sock), 0);
	br_stream_init(&both->in, BR_LIMIT_IN_BYTES, BR_LIMIT_IN_FDS);
	br_stream_init(&both->out, SIZE_MAX / 2, SIZE_MAX / 2);
	br_stream_init(&both->got, SIZE_MAX / 2, SIZE_MAX / 2);
	const struct gp_transport_options options = {.extensions = extensions};
	CHECK_INT(
		gp_transport_socket_create(both->host.loop, both->path, &options, &both->transport),
		0);
	CHECK_INT(gp_channel_create(both->transport, "test", &both->in, &events, both,
				    &both->channel),
		  0);
	settle(both);
	CHECK(fake_client != NULL);
	CHECK_INT(both->closed, 0);
}

static void finish(struct both *both)
{
	gp_channel_destroy(both->channel);
	settle(both);
	CHECK(fake_client == NULL);
	gp_transport_destroy(both->transport);
	settle(both);
	hr_socket_finish(both->sock);
	br_stream_finish(&both->in);
	br_stream_finish(&both->out);
	br_stream_finish(&both->got);
	wl_event_loop_destroy(both->host.loop);
	(void)rmdir(both->dir);
}

/* A failure should say with which extensions. */
static void with_each(void (*run)(struct both *both))
{
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		struct both both;
		printf("# extensions 0x%x\n", masks[i]);
		fflush(stdout);
		start(&both, masks[i]);
		run(&both);
		finish(&both);
	}
}

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)((at * 2654435761u) >> 13);
}

static void fill(uint8_t *bytes, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bytes[i] = pattern(at + i);
	}
}

static void put(struct br_stream *s, size_t len)
{
	uint8_t *at = br_stream_reserve(s, len);
	CHECK(at != NULL);
	fill(at, s->head_pos + br_stream_bytes(s), len);
	br_stream_commit(s, len);
}

static int make_memory(size_t number)
{
	char text[32];
	int fd = memfd_create("test", MFD_CLOEXEC);
	snprintf(text, sizeof(text), "memory %zu", number);
	CHECK_INT(write(fd, text, sizeof(text)), sizeof(text));
	return fd;
}

static void check_handles(struct br_stream *s, size_t n)
{
	struct br_handle handle;
	char text[32], want[32];
	CHECK_INT(br_stream_handle_count(s), n);
	for (size_t i = 0; i < n; i++) {
		CHECK(br_stream_pop_handle(s, &handle));
		snprintf(want, sizeof(want), "memory %zu", i);
		CHECK_INT(pread(handle.fd, text, sizeof(text), 0), sizeof(text));
		CHECK_STR(text, want);
		br_fd_clear(&handle.fd);
	}
}

static void push(struct br_stream *s, int fd, enum br_fd_kind kind)
{
	struct br_handle handle = {.fd = fd, .kind = (uint8_t)kind};
	CHECK_INT(br_stream_push_handle_take(s, &handle), 0);
}

/* --- streams --- */

static void run_requests(struct both *both)
{
	struct br_stream got;
	size_t total = 0, n_handles = 0;
	br_stream_init(&got, SIZE_MAX / 2, SIZE_MAX / 2);
	for (size_t i = 0; i < 150; i++) {
		if (i % 3 == 0) {
			push(&both->out, make_memory(n_handles++), BR_FD_SHM);
		}
		size_t len = 8 + (i * 3571) % 20000;
		put(&both->out, len);
		total += len;
	}
	fake_client->congested = true;
	int ret;
	while ((ret = gp_channel_flush(both->channel, &both->out)) == -EAGAIN ||
	       br_stream_bytes(&got) < total) {
		unsigned writable = both->writable;
		settle(both);
		/* The host's relay takes what there is, and opens the window again. */
		struct br_stream *in = &fake_client->in;
		struct br_handle handle;
		while (br_stream_pop_handle(in, &handle)) {
			CHECK_INT(br_stream_push_handle_take(&got, &handle), 0);
		}
		CHECK_INT(br_stream_write(&got, br_stream_peek(in), br_stream_bytes(in)), 0);
		br_stream_consume(in, br_stream_bytes(in));
		fake_client->events->requests_drained(fake_client->data);
		settle(both);
		CHECK(ret == 0 || both->writable > writable);
		CHECK_STR(fake_client->failure, "");
	}
	CHECK_INT(ret, 0);
	CHECK_INT(br_stream_bytes(&got), total);
	for (size_t i = 0; i < total; i++) {
		CHECK(br_stream_peek(&got)[i] == pattern(i));
	}
	check_handles(&got, n_handles);
	br_stream_finish(&got);
}

TEST(requests_in_order_and_windowed)
{
	with_each(run_requests);
}

static void check_events(struct both *both, size_t total, size_t n_handles)
{
	if (both->closed > 0) {
		FAIL("closed: %s", both->reason);
	}
	CHECK_INT(br_stream_bytes(&both->got), total);
	for (size_t i = 0; i < total; i++) {
		CHECK(br_stream_peek(&both->got)[i] == pattern(i));
	}
	check_handles(&both->got, n_handles);
}

static void run_events(struct both *both)
{
	size_t n_handles = 0;
	for (size_t i = 0; i < 150; i++) {
		if (i % 3 == 0) {
			push(&fake_client->out, make_memory(n_handles++), BR_FD_FILE);
		}
		put(&fake_client->out, 8 + (i * 3571) % 6000);
		fake_client->events->events_ready(fake_client->data);
		if (i % 10 == 0) {
			settle(both);
		}
	}
	settle(both);
	CHECK_INT(br_stream_bytes(&fake_client->out), 0);
	check_events(both, (size_t)fake_client->out.head_pos, n_handles);
}

TEST(events_in_order)
{
	with_each(run_events);
}

static void run_unread_events(struct both *both)
{
	both->paused = true;
	put(&fake_client->out, 2 * MIB);
	fake_client->events->events_ready(fake_client->data);
	settle(both);
	if (both->closed > 0) {
		FAIL("closed: %s", both->reason);
	}
	CHECK(br_stream_bytes(&fake_client->out) > MIB);
	both->paused = false;
	take(both);
	settle(both);
	check_events(both, 2 * MIB, 0);
}

TEST(unread_events_stay_with_the_host)
{
	with_each(run_unread_events);
}

static void run_end(struct both *both)
{
	push(&fake_client->out, make_memory(0), BR_FD_FILE);
	put(&fake_client->out, 100);
	fake_client->events->events_ready(fake_client->data);
	fake_client->events->closed(fake_client->data);
	settle(both);
	CHECK_INT(both->closed, 1);
	CHECK_INT(br_stream_bytes(&both->got), 100);
	check_handles(&both->got, 1);
}

TEST(end_comes_behind_the_data)
{
	with_each(run_end);
}

/* --- pipes --- */

static size_t feed(int fd, size_t done, size_t total)
{
	uint8_t bytes[9000];
	while (done < total) {
		size_t len = total - done < sizeof(bytes) ? total - done : sizeof(bytes);
		fill(bytes, done, len);
		ssize_t n = write(fd, bytes, len);
		if (n <= 0) {
			break;
		}
		done += (size_t)n;
	}
	return done;
}

static size_t drain(int fd, size_t done, bool *ret_end)
{
	uint8_t bytes[9000];
	ssize_t n;
	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			CHECK(bytes[i] == pattern(done + (size_t)i));
		}
		done += (size_t)n;
	}
	*ret_end = n == 0;
	return done;
}

/* Bring 8 MiB through; the reader pauses at first, until nothing moves. */
static void run_pipe(struct both *both, int from, int to)
{
	const size_t total = 8 * MIB;
	size_t written = 0, before, got = 0;
	bool end = false;
	CHECK_INT(br_fd_set_nonblock(from), 0);
	CHECK_INT(br_fd_set_nonblock(to), 0);
	do {
		before = written;
		written = feed(from, written, total);
		settle(both);
	} while (written > before);
	CHECK(written < total);
	while (!end) {
		before = written + got;
		if (from >= 0) {
			written = feed(from, written, total);
			if (written == total) {
				br_fd_clear(&from);
			}
		}
		got = drain(to, got, &end);
		settle(both);
		if (!end && written + got == before && from < 0) {
			got = drain(to, got, &end);
			CHECK(end || written + got > before);
		}
		if (both->closed > 0) {
			FAIL("closed: %s", both->reason);
		}
	}
	CHECK_INT(got, total);
	br_fd_clear(&to);
}

static void run_pipe_to_program(struct both *both)
{
	int ends[2];
	struct br_handle handle;
	CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
	push(&both->out, ends[1], BR_FD_PIPE_WRITE);
	put(&both->out, 16);
	CHECK_INT(gp_channel_flush(both->channel, &both->out), 0);
	settle(both);
	CHECK(br_stream_pop_handle(&fake_client->in, &handle));
	run_pipe(both, handle.fd, ends[0]);
}

TEST_WITHIN(pipe_to_a_program, 60)
{
	with_each(run_pipe_to_program);
}

static void run_pipe_from_program(struct both *both)
{
	int ends[2];
	struct br_handle handle;
	CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
	push(&fake_client->out, ends[1], BR_FD_PIPE_WRITE);
	put(&fake_client->out, 16);
	fake_client->events->events_ready(fake_client->data);
	settle(both);
	CHECK(br_stream_pop_handle(&both->got, &handle));
	run_pipe(both, handle.fd, ends[0]);
}

TEST_WITHIN(pipe_from_a_program, 60)
{
	with_each(run_pipe_from_program);
}

/* A reader that pauses delays only itself where pipes have credit or are handed on. */
static void run_slow_reader(struct both *both)
{
	int ends[2];
	struct br_handle handle;
	size_t written = 0, before;
	CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
	push(&both->out, ends[1], BR_FD_PIPE_WRITE);
	put(&both->out, 16);
	CHECK_INT(gp_channel_flush(both->channel, &both->out), 0);
	settle(both);
	CHECK(br_stream_pop_handle(&fake_client->in, &handle));
	CHECK_INT(br_fd_set_nonblock(handle.fd), 0);
	do {
		before = written;
		written = feed(handle.fd, written, 8 * MIB);
		settle(both);
	} while (written > before);
	put(&fake_client->out, 1000);
	fake_client->events->events_ready(fake_client->data);
	settle(both);
	CHECK_INT(br_stream_bytes(&both->got), 1000);
	br_fd_clear(&handle.fd);
	br_fd_clear(&ends[0]);
}

TEST(slow_reader_delays_only_itself)
{
	static const uint32_t able[] = {XD_EXT_PIPE_CREDIT, XD_EXT_PUSH | XD_EXT_PIPE_CREDIT,
					XD_EXT_FDS, UINT32_MAX};
	for (size_t i = 0; i < 4; i++) {
		struct both both;
		start(&both, able[i]);
		run_slow_reader(&both);
		finish(&both);
	}
}

/* --- memory --- */

static void on_blob(void *data, int err, struct gp_blob *blob)
{
	CHECK_INT(err, 0);
	*(struct gp_blob **)data = blob;
}

static void run_memory(struct both *both)
{
	struct gp_blob *blobs[3] = {NULL};
	struct br_handle handle = {.fd = -1, .kind = BR_FD_SHM};
	char byte = 0;
	gp_channel_alloc_blob(both->channel, 1, on_blob, &blobs[0]);
	gp_channel_alloc_blob(both->channel, MIB, on_blob, &blobs[1]);
	gp_channel_alloc_blob(both->channel, 100000, on_blob, &blobs[2]);
	settle(both);
	CHECK(blobs[0] != NULL && blobs[1] != NULL && blobs[2] != NULL);
	blobs[1]->map[MIB - 1] = 'x';
	handle.res_id = blobs[1]->res_id;
	CHECK_INT(br_stream_push_handle_take(&both->out, &handle), 0);
	put(&both->out, 16);
	CHECK_INT(gp_channel_flush(both->channel, &both->out), 0);
	settle(both);
	CHECK_STR(fake_client->failure, "");
	CHECK(br_stream_pop_handle(&fake_client->in, &handle));
	CHECK_INT(pread(handle.fd, &byte, 1, MIB - 1), 1);
	CHECK_INT(byte, 'x');
	br_fd_clear(&handle.fd);
	for (size_t i = 0; i < 3; i++) {
		(void)gp_blob_unref(blobs[i]);
	}
}

TEST(memory_is_shared)
{
	with_each(run_memory);
}

static void on_clock(void *data, int err, const struct gp_clock_sample *sample)
{
	CHECK_INT(err, 0);
	*(struct gp_clock_sample *)data = *sample;
}

static void on_no_clock(void *data, int err, const struct gp_clock_sample *sample)
{
	CHECK(sample == NULL);
	*(int *)data = err;
}

static void run_clock(struct both *both)
{
	struct gp_clock_sample sample = {0};
	struct gp_blob *blob = NULL;
	int err = 0;
	int ret = gp_channel_read_clock(both->channel, CLOCK_MONOTONIC, on_clock, &sample);
	if (!(both->transport->caps.extensions & XD_EXT_CLOCK)) {
		CHECK_INT(ret, -EOPNOTSUPP);
		return;
	}
	CHECK_INT(ret, 0);
	CHECK_INT(gp_channel_read_clock(both->channel, CLOCK_MONOTONIC, on_clock, &sample), -EBUSY);
	/* Both answers have places of their own. */
	gp_channel_alloc_blob(both->channel, MIB, on_blob, &blob);
	settle(both);
	CHECK(blob != NULL);
	(void)gp_blob_unref(blob);
	CHECK_INT(sample.clock_id, CLOCK_MONOTONIC);
	CHECK(sample.sent_ns > 0 && sample.sent_ns <= (int64_t)sample.host_ns);
	CHECK((int64_t)sample.host_ns <= sample.received_ns);
	CHECK_INT(gp_channel_read_clock(both->channel, CLOCK_PROCESS_CPUTIME_ID, on_no_clock, &err),
		  0);
	settle(both);
	CHECK_INT(err, -ENODATA);
	CHECK_INT(gp_channel_read_clock(both->channel, 99, on_no_clock, &err), -EOPNOTSUPP);
	/* Canceled by the end. */
	CHECK_INT(gp_channel_read_clock(both->channel, CLOCK_BOOTTIME, on_no_clock, &err), 0);
	gp_channel_destroy(both->channel);
	both->channel = NULL;
	CHECK_INT(err, -ECANCELED);
}

TEST(clocks_are_compared)
{
	with_each(run_clock);
}

static void run_overdraw(struct both *both)
{
	/* All but one byte of the window, then a whole command. */
	size_t head = sizeof(struct xd_send_receive), most = XD_MAX_CMD_BYTES - head;
	both->paused = true;
	put(&fake_client->out, most + BR_CHANNEL_WINDOW_BYTES - 1 - XD_MAX_CMD_BYTES - head);
	fake_client->events->events_ready(fake_client->data);
	settle(both);
	put(&fake_client->out, 2 * most);
	fake_client->events->events_ready(fake_client->data);
	settle(both);
	CHECK_INT(both->closed, 0);
	both->paused = false;
	take(both);
	settle(both);
	check_events(both, 3 * most + BR_CHANNEL_WINDOW_BYTES - 1 - XD_MAX_CMD_BYTES - head, 0);
}

TEST(window_may_be_overdrawn)
{
	with_each(run_overdraw);
}
