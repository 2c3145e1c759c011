/* SPDX-License-Identifier: MIT */
#include "window.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench-wlr-data-control-unstable-v1-client.h"
#include "bench-wlr-virtual-pointer-unstable-v1-client.h"

void die(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("bench-client: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void sync_display(struct session *session)
{
	if (wl_display_roundtrip(session->display) < 0) {
		die("connection lost: error %d", wl_display_get_error(session->display));
	}
}

static void handle_ping(void *data, struct xdg_wm_base *wm_base, uint32_t serial)
{
	(void)data;
	xdg_wm_base_pong(wm_base, serial);
}

static const struct xdg_wm_base_listener wm_base_listener = {.ping = handle_ping};

static void handle_global(void *data, struct wl_registry *registry, uint32_t name,
			  const char *interface, uint32_t version)
{
	struct session *s = data;
	const struct {
		const struct wl_interface *interface;
		uint32_t version;
		void **slot;
	} wanted[] = {
		{&wl_compositor_interface, 4, (void **)&s->compositor},
		{&wl_shm_interface, 1, (void **)&s->shm},
		{&xdg_wm_base_interface, 1, (void **)&s->wm_base},
		{&wl_seat_interface, 5, (void **)&s->seat},
		{&wl_data_device_manager_interface, 3, (void **)&s->data_devices},
		{&zwlr_virtual_pointer_manager_v1_interface, 1, (void **)&s->virtual_pointers},
		{&zwlr_data_control_manager_v1_interface, 1, (void **)&s->data_controls},
	};
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (strcmp(interface, wanted[i].interface->name) == 0 && *wanted[i].slot == NULL &&
		    version >= wanted[i].version) {
			*wanted[i].slot = wl_registry_bind(registry, name, wanted[i].interface,
							   wanted[i].version);
		}
	}
}

static void handle_global_remove(void *data, struct wl_registry *registry, uint32_t name)
{
	(void)data;
	(void)registry;
	(void)name;
}

static const struct wl_registry_listener registry_listener = {
	.global = handle_global,
	.global_remove = handle_global_remove,
};

void session_open(struct session *session, const char *display)
{
	*session = (struct session){.display = wl_display_connect(display)};
	if (session->display == NULL) {
		die("can't connect to %s", display ? display : "WAYLAND_DISPLAY");
	}
	session->registry = wl_display_get_registry(session->display);
	wl_registry_add_listener(session->registry, &registry_listener, session);
	sync_display(session);
	if (!session->compositor || !session->shm || !session->wm_base) {
		die("the compositor lacks wl_compositor, wl_shm or xdg_wm_base");
	}
	xdg_wm_base_add_listener(session->wm_base, &wm_base_listener, NULL);
}

void session_close(struct session *session)
{
	wl_display_disconnect(session->display);
}

static void handle_configure(void *data, struct xdg_surface *xdg_surface, uint32_t serial)
{
	struct window *window = data;
	xdg_surface_ack_configure(xdg_surface, serial);
	window->configured = true;
}

static const struct xdg_surface_listener xdg_surface_listener = {.configure = handle_configure};

static void handle_toplevel_configure(void *data, struct xdg_toplevel *toplevel, int32_t width,
				      int32_t height, struct wl_array *states)
{
	(void)data;
	(void)toplevel;
	(void)width;
	(void)height;
	(void)states;
}

static void handle_close(void *data, struct xdg_toplevel *toplevel)
{
	(void)data;
	(void)toplevel;
	die("the window was closed");
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = handle_toplevel_configure,
	.close = handle_close,
};

static void create_buffers(struct window *window)
{
	size_t size = (size_t)window->width * (size_t)window->height * 4;
	window->pool_bytes = 2 * size;
	int fd = memfd_create("bench", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)window->pool_bytes) < 0) {
		die("no memory for the window's buffers");
	}
	window->pixels[0] =
		mmap(NULL, window->pool_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (window->pixels[0] == MAP_FAILED) {
		die("can't map the window's buffers");
	}
	window->pixels[1] = window->pixels[0] + size;
	struct wl_shm_pool *pool =
		wl_shm_create_pool(window->session->shm, fd, (int32_t)window->pool_bytes);
	for (int i = 0; i < 2; i++) {
		window->buffers[i] = wl_shm_pool_create_buffer(
			pool, i * (int32_t)size, window->width, window->height, window->width * 4,
			WL_SHM_FORMAT_XRGB8888);
		memset(window->pixels[i], 0x40, size);
	}
	wl_shm_pool_destroy(pool);
	close(fd);
}

void window_open(struct window *window, struct session *session, int width, int height)
{
	*window = (struct window){.session = session, .width = width, .height = height};
	window->surface = wl_compositor_create_surface(session->compositor);
	window->xdg_surface = xdg_wm_base_get_xdg_surface(session->wm_base, window->surface);
	xdg_surface_add_listener(window->xdg_surface, &xdg_surface_listener, window);
	window->toplevel = xdg_surface_get_toplevel(window->xdg_surface);
	xdg_toplevel_add_listener(window->toplevel, &toplevel_listener, window);
	wl_surface_commit(window->surface);
	create_buffers(window);
	while (!window->configured) {
		if (wl_display_dispatch(session->display) < 0) {
			die("connection lost while waiting for the first configure");
		}
	}
	window_paint(window, true);
	window_commit(window, true);
	sync_display(session);
}

void window_close(struct window *window)
{
	wl_buffer_destroy(window->buffers[0]);
	wl_buffer_destroy(window->buffers[1]);
	xdg_toplevel_destroy(window->toplevel);
	xdg_surface_destroy(window->xdg_surface);
	wl_surface_destroy(window->surface);
	munmap(window->pixels[0], window->pool_bytes);
}

void window_paint(struct window *window, bool full)
{
	uint8_t *pixels = window->pixels[window->frame % 2];
	size_t stride = (size_t)window->width * 4;
	uint8_t shade = (uint8_t)(window->frame * 7);
	if (full) {
		memset(pixels, shade, stride * (size_t)window->height);
		return;
	}
	for (size_t row = 0; row < 64; row++) {
		memset(pixels + row * stride, shade, 64 * 4);
	}
}

void window_commit(struct window *window, bool full)
{
	wl_surface_damage_buffer(window->surface, 0, 0, full ? window->width : 64,
				 full ? window->height : 64);
	wl_surface_attach(window->surface, window->buffers[window->frame % 2], 0, 0);
	wl_surface_commit(window->surface);
	window->frame++;
}
