/* SPDX-License-Identifier: MIT */
#include "render.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "defer.h"
#include "device.h"
#include "fd.h"
#include "fence.h"
#include "gpu.h"
#include "log.h"
#include "render_private.h"
#include "resource.h"
#include "worker.h"

static void held_unref(struct hr_held *held)
{
	if (--held->refs == 0) {
		hr_device_respond(held->device, &held->hdr, held->cookie,
				  VIRTIO_GPU_RESP_OK_NODATA);
		free(held);
	}
}

static void ask_finish(struct hr_render_worker *worker, struct hr_ask *ask, int err)
{
	wl_list_remove(&ask->link);
	if (wl_list_empty(&worker->asks)) {
		(void)wl_event_source_timer_update(worker->watchdog, 0);
	}
	if (ask->held) {
		held_unref(ask->held);
	}
	if (ask->done) {
		ask->done(ask->data, err);
	}
	hr_resource_unref(ask->resource);
	free(ask);
}

void hr_render_worker_unref(struct hr_render_worker *worker)
{
	if (worker->refs > 1) {
		worker->refs--;
		return;
	}
	/* Of a context that went before it was answered; what these end may look at the worker. */
	while (!wl_list_empty(&worker->asks)) {
		struct hr_ask *ask = wl_container_of(worker->asks.next, ask, link);
		ask_finish(worker, ask, -ECANCELED);
	}
	wl_list_remove(&worker->link);
	if (worker->watchdog) {
		wl_event_source_remove(worker->watchdog);
	}
	hr_worker_destroy(worker->process);
	free(worker);
}

/* Returns NULL if memory is out; then the worker is killed, which answers everything. */
struct hr_ask *hr_render_ask(struct hr_render_worker *worker, enum hr_ask_kind kind,
			     struct wk_header *hdr)
{
	struct hr_ask *ask = calloc(1, sizeof(*ask));
	if (!ask) {
		hr_worker_kill(worker->process, "there is no memory for its work");
		return NULL;
	}
	worker->next_seq += worker->next_seq == UINT32_MAX ? 2 : 1; /* 0 means none */
	ask->kind = kind;
	ask->seq = hdr->seq = worker->next_seq;
	ask->ctx_id = hdr->ctx_id;
	if (wl_list_empty(&worker->asks)) {
		(void)wl_event_source_timer_update(worker->watchdog, worker->answer_ms);
	}
	wl_list_insert(worker->asks.prev, &ask->link);
	return ask;
}

static int on_watchdog(void *data)
{
	struct hr_render_worker *worker = data;
	hr_worker_kill(worker->process, "it gives no answer");
	return 0;
}

/* The memory is there, or can't be had. */
static void settle_memory(struct hr_resource *resource, const struct wk_exported *exported, int *fd)
{
	if (resource->gpu != HR_GPU_ASKED) {
		return;
	}
	resource->gpu = HR_GPU_FAILED;
	if (!exported || exported->err != 0 || *fd < 0) {
		return;
	}
	/* Whoever maps it must find all of it, at any time. */
	int ret = hr_memory_seal(*fd, resource->size);
	if (ret < 0) {
		br_log_peer(BR_LOG_WARN, "gpu: resource %u %s", resource->id,
			    ret == -EPERM ? "can become smaller"
					  : "is smaller than the guest says");
		return;
	}
	resource->gpu = HR_GPU_SHARED;
	resource->memory_fd = br_fd_take(fd);
	resource->dmabuf = exported->kind == WK_DMABUF;
	resource->map_info = exported->map_info;
	resource->layout.n_planes = exported->n_planes;
	if (exported->n_planes > 0 && exported->n_planes <= WK_MAX_PLANES) {
		resource->layout.modifier = exported->modifier;
		resource->layout.fourcc = exported->fourcc;
		memcpy(resource->layout.strides, exported->strides, sizeof(exported->strides));
		memcpy(resource->layout.offsets, exported->offsets, sizeof(exported->offsets));
	}
}

/* Returns 0, or the error that it comes to. */
static int take_allocated(struct hr_ask *ask, const struct wk_exported *exported, int *fd)
{
	struct hr_read_back *image = ask->allocated;
	if (!ask->done) {
		return 0;
	}
	if (!exported || *fd < 0 || exported->n_planes != 1) {
		return -EPROTO;
	}
	image->fd = br_fd_take(fd);
	image->stride = exported->strides[0];
	image->offset = exported->offsets[0];
	image->target_modifier = exported->modifier;
	return 0;
}

static void log_refusal(const struct hr_ask *ask, int err)
{
	br_log_peer(BR_LOG_WARN, "gpu context=%u: %s: %s", ask->ctx_id,
		    ask->kind == HR_ASK_CONTEXT ? "the worker can't make it"
		    : ask->kind == HR_ASK_BLOB	? "the worker can't make a blob"
						: "memory can't be handed on",
		    strerror(-err));
}

static void handle_answer(struct hr_render_worker *worker, const struct wk_header *message,
			  size_t len, int *fds, size_t n_fds)
{
	int32_t err = -EPROTO;
	int none = -1;
	struct hr_ask *ask = wl_container_of(worker->asks.next, ask, link);
	const struct wk_exported *exported = NULL;
	if (wl_list_empty(&worker->asks) || message->seq != ask->seq) {
		hr_worker_kill(worker->process, "it answers what was not asked");
		return;
	}
	if (message->type == WK_DONE && len == sizeof(struct wk_done)) {
		err = ((const struct wk_done *)message)->err;
	} else if (message->type == WK_EXPORTED && len == sizeof(*exported)) {
		exported = (const struct wk_exported *)message;
		err = exported->err;
	}
	if (ask->kind == HR_ASK_ALLOCATE && err == 0) {
		err = take_allocated(ask, exported, n_fds > 0 ? &fds[0] : &none);
	}
	bool silent = ask->kind == HR_ASK_RELEASE || ask->kind == HR_ASK_ALLOCATE ||
		      (ask->kind == HR_ASK_EXPORT && (err == -ENOTSUP || err == -ENOENT));
	if (err < 0 && !silent) {
		log_refusal(ask, err);
	}
	if (ask->kind == HR_ASK_BLOB && err < 0 && ask->resource->gpu == HR_GPU_PRIVATE) {
		ask->resource->gpu = HR_GPU_FAILED;
	} else if (ask->kind == HR_ASK_EXPORT) {
		settle_memory(ask->resource, exported, n_fds > 0 ? &fds[0] : &none);
	} else if (ask->kind == HR_ASK_TRANSFER) {
		hr_fence_complete(ask->fence);
	}
	bool exports = ask->kind == HR_ASK_EXPORT;
	ask_finish(worker, ask, err);
	/* It has shown that it works. */
	if (!wl_list_empty(&worker->asks)) {
		(void)wl_event_source_timer_update(worker->watchdog, worker->answer_ms);
	}
	if (exports) {
		hr_defer_run(worker->device);
	}
}

static void handle_fence_done(struct hr_render_worker *worker, const struct wk_fence *message)
{
	struct hr_render_context *context;
	struct hr_fence *fence;
	wl_list_for_each (context, &worker->contexts, worker_link) {
		if (context->base.id != message->hdr.ctx_id) {
			continue;
		}
		wl_list_for_each (fence, &context->fences, link) {
			if (fence->id == message->id) {
				hr_fence_complete(fence);
				return;
			}
		}
	}
}

static void on_message(void *data, const struct wk_header *message, size_t len, int *fds,
		       size_t n_fds)
{
	struct hr_render_worker *worker = data;
	worker->refs++; /* what an answer ends may have the last other one */
	switch (message->type) {
	case WK_DONE:
	case WK_EXPORTED:
		handle_answer(worker, message, len, fds, n_fds);
		break;
	case WK_FENCE_DONE:
		if (len == sizeof(struct wk_fence)) {
			handle_fence_done(worker, (const struct wk_fence *)message);
		}
		break;
	case WK_LOG:
		hr_gpu_log((const struct wk_log *)message, len);
		break;
	default: /* WK_CAPSET, WK_READY: known since the start */
		break;
	}
	hr_render_worker_unref(worker);
}

static void on_ended(void *data, const char *reason)
{
	struct hr_render_worker *worker = data;
	struct hr_device *device = worker->device;
	struct hr_render_context *context;
	br_log(BR_LOG_ERROR,
	       "gpu: the worker is gone, and with it the GPU contexts of %d programs: %s; the next "
	       "program gets a new one",
	       wl_list_length(&worker->contexts), reason);
	hr_worker_destroy(worker->process);
	worker->process = NULL;
	worker->refs++; /* while this goes on */
	while (!wl_list_empty(&worker->asks)) {
		struct hr_ask *ask = wl_container_of(worker->asks.next, ask, link);
		if (ask->kind == HR_ASK_EXPORT) {
			settle_memory(ask->resource, NULL, NULL);
		}
		ask_finish(worker, ask, -EIO);
	}
	hr_fence_fail_all(&worker->transfers);
	wl_list_for_each (context, &worker->contexts, worker_link) {
		hr_fence_fail_all(&context->fences);
	}
	if (device->main_worker == worker) {
		device->main_worker = NULL;
		hr_render_worker_unref(worker);
	}
	hr_render_worker_unref(worker);
	hr_defer_run(device);
}

static const struct hr_worker_events worker_events = {
	.message = on_message,
	.ended = on_ended,
};

void hr_render_send(struct hr_render_worker *worker, const void *message, size_t len)
{
	if (worker->process) {
		hr_worker_send(worker->process, message, len, NULL, 0, NULL, 0);
	}
}

static void send_memory(struct hr_render_worker *worker)
{
	const struct hr_frontend *frontend = &worker->device->frontend;
	struct {
		struct wk_guest_memory memory;
		struct wk_region regions[WK_MAX_REGIONS];
	} message = {.memory.hdr.type = WK_GUEST_MEMORY};
	int fds[WK_MAX_REGIONS];
	if (!frontend->ops->guest_regions || !worker->process) {
		return;
	}
	uint32_t n =
		frontend->ops->guest_regions(frontend->data, message.regions, fds, WK_MAX_REGIONS);
	message.memory.n_regions = n;
	hr_worker_send(worker->process, &message,
		       sizeof(message.memory) + n * sizeof(struct wk_region), NULL, 0, fds, n);
}

static int start_process(struct hr_render_worker *worker, const struct hr_gpu *gpu, uint32_t flags)
{
	int fd BR_CLEANUP_FD = -1;
	int ret =
		hr_worker_start(gpu->loop, gpu->program, &worker_events, worker, &worker->process);
	if (ret < 0) {
		br_log_peer(BR_LOG_ERROR, "gpu: %s can't be started: %s", gpu->program,
			    strerror(-ret));
		return ret;
	}
	const struct wk_init init = hr_gpu_init_message(gpu, flags, &fd);
	hr_worker_send(worker->process, &init, sizeof(init), NULL, 0, &fd, fd >= 0 ? 1 : 0);
	send_memory(worker);
	return 0;
}

/* Returns a worker with one reference, the caller's. */
int hr_render_worker_create(struct hr_device *device, const struct hr_gpu *gpu, uint32_t flags,
			    struct hr_render_worker **ret_worker)
{
	struct hr_render_worker *worker = calloc(1, sizeof(*worker));
	if (!worker) {
		return -ENOMEM;
	}
	worker->device = device;
	worker->refs = 1;
	wl_list_init(&worker->contexts);
	wl_list_init(&worker->asks);
	wl_list_init(&worker->transfers);
	wl_list_insert(&device->workers, &worker->link);
	worker->answer_ms = (int)gpu->answer_ms;
	worker->watchdog = wl_event_loop_add_timer(gpu->loop, on_watchdog, worker);
	int ret = worker->watchdog ? start_process(worker, gpu, flags) : -ENOMEM;
	if (ret < 0) {
		hr_render_worker_unref(worker);
		return ret;
	}
	*ret_worker = worker;
	return 0;
}

/* --- the device --- */

void hr_render_update_memory(struct hr_device *device)
{
	struct hr_render_worker *worker;
	wl_list_for_each (worker, &device->workers, link) {
		send_memory(worker);
	}
}

void hr_render_finish(struct hr_device *device)
{
	struct hr_render_worker *worker, *next;
	wl_list_for_each (worker, &device->workers, link) {
		worker->refs++;
	}
	wl_list_for_each (worker, &device->workers, link) {
		while (!wl_list_empty(&worker->asks)) {
			struct hr_ask *ask = wl_container_of(worker->asks.next, ask, link);
			ask_finish(worker, ask, -EIO);
		}
		hr_fence_fail_all(&worker->transfers);
	}
	if (device->main_worker) {
		hr_render_worker_unref(device->main_worker);
		device->main_worker = NULL;
	}
	wl_list_for_each_safe (worker, next, &device->workers, link) {
		hr_render_worker_unref(worker);
	}
}
