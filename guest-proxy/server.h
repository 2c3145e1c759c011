/* SPDX-License-Identifier: MIT
 *
 * The listening end: sockets for guest programs, their clients, and the way to the host. One per
 * process. Loop thread only.
 */
#ifndef GP_SERVER_H
#define GP_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-server-core.h>

#include "buffer.h"
#include "options.h"

struct gp_cursor_themes;
struct gp_link;
struct gp_transport;

#define GP_MAX_LISTENERS 8

/** A socket that programs connect to. */
struct gp_listener {
	struct gp_server *server;
	int fd;
	struct wl_event_source *source;
};

/** Owned by main. */
struct gp_server {
	struct wl_event_loop *loop; /* borrowed */
	const struct gp_options *options;
	struct gp_listener listeners[GP_MAX_LISTENERS];
	uint32_t listener_count;
	bool paused;		       /* not accepting: fds or clients are used up */
	struct wl_event_source *retry; /* timer: accept again */
	char *name;		       /* for WAYLAND_DISPLAY: in XDG_RUNTIME_DIR, or a path */
	char *socket_path, *lock_path; /* files to remove; NULL if the sockets are not ours */
	int lock_fd;
	struct wl_list clients; /* gp_client.link */
	uint32_t client_count;
	uint32_t next_client; /* number of the next client, from 1 */
	struct gp_link *link; /* to the host; NULL while there is none */
	struct gp_stats stats;
	struct gp_cursor_themes *cursor_themes; /* NULL: they can't be had */
};

/** Listen, by the options or on the sockets that systemd passed. Returns 0, or -errno having said
 * what is wrong. */
int gp_server_init(struct gp_server *server, struct wl_event_loop *loop,
		   const struct gp_options *options);

/** End all clients, stop listening, and drop the transport. */
void gp_server_finish(struct gp_server *server);

/** Relay what the programs sent before they ended. */
void gp_server_drain(struct gp_server *server);

/** Called by a client that has been taken off the list. */
void gp_server_client_gone(struct gp_server *server);

/** Print the counters as one line on stderr. */
void gp_server_print_stats(const struct gp_server *server);

/** A connection to the host, shared by the clients that it was made for. Once lost it serves no new
 * client, and ends with its last one. */
struct gp_link {
	struct gp_server *server;
	struct gp_transport *transport;
	struct wl_event_source *idle; /* may be NULL: to be freed outside of the transport's code */
	uint32_t refs;
	bool lost;
};

/** The way to the host, made anew if there is none. Returns 0 and a reference in *ret_link, or
 * -errno. */
int gp_server_get_link(struct gp_server *server, struct gp_link **ret_link);

/** Drop a reference. NULL is fine. */
void gp_link_unref(struct gp_link *link);

#endif
