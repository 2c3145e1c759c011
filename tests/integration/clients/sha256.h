/* SPDX-License-Identifier: MIT */
#ifndef PROBE_SHA256_H
#define PROBE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/** SHA-256 in pieces, so that a transfer needs no second copy of what it read.
 * Source: FIPS 180-4, section 6.2.
 */
struct sha256 {
	uint32_t state[8];
	uint64_t bytes;
	uint8_t block[64];
};

/** Start a digest. */
void sha256_init(struct sha256 *sha);
/** Add bytes to it. */
void sha256_add(struct sha256 *sha, const void *data, size_t bytes);
/** End it. @hex: 65 bytes, the digest in lower case and a NUL. */
void sha256_finish(struct sha256 *sha, char hex[65]);

#endif
