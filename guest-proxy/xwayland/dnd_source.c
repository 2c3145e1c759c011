/* SPDX-License-Identifier: MIT
 *
 * A drag that an X program has begun: the compositor leads it, from the press that began it on. It takes
 * the pointer away from X then; so that the program can go on, we move X's pointer for it: over an X window
 * to where the drag is, and elsewhere over our own window, which stands for whoever is there. What the
 * compositor's end of the drag has become is told to it by a release of the button.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "atoms.h"
#include "br-tables.h"
#include "dnd.h"
#include "dnd_private.h"
#include "log.h"
#include "relay.h"
#include "window.h"
#include "wm.h"

#define ACTIONS 3u /* copy and move, which is all that XDND and Wayland share without a question */
#define EVERYWHERE 0x7fff /* pixels; larger than any root window */
#define BESIDE 4	  /* pixels that a program notices */
#define FRAME_SINCE 5	  /* version of wl_pointer */

static struct xw_dnd *dnd_of_wm(const struct xw_wm *wm)
{
	return wm->selections != NULL ? wm->selections->dnd : NULL;
}

static struct br_relay *relay_of(const struct xw_dnd *dnd)
{
	return dnd->all->wm->relay;
}

static struct xw_dnd *dnd_of(struct xw_dnd_source *source)
{
	struct xw_dnd *dnd;
	return wl_container_of(source, dnd, source);
}

static uint32_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint32_t)((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

/* --- Xwayland's pointer --- */

/* By id: they may be gone at any time. */
static struct br_object *find(const struct xw_dnd *dnd, uint32_t id, uint16_t iface)
{
	struct br_object *object = id != 0 ? br_relay_client_object(relay_of(dnd), id) : NULL;
	return object != NULL && object->iface == iface ? object : NULL;
}

static void tell_pointer(struct xw_dnd *dnd, uint16_t opcode, const union br_arg *args)
{
	struct br_object *pointer = find(dnd, dnd->pointer.object, BR_IFACE_WL_POINTER);
	if (pointer == NULL) {
		return;
	}
	(void)br_relay_send(relay_of(dnd), BR_EVENT, pointer, opcode, args, NULL);
	if (pointer->version >= FRAME_SINCE) {
		(void)br_relay_send(relay_of(dnd), BR_EVENT, pointer, BR_EVT_WL_POINTER_FRAME, NULL,
				    NULL);
	}
}

/* Move X's pointer to a place of the root window. Xwayland counts from the surface that it believes the
 * pointer to be on. */
static void move_pointer(struct xw_dnd *dnd, int32_t x, int32_t y)
{
	const int32_t far = 1024; /* surface units, to learn the scale */
	int32_t x0, y0, x1, y1;
	struct br_object *surface = find(dnd, dnd->pointer.surface, BR_IFACE_WL_SURFACE);
	struct xw_window *origin =
		surface != NULL ? xw_window_by_surface(dnd->all->wm, surface) : NULL;
	if (origin == NULL) {
		return;
	}
	xw_window_place(dnd->all->wm, origin, 0, 0, &x0, &y0);
	xw_window_place(dnd->all->wm, origin, far, far, &x1, &y1);
	if (x1 <= x0 || y1 <= y0) {
		return;
	}
	const union br_arg args[] = {
		{.u = now_ms()},
		{.fixed = (int32_t)((int64_t)(x - x0) * far * 256 / (x1 - x0))},
		{.fixed = (int32_t)((int64_t)(y - y0) * far * 256 / (y1 - y0))},
	};
	tell_pointer(dnd, BR_EVT_WL_POINTER_MOTION, args);
}

/* The program looks anew at what is below its pointer. */
static void nudge(struct xw_dnd *dnd)
{
	struct xw_dnd_source *source = &dnd->source;
	source->odd = !source->odd;
	move_pointer(dnd, source->x + (source->odd ? BESIDE : 0), source->y);
}

static void release_button(struct xw_dnd *dnd)
{
	struct xw_dnd_pointer *pointer = &dnd->pointer;
	if (pointer->button != 0) {
		const union br_arg args[] = {
			{.u = pointer->serial}, {.u = now_ms()}, {.u = pointer->button}, {.u = 0}};
		tell_pointer(dnd, BR_EVT_WL_POINTER_BUTTON, args);
		pointer->button = 0;
	}
}

/* What the compositor has said already. */
static void leave_pointer(struct xw_dnd *dnd)
{
	struct br_object *surface = find(dnd, dnd->pointer.surface, BR_IFACE_WL_SURFACE);
	if (dnd->pointer.left && surface != NULL) {
		const union br_arg args[] = {{.u = dnd->pointer.leave_serial}, {.object = surface}};
		tell_pointer(dnd, BR_EVT_WL_POINTER_LEAVE, args);
	}
	dnd->pointer.left = false;
}

/* --- our window below X's pointer --- */

static void handle_shown(void *data, void *reply)
{
	struct xw_dnd_source *source = data;
	free(reply);
	nudge(dnd_of(source));
}

/* Have it there or not; then the program is to look. The two ways to the X server are not one queue. */
static void show_window(struct xw_dnd *dnd, bool show)
{
	xcb_connection_t *conn = dnd->all->wm->conn;
	const uint32_t values[] = {0, 0, EVERYWHERE, EVERYWHERE, XCB_STACK_MODE_ABOVE};
	dnd->source.settled = false;
	if (show) {
		xcb_configure_window(conn, dnd->selection->window,
				     XCB_CONFIG_WINDOW_X | XCB_CONFIG_WINDOW_Y |
					     XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT |
					     XCB_CONFIG_WINDOW_STACK_MODE,
				     values);
		xcb_map_window(conn, dnd->selection->window);
	} else {
		xcb_unmap_window(conn, dnd->selection->window);
	}
	xw_reply_wait(&dnd->all->wm->replies, xcb_get_input_focus(conn).sequence, handle_shown,
		      &dnd->source);
}

/* --- the drag's life --- */

/* The compositor is done with it; what the X program makes of that is up to it. */
static void source_end(struct xw_dnd *dnd)
{
	struct xw_dnd_source *source = &dnd->source;
	if (source->window == XCB_NONE) {
		return;
	}
	struct xw_source *object = source->source;
	struct xw_offer *offer = source->offer;
	xw_reply_drop(&dnd->all->wm->replies, source);
	xcb_unmap_window(dnd->all->wm->conn, dnd->selection->window);
	*source = (struct xw_dnd_source){0};
	release_button(dnd);
	leave_pointer(dnd);
	xw_offer_destroy(offer);
	xw_source_destroy(object);
}

void xw_dnd_source_end(struct xw_dnd *dnd)
{
	source_end(dnd);
}

void xw_dnd_source_owner(struct xw_dnd *dnd)
{
	struct xw_dnd_source *source = &dnd->source;
	xcb_window_t owner = dnd->selection->owner;
	source_end(dnd);
	if (owner == XCB_NONE || owner == dnd->selection->window || dnd->pointer.button == 0 ||
	    dnd->all->devices[XW_CLIPBOARD].object == NULL) {
		return;
	}
	xw_dnd_target_end(dnd);
	source->window = owner;
	struct br_object *surface = find(dnd, dnd->pointer.surface, BR_IFACE_WL_SURFACE);
	struct xw_window *origin =
		surface != NULL ? xw_window_by_surface(dnd->all->wm, surface) : NULL;
	if (origin != NULL) {
		xw_window_place(dnd->all->wm, origin, dnd->pointer.x >> 8, dnd->pointer.y >> 8,
				&source->x, &source->y);
	}
	show_window(dnd, true);
}

static void send_status(struct xw_dnd *dnd)
{
	const struct xw_dnd_source *source = &dnd->source;
	/* Bit 1: positions within the empty rectangle count as well. */
	const uint32_t data[5] = {0, source->accepted ? 3 : 2, 0, 0,
				  source->accepted ? xw_dnd_action_atom(dnd, source->action) : 0};
	xw_dnd_send(dnd, source->window, source->window, XW_ATOM_XDND_STATUS, data);
}

static void send_finished(struct xw_dnd *dnd, xcb_window_t to, bool success)
{
	const uint32_t data[5] = {0, success,
				  success ? xw_dnd_action_atom(dnd, dnd->source.action) : 0};
	xw_dnd_send(dnd, to, to, XW_ATOM_XDND_FINISHED, data);
}

/* Both ends have to be through with it. */
static void source_complete(struct xw_dnd *dnd)
{
	const struct xw_dnd_source *source = &dnd->source;
	if (source->finished && (source->done || !source->entered)) {
		if (source->done) {
			send_finished(dnd, source->window, true);
		}
		source_end(dnd);
		xcb_flush(dnd->all->wm->conn);
	}
}

static void handle_told(void *data, void *reply)
{
	struct xw_dnd *dnd = dnd_of(data);
	free(reply);
	release_button(dnd);
	if (dnd->source.cancelled) {
		source_end(dnd);
	}
}

/* The compositor has ended the drag. Before the button goes up the program has to be over our window, and to
 * know what is the matter there: else it would drop onto the X window that it was over last. */
static void tell_end(struct xw_dnd *dnd)
{
	struct xw_dnd_source *source = &dnd->source;
	if (source->settled && dnd->pointer.button != 0) {
		send_status(dnd);
		xw_reply_wait(&dnd->all->wm->replies,
			      xcb_get_input_focus(dnd->all->wm->conn).sequence, handle_told,
			      source);
		xcb_flush(dnd->all->wm->conn);
	}
}

static void handle_cancelled(struct xw_dnd *dnd)
{
	struct xw_dnd_source *source = &dnd->source;
	struct xw_source *object = source->source;
	if (source->finished) {
		return; /* wlroots says it of every source in the end */
	}
	if (source->done) {
		send_finished(dnd, source->window, false);
	}
	if (source->done || dnd->pointer.button == 0) {
		source_end(dnd);
	} else {
		source->accepted = source->dropped = false;
		source->cancelled = true;
		xw_source_destroy(object);
		if (!source->settled) {
			show_window(dnd, true);
		}
		tell_end(dnd);
	}
	xcb_flush(dnd->all->wm->conn);
}

void xw_dnd_targets(struct xw_dnd *dnd, struct xw_mimes *mimes)
{
	struct xw_dnd_source *source = &dnd->source;
	struct br_object *origin = find(dnd, dnd->pointer.surface, BR_IFACE_WL_SURFACE);
	struct br_object *device = dnd->all->devices[XW_CLIPBOARD].object;
	if (source->window == XCB_NONE || source->source != NULL || source->cancelled ||
	    origin == NULL || device == NULL || dnd->pointer.button == 0) {
		return;
	}
	source->source = xw_source_create(dnd->selection, mimes);
	if (source->source == NULL) {
		return;
	}
	source->source->used = &source->source;
	const union br_arg args[] = {{.object = source->source->object},
				     {.object = origin},
				     {.object = NULL},
				     {.u = dnd->pointer.serial}};
	if (source->source->object->version >= 3) {
		const union br_arg actions = {.u = ACTIONS};
		(void)br_relay_send(relay_of(dnd), BR_REQUEST, source->source->object,
				    BR_REQ_WL_DATA_SOURCE_SET_ACTIONS, &actions, NULL);
	} else {
		source->action = 1;
	}
	(void)br_relay_send(relay_of(dnd), BR_REQUEST, device, BR_REQ_WL_DATA_DEVICE_START_DRAG,
			    args, NULL);
}

/* --- what the compositor says --- */

void xw_dnd_handle_source(struct xw_dnd *dnd, struct xw_source *object, struct br_msg *msg)
{
	struct xw_dnd_source *source = &dnd->source;
	if (object != source->source) {
		return;
	}
	switch (msg->opcode) {
	case BR_EVT_WL_DATA_SOURCE_TARGET:
		source->accepted = msg->args[0].str.ptr != NULL;
		break;
	case BR_EVT_WL_DATA_SOURCE_ACTION:
		source->action = msg->args[0].u;
		break;
	case BR_EVT_WL_DATA_SOURCE_DND_DROP_PERFORMED:
		source->dropped = true;
		tell_end(dnd);
		return;
	case BR_EVT_WL_DATA_SOURCE_DND_FINISHED:
		source->finished = true;
		source_complete(dnd);
		return;
	case BR_EVT_WL_DATA_SOURCE_CANCELLED:
		handle_cancelled(dnd);
		return;
	default:
		return;
	}
	if (source->entered) {
		send_status(dnd);
		nudge(dnd);
		xcb_flush(dnd->all->wm->conn);
	}
}

/* The drag is over a window of X's again: of the same X server, the program deals with it itself. The
 * compositor is told yes, so that it lets the drop happen. */
static void source_over_x(struct xw_dnd *dnd, struct br_msg *msg, struct xw_offer *offer)
{
	struct xw_dnd_source *source = &dnd->source;
	struct xw_window *window = xw_window_by_surface(dnd->all->wm, msg->args[1].object);
	const uint32_t above = XCB_STACK_MODE_ABOVE;
	if (window == NULL || offer->mimes.count == 0) {
		xw_offer_destroy(offer);
		return;
	}
	const char *name = offer->mimes.list[0].name;
	const union br_arg accept[] = {msg->args[0],
				       {.str = {.ptr = name, .len = (uint32_t)strlen(name)}}};
	const union br_arg actions[] = {{.u = ACTIONS}, {.u = 1}};
	xw_offer_destroy(source->offer);
	source->offer = offer;
	source->over = window->id;
	(void)br_relay_send(relay_of(dnd), BR_REQUEST, offer->object, BR_REQ_WL_DATA_OFFER_ACCEPT,
			    accept, NULL);
	if (offer->object->version >= 3) {
		(void)br_relay_send(relay_of(dnd), BR_REQUEST, offer->object,
				    BR_REQ_WL_DATA_OFFER_SET_ACTIONS, actions, NULL);
	}
	xw_window_place(dnd->all->wm, window, msg->args[2].fixed >> 8, msg->args[3].fixed >> 8,
			&source->x, &source->y);
	xcb_configure_window(dnd->all->wm->conn, window->id, XCB_CONFIG_WINDOW_STACK_MODE, &above);
	show_window(dnd, false);
}

static void source_motion(struct xw_dnd *dnd, struct br_msg *msg)
{
	struct xw_dnd_source *source = &dnd->source;
	struct xw_window *window = xw_window_by_id(dnd->all->wm, source->over);
	if (window != NULL && source->offer != NULL) {
		xw_window_place(dnd->all->wm, window, msg->args[1].fixed >> 8,
				msg->args[2].fixed >> 8, &source->x, &source->y);
		move_pointer(dnd, source->x, source->y);
	}
}

static void source_drop(struct xw_dnd *dnd)
{
	struct xw_offer *offer = dnd->source.offer;
	release_button(dnd);
	dnd->source.dropped = false; /* it is the programs' own business */
	if (offer != NULL && offer->object != NULL && offer->object->version >= 3) {
		(void)br_relay_send(relay_of(dnd), BR_REQUEST, offer->object,
				    BR_REQ_WL_DATA_OFFER_FINISH, NULL, NULL);
	}
	dnd->source.offer = NULL;
	xw_offer_destroy(offer);
}

bool xw_dnd_source_device(struct xw_dnd *dnd, struct br_msg *msg, struct xw_offer *offer)
{
	struct xw_dnd_source *source = &dnd->source;
	if (source->source == NULL) {
		return false;
	}
	switch (msg->opcode) {
	case BR_EVT_WL_DATA_DEVICE_ENTER:
		if (offer == NULL || !xw_mimes_equal(&offer->mimes, &source->source->mimes)) {
			return false;
		}
		source_over_x(dnd, msg, offer);
		break;
	case BR_EVT_WL_DATA_DEVICE_LEAVE:
		if (source->offer == NULL) {
			return false;
		}
		xw_offer_destroy(source->offer);
		source->offer = NULL;
		source->accepted = false;
		show_window(dnd, true);
		break;
	case BR_EVT_WL_DATA_DEVICE_MOTION:
		source_motion(dnd, msg);
		break;
	case BR_EVT_WL_DATA_DEVICE_DROP:
		source_drop(dnd);
		break;
	default:
		break;
	}
	return true;
}

/* --- what the X program says --- */

static void handle_types(void *data, void *reply)
{
	struct xw_dnd_source *source = data;
	struct xw_dnd *dnd = dnd_of(source);
	xcb_get_property_reply_t *property = reply;
	if (property != NULL && property->type == XCB_ATOM_ATOM && property->format == 32) {
		xw_selection_name(dnd->selection, xcb_get_property_value(property),
				  property->value_len);
	}
	free(property);
}

void xw_dnd_source_enter(struct xw_dnd *dnd, const uint32_t data[5])
{
	struct xw_dnd_source *source = &dnd->source;
	const struct xw_wm *wm = dnd->all->wm;
	unsigned count = 0;
	if (source->window == XCB_NONE) {
		return;
	}
	/* The owner of the selection need not be the window that sends messages. */
	source->window = data[0];
	source->entered = true;
	if (source->source != NULL || source->cancelled) {
		return;
	}
	if (data[1] & 1) {
		xcb_get_property_cookie_t cookie = xcb_get_property(
			wm->conn, false, source->window, wm->atoms[XW_ATOM_XDND_TYPE_LIST],
			XCB_ATOM_ATOM, 0, BR_LIMIT_X_MIMES);
		xw_reply_wait(&dnd->all->wm->replies, cookie.sequence, handle_types, source);
		return;
	}
	while (count < 3 && data[2 + count] != XCB_NONE) {
		count++;
	}
	xw_selection_name(dnd->selection, data + 2, count);
}

void xw_dnd_source_position(struct xw_dnd *dnd, const uint32_t data[5])
{
	struct xw_dnd_source *source = &dnd->source;
	if (source->window != data[0] || !source->entered) {
		return;
	}
	int32_t x = (int16_t)(data[2] >> 16), y = (int16_t)(data[2] & 0xffff);
	/* Until the compositor leads, this is where the pointer is. */
	if (!dnd->pointer.left) {
		source->x = x;
		source->y = y;
		source->odd = false;
	}
	/* An answer to the last nudge, but for rounding. */
	if (abs(x - source->x - (source->odd ? BESIDE : 0)) <= 1 && abs(y - source->y) <= 1) {
		source->settled = true;
	}
	send_status(dnd);
	if (source->dropped || source->cancelled) {
		tell_end(dnd);
	}
}

void xw_dnd_source_leave(struct xw_dnd *dnd, const uint32_t data[5])
{
	if (dnd->source.window == data[0]) {
		dnd->source.entered = dnd->source.settled = false;
	}
}

void xw_dnd_source_drop(struct xw_dnd *dnd, const uint32_t data[5])
{
	struct xw_dnd_source *source = &dnd->source;
	if (source->window != data[0] || !source->entered || !source->dropped) {
		send_finished(dnd, data[0], false); /* the compositor has ended it otherwise */
		return;
	}
	source->done = true;
	if (data[2] != XCB_CURRENT_TIME) {
		dnd->selection->time = data[2];
	}
	source_complete(dnd);
}

/* --- the hooks of Xwayland's wl_pointer --- */

void xw_dnd_pointer_enter(struct xw_wm *wm, const struct br_object *pointer,
			  const struct br_object *surface)
{
	struct xw_dnd *dnd = dnd_of_wm(wm);
	if (dnd == NULL) {
		return;
	}
	/* The compositor has the pointer back from the drag, whatever it has said of that. */
	if (dnd->source.cancelled) {
		source_end(dnd);
	}
	if (dnd->pointer.left) {
		release_button(dnd);
		leave_pointer(dnd);
	}
	dnd->pointer.object = pointer->client_id;
	dnd->pointer.surface = surface != NULL ? surface->client_id : 0;
	dnd->pointer.button = 0;
}

void xw_dnd_pointer_motion(struct xw_wm *wm, int32_t x, int32_t y)
{
	struct xw_dnd *dnd = dnd_of_wm(wm);
	if (dnd != NULL) {
		dnd->pointer.x = x;
		dnd->pointer.y = y;
	}
}

bool xw_dnd_pointer_leave(struct xw_wm *wm, uint32_t serial)
{
	struct xw_dnd *dnd = dnd_of_wm(wm);
	if (dnd == NULL || dnd->source.source == NULL) {
		return false;
	}
	dnd->pointer.left = true;
	dnd->pointer.leave_serial = serial;
	return true;
}

void xw_dnd_pointer_button(struct xw_wm *wm, uint32_t serial, uint32_t button, bool pressed)
{
	struct xw_dnd *dnd = dnd_of_wm(wm);
	if (dnd == NULL) {
		return;
	}
	if (pressed && dnd->pointer.button == 0) {
		dnd->pointer.button = button;
		dnd->pointer.serial = serial;
	} else if (!pressed && dnd->pointer.button == button) {
		dnd->pointer.button = 0;
		/* The compositor has not taken the pointer: it leads no drag. */
		source_end(dnd);
		xcb_flush(wm->conn);
	}
}
