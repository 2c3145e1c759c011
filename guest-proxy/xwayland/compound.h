/* SPDX-License-Identifier: MIT
 *
 * COMPOUND_TEXT, in which older X programs write their titles.
 */
#ifndef XW_COMPOUND_H
#define XW_COMPOUND_H

#include <stddef.h>
#include <stdint.h>

/** Turn compound text into UTF-8: its Latin-1 and its UTF-8 parts; characters of other sets become '?'. What is
 * in UTF-8 parts is passed on unchecked. out: room for 2 * len bytes. Returns the bytes written.
 * Source: Compound Text Encoding, version 1.1, sections 3 to 5. */
size_t xw_compound_to_utf8(const uint8_t *bytes, size_t len, uint8_t *out);

#endif
