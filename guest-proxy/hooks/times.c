/* SPDX-License-Identifier: MIT
 *
 * Times in messages: the host's compositor tells them in the host's clock, and programs compare them with
 * their own. They are moved by an offset that is measured by exchanges with the host (clock.h), first when
 * the program starts, then when messages with times pass and the last exchange is too long ago; a message
 * waits for one rather than be wrong. Nothing is asked while none pass.
 *
 * Presentation times, commit times and input timestamps are exact, as far as the measurement is. Times in
 * ms (input events, frame callbacks) have no base by the protocol, but compositors take CLOCK_MONOTONIC's
 * and programs (Firefox, Chromium) rely on it, and input timestamps have to be in the same domain: they are
 * moved as well, by whole ms. Whatever their base, differences of two stay what they are.
 *
 * A host that can't be asked: presentation times are estimated by their arrival, commit times are left out
 * until then, input times stay as they are.
 */
#include "times.h"

#include <time.h>

#include "br-tables.h"
#include "gp-hooks.h"
#include "log.h"
#include "state.h"

#define MS INT64_C(1000000) /* ns */

/* Ages of the last exchange, beyond which a message waits for another; at half of it that is asked for
 * already. With the drift of clock.h the error stays below 1 ms. */
#define EXACT_AGE (1000 * MS)
#define INPUT_AGE (10000 * MS) /* of times in ms: real clocks drift much less than they may */
#define FUTURE_MS 5	       /* beyond it a time can't have been yet: a clock may have jumped */

/* Exchanges in a row, until one is good. */
#define MAX_TRIES 8
#define GOOD_NS 100000
#define POOR_NS 400000 /* beyond it messages wait for them all */

static const char frame_mark; /* data of wl_surface.frame's callbacks */

static void ask(struct gp_state *state, struct gp_measure *measure);

static int64_t now_ns(uint32_t clock_id)
{
	struct timespec now = {0};
	(void)clock_gettime((clockid_t)clock_id, &now);
	return (int64_t)now.tv_sec * GP_CLOCK_NSEC + now.tv_nsec;
}

void gp_times_init(struct gp_times *times)
{
	*times = (struct gp_times){.input.id = CLOCK_MONOTONIC};
	times->presentation = &times->input;
}

/* --- measuring --- */

static void learn(struct gp_measure *measure, int err, const struct gp_clock_sample *sample)
{
	if (err < 0 || !gp_clock_exchange(&measure->clock, sample->sent_ns, sample->host_ns,
					  sample->received_ns)) {
		measure->mute = true;
		measure->wanted = false;
		return;
	}
	measure->done_ns = now_ns(CLOCK_MONOTONIC);
	int64_t error = gp_clock_error(&measure->clock, sample->received_ns);
	measure->tries -= measure->tries > 0 ? 1 : 0;
	measure->wanted = measure->tries > 0 && error > GOOD_NS;
	if (!measure->wanted) {
		measure->tries = 0;
		br_log(BR_LOG_DEBUG, "guest: the host's clock %u is %lld ns ahead, within %lld ns",
		       measure->id, (long long)gp_clock_offset(&measure->clock), (long long)error);
	}
}

static void handle_sample(void *data, int err, const struct gp_clock_sample *sample)
{
	struct gp_state *state = data;
	struct gp_times *times = &state->times;
	struct gp_measure *measure = times->asking;
	bool wake = times->request_waits || times->event_waits;
	times->asking = NULL;
	/* The presentation clock may have become another meanwhile. */
	if (err < 0 || sample->clock_id == measure->id) {
		learn(measure, err, sample);
	}
	if (times->input.wanted) {
		ask(state, &times->input);
	}
	if (times->other.wanted) {
		ask(state, &times->other);
	}
	times->request_waits = times->event_waits = false;
	if (wake && state->wake != NULL) {
		state->wake(state);
	}
}

static void ask(struct gp_state *state, struct gp_measure *measure)
{
	struct gp_times *times = &state->times;
	measure->wanted = times->asking != NULL;
	if (measure->wanted) {
		return;
	}
	if (state->channel == NULL ||
	    gp_channel_read_clock(state->channel, measure->id, handle_sample, state) < 0) {
		measure->mute = true;
		return;
	}
	times->asking = measure;
}

static bool is_running(const struct gp_state *state, const struct gp_measure *measure)
{
	return measure == state->times.asking || measure->wanted;
}

/* Whether a message has to wait for an exchange, which is under way then. */
static bool must_wait(struct gp_state *state, struct gp_measure *measure, int64_t max_age)
{
	const struct gp_clock *clock = &measure->clock;
	int64_t age = INT64_MAX;
	if (measure->mute) {
		return false;
	}
	if (measure->done_ns != 0) {
		age = now_ns(CLOCK_MONOTONIC) - measure->done_ns;
	}
	if (!is_running(state, measure) && age >= max_age / 2) {
		measure->tries = MAX_TRIES;
		ask(state, measure);
	}
	return is_running(state, measure) &&
	       (age >= max_age || gp_clock_error(clock, clock->at_ns) > POOR_NS);
}

/* Whether a time that comes too early has to wait until an exchange has told that no clock has jumped, as the
 * guest's does when its machine is stopped for a while. If none has, the compositor means it: the caller
 * expects as much from then on. */
static bool is_doubtful(struct gp_state *state, struct gp_measure *measure, bool early)
{
	bool doubt = early && !measure->doubted && must_wait(state, measure, 0);
	measure->doubted = doubt;
	return doubt;
}

void gp_times_bound(struct br_relay *relay, const struct br_object *object)
{
	struct gp_state *state = gp_state_of(relay);
	if (object->iface == BR_IFACE_WL_COMPOSITOR || object->iface == BR_IFACE_WL_SEAT ||
	    object->iface == BR_IFACE_WP_PRESENTATION) {
		(void)must_wait(state, &state->times.input, EXACT_AGE);
	}
}

/* --- moving --- */

static enum br_verdict event_waits(struct gp_state *state)
{
	state->times.event_waits = true;
	return BR_AGAIN;
}

static struct gp_time get_time(const struct br_msg *msg)
{
	return (struct gp_time){
		.sec = (uint64_t)msg->args[0].u << 32 | msg->args[1].u,
		.nsec = msg->args[2].u,
	};
}

static void set_time(struct br_msg *msg, const struct gp_time *time)
{
	msg->args[0].u = (uint32_t)(time->sec >> 32);
	msg->args[1].u = (uint32_t)time->sec;
	msg->args[2].u = time->nsec;
}

/* An event that begins with tv_sec_hi, tv_sec_lo and tv_nsec. */
static enum br_verdict event_time(struct br_relay *relay, struct br_msg *msg,
				  struct gp_measure *measure)
{
	struct gp_state *state = gp_state_of(relay);
	struct gp_time time = get_time(msg);
	if (time.nsec >= GP_CLOCK_NSEC) {
		return BR_FORWARD; /* the compositor's own doing */
	}
	if (must_wait(state, measure, EXACT_AGE)) {
		return event_waits(state);
	}
	if (measure->mute && measure == state->times.presentation) {
		gp_clock_hear(&measure->clock, &time, now_ns(measure->id));
	}
	if (!gp_clock_known(&measure->clock)) {
		return BR_FORWARD;
	}
	time = gp_time_shift(&time, -gp_clock_offset(&measure->clock));
	int64_t early_ms = gp_time_ns(&time) / MS - now_ns(measure->id) / MS;
	if (is_doubtful(state, measure, early_ms > measure->early_ms + FUTURE_MS)) {
		return event_waits(state);
	}
	measure->early_ms = early_ms > measure->early_ms ? early_ms : measure->early_ms;
	set_time(msg, &time);
	return BR_FORWARD;
}

static enum br_verdict event_ms(struct br_relay *relay, struct br_msg *msg, unsigned arg,
				struct gp_measure *measure)
{
	struct gp_state *state = gp_state_of(relay);
	if (must_wait(state, measure, INPUT_AGE)) {
		return event_waits(state);
	}
	if (!measure->clock.measured) {
		return BR_FORWARD;
	}
	uint32_t time = msg->args[arg].u - (uint32_t)(gp_clock_offset(&measure->clock) / MS);
	int32_t early_ms = (int32_t)(time - (uint32_t)(now_ns(measure->id) / MS));
	if (is_doubtful(state, measure, early_ms > (int64_t)measure->early_input_ms + FUTURE_MS)) {
		return event_waits(state);
	}
	if (early_ms > measure->early_input_ms) {
		measure->early_input_ms = early_ms;
	}
	msg->args[arg].u = time;
	return BR_FORWARD;
}

enum br_verdict gp_times_event_ms(struct br_relay *relay, struct br_msg *msg, unsigned arg)
{
	return event_ms(relay, msg, arg, &gp_state_of(relay)->times.input);
}

/* --- wp_presentation, wp_commit_timer_v1 --- */

/* The clock whose time an exchange tells, for one that programs may be told of; -1: none. The coarse ones
 * show the same time as theirs, later. */
static int measured_id(uint32_t clock_id)
{
	struct timespec now;
	switch (clock_id) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		return clock_gettime((clockid_t)clock_id, &now) == 0 ? (int)clock_id : -1;
	case CLOCK_REALTIME_COARSE:
		return CLOCK_REALTIME;
	case CLOCK_MONOTONIC_COARSE:
		return CLOCK_MONOTONIC;
	default:
		return -1;
	}
}

/* The program is told the compositor's clock if its own machine has it; else CLOCK_MONOTONIC, and times
 * are estimated. */
enum br_verdict gp_hook_wp_presentation_clock_id(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_presentation_clock_id *args)
{
	struct gp_state *state = gp_state_of(relay);
	struct gp_times *times = &state->times;
	int id = measured_id(args->clk_id);
	if (id == CLOCK_MONOTONIC) {
		times->presentation = &times->input;
	} else {
		if (times->presentation != &times->other || times->other.id != (uint32_t)id) {
			times->other = (struct gp_measure){.id = (uint32_t)id, .mute = id < 0};
		}
		times->presentation = &times->other;
	}
	if (id < 0) {
		times->other.id = CLOCK_MONOTONIC;
		msg->args[0].u = CLOCK_MONOTONIC;
	}
	(void)must_wait(state, times->presentation, EXACT_AGE);
	return BR_FORWARD;
}

enum br_verdict gp_hook_wp_presentation_feedback(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_presentation_feedback *args)
{
	struct gp_state *state = gp_state_of(relay);
	(void)msg;
	(void)args;
	/* So that the answer need not wait. */
	(void)must_wait(state, state->times.presentation, EXACT_AGE);
	return BR_FORWARD;
}

enum br_verdict gp_hook_wp_presentation_feedback_presented(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_presentation_feedback_presented *args)
{
	(void)args;
	return event_time(relay, msg, gp_state_of(relay)->times.presentation);
}

enum br_verdict gp_hook_ext_image_copy_capture_frame_v1_presentation_time(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_ext_image_copy_capture_frame_v1_presentation_time *args)
{
	(void)args;
	return event_time(relay, msg, gp_state_of(relay)->times.presentation);
}

enum br_verdict gp_hook_wp_commit_timer_v1_set_timestamp(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_commit_timer_v1_set_timestamp *args)
{
	struct gp_state *state = gp_state_of(relay);
	struct gp_measure *measure = state->times.presentation;
	struct gp_time time = get_time(msg);
	if (args->tv_nsec >= GP_CLOCK_NSEC) {
		return BR_FORWARD; /* the compositor ends the program for it */
	}
	if (must_wait(state, measure, EXACT_AGE)) {
		state->times.request_waits = true;
		return BR_AGAIN;
	}
	if (!gp_clock_known(&measure->clock)) {
		return BR_DROP; /* in the wrong clock it might be years ahead */
	}
	time = gp_time_shift(&time, gp_clock_offset(&measure->clock));
	set_time(msg, &time);
	return BR_FORWARD;
}

/* --- frame callbacks --- */

enum br_verdict gp_hook_wl_surface_frame(struct br_relay *relay, struct br_msg *msg,
					 const struct br_args_wl_surface_frame *args)
{
	(void)relay;
	(void)args;
	msg->args[0].object->data = (void *)&frame_mark;
	return BR_FORWARD;
}

/* Of a wl_display.sync it is no time. */
enum br_verdict gp_hook_wl_callback_done(struct br_relay *relay, struct br_msg *msg,
					 const struct br_args_wl_callback_done *args)
{
	(void)args;
	if (msg->object->data != &frame_mark) {
		return BR_FORWARD;
	}
	return event_ms(relay, msg, 0, gp_state_of(relay)->times.presentation);
}

/* --- input --- */

enum br_verdict gp_hook_zwp_input_timestamps_v1_timestamp(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_input_timestamps_v1_timestamp *args)
{
	(void)args;
	return event_time(relay, msg, &gp_state_of(relay)->times.input);
}

/* In us. */
enum br_verdict gp_hook_zwp_relative_pointer_v1_relative_motion(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_relative_pointer_v1_relative_motion *args)
{
	struct gp_state *state = gp_state_of(relay);
	struct gp_measure *measure = &state->times.input;
	if (must_wait(state, measure, INPUT_AGE)) {
		return event_waits(state);
	}
	if (measure->clock.measured) {
		uint64_t time = (uint64_t)args->utime_hi << 32 | args->utime_lo;
		time -= (uint64_t)(gp_clock_offset(&measure->clock) / 1000);
		msg->args[0].u = (uint32_t)(time >> 32);
		msg->args[1].u = (uint32_t)time;
	}
	return BR_FORWARD;
}

/* The hook of an event whose argument number arg is a time in ms. */
#define HOOK_MS(event, arg)                                                                        \
	enum br_verdict gp_hook_##event(struct br_relay *relay, struct br_msg *msg,                \
					const struct br_args_##event *args)                        \
	{                                                                                          \
		(void)args;                                                                        \
		return gp_times_event_ms(relay, msg, arg);                                         \
	}

HOOK_MS(wl_data_device_motion, 0)
HOOK_MS(wl_pointer_axis, 0)
HOOK_MS(wl_pointer_axis_stop, 0)
HOOK_MS(wl_touch_up, 1)
HOOK_MS(wl_touch_motion, 0)
HOOK_MS(zwp_pointer_gesture_swipe_v1_begin, 1)
HOOK_MS(zwp_pointer_gesture_swipe_v1_update, 0)
HOOK_MS(zwp_pointer_gesture_swipe_v1_end, 1)
HOOK_MS(zwp_pointer_gesture_pinch_v1_begin, 1)
HOOK_MS(zwp_pointer_gesture_pinch_v1_update, 0)
HOOK_MS(zwp_pointer_gesture_pinch_v1_end, 1)
HOOK_MS(zwp_pointer_gesture_hold_v1_begin, 1)
HOOK_MS(zwp_pointer_gesture_hold_v1_end, 1)
HOOK_MS(zwp_tablet_tool_v1_frame, 0)
HOOK_MS(zwp_tablet_tool_v2_frame, 0)
HOOK_MS(zwp_tablet_pad_v2_button, 0)
HOOK_MS(zwp_tablet_pad_ring_v2_frame, 0)
HOOK_MS(zwp_tablet_pad_strip_v2_frame, 0)
HOOK_MS(zwp_tablet_pad_dial_v2_frame, 0)
HOOK_MS(zwp_tablet_pad_group_v2_mode_switch, 0)
HOOK_MS(zwp_text_input_v1_keysym, 1)
