/* SPDX-License-Identifier: MIT
 *
 * linux-drm-syncobj, ended here. A commit stands still, and all requests of its client behind it, until the
 * kernel says that its acquire point is signalled; its release point is signalled when the host releases the
 * buffer. The host needs nothing for it. Source: linux-drm-syncobj-v1.xml.
 */
#include "syncobj.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "br-tables.h"
#include "dmabuf.h"
#include "fd.h"
#include "gp-hooks.h"
#include "limits.h"
#include "state.h"
#include "wire.h"

/* Source: wp_linux_drm_syncobj_manager_v1.error, wp_linux_drm_syncobj_surface_v1.error. */
enum manager_error { SURFACE_EXISTS, INVALID_TIMELINE };
enum surface_error {
	NO_SURFACE = 1,
	UNSUPPORTED_BUFFER,
	NO_BUFFER,
	NO_ACQUIRE_POINT,
	NO_RELEASE_POINT,
	CONFLICTING_POINTS,
};

/* Data of a wp_linux_drm_syncobj_timeline_v1. Points outlive it. */
struct timeline {
	uint32_t refs;
	uint32_t handle; /* the channel's */
	struct gp_state *state;
};

struct point {
	struct timeline *timeline; /* one reference; NULL: there is none */
	uint64_t value;
};

/* Data of a wp_linux_drm_syncobj_surface_v1, and of its wl_surface, whichever lives longer. */
struct sync_surface {
	struct wl_list link;	    /* gp_sync.surfaces */
	struct br_object *object;   /* NULL: none yet, or destroyed */
	struct br_surface *surface; /* NULL once it is gone */
	struct br_object *buffer;   /* attached, not committed; may be NULL */
	struct point acquire, release;
	int acquired_fd; /* readable once acquire is signalled; owned; -1 */
};

/* A commit that the host has, with a buffer that it has not released. */
struct release {
	struct wl_list link; /* gp_sync.release_list */
	uint32_t id;
	const struct br_object *buffer; /* only compared */
	struct point point;
	/* The host's next release may be of an older commit of the same buffer. */
	bool unsure;
};

void gp_sync_init(struct gp_sync *sync)
{
	*sync = (struct gp_sync){0};
	wl_list_init(&sync->surfaces);
	wl_list_init(&sync->release_list);
}

bool gp_sync_wanted(struct br_relay *relay)
{
	const struct gp_state *state = gp_state_of(relay);
	/* All programs of an X server would stand still with it. */
	return state->xwayland == NULL && state->channel != NULL &&
	       gp_channel_has_timelines(state->channel);
}

/* --- points --- */

static void timeline_unref(struct timeline *timeline)
{
	if (timeline == NULL || --timeline->refs > 0) {
		return;
	}
	struct gp_state *state = timeline->state;
	state->sync.timelines--;
	if (state->channel != NULL) {
		gp_channel_timeline_destroy(state->channel, timeline->handle);
	}
	free(timeline);
}

static void point_clear(struct point *point)
{
	timeline_unref(point->timeline);
	*point = (struct point){0};
}

static void release_finish(struct gp_state *state, struct release *release)
{
	const struct point *point = &release->point;
	if (state->channel != NULL) {
		/* What fails here the program finds out itself: its memory stays busy. */
		(void)gp_channel_timeline_signal(state->channel, point->timeline->handle,
						 point->value);
	}
	wl_list_remove(&release->link);
	state->sync.releases--;
	point_clear(&release->point);
	free(release);
}

void gp_sync_end(struct gp_state *state)
{
	struct release *release, *tmp;
	wl_list_for_each_safe (release, tmp, &state->sync.release_list, link) {
		release_finish(state, release);
	}
}

/* The host has read all that was sent before the commit. */
static void handle_passed(struct br_relay *relay, void *data)
{
	struct release *release;
	wl_list_for_each (release, &gp_state_of(relay)->sync.release_list, link) {
		if (release->id == (uint32_t)(uintptr_t)data) {
			release->unsure = false;
			return;
		}
	}
}

static bool is_busy(const struct gp_sync *sync, const struct br_object *buffer)
{
	const struct release *release;
	wl_list_for_each (release, &sync->release_list, link) {
		if (release->buffer == buffer) {
			return true;
		}
	}
	return false;
}

/* The pending release point becomes that of a commit. Returns false having ended the client. */
static bool keep_release(struct br_relay *relay, struct sync_surface *surface)
{
	struct gp_sync *sync = &gp_state_of(relay)->sync;
	struct release *release = NULL;
	if (sync->releases < BR_LIMIT_SYNC_RELEASES) {
		release = calloc(1, sizeof(*release));
	}
	if (release == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
				      "too many buffers that the host has not released");
		return false;
	}
	*release = (struct release){
		.id = ++sync->last_id,
		.buffer = surface->buffer,
		.point = surface->release,
		.unsure = is_busy(sync, surface->buffer),
	};
	surface->release = (struct point){0};
	wl_list_insert(sync->release_list.prev, &release->link);
	sync->releases++;
	/* What comes before the answer is of commits before this one. */
	return !release->unsure ||
	       br_relay_sync(relay, handle_passed, (void *)(uintptr_t)release->id) == 0;
}

enum br_verdict gp_hook_wl_buffer_release(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_buffer_release *args)
{
	struct gp_state *state = gp_state_of(relay);
	struct release *release, *tmp;
	(void)args;
	wl_list_for_each_safe (release, tmp, &state->sync.release_list, link) {
		if (release->buffer == msg->object && !release->unsure) {
			release_finish(state, release);
		}
	}
	return BR_FORWARD;
}

/* The host says nothing more of it. */
enum br_verdict gp_hook_wl_buffer_destroy(struct br_relay *relay, struct br_msg *msg,
					  const struct br_args_wl_buffer_destroy *args)
{
	struct gp_state *state = gp_state_of(relay);
	struct release *release, *tmp;
	struct sync_surface *surface;
	(void)args;
	wl_list_for_each_safe (release, tmp, &state->sync.release_list, link) {
		if (release->buffer == msg->object) {
			release_finish(state, release);
		}
	}
	wl_list_for_each (surface, &state->sync.surfaces, link) {
		if (surface->buffer == msg->object) {
			surface->buffer = NULL;
		}
	}
	return BR_FORWARD;
}

/* --- surfaces --- */

static void forget_pending(struct sync_surface *surface)
{
	surface->buffer = NULL;
	point_clear(&surface->acquire);
	point_clear(&surface->release);
	br_fd_clear(&surface->acquired_fd);
}

static void free_if_unused(struct sync_surface *surface)
{
	if (surface->object == NULL && surface->surface == NULL) {
		forget_pending(surface);
		wl_list_remove(&surface->link);
		free(surface);
	}
}

static void handle_surface_gone(void *data)
{
	struct sync_surface *surface = data;
	surface->surface = NULL;
	forget_pending(surface);
	free_if_unused(surface);
}

static void sync_object_destroy(struct br_relay *relay, struct br_object *object)
{
	struct sync_surface *surface = object->data;
	struct br_object *buffer = surface->buffer;
	(void)relay;
	object->data = NULL;
	surface->object = NULL;
	forget_pending(surface);
	surface->buffer = buffer; /* attached all the same */
	free_if_unused(surface);
}

/* What there is of a wl_surface, made when first needed. NULL having ended the client. */
static struct sync_surface *get(struct br_relay *relay, struct br_object *object)
{
	struct gp_state *state = gp_state_of(relay);
	struct br_surface *base = br_surface_get(&state->surfaces, object);
	struct sync_surface *surface = base != NULL ? base->extra : NULL;
	if (base != NULL && surface == NULL) {
		surface = calloc(1, sizeof(*surface));
	}
	if (surface == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return NULL;
	}
	if (base->extra == NULL) {
		surface->surface = base;
		surface->acquired_fd = -1;
		wl_list_insert(&state->sync.surfaces, &surface->link);
		base->extra = surface;
		base->extra_gone = handle_surface_gone;
	}
	return surface;
}

bool gp_sync_attach(struct br_relay *relay, struct br_object *object, struct br_object *buffer)
{
	if (!gp_state_of(relay)->sync.bound) {
		return true;
	}
	struct sync_surface *surface = get(relay, object);
	if (surface != NULL) {
		surface->buffer = buffer;
	}
	return surface != NULL;
}

static bool is_dmabuf(const struct br_object *buffer)
{
	const struct gp_buffer *copied = gp_buffer_of(buffer);
	return gp_dmabuf_of(buffer) != NULL || (copied != NULL && copied->mapping->dmabuf_fd >= 0);
}

/* Whether a commit has what it needs; else the client has been ended. */
static bool check(struct br_relay *relay, const struct sync_surface *surface)
{
	const struct point *acquire = &surface->acquire, *release = &surface->release;
	uint32_t code = 0;
	const char *text = "";
	if (surface->buffer == NULL) {
		code = NO_BUFFER;
		text = "points without a buffer";
	} else if (!is_dmabuf(surface->buffer)) {
		code = UNSUPPORTED_BUFFER;
		text = "the buffer is not one of linux-dmabuf";
	} else if (acquire->timeline == NULL) {
		code = NO_ACQUIRE_POINT;
		text = "a buffer without an acquire point";
	} else if (release->timeline == NULL) {
		code = NO_RELEASE_POINT;
		text = "a buffer without a release point";
	} else if (acquire->timeline == release->timeline && acquire->value >= release->value) {
		code = CONFLICTING_POINTS;
		text = "the release point is not behind the acquire point";
	}
	if (code != 0) {
		br_relay_client_error(relay, surface->object, code, "commit: %s", text);
	}
	return code == 0;
}

static enum gp_sync_verdict wait_acquire(struct br_relay *relay, struct sync_surface *surface)
{
	struct gp_state *state = gp_state_of(relay);
	const struct point *point = &surface->acquire;
	if (surface->acquired_fd < 0) {
		surface->acquired_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		int ret =
			surface->acquired_fd < 0 ? -errno
			: state->channel == NULL
				? -ENOTCONN
				: gp_channel_timeline_wait(state->channel, point->timeline->handle,
							   point->value, surface->acquired_fd);
		if (ret < 0) {
			br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
					      "commit: its acquire point can't be waited for: %s",
					      strerror(-ret));
			return GP_SYNC_FAILED;
		}
	}
	state->sync.waits = !gp_state_fence_passed(state, surface->acquired_fd);
	return state->sync.waits ? GP_SYNC_WAITS : GP_SYNC_PASSED;
}

enum gp_sync_verdict gp_sync_commit(struct br_relay *relay, struct br_object *object)
{
	if (!gp_state_of(relay)->sync.bound) {
		return GP_SYNC_IMPLICIT;
	}
	struct sync_surface *surface = get(relay, object);
	if (surface == NULL) {
		return GP_SYNC_FAILED;
	}
	if (surface->object == NULL ||
	    (surface->buffer == NULL && surface->acquire.timeline == NULL &&
	     surface->release.timeline == NULL)) {
		surface->buffer = NULL;
		return GP_SYNC_IMPLICIT;
	}
	enum gp_sync_verdict verdict =
		check(relay, surface) ? wait_acquire(relay, surface) : GP_SYNC_FAILED;
	if (verdict == GP_SYNC_PASSED) {
		verdict = keep_release(relay, surface) ? GP_SYNC_PASSED : GP_SYNC_FAILED;
		forget_pending(surface);
	}
	return verdict;
}

/* --- requests --- */

enum br_verdict gp_hook_wp_linux_drm_syncobj_manager_v1_get_surface(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_linux_drm_syncobj_manager_v1_get_surface *args)
{
	struct br_object *object = msg->args[0].object;
	struct sync_surface *surface = get(relay, args->surface);
	object->state = BR_OBJECT_OURS;
	if (surface != NULL && surface->object != NULL) {
		br_relay_client_error(relay, msg->object, SURFACE_EXISTS,
				      "get_surface: wl_surface@%u has one already",
				      args->surface->client_id);
	} else if (surface != NULL) {
		surface->object = object;
		object->data = surface;
		object->destroy = sync_object_destroy;
	}
	return BR_DROP;
}

static void timeline_destroy(struct br_relay *relay, struct br_object *object)
{
	struct timeline *timeline = object->data;
	(void)relay;
	object->data = NULL;
	timeline_unref(timeline);
}

/* Returns 0 or -errno. */
static int import_timeline(struct gp_state *state, struct br_object *object, int fd)
{
	struct timeline *timeline = NULL;
	if (state->sync.timelines < BR_LIMIT_TIMELINES) {
		timeline = calloc(1, sizeof(*timeline));
	}
	if (timeline == NULL) {
		return -ENOMEM;
	}
	*timeline = (struct timeline){.refs = 1, .state = state};
	int ret = state->channel == NULL
			  ? -ENOTCONN
			  : gp_channel_timeline_import(state->channel, fd, &timeline->handle);
	if (ret < 0) {
		free(timeline);
		return ret;
	}
	state->sync.timelines++;
	object->data = timeline;
	object->destroy = timeline_destroy;
	return 0;
}

enum br_verdict gp_hook_wp_linux_drm_syncobj_manager_v1_import_timeline(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_linux_drm_syncobj_manager_v1_import_timeline *args)
{
	struct br_object *object = msg->args[0].object;
	(void)args;
	object->state = BR_OBJECT_OURS;
	int ret = import_timeline(gp_state_of(relay), object, msg->handles[0].fd);
	if (ret == -ENOMEM) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
				      "import_timeline: out of memory, or of its limit of %u",
				      BR_LIMIT_TIMELINES);
	} else if (ret < 0) {
		br_relay_client_error(relay, msg->object, INVALID_TIMELINE, "import_timeline: %s",
				      strerror(-ret));
	}
	return BR_DROP;
}

/* Set one of the pending points. */
static void set_point(struct br_relay *relay, struct br_msg *msg, bool acquire)
{
	struct sync_surface *surface = msg->object->data;
	const struct br_object *object = msg->args[0].object;
	if (surface == NULL || surface->surface == NULL) {
		br_relay_client_error(relay, msg->object, NO_SURFACE,
				      "%s: the wl_surface is destroyed", msg->desc->name);
		return;
	}
	struct point *point = acquire ? &surface->acquire : &surface->release;
	point_clear(point);
	point->timeline = object->data;
	point->timeline->refs++;
	point->value = (uint64_t)msg->args[1].u << 32 | msg->args[2].u;
}

enum br_verdict gp_hook_wp_linux_drm_syncobj_surface_v1_set_acquire_point(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_linux_drm_syncobj_surface_v1_set_acquire_point *args)
{
	(void)args;
	set_point(relay, msg, true);
	return BR_DROP;
}

enum br_verdict gp_hook_wp_linux_drm_syncobj_surface_v1_set_release_point(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wp_linux_drm_syncobj_surface_v1_set_release_point *args)
{
	(void)args;
	set_point(relay, msg, false);
	return BR_DROP;
}
