/* SPDX-License-Identifier: MIT
 *
 * Shared by the parts of selections: selection.c (X's side), selection_wayland.c (the compositor's),
 * selection_incr.c (data to an X program), selection_receive.c (data from one), dnd*.c.
 */
#ifndef XW_SELECTION_PRIVATE_H
#define XW_SELECTION_PRIVATE_H

#include <wayland-util.h>

#include "mime.h"
#include "selection.h"
#include "sink.h"

struct br_object;
struct br_msg;
struct br_relay;
struct wl_event_source;
struct xw_dnd;
struct xw_receive;
struct xw_selections;
struct xw_send;

/* How long an X program may take for its next step of a transfer. Programs that wait for us have limits
 * of this kind as well. */
#define XW_PEER_MS 10000
/* How long a Wayland program may take for the first, or more, of its data: longer than any X program
 * waits for it. */
#define XW_SOURCE_MS 60000

enum xw_selection_kind {
	XW_CLIPBOARD,
	XW_PRIMARY,
	XW_DND,
	XW_SELECTION_KINDS,
};

/** What the compositor's two protocols of selections call the same things. */
struct xw_device_kind {
	uint16_t manager, device, source, offer;	   /* interfaces */
	uint16_t max_version;				   /* of the manager */
	uint16_t create_source, get_device, set_selection; /* requests */
	uint16_t device_destroy, source_offer, source_destroy, offer_receive, offer_destroy;
	uint16_t device_offer, device_selection, source_send, source_cancelled; /* events */
	uint16_t offer_mime;
	uint16_t destroy_since; /* version of device_destroy */
};

/** A selection or drag of somebody else's that X programs may have; data of its wl_data_offer. */
struct xw_offer {
	struct xw_selections *all;
	const struct xw_device_kind *kind;
	struct br_object *object;
	struct xw_mimes mimes;
	bool interning;		 /* the atoms of mimes are asked for */
	unsigned n_interned;	 /* mimes whose atom is known or can't be had */
	uint32_t source_actions; /* enum wl_data_device_manager.dnd_action, a mask */
};

/** A selection or drag of an X program's, as the compositor knows it; data of its wl_data_source. */
struct xw_source {
	struct xw_selection *selection;
	const struct xw_device_kind *kind;
	struct br_object *object;
	struct xw_mimes mimes;
	struct xw_source **used; /* set to NULL when it goes; may be NULL */
};

/** One selection of X's. */
struct xw_selection {
	struct xw_selections *all;
	enum xw_selection_kind kind;
	xcb_atom_t atom;
	xcb_window_t window;  /* ours, which owns it for others */
	xcb_window_t owner;   /* XCB_NONE: nobody */
	xcb_timestamp_t time; /* since when */

	uint32_t n_offers;	    /* that there were: tells one from the next */
	struct xw_offer *offer;	    /* owned; what window stands for; NULL: nothing */
	struct xw_source *source;   /* what the compositor has from us; NULL: nothing */
	struct xw_targets *targets; /* owned; of the X owner, being asked for; NULL: not */
	/* A wl_callback: the compositor has not said yet that it has seen the last source, and what it
	 * announces may be older. NULL: it has. */
	struct br_object *seen;
	bool parked;		       /* it has announced something meanwhile: */
	struct xw_offer *parked_offer; /* owned; may be NULL: no selection */
};

/** A data device of the compositor's. */
struct xw_device {
	struct br_object *manager, *object; /* NULL: not there */
	uint32_t manager_name;		    /* of the global */
	struct xw_offer *pending;	    /* owned; announced, but not for what yet */
};

/** All of one window manager's. */
struct xw_selections {
	struct xw_wm *wm;
	uint8_t xfixes_event; /* the first of its events */
	struct xw_selection each[XW_SELECTION_KINDS];

	struct br_object *registry, *seat; /* NULL: not there, or gone */
	uint32_t seat_name;
	struct xw_device devices[2]; /* XW_CLIPBOARD: and drags; XW_PRIMARY */

	struct wl_list sends;	 /* xw_send.link */
	struct wl_list turns;	 /* xw_send.turn: have a chunk to write, oldest first */
	bool writing;		 /* the X server has not confirmed the last chunk */
	struct wl_list receives; /* xw_receive.link */
	unsigned n_transfers;
	int peer_ms, source_ms; /* deadlines */

	struct xw_dnd *dnd;
};

/* --- selection.c --- */

/** Pass on what was queued for the X server and the compositor: the last thing that those do whom neither of the
 * two woke. May end everything. */
void xw_selections_flush(struct xw_selections *all);

/** Create a window of ours that nobody sees. */
xcb_window_t xw_selections_window(struct xw_selections *all, uint32_t event_mask);

/** Let X programs have an offer (owned by the selection from now on; NULL: nothing). */
void xw_selection_own(struct xw_selection *selection, struct xw_offer *offer);

/** Ask the owner of a selection what it has. Its answer becomes a source; see xw_selection_found(). */
void xw_selection_ask(struct xw_selection *selection);

/** Ask what targets are called. The answer becomes a source, or that of a drag. */
void xw_selection_name(struct xw_selection *selection, const xcb_atom_t *atoms, unsigned count);

/** Give a requestor the data that it asks for. */
void xw_selection_answer(struct xw_selection *selection,
			 const xcb_selection_request_event_t *request);

/** Tell a requestor the outcome. property: XCB_NONE if it gets nothing. */
void xw_selection_notify(struct xw_selections *all, const xcb_selection_request_event_t *request,
			 xcb_atom_t property);

/* --- selection_wayland.c --- */

/** Look for the compositor's devices. Returns 0, or -errno after which the relay has failed. */
int xw_devices_init(struct xw_selections *all);

/** Let go of all objects. The relay may be gone: then they are as well. */
void xw_devices_finish(struct xw_selections *all);

/** Have event called when the compositor has answered all that was asked before. Returns the wl_callback, whose
 * data is as given, and whose destroy is the caller's to set; NULL: never. */
struct br_object *xw_devices_sync(struct xw_selections *all,
				  void (*event)(struct br_relay *relay, struct br_object *object,
						struct br_msg *msg),
				  void *data);

/** Give the compositor an X program's selection, replacing the last one. mimes: emptied. */
void xw_source_set(struct xw_selection *selection, struct xw_mimes *mimes);

/** Make a source for it, without a use yet. Returns NULL if there is no device, or no memory. */
struct xw_source *xw_source_create(struct xw_selection *selection, struct xw_mimes *mimes);

/** Take it back. NULL is fine. */
void xw_source_destroy(struct xw_source *source);

/** Give it back. NULL is fine. */
void xw_offer_destroy(struct xw_offer *offer);

/** The offer that an event of the wl_data_device names, the caller's from now on; NULL: none, or one that is
 * in use already. object may be NULL. */
struct xw_offer *xw_device_take_offer(struct xw_selections *all, const struct br_object *object);

/** Have the X server know the names of what is offered. */
void xw_offer_intern(struct xw_offer *offer);

/** Ask for the data. Returns a read end that does not block, owned by the caller, or -errno. */
int xw_offer_receive(struct xw_offer *offer, const char *mime);

/* --- selection_incr.c --- */

/** Give an X program the data behind a read end (taken in any case) as it has requested. latin1: turn it
 * into that. The requestor is told in any case. */
void xw_send_start_take(struct xw_selection *selection,
			const xcb_selection_request_event_t *request, xcb_atom_t type, bool latin1,
			int *fd);

/** Look at events that transfers wait for. */
void xw_sends_handle_property(struct xw_selections *all, const xcb_property_notify_event_t *event);
/** A window is gone. */
void xw_sends_handle_gone(struct xw_selections *all, xcb_window_t window);
/** Whether X programs are still being given data of a selection. */
bool xw_sends_running(struct xw_selections *all, xcb_atom_t selection);
void xw_sends_finish(struct xw_selections *all);

/* --- selection_receive.c --- */

/** Get an X program's data. fd: a write end, taken in any case. text: turn Latin-1 into UTF-8. */
void xw_receive_start_take(struct xw_selection *selection, xcb_atom_t target, bool text, int *fd);

/** Look at events that transfers wait for. Return true if they were about one. */
bool xw_receives_handle_notify(struct xw_selections *all,
			       const xcb_selection_notify_event_t *event);
bool xw_receives_handle_property(struct xw_selections *all,
				 const xcb_property_notify_event_t *event);
/** An X program has gone away, or a window of it: those that come from it have ended. */
void xw_receives_handle_gone(struct xw_selections *all, xcb_window_t owner);
void xw_receives_finish(struct xw_selections *all);

/* --- dnd.c --- */

struct xw_dnd *xw_dnd_create(struct xw_selections *all);
void xw_dnd_destroy(struct xw_dnd *dnd);
/** An event of the wl_data_device or of a drag's source or offer. */
void xw_dnd_handle_device(struct xw_dnd *dnd, struct br_msg *msg);
void xw_dnd_handle_source(struct xw_dnd *dnd, struct xw_source *source, struct br_msg *msg);
void xw_dnd_handle_offer(struct xw_dnd *dnd, struct xw_offer *offer, struct br_msg *msg);
/** All atoms of an offer are known. */
void xw_dnd_interned(struct xw_dnd *dnd, struct xw_offer *offer);
/** XdndSelection has another owner. */
void xw_dnd_owner_changed(struct xw_dnd *dnd);
/** What the X program drags. mimes: to be emptied. */
void xw_dnd_targets(struct xw_dnd *dnd, struct xw_mimes *mimes);

#endif
