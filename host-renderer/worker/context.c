/* SPDX-License-Identifier: MIT */
#include "context.h"

#include <errno.h>
#include <poll.h>
#include <search.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <virglrenderer.h>

#include "limits.h"
#include "payload.h"
#include "renderer.h"
#include "resource.h"
#include "send.h"
#include "sockets.h"

enum { CAPSET_VIRGL = 1, CAPSET_VIRGL2 = 2, CAPSET_VENUS = 4, CAPSET_DRM = 6 };

/* Less than the device waits before it kills all of the worker. */
#define GUARD_SECONDS 10

/* A fence that waits. */
struct fence {
	struct wl_list link; /* wk_context.fences */
	struct wk_header hdr;
	uint32_t ring_idx;
	uint64_t id;	 /* the device's */
	uint64_t number; /* libvirglrenderer's */
};

static int compare(const void *a, const void *b)
{
	uint32_t left = ((const struct wk_context *)a)->id;
	uint32_t right = ((const struct wk_context *)b)->id;
	return left < right ? -1 : left > right;
}

struct wk_context *wk_context_find(const struct wk_worker *worker, uint32_t id)
{
	const struct wk_context key = {.id = id};
	void *node = tfind(&key, &worker->contexts, compare);
	return node != NULL ? *(struct wk_context **)node : NULL;
}

bool wk_context_is_virgl(const struct wk_context *context)
{
	return context->capset_id == CAPSET_VIRGL || context->capset_id == CAPSET_VIRGL2;
}

static volatile sig_atomic_t guarded_fd = -1;

static void handle_alarm(int number)
{
	int saved = errno;
	(void)number;
	if (guarded_fd >= 0) {
		(void)shutdown(guarded_fd, SHUT_RDWR);
	}
	errno = saved;
}

void wk_context_guard(const struct wk_context *context)
{
	if (context->socket_fd >= 0) {
		guarded_fd = context->socket_fd;
		(void)alarm(GUARD_SECONDS);
	}
}

void wk_context_unguard(void)
{
	if (guarded_fd >= 0) {
		(void)alarm(0);
		guarded_fd = -1;
	}
}

/* Returns NULL if memory is out. */
static struct wk_context *add_context(struct wk_worker *worker, uint32_t id, uint32_t capset_id)
{
	struct wk_context *context = calloc(1, sizeof(*context));
	if (context == NULL) {
		return NULL;
	}
	context->id = id;
	context->capset_id = capset_id;
	context->socket_fd = -1;
	wl_list_init(&context->fences);
	wl_list_init(&context->attachments);
	if (tsearch(context, &worker->contexts, compare) == NULL) {
		free(context);
		return NULL;
	}
	return context;
}

int wk_contexts_init(struct wk_worker *worker)
{
	/* Drivers don't get to see interrupted calls. */
	const struct sigaction action = {.sa_handler = handle_alarm, .sa_flags = SA_RESTART};
	if (sigaction(SIGALRM, &action, NULL) < 0) {
		return -errno;
	}
	return add_context(worker, 0, 0) != NULL ? 0 : -ENOMEM;
}

static void send_fence_done(struct wk_worker *worker, const struct fence *fence)
{
	struct wk_fence done = {
		.hdr = fence->hdr,
		.ring_idx = fence->ring_idx,
		.id = fence->id,
	};
	done.hdr.type = WK_FENCE_DONE;
	wk_send(worker, &done, sizeof(done), NULL, 0, -1);
}

static void complete_fence(struct wk_worker *worker, struct fence *fence)
{
	send_fence_done(worker, fence);
	wl_list_remove(&fence->link);
	free(fence);
}

/* What it has in libvirglrenderer goes, and its thread with it. */
static void renounce(struct wk_worker *worker, struct wk_context *context)
{
	struct fence *fence, *next;
	wk_resource_detach_all(context);
	if (context->id != 0 && !context->lost) {
		virgl_renderer_context_destroy(context->id);
	}
	wl_list_for_each_safe (fence, next, &context->fences, link) {
		complete_fence(worker, fence);
	}
}

static void free_context(struct wk_worker *worker, struct wk_context *context)
{
	renounce(worker, context);
	(void)tdelete(context, &worker->contexts, compare);
	free(context);
}

void wk_contexts_finish(struct wk_worker *worker)
{
	while (worker->contexts != NULL) {
		free_context(worker, *(struct wk_context **)worker->contexts);
	}
}

static bool is_served(const struct wk_worker *worker, uint32_t capset_id)
{
	switch (capset_id) {
	case CAPSET_VIRGL:
	case CAPSET_VIRGL2:
		return worker->flags & WK_VIRGL;
	case CAPSET_VENUS:
		return worker->flags & WK_VENUS;
	case CAPSET_DRM:
		return worker->flags & WK_DRM;
	default:
		return false;
	}
}

int wk_context_create(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_context_create *create = packet->bytes;
	uint32_t id = create->hdr.ctx_id;
	size_t len = strnlen(create->name, sizeof(create->name));
	if (id == 0 || id > INT32_MAX || !is_served(worker, create->capset_id)) {
		return -EINVAL;
	}
	if (wk_context_find(worker, id) != NULL) {
		return -EEXIST;
	}
	struct wk_context *context = add_context(worker, id, create->capset_id);
	if (context == NULL) {
		return -ENOMEM;
	}
	int ret = wk_renderer_error(virgl_renderer_context_create_with_flags(
		id, create->capset_id, (uint32_t)len, create->name));
	if (ret < 0) {
		context->lost = true; /* there is nothing to be destroyed */
		free_context(worker, context);
		return ret;
	}
	if (create->capset_id == CAPSET_VENUS) {
		context->socket_fd = wk_sockets_watch(worker, WK_SOURCE_CONTEXT, id);
	}
	return 0;
}

int wk_context_destroy(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_header *hdr = packet->bytes;
	struct wk_context *context = wk_context_find(worker, hdr->ctx_id);
	if (context == NULL || context->id == 0) {
		return -ENOENT;
	}
	free_context(worker, context);
	return 0;
}

int wk_context_submit(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_submit *submit = packet->bytes;
	struct wk_context *context = wk_context_find(worker, submit->hdr.ctx_id);
	struct wk_payload commands;
	if (context == NULL || context->id == 0) {
		return -ENOENT;
	}
	if (context->lost) {
		return -ENODEV;
	}
	if (submit->size % 4 != 0) {
		return -EINVAL;
	}
	int ret = wk_payload_init(&commands, packet, sizeof(*submit), submit->size,
				  BR_LIMIT_CONTROL_BYTES);
	if (ret == 0) {
		ret = wk_renderer_error(virgl_renderer_submit_cmd(commands.bytes, (int)context->id,
								  (int)(submit->size / 4)));
		wk_payload_finish(&commands);
	}
	return ret;
}

/* Ask libvirglrenderer for a fence. Returns 0; else there is nothing to wait for. */
static int start_fence(struct wk_worker *worker, struct wk_context *context, struct fence *fence)
{
	static uint32_t last_number;
	if (context->lost) {
		return -ENODEV;
	}
	if (context->id != 0) {
		fence->number = fence->id;
		wk_context_guard(context);
		int ret = virgl_renderer_context_create_fence(context->id, 0, fence->ring_idx,
							      fence->id);
		wk_context_unguard();
		return ret;
	}
	/* Without VirGL all that is done for no context is done when it is asked for. */
	if (!(worker->flags & WK_VIRGL)) {
		return -ENOTSUP;
	}
	fence->number = ++last_number;
	fence->ring_idx = 0;
	return virgl_renderer_create_fence((int)fence->number, 0);
}

int wk_context_fence(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_fence *request = packet->bytes;
	struct wk_context *context = wk_context_find(worker, request->hdr.ctx_id);
	struct fence wanted = {
		.hdr = request->hdr,
		.ring_idx = request->ring_idx,
		.id = request->id,
	};
	struct fence *fence = context != NULL ? malloc(sizeof(*fence)) : NULL;
	if (fence == NULL) {
		send_fence_done(worker, &wanted);
		return 0;
	}
	*fence = wanted;
	wl_list_insert(context->fences.prev, &fence->link);
	if (start_fence(worker, context, fence) != 0) {
		complete_fence(worker, fence);
	}
	return 0;
}

void wk_context_lose(struct wk_worker *worker, uint32_t id)
{
	struct wk_context *context = wk_context_find(worker, id);
	if (context == NULL || context->lost) {
		return;
	}
	/* The event may be about one that had this id before. */
	struct pollfd end = {.fd = context->socket_fd};
	if (poll(&end, 1, 0) == 0) {
		return;
	}
	wk_log(worker, BR_LOG_WARN, id,
	       "the render server's process of this context has ended: the program loses its GPU");
	renounce(worker, context);
	context->socket_fd = -1;
	context->lost = true;
}

void wk_context_retire(struct wk_worker *worker, const struct wk_retired *retired)
{
	struct wk_context *context = wk_context_find(worker, retired->ctx_id);
	struct fence *fence, *next, *last = NULL;
	if (context == NULL) {
		return;
	}
	wl_list_for_each (fence, &context->fences, link) {
		if (fence->ring_idx == retired->ring_idx && fence->number == retired->number) {
			last = fence;
			break;
		}
	}
	if (last == NULL) {
		return;
	}
	wl_list_for_each_safe (fence, next, &context->fences, link) {
		bool is_last = fence == last;
		if (fence->ring_idx == retired->ring_idx) {
			complete_fence(worker, fence);
		}
		if (is_last) {
			break;
		}
	}
}
