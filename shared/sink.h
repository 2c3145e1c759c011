/* SPDX-License-Identifier: MIT
 *
 * The write end of a stream that a peer handed over. The peer may share its open file and switch
 * O_NONBLOCK off again at any time: writing must not block even then.
 */
#ifndef BR_SINK_H
#define BR_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** A write end. Owns fd. */
struct br_sink {
	int fd;	     /* -1: closed */
	bool socket; /* written with MSG_DONTWAIT */
	bool shared; /* a pipe or device whose flags the peer may change */
};

/** Take a write end over. A pipe or device is opened anew, so that its flags are ours alone; where
 * that fails, each write says for itself that it must not wait. Returns 0 with *fd = -1; -EINVAL
 * nothing that can be written to; else -errno. */
int br_sink_init_take(struct br_sink *sink, int *fd);

/** Write without blocking and without SIGPIPE for sockets (programs ignore the signal).
 * Returns bytes written or -errno: -EAGAIN full, -EPIPE nobody reads. */
ssize_t br_sink_write(const struct br_sink *sink, const void *bytes, size_t len);

/** Close. May be called again. */
void br_sink_finish(struct br_sink *sink);

#endif
