/* SPDX-License-Identifier: MIT */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fd.h"

/* An open file of our own for the same pipe or terminal; -1 where the system refuses: no /proc, the pipe of
 * another user, or nobody reads it any more. */
static int reopen(int fd)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int br_sink_init_take(struct br_sink *sink, int *fd)
{
	struct stat st;
	if (fstat(*fd, &st) < 0) {
		return -errno;
	}
	bool stream = S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode);
	if (!stream && !S_ISSOCK(st.st_mode) && !S_ISREG(st.st_mode)) {
		return -EINVAL;
	}
	*sink = (struct br_sink){.fd = -1, .socket = S_ISSOCK(st.st_mode)};
	if (stream) {
		sink->fd = reopen(*fd);
	}
	if (sink->fd >= 0) {
		br_fd_clear(fd);
		return 0;
	}
	int ret = br_fd_set_nonblock(*fd);
	if (ret == 0) {
		sink->shared = stream;
		sink->fd = br_fd_take(fd);
	}
	return ret;
}

/* The peer may clear O_NONBLOCK at any time. Linux before 6.4 knows no RWF_NOWAIT for pipes: there it is
 * set again as late as can be. Source: pwritev2(2). */
static ssize_t write_shared(int fd, const void *bytes, size_t len)
{
	const struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	ssize_t n = pwritev2(fd, &iov, 1, -1, RWF_NOWAIT);
	if (n >= 0 || errno != EOPNOTSUPP) {
		return n;
	}
	return br_fd_set_nonblock(fd) < 0 ? -1 : write(fd, bytes, len);
}

static ssize_t write_once(const struct br_sink *sink, const void *bytes, size_t len)
{
	if (sink->socket) {
		return send(sink->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	return sink->shared ? write_shared(sink->fd, bytes, len) : write(sink->fd, bytes, len);
}

ssize_t br_sink_write(const struct br_sink *sink, const void *bytes, size_t len)
{
	ssize_t n;
	do {
		n = write_once(sink, bytes, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

void br_sink_finish(struct br_sink *sink)
{
	br_fd_clear(&sink->fd);
}
