/* SPDX-License-Identifier: MIT */
#ifndef SHM_PAINT_OPTIONS_H
#define SHM_PAINT_OPTIONS_H

#include <stdbool.h>

/* What shm-paint's command line says. */
struct paint_options {
	int width, height; /* of the buffer, in pixels */
	int frames;
	int x, y, damage_width, damage_height; /* what frames after the first change; in pixels */
	int scale, transform;		       /* wl_surface.set_buffer_scale and _transform */
	int view_width, view_height;	       /* size of the surface; 0: as the buffer's */
	bool step;			       /* a line on stdin lets each further frame go */
	const char *title;		       /* borrowed from argv */
};

/* Fills options from the defaults and the command line; if wrong: usage on stderr, and false. */
bool paint_parse_options(struct paint_options *options, int argc, char **argv);

#endif
