/* SPDX-License-Identifier: MIT
 *
 * wp_security_context_v1: a listening socket of ours that the compositor serves, knowing that who
 * connects there is sandboxed. It is set up through a control connection, which stays open: its end
 * tells that the compositor went away. Nothing here blocks.
 */
#ifndef HR_SECCTX_H
#define HR_SECCTX_H

#include <stdint.h>

struct wl_event_loop;
struct hr_secctx;

#define HR_SECCTX_ENGINE "io.causeway"

enum hr_secctx_state {
	HR_SECCTX_DOWN,	   /* not connected: no compositor, or not tried */
	HR_SECCTX_PENDING, /* connected; the compositor has not answered yet */
	HR_SECCTX_READY,   /* hr_secctx_connect() works */
	HR_SECCTX_ABSENT,  /* the compositor does not have the protocol */
};

/** Make one for the compositor at path, which is kept, as is guest_name. changed is called when the
 * state has gone from PENDING to another. Returns 0 or -ENOMEM. */
int hr_secctx_create(struct wl_event_loop *loop, const char *path, const char *guest_name,
		     void (*changed)(void *data), void *data, struct hr_secctx **ret_secctx);

/** Removes the listening socket. NULL is fine. */
void hr_secctx_destroy(struct hr_secctx *secctx);

/** Connect to the compositor and ask; only in the state DOWN. Afterwards PENDING, or still DOWN. */
void hr_secctx_start(struct hr_secctx *secctx);

/** Ask the compositor whether it is still there; only in the states READY and ABSENT. Afterwards PENDING until
 * it has answered, or DOWN. */
void hr_secctx_ask(struct hr_secctx *secctx);

/** How often a compositor was connected to: another number, another one. */
uint32_t hr_secctx_generation(const struct hr_secctx *secctx);

/** Go back to DOWN, with a reason for hr_secctx_error(). changed is not called. */
void hr_secctx_reset(struct hr_secctx *secctx, int error);

enum hr_secctx_state hr_secctx_state(const struct hr_secctx *secctx);

/** Why it is DOWN: -errno. */
int hr_secctx_error(const struct hr_secctx *secctx);

/** Connect through the context; only in the state READY. Returns the fd, owned by the caller, or
 * -errno. */
int hr_secctx_connect(struct hr_secctx *secctx);

#endif
