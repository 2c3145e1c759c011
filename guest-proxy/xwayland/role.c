/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "br-tables.h"
#include "focus.h"
#include "frame.h"
#include "relay.h"
#include "window.h"
#include "wm.h"

/* Of xdg_wm_base: 3 has reposition. */
#define BASE_VERSION 5
/* Source: xdg_toplevel.state. */
enum {
	STATE_MAXIMIZED = 1,
	STATE_FULLSCREEN = 2,
	STATE_ACTIVATED = 4,
	STATE_TILED_LEFT = 5,
	STATE_TILED_BOTTOM = 8
};
/* Source: xdg_toplevel.wm_capabilities. */
enum { CAN_MINIMIZE = 4 };
/* Source: xdg_positioner.anchor, .gravity. */
enum { TOP_LEFT = 5, BOTTOM_RIGHT = 8 };

struct xw_role {
	struct xw_window *window;
	struct br_object *surface;	    /* Xwayland's wl_surface */
	struct br_object *xdg;		    /* xdg_surface; NULL: gone */
	struct br_object *toplevel, *popup; /* one of them */
	struct xw_role *parent;		    /* of a popup */
	struct wl_list popups;		    /* xw_role.link, the newest first */
	struct wl_list link;		    /* in the parent's popups; on itself without */
	bool ready;			    /* the compositor has answered */
	bool shown;			    /* a buffer followed */
	bool can_minimize;
	struct xw_frame frame;
	uint32_t token, token_seen; /* of a popup's repositions */
	/* Of a configure, until xdg_surface's own. */
	int32_t x, y, width, height;
	bool fullscreen, maximized, activated, tiled;
	uint16_t free_width, free_height; /* from before the compositor kept it; 0: it does not */
	uint16_t old_width, old_height;	  /* until the program has resized it; 0: it has not */
	/* What the compositor was told. */
	char *title, *app_id;
	struct xw_role *told_parent;
	bool told_fullscreen, told_maximized, told_minimized;
};

static int send(struct xw_role *role, struct br_object *object, uint16_t opcode,
		const union br_arg *args)
{
	return br_relay_send(role->window->wm->relay, BR_REQUEST, object, opcode, args, NULL);
}

static struct br_object *create(struct xw_role *role, uint16_t iface, uint16_t version,
				void (*event)(struct br_relay *relay, struct br_object *object,
					      struct br_msg *msg))
{
	struct br_object *object =
		br_relay_create_server_object(role->window->wm->relay, iface, version);
	if (object != NULL) {
		object->data = role;
		object->event = event;
	}
	return object;
}

static void tell_parent(struct xw_role *role);

/* --- xdg_wm_base --- */

static void handle_base(struct br_relay *relay, struct br_object *base, struct br_msg *msg)
{
	if (msg->opcode == BR_EVT_XDG_WM_BASE_PING) {
		const union br_arg serial = {.u = msg->args[0].u};
		(void)br_relay_send(relay, BR_REQUEST, base, BR_REQ_XDG_WM_BASE_PONG, &serial,
				    NULL);
	}
}

static struct br_object *need_base(struct xw_wm *wm)
{
	if (wm->base == NULL) {
		wm->base = xw_wm_bind(wm, BR_IFACE_XDG_WM_BASE, BASE_VERSION);
		if (wm->base != NULL) {
			wm->base->event = handle_base;
		}
	}
	return wm->base;
}

/* --- what the compositor says --- */

/* The size that the compositor wants; where it leaves that to the window, the one from before it was kept at
 * another. */
static void choose_size(struct xw_role *role, uint16_t *ret_width, uint16_t *ret_height)
{
	const struct xw_window *window = role->window;
	bool keeps = xw_role_keeps_size(role), kept = role->free_width != 0;
	uint16_t width = role->width > 0 && role->width <= INT16_MAX ? (uint16_t)role->width : 0;
	uint16_t height =
		role->height > 0 && role->height <= INT16_MAX ? (uint16_t)role->height : 0;
	if (keeps && !kept) {
		role->free_width = window->width;
		role->free_height = window->height;
	}
	*ret_width = width > 0 ? width : !keeps && kept ? role->free_width : window->width;
	*ret_height = height > 0 ? height : !keeps && kept ? role->free_height : window->height;
	if (!keeps) {
		role->free_width = role->free_height = 0;
	}
	if (!keeps && role->old_width != 0 && width == role->old_width &&
	    height == role->old_height) {
		/* From before the program has chosen another. */
		*ret_width = window->width;
		*ret_height = window->height;
	} else {
		role->old_width = role->old_height = 0;
	}
}

static void apply_toplevel(struct xw_role *role)
{
	struct xw_window *window = role->window;
	struct xw_wm *wm = window->wm;
	struct xw_props *props = &window->props;
	uint16_t width, height;
	choose_size(role, &width, &height);
	if (role->ready) {
		props->fullscreen = role->told_fullscreen = role->fullscreen;
		props->maximized = role->told_maximized = role->maximized;
	}
	if (width != window->width || height != window->height || window->x != 0 ||
	    window->y != 0) {
		xw_window_configure(window, 0, 0, width, height);
	}
	if (role->activated) {
		props->minimized = role->told_minimized = false; /* it is shown again */
	}
	if (role->activated != (wm->focus == window)) {
		xw_focus_set(wm, role->activated ? window : NULL);
	} else {
		xw_window_publish_state(window);
	}
}

static void apply_popup(struct xw_role *role)
{
	struct xw_window *window = role->window;
	const struct xw_window *parent = role->parent->window;
	int16_t x = (int16_t)(parent->x + role->x), y = (int16_t)(parent->y + role->y);
	/* An answer to an earlier wish is no longer true. */
	if (role->token == role->token_seen && (x != window->x || y != window->y)) {
		xw_window_configure(window, x, y, window->width, window->height);
	}
}

/* Windows that have waited for this one to be their parent. */
static void adopt_children(struct xw_role *role)
{
	struct xw_window *window;
	wl_list_for_each (window, &role->window->wm->windows, link) {
		if (window->role != NULL && window->role->toplevel != NULL &&
		    window->props.transient_for == role->window->id) {
			tell_parent(window->role);
		}
	}
}

static void handle_surface(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	struct xw_role *role = object->data;
	if (role == NULL || msg->opcode != BR_EVT_XDG_SURFACE_CONFIGURE) {
		return;
	}
	const union br_arg serial = {.u = msg->args[0].u};
	if (role->toplevel != NULL) {
		apply_toplevel(role);
	} else if (role->parent != NULL) {
		apply_popup(role);
	}
	bool is_move = role->popup != NULL && role->ready;
	(void)br_relay_send(relay, BR_REQUEST, object, BR_REQ_XDG_SURFACE_ACK_CONFIGURE, &serial,
			    NULL);
	if (is_move) {
		/* Xwayland has no reason to commit anything. */
		(void)send(role, role->surface, BR_REQ_WL_SURFACE_COMMIT, NULL);
	}
	role->ready = true;
	if (role->shown) {
		adopt_children(role);
	}
	xw_wm_wake(role->window->wm);
	xw_wm_flush(role->window->wm);
}

static bool has_word(const struct br_msg *msg, uint32_t word)
{
	for (uint32_t i = 0; i < msg->args[0].array.len / sizeof(word); i++) {
		if (memcmp((const uint8_t *)msg->args[0].array.ptr + i * sizeof(word), &word,
			   sizeof(word)) == 0) {
			return true;
		}
	}
	return false;
}

static void handle_toplevel(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	struct xw_role *role = object->data;
	(void)relay;
	if (role == NULL) {
		return;
	}
	if (msg->opcode == BR_EVT_XDG_TOPLEVEL_CLOSE) {
		xw_window_close(role->window);
		xw_wm_flush(role->window->wm);
	} else if (msg->opcode == BR_EVT_XDG_TOPLEVEL_CONFIGURE) {
		role->width = msg->args[0].i;
		role->height = msg->args[1].i;
		role->fullscreen = role->maximized = role->activated = role->tiled = false;
		for (uint32_t i = 0; i < msg->args[2].array.len / sizeof(uint32_t); i++) {
			uint32_t state;
			memcpy(&state, (const uint8_t *)msg->args[2].array.ptr + i * sizeof(state),
			       sizeof(state));
			role->fullscreen |= state == STATE_FULLSCREEN;
			role->maximized |= state == STATE_MAXIMIZED;
			role->activated |= state == STATE_ACTIVATED;
			role->tiled |= state >= STATE_TILED_LEFT && state <= STATE_TILED_BOTTOM;
		}
	} else if (msg->opcode == BR_EVT_XDG_TOPLEVEL_WM_CAPABILITIES) {
		role->can_minimize = has_word(msg, CAN_MINIMIZE);
	}
}

static void handle_popup(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	struct xw_role *role = object->data;
	(void)relay;
	if (role == NULL) {
		return;
	}
	if (msg->opcode == BR_EVT_XDG_POPUP_CONFIGURE) {
		role->x = msg->args[0].i;
		role->y = msg->args[1].i;
	} else if (msg->opcode == BR_EVT_XDG_POPUP_REPOSITIONED) {
		role->token_seen = msg->args[0].u;
	} else if (msg->opcode == BR_EVT_XDG_POPUP_POPUP_DONE) {
		xw_window_hide(role->window);
	}
}

/* --- what it is told --- */

static bool differs(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

static void tell_text(struct xw_role *role, uint16_t opcode, const char *text, char **told)
{
	if (!differs(text, *told)) {
		return;
	}
	free(*told);
	*told = text != NULL ? strdup(text) : NULL;
	const char *said = *told != NULL ? *told : "";
	const union br_arg arg = {.str = {.ptr = said, .len = (uint32_t)strlen(said)}};
	(void)send(role, role->toplevel, opcode, &arg);
}

static void tell_sizes(struct xw_role *role)
{
	const struct xw_props *props = &role->window->props;
	const union br_arg least[] = {{.i = props->min_width}, {.i = props->min_height}};
	union br_arg most[] = {{.i = props->max_width}, {.i = props->max_height}};
	/* A protocol error otherwise. */
	most[0].i = most[0].i > 0 && most[0].i < least[0].i ? least[0].i : most[0].i;
	most[1].i = most[1].i > 0 && most[1].i < least[1].i ? least[1].i : most[1].i;
	(void)send(role, role->toplevel, BR_REQ_XDG_TOPLEVEL_SET_MIN_SIZE, least);
	(void)send(role, role->toplevel, BR_REQ_XDG_TOPLEVEL_SET_MAX_SIZE, most);
}

static struct xw_role *shown_role(const struct xw_window *window)
{
	return window != NULL && window->role != NULL && window->role->toplevel != NULL &&
			       window->role->shown
		       ? window->role
		       : NULL;
}

/* The newest window of the same program that is shown as one of its own; the active one if it is. */
static struct xw_role *sibling(const struct xw_window *window)
{
	struct xw_wm *wm = window->wm;
	struct xw_window *other;
	if (wm->focus != NULL && wm->focus != window &&
	    xw_focus_same_program(wm, wm->focus->id, window->id)) {
		return shown_role(wm->focus);
	}
	wl_list_for_each (other, &wm->windows, link) {
		if (other != window && shown_role(other) != NULL &&
		    xw_focus_same_program(wm, other->id, window->id)) {
			return other->role;
		}
	}
	return NULL;
}

/* Which toplevel it belongs to. NULL: none. */
static struct xw_role *wanted_parent(const struct xw_role *role)
{
	const struct xw_window *window = role->window;
	const struct xw_props *props = &window->props;
	struct xw_role *parent = shown_role(xw_window_by_id(window->wm, props->transient_for));
	bool is_side = props->transient_for == window->wm->root || props->modal ||
		       props->type == XW_ATOM_NET_WM_WINDOW_TYPE_DIALOG ||
		       props->type == XW_ATOM_NET_WM_WINDOW_TYPE_UTILITY ||
		       props->type == XW_ATOM_NET_WM_WINDOW_TYPE_SPLASH;
	if (parent == NULL && is_side && role->told_parent == NULL) {
		parent = sibling(window);
	} else if (parent == NULL && is_side) {
		parent = role->told_parent;
	}
	/* A ring is a protocol error. */
	for (const struct xw_role *up = parent; up != NULL; up = up->told_parent) {
		if (up == role) {
			return role->told_parent;
		}
	}
	return parent;
}

static void tell_parent(struct xw_role *role)
{
	struct xw_role *parent = wanted_parent(role);
	if (parent != role->told_parent) {
		const union br_arg arg = {.object = parent != NULL ? parent->toplevel : NULL};
		role->told_parent = parent;
		(void)send(role, role->toplevel, BR_REQ_XDG_TOPLEVEL_SET_PARENT, &arg);
	}
}

static void tell_states(struct xw_role *role)
{
	struct xw_props *props = &role->window->props;
	if (props->fullscreen != role->told_fullscreen) {
		const union br_arg output = {.object = NULL};
		role->told_fullscreen = props->fullscreen;
		(void)send(role, role->toplevel,
			   props->fullscreen ? BR_REQ_XDG_TOPLEVEL_SET_FULLSCREEN
					     : BR_REQ_XDG_TOPLEVEL_UNSET_FULLSCREEN,
			   &output);
	}
	if (props->maximized != role->told_maximized) {
		role->told_maximized = props->maximized;
		(void)send(role, role->toplevel,
			   props->maximized ? BR_REQ_XDG_TOPLEVEL_SET_MAXIMIZED
					    : BR_REQ_XDG_TOPLEVEL_UNSET_MAXIMIZED,
			   NULL);
	}
	if (props->minimized && !role->told_minimized) {
		(void)send(role, role->toplevel, BR_REQ_XDG_TOPLEVEL_SET_MINIMIZED, NULL);
		/* If it can't be, it is not: the program would stop to draw. */
		props->minimized = role->can_minimize;
		xw_window_publish_state(role->window);
	}
	role->told_minimized = props->minimized;
}

void xw_role_update(struct xw_role *role)
{
	const struct xw_props *props = &role->window->props;
	if (role->toplevel == NULL) {
		return;
	}
	tell_text(role, BR_REQ_XDG_TOPLEVEL_SET_TITLE, xw_props_title(props), &role->title);
	tell_text(role, BR_REQ_XDG_TOPLEVEL_SET_APP_ID, props->app_id, &role->app_id);
	tell_sizes(role);
	tell_parent(role);
	xw_frame_tell(&role->frame, role->window->wm, role->toplevel, props->undecorated,
		      props->modal);
	tell_states(role);
}

/* --- to make and unmake --- */

static struct br_object *create_positioner(struct xw_role *role)
{
	const struct xw_window *window = role->window, *parent = role->parent->window;
	struct br_object *base = window->wm->base;
	struct br_object *positioner = create(role, BR_IFACE_XDG_POSITIONER, base->version, NULL);
	if (positioner == NULL) {
		return NULL;
	}
	const union br_arg new_id = {.object = positioner};
	const union br_arg size[] = {{.i = window->width}, {.i = window->height}};
	/* The rectangle has to be inside of the parent, the popup need not. */
	const union br_arg rect[] = {{.i = 0}, {.i = 0}, {.i = 1}, {.i = 1}};
	const union br_arg anchor = {.u = TOP_LEFT}, gravity = {.u = BOTTOM_RIGHT};
	const union br_arg offset[] = {{.i = window->x - parent->x}, {.i = window->y - parent->y}};
	(void)send(role, base, BR_REQ_XDG_WM_BASE_CREATE_POSITIONER, &new_id);
	(void)send(role, positioner, BR_REQ_XDG_POSITIONER_SET_SIZE, size);
	(void)send(role, positioner, BR_REQ_XDG_POSITIONER_SET_ANCHOR_RECT, rect);
	(void)send(role, positioner, BR_REQ_XDG_POSITIONER_SET_ANCHOR, &anchor);
	(void)send(role, positioner, BR_REQ_XDG_POSITIONER_SET_GRAVITY, &gravity);
	(void)send(role, positioner, BR_REQ_XDG_POSITIONER_SET_OFFSET, offset);
	return positioner;
}

/* The role that a window which places itself is beside: that of the window which it names, or of the active
 * one. NULL: there is none. */
static struct xw_role *find_parent(const struct xw_window *window)
{
	const struct xw_window *parent = xw_window_by_id(window->wm, window->props.transient_for);
	if (parent != NULL && parent != window && parent->role != NULL && parent->role->shown) {
		return parent->role;
	}
	struct xw_role *role = sibling(window);
	return role != NULL ? role : shown_role(window->wm->focus);
}

static int make_popup(struct xw_role *role)
{
	struct br_object *positioner = create_positioner(role);
	uint16_t version = role->xdg->version;
	role->popup =
		positioner != NULL ? create(role, BR_IFACE_XDG_POPUP, version, handle_popup) : NULL;
	if (role->popup == NULL) {
		return -ENOMEM;
	}
	const union br_arg args[] = {
		{.object = role->popup}, {.object = role->parent->xdg}, {.object = positioner}};
	wl_list_insert(&role->parent->popups, &role->link);
	(void)send(role, role->xdg, BR_REQ_XDG_SURFACE_GET_POPUP, args);
	return send(role, positioner, BR_REQ_XDG_POSITIONER_DESTROY, NULL);
}

static int make_toplevel(struct xw_role *role)
{
	role->toplevel = create(role, BR_IFACE_XDG_TOPLEVEL, role->xdg->version, handle_toplevel);
	if (role->toplevel == NULL) {
		return -ENOMEM;
	}
	const union br_arg arg = {.object = role->toplevel};
	(void)send(role, role->xdg, BR_REQ_XDG_SURFACE_GET_TOPLEVEL, &arg);
	xw_role_update(role);
	return 0;
}

int xw_role_create(struct xw_window *window)
{
	struct br_object *base = need_base(window->wm);
	struct xw_role *role = base != NULL ? calloc(1, sizeof(*role)) : NULL;
	if (role == NULL) {
		return base == NULL ? -ENOTSUP : -ENOMEM;
	}
	role->window = window;
	role->surface = window->surface->object;
	wl_list_init(&role->popups);
	wl_list_init(&role->link);
	role->can_minimize = base->version < 5; /* else it is said */
	role->xdg = create(role, BR_IFACE_XDG_SURFACE, base->version, handle_surface);
	if (role->xdg == NULL) {
		free(role);
		return -ENOMEM;
	}
	const union br_arg args[] = {{.object = role->xdg}, {.object = role->surface}};
	(void)send(role, base, BR_REQ_XDG_WM_BASE_GET_XDG_SURFACE, args);
	role->parent = window->override_redirect ? find_parent(window) : NULL;
	int ret = role->parent != NULL ? make_popup(role) : make_toplevel(role);
	if (ret < 0) {
		xw_role_destroy(role);
		return ret;
	}
	window->role = role;
	if (role->toplevel != NULL) {
		xw_attention_started(window);
	}
	return send(role, role->surface, BR_REQ_WL_SURFACE_COMMIT, NULL);
}

static void end_object(struct xw_role *role, struct br_object **object, uint16_t opcode)
{
	if (*object != NULL) {
		(*object)->data = NULL;
		(*object)->event = NULL;
		(void)send(role, *object, opcode, NULL);
		*object = NULL;
	}
}

/* As the compositor does it: the children go to the next one up. */
static void forget_parent(struct xw_role *role)
{
	struct xw_window *window;
	wl_list_for_each (window, &role->window->wm->windows, link) {
		if (window->role != NULL && window->role->told_parent == role) {
			window->role->told_parent = role->told_parent;
		}
	}
}

void xw_role_destroy(struct xw_role *role)
{
	struct xw_role *popup, *tmp;
	if (role == NULL) {
		return;
	}
	wl_list_for_each_safe (popup, tmp, &role->popups, link) {
		xw_window_hide(popup->window);
	}
	wl_list_remove(&role->link);
	if (role->toplevel != NULL) {
		forget_parent(role);
	}
	if (role->window->role == role) {
		role->window->role = NULL;
	}
	xw_frame_finish(&role->frame, role->window->wm);
	end_object(role, &role->popup, BR_REQ_XDG_POPUP_DESTROY);
	end_object(role, &role->toplevel, BR_REQ_XDG_TOPLEVEL_DESTROY);
	end_object(role, &role->xdg, BR_REQ_XDG_SURFACE_DESTROY);
	free(role->title);
	free(role->app_id);
	free(role);
}

void xw_role_abandon(struct xw_role *role)
{
	if (role == NULL) {
		return;
	}
	struct br_object *objects[] = {role->popup, role->toplevel, role->xdg};
	for (unsigned i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		if (objects[i] != NULL) {
			objects[i]->data = NULL;
			objects[i]->event = NULL;
		}
	}
	free(role->title);
	free(role->app_id);
	free(role);
}

bool xw_role_may_show(struct xw_role *role)
{
	if (role->ready && !role->shown) {
		role->shown = true;
		if (role->toplevel != NULL) {
			/* Its parent may have been shown meanwhile; this is the last moment that all
			 * compositors look at. */
			tell_parent(role);
		}
	}
	return role->ready;
}

bool xw_role_keeps_size(const struct xw_role *role)
{
	return role->toplevel != NULL && (role->fullscreen || role->maximized || role->tiled);
}

void xw_role_resized(struct xw_role *role, uint16_t old_width, uint16_t old_height)
{
	role->old_width = old_width;
	role->old_height = old_height;
}

void xw_role_raise_popups(struct xw_role *role)
{
	struct xw_role *popup;
	wl_list_for_each_reverse (popup, &role->popups, link) {
		xw_focus_raise(popup->window);
	}
}

void xw_role_move_or_resize(struct xw_role *role, uint32_t direction)
{
	/* Source: EWMH, _NET_WM_MOVERESIZE; xdg_toplevel.resize_edge. */
	static const uint32_t edges[] = {5, 1, 9, 8, 10, 2, 6, 4};
	enum { MOVE = 8 };
	struct xw_wm *wm = role->window->wm;
	uint32_t serial = xw_wm_serial(wm);
	if (role->toplevel == NULL || direction > MOVE || serial == 0) {
		return; /* by the keyboard, or to cancel: there is no such request */
	}
	if (wm->seat == NULL) {
		wm->seat = xw_wm_bind(wm, BR_IFACE_WL_SEAT, 1);
	}
	if (wm->seat == NULL) {
		return;
	}
	const union br_arg args[] = {{.object = wm->seat},
				     {.u = serial},
				     {.u = direction < MOVE ? edges[direction] : 0}};
	(void)send(role, role->toplevel,
		   direction == MOVE ? BR_REQ_XDG_TOPLEVEL_MOVE : BR_REQ_XDG_TOPLEVEL_RESIZE, args);
}

void xw_role_moved(struct xw_role *role)
{
	if (role->popup == NULL || role->popup->version < 3) {
		return;
	}
	struct br_object *positioner = create_positioner(role);
	if (positioner != NULL) {
		const union br_arg args[] = {{.object = positioner}, {.u = ++role->token}};
		(void)send(role, role->popup, BR_REQ_XDG_POPUP_REPOSITION, args);
		(void)send(role, positioner, BR_REQ_XDG_POSITIONER_DESTROY, NULL);
	}
}
