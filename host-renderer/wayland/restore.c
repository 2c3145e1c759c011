/* SPDX-License-Identifier: MIT
 *
 * The move itself. First the new compositor lists its globals; then every object is made again, parents first,
 * in the order in which the client made them; then it hears their state. Windows are shown when it has
 * configured them, all others at once. What can't be made (the devices of a seat that has none yet) is tried
 * again when that may have changed.
 */
#include "restore.h"

#include <string.h>

#include "admit.h"
#include "br-tables.h"
#include "hooks/hooks.h"
#include "limits.h"
#include "log.h"
#include "wire.h"

/* Subsurfaces below subsurfaces that are shown. */
#define MAX_DEPTH 64

void hr_restore_init(struct hr_restore *restore, struct br_relay *relay,
		     struct hr_hook_state *state, void (*done)(struct hr_hook_state *state))
{
	*restore = (struct hr_restore){.relay = relay, .done = done};
	hr_notes_init(&restore->notes, relay, state);
	state->restore = restore;
}

void hr_restore_finish(struct hr_restore *restore)
{
	if (restore->relay != NULL) {
		hr_notes_finish(&restore->notes);
		restore->relay = NULL;
	}
}

/* --- whether --- */

static void look_for_obstacle(struct br_object *object, void *data)
{
	const char **obstacle = data;
	const struct br_iface *iface = &br_ifaces[object->iface];
	if (object->server_id != 0 && !(iface->flags & BR_IFACE_SURVIVES)) {
		*obstacle = iface->name;
	}
}

const char *hr_restore_obstacle(struct hr_restore *restore)
{
	const char *obstacle = restore->notes.broken;
	if (obstacle == NULL) {
		br_relay_each(restore->relay, look_for_obstacle, &obstacle);
	}
	return obstacle;
}

/* --- what the client lost --- */

static void tell(struct hr_restore *restore, struct br_object *object, uint16_t opcode,
		 const union br_arg *args)
{
	(void)br_relay_send(restore->relay, BR_EVENT, object, opcode, args, NULL);
}

static void lose_pointer(struct hr_restore *restore, struct br_object *pointer,
			 struct hr_kept_device *device)
{
	while (device->n_buttons > 0) {
		const union br_arg up[4] = {[2] = {.u = device->buttons[--device->n_buttons]}};
		tell(restore, pointer, BR_EVT_WL_POINTER_BUTTON, up);
	}
	const union br_arg leave[2] = {[1] = {.object = device->focus->object}};
	tell(restore, pointer, BR_EVT_WL_POINTER_LEAVE, leave);
	if (pointer->version >= 5) {
		tell(restore, pointer, BR_EVT_WL_POINTER_FRAME, NULL);
	}
}

static void lose_focus(struct hr_restore *restore, struct br_object *object,
		       struct hr_kept_device *device)
{
	const union br_arg leave[2] = {[1] = {.object = device->focus->object}};
	switch (object->iface) {
	case BR_IFACE_WL_POINTER:
		lose_pointer(restore, object, device);
		break;
	case BR_IFACE_WL_KEYBOARD:
		tell(restore, object, BR_EVT_WL_KEYBOARD_LEAVE, leave);
		break;
	case BR_IFACE_ZWP_TEXT_INPUT_V3:
		tell(restore, object, BR_EVT_ZWP_TEXT_INPUT_V3_LEAVE, &leave[1]);
		break;
	default:
		tell(restore, object, BR_EVT_WL_DATA_DEVICE_LEAVE, NULL);
		break;
	}
}

static void lose_device(struct hr_restore *restore, struct br_object *object,
			struct hr_kept_device *device)
{
	const union br_arg none = {.object = NULL};
	if (device->focus != NULL && device->focus->object != NULL) {
		lose_focus(restore, object, device);
	}
	if (object->iface == BR_IFACE_WL_TOUCH && device->n_buttons > 0) {
		tell(restore, object, BR_EVT_WL_TOUCH_CANCEL, NULL);
	}
	if (object->iface == BR_IFACE_WL_DATA_DEVICE) {
		tell(restore, object, BR_EVT_WL_DATA_DEVICE_SELECTION, &none);
	}
	device->focus = hr_kept_unref(device->focus);
	device->n_buttons = 0;
	device->caps = 0;
}

static void lose_surface(struct hr_restore *restore, struct br_object *object,
			 struct hr_kept_surface *surface)
{
	while (surface->n_outputs > 0) {
		struct hr_kept *output = surface->outputs[--surface->n_outputs];
		const union br_arg leave = {.object = output->object};
		if (output->object != NULL) {
			tell(restore, object, BR_EVT_WL_SURFACE_LEAVE, &leave);
		}
		hr_kept_unref(output);
	}
	if (surface->xdg != NULL && surface->xdg->xdg->popup) {
		surface->muted = true;
		hr_kept_show(surface, NULL);
	}
}

static void lose_xdg(struct hr_kept_xdg *xdg)
{
	xdg->awaiting = false;
	for (uint32_t i = 0; i < xdg->n_serials; i++) {
		xdg->serials[i].dead = true;
	}
}

/* Nobody will make the object again. */
static void end(struct hr_restore *restore, struct br_object *object)
{
	static const union br_arg none[BR_MAX_ARGS];
	uint8_t gone = br_ifaces[object->iface].gone;
	/* The event may free it. */
	object->state = BR_OBJECT_INERT;
	if (gone != BR_NO_EVENT && object->client_id != 0) {
		tell(restore, object, gone, none);
	}
}

/* First the surfaces that lose their role, so that it is known which buffers are still shown. */
static void lose_content(struct br_object *object, void *data)
{
	struct hr_restore *restore = data;
	struct hr_kept *kept = hr_kept_of(object);
	if (kept != NULL && kept->content != NULL) {
		lose_surface(restore, object, kept->content);
	}
}

static void lose_object(struct br_object *object, void *data)
{
	struct hr_restore *restore = data;
	struct hr_kept *kept = hr_kept_of(object);
	if (kept != NULL) {
		kept->ready = false;
	}
	if (object->state != BR_OBJECT_LIVE || object->iface == BR_IFACE_WL_DISPLAY) {
		return;
	}
	if (kept == NULL || kept->spent) {
		end(restore, object);
		return;
	}
	if (kept->device != NULL) {
		lose_device(restore, object, kept->device);
	} else if (kept->iface == BR_IFACE_ZWP_PRIMARY_SELECTION_DEVICE_V1) {
		const union br_arg none = {.object = NULL};
		tell(restore, object, BR_EVT_ZWP_PRIMARY_SELECTION_DEVICE_V1_SELECTION, &none);
	} else if (kept->xdg != NULL) {
		lose_xdg(kept->xdg);
	} else if (kept->buffer != NULL && kept->buffer->busy && kept->buffer->shown == 0) {
		kept->buffer->busy = false;
		tell(restore, object, BR_EVT_WL_BUFFER_RELEASE, NULL);
	}
}

void hr_restore_lose(struct hr_restore *restore)
{
	struct hr_hook_state *state = restore->notes.state;
	restore->busy = true;
	restore->said = false;
	restore->awaiting = 0;
	restore->attempts++;
	restore->notes.moved = true;
	br_relay_reset_server(restore->relay);
	hr_admit_lose(&state->admit);
	state->own_shm.n_formats = 0;
	br_relay_each(restore->relay, lose_content, restore);
	br_relay_each(restore->relay, lose_object, restore);
}

/* --- making --- */

/* Source: wl_seat.capability. */
static bool has_device(const struct hr_kept *kept)
{
	const struct hr_kept *seat = kept->made->target;
	switch (kept->iface) {
	case BR_IFACE_WL_POINTER:
		return seat->device->caps & 1;
	case BR_IFACE_WL_KEYBOARD:
		return seat->device->caps & 2;
	case BR_IFACE_WL_TOUCH:
		return seat->device->caps & 4;
	default:
		return true;
	}
}

static bool is_to_be_made(const struct hr_kept *kept)
{
	if (kept->made == NULL || (kept->xdg != NULL && kept->xdg->popup)) {
		return false;
	}
	if (kept->object == NULL) {
		return hr_kept_can_stand_in(kept);
	}
	return kept->object->server_id == 0 && kept->object->state != BR_OBJECT_INERT &&
	       has_device(kept);
}

static void make(struct hr_restore *restore, struct hr_kept *kept)
{
	struct hr_said *said;
	bool gone = kept->object == NULL;
	if (gone) {
		kept->object =
			br_relay_create_server_object(restore->relay, kept->iface, kept->version);
		if (kept->object == NULL) {
			return;
		}
		kept->object->record = &kept->record;
		kept->stand_in = true;
	}
	if (!hr_said_again(&restore->notes, kept->made, kept->object)) {
		if (gone) {
			struct br_object *object = kept->object;
			object->record = NULL;
			kept->object = NULL;
			kept->stand_in = false;
			br_relay_forget(restore->relay, object);
		}
		return;
	}
	wl_list_for_each (said, &kept->said, link) {
		(void)hr_said_again(&restore->notes, said, NULL);
	}
}

/* registries: only those; else all others, too. */
static void make_all(struct hr_restore *restore, bool registries)
{
	struct hr_kept *kept;
	wl_list_for_each (kept, &restore->notes.kept, link) {
		if ((!registries || kept->iface == BR_IFACE_WL_REGISTRY) && is_to_be_made(kept)) {
			make(restore, kept);
		}
	}
}

void hr_restore_remake(struct hr_restore *restore)
{
	bool saying = restore->notes.saying;
	restore->notes.saying = true;
	make_all(restore, false);
	restore->notes.saying = saying;
}

/* --- showing --- */

static void say_all(struct hr_restore *restore, struct wl_list *list)
{
	struct hr_said *said;
	wl_list_for_each (said, list, link) {
		(void)hr_said_again(&restore->notes, said, NULL);
	}
}

static void attach(struct hr_restore *restore, struct br_object *surface, struct br_object *buffer)
{
	const union br_arg attach_args[] = {{.object = buffer}, {.i = 0}, {.i = 0}};
	const union br_arg all[] = {{.i = 0}, {.i = 0}, {.i = INT32_MAX}, {.i = INT32_MAX}};
	(void)br_relay_send(restore->relay, BR_REQUEST, surface, BR_REQ_WL_SURFACE_ATTACH,
			    attach_args, NULL);
	(void)br_relay_send(restore->relay, BR_REQUEST, surface, BR_REQ_WL_SURFACE_DAMAGE, all,
			    NULL);
}

static struct br_object *there(const struct hr_kept *kept)
{
	struct br_object *object = kept != NULL ? kept->object : NULL;
	return object != NULL && object->server_id != 0 ? object : NULL;
}

static void commit(struct hr_restore *restore, struct br_object *surface)
{
	(void)br_relay_send(restore->relay, BR_REQUEST, surface, BR_REQ_WL_SURFACE_COMMIT, NULL,
			    NULL);
}

/* Its buffer, if it has one, and what the client had not committed. */
static void show(struct hr_restore *restore, struct hr_kept_surface *surface, bool fits)
{
	struct br_object *object = surface->kept->object;
	struct br_object *buffer = there(surface->buffer), *next = there(surface->next);
	if (buffer != NULL && fits && !surface->muted) {
		attach(restore, object, buffer);
		commit(restore, object);
	}
	say_all(restore, &surface->pending);
	if (surface->attached && !surface->muted && (surface->next == NULL || next != NULL)) {
		attach(restore, object, next);
	}
}

void hr_restore_describe(struct hr_restore *restore, const struct hr_kept *description)
{
	bool saying = restore->notes.saying;
	struct hr_kept *kept;
	struct hr_said *said;
	if (!restore->notes.moved || !description->ready) {
		return;
	}
	restore->notes.saying = true;
	wl_list_for_each (kept, &restore->notes.kept, link) {
		if (kept->content == NULL) {
			continue;
		}
		wl_list_for_each (said, &kept->content->current, link) {
			if (said->target != NULL &&
			    said->target->iface == BR_IFACE_WP_COLOR_MANAGEMENT_SURFACE_V1 &&
			    said->opcode ==
				    BR_REQ_WP_COLOR_MANAGEMENT_SURFACE_V1_SET_IMAGE_DESCRIPTION &&
			    said->args[0].kept == description) {
				(void)hr_said_again(&restore->notes, said, NULL);
			}
		}
	}
	restore->notes.saying = saying;
}

static void stack(struct hr_restore *restore, const struct hr_kept_surface *child, uint16_t opcode,
		  const struct hr_kept_surface *sibling)
{
	struct br_object *subsurface = there(child->subsurface);
	const union br_arg arg = {.object = there(sibling->kept)};
	if (subsurface != NULL && arg.object != NULL) {
		(void)br_relay_send(restore->relay, BR_REQUEST, subsurface, opcode, &arg, NULL);
	}
}

/* Everything goes above the parent's own surface first, lowest first; then what belongs below it, highest first. */
static void order(struct hr_restore *restore, struct hr_kept_surface *parent)
{
	const struct hr_kept_surface *last = parent;
	struct wl_list *link;
	for (link = parent->self.next; link != &parent->stack; link = link->next) {
		struct hr_kept_surface *child = wl_container_of(link, child, in_parent);
		stack(restore, child, BR_REQ_WL_SUBSURFACE_PLACE_ABOVE, last);
		last = child;
	}
	last = parent;
	for (link = parent->self.prev; link != &parent->stack; link = link->prev) {
		struct hr_kept_surface *child = wl_container_of(link, child, in_parent);
		stack(restore, child, BR_REQ_WL_SUBSURFACE_PLACE_BELOW, last);
		last = child;
	}
}

/* A surface with those on it, before it: their state becomes its own at its commit. */
static void show_tree(struct hr_restore *restore, struct hr_kept_surface *surface, int depth)
{
	struct hr_kept_xdg *xdg = surface->xdg != NULL ? surface->xdg->xdg : NULL;
	struct wl_list *link;
	if (there(surface->kept) == NULL || depth > MAX_DEPTH) {
		return;
	}
	for (link = surface->stack.next; link != &surface->stack; link = link->next) {
		if (link != &surface->self) {
			struct hr_kept_surface *child = wl_container_of(link, child, in_parent);
			show_tree(restore, child, depth + 1);
		}
	}
	if (surface->ordered) {
		order(restore, surface);
	}
	say_all(restore, &surface->current);
	if (xdg == NULL) {
		show(restore, surface, true);
	} else if (xdg->toplevel != NULL && xdg->committed && !surface->muted) {
		xdg->awaiting = true;
		restore->awaiting++;
		commit(restore, surface->kept->object);
	} else {
		say_all(restore, &surface->pending);
	}
}

static void show_all(struct hr_restore *restore)
{
	struct hr_kept *kept;
	wl_list_for_each (kept, &restore->notes.kept, link) {
		if (kept->content != NULL && kept->content->parent == NULL) {
			show_tree(restore, kept->content, 0);
		}
	}
}

/* --- one after the other --- */

static void check_done(struct hr_restore *restore)
{
	if (restore->busy && restore->said && restore->awaiting == 0) {
		restore->busy = false;
		restore->attempts = 0;
		br_log(BR_LOG_DEBUG, "client=%u is there again",
		       br_relay_client_number(restore->relay));
		restore->done(restore->notes.state);
	}
}

void hr_restore_configured(struct hr_restore *restore, struct hr_kept *kept, uint32_t serial)
{
	struct hr_kept_xdg *xdg = kept->xdg;
	const union br_arg arg = {.u = serial};
	bool saying = restore->notes.saying;
	bool fits = !xdg->next_size.strict || (xdg->next_size.width == xdg->size.width &&
					       xdg->next_size.height == xdg->size.height);
	restore->notes.saying = true;
	xdg->awaiting = false;
	(void)br_relay_send(restore->relay, BR_REQUEST, kept->object,
			    BR_REQ_XDG_SURFACE_ACK_CONFIGURE, &arg, NULL);
	if (kept->surface != NULL && kept->surface->content != NULL &&
	    there(kept->surface) != NULL) {
		show(restore, kept->surface->content, fits);
	}
	restore->notes.saying = saying;
	restore->awaiting--;
	check_done(restore);
}

static void handle_said(struct br_relay *relay, void *data)
{
	struct hr_restore *restore = data;
	(void)relay;
	restore->said = true;
	check_done(restore);
}

static void tell_registries(struct hr_restore *restore, uint32_t name)
{
	const union br_arg arg = {.u = name};
	struct hr_kept *kept;
	wl_list_for_each (kept, &restore->notes.kept, link) {
		if (kept->iface == BR_IFACE_WL_REGISTRY && kept->object != NULL) {
			tell(restore, kept->object, BR_EVT_WL_REGISTRY_GLOBAL_REMOVE, &arg);
		}
	}
}

/* Tell which globals have no successor. */
static void settle_globals(struct hr_restore *restore)
{
	struct hr_hook_state *state = restore->notes.state;
	for (size_t i = 0; i < state->admit.count; i++) {
		struct hr_admit_global *global = &state->admit.globals[i];
		global->known = 0;
		if (!global->there && !global->removed && !hr_offer_has(state, global)) {
			global->removed = HR_ADMIT_LOST;
			tell_registries(restore, global->name);
		}
	}
}

/* Whether a client that has bound it can't do without what is gone: an output or a seat may go at any time, and
 * what the last compositor had taken back already may as well. */
static bool is_missed(struct hr_restore *restore, const struct hr_kept *kept)
{
	const struct hr_said *made = kept->made;
	if (made == NULL || made->target == NULL || made->target->iface != BR_IFACE_WL_REGISTRY ||
	    kept->object == NULL || there(kept) != NULL || kept->iface == BR_IFACE_WL_OUTPUT ||
	    kept->iface == BR_IFACE_WL_SEAT) {
		return false;
	}
	const struct hr_admit_global *global =
		hr_admit_find(&restore->notes.state->admit, made->args[0].value.u);
	return global == NULL || global->removed != 1;
}

static const struct hr_kept *find_missing(struct hr_restore *restore)
{
	struct hr_kept *kept;
	wl_list_for_each (kept, &restore->notes.kept, link) {
		if (is_missed(restore, kept)) {
			return kept;
		}
	}
	return NULL;
}

static void handle_listed(struct br_relay *relay, void *data)
{
	struct hr_restore *restore = data;
	settle_globals(restore);
	restore->notes.saying = true;
	make_all(restore, false);
	const struct hr_kept *missing = find_missing(restore);
	if (missing != NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "host: the new compositor has no %s of version %u",
				      br_ifaces[missing->iface].name, missing->version);
	} else {
		show_all(restore);
		(void)br_relay_sync(relay, handle_said, restore);
	}
	restore->notes.saying = false;
}

void hr_restore_begin(struct hr_restore *restore)
{
	restore->notes.saying = true;
	make_all(restore, true);
	(void)br_relay_sync(restore->relay, handle_listed, restore);
	restore->notes.saying = false;
}
