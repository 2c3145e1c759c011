/* SPDX-License-Identifier: MIT
 *
 * What the window manager of our X server learns from the input that the X server gets: the serials by which
 * it may ask the compositor for something, and where the pointer is. The times in it become the guest's.
 */
#include "br-tables.h"
#include "gp-hooks.h"
#include "state.h"
#include "times.h"

static void note_serial(struct br_relay *relay, uint32_t serial)
{
	const struct gp_state *state = gp_state_of(relay);
	if (state->xwayland != NULL) {
		state->xwayland->input(state->xwayland_data, serial);
	}
}

enum br_verdict gp_hook_wl_keyboard_enter(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_keyboard_enter *args)
{
	(void)msg;
	note_serial(relay, args->serial);
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_keyboard_key(struct br_relay *relay, struct br_msg *msg,
					const struct br_args_wl_keyboard_key *args)
{
	enum br_verdict verdict = gp_times_event_ms(relay, msg, 1);
	if (verdict == BR_FORWARD) {
		note_serial(relay, args->serial);
	}
	return verdict;
}

enum br_verdict gp_hook_wl_touch_down(struct br_relay *relay, struct br_msg *msg,
				      const struct br_args_wl_touch_down *args)
{
	enum br_verdict verdict = gp_times_event_ms(relay, msg, 1);
	if (verdict == BR_FORWARD) {
		note_serial(relay, args->serial);
	}
	return verdict;
}

enum br_verdict gp_hook_wl_pointer_enter(struct br_relay *relay, struct br_msg *msg,
					 const struct br_args_wl_pointer_enter *args)
{
	const struct gp_state *state = gp_state_of(relay);
	if (state->xwayland != NULL) {
		state->xwayland->pointer_enter(state->xwayland_data, msg->object, args->surface);
		state->xwayland->pointer_motion(state->xwayland_data, args->surface_x,
						args->surface_y);
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_pointer_leave(struct br_relay *relay, struct br_msg *msg,
					 const struct br_args_wl_pointer_leave *args)
{
	const struct gp_state *state = gp_state_of(relay);
	(void)msg;
	bool kept = state->xwayland != NULL &&
		    state->xwayland->pointer_leave(state->xwayland_data, args->serial);
	return kept ? BR_DROP : BR_FORWARD;
}

enum br_verdict gp_hook_wl_pointer_button(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_pointer_button *args)
{
	const struct gp_state *state = gp_state_of(relay);
	enum br_verdict verdict = gp_times_event_ms(relay, msg, 1);
	if (verdict == BR_FORWARD && state->xwayland != NULL) {
		note_serial(relay, args->serial);
		state->xwayland->pointer_button(state->xwayland_data, args->serial, args->button,
						args->state != 0);
	}
	return verdict;
}

enum br_verdict gp_hook_wl_pointer_motion(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_pointer_motion *args)
{
	const struct gp_state *state = gp_state_of(relay);
	enum br_verdict verdict = gp_times_event_ms(relay, msg, 0);
	if (verdict == BR_FORWARD && state->xwayland != NULL) {
		state->xwayland->pointer_motion(state->xwayland_data, args->surface_x,
						args->surface_y);
	}
	return verdict;
}
