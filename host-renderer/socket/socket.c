/* SPDX-License-Identifier: MIT */
#include "socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wayland-server-core.h>

#include "connection.h"
#include "fd.h"
#include "host.h"
#include "log.h"
#include "sock.h"

/* Connections accepted per wake-up. */
#define ACCEPTS_PER_WAKEUP 16
/* How long to leave a connection waiting that there is no fd for. */
#define RETRY_MS 200

struct hr_socket {
	struct hr_connection_owner owner;
	int listen_fd;
	struct wl_event_source *source;
	struct wl_event_source *retry; /* timer: accept again after fds ran out */
	char *path;		       /* NULL if the socket file is not ours */
};

int hr_socket_serve_take(struct hr_socket *sock, int *conn_fd)
{
	return hr_connection_create_take(&sock->owner, conn_fd);
}

static int on_connection(int fd, uint32_t mask, void *data)
{
	(void)mask;
	struct hr_socket *sock = data;
	for (int i = 0; i < ACCEPTS_PER_WAKEUP; i++) {
		int conn_fd BR_CLEANUP_FD = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (conn_fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
				/* It stays readable: don't spin. */
				(void)wl_event_source_fd_update(sock->source, 0);
				(void)wl_event_source_timer_update(sock->retry, RETRY_MS);
			}
			break;
		}
		int ret = br_sock_check_peer(conn_fd);
		ret = ret < 0 ? ret : hr_socket_serve_take(sock, &conn_fd);
		if (ret < 0) {
			br_log_peer(BR_LOG_WARN, "socket: connection refused: %s",
				    ret == -EACCES   ? "it is from another user"
				    : ret == -EMFILE ? "there are too many"
						     : strerror(-ret));
		}
	}
	return 0;
}

static int on_retry(void *data)
{
	struct hr_socket *sock = data;
	(void)wl_event_source_fd_update(sock->source, WL_EVENT_READABLE);
	return 0;
}

static struct hr_socket *socket_create(struct hr_host *host)
{
	struct hr_socket *sock = calloc(1, sizeof(*sock));
	uint8_t *packet = malloc(SK_MAX_PACKET_BYTES);
	if (!sock || !packet) {
		free(packet);
		free(sock);
		return NULL;
	}
	sock->owner = (struct hr_connection_owner){.host = host, .packet = packet};
	wl_list_init(&sock->owner.connections);
	sock->listen_fd = -1;
	return sock;
}

int hr_socket_start_fd(struct hr_host *host, int listen_fd, struct hr_socket **ret_socket)
{
	struct hr_socket *sock = socket_create(host);
	if (!sock) {
		return -ENOMEM;
	}
	sock->listen_fd = br_fd_dup(listen_fd);
	int ret = sock->listen_fd < 0 ? sock->listen_fd : br_fd_set_nonblock(sock->listen_fd);
	if (ret == 0) {
		sock->source = wl_event_loop_add_fd(host->loop, sock->listen_fd, WL_EVENT_READABLE,
						    on_connection, sock);
		sock->retry = wl_event_loop_add_timer(host->loop, on_retry, sock);
		ret = sock->source && sock->retry ? 0 : -ENOMEM;
	}
	if (ret < 0) {
		hr_socket_finish(sock);
		return ret;
	}
	*ret_socket = sock;
	return 0;
}

int hr_socket_start(struct hr_host *host, const char *path, struct hr_socket **ret_socket)
{
	char *copy = strdup(path);
	if (!copy) {
		return -ENOMEM;
	}
	int fd BR_CLEANUP_FD = br_sock_listen(path, SOCK_SEQPACKET);
	int ret = fd < 0 ? fd : hr_socket_start_fd(host, fd, ret_socket);
	if (ret < 0) {
		free(copy);
		return ret;
	}
	(*ret_socket)->path = copy;
	return 0;
}

void hr_socket_finish(struct hr_socket *sock)
{
	if (!sock) {
		return;
	}
	hr_connection_destroy_all(&sock->owner);
	if (sock->source) {
		wl_event_source_remove(sock->source);
	}
	if (sock->retry) {
		wl_event_source_remove(sock->retry);
	}
	br_fd_clear(&sock->listen_fd);
	if (sock->path) {
		(void)unlink(sock->path);
	}
	free(sock->path);
	free(sock->owner.packet);
	free(sock);
}
