/* SPDX-License-Identifier: MIT */
#include "deadline.h"

#include <errno.h>
#include <stddef.h>
#include <wayland-server-core.h>

static void handle_idle(void *data)
{
	struct gp_deadline *deadline = data;
	deadline->idle = NULL;
	gp_deadline_stop(deadline);
	deadline->passed(deadline->data);
}

/* The loop runs timers ahead of fds: after a stop of this process the answer may be there. */
static int handle_timer(void *data)
{
	struct gp_deadline *deadline = data;
	if (deadline->idle == NULL) {
		deadline->idle = wl_event_loop_add_idle(deadline->loop, handle_idle, deadline);
	}
	if (deadline->idle == NULL) {
		(void)wl_event_source_timer_update(deadline->timer, 1);
	}
	return 0;
}

int gp_deadline_start(struct gp_deadline *deadline, struct wl_event_loop *loop,
		      void (*passed)(void *data), void *data)
{
	*deadline = (struct gp_deadline){.loop = loop, .passed = passed, .data = data};
	deadline->timer = wl_event_loop_add_timer(loop, handle_timer, deadline);
	if (deadline->timer == NULL ||
	    wl_event_source_timer_update(deadline->timer, GP_ANSWER_SECONDS * 1000) < 0) {
		gp_deadline_stop(deadline);
		return -ENOMEM;
	}
	return 0;
}

void gp_deadline_stop(struct gp_deadline *deadline)
{
	if (deadline->timer != NULL) {
		wl_event_source_remove(deadline->timer);
		deadline->timer = NULL;
	}
	if (deadline->idle != NULL) {
		wl_event_source_remove(deadline->idle);
		deadline->idle = NULL;
	}
}
