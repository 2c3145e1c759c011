/* SPDX-License-Identifier: MIT
 *
 * Explicit synchronisation of one client, ended here: the host only ever sees commits whose pixels are there,
 * and its wl_buffer.release becomes the release points. Part of struct gp_state. Source: linux-drm-syncobj-v1.xml.
 */
#ifndef GP_SYNCOBJ_H
#define GP_SYNCOBJ_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>

struct br_object;
struct br_relay;
struct gp_state;

/** A client's use of timelines. */
struct gp_sync {
	bool bound; /* it has the manager: what it attaches is followed */
	bool waits; /* what gp_state.waiting waits for is an acquire point, which may never come */
	uint32_t last_id;  /* of a release */
	uint32_t releases; /* in the list */
	uint32_t timelines;
	struct wl_list surfaces;     /* struct sync_surface.link */
	struct wl_list release_list; /* struct release.link, oldest first */
};

/** What a commit has to do with its buffer's pixels. */
enum gp_sync_verdict {
	GP_SYNC_IMPLICIT, /* wait for the buffer's own fences */
	GP_SYNC_PASSED,	  /* they are there */
	GP_SYNC_WAITS,	  /* return BR_AGAIN */
	GP_SYNC_FAILED,	  /* the client has been ended */
};

/** Prepare an empty one. */
void gp_sync_init(struct gp_sync *sync);

/** Signal all points that wait for the host, which will say nothing more; while the channel is still there. */
void gp_sync_end(struct gp_state *state);

/** Whether a client is offered timelines. */
bool gp_sync_wanted(struct br_relay *relay);

/** wl_surface.attach of a wl_surface; buffer may be NULL. Returns false having ended the client. */
bool gp_sync_attach(struct br_relay *relay, struct br_object *surface, struct br_object *buffer);

/** wl_surface.commit. To be called again after GP_SYNC_WAITS; after GP_SYNC_PASSED the commit has to go out. */
enum gp_sync_verdict gp_sync_commit(struct br_relay *relay, struct br_object *surface);

#endif
