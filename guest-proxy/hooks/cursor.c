/* SPDX-License-Identifier: MIT
 *
 * cursor-shape for hosts without: the program's own theme is read here, and what it names is shown as a
 * program would that draws its cursor itself, by wl_pointer.set_cursor with a surface. The host's objects
 * for that are not the program's. Images are sent once for each shape and scale that is used, and stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "br-tables.h"
#include "cursor_theme.h"
#include "fd.h"
#include "gp-hooks.h"
#include "limits.h"
#include "state.h"
#include "transport.h"
#include "wire.h"

#define COMPOSITOR_VERSION 4u /* as much of wl_surface as is used */
#define SCALE_SINCE 3u	      /* wl_surface.set_buffer_scale */
#define SHM_ARGB8888 0u	      /* wl_shm.format */

/* Source: cursor-shape-v1.xml, enum wp_cursor_shape_device_v1.error. */
enum shape_error { SHAPE_INVALID = 1 };

/** An image that the host has. Data of its buffer. */
struct image {
	struct br_object *buffer;     /* NULL: the host has taken it away, against the protocol */
	int32_t hotspot_x, hotspot_y; /* on the surface */
	uint32_t end_ms;	      /* of its time, from the first image's beginning */
};

/** A shape at a scale. */
struct cursor {
	struct wl_list link; /* gp_cursors.cursors */
	uint32_t shape;
	int32_t scale;
	uint32_t count;
	struct image images[];
};

/** What shows cursors: a wl_pointer or tablet tool of the program. Data of the surface and its callback. */
struct pointer {
	struct wl_list link; /* gp_cursors.pointers */
	uint32_t client_id;
	uint16_t iface;
	struct br_object *surface; /* NULL as image.buffer */
	struct br_object *frame;   /* the callback that is waited for; may be NULL */
	const struct cursor *cursor;
	uint32_t shown;	   /* which image */
	uint32_t start_ms; /* of the first image, by the compositor's clock; 0: not known */
};

/** All of a client's; made with the first shape. */
struct gp_cursors {
	struct wl_list cursors;	      /* cursor.link */
	struct wl_list pointers;      /* pointer.link */
	struct br_object *compositor; /* NULL: not bound yet, or as image.buffer */
	int32_t scale;		      /* the highest of the outputs that the program knows */
};

void gp_cursors_finish(struct gp_state *state)
{
	struct cursor *cursor, *next_cursor;
	struct pointer *pointer, *next_pointer;
	if (state->cursors == NULL) {
		return;
	}
	wl_list_for_each_safe (cursor, next_cursor, &state->cursors->cursors, link) {
		free(cursor);
	}
	wl_list_for_each_safe (pointer, next_pointer, &state->cursors->pointers, link) {
		free(pointer);
	}
	free(state->cursors);
	state->cursors = NULL;
}

static struct gp_cursors *get_cursors(struct br_relay *relay)
{
	struct gp_state *state = gp_state_of(relay);
	if (state->cursors == NULL) {
		state->cursors = calloc(1, sizeof(*state->cursors));
		if (state->cursors == NULL) {
			return NULL;
		}
		wl_list_init(&state->cursors->cursors);
		wl_list_init(&state->cursors->pointers);
		state->cursors->scale = 1;
	}
	return state->cursors;
}

enum br_verdict gp_hook_wl_output_scale(struct br_relay *relay, struct br_msg *msg,
					const struct br_args_wl_output_scale *args)
{
	struct gp_cursors *cursors =
		gp_state_of(relay)->cursor_themes != NULL ? get_cursors(relay) : NULL;
	(void)msg;
	if (cursors != NULL && args->factor > cursors->scale) {
		cursors->scale =
			args->factor < BR_LIMIT_CURSOR_SCALE ? args->factor : BR_LIMIT_CURSOR_SCALE;
	}
	return BR_FORWARD;
}

/* The objects are the host's alone: should it end one unasked, it is not named any more. */
static void buffer_destroy(struct br_relay *relay, struct br_object *object)
{
	struct image *image = object->data;
	(void)relay;
	image->buffer = NULL;
}

static void surface_destroy(struct br_relay *relay, struct br_object *object)
{
	struct pointer *pointer = object->data;
	(void)relay;
	pointer->surface = NULL;
}

static void compositor_destroy(struct br_relay *relay, struct br_object *object)
{
	(void)object;
	gp_state_of(relay)->cursors->compositor = NULL;
}

static void frame_destroy(struct br_relay *relay, struct br_object *object)
{
	struct pointer *pointer = object->data;
	(void)relay;
	if (pointer->frame == object) {
		pointer->frame = NULL;
	}
}

/* --- the images --- */

/** Images of one cursor on their way into a pool. */
struct packing {
	uint32_t count;
	struct gp_cursor_image images[BR_LIMIT_CURSOR_IMAGES];
	struct br_shm_geometry geometry[BR_LIMIT_CURSOR_IMAGES];
	uint64_t bytes;
};

/* Sides have to be multiples of the scale. */
static int32_t round_up(uint32_t side, int32_t scale)
{
	return ((int32_t)side + scale - 1) / scale * scale;
}

/* Read the images and give each its place. Returns false if there are none, or too much of them. */
static bool pack(struct gp_cursor_themes *themes, uint32_t shape, int32_t scale,
		 struct packing *packing)
{
	packing->count = gp_cursor_count(themes, shape, scale);
	for (uint32_t i = 0; i < packing->count; i++) {
		struct gp_cursor_image *image = &packing->images[i];
		if (gp_cursor_image(themes, shape, scale, i, image) < 0 ||
		    image->width > BR_LIMIT_CURSOR_BYTES || image->height > BR_LIMIT_CURSOR_BYTES) {
			return false;
		}
		struct br_shm_geometry *geometry = &packing->geometry[i];
		*geometry = (struct br_shm_geometry){
			.offset = (int32_t)packing->bytes,
			.width = round_up(image->width, scale),
			.height = round_up(image->height, scale),
			.stride = round_up(image->width, scale) * 4,
			.format = SHM_ARGB8888,
		};
		packing->bytes += (uint64_t)geometry->stride * (uint64_t)geometry->height;
		if (packing->bytes > BR_LIMIT_CURSOR_BYTES) {
			return false;
		}
	}
	return packing->count > 0 && packing->bytes > 0;
}

static void write_pixels(const struct packing *packing, uint8_t *to)
{
	for (uint32_t i = 0; i < packing->count; i++) {
		const struct gp_cursor_image *image = &packing->images[i];
		const struct br_shm_geometry *geometry = &packing->geometry[i];
		for (uint32_t y = 0; y < image->height; y++) {
			memcpy(to + geometry->offset + (size_t)y * (size_t)geometry->stride,
			       image->pixels + (size_t)y * image->stride, (size_t)image->width * 4);
		}
	}
}

/* Memory with the pixels that the host can map. *ret_blob is owned by the caller, NULL where an fd
 * does it. Returns 0, -EAGAIN or another -errno. */
static int make_memory(struct gp_state *state, const struct packing *packing,
		       struct br_handle *ret_handle, struct gp_blob **ret_blob)
{
	const struct gp_rows rows = {
		.stride = (uint32_t)packing->bytes, .bytes = (uint32_t)packing->bytes, .count = 1};
	if (gp_state_mirrors(state)) {
		int ret = gp_state_alloc(state, packing->bytes, ret_blob);
		if (ret < 0) {
			return ret;
		}
		write_pixels(packing, (*ret_blob)->map);
		*ret_handle = (struct br_handle){.fd = -1, .res_id = (*ret_blob)->res_id};
		return (*ret_blob)->written != NULL ? (*ret_blob)->written(*ret_blob, &rows) : 0;
	}
	int fd BR_CLEANUP_FD = memfd_create("causeway-cursor", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)packing->bytes) < 0) {
		return -errno;
	}
	uint8_t *map = mmap(NULL, packing->bytes, PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	write_pixels(packing, map);
	(void)munmap(map, packing->bytes);
	*ret_handle = (struct br_handle){.fd = br_fd_take(&fd)};
	return 0;
}

/* The host's buffers of all images in one pool. Returns 0, or -errno after which the relay has failed. */
static int send_buffers(struct br_relay *relay, const struct packing *packing,
			struct br_handle *memory, struct cursor *cursor)
{
	struct br_object *shm = gp_state_of(relay)->own_shm.object;
	struct br_object *pool =
		br_relay_create_server_object(relay, BR_IFACE_WL_SHM_POOL, shm->version);
	if (pool == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "too many objects");
		return -ENOMEM;
	}
	const union br_arg pool_args[] = {
		{.object = pool}, {.handle = 0}, {.i = (int32_t)packing->bytes}};
	memory->kind = BR_FD_SHM;
	int ret =
		br_relay_send(relay, BR_REQUEST, shm, BR_REQ_WL_SHM_CREATE_POOL, pool_args, memory);
	for (uint32_t i = 0; i < packing->count && ret == 0; i++) {
		const struct br_shm_geometry *geometry = &packing->geometry[i];
		struct br_object *buffer =
			br_relay_create_server_object(relay, BR_IFACE_WL_BUFFER, 1);
		if (buffer == NULL) {
			br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "too many objects");
			return -ENOMEM;
		}
		const union br_arg args[] = {
			{.object = buffer},	 {.i = geometry->offset}, {.i = geometry->width},
			{.i = geometry->height}, {.i = geometry->stride}, {.u = geometry->format},
		};
		cursor->images[i].buffer = buffer;
		buffer->data = &cursor->images[i];
		buffer->destroy = buffer_destroy;
		ret = br_relay_send(relay, BR_REQUEST, pool, BR_REQ_WL_SHM_POOL_CREATE_BUFFER, args,
				    NULL);
	}
	return ret < 0 ? ret
		       : br_relay_send(relay, BR_REQUEST, pool, BR_REQ_WL_SHM_POOL_DESTROY, NULL,
				       NULL);
}

static struct cursor *new_cursor(struct gp_cursors *cursors, const struct packing *packing,
				 uint32_t shape, int32_t scale)
{
	struct cursor *cursor =
		calloc(1, sizeof(*cursor) + packing->count * sizeof(cursor->images[0]));
	uint32_t end_ms = 0;
	if (cursor == NULL) {
		return NULL;
	}
	cursor->shape = shape;
	cursor->scale = scale;
	cursor->count = packing->count;
	for (uint32_t i = 0; i < packing->count; i++) {
		const struct gp_cursor_image *image = &packing->images[i];
		end_ms += image->delay_ms;
		cursor->images[i] = (struct image){
			.hotspot_x = (int32_t)image->hotspot_x / scale,
			.hotspot_y = (int32_t)image->hotspot_y / scale,
			.end_ms = end_ms,
		};
	}
	wl_list_insert(&cursors->cursors, &cursor->link);
	return cursor;
}

static int make_cursor(struct br_relay *relay, uint32_t shape, int32_t scale,
		       const struct cursor **ret_cursor)
{
	struct gp_state *state = gp_state_of(relay);
	struct packing packing = {0};
	struct br_handle memory = {.fd = -1};
	struct gp_blob *blob = NULL;
	if (!pack(state->cursor_themes, shape, scale, &packing)) {
		return -ENOENT;
	}
	int ret = make_memory(state, &packing, &memory, &blob);
	if (ret < 0) {
		gp_state_retire(state, blob);
		return ret;
	}
	struct cursor *cursor = new_cursor(state->cursors, &packing, shape, scale);
	ret = cursor != NULL ? send_buffers(relay, &packing, &memory, cursor) : -ENOMEM;
	br_fd_clear(&memory.fd);
	gp_state_retire(state, blob);
	*ret_cursor = cursor;
	return ret;
}

/* The host's images of a shape, made when it is first used. Returns as gp_state_alloc(); -ENOENT the theme has
 * none. */
static int get_cursor(struct br_relay *relay, uint32_t shape, const struct cursor **ret_cursor)
{
	struct gp_cursors *cursors = gp_state_of(relay)->cursors;
	int32_t scale = cursors->compositor->version >= SCALE_SINCE ? cursors->scale : 1;
	struct cursor *cursor;
	wl_list_for_each (cursor, &cursors->cursors, link) {
		if (cursor->shape == shape && cursor->scale == scale) {
			*ret_cursor = cursor;
			return 0;
		}
	}
	return make_cursor(relay, shape, scale, ret_cursor);
}

/* --- showing them --- */

static void handle_frame(struct br_relay *relay, struct br_object *callback, struct br_msg *msg);

static void ask_frame(struct br_relay *relay, struct pointer *pointer)
{
	struct br_object *callback = br_relay_create_server_object(relay, BR_IFACE_WL_CALLBACK, 1);
	const union br_arg arg = {.object = callback};
	pointer->frame = callback;
	if (callback != NULL) {
		callback->data = pointer;
		callback->event = handle_frame;
		callback->destroy = frame_destroy;
		(void)br_relay_send(relay, BR_REQUEST, pointer->surface, BR_REQ_WL_SURFACE_FRAME,
				    &arg, NULL);
	}
}

static void show(struct br_relay *relay, struct pointer *pointer, bool attach)
{
	const struct cursor *cursor = pointer->cursor;
	const union br_arg attach_args[] = {
		{.object = cursor->images[pointer->shown].buffer}, {.i = 0}, {.i = 0}};
	const union br_arg damage_args[] = {{.i = 0}, {.i = 0}, {.i = INT32_MAX}, {.i = INT32_MAX}};
	const union br_arg scale_arg = {.i = cursor->scale};
	pointer->frame = NULL;
	if (attach && pointer->surface->version >= SCALE_SINCE) {
		(void)br_relay_send(relay, BR_REQUEST, pointer->surface,
				    BR_REQ_WL_SURFACE_SET_BUFFER_SCALE, &scale_arg, NULL);
	}
	if (attach) {
		(void)br_relay_send(relay, BR_REQUEST, pointer->surface, BR_REQ_WL_SURFACE_ATTACH,
				    attach_args, NULL);
		(void)br_relay_send(relay, BR_REQUEST, pointer->surface, BR_REQ_WL_SURFACE_DAMAGE,
				    damage_args, NULL);
	}
	if (cursor->images[cursor->count - 1].end_ms > 0) {
		ask_frame(relay, pointer);
	}
	(void)br_relay_send(relay, BR_REQUEST, pointer->surface, BR_REQ_WL_SURFACE_COMMIT, NULL,
			    NULL);
}

/* The compositor draws the next frame with the cursor in it: no timer is needed, and one that is not
 * seen stands still. */
static void handle_frame(struct br_relay *relay, struct br_object *callback, struct br_msg *msg)
{
	struct pointer *pointer = callback->data;
	uint32_t now_ms = msg->args[0].u, i = 0;
	if (pointer->frame != callback || pointer->surface == NULL) {
		return;
	}
	const struct cursor *cursor = pointer->cursor;
	uint32_t all_ms = cursor->images[cursor->count - 1].end_ms;
	if (pointer->start_ms == 0) {
		pointer->start_ms = now_ms;
	}
	while (i < cursor->count - 1 &&
	       (now_ms - pointer->start_ms) % all_ms >= cursor->images[i].end_ms) {
		i++;
	}
	bool changed = i != pointer->shown;
	pointer->shown = i;
	show(relay, pointer, changed);
}

static int bind_compositor(struct br_relay *relay, struct gp_cursors *cursors)
{
	struct br_object *registry;
	uint32_t name;
	if (cursors->compositor != NULL) {
		return 0;
	}
	uint32_t offered = gp_registry_find(relay, BR_IFACE_WL_COMPOSITOR, &registry, &name);
	if (offered == 0) {
		return -ENOENT;
	}
	uint16_t version = (uint16_t)(offered < COMPOSITOR_VERSION ? offered : COMPOSITOR_VERSION);
	cursors->compositor = br_relay_bind(relay, registry, name, BR_IFACE_WL_COMPOSITOR, version);
	if (cursors->compositor == NULL) {
		return -ENOMEM;
	}
	cursors->compositor->destroy = compositor_destroy;
	return 0;
}

/* What is needed for any cursor. Returns 0 or -errno. */
static int prepare(struct br_relay *relay)
{
	struct gp_cursors *cursors = get_cursors(relay);
	if (cursors == NULL) {
		return -ENOMEM;
	}
	gp_own_shm_need(relay);
	return gp_state_of(relay)->own_shm.object != NULL ? bind_compositor(relay, cursors)
							  : -ENOENT;
}

static int make_surface(struct br_relay *relay, struct pointer *pointer)
{
	struct br_object *compositor = gp_state_of(relay)->cursors->compositor;
	struct br_object *surface =
		br_relay_create_server_object(relay, BR_IFACE_WL_SURFACE, compositor->version);
	const union br_arg arg = {.object = surface};
	if (surface == NULL) {
		return -ENOMEM;
	}
	surface->data = pointer;
	surface->destroy = surface_destroy;
	pointer->surface = surface;
	return br_relay_send(relay, BR_REQUEST, compositor, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE,
			     &arg, NULL);
}

/* A surface once shown by a tablet tool can't be shown by a pointer. Returns NULL if memory is out. */
static struct pointer *get_pointer(struct br_relay *relay, const struct br_object *target)
{
	struct gp_cursors *cursors = gp_state_of(relay)->cursors;
	struct pointer *pointer, *found = NULL;
	wl_list_for_each (pointer, &cursors->pointers, link) {
		if (pointer->client_id == target->client_id && pointer->iface == target->iface) {
			found = pointer;
			break;
		}
	}
	if (found == NULL) {
		found = calloc(1, sizeof(*found));
		if (found == NULL) {
			return NULL;
		}
		found->client_id = target->client_id;
		found->iface = target->iface;
		wl_list_insert(&cursors->pointers, &found->link);
	}
	return found->surface != NULL || make_surface(relay, found) == 0 ? found : NULL;
}

static void set_cursor(struct br_relay *relay, struct br_object *target, uint32_t serial,
		       const struct cursor *cursor)
{
	struct pointer *pointer = get_pointer(relay, target);
	if (pointer == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return;
	}
	const union br_arg args[] = {
		{.u = serial},
		{.object = pointer->surface},
		{.i = cursor->images[0].hotspot_x},
		{.i = cursor->images[0].hotspot_y},
	};
	(void)br_relay_send(relay, BR_REQUEST, target,
			    target->iface == BR_IFACE_WL_POINTER
				    ? BR_REQ_WL_POINTER_SET_CURSOR
				    : BR_REQ_ZWP_TABLET_TOOL_V2_SET_CURSOR,
			    args, NULL);
	pointer->cursor = cursor;
	pointer->shown = 0;
	pointer->start_ms = 0;
	show(relay, pointer, true);
}

/* --- the requests --- */

/* Devices know whom they are for by the program's id of it. Should that name another pointer later, it is
 * as good. */
static enum br_verdict get_device(struct br_msg *msg, const struct br_object *target)
{
	if (msg->object->state != BR_OBJECT_OURS) {
		return BR_FORWARD;
	}
	msg->args[0].object->state = BR_OBJECT_OURS;
	msg->args[0].object->data = (void *)(uintptr_t)target->client_id;
	return BR_DROP;
}

enum br_verdict gp_hook_wp_cursor_shape_manager_v1_get_pointer(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_cursor_shape_manager_v1_get_pointer *args)
{
	(void)relay;
	return get_device(msg, args->pointer);
}

enum br_verdict gp_hook_wp_cursor_shape_manager_v1_get_tablet_tool_v2(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_cursor_shape_manager_v1_get_tablet_tool_v2 *args)
{
	(void)relay;
	return get_device(msg, args->tablet_tool);
}

enum br_verdict gp_hook_wp_cursor_shape_device_v1_set_shape(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_cursor_shape_device_v1_set_shape *args)
{
	const struct cursor *cursor = NULL;
	if (msg->object->state != BR_OBJECT_OURS) {
		return BR_FORWARD;
	}
	if (args->shape == 0 || args->shape > gp_cursor_last_shape(msg->object->version)) {
		br_relay_client_error(relay, msg->object, SHAPE_INVALID,
				      "set_shape: there is no shape %u", args->shape);
		return BR_DROP;
	}
	struct br_object *target =
		br_relay_client_object(relay, (uint32_t)(uintptr_t)msg->object->data);
	if (target == NULL || (target->iface != BR_IFACE_WL_POINTER &&
			       target->iface != BR_IFACE_ZWP_TABLET_TOOL_V2)) {
		return BR_DROP; /* it is gone, and the device inert */
	}
	int ret = prepare(relay);
	if (ret == 0) {
		ret = get_cursor(relay, args->shape, &cursor);
	}
	if (ret == -EAGAIN) {
		return BR_AGAIN;
	}
	if (ret == 0) {
		set_cursor(relay, target, args->serial, cursor);
	} else {
		br_relay_refused(relay, "cursor shape %u can't be shown: %s", args->shape,
				 strerror(-ret));
	}
	return BR_DROP;
}
