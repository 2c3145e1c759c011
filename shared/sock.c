/* SPDX-License-Identifier: MIT */
#include "sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "scm.h"

#define MAX_FDS 28	 /* of one sendmsg: libwayland's limit */
#define READ_BYTES 16384 /* asked for at a time */

/* Queue received fds, or close them if ret tells of an error; those that do not fit are closed, too. */
static int push_fds(struct br_stream *s, int *fds, size_t n_fds, int ret)
{
	for (size_t i = 0; i < n_fds; i++) {
		struct br_handle handle = {.fd = br_fd_take(&fds[i])};
		if (ret == 0) {
			ret = br_stream_push_handle_take(s, &handle);
		}
		br_fd_clear(&handle.fd);
	}
	return ret;
}

int br_sock_read(int sock_fd, struct br_stream *s)
{
	size_t room = s->max_bytes - br_stream_bytes(s);
	size_t want = room < READ_BYTES ? room : READ_BYTES;
	/* Fds can't be left in the socket once their bytes are read. */
	if (want == 0 || s->max_handles - br_stream_handle_count(s) < MAX_FDS) {
		return -ENOSPC;
	}
	uint8_t *at = br_stream_reserve(s, want);
	if (at == NULL) {
		return -ENOMEM;
	}
	int fds[BR_SCM_MAX_FDS], flags;
	size_t n_fds;
	ssize_t n = br_scm_receive(sock_fd, at, want, fds, BR_SCM_MAX_FDS, &n_fds, &flags);
	if (n < 0) {
		return n == -ECONNRESET ? -EPIPE : (int)n;
	}
	int ret = push_fds(s, fds, n_fds, flags & MSG_CTRUNC ? -EPROTO : 0);
	if (ret < 0) {
		/* The bytes are lost: not a "later". More fds than any Wayland library sends. */
		return ret == -ENOSPC ? -EPROTO : ret;
	}
	br_stream_commit(s, (size_t)n);
	return n == 0 ? -EPIPE : (int)n;
}

static void drop_sent(struct br_stream *s, size_t bytes, size_t handles)
{
	struct br_handle handle;
	while (handles-- > 0 && br_stream_pop_handle(s, &handle)) {
		br_fd_clear(&handle.fd);
	}
	br_stream_consume(s, bytes);
}

static ssize_t send_chunk(int sock_fd, struct br_stream *s, size_t bytes, size_t handles)
{
	const struct iovec iov = {.iov_base = s->data + s->head, .iov_len = bytes};
	int fds[MAX_FDS];
	for (size_t i = 0; i < handles; i++) {
		fds[i] = s->handles[s->handle_head + i].handle.fd;
	}
	return br_scm_send(sock_fd, &iov, 1, fds, handles);
}

int br_sock_flush(int sock_fd, struct br_stream *s)
{
	while (!br_stream_empty(s)) {
		size_t handles;
		size_t bytes = br_stream_chunk(s, SIZE_MAX, MAX_FDS, &handles);
		ssize_t n = send_chunk(sock_fd, s, bytes, handles);
		if (n < 0) {
			return (int)n;
		}
		/* A short write took the fds along. */
		drop_sent(s, (size_t)n, handles);
	}
	return 0;
}

int br_sock_check_peer(int sock_fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	if (getsockopt(sock_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		return -errno;
	}
	return peer.uid == geteuid() || peer.uid == 0 ? 0 : -EACCES;
}

static int set_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (path[0] == '\0') {
		return -EINVAL; /* the kernel would choose an abstract address */
	}
	size_t len = strlen(path);
	if (len >= sizeof(address->sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(address->sun_path, path, len + 1);
	return 0;
}

int br_sock_connect(const char *path, int type)
{
	struct sockaddr_un address;
	int ret = set_address(&address, path);
	if (ret < 0) {
		return ret;
	}
	int fd BR_CLEANUP_FD = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	return br_fd_take(&fd);
}

/* A socket file that nobody listens on any more is in the way. */
static int remove_stale(const char *path, int type)
{
	struct stat st;
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		return -EEXIST;
	}
	int fd = br_sock_connect(path, type);
	if (fd >= 0) {
		br_fd_clear(&fd);
		return -EADDRINUSE;
	}
	if (fd == -ECONNREFUSED) {
		(void)unlink(path); /* where that fails, bind tells */
	}
	/* -EAGAIN: somebody listens and is busy; bind will say so. */
	return 0;
}

int br_sock_listen(const char *path, int type)
{
	struct sockaddr_un address;
	int ret = set_address(&address, path);
	if (ret == 0) {
		ret = remove_stale(path, type);
	}
	if (ret < 0) {
		return ret;
	}
	int fd BR_CLEANUP_FD = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	/* The file must never be open to others, not even before a chmod. */
	mode_t old = umask(0177);
	ret = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	(void)umask(old);
	if (ret < 0) {
		return ret;
	}
	if (listen(fd, SOMAXCONN) < 0) {
		ret = -errno;
		(void)unlink(path);
		return ret;
	}
	return br_fd_take(&fd);
}
