/* SPDX-License-Identifier: MIT
 *
 * Packets on their way out of a SEQPACKET socket: those that it does not take at once are kept, with
 * copies of their fds, in order. Loop thread only.
 */
#ifndef BR_OUTBOX_H
#define BR_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>
#include <wayland-util.h>

struct wl_event_loop;
struct wl_event_source;

/** Embedded in the socket's owner. */
struct br_outbox {
	struct wl_event_loop *loop; /* borrowed */
	struct wl_list packets;	    /* oldest first */
	size_t bytes, max_bytes;    /* queued */
	/* The system itself is short of something: writing can be tried again only later. */
	struct wl_event_source *retry; /* timer; NULL: not */
	void (*flush)(void *data);
	void *data;
};

/** Begin with an empty one, for at most max_bytes. flush(data) is called when br_outbox_flush() is to be
 * called though the socket does not say so. */
void br_outbox_init(struct br_outbox *box, struct wl_event_loop *loop, size_t max_bytes,
		    void (*flush)(void *data), void *data);

/** Drop what is queued; it may be used again. */
void br_outbox_clear(struct br_outbox *box);

/** Send one packet made of several parts, with up to SK_MAX_FDS fds (borrowed), or queue it.
 * Returns 0; -ENOBUFS too much is queued; -EMFILE, -ENFILE a copy of an fd can't be had (without fds it
 * could be queued); -ENOMEM; else -errno: the socket's, which is of no use any more. */
int br_outbox_send(struct br_outbox *box, int sock_fd, const struct iovec *iov, size_t n_iov,
		   const int *fds, size_t n_fds);

/** Send what the socket takes. Returns 0; -ENOMEM; else -errno as above. */
int br_outbox_flush(struct br_outbox *box, int sock_fd);

/** True if the socket is to be watched for room. */
static inline bool br_outbox_waits(const struct br_outbox *box)
{
	return !wl_list_empty(&box->packets) && box->retry == NULL;
}

#endif
