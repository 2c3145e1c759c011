/* SPDX-License-Identifier: MIT
 *
 * Drag-and-drop between X programs (XDND) and the compositor's. Our window stands for whoever is at the
 * other side: for the source of a drag that comes over an X window, for the target of one that an X
 * program has begun. Loop thread only. Source: the XDND specification, version 5.
 */
#ifndef XW_DND_H
#define XW_DND_H

#include <stdbool.h>
#include <xcb/xcb.h>

struct br_object;
struct xw_wm;

/** Look at an event of the X server's. Returns true if it was about a drag and nobody else has to see it. */
bool xw_dnd_event(struct xw_wm *wm, xcb_generic_event_t *event);

/* What the compositor tells Xwayland's wl_pointer, ahead of Xwayland. */

/** surface: of Xwayland's; may be NULL. */
void xw_dnd_pointer_enter(struct xw_wm *wm, const struct br_object *pointer,
			  const struct br_object *surface);

/** x, y: 24.8, of that surface. */
void xw_dnd_pointer_motion(struct xw_wm *wm, int32_t x, int32_t y);

/** Returns true if Xwayland is not to be told (yet). */
bool xw_dnd_pointer_leave(struct xw_wm *wm, uint32_t serial);

void xw_dnd_pointer_button(struct xw_wm *wm, uint32_t serial, uint32_t button, bool pressed);

#endif
