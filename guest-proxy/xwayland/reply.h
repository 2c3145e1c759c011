/* SPDX-License-Identifier: MIT
 *
 * Answers of the X server that nobody waits for: asked for now, dealt with once they are there. The
 * server is a client of this very process, and may itself be waiting for it: to wait for an answer
 * here could be for ever. Loop thread only.
 */
#ifndef XW_REPLY_H
#define XW_REPLY_H

#include <stdbool.h>
#include <wayland-util.h>
#include <xcb/xcb.h>

/** What is asked for on one connection. Embedded in its owner. */
struct xw_replies {
	xcb_connection_t *conn; /* borrowed */
	struct wl_list waiting; /* struct wait.link, in the order of the requests */
};

/** An answer. reply: owned by the callee, free(); NULL: the server answered with an error, or there is
 * no memory to wait for it. May ask for more, and may drop others. */
typedef void (*xw_reply_fn)(void *data, void *reply);

/** Prepare an empty list. conn outlives it. */
void xw_replies_init(struct xw_replies *replies, xcb_connection_t *conn);

/** Forget all that is asked for. */
void xw_replies_finish(struct xw_replies *replies);

/** Have done(data, reply) called with the answer to a request, by its cookie's sequence number. Only
 * newer requests may follow. */
void xw_reply_wait(struct xw_replies *replies, unsigned sequence, xw_reply_fn done, void *data);

/** Forget what is asked for with this data. */
void xw_reply_drop(struct xw_replies *replies, const void *data);

/** Deal with the answers that have been read from the connection. To be called ahead of each event that
 * was read: what was answered before it happened is known then. Returns true if there was any. */
bool xw_replies_poll(struct xw_replies *replies);

#endif
