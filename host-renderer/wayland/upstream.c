/* SPDX-License-Identifier: MIT */
#include "upstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <wayland-server-core.h>

#include "fd.h"
#include "log.h"
#include "secctx.h"
#include "sock.h"

/* A compositor that has not answered by then hangs; its clients would too. */
#define SECCTX_DEADLINE_MS 5000

struct hr_upstream {
	struct wl_event_loop *loop;
	char *path;
	enum hr_secctx_mode mode;
	struct hr_secctx *secctx; /* NULL if the mode is off */
	struct wl_event_source *deadline;
	struct wl_list waits; /* hr_upstream_wait.link */
};

char *hr_upstream_find_path(const char *display)
{
	char *path = NULL;
	if (display == NULL) {
		display = getenv("WAYLAND_DISPLAY");
	}
	if (display == NULL || display[0] == '\0') {
		display = "wayland-0";
	}
	if (display[0] == '/') {
		path = strdup(display);
	} else {
		const char *dir = getenv("XDG_RUNTIME_DIR");
		if (dir == NULL || dir[0] != '/') {
			errno = EINVAL;
			return NULL;
		}
		if (asprintf(&path, "%s/%s", dir, display) < 0) {
			path = NULL;
		}
	}
	if (path == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		free(path);
		errno = ENAMETOOLONG;
		return NULL;
	}
	return path;
}

/* Connect by what is known now of the security context; -EINPROGRESS if that is nothing. */
static int connect_now(struct hr_upstream *upstream)
{
	switch (upstream->secctx == NULL ? HR_SECCTX_ABSENT : hr_secctx_state(upstream->secctx)) {
	case HR_SECCTX_READY:
		return hr_secctx_connect(upstream->secctx);
	case HR_SECCTX_ABSENT:
		if (upstream->mode == HR_SECCTX_REQUIRE) {
			br_log_peer(
				BR_LOG_ERROR,
				"host: the compositor at %s has no wp_security_context_v1: use one "
				"that has it, or --security-context=auto",
				upstream->path);
			return -EACCES;
		}
		return br_sock_connect(upstream->path, SOCK_STREAM);
	case HR_SECCTX_PENDING:
		return -EINPROGRESS;
	case HR_SECCTX_DOWN:
		break;
	}
	return hr_secctx_error(upstream->secctx);
}

/* Tell all who wait. result: 0 to connect each, else -errno for all. */
static void wake(struct hr_upstream *upstream, int result)
{
	struct wl_list waits;
	wl_list_init(&waits);
	wl_list_insert_list(&waits, &upstream->waits);
	wl_list_init(&upstream->waits);
	(void)wl_event_source_timer_update(upstream->deadline, 0);
	while (!wl_list_empty(&waits)) {
		struct hr_upstream_wait *wait = wl_container_of(waits.next, wait, link);
		hr_upstream_cancel(wait);
		int fd = result < 0 ? result : connect_now(upstream);
		wait->ready(wait, fd == -EINPROGRESS ? -ECONNRESET : fd);
	}
}

static void handle_secctx_changed(void *data)
{
	wake(data, 0);
}

static int handle_deadline(void *data)
{
	struct hr_upstream *upstream = data;
	br_log(BR_LOG_ERROR, "host: the compositor at %s does not answer", upstream->path);
	hr_secctx_reset(upstream->secctx, -ETIMEDOUT);
	wake(upstream, -ETIMEDOUT);
	return 0;
}

int hr_upstream_create(struct wl_event_loop *loop, const struct hr_upstream_config *config,
		       struct hr_upstream **ret_upstream)
{
	struct hr_upstream *upstream = calloc(1, sizeof(*upstream));
	int ret = -ENOMEM;
	if (upstream == NULL) {
		return ret;
	}
	upstream->loop = loop;
	upstream->mode = config->secctx;
	wl_list_init(&upstream->waits);
	upstream->path = hr_upstream_find_path(config->display);
	if (upstream->path == NULL) {
		ret = -errno;
		goto fail;
	}
	upstream->deadline = wl_event_loop_add_timer(loop, handle_deadline, upstream);
	if (upstream->deadline == NULL) {
		goto fail;
	}
	if (config->secctx != HR_SECCTX_OFF) {
		ret = hr_secctx_create(loop, upstream->path, config->guest_name,
				       handle_secctx_changed, upstream, &upstream->secctx);
		if (ret < 0) {
			goto fail;
		}
	}
	*ret_upstream = upstream;
	return 0;
fail:
	hr_upstream_destroy(upstream);
	return ret;
}

void hr_upstream_destroy(struct hr_upstream *upstream)
{
	if (upstream == NULL) {
		return;
	}
	if (upstream->deadline != NULL) {
		wake(upstream, -ECANCELED);
		wl_event_source_remove(upstream->deadline);
	}
	hr_secctx_destroy(upstream->secctx);
	free(upstream->path);
	free(upstream);
}

const char *hr_upstream_path(const struct hr_upstream *upstream)
{
	return upstream->path;
}

void hr_upstream_prepare(struct hr_upstream *upstream)
{
	if (upstream->secctx != NULL && hr_secctx_state(upstream->secctx) == HR_SECCTX_DOWN) {
		hr_secctx_start(upstream->secctx);
	}
}

static int log_connect(const struct hr_upstream *upstream, int ret)
{
	if (ret < 0 && ret != -EINPROGRESS && ret != -EACCES) {
		br_log_peer(
			BR_LOG_ERROR,
			"host: can't connect to the compositor at %s: %s; start one, or name its "
			"socket with --wayland-display",
			upstream->path, strerror(-ret));
	}
	return ret;
}

int hr_upstream_connect(struct hr_upstream *upstream, struct hr_upstream_wait *wait)
{
	hr_upstream_prepare(upstream);
	int ret = connect_now(upstream);
	if (ret == -ECONNREFUSED && upstream->secctx != NULL &&
	    hr_secctx_state(upstream->secctx) == HR_SECCTX_READY) {
		/* The compositor has just gone; perhaps there is another one already. */
		hr_secctx_reset(upstream->secctx, ret);
		hr_upstream_prepare(upstream);
		ret = connect_now(upstream);
	}
	if (ret != -EINPROGRESS) {
		return log_connect(upstream, ret);
	}
	if (wl_list_empty(&upstream->waits)) {
		(void)wl_event_source_timer_update(upstream->deadline, SECCTX_DEADLINE_MS);
	}
	wl_list_insert(upstream->waits.prev, &wait->link);
	return ret;
}

void hr_upstream_cancel(struct hr_upstream_wait *wait)
{
	if (wait->link.next != NULL) {
		wl_list_remove(&wait->link);
		wait->link = (struct wl_list){0};
	}
}
