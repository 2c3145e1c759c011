// SPDX-License-Identifier: MIT
/*
 * A window drawn by the CPU into shared memory: what every Wayland program without a GPU does.
 *
 *   shm-paint --size 640x480
 *   shm-paint --size 3840x2160 --frames 10 --damage 100,100,64,64
 *
 * The steps, in the order of main():
 *   1. connect, and bind the compositor's globals (registry_global)
 *   2. make two buffers in one wl_shm pool (make_buffers): while the compositor reads one, we may
 *      draw in the other; its "release" event gives a buffer back
 *   3. give a wl_surface the role of a window (xdg_surface, xdg_toplevel) and wait for "configure"
 *   4. per frame: draw, attach, say what has changed (damage), commit (show_frame)
 *   5. after the last frame: stay until the window is closed or SIGTERM comes
 *
 * The picture depends on the options alone, so two runs can be compared byte for byte. Frame 1
 * covers the buffer; each further frame changes the damage rectangle only. "frame N" on stdout
 * says that the compositor has taken frame N.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <wayland-client.h>

#include "viewporter.h"
#include "xdg-shell.h"

/* One of the two pictures. */
struct buffer {
	struct wl_buffer *wl;
	uint32_t *pixels; /* XRGB8888, width * height of them; part of the mapped pool */
	bool busy;        /* the compositor may be reading it */
	bool painted;     /* frame 1's picture is in it */
};

static struct {
	int width, height;                 /* of the buffer, in pixels */
	int frames;
	int x, y, damage_width, damage_height; /* what frames after the first change; in pixels */
	int scale, transform;
	int view_width, view_height;       /* size on the screen; 0: the buffer's own */
	bool step;
	const char *title;
} options = { .width = 320, .height = 240, .frames = 1, .scale = 1, .title = "shm-paint" };

static struct {
	struct wl_display *display;
	struct wl_compositor *compositor;
	struct wl_shm *shm;
	struct xdg_wm_base *wm_base;
	struct wp_viewporter *viewporter; /* optional; NULL if the compositor has none */
	struct wl_surface *surface;
	struct buffer buffers[2];
	bool configured, closed;
} state;

static void fail(const char *what)
{
	fprintf(stderr, "shm-paint: %s\n", what);
	exit(1);
}

/* Handle events until a condition holds. */
static void dispatch_until(const bool *condition, bool value)
{
	while (*condition != value) {
		if (wl_display_dispatch(state.display) < 0) {
			fail("the connection to the compositor ended");
		}
	}
}

static void wm_base_ping(void *data, struct xdg_wm_base *wm_base, uint32_t serial)
{
	(void)data;
	xdg_wm_base_pong(wm_base, serial); /* or we count as hung */
}

static const struct xdg_wm_base_listener wm_base_listener = { .ping = wm_base_ping };

static void registry_global(void *data, struct wl_registry *registry, uint32_t name,
		const char *interface, uint32_t version)
{
	(void)data;
	(void)version;
	if (strcmp(interface, wl_compositor_interface.name) == 0) {
		/* version 4 has damage_buffer */
		state.compositor = wl_registry_bind(registry, name, &wl_compositor_interface, 4);
	} else if (strcmp(interface, wl_shm_interface.name) == 0) {
		state.shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
	} else if (strcmp(interface, wp_viewporter_interface.name) == 0) {
		state.viewporter = wl_registry_bind(registry, name, &wp_viewporter_interface, 1);
	} else if (strcmp(interface, xdg_wm_base_interface.name) == 0) {
		state.wm_base = wl_registry_bind(registry, name, &xdg_wm_base_interface, 1);
		xdg_wm_base_add_listener(state.wm_base, &wm_base_listener, NULL);
	}
}

static void registry_global_remove(void *data, struct wl_registry *registry, uint32_t name)
{
	(void)data;
	(void)registry;
	(void)name;
}

static const struct wl_registry_listener registry_listener = {
	.global = registry_global,
	.global_remove = registry_global_remove,
};

static void xdg_surface_configure(void *data, struct xdg_surface *xdg_surface, uint32_t serial)
{
	(void)data;
	xdg_surface_ack_configure(xdg_surface, serial);
	state.configured = true;
}

static const struct xdg_surface_listener xdg_surface_listener = {
	.configure = xdg_surface_configure,
};

static void toplevel_configure(void *data, struct xdg_toplevel *toplevel, int32_t width,
		int32_t height, struct wl_array *states)
{
	/* The compositor suggests a size. A real program follows; ours is as the options say. */
	(void)data;
	(void)toplevel;
	(void)width;
	(void)height;
	(void)states;
}

static void toplevel_close(void *data, struct xdg_toplevel *toplevel)
{
	(void)data;
	(void)toplevel;
	state.closed = true;
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = toplevel_configure,
	.close = toplevel_close,
};

static void buffer_release(void *data, struct wl_buffer *wl)
{
	struct buffer *buffer = data;

	(void)wl;
	buffer->busy = false;
}

static const struct wl_buffer_listener buffer_listener = { .release = buffer_release };

/* Two buffers in one pool. The pool's memory is a memfd, which the compositor maps as well. */
static void make_buffers(void)
{
	const size_t size = (size_t)options.width * (size_t)options.height * 4;
	struct wl_shm_pool *pool;
	char *memory;
	int fd;

	fd = memfd_create("shm-paint", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)(2 * size)) < 0) {
		fail(strerror(errno));
	}
	memory = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		fail(strerror(errno));
	}
	pool = wl_shm_create_pool(state.shm, fd, (int32_t)(2 * size));
	for (size_t i = 0; i < 2; i++) {
		struct buffer *buffer = &state.buffers[i];

		buffer->pixels = (uint32_t *)(void *)(memory + i * size);
		buffer->wl = wl_shm_pool_create_buffer(pool, (int32_t)(i * size), options.width,
			options.height, options.width * 4, WL_SHM_FORMAT_XRGB8888);
		wl_buffer_add_listener(buffer->wl, &buffer_listener, buffer);
	}
	wl_shm_pool_destroy(pool); /* the buffers keep the memory */
	close(fd);
}

/* Every pixel differs from its neighbours, so a shifted, stale or torn row shows up. */
static void paint(struct buffer *buffer, int frame, int x, int y, int width, int height)
{
	for (int row = y; row < y + height; row++) {
		uint32_t *line = buffer->pixels + (size_t)row * (size_t)options.width;

		for (int column = x; column < x + width; column++) {
			uint32_t red = (uint32_t)(column * 255 / options.width);
			uint32_t green = (uint32_t)(row * 255 / options.height);
			uint32_t blue = (uint32_t)((column ^ row) + frame * 40) & 0xff;

			line[column] = red << 16 | green << 8 | blue;
		}
	}
}

static void show_frame(int frame)
{
	struct buffer *buffer = &state.buffers[frame % 2];

	dispatch_until(&buffer->busy, false);
	if (!buffer->painted) {
		paint(buffer, 1, 0, 0, options.width, options.height);
		buffer->painted = true;
	}
	wl_surface_attach(state.surface, buffer->wl, 0, 0);
	if (frame == 1) {
		wl_surface_damage_buffer(state.surface, 0, 0, options.width, options.height);
	} else {
		paint(buffer, frame, options.x, options.y, options.damage_width,
			options.damage_height);
		wl_surface_damage_buffer(state.surface, options.x, options.y,
			options.damage_width, options.damage_height);
	}
	buffer->busy = true;
	wl_surface_commit(state.surface);
	/* Requests are handled in order: the answer to a sync comes after the commit took place. */
	if (wl_display_roundtrip(state.display) < 0) {
		fail("the compositor ended the connection");
	}
	printf("frame %d\n", frame);
	fflush(stdout);
}

static void make_window(void)
{
	struct xdg_surface *xdg_surface;
	struct xdg_toplevel *toplevel;

	state.surface = wl_compositor_create_surface(state.compositor);
	xdg_surface = xdg_wm_base_get_xdg_surface(state.wm_base, state.surface);
	xdg_surface_add_listener(xdg_surface, &xdg_surface_listener, NULL);
	toplevel = xdg_surface_get_toplevel(xdg_surface);
	xdg_toplevel_add_listener(toplevel, &toplevel_listener, NULL);
	xdg_toplevel_set_title(toplevel, options.title);
	xdg_toplevel_set_app_id(toplevel, "causeway.example.shm-paint");
	wl_surface_set_buffer_scale(state.surface, options.scale);
	wl_surface_set_buffer_transform(state.surface, options.transform);
	if (options.view_width > 0) {
		if (state.viewporter == NULL) {
			fail("--viewport: this compositor has no wp_viewporter");
		}
		wp_viewport_set_destination(
			wp_viewporter_get_viewport(state.viewporter, state.surface),
			options.view_width, options.view_height);
	}
	wl_surface_commit(state.surface); /* no buffer yet: asks for the first configure */
	dispatch_until(&state.configured, true);
}

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

static bool read_option(int option, const char *text)
{
	char end;

	switch (option) {
	case 's':
		return sscanf(text, "%dx%d%c", &options.width, &options.height, &end) == 2;
	case 'f':
		return sscanf(text, "%d%c", &options.frames, &end) == 1;
	case 'd':
		return sscanf(text, "%d,%d,%d,%d%c", &options.x, &options.y,
			&options.damage_width, &options.damage_height, &end) == 4;
	case 'c':
		return sscanf(text, "%d%c", &options.scale, &end) == 1;
	case 't':
		return sscanf(text, "%d%c", &options.transform, &end) == 1;
	case 'v':
		return sscanf(text, "%dx%d%c", &options.view_width, &options.view_height,
			&end) == 2;
	case 'T':
		options.title = text;
		return true;
	case 'p':
		options.step = true;
		return true;
	default:
		return false;
	}
}

static bool sensible(void)
{
	const int most = 8192; /* two such buffers still fit a pool, whose size is an int32 */

	return options.width >= 1 && options.width <= most && options.height >= 1 &&
		options.height <= most && options.x >= 0 && options.x < options.width &&
		options.y >= 0 && options.y < options.height && options.damage_width >= 1 &&
		options.damage_width <= options.width - options.x && options.damage_height >= 1 &&
		options.damage_height <= options.height - options.y;
}

static void parse_options(int argc, char **argv)
{
	static const struct option list[] = {
		{ "size", required_argument, NULL, 's' },
		{ "frames", required_argument, NULL, 'f' },
		{ "damage", required_argument, NULL, 'd' },
		{ "step", no_argument, NULL, 'p' },
		{ "scale", required_argument, NULL, 'c' },
		{ "transform", required_argument, NULL, 't' },
		{ "viewport", required_argument, NULL, 'v' },
		{ "title", required_argument, NULL, 'T' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", list, NULL)) >= 0) {
		if (!read_option(option, optarg)) {
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (options.damage_width == 0) {
		options.damage_width = options.width;
		options.damage_height = options.height;
	}
	if (!sensible() || optind != argc) {
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	state.display = wl_display_connect(NULL);
	if (state.display == NULL) {
		fail("no compositor: is WAYLAND_DISPLAY set?");
	}
	wl_registry_add_listener(wl_display_get_registry(state.display), &registry_listener, NULL);
	wl_display_roundtrip(state.display); /* all globals are announced now */
	if (state.compositor == NULL || state.shm == NULL || state.wm_base == NULL) {
		fail("this compositor lacks wl_compositor, wl_shm or xdg_wm_base");
	}
	make_buffers();
	make_window();
	for (int frame = 1; frame <= options.frames && !state.closed; frame++) {
		if (options.step && frame > 1 && getchar() == EOF) {
			break;
		}
		show_frame(frame);
	}
	dispatch_until(&state.closed, true);
	wl_display_disconnect(state.display);
	return 0;
}
