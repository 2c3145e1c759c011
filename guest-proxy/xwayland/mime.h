/* SPDX-License-Identifier: MIT
 *
 * Lists of what a selection can be had as: MIME types on Wayland's side, targets on X's.
 */
#ifndef XW_MIME_H
#define XW_MIME_H

#include <stdbool.h>
#include <stddef.h>
#include <xcb/xproto.h>

#include "limits.h"

#define XW_TEXT_UTF8 "text/plain;charset=utf-8"
#define XW_TEXT_PLAIN "text/plain"

/** One way to have the data. */
struct xw_mime {
	char *name;	 /* owned; Wayland's */
	xcb_atom_t atom; /* X's target that is asked for it; 0: not known yet */
};

/** The ways in which a selection's owner gives its data, best first. All zero is an empty one. */
struct xw_mimes {
	struct xw_mime list[BR_LIMIT_X_MIMES];
	unsigned count;
};

/** Drop all. */
void xw_mimes_finish(struct xw_mimes *mimes);

/** Add one, unless its name is there. What can't be taken over is left out: names that are empty, longer
 * than BR_LIMIT_MIME_BYTES or not of printable ASCII, and those beyond BR_LIMIT_X_MIMES. name: len bytes.
 * Returns false if memory is out. */
bool xw_mimes_add(struct xw_mimes *mimes, const char *name, size_t len, xcb_atom_t atom);

/** Move the list: to is emptied first, and from is empty afterwards. */
void xw_mimes_move(struct xw_mimes *to, struct xw_mimes *from);

/** The one of this name, or NULL. */
const struct xw_mime *xw_mimes_find(const struct xw_mimes *mimes, const char *name);

/** Whether both have the same names in the same order. */
bool xw_mimes_equal(const struct xw_mimes *a, const struct xw_mimes *b);

/** The best one that is text, as UTF-8; NULL: none is. */
const struct xw_mime *xw_mimes_text(const struct xw_mimes *mimes);

/** Whether a MIME type stands for text whose bytes X may hold as STRING. */
bool xw_mime_is_text(const char *name);

#endif
