/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <wayland-server-core.h>

#include "fd.h"
#include "hooks/hooks.h"
#include "host.h"
#include "hr-hooks.h"
#include "limits.h"
#include "log.h"
#include "restore.h"
#include "sock.h"
#include "upstream.h"
#include "wire.h"

/* Compositors that went away while they heard what the last one knew. */
#define MAX_ATTEMPTS 5

/* Requests that wait for the relay above which the context has to hold back; more than one message. */
#define REQUEST_BACKLOG_BYTES (BR_LIMIT_IN_BYTES / 2)

struct hr_client {
	struct hr_host *host;
	const struct hr_client_events *events;
	void *data;
	uint32_t number;
	struct hr_hook_state hooks; /* br_relay_data() */
	struct br_relay *relay;
	struct hr_restore restore;
	int fd;				/* to the compositor; -1 not yet or no longer connected */
	struct wl_event_source *source; /* NULL while there is nothing to wait for */
	uint32_t mask;			/* of source */
	struct hr_upstream_wait wait;	/* for the connection */
	uint64_t announced_pos;		/* end of the BR_EVENT output when last said to be ready */
	bool requests_stalled;		/* the context may be waiting for requests_drained */
	bool hung_up;			/* the compositor sends nothing more */
	bool write_failed;		/* the compositor takes nothing more */
	bool refused;			/* it has no connection, only a reason why */
	bool closed;			/* events->closed was called */
	/* Callbacks run inside run(), and may call back in or destroy the client. */
	bool running, again, dead;
};

static void run(struct hr_client *client);

static struct hr_client *client_of(const struct br_relay *relay)
{
	struct hr_client *client = NULL;
	return wl_container_of(hr_hook_state(relay), client, hooks);
}

static void handle_failed(struct br_relay *relay, const char *text)
{
	(void)relay;
	br_log_peer(BR_LOG_WARN, "relay %s", text);
}

static void handle_server_error(struct br_relay *relay, const char *text)
{
	(void)relay;
	br_log_peer(BR_LOG_WARN, "compositor %s", text);
}

static void handle_refused(struct br_relay *relay, const char *text)
{
	br_log_peer(BR_LOG_WARN, "policy client=%u %s", client_of(relay)->number, text);
}

static const struct br_relay_ops relay_ops = {
	.failed = handle_failed,
	.server_error = handle_server_error,
	.refused = handle_refused,
	.passes = hr_restore_passes,
};

static uint64_t stream_end(const struct br_stream *stream)
{
	return stream->head_pos + br_stream_bytes(stream);
}

static void unwatch(struct hr_client *client)
{
	if (client->source != NULL) {
		wl_event_source_remove(client->source);
		client->source = NULL;
	}
	client->mask = 0;
}

static void disconnect(struct hr_client *client)
{
	unwatch(client);
	br_fd_clear(&client->fd);
	hr_upstream_cancel(&client->wait);
}

/* One recvmsg; the loop calls again while there is more. */
static void read_compositor(struct hr_client *client)
{
	struct br_stream *in = br_relay_input(client->relay, BR_EVENT);
	int ret = br_sock_read(client->fd, in);
	if (ret > 0) {
		client->host->event_bytes += (uint64_t)ret;
	} else if (ret == -EPIPE || ret == -ECONNRESET) {
		br_log(BR_LOG_DEBUG, "client=%u the compositor closed the connection",
		       client->number);
		client->hung_up = true;
	} else if (ret == -ENOSPC && !br_relay_congested(client->relay, BR_EVENT)) {
		/* Whole messages are relayed by now: what fills the stream is fds without one. */
		br_relay_client_error(client->relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "host: the compositor sent more fds than its events have");
	} else if (ret != -EAGAIN && ret != -ENOSPC) {
		br_relay_client_error(client->relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "host: reading from the compositor: %s", strerror(-ret));
	}
}

static int handle_compositor(int fd, uint32_t mask, void *data)
{
	struct hr_client *client = data;
	(void)fd;
	if (mask & (WL_EVENT_READABLE | WL_EVENT_HANGUP | WL_EVENT_ERROR)) {
		read_compositor(client);
	}
	run(client);
	return 0;
}

/* Wait for what there is to do; for nothing, without a source: the loop reports a hang-up even to
 * those who don't ask, over and over. */
static void watch(struct hr_client *client)
{
	const struct br_stream *in = br_relay_input(client->relay, BR_EVENT);
	uint32_t mask = 0;
	if (client->fd < 0) {
		return;
	}
	if (!client->hung_up && !br_relay_congested(client->relay, BR_EVENT) &&
	    br_stream_bytes(in) < BR_LIMIT_IN_BYTES / 2) {
		mask |= WL_EVENT_READABLE;
	}
	if (!client->write_failed && !br_stream_empty(br_relay_output(client->relay, BR_REQUEST))) {
		mask |= WL_EVENT_WRITABLE;
	}
	if (mask == client->mask) {
		return;
	}
	if (mask == 0) {
		unwatch(client);
		return;
	}
	if (client->source == NULL) {
		client->source = wl_event_loop_add_fd(client->host->loop, client->fd, mask,
						      handle_compositor, client);
	} else if (wl_event_source_fd_update(client->source, mask) < 0) {
		unwatch(client);
	}
	if (client->source == NULL) {
		client->mask = 0;
		br_relay_client_error(client->relay, NULL, BR_ERROR_NO_MEMORY,
				      "host: can't watch the compositor: %s", strerror(errno));
		client->again = true;
		return;
	}
	client->mask = mask;
}

static void discard(struct br_stream *stream)
{
	struct br_handle handle;
	br_stream_consume(stream, br_stream_bytes(stream));
	while (br_stream_pop_handle(stream, &handle)) {
		br_fd_clear(&handle.fd);
	}
}

/* Requests: relay and write until one side has no more or the socket is full. */
static void push_requests(struct hr_client *client)
{
	struct br_stream *out = br_relay_output(client->relay, BR_REQUEST);
	bool congested;
	do {
		if (!client->restore.busy) {
			(void)br_relay_dispatch(client->relay, BR_REQUEST);
		}
		congested = br_relay_congested(client->relay, BR_REQUEST);
		if (client->write_failed) {
			discard(out);
		} else if (client->fd >= 0 && !br_stream_empty(out)) {
			size_t before = br_stream_bytes(out);
			int ret = br_sock_flush(client->fd, out);
			client->host->request_bytes += before - br_stream_bytes(out);
			if (ret < 0 && ret != -EAGAIN) {
				/* What the compositor said before may still be unread. */
				client->write_failed = true;
				discard(out);
			}
		}
	} while (congested && !br_relay_failed(client->relay) &&
		 !br_relay_congested(client->relay, BR_REQUEST));
}

/* The compositor is gone. Returns true if the client waits for another one. */
static bool outlive(struct hr_client *client)
{
	uint32_t ms = client->host->compositor_wait_ms;
	if (client->restore.relay == NULL || br_relay_failed(client->relay)) {
		return false;
	}
	const char *obstacle = client->restore.attempts < MAX_ATTEMPTS
				       ? hr_restore_obstacle(&client->restore)
				       : "compositors that go away at once";
	if (obstacle == NULL) {
		disconnect(client);
		client->hung_up = false;
		client->write_failed = false;
		hr_restore_lose(&client->restore);
		int ret = hr_upstream_await(client->host->upstream, &client->wait, ms);
		obstacle = ret < 0 ? strerror(-ret) : NULL;
	}
	if (obstacle != NULL) {
		br_log_peer(BR_LOG_INFO, "host: client=%u ends with its compositor: %s",
			    client->number, obstacle);
		client->hung_up = true;
		hr_restore_finish(&client->restore);
		return false;
	}
	br_log(BR_LOG_DEBUG, "client=%u waits for another compositor", client->number);
	return true;
}

/* Tell the context, which may destroy the client: nothing is touched after that but the flags. */
static void report(struct hr_client *client)
{
	struct br_relay *relay = client->relay;
	uint64_t end = stream_end(br_relay_output(relay, BR_EVENT));
	bool stalled = br_relay_congested(relay, BR_REQUEST) ||
		       br_stream_bytes(br_relay_input(relay, BR_REQUEST)) >= REQUEST_BACKLOG_BYTES;
	bool drained = client->requests_stalled && !stalled && !br_relay_failed(relay);
	bool ended = !client->closed && (br_relay_failed(relay) ||
					 (client->hung_up && !br_relay_congested(relay, BR_EVENT)));
	bool ready = end != client->announced_pos;
	client->announced_pos = end;
	client->requests_stalled = stalled;
	if (ended) {
		client->closed = true;
		disconnect(client);
	}
	if (ready) {
		client->events->events_ready(client->data);
	}
	if (drained && !client->dead) {
		client->events->requests_drained(client->data);
	}
	if (ended && !client->dead) {
		client->events->closed(client->data);
	}
}

static void run(struct hr_client *client)
{
	client->again = true;
	if (client->running) {
		return;
	}
	client->running = true;
	while (client->again && !client->dead) {
		client->again = false;
		if (!client->closed) {
			push_requests(client);
			(void)br_relay_dispatch(client->relay, BR_EVENT);
			if (client->hung_up && !br_relay_congested(client->relay, BR_EVENT)) {
				(void)outlive(client);
			}
			watch(client);
		} else {
			discard(br_relay_input(client->relay, BR_REQUEST));
		}
		report(client);
	}
	client->running = false;
	if (client->dead) {
		free(client);
	}
}

/* A hook that stopped the requests can go on. Objects that end with the client say so as well. */
static void handle_wake(struct hr_hook_state *state)
{
	struct hr_client *client = wl_container_of(state, client, hooks);
	if (!client->dead) {
		br_relay_resume(client->relay, BR_REQUEST);
		run(client);
	}
}

static void handle_connected(struct hr_upstream_wait *wait, int fd)
{
	struct hr_client *client = wl_container_of(wait, client, wait);
	if (fd < 0 && client->restore.busy) {
		br_log_peer(BR_LOG_WARN, "host: client=%u ends: %s", client->number,
			    fd == -ECONNABORTED ? "the compositor has closed its connection"
			    : fd == -ETIMEDOUT	? "no compositor has come in time"
						: strerror(-fd));
		hr_restore_finish(&client->restore);
		client->hung_up = true;
	} else if (fd < 0) {
		br_relay_client_error(client->relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "host: no connection to the compositor: %s", strerror(-fd));
	} else {
		client->fd = fd;
		if (client->restore.busy) {
			hr_restore_begin(&client->restore);
		}
	}
	run(client);
}

/* True if there is no room for the client: the reason waits in its relay. */
static bool refuse(struct hr_client *client)
{
	if (client->host->client_count >= BR_LIMIT_CLIENTS) {
		br_relay_client_error(client->relay, NULL, BR_ERROR_NO_MEMORY,
				      "host: too many guest programs are connected (%d)",
				      BR_LIMIT_CLIENTS);
	} else if (!br_fd_has_reserve(wl_event_loop_get_fd(client->host->loop))) {
		br_relay_client_error(client->relay, NULL, BR_ERROR_NO_MEMORY,
				      "host: too many open files: raise causeway-host's limit "
				      "(ulimit -n)");
	} else {
		return false;
	}
	client->refused = true;
	return true;
}

int hr_client_create(struct hr_host *host, const struct hr_client_events *events, void *data,
		     struct hr_client **ret_client)
{
	struct hr_client *client = calloc(1, sizeof(*client));
	if (client == NULL) {
		return -ENOMEM;
	}
	client->host = host;
	client->events = events;
	client->data = data;
	client->number = host->next_client++;
	hr_hook_state_init(&client->hooks, host);
	client->hooks.policy = host->policy;
	client->hooks.wake = handle_wake;
	client->fd = -1;
	client->wait.ready = handle_connected;
	const struct br_relay_config config = {
		.hooks = hr_hooks,
		.ops = &relay_ops,
		.data = &client->hooks,
		.client_number = client->number,
	};
	client->relay = br_relay_create(&config);
	if (client->relay == NULL) {
		free(client);
		return -ENOMEM;
	}
	if (host->compositor_wait_ms > 0) {
		hr_restore_init(&client->restore, client->relay, &client->hooks, handle_wake);
	}
	if (refuse(client)) {
		*ret_client = client;
		return 0;
	}
	host->client_count++;
	int fd = hr_upstream_connect(host->upstream, &client->wait);
	if (fd < 0 && fd != -EINPROGRESS) {
		hr_client_destroy(client);
		return fd;
	}
	client->fd = fd < 0 ? -1 : fd;
	watch(client);
	if (br_relay_failed(client->relay)) {
		hr_client_destroy(client);
		return -ENOMEM;
	}
	br_log(BR_LOG_DEBUG, "client=%u connected", client->number);
	*ret_client = client;
	return 0;
}

void hr_client_set_context(struct hr_client *client, struct hr_context *context)
{
	client->hooks.context = context;
}

void hr_client_destroy(struct hr_client *client)
{
	if (client == NULL || client->dead) {
		return;
	}
	br_log(BR_LOG_DEBUG, "client=%u gone", client->number);
	client->dead = true;
	disconnect(client);
	hr_restore_finish(&client->restore);
	br_relay_destroy(client->relay);
	client->relay = NULL;
	hr_hook_state_finish(&client->hooks);
	client->host->client_count -= client->refused ? 0 : 1;
	if (!client->running) {
		free(client);
	}
}

struct br_relay *hr_client_relay(struct hr_client *client)
{
	return client->relay;
}

void hr_client_dispatch(struct hr_client *client)
{
	run(client);
}

void hr_client_events_taken(struct hr_client *client)
{
	run(client);
}

void hr_client_fail(struct hr_client *client, const char *text)
{
	br_relay_client_error(client->relay, NULL, BR_ERROR_IMPLEMENTATION, "host: %s", text);
	run(client);
}

uint32_t hr_client_number(const struct hr_client *client)
{
	return client->number;
}
