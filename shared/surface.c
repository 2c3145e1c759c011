/* SPDX-License-Identifier: MIT */
#include "surface.h"

#include <errno.h>
#include <stdlib.h>

#include "relay.h"

/* Buffers of one surface whose differences are followed; others count as all different. */
#define MAX_FOLLOWED 8

/** Data of a wp_viewport. */
struct br_viewport {
	struct br_surface *surface; /* NULL once it is gone */
};

void br_surfaces_init(struct br_surfaces *surfaces, uint32_t max)
{
	*surfaces = (struct br_surfaces){.max = max};
	wl_list_init(&surfaces->list);
}

void br_copied_init(struct br_copied *copied, int32_t width, int32_t height)
{
	*copied = (struct br_copied){.width = width, .height = height, .whole = true};
	wl_list_init(&copied->link);
}

static void unfollow(struct br_copied *buffer)
{
	struct br_surface *surface = buffer->surface;
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
	struct br_surface *surface = object->data;
	struct br_copied *buffer, *tmp;
	(void)relay;
	wl_list_for_each_safe (buffer, tmp, &surface->buffers, link) {
		unfollow(buffer);
	}
	if (surface->viewport != NULL) {
		surface->viewport->surface = NULL;
	}
	if (surface->extra != NULL) {
		surface->extra_gone(surface->extra);
	}
	wl_list_remove(&surface->link);
	surface->surfaces->count--;
	free(surface);
	object->data = NULL;
}

struct br_surface *br_surface_get(struct br_surfaces *surfaces, struct br_object *object)
{
	if (object->data != NULL) {
		return object->data;
	}
	struct br_surface *surface =
		surfaces->count < surfaces->max ? calloc(1, sizeof(*surface)) : NULL;
	if (surface == NULL) {
		return NULL;
	}
	surface->surfaces = surfaces;
	surface->scale = 1;
	wl_list_init(&surface->buffers);
	wl_list_insert(&surfaces->list, &surface->link);
	surfaces->count++;
	object->data = surface;
	object->destroy = surface_destroy;
	return surface;
}

void br_surfaces_forget(struct br_surfaces *surfaces, struct br_copied *copied, const void *other)
{
	struct br_surface *surface;
	wl_list_for_each (surface, &surfaces->list, link) {
		if (surface->current == copied) {
			surface->current = NULL;
		}
		if (surface->pending == copied) {
			surface->pending = NULL;
		}
		if (surface->other == other) {
			surface->other = NULL;
		}
	}
	if (copied != NULL) {
		unfollow(copied);
	}
}

void br_surface_attach(struct br_surface *surface, struct br_copied *copied, const void *other)
{
	surface->pending = copied;
	surface->other = other;
	surface->attached = true;
}

void br_surface_damage(struct br_surface *surface, const struct br_rect *rect, bool buffer_pixels)
{
	br_damage_add(buffer_pixels ? &surface->buffer_damage : &surface->surface_damage, rect);
}

void br_surface_set_scale(struct br_surface *surface, int32_t scale)
{
	if (scale >= 1 && scale != surface->scale) {
		surface->scale = scale;
		surface->view_changed = true;
	}
}

void br_surface_set_transform(struct br_surface *surface, int32_t transform)
{
	if (transform >= 0 && transform <= 7 && (uint32_t)transform != surface->transform) {
		surface->transform = (uint32_t)transform;
		surface->view_changed = true;
	}
}

static void viewport_destroy(struct br_relay *relay, struct br_object *object)
{
	struct br_viewport *viewport = object->data;
	struct br_surface *surface = viewport->surface;
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

int br_viewport_create(struct br_surface *surface, struct br_object *object)
{
	if (surface->viewport != NULL) {
		return 0;
	}
	struct br_viewport *viewport = calloc(1, sizeof(*viewport));
	if (viewport == NULL) {
		return -ENOMEM;
	}
	viewport->surface = surface;
	surface->viewport = viewport;
	object->data = viewport;
	object->destroy = viewport_destroy;
	return 0;
}

void br_viewport_set(struct br_object *object, bool source, bool on)
{
	struct br_viewport *viewport = object->data;
	if (viewport == NULL || viewport->surface == NULL) {
		return;
	}
	struct br_surface *surface = viewport->surface;
	bool *setting = source ? &surface->has_source : &surface->has_destination;
	surface->view_changed |= *setting != on;
	*setting = on;
}

/* Put a buffer in front of those that the surface follows. */
static void follow(struct br_surface *surface, struct br_copied *buffer)
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
		struct br_copied *oldest = wl_container_of(surface->buffers.prev, oldest, link);
		unfollow(oldest);
	}
}

/* What the commit damages, in pixels of the buffer that it shows. Returns false if that can't be
 * said but as "all". */
static bool frame_damage(const struct br_surface *surface, const struct br_copied *buffer,
			 struct br_damage *frame)
{
	const struct br_view view = {
		.scale = surface->scale,
		.transform = surface->transform,
		.width = buffer->width,
		.height = buffer->height,
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
static void accumulate(struct br_surface *surface, const struct br_copied *shown)
{
	struct br_damage frame;
	bool known = shown != NULL && frame_damage(surface, shown, &frame);
	struct br_copied *buffer;
	wl_list_for_each (buffer, &surface->buffers, link) {
		const struct br_rect bounds = {0, 0, buffer->width, buffer->height};
		if (!known || buffer->width != shown->width || buffer->height != shown->height) {
			buffer->whole = true;
		} else if (!buffer->whole) {
			br_damage_add_all(&buffer->damage, &frame, &bounds);
		}
	}
}

struct br_copied *br_surface_shown(const struct br_surface *surface)
{
	return surface->attached ? surface->pending : surface->current;
}

struct br_copied *br_surface_commit(struct br_surface *surface)
{
	struct br_copied *shown = br_surface_shown(surface);
	bool damaged = surface->surface_damage.count > 0 || surface->buffer_damage.count > 0;
	bool fresh = surface->attached && shown != NULL;
	if (fresh || (damaged && shown != NULL)) {
		follow(surface, shown);
	}
	if (damaged || surface->view_changed) {
		accumulate(surface, shown);
	}
	surface->current = shown;
	surface->pending = NULL;
	surface->other = NULL;
	surface->attached = false;
	surface->view_changed = false;
	br_damage_clear(&surface->surface_damage);
	br_damage_clear(&surface->buffer_damage);
	return fresh || damaged ? shown : NULL;
}
