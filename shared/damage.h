/* SPDX-License-Identifier: MIT
 *
 * A small region: what of a buffer has changed. A list of rectangles without a rectangle inside
 * another; when it gets long it becomes its bounding box, so it can only ever say too much.
 */
#ifndef BR_DAMAGE_H
#define BR_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "limits.h"

/** Pixels [x0, x1) x [y0, y1). Empty unless x0 < x1 and y0 < y1. */
struct br_rect {
	int32_t x0, y0, x1, y1;
};

/** A region; all zero is the empty one. Owns nothing. */
struct br_damage {
	uint32_t count;
	struct br_rect rects[BR_LIMIT_DAMAGE_RECTS];
};

/** Make a rectangle of position and size as they come from a client: sizes below one give an empty
 * rectangle, sums beyond the number range are cut. */
struct br_rect br_rect_make(int32_t x, int32_t y, int32_t width, int32_t height);

static inline bool br_rect_empty(const struct br_rect *rect)
{
	return rect->x0 >= rect->x1 || rect->y0 >= rect->y1;
}

/** The part of a that is inside b. */
struct br_rect br_rect_intersect(const struct br_rect *a, const struct br_rect *b);

/** Add a rectangle. Empty ones and those already covered by one other change nothing. */
void br_damage_add(struct br_damage *damage, const struct br_rect *rect);

/** Add all of another region, cut to bounds. */
void br_damage_add_all(struct br_damage *damage, const struct br_damage *other,
		       const struct br_rect *bounds);

static inline void br_damage_clear(struct br_damage *damage)
{
	damage->count = 0;
}

/** How a surface shows its buffer. Source: wl_surface.set_buffer_scale, set_buffer_transform. */
struct br_view {
	int32_t scale;	       /* 1 or more */
	uint32_t transform;    /* enum wl_output.transform, 0 to 7 */
	int32_t width, height; /* of the buffer, pixels */
};

/** Convert a rectangle of surface coordinates into buffer pixels, cut to the buffer. */
struct br_rect br_view_to_buffer(const struct br_view *view, const struct br_rect *rect);

#endif
