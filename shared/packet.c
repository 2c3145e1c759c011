/* SPDX-License-Identifier: MIT */
#include "packet.h"

#include <errno.h>
#include <sys/socket.h>

#include "fd.h"
#include "scm.h"

int br_packet_send(int sock_fd, const struct iovec *iov, size_t n_iov, const int *fds, size_t n_fds)
{
	if (n_fds > SK_MAX_FDS) {
		return -EINVAL;
	}
	ssize_t n = br_scm_send(sock_fd, iov, n_iov, fds, n_fds);
	if (n >= 0) {
		return 0;
	}
	/* ETOOMANYREFS: too many fds are under way; they become fewer as their receivers read. */
	return n == -ETOOMANYREFS ? -ENOBUFS : (int)n;
}

int br_packet_receive(int sock_fd, void *bytes, size_t size, int fds[SK_MAX_FDS], size_t *ret_n_fds)
{
	int flags;
	ssize_t n = br_scm_receive(sock_fd, bytes, size, fds, SK_MAX_FDS, ret_n_fds, &flags);
	if (n < 0) {
		return (int)n;
	}
	if (flags & (MSG_TRUNC | MSG_CTRUNC)) {
		while (*ret_n_fds > 0) {
			br_fd_clear(&fds[--*ret_n_fds]);
		}
	}
	return flags & MSG_TRUNC ? -EMSGSIZE : (int)n;
}
