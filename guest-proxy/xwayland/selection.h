/* SPDX-License-Identifier: MIT
 *
 * Clipboard, primary selection and drag-and-drop between X programs and everybody else. On X's side we
 * are one more owner and requestor of selections, on the compositor's a client of its data devices,
 * whose objects are injected into Xwayland's own connection. Data crosses in chunks, each transfer at the
 * pace of its slower end and apart from the others. Loop thread only.
 */
#ifndef XW_SELECTION_H
#define XW_SELECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <xcb/xcb.h>

struct xw_selections;
struct xw_wm;

/** Begin: own windows, and the compositor's devices as soon as it announces them. wm->conn, wm->root,
 * wm->atoms, wm->loop and wm->relay are set and outlive it. Returns NULL having said why: then X programs
 * share only among themselves. */
struct xw_selections *xw_selections_create(struct xw_wm *wm);

/** End all transfers. NULL is fine. Before the connection to the X server goes; the relay may be gone. */
void xw_selections_destroy(struct xw_selections *all);

/** Look at an event of the X server's, errors included. Returns true if it was about a selection and
 * nobody else has to see it. */
bool xw_selection_event(struct xw_wm *wm, xcb_generic_event_t *event);

#endif
