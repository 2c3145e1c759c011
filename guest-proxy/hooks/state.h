/* SPDX-License-Identifier: MIT
 *
 * What the hooks of one client share: br_relay_data() of its relay. Loop thread only.
 */
#ifndef GP_STATE_H
#define GP_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <wayland-util.h>

#include "buffer.h"
#include "channel.h"
#include "relay.h"
#include "shm.h"
#include "surface.h"
#include "syncobj.h"
#include "times.h"

struct gp_cursor_themes;
struct gp_dmabuf;

/** What the window manager sees of the messages of its X server; see ../xwayland/wm.h. All have its data. */
struct gp_xwayland_ops {
	/* An xwayland_surface_v1 of a wl_surface has got its serial. */
	void (*associate)(void *data, struct br_object *surface, uint64_t serial);
	/* Whether a wl_surface may show something; if not, gp_state_xwayland_wake() follows. */
	bool (*may_attach)(void *data, struct br_object *surface);
	/* A wl_surface is about to be destroyed: its role has to go first. */
	void (*surface_gone)(void *data, struct br_object *surface);
	/* It has got input, by whose serial something may be asked of the compositor. */
	void (*input)(void *data, uint32_t serial);
	/* A wl_pointer of its has come to a wl_surface (may be NULL), or is about to leave it: the latter
	 * returns true if it is not to be told; or a button was pressed or released. */
	void (*pointer_enter)(void *data, struct br_object *pointer, struct br_object *surface);
	void (*pointer_motion)(void *data, int32_t x, int32_t y); /* 24.8 */
	bool (*pointer_leave)(void *data, uint32_t serial);
	void (*pointer_button)(void *data, uint32_t serial, uint32_t button, bool pressed);
	/* The connection ends; the relay's objects go right after. */
	void (*ended)(void *data);
};

enum gp_alloc_state {
	GP_ALLOC_IDLE,
	GP_ALLOC_RUNNING, /* gp_state_alloc_done() follows */
	GP_ALLOC_DONE,
};

/** State of one client's hooks; inside struct gp_client. */
struct gp_state {
	bool mirror; /* wl_shm pools are mirrored; otherwise handed on as fds */
	/* Asked when wl_shm is bound, since the host's abilities are known only then: true ends the
	 * mirroring. NULL: do as told. */
	bool (*carries_fds)(struct gp_state *state);
	struct gp_stats *stats;
	struct gp_channel *channel; /* borrowed; NULL once it is gone */
	/* What a hook waited for (an allocation, the host's time) has come: let messages go on. */
	void (*wake)(struct gp_state *state);
	struct br_surfaces surfaces;
	struct gp_times times;
	struct gp_sync sync;
	struct wl_list registries; /* gp_registry.link */
	struct br_own_shm own_shm; /* for dma-bufs that are copied */
	/* Call wake once an fd (borrowed) can be read; there is one such wish at a time. Returns 0 or
	 * -errno. NULL: it need not be waited for. */
	int (*wait_readable)(struct gp_state *state, int fd);
	bool waiting; /* for that */
	/* The client is our X server; NULL: it is none. */
	const struct gp_xwayland_ops *xwayland;
	void *xwayland_data;
	bool xwayland_waits;			/* its requests stand still */
	struct gp_cursor_themes *cursor_themes; /* borrowed; NULL: cursors are the host's affair */
	struct gp_cursors *cursors;		/* NULL: none was shown yet */
	dev_t device; /* in an event's place of the host's; until the hook's message is sent */

	/* One allocation at a time: the requests stand still meanwhile. */
	enum gp_alloc_state alloc_state;
	bool alloc_sync; /* inside gp_channel_alloc_blob() */
	int alloc_err;
	struct gp_blob *alloc_blob; /* owned; of GP_ALLOC_DONE */

	/* Owned references that end when everything queued has been sent: messages name them. */
	struct gp_blob **retired;
	size_t retired_count, retired_capacity;
};

/** Prepare a state; channel and wake are set by the client. */
void gp_state_init(struct gp_state *state, bool mirror, struct gp_stats *stats);

/** Drop what it owns and zero it. After the relay and the channel are gone. */
void gp_state_finish(struct gp_state *state);

/** The state of a relay's hooks. */
static inline struct gp_state *gp_state_of(struct br_relay *relay)
{
	return br_relay_data(relay);
}

/** Allocate a blob for a hook. Returns 0 and the caller's reference in *ret_blob; -EAGAIN: return
 * BR_AGAIN and call this again with the same size when the hook is called again; else -errno. */
int gp_state_alloc(struct gp_state *state, uint64_t size, struct gp_blob **ret_blob);

/** Whether the requests stand still until wake is called. */
static inline bool gp_state_waits(const struct gp_state *state)
{
	return state->waiting || state->xwayland_waits || state->alloc_state == GP_ALLOC_RUNNING ||
	       state->times.request_waits;
}

/** Whether what a GPU draws into a dma-buf (borrowed) is finished; if not, return BR_AGAIN. */
bool gp_state_fence_passed(struct gp_state *state, int fd);

/** Drop a reference once all that is queued has been sent. NULL is fine. */
void gp_state_retire(struct gp_state *state, struct gp_blob *blob);

/** All that was queued has been sent. */
void gp_state_release_retired(struct gp_state *state);

/** The mirrored buffer behind a wl_buffer; NULL for others. object may be NULL. */
struct gp_buffer *gp_buffer_of(const struct br_object *object);

/** The imported buffer behind a wl_buffer; NULL for others. object may be NULL. */
struct gp_dmabuf *gp_dmabuf_of(const struct br_object *object);

/** Whether the pixels of a buffer are there; if not, return BR_AGAIN. */
bool gp_dmabuf_finished(struct gp_state *state, const struct gp_dmabuf *dmabuf);

/** Make a mirrored buffer the data of a wl_buffer, with references of its own; see gp_buffer_create(). Returns
 * false having ended the client. */
bool gp_buffer_keep(struct br_relay *relay, struct br_object *object, struct gp_mapping *mapping,
		    struct gp_blob *blob, uint64_t start, const struct br_shm_geometry *geometry);

/** Make the server's wl_buffer in a blob; what is at geometry->offset for the client is at its start. Returns
 * false having ended the client. */
bool gp_buffer_send(struct br_relay *relay, struct br_object *shm, struct br_object *object,
		    const struct gp_blob *blob, uint64_t bytes,
		    const struct br_shm_geometry *geometry);

/** Bring the host's copy up to date. Ends the client if its file is too short, with the error on the
 * wl_buffer; then returns false. */
bool gp_buffer_sync_or_fail(struct br_relay *relay, struct gp_buffer *buffer);

/** Let the requests of an X server that stand still go on: some surface may show something. */
void gp_state_xwayland_wake(struct br_relay *relay);

/** Find a global that the host offers to the client. *ret_registry: the client's wl_registry that it is announced
 * in. Returns its version, 0: there is none. */
uint32_t gp_registry_find(struct br_relay *relay, uint16_t iface, struct br_object **ret_registry,
			  uint32_t *ret_name);

/** Whether wl_shm pools are mirrored; known from the first wl_shm on. */
bool gp_state_mirrors(struct gp_state *state);

/** Free what the hooks of cursors keep, after the relay is gone. */
void gp_cursors_finish(struct gp_state *state);

/** Follow the wl_shm global, when bound, so that pools can be made later. */
int gp_shm_bound(struct br_object *shm);

/** See to it that state->own_shm is bound, if the server has wl_shm. */
void gp_own_shm_need(struct br_relay *relay);

#endif
