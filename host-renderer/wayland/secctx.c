/* SPDX-License-Identifier: MIT */
#include "secctx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wayland-client.h>
#include <wayland-server-core.h>

#include "fd.h"
#include "log.h"
#include "security-context-v1-client-protocol.h"
#include "sock.h"

struct hr_secctx {
	struct wl_event_loop *loop;
	const char *path, *guest_name;
	void (*changed)(void *data);
	void *data;
	enum hr_secctx_state state;
	int error;
	uint32_t generation;
	/* The control connection; NULL when DOWN. */
	struct wl_display *display;
	struct wl_registry *registry;
	struct wp_security_context_manager_v1 *manager;
	struct wl_callback *sync;
	struct wl_event_source *source;
	/* Where our clients connect; the compositor holds the listening end. */
	char *listen_path;
	/* The compositor serves the socket until this pipe's other end is closed. */
	int close_fd;
};

int hr_secctx_create(struct wl_event_loop *loop, const char *path, const char *guest_name,
		     void (*changed)(void *data), void *data, struct hr_secctx **ret_secctx)
{
	struct hr_secctx *secctx = calloc(1, sizeof(*secctx));
	if (secctx == NULL) {
		return -ENOMEM;
	}
	*secctx = (struct hr_secctx){
		.loop = loop,
		.path = path,
		.guest_name = guest_name,
		.changed = changed,
		.data = data,
		.error = -ECONNREFUSED,
		.close_fd = -1,
	};
	*ret_secctx = secctx;
	return 0;
}

void hr_secctx_reset(struct hr_secctx *secctx, int error)
{
	br_fd_clear(&secctx->close_fd);
	if (secctx->listen_path != NULL) {
		(void)unlink(secctx->listen_path);
		free(secctx->listen_path);
		secctx->listen_path = NULL;
	}
	if (secctx->source != NULL) {
		wl_event_source_remove(secctx->source);
		secctx->source = NULL;
	}
	if (secctx->sync != NULL) {
		wl_callback_destroy(secctx->sync);
		secctx->sync = NULL;
	}
	if (secctx->manager != NULL) {
		wp_security_context_manager_v1_destroy(secctx->manager);
		secctx->manager = NULL;
	}
	if (secctx->registry != NULL) {
		wl_registry_destroy(secctx->registry);
		secctx->registry = NULL;
	}
	if (secctx->display != NULL) {
		wl_display_disconnect(secctx->display);
		secctx->display = NULL;
	}
	secctx->state = HR_SECCTX_DOWN;
	secctx->error = error;
}

void hr_secctx_destroy(struct hr_secctx *secctx)
{
	if (secctx == NULL) {
		return;
	}
	hr_secctx_reset(secctx, -ECANCELED);
	free(secctx);
}

enum hr_secctx_state hr_secctx_state(const struct hr_secctx *secctx)
{
	return secctx->state;
}

int hr_secctx_error(const struct hr_secctx *secctx)
{
	return secctx->error;
}

int hr_secctx_connect(struct hr_secctx *secctx)
{
	return br_sock_connect(secctx->listen_path, SOCK_STREAM);
}

static void handle_global(void *data, struct wl_registry *registry, uint32_t name,
			  const char *interface, uint32_t version)
{
	struct hr_secctx *secctx = data;
	(void)version;
	if (secctx->manager == NULL &&
	    strcmp(interface, wp_security_context_manager_v1_interface.name) == 0) {
		secctx->manager = wl_registry_bind(registry, name,
						   &wp_security_context_manager_v1_interface, 1);
	}
}

static void handle_global_remove(void *data, struct wl_registry *registry, uint32_t name)
{
	(void)data;
	(void)registry;
	(void)name;
}

static const struct wl_registry_listener registry_listener = {
	.global = handle_global,
	.global_remove = handle_global_remove,
};

/* Hand a listening socket over to the compositor. Returns 0 or -errno. */
static int create_context(struct hr_secctx *secctx)
{
	int listen_fd BR_CLEANUP_FD = -1;
	int close_fd BR_CLEANUP_FD = -1;
	int pipe_fds[2];
	const char *dir = getenv("XDG_RUNTIME_DIR");
	/* The directory is the user's alone, the socket's mode besides. */
	if (asprintf(&secctx->listen_path, "%s/causeway-%ld.wayland", dir != NULL ? dir : "/tmp",
		     (long)getpid()) < 0) {
		secctx->listen_path = NULL;
		return -ENOMEM;
	}
	listen_fd = br_sock_listen(secctx->listen_path, SOCK_STREAM);
	if (listen_fd < 0) {
		int ret = listen_fd;
		br_log(BR_LOG_ERROR, "host: can't listen on %s: %s", secctx->listen_path,
		       strerror(-ret));
		return ret;
	}
	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	close_fd = pipe_fds[0];
	secctx->close_fd = pipe_fds[1];
	struct wp_security_context_v1 *context = wp_security_context_manager_v1_create_listener(
		secctx->manager, listen_fd, close_fd);
	wp_security_context_v1_set_sandbox_engine(context, HR_SECCTX_ENGINE);
	wp_security_context_v1_set_app_id(context, secctx->guest_name);
	wp_security_context_v1_set_instance_id(context, secctx->guest_name);
	wp_security_context_v1_commit(context);
	wp_security_context_v1_destroy(context);
	return 0;
}

static void become(struct hr_secctx *secctx, enum hr_secctx_state state)
{
	secctx->state = state;
	br_log(BR_LOG_DEBUG, "host: security context: %s",
	       state == HR_SECCTX_READY ? "in use" : "the compositor has none");
	secctx->changed(secctx->data);
}

static void handle_sync(void *data, struct wl_callback *callback, uint32_t serial);

static const struct wl_callback_listener sync_listener = {.done = handle_sync};

static void request_sync(struct hr_secctx *secctx)
{
	secctx->sync = wl_display_sync(secctx->display);
	if (secctx->sync != NULL) {
		wl_callback_add_listener(secctx->sync, &sync_listener, secctx);
	}
}

/* First after the globals, then after the context: only then it is known to be in force. */
static void handle_sync(void *data, struct wl_callback *callback, uint32_t serial)
{
	struct hr_secctx *secctx = data;
	(void)serial;
	wl_callback_destroy(callback);
	secctx->sync = NULL;
	if (secctx->manager == NULL) {
		become(secctx, HR_SECCTX_ABSENT);
	} else if (secctx->listen_path != NULL) {
		become(secctx, HR_SECCTX_READY);
	} else {
		secctx->error = create_context(secctx);
		if (secctx->error == 0) {
			request_sync(secctx);
		}
	}
}

/* Returns 0 or -errno; the state may have changed in between. */
static int read_events(struct hr_secctx *secctx)
{
	while (wl_display_prepare_read(secctx->display) != 0) {
		if (wl_display_dispatch_pending(secctx->display) < 0) {
			return -errno;
		}
	}
	/* The read itself never waits; the event loop has said that there is something. */
	if (wl_display_read_events(secctx->display) < 0 ||
	    wl_display_dispatch_pending(secctx->display) < 0) {
		return -errno;
	}
	return secctx->error;
}

static int flush(struct hr_secctx *secctx)
{
	uint32_t mask = WL_EVENT_READABLE;
	if (wl_display_flush(secctx->display) < 0) {
		if (errno != EAGAIN) {
			return -errno;
		}
		mask |= WL_EVENT_WRITABLE;
	}
	return wl_event_source_fd_update(secctx->source, mask) < 0 ? -errno : 0;
}

static int handle_display_fd(int fd, uint32_t mask, void *data)
{
	struct hr_secctx *secctx = data;
	int ret = 0;
	(void)fd;
	if (mask & WL_EVENT_READABLE) {
		ret = read_events(secctx);
	} else if (mask & (WL_EVENT_HANGUP | WL_EVENT_ERROR)) {
		ret = -EPIPE;
	}
	if (ret == 0) {
		ret = flush(secctx);
	}
	if (ret < 0) {
		bool pending = secctx->state == HR_SECCTX_PENDING;
		/* One that is about to end may still have taken the connection. */
		br_log(pending ? BR_LOG_DEBUG : BR_LOG_INFO,
		       "host: the compositor at %s has gone: %s", secctx->path, strerror(-ret));
		hr_secctx_reset(secctx, ret == -EPIPE ? -ECONNREFUSED : ret);
		if (pending) {
			secctx->changed(secctx->data);
		}
	}
	return 0;
}

/* Ask for the globals. Returns 0 or -errno. */
static int start(struct hr_secctx *secctx)
{
	int fd = br_sock_connect(secctx->path, SOCK_STREAM);
	if (fd < 0) {
		return fd;
	}
	secctx->display = wl_display_connect_to_fd(fd); /* closes fd on failure, too */
	if (secctx->display == NULL) {
		return -ENOMEM;
	}
	secctx->registry = wl_display_get_registry(secctx->display);
	if (secctx->registry == NULL) {
		return -ENOMEM;
	}
	wl_registry_add_listener(secctx->registry, &registry_listener, secctx);
	request_sync(secctx);
	secctx->source = wl_event_loop_add_fd(secctx->loop, wl_display_get_fd(secctx->display),
					      WL_EVENT_READABLE, handle_display_fd, secctx);
	if (secctx->sync == NULL || secctx->source == NULL) {
		return -ENOMEM;
	}
	return flush(secctx);
}

void hr_secctx_start(struct hr_secctx *secctx)
{
	int ret = start(secctx);
	if (ret < 0) {
		hr_secctx_reset(secctx, ret);
		return;
	}
	secctx->state = HR_SECCTX_PENDING;
	secctx->error = 0;
	secctx->generation++;
}

void hr_secctx_ask(struct hr_secctx *secctx)
{
	secctx->state = HR_SECCTX_PENDING;
	request_sync(secctx);
	int ret = secctx->sync != NULL ? flush(secctx) : -ENOMEM;
	if (ret < 0) {
		hr_secctx_reset(secctx, ret == -EPIPE ? -ECONNREFUSED : ret);
	}
}

uint32_t hr_secctx_generation(const struct hr_secctx *secctx)
{
	return secctx->generation;
}
