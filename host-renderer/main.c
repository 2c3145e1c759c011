/* SPDX-License-Identifier: MIT
 *
 * causeway-host: the windows of one guest on this desktop. One process, one thread, one event loop.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <wayland-server-core.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "check.h"
#include "fd.h"
#include "gpu/gpu.h"
#include "launch/launch.h"
#include "limits.h"
#include "log.h"
#include "options.h"
#include "socket/socket.h"
#include "socket/vtest.h"
#include "trace.h"
#include "vhost/vhost.h"
#include "wayland/host.h"

struct program {
	struct hr_options options;
	struct hr_host host;
	struct hr_socket *socket; /* NULL: not served */
	struct hr_vtest *vtest;	  /* NULL: not served */
	struct hr_vhost *vhost;	  /* NULL: not served */
	struct hr_gpu *gpu;	  /* NULL: not looked for */
	struct wl_event_source *signals[3];
	/* Of a device's process, as in launch/supervise.h; elsewhere -1. */
	int vmm_fd, lifeline_fd;
	struct wl_event_source *lifeline;
	bool stop;
};

static void print_stats(const struct program *program)
{
	const struct hr_host *host = &program->host;
	fprintf(stderr,
		"causeway-host: stats clients=%" PRIu32 " clients_total=%" PRIu32
		" request_bytes=%" PRIu64 " event_bytes=%" PRIu64 " copied_bytes=%" PRIu64
		" dmabuf_frames=%" PRIu64 "\n",
		host->client_count, host->next_client - 1, host->request_bytes, host->event_bytes,
		host->copied_bytes, host->dmabuf_frames);
}

static int handle_signal(int number, void *data)
{
	struct program *program = data;
	if (number == SIGUSR1) {
		print_stats(program);
	} else if (program->lifeline_fd < 0) {
		program->stop = true;
	}
	return 0;
}

static int handle_lifeline(int fd, uint32_t mask, void *data)
{
	struct program *program = data;
	(void)fd;
	(void)mask;
	program->stop = true;
	return 0;
}

/* Each guest program needs several fds. */
static void raise_fd_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* The socket that systemd listens on for us. Returns the fd; -1 there is none; -errno. */
static int inherited_socket(void)
{
#ifdef HAVE_SYSTEMD
	int count = sd_listen_fds(1);
	if (count > 1) {
		return -EINVAL;
	}
	return count == 1 ? SD_LISTEN_FDS_START : count < 0 ? count : -1;
#else
	return -1;
#endif
}

static void notify(const char *state)
{
#ifdef HAVE_SYSTEMD
	(void)sd_notify(0, state);
#else
	(void)state;
#endif
}

/* The GPU's memory is in files of its own. */
static struct hr_window_options window_options(const struct program *program)
{
	struct hr_window_options window = {
		.bytes = (uint64_t)program->options.window_mib << 20,
		.kind = HR_WINDOW_EACH,
	};
	if (program->gpu->n_capsets == 0) {
		window.kind = HR_WINDOW_ARENA;
		window.bytes =
			window.bytes > BR_LIMIT_ARENA_BYTES ? BR_LIMIT_ARENA_BYTES : window.bytes;
	}
	return window;
}

static int start_gpu(struct program *program)
{
	int ret = hr_gpu_create(program->host.loop, &program->options.gpu, &program->gpu);
	program->host.gpu = program->gpu;
	return ret;
}

/* Serve the VMM that the supervisor starts. */
static int start_supervised(struct program *program)
{
	const struct hr_window_options window = window_options(program);
	program->lifeline = wl_event_loop_add_fd(program->host.loop, program->lifeline_fd,
						 WL_EVENT_READABLE, handle_lifeline, program);
	int ret = program->lifeline != NULL ? br_fd_set_nonblock(program->vmm_fd) : -ENOMEM;
	if (ret == 0) {
		ret = hr_vhost_create(&program->host, &window, &program->vhost);
	}
	if (ret == 0) {
		ret = hr_vhost_serve_take(program->vhost, &program->vmm_fd);
	}
	if (ret < 0) {
		br_log(BR_LOG_ERROR, "host: can't make the device: %s", strerror(-ret));
	}
	return ret;
}

static int start_vhost(struct program *program)
{
	const char *path = program->options.vhost_path;
	if (path == NULL && program->lifeline_fd < 0) {
		return 0;
	}
	int ret = start_gpu(program);
	if (ret < 0 || program->lifeline_fd >= 0) {
		return ret < 0 ? ret : start_supervised(program);
	}
	const struct hr_window_options window = window_options(program);
	ret = hr_vhost_start(&program->host, path, &window, &program->vhost);
	if (ret == -EADDRINUSE) {
		br_log(BR_LOG_ERROR,
		       "host: another causeway-host serves %s: give --vhost-user "
		       "another path",
		       path);
	} else if (ret < 0) {
		br_log(BR_LOG_ERROR,
		       "host: can't listen on %s: %s; give --vhost-user a path in a directory of "
		       "yours",
		       path, strerror(-ret));
	} else {
		br_log(BR_LOG_INFO, "host: ready for the VMM of guest '%s' on %s",
		       program->options.name, path);
	}
	return ret;
}

/* Served unless there is only a VMM to serve. */
static int start_socket(struct program *program)
{
	const char *path = program->options.socket_path;
	bool vmm = program->options.vhost_path != NULL || program->lifeline_fd >= 0;
	int fd = program->lifeline_fd >= 0 ? -1 : inherited_socket();
	if (fd == -1 && path == NULL && vmm) {
		return 0;
	}
	if (fd >= 0) {
		int ret = hr_socket_start_fd(&program->host, fd, &program->socket);
		if (ret < 0) {
			br_log(BR_LOG_ERROR,
			       "host: the inherited socket is of no use: %s; it has to "
			       "be ListenSequentialPacket=",
			       strerror(-ret));
		}
		return ret;
	}
	if (fd != -1) {
		br_log(BR_LOG_ERROR, "host: socket activation takes exactly one socket");
		return fd;
	}
	if (path == NULL) {
		br_log(BR_LOG_ERROR, "host: XDG_RUNTIME_DIR is not set: set it, or give --socket "
				     "PATH");
		return -EINVAL;
	}
	int ret = hr_socket_start(&program->host, path, &program->socket);
	if (ret == -EADDRINUSE) {
		br_log(BR_LOG_ERROR,
		       "host: another causeway-host serves %s: give --name or --socket", path);
	} else if (ret < 0) {
		br_log(BR_LOG_ERROR,
		       "host: can't listen on %s: %s; give --socket a path in a "
		       "directory of yours",
		       path, strerror(-ret));
	} else {
		br_log(BR_LOG_INFO, "host: ready for guest '%s' on %s", program->options.name,
		       path);
	}
	return ret;
}

/* A container's GPU. */
static int start_vtest(struct program *program)
{
	const struct hr_options *options = &program->options;
	if (program->vhost == NULL && options->gpu.required && options->gpu.flags != WK_VENUS) {
		br_log(BR_LOG_ERROR, "host: over a socket there is Venus alone: give --gpu venus");
		return -EINVAL;
	}
	if (program->socket == NULL || !hr_vtest_is_wanted(&options->gpu)) {
		return 0;
	}
	if (options->socket_path == NULL) {
		br_log(BR_LOG_ERROR, "host: --gpu venus needs the path of the inherited socket: "
				     "give it as --socket");
		return -EINVAL;
	}
	if (program->gpu == NULL) {
		struct hr_gpu_options venus = options->gpu;
		venus.flags = WK_VENUS;
		/* Only to see whether it works. */
		int ret = hr_gpu_create(program->host.loop, &venus, &program->gpu);
		if (ret < 0) {
			return ret;
		}
	}
	return hr_vtest_start(program->host.loop, options->socket_path, &program->vtest);
}

static int start_upstream(struct program *program)
{
	const struct hr_upstream_config config = {
		.display = program->options.wayland_display,
		.secctx = program->options.secctx,
		.guest_name = program->options.name,
	};
	int ret = hr_upstream_create(program->host.loop, &config, &program->host.upstream);
	if (ret == -EINVAL) {
		br_log(BR_LOG_ERROR, "host: XDG_RUNTIME_DIR is not set: set it, or give "
				     "--wayland-display an absolute path");
	} else if (ret < 0) {
		br_log(BR_LOG_ERROR, "host: --wayland-display: %s", strerror(-ret));
	} else {
		hr_upstream_prepare(program->host.upstream);
	}
	return ret;
}

/* The GPU that programs are told of; the guest's side puts the guest's own in its place. */
static dev_t find_render_node(const char *path)
{
	struct stat st;
	char name[32];
	if (path != NULL) {
		return stat(path, &st) == 0 ? st.st_rdev : 0;
	}
	for (int i = 128; i < 192; i++) {
		snprintf(name, sizeof(name), "/dev/dri/renderD%d", i);
		if (stat(name, &st) == 0) {
			return st.st_rdev;
		}
	}
	return 0;
}

static int start(struct program *program)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
	struct hr_host *host = &program->host;
	host->next_client = 1;
	host->policy = program->options.policy;
	host->present = program->options.present;
	host->compositor_wait_ms = program->options.compositor_wait * 1000;
	host->render_node = find_render_node(program->options.gpu.render_node);
	host->loop = wl_event_loop_create();
	if (host->loop == NULL) {
		br_log(BR_LOG_ERROR, "host: no event loop: %s", strerror(errno));
		return -errno;
	}
	for (int i = 0; i < 3; i++) {
		program->signals[i] =
			wl_event_loop_add_signal(host->loop, numbers[i], handle_signal, program);
		if (program->signals[i] == NULL) {
			br_log(BR_LOG_ERROR, "host: no signal handling: %s", strerror(errno));
			return -errno;
		}
	}
	int ret = start_upstream(program);
	ret = ret < 0 ? ret : start_socket(program);
	ret = ret < 0 ? ret : start_vhost(program);
	return ret < 0 ? ret : start_vtest(program);
}

static void finish(struct program *program)
{
	hr_vtest_finish(program->vtest);
	hr_vhost_finish(program->vhost);
	hr_socket_finish(program->socket);
	hr_gpu_destroy(program->gpu);
	hr_upstream_destroy(program->host.upstream);
	br_fd_clear(&program->vmm_fd);
	if (program->lifeline != NULL) {
		wl_event_source_remove(program->lifeline);
	}
	for (int i = 0; i < 3; i++) {
		if (program->signals[i] != NULL) {
			wl_event_source_remove(program->signals[i]);
		}
	}
	if (program->host.loop != NULL) {
		wl_event_loop_destroy(program->host.loop);
	}
}

static int serve(struct program *program)
{
	(void)signal(SIGPIPE, SIG_IGN);
	raise_fd_limit();
	int ret = start(program);
	if (ret == 0) {
		if (program->lifeline_fd >= 0) {
			hr_supervise_ready(program->lifeline_fd);
		} else {
			notify("READY=1");
		}
		while (!program->stop && ret == 0) {
			if (wl_event_loop_dispatch(program->host.loop, -1) < 0 && errno != EINTR) {
				br_log(BR_LOG_ERROR, "host: event loop: %s", strerror(errno));
				ret = -errno;
			}
		}
		if (program->lifeline_fd < 0) {
			notify("STOPPING=1");
		}
		if (program->options.stats) {
			print_stats(program);
		}
	}
	finish(program);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The body of the device's process. Signals that end QEMU must not end the device before it. */
static int serve_supervised(void *data, int *vmm_fd, int lifeline_fd)
{
	struct program *program = data;
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	program->vmm_fd = br_fd_take(vmm_fd);
	program->lifeline_fd = lifeline_fd;
	return serve(program);
}

static int run(struct program *program)
{
	return program->options.command != NULL
		       ? hr_launch(&program->options, serve_supervised, program)
		       : serve(program);
}

int main(int argc, char **argv)
{
	struct program program = {.vmm_fd = -1, .lifeline_fd = -1};
	br_log_init("causeway-host", BR_LOG_INFO);
	int ret = hr_options_parse(&program.options, argc, argv);
	br_log_init("causeway-host", program.options.log_level);
	if (ret == 0 && program.options.trace != NULL &&
	    br_trace_enable(program.options.trace, stderr) < 0) {
		br_log(BR_LOG_ERROR, "host: --trace takes client=N,iface=NAME,..., not '%s'",
		       program.options.trace);
		program.options.action = HR_ACTION_EXIT;
		ret = 2;
	}
	switch (program.options.action) {
	case HR_ACTION_CHECK:
		ret = hr_check(&program.options);
		break;
	case HR_ACTION_PRINT_POLICY:
		hr_policy_print(program.options.policy, stdout);
		break;
	case HR_ACTION_RUN:
		ret = run(&program);
		break;
	case HR_ACTION_PRINT_QEMU_ARGS:
		ret = hr_launch_print_args(&program.options);
		break;
	case HR_ACTION_PRINT_LIBVIRT_XML:
		ret = hr_launch_print_xml(&program.options);
		break;
	case HR_ACTION_EXIT:
		break;
	}
	hr_options_finish(&program.options);
	return ret;
}
