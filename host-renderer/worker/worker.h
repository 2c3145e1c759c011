/* SPDX-License-Identifier: MIT
 *
 * causeway-gpu-worker: libvirglrenderer in a process of its own, for the device that is at the other end of
 * fd 3 (protocol.h). One thread obeys the device and is the only one to call libvirglrenderer, which has
 * one instance in a process and no locks. Its threads call back: callback.h.
 *
 * main.c reads requests and hands them on; renderer.c starts libvirglrenderer; context.c has contexts, commands
 * and fences; resource.c resources; guest_memory.c the guest's pages; image.c, gl.c and target.c
 * pixels that leave the worker.
 */
#ifndef HR_WORKER_H
#define HR_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "callback.h"
#include "protocol.h"

struct gbm_device;
struct wk_gl;
struct wk_guest;

/** A request, as it came. */
struct wk_packet {
	const void *bytes; /* aligned to 8; starts with a struct wk_header */
	size_t size;	   /* bytes */
	int *fds;	   /* those that a handler does not take are closed after it */
	size_t n_fds;
};

/** The process. */
struct wk_worker {
	int device_fd;
	int epoll_fd; /* device_fd, callbacks.wake_fd, poll_fd of libvirglrenderer, sockets: main.c */
	bool stop;
	bool started;	    /* libvirglrenderer runs */
	uint32_t flags;	    /* enum wk_flags: what is served */
	int render_node_fd; /* -1: none was given */
	struct wk_callbacks callbacks;
	struct wk_guest *guest; /* NULL: nothing is known of the guest's memory */
	struct wk_gl *gl;	/* NULL: not needed yet */
	struct gbm_device *gbm; /* the same */
	void *contexts;		/* tree of struct wk_context, by id; see tsearch(3) */
	void *resources;	/* tree of struct wk_object, by id */
	uint32_t n_resources;
	uint64_t image_bytes; /* what the 3D resources take, about */
	time_t log_second;
	unsigned log_lines, log_held_back;
};

/** What an event of epoll_fd is about: the upper half of its data. The lower half is a context's id, or 0. */
enum wk_source {
	WK_SOURCE_DEVICE,
	WK_SOURCE_CALLBACKS, /* something is in the queue of the callbacks */
	WK_SOURCE_QUERIES,   /* libvirglrenderer wants to be polled */
	WK_SOURCE_SERVER,    /* the render server's socket */
	WK_SOURCE_CONTEXT,   /* the socket to a context's process in the render server */
};

/** Watch an fd for events of epoll(7), its end among them in any case, until it is closed. Returns 0;
 * -EEXIST it is watched already; else -errno. */
int wk_watch(struct wk_worker *worker, int fd, uint32_t events, enum wk_source source,
	     uint32_t ctx_id);

#endif
