/* SPDX-License-Identifier: MIT */
#include "window.h"

#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "focus.h"
#include "limits.h"
#include "log.h"
#include "role.h"
#include "root.h"
#include "wm.h"

/* Source: ICCCM 4.1.3.1, WM_STATE. */
enum { NORMAL = 1, ICONIC = 3 };

struct xw_window *xw_window_by_id(struct xw_wm *wm, xcb_window_t id)
{
	struct xw_window *window;
	wl_list_for_each (window, &wm->windows, link) {
		if (window->id == id) {
			return window;
		}
	}
	return NULL;
}

struct xw_window *xw_window_by_surface(struct xw_wm *wm, const struct br_object *object)
{
	struct xw_window *window;
	wl_list_for_each (window, &wm->windows, link) {
		if (window->surface != NULL && window->surface->object == object) {
			return window;
		}
	}
	return NULL;
}

struct xw_window *xw_window_create(struct xw_wm *wm, const xcb_create_notify_event_t *event)
{
	const uint32_t mask = XW_WINDOW_EVENTS;
	struct xw_window *window =
		wm->n_windows < BR_LIMIT_X_WINDOWS ? calloc(1, sizeof(*window)) : NULL;
	if (window == NULL) {
		br_log_peer(BR_LOG_WARN,
			    "guest: X11 programs have more than %d windows: one is ended",
			    BR_LIMIT_X_WINDOWS);
		(void)xcb_kill_client(wm->conn, event->window);
		return NULL;
	}
	window->wm = wm;
	window->id = event->window;
	window->x = event->x;
	window->y = event->y;
	window->width = event->width;
	window->height = event->height;
	window->override_redirect = event->override_redirect != 0;
	xw_props_init(&window->props);
	wl_list_insert(&wm->windows, &window->link);
	wm->n_windows++;
	(void)xcb_change_window_attributes(wm->conn, window->id, XCB_CW_EVENT_MASK, &mask);
	return window;
}

void xw_window_destroy(struct xw_window *window)
{
	struct xw_wm *wm = window->wm;
	xw_window_hide(window);
	xw_attention_forget(window);
	xw_reply_drop(&wm->replies, window);
	xw_props_finish(&window->props);
	wl_list_remove(&window->link);
	wm->n_windows--;
	if (wm->focus == window) {
		wm->focus = NULL;
	}
	if (wm->pointer == window) {
		wm->pointer = NULL;
	}
	bool was_listed = window->mapped && !window->override_redirect;
	free(window);
	if (was_listed) {
		xw_root_publish_clients(wm);
	}
	xw_wm_wake(wm);
}

void xw_window_set_serial(struct xw_window *window, uint64_t serial)
{
	struct xw_wm *wm = window->wm;
	struct xw_surface *surface;
	/* Each surface has one of its own, and they only grow. */
	if (serial <= wm->last_serial) {
		return;
	}
	wm->last_serial = serial;
	window->serial = serial;
	wl_list_for_each (surface, &wm->surfaces, link) {
		if (surface->serial == serial && surface->window == NULL) {
			surface->window = window;
			window->surface = surface;
			break;
		}
	}
	xw_window_update(window);
	xw_wm_wake(wm);
}

void xw_window_update(struct xw_window *window)
{
	if (window->role != NULL) {
		xw_role_update(window->role);
	} else if (window->surface != NULL && window->mapped && xw_props_known(&window->props)) {
		if (xw_role_create(window) < 0) {
			br_log_peer(BR_LOG_WARN, "guest: an X11 window can't be shown");
			xw_window_hide(window);
		}
	}
	/* Without a role its surface has nothing to wait for. */
	xw_wm_wake(window->wm);
}

void xw_window_hide(struct xw_window *window)
{
	if (window->wm->focus == window) {
		xw_focus_set(window->wm, NULL);
	}
	xw_role_destroy(window->role);
	window->role = NULL;
	/* What was shown once can't have a role again; mapped again it has another surface. */
	if (window->surface != NULL) {
		window->surface->window = NULL;
		window->surface = NULL;
		window->serial = 0;
	}
	xw_wm_wake(window->wm);
}

/* A program that asked for another place has to learn that it did not get it. Source: ICCCM 4.1.5. */
static void send_configure_notify(struct xw_window *window)
{
	const xcb_configure_notify_event_t event = {
		.response_type = XCB_CONFIGURE_NOTIFY,
		.event = window->id,
		.window = window->id,
		.x = window->x,
		.y = window->y,
		.width = window->width,
		.height = window->height,
	};
	(void)xcb_send_event(window->wm->conn, 0, window->id, XCB_EVENT_MASK_STRUCTURE_NOTIFY,
			     (const char *)&event);
}

void xw_window_configure(struct xw_window *window, int16_t x, int16_t y, uint16_t width,
			 uint16_t height)
{
	const uint16_t mask = XCB_CONFIG_WINDOW_X | XCB_CONFIG_WINDOW_Y | XCB_CONFIG_WINDOW_WIDTH |
			      XCB_CONFIG_WINDOW_HEIGHT | XCB_CONFIG_WINDOW_BORDER_WIDTH;
	const uint32_t values[] = {(uint32_t)x, (uint32_t)y, width, height, 0};
	bool resized = window->width != width || window->height != height;
	window->x = x;
	window->y = y;
	window->width = width;
	window->height = height;
	(void)xcb_configure_window(window->wm->conn, window->id, mask, values);
	if (!resized) {
		send_configure_notify(window);
	}
}

void xw_window_close(struct xw_window *window)
{
	if (window->props.deletes) {
		xw_wm_send_protocol(window->wm, window->id, XW_ATOM_WM_DELETE_WINDOW);
	} else {
		(void)xcb_kill_client(window->wm->conn, window->id);
	}
}

/* Source: ICCCM 4.1.3.1, EWMH _NET_WM_STATE: both go when it is withdrawn. */
static void publish_withdrawn(struct xw_window *window)
{
	struct xw_wm *wm = window->wm;
	window->published = 0;
	(void)xcb_delete_property(wm->conn, window->id, wm->atoms[XW_ATOM_NET_WM_STATE]);
	(void)xcb_delete_property(wm->conn, window->id, wm->atoms[XW_ATOM_WM_STATE]);
}

void xw_window_publish_state(struct xw_window *window)
{
	struct xw_wm *wm = window->wm;
	const struct xw_props *props = &window->props;
	uint32_t state[8], n = 0, published = 1u << 31;
	const struct {
		bool is;
		enum xw_atom atom;
	} states[] = {
		{props->fullscreen, XW_ATOM_NET_WM_STATE_FULLSCREEN},
		{props->maximized, XW_ATOM_NET_WM_STATE_MAXIMIZED_VERT},
		{props->maximized, XW_ATOM_NET_WM_STATE_MAXIMIZED_HORZ},
		{props->modal, XW_ATOM_NET_WM_STATE_MODAL},
		{props->minimized, XW_ATOM_NET_WM_STATE_HIDDEN},
		{props->urgent, XW_ATOM_NET_WM_STATE_DEMANDS_ATTENTION},
		{wm->focus == window, XW_ATOM_NET_WM_STATE_FOCUSED},
	};
	if (!window->mapped) {
		publish_withdrawn(window);
		return;
	}
	for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (states[i].is) {
			state[n++] = wm->atoms[states[i].atom];
			published |= 1u << i;
		}
	}
	if (published == window->published) {
		return;
	}
	window->published = published;
	xw_wm_set_property(wm, window->id, wm->atoms[XW_ATOM_NET_WM_STATE], XCB_ATOM_ATOM, n,
			   state);
	const uint32_t wm_state[] = {props->minimized ? ICONIC : NORMAL, XCB_WINDOW_NONE};
	xw_wm_set_property(wm, window->id, wm->atoms[XW_ATOM_WM_STATE], wm->atoms[XW_ATOM_WM_STATE],
			   2, wm_state);
}

void xw_window_place(struct xw_wm *wm, const struct xw_window *window, int32_t x, int32_t y,
		     int32_t *ret_x, int32_t *ret_y)
{
	(void)wm;
	*ret_x = window->x + x;
	*ret_y = window->y + y;
}
