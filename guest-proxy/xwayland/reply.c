/* SPDX-License-Identifier: MIT */
#include "reply.h"

#include <stdlib.h>
#include <xcb/xcbext.h>

struct wait {
	struct wl_list link; /* xw_replies.waiting */
	unsigned sequence;
	xw_reply_fn done;
	void *data;
};

static void wait_free(struct wait *wait)
{
	wl_list_remove(&wait->link);
	free(wait);
}

void xw_replies_init(struct xw_replies *replies, xcb_connection_t *conn)
{
	replies->conn = conn;
	wl_list_init(&replies->waiting);
}

void xw_replies_finish(struct xw_replies *replies)
{
	struct wait *wait, *tmp;
	wl_list_for_each_safe (wait, tmp, &replies->waiting, link) {
		xcb_discard_reply(replies->conn, wait->sequence);
		wait_free(wait);
	}
}

void xw_reply_wait(struct xw_replies *replies, unsigned sequence, xw_reply_fn done, void *data)
{
	struct wait *wait = malloc(sizeof(*wait));
	if (wait == NULL) {
		xcb_discard_reply(replies->conn, sequence);
		done(data, NULL);
		return;
	}
	*wait = (struct wait){.sequence = sequence, .done = done, .data = data};
	wl_list_insert(replies->waiting.prev, &wait->link);
}

void xw_reply_drop(struct xw_replies *replies, const void *data)
{
	struct wait *wait, *tmp;
	wl_list_for_each_safe (wait, tmp, &replies->waiting, link) {
		if (wait->data == data) {
			xcb_discard_reply(replies->conn, wait->sequence);
			wait_free(wait);
		}
	}
}

bool xw_replies_poll(struct xw_replies *replies)
{
	bool some = false;
	/* They come in the order of their requests: behind one that is not there is none. */
	while (!wl_list_empty(&replies->waiting)) {
		struct wait *wait = wl_container_of(replies->waiting.next, wait, link);
		const struct wait copy = *wait;
		void *reply = NULL;
		xcb_generic_error_t *error = NULL;
		if (!xcb_poll_for_reply(replies->conn, wait->sequence, &reply, &error)) {
			break;
		}
		some = true;
		free(error);
		wait_free(wait);
		copy.done(copy.data, reply);
	}
	return some;
}
