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
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <wayland-client.h>

#include "shm-paint-options.h"
#include "viewporter.h"
#include "xdg-shell.h"

/* One of the two pictures. */
struct buffer {
	struct wl_buffer *wl;
	uint32_t *pixels; /* XRGB8888, width * height of them; part of the mapped pool */
	bool busy;	  /* the compositor may be reading it */
	bool painted;	  /* frame 1's picture is in it */
};

static struct paint_options options;

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

static const struct xdg_wm_base_listener wm_base_listener = {.ping = wm_base_ping};

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
	/* What we use stays. A listener needs every handler all the same: NULL would be called. */
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

static const struct wl_buffer_listener buffer_listener = {.release = buffer_release};

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

		/* Pages are aligned. NOLINTNEXTLINE(bugprone-casting-through-void) */
		buffer->pixels = (uint32_t *)(void *)(memory + i * size);
		buffer->wl = wl_shm_pool_create_buffer(pool, (int32_t)(i * size), options.width,
						       options.height, options.width * 4,
						       WL_SHM_FORMAT_XRGB8888);
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
		wl_surface_damage_buffer(state.surface, options.x, options.y, options.damage_width,
					 options.damage_height);
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

int main(int argc, char **argv)
{
	if (!paint_parse_options(&options, argc, argv)) {
		return 2;
	}
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
