/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <wayland-client.h>

#include "fd.h"
#include "gpu/gpu.h"
#include "launch/vm_check.h"
#include "sock.h"
#include "socket/vtest.h"

#define DEADLINE_MS 3000

struct check_global {
	const char *interface;
	bool required;
	const char *hint;
	uint32_t version; /* 0: not announced */
};

struct check {
	struct check_global globals[4];
	bool synced;
	bool bad; /* something needed is missing */
};

static void line(struct check *check, bool ok, bool required, const char *what, const char *hint)
{
	if (ok) {
		printf("ok       %s\n", what);
	} else {
		printf("%s  %s: %s\n", required ? "missing" : "without", what, hint);
		check->bad |= required;
	}
}

static void handle_global(void *data, struct wl_registry *registry, uint32_t name,
			  const char *interface, uint32_t version)
{
	struct check *check = data;
	(void)registry;
	(void)name;
	for (size_t i = 0; i < sizeof(check->globals) / sizeof(check->globals[0]); i++) {
		if (strcmp(check->globals[i].interface, interface) == 0) {
			check->globals[i].version = version;
		}
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

static void handle_sync(void *data, struct wl_callback *callback, uint32_t serial)
{
	struct check *check = data;
	(void)callback;
	(void)serial;
	check->synced = true;
}

static const struct wl_callback_listener sync_listener = {.done = handle_sync};

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Dispatch until the compositor has answered. Returns 0 or -errno. */
static int wait_for_sync(struct wl_display *display, const struct check *check)
{
	int64_t deadline = now_ms() + DEADLINE_MS;
	while (!check->synced) {
		struct pollfd pfd = {.fd = wl_display_get_fd(display), .events = POLLIN};
		while (wl_display_prepare_read(display) != 0) {
			if (wl_display_dispatch_pending(display) < 0) {
				return -errno;
			}
		}
		(void)wl_display_flush(display);
		int64_t left = check->synced ? 0 : deadline - now_ms();
		int ret = poll(&pfd, 1, left > 0 ? (int)left : 0);
		if (ret <= 0) {
			wl_display_cancel_read(display);
			if (check->synced) {
				return 0;
			}
			return ret < 0 ? -errno : -ETIMEDOUT;
		}
		if (wl_display_read_events(display) < 0 ||
		    wl_display_dispatch_pending(display) < 0) {
			return -errno;
		}
	}
	return 0;
}

/* Returns 0 with the globals' versions filled in, or -errno. */
static int ask_compositor(struct check *check, const char *path)
{
	int fd = br_sock_connect(path, SOCK_STREAM);
	if (fd < 0) {
		return fd;
	}
	struct wl_display *display = wl_display_connect_to_fd(fd);
	if (display == NULL) {
		return -ENOMEM;
	}
	struct wl_registry *registry = wl_display_get_registry(display);
	struct wl_callback *callback = wl_display_sync(display);
	int ret = -ENOMEM;
	if (registry != NULL && callback != NULL) {
		wl_registry_add_listener(registry, &registry_listener, check);
		wl_callback_add_listener(callback, &sync_listener, check);
		ret = wait_for_sync(display, check);
	}
	if (callback != NULL) {
		wl_callback_destroy(callback);
	}
	if (registry != NULL) {
		wl_registry_destroy(registry);
	}
	wl_display_disconnect(display);
	return ret;
}

static void check_compositor(struct check *check, const struct hr_options *options)
{
	char what[256];
	char *path = hr_upstream_find_path(options->wayland_display);
	if (path == NULL) {
		line(check, false, true, "compositor",
		     "set XDG_RUNTIME_DIR, or give --wayland-display a path");
		return;
	}
	int ret = ask_compositor(check, path);
	if (ret < 0) {
		snprintf(what, sizeof(what), "compositor at %s (%s)", path, strerror(-ret));
	} else {
		snprintf(what, sizeof(what), "compositor at %s", path);
	}
	line(check, ret == 0, true, what,
	     "start one, or name its socket with --wayland-display or WAYLAND_DISPLAY");
	free(path);
	if (ret < 0) {
		return;
	}
	for (size_t i = 0; i < sizeof(check->globals) / sizeof(check->globals[0]); i++) {
		const struct check_global *global = &check->globals[i];
		if (global->version > 0) {
			snprintf(what, sizeof(what), "%s version %u", global->interface,
				 global->version);
		} else {
			snprintf(what, sizeof(what), "%s", global->interface);
		}
		line(check, global->version > 0, global->required, what, global->hint);
	}
}

static void check_path(struct check *check, const char *path, int type, const char *option)
{
	char what[256], hint[128];
	int fd = br_sock_listen(path, type);
	if (fd == -EADDRINUSE) {
		snprintf(what, sizeof(what), "socket %s: another causeway-host serves it", path);
	} else if (fd < 0) {
		snprintf(what, sizeof(what), "socket %s (%s)", path, strerror(-fd));
	} else {
		snprintf(what, sizeof(what), "socket %s", path);
		(void)unlink(path);
	}
	snprintf(hint, sizeof(hint), "give %s a path in a directory of yours", option);
	line(check, fd >= 0 || fd == -EADDRINUSE, true, what, hint);
	br_fd_clear(&fd);
}

static void check_sockets(struct check *check, const struct hr_options *options)
{
	if (options->socket_path != NULL) {
		check_path(check, options->socket_path, SOCK_SEQPACKET, "--socket");
	}
	if (options->vhost_path != NULL) {
		check_path(check, options->vhost_path, SOCK_STREAM, "--vhost-user");
	}
	if (options->socket_path == NULL && options->vhost_path == NULL &&
	    options->command == NULL) {
		line(check, false, true, "socket", "set XDG_RUNTIME_DIR, or give --socket PATH");
	}
}

static void vm_line(void *data, bool ok, bool required, const char *what, const char *hint)
{
	line(data, ok, required, what, hint);
}

static void check_gpu(struct check *check, const struct hr_options *options)
{
	if (options->gpu.flags == 0) {
		line(check, false, false, "GPU", "--gpu none: programs draw with the CPU");
	} else if (!hr_gpu_check(&options->gpu) && options->gpu.required) {
		check->bad = true;
	}
	/* Venus is all that a container gets. */
	if (options->socket_path != NULL && options->gpu.flags & WK_VENUS) {
		line(check, hr_vtest_is_there(), hr_vtest_is_wanted(&options->gpu),
		     "virgl_test_server, for containers with --gpu venus", HR_VTEST_HINT);
	}
}

int hr_check(const struct hr_options *options)
{
	struct check check = {
		.globals =
			{
				{"wl_shm", true, "every compositor has it: this is none", 0},
				{"xdg_wm_base", true,
				 "the compositor can't show windows: use another", 0},
				{"zwp_linux_dmabuf_v1", false,
				 "GPU buffers need a compositor with linux-dmabuf", 0},
				{"wp_security_context_manager_v1",
				 options->secctx == HR_SECCTX_REQUIRE,
				 "the compositor can't tell guest programs from yours; sway 1.9, "
				 "KWin 6 and others can",
				 0},
			},
	};
	check_compositor(&check, options);
	check_sockets(&check, options);
	hr_vm_check(options, vm_line, &check);
	check_gpu(&check, options);
	return check.bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
