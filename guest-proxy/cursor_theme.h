/* SPDX-License-Identifier: MIT
 *
 * The cursor theme of the guest's user, for hosts that don't know cursors by name. libwayland-cursor
 * reads it; as that wants a compositor's wl_shm to put the images into, it gets one of our own, in this
 * process. Loop thread only. Reading a theme's files blocks for some milliseconds, once for each scale.
 */
#ifndef GP_CURSOR_THEME_H
#define GP_CURSOR_THEME_H

#include <stdint.h>

struct gp_cursor_themes;

/** One image of a cursor. */
struct gp_cursor_image {
	uint32_t width, height;	       /* pixels */
	uint32_t hotspot_x, hotspot_y; /* pixels */
	uint32_t delay_ms;	       /* until the next image; 0: it stays */
	uint32_t stride;	       /* bytes */
	const uint8_t *pixels;	       /* ARGB8888, premultiplied; until the next call */
};

/** The highest shape of wp_cursor_shape_device_v1 in a version of it. Source: enum shape. */
uint32_t gp_cursor_last_shape(uint32_t version);

/** Prepare to read themes, when one is first needed. NULL if that can't be had: the program was built without libwayland-cursor, or memory
 * is out. */
struct gp_cursor_themes *gp_cursor_themes_create(void);

/** NULL is fine. */
void gp_cursor_themes_destroy(struct gp_cursor_themes *themes);

/** How many images the cursor of a shape has at a scale (1 to BR_LIMIT_CURSOR_SCALE); 0: there is no such
 * cursor. */
uint32_t gp_cursor_count(struct gp_cursor_themes *themes, uint32_t shape, int32_t scale);

/** The i-th of these images. Returns 0, or -errno if it can't be read. */
int gp_cursor_image(struct gp_cursor_themes *themes, uint32_t shape, int32_t scale, uint32_t i,
		    struct gp_cursor_image *ret_image);

#endif
