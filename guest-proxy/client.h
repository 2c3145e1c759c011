/* SPDX-License-Identifier: MIT
 *
 * One guest program: its socket, its relay, and its channel to the host.
 */
#ifndef GP_CLIENT_H
#define GP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "server.h"

struct gp_client;

/** Serve a program that connected. Takes the fd, in any case. If the host can't be reached, or
 * refusal is not NULL, the program is told why and closed. Failures are logged. */
void gp_client_create_take(struct gp_server *server, int *sock_fd, const char *refusal);

/** End the client at once. */
void gp_client_destroy(struct gp_client *client);

/** The first of a list that is not empty. */
struct gp_client *gp_client_first(struct wl_list *clients);

/** Relay what the programs have sent, without waiting for more. The
 * clients may be freed. */
void gp_clients_drain(struct wl_list *clients);

#endif
