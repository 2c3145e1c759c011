/* SPDX-License-Identifier: MIT */
#include "scm.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(BR_SCM_MAX_FDS * sizeof(int))];
};

ssize_t br_scm_send(int sock_fd, const struct iovec *iov, size_t n_iov, const int *fds,
		    size_t n_fds)
{
	union control control;
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n_iov};
	ssize_t n;
	assert(n_fds <= BR_SCM_MAX_FDS);
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
	return n < 0 ? -errno : n;
}

/* Padding in the control bytes can hold one more than was asked for: it counts as lost. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t max_fds)
{
	size_t n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n_fds < max_fds) {
				fds[n_fds++] = fd;
			} else {
				br_fd_clear(&fd);
				msg->msg_flags |= MSG_CTRUNC;
			}
		}
	}
	return n_fds;
}

ssize_t br_scm_receive(int sock_fd, void *bytes, size_t len, int *fds, size_t max_fds,
		       size_t *ret_n_fds, int *ret_flags)
{
	union control control;
	struct iovec iov = {.iov_base = bytes, .iov_len = len};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(max_fds * sizeof(int)),
	};
	ssize_t n;
	assert(max_fds <= BR_SCM_MAX_FDS);
	*ret_n_fds = 0;
	do {
		n = recvmsg(sock_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	if (msg.msg_controllen > 0) {
		*ret_n_fds = take_fds(&msg, fds, max_fds);
	}
	*ret_flags = msg.msg_flags;
	return n;
}
