/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <stdbool.h>
#include <stdint.h>

#include "attention.h"
#include "role.h"
#include "window.h"
#include "wm.h"

static bool is_action(uint32_t action, bool is)
{
	/* Source: EWMH, _NET_WM_STATE: 0 remove, 1 add, 2 toggle. */
	return action == 2 ? !is : action == 1;
}

static void change_state(struct xw_window *window, uint32_t action, xcb_atom_t state)
{
	const xcb_atom_t *atoms = window->wm->atoms;
	struct xw_props *props = &window->props;
	const struct {
		enum xw_atom atom;
		bool *is;
	} states[] = {
		{XW_ATOM_NET_WM_STATE_FULLSCREEN, &props->fullscreen},
		/* Of both, one counts: else a toggle would change it twice. */
		{XW_ATOM_NET_WM_STATE_MAXIMIZED_VERT, &props->maximized},
		{XW_ATOM_NET_WM_STATE_MODAL, &props->modal},
		{XW_ATOM_NET_WM_STATE_DEMANDS_ATTENTION, &props->urgent},
	};
	for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (state == atoms[states[i].atom]) {
			*states[i].is = is_action(action, *states[i].is);
		}
	}
}

static void handle_state(struct xw_window *window, const uint32_t *data)
{
	bool was_urgent = window->props.urgent;
	for (int i = 1; i <= 2; i++) {
		if (data[i] != XCB_ATOM_NONE) {
			change_state(window, data[0], data[i]);
		}
	}
	if (window->props.urgent && !was_urgent) {
		xw_attention_ask(window);
	}
	xw_window_update(window);
}

void xw_message_publish_frame(struct xw_wm *wm, xcb_window_t id)
{
	const uint32_t none[] = {0, 0, 0, 0};
	xw_wm_set_property(wm, id, wm->atoms[XW_ATOM_NET_FRAME_EXTENTS], XCB_ATOM_CARDINAL, 4,
			   none);
}

void xw_message_handle(struct xw_wm *wm, const xcb_client_message_event_t *event)
{
	const uint32_t *data = event->data.data32;
	struct xw_window *window = xw_window_by_id(wm, event->window);
	const xcb_atom_t *atoms = wm->atoms;
	if (event->format != 32) {
		return;
	}
	if (event->type == atoms[XW_ATOM_NET_REQUEST_FRAME_EXTENTS]) {
		xw_message_publish_frame(wm, event->window);
	} else if (window == NULL) {
		return;
	} else if (event->type == atoms[XW_ATOM_WL_SURFACE_SERIAL]) {
		xw_window_set_serial(window, (uint64_t)data[1] << 32 | data[0]);
	} else if (event->type == atoms[XW_ATOM_NET_WM_STATE]) {
		handle_state(window, data);
	} else if (event->type == atoms[XW_ATOM_NET_ACTIVE_WINDOW]) {
		xw_attention_ask(window);
	} else if (event->type == atoms[XW_ATOM_NET_CLOSE_WINDOW]) {
		xw_window_close(window);
	} else if (event->type == atoms[XW_ATOM_NET_WM_MOVERESIZE] && window->role != NULL) {
		xw_role_move_or_resize(window->role, data[2]);
	} else if (event->type == atoms[XW_ATOM_WM_CHANGE_STATE] &&
		   data[0] == 3 /* IconicState: ICCCM 4.1.4 */) {
		window->props.minimized = true;
		xw_window_update(window);
	}
}
