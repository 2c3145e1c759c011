/* SPDX-License-Identifier: MIT */
#include "selection_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xcb/xfixes.h>

#include "../client.h"
#include "atoms.h"
#include "log.h"
#include "wm.h"

/** What the owner of a selection has, on its way to becoming names; data of the requests for them. */
struct xw_targets {
	struct xw_selection *selection;
	unsigned left; /* names that have not come yet */
	struct xw_mimes mimes;
	xcb_atom_t atoms[BR_LIMIT_X_MIMES]; /* those that are asked for, the last one first */
};

/* --- our windows --- */

xcb_window_t xw_selections_window(struct xw_selections *all, uint32_t event_mask)
{
	const struct xw_wm *wm = all->wm;
	const uint32_t values[] = {1, event_mask};
	xcb_window_t window = xcb_generate_id(wm->conn);
	xcb_create_window(wm->conn, XCB_COPY_FROM_PARENT, window, wm->root, 0, 0, 1, 1, 0,
			  XCB_WINDOW_CLASS_INPUT_ONLY, XCB_COPY_FROM_PARENT,
			  XCB_CW_OVERRIDE_REDIRECT | XCB_CW_EVENT_MASK, values);
	return window;
}

void xw_selections_flush(struct xw_selections *all)
{
	struct br_relay *relay = all->wm->relay;
	xw_wm_flush(all->wm);
	gp_client_run(relay);
}

static void selection_init(struct xw_selections *all, enum xw_selection_kind kind, xcb_atom_t atom)
{
	struct xw_selection *selection = &all->each[kind];
	*selection = (struct xw_selection){.all = all, .kind = kind, .atom = atom};
	selection->window = xw_selections_window(all, XCB_EVENT_MASK_NO_EVENT);
	xcb_xfixes_select_selection_input(
		all->wm->conn, selection->window, atom,
		XCB_XFIXES_SELECTION_EVENT_MASK_SET_SELECTION_OWNER |
			XCB_XFIXES_SELECTION_EVENT_MASK_SELECTION_WINDOW_DESTROY |
			XCB_XFIXES_SELECTION_EVENT_MASK_SELECTION_CLIENT_CLOSE);
}

struct xw_selections *xw_selections_create(struct xw_wm *wm)
{
	struct xw_selections *all = calloc(1, sizeof(*all));
	const xcb_query_extension_reply_t *xfixes =
		xcb_get_extension_data(wm->conn, &xcb_xfixes_id);
	if (all == NULL || xfixes == NULL || !xfixes->present) {
		br_log(BR_LOG_WARN, "guest: xwayland: no clipboard for X11 programs: %s",
		       all == NULL ? "out of memory" : "Xwayland lacks the XFIXES extension");
		free(all);
		return NULL;
	}
	all->wm = wm;
	/* It is refused to those who have not asked for its version. */
	xcb_discard_reply(wm->conn, xcb_xfixes_query_version(wm->conn, XCB_XFIXES_MAJOR_VERSION,
							     XCB_XFIXES_MINOR_VERSION)
					    .sequence);
	all->xfixes_event = xfixes->first_event;
	all->peer_ms = XW_PEER_MS;
	all->source_ms = XW_SOURCE_MS;
	wl_list_init(&all->sends);
	wl_list_init(&all->turns);
	wl_list_init(&all->receives);
	selection_init(all, XW_CLIPBOARD, wm->atoms[XW_ATOM_CLIPBOARD]);
	selection_init(all, XW_PRIMARY, XCB_ATOM_PRIMARY);
	selection_init(all, XW_DND, wm->atoms[XW_ATOM_XDND_SELECTION]);
	all->dnd = xw_dnd_create(all);
	if (all->dnd == NULL || xw_devices_init(all) < 0) {
		xw_selections_destroy(all);
		return NULL;
	}
	return all;
}

static void targets_free(struct xw_targets *targets)
{
	if (targets != NULL) {
		xw_reply_drop(&targets->selection->all->wm->replies, targets);
		targets->selection->targets = NULL;
		xw_mimes_finish(&targets->mimes);
		free(targets);
	}
}

void xw_selections_destroy(struct xw_selections *all)
{
	if (all == NULL) {
		return;
	}
	xw_dnd_destroy(all->dnd);
	xw_sends_finish(all);
	xw_receives_finish(all);
	for (unsigned i = 0; i < XW_SELECTION_KINDS; i++) {
		targets_free(all->each[i].targets);
		xw_reply_drop(&all->wm->replies, &all->each[i]);
		xcb_destroy_window(all->wm->conn, all->each[i].window);
	}
	xw_devices_finish(all);
	free(all);
}

static struct xw_selection *by_atom(struct xw_selections *all, xcb_atom_t atom)
{
	for (unsigned i = 0; i < XW_SELECTION_KINDS; i++) {
		if (all->each[i].atom == atom) {
			return &all->each[i];
		}
	}
	return NULL;
}

static struct xw_selection *by_window(struct xw_selections *all, xcb_window_t window)
{
	for (unsigned i = 0; i < XW_SELECTION_KINDS; i++) {
		if (all->each[i].window == window) {
			return &all->each[i];
		}
	}
	return NULL;
}

/* --- what X programs have --- */

static void selection_found(struct xw_selection *selection, struct xw_mimes *mimes)
{
	if (selection->kind == XW_DND) {
		xw_dnd_targets(selection->all->dnd, mimes);
	} else if (selection->owner != XCB_NONE && selection->owner != selection->window) {
		xw_source_set(selection, mimes);
	}
}

static void targets_complete(struct xw_targets *targets)
{
	struct xw_selection *selection = targets->selection;
	struct xw_mimes mimes = {0};
	xw_mimes_move(&mimes, &targets->mimes);
	targets_free(targets);
	selection_found(selection, &mimes);
	xw_mimes_finish(&mimes);
}

static void handle_name(void *data, void *reply)
{
	struct xw_targets *targets = data;
	xcb_get_atom_name_reply_t *name = reply;
	targets->left--;
	if (name != NULL) {
		const char *text = xcb_get_atom_name_name(name);
		size_t len = (size_t)xcb_get_atom_name_name_length(name);
		/* Targets that are no MIME type are about selections, or are of X only. */
		if (memchr(text, '/', len) != NULL) {
			(void)xw_mimes_add(&targets->mimes, text, len,
					   targets->atoms[targets->left]);
		}
		free(name);
	}
	if (targets->left == 0) {
		targets_complete(targets);
	}
}

/* X's own targets for text become the types that Wayland programs know, ahead of all others. */
static void add_text(struct xw_targets *targets, const xcb_atom_t *atoms, unsigned count)
{
	const xcb_atom_t *known = targets->selection->all->wm->atoms;
	const xcb_atom_t best[] = {known[XW_ATOM_UTF8_STRING], XCB_ATOM_STRING,
				   known[XW_ATOM_TEXT]};
	for (unsigned b = 0; b < sizeof(best) / sizeof(best[0]); b++) {
		for (unsigned i = 0; i < count; i++) {
			if (atoms[i] == best[b]) {
				(void)xw_mimes_add(&targets->mimes, XW_TEXT_UTF8,
						   strlen(XW_TEXT_UTF8), best[b]);
				(void)xw_mimes_add(&targets->mimes, XW_TEXT_PLAIN,
						   strlen(XW_TEXT_PLAIN), best[b]);
				return;
			}
		}
	}
}

void xw_selection_name(struct xw_selection *selection, const xcb_atom_t *atoms, unsigned count)
{
	struct xw_selections *all = selection->all;
	xcb_get_atom_name_cookie_t cookies[BR_LIMIT_X_MIMES];
	struct xw_targets *targets = calloc(1, sizeof(*targets));
	targets_free(selection->targets);
	if (targets == NULL) {
		return;
	}
	count = count < BR_LIMIT_X_MIMES ? count : BR_LIMIT_X_MIMES;
	targets->selection = selection;
	targets->left = count;
	selection->targets = targets;
	add_text(targets, atoms, count);
	for (unsigned i = 0; i < count; i++) {
		targets->atoms[count - 1 - i] = atoms[i];
		cookies[i] = xcb_get_atom_name(all->wm->conn, atoms[i]);
	}
	if (count == 0) {
		targets_complete(targets);
	}
	for (unsigned i = 0; i < count && selection->targets == targets; i++) {
		xw_reply_wait(&all->wm->replies, cookies[i].sequence, handle_name, targets);
	}
}

static void handle_targets(void *data, void *reply)
{
	struct xw_selection *selection = data;
	xcb_get_property_reply_t *property = reply;
	unsigned count = 0;
	if (property != NULL && property->type == XCB_ATOM_ATOM && property->format == 32) {
		count = property->value_len;
	}
	xw_selection_name(selection, count > 0 ? xcb_get_property_value(property) : NULL, count);
	free(property);
}

void xw_selection_ask(struct xw_selection *selection)
{
	const struct xw_wm *wm = selection->all->wm;
	xcb_convert_selection(wm->conn, selection->window, selection->atom,
			      wm->atoms[XW_ATOM_TARGETS], wm->atoms[XW_ATOM_CAUSEWAY_TARGETS],
			      selection->time);
}

/* An answer to the above, or something that looks like one: it counts for nothing but a reason to look. */
static bool handle_notify(struct xw_selections *all, const xcb_selection_notify_event_t *event)
{
	const struct xw_wm *wm = all->wm;
	struct xw_selection *selection = by_window(all, event->requestor);
	if (selection == NULL || event->target != wm->atoms[XW_ATOM_TARGETS]) {
		return false;
	}
	if (event->property == XCB_NONE) {
		xw_selection_name(selection, NULL, 0);
		return true;
	}
	xw_reply_drop(&all->wm->replies, selection);
	xcb_get_property_cookie_t cookie = xcb_get_property(wm->conn, true, selection->window,
							    wm->atoms[XW_ATOM_CAUSEWAY_TARGETS],
							    XCB_ATOM_ATOM, 0, BR_LIMIT_X_MIMES);
	xw_reply_wait(&all->wm->replies, cookie.sequence, handle_targets, selection);
	return true;
}

static void handle_owner(struct xw_selections *all,
			 const xcb_xfixes_selection_notify_event_t *event)
{
	struct xw_selection *selection = by_atom(all, event->selection);
	if (selection == NULL) {
		return;
	}
	if (event->subtype != XCB_XFIXES_SELECTION_EVENT_SET_SELECTION_OWNER) {
		xw_receives_handle_gone(all, selection->owner);
	}
	selection->owner = event->owner;
	selection->time = event->selection_timestamp;
	if (selection->kind == XW_DND) {
		xw_dnd_owner_changed(all->dnd);
		return;
	}
	targets_free(selection->targets);
	if (selection->owner == selection->window) {
		return;
	}
	xw_offer_destroy(selection->offer);
	if (selection->owner == XCB_NONE) {
		xw_source_destroy(selection->source);
	} else {
		xw_selection_ask(selection);
	}
}

/* --- what others have for X programs --- */

/* The same is announced again with each focus: who asks for it just then is not to be refused. */
static void inherit_atoms(struct xw_offer *offer, const struct xw_offer *old)
{
	for (unsigned i = 0; i < offer->mimes.count; i++) {
		struct xw_mime *mime = &offer->mimes.list[i];
		const struct xw_mime *known = xw_mimes_find(&old->mimes, mime->name);
		if (known != NULL && mime->atom == XCB_NONE) {
			mime->atom = known->atom;
		}
	}
}

void xw_selection_own(struct xw_selection *selection, struct xw_offer *offer)
{
	const struct xw_wm *wm = selection->all->wm;
	if (offer != NULL && selection->offer != NULL) {
		inherit_atoms(offer, selection->offer);
	}
	if (selection->offer != offer) {
		xw_offer_destroy(selection->offer);
	}
	selection->offer = offer;
	selection->n_offers++;
	if (offer != NULL) {
		xw_offer_intern(offer);
		xcb_set_selection_owner(wm->conn, selection->window, selection->atom,
					XCB_CURRENT_TIME);
	} else if (selection->owner == selection->window) {
		xcb_set_selection_owner(wm->conn, XCB_NONE, selection->atom, XCB_CURRENT_TIME);
	}
}

void xw_selection_notify(struct xw_selections *all, const xcb_selection_request_event_t *request,
			 xcb_atom_t property)
{
	const xcb_selection_notify_event_t event = {
		.response_type = XCB_SELECTION_NOTIFY,
		.time = request->time,
		.requestor = request->requestor,
		.selection = request->selection,
		.target = request->target,
		.property = property,
	};
	/* Events on the wire are 32 bytes. Source: the X protocol, SendEvent. */
	char wire[32] = {0};
	memcpy(wire, &event, sizeof(event));
	xcb_send_event(all->wm->conn, false, request->requestor, XCB_EVENT_MASK_NO_EVENT, wire);
}

static void answer_targets(struct xw_selection *selection,
			   const xcb_selection_request_event_t *request)
{
	const struct xw_wm *wm = selection->all->wm;
	const struct xw_mimes *mimes = &selection->offer->mimes;
	xcb_atom_t atoms[BR_LIMIT_X_MIMES + 5];
	uint32_t count = 0;
	atoms[count++] = wm->atoms[XW_ATOM_TARGETS];
	atoms[count++] = wm->atoms[XW_ATOM_TIMESTAMP];
	if (xw_mimes_text(mimes) != NULL) {
		atoms[count++] = wm->atoms[XW_ATOM_UTF8_STRING];
		atoms[count++] = wm->atoms[XW_ATOM_TEXT];
		atoms[count++] = XCB_ATOM_STRING;
	}
	for (unsigned i = 0; i < mimes->count; i++) {
		bool listed = mimes->list[i].atom == XCB_NONE;
		for (unsigned j = 0; j < count && !listed; j++) {
			listed = atoms[j] == mimes->list[i].atom;
		}
		if (!listed) {
			atoms[count++] = mimes->list[i].atom;
		}
	}
	xcb_change_property(wm->conn, XCB_PROP_MODE_REPLACE, request->requestor, request->property,
			    XCB_ATOM_ATOM, 32, count, atoms);
	xw_selection_notify(selection->all, request, request->property);
}

static void answer_timestamp(struct xw_selection *selection,
			     const xcb_selection_request_event_t *request)
{
	xcb_change_property(selection->all->wm->conn, XCB_PROP_MODE_REPLACE, request->requestor,
			    request->property, XCB_ATOM_INTEGER, 32, 1, &selection->time);
	xw_selection_notify(selection->all, request, request->property);
}

/* What to ask the offer for to satisfy a target, and of which type the property is then. */
static const struct xw_mime *find_mime(const struct xw_selection *selection, xcb_atom_t target,
				       xcb_atom_t *ret_type)
{
	const xcb_atom_t *atoms = selection->all->wm->atoms;
	const struct xw_mimes *mimes = &selection->offer->mimes;
	*ret_type = target;
	if (target == atoms[XW_ATOM_TEXT]) {
		*ret_type = atoms[XW_ATOM_UTF8_STRING];
	}
	if (target == XCB_ATOM_STRING || *ret_type == atoms[XW_ATOM_UTF8_STRING]) {
		return xw_mimes_text(mimes);
	}
	for (unsigned i = 0; i < mimes->count; i++) {
		if (mimes->list[i].atom == target) {
			return &mimes->list[i];
		}
	}
	return NULL;
}

void xw_selection_answer(struct xw_selection *selection,
			 const xcb_selection_request_event_t *request)
{
	xcb_atom_t type;
	const struct xw_mime *mime = find_mime(selection, request->target, &type);
	int fd = mime != NULL ? xw_offer_receive(selection->offer, mime->name) : -ENOENT;
	if (fd < 0) {
		xw_selection_notify(selection->all, request, XCB_NONE);
		return;
	}
	xw_send_start_take(selection, request, type, type == XCB_ATOM_STRING, &fd);
}

static void handle_request(struct xw_selections *all, const xcb_selection_request_event_t *event)
{
	const xcb_atom_t *atoms = all->wm->atoms;
	struct xw_selection *selection = by_atom(all, event->selection);
	xcb_selection_request_event_t request = *event;
	/* Of before ICCCM. */
	if (request.property == XCB_NONE) {
		request.property = request.target;
	}
	/* A time before ours is about another owner; the clock wraps around. Source: ICCCM 2.2. */
	bool late = selection != NULL && selection->kind != XW_DND &&
		    request.time != XCB_CURRENT_TIME && selection->owner == selection->window &&
		    (int32_t)(request.time - selection->time) < 0;
	if (selection == NULL || selection->offer == NULL || late) {
		xw_selection_notify(all, &request, XCB_NONE);
	} else if (request.target == atoms[XW_ATOM_TARGETS]) {
		answer_targets(selection, &request);
	} else if (request.target == atoms[XW_ATOM_TIMESTAMP]) {
		answer_timestamp(selection, &request);
	} else {
		xw_selection_answer(selection, &request);
	}
}

static bool handle_property(struct xw_selections *all, const xcb_property_notify_event_t *event)
{
	if (event->state == XCB_PROPERTY_DELETE) {
		xw_sends_handle_property(all, event);
		return false;
	}
	return xw_receives_handle_property(all, event);
}

static void handle_error(struct xw_selections *all, const xcb_value_error_t *error)
{
	if (error->error_code == XCB_WINDOW) {
		xw_sends_handle_gone(all, error->bad_value);
	}
}

bool xw_selection_event(struct xw_wm *wm, xcb_generic_event_t *event)
{
	struct xw_selections *all = wm->selections;
	if (all == NULL) {
		return false;
	}
	uint8_t type = event->response_type & 0x7f;
	if (type == all->xfixes_event + XCB_XFIXES_SELECTION_NOTIFY) {
		handle_owner(all, (xcb_xfixes_selection_notify_event_t *)event);
		return true;
	}
	switch (type) {
	case 0:
		handle_error(all, (xcb_value_error_t *)event);
		return false;
	case XCB_DESTROY_NOTIFY:
		xw_sends_handle_gone(all, ((xcb_destroy_notify_event_t *)event)->window);
		return false;
	case XCB_PROPERTY_NOTIFY:
		return handle_property(all, (xcb_property_notify_event_t *)event);
	case XCB_SELECTION_REQUEST:
		handle_request(all, (xcb_selection_request_event_t *)event);
		return true;
	case XCB_SELECTION_NOTIFY:
		return handle_notify(all, (xcb_selection_notify_event_t *)event) ||
		       xw_receives_handle_notify(all, (xcb_selection_notify_event_t *)event);
	case XCB_SELECTION_CLEAR:
		return true; /* XFIXES has said so */
	default:
		return false;
	}
}
