/* SPDX-License-Identifier: MIT
 *
 * tiles-compositor SOCKET FOLDER [linear]
 *
 * A compositor without a screen that takes dma-bufs in the tiles of a GPU that does not exist (crayon.h), or,
 * with linear, in rows, and nothing else. Each buffer that is shown becomes FOLDER/frame.ppm (a file is there as a whole); on stdout
 * "listening", "frame N WIDTHxHEIGHT modifier HEX", "window gone".
 */
#include <drm/drm_fourcc.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wayland-server.h>

#include "crayon.h"
#include "tiles-linux-dmabuf.h"
#include "tiles-xdg-shell.h"

/* A row of the format table. Source: linux-dmabuf-v1.xml, format_table. */
struct row {
	uint32_t format, pad;
	uint64_t modifier;
};

/** A buffer, or what is to become one. */
struct buffer {
	int fd;
	uint32_t offset, stride; /* bytes */
	uint64_t modifier;
	int32_t width, height;
};

struct surface {
	struct wl_resource *buffer; /* NULL: none */
	struct wl_resource *frame;  /* NULL: nobody asked */
	struct wl_resource *xdg;    /* NULL: no window */
	bool attached, configured;
};

/** Obeys a request: of a test's interfaces only the few that it needs are looked at. */
typedef void (*request_fn)(struct wl_resource *resource, uint32_t opcode, union wl_argument *args);

static const uint32_t formats[] = {DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888};
static bool tiled = true;
static const char *folder;
static unsigned n_frames;

static int handle_request(const void *fn, void *target, uint32_t opcode,
			  const struct wl_message *message, union wl_argument *args)
{
	(void)message;
	(*(const request_fn *)fn)(target, opcode, args);
	return 0;
}

static struct wl_resource *make(struct wl_client *client, const struct wl_interface *interface,
				uint32_t version, uint32_t id, const request_fn *fn, void *data,
				wl_resource_destroy_func_t destroyed)
{
	struct wl_resource *resource = wl_resource_create(client, interface, (int)version, id);
	if (resource == NULL) {
		abort();
	}
	wl_resource_set_dispatcher(resource, handle_request, fn, data, destroyed);
	return resource;
}

/* A child of a resource, of its client and version. */
static struct wl_resource *make_child(struct wl_resource *parent,
				      const struct wl_interface *interface, uint32_t id,
				      const request_fn *fn, void *data,
				      wl_resource_destroy_func_t destroyed)
{
	uint32_t version = (uint32_t)wl_resource_get_version(parent);
	version = version < (uint32_t)interface->version ? version : (uint32_t)interface->version;
	return make(wl_resource_get_client(parent), interface, version, id, fn, data, destroyed);
}

static struct wl_resource *object_of(const union wl_argument *arg)
{
	return (struct wl_resource *)arg->o;
}

/* Of interfaces whose requests are of no interest but the first, which ends the object. */
static void only_destroy(struct wl_resource *resource, uint32_t opcode, union wl_argument *args)
{
	(void)args;
	if (opcode == 0) {
		wl_resource_destroy(resource);
	}
}

static const request_fn only_destroy_fn = only_destroy;

/* --- pictures --- */

static uint8_t *read_tiles(const struct buffer *buffer, const uint8_t *map)
{
	size_t n = (size_t)buffer->width * (size_t)buffer->height;
	uint8_t *pixels = malloc(n * 3);
	for (size_t i = 0; pixels != NULL && i < n; i++) {
		uint32_t x = (uint32_t)(i % (size_t)buffer->width);
		uint32_t y = (uint32_t)(i / (size_t)buffer->width);
		const uint8_t *from = map + crayon_offset(tiled, buffer->stride, x, y);
		pixels[i * 3] = from[2];
		pixels[i * 3 + 1] = from[1];
		pixels[i * 3 + 2] = from[0];
	}
	return pixels;
}

static void save(const struct buffer *buffer, const uint8_t *pixels)
{
	char path[4096], partial[4100];
	(void)snprintf(path, sizeof(path), "%s/frame.ppm", folder);
	(void)snprintf(partial, sizeof(partial), "%s.new", path);
	FILE *file = fopen(partial, "we");
	if (file == NULL) {
		abort();
	}
	fprintf(file, "P6 %d %d 255\n", buffer->width, buffer->height);
	fwrite(pixels, 3, (size_t)buffer->width * (size_t)buffer->height, file);
	if (fclose(file) != 0 || rename(partial, path) < 0) {
		abort();
	}
}

static uint64_t modifier(void)
{
	return tiled ? CRAYON_MODIFIER_TILED : DRM_FORMAT_MOD_LINEAR;
}

static size_t bytes_of(const struct buffer *buffer)
{
	uint32_t tile = tiled ? CRAYON_TILE_PX : 1;
	uint32_t rows = (uint32_t)buffer->height + tile - 1;
	return (size_t)buffer->stride * (rows / tile * tile);
}

static void show(const struct buffer *buffer)
{
	void *map = mmap(NULL, bytes_of(buffer), PROT_READ, MAP_SHARED, buffer->fd, buffer->offset);
	uint8_t *pixels = map != MAP_FAILED ? read_tiles(buffer, map) : NULL;
	if (pixels == NULL) {
		abort();
	}
	save(buffer, pixels);
	free(pixels);
	(void)munmap(map, bytes_of(buffer));
	printf("frame %u %dx%d modifier %" PRIx64 "\n", ++n_frames, buffer->width, buffer->height,
	       buffer->modifier);
	fflush(stdout);
}

/* --- linux-dmabuf --- */

static void free_buffer(struct wl_resource *resource)
{
	struct buffer *buffer = wl_resource_get_user_data(resource);
	if (buffer != NULL && buffer->fd >= 0) {
		close(buffer->fd);
	}
	free(buffer);
}

static bool is_good(const struct buffer *buffer, uint32_t format, int32_t width, int32_t height)
{
	struct stat st;
	struct buffer sized = *buffer;
	sized.width = width;
	sized.height = height;
	return (format == formats[0] || format == formats[1]) && buffer->modifier == modifier() &&
	       width > 0 && height > 0 && buffer->stride >= (uint32_t)width * CRAYON_PIXEL_BYTES &&
	       fstat(buffer->fd, &st) == 0 &&
	       lseek(buffer->fd, 0, SEEK_END) >= (off_t)(bytes_of(&sized) + buffer->offset);
}

static void create_buffer(struct wl_resource *params, uint32_t id, int32_t width, int32_t height,
			  uint32_t format)
{
	struct buffer *buffer = wl_resource_get_user_data(params);
	if (!is_good(buffer, format, width, height)) {
		zwp_linux_buffer_params_v1_send_failed(params);
		return;
	}
	buffer->width = width;
	buffer->height = height;
	wl_resource_set_user_data(params, NULL);
	struct wl_resource *resource = make(wl_resource_get_client(params), &wl_buffer_interface, 1,
					    id, &only_destroy_fn, buffer, free_buffer);
	if (id == 0) {
		zwp_linux_buffer_params_v1_send_created(params, resource);
	}
}

/* destroy, add, create, create_immed */
static void params_request(struct wl_resource *resource, uint32_t opcode, union wl_argument *args)
{
	struct buffer *buffer = wl_resource_get_user_data(resource);
	if (opcode == 0) {
		wl_resource_destroy(resource);
	} else if (opcode == 1 && args[1].u == 0 && buffer->fd < 0) {
		buffer->fd = args[0].h;
		buffer->offset = args[2].u;
		buffer->stride = args[3].u;
		buffer->modifier = (uint64_t)args[4].u << 32 | args[5].u;
	} else if (opcode == 1) {
		close(args[0].h);
	} else if (opcode == 2) {
		create_buffer(resource, 0, args[0].i, args[1].i, args[2].u);
	} else {
		create_buffer(resource, args[0].n, args[1].i, args[2].i, args[3].u);
	}
}

static const request_fn params_fn = params_request;

static void send_device(struct wl_resource *feedback,
			void (*send)(struct wl_resource *, struct wl_array *))
{
	dev_t device = 0x1234; /* of no machine */
	struct wl_array array = {.size = sizeof(device), .alloc = sizeof(device), .data = &device};
	send(feedback, &array);
}

static void send_feedback(struct wl_resource *feedback)
{
	const struct row rows[] = {
		{.format = formats[0], .modifier = modifier()},
		{.format = formats[1], .modifier = modifier()},
	};
	uint16_t index[] = {0, 1};
	struct wl_array indices = {.size = sizeof(index), .alloc = sizeof(index), .data = index};
	int fd = memfd_create("table", MFD_CLOEXEC);
	if (fd < 0 || write(fd, rows, sizeof(rows)) != sizeof(rows)) {
		abort();
	}
	zwp_linux_dmabuf_feedback_v1_send_format_table(feedback, fd, sizeof(rows));
	close(fd);
	send_device(feedback, zwp_linux_dmabuf_feedback_v1_send_main_device);
	send_device(feedback, zwp_linux_dmabuf_feedback_v1_send_tranche_target_device);
	zwp_linux_dmabuf_feedback_v1_send_tranche_flags(feedback, 0);
	zwp_linux_dmabuf_feedback_v1_send_tranche_formats(feedback, &indices);
	zwp_linux_dmabuf_feedback_v1_send_tranche_done(feedback);
	zwp_linux_dmabuf_feedback_v1_send_done(feedback);
}

/* destroy, create_params, get_default_feedback, get_surface_feedback */
static void dmabuf_request(struct wl_resource *resource, uint32_t opcode, union wl_argument *args)
{
	if (opcode == 0) {
		wl_resource_destroy(resource);
	} else if (opcode == 1) {
		struct buffer *buffer = calloc(1, sizeof(*buffer));
		if (buffer == NULL) {
			abort();
		}
		buffer->fd = -1;
		make_child(resource, &zwp_linux_buffer_params_v1_interface, args[0].n, &params_fn,
			   buffer, free_buffer);
	} else {
		send_feedback(make_child(resource, &zwp_linux_dmabuf_feedback_v1_interface,
					 args[0].n, &only_destroy_fn, NULL, NULL));
	}
}

static const request_fn dmabuf_fn = dmabuf_request;

/* --- surfaces --- */

static void commit(struct surface *surface)
{
	if (surface->xdg != NULL && !surface->configured) {
		surface->configured = true;
		xdg_surface_send_configure(surface->xdg, 1);
	}
	if (surface->attached && surface->buffer != NULL) {
		struct buffer *buffer = wl_resource_get_user_data(surface->buffer);
		show(buffer);
		wl_buffer_send_release(surface->buffer);
	}
	surface->attached = false;
	surface->buffer = NULL;
	if (surface->frame != NULL) {
		wl_callback_send_done(surface->frame, n_frames);
		wl_resource_destroy(surface->frame);
		surface->frame = NULL;
	}
}

/* destroy, attach, damage, frame, …, commit is 6 */
static void surface_request(struct wl_resource *resource, uint32_t opcode, union wl_argument *args)
{
	struct surface *surface = wl_resource_get_user_data(resource);
	if (opcode == 0) {
		wl_resource_destroy(resource);
	} else if (opcode == 1) {
		surface->attached = true;
		surface->buffer = object_of(&args[0]);
	} else if (opcode == 3) {
		surface->frame = make_child(resource, &wl_callback_interface, args[0].n,
					    &only_destroy_fn, NULL, NULL);
	} else if (opcode == 6) {
		commit(surface);
	}
}

static const request_fn surface_fn = surface_request;

static void free_surface(struct wl_resource *resource)
{
	free(wl_resource_get_user_data(resource));
}

/* create_surface, create_region */
static void compositor_request(struct wl_resource *resource, uint32_t opcode,
			       union wl_argument *args)
{
	if (opcode == 0) {
		make_child(resource, &wl_surface_interface, args[0].n, &surface_fn,
			   calloc(1, sizeof(struct surface)), free_surface);
	} else {
		make_child(resource, &wl_region_interface, args[0].n, &only_destroy_fn, NULL, NULL);
	}
}

static const request_fn compositor_fn = compositor_request;

static void tell_gone(struct wl_resource *resource)
{
	(void)resource;
	puts("window gone");
	fflush(stdout);
}

/* destroy, get_toplevel, … */
static void xdg_surface_request(struct wl_resource *resource, uint32_t opcode,
				union wl_argument *args)
{
	if (opcode == 0) {
		wl_resource_destroy(resource);
	} else if (opcode == 1) {
		struct wl_array states;
		wl_array_init(&states);
		xdg_toplevel_send_configure(make_child(resource, &xdg_toplevel_interface, args[0].n,
						       &only_destroy_fn, NULL, tell_gone),
					    0, 0, &states);
	}
}

static const request_fn xdg_surface_fn = xdg_surface_request;

/* destroy, create_positioner, get_xdg_surface, pong */
static void wm_base_request(struct wl_resource *resource, uint32_t opcode, union wl_argument *args)
{
	if (opcode == 0) {
		wl_resource_destroy(resource);
	} else if (opcode == 1) {
		make_child(resource, &xdg_positioner_interface, args[0].n, &only_destroy_fn, NULL,
			   NULL);
	} else if (opcode == 2) {
		struct surface *surface = wl_resource_get_user_data(object_of(&args[1]));
		surface->xdg = make_child(resource, &xdg_surface_interface, args[0].n,
					  &xdg_surface_fn, NULL, NULL);
	}
}

static const request_fn wm_base_fn = wm_base_request;

/* --- globals --- */

static void bind_compositor(struct wl_client *client, void *data, uint32_t version, uint32_t id)
{
	make(client, &wl_compositor_interface, version, id, &compositor_fn, data, NULL);
}

static void bind_wm_base(struct wl_client *client, void *data, uint32_t version, uint32_t id)
{
	make(client, &xdg_wm_base_interface, version, id, &wm_base_fn, data, NULL);
}

static void bind_dmabuf(struct wl_client *client, void *data, uint32_t version, uint32_t id)
{
	make(client, &zwp_linux_dmabuf_v1_interface, version, id, &dmabuf_fn, data, NULL);
}

int main(int argc, char **argv)
{
	struct wl_display *display = wl_display_create();
	if (argc < 3 || display == NULL || wl_display_add_socket(display, argv[1]) < 0) {
		fprintf(stderr, "usage: tiles-compositor SOCKET FOLDER [linear]\n");
		return 2;
	}
	folder = argv[2];
	tiled = argc < 4 || strcmp(argv[3], "linear") != 0;
	wl_display_init_shm(display); /* for programs that want one, for their cursors */
	wl_global_create(display, &wl_compositor_interface, 4, NULL, bind_compositor);
	wl_global_create(display, &xdg_wm_base_interface, 1, NULL, bind_wm_base);
	wl_global_create(display, &zwp_linux_dmabuf_v1_interface, 5, NULL, bind_dmabuf);
	puts("listening");
	fflush(stdout);
	wl_display_run(display);
	return 0;
}
