/* SPDX-License-Identifier: MIT
 *
 * The compositor's side of selections: its data devices, offers and sources, as objects that Xwayland
 * itself does not see.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "br-tables.h"
#include "fd.h"
#include "relay.h"
#include "selection_private.h"
#include "wire.h"
#include "wm.h"

#define SEAT_VERSION 5 /* the first with release */

static const struct xw_device_kind kinds[2] = {
	[XW_CLIPBOARD] =
		{
			.manager = BR_IFACE_WL_DATA_DEVICE_MANAGER,
			.device = BR_IFACE_WL_DATA_DEVICE,
			.source = BR_IFACE_WL_DATA_SOURCE,
			.offer = BR_IFACE_WL_DATA_OFFER,
			.max_version = 3,
			.create_source = BR_REQ_WL_DATA_DEVICE_MANAGER_CREATE_DATA_SOURCE,
			.get_device = BR_REQ_WL_DATA_DEVICE_MANAGER_GET_DATA_DEVICE,
			.set_selection = BR_REQ_WL_DATA_DEVICE_SET_SELECTION,
			.device_destroy = BR_REQ_WL_DATA_DEVICE_RELEASE,
			.source_offer = BR_REQ_WL_DATA_SOURCE_OFFER,
			.source_destroy = BR_REQ_WL_DATA_SOURCE_DESTROY,
			.offer_receive = BR_REQ_WL_DATA_OFFER_RECEIVE,
			.offer_destroy = BR_REQ_WL_DATA_OFFER_DESTROY,
			.device_offer = BR_EVT_WL_DATA_DEVICE_DATA_OFFER,
			.device_selection = BR_EVT_WL_DATA_DEVICE_SELECTION,
			.source_send = BR_EVT_WL_DATA_SOURCE_SEND,
			.source_cancelled = BR_EVT_WL_DATA_SOURCE_CANCELLED,
			.offer_mime = BR_EVT_WL_DATA_OFFER_OFFER,
			.destroy_since = 2,
		},
	[XW_PRIMARY] =
		{
			.manager = BR_IFACE_ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1,
			.device = BR_IFACE_ZWP_PRIMARY_SELECTION_DEVICE_V1,
			.source = BR_IFACE_ZWP_PRIMARY_SELECTION_SOURCE_V1,
			.offer = BR_IFACE_ZWP_PRIMARY_SELECTION_OFFER_V1,
			.max_version = 1,
			.create_source =
				BR_REQ_ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_CREATE_SOURCE,
			.get_device = BR_REQ_ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_GET_DEVICE,
			.set_selection = BR_REQ_ZWP_PRIMARY_SELECTION_DEVICE_V1_SET_SELECTION,
			.device_destroy = BR_REQ_ZWP_PRIMARY_SELECTION_DEVICE_V1_DESTROY,
			.source_offer = BR_REQ_ZWP_PRIMARY_SELECTION_SOURCE_V1_OFFER,
			.source_destroy = BR_REQ_ZWP_PRIMARY_SELECTION_SOURCE_V1_DESTROY,
			.offer_receive = BR_REQ_ZWP_PRIMARY_SELECTION_OFFER_V1_RECEIVE,
			.offer_destroy = BR_REQ_ZWP_PRIMARY_SELECTION_OFFER_V1_DESTROY,
			.device_offer = BR_EVT_ZWP_PRIMARY_SELECTION_DEVICE_V1_DATA_OFFER,
			.device_selection = BR_EVT_ZWP_PRIMARY_SELECTION_DEVICE_V1_SELECTION,
			.source_send = BR_EVT_ZWP_PRIMARY_SELECTION_SOURCE_V1_SEND,
			.source_cancelled = BR_EVT_ZWP_PRIMARY_SELECTION_SOURCE_V1_CANCELLED,
			.offer_mime = BR_EVT_ZWP_PRIMARY_SELECTION_OFFER_V1_OFFER,
			.destroy_since = 1,
		},
};

static struct br_relay *relay_of(const struct xw_selections *all)
{
	return all->wm->relay;
}

static int request(const struct xw_selections *all, struct br_object *object, uint16_t opcode,
		   const union br_arg *args)
{
	return br_relay_send(relay_of(all), BR_REQUEST, object, opcode, args, NULL);
}

static union br_arg string_arg(const char *text)
{
	return (union br_arg){.str = {.ptr = text, .len = (uint32_t)strlen(text)}};
}

/* --- offers --- */

static void handle_offer_gone(struct br_relay *relay, struct br_object *object)
{
	struct xw_offer *offer = object->data;
	(void)relay;
	object->data = NULL;
	if (offer != NULL) {
		offer->object = NULL; /* its owner frees it */
	}
}

static void handle_offer_event(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	struct xw_offer *offer = object->data;
	(void)relay;
	if (offer == NULL) {
		return;
	}
	if (msg->opcode == offer->kind->offer_mime) {
		/* One that is in use already has its list. */
		if (offer->all->devices[offer->kind - kinds].pending == offer) {
			(void)xw_mimes_add(&offer->mimes, msg->args[0].str.ptr,
					   msg->args[0].str.len, XCB_NONE);
		}
	} else {
		xw_dnd_handle_offer(offer->all->dnd, offer, msg);
	}
}

void xw_offer_destroy(struct xw_offer *offer)
{
	if (offer == NULL) {
		return;
	}
	struct xw_selections *all = offer->all;
	struct br_object *object = offer->object;
	for (unsigned i = 0; i < XW_SELECTION_KINDS; i++) {
		struct xw_selection *selection = &all->each[i];
		selection->offer = selection->offer == offer ? NULL : selection->offer;
	}
	xw_reply_drop(&all->wm->replies, offer);
	xw_mimes_finish(&offer->mimes);
	if (object != NULL) {
		object->data = NULL;
		(void)request(all, object, offer->kind->offer_destroy, NULL);
	}
	free(offer);
}

static void handle_atom(void *data, void *reply)
{
	struct xw_offer *offer = data;
	xcb_intern_atom_reply_t *atom = reply;
	offer->mimes.list[offer->n_interned++].atom = atom != NULL ? atom->atom : XCB_NONE;
	free(atom);
	if (offer->n_interned == offer->mimes.count) {
		xw_dnd_interned(offer->all->dnd, offer);
	}
}

void xw_offer_intern(struct xw_offer *offer)
{
	struct xw_selections *all = offer->all;
	unsigned count = offer->interning ? 0 : offer->mimes.count;
	offer->interning = true;
	for (unsigned i = 0; i < count; i++) {
		const char *name = offer->mimes.list[i].name;
		xcb_intern_atom_cookie_t cookie =
			xcb_intern_atom(all->wm->conn, false, (uint16_t)strlen(name), name);
		xw_reply_wait(&all->wm->replies, cookie.sequence, handle_atom, offer);
	}
}

int xw_offer_receive(struct xw_offer *offer, const char *mime)
{
	int fds[2];
	if (offer->object == NULL) {
		return -EPIPE;
	}
	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	struct br_handle handle = {.fd = fds[1], .kind = BR_FD_PIPE_WRITE};
	const union br_arg args[] = {string_arg(mime), {.handle = 0}};
	int ret = br_fd_set_nonblock(fds[0]);
	if (ret == 0) {
		ret = br_relay_send(relay_of(offer->all), BR_REQUEST, offer->object,
				    offer->kind->offer_receive, args, &handle);
	}
	br_fd_clear(&handle.fd);
	if (ret < 0) {
		br_fd_clear(&fds[0]);
		return ret;
	}
	return fds[0];
}

static void offer_create(struct xw_selections *all, unsigned index, struct br_object *object)
{
	struct xw_device *device = &all->devices[index];
	struct xw_offer *offer = calloc(1, sizeof(*offer));
	if (offer == NULL) {
		return; /* not kept: the relay forgets it */
	}
	*offer = (struct xw_offer){.all = all, .kind = &kinds[index], .object = object};
	object->data = offer;
	object->event = handle_offer_event;
	object->destroy = handle_offer_gone;
	xw_offer_destroy(device->pending);
	device->pending = offer;
}

/* The offer that an event names, which is the event's to keep from now on; NULL: none, or one that is in
 * use already. */
static struct xw_offer *take_pending(struct xw_device *device, const struct br_object *object)
{
	struct xw_offer *offer = object != NULL ? object->data : NULL;
	if (offer == NULL || offer != device->pending) {
		return NULL;
	}
	device->pending = NULL;
	return offer;
}

struct xw_offer *xw_device_take_offer(struct xw_selections *all, const struct br_object *object)
{
	return take_pending(&all->devices[XW_CLIPBOARD], object);
}

/* --- sources --- */

static void handle_source_gone(struct br_relay *relay, struct br_object *object)
{
	struct xw_source *source = object->data;
	(void)relay;
	object->data = NULL;
	if (source != NULL) {
		if (source->selection->source == source) {
			source->selection->source = NULL;
		}
		if (source->used != NULL) {
			*source->used = NULL;
		}
		xw_mimes_finish(&source->mimes);
		free(source);
	}
}

static void source_send(struct xw_source *source, struct br_msg *msg)
{
	const struct xw_mime *mime = xw_mimes_find(&source->mimes, msg->args[0].str.ptr);
	if (mime != NULL) {
		xw_receive_start_take(source->selection, mime->atom, xw_mime_is_text(mime->name),
				      &msg->handles[0].fd);
		xcb_flush(source->selection->all->wm->conn);
	}
}

static void handle_source_event(struct br_relay *relay, struct br_object *object,
				struct br_msg *msg)
{
	struct xw_source *source = object->data;
	(void)relay;
	if (source == NULL) {
		return;
	}
	if (msg->opcode == source->kind->source_send) {
		source_send(source, msg);
	} else if (source->selection->kind == XW_DND) {
		xw_dnd_handle_source(source->selection->all->dnd, source, msg);
	} else if (msg->opcode == source->kind->source_cancelled) {
		xw_source_destroy(source);
	}
}

void xw_source_destroy(struct xw_source *source)
{
	if (source != NULL) {
		struct br_object *object = source->object;
		struct xw_selections *all = source->selection->all;
		uint16_t opcode = source->kind->source_destroy;
		handle_source_gone(relay_of(all), object);
		(void)request(all, object, opcode, NULL);
	}
}

struct xw_source *xw_source_create(struct xw_selection *selection, struct xw_mimes *mimes)
{
	struct xw_selections *all = selection->all;
	unsigned index = selection->kind == XW_PRIMARY ? XW_PRIMARY : XW_CLIPBOARD;
	struct xw_device *device = &all->devices[index];
	if (device->object == NULL) {
		return NULL;
	}
	struct xw_source *source = calloc(1, sizeof(*source));
	struct br_object *object = br_relay_create_server_object(relay_of(all), kinds[index].source,
								 device->manager->version);
	if (source == NULL || object == NULL) {
		free(source);
		return NULL;
	}
	*source =
		(struct xw_source){.selection = selection, .kind = &kinds[index], .object = object};
	xw_mimes_move(&source->mimes, mimes);
	object->data = source;
	object->event = handle_source_event;
	object->destroy = handle_source_gone;
	const union br_arg arg = {.object = object};
	if (request(all, device->manager, kinds[index].create_source, &arg) < 0) {
		return NULL;
	}
	for (unsigned i = 0; i < source->mimes.count; i++) {
		const union br_arg name = string_arg(source->mimes.list[i].name);
		(void)request(all, object, kinds[index].source_offer, &name);
	}
	return source;
}

/* --- the selection that the compositor announces --- */

/* Whoever has it, it is not the X program whose source was the last one, unless it looks just like it. */
static void selection_judge(struct xw_selection *selection, struct xw_offer *offer)
{
	struct xw_source *source = selection->source;
	if (source != NULL && (offer == NULL || xw_mimes_equal(&offer->mimes, &source->mimes))) {
		xw_offer_destroy(offer);
		return;
	}
	xw_source_destroy(source);
	xw_selection_own(selection, offer);
	xcb_flush(selection->all->wm->conn);
}

/* The compositor has seen the last source; what it announced meanwhile is of after that, or is no more. */
static void handle_seen(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	struct xw_selection *selection = object->data;
	(void)relay;
	(void)msg;
	if (selection == NULL) {
		return;
	}
	struct xw_offer *offer = selection->parked_offer;
	bool parked = selection->parked;
	selection->seen = NULL;
	selection->parked = false;
	selection->parked_offer = NULL;
	if (parked) {
		selection_judge(selection, offer);
	}
}

static void handle_seen_gone(struct br_relay *relay, struct br_object *object)
{
	struct xw_selection *selection = object->data;
	(void)relay;
	object->data = NULL;
	if (selection != NULL && selection->seen == object) {
		selection->seen = NULL;
	}
}

/* As br_relay_sync(), but for those who may be gone before the answer. */
struct br_object *xw_devices_sync(struct xw_selections *all,
				  void (*event)(struct br_relay *relay, struct br_object *object,
						struct br_msg *msg),
				  void *data)
{
	struct br_relay *relay = relay_of(all);
	struct br_object *callback = br_relay_create_server_object(relay, BR_IFACE_WL_CALLBACK, 1);
	if (callback == NULL) {
		return NULL;
	}
	callback->data = data;
	callback->event = event;
	const union br_arg arg = {.object = callback};
	int ret = request(all, br_relay_client_object(relay, 1), BR_REQ_WL_DISPLAY_SYNC, &arg);
	return ret == 0 ? callback : NULL;
}

void xw_source_set(struct xw_selection *selection, struct xw_mimes *mimes)
{
	struct xw_selections *all = selection->all;
	struct xw_device *device = &all->devices[selection->kind];
	struct xw_source *old = selection->source;
	struct xw_source *source = mimes->count > 0 ? xw_source_create(selection, mimes) : NULL;
	selection->source = source;
	if (source != NULL) {
		const union br_arg args[] = {{.object = source->object},
					     {.u = xw_wm_serial(all->wm)}};
		(void)request(all, device->object, source->kind->set_selection, args);
		if (selection->seen != NULL) {
			selection->seen->data = NULL;
		}
		selection->seen = xw_devices_sync(all, handle_seen, selection);
		if (selection->seen != NULL) {
			selection->seen->destroy = handle_seen_gone;
		}
	}
	xw_source_destroy(old);
}

static void handle_selection(struct xw_selections *all, unsigned index, struct br_object *object)
{
	struct xw_selection *selection = &all->each[index];
	struct xw_offer *offer = take_pending(&all->devices[index], object);
	if (selection->seen != NULL) {
		xw_offer_destroy(selection->parked_offer);
		selection->parked = true;
		selection->parked_offer = offer;
	} else {
		selection_judge(selection, offer);
	}
}

/* --- devices --- */

static void handle_device_event(struct br_relay *relay, struct br_object *object,
				struct br_msg *msg)
{
	struct xw_selections *all = object->data;
	(void)relay;
	if (all == NULL) {
		return;
	}
	unsigned index = all->devices[XW_PRIMARY].object == object ? XW_PRIMARY : XW_CLIPBOARD;
	if (msg->opcode == kinds[index].device_offer) {
		offer_create(all, index, msg->args[0].object);
	} else if (msg->opcode == kinds[index].device_selection) {
		handle_selection(all, index, msg->args[0].object);
	} else {
		xw_dnd_handle_device(all->dnd, msg);
	}
}

/* An object of ours is gone: by us, or with the relay. */
static void handle_gone(struct br_relay *relay, struct br_object *object)
{
	struct xw_selections *all = object->data;
	(void)relay;
	object->data = NULL;
	if (all == NULL) {
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct xw_device *device = &all->devices[i];
		device->manager = device->manager == object ? NULL : device->manager;
		device->object = device->object == object ? NULL : device->object;
	}
	all->seat = all->seat == object ? NULL : all->seat;
	all->registry = all->registry == object ? NULL : all->registry;
}

static void ignore_event(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	(void)relay;
	(void)object;
	(void)msg;
}

/* Take an object that was made, if it was. */
static struct br_object *own(struct xw_selections *all, struct br_object *object,
			     void (*event)(struct br_relay *relay, struct br_object *object,
					   struct br_msg *msg))
{
	if (object == NULL) {
		br_relay_client_error(relay_of(all), NULL, BR_ERROR_NO_MEMORY,
				      "out of memory, or of objects");
		return NULL;
	}
	object->data = all;
	object->event = event;
	object->destroy = handle_gone;
	return object;
}

static struct br_object *bind_global(struct xw_selections *all, uint32_t name, uint16_t iface,
				     uint32_t version)
{
	return own(all, br_relay_bind(relay_of(all), all->registry, name, iface, (uint16_t)version),
		   ignore_event);
}

static void make_device(struct xw_selections *all, unsigned index)
{
	struct xw_device *device = &all->devices[index];
	if (all->seat == NULL || device->manager == NULL || device->object != NULL) {
		return;
	}
	struct br_object *object =
		own(all,
		    br_relay_create_server_object(relay_of(all), kinds[index].device,
						  device->manager->version),
		    handle_device_event);
	if (object == NULL) {
		return;
	}
	const union br_arg args[] = {{.object = object}, {.object = all->seat}};
	if (request(all, device->manager, kinds[index].get_device, args) == 0) {
		device->object = object;
	}
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void handle_global(struct xw_selections *all, uint32_t name, const char *iface,
			  uint32_t version)
{
	uint16_t index = br_iface_find(iface);
	if (index == BR_IFACE_WL_SEAT && all->seat == NULL) {
		all->seat_name = name;
		all->seat = bind_global(all, name, index, least(version, SEAT_VERSION));
	}
	for (unsigned i = 0; i < 2; i++) {
		struct xw_device *device = &all->devices[i];
		if (index == kinds[i].manager && device->manager == NULL) {
			device->manager_name = name;
			device->manager =
				bind_global(all, name, index, least(version, kinds[i].max_version));
		}
		make_device(all, i);
	}
}

/* Nothing more comes of it. */
static void release(struct xw_selections *all, struct br_object *object, uint16_t opcode,
		    uint16_t since)
{
	if (object == NULL) {
		return;
	}
	handle_gone(relay_of(all), object);
	object->event = ignore_event;
	if (object->version >= since) {
		(void)request(all, object, opcode, NULL);
	}
}

static void drop_device(struct xw_selections *all, unsigned index)
{
	struct xw_device *device = &all->devices[index];
	struct xw_selection *selection = &all->each[index];
	xw_offer_destroy(device->pending);
	xw_offer_destroy(selection->parked_offer);
	device->pending = selection->parked_offer = NULL;
	selection->parked = false;
	xw_offer_destroy(selection->offer);
	xw_source_destroy(selection->source);
	if (selection->seen != NULL) {
		selection->seen->data = NULL;
		selection->seen = NULL;
	}
	release(all, device->object, kinds[index].device_destroy, kinds[index].destroy_since);
}

static void handle_registry_event(struct br_relay *relay, struct br_object *object,
				  struct br_msg *msg)
{
	struct xw_selections *all = object->data;
	(void)relay;
	if (all == NULL) {
		return;
	}
	if (msg->opcode == BR_EVT_WL_REGISTRY_GLOBAL) {
		handle_global(all, msg->args[0].u, msg->args[1].str.ptr, msg->args[2].u);
	} else if (all->seat != NULL && msg->args[0].u == all->seat_name) {
		drop_device(all, XW_CLIPBOARD);
		drop_device(all, XW_PRIMARY);
		release(all, all->seat, BR_REQ_WL_SEAT_RELEASE, SEAT_VERSION);
	}
}

int xw_devices_init(struct xw_selections *all)
{
	struct br_object *display = br_relay_client_object(relay_of(all), 1);
	struct br_object *registry =
		own(all, br_relay_create_server_object(relay_of(all), BR_IFACE_WL_REGISTRY, 1),
		    handle_registry_event);
	if (registry == NULL) {
		return -ENOMEM;
	}
	all->registry = registry;
	const union br_arg arg = {.object = registry};
	return request(all, display, BR_REQ_WL_DISPLAY_GET_REGISTRY, &arg);
}

void xw_devices_finish(struct xw_selections *all)
{
	drop_device(all, XW_CLIPBOARD);
	drop_device(all, XW_PRIMARY);
	for (unsigned i = 0; i < 2; i++) {
		release(all, all->devices[i].manager, 0, UINT16_MAX);
	}
	release(all, all->seat, BR_REQ_WL_SEAT_RELEASE, SEAT_VERSION);
	release(all, all->registry, 0, UINT16_MAX);
}
