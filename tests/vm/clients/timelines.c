/* SPDX-License-Identifier: MIT
 *
 * timelines late|never|shm|no-acquire|invalid
 *
 * A window of one colour whose dma-bufs have points on timelines of the virtio-gpu. It shows red, whose
 * point is signalled before, says "red", and commits green, whose point is not ("committed").
 * late: a line on stdin signals it ("signalled"); then it waits until red is released ("released").
 * never: it is not; the program ends with its stdin. The others are errors: "error INTERFACE CODE".
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <wayland-client.h>

#include "../../integration/clients/dmabuf-memory.h"
#include "node.h"
#include "probe-drm-syncobj.h"
#include "probe-linux-dmabuf.h"
#include "probe-xdg-shell.h"

#define SIZE 200
#define RELEASE_SECONDS 60

static struct {
	struct wl_display *display;
	struct wl_compositor *compositor;
	struct wl_shm *shm;
	struct zwp_linux_dmabuf_v1 *dmabuf;
	struct xdg_wm_base *wm_base;
	struct wp_linux_drm_syncobj_manager_v1 *manager;
	struct wl_surface *surface;
	struct wp_linux_drm_syncobj_surface_v1 *sync;
	struct wp_linux_drm_syncobj_timeline_v1 *acquire, *release;
	uint32_t acquire_handle, release_handle;
	int node;
	int configured;
} state;

static void say(const char *text)
{
	puts(text);
	fflush(stdout);
}

static void round_trip(void)
{
	const struct wl_interface *interface = NULL;
	if (wl_display_roundtrip(state.display) >= 0) {
		return;
	}
	uint32_t code = wl_display_get_protocol_error(state.display, &interface, NULL);
	printf("error %s %u\n", interface ? interface->name : "none", code);
	exit(0);
}

static void handle_configure(void *data, struct xdg_surface *xdg_surface, uint32_t serial)
{
	(void)data;
	xdg_surface_ack_configure(xdg_surface, serial);
	state.configured = 1;
}

static const struct xdg_surface_listener xdg_surface_listener = {.configure = handle_configure};

static void handle_global(void *data, struct wl_registry *registry, uint32_t name,
			  const char *interface, uint32_t version)
{
	(void)data;
	(void)version;
	if (strcmp(interface, wl_compositor_interface.name) == 0) {
		state.compositor = wl_registry_bind(registry, name, &wl_compositor_interface, 4);
	} else if (strcmp(interface, wl_shm_interface.name) == 0) {
		state.shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
	} else if (strcmp(interface, zwp_linux_dmabuf_v1_interface.name) == 0) {
		state.dmabuf = wl_registry_bind(registry, name, &zwp_linux_dmabuf_v1_interface, 3);
	} else if (strcmp(interface, xdg_wm_base_interface.name) == 0) {
		state.wm_base = wl_registry_bind(registry, name, &xdg_wm_base_interface, 1);
	} else if (strcmp(interface, wp_linux_drm_syncobj_manager_v1_interface.name) == 0) {
		state.manager = wl_registry_bind(registry, name,
						 &wp_linux_drm_syncobj_manager_v1_interface, 1);
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

static void connect_display(void)
{
	state.display = wl_display_connect(NULL);
	if (state.display == NULL) {
		die("no compositor");
	}
	struct wl_registry *registry = wl_display_get_registry(state.display);
	wl_registry_add_listener(registry, &registry_listener, NULL);
	round_trip();
	if (state.compositor == NULL || state.shm == NULL || state.dmabuf == NULL ||
	    state.wm_base == NULL || state.manager == NULL) {
		die("a global is missing: %s", state.manager == NULL ? "timelines" : "another");
	}
}

static void make_window(void)
{
	state.surface = wl_compositor_create_surface(state.compositor);
	struct xdg_surface *xdg_surface = xdg_wm_base_get_xdg_surface(state.wm_base, state.surface);
	xdg_surface_add_listener(xdg_surface, &xdg_surface_listener, NULL);
	xdg_surface_get_toplevel(xdg_surface);
	wl_surface_commit(state.surface);
	while (!state.configured) {
		round_trip();
	}
	state.sync = wp_linux_drm_syncobj_manager_v1_get_surface(state.manager, state.surface);
}

static struct wp_linux_drm_syncobj_timeline_v1 *make_timeline(uint32_t *ret_handle)
{
	int fd;
	if (drmSyncobjCreate(state.node, 0, ret_handle) != 0 ||
	    drmSyncobjHandleToFD(state.node, *ret_handle, &fd) != 0) {
		die("a timeline can't be made");
	}
	struct wp_linux_drm_syncobj_timeline_v1 *timeline =
		wp_linux_drm_syncobj_manager_v1_import_timeline(state.manager, fd);
	close(fd);
	return timeline;
}

static struct wl_buffer *make_buffer(uint32_t color)
{
	struct memory memory = memory_make("virtgpu", SIZE * SIZE * 4);
	for (int i = 0; i < SIZE * SIZE; i++) {
		memory.pixels[i] = color;
	}
	struct zwp_linux_buffer_params_v1 *params = zwp_linux_dmabuf_v1_create_params(state.dmabuf);
	zwp_linux_buffer_params_v1_add(params, memory.fd, 0, 0, SIZE * 4, 0, 0);
	struct wl_buffer *buffer =
		zwp_linux_buffer_params_v1_create_immed(params, SIZE, SIZE, NODE_FOURCC_XR24, 0);
	zwp_linux_buffer_params_v1_destroy(params);
	return buffer;
}

static struct wl_buffer *make_shm_buffer(void)
{
	struct memory memory = memory_make("memfd", SIZE * SIZE * 4);
	struct wl_shm_pool *pool = wl_shm_create_pool(state.shm, memory.fd, SIZE * SIZE * 4);
	return wl_shm_pool_create_buffer(pool, 0, SIZE, SIZE, SIZE * 4, WL_SHM_FORMAT_XRGB8888);
}

static void signal_point(uint64_t point)
{
	if (drmSyncobjTimelineSignal(state.node, &state.acquire_handle, &point, 1) != 0) {
		die("a point can't be signalled");
	}
}

static void commit(struct wl_buffer *buffer, uint32_t point)
{
	wl_surface_attach(state.surface, buffer, 0, 0);
	wl_surface_damage_buffer(state.surface, 0, 0, SIZE, SIZE);
	if (point > 0) {
		wp_linux_drm_syncobj_surface_v1_set_acquire_point(state.sync, state.acquire, 0,
								  point);
	}
	wp_linux_drm_syncobj_surface_v1_set_release_point(state.sync, state.release, 0,
							  point > 0 ? point : 1);
	wl_surface_commit(state.surface);
}

static void wait_release(void)
{
	struct timespec now;
	uint64_t point = 1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	int64_t deadline = (now.tv_sec + RELEASE_SECONDS) * 1000000000ll;
	if (drmSyncobjTimelineWait(state.node, &state.release_handle, &point, 1, deadline,
				   DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, NULL) != 0) {
		die("the first frame was not released within %d s", RELEASE_SECONDS);
	}
}

static void be_wrong(const char *how)
{
	if (strcmp(how, "invalid") == 0) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		wp_linux_drm_syncobj_manager_v1_import_timeline(state.manager, fd);
	} else if (strcmp(how, "shm") == 0) {
		commit(make_shm_buffer(), 1);
	} else {
		commit(make_buffer(0), 0);
	}
	round_trip();
	die("that was no error");
}

int main(int argc, char **argv)
{
	char line[16];
	if (argc != 2) {
		die("usage: timelines late|never|shm|no-acquire|invalid");
	}
	const char *how = argv[1];
	connect_display();
	make_window();
	state.node = node_open();
	state.acquire = make_timeline(&state.acquire_handle);
	state.release = make_timeline(&state.release_handle);
	if (strcmp(how, "late") != 0 && strcmp(how, "never") != 0) {
		be_wrong(how);
	}
	struct wl_buffer *red = make_buffer(0xff0000), *green = make_buffer(0x00ff00);
	signal_point(1);
	commit(red, 1);
	round_trip();
	say("red");
	if (fgets(line, sizeof(line), stdin) == NULL) {
		return 0;
	}
	commit(green, 2);
	wl_display_flush(state.display);
	say("committed");
	if (fgets(line, sizeof(line), stdin) == NULL || strcmp(how, "never") == 0) {
		return 0;
	}
	signal_point(2);
	say("signalled");
	wait_release();
	say("released");
	(void)fgets(line, sizeof(line), stdin);
	return 0;
}
