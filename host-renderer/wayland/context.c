/* SPDX-License-Identifier: MIT */
#include "context.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../gpu/device.h"
#include "../gpu/fence.h"
#include "../gpu/resource.h"
#include "channel.h"
#include "limits.h"
#include "log.h"
#include "pipe.h"

/* INIT of muvm: struct xd_init and a protocol version, which tells nothing that we use. */
#define INIT_MUVM_BYTES 24

/* A mailbox must hold more than an empty RECEIVE. */
#define MIN_RING_BYTES 1024

/* What a submit left to wait for. */
struct submit_state {
	size_t fd_index; /* the next of its fds */
	bool polled, sent;
	uint32_t written_pipe; /* id; 0: none */
};

static struct hr_wl_context *from_base(struct hr_context *base)
{
	struct hr_wl_context *context = wl_container_of(base, context, base);
	return context;
}

void hr_wl_fail(struct hr_wl_context *context, const char *text)
{
	if (context->client && !context->closed) {
		hr_client_fail(context->client, text);
	}
}

void hr_wl_add_credit(int64_t *credit, uint32_t bytes)
{
	*credit += bytes;
	if (*credit > BR_LIMIT_CREDIT_BYTES) {
		*credit = BR_LIMIT_CREDIT_BYTES;
	}
}

/* --- to the guest --- */

bool hr_wl_can_emit(const struct hr_wl_context *context)
{
	if (context->broken || !context->initialised || context->base.device->paused) {
		return false;
	}
	if (hr_wl_pushes(context)) {
		return !context->base.device->push_full;
	}
	return context->channel_ring && !wl_list_empty(&context->polls);
}

size_t hr_wl_max_emit(const struct hr_wl_context *context)
{
	if (hr_wl_pushes(context) || context->channel_ring->size > XD_MAX_CMD_BYTES) {
		return XD_MAX_CMD_BYTES;
	}
	return (size_t)context->channel_ring->size;
}

void hr_wl_emit(struct hr_wl_context *context, const struct iovec *iov, size_t n_iov,
		const int *fds, size_t n_fds)
{
	if (hr_wl_pushes(context)) {
		hr_device_push(context->base.device, context->base.id, iov, n_iov, fds, n_fds);
		return;
	}
	int ret = hr_resource_write(context->channel_ring, 0, iov, n_iov);
	if (ret < 0) {
		br_log_peer(BR_LOG_WARN,
			    "channel context=%u: the guest's ring can't be written: %s",
			    context->base.id, strerror(-ret));
		context->broken = true;
		hr_wl_fail(context, "the guest's ring can't be written");
		return;
	}
	struct hr_fence *fence = wl_container_of(context->polls.next, fence, link);
	hr_fence_complete(fence);
}

static bool emit_one(struct hr_wl_context *context)
{
	if (context->event_was_last && !hr_wl_pushes(context) && hr_read_pipes_emit(context)) {
		return true;
	}
	if (hr_channel_emit(context) || hr_write_pipes_emit(context)) {
		return true;
	}
	return !hr_wl_pushes(context) && hr_read_pipes_emit(context);
}

void hr_wl_pump(struct hr_wl_context *context)
{
	context->pump_again = true;
	if (context->pumping) {
		return;
	}
	context->pumping = true;
	while (context->pump_again) {
		context->pump_again = false;
		while (emit_one(context)) {
		}
	}
	context->pumping = false;
	hr_read_pipes_update(context);
}

/* --- from the client --- */

static void on_events_ready(void *data)
{
	hr_wl_pump(data);
}

static void on_requests_drained(void *data)
{
	struct hr_wl_context *context = data;
	hr_fence_complete_all(&context->send_fences);
}

static void on_closed(void *data)
{
	struct hr_wl_context *context = data;
	context->closed = true;
	hr_fence_complete_all(&context->send_fences);
	hr_wl_pump(context);
}

static const struct hr_client_events client_events = {
	.events_ready = on_events_ready,
	.requests_drained = on_requests_drained,
	.closed = on_closed,
};

/* --- commands --- */

static int find_ring(struct hr_wl_context *context, uint32_t id, struct hr_resource **ret_ring)
{
	if (id == 0 && hr_wl_pushes(context)) {
		return 0;
	}
	struct hr_resource *ring = hr_resource_find_attached(&context->base, id);
	if (!ring) {
		return -ENOENT;
	}
	/* Seals exist only where writing can't block: in memory. Source: fcntl(2), F_GET_SEALS. */
	if (ring->blob_mem != VIRTIO_GPU_BLOB_MEM_GUEST || ring->size < MIN_RING_BYTES ||
	    (ring->pages.n_runs == 0 && fcntl(ring->memory_fd, F_GET_SEALS) < 0)) {
		return -EINVAL;
	}
	*ret_ring = ring;
	return 0;
}

static int parse_init(const uint8_t *bytes, size_t len, struct xd_init *ret_init)
{
	struct xd_init_legacy legacy;
	switch (len) {
	case sizeof(legacy):
		memcpy(&legacy, bytes, sizeof(legacy));
		*ret_init = (struct xd_init){
			.query_ring_id = legacy.ring_id,
			.channel_ring_id = legacy.ring_id,
			.channel_type = legacy.channel_type,
		};
		return 0;
	case sizeof(struct xd_init):
	case INIT_MUVM_BYTES:
	case sizeof(struct xd_init_uuid):
		memcpy(ret_init, bytes, sizeof(*ret_init));
		return 0;
	default:
		return -EINVAL;
	}
}

static int connect_client(struct hr_wl_context *context)
{
	struct hr_device *device = context->base.device;
	int ret = -ENOSPC;
	if (device->n_channels < device->max_channels) {
		ret = hr_client_create(device->host, &client_events, context, &context->client);
	} else {
		br_log_peer(
			BR_LOG_WARN,
			"channel context=%u: refused: more than %u programs at once need a larger "
			"virtqueue (QEMU: vq_size=1024)",
			context->base.id, device->max_channels);
	}
	if (ret < 0) {
		/* The guest may ignore the submit's error, as Linux does: end its stream as well. */
		context->client = NULL;
		context->closed = true;
		hr_wl_pump(context);
		return ret == -ENOENT ? -ECONNREFUSED : ret;
	}
	/* The relay stops taking requests above its high water; a guest that keeps to its window may
	 * still have that much on the way. */
	context->counted = true;
	device->n_channels++;
	hr_client_set_context(context->client, &context->base);
	struct br_stream *in = br_relay_input(hr_client_relay(context->client), BR_REQUEST);
	in->max_bytes += BR_SEND_WINDOW_BYTES;
	if (in->max_handles < BR_LIMIT_OUT_FDS) {
		in->max_handles = BR_LIMIT_OUT_FDS;
	}
	if (br_relay_failed(hr_client_relay(context->client))) {
		hr_client_dispatch(context->client); /* it was refused: pass the reason on */
	}
	return 0;
}

static int handle_init(struct hr_wl_context *context, const uint8_t *bytes, size_t len)
{
	struct xd_init init;
	struct hr_resource *query = NULL, *channel = NULL;
	int ret = parse_init(bytes, len, &init);
	if (ret == 0 && (context->initialised || init.channel_type > XD_CHANNEL_WAYLAND)) {
		ret = -EINVAL;
	}
	ret = ret < 0 ? ret : find_ring(context, init.query_ring_id, &query);
	ret = ret < 0 ? ret : find_ring(context, init.channel_ring_id, &channel);
	if (ret < 0) {
		return ret;
	}
	context->query_ring = query ? hr_resource_ref(query) : NULL;
	context->channel_ring = channel ? hr_resource_ref(channel) : NULL;
	context->initialised = true;
	return init.channel_type == XD_CHANNEL_WAYLAND ? connect_client(context) : 0;
}

static int handle_image_requirements(struct hr_wl_context *context, const uint8_t *bytes)
{
	struct xd_get_image_requirements cmd;
	memcpy(&cmd, bytes, sizeof(cmd));
	if (!context->query_ring) {
		return -EINVAL;
	}
	struct xd_image_requirements answer;
	int ret = hr_items_image(&context->items, cmd.width, cmd.height, cmd.drm_format, &answer);
	if (ret < 0) {
		/* A guest that does not see the error must not take an older answer for this one. */
		answer = (struct xd_image_requirements){0};
	}
	struct iovec iov = {.iov_base = &answer, .iov_len = sizeof(answer)};
	int written = hr_resource_write(context->query_ring, 0, &iov, 1);
	return ret < 0 ? ret : written;
}

/* Those whose time says nothing of what this process or its programs do. */
static bool is_public_clock(uint32_t id)
{
	return id == CLOCK_REALTIME || id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_RAW ||
	       id == CLOCK_BOOTTIME || id == CLOCK_TAI;
}

static int handle_get_clock(struct hr_wl_context *context, const uint8_t *bytes)
{
	struct xd_get_clock cmd;
	struct timespec now;
	memcpy(&cmd, bytes, sizeof(cmd));
	if (!(context->extensions & XD_EXT_CLOCK) || !context->query_ring) {
		return -EINVAL;
	}
	struct xd_clock answer = {.clock_id = cmd.clock_id};
	if (is_public_clock(cmd.clock_id) && clock_gettime((clockid_t)cmd.clock_id, &now) == 0) {
		answer.time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
		answer.valid = 1;
	}
	struct iovec iov = {.iov_base = &answer, .iov_len = sizeof(answer)};
	return hr_resource_write(context->query_ring, XD_CLOCK_OFFSET, &iov, 1);
}

static int handle_write(struct hr_wl_context *context, const uint8_t *bytes, size_t len,
			struct submit_state *state)
{
	struct xd_read_write cmd;
	memcpy(&cmd, bytes, sizeof(cmd));
	int ret = -EINVAL;
	if (cmd.opaque_data_size <= len - sizeof(cmd)) {
		ret = hr_write_pipe_write(context, cmd.identifier, bytes + sizeof(cmd),
					  cmd.opaque_data_size, cmd.hang_up != 0);
	}
	if (ret < 0) {
		hr_wl_fail(context, ret == -ENOSPC ? "too much was written to a pipe"
						   : "the channel brought a bad WRITE");
		return ret;
	}
	state->written_pipe = cmd.identifier;
	return 0;
}

static int handle_enable(struct hr_wl_context *context, const uint8_t *bytes)
{
	struct xd_enable cmd;
	memcpy(&cmd, bytes, sizeof(cmd));
	uint32_t offered = context->base.device->frontend.extensions;
	if (context->initialised || context->extensions != 0 || (cmd.extensions & ~offered)) {
		return -EINVAL;
	}
	context->extensions = cmd.extensions;
	return 0;
}

static int handle_grant(struct hr_wl_context *context, const uint8_t *bytes)
{
	struct xd_grant cmd;
	memcpy(&cmd, bytes, sizeof(cmd));
	if (cmd.identifier != 0) {
		int ret = hr_read_pipe_grant(context, cmd.identifier, cmd.bytes);
		hr_read_pipes_update(context);
		return ret;
	}
	hr_wl_add_credit(&context->credit, cmd.bytes);
	hr_wl_pump(context);
	return 0;
}

static int run_command(struct hr_wl_context *context, struct hr_submit *submit,
		       const uint8_t *bytes, size_t len, struct submit_state *state)
{
	/* Least sizes; a command that is not listed has none. */
	static const uint16_t sizes[UINT8_MAX + 1] = {
		[XD_CMD_INIT] = sizeof(struct xd_init_legacy),
		[XD_CMD_GET_IMAGE_REQUIREMENTS] = sizeof(struct xd_get_image_requirements),
		[XD_CMD_POLL] = sizeof(struct xd_header),
		[XD_CMD_SEND] = sizeof(struct xd_send_receive),
		[XD_CMD_WRITE] = sizeof(struct xd_read_write),
		[XD_CMD_ENABLE] = sizeof(struct xd_enable),
		[XD_CMD_GRANT] = sizeof(struct xd_grant),
		[XD_CMD_GET_CLOCK] = sizeof(struct xd_get_clock),
	};
	uint8_t cmd = bytes[0];
	if (sizes[cmd] == 0 || len < sizes[cmd]) {
		return -EINVAL;
	}
	if (!context->initialised && cmd != XD_CMD_INIT && cmd != XD_CMD_ENABLE) {
		return -EINVAL;
	}
	switch (cmd) {
	case XD_CMD_INIT:
		return handle_init(context, bytes, len);
	case XD_CMD_GET_IMAGE_REQUIREMENTS:
		return handle_image_requirements(context, bytes);
	case XD_CMD_POLL:
		state->polled = true;
		return hr_wl_pushes(context) ? -EINVAL : 0;
	case XD_CMD_SEND:
		state->sent = true;
		return hr_channel_send(context, submit, bytes, len, &state->fd_index);
	case XD_CMD_WRITE:
		return handle_write(context, bytes, len, state);
	case XD_CMD_ENABLE:
		return handle_enable(context, bytes);
	case XD_CMD_GET_CLOCK:
		return handle_get_clock(context, bytes);
	default:
		return handle_grant(context, bytes);
	}
}

/* True if requests wait on the way to the compositor; requests_drained() follows. */
static bool requests_wait(struct hr_wl_context *context)
{
	if (!context->client || context->closed) {
		return false;
	}
	struct br_relay *relay = hr_client_relay(context->client);
	return br_relay_congested(relay, BR_REQUEST) ||
	       br_stream_bytes(br_relay_input(relay, BR_REQUEST)) >= BR_LIMIT_IN_BYTES / 2;
}

/* Decide what a fenced submit, all of whose commands have run, still waits for. */
static int hold_fence(struct hr_wl_context *context, struct hr_submit *submit,
		      const struct submit_state *state)
{
	if (state->polled && submit->on_ring && submit->ring_idx == XD_RING_CHANNEL) {
		return hr_fence_hold(submit, &context->polls, &context->n_fences,
				     context->counted && wl_list_empty(&context->polls));
	}
	if (state->written_pipe) {
		struct hr_write_pipe *pipe = hr_write_pipe_find_full(context, state->written_pipe);
		if (pipe) {
			return hr_fence_hold(submit, &pipe->fences, &context->n_fences, false);
		}
	}
	if (state->sent && requests_wait(context)) {
		return hr_fence_hold(submit, &context->send_fences, &context->n_fences, false);
	}
	return 0;
}

static int context_submit(struct hr_context *base, struct hr_submit *submit)
{
	struct hr_wl_context *context = from_base(base);
	struct submit_state state = {0};
	for (size_t at = 0; at < submit->len;) {
		struct xd_header head;
		size_t left = submit->len - at;
		if (left < sizeof(head)) {
			return -EINVAL;
		}
		memcpy(&head, submit->bytes + at, sizeof(head));
		if (head.cmd_size < sizeof(head) || head.cmd_size > left) {
			hr_wl_fail(context, "the channel brought a command of a wrong size");
			return -EINVAL;
		}
		int ret = run_command(context, submit, submit->bytes + at, head.cmd_size, &state);
		if (ret < 0) {
			return ret;
		}
		at += head.cmd_size;
	}
	int ret = submit->fenced ? hold_fence(context, submit, &state) : 0;
	if (submit->held && state.polled) {
		hr_wl_pump(context);
	} else if (state.sent) {
		hr_read_pipes_update(context);
	}
	return ret;
}

static int context_create_blob(struct hr_context *base, uint64_t blob_id, uint64_t size,
			       struct hr_memory *ret_memory)
{
	bool copied = base->device->frontend.ops->map != NULL;
	return hr_items_memory(&from_base(base)->items, blob_id, size, copied, ret_memory);
}

static void context_resume(struct hr_context *base)
{
	hr_wl_pump(from_base(base));
}

static void context_destroy(struct hr_context *base)
{
	struct hr_wl_context *context = from_base(base);
	hr_client_destroy(context->client);
	context->client = NULL;
	context->broken = true;
	hr_pipes_finish(context);
	hr_fence_complete_all(&context->send_fences);
	hr_fence_complete_all(&context->polls);
	base->device->n_channels -= context->counted ? 1 : 0;
	hr_items_finish(&context->items);
	hr_resource_unref(context->query_ring);
	hr_resource_unref(context->channel_ring);
	free(context);
}

static const struct hr_context_ops context_ops = {
	.destroy = context_destroy,
	.submit = context_submit,
	.create_blob = context_create_blob,
	.resume = context_resume,
};

static int context_create(const struct hr_capset *capset, struct hr_device *device, uint32_t id,
			  const char *name, struct hr_context **ret_context)
{
	(void)capset;
	(void)id;
	(void)name;
	(void)device;
	struct hr_wl_context *context = calloc(1, sizeof(*context));
	if (!context) {
		return -ENOMEM;
	}
	context->base.ops = &context_ops;
	context->next_read_pipe = XD_FIRST_READ_PIPE_ID;
	wl_list_init(&context->polls);
	wl_list_init(&context->send_fences);
	wl_list_init(&context->read_pipes);
	wl_list_init(&context->write_pipes);
	hr_items_init(&context->items);
	*ret_context = &context->base;
	return 0;
}

static void fill_capset(const struct hr_capset *kind, const struct hr_device *device,
			void *ret_capset)
{
	(void)kind;
	const struct xd_capset_ext capset = {
		.base = {.version = 1, .supported_channels = 1 << XD_CHANNEL_WAYLAND},
		.magic = XD_CAPSET_MAGIC,
		.extensions = device->frontend.extensions,
		.max_cmd_bytes = XD_MAX_CMD_BYTES,
	};
	memcpy(ret_capset, &capset, sizeof(capset));
}

const struct hr_capset hr_wayland_capset = {
	.id = XD_CAPSET_ID,
	.max_version = XD_CAPSET_VERSION,
	.size = sizeof(struct xd_capset_ext),
	.fill = fill_capset,
	.create = context_create,
};
