/* SPDX-License-Identifier: MIT */
#include "context.h"

#include <errno.h>
#include <stdlib.h>

void gp_context_init(struct gp_context *context, bool mirror, struct gp_stats *stats)
{
	*context = (struct gp_context){.mirror = mirror, .stats = stats};
	wl_list_init(&context->surfaces);
}

void gp_context_finish(struct gp_context *context)
{
	gp_context_release_retired(context);
	free(context->retired);
	(void)gp_blob_unref(context->alloc_blob);
	gp_context_init(context, false, NULL);
}

static void handle_alloc_done(void *data, int err, struct gp_blob *blob)
{
	struct gp_context *context = data;
	context->alloc_state = GP_ALLOC_DONE;
	context->alloc_err = err;
	context->alloc_blob = blob;
	if (!context->alloc_sync && context->wake != NULL) {
		context->wake(context);
	}
}

int gp_context_alloc(struct gp_context *context, uint64_t size, struct gp_blob **ret_blob)
{
	if (context->alloc_state == GP_ALLOC_IDLE) {
		if (context->channel == NULL) {
			return -ENOTCONN;
		}
		context->alloc_state = GP_ALLOC_RUNNING;
		context->alloc_sync = true;
		gp_channel_alloc_blob(context->channel, size, handle_alloc_done, context);
		context->alloc_sync = false;
	}
	if (context->alloc_state == GP_ALLOC_RUNNING) {
		return -EAGAIN;
	}
	struct gp_blob *blob = context->alloc_blob;
	context->alloc_state = GP_ALLOC_IDLE;
	context->alloc_blob = NULL;
	if (context->alloc_err < 0) {
		return context->alloc_err;
	}
	if (blob->size < size) {
		(void)gp_blob_unref(blob);
		return -EIO;
	}
	*ret_blob = blob;
	return 0;
}

void gp_context_retire(struct gp_context *context, struct gp_blob *blob)
{
	if (blob == NULL) {
		return;
	}
	if (context->retired_count == context->retired_capacity) {
		size_t capacity = context->retired_capacity ? context->retired_capacity * 2 : 16;
		void *grown = realloc(context->retired, capacity * sizeof(*context->retired));
		if (grown == NULL) {
			(void)gp_blob_unref(blob);
			return;
		}
		context->retired = grown;
		context->retired_capacity = capacity;
	}
	context->retired[context->retired_count++] = blob;
}

void gp_context_release_retired(struct gp_context *context)
{
	for (size_t i = 0; i < context->retired_count; i++) {
		(void)gp_blob_unref(context->retired[i]);
	}
	context->retired_count = 0;
}
