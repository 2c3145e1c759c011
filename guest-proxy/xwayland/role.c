/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "br-tables.h"
#include "relay.h"
#include "window.h"
#include "wm.h"

/* Of xdg_wm_base: 3 has reposition. */
#define BASE_VERSION 5
/* Source: xdg_toplevel.state. */
enum { STATE_MAXIMIZED = 1, STATE_FULLSCREEN = 2, STATE_ACTIVATED = 4 };
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
	bool ready;
	/* Of a configure, until xdg_surface's own. */
	int32_t x, y, width, height;
	bool fullscreen, maximized, activated;
	/* What the compositor was told. */
	char *title, *app_id;
	struct br_object *told_parent;
	bool told_fullscreen, told_maximized;
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

static void apply_toplevel(struct xw_role *role)
{
	struct xw_window *window = role->window;
	struct xw_wm *wm = window->wm;
	struct xw_props *props = &window->props;
	uint16_t width =
		role->width > 0 && role->width <= INT16_MAX ? (uint16_t)role->width : window->width;
	uint16_t height = role->height > 0 && role->height <= INT16_MAX ? (uint16_t)role->height
									: window->height;
	bool changed = props->fullscreen != role->fullscreen || props->maximized != role->maximized;
	if (role->ready) {
		props->fullscreen = role->told_fullscreen = role->fullscreen;
		props->maximized = role->told_maximized = role->maximized;
	}
	if (width != window->width || height != window->height || window->x != 0 ||
	    window->y != 0) {
		xw_window_configure(window, 0, 0, width, height);
	}
	if (role->activated != (wm->focus == window)) {
		if (role->activated || wm->focus == window) {
			xw_window_focus(wm, role->activated ? window : NULL);
		}
	} else if (changed) {
		xw_window_publish_state(window);
	}
}

static void apply_popup(struct xw_role *role)
{
	struct xw_window *window = role->window;
	const struct xw_window *parent = role->parent->window;
	int16_t x = (int16_t)(parent->x + role->x), y = (int16_t)(parent->y + role->y);
	if (x != window->x || y != window->y) {
		xw_window_configure(window, x, y, window->width, window->height);
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
	(void)br_relay_send(relay, BR_REQUEST, object, BR_REQ_XDG_SURFACE_ACK_CONFIGURE, &serial,
			    NULL);
	role->ready = true;
	xw_wm_wake(role->window->wm);
	xw_wm_flush(role->window->wm);
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
		role->fullscreen = role->maximized = role->activated = false;
		for (uint32_t i = 0; i < msg->args[2].array.len / sizeof(uint32_t); i++) {
			uint32_t state;
			memcpy(&state, (const uint8_t *)msg->args[2].array.ptr + i * sizeof(state),
			       sizeof(state));
			role->fullscreen |= state == STATE_FULLSCREEN;
			role->maximized |= state == STATE_MAXIMIZED;
			role->activated |= state == STATE_ACTIVATED;
		}
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

static void tell_parent(struct xw_role *role)
{
	const struct xw_window *window = role->window;
	const struct xw_window *parent = xw_window_by_id(window->wm, window->props.transient_for);
	struct br_object *object = NULL;
	if (parent != NULL && parent != window && parent->role != NULL) {
		object = parent->role->toplevel;
	}
	if (object != role->told_parent) {
		const union br_arg arg = {.object = object};
		role->told_parent = object;
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
	if (props->minimized) {
		/* The compositor does not say when it is shown again. */
		props->minimized = false;
		(void)send(role, role->toplevel, BR_REQ_XDG_TOPLEVEL_SET_MINIMIZED, NULL);
	}
}

void xw_role_update(struct xw_role *role)
{
	const struct xw_props *props = &role->window->props;
	if (role->toplevel == NULL) {
		return;
	}
	tell_text(role, BR_REQ_XDG_TOPLEVEL_SET_TITLE, props->title, &role->title);
	tell_text(role, BR_REQ_XDG_TOPLEVEL_SET_APP_ID, props->app_id, &role->app_id);
	tell_sizes(role);
	tell_parent(role);
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
	if (parent == NULL || parent == window || parent->role == NULL) {
		parent = window->wm->focus;
	}
	return parent != NULL && parent != window ? parent->role : NULL;
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

static void forget_parent(struct xw_role *role)
{
	struct xw_window *window;
	wl_list_for_each (window, &role->window->wm->windows, link) {
		if (window->role != NULL && window->role->told_parent == role->toplevel) {
			window->role->told_parent = NULL;
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

bool xw_role_ready(const struct xw_role *role)
{
	return role->ready;
}

void xw_role_moved(struct xw_role *role)
{
	static uint32_t token;
	if (role->popup == NULL || role->popup->version < 3) {
		return;
	}
	struct br_object *positioner = create_positioner(role);
	if (positioner != NULL) {
		const union br_arg args[] = {{.object = positioner}, {.u = ++token}};
		(void)send(role, role->popup, BR_REQ_XDG_POPUP_REPOSITION, args);
		(void)send(role, positioner, BR_REQ_XDG_POSITIONER_DESTROY, NULL);
	}
}
