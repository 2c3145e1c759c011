/* SPDX-License-Identifier: MIT
 *
 * A limit for a wait on the host's first answer. Nothing else here waits with a limit: a host that is
 * merely slow, or stopped for a while, costs nobody a window.
 */
#ifndef GP_DEADLINE_H
#define GP_DEADLINE_H

struct wl_event_loop;
struct wl_event_source;

#define GP_ANSWER_SECONDS 10
/** Why a wait has ended. */
#define GP_NO_ANSWER "it has not answered within 10 seconds (is it stopped, or overloaded?)"

/** One wait; all zero is one that is not running. Embedded in its owner, which stops it before it goes. */
struct gp_deadline {
	struct wl_event_loop *loop;	      /* borrowed */
	struct wl_event_source *timer, *idle; /* NULL if not running */
	void (*passed)(void *data);
	void *data;
};

/** Call passed() once, GP_ANSWER_SECONDS from now, unless it is stopped before. An answer that has come
 * by then counts, even if this process had no time to read it. Returns 0 or -ENOMEM. */
int gp_deadline_start(struct gp_deadline *deadline, struct wl_event_loop *loop,
		      void (*passed)(void *data), void *data);

/** The answer is there, or nobody waits any more. Harmless if it is not running. */
void gp_deadline_stop(struct gp_deadline *deadline);

#endif
