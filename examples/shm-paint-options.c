// SPDX-License-Identifier: MIT
#include "shm-paint-options.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
	"Usage: shm-paint [OPTIONS]\n"
	"  --size WxH         of the buffer, in pixels (320x240)\n"
	"  --frames N         draw N frames (1)\n"
	"  --damage X,Y,W,H   what frames after the first change (everything)\n"
	"  --step             wait for a line on stdin before each further frame\n"
	"  --scale S          pixels per unit of the surface (1)\n"
	"  --transform T      0 to 7: wl_output.transform (0)\n"
	"  --viewport WxH     size of the surface, whatever the buffer's (off)\n"
	"  --title TEXT       the window's\n";

static bool read_option(struct paint_options *options, int option, const char *text)
{
	char end; /* what follows the last number: nothing may */

	/* A number that is too large is one that is refused later. NOLINTBEGIN(cert-err34-c) */
	switch (option) {
	case 's':
		return sscanf(text, "%dx%d%c", &options->width, &options->height, &end) == 2;
	case 'f':
		return sscanf(text, "%d%c", &options->frames, &end) == 1;
	case 'd':
		return sscanf(text, "%d,%d,%d,%d%c", &options->x, &options->y,
			      &options->damage_width, &options->damage_height, &end) == 4;
	case 'c':
		return sscanf(text, "%d%c", &options->scale, &end) == 1;
	case 't':
		return sscanf(text, "%d%c", &options->transform, &end) == 1;
	case 'v':
		return sscanf(text, "%dx%d%c", &options->view_width, &options->view_height, &end) ==
		       2;
	case 'T':
		options->title = text;
		return true;
	case 'p':
		options->step = true;
		return true;
	default:
		return false;
	}
	/* NOLINTEND(cert-err34-c) */
}

static bool sensible(const struct paint_options *options)
{
	const int most = 8192; /* two such buffers still fit a pool, whose size is an int32 */

	return options->width >= 1 && options->width <= most && options->height >= 1 &&
	       options->height <= most && options->x >= 0 && options->x < options->width &&
	       options->y >= 0 && options->y < options->height && options->damage_width >= 1 &&
	       options->damage_height >= 1 &&
	       options->damage_width <= options->width - options->x &&
	       options->damage_height <= options->height - options->y;
}

bool paint_parse_options(struct paint_options *options, int argc, char **argv)
{
	static const struct option list[] = {
		{"size", required_argument, NULL, 's'},
		{"frames", required_argument, NULL, 'f'},
		{"damage", required_argument, NULL, 'd'},
		{"step", no_argument, NULL, 'p'},
		{"scale", required_argument, NULL, 'c'},
		{"transform", required_argument, NULL, 't'},
		{"viewport", required_argument, NULL, 'v'},
		{"title", required_argument, NULL, 'T'},
		{NULL, 0, NULL, 0},
	};
	int option;

	*options = (struct paint_options){
		.width = 320,
		.height = 240,
		.frames = 1,
		.scale = 1,
		.title = "shm-paint",
	};
	while ((option = getopt_long(argc, argv, "", list, NULL)) >= 0) {
		if (!read_option(options, option, optarg)) {
			fputs(usage, stderr);
			return false;
		}
	}
	if (options->damage_width == 0) {
		options->damage_width = options->width;
		options->damage_height = options->height;
	}
	if (optind != argc || !sensible(options)) {
		fputs(usage, stderr);
		return false;
	}
	return true;
}
