/* SPDX-License-Identifier: MIT
 *
 * Non-blocking reading and writing of Wayland stream sockets (AF_UNIX, SOCK_STREAM, SCM_RIGHTS).
 */
#ifndef BR_SOCK_H
#define BR_SOCK_H

#include "stream.h"

/** Read what has arrived, fds included (with CLOEXEC), into a stream; one recvmsg.
 * Returns the number of bytes read (> 0); -EAGAIN nothing there; -EPIPE the peer closed;
 * -EPROTO fds were lost (MSG_CTRUNC); -ENOSPC no room in s; else -errno. */
int br_sock_read(int sock_fd, struct br_stream *s);

/** Write as much of a stream as the socket takes; the handles' fds are closed once sent.
 * Returns 0 when all is written, -EAGAIN when some is left (wait for POLLOUT), else -errno. */
int br_sock_flush(int sock_fd, struct br_stream *s);

/** Peer credentials check. Returns 0 if the peer runs as our effective user or as root, -EACCES if
 * not, else -errno. Source: unix(7), SO_PEERCRED. */
int br_sock_check_peer(int sock_fd);

/** Create, bind and listen on a socket at path, with file mode 0600; CLOEXEC, non-blocking.
 * type is SOCK_STREAM or SOCK_SEQPACKET. A stale socket file (nobody listens) is replaced.
 * Returns the fd, owned by the caller; -EADDRINUSE somebody listens there; -ENAMETOOLONG; -errno. */
int br_sock_listen(const char *path, int type);

/** Connect to the socket at path without blocking. Returns the fd, owned by the caller, or -errno. */
int br_sock_connect(const char *path, int type);

#endif
