/* SPDX-License-Identifier: MIT
 *
 * wl_surface and wp_viewport, as far as buffers that are copied need them: which pixels of which buffer
 * differ from the copy at a commit. Damage adds up per buffer. Used by the hooks of both programs; the
 * messages themselves are checked by the compositor.
 */
#ifndef BR_SURFACE_H
#define BR_SURFACE_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>

#include "damage.h"

struct br_object;
struct br_relay;
struct br_surface;

/** A buffer with a copy; part of its owner's struct. */
struct br_copied {
	int32_t width, height; /* pixels */
	bool whole;	       /* everything may differ, damage does not count */
	struct br_damage damage;
	struct br_surface *surface; /* the one it was attached to last; may be NULL */
	struct wl_list link;	    /* br_surface.buffers; on itself while surface is NULL */
};

/** Data of a wl_surface. Scale, transform and viewport take effect at a commit, and are looked at only
 * there, so one copy of them is enough. */
struct br_surface {
	struct wl_list link; /* br_surfaces.list */
	struct br_surfaces *surfaces;
	struct wl_list buffers; /* br_copied.link, last attached first */
	uint32_t buffer_count;
	struct br_copied *current; /* may be NULL */
	struct br_copied *pending; /* may be NULL: of attach */
	const void *other; /* of attach, a buffer that is not copied: the hooks' own; may be NULL */
	bool attached;	   /* pending and other count */
	struct br_damage surface_damage, buffer_damage;
	int32_t scale;
	uint32_t transform;
	bool view_changed;
	bool has_source, has_destination;
	struct br_viewport *viewport;	 /* may be NULL */
	void *extra;			 /* the hooks' own; may be NULL: */
	void (*extra_gone)(void *extra); /* the surface is about to go */
};

/** The surfaces of a client. */
struct br_surfaces {
	struct wl_list list; /* br_surface.link */
	uint32_t count, max;
};

/** Prepare an empty set of at most max. */
void br_surfaces_init(struct br_surfaces *surfaces, uint32_t max);

/** The state of a wl_surface, made when first needed, gone with the object; NULL if memory is out or there are
 * too many. */
struct br_surface *br_surface_get(struct br_surfaces *surfaces, struct br_object *object);

/** A copied buffer, or something else that is attached, is about to be freed. Either may be NULL. */
void br_surfaces_forget(struct br_surfaces *surfaces, struct br_copied *copied, const void *other);

/** Prepare the copied part of a buffer: everything differs. */
void br_copied_init(struct br_copied *copied, int32_t width, int32_t height);

/** The requests of wl_surface. Values that the compositor will refuse change nothing. */
void br_surface_attach(struct br_surface *surface, struct br_copied *copied, const void *other);
void br_surface_damage(struct br_surface *surface, const struct br_rect *rect, bool buffer_pixels);
void br_surface_set_scale(struct br_surface *surface, int32_t scale);
void br_surface_set_transform(struct br_surface *surface, int32_t transform);

/** The copied buffer that a commit would show; NULL if there is none. */
struct br_copied *br_surface_shown(const struct br_surface *surface);

/** Commit. Returns the buffer whose copy has to be brought up to date first, NULL if none has to. */
struct br_copied *br_surface_commit(struct br_surface *surface);

/** A wp_viewport of the surface; one only counts. Returns 0 or -ENOMEM. */
int br_viewport_create(struct br_surface *surface, struct br_object *object);

/** Its source rectangle (or else its destination) is set, or unset. */
void br_viewport_set(struct br_object *object, bool source, bool on);

#endif
