/* SPDX-License-Identifier: MIT
 *
 * vdrm WIDTH HEIGHT FRAMES [early]
 *
 * Shows images that a native context of the test double's GPU has drawn, and the CPU; in the modifier that
 * the compositor offers: tiles before rows. On stdout: "capset BYTES", "modifier HEX", "frame N" for each frame
 * that was shown, then waits for a line on stdin, ends the window and says "end".
 *
 * Frame N, from 1 on: pixel x, y is red x, green y, blue x xor y (their low bytes); but from 16,16 on there is
 * a rectangle of half the width and height with the color N * 0x203010. Two queues of the GPU draw there,
 * and the one that was asked first is the last to get its turn. With "early" it gets that only after the frame was
 * committed, and nobody has shown the frame for a while.
 */
#include <drm/drm_fourcc.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <wayland-client.h>

#include "probe-linux-dmabuf.h"
#include "probe-xdg-shell.h"
#include "vdrm-node.h"

#define N_BUFFERS 2u
#define INSET 16u
#define QUIET_MS 500

/* A row of the format table. Source: linux-dmabuf-v1.xml, format_table. */
struct row {
	uint32_t format, pad;
	uint64_t modifier;
};

struct buffer {
	struct vdrm_image image;
	struct wl_buffer *wl;
	bool busy;
};

static struct {
	struct vdrm vdrm;
	uint32_t width, height, n_frames;
	struct wl_display *display;
	struct wl_compositor *compositor;
	struct zwp_linux_dmabuf_v1 *dmabuf;
	struct xdg_wm_base *wm_base;
	struct xdg_surface *xdg_surface;
	struct xdg_toplevel *toplevel;
	struct wl_surface *surface;
	struct row *table;
	size_t table_bytes;
	bool has_tiled, has_linear, configured, framed, failed, early;
	struct buffer buffers[N_BUFFERS];
} state;

static void fail(const char *what)
{
	errno = EPROTO;
	die("%s", what);
}

static void dispatch(void)
{
	if (wl_display_dispatch(state.display) < 0) {
		die("the connection to the compositor has ended");
	}
}

static void say(const char *what, uint64_t value, bool hex)
{
	printf(hex ? "%s %" PRIx64 "\n" : "%s %" PRIu64 "\n", what, value);
	fflush(stdout);
}

/* --- what the compositor takes --- */

static void add_row(uint32_t format, uint64_t modifier)
{
	if (format == DRM_FORMAT_XRGB8888) {
		state.has_tiled |= modifier == state.vdrm.caps.modifier;
		state.has_linear |= modifier == DRM_FORMAT_MOD_LINEAR;
	}
}

static void ignore_format(void *data, struct zwp_linux_dmabuf_v1 *dmabuf, uint32_t format)
{
	(void)data;
	(void)dmabuf;
	(void)format;
}

/* Before version 4. */
static void handle_modifier(void *data, struct zwp_linux_dmabuf_v1 *dmabuf, uint32_t format,
			    uint32_t hi, uint32_t lo)
{
	(void)data;
	(void)dmabuf;
	add_row(format, (uint64_t)hi << 32 | lo);
}

static const struct zwp_linux_dmabuf_v1_listener dmabuf_listener = {
	.format = ignore_format,
	.modifier = handle_modifier,
};

static void handle_format_table(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback, int fd,
				uint32_t size)
{
	(void)data;
	(void)feedback;
	state.table = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	state.table_bytes = size;
	close(fd);
	if (state.table == MAP_FAILED) {
		die("the format table");
	}
}

static void handle_tranche_formats(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback,
				   struct wl_array *indices)
{
	const uint16_t *index;
	(void)data;
	(void)feedback;
	wl_array_for_each (index, indices) {
		if (state.table == NULL || (*index + 1u) * sizeof(struct row) > state.table_bytes) {
			fail("a row that the table does not have");
		}
		add_row(state.table[*index].format, state.table[*index].modifier);
	}
}

static void ignore_feedback(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback)
{
	(void)data;
	(void)feedback;
}

static void ignore_device(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback,
			  struct wl_array *device)
{
	(void)data;
	(void)feedback;
	(void)device;
}

static void ignore_flags(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback, uint32_t flags)
{
	(void)data;
	(void)feedback;
	(void)flags;
}

static const struct zwp_linux_dmabuf_feedback_v1_listener feedback_listener = {
	.done = ignore_feedback,
	.format_table = handle_format_table,
	.main_device = ignore_device,
	.tranche_done = ignore_feedback,
	.tranche_target_device = ignore_device,
	.tranche_formats = handle_tranche_formats,
	.tranche_flags = ignore_flags,
};

/* The answer comes before that to a sync. */
static void choose_modifier(void)
{
	if (zwp_linux_dmabuf_v1_get_version(state.dmabuf) >= 4) {
		struct zwp_linux_dmabuf_feedback_v1 *feedback =
			zwp_linux_dmabuf_v1_get_default_feedback(state.dmabuf);
		zwp_linux_dmabuf_feedback_v1_add_listener(feedback, &feedback_listener, NULL);
		wl_display_roundtrip(state.display);
		zwp_linux_dmabuf_feedback_v1_destroy(feedback);
	} else {
		wl_display_roundtrip(state.display);
	}
	if (!state.has_tiled && !state.has_linear) {
		fail("the compositor takes neither tiles nor rows of XR24");
	}
	say("modifier", state.has_tiled ? state.vdrm.caps.modifier : DRM_FORMAT_MOD_LINEAR, true);
}

/* --- the window --- */

static void handle_ping(void *data, struct xdg_wm_base *wm_base, uint32_t serial)
{
	(void)data;
	xdg_wm_base_pong(wm_base, serial);
}

static const struct xdg_wm_base_listener wm_base_listener = {.ping = handle_ping};

static void handle_global(void *data, struct wl_registry *registry, uint32_t name,
			  const char *interface, uint32_t version)
{
	(void)data;
	if (strcmp(interface, wl_compositor_interface.name) == 0) {
		state.compositor = wl_registry_bind(registry, name, &wl_compositor_interface, 4);
	} else if (strcmp(interface, zwp_linux_dmabuf_v1_interface.name) == 0 && version >= 3) {
		state.dmabuf = wl_registry_bind(registry, name, &zwp_linux_dmabuf_v1_interface,
						version < 4 ? version : 4);
		zwp_linux_dmabuf_v1_add_listener(state.dmabuf, &dmabuf_listener, NULL);
	} else if (strcmp(interface, xdg_wm_base_interface.name) == 0) {
		state.wm_base = wl_registry_bind(registry, name, &xdg_wm_base_interface, 1);
		xdg_wm_base_add_listener(state.wm_base, &wm_base_listener, NULL);
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

static void handle_configure(void *data, struct xdg_surface *xdg_surface, uint32_t serial)
{
	(void)data;
	xdg_surface_ack_configure(xdg_surface, serial);
	state.configured = true;
}

static const struct xdg_surface_listener xdg_surface_listener = {.configure = handle_configure};

static void handle_toplevel(void *data, struct xdg_toplevel *toplevel, int32_t width,
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
	fail("the window was closed");
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = handle_toplevel,
	.close = handle_close,
};

static void connect_display(void)
{
	state.display = wl_display_connect(NULL);
	if (state.display == NULL) {
		die("no compositor");
	}
	struct wl_registry *registry = wl_display_get_registry(state.display);
	wl_registry_add_listener(registry, &registry_listener, NULL);
	wl_display_roundtrip(state.display);
	if (state.compositor == NULL || state.dmabuf == NULL || state.wm_base == NULL) {
		fail("no wl_compositor, xdg_wm_base or zwp_linux_dmabuf_v1 of version 3");
	}
}

static void make_window(void)
{
	state.surface = wl_compositor_create_surface(state.compositor);
	state.xdg_surface = xdg_wm_base_get_xdg_surface(state.wm_base, state.surface);
	xdg_surface_add_listener(state.xdg_surface, &xdg_surface_listener, NULL);
	state.toplevel = xdg_surface_get_toplevel(state.xdg_surface);
	xdg_toplevel_add_listener(state.toplevel, &toplevel_listener, NULL);
	xdg_toplevel_set_title(state.toplevel, "vdrm");
	wl_surface_commit(state.surface);
	while (!state.configured) {
		dispatch();
	}
}

/* --- buffers --- */

static void handle_release(void *data, struct wl_buffer *wl)
{
	(void)wl;
	((struct buffer *)data)->busy = false;
}

static const struct wl_buffer_listener buffer_listener = {.release = handle_release};

static void handle_created(void *data, struct zwp_linux_buffer_params_v1 *params,
			   struct wl_buffer *wl)
{
	(void)params;
	((struct buffer *)data)->wl = wl;
}

static void handle_failed(void *data, struct zwp_linux_buffer_params_v1 *params)
{
	(void)data;
	(void)params;
	state.failed = true;
}

static const struct zwp_linux_buffer_params_v1_listener params_listener = {
	.created = handle_created,
	.failed = handle_failed,
};

static void make_buffer(struct buffer *buffer)
{
	uint64_t modifier = state.has_tiled ? state.vdrm.caps.modifier : DRM_FORMAT_MOD_LINEAR;
	vdrm_make_image(&state.vdrm, state.width, state.height, state.has_tiled, &buffer->image);
	struct zwp_linux_buffer_params_v1 *params = zwp_linux_dmabuf_v1_create_params(state.dmabuf);
	zwp_linux_buffer_params_v1_add_listener(params, &params_listener, buffer);
	zwp_linux_buffer_params_v1_add(params, buffer->image.dmabuf_fd, 0, 0, buffer->image.stride,
				       (uint32_t)(modifier >> 32), (uint32_t)modifier);
	zwp_linux_buffer_params_v1_create(params, (int32_t)state.width, (int32_t)state.height,
					  DRM_FORMAT_XRGB8888, 0);
	while (buffer->wl == NULL && !state.failed) {
		dispatch();
	}
	zwp_linux_buffer_params_v1_destroy(params);
	close(buffer->image.dmabuf_fd);
	if (state.failed) {
		fail("the compositor has refused the buffer");
	}
	wl_buffer_add_listener(buffer->wl, &buffer_listener, buffer);
}

/* Returns the fence. */
static int fill(const struct vdrm_image *image, uint32_t ring, uint32_t gate, uint32_t color)
{
	struct crayon_fill command = {
		.res_id = image->object.res_id,
		.ring = ring,
		.gate = gate,
		.stride = image->stride,
		.x = INSET,
		.y = INSET,
		.w = image->width / 2,
		.h = image->height / 2,
		.color = color,
		.tiled = image->tiled,
	};
	return vdrm_draw(&state.vdrm, &command, CRAYON_FILL, sizeof(command), ring, image);
}

/* Returns the fence of what is not yet drawn: open_gate() has to be called. */
static int draw(const struct vdrm_image *image, uint32_t frame)
{
	for (uint32_t y = 0; y < image->height; y++) {
		for (uint32_t x = 0; x < image->width; x++) {
			uint32_t color = (x & 255) << 16 | (y & 255) << 8 | ((x ^ y) & 255);
			vdrm_set_pixel(image, x, y, color);
		}
	}
	int last = fill(image, 1, frame, frame * 0x203010);
	vdrm_wait(fill(image, 2, 0, 0xffffff), "the second queue");
	if (vdrm_is_done(last)) {
		fail("a fence that nothing has signalled");
	}
	return last;
}

static void open_gate(uint32_t frame, int last)
{
	struct crayon_gate gate = {.value = frame};
	vdrm_wait(vdrm_submit(&state.vdrm, &gate, CRAYON_GATE, sizeof(gate), 0), "the gate");
	vdrm_wait(last, "the first queue");
}

static void handle_frame(void *data, struct wl_callback *callback, uint32_t time)
{
	(void)data;
	(void)time;
	wl_callback_destroy(callback);
	state.framed = true;
}

static const struct wl_callback_listener frame_listener = {.done = handle_frame};

/* Nothing tells that something will not happen; a frame that comes later than this would be missed. */
static void expect_no_frame(void)
{
	struct timespec start, now;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		struct pollfd wait = {.fd = wl_display_get_fd(state.display), .events = POLLIN};
		wl_display_flush(state.display);
		if (poll(&wait, 1, QUIET_MS) == 1) {
			dispatch();
		}
		if (state.framed) {
			fail("a frame was shown that the GPU has not finished");
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
		 QUIET_MS);
}

static void show(uint32_t frame)
{
	struct buffer *buffer = &state.buffers[frame % N_BUFFERS];
	while (buffer->busy) {
		dispatch();
	}
	if (buffer->wl == NULL) {
		make_buffer(buffer);
	}
	int last = draw(&buffer->image, frame);
	if (!state.early) {
		open_gate(frame, last);
	}
	state.framed = false;
	wl_callback_add_listener(wl_surface_frame(state.surface), &frame_listener, NULL);
	wl_surface_attach(state.surface, buffer->wl, 0, 0);
	wl_surface_damage_buffer(state.surface, 0, 0, INT32_MAX, INT32_MAX);
	wl_surface_commit(state.surface);
	buffer->busy = true;
	if (state.early) {
		expect_no_frame();
		open_gate(frame, last);
	}
	while (!state.framed) {
		dispatch();
	}
	say("frame", frame, false);
}

/* All of it, one after another: what is left is somebody else's. */
static void end(void)
{
	xdg_toplevel_destroy(state.toplevel);
	xdg_surface_destroy(state.xdg_surface);
	wl_surface_destroy(state.surface);
	for (uint32_t i = 0; i < N_BUFFERS; i++) {
		if (state.buffers[i].wl != NULL) {
			wl_buffer_destroy(state.buffers[i].wl);
			node_free_object(state.vdrm.fd, &state.buffers[i].image.object);
		}
	}
	wl_display_roundtrip(state.display);
	wl_display_disconnect(state.display);
	node_free_object(state.vdrm.fd, &state.vdrm.shmem);
	close(state.vdrm.fd);
}

int main(int argc, char **argv)
{
	char line[16];
	state.width = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 256;
	state.height = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 192;
	state.n_frames = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1;
	state.early = argc > 4 && strcmp(argv[4], "early") == 0;
	vdrm_open(&state.vdrm);
	say("capset", sizeof(state.vdrm.capset), false);
	connect_display();
	choose_modifier();
	make_window();
	for (uint32_t frame = 1; frame <= state.n_frames; frame++) {
		show(frame);
	}
	(void)fgets(line, sizeof(line), stdin);
	end();
	puts("end");
	return 0;
}
