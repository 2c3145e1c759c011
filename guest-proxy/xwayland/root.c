/* SPDX-License-Identifier: MIT */
#include "root.h"

#include <stdlib.h>

#include "window.h"
#include "wm.h"

static void publish_supported(struct xw_wm *wm)
{
	static const enum xw_atom supported[] = {
		XW_ATOM_NET_SUPPORTED,
		XW_ATOM_NET_SUPPORTING_WM_CHECK,
		XW_ATOM_NET_ACTIVE_WINDOW,
		XW_ATOM_NET_CLIENT_LIST,
		XW_ATOM_NET_CLIENT_LIST_STACKING,
		XW_ATOM_NET_NUMBER_OF_DESKTOPS,
		XW_ATOM_NET_CURRENT_DESKTOP,
		XW_ATOM_NET_CLOSE_WINDOW,
		XW_ATOM_NET_REQUEST_FRAME_EXTENTS,
		XW_ATOM_NET_FRAME_EXTENTS,
		XW_ATOM_NET_STARTUP_ID,
		XW_ATOM_NET_WM_NAME,
		XW_ATOM_NET_WM_MOVERESIZE,
		XW_ATOM_NET_WM_PID,
		XW_ATOM_NET_WM_STATE,
		XW_ATOM_NET_WM_STATE_FULLSCREEN,
		XW_ATOM_NET_WM_STATE_MAXIMIZED_VERT,
		XW_ATOM_NET_WM_STATE_MAXIMIZED_HORZ,
		XW_ATOM_NET_WM_STATE_MODAL,
		XW_ATOM_NET_WM_STATE_HIDDEN,
		XW_ATOM_NET_WM_STATE_FOCUSED,
		XW_ATOM_NET_WM_STATE_DEMANDS_ATTENTION,
		XW_ATOM_NET_WM_WINDOW_TYPE,
		XW_ATOM_NET_WM_WINDOW_TYPE_NORMAL,
		XW_ATOM_NET_WM_WINDOW_TYPE_DIALOG,
		XW_ATOM_NET_WM_WINDOW_TYPE_UTILITY,
		XW_ATOM_NET_WM_WINDOW_TYPE_SPLASH,
	};
	uint32_t values[sizeof(supported) / sizeof(supported[0])];
	uint32_t n = sizeof(supported) / sizeof(supported[0]);
	for (uint32_t i = 0; i < n; i++) {
		values[i] = wm->atoms[supported[i]];
	}
	xw_wm_set_property(wm, wm->root, wm->atoms[XW_ATOM_NET_SUPPORTED], XCB_ATOM_ATOM, n,
			   values);
}

/* An arrow, instead of the cross that X has where a program chooses nothing. Source: X11/cursorfont.h. */
static void set_cursor(struct xw_wm *wm)
{
	enum { LEFT_PTR = 68, MOST = UINT16_MAX };
	static const char name[] = "cursor";
	xcb_font_t font = xcb_generate_id(wm->conn);
	xcb_cursor_t cursor = xcb_generate_id(wm->conn);
	(void)xcb_open_font(wm->conn, font, sizeof(name) - 1, name);
	(void)xcb_create_glyph_cursor(wm->conn, cursor, font, font, LEFT_PTR, LEFT_PTR + 1, 0, 0, 0,
				      MOST, MOST, MOST);
	(void)xcb_change_window_attributes(wm->conn, wm->root, XCB_CW_CURSOR, &cursor);
	(void)xcb_free_cursor(wm->conn, cursor);
	(void)xcb_close_font(wm->conn, font);
}

void xw_root_init(struct xw_wm *wm)
{
	static const char name[] = "causeway";
	const xcb_atom_t *atoms = wm->atoms;
	const uint32_t one = 1, zero = 0;
	wm->own = xcb_generate_id(wm->conn);
	(void)xcb_create_window(wm->conn, XCB_COPY_FROM_PARENT, wm->own, wm->root, 0, 0, 1, 1, 0,
				XCB_WINDOW_CLASS_INPUT_ONLY, XCB_COPY_FROM_PARENT, 0, NULL);
	(void)xcb_change_property(wm->conn, XCB_PROP_MODE_REPLACE, wm->own,
				  atoms[XW_ATOM_NET_WM_NAME], atoms[XW_ATOM_UTF8_STRING], 8,
				  sizeof(name) - 1, name);
	xw_wm_set_property(wm, wm->own, atoms[XW_ATOM_NET_SUPPORTING_WM_CHECK], XCB_ATOM_WINDOW, 1,
			   &wm->own);
	xw_wm_set_property(wm, wm->root, atoms[XW_ATOM_NET_SUPPORTING_WM_CHECK], XCB_ATOM_WINDOW, 1,
			   &wm->own);
	publish_supported(wm);
	set_cursor(wm);
	xw_wm_set_property(wm, wm->root, atoms[XW_ATOM_NET_NUMBER_OF_DESKTOPS], XCB_ATOM_CARDINAL,
			   1, &one);
	xw_wm_set_property(wm, wm->root, atoms[XW_ATOM_NET_CURRENT_DESKTOP], XCB_ATOM_CARDINAL, 1,
			   &zero);
	xw_root_publish_clients(wm);
	/* Behind this Xwayland lets its programs in. */
	(void)xcb_set_selection_owner(wm->conn, wm->own, atoms[XW_ATOM_WM_S0], XCB_CURRENT_TIME);
}

void xw_root_publish_clients(struct xw_wm *wm)
{
	struct xw_window *window;
	uint32_t n = 0, *ids = calloc(wm->n_windows + 1, sizeof(*ids));
	if (ids == NULL) {
		return;
	}
	/* The oldest first; of the stacking the compositor tells nobody. */
	wl_list_for_each_reverse (window, &wm->windows, link) {
		if (window->mapped && !window->override_redirect) {
			ids[n++] = window->id;
		}
	}
	xw_wm_set_property(wm, wm->root, wm->atoms[XW_ATOM_NET_CLIENT_LIST], XCB_ATOM_WINDOW, n,
			   ids);
	xw_wm_set_property(wm, wm->root, wm->atoms[XW_ATOM_NET_CLIENT_LIST_STACKING],
			   XCB_ATOM_WINDOW, n, ids);
	free(ids);
}
