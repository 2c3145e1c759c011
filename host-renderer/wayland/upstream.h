/* SPDX-License-Identifier: MIT
 *
 * The way to the compositor: where it is, and a connection of its own for each guest program, through
 * a security context where the compositor has that. When the compositor goes away, the folder of its socket tells
 * of the next one.
 */
#ifndef HR_UPSTREAM_H
#define HR_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include <wayland-util.h>

struct wl_event_loop;
struct hr_upstream;
struct hr_upstream_wait;

enum hr_secctx_mode {
	HR_SECCTX_AUTO,	   /* where the compositor has it */
	HR_SECCTX_REQUIRE, /* no connection without it */
	HR_SECCTX_OFF,
};

struct hr_upstream_config {
	/* Name in XDG_RUNTIME_DIR or absolute path; NULL: WAYLAND_DISPLAY, then wayland-0. Copied. */
	const char *display;
	enum hr_secctx_mode secctx;
	const char *guest_name; /* instance id of the security context; outlives the upstream */
};

/** A wish for a connection that could not be fulfilled at once. Zeroed, but for ready, by its owner. */
struct hr_upstream_wait {
	struct wl_list link; /* hr_upstream.waits or patients; both NULL when not waiting */
	int64_t until_ms;    /* of a patient, by CLOCK_MONOTONIC */
	int64_t generation;  /* of the security context that a patient lost; -1: none */
	/* Called once, unless cancelled. fd: the connection, owned by the callee, or -errno. */
	void (*ready)(struct hr_upstream_wait *wait, int fd);
};

/** Find out where the compositor should be; nothing is connected yet. Returns 0; -EINVAL neither an
 * absolute path nor XDG_RUNTIME_DIR is there; -ENAMETOOLONG; -ENOMEM. */
int hr_upstream_create(struct wl_event_loop *loop, const struct hr_upstream_config *config,
		       struct hr_upstream **ret_upstream);

/** Fails all who wait, with -ECANCELED. NULL is fine. */
void hr_upstream_destroy(struct hr_upstream *upstream);

/** Path of the compositor's socket. */
const char *hr_upstream_path(const struct hr_upstream *upstream);

/** Begin to set up the security context, so that the first client need not wait for it. */
void hr_upstream_prepare(struct hr_upstream *upstream);

/** Connect. Returns the fd, owned by the caller; -EINPROGRESS: wait->ready will be called;
 * -ENOENT or -ECONNREFUSED there is no compositor; else -errno (logged). */
int hr_upstream_connect(struct hr_upstream *upstream, struct hr_upstream_wait *wait);

/** The compositor has hung up: connect to the next one, for which up to ms milliseconds are waited. wait->ready
 * gets -ETIMEDOUT if there is none; -ECONNABORTED if it was the connection alone that ended. Returns 0 or
 * -errno. */
int hr_upstream_await(struct hr_upstream *upstream, struct hr_upstream_wait *wait, uint32_t ms);

/** Stop waiting. Fine if it does not wait. */
void hr_upstream_cancel(struct hr_upstream_wait *wait);

/** A compositor's socket by WAYLAND_DISPLAY's rules (see hr_upstream_config.display). Returns the
 * path, owned by the caller, or NULL with errno set: EINVAL, ENAMETOOLONG, ENOMEM. */
char *hr_upstream_find_path(const char *display);

#endif
