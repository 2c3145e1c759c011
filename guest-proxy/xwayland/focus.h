/* SPDX-License-Identifier: MIT
 *
 * Which X window has the keyboard, and which lies on top: as the compositor has it. Source: ICCCM 4.1.7.
 */
#ifndef XW_FOCUS_H
#define XW_FOCUS_H

#include <stdbool.h>
#include <xcb/xcb.h>

struct xw_window;
struct xw_wm;

/** Give a window X's input focus, by its program's input model; NULL: no window has it. */
void xw_focus_set(struct xw_wm *wm, struct xw_window *window);

/** Let a window, and the menus of it, be above the others in X: it gets the pointer where they overlap, and
 * in X they all lie at the same place. */
void xw_focus_raise(struct xw_window *window);

/** A program has given a window the focus: take it back if the compositor's active window is another
 * program's. */
void xw_focus_taken(struct xw_wm *wm, const xcb_focus_in_event_t *event);

/** Whether two windows are of one X program. */
bool xw_focus_same_program(const struct xw_wm *wm, xcb_window_t a, xcb_window_t b);

#endif
