/* SPDX-License-Identifier: MIT
 *
 * wl_surface and wp_viewport, as far as copied buffers need them (copy.c), and as frames are counted.
 */
#include "../host.h"
#include "br-tables.h"
#include "hooks.h"
#include "hr-hooks.h"
#include "wire.h"

/* The surface of a request; NULL where it is not followed. */
static struct br_surface *get(struct br_relay *relay, struct br_object *object)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	return state->host != NULL ? br_surface_get(&state->surfaces, object) : NULL;
}

enum br_verdict hr_hook_wl_surface_attach(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_surface_attach *args)
{
	struct br_surface *surface = get(relay, msg->object);
	struct br_copied *copied = hr_copied_of(args->buffer);
	if (surface != NULL) {
		br_surface_attach(surface, copied,
				  hr_dmabuf_is_native(args->buffer) ? args->buffer : NULL);
	} else if (copied != NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
				      "host: buffers that are copied on more than %d surfaces",
				      BR_LIMIT_SURFACES);
		return BR_DROP;
	}
	return BR_FORWARD;
}

enum br_verdict hr_hook_wl_surface_damage(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_surface_damage *args)
{
	struct br_surface *surface = get(relay, msg->object);
	if (surface != NULL) {
		struct br_rect rect = br_rect_make(args->x, args->y, args->width, args->height);
		br_surface_damage(surface, &rect, false);
	}
	return BR_FORWARD;
}

enum br_verdict hr_hook_wl_surface_damage_buffer(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_surface_damage_buffer *args)
{
	struct br_surface *surface = get(relay, msg->object);
	if (surface != NULL) {
		struct br_rect rect = br_rect_make(args->x, args->y, args->width, args->height);
		br_surface_damage(surface, &rect, true);
	}
	return BR_FORWARD;
}

enum br_verdict hr_hook_wl_surface_set_buffer_scale(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_surface_set_buffer_scale *args)
{
	struct br_surface *surface = get(relay, msg->object);
	if (surface != NULL) {
		br_surface_set_scale(surface, args->scale);
	}
	return BR_FORWARD;
}

enum br_verdict hr_hook_wl_surface_set_buffer_transform(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_surface_set_buffer_transform *args)
{
	struct br_surface *surface = get(relay, msg->object);
	if (surface != NULL) {
		br_surface_set_transform(surface, args->transform);
	}
	return BR_FORWARD;
}

enum br_verdict hr_hook_wp_viewporter_get_viewport(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_viewporter_get_viewport *args)
{
	struct br_surface *surface = get(relay, args->surface);
	if (surface != NULL && br_viewport_create(surface, msg->args[0].object) < 0) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return BR_DROP;
	}
	return BR_FORWARD;
}

/* -1 (in any of them) takes the setting back. */
enum br_verdict hr_hook_wp_viewport_set_source(struct br_relay *relay, struct br_msg *msg,
					       const struct br_args_wp_viewport_set_source *args)
{
	(void)relay;
	br_viewport_set(msg->object, true, args->width >= 0);
	return BR_FORWARD;
}

enum br_verdict hr_hook_wp_viewport_set_destination(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_viewport_set_destination *args)
{
	(void)relay;
	br_viewport_set(msg->object, false, args->width >= 0);
	return BR_FORWARD;
}

/* The copy that the commit waited for is there, or failed. */
static enum br_verdict end_copy(struct br_relay *relay)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	if (state->copy_error < 0) {
		hr_copy_failed(relay, state->copying_buffer, state->copy_error);
	}
	state->copying = HR_COPY_NONE;
	state->copying_buffer = NULL;
	return BR_FORWARD;
}

enum br_verdict hr_hook_wl_surface_commit(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_surface_commit *args)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	(void)args;
	if (state->copying != HR_COPY_NONE) {
		return state->copying == HR_COPY_DONE ? end_copy(relay) : BR_AGAIN;
	}
	struct br_surface *surface = get(relay, msg->object);
	if (surface == NULL) {
		return BR_FORWARD;
	}
	state->host->dmabuf_frames += surface->attached && surface->other != NULL;
	struct br_copied *changed = br_surface_commit(surface);
	return changed != NULL ? hr_copy_update(relay, changed) : BR_FORWARD;
}
