/* SPDX-License-Identifier: MIT
 *
 * The atoms that the window manager uses. Sources: ICCCM, EWMH, the XDND specification, Xwayland.
 */
#ifndef XW_ATOMS_H
#define XW_ATOMS_H

#include <xcb/xcb.h>

/* X(name in C, name in X): each once. */
#define XW_ATOMS(X)                                                                                \
	X(WM_S0, "WM_S0")                                                                          \
	X(WM_PROTOCOLS, "WM_PROTOCOLS")                                                            \
	X(WM_DELETE_WINDOW, "WM_DELETE_WINDOW")                                                    \
	X(WM_TAKE_FOCUS, "WM_TAKE_FOCUS")                                                          \
	X(WM_STATE, "WM_STATE")                                                                    \
	X(WM_CHANGE_STATE, "WM_CHANGE_STATE")                                                      \
	X(WL_SURFACE_SERIAL, "WL_SURFACE_SERIAL")                                                  \
	X(MOTIF_WM_HINTS, "_MOTIF_WM_HINTS")                                                       \
	X(NET_SUPPORTED, "_NET_SUPPORTED")                                                         \
	X(NET_SUPPORTING_WM_CHECK, "_NET_SUPPORTING_WM_CHECK")                                     \
	X(NET_ACTIVE_WINDOW, "_NET_ACTIVE_WINDOW")                                                 \
	X(NET_CLIENT_LIST, "_NET_CLIENT_LIST")                                                     \
	X(NET_CLIENT_LIST_STACKING, "_NET_CLIENT_LIST_STACKING")                                   \
	X(NET_NUMBER_OF_DESKTOPS, "_NET_NUMBER_OF_DESKTOPS")                                       \
	X(NET_CURRENT_DESKTOP, "_NET_CURRENT_DESKTOP")                                             \
	X(NET_CLOSE_WINDOW, "_NET_CLOSE_WINDOW")                                                   \
	X(NET_REQUEST_FRAME_EXTENTS, "_NET_REQUEST_FRAME_EXTENTS")                                 \
	X(NET_FRAME_EXTENTS, "_NET_FRAME_EXTENTS")                                                 \
	X(NET_WM_NAME, "_NET_WM_NAME")                                                             \
	X(NET_WM_STATE, "_NET_WM_STATE")                                                           \
	X(NET_WM_STATE_FULLSCREEN, "_NET_WM_STATE_FULLSCREEN")                                     \
	X(NET_WM_STATE_MAXIMIZED_VERT, "_NET_WM_STATE_MAXIMIZED_VERT")                             \
	X(NET_WM_STATE_MAXIMIZED_HORZ, "_NET_WM_STATE_MAXIMIZED_HORZ")                             \
	X(NET_WM_STATE_MODAL, "_NET_WM_STATE_MODAL")                                               \
	X(NET_WM_STATE_HIDDEN, "_NET_WM_STATE_HIDDEN")                                             \
	X(NET_WM_STATE_FOCUSED, "_NET_WM_STATE_FOCUSED")                                           \
	X(NET_WM_STATE_DEMANDS_ATTENTION, "_NET_WM_STATE_DEMANDS_ATTENTION")                       \
	X(NET_WM_MOVERESIZE, "_NET_WM_MOVERESIZE")                                                 \
	X(NET_WM_PID, "_NET_WM_PID")                                                               \
	X(NET_WM_ICON, "_NET_WM_ICON")                                                             \
	X(NET_STARTUP_ID, "_NET_STARTUP_ID")                                                       \
	X(NET_WM_WINDOW_TYPE, "_NET_WM_WINDOW_TYPE")                                               \
	X(NET_WM_WINDOW_TYPE_NORMAL, "_NET_WM_WINDOW_TYPE_NORMAL")                                 \
	X(NET_WM_WINDOW_TYPE_DIALOG, "_NET_WM_WINDOW_TYPE_DIALOG")                                 \
	X(NET_WM_WINDOW_TYPE_UTILITY, "_NET_WM_WINDOW_TYPE_UTILITY")                               \
	X(NET_WM_WINDOW_TYPE_SPLASH, "_NET_WM_WINDOW_TYPE_SPLASH")                                 \
	X(NET_WM_WINDOW_TYPE_MENU, "_NET_WM_WINDOW_TYPE_MENU")                                     \
	X(NET_WM_WINDOW_TYPE_DROPDOWN_MENU, "_NET_WM_WINDOW_TYPE_DROPDOWN_MENU")                   \
	X(NET_WM_WINDOW_TYPE_POPUP_MENU, "_NET_WM_WINDOW_TYPE_POPUP_MENU")                         \
	X(NET_WM_WINDOW_TYPE_TOOLTIP, "_NET_WM_WINDOW_TYPE_TOOLTIP")                               \
	X(NET_WM_WINDOW_TYPE_NOTIFICATION, "_NET_WM_WINDOW_TYPE_NOTIFICATION")                     \
	X(NET_WM_WINDOW_TYPE_COMBO, "_NET_WM_WINDOW_TYPE_COMBO")                                   \
	X(NET_WM_WINDOW_TYPE_DND, "_NET_WM_WINDOW_TYPE_DND")                                       \
	X(COMPOUND_TEXT, "COMPOUND_TEXT")                                                          \
	X(UTF8_STRING, "UTF8_STRING")                                                              \
	X(CLIPBOARD, "CLIPBOARD")                                                                  \
	X(TARGETS, "TARGETS")                                                                      \
	X(TIMESTAMP, "TIMESTAMP")                                                                  \
	X(INCR, "INCR")                                                                            \
	X(TEXT, "TEXT")                                                                            \
	X(CAUSEWAY_TARGETS, "_CAUSEWAY_TARGETS")                                                   \
	X(CAUSEWAY_DATA, "_CAUSEWAY_DATA")                                                         \
	X(XDND_SELECTION, "XdndSelection")                                                         \
	X(XDND_AWARE, "XdndAware")                                                                 \
	X(XDND_PROXY, "XdndProxy")                                                                 \
	X(XDND_TYPE_LIST, "XdndTypeList")                                                          \
	X(XDND_ENTER, "XdndEnter")                                                                 \
	X(XDND_POSITION, "XdndPosition")                                                           \
	X(XDND_STATUS, "XdndStatus")                                                               \
	X(XDND_LEAVE, "XdndLeave")                                                                 \
	X(XDND_DROP, "XdndDrop")                                                                   \
	X(XDND_FINISHED, "XdndFinished")                                                           \
	X(XDND_ACTION_COPY, "XdndActionCopy")                                                      \
	X(XDND_ACTION_MOVE, "XdndActionMove")                                                      \
	X(XDND_ACTION_ASK, "XdndActionAsk")                                                        \
	X(XDND_ACTION_PRIVATE, "XdndActionPrivate")

/** Index into xw_wm.atoms. */
enum xw_atom {
#define XW_ATOM_INDEX(name, text) XW_ATOM_##name,
	XW_ATOMS(XW_ATOM_INDEX)
#undef XW_ATOM_INDEX
		XW_N_ATOMS
};

/** Ask the X server for all of them, and wait: only while it starts, when it waits for us. Returns 0;
 * -ENOTCONN it has gone. */
int xw_atoms_intern(xcb_connection_t *conn, xcb_atom_t *ret_atoms);

#endif
