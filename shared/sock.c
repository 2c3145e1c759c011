/* SPDX-License-Identifier: MIT */
#include "sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"

#define MAX_FDS 28	 /* of one sendmsg: libwayland's limit */
#define READ_BYTES 16384 /* asked for at a time */
#define CONTROL_FDS 253	 /* SCM_MAX_FD of Linux: what a peer may send at once */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
};

/* Queue received fds; those that do not fit are closed. */
static int push_fds(struct br_stream *s, struct msghdr *msg)
{
	int ret = msg->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			struct br_handle handle = {.fd = -1};
			memcpy(&handle.fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (ret == 0) {
				ret = br_stream_push_handle_take(s, &handle);
			}
			br_fd_clear(&handle.fd);
		}
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
	union control control;
	struct iovec iov = {.iov_base = at, .iov_len = want};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;
	do {
		n = recvmsg(sock_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return errno == ECONNRESET ? -EPIPE : -errno;
	}
	int ret = msg.msg_controllen > 0 ? push_fds(s, &msg) : 0;
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
	union control control;
	struct iovec iov = {.iov_base = s->data + s->head, .iov_len = bytes};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (handles > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(handles * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(handles * sizeof(int));
		for (size_t i = 0; i < handles; i++) {
			const struct br_stream_handle *queued = &s->handles[s->handle_head + i];
			memcpy(CMSG_DATA(c) + i * sizeof(int), &queued->handle.fd, sizeof(int));
		}
	}
	ssize_t n;
	do {
		n = sendmsg(sock_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
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
	if (strlen(path) >= sizeof(address->sun_path)) {
		return -ENAMETOOLONG;
	}
	strcpy(address->sun_path, path);
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
