/* SPDX-License-Identifier: MIT
 *
 * In place of cursor_theme.c where libwayland-cursor is not there to build with.
 */
#include <errno.h>
#include <stddef.h>

#include "cursor_theme.h"

uint32_t gp_cursor_last_shape(uint32_t version)
{
	(void)version;
	return 0;
}

struct gp_cursor_themes *gp_cursor_themes_create(void)
{
	return NULL;
}

void gp_cursor_themes_destroy(struct gp_cursor_themes *themes)
{
	(void)themes;
}

uint32_t gp_cursor_count(struct gp_cursor_themes *themes, uint32_t shape, int32_t scale)
{
	(void)themes;
	(void)shape;
	(void)scale;
	return 0;
}

int gp_cursor_image(struct gp_cursor_themes *themes, uint32_t shape, int32_t scale, uint32_t i,
		    struct gp_cursor_image *ret_image)
{
	(void)themes;
	(void)shape;
	(void)scale;
	(void)i;
	(void)ret_image;
	return -ENOSYS;
}
