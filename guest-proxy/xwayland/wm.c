/* SPDX-License-Identifier: MIT */
#include "wm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xcb/composite.h>
#include <xcb/xfixes.h>

#include "../client.h"
#include "../hooks/state.h"
#include "br-tables.h"
#include "fd.h"
#include "log.h"
#include "dnd.h"
#include "focus.h"
#include "message.h"
#include "props.h"
#include "role.h"
#include "root.h"
#include "selection.h"
#include "window.h"

/* --- the X server's events --- */

static void handle_create(struct xw_wm *wm, const xcb_create_notify_event_t *event)
{
	if (event->parent == wm->root && event->window != wm->own &&
	    xw_window_by_id(wm, event->window) == NULL) {
		(void)xw_window_create(wm, event);
	}
}

static void handle_map_request(struct xw_wm *wm, xcb_window_t id)
{
	struct xw_window *window = xw_window_by_id(wm, id);
	if (window != NULL && !window->props.asked) {
		xw_props_ask_all(window);
	}
	(void)xcb_map_window(wm->conn, id);
}

static void handle_map(struct xw_window *window)
{
	window->mapped = true;
	if (!window->props.asked) {
		xw_props_ask_all(window);
	}
	if (!window->override_redirect) {
		xw_window_publish_state(window);
		xw_message_publish_frame(window->wm, window->id);
		xw_root_publish_clients(window->wm);
	}
	xw_window_update(window);
}

/* The program withdraws it. Source: ICCCM 4.1.4. */
static void handle_unmap(struct xw_window *window)
{
	window->mapped = false;
	xw_window_hide(window);
	if (!window->override_redirect) {
		xw_window_publish_state(window);
		xw_root_publish_clients(window->wm);
	}
}

static void handle_configure_request(struct xw_wm *wm, const xcb_configure_request_event_t *event)
{
	struct xw_window *window = xw_window_by_id(wm, event->window);
	uint16_t width = event->value_mask & XCB_CONFIG_WINDOW_WIDTH ? event->width : 0;
	uint16_t height = event->value_mask & XCB_CONFIG_WINDOW_HEIGHT ? event->height : 0;
	if (window == NULL) {
		return;
	}
	width = width == 0 ? window->width : width;
	height = height == 0 ? window->height : height;
	if (window->role != NULL && xw_role_keeps_size(window->role)) {
		width = window->width;
		height = window->height;
	} else if (window->role != NULL && (width != window->width || height != window->height)) {
		xw_role_resized(window->role, window->width, window->height);
	}
	xw_window_configure(window, window->x, window->y, width, height);
}

static void handle_configure(struct xw_wm *wm, const xcb_configure_notify_event_t *event)
{
	struct xw_window *window = xw_window_by_id(wm, event->window);
	if (window == NULL) {
		return;
	}
	bool moved = window->x != event->x || window->y != event->y ||
		     window->width != event->width || window->height != event->height;
	window->x = event->x;
	window->y = event->y;
	window->width = event->width;
	window->height = event->height;
	window->override_redirect = event->override_redirect != 0;
	if (moved && window->role != NULL) {
		xw_role_moved(window->role);
	}
}

static void handle_event(struct xw_wm *wm, const xcb_generic_event_t *event)
{
	struct xw_window *window;
	const void *any = event;
	switch (event->response_type & 0x7f) {
	case XCB_CREATE_NOTIFY:
		handle_create(wm, any);
		break;
	case XCB_DESTROY_NOTIFY:
		window = xw_window_by_id(wm, ((const xcb_destroy_notify_event_t *)any)->window);
		if (window != NULL) {
			xw_window_destroy(window);
		}
		break;
	case XCB_MAP_REQUEST:
		handle_map_request(wm, ((const xcb_map_request_event_t *)any)->window);
		break;
	case XCB_MAP_NOTIFY:
		window = xw_window_by_id(wm, ((const xcb_map_notify_event_t *)any)->window);
		if (window != NULL) {
			handle_map(window);
		}
		break;
	case XCB_UNMAP_NOTIFY:
		window = xw_window_by_id(wm, ((const xcb_unmap_notify_event_t *)any)->window);
		if (window != NULL) {
			handle_unmap(window);
		}
		break;
	case XCB_CONFIGURE_REQUEST:
		handle_configure_request(wm, any);
		break;
	case XCB_CONFIGURE_NOTIFY:
		handle_configure(wm, any);
		break;
	case XCB_PROPERTY_NOTIFY:
		window = xw_window_by_id(wm, ((const xcb_property_notify_event_t *)any)->window);
		if (window != NULL) {
			xw_props_changed(window, ((const xcb_property_notify_event_t *)any)->atom);
		}
		break;
	case XCB_FOCUS_IN:
		xw_focus_taken(wm, any);
		break;
	case XCB_CLIENT_MESSAGE:
		xw_message_handle(wm, any);
		break;
	default:
		break;
	}
}

static int handle_readable(int fd, uint32_t mask, void *data)
{
	struct xw_wm *wm = data;
	struct br_relay *relay = wm->relay;
	bool some = (mask & WL_EVENT_READABLE) != 0;
	xcb_generic_event_t *event;
	(void)fd;
	while ((event = xcb_poll_for_event(wm->conn)) != NULL) {
		(void)xw_replies_poll(&wm->replies);
		if (!xw_selection_event(wm, event) && !xw_dnd_event(wm, event)) {
			handle_event(wm, event);
		}
		free(event);
		some = true;
	}
	/* Some may have been read while we wrote. */
	some = xw_replies_poll(&wm->replies) || some;
	(void)xcb_flush(wm->conn);
	if (xcb_connection_has_error(wm->conn) || (mask & (WL_EVENT_HANGUP | WL_EVENT_ERROR))) {
		wl_event_source_remove(wm->source);
		wm->source = NULL;
		gp_client_end(relay); /* which ends us */
	} else if (some || !br_stream_empty(br_relay_output(relay, BR_REQUEST))) {
		gp_client_run(relay); /* which may */
	}
	return 0;
}

void xw_wm_flush(struct xw_wm *wm)
{
	(void)xcb_flush(wm->conn);
}

uint32_t xw_wm_serial(const struct xw_wm *wm)
{
	return wm->input_serial;
}

uint32_t xw_wm_event_mask(struct xw_wm *wm, xcb_window_t id)
{
	return xw_window_by_id(wm, id) != NULL ? XW_WINDOW_EVENTS : XCB_EVENT_MASK_NO_EVENT;
}

void xw_wm_wake(struct xw_wm *wm)
{
	gp_state_xwayland_wake(wm->relay);
}

/* --- surfaces --- */

static struct xw_surface *find_surface(struct xw_wm *wm, const struct br_object *object)
{
	struct xw_surface *surface;
	wl_list_for_each (surface, &wm->surfaces, link) {
		if (surface->object == object) {
			return surface;
		}
	}
	return NULL;
}

void xw_wm_associate(struct xw_wm *wm, struct br_object *object, uint64_t serial)
{
	struct xw_window *window;
	struct xw_surface *surface = calloc(1, sizeof(*surface));
	if (surface == NULL || find_surface(wm, object) != NULL) {
		free(surface);
		return;
	}
	*surface = (struct xw_surface){.object = object, .serial = serial};
	wl_list_insert(&wm->surfaces, &surface->link);
	wl_list_for_each (window, &wm->windows, link) {
		if (window->serial == serial && window->surface == NULL) {
			window->surface = surface;
			surface->window = window;
			xw_window_update(window);
			break;
		}
	}
	xw_wm_flush(wm);
}

bool xw_wm_may_attach(struct xw_wm *wm, struct br_object *object)
{
	const struct xw_surface *surface = find_surface(wm, object);
	if (surface == NULL) {
		return true; /* a cursor's, or of no window */
	}
	if (surface->window == NULL) {
		return surface->serial <= wm->last_serial; /* then the window has gone already */
	}
	const struct xw_window *window = surface->window;
	return window->role != NULL ? xw_role_may_show(window->role)
				    : !window->mapped || xw_props_known(&window->props);
}

void xw_wm_surface_gone(struct xw_wm *wm, struct br_object *object)
{
	struct xw_surface *surface = find_surface(wm, object);
	if (surface == NULL) {
		return;
	}
	struct xw_window *window = surface->window;
	if (window != NULL) {
		xw_window_hide(window);
	}
	wl_list_remove(&surface->link);
	free(surface);
}

void xw_wm_pointer_enter(struct xw_wm *wm, struct br_object *object)
{
	const struct xw_surface *surface = object != NULL ? find_surface(wm, object) : NULL;
	wm->pointer = surface != NULL ? surface->window : NULL;
	if (wm->pointer != NULL) {
		xw_focus_raise(wm->pointer);
		if (wm->pointer->props.minimized) {
			wm->pointer->props.minimized = false; /* not every compositor tells */
			xw_window_publish_state(wm->pointer);
		}
		xw_wm_flush(wm);
	}
}

struct br_object *xw_wm_bind(struct xw_wm *wm, uint16_t iface, uint16_t version)
{
	struct br_object *registry;
	uint32_t name, has = gp_registry_find(wm->relay, iface, &registry, &name);
	if (has == 0) {
		return NULL;
	}
	return br_relay_bind(wm->relay, registry, name, iface,
			     version < has ? version : (uint16_t)has);
}

/* --- properties --- */

void xw_wm_set_property(struct xw_wm *wm, xcb_window_t id, xcb_atom_t name, xcb_atom_t type,
			uint32_t n, const uint32_t *values)
{
	(void)xcb_change_property(wm->conn, XCB_PROP_MODE_REPLACE, id, name, type, 32, n, values);
}

void xw_wm_send_protocol(struct xw_wm *wm, xcb_window_t id, enum xw_atom protocol)
{
	const xcb_client_message_event_t event = {
		.response_type = XCB_CLIENT_MESSAGE,
		.format = 32,
		.window = id,
		.type = wm->atoms[XW_ATOM_WM_PROTOCOLS],
		.data.data32 = {wm->atoms[protocol], XCB_CURRENT_TIME},
	};
	(void)xcb_send_event(wm->conn, 0, id, XCB_EVENT_MASK_NO_EVENT, (const char *)&event);
}

/* --- begin and end --- */

static int become_manager(struct xw_wm *wm)
{
	const uint32_t mask = XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY |
			      XCB_EVENT_MASK_SUBSTRUCTURE_REDIRECT | XCB_EVENT_MASK_PROPERTY_CHANGE;
	wm->root = xcb_setup_roots_iterator(xcb_get_setup(wm->conn)).data->root;
	int ret = xw_atoms_intern(wm->conn, wm->atoms);
	if (ret < 0) {
		return ret;
	}
	/* Xwayland ends with its last program, not with us. */
	(void)xcb_xfixes_query_version_unchecked(wm->conn, 6, 0);
	(void)xcb_xfixes_set_client_disconnect_mode(wm->conn,
						    XCB_XFIXES_CLIENT_DISCONNECT_FLAGS_TERMINATE);
	(void)xcb_change_window_attributes(wm->conn, wm->root, XCB_CW_EVENT_MASK, &mask);
	(void)xcb_composite_redirect_subwindows(wm->conn, wm->root, XCB_COMPOSITE_REDIRECT_MANUAL);
	xw_root_init(wm);
	(void)xcb_flush(wm->conn);
	return xcb_connection_has_error(wm->conn) ? -ENOTCONN : 0;
}

struct xw_wm *xw_wm_create(struct wl_event_loop *loop, struct br_relay *relay, int *fd)
{
	struct xw_wm *wm = calloc(1, sizeof(*wm));
	if (wm == NULL) {
		br_fd_clear(fd);
		return NULL;
	}
	wm->loop = loop;
	wm->relay = relay;
	wl_list_init(&wm->windows);
	wl_list_init(&wm->surfaces);
	wm->conn = xcb_connect_to_fd(br_fd_take(fd), NULL);
	xw_replies_init(&wm->replies, wm->conn);
	int ret = xcb_connection_has_error(wm->conn) ? -ENOTCONN : become_manager(wm);
	if (ret == 0) {
		wm->source = wl_event_loop_add_fd(loop, xcb_get_file_descriptor(wm->conn),
						  WL_EVENT_READABLE, handle_readable, wm);
	}
	if (wm->source == NULL) {
		br_log(BR_LOG_ERROR, "guest: the X server does not take the window manager: %s",
		       strerror(ret < 0 ? -ret : ENOMEM));
		xw_wm_destroy(wm);
		return NULL;
	}
	wm->selections = xw_selections_create(wm);
	/* xcb reads events when it writes as well: no readable fd tells of those. */
	wl_event_source_check(wm->source);
	return wm;
}

void xw_wm_destroy(struct xw_wm *wm)
{
	struct xw_window *window, *tmp;
	struct xw_surface *surface, *next;
	if (wm == NULL) {
		return;
	}
	xw_selections_destroy(wm->selections);
	wl_list_for_each_safe (window, tmp, &wm->windows, link) {
		xw_role_abandon(window->role);
		window->role = NULL;
		xw_window_destroy(window);
	}
	wl_list_for_each_safe (surface, next, &wm->surfaces, link) {
		wl_list_remove(&surface->link);
		free(surface);
	}
	if (wm->base != NULL) {
		wm->base->event = NULL;
		wm->base->destroy = NULL;
	}
	if (wm->source != NULL) {
		wl_event_source_remove(wm->source);
	}
	xw_replies_finish(&wm->replies);
	xcb_disconnect(wm->conn);
	free(wm);
}
