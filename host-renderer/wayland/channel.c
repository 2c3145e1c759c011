/* SPDX-License-Identifier: MIT */
#include "channel.h"

#include <errno.h>
#include <string.h>

#include "../gpu/device.h"
#include "../gpu/resource.h"
#include "fd.h"
#include "limits.h"
#include "pipe.h"

static void close_handles(struct br_handle *handles, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		br_fd_clear(&handles[i].fd);
	}
}

/* --- guest to host --- */

/* Guest pages are copied: what is sent so is a file, which does not change. */
static int copy_pages(struct hr_resource *resource)
{
	if (resource->pages.bytes < resource->size || resource->size > BR_LIMIT_FILE_BYTES) {
		return -EINVAL;
	}
	int fd = hr_memory_create(resource->size);
	int ret = fd < 0 ? fd
			 : hr_pages_copy(resource->device, &resource->pages, 0, resource->size, fd,
					 0, HR_PAGES_TO_FILE);
	if (ret < 0) {
		br_fd_clear(&fd);
		return ret;
	}
	return fd;
}

static int resolve_memory(struct hr_resource *resource, struct br_handle *ret_handle)
{
	int ret = hr_resource_need_memory(resource);
	ret_handle->res_id = resource->gpu != HR_GPU_NONE ? resource->id : 0;
	if (resource->gpu == HR_GPU_FAILED) {
		return 0; /* its worker can read it, maybe: for a buffer that is enough */
	}
	if (ret == 0) {
		ret_handle->fd = br_fd_dup(resource->memory_fd);
		ret_handle->offset = resource->memory_offset;
		ret_handle->bytes = resource->size;
	} else if (ret == -ENXIO) {
		ret_handle->fd = copy_pages(resource);
		ret_handle->bytes = resource->size; /* ours */
	} else {
		return ret;
	}
	return ret_handle->fd < 0 ? ret_handle->fd : 0;
}

static int resolve(struct hr_wl_context *context, struct hr_submit *submit, uint32_t type,
		   uint32_t id, size_t *fd_index, struct br_handle *ret_handle)
{
	struct hr_resource *resource;
	switch (type) {
	case XD_ITEM_BLOB:
		resource = hr_resource_find_attached(&context->base, id);
		if (!resource) {
			return -ENOENT;
		}
		return resolve_memory(resource, ret_handle);
	case XD_ITEM_READ_PIPE:
		return hr_read_pipe_create(context, id, &ret_handle->fd);
	case XD_ITEM_FD:
		if (!(context->extensions & XD_EXT_FDS) || *fd_index >= submit->n_fds) {
			return -EINVAL;
		}
		ret_handle->fd = br_fd_take(&submit->fds[(*fd_index)++]);
		return 0;
	default:
		return -EINVAL;
	}
}

/* Append to the relay's input; the handles go first, because they belong to what follows. */
static int feed(struct hr_wl_context *context, struct br_handle *handles, size_t n,
		const uint8_t *bytes, size_t len)
{
	struct br_stream *in = br_relay_input(hr_client_relay(context->client), BR_REQUEST);
	for (size_t i = 0; i < n; i++) {
		int ret = br_stream_push_handle_take(in, &handles[i]);
		if (ret < 0) {
			return ret;
		}
	}
	return len > 0 ? br_stream_write(in, bytes, len) : 0;
}

static const char *send_error(int err)
{
	switch (err) {
	case -ENOENT:
		return "the channel names a resource that is not there";
	case -ENOSPC:
		return "the channel brought more than fits the limits";
	case -EINVAL:
		return "the channel brought a bad item";
	default:
		return "an item of the channel can't be taken";
	}
}

int hr_channel_send(struct hr_wl_context *context, struct hr_submit *submit, const uint8_t *bytes,
		    size_t len, size_t *fd_index)
{
	struct xd_send_receive head;
	memcpy(&head, bytes, sizeof(head));
	struct br_handle handles[XD_MAX_IDENTIFIERS];
	size_t n = 0;
	int ret = 0;
	if (head.num_identifiers > XD_MAX_IDENTIFIERS ||
	    head.opaque_data_size > len - sizeof(head)) {
		hr_wl_fail(context, "the channel brought a command of a wrong size");
		return -EINVAL;
	}
	if (!context->client || context->closed) {
		return 0; /* the guest finds the end of the stream when it reads on */
	}
	for (; n < head.num_identifiers && ret == 0; n++) {
		handles[n] = (struct br_handle){.fd = -1};
		ret = resolve(context, submit, head.types[n], head.identifiers[n], fd_index,
			      &handles[n]);
	}
	if (ret == 0) {
		ret = feed(context, handles, n, bytes + sizeof(head), head.opaque_data_size);
	}
	close_handles(handles, n);
	if (ret < 0) {
		hr_wl_fail(context, send_error(ret));
		return ret;
	}
	hr_client_dispatch(context->client);
	return 0;
}

/* --- host to guest --- */

/* Nothing travels beside a mailbox. */
static bool carries_fds(const struct hr_wl_context *context)
{
	return (context->extensions & XD_EXT_FDS) && hr_wl_pushes(context);
}

/* Turn a handle into an item, i-th of the command. Takes the fd, or leaves it for the packet. */
static int make_item(struct hr_wl_context *context, struct br_handle *handle,
		     struct xd_send_receive *head, size_t i)
{
	if (carries_fds(context)) {
		head->types[i] = XD_ITEM_FD;
		return 0;
	}
	switch (handle->kind) {
	case BR_FD_FILE:
	case BR_FD_SHM:
	case BR_FD_DMABUF:
		head->types[i] = XD_ITEM_BLOB;
		return hr_items_add_take(&context->items, &handle->fd, &head->identifiers[i],
					 &head->sizes[i]);
	case BR_FD_PIPE_WRITE:
		head->types[i] = XD_ITEM_WRITE_PIPE;
		return hr_write_pipe_create_take(context, &handle->fd, &head->identifiers[i]);
	default:
		return -EINVAL;
	}
}

static void emit_receive(struct hr_wl_context *context, struct xd_send_receive *head,
			 const uint8_t *bytes, const int *fds, size_t n_fds)
{
	head->hdr = (struct xd_header){.cmd = XD_CMD_RECEIVE};
	struct iovec iov[] = {
		{.iov_base = head, .iov_len = sizeof(*head)},
		{.iov_base = (void *)bytes, .iov_len = head->opaque_data_size},
	};
	context->credit -= (int64_t)(sizeof(*head) + head->opaque_data_size);
	context->event_was_last = true;
	hr_wl_emit(context, iov, head->opaque_data_size ? 2 : 1, fds, n_fds);
}

static bool emit_chunk(struct hr_wl_context *context, struct br_stream *out)
{
	struct xd_send_receive head = {0};
	struct br_handle handles[XD_MAX_IDENTIFIERS];
	int fds[XD_MAX_IDENTIFIERS];
	size_t n = 0;
	size_t len = br_stream_chunk(out, hr_wl_max_emit(context) - sizeof(head),
				     XD_MAX_IDENTIFIERS, &n);
	int ret = 0;
	for (size_t i = 0; i < n; i++) {
		handles[i] = (struct br_handle){.fd = -1};
		if (br_stream_pop_handle(out, &handles[i]) && ret == 0) {
			ret = make_item(context, &handles[i], &head, i);
		}
		fds[i] = handles[i].fd;
	}
	if (ret < 0) {
		/* The stream can't be continued without its fd. */
		close_handles(handles, n);
		br_stream_consume(out, br_stream_bytes(out));
		while (br_stream_pop_handle(out, &handles[0])) {
			br_fd_clear(&handles[0].fd);
		}
		hr_wl_fail(context, "an fd of an event can't be carried to the guest");
		return false;
	}
	head.num_identifiers = (uint32_t)n;
	head.opaque_data_size = (uint32_t)len;
	bool with_fds = carries_fds(context);
	emit_receive(context, &head, br_stream_peek(out), with_fds ? fds : NULL, with_fds ? n : 0);
	close_handles(handles, n);
	br_stream_consume(out, len);
	hr_client_events_taken(context->client);
	return true;
}

bool hr_channel_emit(struct hr_wl_context *context)
{
	if (!context->initialised || context->eof_sent || !hr_wl_can_emit(context)) {
		return false;
	}
	struct br_stream *out = NULL;
	if (context->client) {
		out = br_relay_output(hr_client_relay(context->client), BR_EVENT);
	}
	if (out && !br_stream_empty(out)) {
		return (!hr_wl_pushes(context) || context->credit > 0) && emit_chunk(context, out);
	}
	if (!context->closed) {
		return false;
	}
	struct xd_send_receive eof = {0};
	context->eof_sent = true;
	emit_receive(context, &eof, NULL, NULL, 0);
	return true;
}
