/* SPDX-License-Identifier: MIT */
#include "kept.h"

#include <stdlib.h>
#include <string.h>

#include "admit.h"
#include "br-tables.h"
#include "fd.h"
#include "hooks/hold.h"
#include "hooks/hooks.h"
#include "limits.h"

/* References of what is being freed: those to it no longer count. */
#define UNCOUNTED (UINT32_MAX / 2)

void hr_notes_init(struct hr_notes *notes, struct br_relay *relay, struct hr_hook_state *state)
{
	*notes = (struct hr_notes){.relay = relay, .state = state};
	wl_list_init(&notes->kept);
}

static const struct br_msg_desc *desc_of(const struct hr_said *said)
{
	uint16_t iface = said->target != NULL ? said->target->iface : BR_IFACE_WL_DISPLAY;
	return &br_msgs[br_ifaces[iface].first_req + said->opcode];
}

/* --- requests --- */

void hr_said_destroy(struct hr_notes *notes, struct hr_said *said)
{
	if (said == NULL) {
		return;
	}
	const struct br_msg_desc *desc = desc_of(said);
	for (unsigned i = 0; i < desc->n_args; i++) {
		if (br_args[desc->first_arg + i].kind == BR_ARG_OBJECT) {
			hr_kept_unref(said->args[i].kept);
		}
	}
	for (unsigned i = 0; i < BR_MAX_MSG_FDS; i++) {
		notes->n_fds -= said->fds[i] >= 0;
		br_fd_clear(&said->fds[i]);
	}
	notes->bytes -= said->bytes;
	wl_list_remove(&said->link);
	if (said->owns_target) {
		hr_kept_unref(said->target);
	}
	free(said);
}

void hr_said_purge(struct hr_notes *notes, struct wl_list *list, const struct hr_kept *target)
{
	struct hr_said *said, *tmp;
	wl_list_for_each_safe (said, tmp, list, link) {
		if (target == NULL || said->target == target) {
			hr_said_destroy(notes, said);
		}
	}
}

static bool is_text(uint8_t kind)
{
	return kind == BR_ARG_STRING || kind == BR_ARG_ARRAY;
}

/* Bytes behind the arguments. */
static size_t text_bytes(const struct br_msg *msg)
{
	size_t bytes = 0;
	for (unsigned i = 0; i < msg->desc->n_args; i++) {
		uint8_t kind = br_args[msg->desc->first_arg + i].kind;
		bytes += kind == BR_ARG_STRING ? (size_t)msg->args[i].str.len + 1 : 0;
		bytes += kind == BR_ARG_ARRAY ? msg->args[i].array.len : 0;
	}
	return bytes;
}

static bool copy_fd(struct hr_notes *notes, struct hr_said *said, uint32_t index, int fd)
{
	int copy = notes->n_fds < BR_LIMIT_SAID_FDS && fd >= 0 ? br_fd_dup(fd) : -1;
	if (copy < 0 || !br_fd_has_reserve(copy)) {
		br_fd_clear(&copy);
		notes->broken = "it has more buffers than can be kept";
		return false;
	}
	said->fds[index] = copy;
	notes->n_fds++;
	return true;
}

/* text: where strings and arrays go; moved on. */
static bool copy_arg(struct hr_notes *notes, struct hr_said *said, const struct br_msg *msg,
		     unsigned i, uint8_t **text)
{
	const struct br_arg_desc *desc = &br_args[msg->desc->first_arg + i];
	const union br_arg *arg = &msg->args[i];
	if (desc->kind == BR_ARG_OBJECT) {
		said->args[i].kept = hr_kept_ref(hr_kept_of(arg->object));
		return arg->object == NULL || said->args[i].kept != NULL;
	}
	if (desc->kind == BR_ARG_FD) {
		return copy_fd(notes, said, arg->handle, msg->handles[arg->handle].fd);
	}
	said->args[i].value = *arg;
	if (is_text(desc->kind)) {
		const void *from = desc->kind == BR_ARG_STRING ? arg->str.ptr : arg->array.ptr;
		size_t len =
			desc->kind == BR_ARG_STRING ? (size_t)arg->str.len + 1 : arg->array.len;
		if (from != NULL && len > 0) {
			memcpy(*text, from, len);
			if (desc->kind == BR_ARG_STRING) {
				said->args[i].value.str.ptr = (const char *)*text;
			} else {
				said->args[i].value.array.ptr = *text;
			}
			*text += len;
		}
	}
	return true;
}

struct hr_said *hr_said_create(struct hr_notes *notes, const struct br_msg *msg, bool owns_target)
{
	size_t args = msg->desc->n_args * sizeof(union hr_said_arg);
	size_t bytes = sizeof(struct hr_said) + args + text_bytes(msg);
	struct hr_said *said =
		notes->bytes + bytes <= BR_LIMIT_SAID_BYTES ? calloc(1, bytes) : NULL;
	if (said == NULL) {
		notes->broken = "it has told its compositor more than can be kept";
		return NULL;
	}
	wl_list_init(&said->link);
	said->target = hr_kept_of(msg->object);
	said->owns_target = owns_target;
	said->opcode = (uint8_t)msg->opcode;
	said->bytes = (uint32_t)bytes;
	notes->bytes += bytes;
	for (unsigned i = 0; i < BR_MAX_MSG_FDS; i++) {
		said->fds[i] = -1;
	}
	if (owns_target) {
		hr_kept_ref(said->target);
	}
	uint8_t *text = (uint8_t *)said + sizeof(*said) + args;
	bool whole = said->target != NULL || msg->object->iface == BR_IFACE_WL_DISPLAY;
	for (unsigned i = 0; whole && i < msg->desc->n_args; i++) {
		whole = copy_arg(notes, said, msg, i, &text);
	}
	if (!whole) {
		hr_said_destroy(notes, said);
		return NULL;
	}
	return said;
}

/* Managers say something of the object that they name first. */
static const struct hr_kept *subject(const struct hr_said *said)
{
	const struct br_msg_desc *desc = desc_of(said);
	if (said->target != NULL && br_ifaces[said->target->iface].flags & BR_IFACE_GLOBAL &&
	    desc->n_args > 0 && br_args[desc->first_arg].kind == BR_ARG_OBJECT) {
		return said->args[0].kept;
	}
	return NULL;
}

void hr_said_add(struct hr_notes *notes, struct wl_list *list, struct hr_said *said)
{
	struct hr_said *old, *tmp;
	uint8_t key = desc_of(said)->key;
	if (desc_of(said)->keep == BR_KEEP_LAST) {
		wl_list_for_each_safe (old, tmp, list, link) {
			if (old->target == said->target && desc_of(old)->key == key &&
			    subject(old) == subject(said)) {
				hr_said_destroy(notes, old);
			}
		}
	}
	wl_list_insert(list->prev, &said->link);
}

/* The new compositor's name of a global that the client knows by another. */
static bool find_global(struct hr_notes *notes, const struct br_object *self, union br_arg *name)
{
	const struct hr_admit_global *global = hr_admit_find(&notes->state->admit, name->u);
	if (self != NULL && self->client_id == 0 && self->iface == BR_IFACE_WL_SHM) {
		name->u = notes->state->shm_name;
		return true;
	}
	if (global == NULL || !global->there) {
		return false;
	}
	name->u = global->server_name;
	return true;
}

static bool is_there(const struct br_object *object)
{
	return object != NULL && object->server_id != 0;
}

/* An image description may not be named before it is ready. */
static bool can_be_named(const struct hr_kept *kept)
{
	return kept != NULL && is_there(kept->object) &&
	       (kept->iface != BR_IFACE_WP_IMAGE_DESCRIPTION_V1 || kept->ready);
}

/* Returns false if it can't be said. Handles are the caller's. */
static bool resolve(struct hr_notes *notes, const struct hr_said *said, struct br_object *self,
		    union br_arg *args, struct br_handle *handles)
{
	const struct br_msg_desc *desc = desc_of(said);
	for (unsigned i = 0; i < desc->n_args; i++) {
		const struct br_arg_desc *arg = &br_args[desc->first_arg + i];
		if (arg->kind == BR_ARG_OBJECT) {
			struct hr_kept *kept = said->args[i].kept;
			if (!can_be_named(kept) && !arg->nullable) {
				return false;
			}
			args[i].object = can_be_named(kept) ? kept->object : NULL;
		} else {
			args[i] = said->args[i].value;
			args[i].object = arg->kind == BR_ARG_NEW_ID ? self : args[i].object;
		}
	}
	for (unsigned i = 0; i < desc->n_fds; i++) {
		handles[i].fd = br_fd_dup(said->fds[i]);
		handles[i].kind = desc->fd_kind;
		if (handles[i].fd < 0) {
			return false;
		}
	}
	bool bind = said->target != NULL && said->target->iface == BR_IFACE_WL_REGISTRY &&
		    said->opcode == BR_REQ_WL_REGISTRY_BIND;
	return !bind || find_global(notes, self, &args[0]);
}

bool hr_said_again(struct hr_notes *notes, const struct hr_said *said, struct br_object *self)
{
	struct br_object *target = said->target != NULL ? said->target->object
							: br_relay_client_object(notes->relay, 1);
	union br_arg args[BR_MAX_ARGS] = {0};
	struct br_handle handles[BR_MAX_MSG_FDS] = {{.fd = -1}, {.fd = -1}};
	bool can = is_there(target) && resolve(notes, said, self, args, handles);
	if (can) {
		(void)br_relay_send(notes->relay, BR_REQUEST, target, said->opcode, args, handles);
	}
	for (unsigned i = 0; i < BR_MAX_MSG_FDS; i++) {
		br_fd_clear(&handles[i].fd);
	}
	return can;
}

/* --- objects --- */

struct hr_kept *hr_kept_of(const struct br_object *object)
{
	return object != NULL ? (struct hr_kept *)object->record : NULL;
}

bool hr_kept_can_stand_in(const struct hr_kept *kept)
{
	switch (kept->iface) {
	case BR_IFACE_WL_REGISTRY:
	case BR_IFACE_WL_SHM_POOL:
	case BR_IFACE_WL_BUFFER:
	case BR_IFACE_WL_REGION:
	case BR_IFACE_ZWP_LINUX_BUFFER_PARAMS_V1:
	case BR_IFACE_WP_IMAGE_DESCRIPTION_V1:
	case BR_IFACE_WP_IMAGE_DESCRIPTION_CREATOR_ICC_V1:
	case BR_IFACE_WP_IMAGE_DESCRIPTION_CREATOR_PARAMS_V1:
		return true;
	default:
		return br_ifaces[kept->iface].flags & BR_IFACE_GLOBAL ||
		       strcmp(br_ifaces[kept->iface].name, "xdg_toplevel_icon_v1") == 0;
	}
}

void hr_kept_show(struct hr_kept_surface *surface, struct hr_kept *buffer)
{
	struct hr_kept *old = surface->buffer;
	if (buffer != NULL && buffer->buffer != NULL) {
		buffer->buffer->shown++;
	}
	surface->buffer = hr_kept_ref(buffer);
	if (old != NULL && old->buffer != NULL) {
		old->buffer->shown--;
	}
	hr_kept_unref(old);
}

static void leave_parent(struct hr_kept_surface *surface)
{
	wl_list_remove(&surface->in_parent);
	wl_list_init(&surface->in_parent);
	surface->parent = NULL;
	surface->subsurface = NULL;
}

static void content_clear(struct hr_notes *notes, struct hr_kept_surface *surface)
{
	hr_said_purge(notes, &surface->pending, NULL);
	hr_said_purge(notes, &surface->current, NULL);
	hr_kept_show(surface, NULL);
	surface->next = hr_kept_unref(surface->next);
	surface->attached = false;
	leave_parent(surface);
	wl_list_remove(&surface->self);
	wl_list_init(&surface->self);
	while (!wl_list_empty(&surface->stack)) {
		struct hr_kept_surface *child =
			wl_container_of(surface->stack.next, child, in_parent);
		leave_parent(child);
	}
	while (surface->n_outputs > 0) {
		hr_kept_unref(surface->outputs[--surface->n_outputs]);
	}
}

/* Its object is gone, and nobody will make it again. */
static void end_state(struct hr_kept *kept)
{
	struct hr_notes *notes = kept->notes;
	struct hr_kept_surface *surface = kept->surface != NULL ? kept->surface->content : NULL;
	hr_said_purge(notes, &kept->said, NULL);
	if (kept->content != NULL) {
		content_clear(notes, kept->content);
	}
	if (surface != NULL) {
		hr_said_purge(notes, &surface->pending, kept);
		hr_said_purge(notes, &surface->current, kept);
	}
	if (surface != NULL && surface->xdg == kept) {
		surface->xdg = NULL;
		surface->muted = false;
	}
	if (surface != NULL && surface->xdg != NULL && surface->xdg->xdg->toplevel == kept) {
		surface->xdg->xdg->toplevel = NULL;
		surface->xdg->xdg->committed = false;
	}
	if (surface != NULL && kept->iface == BR_IFACE_WL_SUBSURFACE) {
		leave_parent(surface);
	}
	if (kept->device != NULL) {
		kept->device->focus = hr_kept_unref(kept->device->focus);
	}
}

static void handle_retired(struct br_record *record)
{
	struct hr_kept *kept = (struct hr_kept *)record;
	bool stand_in = kept->stand_in;
	kept->object = NULL;
	kept->stand_in = false;
	if (stand_in) {
		return;
	}
	if (!hr_kept_can_stand_in(kept)) {
		end_state(kept);
	}
	hr_kept_unref(kept);
}

/* The room for what only its interface has. Returns false if memory is out. */
static bool make_more(struct hr_kept *kept)
{
	switch (kept->iface) {
	case BR_IFACE_WL_SURFACE:
		kept->content = calloc(1, sizeof(*kept->content));
		if (kept->content != NULL) {
			kept->content->kept = kept;
			wl_list_init(&kept->content->pending);
			wl_list_init(&kept->content->current);
			wl_list_init(&kept->content->stack);
			wl_list_init(&kept->content->in_parent);
			wl_list_insert(&kept->content->stack, &kept->content->self);
		}
		return kept->content != NULL;
	case BR_IFACE_XDG_SURFACE:
		kept->xdg = calloc(1, sizeof(*kept->xdg));
		return kept->xdg != NULL;
	case BR_IFACE_WL_BUFFER:
		kept->buffer = calloc(1, sizeof(*kept->buffer));
		return kept->buffer != NULL;
	case BR_IFACE_WL_SEAT:
	case BR_IFACE_WL_POINTER:
	case BR_IFACE_WL_KEYBOARD:
	case BR_IFACE_WL_TOUCH:
	case BR_IFACE_WL_DATA_DEVICE:
	case BR_IFACE_ZWP_TEXT_INPUT_V3:
		kept->device = calloc(1, sizeof(*kept->device));
		return kept->device != NULL;
	default:
		return true;
	}
}

struct hr_kept *hr_kept_create(struct hr_notes *notes, struct br_object *object)
{
	struct hr_kept *kept = notes->bytes + sizeof(*kept) <= BR_LIMIT_SAID_BYTES
				       ? calloc(1, sizeof(*kept))
				       : NULL;
	if (kept == NULL) {
		return NULL;
	}
	kept->record.retired = handle_retired;
	kept->notes = notes;
	kept->object = object;
	kept->refs = 1;
	kept->iface = object->iface;
	kept->version = object->version;
	wl_list_init(&kept->said);
	if (!make_more(kept)) {
		free(kept);
		return NULL;
	}
	notes->bytes += sizeof(*kept);
	wl_list_insert(notes->kept.prev, &kept->link);
	object->record = &kept->record;
	return kept;
}

struct hr_kept *hr_kept_ref(struct hr_kept *kept)
{
	if (kept != NULL) {
		kept->refs++;
	}
	return kept;
}

/* Let the compositor forget the object that stood in for one which nobody needs any more. Without a destructor
 * it stays, as it would for any client. */
static void end_stand_in(struct hr_kept *kept)
{
	const struct br_iface *iface = &br_ifaces[kept->iface];
	struct br_object *object = kept->object;
	kept->object = NULL;
	kept->stand_in = false;
	object->record = NULL;
	for (uint16_t i = 0; object->server_id != 0 && i < iface->n_req; i++) {
		const struct br_msg_desc *desc = &br_msgs[iface->first_req + i];
		if (desc->flags & BR_MSG_DESTRUCTOR && desc->n_args == 0 &&
		    desc->since <= kept->version) {
			(void)br_relay_send(kept->notes->relay, BR_REQUEST, object, i, NULL, NULL);
			return;
		}
	}
}

/* Drop all references to others. */
static void let_go(struct hr_kept *kept)
{
	kept->refs = UNCOUNTED;
	end_state(kept);
	hr_said_destroy(kept->notes, kept->made);
	kept->made = NULL;
	kept->surface = hr_kept_unref(kept->surface);
	kept->hold = hr_hold_unref(kept->hold);
}

static void kept_free(struct hr_kept *kept)
{
	kept->notes->bytes -= sizeof(*kept);
	wl_list_remove(&kept->link);
	free(kept->content);
	free(kept->xdg);
	free(kept->buffer);
	free(kept->device);
	free(kept);
}

struct hr_kept *hr_kept_unref(struct hr_kept *kept)
{
	if (kept == NULL || --kept->refs > 0) {
		return NULL;
	}
	if (kept->stand_in) {
		end_stand_in(kept);
	}
	let_go(kept);
	kept_free(kept);
	return NULL;
}

void hr_notes_finish(struct hr_notes *notes)
{
	struct hr_kept *kept, *tmp;
	wl_list_for_each (kept, &notes->kept, link) {
		kept->refs = UNCOUNTED;
		if (kept->object != NULL) {
			kept->object->record = NULL;
		}
	}
	wl_list_for_each (kept, &notes->kept, link) {
		let_go(kept);
	}
	wl_list_for_each_safe (kept, tmp, &notes->kept, link) {
		kept_free(kept);
	}
}
