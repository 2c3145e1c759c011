/* SPDX-License-Identifier: MIT
 *
 * The properties of X11 windows that a window manager reads. What programs write there is checked: it may be
 * of any type and length. Sources: ICCCM 4.1.2, EWMH, Motif's MwmUtil.h.
 */
#ifndef XW_PROPS_H
#define XW_PROPS_H

#include <stdbool.h>
#include <stdint.h>
#include <xcb/xcb.h>

struct xw_window;

/** As read so far; strings are owned and valid UTF-8. */
struct xw_props {
	uint32_t n_asked;      /* answers that are still to come */
	bool asked;	       /* once */
	char *net_name, *name; /* NULL: none. The first counts more */
	char *app_id;	       /* WM_CLASS' class; NULL: none */
	xcb_window_t transient_for;
	char *startup_id; /* of xdg-activation, until it is used; NULL: none */
	uint32_t type;	  /* enum xw_atom; 0: none said */
	int32_t min_width, min_height, max_width, max_height; /* pixels; 0: none */
	bool takes_focus, deletes;			      /* WM_PROTOCOLS */
	bool wants_input;				      /* WM_HINTS */
	bool urgent;
	bool undecorated;
	/* _NET_WM_STATE: as the program wants it, then as the compositor has made it. */
	bool fullscreen, maximized, modal, minimized;
};

/** Begin with what counts where a program says nothing. */
void xw_props_init(struct xw_props *props);
void xw_props_finish(struct xw_props *props);

/** Ask for all of a window's; xw_window_update() follows when they are there. */
void xw_props_ask_all(struct xw_window *window);

/** One has changed: ask for it. */
void xw_props_changed(struct xw_window *window, xcb_atom_t name);

/** The title. NULL: none. */
const char *xw_props_title(const struct xw_props *props);

/** Whether all that was asked for is there. */
bool xw_props_known(const struct xw_props *props);

#endif
