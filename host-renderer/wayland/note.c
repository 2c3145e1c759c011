/* SPDX-License-Identifier: MIT
 *
 * Takes notes of what passes a client's relay, for restore.c; and after a move keeps from the compositor what
 * is about another one.
 */
#include <string.h>

#include "admit.h"
#include "br-tables.h"
#include "hooks/hold.h"
#include "hooks/hooks.h"
#include "restore.h"

/* --- surfaces --- */

static void note_attach(struct hr_kept_surface *surface, const struct br_object *buffer)
{
	hr_kept_unref(surface->next);
	surface->next = hr_kept_ref(hr_kept_of(buffer));
	surface->attached = true;
}

static void note_commit(struct hr_notes *notes, struct hr_kept_surface *surface)
{
	struct hr_said *said, *tmp;
	/* Without a buffer it is as before its first commit. */
	bool unmaps = surface->attached && surface->next == NULL && surface->buffer != NULL;
	wl_list_for_each_safe (said, tmp, &surface->pending, link) {
		wl_list_remove(&said->link);
		wl_list_init(&said->link);
		hr_said_add(notes, &surface->current, said);
	}
	if (surface->attached) {
		hr_kept_show(surface, surface->next);
		surface->next = hr_kept_unref(surface->next);
		surface->attached = false;
		if (surface->buffer != NULL) {
			surface->buffer->buffer->busy = true;
		}
	}
	if (surface->xdg != NULL && surface->xdg->xdg->toplevel != NULL) {
		surface->xdg->xdg->committed = !unmaps;
	}
}

static void note_subsurface(struct hr_kept *kept, const struct br_msg *msg)
{
	const struct hr_kept *parent = hr_kept_of(msg->args[2].object);
	struct hr_kept_surface *child = kept->surface != NULL ? kept->surface->content : NULL;
	if (child == NULL || parent == NULL || child == parent->content || child->parent != NULL) {
		return;
	}
	child->parent = parent->content;
	child->subsurface = kept;
	wl_list_insert(child->parent->stack.prev, &child->in_parent);
}

static void note_place(const struct hr_kept *kept, const struct br_msg *msg)
{
	struct hr_kept_surface *child = kept->surface != NULL ? kept->surface->content : NULL;
	const struct hr_kept *sibling = hr_kept_of(msg->args[0].object);
	bool above = msg->opcode == BR_REQ_WL_SUBSURFACE_PLACE_ABOVE;
	if (child == NULL || child->parent == NULL || sibling == NULL || sibling->content == NULL ||
	    sibling->content == child) {
		return;
	}
	struct wl_list *at = NULL;
	if (sibling->content == child->parent) {
		at = &sibling->content->self;
	} else if (sibling->content->parent == child->parent) {
		at = &sibling->content->in_parent;
	}
	if (at != NULL) {
		wl_list_remove(&child->in_parent);
		wl_list_insert(above ? at : at->prev, &child->in_parent);
		child->parent->ordered = true;
	}
}

/* --- objects --- */

/* The surface whose double-buffered state an object has a part in. */
static struct hr_kept *surface_of(const struct hr_kept *parent, const struct br_msg *msg)
{
	for (unsigned i = 0; i < msg->desc->n_args; i++) {
		struct hr_kept *kept = br_args[msg->desc->first_arg + i].kind == BR_ARG_OBJECT
					       ? hr_kept_of(msg->args[i].object)
					       : NULL;
		if (kept != NULL && kept->content != NULL) {
			return kept;
		}
		if (kept != NULL && kept->surface != NULL) {
			return kept->surface;
		}
	}
	return parent != NULL ? parent->surface : NULL;
}

static void note_role(struct hr_kept *kept, const struct br_msg *msg)
{
	struct hr_kept *xdg = hr_kept_of(msg->object);
	if (kept->iface == BR_IFACE_XDG_SURFACE && kept->surface != NULL) {
		kept->surface->content->xdg = kept;
	} else if (kept->iface == BR_IFACE_XDG_TOPLEVEL && xdg != NULL) {
		xdg->xdg->toplevel = kept;
	} else if (kept->iface == BR_IFACE_WL_SUBSURFACE) {
		note_subsurface(kept, msg);
	} else if (kept->iface == BR_IFACE_WL_SHM_POOL) {
		kept->hold = hr_hold_ref(hr_hold_of_pool(kept->object));
	}
}

static void note_new(struct hr_notes *notes, struct br_msg *msg, struct br_object *object)
{
	if (!(br_ifaces[object->iface].flags & BR_IFACE_SURVIVES) || object->record != NULL) {
		return;
	}
	struct hr_kept *kept = hr_kept_create(notes, object);
	if (kept == NULL) {
		notes->broken = "it has more objects than can be kept";
		return;
	}
	kept->surface = hr_kept_ref(surface_of(hr_kept_of(msg->object), msg));
	bool bind = msg->object->iface == BR_IFACE_WL_REGISTRY;
	const struct hr_admit_global *global =
		bind ? hr_admit_find_server(&notes->state->admit, msg->args[0].u) : NULL;
	kept->made = hr_said_create(notes, msg, true);
	if (kept->made != NULL && global != NULL) {
		kept->made->args[0].value.u = global->name;
	}
	note_role(kept, msg);
}

static void note_state(struct hr_notes *notes, struct br_msg *msg, struct hr_kept *kept)
{
	struct hr_kept *owner = kept;
	if (br_ifaces[kept->iface].flags & BR_IFACE_GLOBAL && msg->desc->n_args > 0 &&
	    br_args[msg->desc->first_arg].kind == BR_ARG_OBJECT) {
		owner = hr_kept_of(msg->args[0].object);
	}
	if (owner == NULL || owner->object == NULL) {
		return;
	}
	struct hr_kept *surface = owner->content != NULL ? owner : owner->surface;
	if (surface != NULL && (surface->object == NULL || surface->content == NULL)) {
		return;
	}
	struct hr_said *said = hr_said_create(notes, msg, owner != kept);
	if (said == NULL) {
		return;
	}
	/* A subsurface's own state is its parent's, or counts at once. */
	hr_said_add(notes,
		    surface != NULL && owner->iface != BR_IFACE_WL_SUBSURFACE
			    ? &surface->content->pending
			    : &owner->said,
		    said);
}

static struct br_object *new_object(const struct br_msg *msg)
{
	for (unsigned i = 0; i < msg->desc->n_args; i++) {
		if (br_args[msg->desc->first_arg + i].kind == BR_ARG_NEW_ID) {
			return msg->args[i].object;
		}
	}
	return NULL;
}

/* A source that was offered is not to be offered again: its program wants to be asked. */
static void note_source(const struct br_msg *msg)
{
	struct hr_kept *source =
		msg->desc->n_args > 0 && br_args[msg->desc->first_arg].kind == BR_ARG_OBJECT
			? hr_kept_of(msg->args[0].object)
			: NULL;
	if (source != NULL) {
		source->spent = true;
	}
}

static void note_action(struct hr_notes *notes, struct br_msg *msg, struct hr_kept *kept)
{
	switch (kept->iface) {
	case BR_IFACE_WL_SURFACE:
		if (msg->opcode == BR_REQ_WL_SURFACE_ATTACH) {
			note_attach(kept->content, msg->args[0].object);
		} else if (msg->opcode == BR_REQ_WL_SURFACE_COMMIT) {
			note_commit(notes, kept->content);
		}
		break;
	case BR_IFACE_WL_SUBSURFACE:
		note_place(kept, msg);
		break;
	case BR_IFACE_XDG_SURFACE:
		kept->xdg->popup |= msg->opcode == BR_REQ_XDG_SURFACE_GET_POPUP;
		break;
	case BR_IFACE_WL_DATA_DEVICE:
	case BR_IFACE_ZWP_PRIMARY_SELECTION_DEVICE_V1:
		note_source(msg);
		break;
	default:
		break;
	}
}

/* --- what is not for this compositor --- */

/* True if the compositor has to hear of the acknowledgement. */
static bool is_due(struct hr_notes *notes, struct hr_kept_xdg *xdg, uint32_t serial)
{
	for (uint32_t i = xdg->n_serials; i-- > 0;) {
		if (xdg->serials[i].serial == serial) {
			bool dead = xdg->serials[i].dead;
			xdg->n_serials -= i + 1;
			memmove(&xdg->serials[0], &xdg->serials[i + 1],
				xdg->n_serials * sizeof(xdg->serials[0]));
			return !dead;
		}
	}
	return !notes->moved;
}

static void push_serial(struct hr_kept_xdg *xdg, uint32_t serial, bool dead)
{
	if (xdg->n_serials == HR_KEPT_SERIALS) {
		xdg->n_serials--;
		memmove(&xdg->serials[0], &xdg->serials[1],
			xdg->n_serials * sizeof(xdg->serials[0]));
	}
	xdg->serials[xdg->n_serials].serial = serial;
	xdg->serials[xdg->n_serials++].dead = dead;
}

/* wl_fixes names a global: as the client knows it. */
static bool translate_ack(struct hr_notes *notes, struct br_msg *msg)
{
	if (strcmp(msg->desc->name, "ack_global_remove") != 0) {
		return true;
	}
	const struct hr_admit_global *global = hr_admit_find(&notes->state->admit, msg->args[1].u);
	if (global == NULL) {
		return !notes->moved;
	}
	msg->args[1].u = global->server_name;
	return global->there;
}

static bool is_for_this(struct hr_notes *notes, struct br_msg *msg, struct hr_kept *kept)
{
	if (kept == NULL) {
		return true;
	}
	if (kept->xdg != NULL && msg->opcode == BR_REQ_XDG_SURFACE_ACK_CONFIGURE) {
		return is_due(notes, kept->xdg, msg->args[0].u);
	}
	if (kept->content != NULL && kept->content->muted) {
		return (msg->desc->flags & BR_MSG_DESTRUCTOR) != 0;
	}
	if (strcmp(br_ifaces[kept->iface].name, "wl_fixes") == 0) {
		return translate_ack(notes, msg);
	}
	return true;
}

static bool note_request(struct hr_notes *notes, struct br_msg *msg)
{
	struct hr_kept *kept = hr_kept_of(msg->object);
	struct br_object *made = new_object(msg);
	if (!is_for_this(notes, msg, kept)) {
		return false;
	}
	/* What we made ourselves we need again. */
	bool own = made != NULL && made->client_id == 0;
	if (kept != NULL && msg->desc->keep == BR_KEEP_NONE) {
		note_action(notes, msg, kept);
	} else if (notes->broken != NULL || (msg->desc->keep == BR_KEEP_NONE && !own) ||
		   (msg->desc->flags & BR_MSG_DESTRUCTOR && made == NULL)) {
		return true;
	} else if (made != NULL) {
		note_new(notes, msg, made);
	} else if (kept != NULL) {
		note_state(notes, msg, kept);
	}
	return true;
}

/* --- events --- */

static void set_focus(struct hr_kept_device *device, const struct br_object *surface)
{
	struct hr_kept *focus = hr_kept_ref(hr_kept_of(surface));
	hr_kept_unref(device->focus);
	device->focus = focus;
}

static void note_button(struct hr_kept_device *device, uint32_t button, bool pressed)
{
	uint32_t i = 0;
	while (i < device->n_buttons && device->buttons[i] != button) {
		i++;
	}
	if (pressed && i == device->n_buttons && i < HR_KEPT_BUTTONS) {
		device->buttons[device->n_buttons++] = button;
	} else if (!pressed && i < device->n_buttons) {
		device->buttons[i] = device->buttons[--device->n_buttons];
	}
}

static void note_pointer(struct hr_kept_device *device, const struct br_msg *msg)
{
	if (msg->opcode == BR_EVT_WL_POINTER_ENTER) {
		set_focus(device, msg->args[1].object);
	} else if (msg->opcode == BR_EVT_WL_POINTER_LEAVE) {
		set_focus(device, NULL);
		device->n_buttons = 0;
	} else if (msg->opcode == BR_EVT_WL_POINTER_BUTTON) {
		note_button(device, msg->args[2].u, msg->args[3].u != 0);
	}
}

static void note_keyboard(struct hr_kept_device *device, const struct br_msg *msg)
{
	if (msg->opcode == BR_EVT_WL_KEYBOARD_ENTER || msg->opcode == BR_EVT_WL_KEYBOARD_LEAVE) {
		bool enter = msg->opcode == BR_EVT_WL_KEYBOARD_ENTER;
		set_focus(device, enter ? msg->args[1].object : NULL);
	}
}

/* Of fingers only their number counts. */
static void note_touch(struct hr_kept_device *device, const struct br_msg *msg)
{
	if (msg->opcode == BR_EVT_WL_TOUCH_DOWN) {
		device->n_buttons++;
	} else if (msg->opcode == BR_EVT_WL_TOUCH_UP && device->n_buttons > 0) {
		device->n_buttons--;
	} else if (msg->opcode == BR_EVT_WL_TOUCH_CANCEL) {
		device->n_buttons = 0;
	}
}

static void note_text_input(struct hr_kept_device *device, const struct br_msg *msg)
{
	if (msg->opcode == BR_EVT_ZWP_TEXT_INPUT_V3_ENTER) {
		set_focus(device, msg->args[0].object);
	} else if (msg->opcode == BR_EVT_ZWP_TEXT_INPUT_V3_LEAVE) {
		set_focus(device, NULL);
	}
}

static void note_drag(struct hr_kept_device *device, const struct br_msg *msg)
{
	if (msg->opcode == BR_EVT_WL_DATA_DEVICE_ENTER) {
		set_focus(device, msg->args[1].object);
	} else if (msg->opcode == BR_EVT_WL_DATA_DEVICE_LEAVE) {
		set_focus(device, NULL);
	}
}

static void note_outputs(struct hr_kept_surface *surface, const struct br_msg *msg)
{
	bool enter = msg->opcode == BR_EVT_WL_SURFACE_ENTER;
	if (!enter && msg->opcode != BR_EVT_WL_SURFACE_LEAVE) {
		return;
	}
	struct hr_kept *output = hr_kept_of(msg->args[0].object);
	if (output == NULL) {
		return;
	}
	uint32_t i = 0;
	while (i < surface->n_outputs && surface->outputs[i] != output) {
		i++;
	}
	if (enter && i == surface->n_outputs && i < HR_KEPT_OUTPUTS) {
		surface->outputs[surface->n_outputs++] = hr_kept_ref(output);
	} else if (!enter && i < surface->n_outputs) {
		hr_kept_unref(output);
		surface->outputs[i] = surface->outputs[--surface->n_outputs];
	}
}

static void note_size(struct hr_kept *kept, const struct br_msg *msg)
{
	/* Source: xdg_toplevel.state: maximized and fullscreen. */
	enum { MAXIMIZED = 1, FULLSCREEN = 2 };
	struct hr_kept *surface = kept->surface;
	const uint32_t *states = msg->args[2].array.ptr;
	if (msg->opcode != BR_EVT_XDG_TOPLEVEL_CONFIGURE || surface == NULL ||
	    surface->content == NULL || surface->content->xdg == NULL) {
		return;
	}
	struct hr_kept_size size = {.width = msg->args[0].i, .height = msg->args[1].i};
	for (uint32_t i = 0; i < msg->args[2].array.len / 4; i++) {
		uint32_t state;
		memcpy(&state, &states[i], sizeof(state));
		size.strict = size.strict || state == MAXIMIZED || state == FULLSCREEN;
	}
	surface->content->xdg->xdg->next_size = size;
}

static void note_configure(struct hr_restore *restore, struct hr_kept *kept, uint32_t serial)
{
	bool first = kept->xdg->awaiting;
	push_serial(kept->xdg, serial, first);
	if (first) {
		hr_restore_configured(restore, kept, serial);
	}
	kept->xdg->size = kept->xdg->next_size;
}

/* The client is told what it waits for; and not of what was attached for it. */
static bool note_release(const struct hr_notes *notes, struct hr_kept_buffer *buffer)
{
	bool busy = buffer->busy;
	buffer->busy = false;
	return busy || !notes->moved;
}

static void note_caps(struct hr_restore *restore, struct hr_kept_device *seat, uint32_t caps)
{
	bool more = (caps & ~seat->caps) != 0;
	seat->caps = caps;
	if (more && restore->notes.moved) {
		hr_restore_remake(restore);
	}
}

static void note_device(struct hr_restore *restore, struct hr_kept *kept, const struct br_msg *msg)
{
	switch (kept->iface) {
	case BR_IFACE_WL_SEAT:
		if (msg->opcode == BR_EVT_WL_SEAT_CAPABILITIES) {
			note_caps(restore, kept->device, msg->args[0].u);
		}
		break;
	case BR_IFACE_WL_POINTER:
		note_pointer(kept->device, msg);
		break;
	case BR_IFACE_WL_KEYBOARD:
		note_keyboard(kept->device, msg);
		break;
	case BR_IFACE_WL_TOUCH:
		note_touch(kept->device, msg);
		break;
	case BR_IFACE_ZWP_TEXT_INPUT_V3:
		note_text_input(kept->device, msg);
		break;
	default:
		note_drag(kept->device, msg);
		break;
	}
}

/* Whether an event may come only once in its object's life. Source: wl_output.name, wl_seat.name,
 * zxdg_output_v1.name, wp_image_description_v1.ready. */
static bool is_unique(const struct br_msg *msg)
{
	switch (msg->object->iface) {
	case BR_IFACE_WL_OUTPUT:
		return msg->opcode == BR_EVT_WL_OUTPUT_NAME;
	case BR_IFACE_WL_SEAT:
		return msg->opcode == BR_EVT_WL_SEAT_NAME;
	case BR_IFACE_ZXDG_OUTPUT_V1:
		return msg->opcode == BR_EVT_ZXDG_OUTPUT_V1_NAME;
	case BR_IFACE_WP_IMAGE_DESCRIPTION_V1:
		return true;
	default:
		return false;
	}
}

static bool note_event(struct hr_restore *restore, struct br_msg *msg)
{
	struct hr_kept *kept = hr_kept_of(msg->object);
	if (kept == NULL) {
		return true;
	}
	if (is_unique(msg)) {
		bool again = kept->told;
		kept->told = true;
		if (kept->iface == BR_IFACE_WP_IMAGE_DESCRIPTION_V1) {
			kept->ready = strncmp(msg->desc->name, "ready", 5) == 0;
			hr_restore_describe(restore, kept);
		}
		return !again;
	}
	if (kept->device != NULL) {
		note_device(restore, kept, msg);
	} else if (kept->content != NULL) {
		note_outputs(kept->content, msg);
	} else if (kept->iface == BR_IFACE_XDG_TOPLEVEL) {
		note_size(kept, msg);
	} else if (kept->xdg != NULL && msg->opcode == BR_EVT_XDG_SURFACE_CONFIGURE) {
		note_configure(restore, kept, msg->args[0].u);
	} else if (kept->buffer != NULL && msg->opcode == BR_EVT_WL_BUFFER_RELEASE) {
		return note_release(&restore->notes, kept->buffer);
	}
	return true;
}

bool hr_restore_passes(struct br_relay *relay, struct br_msg *msg)
{
	struct hr_restore *restore = hr_hook_state(relay)->restore;
	if (restore == NULL || restore->relay == NULL) {
		return true;
	}
	if (msg->dir == BR_REQUEST) {
		return restore->notes.saying || note_request(&restore->notes, msg);
	}
	return note_event(restore, msg);
}

/* --- dma-bufs --- */

void hr_restore_note_answer(struct br_object *params)
{
	struct hr_kept *kept = hr_kept_of(params);
	struct hr_said *said, *tmp;
	if (kept == NULL) {
		return;
	}
	wl_list_for_each_safe (said, tmp, &kept->said, link) {
		if (said->opcode == BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE) {
			hr_said_destroy(kept->notes, said);
		}
	}
}

void hr_restore_note_dmabuf(struct br_relay *relay, struct br_object *params,
			    struct br_object *buffer, const union br_arg *image)
{
	struct hr_restore *restore = hr_hook_state(relay)->restore;
	const uint16_t opcode = BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED;
	struct br_msg msg = {
		.object = params,
		.dir = BR_REQUEST,
		.opcode = opcode,
		.desc = &br_msgs[br_ifaces[BR_IFACE_ZWP_LINUX_BUFFER_PARAMS_V1].first_req + opcode],
		.handles = {{.fd = -1}, {.fd = -1}},
		.args = {{.object = buffer}, image[0], image[1], image[2], image[3]},
	};
	hr_restore_note_answer(params);
	if (restore != NULL && restore->relay != NULL && restore->notes.broken == NULL) {
		note_new(&restore->notes, &msg, buffer);
	}
}
