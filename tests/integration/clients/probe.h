/* SPDX-License-Identifier: MIT
 *
 * A client that a test drives: commands on stdin, one state line on stdout for each thing that
 * happened. See probe.c for the commands.
 */
#ifndef PROBE_H
#define PROBE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wayland-client.h>

#include "driven.h"
#include "sha256.h"

#define MAX_TRANSFERS 16
#define MAX_MIMES 512

struct zwp_primary_selection_device_manager_v1;
struct zwp_primary_selection_device_v1;
struct xdg_wm_base;
struct xdg_surface;
struct xdg_toplevel;

enum selection_kind { CLIPBOARD, PRIMARY, DND, N_KINDS };

/** A pipe that is being read or written. Unused: fd -1. */
struct transfer {
	int fd; /* owned */
	bool writing;
	bool paused;
	const char *label;   /* static */
	const uint8_t *data; /* borrowed from the source; writing only */
	uint64_t size, done, pause_at;
	struct sha256 sha;
	bool finish_dnd;
};

/** What one side of a selection offers here: the source, and a mapped file as its data. */
struct source {
	void *proxy; /* wl_data_source or its primary counterpart; may be NULL */
	const uint8_t *data;
	size_t size;
	char mime[64];
};

/** The newest offer of a kind. */
struct offer {
	void *proxy; /* may be NULL: nothing is offered */
	char mimes[MAX_MIMES];
};

/** All state of the program; there is one. */
struct probe {
	struct wl_display *display;
	struct wl_registry *registry;
	struct wl_compositor *compositor;
	struct wl_shm *shm;
	struct xdg_wm_base *wm_base;
	struct wl_data_device_manager *data_manager;
	struct zwp_primary_selection_device_manager_v1 *primary_manager;
	const char *seat_name; /* wanted; NULL: the first */
	struct wl_seat *seat;
	struct wl_pointer *pointer;
	struct wl_keyboard *keyboard;
	struct wl_data_device *data_device;
	struct zwp_primary_selection_device_v1 *primary_device;

	const char *app_id;
	uint32_t color; /* 0xRRGGBB */
	struct wl_surface *surface;
	struct xdg_surface *xdg_surface;
	struct xdg_toplevel *toplevel;
	int width, height;
	bool mapped;

	uint32_t serial; /* of the newest input event */
	struct source sources[N_KINDS];
	struct offer offers[N_KINDS];
	struct offer pending; /* introduced, not yet given a meaning */
	struct offer pending_primary;
	bool drag_armed;
	bool quiet_offers;
	uint64_t dnd_pause_at;
	struct transfer transfers[MAX_TRANSFERS];
};

extern struct probe probe;

/** The name of a kind, as commands and state lines spell it. */
const char *kind_name(enum selection_kind kind);

/** Bind what the program uses; later globals are announced by state lines. */
void probe_globals(void);
/** Map a window of one colour. Prints "mapped" once it is committed with a buffer. */
void window_open(void);
/** Paint it again, in another colour. Prints "painted" when its frame callback came. */
void window_recolor(uint32_t color);
/** Show a buffer, cut its file to nothing, and show it again. */
void window_shrink(void);
/** Take the window away; another may be opened. */
void window_close(void);
/** Start to listen to the seat and its selections. */
void seat_use(struct wl_seat *seat);

/** Offer a file's content. @path: read at once, kept until the end. */
void selection_offer(enum selection_kind kind, const char *mime, const char *path);
/** Ask for the newest offer's data. @pause_at: bytes after which reading stops, 0: never. */
void selection_paste(enum selection_kind kind, const char *mime, uint64_t pause_at);
/** Start the armed drag, for a button press. */
void selection_start_drag(uint32_t serial);
/** Listen to the data devices of a seat. */
void selection_use_seat(struct wl_seat *seat);
/** A drop's data is all here. */
void selection_finish_dnd(void);

/** Begin a transfer. @fd: taken. @data: NULL to read; must outlive the transfer. */
struct transfer *transfer_start(const char *label, int fd, const uint8_t *data, size_t size);
/** Go on with the transfers that are paused. */
void transfer_resume(void);
/** Fill @fds for poll(), one for each transfer (fd -1 for those that wait for nothing). */
void transfer_poll(struct pollfd fds[MAX_TRANSFERS]);
/** Move bytes for those that poll() found ready. */
void transfer_dispatch(const struct pollfd fds[MAX_TRANSFERS]);

#endif
