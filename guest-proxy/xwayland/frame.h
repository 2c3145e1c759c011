/* SPDX-License-Identifier: MIT
 *
 * What is around a window: the decoration that X11 programs expect of a window manager, and that a dialog is
 * modal. Where the compositor has no protocol for that, nothing happens.
 */
#ifndef XW_FRAME_H
#define XW_FRAME_H

#include <stdbool.h>

struct br_object;
struct xw_wm;

/** Of one xdg_toplevel. Begin with all zero. */
struct xw_frame {
	struct br_object *decoration, *dialog; /* NULL: none yet, or no protocol */
	bool undecorated, modal;	       /* as told */
};

/** Say it, where it has changed or is new. toplevel: a live xdg_toplevel, before its first buffer if it is new. */
void xw_frame_tell(struct xw_frame *frame, struct xw_wm *wm, struct br_object *toplevel,
		   bool undecorated, bool modal);

/** Before the toplevel goes. */
void xw_frame_finish(struct xw_frame *frame, struct xw_wm *wm);

#endif
