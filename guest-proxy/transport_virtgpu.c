/* SPDX-License-Identifier: MIT
 *
 * The render node of a virtio-gpu. Each context is an open file of its own. Fences of the channel's
 * ring come as events of that file, all others as sync files. The kernel queues commands without
 * waiting for the host, as long as there is room in the virtqueue, which the host empties at once.
 * Source: <drm/virtgpu_drm.h>.
 */
#include "transport_virtgpu.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wayland-server-core.h>
#include <xf86drm.h>

#include <drm/virtgpu_drm.h>

#include "fd.h"

/* To our own host: one ring for each fenced stream, because the kernel takes the end of a fence for that
 * of all before it on the same ring. */
#define CAUSEWAY_RINGS 64
#define EVENT_BYTES 1024

static struct virtgpu_context *from_base(struct gp_context *base)
{
	return (struct virtgpu_context *)base;
}

static void enter(struct virtgpu_context *context)
{
	context->depth++;
}

static void leave(struct virtgpu_context *context)
{
	if (--context->depth == 0 && context->destroyed) {
		free(context);
	}
}

static void context_lose(struct virtgpu_context *context, const char *reason)
{
	if (!context->lost && !context->destroyed) {
		context->lost = true;
		context->events->lost(context->data, reason);
	}
}

/* --- fences --- */

static void fence_finish(struct virtgpu_fence *fence, int err)
{
	struct virtgpu_fence copy = *fence;
	wl_list_remove(&fence->link);
	if (fence->source != NULL) {
		wl_event_source_remove(fence->source);
	}
	br_fd_clear(&fence->fence_fd);
	free(fence);
	copy.done(copy.data, err);
}

static int handle_fence(int fd, uint32_t mask, void *data)
{
	struct virtgpu_fence *fence = data;
	struct virtgpu_context *context = fence->context;
	(void)fd;
	(void)mask;
	enter(context);
	fence_finish(fence, 0);
	leave(context);
	return 0;
}

static void handle_event(struct virtgpu_context *context)
{
	if (!context->destroyed && !wl_list_empty(&context->polls)) {
		struct virtgpu_fence *fence = wl_container_of(context->polls.next, fence, link);
		fence_finish(fence, 0);
	}
}

static int handle_drm(int fd, uint32_t mask, void *data)
{
	struct virtgpu_context *context = data;
	uint8_t bytes[EVENT_BYTES];
	struct drm_event event;
	(void)mask;
	ssize_t n = read(fd, bytes, sizeof(bytes));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	enter(context);
	if (n <= 0) {
		wl_event_source_remove(context->source);
		context->source = NULL;
		context_lose(context, "the virtio-gpu is gone");
	}
	for (ssize_t at = 0; at + (ssize_t)sizeof(event) <= n; at += (ssize_t)event.length) {
		memcpy(&event, bytes + at, sizeof(event));
		if (event.length < sizeof(event)) {
			break;
		}
		if (event.type == VIRTGPU_EVENT_FENCE_SIGNALED) {
			handle_event(context);
		}
	}
	leave(context);
	return 0;
}

static int watch_fence(struct virtgpu_fence *fence, int fence_fd)
{
	fence->fence_fd = fence_fd;
	fence->source = wl_event_loop_add_fd(fence->context->transport->base.loop, fence_fd,
					     WL_EVENT_READABLE, handle_fence, fence);
	return fence->source != NULL ? 0 : -ENOMEM;
}

/* --- commands --- */

static int gather(struct virtgpu_transport *t, const struct gp_submit *submit, uint32_t *ret_len)
{
	size_t len = 0;
	for (size_t i = 0; i < submit->n_iov; i++) {
		if (submit->iov[i].iov_len > XD_MAX_CMD_BYTES - len) {
			return -EMSGSIZE;
		}
		if (submit->iov[i].iov_len > 0) {
			memcpy(t->command + len, submit->iov[i].iov_base, submit->iov[i].iov_len);
			len += submit->iov[i].iov_len;
		}
	}
	*ret_len = (uint32_t)len;
	return 0;
}

int virtgpu_submit(struct gp_context *base, const struct gp_submit *submit)
{
	struct virtgpu_context *context = from_base(base);
	struct drm_virtgpu_execbuffer exec = {
		.command = (uintptr_t)context->transport->command,
		.fence_fd = -1,
	};
	bool polled = submit->ring_idx == XD_RING_CHANNEL;
	struct virtgpu_fence *fence = NULL;
	if (context->lost || submit->n_fds > 0) {
		return context->lost ? -ENOTCONN : -EINVAL;
	}
	int ret = gather(context->transport, submit, &exec.size);
	if (ret < 0) {
		return ret;
	}
	if (submit->done != NULL) {
		exec.flags = VIRTGPU_EXECBUF_RING_IDX | (polled ? 0 : VIRTGPU_EXECBUF_FENCE_FD_OUT);
		exec.ring_idx = (uint32_t)submit->ring_idx;
		fence = calloc(1, sizeof(*fence));
		if (fence == NULL) {
			return -ENOMEM;
		}
		*fence = (struct virtgpu_fence){.context = context,
						.fence_fd = -1,
						.done = submit->done,
						.data = submit->data};
		wl_list_init(&fence->link);
	}
	if (drmIoctl(context->drm_fd, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec) < 0) {
		free(fence);
		return -errno;
	}
	if (fence != NULL && !polled) {
		ret = watch_fence(fence, exec.fence_fd);
	}
	if (ret < 0) {
		br_fd_clear(&fence->fence_fd);
		free(fence);
	} else if (fence != NULL) {
		wl_list_insert((polled ? &context->polls : &context->fences)->prev, &fence->link);
	}
	return ret;
}

/* --- contexts --- */

static void handle_ready_idle(void *data)
{
	struct virtgpu_context *context = data;
	context->ready_idle = NULL;
	enter(context);
	context->events->ready(context->data);
	leave(context);
}

static int watch_context(struct virtgpu_context *context)
{
	struct wl_event_loop *loop = context->transport->base.loop;
	context->source =
		wl_event_loop_add_fd(loop, context->drm_fd, WL_EVENT_READABLE, handle_drm, context);
	context->ready_idle = wl_event_loop_add_idle(loop, handle_ready_idle, context);
	return context->source != NULL && context->ready_idle != NULL ? 0 : -ENOMEM;
}

static int virtgpu_context_create(struct gp_transport *base, const char *name,
				  const struct gp_context_events *events, void *data,
				  struct gp_context **ret_context)
{
	struct virtgpu_transport *t = (struct virtgpu_transport *)base;
	struct virtgpu_context *context = calloc(1, sizeof(*context));
	if (context == NULL) {
		return -ENOMEM;
	}
	*context = (struct virtgpu_context){
		.base.ops = t->base.ops,
		.transport = t,
		.events = events,
		.data = data,
	};
	wl_list_init(&context->link);
	wl_list_init(&context->polls);
	wl_list_init(&context->fences);
	context->drm_fd = gp_node_open_context(&t->node, t->base.caps.rings, name);
	int ret = context->drm_fd < 0 ? context->drm_fd : watch_context(context);
	if (ret < 0) {
		context->base.ops->context_destroy(&context->base);
		/* The next program looks for a node anew. */
		if (t->options.lost != NULL) {
			t->options.lost(t->options.data, strerror(-ret));
		}
		return ret;
	}
	wl_list_insert(&t->contexts, &context->link);
	*ret_context = &context->base;
	return 0;
}

static void cancel_all(struct wl_list *list)
{
	while (!wl_list_empty(list)) {
		struct virtgpu_fence *fence = wl_container_of(list->next, fence, link);
		fence_finish(fence, -ECANCELED);
	}
}

static void virtgpu_context_destroy(struct gp_context *base)
{
	struct virtgpu_context *context = from_base(base);
	context->lost = true;
	context->destroyed = true;
	enter(context);
	cancel_all(&context->polls);
	cancel_all(&context->fences);
	if (context->source != NULL) {
		wl_event_source_remove(context->source);
	}
	if (context->ready_idle != NULL) {
		wl_event_source_remove(context->ready_idle);
	}
	br_fd_clear(&context->drm_fd);
	free(context->bo_refs);
	context->bo_refs = NULL;
	context->n_bo_refs = 0;
	wl_list_remove(&context->link);
	leave(context);
}

/* --- the transport --- */

static void virtgpu_destroy(struct gp_transport *base)
{
	struct virtgpu_transport *t = (struct virtgpu_transport *)base;
	free(t->command);
	free(t);
}

static const struct gp_transport_ops virtgpu_ops = {
	.context_create = virtgpu_context_create,
	.context_destroy = virtgpu_context_destroy,
	.submit = virtgpu_submit,
	.create_guest = virtgpu_create_guest,
	.create_host = virtgpu_create_host,
	.import = virtgpu_import,
	.timeline_import = virtgpu_timeline_import,
	.timeline_destroy = virtgpu_timeline_destroy,
	.timeline_wait = virtgpu_timeline_wait,
	.timeline_signal = virtgpu_timeline_signal,
	.resource_transfer = virtgpu_resource_transfer,
	.resource_destroy = virtgpu_resource_destroy,
	.destroy = virtgpu_destroy,
};

static void read_caps(struct virtgpu_transport *t, uint32_t wanted)
{
	const struct xd_capset_ext *capset = &t->node.capset;
	struct gp_transport_caps *caps = &t->base.caps;
	caps->channels = capset->base.supported_channels;
	caps->causeway = capset->magic == XD_CAPSET_MAGIC;
	caps->rings = XD_NUM_RINGS;
	caps->render_node = t->node.device;
	caps->timelines = t->node.timelines;
	caps->max_cmd_bytes = sizeof(struct xd_send_receive) + XD_MAX_DATA_COMPAT;
	if (caps->causeway) {
		caps->rings = CAUSEWAY_RINGS;
		caps->extensions =
			capset->extensions & wanted & (XD_EXT_PIPE_CREDIT | XD_EXT_CLOCK);
		if (capset->max_cmd_bytes >= caps->max_cmd_bytes) {
			caps->max_cmd_bytes = capset->max_cmd_bytes < XD_MAX_CMD_BYTES
						      ? capset->max_cmd_bytes
						      : XD_MAX_CMD_BYTES;
		}
	}
}

int gp_transport_virtgpu_create(struct wl_event_loop *loop, const char *path,
				const struct gp_transport_options *options,
				struct gp_transport **ret_transport, const char **ret_advice)
{
	struct gp_node node;
	bool found = true;
	*ret_advice = NULL;
	if (path != NULL) {
		gp_node_probe(&node, path);
	} else {
		found = gp_node_find(&node);
	}
	if (!found || node.state != GP_NODE_USABLE) {
		*ret_advice = gp_node_advice(found ? &node : NULL);
		if (found && node.state == GP_NODE_NO_FILES) {
			return -EMFILE;
		}
		return found && node.state == GP_NODE_NO_ACCESS ? -EACCES : -ENODEV;
	}
	struct virtgpu_transport *t = calloc(1, sizeof(*t));
	uint8_t *command = malloc(XD_MAX_CMD_BYTES);
	if (t == NULL || command == NULL) {
		free(t);
		free(command);
		return -ENOMEM;
	}
	t->base.ops = &virtgpu_ops;
	t->base.loop = loop;
	t->options = *options;
	t->base.ready = true;
	t->node = node;
	t->command = command;
	wl_list_init(&t->contexts);
	read_caps(t, options->extensions);
	*ret_transport = &t->base;
	return 0;
}
