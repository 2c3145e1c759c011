/* SPDX-License-Identifier: MIT
 *
 * The host's clocks, as far as one client's messages tell their times. Part of struct gp_state.
 */
#ifndef GP_HOOKS_TIMES_H
#define GP_HOOKS_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "relay.h"

/** One clock of the host's, and the exchanges that measure it. */
struct gp_measure {
	uint32_t id; /* clockid_t, the guest's and the host's */
	struct gp_clock clock;
	int64_t done_ns; /* CLOCK_MONOTONIC of the last exchange; 0: there was none */
	unsigned tries;	 /* exchanges that may follow in a row */
	bool wanted;	 /* ask when the one that is on its way has ended */
	bool mute;	 /* the host does not tell */
	bool doubted;	 /* a message waits to know whether a clock has jumped */
	/* What the compositor's times lie in the future by, for all that exchanges can tell. */
	int64_t early_ms;
	int32_t early_input_ms; /* of those in ms, whose base may be any */
};

/** All zero but for what gp_times_init() sets. */
struct gp_times {
	struct gp_measure input;	 /* CLOCK_MONOTONIC, which compositors' input has */
	struct gp_measure other;	 /* wp_presentation's clock, if that is another */
	struct gp_measure *presentation; /* one of the two */
	struct gp_measure *asking;	 /* whose exchange is on its way; may be NULL */
	bool request_waits,
		event_waits; /* a hook returned BR_AGAIN: wake is due when it has ended */
};

/** Prepare; nothing is asked before a program binds what brings times. */
void gp_times_init(struct gp_times *times);

/** The program has bound a global: measure early if it may bring times. */
void gp_times_bound(struct br_relay *relay, const struct br_object *object);

/** Turn an event's time in ms (of arbitrary base, as the protocol has it), argument number arg, into the
 * guest's clock. Other hooks of such an event call it first, and return what is not BR_FORWARD: they are called
 * again then. */
enum br_verdict gp_times_event_ms(struct br_relay *relay, struct br_msg *msg, unsigned arg);

#endif
