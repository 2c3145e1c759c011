/* SPDX-License-Identifier: MIT
 *
 * Packets with fds over a SEQPACKET socket (socket_proto.h), without blocking.
 */
#ifndef BR_PACKET_H
#define BR_PACKET_H

#include <stddef.h>
#include <sys/uio.h>

#include "socket_proto.h"

/** Send one packet made of several parts, with up to SK_MAX_FDS fds (borrowed).
 * Returns 0; -EAGAIN the socket is full for now; -ENOBUFS the system is, of which the socket does not tell
 * the end; else -errno. Senders that may have to wait use outbox.h. */
int br_packet_send(int sock_fd, const struct iovec *iov, size_t n_iov, const int *fds,
		   size_t n_fds);

/** Receive one packet into bytes, and its fds (CLOEXEC), owned by the caller.
 * Returns its size in bytes; 0 the peer closed; -EAGAIN there is none; -EMSGSIZE it did not fit; else
 * -errno. *ret_n_fds is set in any case: to 0 if not all fds could be opened, so that what lacks them
 * fails and not the connection. */
int br_packet_receive(int sock_fd, void *bytes, size_t size, int fds[SK_MAX_FDS],
		      size_t *ret_n_fds);

#endif
