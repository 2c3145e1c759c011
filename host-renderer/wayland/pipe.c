/* SPDX-License-Identifier: MIT */
#include "pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <wayland-server-core.h>

#include "../gpu/device.h"
#include "../gpu/fence.h"
#include "fd.h"
#include "host.h"
#include "limits.h"

/* READs of one pipe per wake-up, so that the others get their turn. */
#define READS_PER_WAKEUP 4

static struct wl_event_loop *loop(const struct hr_wl_context *context)
{
	return context->base.device->host->loop;
}

static void stop_polling(struct wl_event_source **source)
{
	if (*source) {
		wl_event_source_remove(*source);
		*source = NULL;
	}
}

/* --- read pipes --- */

static void read_pipe_destroy(struct hr_read_pipe *pipe)
{
	stop_polling(&pipe->source);
	br_fd_clear(&pipe->pipe_fd);
	wl_list_remove(&pipe->link);
	pipe->context->n_pipes--;
	free(pipe);
}

int hr_read_pipe_create(struct hr_wl_context *context, uint32_t id, int *ret_write_fd)
{
	if (id != context->next_read_pipe || id == UINT32_MAX) {
		return -EINVAL;
	}
	if (context->n_pipes >= BR_LIMIT_PIPES) {
		return -ENOSPC;
	}
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	struct hr_read_pipe *pipe = calloc(1, sizeof(*pipe));
	int ret = pipe ? br_fd_set_nonblock(ends[0]) : -ENOMEM;
	if (ret < 0) {
		free(pipe);
		br_fd_clear(&ends[0]);
		br_fd_clear(&ends[1]);
		return ret;
	}
	/* Fewer wake-ups; the kernel may refuse, and then it is a smaller one. */
	(void)fcntl(ends[0], F_SETPIPE_SZ, BR_PIPE_WINDOW_BYTES);
	pipe->context = context;
	pipe->id = id;
	pipe->pipe_fd = ends[0];
	wl_list_insert(context->read_pipes.prev, &pipe->link);
	context->n_pipes++;
	context->next_read_pipe++;
	*ret_write_fd = ends[1];
	return 0;
}

int hr_read_pipe_grant(struct hr_wl_context *context, uint32_t id, uint32_t bytes)
{
	if (id < XD_FIRST_READ_PIPE_ID || id >= context->next_read_pipe) {
		return -EINVAL;
	}
	struct hr_read_pipe *pipe;
	wl_list_for_each (pipe, &context->read_pipes, link) {
		if (pipe->id == id) {
			hr_wl_add_credit(&pipe->credit, bytes);
			break;
		}
	}
	return 0;
}

/* Bytes that may be read of a pipe now. */
static size_t readable_bytes(const struct hr_read_pipe *pipe)
{
	const struct hr_wl_context *context = pipe->context;
	if (!hr_wl_can_emit(context)) {
		return 0;
	}
	int64_t most = (int64_t)(hr_wl_max_emit(context) - sizeof(struct xd_read_write));
	if (context->extensions & XD_EXT_PIPE_CREDIT) {
		most = pipe->credit < most ? pipe->credit : most;
	} else if (hr_wl_pushes(context) && context->credit <= 0) {
		return 0;
	}
	return most > 0 ? (size_t)most : 0;
}

/* Send one READ. Returns false if there was nothing to send; *pipe may be gone after true. */
static bool read_pipe_emit(struct hr_read_pipe *pipe, bool *ret_ended)
{
	struct hr_wl_context *context = pipe->context;
	size_t most = readable_bytes(pipe);
	if (most == 0) {
		return false;
	}
	uint8_t *data = context->base.device->scratch;
	ssize_t n = read(pipe->pipe_fd, data, most);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return false;
	}
	size_t len = n > 0 ? (size_t)n : 0;
	struct xd_read_write head = {
		.hdr = {.cmd = XD_CMD_READ},
		.identifier = pipe->id,
		.hang_up = len == 0,
		.opaque_data_size = (uint32_t)len,
	};
	struct iovec iov[] = {
		{.iov_base = &head, .iov_len = sizeof(head)},
		{.iov_base = data, .iov_len = len},
	};
	if (context->extensions & XD_EXT_PIPE_CREDIT) {
		pipe->credit -= (int64_t)len;
	} else {
		context->credit -= (int64_t)(sizeof(head) + len);
	}
	context->event_was_last = false;
	*ret_ended = len == 0;
	if (len == 0) {
		read_pipe_destroy(pipe);
	}
	hr_wl_emit(context, iov, 2, NULL, 0);
	return true;
}

bool hr_read_pipes_emit(struct hr_wl_context *context)
{
	struct hr_read_pipe *pipe, *next;
	wl_list_for_each_safe (pipe, next, &context->read_pipes, link) {
		bool ended;
		if (!read_pipe_emit(pipe, &ended)) {
			continue;
		}
		if (!ended) {
			wl_list_remove(&pipe->link);
			wl_list_insert(context->read_pipes.prev, &pipe->link);
		}
		return true;
	}
	return false;
}

static int on_readable(int fd, uint32_t mask, void *data)
{
	(void)fd;
	(void)mask;
	struct hr_read_pipe *pipe = data;
	bool ended = false;
	for (int i = 0; i < READS_PER_WAKEUP && !ended; i++) {
		if (!read_pipe_emit(pipe, &ended)) {
			break;
		}
	}
	/* Level-triggered, and a hang-up can't be masked: stop polling rather than spin. */
	if (!ended && readable_bytes(pipe) == 0) {
		stop_polling(&pipe->source);
	}
	return 0;
}

void hr_read_pipes_update(struct hr_wl_context *context)
{
	struct hr_read_pipe *pipe;
	wl_list_for_each (pipe, &context->read_pipes, link) {
		if (!pipe->source && readable_bytes(pipe) > 0) {
			pipe->source = wl_event_loop_add_fd(loop(context), pipe->pipe_fd,
							    WL_EVENT_READABLE, on_readable, pipe);
		}
	}
}

/* --- write pipes --- */

static void write_pipe_consume(struct hr_write_pipe *pipe, size_t len)
{
	br_stream_consume(&pipe->queue, len);
	pipe->context->pipe_bytes -= len;
}

static void write_pipe_destroy(struct hr_write_pipe *pipe)
{
	stop_polling(&pipe->source);
	br_sink_finish(&pipe->sink);
	write_pipe_consume(pipe, br_stream_bytes(&pipe->queue));
	br_stream_finish(&pipe->queue);
	hr_fence_complete_all(&pipe->fences);
	wl_list_remove(&pipe->link);
	pipe->context->n_pipes--;
	free(pipe);
}

/* Write until all is written or the pipe is full. Returns the bytes written, or -errno when the
 * reader has gone. */
static ssize_t write_some(const struct br_sink *sink, const uint8_t *bytes, size_t len)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = br_sink_write(sink, bytes + done, len - done);
		if (n == -EAGAIN) {
			break;
		}
		if (n <= 0) {
			return n < 0 ? n : -EIO;
		}
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Nobody reads any more. Whoever writes in the guest has to learn it, as from a pipe of its own. */
static void write_pipe_lose(struct hr_write_pipe *pipe)
{
	struct hr_wl_context *context = pipe->context;
	if (pipe->hang_up || !(context->extensions & XD_EXT_PIPE_CREDIT)) {
		write_pipe_destroy(pipe);
		return;
	}
	pipe->lost = true;
	stop_polling(&pipe->source);
	br_sink_finish(&pipe->sink);
	write_pipe_consume(pipe, br_stream_bytes(&pipe->queue));
	hr_fence_complete_all(&pipe->fences);
	hr_wl_pump(context);
}

bool hr_write_pipes_emit(struct hr_wl_context *context)
{
	struct hr_write_pipe *pipe;
	if (!hr_wl_can_emit(context)) {
		return false;
	}
	wl_list_for_each (pipe, &context->write_pipes, link) {
		if (!pipe->lost) {
			continue;
		}
		struct xd_read_write head = {
			.hdr = {.cmd = XD_CMD_READ},
			.identifier = pipe->id,
			.hang_up = 1,
		};
		struct iovec iov = {.iov_base = &head, .iov_len = sizeof(head)};
		write_pipe_destroy(pipe);
		hr_wl_emit(context, &iov, 1, NULL, 0);
		return true;
	}
	return false;
}

static int on_writable(int fd, uint32_t mask, void *data)
{
	(void)fd;
	struct hr_write_pipe *pipe = data;
	ssize_t n = 0;
	if (!br_stream_empty(&pipe->queue)) {
		n = write_some(&pipe->sink, br_stream_peek(&pipe->queue),
			       br_stream_bytes(&pipe->queue));
	} else if (mask & (WL_EVENT_ERROR | WL_EVENT_HANGUP)) {
		n = -EPIPE;
	}
	if (n < 0) {
		write_pipe_lose(pipe);
		return 0;
	}
	write_pipe_consume(pipe, (size_t)n);
	if (br_stream_empty(&pipe->queue)) {
		if (pipe->hang_up) {
			write_pipe_destroy(pipe);
			return 0;
		}
		(void)wl_event_source_fd_update(pipe->source, 0);
	}
	if (br_stream_bytes(&pipe->queue) < BR_PIPE_WINDOW_BYTES / 2) {
		hr_fence_complete_all(&pipe->fences);
	}
	return 0;
}

static int enqueue(struct hr_write_pipe *pipe, const uint8_t *bytes, size_t len)
{
	struct hr_wl_context *context = pipe->context;
	if (len > BR_LIMIT_CTX_PIPE_BYTES - context->pipe_bytes) {
		return -ENOSPC;
	}
	int ret = br_stream_write(&pipe->queue, bytes, len);
	if (ret == 0) {
		context->pipe_bytes += len;
		ret = pipe->source && wl_event_source_fd_update(pipe->source, WL_EVENT_WRITABLE) ==
					      0
			      ? 0
			      : -ENOMEM;
	}
	return ret;
}

int hr_write_pipe_create_take(struct hr_wl_context *context, int *fd, uint32_t *ret_id)
{
	if (context->n_pipes >= BR_LIMIT_PIPES) {
		return -ENOSPC;
	}
	struct hr_write_pipe *pipe = calloc(1, sizeof(*pipe));
	int ret = pipe ? hr_items_next_id(&context->items, &pipe->id) : -ENOMEM;
	ret = ret < 0 ? ret : br_sink_init_take(&pipe->sink, fd);
	if (ret < 0) {
		free(pipe);
		return ret;
	}
	pipe->context = context;
	br_stream_init(&pipe->queue, BR_LIMIT_PIPE_QUEUE_BYTES, 0);
	wl_list_init(&pipe->fences);
	/* For the end of its reader. Files can't be polled, and need not be. */
	pipe->source = wl_event_loop_add_fd(loop(context), pipe->sink.fd, 0, on_writable, pipe);
	wl_list_insert(&context->write_pipes, &pipe->link);
	context->n_pipes++;
	*ret_id = pipe->id;
	return 0;
}

static struct hr_write_pipe *find_write_pipe(struct hr_wl_context *context, uint32_t id)
{
	struct hr_write_pipe *pipe;
	wl_list_for_each (pipe, &context->write_pipes, link) {
		if (pipe->id == id) {
			return pipe;
		}
	}
	return NULL;
}

int hr_write_pipe_write(struct hr_wl_context *context, uint32_t id, const uint8_t *bytes,
			size_t len, bool hang_up)
{
	struct hr_write_pipe *pipe = find_write_pipe(context, id);
	if (!pipe) {
		return id >= XD_FIRST_ITEM_ID && id <= context->items.last_id ? 0 : -EINVAL;
	}
	if (pipe->hang_up) {
		return -EINVAL;
	}
	if (pipe->lost) {
		if (hang_up) {
			write_pipe_destroy(pipe);
		}
		return 0;
	}
	size_t done = 0;
	if (br_stream_empty(&pipe->queue)) {
		ssize_t n = write_some(&pipe->sink, bytes, len);
		if (n < 0) {
			pipe->hang_up = hang_up;
			write_pipe_lose(pipe);
			return 0;
		}
		done = (size_t)n;
	}
	if (done < len) {
		int ret = enqueue(pipe, bytes + done, len - done);
		if (ret < 0) {
			return ret;
		}
	}
	pipe->hang_up = hang_up;
	if (hang_up && br_stream_empty(&pipe->queue)) {
		write_pipe_destroy(pipe);
	}
	return 0;
}

struct hr_write_pipe *hr_write_pipe_find_full(struct hr_wl_context *context, uint32_t id)
{
	struct hr_write_pipe *pipe = find_write_pipe(context, id);
	return pipe && br_stream_bytes(&pipe->queue) >= BR_PIPE_WINDOW_BYTES / 2 ? pipe : NULL;
}

void hr_pipes_finish(struct hr_wl_context *context)
{
	struct hr_read_pipe *read_pipe, *next_read;
	wl_list_for_each_safe (read_pipe, next_read, &context->read_pipes, link) {
		read_pipe_destroy(read_pipe);
	}
	struct hr_write_pipe *write_pipe, *next_write;
	wl_list_for_each_safe (write_pipe, next_write, &context->write_pipes, link) {
		write_pipe_destroy(write_pipe);
	}
}
