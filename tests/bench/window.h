/* SPDX-License-Identifier: MIT
 *
 * What the benchmark client needs of Wayland: a connection, and windows with two shm buffers.
 */
#ifndef BENCH_WINDOW_H
#define BENCH_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-client.h>

#include "bench-xdg-shell-client.h"

/** A connection and the globals of it. */
struct session {
	struct wl_display *display;
	struct wl_registry *registry;
	struct wl_compositor *compositor;
	struct wl_shm *shm;
	struct xdg_wm_base *wm_base;
	struct wl_seat *seat;
	struct wl_data_device_manager *data_devices;
	struct zwlr_virtual_pointer_manager_v1 *virtual_pointers;
	struct zwlr_data_control_manager_v1 *data_controls;
};

/** A toplevel with two buffers in one pool. */
struct window {
	struct session *session;
	int width, height; /* px */
	struct wl_surface *surface;
	struct xdg_surface *xdg_surface;
	struct xdg_toplevel *toplevel;
	struct wl_buffer *buffers[2];
	uint8_t *pixels[2];
	size_t pool_bytes;
	bool configured;
	unsigned frame;
};

/** Connect to a display (NULL: WAYLAND_DISPLAY) and bind what is there; exits on failure. */
void session_open(struct session *session, const char *display);
void session_close(struct session *session);

/** Map a window of that size, in pixels; returns when the compositor has its first frame. */
void window_open(struct window *window, struct session *session, int width, int height);
void window_close(struct window *window);

/** Paint the next frame into the buffer that is not shown: all of it, or its first 64x64 pixels. */
void window_paint(struct window *window, bool full);

/** Commit the painted frame. Buffer releases are not waited for: a measurement of frames per second
 * would find the compositor's refresh rate. */
void window_commit(struct window *window, bool full);

/** Nanoseconds of the monotonic clock. */
uint64_t now_ns(void);

/** Print a message and exit with status 1. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** Round trip that exits when the connection is gone. */
void sync_display(struct session *session);

#endif
