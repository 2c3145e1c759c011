/* SPDX-License-Identifier: MIT
 *
 * The X target STRING is Latin-1, Wayland's text is UTF-8.
 */
#ifndef XW_TEXT_H
#define XW_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Turn len bytes of Latin-1 into UTF-8. out: room for 2 * len bytes. Returns the bytes written.
 * Source: ICCCM 2.6.2, STRING. */
size_t xw_latin1_to_utf8(const uint8_t *bytes, size_t len, uint8_t *out);

/** Put '?' in place of every byte that is no UTF-8 or a control character, so that a compositor takes it. */
void xw_utf8_clean(uint8_t *bytes, size_t len);

/** Turn UTF-8 into Latin-1 in place; what Latin-1 lacks, or no UTF-8, becomes '?'. A character that the
 * end cuts off is left for the next call, unless it is the end of all.
 * *ret_used: bytes that were dealt with. Returns the bytes that they have become, at the start. */
size_t xw_utf8_to_latin1(uint8_t *bytes, size_t len, bool end, size_t *ret_used);

#endif
