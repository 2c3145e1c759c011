/* SPDX-License-Identifier: MIT
 *
 * One guest program: its socket, its relay, and its channel to the host.
 */
#ifndef GP_CLIENT_H
#define GP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "server.h"

struct br_relay;
struct gp_client;
struct gp_xwayland_ops;

/** Serve a program that connected. Takes the fd, in any case. If the host can't be reached, or
 * refusal is not NULL, the program is told why and closed. Failures are logged. */
void gp_client_create_take(struct gp_server *server, int *sock_fd, const char *refusal);

/** Serve our X server, whose window manager joins in: ops, with data, see what concerns it. Takes the fd, in any
 * case. Returns its relay, which lasts until ops->ended; NULL if memory is out. If the host can't be reached
 * the X server is told why, and ends. */
struct br_relay *gp_client_create_xwayland_take(struct gp_server *server, int *sock_fd,
						const struct gp_xwayland_ops *ops, void *data);

/** Send what was put into the relay of such a client from outside of its hooks. May end it. */
void gp_client_run(struct br_relay *relay);

/** End such a client. */
void gp_client_end(struct br_relay *relay);

/** End the client at once. */
void gp_client_destroy(struct gp_client *client);

/** The first of a list that is not empty. */
struct gp_client *gp_client_first(struct wl_list *clients);

/** Relay what the programs have sent, without waiting for more. The
 * clients may be freed. */
void gp_clients_drain(struct wl_list *clients);

#endif
