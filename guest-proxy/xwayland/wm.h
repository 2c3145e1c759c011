/* SPDX-License-Identifier: MIT
 *
 * The window manager of our X server: ICCCM and EWMH to its programs, xdg-shell to the compositor. It asks the X
 * server for nothing that it would have to wait for: a program may have grabbed the server. The windows'
 * surfaces are Xwayland's own; what the compositor has to know of them besides is put into the same
 * connection, as objects which Xwayland does not see. Loop thread only.
 */
#ifndef XW_WM_H
#define XW_WM_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-server-core.h>
#include <xcb/xcb.h>

#include "atoms.h"
#include "reply.h"

struct br_object;
struct br_relay;
struct xw_selections;
struct xw_surface;
struct xw_window;

/** A window manager, from the time that Xwayland is ready until one of its connections ends. */
struct xw_wm {
	xcb_connection_t *conn;
	xcb_window_t root;
	xcb_window_t own; /* says that there is a window manager; owns its selection */
	xcb_atom_t atoms[XW_N_ATOMS];
	struct xw_replies replies;
	struct wl_event_loop *loop;	/* borrowed */
	struct wl_event_source *source; /* of conn */
	struct br_relay *relay;		/* of Xwayland's Wayland connection; borrowed */
	struct wl_list windows;		/* xw_window.link, newest first */
	uint32_t n_windows;
	struct wl_list surfaces;   /* xw_surface.link */
	uint64_t last_serial;	   /* the newest that the X server has told of a window */
	struct xw_window *focus;   /* the compositor's active one; NULL: none is ours */
	struct xw_window *pointer; /* that the compositor has the pointer over; may be NULL */
	struct br_object *base;	   /* xdg_wm_base; NULL: not bound, or not there */
	/* The same: of xdg-activation, xdg-decoration, xdg-dialog; a wl_seat of our own. */
	struct br_object *activation, *decorations, *dialogs, *seat;
	struct xw_selections *selections; /* NULL: none */
	uint32_t input_serial;		  /* of the last input from the compositor; 0: none yet */
};

/** Become the window manager on a connection to the X server (taken, in any case), which has said that it is
 * ready. Returns NULL having said why. */
struct xw_wm *xw_wm_create(struct wl_event_loop *loop, struct br_relay *relay, int *fd);

/** Let go of all. The relay's objects that are ours stay behind, and do nothing more. NULL is fine. */
void xw_wm_destroy(struct xw_wm *wm);

/** See struct gp_xwayland_ops, whose members these are. */
void xw_wm_associate(struct xw_wm *wm, struct br_object *surface, uint64_t serial);
bool xw_wm_may_attach(struct xw_wm *wm, struct br_object *surface);
void xw_wm_surface_gone(struct xw_wm *wm, struct br_object *surface);

/** The pointer has come to a surface (may be NULL): X has to see that window on top. */
void xw_wm_pointer_enter(struct xw_wm *wm, struct br_object *surface);

/** Some surface may show something now that might not before. */
void xw_wm_wake(struct xw_wm *wm);

/** The serial by which something may be asked of the compositor; 0: there was no input yet. */
uint32_t xw_wm_serial(const struct xw_wm *wm);

/** The events that the window manager itself wants of a window, whatever others choose. */
uint32_t xw_wm_event_mask(struct xw_wm *wm, xcb_window_t id);

/** Send what was asked of the X server from outside of its events. */
void xw_wm_flush(struct xw_wm *wm);

/** Bind a global in the name of Xwayland's connection, at most at a version. data, event and destroy of the object
 * are the caller's to set. Returns NULL: there is none. */
struct br_object *xw_wm_bind(struct xw_wm *wm, uint16_t iface, uint16_t version);

/** Set a property of cardinals, atoms or windows. */
void xw_wm_set_property(struct xw_wm *wm, xcb_window_t id, xcb_atom_t name, xcb_atom_t type,
			uint32_t n, const uint32_t *values);

/** Send a client message of WM_PROTOCOLS to a window. Source: ICCCM 4.2.8. */
void xw_wm_send_protocol(struct xw_wm *wm, xcb_window_t id, enum xw_atom protocol);

#endif
