/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "sink.h"
#include "test.h"

/* Write until the sink is full; the harness's deadline ends a test that blocks. */
static size_t fill(const struct br_sink *sink)
{
	static const char block[5000];
	size_t total = 0;
	for (;;) {
		ssize_t n = br_sink_write(sink, block, sizeof(block));
		if (n < 0) {
			CHECK_INT(n, -EAGAIN);
			return total;
		}
		total += (size_t)n;
	}
}

TEST_WITHIN(a_peer_that_clears_nonblock_blocks_nobody, 5)
{
	int ends[2];
	struct br_sink sink;
	CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
	int peers = br_fd_dup(ends[1]);
	CHECK_INT(br_sink_init_take(&sink, &ends[1]), 0);
	CHECK_INT(ends[1], -1);
	CHECK_INT(fcntl(peers, F_SETFL, 0), 0);
	CHECK(fill(&sink) > 0);
	/* And the peer's own end is as it was. */
	CHECK_INT(fcntl(peers, F_GETFL) & O_NONBLOCK, 0);
	br_sink_finish(&sink);
	br_sink_finish(&sink);
	br_fd_clear(&peers);
	br_fd_clear(&ends[0]);
}

/* Nobody reads when the end is handed over, so it can't be opened anew: the reader comes later. */
TEST_WITHIN(a_reader_that_comes_later_blocks_nobody, 5)
{
	char dir[] = "/tmp/causeway-test-XXXXXX", path[64];
	struct br_sink sink;
	signal(SIGPIPE, SIG_IGN); /* as the programs do */
	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	CHECK_INT(mkfifo(path, 0600), 0);
	int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int writer = open(path, O_WRONLY | O_CLOEXEC);
	int peers = br_fd_dup(writer);
	br_fd_clear(&reader);
	CHECK_INT(br_sink_init_take(&sink, &writer), 0);
	CHECK_INT(br_sink_write(&sink, "x", 1), -EPIPE);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK(reader >= 0);
	CHECK_INT(fcntl(peers, F_SETFL, 0), 0);
	CHECK(fill(&sink) > 0);
	br_sink_finish(&sink);
	br_fd_clear(&peers);
	br_fd_clear(&reader);
	unlink(path);
	rmdir(dir);
}

TEST_WITHIN(a_socket_does_not_block_either, 5)
{
	int ends[2];
	struct br_sink sink;
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	int peers = br_fd_dup(ends[1]);
	CHECK_INT(br_sink_init_take(&sink, &ends[1]), 0);
	CHECK_INT(fcntl(peers, F_SETFL, 0), 0);
	CHECK(fill(&sink) > 0);
	br_fd_clear(&ends[0]);
	CHECK_INT(br_sink_write(&sink, "x", 1), -EPIPE);
	br_sink_finish(&sink);
	br_fd_clear(&peers);
}

TEST(the_end_of_a_pipe_is_seen)
{
	int ends[2];
	char byte;
	struct br_sink sink;
	CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
	CHECK_INT(br_sink_init_take(&sink, &ends[1]), 0);
	CHECK_INT(br_sink_write(&sink, "x", 1), 1);
	br_sink_finish(&sink);
	CHECK_INT(read(ends[0], &byte, 1), 1);
	CHECK_INT(read(ends[0], &byte, 1), 0);
	br_fd_clear(&ends[0]);
}

TEST(a_device_will_do)
{
	struct br_sink sink;
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	CHECK_INT(br_sink_init_take(&sink, &fd), 0);
	CHECK_INT(br_sink_write(&sink, "x", 1), 1);
	br_sink_finish(&sink);
}

TEST(a_directory_is_refused)
{
	struct br_sink sink;
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(br_sink_init_take(&sink, &fd), -EINVAL);
	CHECK(fd >= 0);
	br_fd_clear(&fd);
}
