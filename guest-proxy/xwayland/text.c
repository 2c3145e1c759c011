/* SPDX-License-Identifier: MIT */
#include "text.h"

size_t xw_latin1_to_utf8(const uint8_t *bytes, size_t len, uint8_t *out)
{
	uint8_t *at = out;
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] < 0x80) {
			*at++ = bytes[i];
		} else {
			*at++ = (uint8_t)(0xc0 | bytes[i] >> 6);
			*at++ = (uint8_t)(0x80 | (bytes[i] & 0x3f));
		}
	}
	return (size_t)(at - out);
}

/* Bytes of a character, by its first; 1 for one that starts none. */
static size_t character_bytes(uint8_t first)
{
	if (first >= 0xf0 && first < 0xf8) {
		return 4;
	}
	if (first >= 0xe0 && first < 0xf0) {
		return 3;
	}
	return first >= 0xc0 && first < 0xe0 ? 2 : 1;
}

/* Whether a whole character of `want` bytes is at the start. Source: RFC 3629, section 4. */
static bool is_character(const uint8_t *at, size_t want, size_t left)
{
	static const uint32_t least[] = {0, 0x20, 0x80, 0x800, 0x10000};
	uint32_t code = want == 1 ? at[0] : at[0] & (0x7fu >> want);
	if (want > left) {
		return false;
	}
	for (size_t i = 1; i < want; i++) {
		if ((at[i] & 0xc0) != 0x80) {
			return false;
		}
		code = code << 6 | (at[i] & 0x3f);
	}
	return code >= least[want] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) &&
	       (want > 1 || code < 0x7f);
}

void xw_utf8_clean(uint8_t *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		size_t want = character_bytes(bytes[at]);
		if (is_character(bytes + at, want, len - at)) {
			at += want;
		} else {
			bytes[at++] = '?';
		}
	}
}

size_t xw_utf8_to_latin1(uint8_t *bytes, size_t len, bool end, size_t *ret_used)
{
	size_t in = 0, out = 0;
	while (in < len) {
		size_t want = character_bytes(bytes[in]), have = 1;
		while (have < want && in + have < len && (bytes[in + have] & 0xc0) == 0x80) {
			have++;
		}
		if (have < want && in + have == len && !end) {
			break;
		}
		uint8_t first = bytes[in];
		if (have == 2 && want == 2 && (first == 0xc2 || first == 0xc3)) {
			bytes[out++] = (uint8_t)(first << 6 | (bytes[in + 1] & 0x3f));
		} else {
			bytes[out++] = first < 0x80 ? first : '?';
		}
		in += have;
	}
	*ret_used = in;
	return out;
}
