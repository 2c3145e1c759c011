/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <stddef.h>

#define FOURCC(a, b, c, d)                                                                         \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

#define ARGB8888 FOURCC('A', 'R', '2', '4')
#define XRGB8888 FOURCC('X', 'R', '2', '4')

static const struct format_size {
	uint32_t format;
	uint32_t bytes;
} format_sizes[] = {
	{0, 4}, /* wl_shm's own number of ARGB8888 */
	{1, 4}, /* and of XRGB8888 */
	{FOURCC('X', 'B', '2', '4'), 4},
	{FOURCC('A', 'B', '2', '4'), 4},
	{FOURCC('R', 'X', '2', '4'), 4},
	{FOURCC('R', 'A', '2', '4'), 4},
	{FOURCC('B', 'X', '2', '4'), 4},
	{FOURCC('B', 'A', '2', '4'), 4},
	{FOURCC('X', 'R', '3', '0'), 4},
	{FOURCC('A', 'R', '3', '0'), 4},
	{FOURCC('X', 'B', '3', '0'), 4},
	{FOURCC('A', 'B', '3', '0'), 4},
	{FOURCC('R', 'X', '3', '0'), 4},
	{FOURCC('R', 'A', '3', '0'), 4},
	{FOURCC('B', 'X', '3', '0'), 4},
	{FOURCC('B', 'A', '3', '0'), 4},
	{FOURCC('R', 'G', '2', '4'), 3},
	{FOURCC('B', 'G', '2', '4'), 3},
	{FOURCC('R', 'G', '1', '6'), 2},
	{FOURCC('B', 'G', '1', '6'), 2},
	{FOURCC('X', 'R', '1', '5'), 2},
	{FOURCC('A', 'R', '1', '5'), 2},
	{FOURCC('X', 'B', '1', '5'), 2},
	{FOURCC('A', 'B', '1', '5'), 2},
	{FOURCC('X', 'R', '1', '2'), 2},
	{FOURCC('A', 'R', '1', '2'), 2},
	{FOURCC('X', 'B', '1', '2'), 2},
	{FOURCC('A', 'B', '1', '2'), 2},
	{FOURCC('C', '8', ' ', ' '), 1},
	{FOURCC('R', '8', ' ', ' '), 1},
	{FOURCC('R', '1', '6', ' '), 2},
	{FOURCC('G', 'R', '8', '8'), 2},
	{FOURCC('R', 'G', '8', '8'), 2},
	{FOURCC('X', 'R', '4', '8'), 8},
	{FOURCC('A', 'R', '4', '8'), 8},
	{FOURCC('X', 'B', '4', '8'), 8},
	{FOURCC('A', 'B', '4', '8'), 8},
	{FOURCC('X', 'R', '4', 'H'), 8},
	{FOURCC('A', 'R', '4', 'H'), 8},
	{FOURCC('X', 'B', '4', 'H'), 8},
	{FOURCC('A', 'B', '4', 'H'), 8},
};

uint32_t br_format_bytes(uint32_t format)
{
	for (size_t i = 0; i < sizeof(format_sizes) / sizeof(format_sizes[0]); i++) {
		if (format_sizes[i].format == format) {
			return format_sizes[i].bytes;
		}
	}
	return 0;
}

uint32_t br_format_from_drm(uint32_t fourcc)
{
	switch (fourcc) {
	case ARGB8888:
		return 0;
	case XRGB8888:
		return 1;
	default:
		return fourcc;
	}
}

uint32_t br_format_to_drm(uint32_t format)
{
	switch (format) {
	case 0:
		return ARGB8888;
	case 1:
		return XRGB8888;
	default:
		return format;
	}
}

/* Which byte of a name says whether there is alpha: "AR24", "RA24". Returns -1: none. */
static int alpha_byte(uint32_t fourcc)
{
	for (int i = 0; i < 2; i++) {
		uint32_t letter = fourcc >> 8 * i & 0xff;
		if (letter == 'A' || letter == 'X') {
			return i;
		}
	}
	return -1;
}

uint32_t br_format_with_alpha_of(uint32_t fourcc, uint32_t other)
{
	int there = alpha_byte(fourcc), wanted = alpha_byte(other);
	if (there < 0 || wanted < 0) {
		return fourcc;
	}
	uint32_t letter = other >> 8 * wanted & 0xff;
	return (fourcc & ~(0xffu << 8 * there)) | letter << 8 * there;
}
