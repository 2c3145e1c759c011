/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../client.h"
#include "../hooks/state.h"
#include "../server.h"
#include "fd.h"
#include "log.h"
#include "program.h"
#include "sockets.h"
#include "dnd.h"
#include "wm.h"

#define PROGRAM "Xwayland"

struct xw_server {
	struct gp_server *server; /* borrowed */
	const char *gl_driver;
	struct xw_sockets sockets;
	struct wl_event_source *listeners[XW_N_SOCKETS]; /* NULL while Xwayland runs */
	char display[8];
	/* While it runs. */
	int pid_fd; /* -1: it does not */
	struct wl_event_source *pid_source;
	int ready_fd; /* it writes here when it is ready; -1: it is */
	struct wl_event_source *ready_source;
	int wm_fd;		/* our end of the window manager's connection, until there is one */
	struct br_relay *relay; /* of its Wayland connection; NULL: it has ended */
	struct xw_wm *wm;	/* NULL: not yet, or not any more */
};

/** What Xwayland is started with; the ends of it are closed afterwards. */
struct spawn {
	int wayland[2], wm[2], ready[2];
};

static int listen_again(struct xw_server *server);

bool xw_server_installed(void)
{
	char *path = br_program_find(PROGRAM);
	free(path);
	return path != NULL;
}

/* --- its Wayland connection --- */

static void handle_associate(void *data, struct br_object *surface, uint64_t serial)
{
	struct xw_server *server = data;
	if (server->wm != NULL) {
		xw_wm_associate(server->wm, surface, serial);
	}
}

static bool handle_may_attach(void *data, struct br_object *surface)
{
	struct xw_server *server = data;
	return server->wm == NULL || xw_wm_may_attach(server->wm, surface);
}

static void handle_surface_gone(void *data, struct br_object *surface)
{
	struct xw_server *server = data;
	if (server->wm != NULL) {
		xw_wm_surface_gone(server->wm, surface);
	}
}

static void handle_input(void *data, uint32_t serial)
{
	struct xw_server *server = data;
	if (server->wm != NULL) {
		server->wm->input_serial = serial;
	}
}

static void handle_pointer_enter(void *data, struct br_object *pointer, struct br_object *surface)
{
	struct xw_server *server = data;
	if (server->wm != NULL) {
		xw_wm_pointer_enter(server->wm, surface);
		xw_dnd_pointer_enter(server->wm, pointer, surface);
	}
}

static void handle_pointer_motion(void *data, int32_t x, int32_t y)
{
	struct xw_server *server = data;
	if (server->wm != NULL) {
		xw_dnd_pointer_motion(server->wm, x, y);
	}
}

static bool handle_pointer_leave(void *data, uint32_t serial)
{
	struct xw_server *server = data;
	return server->wm != NULL && xw_dnd_pointer_leave(server->wm, serial);
}

static void handle_pointer_button(void *data, uint32_t serial, uint32_t button, bool pressed)
{
	struct xw_server *server = data;
	if (server->wm != NULL) {
		xw_dnd_pointer_button(server->wm, serial, button, pressed);
	}
}

static void handle_ended(void *data)
{
	struct xw_server *server = data;
	struct xw_wm *wm = server->wm;
	server->wm = NULL;
	server->relay = NULL;
	xw_wm_destroy(wm);
	if (server->pid_fd >= 0) {
		/* Without its connection it ends by itself, but need not be waited for. */
		(void)pidfd_send_signal(server->pid_fd, SIGTERM, NULL, 0);
	}
}

static const struct gp_xwayland_ops xwayland_ops = {
	.associate = handle_associate,
	.may_attach = handle_may_attach,
	.surface_gone = handle_surface_gone,
	.input = handle_input,
	.pointer_enter = handle_pointer_enter,
	.pointer_motion = handle_pointer_motion,
	.pointer_leave = handle_pointer_leave,
	.pointer_button = handle_pointer_button,
	.ended = handle_ended,
};

/* --- its process --- */

static void close_ready(struct xw_server *server)
{
	if (server->ready_source != NULL) {
		wl_event_source_remove(server->ready_source);
		server->ready_source = NULL;
	}
	br_fd_clear(&server->ready_fd);
}

/* Forget an Xwayland that has ended, or that is to end. */
static void clean_up(struct xw_server *server)
{
	close_ready(server);
	if (server->relay != NULL) {
		gp_client_end(server->relay);
	}
	br_fd_clear(&server->wm_fd);
	if (server->pid_source != NULL) {
		wl_event_source_remove(server->pid_source);
		server->pid_source = NULL;
	}
	br_fd_clear(&server->pid_fd);
}

static int handle_exit(int fd, uint32_t mask, void *data)
{
	struct xw_server *server = data;
	siginfo_t info = {0};
	(void)fd;
	(void)mask;
	if (waitid(P_PIDFD, (id_t)server->pid_fd, &info, WEXITED | WNOHANG) < 0 ||
	    info.si_pid == 0) {
		return 0;
	}
	if (info.si_code != CLD_EXITED || info.si_status != 0) {
		br_log(BR_LOG_WARN,
		       "guest: Xwayland has ended (%s %d): X11 programs end with it; the next one "
		       "starts it again",
		       info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
	}
	bool was_ready = server->ready_fd < 0;
	clean_up(server);
	if (!was_ready) {
		/* It would fail for ever, as each program tries again. */
		br_log(BR_LOG_ERROR, "guest: Xwayland does not start: there are no X11 programs");
		return 0;
	}
	(void)listen_again(server);
	return 0;
}

static int handle_ready(int fd, uint32_t mask, void *data)
{
	struct xw_server *server = data;
	char text[16];
	(void)mask;
	ssize_t n = read(fd, text, sizeof(text));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	if (n <= 0 || memchr(text, '\n', (size_t)n) == NULL) {
		return n <= 0 ? (close_ready(server), 0) : 0;
	}
	close_ready(server);
	server->wm = server->relay != NULL
			     ? xw_wm_create(server->server->loop, server->relay, &server->wm_fd)
			     : NULL;
	if (server->wm == NULL) {
		br_log(BR_LOG_ERROR, "guest: no window manager for X11 programs");
		(void)pidfd_send_signal(server->pid_fd, SIGTERM, NULL, 0);
	}
	return 0;
}

static void keep_open(int fd)
{
	(void)fcntl(fd, F_SETFD, 0);
}

static void run_child(struct xw_server *server, const struct spawn *spawn)
	__attribute__((noreturn));

static void run_child(struct xw_server *server, const struct spawn *spawn)
{
	char wayland[12], wm[12], ready[12], listen[XW_N_SOCKETS][12];
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	snprintf(wayland, sizeof(wayland), "%d", spawn->wayland[1]);
	snprintf(wm, sizeof(wm), "%d", spawn->wm[1]);
	snprintf(ready, sizeof(ready), "%d", spawn->ready[1]);
	keep_open(spawn->wayland[1]);
	keep_open(spawn->wm[1]);
	keep_open(spawn->ready[1]);
	for (int i = 0; i < XW_N_SOCKETS; i++) {
		snprintf(listen[i], sizeof(listen[i]), "%d", server->sockets.fds[i]);
		keep_open(server->sockets.fds[i]);
	}
	if (setenv("WAYLAND_SOCKET", wayland, 1) < 0 ||
	    (server->gl_driver != NULL &&
	     setenv("MESA_LOADER_DRIVER_OVERRIDE", server->gl_driver, 0) < 0)) {
		_exit(126);
	}
	(void)execlp(PROGRAM, PROGRAM, server->display, "-rootless", "-terminate", "-listenfd",
		     listen[0], "-listenfd", listen[1], "-displayfd", ready, "-wm", wm,
		     (char *)NULL);
	fprintf(stderr, "causeway-guest: guest: can't run " PROGRAM ": %s\n", strerror(errno));
	_exit(127);
}

static int make_pair(int *pair, bool nonblock)
{
	int flags = SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0);
	return socketpair(AF_UNIX, SOCK_STREAM | flags, 0, pair) < 0 ? -errno : 0;
}

static void spawn_close(struct spawn *spawn)
{
	for (int i = 0; i < 2; i++) {
		br_fd_clear(&spawn->wayland[i]);
		br_fd_clear(&spawn->wm[i]);
		br_fd_clear(&spawn->ready[i]);
	}
}

/* Our ends, and the process. Returns 0 or -errno. */
static int adopt(struct xw_server *server, struct spawn *spawn, pid_t pid)
{
	server->pid_fd = pidfd_open(pid, 0);
	if (server->pid_fd < 0) {
		int err = errno;
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return -err;
	}
	server->wm_fd = br_fd_take(&spawn->wm[0]);
	server->ready_fd = br_fd_take(&spawn->ready[0]);
	struct wl_event_loop *loop = server->server->loop;
	server->pid_source =
		wl_event_loop_add_fd(loop, server->pid_fd, WL_EVENT_READABLE, handle_exit, server);
	server->ready_source = wl_event_loop_add_fd(loop, server->ready_fd, WL_EVENT_READABLE,
						    handle_ready, server);
	server->relay = gp_client_create_xwayland_take(server->server, &spawn->wayland[0],
						       &xwayland_ops, server);
	if (server->pid_source == NULL || server->ready_source == NULL || server->relay == NULL) {
		(void)pidfd_send_signal(server->pid_fd, SIGKILL, NULL, 0);
		return -ENOMEM;
	}
	return 0;
}

static int start(struct xw_server *server)
{
	struct spawn spawn = {{-1, -1}, {-1, -1}, {-1, -1}};
	int ret = make_pair(spawn.wayland, false);
	ret = ret == 0 ? make_pair(spawn.wm, false) : ret;
	if (ret == 0 && pipe2(spawn.ready, O_CLOEXEC | O_NONBLOCK) < 0) {
		ret = -errno;
	}
	if (ret == 0) {
		ret = br_fd_set_nonblock(spawn.wayland[0]);
	}
	pid_t pid = ret == 0 ? fork() : -1;
	if (pid == 0) {
		run_child(server, &spawn);
	}
	ret = ret == 0 && pid < 0 ? -errno : ret;
	if (ret == 0) {
		ret = adopt(server, &spawn, pid);
	}
	spawn_close(&spawn);
	return ret;
}

/* --- waiting for the first program --- */

static void listen_no_more(struct xw_server *server)
{
	for (int i = 0; i < XW_N_SOCKETS; i++) {
		if (server->listeners[i] != NULL) {
			wl_event_source_remove(server->listeners[i]);
			server->listeners[i] = NULL;
		}
	}
}

static int handle_program(int fd, uint32_t mask, void *data)
{
	struct xw_server *server = data;
	(void)fd;
	(void)mask;
	listen_no_more(server);
	int ret = start(server);
	if (ret < 0) {
		br_log(BR_LOG_ERROR, "guest: can't start Xwayland: %s", strerror(-ret));
	}
	return 0;
}

static int listen_again(struct xw_server *server)
{
	for (int i = 0; i < XW_N_SOCKETS; i++) {
		server->listeners[i] =
			wl_event_loop_add_fd(server->server->loop, server->sockets.fds[i],
					     WL_EVENT_READABLE, handle_program, server);
		if (server->listeners[i] == NULL) {
			return -ENOMEM;
		}
	}
	return 0;
}

int xw_server_create(struct gp_server *gp_server, const char *gl_driver,
		     struct xw_server **ret_server)
{
	if (!xw_server_installed()) {
		return -ENOENT;
	}
	struct xw_server *server = calloc(1, sizeof(*server));
	if (server == NULL) {
		return -ENOMEM;
	}
	*server = (struct xw_server){
		.server = gp_server,
		.gl_driver = gl_driver,
		.sockets.fds = {-1, -1},
		.pid_fd = -1,
		.ready_fd = -1,
		.wm_fd = -1,
	};
	int ret = xw_sockets_open(&server->sockets);
	ret = ret == 0 ? listen_again(server) : ret;
	if (ret < 0) {
		xw_server_destroy(server);
		return ret;
	}
	snprintf(server->display, sizeof(server->display), ":%d", server->sockets.number);
	br_log(BR_LOG_INFO, "guest: X11 programs: display %s", server->display);
	*ret_server = server;
	return 0;
}

void xw_server_destroy(struct xw_server *server)
{
	if (server == NULL) {
		return;
	}
	listen_no_more(server);
	if (server->pid_fd >= 0) {
		(void)pidfd_send_signal(server->pid_fd, SIGTERM, NULL, 0);
	}
	clean_up(server);
	xw_sockets_close(&server->sockets);
	free(server);
}

const char *xw_server_display(const struct xw_server *server)
{
	return server->display;
}
