/* SPDX-License-Identifier: MIT
 *
 * Bytes and the fds beside them, over Unix sockets of any type, without blocking. Source: unix(7),
 * SCM_RIGHTS.
 */
#ifndef BR_SCM_H
#define BR_SCM_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#define BR_SCM_MAX_FDS 253 /* SCM_MAX_FD of Linux: of one message */

/** Send bytes in several parts with up to BR_SCM_MAX_FDS fds (borrowed). Returns the bytes sent, which
 * took all fds along, or -errno. */
ssize_t br_scm_send(int sock_fd, const struct iovec *iov, size_t n_iov, const int *fds,
		    size_t n_fds);

/** Receive up to len bytes, and up to max_fds fds (CLOEXEC), owned by the caller whatever *ret_flags
 * says: MSG_TRUNC bytes, MSG_CTRUNC fds were lost. Returns the bytes received, or -errno and then no
 * fds. */
ssize_t br_scm_receive(int sock_fd, void *bytes, size_t len, int *fds, size_t max_fds,
		       size_t *ret_n_fds, int *ret_flags);

#endif
