/* SPDX-License-Identifier: MIT
 *
 * The listening sockets of an X display, by the conventions of X servers: a lock file and two sockets.
 */
#ifndef XW_SOCKETS_H
#define XW_SOCKETS_H

#define XW_N_SOCKETS 2

/** A display. Owned by xw_server. */
struct xw_sockets {
	int number;
	int fds[XW_N_SOCKETS]; /* a path in /tmp/.X11-unix, and the abstract one; listening, non-blocking */
};

/** Take the first free display. Returns 0, or -errno having said what is wrong. */
int xw_sockets_open(struct xw_sockets *sockets);

/** Close, and remove the files. */
void xw_sockets_close(struct xw_sockets *sockets);

#endif
