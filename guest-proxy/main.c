/* SPDX-License-Identifier: MIT
 *
 * causeway-guest: one process, one thread, one event loop (libwayland's).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wayland-server-core.h>

#include "app.h"
#include "check.h"
#include "environment.h"
#include "gpu.h"
#include "log.h"
#include "options.h"
#include "server.h"
#include "session.h"
#include "systemd.h"
#include "trace.h"
#include "transport.h"
#ifdef HAVE_XWAYLAND
#include "xwayland/server.h"
#endif

struct program {
	struct gp_options options;
	struct wl_event_loop *loop;
	struct gp_server server;
	struct gp_app app;
	struct xw_server *xwayland; /* NULL: X11 programs are not served */
	struct gp_session *session; /* NULL: it is told nothing */
	struct wl_event_source *signals[4];
	bool quit;
	bool failed; /* to start the app */
};

static int handle_quit_signal(int signal_number, void *data)
{
	struct program *program = data;
	if (program->app.pid != 0) {
		(void)kill(program->app.pid, signal_number);
	} else {
		program->quit = true;
	}
	return 0;
}

static int handle_child(int signal_number, void *data)
{
	struct program *program = data;
	(void)signal_number;
	if (gp_app_reap(&program->app)) {
		program->quit = true;
	}
	return 0;
}

static int handle_stats(int signal_number, void *data)
{
	struct program *program = data;
	(void)signal_number;
	gp_server_print_stats(&program->server);
	return 0;
}

static int watch_signals(struct program *program)
{
	static const struct {
		int number;
		wl_event_loop_signal_func_t handle;
	} wanted[] = {
		{SIGTERM, handle_quit_signal},
		{SIGINT, handle_quit_signal},
		{SIGCHLD, handle_child},
		{SIGUSR1, handle_stats},
	};
	(void)signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		program->signals[i] = wl_event_loop_add_signal(program->loop, wanted[i].number,
							       wanted[i].handle, program);
		if (program->signals[i] == NULL) {
			return -ENOMEM;
		}
	}
	return 0;
}

#ifdef HAVE_XWAYLAND
/* What goes wrong is said, and costs only X11 programs something. */
static void serve_x11(struct program *program)
{
	if (program->options.xwayland &&
	    xw_server_create(&program->server, gp_gpu_gl_override(&program->options),
			     &program->xwayland) == -ENOENT) {
		br_log(BR_LOG_DEBUG, "guest: no X11 programs: Xwayland is not installed");
	}
}

static const char *x11_display(const struct program *program)
{
	return program->xwayland != NULL ? xw_server_display(program->xwayland) : NULL;
}
#else
static void serve_x11(struct program *program)
{
	(void)program;
}

static const char *x11_display(const struct program *program)
{
	(void)program;
	return NULL;
}

static void xw_server_destroy(struct xw_server *server)
{
	(void)server;
}
#endif

static int start_app(struct program *program)
{
	char **argv = program->options.app;
	if (argv == NULL) {
		return 0;
	}
	if (program->server.name == NULL) {
		br_log(BR_LOG_ERROR, "guest: the socket from systemd has no name for %s", argv[0]);
		return -EINVAL;
	}
	struct gp_variable variables[GP_MAX_VARIABLES];
	uint32_t count = gp_environment_list(&program->server, x11_display(program), variables);
	int ret = gp_app_start(&program->app, argv, variables, count);
	if (ret < 0) {
		br_log(BR_LOG_ERROR, "guest: can't start %s: %s", argv[0], strerror(-ret));
	}
	return ret;
}

/* The session knows of us, if it is to: what starts now finds us. */
static void handle_session_told(void *data)
{
	struct program *program = data;
	if (start_app(program) < 0) {
		program->failed = program->quit = true;
	} else {
		gp_systemd_notify("READY=1");
	}
}

static void tell_session(struct program *program)
{
	const struct gp_options *options = &program->options;
	const struct gp_session_config config = {
		.loop = program->loop,
		.take_over = options->session == GP_SESSION_ON,
		.done = handle_session_told,
		.data = program,
	};
	struct gp_variable variables[GP_MAX_VARIABLES];
	uint32_t count = gp_environment_list(&program->server, x11_display(program), variables);
	bool wanted = options->session == GP_SESSION_ON ||
		      (options->session == GP_SESSION_AUTO && options->app == NULL);
	if (!wanted || count == 0 ||
	    gp_session_create(&config, variables, count, &program->session) < 0) {
		handle_session_told(program);
	}
}

/* A virtual machine without the device is better told at once than by every program. */
static int check_way(const struct gp_options *options)
{
	char path[64];
	if (options->transport != GP_TRANSPORT_VIRTGPU) {
		return 0;
	}
	const char *advice = gp_transport_virtgpu_probe(options->host_path, path);
	if (advice == NULL) {
		br_log(BR_LOG_INFO, "guest: the way to the host is %s", path);
		return 0;
	}
	br_log(BR_LOG_ERROR,
	       "guest: %s%s%s; or, where there is no virtual machine, give --transport "
	       "socket:PATH, the socket of causeway-host --socket PATH",
	       path, path[0] != '\0' ? ": " : "", advice);
	return -ENODEV;
}

/* Returns the exit status. */
static int run(struct program *program)
{
	if (check_way(&program->options) < 0) {
		return EXIT_FAILURE;
	}
	if (watch_signals(program) < 0) {
		br_log(BR_LOG_ERROR, "guest: can't watch signals");
		return EXIT_FAILURE;
	}
	if (gp_server_init(&program->server, program->loop, &program->options) < 0) {
		return EXIT_FAILURE;
	}
	int status = EXIT_SUCCESS;
	serve_x11(program);
	tell_session(program);
	while (!program->quit) {
		if (wl_event_loop_dispatch(program->loop, -1) < 0 && errno != EINTR) {
			br_log(BR_LOG_ERROR, "guest: event loop: %s", strerror(errno));
			status = EXIT_FAILURE;
			break;
		}
	}
	status = program->failed ? EXIT_FAILURE : status;
	gp_systemd_notify("STOPPING=1");
	gp_session_destroy(program->session);
	gp_server_drain(&program->server);
	if (program->options.stats) {
		gp_server_print_stats(&program->server);
	}
	xw_server_destroy(program->xwayland);
	gp_server_finish(&program->server);
	return program->options.app != NULL && status == EXIT_SUCCESS ? program->app.status
								      : status;
}

int main(int argc, char **argv)
{
	static struct program program;
	int status = gp_options_parse(&program.options, argc, argv);
	if (status >= 0) {
		return status;
	}
	br_log_init("causeway-guest", program.options.log_level);
	if (program.options.trace != NULL && br_trace_enable(program.options.trace, stderr) < 0) {
		fprintf(stderr,
			"causeway-guest: guest: --trace '%s': it must be like "
			"client=N,iface=NAME\n",
			program.options.trace);
		return 2;
	}
	program.loop = wl_event_loop_create();
	if (program.loop == NULL) {
		br_log(BR_LOG_ERROR, "guest: can't make an event loop: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	status = EXIT_SUCCESS;
	if (program.options.print_environment) {
		gp_gpu_print_environment(&program.options, stdout);
	} else {
		status = program.options.check ? gp_check(&program.options, program.loop)
					       : run(&program);
	}
	for (unsigned i = 0; i < sizeof(program.signals) / sizeof(program.signals[0]); i++) {
		if (program.signals[i] != NULL) {
			wl_event_source_remove(program.signals[i]);
		}
	}
	wl_event_loop_destroy(program.loop);
	return status;
}
