/* SPDX-License-Identifier: MIT
 *
 * The host-visible window: memory of ours that the guest can map, in one of two ways.
 *
 * Arena: one file is shown in all of it once per start of the device; a blob's memory is the part of the
 * arena at the offset which the guest chose for it. Nothing has to be said to the VMM for each blob, whose
 * tables of memory are small. What comes as a file is copied in.
 *
 * Each: the VMM maps every blob's own file by itself, as memory of a GPU needs. With more than a few, QEMU
 * 11.1 complains of its tables at each one, and goes on.
 *
 * Source: vhost-user, VHOST_USER_BACKEND_SHMEM_MAP.
 */
#ifndef HR_VHOST_WINDOW_H
#define HR_VHOST_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wayland-util.h>

#include "vhost.h"

struct hr_request;
struct hr_resource;
struct wl_event_loop;
struct wl_event_source;

/** Header and u64 of a reply. */
#define HR_ACK_BYTES 20

/** The window. Owned by the session. */
struct hr_window {
	struct wl_event_loop *loop; /* borrowed */
	uint64_t bytes;		    /* 0: there is none */
	enum hr_window_kind kind;
	bool offered;	 /* the VMM has room for it */
	bool mapped;	 /* the guest sees the arena */
	bool paused;	 /* the VMM must not be asked for anything */
	int arena_fd;	 /* -1 while the device is stopped */
	bool *taken;	 /* by page: a blob is there */
	uint32_t n_maps; /* blobs in it */
	/* The back-end channel. */
	int channel_fd; /* -1: none */
	struct wl_event_source *source;
	struct wl_list due; /* struct due.link: answers that the VMM owes, in order */
	uint32_t n_due;	    /* of them */
	/* struct due.link: to be asked for behind a pause, or behind those, in order. No more than the
	 * guest's queue and BR_LIMIT_WINDOW_MAPS let wait. */
	struct wl_list held;
	uint8_t ack[HR_ACK_BYTES];
	size_t ack_have;
	/* Called when the last start's answer is there: the guest may go on. */
	void (*ready)(void *data);
	void *data;
};

/** Prepare a window of bytes, a power of two or 0. Returns 0; -ENOMEM. */
int hr_window_init(struct hr_window *window, struct wl_event_loop *loop,
		   const struct hr_window_options *options, void (*ready)(void *data), void *data);

/** Close and free everything. */
void hr_window_finish(struct hr_window *window);

/** Use a back-end channel from now on; takes *fd. Returns 0 or -errno. */
int hr_window_set_channel_take(struct hr_window *window, int *fd);

/** Show new, zeroed memory. Only while the device runs: QEMU 11.1 ends if asked at another time.
 * Returns true if ready() will be called; false: there is no window, the guest may go on. */
bool hr_window_start(struct hr_window *window);

/** The VMM stops the device: until it goes on, or starts anew, nothing may be asked of it. */
void hr_window_pause(struct hr_window *window);

/** The device goes on where it stopped. Asks for what had to wait. */
void hr_window_resume(struct hr_window *window);

/** The VMM has reset the device, and dropped what was shown. All resources are gone. */
void hr_window_stop(struct hr_window *window);

/** Show a resource at offset; see hr_frontend_ops.map. */
int hr_window_map(struct hr_window *window, struct hr_resource *resource, uint64_t offset,
		  const struct hr_request *request);

/** Undo that: its pages are free, and zeroed. */
void hr_window_unmap(struct hr_window *window, struct hr_resource *resource);

#endif
