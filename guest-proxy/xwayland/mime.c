/* SPDX-License-Identifier: MIT */
#include "mime.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void xw_mimes_finish(struct xw_mimes *mimes)
{
	for (unsigned i = 0; i < mimes->count; i++) {
		free(mimes->list[i].name);
	}
	*mimes = (struct xw_mimes){0};
}

static bool usable(const char *name, size_t len)
{
	if (len == 0 || len > BR_LIMIT_MIME_BYTES) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (name[i] < 0x20 || name[i] > 0x7e) {
			return false;
		}
	}
	return true;
}

bool xw_mimes_add(struct xw_mimes *mimes, const char *name, size_t len, xcb_atom_t atom)
{
	if (!usable(name, len) || mimes->count == BR_LIMIT_X_MIMES) {
		return true;
	}
	char *copy = strndup(name, len);
	if (copy == NULL) {
		return false;
	}
	if (xw_mimes_find(mimes, copy) != NULL) {
		free(copy);
		return true;
	}
	mimes->list[mimes->count++] = (struct xw_mime){.name = copy, .atom = atom};
	return true;
}

void xw_mimes_move(struct xw_mimes *to, struct xw_mimes *from)
{
	xw_mimes_finish(to);
	*to = *from;
	*from = (struct xw_mimes){0};
}

const struct xw_mime *xw_mimes_find(const struct xw_mimes *mimes, const char *name)
{
	for (unsigned i = 0; i < mimes->count; i++) {
		if (strcmp(mimes->list[i].name, name) == 0) {
			return &mimes->list[i];
		}
	}
	return NULL;
}

bool xw_mimes_equal(const struct xw_mimes *a, const struct xw_mimes *b)
{
	bool equal = a->count == b->count;
	for (unsigned i = 0; equal && i < a->count; i++) {
		equal = strcmp(a->list[i].name, b->list[i].name) == 0;
	}
	return equal;
}

/* Names under which programs offer text, best first: the last ones are those of X, which some toolkits
 * offer to Wayland's programs as well. */
static const char *const text_names[] = {XW_TEXT_UTF8, "UTF8_STRING", XW_TEXT_PLAIN, "TEXT",
					 "STRING"};

const struct xw_mime *xw_mimes_text(const struct xw_mimes *mimes)
{
	for (unsigned n = 0; n < sizeof(text_names) / sizeof(text_names[0]); n++) {
		for (unsigned i = 0; i < mimes->count; i++) {
			if (strcasecmp(mimes->list[i].name, text_names[n]) == 0) {
				return &mimes->list[i];
			}
		}
	}
	return NULL;
}

bool xw_mime_is_text(const char *name)
{
	return strcasecmp(name, XW_TEXT_UTF8) == 0 || strcmp(name, XW_TEXT_PLAIN) == 0;
}
