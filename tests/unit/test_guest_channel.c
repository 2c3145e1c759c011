/* SPDX-License-Identifier: MIT
 *
 * The guest's end of the channel against a host that is not ours: streams and pipes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel_rig.h"
#include "fd.h"
#include "limits.h"
#include "test.h"

#define PIPE_BYTES (8 * MIB)

/* --- the stream to the host --- */

TEST(starts_as_other_hosts_expect)
{
	struct rig guest;
	rig_start(&guest);
	CHECK_INT(guest.host.contexts, 1);
	CHECK(guest.host.initialised);
	CHECK_INT(fake_count_resources(&guest.host), 2);
	CHECK_INT(guest.closed, 0);
	rig_finish(&guest);
}

TEST(waits_for_the_capset)
{
	struct rig guest;
	rig_start_unopened(&guest);
	rig_open_channel(&guest);
	rig_put(&guest.out, 1000);
	CHECK_INT(gp_channel_flush(guest.channel, &guest.out), -EAGAIN);
	RUN_UNTIL(&guest, guest.writable == 1);
	CHECK_INT(gp_channel_flush(guest.channel, &guest.out), 0);
	rig_settle(&guest);
	rig_check_pattern(&guest.host.in, 1000);
	rig_finish(&guest);
}

TEST(sends_in_the_same_call)
{
	struct rig guest;
	rig_start(&guest);
	rig_put(&guest.out, 100);
	CHECK_INT(gp_channel_flush(guest.channel, &guest.out), 0);
	/* The guest's loop has no part in it. */
	(void)fake_run(&guest.host);
	CHECK_INT(guest.host.sends, 1);
	rig_check_pattern(&guest.host.in, 100);
	rig_finish(&guest);
}

TEST(keeps_bytes_and_handles_in_order)
{
	struct rig guest;
	size_t total = 0, n_handles = 0;
	char text[48];
	rig_start(&guest);
	for (unsigned i = 0; i < 200; i++) {
		for (unsigned k = 0; k < i % 3; k++) {
			snprintf(text, sizeof(text), "memory %zu", n_handles++);
			int fd = rig_make_memory(text);
			rig_push_handle(&guest.out, &fd, k ? BR_FD_SHM : BR_FD_FILE);
		}
		size_t len = 8 + (i * 397) % 9000;
		rig_put(&guest.out, len);
		total += len;
		if (i % 7 == 0) {
			rig_send_all(&guest);
		}
	}
	rig_send_all(&guest);
	rig_check_pattern(&guest.host.in, total);
	CHECK(guest.host.largest_send <= XD_MAX_DATA_COMPAT);
	CHECK_INT(br_stream_handle_count(&guest.host.in), n_handles);
	for (size_t i = 0; i < n_handles; i++) {
		struct br_handle handle;
		CHECK(br_stream_pop_handle(&guest.host.in, &handle));
		snprintf(text, sizeof(text), "memory %zu", i);
		rig_check_memory(handle.fd, text);
		br_fd_clear(&handle.fd);
	}
	/* Imported memory was given back: only the rings are left. */
	CHECK_INT(fake_count_resources(&guest.host), 2);
	rig_finish(&guest);
}

TEST(handles_never_come_later_than_their_message)
{
	struct rig guest;
	rig_start(&guest);
	/* Positions of the messages that own a handle. */
	size_t positions[40];
	for (size_t i = 0; i < 40; i++) {
		int fd = rig_make_memory("x");
		positions[i] = br_stream_bytes(&guest.out);
		rig_push_handle(&guest.out, &fd, BR_FD_SHM);
		rig_put(&guest.out, 500);
	}
	CHECK_INT(gp_channel_flush(guest.channel, &guest.out), 0);
	(void)fake_run(&guest.host);
	CHECK_INT(br_stream_handle_count(&guest.host.in), 40);
	for (size_t i = 0; i < 40; i++) {
		/* The stream notes how many bytes came before a handle: no byte behind its message's
		 * first may have. */
		CHECK(guest.host.in.handles[guest.host.in.handle_head + i].pos <= positions[i] + 1);
	}
	rig_finish(&guest);
}

TEST(window_stops_and_reopens)
{
	struct rig guest;
	const size_t total = 3 * BR_SEND_WINDOW_BYTES;
	rig_start(&guest);
	guest.host.hold_fences = true;
	rig_put(&guest.out, total);
	CHECK_INT(gp_channel_flush(guest.channel, &guest.out), -EAGAIN);
	rig_settle(&guest);
	CHECK_INT(gp_channel_flush(guest.channel, &guest.out), -EAGAIN);
	CHECK_INT(guest.writable, 0);
	size_t sent = br_stream_bytes(&guest.host.in);
	CHECK(sent <= BR_SEND_WINDOW_BYTES && sent >= BR_SEND_WINDOW_BYTES / 2);
	CHECK(guest.host.n_held > 0);
	fake_release_fences(&guest.host);
	RUN_UNTIL(&guest, guest.writable > 0);
	rig_send_all(&guest);
	rig_check_pattern(&guest.host.in, total);
	rig_finish(&guest);
}

TEST(small_traffic_needs_no_answers)
{
	struct rig guest;
	rig_start(&guest);
	guest.host.hold_fences = true;
	for (unsigned i = 0; i < 50; i++) {
		rig_put(&guest.out, 64);
		CHECK_INT(gp_channel_flush(guest.channel, &guest.out), 0);
		rig_settle(&guest);
	}
	CHECK_INT(guest.host.sends, 50);
	CHECK_INT(guest.host.n_held, 0);
	rig_finish(&guest);
}

/* --- the stream from the host --- */

TEST(receives_bytes_and_handles_in_order)
{
	struct rig guest;
	uint8_t bytes[XD_MAX_DATA_COMPAT];
	size_t total = 0, n_handles = 0;
	char text[48];
	rig_start(&guest);
	for (unsigned i = 0; i < 100; i++) {
		int fds[3];
		size_t n = i % 4;
		for (size_t k = 0; k < n; k++) {
			snprintf(text, sizeof(text), "host memory %zu", n_handles++);
			fds[k] = rig_make_memory(text);
		}
		size_t len = 8 + (i * 769) % (sizeof(bytes) - 8);
		rig_fill(bytes, total, len);
		total += len;
		fake_send_event(&guest.host, bytes, len, fds, n);
		for (size_t k = 0; k < n; k++) {
			br_fd_clear(&fds[k]);
		}
	}
	RUN_UNTIL(&guest, br_stream_bytes(&guest.got) == total);
	rig_check_pattern(&guest.got, total);
	CHECK_INT(br_stream_handle_count(&guest.got), n_handles);
	for (size_t i = 0; i < n_handles; i++) {
		struct br_handle handle;
		CHECK(br_stream_pop_handle(&guest.got, &handle));
		snprintf(text, sizeof(text), "host memory %zu", i);
		rig_check_memory(handle.fd, text);
		br_fd_clear(&handle.fd);
	}
	rig_settle(&guest);
	CHECK_INT(fake_count_resources(&guest.host), 2);
	rig_finish(&guest);
}

TEST(unread_events_stay_with_the_host)
{
	struct rig guest;
	uint8_t bytes[XD_MAX_DATA_COMPAT];
	const size_t n = 300, total = n * sizeof(bytes);
	rig_start(&guest);
	guest.paused = true;
	for (size_t i = 0; i < n; i++) {
		rig_fill(bytes, i * sizeof(bytes), sizeof(bytes));
		fake_send_event(&guest.host, bytes, sizeof(bytes), NULL, 0);
	}
	rig_settle(&guest);
	CHECK_INT(guest.closed, 0);
	CHECK(br_stream_bytes(&guest.in) > 0);
	CHECK(br_stream_bytes(&guest.in) <= BR_LIMIT_IN_BYTES);
	CHECK_INT(guest.host.n_polls, 0);
	guest.paused = false;
	rig_take_received(&guest);
	RUN_UNTIL(&guest, br_stream_bytes(&guest.got) == total);
	rig_check_pattern(&guest.got, total);
	rig_finish(&guest);
}

TEST(end_of_stream_comes_behind_the_data)
{
	struct rig guest;
	uint8_t bytes[100];
	rig_start(&guest);
	rig_fill(bytes, 0, sizeof(bytes));
	fake_send_event(&guest.host, bytes, sizeof(bytes), NULL, 0);
	fake_send_event(&guest.host, NULL, 0, NULL, 0);
	RUN_UNTIL(&guest, guest.closed > 0);
	rig_check_pattern(&guest.got, sizeof(bytes));
	CHECK(strstr(guest.reason, "compositor") != NULL);
	rig_settle(&guest);
	CHECK_INT(guest.closed, 1);
	CHECK_INT(guest.lost, 0);
	CHECK(gp_channel_flush(guest.channel, &guest.out) < 0);
	rig_finish(&guest);
}

/* --- pipes --- */

TEST_WITHIN(program_writes_to_a_pipe_of_the_host, 60)
{
	struct rig guest;
	struct br_handle handle;
	uint8_t bytes[5000];
	char path[32];
	rig_start(&guest);
	int file BR_CLEANUP_FD = memfd_create("target", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	int target BR_CLEANUP_FD = open(path, O_WRONLY | O_CLOEXEC);
	fake_send_event(&guest.host, "8 bytes", 8, &target, 1);
	RUN_UNTIL(&guest, br_stream_handle_count(&guest.got) == 1);
	CHECK(br_stream_pop_handle(&guest.got, &handle));
	/* The program's end blocks, as programs expect; this one may not. */
	CHECK(!(fcntl(handle.fd, F_GETFL) & O_NONBLOCK));
	CHECK_INT(br_fd_set_nonblock(handle.fd), 0);
	size_t done = 0;
	bool paused = false;
	while (done < PIPE_BYTES) {
		size_t len = PIPE_BYTES - done < sizeof(bytes) ? PIPE_BYTES - done : sizeof(bytes);
		rig_fill(bytes, done, len);
		ssize_t n = write(handle.fd, bytes, len);
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		/* Half way the host stops executing: the pipe must fill up. */
		if (!paused && done > PIPE_BYTES / 2) {
			paused = guest.host.hold_fences = true;
			rig_settle(&guest);
			continue;
		}
		struct stat st;
		if (guest.host.hold_fences && rig_is_stuck(&guest)) {
			CHECK_INT(fstat(file, &st), 0);
			CHECK((uint64_t)st.st_size < done);
			fake_release_fences(&guest.host);
		}
		(void)rig_take_turn(&guest);
	}
	CHECK(paused);
	CHECK_INT(guest.host.hang_ups, 0);
	br_fd_clear(&handle.fd);
	RUN_UNTIL(&guest, guest.host.hang_ups == 1);
	CHECK_INT(lseek(file, 0, SEEK_END), PIPE_BYTES);
	for (size_t at = 0; at < PIPE_BYTES; at += sizeof(bytes)) {
		ssize_t n = pread(file, bytes, sizeof(bytes), (off_t)at);
		for (ssize_t i = 0; i < n; i++) {
			CHECK(bytes[i] == rig_pattern(at + (size_t)i));
		}
	}
	CHECK_INT(guest.closed, 0);
	rig_finish(&guest);
}

TEST(program_that_ends_does_not_open_the_window)
{
	struct rig guest;
	struct br_handle handle;
	uint8_t bytes[5000];
	char path[32];
	rig_start(&guest);
	int file BR_CLEANUP_FD = memfd_create("target", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	int target BR_CLEANUP_FD = open(path, O_WRONLY | O_CLOEXEC);
	fake_send_event(&guest.host, "8 bytes", 8, &target, 1);
	RUN_UNTIL(&guest, br_stream_handle_count(&guest.got) == 1);
	CHECK(br_stream_pop_handle(&guest.got, &handle));
	CHECK_INT(br_fd_set_nonblock(handle.fd), 0);
	guest.host.hold_fences = true;
	size_t done = 0, before;
	do {
		before = done;
		ssize_t n;
		rig_fill(bytes, done, sizeof(bytes));
		while ((n = write(handle.fd, bytes, sizeof(bytes))) > 0) {
			done += (size_t)n;
			rig_fill(bytes, done, sizeof(bytes));
		}
		rig_settle(&guest);
	} while (done > before);
	off_t sent = lseek(file, 0, SEEK_END);
	CHECK(sent >= BR_PIPE_WINDOW_BYTES && sent < (off_t)done);
	/* A hang-up can be read at any time, but the host has not said that it takes more. */
	br_fd_clear(&handle.fd);
	rig_settle(&guest);
	CHECK_INT(lseek(file, 0, SEEK_END), sent);
	CHECK_INT(guest.host.hang_ups, 0);
	fake_release_fences(&guest.host);
	RUN_UNTIL(&guest, guest.host.hang_ups == 1);
	CHECK_INT(lseek(file, 0, SEEK_END), done);
	for (size_t at = 0; at < done; at += sizeof(bytes)) {
		ssize_t n = pread(file, bytes, sizeof(bytes), (off_t)at);
		for (ssize_t i = 0; i < n; i++) {
			CHECK(bytes[i] == rig_pattern(at + (size_t)i));
		}
	}
	CHECK_INT(guest.closed, 0);
	rig_finish(&guest);
}

/* Read what there is and compare it. Returns the new position, and whether the end was seen. */
static size_t drain_pipe(int fd, size_t done, bool *ret_end)
{
	uint8_t bytes[7000];
	ssize_t n;
	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			CHECK(bytes[i] == rig_pattern(done + (size_t)i));
		}
		done += (size_t)n;
	}
	*ret_end = n == 0;
	return done;
}

TEST_WITHIN(program_reads_from_a_pipe_of_the_host, 60)
{
	struct rig guest;
	bool end = false;
	size_t written = 0, got = 0;
	rig_start(&guest);
	int program BR_CLEANUP_FD = rig_request_paste(&guest);
	int compositor BR_CLEANUP_FD = rig_compositor_pipe(&guest);
	/* The program reads nothing for a while: the host may not send for ever. */
	size_t before;
	do {
		before = written;
		written = rig_feed_pipe(compositor, written, PIPE_BYTES);
		rig_settle(&guest);
	} while (written > before);
	CHECK(written < PIPE_BYTES);
	CHECK(written > BR_PIPE_WINDOW_BYTES / 2);
	CHECK_INT(guest.closed, 0);
	while (!end) {
		if (compositor >= 0) {
			written = rig_feed_pipe(compositor, written, PIPE_BYTES);
			if (written == PIPE_BYTES) {
				br_fd_clear(&compositor);
			}
		}
		got = drain_pipe(program, got, &end);
		CHECK(!end || got == PIPE_BYTES);
		if (!end && rig_is_stuck(&guest)) {
			size_t last = got;
			got = drain_pipe(program, got, &end);
			CHECK(end || got > last || written < PIPE_BYTES);
		}
	}
	CHECK_INT(got, PIPE_BYTES);
	CHECK_INT(guest.closed, 0);
	rig_finish(&guest);
}

TEST(reader_that_dies_hurts_nobody)
{
	struct rig guest;
	size_t written = 0;
	rig_start(&guest);
	int program BR_CLEANUP_FD = rig_request_paste(&guest);
	int compositor BR_CLEANUP_FD = rig_compositor_pipe(&guest);
	written = rig_feed_pipe(compositor, written, MIB / 4);
	rig_settle(&guest);
	br_fd_clear(&program);
	while (written < 2 * MIB) {
		size_t before = written;
		written = rig_feed_pipe(compositor, written, 2 * MIB);
		rig_settle(&guest);
		CHECK(written > before);
	}
	br_fd_clear(&compositor);
	RUN_UNTIL(&guest, guest.host.n_read_pipes == 0);
	rig_put(&guest.out, 40);
	rig_send_all(&guest);
	CHECK_INT(guest.closed, 0);
	rig_finish(&guest);
}

TEST(empty_pipe_ends)
{
	struct rig guest;
	bool end;
	rig_start(&guest);
	int program BR_CLEANUP_FD = rig_request_paste(&guest);
	int compositor BR_CLEANUP_FD = rig_compositor_pipe(&guest);
	CHECK_INT(drain_pipe(program, 0, &end), 0);
	CHECK(!end);
	br_fd_clear(&compositor);
	rig_settle(&guest);
	CHECK_INT(drain_pipe(program, 0, &end), 0);
	CHECK(end);
	rig_finish(&guest);
}

TEST(many_pipes_in_one_go)
{
	struct rig guest;
	struct br_handle handle;
	int programs[20];
	char byte;
	rig_start(&guest);
	for (size_t i = 0; i < 20; i++) {
		int ends[2];
		CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
		rig_push_handle(&guest.out, &ends[1], BR_FD_PIPE_WRITE);
		rig_put(&guest.out, 16);
		programs[i] = ends[0];
	}
	rig_send_all(&guest);
	rig_check_pattern(&guest.host.in, 20 * 16);
	for (char i = 0; i < 20; i++) {
		CHECK(br_stream_pop_handle(&guest.host.in, &handle));
		CHECK_INT(write(handle.fd, &i, 1), 1);
		br_fd_clear(&handle.fd);
	}
	rig_settle(&guest);
	for (int i = 0; i < 20; i++) {
		CHECK_INT(read(programs[i], &byte, 1), 1);
		CHECK_INT(byte, i);
		CHECK_INT(read(programs[i], &byte, 1), 0);
		br_fd_clear(&programs[i]);
	}
	rig_finish(&guest);
}

TEST(pipes_have_ids_of_their_own)
{
	struct rig guest;
	int programs[5], compositors[5];
	char byte;
	rig_start(&guest);
	for (int i = 0; i < 5; i++) {
		programs[i] = rig_request_paste(&guest);
		compositors[i] = rig_compositor_pipe(&guest);
	}
	for (int i = 4; i >= 0; i--) {
		byte = (char)('a' + i);
		CHECK_INT(write(compositors[i], &byte, 1), 1);
	}
	rig_settle(&guest);
	for (int i = 0; i < 5; i++) {
		CHECK_INT(read(programs[i], &byte, 1), 1);
		CHECK_INT(byte, 'a' + i);
		br_fd_clear(&programs[i]);
		br_fd_clear(&compositors[i]);
	}
	rig_finish(&guest);
}
