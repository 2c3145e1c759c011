/* SPDX-License-Identifier: MIT
 *
 * The commands of "crayon", a GPU that does not exist: it fills rectangles. Its images lie in tiles, with a
 * modifier of a vendor that does not exist either.
 */
#ifndef CRAYON_H
#define CRAYON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vdrm_wire.h"

#define CRAYON_CONTEXT_TYPE 0x6372u
/* As fourcc_mod_code(0x7f, 1) of <drm_fourcc.h>. */
#define CRAYON_MODIFIER_TILED (UINT64_C(0x7f) << 56 | 1)
#define CRAYON_TILE_PX 16u
#define CRAYON_PIXEL_BYTES 4u
/** Rings: 0 is the CPU's, the others are queues of the GPU. */
#define CRAYON_N_RINGS 4u

/** In vdrm_capset.driver. */
struct crayon_caps {
	uint64_t modifier;
	uint32_t n_rings, tile_px;
};

enum crayon_command { CRAYON_NOP = 1, CRAYON_GEM_NEW, CRAYON_FILL, CRAYON_GATE };

/** Memory that no other process can have. */
#define CRAYON_GEM_PRIVATE 1u

/** Make memory, of which a blob of that blob_id can be made. Answered by crayon_gem_new_response. */
struct crayon_gem_new {
	struct vdrm_request hdr;
	uint64_t blob_id; /* not 0 */
	uint64_t size;	  /* bytes */
	uint32_t flags, pad;
};

struct crayon_gem_new_response {
	struct vdrm_response hdr;
	int32_t err; /* 0 or -errno */
};

/** Fill a rectangle of an image, on a ring other than 0. */
struct crayon_fill {
	struct vdrm_request hdr;
	uint32_t res_id;
	uint32_t ring;
	uint32_t gate;	 /* not before the context's gate is this far */
	uint32_t stride; /* bytes: a row of pixels, a multiple of a tile's width */
	uint32_t x, y, w, h;
	uint32_t color; /* XRGB */
	uint32_t tiled; /* 0: rows of pixels */
};

/** Let commands go on that wait for this gate. */
struct crayon_gate {
	struct vdrm_request hdr;
	uint32_t value, pad;
};

/** Where a pixel is, in bytes. */
static inline size_t crayon_offset(bool tiled, uint32_t stride, uint32_t x, uint32_t y)
{
	if (!tiled) {
		return (size_t)stride * y + x * CRAYON_PIXEL_BYTES;
	}
	size_t tiles_per_row = stride / (CRAYON_TILE_PX * CRAYON_PIXEL_BYTES);
	size_t tile = y / CRAYON_TILE_PX * tiles_per_row + x / CRAYON_TILE_PX;
	size_t pixel = y % CRAYON_TILE_PX * CRAYON_TILE_PX + x % CRAYON_TILE_PX;
	return (tile * CRAYON_TILE_PX * CRAYON_TILE_PX + pixel) * CRAYON_PIXEL_BYTES;
}

#endif
