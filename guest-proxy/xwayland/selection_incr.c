/* SPDX-License-Identifier: MIT
 *
 * Data of others for X programs: out of a pipe, into properties of their windows. What fits into one
 * chunk is one property; for more, the program takes chunk after chunk by deleting the property (INCR).
 * All transfers together have one chunk at a time on its way to the X server, so that writing to it does
 * not block. Source: ICCCM 2.5, 2.7.2.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "atoms.h"
#include "fd.h"
#include "log.h"
#include "relay.h"
#include "selection_private.h"
#include "text.h"
#include "wm.h"

/** One transfer. */
struct xw_send {
	struct wl_list link; /* xw_selections.sends */
	struct wl_list turn; /* xw_selections.turns; points to itself: does not wait for its turn */
	struct xw_selections *all;
	struct xw_selection *selection;
	uint32_t offer; /* which of those that it has had; see xw_selection.n_offers */
	xcb_selection_request_event_t request;
	struct br_object *checking; /* a wl_callback: was there another offer? NULL: not asked */
	bool checked;
	xcb_atom_t type; /* of the property */
	bool latin1;
	int fd;				/* owned; -1: its end was read */
	struct wl_event_source *source; /* NULL: not waiting for data */
	struct wl_event_source *timer;
	size_t filled; /* bytes in buffer, of which those up to ready are to be sent */
	size_t ready;
	bool incr;	/* and the requestor knows it */
	bool wanted;	/* it waits for the next chunk */
	bool writing;	/* the X server has not confirmed our last chunk */
	bool last_sent; /* to be freed when it has */
	uint8_t buffer[BR_LIMIT_X_CHUNK_BYTES];
};

static void step(struct xw_send *send);

/* The window manager's own events of a window, which our choice must leave as they are. */
static void watch(struct xw_send *send, bool on)
{
	struct xw_selections *all = send->all;
	xcb_window_t window = send->request.requestor;
	uint32_t mask = xw_wm_event_mask(all->wm, window);
	struct xw_send *other;
	wl_list_for_each (other, &all->sends, link) {
		on = on || (other != send && other->incr && other->request.requestor == window);
	}
	if (on) {
		mask |= XCB_EVENT_MASK_PROPERTY_CHANGE | XCB_EVENT_MASK_STRUCTURE_NOTIFY;
	}
	xcb_change_window_attributes(all->wm->conn, window, XCB_CW_EVENT_MASK, &mask);
}

static void send_free(struct xw_send *send)
{
	struct xw_selections *all = send->all;
	if (send->incr) {
		watch(send, false);
	}
	if (send->writing) {
		all->writing = false;
		xw_reply_drop(&all->wm->replies, send);
	}
	if (send->checking != NULL) {
		send->checking->data = NULL;
	}
	if (send->source != NULL) {
		wl_event_source_remove(send->source);
	}
	if (send->timer != NULL) {
		wl_event_source_remove(send->timer);
	}
	br_fd_clear(&send->fd);
	wl_list_remove(&send->link);
	wl_list_remove(&send->turn);
	all->n_transfers--;
	free(send);
}

/* Whoever has waited longest goes next. */
static void next_turn(struct xw_selections *all)
{
	if (!all->writing && !wl_list_empty(&all->turns)) {
		struct xw_send *send = wl_container_of(all->turns.next, send, turn);
		wl_list_remove(&send->turn);
		wl_list_init(&send->turn);
		step(send);
	}
}

static void send_end(struct xw_send *send)
{
	struct xw_selections *all = send->all;
	send_free(send);
	next_turn(all);
}

/* It comes to nothing: a requestor that still waits is told. */
static void send_fail(struct xw_send *send)
{
	if (!send->incr && !send->last_sent) {
		xw_selection_notify(send->all, &send->request, XCB_NONE);
	}
	send_end(send);
}

static int handle_deadline(void *data)
{
	struct xw_send *send = data;
	struct xw_selections *all = send->all;
	br_log_peer(BR_LOG_INFO, "guest: xwayland: window 0x%x takes no more of a selection: %s",
		    send->request.requestor,
		    send->fd >= 0 && send->filled == 0 ? "its owner gives none"
						       : "it has stopped asking");
	send_fail(send);
	xw_selections_flush(all);
	return 0;
}

static void set_deadline(struct xw_send *send, int ms)
{
	(void)wl_event_source_timer_update(send->timer, ms);
}

/* The X server has dealt with the chunk. */
static void handle_written(void *data, void *reply)
{
	struct xw_send *send = data;
	struct xw_selections *all = send->all;
	free(reply);
	send->writing = false;
	all->writing = false;
	if (send->last_sent) {
		send_end(send);
	} else {
		step(send);
		next_turn(all);
	}
}

/* Write a property, and have it confirmed. */
static void write_property(struct xw_send *send, xcb_atom_t type, uint8_t format, const void *data,
			   size_t units)
{
	xcb_connection_t *conn = send->all->wm->conn;
	xcb_change_property(conn, XCB_PROP_MODE_REPLACE, send->request.requestor,
			    send->request.property, type, format, (uint32_t)units, data);
	if (!send->incr) {
		xw_selection_notify(send->all, &send->request, send->request.property);
	}
	send->wanted = false;
}

static void confirm(struct xw_send *send)
{
	xcb_get_input_focus_cookie_t cookie = xcb_get_input_focus(send->all->wm->conn);
	send->writing = true;
	send->all->writing = true;
	set_deadline(send, send->all->peer_ms);
	xw_reply_wait(&send->all->wm->replies, cookie.sequence, handle_written, send);
}

static void write_chunk(struct xw_send *send)
{
	size_t bytes = send->ready;
	write_property(send, send->type, 8, send->buffer, bytes);
	memmove(send->buffer, send->buffer + bytes, send->filled - bytes);
	send->filled -= bytes;
	send->ready = 0;
	/* An empty one is the end. */
	send->last_sent = !send->incr || bytes == 0;
	confirm(send);
}

/* More than one chunk: the requestor is to take them one by one. */
static void announce_incr(struct xw_send *send)
{
	const uint32_t least = (uint32_t)send->ready;
	watch(send, true);
	write_property(send, send->all->wm->atoms[XW_ATOM_INCR], 32, &least, 1);
	send->incr = true;
	set_deadline(send, send->all->peer_ms);
}

static int handle_readable(int fd, uint32_t mask, void *data)
{
	struct xw_send *send = data;
	struct xw_selections *all = send->all;
	(void)fd;
	(void)mask;
	step(send);
	next_turn(all);
	xw_selections_flush(all);
	return 0;
}

static void wait_data(struct xw_send *send, bool wait)
{
	if (wait && send->source == NULL) {
		send->source = wl_event_loop_add_fd(send->all->wm->loop, send->fd,
						    WL_EVENT_READABLE, handle_readable, send);
	} else if (!wait && send->source != NULL) {
		wl_event_source_remove(send->source);
		send->source = NULL;
	}
}

/* What Latin-1 needs less room for is sent as far as it is whole. */
static void convert(struct xw_send *send)
{
	size_t used;
	if (!send->latin1) {
		send->ready = send->filled;
		return;
	}
	size_t from = send->ready;
	size_t bytes =
		xw_utf8_to_latin1(send->buffer + from, send->filled - from, send->fd < 0, &used);
	memmove(send->buffer + from + bytes, send->buffer + from + used,
		send->filled - from - used);
	send->filled -= used - bytes;
	send->ready = from + bytes;
}

/* Read until the chunk is full or nothing is there. Returns false if the data can't be had. */
static bool fill(struct xw_send *send)
{
	ssize_t n = 1;
	while (send->fd >= 0 && send->filled < sizeof(send->buffer) && n > 0) {
		n = read(send->fd, send->buffer + send->filled,
			 sizeof(send->buffer) - send->filled);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n < 0 && errno != EAGAIN) {
			return false;
		}
		if (n == 0) {
			wait_data(send, false);
			br_fd_clear(&send->fd);
		}
		send->filled += n > 0 ? (size_t)n : 0;
	}
	convert(send);
	return true;
}

/* The compositor makes an offer void when it announces the next, even the same once more, as with the focus.
 * Whoever asked the last one just then has got nothing. */
static void handle_checked(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	struct xw_send *send = object->data;
	(void)relay;
	(void)msg;
	object->data = NULL;
	if (send == NULL) {
		return;
	}
	struct xw_selections *all = send->all;
	struct xw_selection *selection = send->selection;
	const xcb_selection_request_event_t request = send->request;
	send->checking = NULL;
	send->checked = true;
	if (selection->offer != NULL && selection->n_offers != send->offer) {
		send_free(send);
		xw_selection_answer(selection, &request);
	} else {
		step(send);
	}
	next_turn(all);
	xcb_flush(all->wm->conn);
}

static void handle_checking_gone(struct br_relay *relay, struct br_object *object)
{
	struct xw_send *send = object->data;
	(void)relay;
	object->data = NULL;
	if (send != NULL) {
		send->checking = NULL;
	}
}

/* Nothing at all came. Returns false if that is what there is. */
static bool check(struct xw_send *send)
{
	if (send->checking == NULL && !send->checked && send->selection->kind != XW_DND) {
		send->checking = xw_devices_sync(send->all, handle_checked, send);
		if (send->checking != NULL) {
			send->checking->destroy = handle_checking_gone;
		}
	}
	return send->checking != NULL;
}

/* Do what there is to do. May free the transfer. */
static void step(struct xw_send *send)
{
	if (send->writing || send->last_sent) {
		return;
	}
	if (!fill(send)) {
		send_fail(send);
		return;
	}
	bool full = send->filled == sizeof(send->buffer);
	bool ended = send->fd < 0;
	if (ended && send->filled == 0 && !send->incr && check(send)) {
		return;
	}
	/* Until the requestor knows that there are chunks, only the whole will do. */
	bool can_write = send->incr ? send->wanted && (send->ready > 0 || ended) : ended;
	bool waits = !ended && !full && !can_write;
	wait_data(send, waits);
	if (waits && (send->wanted || !send->incr)) {
		set_deadline(send, send->all->source_ms); /* the requestor has done its part */
	}
	if (!can_write && full && !send->incr) {
		announce_incr(send);
	} else if (can_write && send->all->writing) {
		if (wl_list_empty(&send->turn)) {
			wl_list_insert(send->all->turns.prev, &send->turn);
		}
	} else if (can_write) {
		write_chunk(send);
	}
}

/* A requestor that asks for the same once more has given up on what was. */
static void replace(struct xw_selections *all, const xcb_selection_request_event_t *request)
{
	struct xw_send *send, *tmp;
	wl_list_for_each_safe (send, tmp, &all->sends, link) {
		if (send->request.requestor == request->requestor &&
		    send->request.property == request->property) {
			send_free(send);
		}
	}
}

void xw_send_start_take(struct xw_selection *selection,
			const xcb_selection_request_event_t *request, xcb_atom_t type, bool latin1,
			int *fd)
{
	struct xw_selections *all = selection->all;
	replace(all, request);
	struct xw_send *send =
		all->n_transfers < BR_LIMIT_X_TRANSFERS ? malloc(sizeof(*send)) : NULL;
	struct wl_event_source *timer =
		send != NULL ? wl_event_loop_add_timer(all->wm->loop, handle_deadline, send) : NULL;
	if (timer == NULL) {
		br_log_peer(BR_LOG_WARN, "guest: xwayland: a paste is refused: %s",
			    send != NULL || all->n_transfers < BR_LIMIT_X_TRANSFERS
				    ? "out of memory"
				    : "too many at a time");
		free(send);
		br_fd_clear(fd);
		xw_selection_notify(all, request, XCB_NONE);
		next_turn(all);
		return;
	}
	/* Not the buffer: it is filled before it is looked at. */
	memset(send, 0, offsetof(struct xw_send, buffer));
	send->all = all;
	send->selection = selection;
	send->offer = selection->n_offers;
	send->request = *request;
	send->type = type;
	send->latin1 = latin1;
	send->fd = br_fd_take(fd);
	send->timer = timer;
	wl_list_insert(all->sends.prev, &send->link);
	wl_list_init(&send->turn);
	all->n_transfers++;
	step(send);
	next_turn(all);
}

void xw_sends_handle_property(struct xw_selections *all, const xcb_property_notify_event_t *event)
{
	struct xw_send *send, *tmp;
	wl_list_for_each_safe (send, tmp, &all->sends, link) {
		if (send->incr && send->request.requestor == event->window &&
		    send->request.property == event->atom) {
			send->wanted = true;
			step(send);
			return;
		}
	}
}

void xw_sends_handle_gone(struct xw_selections *all, xcb_window_t window)
{
	struct xw_send *send, *tmp;
	wl_list_for_each_safe (send, tmp, &all->sends, link) {
		if (send->request.requestor == window) {
			send_free(send);
		}
	}
	next_turn(all);
}

bool xw_sends_running(struct xw_selections *all, xcb_atom_t selection)
{
	struct xw_send *send;
	wl_list_for_each (send, &all->sends, link) {
		if (send->request.selection == selection) {
			return true;
		}
	}
	return false;
}

void xw_sends_finish(struct xw_selections *all)
{
	struct xw_send *send, *tmp;
	wl_list_for_each_safe (send, tmp, &all->sends, link) {
		send_free(send);
	}
}
