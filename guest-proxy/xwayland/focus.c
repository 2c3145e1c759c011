/* SPDX-License-Identifier: MIT */
#include "focus.h"

#include "role.h"
#include "window.h"
#include "wm.h"

static void give(struct xw_wm *wm, struct xw_window *window)
{
	xcb_window_t id = window != NULL ? window->id : XCB_WINDOW_NONE;
	/* Globally active programs take it themselves; others that want none get none. */
	if (window == NULL || window->props.wants_input) {
		(void)xcb_set_input_focus(wm->conn, XCB_INPUT_FOCUS_POINTER_ROOT, id,
					  XCB_CURRENT_TIME);
	}
	if (window != NULL && window->props.takes_focus) {
		xw_wm_send_protocol(wm, id, XW_ATOM_WM_TAKE_FOCUS);
	}
}

void xw_focus_set(struct xw_wm *wm, struct xw_window *window)
{
	struct xw_window *before = wm->focus;
	xcb_window_t id = window != NULL ? window->id : XCB_WINDOW_NONE;
	wm->focus = window;
	give(wm, window);
	if (window != NULL) {
		window->props.urgent = false;
		xw_focus_raise(window);
		if (wm->pointer != NULL && wm->pointer != window) {
			xw_focus_raise(wm->pointer);
		}
		xw_window_publish_state(window);
	}
	if (before != NULL && before != window) {
		xw_window_publish_state(before);
	}
	xw_wm_set_property(wm, wm->root, wm->atoms[XW_ATOM_NET_ACTIVE_WINDOW], XCB_ATOM_WINDOW, 1,
			   &id);
}

void xw_focus_raise(struct xw_window *window)
{
	const uint32_t above = XCB_STACK_MODE_ABOVE;
	(void)xcb_configure_window(window->wm->conn, window->id, XCB_CONFIG_WINDOW_STACK_MODE,
				   &above);
	if (window->role != NULL) {
		xw_role_raise_popups(window->role);
	}
}

bool xw_focus_same_program(const struct xw_wm *wm, xcb_window_t a, xcb_window_t b)
{
	uint32_t mask = ~xcb_get_setup(wm->conn)->resource_id_mask;
	return (a & mask) == (b & mask);
}

void xw_focus_taken(struct xw_wm *wm, const xcb_focus_in_event_t *event)
{
	/* A grab is the program's right, and ends. */
	if (event->mode == XCB_NOTIFY_MODE_GRAB || event->mode == XCB_NOTIFY_MODE_UNGRAB ||
	    event->detail == XCB_NOTIFY_DETAIL_POINTER) {
		return;
	}
	if (wm->focus == NULL || event->event == wm->focus->id ||
	    xw_focus_same_program(wm, event->event, wm->focus->id)) {
		return;
	}
	give(wm, wm->focus);
}
