/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "br-tables.h"
#include "channel.h"
#include "cross_domain.h"
#include "gpu.h"
#include "limits.h"
#include "session.h"
#include "stream.h"
#include "transport.h"
#ifdef HAVE_XWAYLAND
#include "xwayland/server.h"
#endif

#define DEADLINE_MS 5000
#define REGISTRY_ID 2u
#define CALLBACK_ID 3u

/* One look through the channel: which globals are there? */
struct probe {
	struct br_stream in, out;
	struct gp_channel *channel;
	uint32_t known, unknown; /* globals */
	bool done;
	char error[160];
};

static bool ok(const char *what, const char *detail)
{
	printf("ok       %s: %s\n", what, detail);
	return true;
}

static bool missing(const char *what, const char *detail, const char *remedy)
{
	printf("missing  %s: %s: %s\n", what, detail, remedy);
	return false;
}

static bool check_runtime_dir(void)
{
	struct stat st;
	const char *dir = getenv("XDG_RUNTIME_DIR");
	if (dir == NULL || dir[0] != '/') {
		return missing("XDG_RUNTIME_DIR", "not set",
			       "set it to a folder of your own, as pam_systemd does");
	}
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
		return missing("XDG_RUNTIME_DIR", dir, "there is no such folder: make it");
	}
	if (st.st_uid != geteuid() || access(dir, W_OK | X_OK) < 0) {
		return missing("XDG_RUNTIME_DIR", dir, "it must be your own, with mode 0700");
	}
	return ok("XDG_RUNTIME_DIR", dir);
}

static void probe_fail(struct probe *probe, const char *text)
{
	snprintf(probe->error, sizeof(probe->error), "%s", text);
	probe->done = true;
}

/* The name in wl_registry.global: behind a uint, with its length. */
static void count_global(struct probe *probe, const uint8_t *body, size_t size)
{
	uint32_t len;
	if (size < 8) {
		return;
	}
	memcpy(&len, body + 4, sizeof(len));
	if (len == 0 || len > size - 8 || body[8 + len - 1] != '\0') {
		return;
	}
	uint16_t iface = br_iface_find((const char *)body + 8);
	if (iface != BR_IFACE_ANY && !(br_ifaces[iface].flags & BR_IFACE_HIDDEN)) {
		probe->known++;
	} else {
		probe->unknown++;
	}
}

static void handle_received(void *data)
{
	struct probe *probe = data;
	uint32_t header[2];
	while (br_stream_bytes(&probe->in) >= sizeof(header)) {
		const uint8_t *bytes = br_stream_peek(&probe->in);
		memcpy(header, bytes, sizeof(header));
		size_t size = header[1] >> 16;
		uint32_t opcode = header[1] & 0xffff;
		if (size < sizeof(header)) {
			probe_fail(probe, "the host sent garbage");
			return;
		}
		if (br_stream_bytes(&probe->in) < size) {
			break;
		}
		if (header[0] == REGISTRY_ID && opcode == BR_EVT_WL_REGISTRY_GLOBAL) {
			count_global(probe, bytes + sizeof(header), size - sizeof(header));
		} else if (header[0] == CALLBACK_ID) {
			probe->done = true;
		} else if (header[0] == 1 && opcode == BR_EVT_WL_DISPLAY_ERROR) {
			probe_fail(probe, "the host answered with an error");
		}
		br_stream_consume(&probe->in, size);
	}
}

static void handle_writable(void *data)
{
	struct probe *probe = data;
	(void)gp_channel_flush(probe->channel, &probe->out);
}

static void handle_closed(void *data, const char *reason)
{
	probe_fail(data, reason != NULL ? reason : "the host closed the connection");
}

static int64_t now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int start_probe(struct probe *probe, struct gp_transport *transport)
{
	static const struct gp_channel_events events = {
		.received = handle_received,
		.writable = handle_writable,
		.closed = handle_closed,
	};
	const uint32_t requests[] = {
		1, 12u << 16 | BR_REQ_WL_DISPLAY_GET_REGISTRY, REGISTRY_ID,
		1, 12u << 16 | BR_REQ_WL_DISPLAY_SYNC,	       CALLBACK_ID,
	};
	int ret =
		gp_channel_create(transport, "check", &probe->in, &events, probe, &probe->channel);
	if (ret == 0) {
		ret = br_stream_write(&probe->out, requests, sizeof(requests));
	}
	if (ret == 0 && !probe->done) {
		ret = gp_channel_flush(probe->channel, &probe->out);
	}
	return ret == -EAGAIN ? 0 : ret;
}

static bool check_globals(struct gp_transport *transport, struct wl_event_loop *loop)
{
	struct probe probe = {0};
	char text[96];
	br_stream_init(&probe.in, BR_LIMIT_IN_BYTES, BR_LIMIT_IN_FDS);
	br_stream_init(&probe.out, BR_LIMIT_OUT_BYTES, BR_LIMIT_OUT_FDS);
	int ret = start_probe(&probe, transport);
	int64_t deadline = now_ms() + DEADLINE_MS;
	while (ret == 0 && !probe.done) {
		int64_t left = deadline - now_ms();
		if (left <= 0) {
			probe_fail(&probe, "no answer within 5 seconds");
			break;
		}
		if (wl_event_loop_dispatch(loop, (int)left) < 0) {
			ret = -errno;
		}
		if (probe.channel != NULL && !probe.done) {
			gp_channel_resume(probe.channel);
		}
	}
	gp_channel_destroy(probe.channel);
	br_stream_finish(&probe.in);
	br_stream_finish(&probe.out);
	if (ret < 0 || probe.error[0] != '\0' || probe.known == 0) {
		const char *why = ret < 0 ? strerror(-ret) : probe.error;
		return missing("Wayland on the host", why[0] != '\0' ? why : "no globals",
			       "look at what causeway-host says; it needs a compositor: "
			       "WAYLAND_DISPLAY or --wayland-display");
	}
	snprintf(text, sizeof(text), "%u globals usable, %u more not", probe.known, probe.unknown);
	return ok("Wayland on the host", text);
}

static bool check_host(const struct gp_options *options, struct wl_event_loop *loop)
{
	struct gp_transport *transport = NULL;
	const struct gp_transport_options wanted = {.extensions = options->extensions};
	const char *advice;
	int ret = gp_transport_create(loop, options, &wanted, &transport, &advice);
	if (ret < 0) {
		char text[192];
		bool virtgpu = options->transport == GP_TRANSPORT_VIRTGPU;
		snprintf(text, sizeof(text), "%s%s: %s", virtgpu ? "virtgpu" : "socket:",
			 options->host_path != NULL ? options->host_path : "", strerror(-ret));
		return missing("transport", text,
			       advice != NULL ? advice
					      : "start causeway-host --socket with this path");
	}
	(void)ok("transport", options->host_path != NULL ? options->host_path : "virtgpu");
	bool found = check_globals(transport, loop);
	gp_transport_destroy(transport);
	return found;
}

bool gp_check_has_file(const char *const *patterns)
{
	glob_t found = {0};
	int flags = GLOB_NOSORT;
	for (; *patterns != NULL; patterns++) {
		(void)glob(*patterns, flags, NULL, &found);
		flags |= GLOB_APPEND;
	}
	bool any = found.gl_pathc > 0;
	globfree(&found);
	return any;
}

/* Only X11 programs need it. */
static void check_xwayland(void)
{
#ifdef HAVE_XWAYLAND
	if (xw_server_installed()) {
		(void)ok("X11 programs", "Xwayland is installed");
	} else {
		printf("without  X11 programs: no Xwayland in PATH: install it (package xwayland) "
		       "where "
		       "they are wanted\n");
	}
#else
	printf("without  X11 programs: causeway-guest was built without: -Dxwayland=enabled\n");
#endif
}

int gp_check(const struct gp_options *options, struct wl_event_loop *loop)
{
	bool complete = check_runtime_dir();
	complete = check_host(options, loop) && complete;
	gp_gpu_check(options);
	if (options->xwayland) {
		check_xwayland();
	}
	gp_session_check();
	return complete ? EXIT_SUCCESS : EXIT_FAILURE;
}
