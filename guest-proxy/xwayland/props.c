/* SPDX-License-Identifier: MIT */
#include "props.h"

#include <stdlib.h>
#include <string.h>
#include <xcb/xcb_icccm.h>

#include "attention.h"
#include "compound.h"
#include "limits.h"
#include "text.h"
#include "window.h"
#include "wm.h"

/* Each reads one property into a window's props; reply may be NULL, or of another type than it should be. */
typedef void (*read_fn)(struct xw_window *window, const xcb_get_property_reply_t *reply);

static const uint32_t *words_of(const xcb_get_property_reply_t *reply, uint32_t *ret_n)
{
	*ret_n = reply != NULL && reply->format == 32 ? reply->value_len : 0;
	return *ret_n > 0 ? xcb_get_property_value(reply) : NULL;
}

/* A new string of a text property. NULL: it has none. */
static char *text_of(const struct xw_wm *wm, const xcb_get_property_reply_t *reply)
{
	if (reply == NULL || reply->format != 8 || reply->value_len == 0) {
		return NULL;
	}
	const uint8_t *bytes = xcb_get_property_value(reply);
	size_t len = strnlen((const char *)bytes, reply->value_len);
	char *text = calloc(1, 2 * len + 1);
	if (text == NULL) {
		return NULL;
	}
	if (reply->type == wm->atoms[XW_ATOM_UTF8_STRING]) {
		memcpy(text, bytes, len);
	} else if (reply->type == wm->atoms[XW_ATOM_COMPOUND_TEXT]) {
		len = xw_compound_to_utf8(bytes, len, (uint8_t *)text);
	} else {
		len = xw_latin1_to_utf8(bytes, len, (uint8_t *)text);
	}
	xw_utf8_clean((uint8_t *)text, len);
	return text;
}

static void read_net_name(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	free(window->props.net_name);
	window->props.net_name = text_of(window->wm, reply);
}

static void read_name(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	free(window->props.name);
	window->props.name = text_of(window->wm, reply);
}

/* Two strings, each with its NUL: the instance and the class. Source: ICCCM 4.1.2.5. */
static void read_class(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	free(window->props.app_id);
	window->props.app_id = NULL;
	if (reply == NULL || reply->format != 8) {
		return;
	}
	const char *bytes = xcb_get_property_value(reply);
	size_t len = reply->value_len, first = strnlen(bytes, len);
	const char *name = first + 1 < len ? bytes + first + 1 : bytes;
	size_t n = first + 1 < len ? strnlen(name, len - first - 1) : first;
	if (n > 0) {
		window->props.app_id = strndup(name, n);
	}
	if (window->props.app_id != NULL) {
		xw_utf8_clean((uint8_t *)window->props.app_id, n);
	}
}

static void read_transient(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	uint32_t n;
	const uint32_t *words = words_of(reply, &n);
	window->props.transient_for = n > 0 ? words[0] : XCB_WINDOW_NONE;
}

static void read_type(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	uint32_t n;
	const uint32_t *words = words_of(reply, &n);
	window->props.type = 0;
	/* The first that we know is the one that the program likes best. */
	for (uint32_t i = 0; i < n && window->props.type == 0; i++) {
		for (uint32_t atom = XW_ATOM_NET_WM_WINDOW_TYPE_NORMAL;
		     atom <= XW_ATOM_NET_WM_WINDOW_TYPE_DND; atom++) {
			if (words[i] == window->wm->atoms[atom]) {
				window->props.type = atom;
			}
		}
	}
}

static void read_protocols(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	uint32_t n;
	const uint32_t *words = words_of(reply, &n);
	const xcb_atom_t *atoms = window->wm->atoms;
	window->props.takes_focus = false;
	window->props.deletes = false;
	for (uint32_t i = 0; i < n; i++) {
		window->props.takes_focus |= words[i] == atoms[XW_ATOM_WM_TAKE_FOCUS];
		window->props.deletes |= words[i] == atoms[XW_ATOM_WM_DELETE_WINDOW];
	}
}

static void read_hints(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	xcb_icccm_wm_hints_t hints;
	window->props.wants_input = true;
	if (reply == NULL ||
	    !xcb_icccm_get_wm_hints_from_reply(&hints, (xcb_get_property_reply_t *)reply)) {
		return;
	}
	if (hints.flags & XCB_ICCCM_WM_HINT_INPUT) {
		window->props.wants_input = hints.input != 0;
	}
	bool was_urgent = window->props.urgent;
	window->props.urgent = xcb_icccm_wm_hints_get_urgency(&hints) != 0;
	if (window->props.urgent && !was_urgent) {
		xw_attention_ask(window);
	}
	/* Counts when it is mapped. Source: ICCCM 4.1.2.4, initial_state. */
	if (!window->mapped && hints.flags & XCB_ICCCM_WM_HINT_STATE) {
		window->props.minimized = hints.initial_state == XCB_ICCCM_WM_STATE_ICONIC;
	}
}

static int32_t size_of(int32_t value)
{
	return value > 0 && value <= INT16_MAX ? value : 0;
}

static void read_sizes(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	xcb_size_hints_t hints;
	struct xw_props *props = &window->props;
	props->min_width = props->min_height = props->max_width = props->max_height = 0;
	if (reply == NULL ||
	    !xcb_icccm_get_wm_size_hints_from_reply(&hints, (xcb_get_property_reply_t *)reply)) {
		return;
	}
	if (hints.flags & XCB_ICCCM_SIZE_HINT_P_MIN_SIZE) {
		props->min_width = size_of(hints.min_width);
		props->min_height = size_of(hints.min_height);
	}
	if (hints.flags & XCB_ICCCM_SIZE_HINT_P_MAX_SIZE) {
		props->max_width = size_of(hints.max_width);
		props->max_height = size_of(hints.max_height);
	}
}

/* Source: Motif's MwmUtil.h: flags, functions, decorations; bit 1 of flags: decorations count. */
static void read_motif(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	uint32_t n;
	const uint32_t *words = words_of(reply, &n);
	window->props.undecorated = n >= 3 && (words[0] & 2) && words[2] == 0;
}

/* What the program wants to begin with; later it asks by messages. Source: EWMH. */
static void read_state(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	uint32_t n;
	const uint32_t *words = words_of(reply, &n);
	const xcb_atom_t *atoms = window->wm->atoms;
	if (window->role != NULL) {
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		window->props.fullscreen |= words[i] == atoms[XW_ATOM_NET_WM_STATE_FULLSCREEN];
		window->props.maximized |= words[i] == atoms[XW_ATOM_NET_WM_STATE_MAXIMIZED_VERT];
		window->props.modal |= words[i] == atoms[XW_ATOM_NET_WM_STATE_MODAL];
	}
}

static void read_startup(struct xw_window *window, const xcb_get_property_reply_t *reply)
{
	free(window->props.startup_id);
	window->props.startup_id = window->role == NULL ? text_of(window->wm, reply) : NULL;
}

static xcb_atom_t atom_of(const struct xw_wm *wm, uint32_t which);

/* atom: of enum xw_atom; or, where it is predefined, its number, negative. */
static const struct {
	int32_t atom;
	read_fn read;
} readers[] = {
	{XW_ATOM_NET_WM_NAME, read_net_name},	{-XCB_ATOM_WM_NAME, read_name},
	{-XCB_ATOM_WM_CLASS, read_class},	{-XCB_ATOM_WM_TRANSIENT_FOR, read_transient},
	{-XCB_ATOM_WM_HINTS, read_hints},	{-XCB_ATOM_WM_NORMAL_HINTS, read_sizes},
	{XW_ATOM_WM_PROTOCOLS, read_protocols}, {XW_ATOM_NET_WM_WINDOW_TYPE, read_type},
	{XW_ATOM_MOTIF_WM_HINTS, read_motif},	{XW_ATOM_NET_WM_STATE, read_state},
	{XW_ATOM_NET_STARTUP_ID, read_startup},
};
#define N_READERS (sizeof(readers) / sizeof(readers[0]))

static xcb_atom_t atom_of(const struct xw_wm *wm, uint32_t which)
{
	int32_t atom = readers[which].atom;
	return atom < 0 ? (xcb_atom_t)-atom : wm->atoms[atom];
}

static void finish_one(struct xw_window *window, void *reply, uint32_t which)
{
	readers[which].read(window, reply);
	free(reply);
	if (--window->props.n_asked == 0) {
		xw_window_update(window);
	}
}

/* A reply tells nothing of its property: a function for each. */
#define FINISH(n)                                                                                  \
	static void finish_##n(void *data, void *reply)                                            \
	{                                                                                          \
		finish_one(data, reply, n);                                                        \
	}
FINISH(0)
FINISH(1)
FINISH(2)
FINISH(3)
FINISH(4)
FINISH(5)
FINISH(6)
FINISH(7)
FINISH(8)
FINISH(9)
FINISH(10)
static const xw_reply_fn finishers[] = {finish_0, finish_1, finish_2, finish_3, finish_4, finish_5,
					finish_6, finish_7, finish_8, finish_9, finish_10};
_Static_assert(sizeof(finishers) / sizeof(finishers[0]) == N_READERS, "one for each reader");

static void ask(struct xw_window *window, uint32_t which)
{
	struct xw_wm *wm = window->wm;
	xcb_get_property_cookie_t cookie =
		xcb_get_property(wm->conn, 0, window->id, atom_of(wm, which), XCB_ATOM_ANY, 0,
				 BR_LIMIT_X_PROPERTY_BYTES / 4);
	window->props.n_asked++;
	xw_reply_wait(&wm->replies, cookie.sequence, finishers[which], window);
}

void xw_props_init(struct xw_props *props)
{
	*props = (struct xw_props){.wants_input = true};
}

void xw_props_finish(struct xw_props *props)
{
	free(props->net_name);
	free(props->name);
	free(props->app_id);
	free(props->startup_id);
	xw_props_init(props);
}

void xw_props_ask_all(struct xw_window *window)
{
	window->props.asked = true;
	for (uint32_t which = 0; which < N_READERS; which++) {
		ask(window, which);
	}
}

void xw_props_changed(struct xw_window *window, xcb_atom_t name)
{
	for (uint32_t which = 0; which < N_READERS && window->props.asked; which++) {
		if (atom_of(window->wm, which) == name && readers[which].read != read_state) {
			ask(window, which);
		}
	}
}

const char *xw_props_title(const struct xw_props *props)
{
	return props->net_name != NULL ? props->net_name : props->name;
}

bool xw_props_known(const struct xw_props *props)
{
	return props->asked && props->n_asked == 0;
}
