/* SPDX-License-Identifier: MIT
 *
 * The region of causeway-guest, checked pixel by pixel against bitmaps, and its way from surface to
 * buffer coordinates.
 */
#include <stdint.h>
#include <string.h>

#include "test.h"

#include "damage.h"

#define SIDE 48

static uint32_t random_state = 1;

static int32_t pick(int32_t below)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (int32_t)((random_state >> 8) % (uint32_t)below);
}

static void paint(uint8_t *pixels, const struct br_rect *rect)
{
	for (int32_t y = rect->y0; y < rect->y1; y++) {
		for (int32_t x = rect->x0; x < rect->x1; x++) {
			pixels[y * SIDE + x] = 1;
		}
	}
}

TEST(covers_exactly_what_was_added)
{
	for (int round = 0; round < 200; round++) {
		struct br_damage damage = {0};
		uint8_t wanted[SIDE * SIDE] = {0}, got[SIDE * SIDE] = {0};
		int adds = 1 + pick(BR_LIMIT_DAMAGE_RECTS);
		for (int i = 0; i < adds; i++) {
			int32_t x = pick(SIDE), y = pick(SIDE);
			struct br_rect rect =
				br_rect_make(x, y, pick(SIDE - x + 1), pick(SIDE - y + 1));
			br_damage_add(&damage, &rect);
			paint(wanted, &rect);
		}
		for (uint32_t i = 0; i < damage.count; i++) {
			paint(got, &damage.rects[i]);
		}
		CHECK(memcmp(wanted, got, sizeof(got)) == 0);
	}
}

TEST(joins_and_contains)
{
	struct br_damage damage = {0};
	struct br_rect left = {0, 0, 4, 4}, right = {4, 0, 8, 4}, below = {0, 4, 8, 9};
	struct br_rect inside = {2, 2, 6, 6};
	br_damage_add(&damage, &left);
	br_damage_add(&damage, &right);
	br_damage_add(&damage, &below);
	br_damage_add(&damage, &inside);
	CHECK_INT(damage.count, 1);
	CHECK_INT(damage.rects[0].x1, 8);
	CHECK_INT(damage.rects[0].y1, 9);
}

TEST(too_many_become_their_bounding_box)
{
	struct br_damage damage = {0};
	for (int32_t i = 0; i <= BR_LIMIT_DAMAGE_RECTS; i++) {
		struct br_rect rect = br_rect_make(i * 10, i * 7, 2, 2);
		br_damage_add(&damage, &rect);
	}
	CHECK_INT(damage.count, 1);
	CHECK_INT(damage.rects[0].x0, 0);
	CHECK_INT(damage.rects[0].y0, 0);
	CHECK_INT(damage.rects[0].x1, BR_LIMIT_DAMAGE_RECTS * 10 + 2);
	CHECK_INT(damage.rects[0].y1, BR_LIMIT_DAMAGE_RECTS * 7 + 2);
}

TEST(hostile_numbers)
{
	const struct br_view view = {.scale = INT32_MAX, .transform = 1, .width = 10, .height = 20};
	struct br_rect all = br_rect_make(INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX);
	struct br_rect far = br_rect_make(INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX);
	struct br_rect none = br_rect_make(5, 5, -1, 3);
	CHECK(br_rect_empty(&none));
	CHECK(br_rect_empty(&far));
	all = br_view_to_buffer(&view, &all);
	CHECK(all.x0 >= 0 && all.y0 >= 0 && all.x1 <= 10 && all.y1 <= 20);
}

/* The buffer of each transform for the surface "top left corner pixel set", by the protocol's
 * words: flipped mirrors around the vertical axis, then the content is turned counter-clockwise. */
TEST(transforms)
{
	/* Surface 6 wide, 4 high; the pixel at (1, 0). */
	static const struct {
		int32_t width, height, x, y;
	} wanted[8] = {
		{6, 4, 1, 0}, {4, 6, 0, 4}, {6, 4, 4, 3}, {4, 6, 3, 1},
		{6, 4, 4, 0}, {4, 6, 0, 1}, {6, 4, 1, 3}, {4, 6, 3, 4},
	};
	for (uint32_t i = 0; i < 8; i++) {
		const struct br_view view = {1, i, wanted[i].width, wanted[i].height};
		const struct br_rect pixel = {1, 0, 2, 1};
		struct br_rect got = br_view_to_buffer(&view, &pixel);
		CHECK_INT(got.x0, wanted[i].x);
		CHECK_INT(got.y0, wanted[i].y);
		CHECK_INT(got.x1, wanted[i].x + 1);
		CHECK_INT(got.y1, wanted[i].y + 1);
	}
}

TEST(scale)
{
	const struct br_view view = {3, 0, 30, 30};
	const struct br_rect rect = {1, 2, 4, 100};
	struct br_rect got = br_view_to_buffer(&view, &rect);
	CHECK_INT(got.x0, 3);
	CHECK_INT(got.y0, 6);
	CHECK_INT(got.x1, 12);
	CHECK_INT(got.y1, 30);
}
