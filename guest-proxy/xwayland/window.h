/* SPDX-License-Identifier: MIT
 *
 * The windows of X11 programs, and their surfaces. Sizes and places are X's, in its pixels.
 */
#ifndef XW_WINDOW_H
#define XW_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>
#include <xcb/xcb.h>

#include "props.h"

struct br_object;
struct xw_role;
struct xw_wm;

/** A wl_surface that Xwayland has made for a window. */
struct xw_surface {
	struct wl_list link; /* xw_wm.surfaces */
	struct br_object *object;
	uint64_t serial;
	struct xw_window *window; /* NULL: not known yet, or gone */
};

/** A child of the root window. Owned by its wm. */
struct xw_window {
	struct wl_list link; /* xw_wm.windows */
	struct xw_wm *wm;
	xcb_window_t id;
	int16_t x, y;
	uint16_t width, height;
	bool override_redirect; /* places itself: a menu or the like */
	bool mapped;
	struct xw_props props;
	uint64_t serial;	    /* of its surface; 0: none yet */
	struct xw_surface *surface; /* NULL: none */
	struct xw_role *role;	    /* NULL: it is not shown */
	uint32_t published;	    /* states, as xw_window_publish_state() has them; 0: none */
	struct br_object *token;    /* that xdg-activation is asked for; NULL: none */
};

/* What the window manager wants to hear of each. */
#define XW_WINDOW_EVENTS (XCB_EVENT_MASK_PROPERTY_CHANGE | XCB_EVENT_MASK_FOCUS_CHANGE)

/** Look up. NULL: there is none. */
struct xw_window *xw_window_by_id(struct xw_wm *wm, xcb_window_t id);
struct xw_window *xw_window_by_surface(struct xw_wm *wm, const struct br_object *surface);

/** Take note of a new window. One beyond BR_LIMIT_X_WINDOWS costs its program its connection. */
struct xw_window *xw_window_create(struct xw_wm *wm, const xcb_create_notify_event_t *event);

/** It has gone. */
void xw_window_destroy(struct xw_window *window);

/** Its surface's serial has come from the X server. */
void xw_window_set_serial(struct xw_window *window, uint64_t serial);

/** Show it if all is known that is needed for that. */
void xw_window_update(struct xw_window *window);

/** Take it off the screen, until it is mapped again. */
void xw_window_hide(struct xw_window *window);

/** Tell the X server and the program a size and place. */
void xw_window_configure(struct xw_window *window, int16_t x, int16_t y, uint16_t width,
			 uint16_t height);

/** Ask the program to close it, or end the program. */
void xw_window_close(struct xw_window *window);

/** Say its states by _NET_WM_STATE and WM_STATE. */
void xw_window_publish_state(struct xw_window *window);

/** Where the root's point is that lies at x, y of a window's surface. */
void xw_window_place(struct xw_wm *wm, const struct xw_window *window, int32_t x, int32_t y,
		     int32_t *ret_x, int32_t *ret_y);

#endif
