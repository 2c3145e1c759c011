/* SPDX-License-Identifier: MIT */
#include "hold.h"

#include <errno.h>
#include <stdlib.h>

#include "../host.h"
#include "hooks.h"

int hr_hold_create(struct hr_hook_state *state, uint64_t bytes, struct hr_hold **ret_hold)
{
	uint64_t all = state->host != NULL ? state->host->held_bytes : 0;
	if (bytes > BR_LIMIT_HELD_BYTES - state->held_bytes ||
	    bytes > BR_LIMIT_DEVICE_BYTES - all) {
		return -ENOSPC;
	}
	struct hr_hold *hold = malloc(sizeof(*hold));
	if (hold == NULL) {
		return -ENOMEM;
	}
	*hold = (struct hr_hold){.state = state, .refs = 1, .bytes = bytes};
	state->held_bytes += bytes;
	if (state->host != NULL) {
		state->host->held_bytes += bytes;
	}
	*ret_hold = hold;
	return 0;
}

struct hr_hold *hr_hold_ref(struct hr_hold *hold)
{
	if (hold != NULL) {
		hold->refs++;
	}
	return hold;
}

struct hr_hold *hr_hold_unref(struct hr_hold *hold)
{
	if (hold == NULL || --hold->refs > 0) {
		return NULL;
	}
	hold->state->held_bytes -= hold->bytes;
	if (hold->state->host != NULL) {
		hold->state->host->held_bytes -= hold->bytes;
	}
	free(hold);
	return NULL;
}

static void buffer_destroy(struct br_relay *relay, struct br_object *object)
{
	(void)relay;
	object->data = hr_hold_unref(object->data);
}

void hr_hold_attach(struct hr_hold *hold, struct br_object *buffer)
{
	hold->refs++;
	buffer->data = hold;
	buffer->destroy = buffer_destroy;
}
