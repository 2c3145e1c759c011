/* SPDX-License-Identifier: MIT */
#include "channel_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fd.h"
#include "limits.h"
#include "tables.h"

#define RING_BYTES_FOREIGN 4096 /* hosts other than ours use one page */
#define RING_BYTES 65536
#define FENCE_EVERY_BYTES (BR_SEND_WINDOW_BYTES / 4)
/* What an fd counts for in the window: the host holds a limited number of them. */
#define FD_BYTES 2048

/** A RECEIVE whose memory items are being mapped; those behind it wait too. */
struct receive {
	struct wl_list link; /* gp_channel.receives */
	struct gp_channel *channel;
	unsigned unresolved;
	size_t n;
	struct br_handle handles[XD_MAX_IDENTIFIERS]; /* owned */
	size_t len;
	uint8_t bytes[];
};

/** One memory item of a receive. */
struct receive_item {
	struct receive *receive;
	size_t index;
};

/** Bytes that a fence confirms. */
struct send_fence {
	struct gp_channel *channel;
	uint32_t bytes;
};

static bool pushes(const struct gp_channel *channel)
{
	return channel->transport->caps.extensions & XD_EXT_PUSH;
}

void gp_channel_enter(struct gp_channel *channel)
{
	channel->depth++;
}

bool gp_channel_leave(struct gp_channel *channel)
{
	bool gone = channel->destroyed;
	if (--channel->depth == 0 && gone) {
		free(channel);
	}
	return !gone;
}

void gp_channel_close(struct gp_channel *channel, const char *reason)
{
	if (channel->closed || channel->destroyed) {
		return;
	}
	channel->closed = true;
	gp_deadline_stop(&channel->opening);
	channel->events->closed(channel->data, reason);
}

int gp_channel_send_ring(const struct gp_channel *channel)
{
	return channel->transport->caps.rings > XD_RING_SEND ? XD_RING_SEND : XD_RING_QUERY;
}

int gp_channel_pipe_ring(const struct gp_channel *channel, uint32_t id)
{
	uint32_t rings = channel->transport->caps.rings;
	return rings > XD_RING_FIRST_PIPE
		       ? (int)(XD_RING_FIRST_PIPE + id % (rings - XD_RING_FIRST_PIPE))
		       : gp_channel_send_ring(channel);
}

int gp_channel_submit(struct gp_channel *channel, const struct gp_command *command)
{
	const struct iovec iov[] = {
		{.iov_base = (void *)command->head, .iov_len = command->head_bytes},
		{.iov_base = (void *)command->body, .iov_len = command->body_bytes},
	};
	const struct gp_submit submit = {
		.iov = iov,
		.n_iov = command->body_bytes > 0 ? 2 : 1,
		.ring_idx = command->ring,
		.done = command->done,
		.data = command->data,
	};
	return gp_context_submit(channel->context, &submit);
}

void gp_channel_grant(struct gp_channel *channel, uint32_t id, uint32_t bytes)
{
	const struct xd_grant grant = {
		.hdr = {.cmd = XD_CMD_GRANT, .cmd_size = sizeof(grant)},
		.identifier = id,
		.bytes = bytes,
	};
	/* A connection that is gone is reported by its reading side. */
	const struct gp_command command = {.head = &grant, .head_bytes = sizeof(grant)};
	(void)gp_channel_submit(channel, &command);
}

/* --- from the host --- */

static void receive_free(struct receive *receive)
{
	for (size_t i = 0; i < receive->n; i++) {
		br_fd_clear(&receive->handles[i].fd);
	}
	receive->channel->receive_bytes -= sizeof(struct xd_send_receive) + receive->len;
	wl_list_remove(&receive->link);
	free(receive);
}

/* Append to the owner's stream. */
static int deliver(struct gp_channel *channel, struct br_handle *handles, size_t n,
		   const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < n; i++) {
		int ret = br_stream_push_handle_take(channel->in, &handles[i]);
		if (ret < 0) {
			return ret;
		}
	}
	return br_stream_write(channel->in, bytes, len);
}

static void report_received(struct gp_channel *channel, int err)
{
	if (err < 0) {
		gp_channel_close(channel, "the host sent more than the limits allow");
	} else {
		channel->events->received(channel->data);
	}
}

/* Deliver the receives whose memory is there, oldest first. */
static void deliver_resolved(struct gp_channel *channel)
{
	while (!channel->destroyed && !channel->closed && !wl_list_empty(&channel->receives)) {
		struct receive *receive = wl_container_of(channel->receives.next, receive, link);
		if (receive->unresolved > 0) {
			break;
		}
		int ret = deliver(channel, receive->handles, receive->n, receive->bytes,
				  receive->len);
		receive_free(receive);
		report_received(channel, ret);
	}
	if (!channel->destroyed && channel->ended && wl_list_empty(&channel->receives)) {
		gp_channel_close(channel, "the host's compositor closed the connection");
	}
	if (!channel->destroyed) {
		gp_channel_resume(channel);
	}
}

/* Memory of the host has been mapped: its fd is what the program gets. */
static void handle_item_mapped(void *data, int err, struct gp_resource *resource)
{
	struct receive_item *item = data;
	struct receive *receive = item->receive;
	struct gp_channel *channel = receive->channel;
	receive->unresolved--;
	if (err == 0) {
		receive->handles[item->index].fd = br_fd_take(&resource->fd);
		gp_resource_destroy(resource);
	}
	free(item);
	if (channel->destroyed) {
		return;
	}
	gp_channel_enter(channel);
	if (err < 0) {
		gp_channel_close(channel, "memory of the host can't be mapped");
	} else {
		deliver_resolved(channel);
	}
	(void)gp_channel_leave(channel);
}

static int map_item(struct receive *receive, size_t index, uint32_t id, uint32_t size)
{
	struct receive_item *item = calloc(1, sizeof(*item));
	if (item == NULL) {
		return -ENOMEM;
	}
	*item = (struct receive_item){.receive = receive, .index = index};
	int ret = gp_resource_create_host(receive->channel->context, id, size, GP_HOST_ITEM,
					  handle_item_mapped, item);
	if (ret < 0) {
		free(item);
		return ret;
	}
	receive->unresolved++;
	return 0;
}

/* Turn the items of a RECEIVE into fds; memory becomes one later. fds: those beside the command. */
static int resolve_items(struct receive *receive, const struct xd_send_receive *head,
			 struct br_handle *fds, size_t n_fds)
{
	struct gp_channel *channel = receive->channel;
	size_t used = 0;
	for (size_t i = 0; i < head->num_identifiers; i++) {
		struct br_handle *handle = &receive->handles[i];
		int ret = -EPROTO;
		*handle = (struct br_handle){.fd = -1};
		receive->n = i + 1;
		switch (head->types[i]) {
		case XD_ITEM_FD:
			if (used < n_fds && channel->transport->caps.extensions & XD_EXT_FDS) {
				handle->fd = br_fd_take(&fds[used++].fd);
				ret = 0;
			}
			break;
		case XD_ITEM_BLOB:
			if (head->sizes[i] > 0 && head->sizes[i] <= BR_LIMIT_POOL_BYTES) {
				ret = map_item(receive, i, head->identifiers[i], head->sizes[i]);
			}
			break;
		case XD_ITEM_WRITE_PIPE:
			handle->fd = gp_writer_create(channel, head->identifiers[i]);
			ret = handle->fd < 0 ? handle->fd : 0;
			break;
		default:
			break;
		}
		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

static void handle_receive(struct gp_channel *channel, const uint8_t *bytes, size_t len,
			   struct br_handle *fds, size_t n_fds)
{
	struct xd_send_receive head;
	if (len < sizeof(head)) {
		gp_channel_close(channel, "the host sent a short command");
		return;
	}
	memcpy(&head, bytes, sizeof(head));
	if (head.num_identifiers > XD_MAX_IDENTIFIERS ||
	    head.opaque_data_size > len - sizeof(head)) {
		gp_channel_close(channel, "the host sent a command of a wrong size");
		return;
	}
	if (channel->ended) {
		gp_channel_close(channel, "the host sent something behind the end");
		return;
	}
	if (head.num_identifiers == 0 && head.opaque_data_size == 0) {
		channel->ended = true;
		deliver_resolved(channel);
		return;
	}
	channel->ungranted += (uint32_t)sizeof(head) + head.opaque_data_size;
	/* It may overdraw by one command. */
	if (pushes(channel) && channel->ungranted > BR_CHANNEL_WINDOW_BYTES + XD_MAX_CMD_BYTES) {
		gp_channel_close(channel, "the host sent more than it was granted");
		return;
	}
	if (head.num_identifiers == 0 && wl_list_empty(&channel->receives)) {
		report_received(channel, deliver(channel, NULL, 0, bytes + sizeof(head),
						 head.opaque_data_size));
		return;
	}
	struct receive *receive = calloc(1, sizeof(*receive) + head.opaque_data_size);
	if (receive == NULL) {
		gp_channel_close(channel, "out of memory");
		return;
	}
	receive->channel = channel;
	receive->len = head.opaque_data_size;
	memcpy(receive->bytes, bytes + sizeof(head), receive->len);
	wl_list_insert(channel->receives.prev, &receive->link);
	channel->receive_bytes += sizeof(head) + receive->len;
	/* On failure it stays listed until the end of the channel: mappings may be on their way. */
	if (resolve_items(receive, &head, fds, n_fds) < 0) {
		receive->unresolved++;
		gp_channel_close(channel, "the host sent an item that can't be taken");
		return;
	}
	deliver_resolved(channel);
}

static int handle_read(struct gp_channel *channel, const struct xd_read_write *head,
		       const uint8_t *bytes)
{
	if (head->identifier < XD_FIRST_READ_PIPE_ID &&
	    channel->transport->caps.extensions & XD_EXT_PIPE_CREDIT) {
		return gp_writers_handle_lost(channel, head);
	}
	return gp_readers_handle(channel, head, bytes);
}

/* A whole command of the host; borrowed and no longer changing. */
static void handle_command(struct gp_channel *channel, const uint8_t *bytes, size_t len,
			   struct br_handle *fds, size_t n_fds)
{
	struct xd_read_write head;
	gp_deadline_stop(&channel->opening);
	if (channel->closed || len < sizeof(struct xd_header)) {
		return;
	}
	switch (bytes[0]) {
	case XD_CMD_RECEIVE:
		handle_receive(channel, bytes, len, fds, n_fds);
		return;
	case XD_CMD_READ:
		if (len < sizeof(head)) {
			break;
		}
		memcpy(&head, bytes, sizeof(head));
		if (head.opaque_data_size > len - sizeof(head) ||
		    handle_read(channel, &head, bytes + sizeof(head)) < 0) {
			break;
		}
		if (!(channel->transport->caps.extensions & XD_EXT_PIPE_CREDIT)) {
			channel->ungranted += (uint32_t)sizeof(head) + head.opaque_data_size;
		}
		return;
	default:
		break;
	}
	gp_channel_close(channel, "the host sent a command that makes no sense");
}

/* A fenced command failed: what waits for it would wait for ever. */
static void close_refused(struct gp_channel *channel)
{
	gp_channel_enter(channel);
	gp_channel_close(channel, "the host refused a command");
	(void)gp_channel_leave(channel);
}

/* The host may have written the mailbox, and may write it again only after the next POLL; but it is
 * not to be trusted with that: one copy is read, then only the copy. */
static void handle_polled(void *data, int err)
{
	struct gp_channel *channel = data;
	uint8_t copy[RING_BYTES];
	channel->poll_pending = false;
	if (channel->destroyed) {
		return;
	}
	if (err < 0) {
		close_refused(channel);
		return;
	}
	size_t size = (size_t)channel->channel_ring->size;
	size_t len = size < sizeof(struct xd_send_receive) ? size : sizeof(struct xd_send_receive);
	memcpy(copy, channel->channel_ring->map, len);
	/* opaque_data_size is at 12 or, in READ, at 16. */
	uint32_t data_bytes;
	size_t head = copy[0] == XD_CMD_READ ? sizeof(struct xd_read_write) : len;
	memcpy(&data_bytes, copy + (copy[0] == XD_CMD_READ ? 16 : 12), sizeof(data_bytes));
	if (data_bytes > size - head) {
		data_bytes = (uint32_t)(size - head);
	}
	memcpy(copy + head, channel->channel_ring->map + head, data_bytes);
	gp_channel_enter(channel);
	handle_command(channel, copy, head + data_bytes > len ? head + data_bytes : len, NULL, 0);
	if (!channel->destroyed) {
		gp_channel_resume(channel);
	}
	(void)gp_channel_leave(channel);
}

static void poll_host(struct gp_channel *channel)
{
	static const struct xd_poll poll = {
		.hdr = {.cmd = XD_CMD_POLL, .ring_idx = XD_RING_CHANNEL, .cmd_size = sizeof(poll)}};
	const struct iovec iov = {.iov_base = (void *)&poll, .iov_len = sizeof(poll)};
	const struct gp_submit submit = {
		.iov = &iov,
		.n_iov = 1,
		.ring_idx = XD_RING_CHANNEL,
		.done = handle_polled,
		.data = channel,
	};
	if (gp_context_submit(channel->context, &submit) == 0) {
		channel->poll_pending = true;
	}
}

void gp_channel_resume(struct gp_channel *channel)
{
	if (!channel->started || channel->closed || channel->destroyed) {
		return;
	}
	size_t held = br_stream_bytes(channel->in) + channel->receive_bytes;
	if (pushes(channel)) {
		uint32_t granted =
			channel->ungranted > held ? channel->ungranted - (uint32_t)held : 0;
		if (granted >= BR_CHANNEL_WINDOW_BYTES / 4) {
			channel->ungranted -= granted;
			gp_channel_grant(channel, 0, granted);
		}
		return;
	}
	bool room = held < BR_LIMIT_IN_BYTES / 4 && wl_list_empty(&channel->receives) &&
		    channel->reader_bytes < BR_LIMIT_PIPE_QUEUE_BYTES;
	if (!channel->poll_pending && room) {
		poll_host(channel);
	}
}

static void handle_push(void *data, const uint8_t *bytes, size_t len, struct br_handle *fds,
			size_t n_fds)
{
	struct gp_channel *channel = data;
	gp_channel_enter(channel);
	handle_command(channel, bytes, len, fds, n_fds);
	(void)gp_channel_leave(channel);
}

static void handle_lost(void *data, const char *reason)
{
	struct gp_channel *channel = data;
	gp_channel_enter(channel);
	gp_channel_close(channel, reason);
	(void)gp_channel_leave(channel);
}

/* --- to the host --- */

static void handle_send_fence(void *data, int err)
{
	struct send_fence *fence = data;
	struct gp_channel *channel = fence->channel;
	uint32_t bytes = fence->bytes;
	free(fence);
	if (channel->destroyed) {
		return;
	}
	if (err < 0) {
		close_refused(channel);
		return;
	}
	channel->in_flight -= bytes;
	if (channel->blocked && !channel->closed) {
		channel->blocked = false;
		gp_channel_enter(channel);
		channel->events->writable(channel->data);
		(void)gp_channel_leave(channel);
	}
}

static uint64_t memory_bytes(int fd)
{
	struct stat st;
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		return (uint64_t)st.st_size;
	}
	/* dma-bufs tell their size only this way. */
	off_t end = lseek(fd, 0, SEEK_END);
	return end > 0 ? (uint64_t)end : 0;
}

/** One SEND under construction. */
struct send {
	struct xd_send_receive head;
	struct br_handle fds[XD_MAX_IDENTIFIERS]; /* owned: XD_ITEM_FD items */
	size_t n_fds;
	struct gp_resource *imported[XD_MAX_IDENTIFIERS]; /* only for as long as this takes */
	size_t n_imported;
};

/* Turn a handle into the next item. Takes its fd. */
static int add_item(struct gp_channel *channel, struct send *send, struct br_handle *handle)
{
	uint32_t i = send->head.num_identifiers++;
	struct gp_resource *resource;
	int ret = 0;
	if (handle->res_id != 0) {
		send->head.types[i] = XD_ITEM_BLOB;
		send->head.identifiers[i] = handle->res_id;
	} else if (channel->transport->caps.extensions & XD_EXT_FDS) {
		send->head.types[i] = XD_ITEM_FD;
		send->fds[send->n_fds++] = (struct br_handle){.fd = br_fd_take(&handle->fd)};
	} else if (handle->kind == BR_FD_PIPE_WRITE) {
		send->head.types[i] = XD_ITEM_READ_PIPE;
		send->head.identifiers[i] = ++channel->last_read_pipe_id;
		ret = gp_reader_create_take(channel, channel->last_read_pipe_id, &handle->fd);
	} else {
		uint64_t size = memory_bytes(handle->fd);
		ret = size == 0 ? -EINVAL
				: gp_resource_create_guest(channel->context, handle->fd, size,
							   &resource);
		if (ret == 0) {
			send->imported[send->n_imported++] = resource;
			send->head.types[i] = XD_ITEM_BLOB;
			send->head.identifiers[i] = resource->id;
		}
	}
	br_fd_clear(&handle->fd);
	return ret;
}

static int submit_send(struct gp_channel *channel, struct send *send, const uint8_t *bytes)
{
	const struct iovec iov[] = {
		{.iov_base = &send->head, .iov_len = sizeof(send->head)},
		{.iov_base = (void *)bytes, .iov_len = send->head.opaque_data_size},
	};
	struct gp_submit submit = {
		.iov = iov,
		.n_iov = 2,
		.fds = send->fds,
		.n_fds = send->n_fds,
		.ring_idx = gp_channel_send_ring(channel),
	};
	struct send_fence *fence = NULL;
	uint32_t weight = (uint32_t)sizeof(send->head) + send->head.opaque_data_size +
			  send->head.num_identifiers * FD_BYTES;
	channel->in_flight += weight;
	channel->unfenced += weight;
	if (channel->unfenced >= FENCE_EVERY_BYTES) {
		fence = calloc(1, sizeof(*fence));
		if (fence == NULL) {
			return -ENOMEM;
		}
		*fence = (struct send_fence){.channel = channel, .bytes = channel->unfenced};
		submit.done = handle_send_fence;
		submit.data = fence;
		channel->unfenced = 0;
	}
	int ret = gp_context_submit(channel->context, &submit);
	if (ret < 0) {
		free(fence);
	}
	return ret;
}

static int send_chunk(struct gp_channel *channel, struct br_stream *out)
{
	const struct gp_transport_caps *caps = &channel->transport->caps;
	struct send send = {.n_fds = 0};
	uint32_t last_pipe = channel->last_read_pipe_id;
	size_t n = 0;
	/* Others take only one pipe at a time, and have taken only four items. */
	size_t max_handles = caps->causeway ? XD_MAX_IDENTIFIERS : 1;
	size_t len = br_stream_chunk(out, caps->max_cmd_bytes - sizeof(send.head), max_handles, &n);
	int ret = 0;
	for (size_t i = 0; i < n && ret == 0; i++) {
		struct br_handle handle;
		if (br_stream_pop_handle(out, &handle)) {
			ret = add_item(channel, &send, &handle);
		}
	}
	send.head.hdr = (struct xd_header){.cmd = XD_CMD_SEND,
					   .cmd_size = (uint16_t)(sizeof(send.head) + len)};
	send.head.opaque_data_size = (uint32_t)len;
	if (ret == 0) {
		ret = submit_send(channel, &send, br_stream_peek(out));
	}
	for (size_t i = 0; i < send.n_fds; i++) {
		br_fd_clear(&send.fds[i].fd);
	}
	for (size_t i = 0; i < send.n_imported; i++) {
		gp_resource_destroy(send.imported[i]);
	}
	if (channel->last_read_pipe_id != last_pipe) {
		gp_readers_grant(channel);
	}
	br_stream_consume(out, len);
	return ret;
}

int gp_channel_flush(struct gp_channel *channel, struct br_stream *out)
{
	if (channel->closed) {
		return -ENOTCONN;
	}
	while (!br_stream_empty(out)) {
		if (!channel->started || channel->in_flight >= BR_SEND_WINDOW_BYTES) {
			channel->blocked = true;
			return -EAGAIN;
		}
		int ret = send_chunk(channel, out);
		if (ret < 0) {
			channel->closed = true;
			return ret;
		}
	}
	return 0;
}

/* --- beginning and end --- */

static void handle_no_answer(void *data)
{
	struct gp_channel *channel = data;
	gp_channel_enter(channel);
	gp_channel_close(channel, "the host was asked for a channel: " GP_NO_ANSWER);
	(void)gp_channel_leave(channel);
}

/* INIT has run. The compositor may take its time: a program that asks nothing gets no answers. */
static void handle_opened(void *data, int err)
{
	struct gp_channel *channel = data;
	gp_deadline_stop(&channel->opening);
	if (err < 0 && !channel->destroyed) {
		close_refused(channel);
	}
}

/* ENABLE, INIT and the first GRANT in one command stream. */
static int send_init(struct gp_channel *channel)
{
	const struct gp_transport_caps *caps = &channel->transport->caps;
	struct {
		struct xd_enable enable;
		struct xd_init init;
	} commands = {
		.enable = {.hdr = {.cmd = XD_CMD_ENABLE, .cmd_size = sizeof(struct xd_enable)},
			   .extensions = caps->extensions},
		.init = {.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizeof(struct xd_init)},
			 .query_ring_id = channel->query_ring->id,
			 .channel_ring_id = channel->channel_ring ? channel->channel_ring->id : 0,
			 .channel_type = XD_CHANNEL_WAYLAND},
	};
	const struct xd_grant grant = {
		.hdr = {.cmd = XD_CMD_GRANT, .cmd_size = sizeof(grant)},
		.bytes = BR_CHANNEL_WINDOW_BYTES,
	};
	size_t skip = caps->extensions != 0 ? 0 : sizeof(commands.enable);
	const struct gp_command command = {
		.head = (const uint8_t *)&commands + skip,
		.head_bytes = offsetof(typeof(commands), init) + sizeof(commands.init) - skip,
		.body = &grant,
		.body_bytes = pushes(channel) ? sizeof(grant) : 0,
		.ring = gp_channel_send_ring(channel),
		.done = handle_opened,
		.data = channel,
	};
	int ret = gp_deadline_start(&channel->opening, channel->transport->loop, handle_no_answer,
				    channel);
	return ret < 0 ? ret : gp_channel_submit(channel, &command);
}

static int start(struct gp_channel *channel)
{
	const struct gp_transport_caps *caps = &channel->transport->caps;
	uint64_t ring_bytes = caps->causeway ? RING_BYTES : RING_BYTES_FOREIGN;
	int ret = gp_resource_create_guest(channel->context, -1, RING_BYTES_FOREIGN,
					   &channel->query_ring);
	if (ret == 0 && !pushes(channel)) {
		ret = gp_resource_create_guest(channel->context, -1, ring_bytes,
					       &channel->channel_ring);
	}
	return ret < 0 ? ret : send_init(channel);
}

static void handle_ready(void *data)
{
	struct gp_channel *channel = data;
	const struct gp_transport_caps *caps = &channel->transport->caps;
	gp_channel_enter(channel);
	if (!(caps->channels & 1u << XD_CHANNEL_WAYLAND)) {
		gp_channel_close(channel, "the host's channel carries no Wayland");
	} else if (start(channel) < 0) {
		gp_channel_close(channel, "the channel can't be started");
	} else {
		channel->started = true;
		gp_channel_resume(channel);
		if (channel->blocked) {
			channel->blocked = false;
			channel->events->writable(channel->data);
		}
	}
	(void)gp_channel_leave(channel);
}

static const struct gp_context_events context_events = {
	.ready = handle_ready,
	.push = handle_push,
	.lost = handle_lost,
};

int gp_channel_create(struct gp_transport *transport, const char *debug_name, struct br_stream *in,
		      const struct gp_channel_events *events, void *data,
		      struct gp_channel **ret_channel)
{
	struct gp_channel *channel = calloc(1, sizeof(*channel));
	if (channel == NULL) {
		return -ENOMEM;
	}
	*channel = (struct gp_channel){
		.transport = transport,
		.in = in,
		.events = events,
		.data = data,
		.last_read_pipe_id = XD_FIRST_READ_PIPE_ID - 1,
	};
	wl_list_init(&channel->receives);
	wl_list_init(&channel->readers);
	wl_list_init(&channel->writers);
	wl_list_init(&channel->blobs);
	wl_list_init(&channel->allocations);
	/* Room for what the host may send unread: its window, overdrawn by one command. */
	if (in->max_bytes < BR_CHANNEL_WINDOW_BYTES + XD_MAX_CMD_BYTES) {
		in->max_bytes = BR_CHANNEL_WINDOW_BYTES + XD_MAX_CMD_BYTES;
	}
	int ret = gp_context_create(transport, debug_name, &context_events, channel,
				    &channel->context);
	if (ret < 0) {
		free(channel);
		return ret;
	}
	*ret_channel = channel;
	return 0;
}

void gp_channel_destroy(struct gp_channel *channel)
{
	if (channel == NULL || channel->destroyed) {
		return;
	}
	channel->destroyed = true;
	gp_deadline_stop(&channel->opening);
	gp_channel_enter(channel);
	gp_channel_clock_finish(channel);
	gp_blobs_finish(channel);
	gp_resource_destroy(channel->query_ring);
	gp_resource_destroy(channel->channel_ring);
	channel->query_ring = channel->channel_ring = NULL;
	/* Cancels what is on its way; the callbacks still find their receives and pipes. */
	gp_context_destroy(channel->context);
	channel->context = NULL;
	struct receive *receive, *tmp;
	wl_list_for_each_safe (receive, tmp, &channel->receives, link) {
		receive_free(receive);
	}
	gp_pipes_finish(channel);
	(void)gp_channel_leave(channel);
}
