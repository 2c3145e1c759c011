/* SPDX-License-Identifier: MIT
 *
 * The socket front end: virtio-gpu control commands over a SEQPACKET socket (socket_proto.h). Each
 * connection is a device of its own, which ends with it. Never blocks: a guest that does not read
 * its answers is not read from any more either.
 */
#ifndef HR_SOCKET_H
#define HR_SOCKET_H

struct hr_host;
struct hr_socket;

/** Listen at path and serve devices on the host's loop. *ret_socket is owned by the caller.
 * SIGPIPE must be ignored by the process: pipes are written to.
 * Returns 0 or -errno, as br_sock_listen(). */
int hr_socket_start(struct hr_host *host, const char *path, struct hr_socket **ret_socket);

/** The same with a socket that listens already (socket activation). listen_fd: borrowed; finish leaves
 * its file alone. */
int hr_socket_start_fd(struct hr_host *host, int listen_fd, struct hr_socket **ret_socket);

/** Drop all connections, stop listening, remove the socket file that start made, and free. NULL is
 * fine. */
void hr_socket_finish(struct hr_socket *socket);

/** Serve a connected socket, e.g. one end of a socketpair. Takes *conn_fd on success. Returns 0;
 * -EMFILE limit; -errno. */
int hr_socket_serve_take(struct hr_socket *socket, int *conn_fd);

#endif
