/* SPDX-License-Identifier: MIT
 *
 * All work on a client happens in client_run(): what arrives only marks what there is to do, so that
 * callbacks out of our own calls do no harm.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "cross_domain.h"
#include "fd.h"
#include "gp-hooks.h"
#include "hooks/state.h"
#include "log.h"
#include "relay.h"
#include "sock.h"
#include "transport.h"
#include "wire.h"

/* For a program that does not read why it was ended. */
#define LINGER_MS 3000

struct gp_client {
	struct wl_list link; /* gp_server.clients */
	struct gp_server *server;
	struct gp_state state;
	uint32_t number;
	int sock_fd;
	struct wl_event_source *source; /* NULL: the program hung up or is gone */
	uint32_t mask;			/* what source waits for */
	struct wl_event_source *linger; /* timer; may be NULL */
	struct wl_event_source *fence;	/* of gp_state.wait_readable; may be NULL */
	struct br_relay *relay;
	struct gp_link *host;	    /* may be NULL */
	struct gp_channel *channel; /* NULL: none, or closed */
	bool running, again;	    /* in client_run(); something happened meanwhile */
	bool readable;		    /* the socket may hold bytes */
	bool hung_up;		    /* the program reads no more; its requests still count */
	bool read_all;		    /* and the last of them was read */
	bool sock_full;		    /* wait until it can be written */
	bool window_full;	    /* wait for `writable` */
	bool host_ended, ending;    /* deliver what is queued, then close */
	bool dead;
};

static void client_run(struct gp_client *client);

static void close_channel(struct gp_client *client)
{
	struct gp_channel *channel = client->channel;
	gp_sync_end(&client->state);
	client->channel = NULL;
	client->state.channel = NULL;
	gp_channel_destroy(channel);
}

static int handle_linger(void *data)
{
	struct gp_client *client = data;
	client->dead = true;
	client_run(client);
	return 0;
}

/* Deliver what is queued for the program, then close. */
static void end_client(struct gp_client *client)
{
	if (client->ending) {
		return;
	}
	client->ending = true;
	client->linger = wl_event_loop_add_timer(client->server->loop, handle_linger, client);
	if (client->linger == NULL || wl_event_source_timer_update(client->linger, LINGER_MS) < 0) {
		client->dead = true;
	}
}

static void handle_failed(struct br_relay *relay, const char *text)
{
	(void)relay;
	br_log_peer(BR_LOG_WARN, "guest: relay %s", text);
}

static void handle_server_error(struct br_relay *relay, const char *text)
{
	(void)relay;
	br_log_peer(BR_LOG_WARN, "guest: the host ended %s", text);
}

static void handle_refused(struct br_relay *relay, const char *text)
{
	br_log_peer(BR_LOG_INFO, "guest: relay client=%u: %s", br_relay_client_number(relay), text);
}

static const struct br_relay_ops relay_ops = {
	.failed = handle_failed,
	.server_error = handle_server_error,
	.refused = handle_refused,
};

static void handle_received(void *data)
{
	client_run(data);
}

static void handle_writable(void *data)
{
	struct gp_client *client = data;
	client->window_full = false;
	client_run(client);
}

static void handle_closed(void *data, const char *reason)
{
	struct gp_client *client = data;
	if (client->host_ended) {
		return;
	}
	client->host_ended = true;
	br_log_peer(BR_LOG_INFO, "guest: client=%u: the host closed its connection: %s",
		    client->number, reason != NULL ? reason : "no reason given");
	const struct br_stream *events = br_relay_input(client->relay, BR_EVENT);
	if (events->head_pos == 0 && br_stream_empty(events)) {
		/* Not even an error came: this is all that the program will learn. */
		br_relay_client_error(client->relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "causeway-guest: the host did not take the program: %s; "
				      "causeway-host's messages say more",
				      reason != NULL ? reason : "no reason given");
	}
	client_run(client);
}

static const struct gp_channel_events channel_events = {
	.received = handle_received,
	.writable = handle_writable,
	.closed = handle_closed,
};

static void handle_wake(struct gp_state *state)
{
	struct gp_client *client = wl_container_of(state, client, state);
	br_relay_resume(client->relay, BR_REQUEST);
	br_relay_resume(client->relay, BR_EVENT);
	client_run(client);
}

static void unwatch_fence(struct gp_client *client)
{
	client->state.waiting = false;
	if (client->fence != NULL) {
		wl_event_source_remove(client->fence);
		client->fence = NULL;
	}
}

static int handle_fence(int fd, uint32_t mask, void *data)
{
	struct gp_client *client = data;
	(void)fd;
	(void)mask;
	unwatch_fence(client);
	handle_wake(&client->state);
	return 0;
}

static int wait_readable(struct gp_state *state, int fd)
{
	struct gp_client *client = wl_container_of(state, client, state);
	unwatch_fence(client);
	client->fence = wl_event_loop_add_fd(client->server->loop, fd, WL_EVENT_READABLE,
					     handle_fence, client);
	state->waiting = client->fence != NULL;
	return client->fence != NULL ? 0 : -ENOMEM;
}

static bool carries_fds(struct gp_state *state)
{
	struct gp_client *client = wl_container_of(state, client, state);
	return client->host != NULL && client->host->transport->caps.extensions & XD_EXT_FDS;
}

static int handle_socket(int fd, uint32_t mask, void *data)
{
	struct gp_client *client = data;
	(void)fd;
	if (mask & WL_EVENT_WRITABLE) {
		client->sock_full = false;
	}
	if (mask & WL_EVENT_READABLE) {
		client->readable = true;
	}
	if (mask & (WL_EVENT_HANGUP | WL_EVENT_ERROR)) {
		/* epoll repeats it whatever we wait for; what was sent is still to be read. */
		wl_event_source_remove(client->source);
		client->source = NULL;
		client->hung_up = true;
		client->readable = true;
	}
	client_run(client);
	return 0;
}

/* One read, so that a busy program leaves the others their turn; all there is after a hang-up. What
 * was read before has been relayed as far as possible. */
static void read_socket(struct gp_client *client)
{
	if (!client->readable || client->read_all || client->ending ||
	    gp_state_waits(&client->state) || br_relay_congested(client->relay, BR_REQUEST) ||
	    br_relay_failed(client->relay)) {
		return;
	}
	int ret = br_sock_read(client->sock_fd, br_relay_input(client->relay, BR_REQUEST));
	client->readable = client->hung_up && ret > 0;
	if (ret > 0) {
		client->again = client->again || client->hung_up;
	} else if (ret == -ENOSPC) {
		br_relay_client_error(client->relay, NULL, BR_ERROR_INVALID_METHOD,
				      "more file descriptors than its messages have");
	} else if (ret == -EPROTO) {
		br_relay_client_error(client->relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "file descriptors were lost: too many are open");
	} else if (ret != -EAGAIN || client->hung_up) {
		client->hung_up = true;
		client->read_all = true;
	}
}

/* Relay requests until they run out or the host takes no more. */
static void pump_requests(struct gp_client *client)
{
	struct br_stream *out = br_relay_output(client->relay, BR_REQUEST);
	bool congested = true;
	while (congested && client->channel != NULL && !client->host_ended) {
		(void)br_relay_dispatch(client->relay, BR_REQUEST);
		congested = br_relay_congested(client->relay, BR_REQUEST);
		if (client->window_full || br_stream_empty(out)) {
			break;
		}
		int ret = gp_channel_flush(client->channel, out);
		if (ret == -EAGAIN) {
			client->window_full = true;
			return;
		}
		if (ret < 0) {
			handle_closed(client, strerror(-ret));
			return;
		}
	}
	if (br_stream_empty(out) || client->host_ended) {
		gp_state_release_retired(&client->state);
	}
}

/* Relay events until they run out or the program takes no more. */
static void pump_events(struct gp_client *client)
{
	struct br_stream *out = br_relay_output(client->relay, BR_EVENT);
	bool congested = true;
	while (congested) {
		(void)br_relay_dispatch(client->relay, BR_EVENT);
		congested = br_relay_congested(client->relay, BR_EVENT) &&
			    !br_relay_failed(client->relay);
		if (client->sock_full || br_stream_empty(out) || client->read_all) {
			break;
		}
		int ret = br_sock_flush(client->sock_fd, out);
		if (ret == -EAGAIN) {
			client->sock_full = true;
		} else if (ret < 0) {
			/* It reads no more, but may have sent something before. */
			client->hung_up = true;
			client->readable = true;
			client->again = client->again || !client->read_all;
			br_stream_consume(out, br_stream_bytes(out));
		}
	}
	if (client->channel != NULL && !client->host_ended) {
		gp_channel_resume(client->channel);
	}
}

/* Nothing more can come of it. */
static bool all_sent(struct gp_client *client)
{
	struct br_relay *relay = client->relay;
	bool events_out = br_stream_empty(br_relay_output(relay, BR_EVENT));
	if (client->ending) {
		/* A failed relay leaves its input alone; a rest of a message stays one. */
		return events_out || client->read_all;
	}
	if (client->read_all) {
		return client->channel == NULL ||
		       (br_stream_empty(br_relay_output(relay, BR_REQUEST)) &&
			!gp_state_waits(&client->state));
	}
	return false;
}

static void update_source(struct gp_client *client)
{
	bool congested =
		br_relay_congested(client->relay, BR_REQUEST) || gp_state_waits(&client->state);
	uint32_t mask = 0;
	if (client->source == NULL) {
		return;
	}
	if (!congested && !client->ending && !client->hung_up) {
		mask |= WL_EVENT_READABLE;
	}
	if (client->sock_full) {
		mask |= WL_EVENT_WRITABLE;
	}
	if (mask != client->mask && wl_event_source_fd_update(client->source, mask) == 0) {
		client->mask = mask;
	}
}

/* Everything has a turn here; each part looks itself whether there is something to do. */
static void client_step(struct gp_client *client)
{
	pump_requests(client);
	read_socket(client);
	/* Hooks may send something in the other direction. */
	pump_events(client);
	pump_requests(client);
	pump_events(client);
	if (client->host_ended || br_relay_failed(client->relay)) {
		end_client(client);
	}
	if (client->ending && client->channel != NULL) {
		close_channel(client);
		client->again = true; /* for events that came with the end */
	}
	/* Nobody may be left who could signal it. */
	bool stuck = client->hung_up && client->state.waiting && client->state.sync.waits;
	client->dead = client->dead || stuck || (!client->again && all_sent(client));
}

static void client_run(struct gp_client *client)
{
	client->again = true;
	if (client->running) {
		return;
	}
	client->running = true;
	while (client->again && !client->dead) {
		client->again = false;
		client_step(client);
	}
	client->running = false;
	if (client->dead) {
		gp_client_destroy(client);
		return;
	}
	update_source(client);
}

struct gp_client *gp_client_first(struct wl_list *clients)
{
	struct gp_client *client = wl_container_of(clients->next, client, link);
	return client;
}

void gp_clients_drain(struct wl_list *clients)
{
	struct gp_client *client, *tmp;
	/* If the host goes away meanwhile, none may vanish before its turn. */
	wl_list_for_each (client, clients, link) {
		client->running = true;
	}
	wl_list_for_each_safe (client, tmp, clients, link) {
		client->running = false;
		client->readable = true;
		client->hung_up = true;
		client_run(client);
	}
}

void gp_client_destroy(struct gp_client *client)
{
	struct gp_server *server = client->server;
	client->running = true; /* callbacks on the way down change nothing */
	close_channel(client);
	if (client->state.xwayland != NULL) {
		client->state.xwayland->ended(client->state.xwayland_data);
		client->state.xwayland = NULL;
	}
	br_relay_destroy(client->relay);
	unwatch_fence(client);
	gp_state_finish(&client->state);
	gp_link_unref(client->host);
	if (client->source != NULL) {
		wl_event_source_remove(client->source);
	}
	if (client->linger != NULL) {
		wl_event_source_remove(client->linger);
	}
	br_fd_clear(&client->sock_fd);
	wl_list_remove(&client->link);
	br_log(BR_LOG_DEBUG, "guest: client=%u: gone", client->number);
	free(client);
	gp_server_client_gone(server);
}

/* The name of the program at the other end, for people who look at the device. */
static void peer_name(int sock_fd, char *name, size_t size)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char path[64], comm[32] = "";
	ssize_t got = 0;
	if (getsockopt(sock_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0) {
		snprintf(path, sizeof(path), "/proc/%d/comm", (int)peer.pid);
		int fd BR_CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC);
		got = fd >= 0 ? read(fd, comm, sizeof(comm) - 1) : 0;
	}
	while (got > 0 && (comm[got - 1] == '\n' || comm[got - 1] == '\0')) {
		got--;
	}
	br_log_escape(name, size, got > 0 ? comm : "?", got > 0 ? (size_t)got : 1);
}

/* Get the client's own way to the host. */
static int open_channel(struct gp_client *client)
{
	char name[32];
	int ret = gp_server_get_link(client->server, &client->host);
	if (ret < 0) {
		return ret;
	}
	peer_name(client->sock_fd, name, sizeof(name));
	br_log(BR_LOG_DEBUG, "guest: client=%u: %s", client->number, name);
	bool running = client->running;
	client->running = true;
	ret = gp_channel_create(client->host->transport, name,
				br_relay_input(client->relay, BR_EVENT), &channel_events, client,
				&client->channel);
	client->running = running;
	client->state.channel = client->channel;
	return ret;
}

static void explain_no_channel(struct gp_client *client, int err)
{
	const struct gp_options *options = client->server->options;
	bool socket = options->transport == GP_TRANSPORT_SOCKET;
	br_relay_client_error(client->relay, NULL, BR_ERROR_IMPLEMENTATION,
			      "causeway-guest: no connection to the host %s%s: %s: %s",
			      socket ? "at socket:" : "through the virtio-gpu",
			      socket ? options->host_path : "", strerror(-err),
			      socket ? "start causeway-host --socket there"
				     : "causeway-guest --check says what is missing");
}

static struct gp_client *client_new(struct gp_server *server, int *sock_fd,
				    const struct gp_xwayland_ops *xwayland, void *xwayland_data)
{
	struct gp_client *client = calloc(1, sizeof(*client));
	if (client == NULL) {
		return NULL;
	}
	client->server = server;
	client->number = ++server->next_client;
	const struct br_relay_config config = {
		.hooks = gp_hooks,
		.ops = &relay_ops,
		.data = &client->state,
		.client_number = client->number,
	};
	gp_state_init(&client->state, server->options->shm != GP_SHM_PASS, &server->stats);
	client->state.carries_fds = server->options->shm == GP_SHM_AUTO ? carries_fds : NULL;
	client->state.cursor_themes = server->cursor_themes;
	client->state.wake = handle_wake;
	client->state.wait_readable = wait_readable;
	client->state.xwayland = xwayland;
	client->state.xwayland_data = xwayland_data;
	client->mask = WL_EVENT_READABLE;
	client->relay = br_relay_create(&config);
	if (client->relay != NULL) {
		br_relay_output(client->relay, BR_REQUEST)->takes_resources = true;
	}
	client->source =
		wl_event_loop_add_fd(server->loop, *sock_fd, client->mask, handle_socket, client);
	wl_list_insert(server->clients.prev, &client->link);
	server->client_count++;
	client->sock_fd = br_fd_take(sock_fd);
	if (client->relay == NULL || client->source == NULL) {
		gp_client_destroy(client);
		return NULL;
	}
	return client;
}

void gp_client_create_take(struct gp_server *server, int *sock_fd, const char *refusal)
{
	struct gp_client *client = client_new(server, sock_fd, NULL, NULL);
	if (client == NULL) {
		br_log(BR_LOG_ERROR, "guest: a program was turned away: out of memory");
		br_fd_clear(sock_fd);
		return;
	}
	if (refusal != NULL) {
		br_relay_client_error(client->relay, NULL, BR_ERROR_NO_MEMORY, "%s", refusal);
	} else {
		int ret = open_channel(client);
		if (ret < 0) {
			explain_no_channel(client, ret);
		}
	}
	client_run(client);
}

struct br_relay *gp_client_create_xwayland_take(struct gp_server *server, int *sock_fd,
						const struct gp_xwayland_ops *ops, void *data)
{
	struct gp_client *client = client_new(server, sock_fd, ops, data);
	if (client == NULL) {
		br_fd_clear(sock_fd);
		return NULL;
	}
	int ret = open_channel(client);
	if (ret < 0) {
		explain_no_channel(client, ret);
	}
	return client->relay;
}

void gp_client_run(struct br_relay *relay)
{
	handle_wake(br_relay_data(relay));
}

void gp_client_end(struct br_relay *relay)
{
	struct gp_state *state = br_relay_data(relay);
	struct gp_client *client = wl_container_of(state, client, state);
	client->dead = true;
	client_run(client);
}
