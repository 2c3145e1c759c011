/* SPDX-License-Identifier: MIT
 *
 * An X server as far as selections need one, in place of libxcb: what is asked of it is kept for the test to
 * look at, and properties of windows are real.
 */
#ifndef FAKE_XCB_H
#define FAKE_XCB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xcb/xcb.h>

#define FAKE_XFIXES_EVENT 87
#define FAKE_ROOT 0x100

/** A property of a window. */
struct fake_property {
	xcb_window_t window;
	xcb_atom_t name, type;
	uint8_t format;
	uint8_t *data; /* NULL: the slot is free */
	size_t bytes;
};

/** What was asked last, and how often. */
struct fake_x {
	struct fake_property properties[64];
	unsigned n_events; /* that were sent to other programs */
	struct {
		xcb_window_t to;
		union {
			xcb_selection_notify_event_t notify;
			xcb_client_message_event_t message;
		};
	} event;
	unsigned n_converted;
	xcb_convert_selection_request_t converted;
	xcb_window_t owner; /* the last one that was set, and of what */
	xcb_atom_t owned;
	unsigned n_owned;
	xcb_window_t watched; /* whose events were chosen last, and which */
	uint32_t watched_mask;
	unsigned n_windows;		     /* that there are */
	size_t max_change;		     /* bytes of the largest property that was written */
	size_t unconfirmed, max_unconfirmed; /* bytes of properties since the last answer */
	bool mapped;			     /* the last window that was, or was not any more */
	bool silent;			     /* nothing is answered for now */
};

extern struct fake_x fake_x;

/** Forget everything. At the start of a test. */
void fake_x_reset(void);
/** Free what is left; at its end. */
void fake_x_finish(void);
/** A property, or NULL. */
struct fake_property *fake_property(xcb_window_t window, xcb_atom_t name);
/** Set one, as its program does. */
void fake_property_set(xcb_window_t window, xcb_atom_t name, xcb_atom_t type, uint8_t format,
		       const void *data, size_t bytes);
/** Delete one. Returns false if there is none. */
bool fake_property_delete(xcb_window_t window, xcb_atom_t name);
/** The atom of a name. */
xcb_atom_t fake_atom(const char *name);

#endif
