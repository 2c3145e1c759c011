/* SPDX-License-Identifier: MIT */
#include "damage.h"

static int32_t clamp_i32(int64_t value)
{
	if (value > INT32_MAX) {
		return INT32_MAX;
	}
	return value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

static int32_t min_i32(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

static int32_t max_i32(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

struct br_rect br_rect_make(int32_t x, int32_t y, int32_t width, int32_t height)
{
	if (width <= 0 || height <= 0) {
		return (struct br_rect){0};
	}
	return (struct br_rect){x, y, clamp_i32((int64_t)x + width),
				clamp_i32((int64_t)y + height)};
}

struct br_rect br_rect_intersect(const struct br_rect *a, const struct br_rect *b)
{
	struct br_rect both = {
		max_i32(a->x0, b->x0),
		max_i32(a->y0, b->y0),
		min_i32(a->x1, b->x1),
		min_i32(a->y1, b->y1),
	};
	if (br_rect_empty(&both)) {
		both = (struct br_rect){0};
	}
	return both;
}

static bool contains(const struct br_rect *outer, const struct br_rect *inner)
{
	return outer->x0 <= inner->x0 && outer->y0 <= inner->y0 && outer->x1 >= inner->x1 &&
	       outer->y1 >= inner->y1;
}

static struct br_rect bounding_box(const struct br_rect *a, const struct br_rect *b)
{
	return (struct br_rect){
		min_i32(a->x0, b->x0),
		min_i32(a->y0, b->y0),
		max_i32(a->x1, b->x1),
		max_i32(a->y1, b->y1),
	};
}

/* Side by side, or one upon the other, so that the bounding box holds nothing else. */
static bool joins(const struct br_rect *a, const struct br_rect *b)
{
	if (a->y0 == b->y0 && a->y1 == b->y1) {
		return a->x0 <= b->x1 && b->x0 <= a->x1;
	}
	return a->x0 == b->x0 && a->x1 == b->x1 && a->y0 <= b->y1 && b->y0 <= a->y1;
}

void br_damage_add(struct br_damage *damage, const struct br_rect *rect)
{
	struct br_rect add = *rect;
	if (br_rect_empty(&add)) {
		return;
	}
	for (uint32_t i = 0; i < damage->count;) {
		struct br_rect *old = &damage->rects[i];
		if (contains(old, &add)) {
			return;
		}
		bool joined = joins(old, &add);
		if (!joined && !contains(&add, old)) {
			i++;
			continue;
		}
		if (joined) {
			add = bounding_box(old, &add);
		}
		*old = damage->rects[--damage->count];
		/* What has grown may cover or join those seen before. */
		i = joined ? 0 : i;
	}
	if (damage->count == BR_LIMIT_DAMAGE_RECTS) {
		for (uint32_t i = 0; i < damage->count; i++) {
			add = bounding_box(&add, &damage->rects[i]);
		}
		damage->count = 0;
	}
	damage->rects[damage->count++] = add;
}

void br_damage_add_all(struct br_damage *damage, const struct br_damage *other,
		       const struct br_rect *bounds)
{
	for (uint32_t i = 0; i < other->count; i++) {
		struct br_rect rect = br_rect_intersect(&other->rects[i], bounds);
		br_damage_add(damage, &rect);
	}
}

/* Where a corner of the surface lies in the buffer, all in buffer pixels before cutting. The
 * transform says how the buffer's content was turned, counter-clockwise, against the surface; the
 * flipped ones mirror around the vertical axis first. Source: wl_output.transform. */
static void corner_to_buffer(const struct br_view *view, int64_t sx, int64_t sy, int64_t *ret_x,
			     int64_t *ret_y)
{
	int64_t w = view->width, h = view->height; /* of the buffer */
	switch (view->transform) {
	case 1: /* 90 */
		*ret_x = sy;
		*ret_y = h - sx;
		break;
	case 2: /* 180 */
		*ret_x = w - sx;
		*ret_y = h - sy;
		break;
	case 3: /* 270 */
		*ret_x = w - sy;
		*ret_y = sx;
		break;
	case 4: /* flipped */
		*ret_x = w - sx;
		*ret_y = sy;
		break;
	case 5: /* flipped 90 */
		*ret_x = sy;
		*ret_y = sx;
		break;
	case 6: /* flipped 180 */
		*ret_x = sx;
		*ret_y = h - sy;
		break;
	case 7: /* flipped 270 */
		*ret_x = w - sy;
		*ret_y = h - sx;
		break;
	default:
		*ret_x = sx;
		*ret_y = sy;
		break;
	}
}

struct br_rect br_view_to_buffer(const struct br_view *view, const struct br_rect *rect)
{
	int64_t ax, ay, bx, by;
	const struct br_rect bounds = {0, 0, view->width, view->height};
	int64_t scale = view->scale;
	corner_to_buffer(view, rect->x0 * scale, rect->y0 * scale, &ax, &ay);
	corner_to_buffer(view, rect->x1 * scale, rect->y1 * scale, &bx, &by);
	struct br_rect out = {
		clamp_i32(ax < bx ? ax : bx),
		clamp_i32(ay < by ? ay : by),
		clamp_i32(ax < bx ? bx : ax),
		clamp_i32(ay < by ? by : ay),
	};
	return br_rect_intersect(&out, &bounds);
}
