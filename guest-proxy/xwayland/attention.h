/* SPDX-License-Identifier: MIT
 *
 * Windows that want to be noticed, and programs that were started by others: xdg-activation. The compositor
 * decides whether such a window becomes active or is only marked.
 */
#ifndef XW_ATTENTION_H
#define XW_ATTENTION_H

struct xw_window;

/** Tell the compositor that a window wants the user's attention. Without xdg-activation nothing happens. */
void xw_attention_ask(struct xw_window *window);

/** A window has got its role: use up the token that its program was started with, if it has one. */
void xw_attention_started(struct xw_window *window);

/** The window is about to go. */
void xw_attention_forget(struct xw_window *window);

#endif
