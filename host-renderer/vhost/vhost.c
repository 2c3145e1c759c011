/* SPDX-License-Identifier: MIT */
#include "vhost.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "fd.h"
#include "host.h"
#include "limits.h"
#include "log.h"
#include "session.h"
#include "sock.h"

/* How long to leave a connection waiting that there is no fd for. */
#define RETRY_MS 200

struct hr_vhost {
	struct hr_host *host;
	struct hr_window_options window;
	int listen_fd; /* -1: none */
	struct wl_event_source *source;
	struct wl_event_source *retry; /* timer: accept again */
	char *path;		       /* to be removed; NULL: none */
	struct hr_session *session;    /* NULL: no VMM */
};

static void on_gone(void *data)
{
	struct hr_vhost *vhost = data;
	vhost->session = NULL;
}

int hr_vhost_serve_take(struct hr_vhost *vhost, int *conn_fd)
{
	if (vhost->session) {
		return -EBUSY;
	}
	return hr_session_create_take(vhost->host, &vhost->window, conn_fd, on_gone, vhost,
				      &vhost->session);
}

static int on_connection(int fd, uint32_t mask, void *data)
{
	struct hr_vhost *vhost = data;
	(void)mask;
	int conn_fd BR_CLEANUP_FD = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn_fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
			/* It stays readable: don't spin. */
			(void)wl_event_source_fd_update(vhost->source, 0);
			(void)wl_event_source_timer_update(vhost->retry, RETRY_MS);
		}
		return 0;
	}
	int ret = br_sock_check_peer(conn_fd);
	ret = ret < 0 ? ret : hr_vhost_serve_take(vhost, &conn_fd);
	if (ret < 0) {
		br_log_peer(BR_LOG_WARN, "vhost: connection refused: %s",
			    ret == -EACCES  ? "it is from another user"
			    : ret == -EBUSY ? "a VMM is connected already: start one causeway-host "
					      "for each virtual machine"
					    : strerror(-ret));
	} else {
		br_log(BR_LOG_INFO, "vhost: a VMM has connected");
	}
	return 0;
}

static int on_retry(void *data)
{
	struct hr_vhost *vhost = data;
	(void)wl_event_source_fd_update(vhost->source, WL_EVENT_READABLE);
	return 0;
}

int hr_vhost_create(struct hr_host *host, const struct hr_window_options *window,
		    struct hr_vhost **ret_vhost)
{
	if (window->bytes > BR_LIMIT_WINDOW_BYTES || (window->bytes & (window->bytes - 1)) != 0) {
		return -EINVAL;
	}
	struct hr_vhost *vhost = calloc(1, sizeof(*vhost));
	if (!vhost) {
		return -ENOMEM;
	}
	vhost->host = host;
	vhost->window = *window;
	vhost->listen_fd = -1;
	*ret_vhost = vhost;
	return 0;
}

int hr_vhost_start(struct hr_host *host, const char *path, const struct hr_window_options *window,
		   struct hr_vhost **ret_vhost)
{
	struct hr_vhost *vhost;
	int ret = hr_vhost_create(host, window, &vhost);
	if (ret < 0) {
		return ret;
	}
	vhost->listen_fd = br_sock_listen(path, SOCK_STREAM);
	if (vhost->listen_fd < 0) {
		ret = vhost->listen_fd;
		free(vhost);
		return ret;
	}
	vhost->path = strdup(path);
	vhost->source = wl_event_loop_add_fd(host->loop, vhost->listen_fd, WL_EVENT_READABLE,
					     on_connection, vhost);
	vhost->retry = wl_event_loop_add_timer(host->loop, on_retry, vhost);
	if (!vhost->path || !vhost->source || !vhost->retry) {
		hr_vhost_finish(vhost);
		return -ENOMEM;
	}
	*ret_vhost = vhost;
	return 0;
}

void hr_vhost_finish(struct hr_vhost *vhost)
{
	if (!vhost) {
		return;
	}
	hr_session_destroy(vhost->session);
	if (vhost->source) {
		wl_event_source_remove(vhost->source);
	}
	if (vhost->retry) {
		wl_event_source_remove(vhost->retry);
	}
	br_fd_clear(&vhost->listen_fd);
	if (vhost->path) {
		(void)unlink(vhost->path);
	}
	free(vhost->path);
	free(vhost);
}
