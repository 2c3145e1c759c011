/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "client.h"
#include "cursor_theme.h"
#include "fd.h"
#include "limits.h"
#include "log.h"
#include "sock.h"
#include "systemd.h"
#include "transport.h"

#define MAX_DISPLAY_NUMBER 99
/* Programs over the limit that are being told so. */
#define MAX_REFUSED 16
/* When no fd of ours may come free: look again. */
#define RETRY_MS 1000

static void set_paused(struct gp_server *server, bool paused)
{
	server->paused = paused;
	for (uint32_t i = 0; i < server->listener_count; i++) {
		(void)wl_event_source_fd_update(server->listeners[i].source,
						paused ? 0 : WL_EVENT_READABLE);
	}
	(void)wl_event_source_timer_update(server->retry, paused ? RETRY_MS : 0);
}

static int handle_retry(void *data)
{
	set_paused(data, false);
	return 0;
}

/* No new program for now: one that leaves, or time, may change that. */
static void hold_new(struct gp_server *server, int err)
{
	br_log_peer(BR_LOG_WARN,
		    "guest: a program has to wait: %s (raise the limit of open files, ulimit -n)",
		    strerror(err));
	set_paused(server, true);
}

static int handle_connection(int fd, uint32_t mask, void *data)
{
	struct gp_listener *listener = data;
	struct gp_server *server = listener->server;
	const char *refusal = NULL;
	(void)mask;
	if (server->client_count >= BR_LIMIT_CLIENTS + MAX_REFUSED) {
		set_paused(server, true);
		return 0;
	}
	if (!br_fd_has_reserve(fd)) {
		hold_new(server, EMFILE);
		return 0;
	}
	int sock_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (sock_fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			hold_new(server, errno);
		}
		return 0;
	}
	server->stats.clients++;
	if (server->client_count >= BR_LIMIT_CLIENTS) {
		refusal = "causeway-guest: too many programs are connected";
	}
	gp_client_create_take(server, &sock_fd, refusal);
	return 0;
}

void gp_server_client_gone(struct gp_server *server)
{
	server->client_count--;
	if (server->paused) {
		set_paused(server, false);
	}
}

static int add_listener(struct gp_server *server, int *fd)
{
	struct gp_listener *listener = &server->listeners[server->listener_count];
	if (server->listener_count == GP_MAX_LISTENERS) {
		br_fd_clear(fd);
		return -ENOSPC;
	}
	listener->server = server;
	listener->source = wl_event_loop_add_fd(server->loop, *fd, WL_EVENT_READABLE,
						handle_connection, listener);
	if (listener->source == NULL) {
		br_fd_clear(fd);
		return -ENOMEM;
	}
	listener->fd = br_fd_take(fd);
	server->listener_count++;
	return 0;
}

/* libwayland's convention: who holds the lock of NAME.lock owns NAME. Returns -EADDRINUSE if somebody
 * else does. */
static int listen_locked(struct gp_server *server, const char *path)
{
	char *lock_path = NULL;
	if (asprintf(&lock_path, "%s.lock", path) < 0) {
		return -ENOMEM;
	}
	int lock_fd BR_CLEANUP_FD = open(lock_path, O_CREAT | O_CLOEXEC | O_RDWR, 0660);
	int ret = lock_fd < 0 ? -errno : 0;
	if (ret == 0 && flock(lock_fd, LOCK_EX | LOCK_NB) < 0) {
		ret = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
	}
	int fd = ret < 0 ? ret : br_sock_listen(path, SOCK_STREAM);
	ret = fd < 0 ? fd : add_listener(server, &fd);
	if (ret == 0) {
		server->socket_path = strdup(path);
		server->lock_path = lock_path;
		server->lock_fd = br_fd_take(&lock_fd);
		return 0;
	}
	free(lock_path);
	return ret;
}

static int listen_name(struct gp_server *server, const char *dir, const char *name)
{
	char *path = NULL;
	if (name[0] == '/' ? asprintf(&path, "%s", name) < 0
			   : asprintf(&path, "%s/%s", dir, name) < 0) {
		return -ENOMEM;
	}
	int ret = strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path)
			  ? listen_locked(server, path)
			  : -ENAMETOOLONG;
	free(path);
	if (ret == 0) {
		server->name = strdup(name);
		ret = server->name != NULL ? 0 : -ENOMEM;
	}
	return ret;
}

static int listen_first_free(struct gp_server *server, const char *dir)
{
	char name[32];
	for (int i = 1; i <= MAX_DISPLAY_NUMBER; i++) {
		snprintf(name, sizeof(name), "wayland-%d", i);
		int ret = listen_name(server, dir, name);
		if (ret != -EADDRINUSE) {
			return ret;
		}
	}
	return -EADDRINUSE;
}

static int listen_own(struct gp_server *server)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	const char *name = server->options->socket;
	if ((dir == NULL || dir[0] != '/') && (name == NULL || name[0] != '/')) {
		br_log(BR_LOG_ERROR, "guest: XDG_RUNTIME_DIR is not set: set it to a folder of "
				     "your own (mode 0700), or give --socket an absolute path");
		return -ENOENT;
	}
	int ret = name != NULL ? listen_name(server, dir, name) : listen_first_free(server, dir);
	if (ret < 0) {
		br_log(BR_LOG_ERROR, "guest: can't listen on %s in %s: %s",
		       name != NULL ? name : "wayland-1 to wayland-99", dir != NULL ? dir : "/",
		       ret == -EADDRINUSE ? "in use by another compositor or proxy"
					  : strerror(-ret));
	}
	return ret;
}

/* Take the sockets that systemd listens on. Returns how many, or -errno. */
static int listen_activated(struct gp_server *server)
{
	int fds[GP_MAX_LISTENERS];
	int count = gp_systemd_listen_fds(fds, GP_MAX_LISTENERS);
	for (int i = 0; i < count; i++) {
		struct sockaddr_un addr = {0};
		socklen_t len = sizeof(addr);
		int ret = br_fd_set_nonblock(fds[i]);
		if (ret == 0 && getsockname(fds[i], (struct sockaddr *)&addr, &len) == 0 &&
		    addr.sun_family == AF_UNIX && addr.sun_path[0] == '/' && server->name == NULL) {
			server->name = strndup(addr.sun_path, sizeof(addr.sun_path));
		}
		ret = ret < 0 ? ret : add_listener(server, &fds[i]);
		if (ret < 0) {
			br_log(BR_LOG_ERROR, "guest: can't use a socket from systemd: %s",
			       strerror(-ret));
			return ret;
		}
	}
	return count;
}

/* A client needs a socket, pipes and the memory of its pools. */
static void raise_fd_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
			br_log(BR_LOG_DEBUG, "guest: RLIMIT_NOFILE: %s", strerror(errno));
		}
	}
}

int gp_server_init(struct gp_server *server, struct wl_event_loop *loop,
		   const struct gp_options *options)
{
	*server = (struct gp_server){
		.loop = loop,
		.options = options,
		.lock_fd = -1,
	};
	wl_list_init(&server->clients);
	raise_fd_limit();
	server->retry = wl_event_loop_add_timer(loop, handle_retry, server);
	if (server->retry == NULL) {
		return -ENOMEM;
	}
	server->cursor_themes = gp_cursor_themes_create();
	int ret = listen_activated(server);
	if (ret == 0) {
		ret = listen_own(server);
	}
	if (ret < 0) {
		gp_server_finish(server);
		return ret;
	}
	br_log(BR_LOG_INFO, "guest: listening on %s", server->name != NULL ? server->name : "?");
	return 0;
}

void gp_server_drain(struct gp_server *server)
{
	gp_clients_drain(&server->clients);
}

void gp_server_finish(struct gp_server *server)
{
	while (!wl_list_empty(&server->clients)) {
		gp_client_destroy(gp_client_first(&server->clients));
	}
	for (uint32_t i = 0; i < server->listener_count; i++) {
		wl_event_source_remove(server->listeners[i].source);
		br_fd_clear(&server->listeners[i].fd);
	}
	if (server->socket_path != NULL) {
		(void)unlink(server->socket_path);
		(void)unlink(server->lock_path);
	}
	br_fd_clear(&server->lock_fd);
	if (server->link != NULL) {
		struct gp_link *link = server->link;
		server->link = NULL;
		gp_link_unref(link);
	}
	if (server->retry != NULL) {
		wl_event_source_remove(server->retry);
	}
	gp_cursor_themes_destroy(server->cursor_themes);
	free(server->socket_path);
	free(server->lock_path);
	free(server->name);
	*server = (struct gp_server){.lock_fd = -1};
	wl_list_init(&server->clients);
}

void gp_server_print_stats(const struct gp_server *server)
{
	const struct gp_stats *stats = &server->stats;
	fprintf(stderr, "causeway-guest: stats copied_bytes=%llu full_frames=%llu clients=%llu\n",
		(unsigned long long)stats->copied_bytes, (unsigned long long)stats->full_frames,
		(unsigned long long)stats->clients);
}
