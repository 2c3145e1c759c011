/* SPDX-License-Identifier: MIT
 *
 * One connection of the socket front end: the packets in and out of one device.
 */
#ifndef HR_SOCKET_CONNECTION_H
#define HR_SOCKET_CONNECTION_H

#include <stdint.h>
#include <wayland-util.h>

#include "socket_proto.h"

struct hr_host;
struct hr_connection;

/** What the connections of one socket share. */
struct hr_connection_owner {
	struct hr_host *host;
	struct wl_list connections; /* hr_connection's link, its first member */
	uint32_t n_connections;
	uint8_t *packet; /* SK_MAX_PACKET_BYTES, for the packet that is being handled */
};

/** Serve a device on *fd, which is taken on success. Returns 0; -EMFILE limit; -ENOMEM; -errno. */
int hr_connection_create_take(struct hr_connection_owner *owner, int *fd);

/** Tear down the device and close the socket. */
void hr_connection_destroy(struct hr_connection *connection);

/** Destroy all connections of an owner. */
void hr_connection_destroy_all(struct hr_connection_owner *owner);

#endif
