/* SPDX-License-Identifier: MIT
 *
 * The byte and handle queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fd.h"
#include "stream.h"
#include "test.h"

/* Push a handle without an fd that is known by its number. */
static void push(struct br_stream *s, uint32_t number)
{
	struct br_handle handle = {.fd = -1, .res_id = number};
	CHECK_INT(br_stream_push_handle_take(s, &handle), 0);
}

static uint32_t pop(struct br_stream *s)
{
	struct br_handle handle;
	CHECK(br_stream_pop_handle(s, &handle));
	return handle.res_id;
}

static void write_n(struct br_stream *s, size_t len)
{
	static const uint8_t zeros[4096];
	CHECK_INT(br_stream_write(s, zeros, len), 0);
}

TEST(bytes_come_out_in_order)
{
	struct br_stream s;
	uint8_t next_in = 0, next_out = 0;
	br_stream_init(&s, 1000, 4);
	/* Pieces of 1 to 97 bytes in, 1 to 89 out: growing, moving and draining in turns. */
	for (unsigned round = 0; round < 5000; round++) {
		uint8_t piece[97];
		size_t in = round % 97 + 1, out = round * 7 % 89 + 1;
		if (in <= 1000 - br_stream_bytes(&s)) {
			for (size_t i = 0; i < in; i++) {
				piece[i] = next_in++;
			}
			CHECK_INT(br_stream_write(&s, piece, in), 0);
		}
		if (out > br_stream_bytes(&s)) {
			out = br_stream_bytes(&s);
		}
		for (size_t i = 0; i < out; i++) {
			CHECK_INT(br_stream_peek(&s)[i], next_out);
			next_out++;
		}
		uint64_t pos = s.head_pos;
		br_stream_consume(&s, out);
		CHECK_INT(s.head_pos, pos + out);
	}
	CHECK(s.head_pos > 100000);
	br_stream_finish(&s);
	CHECK(s.data == NULL && s.handles == NULL);
	br_stream_finish(&s);
}

TEST(byte_limit)
{
	struct br_stream s;
	uint8_t bytes[101] = {0};
	br_stream_init(&s, 100, 4);
	CHECK_INT(br_stream_write(&s, bytes, 101), -ENOSPC);
	CHECK_INT(br_stream_bytes(&s), 0);
	CHECK_INT(br_stream_write(&s, bytes, 60), 0);
	CHECK_INT(br_stream_write(&s, bytes, 41), -ENOSPC);
	CHECK(br_stream_reserve(&s, 41) == NULL);
	CHECK(br_stream_reserve(&s, SIZE_MAX) == NULL);
	CHECK_INT(br_stream_write(&s, bytes, SIZE_MAX - 10), -ENOSPC);
	CHECK_INT(br_stream_write(&s, bytes, 40), 0);
	CHECK_INT(br_stream_bytes(&s), 100);
	br_stream_consume(&s, 1);
	CHECK_INT(br_stream_write(&s, bytes, 1), 0);
	br_stream_finish(&s);
}

TEST(nothing_to_write)
{
	struct br_stream s;
	br_stream_init(&s, 100, 4);
	CHECK_INT(br_stream_write(&s, NULL, 0), 0);
	CHECK(br_stream_empty(&s));
	br_stream_consume(&s, 0);
	br_stream_finish(&s);
}

TEST(reserved_bytes_count_when_committed)
{
	struct br_stream s;
	br_stream_init(&s, 100000, 4);
	write_n(&s, 10);
	uint8_t *at = br_stream_reserve(&s, 50000);
	CHECK(at != NULL);
	memset(at, 7, 50000);
	CHECK_INT(br_stream_bytes(&s), 10);
	br_stream_commit(&s, 3);
	CHECK_INT(br_stream_bytes(&s), 13);
	CHECK_INT(br_stream_peek(&s)[12], 7);
	br_stream_finish(&s);
}

TEST(warm_stream_keeps_its_memory)
{
	struct br_stream s;
	br_stream_init(&s, 100000, 4);
	write_n(&s, 1000);
	push(&s, 1);
	const uint8_t *data = s.data;
	const struct br_stream_handle *handles = s.handles;
	for (unsigned i = 0; i < 1000; i++) {
		(void)pop(&s);
		br_stream_consume(&s, br_stream_bytes(&s));
		CHECK_INT(s.head, 0);
		push(&s, i);
		write_n(&s, 1000);
	}
	CHECK(s.data == data);
	CHECK(s.handles == handles);
	br_stream_finish(&s);
}

TEST(handles_keep_order_and_position)
{
	struct br_stream s;
	uint32_t in = 0, out = 0;
	br_stream_init(&s, 1 << 20, 64);
	for (unsigned round = 0; round < 1000; round++) {
		while (br_stream_handle_count(&s) < round % 60) {
			push(&s, ++in);
			CHECK_INT(s.handles[s.handle_tail - 1].pos,
				  s.head_pos + br_stream_bytes(&s));
			write_n(&s, 3);
		}
		for (unsigned i = round % 13; i > 0 && br_stream_handle_count(&s) > 0; i--) {
			CHECK_INT(pop(&s), ++out);
			br_stream_consume(&s, 1);
		}
	}
	CHECK(out > 1000);
	br_stream_finish(&s);
}

TEST(handle_limit_leaves_the_fd)
{
	struct br_stream s;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct br_handle kept = {.fd = fd}, refused = {.fd = br_fd_dup(fd)};
	br_stream_init(&s, 100, 1);
	CHECK_INT(br_stream_push_handle_take(&s, &kept), 0);
	CHECK_INT(kept.fd, -1);
	CHECK_INT(br_stream_push_handle_take(&s, &refused), -ENOSPC);
	CHECK(refused.fd >= 0 && fcntl(refused.fd, F_GETFD) >= 0);
	br_fd_clear(&refused.fd);
	br_stream_finish(&s);
	CHECK_INT(fcntl(fd, F_GETFD), -1);
}

TEST(popped_fd_is_the_callers)
{
	struct br_stream s;
	struct br_handle handle = {.fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
	br_stream_init(&s, 100, 4);
	CHECK(!br_stream_pop_handle(&s, &handle));
	CHECK_INT(br_stream_push_handle_take(&s, &handle), 0);
	CHECK(br_stream_pop_handle(&s, &handle));
	br_stream_finish(&s);
	CHECK(fcntl(handle.fd, F_GETFD) >= 0);
	br_fd_clear(&handle.fd);
}

TEST(unpop_restores_the_front)
{
	struct br_stream s;
	struct br_handle first, second;
	br_stream_init(&s, 100, 4);
	for (uint32_t i = 1; i <= 3; i++) {
		push(&s, i);
	}
	write_n(&s, 30);
	CHECK(br_stream_pop_handle(&s, &first));
	CHECK(br_stream_pop_handle(&s, &second));
	br_stream_unpop_handle_take(&s, &second);
	br_stream_unpop_handle_take(&s, &first);
	CHECK_INT(br_stream_handle_count(&s), 3);
	for (uint32_t i = 1; i <= 3; i++) {
		CHECK_INT(pop(&s), i);
	}
	br_stream_finish(&s);
}

/* Chunks of two messages with 2 and 1 handles, of 20 bytes each, then 10 bytes. */
TEST(chunk_keeps_handles_with_their_message)
{
	struct br_stream s;
	size_t n;
	br_stream_init(&s, 100, 8);
	CHECK_INT(br_stream_chunk(&s, 100, 4, &n), 0);
	CHECK_INT(n, 0);
	push(&s, 1);
	push(&s, 2);
	write_n(&s, 20);
	push(&s, 3);
	write_n(&s, 20);
	write_n(&s, 10);
	CHECK_INT(br_stream_chunk(&s, 100, 4, &n), 50);
	CHECK_INT(n, 3);
	CHECK_INT(br_stream_chunk(&s, 100, 3, &n), 50);
	CHECK_INT(n, 3);
	CHECK_INT(br_stream_chunk(&s, 100, 2, &n), 20);
	CHECK_INT(n, 2);
	CHECK_INT(br_stream_chunk(&s, 20, 4, &n), 20);
	CHECK_INT(n, 2);
	CHECK_INT(br_stream_chunk(&s, 21, 4, &n), 21);
	CHECK_INT(n, 3);
	/* Cut inside a message: its handles go with the first part. */
	CHECK_INT(br_stream_chunk(&s, 5, 4, &n), 5);
	CHECK_INT(n, 2);
	br_stream_finish(&s);
}

/* More handles at one place than go at once: the message must not be whole before they are there. */
TEST(chunk_of_many_handles_for_one_message)
{
	struct br_stream s;
	size_t n, sent_bytes = 0, sent_handles = 0;
	br_stream_init(&s, 100, 8);
	for (uint32_t i = 0; i < 7; i++) {
		push(&s, i);
	}
	write_n(&s, 16);
	while (!br_stream_empty(&s)) {
		size_t bytes = br_stream_chunk(&s, 100, 2, &n);
		CHECK(bytes > 0 && n <= 2);
		br_stream_consume(&s, bytes);
		for (size_t i = 0; i < n; i++) {
			(void)pop(&s);
		}
		sent_bytes += bytes;
		sent_handles += n;
		CHECK(sent_bytes < 16 || sent_handles == 7);
	}
	CHECK_INT(sent_bytes, 16);
	br_stream_finish(&s);
}

TEST(finish_closes_queued_fds)
{
	struct br_stream s;
	br_stream_init(&s, 100, 8);
	for (unsigned i = 0; i < 8; i++) {
		struct br_handle handle = {.fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
		CHECK(handle.fd >= 0);
		CHECK_INT(br_stream_push_handle_take(&s, &handle), 0);
	}
	br_stream_finish(&s); /* the harness counts */
}
