/* SPDX-License-Identifier: MIT
 *
 * What the window manager says on the root window. Source: EWMH, root window properties.
 */
#ifndef XW_ROOT_H
#define XW_ROOT_H

struct xw_wm;

/** Say that there is a window manager and what it can do. */
void xw_root_init(struct xw_wm *wm);

/** Say again which windows there are. */
void xw_root_publish_clients(struct xw_wm *wm);

#endif
