/* SPDX-License-Identifier: MIT */
#include "state.h"

#include <errno.h>
#include <stdlib.h>

#include "dmabuf.h"

void gp_state_init(struct gp_state *state, bool mirror, struct gp_stats *stats)
{
	*state = (struct gp_state){.mirror = mirror, .stats = stats};
	br_surfaces_init(&state->surfaces, BR_LIMIT_OBJECTS);
	wl_list_init(&state->registries);
	gp_times_init(&state->times);
	gp_sync_init(&state->sync);
}

void gp_state_finish(struct gp_state *state)
{
	gp_state_release_retired(state);
	free(state->retired);
	(void)gp_blob_unref(state->alloc_blob);
	gp_cursors_finish(state);
	gp_state_init(state, false, NULL);
}

bool gp_state_mirrors(struct gp_state *state)
{
	if (state->carries_fds != NULL) {
		state->mirror = !state->carries_fds(state);
		state->carries_fds = NULL;
	}
	return state->mirror;
}

static void handle_alloc_done(void *data, int err, struct gp_blob *blob)
{
	struct gp_state *state = data;
	state->alloc_state = GP_ALLOC_DONE;
	state->alloc_err = err;
	state->alloc_blob = blob;
	if (!state->alloc_sync && state->wake != NULL) {
		state->wake(state);
	}
}

int gp_state_alloc(struct gp_state *state, uint64_t size, struct gp_blob **ret_blob)
{
	if (state->alloc_state == GP_ALLOC_IDLE) {
		if (state->channel == NULL) {
			return -ENOTCONN;
		}
		state->alloc_state = GP_ALLOC_RUNNING;
		state->alloc_sync = true;
		gp_channel_alloc_blob(state->channel, size, handle_alloc_done, state);
		state->alloc_sync = false;
	}
	if (state->alloc_state == GP_ALLOC_RUNNING) {
		return -EAGAIN;
	}
	struct gp_blob *blob = state->alloc_blob;
	state->alloc_state = GP_ALLOC_IDLE;
	state->alloc_blob = NULL;
	if (state->alloc_err < 0) {
		return state->alloc_err;
	}
	if (blob->size < size) {
		(void)gp_blob_unref(blob);
		return -EIO;
	}
	*ret_blob = blob;
	return 0;
}

bool gp_state_fence_passed(struct gp_state *state, int fd)
{
	if (state->wait_readable == NULL || br_dmabuf_readable(fd)) {
		return true;
	}
	/* What can't be waited for is shown as it is. */
	return state->wait_readable(state, fd) < 0;
}

void gp_state_retire(struct gp_state *state, struct gp_blob *blob)
{
	if (blob == NULL) {
		return;
	}
	if (state->retired_count == state->retired_capacity) {
		size_t capacity = state->retired_capacity ? state->retired_capacity * 2 : 16;
		void *grown = realloc(state->retired, capacity * sizeof(*state->retired));
		if (grown == NULL) {
			(void)gp_blob_unref(blob);
			return;
		}
		state->retired = grown;
		state->retired_capacity = capacity;
	}
	state->retired[state->retired_count++] = blob;
}

void gp_state_release_retired(struct gp_state *state)
{
	for (size_t i = 0; i < state->retired_count; i++) {
		(void)gp_blob_unref(state->retired[i]);
	}
	state->retired_count = 0;
}
