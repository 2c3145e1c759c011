/* SPDX-License-Identifier: MIT
 *
 * The messages of our X server that the window manager has to see. xwayland_shell_v1 is ours: the compositor
 * takes the windows for ordinary ones.
 */
#include "br-tables.h"
#include "gp-hooks.h"
#include "state.h"

enum br_verdict gp_hook_xwayland_shell_v1_get_xwayland_surface(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_xwayland_shell_v1_get_xwayland_surface *args)
{
	struct br_object *object = args->id;
	(void)relay;
	(void)msg;
	object->state = BR_OBJECT_OURS;
	/* Its serial should follow at once. The surface may be gone by then, its id another's. */
	object->data = (void *)(uintptr_t)args->surface->client_id;
	return BR_DROP;
}

/* Once, as the protocol has it: what would come later is a lie. */
enum br_verdict gp_hook_xwayland_surface_v1_set_serial(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_xwayland_surface_v1_set_serial *args)
{
	struct gp_state *state = gp_state_of(relay);
	struct br_object *surface =
		br_relay_client_object(relay, (uint32_t)(uintptr_t)msg->object->data);
	msg->object->data = NULL;
	if (state->xwayland != NULL && surface != NULL && surface->iface == BR_IFACE_WL_SURFACE) {
		state->xwayland->associate(state->xwayland_data, surface,
					   (uint64_t)args->serial_hi << 32 | args->serial_lo);
	}
	return BR_DROP;
}

enum br_verdict gp_hook_wl_surface_destroy(struct br_relay *relay, struct br_msg *msg,
					   const struct br_args_wl_surface_destroy *args)
{
	struct gp_state *state = gp_state_of(relay);
	(void)args;
	if (state->xwayland != NULL) {
		state->xwayland->surface_gone(state->xwayland_data, msg->object);
	}
	return BR_FORWARD;
}

void gp_state_xwayland_wake(struct br_relay *relay)
{
	struct gp_state *state = gp_state_of(relay);
	if (state->xwayland_waits) {
		state->xwayland_waits = false;
		br_relay_resume(relay, BR_REQUEST);
	}
}
