/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe-primary.h"
#include "probe-xdg-shell.h"

static void handle_ping(void *data, struct xdg_wm_base *wm_base, uint32_t serial)
{
	(void)data;
	xdg_wm_base_pong(wm_base, serial);
}

static const struct xdg_wm_base_listener wm_base_listener = {.ping = handle_ping};

static void output_geometry(void *data, struct wl_output *output, int32_t x, int32_t y, int32_t w,
			    int32_t h, int32_t subpixel, const char *make, const char *model,
			    int32_t transform)
{
	(void)data;
	(void)output;
	(void)w;
	(void)h;
	(void)subpixel;
	(void)transform;
	say("output-geometry %d %d %s/%s", x, y, make, model);
}

static void output_mode(void *data, struct wl_output *output, uint32_t flags, int32_t width,
			int32_t height, int32_t refresh)
{
	(void)data;
	(void)output;
	(void)refresh;
	if (flags & WL_OUTPUT_MODE_CURRENT) {
		say("output-mode %d %d", width, height);
	}
}

static void output_done(void *data, struct wl_output *output)
{
	(void)data;
	(void)output;
	say("output-done");
}

static void output_scale(void *data, struct wl_output *output, int32_t factor)
{
	(void)data;
	(void)output;
	(void)factor;
}

static void output_name(void *data, struct wl_output *output, const char *name)
{
	(void)data;
	(void)output;
	say("output-name %s", name);
}

static void output_description(void *data, struct wl_output *output, const char *text)
{
	(void)data;
	(void)output;
	(void)text;
}

static const struct wl_output_listener output_listener = {
	.geometry = output_geometry,
	.mode = output_mode,
	.done = output_done,
	.scale = output_scale,
	.name = output_name,
	.description = output_description,
};

static void *bind_at_most(uint32_t name, const struct wl_interface *interface, uint32_t version,
			  uint32_t most)
{
	return wl_registry_bind(probe.registry, name, interface, version < most ? version : most);
}

static void handle_global(void *data, struct wl_registry *registry, uint32_t name,
			  const char *interface, uint32_t version)
{
	(void)data;
	(void)registry;
	say("global %u %s %u", name, interface, version);
	if (strcmp(interface, wl_compositor_interface.name) == 0) {
		probe.compositor = bind_at_most(name, &wl_compositor_interface, version, 4);
	} else if (strcmp(interface, wl_shm_interface.name) == 0) {
		probe.shm = bind_at_most(name, &wl_shm_interface, version, 1);
	} else if (strcmp(interface, xdg_wm_base_interface.name) == 0) {
		probe.wm_base = bind_at_most(name, &xdg_wm_base_interface, version, 1);
		xdg_wm_base_add_listener(probe.wm_base, &wm_base_listener, NULL);
	} else if (strcmp(interface, wl_data_device_manager_interface.name) == 0) {
		probe.data_manager =
			bind_at_most(name, &wl_data_device_manager_interface, version, 3);
	} else if (strcmp(interface, zwp_primary_selection_device_manager_v1_interface.name) == 0) {
		probe.primary_manager = bind_at_most(
			name, &zwp_primary_selection_device_manager_v1_interface, version, 1);
	} else if (strcmp(interface, wl_output_interface.name) == 0) {
		wl_output_add_listener(bind_at_most(name, &wl_output_interface, version, 4),
				       &output_listener, NULL);
	} else if (strcmp(interface, wl_seat_interface.name) == 0) {
		seat_use(bind_at_most(name, &wl_seat_interface, version, 7));
	}
}

static void handle_global_remove(void *data, struct wl_registry *registry, uint32_t name)
{
	(void)data;
	(void)registry;
	say("global-remove %u", name);
}

static const struct wl_registry_listener registry_listener = {
	.global = handle_global,
	.global_remove = handle_global_remove,
};

void probe_globals(void)
{
	probe.registry = wl_display_get_registry(probe.display);
	wl_registry_add_listener(probe.registry, &registry_listener, NULL);
}

static void handle_release(void *data, struct wl_buffer *buffer)
{
	(void)data;
	wl_buffer_destroy(buffer);
}

static const struct wl_buffer_listener buffer_listener = {.release = handle_release};

/* @ret_fd: NULL, or gets the pool's file; then the buffer is kept when released. */
static struct wl_buffer *paint_buffer(int *ret_fd)
{
	size_t pixels = (size_t)probe.width * (size_t)probe.height;
	int fd = memfd_create("probe", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)(pixels * 4)) < 0) {
		die("no memory for a buffer");
	}
	uint32_t *map = mmap(NULL, pixels * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		die("can't map a buffer");
	}
	for (size_t i = 0; i < pixels; i++) {
		map[i] = 0xff000000u | probe.color;
	}
	munmap(map, pixels * 4);
	struct wl_shm_pool *pool = wl_shm_create_pool(probe.shm, fd, (int32_t)(pixels * 4));
	struct wl_buffer *buffer = wl_shm_pool_create_buffer(
		pool, 0, probe.width, probe.height, probe.width * 4, WL_SHM_FORMAT_XRGB8888);
	wl_shm_pool_destroy(pool);
	if (ret_fd != NULL) {
		*ret_fd = fd;
		return buffer;
	}
	wl_buffer_add_listener(buffer, &buffer_listener, NULL);
	close(fd);
	return buffer;
}

static void handle_frame(void *data, struct wl_callback *callback, uint32_t time)
{
	(void)data;
	(void)time;
	wl_callback_destroy(callback);
	say("painted %06x", probe.color);
}

static const struct wl_callback_listener frame_listener = {.done = handle_frame};

static void commit_buffer(bool want_frame)
{
	wl_surface_attach(probe.surface, paint_buffer(NULL), 0, 0);
	wl_surface_damage_buffer(probe.surface, 0, 0, probe.width, probe.height);
	if (want_frame) {
		wl_callback_add_listener(wl_surface_frame(probe.surface), &frame_listener, NULL);
	}
	wl_surface_commit(probe.surface);
}

void window_recolor(uint32_t color)
{
	probe.color = color;
	if (!probe.mapped) {
		die("no window");
	}
	commit_buffer(true);
}

void window_shrink(void)
{
	int fd;
	struct wl_buffer *buffer = paint_buffer(&fd);
	for (int i = 0; i < 2; i++) {
		wl_surface_attach(probe.surface, buffer, 0, 0);
		wl_surface_damage_buffer(probe.surface, 0, 0, probe.width, probe.height);
		wl_callback_add_listener(wl_surface_frame(probe.surface), &frame_listener, NULL);
		wl_surface_commit(probe.surface);
		if (i == 0 && (wl_display_roundtrip(probe.display) < 0 || ftruncate(fd, 0) < 0)) {
			die("lost before the file was cut");
		}
	}
	close(fd);
	say("shrunk");
}

void window_close(void)
{
	xdg_toplevel_destroy(probe.toplevel);
	xdg_surface_destroy(probe.xdg_surface);
	wl_surface_destroy(probe.surface);
	probe.mapped = false;
}

static void handle_configure(void *data, struct xdg_surface *xdg_surface, uint32_t serial)
{
	(void)data;
	xdg_surface_ack_configure(xdg_surface, serial);
	commit_buffer(false);
	say("%s %d %d", probe.mapped ? "resized" : "mapped", probe.width, probe.height);
	probe.mapped = true;
}

static const struct xdg_surface_listener xdg_surface_listener = {.configure = handle_configure};

static void handle_toplevel(void *data, struct xdg_toplevel *toplevel, int32_t width,
			    int32_t height, struct wl_array *states)
{
	(void)data;
	(void)toplevel;
	(void)states;
	probe.width = width > 0 ? width : probe.width;
	probe.height = height > 0 ? height : probe.height;
}

static void handle_close(void *data, struct xdg_toplevel *toplevel)
{
	(void)data;
	(void)toplevel;
	say("close-asked");
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = handle_toplevel,
	.close = handle_close,
};

void window_open(void)
{
	if (!probe.compositor || !probe.shm || !probe.wm_base) {
		die("wl_compositor, wl_shm or xdg_wm_base is missing");
	}
	probe.width = 64;
	probe.height = 64;
	probe.surface = wl_compositor_create_surface(probe.compositor);
	probe.xdg_surface = xdg_wm_base_get_xdg_surface(probe.wm_base, probe.surface);
	xdg_surface_add_listener(probe.xdg_surface, &xdg_surface_listener, NULL);
	probe.toplevel = xdg_surface_get_toplevel(probe.xdg_surface);
	xdg_toplevel_add_listener(probe.toplevel, &toplevel_listener, NULL);
	xdg_toplevel_set_app_id(probe.toplevel, probe.app_id);
	xdg_toplevel_set_title(probe.toplevel, probe.app_id);
	wl_surface_commit(probe.surface);
}
