/* SPDX-License-Identifier: MIT
 *
 * wl_surface and wp_viewport, as far as mirrored buffers need them: which pixels of which buffer the
 * host must see anew at a commit.
 */
#include <stdlib.h>

#include "br-tables.h"
#include "state.h"
#include "gp-hooks.h"
#include "wire.h"

/* Buffers of one surface whose differences are followed; others count as all different. */
#define MAX_FOLLOWED 8

/* Data of a wl_surface. Scale, transform and viewport take effect at a commit, and are looked at
 * only there, so one copy of them is enough. */
struct gp_surface {
	struct wl_list link;	/* gp_state.surfaces */
	struct wl_list buffers; /* gp_buffer.link, last attached first */
	uint32_t buffer_count;
	struct gp_buffer *current; /* may be NULL */
	struct gp_buffer *pending; /* may be NULL: of attach */
	bool attached;		   /* pending counts */
	struct gp_dmabuf *dmabuf;  /* of attach; may be NULL */
	struct br_damage surface_damage, buffer_damage;
	int32_t scale;
	uint32_t transform;
	bool view_changed;
	bool has_source, has_destination;
	struct viewport *viewport; /* may be NULL */
};

/* Data of a wp_viewport. */
struct viewport {
	struct gp_surface *surface; /* NULL once it is gone */
};

static void unfollow(struct gp_buffer *buffer)
{
	struct gp_surface *surface = buffer->surface;
	if (surface != NULL) {
		surface->buffer_count--;
		wl_list_remove(&buffer->link);
		wl_list_init(&buffer->link);
	}
	buffer->surface = NULL;
	buffer->whole = true;
}

static void surface_destroy(struct br_relay *relay, struct br_object *object)
{
	struct gp_surface *surface = object->data;
	struct gp_buffer *buffer, *tmp;
	(void)relay;
	wl_list_for_each_safe (buffer, tmp, &surface->buffers, link) {
		unfollow(buffer);
	}
	if (surface->viewport != NULL) {
		surface->viewport->surface = NULL;
	}
	wl_list_remove(&surface->link);
	free(surface);
	object->data = NULL;
}

struct gp_surface *gp_surface_get(struct br_relay *relay, struct br_object *object)
{
	if (object->data != NULL) {
		return object->data;
	}
	struct gp_surface *surface = calloc(1, sizeof(*surface));
	if (surface == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return NULL;
	}
	surface->scale = 1;
	wl_list_init(&surface->buffers);
	wl_list_insert(&gp_state_of(relay)->surfaces, &surface->link);
	object->data = surface;
	object->destroy = surface_destroy;
	return surface;
}

void gp_surfaces_forget(struct gp_state *state, const struct gp_buffer *buffer,
			const struct gp_dmabuf *dmabuf)
{
	struct gp_surface *surface;
	wl_list_for_each (surface, &state->surfaces, link) {
		if (surface->dmabuf == dmabuf) {
			surface->dmabuf = NULL;
		}
		if (surface->current == buffer) {
			surface->current = NULL;
		}
		if (surface->pending == buffer) {
			surface->pending = NULL;
		}
		if (buffer != NULL && buffer->surface == surface) {
			surface->buffer_count--;
		}
	}
}

/* The surface of a request, or NULL where there is nothing to do. */
static struct gp_surface *mirrored_surface(struct br_relay *relay, struct br_msg *msg)
{
	return gp_state_of(relay)->mirror ? gp_surface_get(relay, msg->object) : NULL;
}

enum br_verdict gp_hook_wl_surface_attach(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_surface_attach *args)
{
	struct gp_surface *surface = mirrored_surface(relay, msg);
	if (surface != NULL) {
		surface->pending = gp_buffer_of(args->buffer);
		surface->dmabuf = gp_dmabuf_of(args->buffer);
		surface->attached = true;
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_surface_damage(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_surface_damage *args)
{
	struct gp_surface *surface = mirrored_surface(relay, msg);
	if (surface != NULL) {
		struct br_rect rect = br_rect_make(args->x, args->y, args->width, args->height);
		br_damage_add(&surface->surface_damage, &rect);
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_surface_damage_buffer(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_surface_damage_buffer *args)
{
	struct gp_surface *surface = mirrored_surface(relay, msg);
	if (surface != NULL) {
		struct br_rect rect = br_rect_make(args->x, args->y, args->width, args->height);
		br_damage_add(&surface->buffer_damage, &rect);
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_surface_set_buffer_scale(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_surface_set_buffer_scale *args)
{
	struct gp_surface *surface = mirrored_surface(relay, msg);
	/* The host refuses the bad ones. */
	if (surface != NULL && args->scale >= 1 && args->scale != surface->scale) {
		surface->scale = args->scale;
		surface->view_changed = true;
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_surface_set_buffer_transform(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_surface_set_buffer_transform *args)
{
	struct gp_surface *surface = mirrored_surface(relay, msg);
	uint32_t transform = (uint32_t)args->transform;
	if (surface != NULL && transform <= 7 && transform != surface->transform) {
		surface->transform = transform;
		surface->view_changed = true;
	}
	return BR_FORWARD;
}

static void viewport_destroy(struct br_relay *relay, struct br_object *object)
{
	struct viewport *viewport = object->data;
	struct gp_surface *surface = viewport->surface;
	(void)relay;
	if (surface != NULL) {
		surface->view_changed |= surface->has_source || surface->has_destination;
		surface->has_source = false;
		surface->has_destination = false;
		surface->viewport = NULL;
	}
	free(viewport);
	object->data = NULL;
}

enum br_verdict gp_hook_wp_viewporter_get_viewport(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_viewporter_get_viewport *args)
{
	struct br_object *object = msg->args[0].object;
	if (!gp_state_of(relay)->mirror) {
		return BR_FORWARD;
	}
	struct gp_surface *surface = gp_surface_get(relay, args->surface);
	/* A second one for a surface is an error that the host reports. */
	if (surface == NULL || surface->viewport != NULL) {
		return BR_FORWARD;
	}
	struct viewport *viewport = calloc(1, sizeof(*viewport));
	if (viewport == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return BR_DROP;
	}
	viewport->surface = surface;
	surface->viewport = viewport;
	object->data = viewport;
	object->destroy = viewport_destroy;
	return BR_FORWARD;
}

/* -1 (in any of them) takes the setting back. */
static void viewport_set(struct br_object *object, bool source, bool on)
{
	struct viewport *viewport = object->data;
	if (viewport == NULL || viewport->surface == NULL) {
		return;
	}
	struct gp_surface *surface = viewport->surface;
	bool *setting = source ? &surface->has_source : &surface->has_destination;
	surface->view_changed |= *setting != on;
	*setting = on;
}

enum br_verdict gp_hook_wp_viewport_set_source(struct br_relay *relay, struct br_msg *msg,
					       const struct br_args_wp_viewport_set_source *args)
{
	(void)relay;
	viewport_set(msg->object, true, args->width >= 0);
	return BR_FORWARD;
}

enum br_verdict gp_hook_wp_viewport_set_destination(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_viewport_set_destination *args)
{
	(void)relay;
	viewport_set(msg->object, false, args->width >= 0);
	return BR_FORWARD;
}

/* Put a buffer in front of those that the surface follows. */
static void follow(struct gp_surface *surface, struct gp_buffer *buffer)
{
	if (buffer->surface == surface) {
		wl_list_remove(&buffer->link);
	} else {
		unfollow(buffer);
		buffer->surface = surface;
		surface->buffer_count++;
	}
	wl_list_insert(&surface->buffers, &buffer->link);
	if (surface->buffer_count > MAX_FOLLOWED) {
		struct gp_buffer *oldest = wl_container_of(surface->buffers.prev, oldest, link);
		unfollow(oldest);
	}
}

/* What the commit damages, in pixels of the buffer that it shows. Returns false if that can't be
 * said but as "all". */
static bool frame_damage(const struct gp_surface *surface, const struct gp_buffer *buffer,
			 struct br_damage *frame)
{
	const struct br_view view = {
		.scale = surface->scale,
		.transform = surface->transform,
		.width = buffer->geometry.width,
		.height = buffer->geometry.height,
	};
	const struct br_rect bounds = {0, 0, view.width, view.height};
	br_damage_clear(frame);
	if (surface->view_changed) {
		return false;
	}
	if (surface->surface_damage.count > 0 &&
	    (surface->has_source || surface->has_destination)) {
		return false;
	}
	br_damage_add_all(frame, &surface->buffer_damage, &bounds);
	for (uint32_t i = 0; i < surface->surface_damage.count; i++) {
		struct br_rect rect = br_view_to_buffer(&view, &surface->surface_damage.rects[i]);
		br_damage_add(frame, &rect);
	}
	return true;
}

/* Note in each buffer that the surface follows what it now lacks. shown may be NULL. */
static void accumulate(struct gp_surface *surface, const struct gp_buffer *shown)
{
	struct br_damage frame;
	bool known = shown != NULL && frame_damage(surface, shown, &frame);
	struct gp_buffer *buffer;
	wl_list_for_each (buffer, &surface->buffers, link) {
		const struct br_rect bounds = {0, 0, buffer->geometry.width,
					       buffer->geometry.height};
		if (!known || buffer->geometry.width != shown->geometry.width ||
		    buffer->geometry.height != shown->geometry.height) {
			buffer->whole = true;
		} else if (!buffer->whole) {
			br_damage_add_all(&buffer->damage, &frame, &bounds);
		}
	}
}

/* Whether the pixels of what the commit shows are all there. */
static bool finished(struct gp_state *state, const struct gp_surface *surface,
		     const struct gp_buffer *shown)
{
	if (surface->dmabuf != NULL && !gp_dmabuf_finished(state, surface->dmabuf)) {
		return false;
	}
	return shown == NULL || shown->mapping->dmabuf_fd < 0 ||
	       gp_state_fence_passed(state, shown->mapping->dmabuf_fd);
}

enum br_verdict gp_hook_wl_surface_commit(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_surface_commit *args)
{
	struct gp_surface *surface = mirrored_surface(relay, msg);
	(void)args;
	if (surface == NULL) {
		return BR_FORWARD;
	}
	struct gp_buffer *shown = surface->attached ? surface->pending : surface->current;
	bool damaged = surface->surface_damage.count > 0 || surface->buffer_damage.count > 0;
	bool fresh = surface->attached && shown != NULL;
	if (!finished(gp_state_of(relay), surface, shown)) {
		return BR_AGAIN;
	}
	if (fresh || (damaged && shown != NULL)) {
		follow(surface, shown);
	}
	if (damaged || surface->view_changed) {
		accumulate(surface, shown);
	}
	surface->current = shown;
	surface->pending = NULL;
	surface->dmabuf = NULL;
	surface->attached = false;
	surface->view_changed = false;
	br_damage_clear(&surface->surface_damage);
	br_damage_clear(&surface->buffer_damage);
	if ((fresh || damaged) && shown != NULL && !gp_buffer_sync_or_fail(relay, shown)) {
		return BR_DROP;
	}
	return BR_FORWARD;
}
