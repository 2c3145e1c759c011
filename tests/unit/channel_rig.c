/* SPDX-License-Identifier: MIT */
#include "channel_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"
#include "limits.h"
#include "test.h"

void rig_destroy_channel(struct rig *guest)
{
	gp_channel_destroy(guest->channel);
	guest->channel = NULL;
}

void rig_take_received(struct rig *guest)
{
	struct br_handle handle;
	while (br_stream_pop_handle(&guest->in, &handle)) {
		CHECK_INT(br_stream_push_handle_take(&guest->got, &handle), 0);
	}
	CHECK_INT(br_stream_write(&guest->got, br_stream_peek(&guest->in),
				  br_stream_bytes(&guest->in)),
		  0);
	br_stream_consume(&guest->in, br_stream_bytes(&guest->in));
	gp_channel_resume(guest->channel);
}

static void on_received(void *data)
{
	struct rig *guest = data;
	CHECK_INT(guest->closed, 0);
	guest->received++;
	if (guest->destroy_when == IN_RECEIVED) {
		rig_destroy_channel(guest);
	} else if (!guest->paused) {
		rig_take_received(guest);
	}
}

static void on_writable(void *data)
{
	struct rig *guest = data;
	guest->writable++;
	if (guest->destroy_when == IN_WRITABLE) {
		rig_destroy_channel(guest);
	}
}

static void on_closed(void *data, const char *reason)
{
	struct rig *guest = data;
	guest->closed++;
	snprintf(guest->reason, sizeof(guest->reason), "%s", reason);
	if (guest->destroy_when == IN_CLOSED) {
		rig_destroy_channel(guest);
	}
}

static void on_lost(void *data, const char *reason)
{
	struct rig *guest = data;
	CHECK(reason != NULL);
	guest->lost++;
}

const struct gp_channel_events rig_events = {
	.received = on_received,
	.writable = on_writable,
	.closed = on_closed,
};

/* One turn for each side. Returns false when both had nothing to do. */
bool rig_take_turn(struct rig *guest)
{
	bool busy = fake_run(&guest->host);
	struct pollfd poll_fd = {.fd = wl_event_loop_get_fd(guest->loop), .events = POLLIN};
	busy = poll(&poll_fd, 1, 0) > 0 || busy;
	CHECK_INT(wl_event_loop_dispatch(guest->loop, 0), 0);
	return busy;
}

/* Idle callbacks do not show in the loop's fd: nothing is still nothing after two turns. */
bool rig_is_stuck(struct rig *guest)
{
	return !rig_take_turn(guest) && !rig_take_turn(guest) && !rig_take_turn(guest);
}

void rig_settle(struct rig *guest)
{
	while (!rig_is_stuck(guest)) {
	}
}

void rig_open_transport(struct rig *guest)
{
	const struct gp_transport_options options = {
		.extensions = UINT32_MAX, .lost = on_lost, .data = guest};
	CHECK_INT(gp_transport_socket_create(guest->loop, guest->host.path, &options,
					     &guest->transport),
		  0);
}

void rig_open_channel(struct rig *guest)
{
	CHECK_INT(gp_channel_create(guest->transport, "test program", &guest->in, &rig_events,
				    guest, &guest->channel),
		  0);
}

void rig_start_unopened(struct rig *guest)
{
	(void)signal(SIGPIPE, SIG_IGN); /* as the program does */
	*guest = (struct rig){.paused = false};
	fake_start(&guest->host);
	guest->loop = wl_event_loop_create();
	br_stream_init(&guest->in, BR_LIMIT_IN_BYTES, BR_LIMIT_IN_FDS);
	br_stream_init(&guest->out, SIZE_MAX / 2, SIZE_MAX / 2);
	br_stream_init(&guest->got, SIZE_MAX / 2, SIZE_MAX / 2);
	rig_open_transport(guest);
}

void rig_start(struct rig *guest)
{
	rig_start_unopened(guest);
	rig_open_channel(guest);
	RUN_UNTIL(guest, guest->host.n_polls == 1);
}

void rig_finish(struct rig *guest)
{
	gp_channel_destroy(guest->channel);
	rig_settle(guest);
	if (guest->host.fd >= 0) {
		/* Nothing is left on the host. */
		CHECK_INT(guest->host.ctx_id, 0);
		CHECK_INT(fake_count_resources(&guest->host), 0);
	}
	gp_transport_destroy(guest->transport);
	fake_finish(&guest->host);
	br_stream_finish(&guest->in);
	br_stream_finish(&guest->out);
	br_stream_finish(&guest->got);
	wl_event_loop_destroy(guest->loop);
}

/* --- data --- */

uint8_t rig_pattern(uint64_t position)
{
	return (uint8_t)((position * 2654435761u) >> 13);
}

void rig_fill(uint8_t *bytes, uint64_t position, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bytes[i] = rig_pattern(position + i);
	}
}

void rig_put(struct br_stream *s, size_t len)
{
	uint8_t *at = br_stream_reserve(s, len);
	CHECK(at != NULL);
	rig_fill(at, s->head_pos + br_stream_bytes(s), len);
	br_stream_commit(s, len);
}

/* All bytes of a stream that was never consumed from. */
void rig_check_pattern(const struct br_stream *s, size_t len)
{
	CHECK_INT(br_stream_bytes(s), len);
	for (size_t i = 0; i < len; i++) {
		if (br_stream_peek(s)[i] != rig_pattern(i)) {
			FAIL("byte %zu of %zu differs", i, len);
		}
	}
}

int rig_make_memory(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_INT(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

void rig_check_memory(int fd, const char *text)
{
	char bytes[64] = "";
	CHECK_INT(pread(fd, bytes, sizeof(bytes) - 1, 0), strlen(text));
	CHECK_STR(bytes, text);
}

void rig_push_handle(struct br_stream *s, int *fd, enum br_fd_kind kind)
{
	struct br_handle handle = {.fd = br_fd_take(fd), .kind = (uint8_t)kind};
	CHECK_INT(br_stream_push_handle_take(s, &handle), 0);
}

/* Flush, as often as the window makes it wait. */
void rig_send_all(struct rig *guest)
{
	int ret = gp_channel_flush(guest->channel, &guest->out);
	while (ret == -EAGAIN) {
		unsigned before = guest->writable;
		RUN_UNTIL(guest, guest->writable > before);
		ret = gp_channel_flush(guest->channel, &guest->out);
	}
	CHECK_INT(ret, 0);
	rig_settle(guest);
}

/* Ask for a pipe as a program does when it pastes. Returns its read end. */
int rig_request_paste(struct rig *guest)
{
	int ends[2];
	CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
	rig_push_handle(&guest->out, &ends[1], BR_FD_PIPE_WRITE);
	rig_put(&guest->out, 16);
	rig_send_all(guest);
	CHECK_INT(br_fd_set_nonblock(ends[0]), 0);
	return ends[0];
}

/* The compositor's end of the newest pipe. */
int rig_compositor_pipe(struct rig *guest)
{
	struct br_handle handle = {.fd = -1};
	int fd = -1;
	while (br_stream_pop_handle(&guest->host.in, &handle)) {
		br_fd_clear(&fd);
		fd = br_fd_take(&handle.fd);
	}
	CHECK(fd >= 0);
	return fd;
}

/* Write to the compositor's end what it takes. Returns the new position. */
size_t rig_feed_pipe(int fd, size_t done, size_t total)
{
	uint8_t bytes[5000];
	while (done < total) {
		size_t len = total - done < sizeof(bytes) ? total - done : sizeof(bytes);
		rig_fill(bytes, done, len);
		ssize_t n = write(fd, bytes, len);
		if (n <= 0) {
			break;
		}
		done += (size_t)n;
	}
	return done;
}
