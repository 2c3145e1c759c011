/* SPDX-License-Identifier: MIT */
#include "compound.h"

#include <stdbool.h>

#define ESCAPE 0x1b
#define CSI 0x9b

/** What the bytes mean at some point. */
struct reader {
	bool utf8;
	bool left_ascii;   /* bytes below 0x80 */
	bool right_latin1; /* bytes above */
	bool half;	   /* of a character of two bytes */
	bool left_double, right_double;
};

/* Length of the escape sequence at the start, and what it changes. Source: ISO 2022, 4.3. */
static size_t read_escape(struct reader *reader, const uint8_t *at, size_t left)
{
	size_t n = 1;
	while (n < left && at[n] >= 0x20 && at[n] <= 0x2f) {
		n++; /* intermediate bytes */
	}
	if (n >= left) {
		return left;
	}
	uint8_t last = at[n++], kind = at[1];
	if (kind == '%' && last == 'G') {
		reader->utf8 = true;
	} else if (kind == '%' && last == '@') {
		reader->utf8 = false;
	} else if (kind == '(') {
		reader->left_ascii = last == 'B' || last == 'J'; /* J: as good as ASCII */
		reader->left_double = false;
	} else if (kind == ')' || kind == '-') {
		reader->right_latin1 = kind == '-' && last == 'A';
		reader->right_double = false;
	} else if (kind == '$') {
		bool right = n > 3 && at[2] == ')';
		reader->left_double |= !right;
		reader->left_ascii &= right;
		reader->right_double |= right;
		reader->right_latin1 &= !right;
	}
	return n;
}

static size_t put(struct reader *reader, uint8_t byte, uint8_t *out)
{
	bool right = byte >= 0x80;
	if (reader->utf8 || byte < 0x20 || (!right && reader->left_ascii)) {
		out[0] = byte;
		return 1;
	}
	if (right && reader->right_latin1 && byte >= 0xa0) {
		out[0] = (uint8_t)(0xc0 | byte >> 6);
		out[1] = (uint8_t)(0x80 | (byte & 0x3f));
		return 2;
	}
	reader->half = (right ? reader->right_double : reader->left_double) && !reader->half;
	out[0] = '?';
	return reader->half ? 0 : 1;
}

size_t xw_compound_to_utf8(const uint8_t *bytes, size_t len, uint8_t *out)
{
	struct reader reader = {.left_ascii = true, .right_latin1 = true};
	size_t written = 0;
	for (size_t at = 0; at < len;) {
		if (bytes[at] == ESCAPE) {
			at += read_escape(&reader, bytes + at, len - at);
		} else if (bytes[at] == CSI && !reader.utf8) {
			/* Directions of writing: parameters, and a last byte. */
			for (at++; at < len && bytes[at] >= 0x30 && bytes[at] <= 0x3f; at++) {
			}
			at += at < len;
		} else {
			written += put(&reader, bytes[at++], out + written);
		}
	}
	return written;
}
