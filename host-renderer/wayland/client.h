/* SPDX-License-Identifier: MIT
 *
 * One guest program on the host: its relay, its policy, and its own connection to the compositor.
 * It does not know whether its bytes come from a virtqueue or a socket: the cross-domain context
 * (channel.h) feeds the relay's BR_REQUEST input and drains its BR_EVENT output.
 */
#ifndef HR_CLIENT_H
#define HR_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "relay.h"

struct hr_context;
struct hr_host; /* what all clients share: loop, policy, way to the compositor (host.h) */
struct hr_client;

/** What a client tells its context. A callback may destroy the client. */
struct hr_client_events {
	/* The relay's BR_EVENT output holds something new. */
	void (*events_ready)(void *data);
	/* The BR_REQUEST direction is no longer congested: queued requests may be fed again. */
	void (*requests_drained)(void *data);
	/* No more events will be added: the compositor hung up, or the client was refused. What is in
	 * the BR_EVENT output should still be delivered, then EOF. Called once. */
	void (*closed)(void *data);
};

/** Connect a new guest program to the compositor. *ret_client is owned by the caller.
 * Where there is no room, that is a client that has ended, with a wl_display.error that says why:
 * events tell after the first hr_client_dispatch(). Returns 0; -ECONNREFUSED or -ENOENT there is no
 * compositor; else -errno (logged). */
int hr_client_create(struct hr_host *host, const struct hr_client_events *events, void *data,
		     struct hr_client **ret_client);

/** Let buffers of the client be resources of a context, which is borrowed and outlives it. */
void hr_client_set_context(struct hr_client *client, struct hr_context *context);

/** Hang up and free. NULL is fine. */
void hr_client_destroy(struct hr_client *client);

/** The relay whose BR_REQUEST input the context fills and whose BR_EVENT output it drains. */
struct br_relay *hr_client_relay(struct hr_client *client);

/** Say that the BR_REQUEST input was filled: relays, and flushes towards the compositor. */
void hr_client_dispatch(struct hr_client *client);

/** Say that the BR_EVENT output was drained: events held back because of it flow again. */
void hr_client_events_taken(struct hr_client *client);

/** End the client because of something its context found (a bad command): it gets a
 * wl_display.error with this text, then EOF; logged. */
void hr_client_fail(struct hr_client *client, const char *text);

/** Number used in log lines. */
uint32_t hr_client_number(const struct hr_client *client);

#endif
