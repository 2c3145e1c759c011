/* SPDX-License-Identifier: MIT
 *
 * What the hooks of the host share. The hooks themselves are declared in the generated hr-hooks.h,
 * one per "hook host" line of protocol/policy.txt.
 */
#ifndef HR_HOOKS_SHARED_H
#define HR_HOOKS_SHARED_H

#include "admit.h"
#include "limits.h"
#include "policy.h"
#include "relay.h"

/** State of the hooks of one client: br_relay_data() of its relay points to this. */
struct hr_hook_state {
	struct hr_admit admit;
	const struct hr_policy *policy; /* outlives it */
	struct br_object *fixes;	/* a wl_fixes that takes acknowledgements; may be NULL */
	/* A text that replaces an argument: has to live until the relay has sent the message. */
	char text[BR_LIMIT_TITLE_BYTES + 1];
};

static inline struct hr_hook_state *hr_hook_state(const struct br_relay *relay)
{
	return br_relay_data(relay);
}

#endif
