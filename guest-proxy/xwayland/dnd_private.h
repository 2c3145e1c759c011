/* SPDX-License-Identifier: MIT
 *
 * Shared by the two directions of drags: dnd_target.c (a drag of the compositor's over X windows),
 * dnd_source.c (a drag of an X program's).
 */
#ifndef XW_DND_PRIVATE_H
#define XW_DND_PRIVATE_H

#include "selection_private.h"

#define XW_DND_VERSION 5
#define XW_DND_OLDEST                                                                              \
	3 /* the first with times in its messages and the actions that there are today */

/** A drag that others have begun, over an X window. All zero: there is none. */
struct xw_dnd_target {
	struct xw_offer *offer; /* owned by the selection; NULL: no drag, or it is over */
	uint32_t serial;	/* of its enter */
	xcb_window_t window;	/* XCB_NONE: not over any */
	xcb_window_t proxy;	/* where messages go; often window itself */
	uint8_t version;	/* 0: not known yet, or none */
	unsigned asked;		/* properties of window that have not come yet */
	int32_t x, y;		/* of the root window, pixels */
	bool entered;		/* the window has been told of the drag */
	bool waits;		/* for its answer to a position */
	bool moved;		/* since the last position */
	bool accepted;
	uint32_t action; /* that the window would take; enum dnd_action */
	uint32_t wanted; /* that the compositor has chosen; 0: none yet */
	bool dropped;
	struct wl_event_source *timer; /* since the drop */
};

/** A drag of an X program's. All zero: there is none. */
struct xw_dnd_source {
	xcb_window_t window;	  /* the program's; XCB_NONE: no drag */
	struct xw_source *source; /* the compositor's; NULL: it does not know yet, or no more */
	struct xw_offer *offer;	  /* owned; the drag is over an X window; NULL: it is not */
	xcb_window_t over;	  /* which */
	int32_t x, y;		  /* of the root window, pixels: where X's pointer is to be */
	bool odd;		  /* every other time a bit beside it: so that it moves */
	bool settled;		  /* the program knows what is below its pointer now: our window */
	bool entered;		  /* the program's pointer is over our window */
	bool accepted;		  /* by the compositor's target */
	uint32_t action;	  /* that it has chosen */
	bool cancelled;		  /* the compositor's drag is over, for nothing */
	bool dropped, finished;	  /* says the compositor */
	bool done;		  /* dropped, says the X program */
};

/** Xwayland's pointer, as far as a drag needs it. */
struct xw_dnd_pointer {
	int32_t x, y; /* on its surface; 24.8 */
	uint32_t object,
		surface; /* ids on Xwayland's side: the wl_pointer, and where it is; 0: none */
	uint32_t button, serial; /* the press that might begin a drag; button 0: none */
	bool left;		 /* the compositor has taken it away, but Xwayland was not told */
	uint32_t leave_serial;
};

/** Both directions; only one at a time is a drag. */
struct xw_dnd {
	struct xw_selections *all;
	struct xw_selection *selection; /* XdndSelection; its window is ours */
	struct xw_dnd_target target;
	struct xw_dnd_source source;
	struct xw_dnd_pointer pointer;
};

/** Send a message of XDND to a window; data[0] is ours. to: where it goes. */
void xw_dnd_send(struct xw_dnd *dnd, xcb_window_t to, xcb_window_t window, unsigned type,
		 const uint32_t data[5]);

/** X's name of an action (one of enum dnd_action), and back. */
xcb_atom_t xw_dnd_action_atom(const struct xw_dnd *dnd, uint32_t action);
uint32_t xw_dnd_action(const struct xw_dnd *dnd, xcb_atom_t atom);

/* dnd_target.c */
void xw_dnd_target_enter(struct xw_dnd *dnd, struct br_msg *msg, struct xw_offer *offer);
void xw_dnd_target_motion(struct xw_dnd *dnd, int32_t x, int32_t y);
void xw_dnd_target_leave(struct xw_dnd *dnd);
void xw_dnd_target_drop(struct xw_dnd *dnd);
void xw_dnd_target_status(struct xw_dnd *dnd, const uint32_t data[5]);
void xw_dnd_target_finished(struct xw_dnd *dnd, const uint32_t data[5]);
/** Tell the window, once it is known who is there, how to call what is offered, and that it is ours to give. */
void xw_dnd_target_ready(struct xw_dnd *dnd);
/** Forget the drag. */
void xw_dnd_target_end(struct xw_dnd *dnd);

/* dnd_source.c */
/** XdndSelection has another owner: perhaps a drag begins. */
void xw_dnd_source_owner(struct xw_dnd *dnd);
/** Forget the drag. */
void xw_dnd_source_end(struct xw_dnd *dnd);
/** Look at an event of the wl_data_device. Returns true if it was about this drag; then offer (its new one,
 * or NULL) is taken. */
bool xw_dnd_source_device(struct xw_dnd *dnd, struct br_msg *msg, struct xw_offer *offer);
void xw_dnd_source_enter(struct xw_dnd *dnd, const uint32_t data[5]);
void xw_dnd_source_position(struct xw_dnd *dnd, const uint32_t data[5]);
void xw_dnd_source_leave(struct xw_dnd *dnd, const uint32_t data[5]);
void xw_dnd_source_drop(struct xw_dnd *dnd, const uint32_t data[5]);

#endif
