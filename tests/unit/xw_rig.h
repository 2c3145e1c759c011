/* SPDX-License-Identifier: MIT
 *
 * Selections and drags between an X server and a compositor that are both played by the test, for tests.
 */
#ifndef TEST_XW_RIG_H
#define TEST_XW_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <xcb/xcb.h>
#include <xcb/xfixes.h>

#include "br-tables.h"
#include "fake_xcb.h"
#include "fd.h"
#include "limits.h"
#include "relay.h"
#include "test.h"
#include "xwayland/atoms.h"
#include "xwayland/dnd.h"
#include "xwayland/selection_private.h"
#include "xwayland/wm.h"

#define X_PROGRAM 0x900001 /* a window of an X program's */
#define X_OTHER 0x900002
#define OFFER 0xff000000u /* the first object that the compositor makes */
#define TIME 5000

/** A window manager, its X server (fake_x) and its compositor. */
struct xw_rig {
	struct xw_wm wm;
	struct xw_selections *all;
	uint32_t managers[2], devices[2], seat, surface; /* ids on the compositor's side */
	uint32_t words[128];				 /* the last request */
	int fd;						 /* that came with it; -1: none */
};
extern struct xw_rig rig;

/** An event of the compositor's under construction. */
struct wire {
	uint32_t words[128];
	unsigned count;
};

extern const char *const text_mimes[];

struct wire begin(uint32_t object, uint16_t opcode);
void put(struct wire *w, uint32_t word);
void put_string(struct wire *w, const char *text);
void pass(struct wire *w);
/** The next request to the compositor; returns its object. */
uint32_t take(uint16_t opcode);
void check_quiet(void);
void announce(uint32_t registry, uint32_t name, const char *iface, uint32_t version);
/** The compositor is asked for a global in this version; returns its id. */
uint32_t take_bind(uint32_t version);
void set_up(void);
void tear_down(void);
bool x_event(const void *event);
void x_owner(unsigned kind, xcb_window_t owner, uint8_t subtype);
void x_request(unsigned kind, xcb_window_t requestor, xcb_atom_t target, xcb_atom_t property);
/** The X program has given what was asked for, in the property that was named. */
void x_notify(bool given);
bool x_property(xcb_window_t of, xcb_atom_t name, uint8_t state);
/** What any event brings along: answers are dealt with. */
void x_anything(void);
void turn(void);
void offer_selection(unsigned kind, uint32_t id, const char *const *mimes);
/** Offer text, and have the X server agree that it is ours. */
void offer_text(unsigned kind);
/** The compositor's program has been asked for mime; returns where it writes. */
int take_receive(unsigned kind, const char *mime);
void expect_notify(xcb_window_t to, xcb_atom_t property);
void write_all(int fd, const void *bytes, size_t len);
void take_offered(uint32_t source, const char *mime);
/** The compositor wants it; returns where it reads. */
int send_to(unsigned kind, uint32_t source, const char *mime);
void expect_bytes(int fd, const char *bytes, size_t len);

#endif
