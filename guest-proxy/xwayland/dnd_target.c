/* SPDX-License-Identifier: MIT
 *
 * A drag that the compositor leads over an X window: we are its source there.
 */
#include <stdlib.h>
#include <string.h>
#include <wayland-server-core.h>

#include "atoms.h"
#include "br-tables.h"
#include "dnd_private.h"
#include "log.h"
#include "relay.h"
#include "window.h"
#include "wm.h"

static int offer_request(struct xw_dnd_target *target, uint16_t opcode, const union br_arg *args)
{
	struct xw_offer *offer = target->offer;
	if (offer == NULL || offer->object == NULL) {
		return 0;
	}
	return br_relay_send(offer->all->wm->relay, BR_REQUEST, offer->object, opcode, args, NULL);
}

void xw_dnd_target_end(struct xw_dnd *dnd)
{
	struct xw_dnd_target *target = &dnd->target;
	xw_reply_drop(&dnd->all->wm->replies, target);
	if (target->timer != NULL) {
		wl_event_source_remove(target->timer);
	}
	struct xw_offer *offer = target->offer;
	*target = (struct xw_dnd_target){0};
	xw_offer_destroy(offer);
}

/* --- the window learns of the drag --- */

static void send_position(struct xw_dnd *dnd)
{
	struct xw_dnd_target *target = &dnd->target;
	/* Until the compositor has chosen, the harmless one. */
	uint32_t action = target->wanted != 0 ? target->wanted : 1;
	const uint32_t data[5] = {
		0, 0, (uint32_t)(target->x & 0xffff) << 16 | (uint32_t)(target->y & 0xffff),
		dnd->selection->time, xw_dnd_action_atom(dnd, action)};
	if (target->waits) {
		target->moved = true;
		return;
	}
	target->waits = true;
	target->moved = false;
	xw_dnd_send(dnd, target->proxy, target->window, XW_ATOM_XDND_POSITION, data);
}

static void send_enter(struct xw_dnd *dnd)
{
	struct xw_dnd_target *target = &dnd->target;
	const struct xw_wm *wm = dnd->all->wm;
	const struct xw_mimes *mimes = &target->offer->mimes;
	xcb_atom_t types[BR_LIMIT_X_MIMES + 1] = {0};
	uint32_t count = 0;
	for (unsigned i = 0; i < mimes->count; i++) {
		if (mimes->list[i].atom != XCB_NONE) {
			types[count++] = mimes->list[i].atom;
		}
	}
	if (xw_mimes_text(mimes) != NULL) {
		types[count++] = wm->atoms[XW_ATOM_UTF8_STRING];
	}
	xcb_change_property(wm->conn, XCB_PROP_MODE_REPLACE, dnd->selection->window,
			    wm->atoms[XW_ATOM_XDND_TYPE_LIST], XCB_ATOM_ATOM, 32, count, types);
	const uint32_t data[5] = {0, (uint32_t)target->version << 24 | (count > 3), types[0],
				  count > 1 ? types[1] : 0, count > 2 ? types[2] : 0};
	target->entered = true;
	xw_dnd_send(dnd, target->proxy, target->window, XW_ATOM_XDND_ENTER, data);
	send_position(dnd);
}

void xw_dnd_target_ready(struct xw_dnd *dnd)
{
	struct xw_dnd_target *target = &dnd->target;
	if (target->offer != NULL && target->window != XCB_NONE && !target->entered &&
	    target->asked == 0 && target->version != 0 &&
	    dnd->selection->owner == dnd->selection->window &&
	    target->offer->n_interned == target->offer->mimes.count) {
		send_enter(dnd);
	}
}

void xw_dnd_interned(struct xw_dnd *dnd, struct xw_offer *offer)
{
	if (dnd->target.offer == offer) {
		xw_dnd_target_ready(dnd);
	}
}

static uint32_t property_value(const xcb_get_property_reply_t *property, xcb_atom_t type)
{
	if (property == NULL || property->type != type || property->format != 32 ||
	    property->value_len < 1) {
		return 0;
	}
	return *(const uint32_t *)xcb_get_property_value(property);
}

static struct xw_dnd *dnd_of(struct xw_dnd_target *target)
{
	struct xw_dnd *dnd;
	return wl_container_of(target, dnd, target);
}

/* What XdndAware of the window, or of its proxy, says. */
static void handle_aware(void *data, void *reply)
{
	struct xw_dnd_target *target = data;
	uint32_t version = property_value(reply, XCB_ATOM_ATOM);
	free(reply);
	target->asked--;
	if (version >= XW_DND_OLDEST) {
		target->version = (uint8_t)(version < XW_DND_VERSION ? version : XW_DND_VERSION);
	}
	xw_dnd_target_ready(dnd_of(target));
}

static void ask(struct xw_dnd_target *target, xcb_window_t window, unsigned name, xcb_atom_t type,
		xw_reply_fn done)
{
	struct xw_selections *all = dnd_of(target)->all;
	xcb_get_property_cookie_t cookie =
		xcb_get_property(all->wm->conn, false, window, all->wm->atoms[name], type, 0, 1);
	target->asked++;
	xw_reply_wait(&all->wm->replies, cookie.sequence, done, target);
}

/* A proxy counts if it names itself as its own. */
static void handle_proxy_of_proxy(void *data, void *reply)
{
	struct xw_dnd_target *target = data;
	if (property_value(reply, XCB_ATOM_WINDOW) != target->proxy) {
		target->proxy = target->window;
	}
	free(reply);
	ask(target, target->proxy, XW_ATOM_XDND_AWARE, XCB_ATOM_ATOM, handle_aware);
	target->asked--;
}

static void handle_proxy(void *data, void *reply)
{
	struct xw_dnd_target *target = data;
	xcb_window_t proxy = property_value(reply, XCB_ATOM_WINDOW);
	free(reply);
	target->proxy = proxy != XCB_NONE ? proxy : target->window;
	if (proxy != XCB_NONE) {
		ask(target, proxy, XW_ATOM_XDND_PROXY, XCB_ATOM_WINDOW, handle_proxy_of_proxy);
	} else {
		ask(target, target->window, XW_ATOM_XDND_AWARE, XCB_ATOM_ATOM, handle_aware);
	}
	target->asked--;
}

/* Where a place on the window's surface (24.8) is on the root window. */
static void set_place(struct xw_dnd *dnd, int32_t x, int32_t y)
{
	struct xw_dnd_target *target = &dnd->target;
	struct xw_window *window = xw_window_by_id(dnd->all->wm, target->window);
	if (window != NULL) {
		xw_window_place(dnd->all->wm, window, x >> 8, y >> 8, &target->x, &target->y);
	}
}

void xw_dnd_target_enter(struct xw_dnd *dnd, struct br_msg *msg, struct xw_offer *offer)
{
	struct xw_dnd_target *target = &dnd->target;
	struct xw_window *window = xw_window_by_surface(dnd->all->wm, msg->args[1].object);
	xw_dnd_target_end(dnd);
	/* Without an offer it is the business of one program. */
	if (window == NULL || offer == NULL) {
		xw_offer_destroy(offer);
		return;
	}
	target->offer = offer;
	target->serial = msg->args[0].u;
	target->window = window->id;
	set_place(dnd, msg->args[2].fixed, msg->args[3].fixed);
	xw_selection_own(dnd->selection, offer);
	ask(target, target->window, XW_ATOM_XDND_PROXY, XCB_ATOM_WINDOW, handle_proxy);
}

void xw_dnd_target_motion(struct xw_dnd *dnd, int32_t x, int32_t y)
{
	struct xw_dnd_target *target = &dnd->target;
	if (target->offer == NULL || target->dropped) {
		return;
	}
	set_place(dnd, x, y);
	if (target->entered) {
		send_position(dnd);
	}
}

void xw_dnd_target_leave(struct xw_dnd *dnd)
{
	struct xw_dnd_target *target = &dnd->target;
	const uint32_t data[5] = {0};
	if (target->dropped) {
		return; /* the end of the drag, not of the drop */
	}
	if (target->entered) {
		xw_dnd_send(dnd, target->proxy, target->window, XW_ATOM_XDND_LEAVE, data);
	}
	xw_dnd_target_end(dnd);
}

/* --- what it says --- */

static void tell_compositor(struct xw_dnd *dnd)
{
	struct xw_dnd_target *target = &dnd->target;
	const struct xw_mimes *mimes = &target->offer->mimes;
	union br_arg accept[2] = {{.u = target->serial}, {.str = {.ptr = NULL}}};
	if (target->accepted && mimes->count > 0) {
		const char *name = mimes->list[0].name;
		accept[1].str.ptr = name;
		accept[1].str.len = (uint32_t)strlen(name);
	}
	(void)offer_request(target, BR_REQ_WL_DATA_OFFER_ACCEPT, accept);
	if (target->offer->object != NULL && target->offer->object->version >= 3) {
		const union br_arg actions[2] = {{.u = target->action}, {.u = target->action}};
		(void)offer_request(target, BR_REQ_WL_DATA_OFFER_SET_ACTIONS, actions);
	}
}

void xw_dnd_target_status(struct xw_dnd *dnd, const uint32_t data[5])
{
	struct xw_dnd_target *target = &dnd->target;
	bool accepted = data[1] & 1;
	if (!target->entered || target->dropped || data[0] != target->window) {
		return;
	}
	uint32_t action = accepted ? xw_dnd_action(dnd, data[4]) : 0;
	/* Of before version 2, or of one who forgot. */
	if (accepted && action == 0) {
		action = 1;
	}
	target->waits = false;
	if (accepted != target->accepted || action != target->action) {
		target->accepted = accepted;
		target->action = action;
		tell_compositor(dnd);
	}
	if (target->moved) {
		send_position(dnd);
	}
}

static int handle_deadline(void *data)
{
	struct xw_dnd *dnd = data;
	struct xw_dnd_target *target = &dnd->target;
	if (xw_sends_running(dnd->all, dnd->selection->atom)) {
		(void)wl_event_source_timer_update(target->timer, dnd->all->peer_ms);
		return 0;
	}
	br_log_peer(BR_LOG_INFO, "guest: xwayland: window 0x%x does not finish a drop",
		    target->window);
	xw_dnd_target_end(dnd);
	xw_selections_flush(dnd->all);
	return 0;
}

void xw_dnd_target_drop(struct xw_dnd *dnd)
{
	struct xw_dnd_target *target = &dnd->target;
	const uint32_t data[5] = {0, 0, dnd->selection->time};
	if (target->offer == NULL || target->dropped) {
		return;
	}
	if (!target->entered || !target->accepted) {
		xw_dnd_target_leave(dnd);
		return;
	}
	target->dropped = true;
	target->timer = wl_event_loop_add_timer(dnd->all->wm->loop, handle_deadline, dnd);
	if (target->timer != NULL) {
		(void)wl_event_source_timer_update(target->timer, dnd->all->peer_ms);
	}
	xw_dnd_send(dnd, target->proxy, target->window, XW_ATOM_XDND_DROP, data);
}

void xw_dnd_target_finished(struct xw_dnd *dnd, const uint32_t data[5])
{
	struct xw_dnd_target *target = &dnd->target;
	if (!target->dropped || data[0] != target->window) {
		return;
	}
	/* Before version 5 nobody says that a drop has failed. */
	bool success = target->version < 5 || data[1] & 1;
	if (success && target->offer->object != NULL && target->offer->object->version >= 3) {
		(void)offer_request(target, BR_REQ_WL_DATA_OFFER_FINISH, NULL);
	}
	xw_dnd_target_end(dnd);
}
