/* SPDX-License-Identifier: MIT
 *
 * dmabuf-paint MEMORY REQUEST VERSION [OPTIONS of shm-paint]
 *
 * Shows the same pictures as examples/shm-paint, but through zwp_linux_dmabuf_v1 of that version.
 * MEMORY: a kind of dmabuf-memory.h. REQUEST: create, immed; or "look", which shows nothing and says
 * what is offered. On stdout: "frame N" as shm-paint; "failed" if the buffer was refused;
 * with look "modifier FORMAT MODIFIER", "main MAJOR:MINOR", "tranche MAJOR:MINOR", "row FORMAT MODIFIER",
 * and at the end "node MAJOR:MINOR" (of a virtio-gpu, if there is one) and "looked".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <wayland-client.h>

#include "../../../examples/shm-paint-options.h"
#include "dmabuf-memory.h"
#include "probe-linux-dmabuf.h"
#include "probe-xdg-shell.h"

#define XRGB8888 0x34325258u

struct buffer {
	struct memory memory;
	struct wl_buffer *wl;
	bool busy, painted;
};

/** A row of the format table. Source: linux-dmabuf-v1.xml, format_table. */
struct row {
	uint32_t format, pad;
	uint64_t modifier;
};

static struct paint_options options;
static const char *memory_kind, *how;
static uint32_t wanted_version;

static struct {
	struct wl_display *display;
	struct wl_compositor *compositor;
	struct zwp_linux_dmabuf_v1 *dmabuf;
	struct xdg_wm_base *wm_base;
	struct wl_surface *surface;
	struct buffer buffers[2];
	struct row *table;
	size_t table_bytes;
	bool configured, closed, failed, feedback_done;
} state;

static void fail(const char *what)
{
	fprintf(stderr, "dmabuf-paint: %s\n", what);
	exit(1);
}

static void dispatch_until(const bool *condition, bool value)
{
	while (*condition != value) {
		if (wl_display_dispatch(state.display) < 0) {
			fail("the connection to the compositor ended");
		}
	}
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* --- what is offered --- */

static void handle_format(void *data, struct zwp_linux_dmabuf_v1 *dmabuf, uint32_t format)
{
	(void)data;
	(void)dmabuf;
	(void)format;
}

static void handle_modifier(void *data, struct zwp_linux_dmabuf_v1 *dmabuf, uint32_t format,
			    uint32_t hi, uint32_t lo)
{
	(void)data;
	(void)dmabuf;
	if (strcmp(how, "look") == 0) {
		say("modifier %.4s %" PRIx64, (char *)&format, (uint64_t)hi << 32 | lo);
	}
}

static const struct zwp_linux_dmabuf_v1_listener dmabuf_listener = {
	.format = handle_format,
	.modifier = handle_modifier,
};

static void handle_done(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback)
{
	(void)data;
	(void)feedback;
	state.feedback_done = true;
}

static void handle_format_table(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback, int fd,
				uint32_t size)
{
	(void)data;
	(void)feedback;
	state.table = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	state.table_bytes = size;
	close(fd);
	if (state.table == MAP_FAILED) {
		fail("the format table can't be mapped");
	}
}

static void say_device(const char *what, const struct wl_array *device)
{
	dev_t number;
	if (device->size != sizeof(number)) {
		fail("a device of a strange size");
	}
	memcpy(&number, device->data, sizeof(number));
	say("%s %u:%u", what, major(number), minor(number));
}

static void handle_main_device(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback,
			       struct wl_array *device)
{
	(void)data;
	(void)feedback;
	say_device("main", device);
}

static void handle_tranche_done(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback)
{
	(void)data;
	(void)feedback;
}

static void handle_tranche_target(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback,
				  struct wl_array *device)
{
	(void)data;
	(void)feedback;
	say_device("tranche", device);
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
		say("row %.4s %" PRIx64, (char *)&state.table[*index].format,
		    state.table[*index].modifier);
	}
}

static void handle_tranche_flags(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback,
				 uint32_t flags)
{
	(void)data;
	(void)feedback;
	(void)flags;
}

static const struct zwp_linux_dmabuf_feedback_v1_listener feedback_listener = {
	.done = handle_done,
	.format_table = handle_format_table,
	.main_device = handle_main_device,
	.tranche_done = handle_tranche_done,
	.tranche_target_device = handle_tranche_target,
	.tranche_formats = handle_tranche_formats,
	.tranche_flags = handle_tranche_flags,
};

static int look(void)
{
	if (wanted_version >= ZWP_LINUX_DMABUF_V1_GET_DEFAULT_FEEDBACK_SINCE_VERSION) {
		struct zwp_linux_dmabuf_feedback_v1 *feedback =
			zwp_linux_dmabuf_v1_get_default_feedback(state.dmabuf);
		zwp_linux_dmabuf_feedback_v1_add_listener(feedback, &feedback_listener, NULL);
	}
	/* The answer comes before that to a sync. */
	if (wl_display_roundtrip(state.display) < 0) {
		fail("the compositor ended the connection");
	}
	if (strcmp(memory_kind, "virtgpu") == 0) {
		dev_t node = (dev_t)memory_render_node();
		say("node %u:%u", major(node), minor(node));
	}
	say("looked");
	return 0;
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
	} else if (strcmp(interface, zwp_linux_dmabuf_v1_interface.name) == 0 &&
		   version >= wanted_version) {
		state.dmabuf = wl_registry_bind(registry, name, &zwp_linux_dmabuf_v1_interface,
						wanted_version);
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
	state.closed = true;
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = handle_toplevel,
	.close = handle_close,
};

static void make_window(void)
{
	state.surface = wl_compositor_create_surface(state.compositor);
	struct xdg_surface *xdg_surface = xdg_wm_base_get_xdg_surface(state.wm_base, state.surface);
	xdg_surface_add_listener(xdg_surface, &xdg_surface_listener, NULL);
	struct xdg_toplevel *toplevel = xdg_surface_get_toplevel(xdg_surface);
	xdg_toplevel_add_listener(toplevel, &toplevel_listener, NULL);
	xdg_toplevel_set_title(toplevel, options.title);
	wl_surface_commit(state.surface);
	dispatch_until(&state.configured, true);
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
	uint32_t width = (uint32_t)options.width, height = (uint32_t)options.height;
	buffer->memory = memory_make(memory_kind, (size_t)width * height * 4);
	struct zwp_linux_buffer_params_v1 *params = zwp_linux_dmabuf_v1_create_params(state.dmabuf);
	zwp_linux_buffer_params_v1_add_listener(params, &params_listener, buffer);
	zwp_linux_buffer_params_v1_add(params, buffer->memory.fd, 0, 0, width * 4, 0, 0);
	if (strcmp(how, "immed") == 0) {
		buffer->wl = zwp_linux_buffer_params_v1_create_immed(params, options.width,
								     options.height, XRGB8888, 0);
	} else {
		zwp_linux_buffer_params_v1_create(params, options.width, options.height, XRGB8888,
						  0);
		while (buffer->wl == NULL && !state.failed) {
			if (wl_display_dispatch(state.display) < 0) {
				fail("the compositor ended the connection");
			}
		}
	}
	zwp_linux_buffer_params_v1_destroy(params);
	if (buffer->wl != NULL) {
		wl_buffer_add_listener(buffer->wl, &buffer_listener, buffer);
	}
}

/* As shm-paint's. */
static void paint(struct buffer *buffer, int frame, int x, int y, int width, int height)
{
	for (int row = y; row < y + height; row++) {
		uint32_t *line = buffer->memory.pixels + (size_t)row * (size_t)options.width;
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
	if (wl_display_roundtrip(state.display) < 0) {
		fail("the compositor ended the connection");
	}
	say("frame %d", frame);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fail("usage: dmabuf-paint MEMORY REQUEST VERSION [OPTIONS of shm-paint]");
	}
	memory_kind = argv[1];
	how = argv[2];
	wanted_version = (uint32_t)strtoul(argv[3], NULL, 10);
	if (!paint_parse_options(&options, argc - 3, argv + 3)) {
		return 2;
	}
	state.display = wl_display_connect(NULL);
	if (state.display == NULL) {
		fail("no compositor");
	}
	wl_registry_add_listener(wl_display_get_registry(state.display), &registry_listener, NULL);
	wl_display_roundtrip(state.display);
	if (state.compositor == NULL || state.dmabuf == NULL || state.wm_base == NULL) {
		fail("this compositor lacks wl_compositor, zwp_linux_dmabuf_v1 or xdg_wm_base");
	}
	if (strcmp(how, "look") == 0) {
		return look();
	}
	make_buffer(&state.buffers[0]);
	make_buffer(&state.buffers[1]);
	if (state.failed) {
		say("failed");
		return 0;
	}
	make_window();
	for (int frame = 1; frame <= options.frames && !state.closed; frame++) {
		if (options.step && frame > 1 && getchar() == EOF) {
			break;
		}
		show_frame(frame);
	}
	dispatch_until(&state.closed, true);
	return 0;
}
