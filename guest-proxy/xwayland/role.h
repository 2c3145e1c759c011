/* SPDX-License-Identifier: MIT
 *
 * What the compositor sees a window as: an xdg_toplevel, or an xdg_popup where it places itself beside another
 * window. Its objects are put into Xwayland's connection.
 */
#ifndef XW_ROLE_H
#define XW_ROLE_H

#include <stdbool.h>
#include <stdint.h>

struct xw_role;
struct xw_window;

/** Give a window that has a surface its role. Returns 0; -ENOTSUP the compositor has no xdg-shell; -ENOMEM. */
int xw_role_create(struct xw_window *window);

/** Take it away, and those of the popups above it. NULL is fine. */
void xw_role_destroy(struct xw_role *role);

/** Leave the objects to the relay, which is about to go. */
void xw_role_abandon(struct xw_role *role);

/** Whether the compositor has answered, so that the surface may show something; if so, it does. */
bool xw_role_may_show(struct xw_role *role);

/** Whether the compositor has given the window its size, and the program can't. */
bool xw_role_keeps_size(const struct xw_role *role);

/** The program resizes it, from this size. */
void xw_role_resized(struct xw_role *role, uint16_t old_width, uint16_t old_height);

/** Raise the menus of it in X. */
void xw_role_raise_popups(struct xw_role *role);

/** Let the user move or resize it, who holds a button. direction: of _NET_WM_MOVERESIZE. Source: EWMH. */
void xw_role_move_or_resize(struct xw_role *role, uint32_t direction);

/** Say title, app id, sizes, parent and states again where they have changed. */
void xw_role_update(struct xw_role *role);

/** The window has been moved by its program, which places it itself. */
void xw_role_moved(struct xw_role *role);

#endif
