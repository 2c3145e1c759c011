/* SPDX-License-Identifier: MIT */
#include "packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(SK_MAX_FDS * sizeof(int))];
};

int br_packet_send(int sock_fd, const struct iovec *iov, size_t n_iov, const int *fds, size_t n_fds)
{
	union fd_control control;
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n_iov};
	ssize_t n;
	if (n_fds > SK_MAX_FDS) {
		return -EINVAL;
	}
	if (n_fds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}
	do {
		n = sendmsg(sock_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		return 0;
	}
	/* ETOOMANYREFS: too many fds are under way; they become fewer as the peer reads. */
	return errno == ENOBUFS || errno == ETOOMANYREFS ? -EAGAIN : -errno;
}

static size_t take_fds(struct msghdr *msg, int fds[SK_MAX_FDS])
{
	size_t n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		/* The control buffer holds no more than SK_MAX_FDS. */
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n && n_fds < SK_MAX_FDS; i++) {
			memcpy(&fds[n_fds++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		}
	}
	return n_fds;
}

int br_packet_receive(int sock_fd, void *bytes, size_t size, int fds[SK_MAX_FDS], size_t *ret_n_fds)
{
	union fd_control control;
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;
	*ret_n_fds = 0;
	do {
		n = recvmsg(sock_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	if (msg.msg_controllen > 0) {
		*ret_n_fds = take_fds(&msg, fds);
	}
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		while (*ret_n_fds > 0) {
			br_fd_clear(&fds[--*ret_n_fds]);
		}
		return -EMSGSIZE;
	}
	return (int)n;
}
