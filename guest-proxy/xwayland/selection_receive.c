/* SPDX-License-Identifier: MIT
 *
 * Data of X programs for others: out of properties of windows of ours, one for each transfer, into a pipe.
 * A property is read in chunks, the next one when the pipe has taken the last; with INCR, deleting it is
 * what asks its owner for more. Source: ICCCM 2.4, 2.7.2.
 */
#include <errno.h>
#include <stdlib.h>
#include <wayland-server-core.h>

#include "atoms.h"
#include "fd.h"
#include "log.h"
#include "selection_private.h"
#include "text.h"
#include "wm.h"

/** One transfer. */
struct xw_receive {
	struct wl_list link; /* xw_selections.receives */
	struct xw_selections *all;
	xcb_window_t window; /* ours */
	xcb_window_t owner;  /* whose data it is */
	bool text;	     /* Latin-1 is to become UTF-8 */
	struct br_sink sink;
	struct wl_event_source *source; /* NULL: not waiting for room */
	struct wl_event_source *timer;
	bool asked;	      /* the first property is there */
	bool incr, waits;     /* waits: for the next property of it */
	uint32_t offset;      /* of the next chunk in the property, in units of 4 bytes */
	bool more;	      /* the property goes on behind this chunk */
	void *chunk;	      /* owned; NULL: none */
	const uint8_t *bytes; /* of it */
	size_t left;	      /* bytes that the pipe has not taken */
};

static void receive_free(struct xw_receive *receive)
{
	struct xw_selections *all = receive->all;
	xw_reply_drop(&all->wm->replies, receive);
	if (receive->source != NULL) {
		wl_event_source_remove(receive->source);
	}
	if (receive->timer != NULL) {
		wl_event_source_remove(receive->timer);
	}
	xcb_destroy_window(all->wm->conn, receive->window);
	br_sink_finish(&receive->sink);
	free(receive->chunk);
	wl_list_remove(&receive->link);
	all->n_transfers--;
	free(receive);
}

static int handle_deadline(void *data)
{
	struct xw_receive *receive = data;
	struct xw_selections *all = receive->all;
	br_log_peer(BR_LOG_INFO, "guest: xwayland: window 0x%x gives no more of its selection",
		    receive->owner);
	receive_free(receive);
	xw_selections_flush(all);
	return 0;
}

/* The X program has its turn; 0: it does not. */
static void set_deadline(struct xw_receive *receive, int ms)
{
	(void)wl_event_source_timer_update(receive->timer, ms);
}

static void handle_chunk(void *data, void *reply);

static void read_chunk(struct xw_receive *receive)
{
	const struct xw_wm *wm = receive->all->wm;
	receive->waits = false;
	xcb_get_property_cookie_t cookie = xcb_get_property(
		wm->conn, false, receive->window, wm->atoms[XW_ATOM_CAUSEWAY_DATA],
		XCB_GET_PROPERTY_TYPE_ANY, receive->offset, BR_LIMIT_X_CHUNK_BYTES / 4);
	xw_reply_wait(&receive->all->wm->replies, cookie.sequence, handle_chunk, receive);
}

/* Let the owner write the next property. */
static void ask_next(struct xw_receive *receive)
{
	const struct xw_wm *wm = receive->all->wm;
	receive->waits = true;
	receive->offset = 0;
	xcb_delete_property(wm->conn, receive->window, wm->atoms[XW_ATOM_CAUSEWAY_DATA]);
	set_deadline(receive, receive->all->peer_ms);
}

/* The pipe has all of a chunk. May free the transfer. */
static void chunk_done(struct xw_receive *receive)
{
	free(receive->chunk);
	receive->chunk = NULL;
	if (receive->more) {
		set_deadline(receive, receive->all->peer_ms);
		read_chunk(receive);
	} else if (receive->incr) {
		ask_next(receive);
	} else {
		receive_free(receive);
	}
}

static int handle_writable(int fd, uint32_t mask, void *data);

/* Write what the pipe takes. May free the transfer. */
static void write_chunk(struct xw_receive *receive)
{
	while (receive->left > 0) {
		ssize_t n = br_sink_write(&receive->sink, receive->bytes, receive->left);
		if (n == -EAGAIN && receive->source == NULL) {
			receive->source =
				wl_event_loop_add_fd(receive->all->wm->loop, receive->sink.fd,
						     WL_EVENT_WRITABLE, handle_writable, receive);
		}
		if (n == -EAGAIN && receive->source != NULL) {
			return;
		}
		if (n < 0) {
			receive_free(receive); /* nobody reads */
			return;
		}
		receive->bytes += n;
		receive->left -= (size_t)n;
	}
	if (receive->source != NULL) {
		wl_event_source_remove(receive->source);
		receive->source = NULL;
	}
	chunk_done(receive);
}

static int handle_writable(int fd, uint32_t mask, void *data)
{
	struct xw_receive *receive = data;
	struct xw_selections *all = receive->all;
	(void)fd;
	(void)mask;
	write_chunk(receive);
	xw_selections_flush(all);
	return 0;
}

/* Returns false if memory is out. */
static bool convert(struct xw_receive *receive)
{
	uint8_t *utf8 = malloc(2 * receive->left + 1);
	if (utf8 == NULL) {
		return false;
	}
	receive->left = xw_latin1_to_utf8(receive->bytes, receive->left, utf8);
	free(receive->chunk);
	receive->chunk = utf8;
	receive->bytes = utf8;
	return true;
}

static void handle_chunk(void *data, void *reply)
{
	struct xw_receive *receive = data;
	xcb_get_property_reply_t *property = reply;
	bool first = receive->offset == 0;
	if (property == NULL || property->type == XCB_NONE) {
		free(reply);
		receive_free(receive);
		return;
	}
	if (first && property->type == receive->all->wm->atoms[XW_ATOM_INCR] && !receive->incr) {
		free(reply);
		receive->incr = true;
		ask_next(receive);
		return;
	}
	set_deadline(receive, 0);
	receive->chunk = property;
	receive->bytes = xcb_get_property_value(property);
	receive->left = (size_t)xcb_get_property_value_length(property);
	receive->more = property->bytes_after > 0 && receive->left > 0;
	receive->offset += (uint32_t)(receive->left / 4);
	bool latin1 = receive->text && property->type == XCB_ATOM_STRING;
	bool ended = first && receive->left == 0; /* with INCR an empty property says so */
	if (ended || (latin1 && !convert(receive))) {
		receive_free(receive);
		return;
	}
	write_chunk(receive);
}

void xw_receive_start_take(struct xw_selection *selection, xcb_atom_t target, bool text, int *fd)
{
	struct xw_selections *all = selection->all;
	const struct xw_wm *wm = all->wm;
	struct xw_receive *receive =
		all->n_transfers < BR_LIMIT_X_TRANSFERS ? calloc(1, sizeof(*receive)) : NULL;
	if (receive != NULL && br_sink_init_take(&receive->sink, fd) < 0) {
		free(receive);
		receive = NULL;
	}
	br_fd_clear(fd);
	if (receive == NULL) {
		br_log_peer(BR_LOG_WARN, "guest: xwayland: a copy is refused: no memory, too many "
					 "at a time, or nothing to write it to");
		return;
	}
	receive->all = all;
	receive->owner = selection->owner;
	receive->text = text;
	receive->window = xw_selections_window(all, XCB_EVENT_MASK_PROPERTY_CHANGE);
	receive->timer = wl_event_loop_add_timer(wm->loop, handle_deadline, receive);
	wl_list_insert(all->receives.prev, &receive->link);
	all->n_transfers++;
	if (receive->timer == NULL) {
		receive_free(receive);
		return;
	}
	set_deadline(receive, all->peer_ms);
	xcb_convert_selection(wm->conn, receive->window, selection->atom, target,
			      wm->atoms[XW_ATOM_CAUSEWAY_DATA], selection->time);
}

static struct xw_receive *by_window(struct xw_selections *all, xcb_window_t window)
{
	struct xw_receive *receive;
	wl_list_for_each (receive, &all->receives, link) {
		if (receive->window == window) {
			return receive;
		}
	}
	return NULL;
}

bool xw_receives_handle_notify(struct xw_selections *all, const xcb_selection_notify_event_t *event)
{
	struct xw_receive *receive = by_window(all, event->requestor);
	if (receive == NULL) {
		return false;
	}
	if (event->property == XCB_NONE) {
		receive_free(receive);
	} else if (!receive->asked) {
		receive->asked = true;
		read_chunk(receive);
	}
	return true;
}

bool xw_receives_handle_property(struct xw_selections *all,
				 const xcb_property_notify_event_t *event)
{
	struct xw_receive *receive = by_window(all, event->window);
	if (receive == NULL) {
		return false;
	}
	if (receive->waits && event->atom == all->wm->atoms[XW_ATOM_CAUSEWAY_DATA]) {
		read_chunk(receive);
	}
	return true;
}

void xw_receives_handle_gone(struct xw_selections *all, xcb_window_t owner)
{
	struct xw_receive *receive, *tmp;
	wl_list_for_each_safe (receive, tmp, &all->receives, link) {
		/* What it has given is there to be read. */
		if (receive->owner == owner && (!receive->asked || receive->waits)) {
			receive_free(receive);
		}
	}
}

void xw_receives_finish(struct xw_selections *all)
{
	struct xw_receive *receive, *tmp;
	wl_list_for_each_safe (receive, tmp, &all->receives, link) {
		receive_free(receive);
	}
}
