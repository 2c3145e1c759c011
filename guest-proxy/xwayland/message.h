/* SPDX-License-Identifier: MIT
 *
 * What programs ask of the window manager by client messages. Sources: ICCCM 4.1.4, EWMH, Xwayland.
 */
#ifndef XW_MESSAGE_H
#define XW_MESSAGE_H

#include <xcb/xcb.h>

struct xw_wm;

/** Deal with one. */
void xw_message_handle(struct xw_wm *wm, const xcb_client_message_event_t *event);

/** Say that a window has no frame that X knows of. Source: EWMH, _NET_FRAME_EXTENTS. */
void xw_message_publish_frame(struct xw_wm *wm, xcb_window_t id);

#endif
