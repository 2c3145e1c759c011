/* SPDX-License-Identifier: MIT
 *
 * wl_surface and wp_viewport, as far as mirrored and imported buffers need them: what of a mirror has to
 * be copied before the host sees the commit, and whether a GPU is through with what it shows.
 */
#include "br-tables.h"
#include "gp-hooks.h"
#include "state.h"
#include "surface.h"
#include "wire.h"

static struct br_surface *get(struct br_relay *relay, struct br_object *object)
{
	struct br_surface *surface = br_surface_get(&gp_state_of(relay)->surfaces, object);
	if (surface == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
	}
	return surface;
}

/* The surface of a request, or NULL where there is nothing to do. */
static struct br_surface *mirrored_surface(struct br_relay *relay, struct br_msg *msg)
{
	return gp_state_of(relay)->mirror ? get(relay, msg->object) : NULL;
}

enum br_verdict gp_hook_wl_surface_attach(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_surface_attach *args)
{
	struct gp_state *state = gp_state_of(relay);
	if (state->xwayland != NULL && args->buffer != NULL &&
	    !state->xwayland->may_attach(state->xwayland_data, msg->object)) {
		state->xwayland_waits = true;
		return BR_AGAIN;
	}
	if (!gp_sync_attach(relay, msg->object, args->buffer)) {
		return BR_DROP;
	}
	struct br_surface *surface = mirrored_surface(relay, msg);
	if (surface != NULL) {
		struct gp_buffer *buffer = gp_buffer_of(args->buffer);
		br_surface_attach(surface, buffer != NULL ? &buffer->base : NULL,
				  gp_dmabuf_of(args->buffer));
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_surface_damage(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_surface_damage *args)
{
	struct br_surface *surface = mirrored_surface(relay, msg);
	if (surface != NULL) {
		struct br_rect rect = br_rect_make(args->x, args->y, args->width, args->height);
		br_surface_damage(surface, &rect, false);
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_surface_damage_buffer(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_surface_damage_buffer *args)
{
	struct br_surface *surface = mirrored_surface(relay, msg);
	if (surface != NULL) {
		struct br_rect rect = br_rect_make(args->x, args->y, args->width, args->height);
		br_surface_damage(surface, &rect, true);
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_surface_set_buffer_scale(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_surface_set_buffer_scale *args)
{
	struct br_surface *surface = mirrored_surface(relay, msg);
	if (surface != NULL) {
		br_surface_set_scale(surface, args->scale);
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_surface_set_buffer_transform(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_surface_set_buffer_transform *args)
{
	struct br_surface *surface = mirrored_surface(relay, msg);
	if (surface != NULL) {
		br_surface_set_transform(surface, args->transform);
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wp_viewporter_get_viewport(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_viewporter_get_viewport *args)
{
	if (!gp_state_of(relay)->mirror) {
		return BR_FORWARD;
	}
	struct br_surface *surface = get(relay, args->surface);
	if (surface != NULL && br_viewport_create(surface, msg->args[0].object) < 0) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return BR_DROP;
	}
	return BR_FORWARD;
}

/* -1 (in any of them) takes the setting back. */
enum br_verdict gp_hook_wp_viewport_set_source(struct br_relay *relay, struct br_msg *msg,
					       const struct br_args_wp_viewport_set_source *args)
{
	(void)relay;
	br_viewport_set(msg->object, true, args->width >= 0);
	return BR_FORWARD;
}

enum br_verdict gp_hook_wp_viewport_set_destination(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_viewport_set_destination *args)
{
	(void)relay;
	br_viewport_set(msg->object, false, args->width >= 0);
	return BR_FORWARD;
}

/* Whether the pixels of what the commit shows are all there. */
static bool finished(struct gp_state *state, const struct br_surface *surface,
		     const struct gp_buffer *shown)
{
	if (surface->other != NULL && !gp_dmabuf_finished(state, surface->other)) {
		return false;
	}
	return shown == NULL || shown->mapping->dmabuf_fd < 0 ||
	       gp_state_fence_passed(state, shown->mapping->dmabuf_fd);
}

enum br_verdict gp_hook_wl_surface_commit(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_surface_commit *args)
{
	struct br_surface *surface = mirrored_surface(relay, msg);
	enum gp_sync_verdict sync = gp_sync_commit(relay, msg->object);
	(void)args;
	if (sync == GP_SYNC_WAITS || sync == GP_SYNC_FAILED) {
		return sync == GP_SYNC_WAITS ? BR_AGAIN : BR_DROP;
	}
	if (surface == NULL) {
		return BR_FORWARD;
	}
	if (sync == GP_SYNC_IMPLICIT &&
	    !finished(gp_state_of(relay), surface, gp_buffer_from(br_surface_shown(surface)))) {
		return BR_AGAIN;
	}
	struct gp_buffer *changed = gp_buffer_from(br_surface_commit(surface));
	return changed == NULL || gp_buffer_sync_or_fail(relay, changed) ? BR_FORWARD : BR_DROP;
}
