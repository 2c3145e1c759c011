/* SPDX-License-Identifier: MIT
 *
 * What the other programs of a guest's session have to know: WAYLAND_DISPLAY and the like, told to systemd's
 * user manager and to the session's D-Bus, which start programs with an environment of their own.
 * The bus is asked without blocking; nothing is kept open while the proxy runs. Without libsystemd, or
 * without a bus, nothing is told. Loop thread only.
 */
#ifndef GP_SESSION_H
#define GP_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-server-core.h>

#include "environment.h"

struct gp_session;

/** How to tell; copied. */
struct gp_session_config {
	struct wl_event_loop *loop; /* borrowed */
	bool take_over; /* also from a session that has another WAYLAND_DISPLAY or DISPLAY */
	/* Called once, when programs that start from now on know, or can't be told. */
	void (*done)(void *data);
	void *data;
};

/** Tell the session's managers the variables (up to GP_MAX_VARIABLES; copied), in the background.
 * done may be called before it returns. Problems are logged: they are nobody's end.
 * Returns 0 and the session in *ret_session, owned by the caller; -ENOMEM.
 * Source: org.freedesktop.systemd1(5), SetEnvironment; D-Bus specification, UpdateActivationEnvironment. */
int gp_session_create(const struct gp_session_config *config, const struct gp_variable *variables,
		      uint32_t count, struct gp_session **ret_session);

/** Take back what was told, within a second, and free. What there was before comes back; what somebody
 * else has changed since stays. NULL is fine. */
void gp_session_destroy(struct gp_session *session);

/** Print lines for --check: whether there is a bus, and what answers for desktop portals. */
void gp_session_check(void);

#endif
