/* SPDX-License-Identifier: MIT
 *
 * causeway-gpu-worker: obeys the device until that closes its end of the socket. See worker.h.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "context.h"
#include "fd.h"
#include "gl.h"
#include "guest_memory.h"
#include "image.h"
#include "renderer.h"
#include "resource.h"
#include "scm.h"
#include "send.h"
#include "target.h"
#include "worker.h"

#define MAX_EVENTS 16
/* Requests that are obeyed before other events are looked at. */
#define BATCH 64
/* A driver that hangs at the end must not keep the process. */
#define FINISH_SECONDS 10

/* What kinds of request there are. */
struct op {
	size_t size; /* bytes, at least */
	size_t max_fds;
	int (*obey)(struct wk_worker *worker, const struct wk_packet *packet);
	bool answers; /* by itself */
	bool early;   /* even before WK_INIT */
};

static const struct op ops[] = {
	[WK_INIT] = {sizeof(struct wk_init), 1, wk_renderer_init, true, true},
	[WK_GUEST_MEMORY] = {sizeof(struct wk_guest_memory), WK_MAX_REGIONS, wk_guest_set, false,
			     true},
	[WK_CONTEXT_CREATE] = {sizeof(struct wk_context_create), 0, wk_context_create},
	[WK_CONTEXT_DESTROY] = {sizeof(struct wk_header), 0, wk_context_destroy},
	[WK_CREATE_3D] = {sizeof(struct wk_create_3d), 0, wk_resource_create_3d},
	[WK_CREATE_BLOB] = {sizeof(struct wk_create_blob), 1, wk_resource_create_blob},
	[WK_IMPORT] = {sizeof(struct wk_import), 1, wk_resource_import},
	[WK_UNREF] = {sizeof(struct wk_resource), 0, wk_resource_unref},
	[WK_ATTACH] = {sizeof(struct wk_resource), 0, wk_resource_attach},
	[WK_DETACH] = {sizeof(struct wk_resource), 0, wk_resource_detach},
	[WK_ATTACH_BACKING] = {sizeof(struct wk_attach_backing), 1, wk_resource_attach_backing},
	[WK_DETACH_BACKING] = {sizeof(struct wk_resource), 0, wk_resource_detach_backing},
	[WK_TRANSFER_TO_HOST] = {sizeof(struct wk_transfer), 0, wk_resource_transfer_to_host},
	[WK_TRANSFER_FROM_HOST] = {sizeof(struct wk_transfer), 0, wk_resource_transfer_from_host},
	[WK_SUBMIT] = {sizeof(struct wk_submit), 1, wk_context_submit},
	[WK_FENCE] = {sizeof(struct wk_fence), 0, wk_context_fence, true, true},
	[WK_EXPORT] = {sizeof(struct wk_resource), 0, wk_image_export, true, true},
	[WK_READ_BACK] = {sizeof(struct wk_read_back), 1, wk_image_read_back},
	[WK_ALLOCATE] = {sizeof(struct wk_read_back), 0, wk_image_allocate, true},
};

int wk_watch(struct wk_worker *worker, int fd, uint32_t events, enum wk_source source,
	     uint32_t ctx_id)
{
	struct epoll_event event = {
		.events = events,
		.data.u64 = (uint64_t)source << 32 | ctx_id,
	};
	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Only a device of another build sends what is refused here. */
static int obey(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_header *hdr = packet->bytes;
	const struct op *op = hdr->type < sizeof(ops) / sizeof(ops[0]) ? &ops[hdr->type] : NULL;
	if (op == NULL || op->obey == NULL || packet->size < op->size ||
	    packet->n_fds > op->max_fds) {
		return -EPROTO;
	}
	if (!worker->started && !op->early) {
		return -ENODEV;
	}
	return op->obey(worker, packet);
}

static void handle_packet(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_header *hdr = packet->bytes;
	if (packet->size < sizeof(*hdr)) {
		worker->stop = true;
		return;
	}
	int ret = obey(worker, packet);
	bool answers = hdr->type < sizeof(ops) / sizeof(ops[0]) && ops[hdr->type].answers;
	if (hdr->seq != 0 && (!answers || ret < 0)) {
		wk_send_done(worker, hdr, ret);
	} else if (ret < 0) {
		wk_log(worker, BR_LOG_DEBUG, hdr->ctx_id, "request %u of context %u: %s", hdr->type,
		       hdr->ctx_id, strerror(-ret));
	}
}

static void receive(struct wk_worker *worker)
{
	static uint64_t buffer[WK_MAX_PACKET / sizeof(uint64_t)];
	int fds[WK_MAX_FDS];
	for (int i = 0; i < BATCH && !worker->stop; i++) {
		struct wk_packet packet = {.bytes = buffer, .fds = fds};
		int flags;
		ssize_t n = br_scm_receive(worker->device_fd, buffer, sizeof(buffer), fds,
					   WK_MAX_FDS, &packet.n_fds, &flags);
		if (n == -EAGAIN) {
			return;
		}
		if (n <= 0) {
			worker->stop = true;
			return;
		}
		packet.size = (size_t)n;
		if (flags & (MSG_TRUNC | MSG_CTRUNC)) {
			worker->stop = true;
		} else {
			handle_packet(worker, &packet);
		}
		for (size_t j = 0; j < packet.n_fds; j++) {
			br_fd_clear(&fds[j]);
		}
	}
}

static void take_callbacks(struct wk_worker *worker)
{
	struct wl_array retired, lines;
	struct wk_retired *fence;
	struct wk_line *line;
	unsigned lost;
	wk_callbacks_take(&worker->callbacks, &retired, &lines, &lost);
	worker->log_held_back += lost;
	wl_array_for_each (fence, &retired) {
		wk_context_retire(worker, fence);
	}
	wl_array_for_each (line, &lines) {
		wk_log(worker, line->level, 0, "%s", line->text);
	}
	wl_array_release(&retired);
	wl_array_release(&lines);
}

static void handle_event(struct wk_worker *worker, const struct epoll_event *event)
{
	switch ((enum wk_source)(event->data.u64 >> 32)) {
	case WK_SOURCE_DEVICE:
		receive(worker);
		break;
	case WK_SOURCE_CALLBACKS:
		take_callbacks(worker);
		break;
	case WK_SOURCE_QUERIES:
		wk_renderer_poll();
		break;
	case WK_SOURCE_SERVER:
		if (!(worker->flags & WK_VENUS)) {
			break; /* it never worked */
		}
		/* It can't be started again in this process; the device starts another. */
		wk_log(worker, BR_LOG_ERROR, 0,
		       "virgl_render_server has ended: the programs of this worker lose their GPU");
		worker->stop = true;
		break;
	case WK_SOURCE_CONTEXT:
		wk_context_lose(worker, (uint32_t)event->data.u64);
		break;
	}
}

static int run(struct wk_worker *worker)
{
	struct epoll_event events[MAX_EVENTS];
	while (!worker->stop) {
		int n = epoll_wait(worker->epoll_fd, events, MAX_EVENTS, -1);
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		for (int i = 0; i < n && !worker->stop; i++) {
			handle_event(worker, &events[i]);
		}
	}
	return 0;
}

static int start(struct wk_worker *worker)
{
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll_fd < 0) {
		return -errno;
	}
	int ret = wk_callbacks_init(&worker->callbacks);
	ret = ret < 0 ? ret : wk_contexts_init(worker);
	ret = ret < 0 ? ret
		      : wk_watch(worker, worker->callbacks.wake_fd, EPOLLIN, WK_SOURCE_CALLBACKS,
				 0);
	return ret < 0 ? ret : wk_watch(worker, worker->device_fd, EPOLLIN, WK_SOURCE_DEVICE, 0);
}

static void finish(struct wk_worker *worker)
{
	(void)signal(SIGALRM, SIG_DFL);
	(void)alarm(FINISH_SECONDS);
	worker->stop = true; /* nothing more is sent */
	wk_resources_finish(worker);
	wk_contexts_finish(worker);
	wk_gl_finish(worker);
	wk_target_finish(worker);
	wk_renderer_finish(worker);
	wk_guest_finish(worker);
	wk_callbacks_finish(&worker->callbacks);
	br_fd_clear(&worker->epoll_fd);
	br_fd_clear(&worker->device_fd);
}

static int serve(void)
{
	struct wk_worker worker = {
		.device_fd = WK_FD,
		.epoll_fd = -1,
		.render_node_fd = -1,
	};
	struct rlimit limit;
	/* What a terminal sends to all of a group; the device decides when it ends. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	/* Blobs take an fd each. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	/* Neither it nor what it starts is ever to have more rights than now. */
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* For libvirglrenderer starts programs. */
	(void)fcntl(WK_FD, F_SETFD, FD_CLOEXEC);
	int ret = start(&worker);
	ret = ret < 0 ? ret : run(&worker);
	if (ret < 0) {
		fprintf(stderr, "causeway-gpu-worker: error: %s\n", strerror(-ret));
	}
	finish(&worker);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void print_help(void)
{
	printf("usage: causeway-gpu-worker [--help | --version]\n\n"
	       "Executes a guest's GPU commands with libvirglrenderer. causeway-host starts it, "
	       "with a\n"
	       "socket at fd %d; there is no other use for it.\n",
	       WK_FD);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int type;
	socklen_t size = sizeof(type);
	switch (getopt_long(argc, argv, "", options, NULL)) {
	case 'h':
		print_help();
		return EXIT_SUCCESS;
	case 'v':
		printf("causeway-gpu-worker %s\n", CAUSEWAY_VERSION);
		return EXIT_SUCCESS;
	case -1:
		break;
	default:
		return 2;
	}
	if (getsockopt(WK_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
		fprintf(stderr,
			"causeway-gpu-worker: error: fd %d is no SEQPACKET socket: causeway-host "
			"starts this program\n",
			WK_FD);
		return 2;
	}
	return serve();
}
