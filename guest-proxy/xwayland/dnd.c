/* SPDX-License-Identifier: MIT */
#include "dnd.h"

#include <stdlib.h>
#include <string.h>

#include "atoms.h"
#include "br-tables.h"
#include "dnd_private.h"
#include "relay.h"
#include "wm.h"

/* enum wl_data_device_manager.dnd_action */
#define ACTION_COPY 1u
#define ACTION_MOVE 2u
#define ACTION_ASK 4u

struct xw_dnd *xw_dnd_create(struct xw_selections *all)
{
	const struct xw_wm *wm = all->wm;
	const uint32_t version = XW_DND_VERSION;
	struct xw_dnd *dnd = calloc(1, sizeof(*dnd));
	if (dnd == NULL) {
		return NULL;
	}
	dnd->all = all;
	dnd->selection = &all->each[XW_DND];
	xcb_change_property(wm->conn, XCB_PROP_MODE_REPLACE, dnd->selection->window,
			    wm->atoms[XW_ATOM_XDND_AWARE], XCB_ATOM_ATOM, 32, 1, &version);
	return dnd;
}

void xw_dnd_destroy(struct xw_dnd *dnd)
{
	if (dnd != NULL) {
		xw_dnd_target_end(dnd);
		xw_dnd_source_end(dnd);
		free(dnd);
	}
}

void xw_dnd_send(struct xw_dnd *dnd, xcb_window_t to, xcb_window_t window, unsigned type,
		 const uint32_t data[5])
{
	const struct xw_wm *wm = dnd->all->wm;
	xcb_client_message_event_t event = {
		.response_type = XCB_CLIENT_MESSAGE,
		.format = 32,
		.window = window,
		.type = wm->atoms[type],
	};
	memcpy(event.data.data32, data, sizeof(event.data.data32));
	event.data.data32[0] = dnd->selection->window;
	xcb_send_event(wm->conn, false, to, XCB_EVENT_MASK_NO_EVENT, (const char *)&event);
}

xcb_atom_t xw_dnd_action_atom(const struct xw_dnd *dnd, uint32_t action)
{
	const xcb_atom_t *atoms = dnd->all->wm->atoms;
	switch (action) {
	case 0:
		return XCB_NONE;
	case ACTION_MOVE:
		return atoms[XW_ATOM_XDND_ACTION_MOVE];
	case ACTION_ASK:
		return atoms[XW_ATOM_XDND_ACTION_ASK];
	default:
		return atoms[XW_ATOM_XDND_ACTION_COPY];
	}
}

uint32_t xw_dnd_action(const struct xw_dnd *dnd, xcb_atom_t atom)
{
	const xcb_atom_t *atoms = dnd->all->wm->atoms;
	if (atom == atoms[XW_ATOM_XDND_ACTION_MOVE]) {
		return ACTION_MOVE;
	}
	if (atom == atoms[XW_ATOM_XDND_ACTION_ASK]) {
		return ACTION_ASK;
	}
	/* Links and private agreements are no actions of Wayland's: at least nothing is lost. */
	return atom != XCB_NONE ? ACTION_COPY : 0;
}

void xw_dnd_handle_device(struct xw_dnd *dnd, struct br_msg *msg)
{
	struct xw_offer *offer = NULL;
	if (msg->opcode == BR_EVT_WL_DATA_DEVICE_ENTER) {
		offer = xw_device_take_offer(dnd->all, msg->args[4].object);
	}
	if (xw_dnd_source_device(dnd, msg, offer)) {
		xcb_flush(dnd->all->wm->conn);
		return;
	}
	switch (msg->opcode) {
	case BR_EVT_WL_DATA_DEVICE_ENTER:
		xw_dnd_target_enter(dnd, msg, offer);
		break;
	case BR_EVT_WL_DATA_DEVICE_LEAVE:
		xw_dnd_target_leave(dnd);
		break;
	case BR_EVT_WL_DATA_DEVICE_MOTION:
		xw_dnd_target_motion(dnd, msg->args[1].fixed, msg->args[2].fixed);
		break;
	case BR_EVT_WL_DATA_DEVICE_DROP:
		xw_dnd_target_drop(dnd);
		break;
	default:
		break;
	}
	xcb_flush(dnd->all->wm->conn);
}

void xw_dnd_handle_offer(struct xw_dnd *dnd, struct xw_offer *offer, struct br_msg *msg)
{
	if (msg->opcode == BR_EVT_WL_DATA_OFFER_SOURCE_ACTIONS) {
		offer->source_actions = msg->args[0].u;
	} else if (msg->opcode == BR_EVT_WL_DATA_OFFER_ACTION && dnd->target.offer == offer) {
		dnd->target.wanted = msg->args[0].u;
	}
}

void xw_dnd_owner_changed(struct xw_dnd *dnd)
{
	xw_dnd_source_owner(dnd);
	xw_dnd_target_ready(dnd);
}

bool xw_dnd_event(struct xw_wm *wm, xcb_generic_event_t *event)
{
	const xcb_client_message_event_t *message = (xcb_client_message_event_t *)event;
	struct xw_dnd *dnd = wm->selections != NULL ? wm->selections->dnd : NULL;
	if (dnd == NULL || (event->response_type & 0x7f) != XCB_CLIENT_MESSAGE ||
	    message->window != dnd->selection->window || message->format != 32) {
		return false;
	}
	const struct {
		unsigned type;
		void (*handle)(struct xw_dnd *dnd, const uint32_t data[5]);
	} types[] = {
		{XW_ATOM_XDND_STATUS, xw_dnd_target_status},
		{XW_ATOM_XDND_FINISHED, xw_dnd_target_finished},
		{XW_ATOM_XDND_ENTER, xw_dnd_source_enter},
		{XW_ATOM_XDND_POSITION, xw_dnd_source_position},
		{XW_ATOM_XDND_LEAVE, xw_dnd_source_leave},
		{XW_ATOM_XDND_DROP, xw_dnd_source_drop},
	};
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (message->type == wm->atoms[types[i].type]) {
			types[i].handle(dnd, message->data.data32);
		}
	}
	return true;
}
