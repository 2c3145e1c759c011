/* SPDX-License-Identifier: MIT
 *
 * Pipes that cross the channel as READ and WRITE commands. Each has a window of its own, so that a
 * slow end delays only itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "channel_private.h"
#include "fd.h"
#include "limits.h"
#include "sink.h"

#define READ_BYTES 65536 /* read from a program's pipe at a time */

/** A pipe into which a program of the guest wants the host's data. */
struct gp_reader {
	struct wl_list link; /* gp_channel.readers */
	struct gp_channel *channel;
	uint32_t id;
	struct br_sink sink; /* the program's write end; closed: nobody reads, data is dropped */
	struct wl_event_source *source; /* NULL: not waiting for room */
	struct br_stream queue;
	uint32_t ungranted; /* bytes taken that were not granted again */
	bool granted;	    /* the first window was granted */
	bool ended;	    /* the host has sent all */
};

/** A pipe from which the host wants a program's data. */
struct gp_writer {
	struct wl_list link; /* gp_channel.writers */
	struct gp_channel *channel;
	uint32_t id;
	int fd;				/* owned: read end; -1: at its end */
	struct wl_event_source *source; /* NULL while the window is full, and at its end */
	uint32_t in_flight;		/* bytes that no fence has confirmed */
};

/** Bytes of a writer that a fence confirms. */
struct write_fence {
	struct gp_writer *writer;
	uint32_t bytes;
};

/* --- host to guest --- */

static void reader_free(struct gp_reader *reader)
{
	if (reader->source != NULL) {
		wl_event_source_remove(reader->source);
	}
	reader->channel->reader_bytes -= br_stream_bytes(&reader->queue);
	reader->channel->n_pipes--;
	br_stream_finish(&reader->queue);
	br_sink_finish(&reader->sink);
	wl_list_remove(&reader->link);
	free(reader);
}

/* Count bytes as taken, and let the host send as many more. */
static void reader_taken(struct gp_reader *reader, size_t bytes)
{
	struct gp_channel *channel = reader->channel;
	reader->ungranted += (uint32_t)bytes;
	if (channel->transport->caps.extensions & XD_EXT_PIPE_CREDIT && !reader->ended &&
	    reader->ungranted >= BR_PIPE_WINDOW_BYTES / 4) {
		gp_channel_grant(channel, reader->id, reader->ungranted);
		reader->ungranted = 0;
	}
}

static void reader_consume(struct gp_reader *reader, size_t bytes)
{
	br_stream_consume(&reader->queue, bytes);
	reader->channel->reader_bytes -= bytes;
	reader_taken(reader, bytes);
}

/* Write what the pipe takes. Returns false if it is full. */
static bool reader_write(struct gp_reader *reader)
{
	while (!br_stream_empty(&reader->queue)) {
		size_t left = br_stream_bytes(&reader->queue);
		ssize_t n = (ssize_t)left;
		if (reader->sink.fd >= 0) {
			n = br_sink_write(&reader->sink, br_stream_peek(&reader->queue), left);
		}
		if (n == -EAGAIN) {
			return false;
		}
		if (n < 0) {
			br_sink_finish(&reader->sink);
			continue;
		}
		reader_consume(reader, (size_t)n);
	}
	return true;
}

static int handle_writable(int fd, uint32_t mask, void *data)
{
	struct gp_reader *reader = data;
	struct gp_channel *channel = reader->channel;
	(void)fd;
	(void)mask;
	if (reader_write(reader)) {
		wl_event_source_remove(reader->source);
		reader->source = NULL;
		if (reader->ended) {
			reader_free(reader);
		}
	}
	gp_channel_resume(channel);
	return 0;
}

int gp_reader_create_take(struct gp_channel *channel, uint32_t id, int *write_fd)
{
	if (channel->n_pipes >= BR_LIMIT_PIPES) {
		return -EMFILE;
	}
	struct gp_reader *reader = calloc(1, sizeof(*reader));
	if (reader == NULL) {
		return -ENOMEM;
	}
	*reader = (struct gp_reader){.channel = channel, .id = id};
	int ret = br_sink_init_take(&reader->sink, write_fd);
	if (ret < 0) {
		free(reader);
		return ret;
	}
	br_stream_init(&reader->queue, 2 * BR_LIMIT_PIPE_QUEUE_BYTES, 0);
	wl_list_insert(channel->readers.prev, &reader->link);
	channel->n_pipes++;
	return 0;
}

void gp_readers_grant(struct gp_channel *channel)
{
	struct gp_reader *reader;
	if (!(channel->transport->caps.extensions & XD_EXT_PIPE_CREDIT)) {
		return;
	}
	wl_list_for_each (reader, &channel->readers, link) {
		if (!reader->granted) {
			reader->granted = true;
			gp_channel_grant(channel, reader->id, BR_PIPE_WINDOW_BYTES);
		}
	}
}

static struct gp_reader *find_reader(struct gp_channel *channel, uint32_t id)
{
	struct gp_reader *reader;
	wl_list_for_each (reader, &channel->readers, link) {
		if (reader->id == id) {
			return reader;
		}
	}
	return NULL;
}

int gp_readers_handle(struct gp_channel *channel, const struct xd_read_write *head,
		      const uint8_t *bytes)
{
	struct gp_reader *reader = find_reader(channel, head->identifier);
	if (reader == NULL || reader->ended) {
		return -EPROTO;
	}
	if (br_stream_write(&reader->queue, bytes, head->opaque_data_size) < 0) {
		return -EPROTO;
	}
	channel->reader_bytes += head->opaque_data_size;
	reader->ended = head->hang_up != 0;
	if (reader->source != NULL) {
		return 0;
	}
	if (reader_write(reader)) {
		if (reader->ended) {
			reader_free(reader);
		}
		return 0;
	}
	reader->source = wl_event_loop_add_fd(channel->transport->loop, reader->sink.fd,
					      WL_EVENT_WRITABLE, handle_writable, reader);
	return reader->source != NULL ? 0 : -EPROTO;
}

/* --- guest to host --- */

static void writer_free(struct gp_writer *writer)
{
	if (writer->source != NULL) {
		wl_event_source_remove(writer->source);
	}
	br_fd_clear(&writer->fd);
	writer->channel->n_pipes--;
	wl_list_remove(&writer->link);
	free(writer);
}

/* The loop reports a hang-up even to those who wait for nothing: with a full window there is no source. */
static void writer_pause(struct gp_writer *writer)
{
	if (writer->source != NULL) {
		wl_event_source_remove(writer->source);
		writer->source = NULL;
	}
}

/* The host takes no more: the program is to get EPIPE, not to wait. */
static void writer_lose(struct gp_writer *writer)
{
	writer_pause(writer);
	br_fd_clear(&writer->fd);
	if (writer->in_flight == 0) {
		writer_free(writer);
	}
}

int gp_writers_handle_lost(struct gp_channel *channel, const struct xd_read_write *head)
{
	struct gp_writer *writer;
	if (head->identifier >= XD_FIRST_READ_PIPE_ID || head->hang_up == 0 ||
	    head->opaque_data_size != 0) {
		return -EPROTO;
	}
	/* One that has ended meanwhile is none. */
	wl_list_for_each (writer, &channel->writers, link) {
		if (writer->id == head->identifier) {
			writer_lose(writer);
			break;
		}
	}
	return 0;
}

static int send_write(struct gp_writer *writer, const uint8_t *bytes, size_t len);
static int writer_resume(struct gp_writer *writer);

static void handle_write_fence(void *data, int err)
{
	struct write_fence *fence = data;
	struct gp_writer *writer = fence->writer;
	writer->in_flight -= fence->bytes;
	free(fence);
	if (writer->channel->destroyed) {
		return;
	}
	bool goes_on = err == 0 && writer->fd >= 0;
	if (goes_on && writer->in_flight < BR_PIPE_WINDOW_BYTES) {
		goes_on = writer_resume(writer) == 0;
		if (!goes_on) {
			(void)send_write(writer, NULL, 0);
		}
	}
	if (!goes_on) {
		writer_lose(writer);
	}
}

static int send_write(struct gp_writer *writer, const uint8_t *bytes, size_t len)
{
	const struct xd_read_write head = {
		.hdr = {.cmd = XD_CMD_WRITE, .cmd_size = (uint16_t)(sizeof(head) + len)},
		.identifier = writer->id,
		.hang_up = len == 0,
		.opaque_data_size = (uint32_t)len,
	};
	struct write_fence *fence = NULL;
	if (len > 0) {
		fence = calloc(1, sizeof(*fence));
		if (fence == NULL) {
			return -ENOMEM;
		}
		*fence = (struct write_fence){.writer = writer, .bytes = (uint32_t)len};
	}
	const struct gp_command command = {
		.head = &head,
		.head_bytes = sizeof(head),
		.body = bytes,
		.body_bytes = len,
		.ring = gp_channel_pipe_ring(writer->channel, writer->id),
		.done = fence ? handle_write_fence : NULL,
		.data = fence,
	};
	int ret = gp_channel_submit(writer->channel, &command);
	if (ret < 0) {
		free(fence);
		return ret;
	}
	writer->in_flight += (uint32_t)len;
	return 0;
}

static int handle_readable(int fd, uint32_t mask, void *data)
{
	static uint8_t block[READ_BYTES];
	struct gp_writer *writer = data;
	const struct gp_transport_caps *caps = &writer->channel->transport->caps;
	size_t max = caps->causeway ? caps->max_cmd_bytes - sizeof(struct xd_read_write)
				    : XD_MAX_WRITE_COMPAT;
	(void)mask;
	ssize_t n = read(fd, block, max < sizeof(block) ? max : sizeof(block));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	/* A command that can't be sent ends the pipe; that of a lost connection ends anyway. */
	int ret = send_write(writer, block, n > 0 ? (size_t)n : 0);
	if (n <= 0 || ret < 0) {
		writer_lose(writer);
	} else if (writer->in_flight >= BR_PIPE_WINDOW_BYTES) {
		writer_pause(writer);
	}
	return 0;
}

static int writer_resume(struct gp_writer *writer)
{
	if (writer->source == NULL) {
		writer->source = wl_event_loop_add_fd(writer->channel->transport->loop, writer->fd,
						      WL_EVENT_READABLE, handle_readable, writer);
	}
	return writer->source != NULL ? 0 : -ENOMEM;
}

int gp_writer_create(struct gp_channel *channel, uint32_t id)
{
	int fds[2];
	if (channel->n_pipes >= BR_LIMIT_PIPES) {
		return -EMFILE;
	}
	struct gp_writer *writer = calloc(1, sizeof(*writer));
	if (writer == NULL) {
		return -ENOMEM;
	}
	if (pipe2(fds, O_CLOEXEC) < 0) {
		free(writer);
		return -errno;
	}
	/* Only our end: the program writes as it likes. */
	(void)br_fd_set_nonblock(fds[0]);
	*writer = (struct gp_writer){.channel = channel, .id = id, .fd = fds[0]};
	wl_list_insert(channel->writers.prev, &writer->link);
	channel->n_pipes++;
	if (writer_resume(writer) < 0) {
		writer_free(writer);
		br_fd_clear(&fds[1]);
		return -ENOMEM;
	}
	return fds[1];
}

void gp_pipes_finish(struct gp_channel *channel)
{
	struct gp_reader *reader, *tmp_reader;
	struct gp_writer *writer, *tmp_writer;
	wl_list_for_each_safe (reader, tmp_reader, &channel->readers, link) {
		reader_free(reader);
	}
	wl_list_for_each_safe (writer, tmp_writer, &channel->writers, link) {
		writer_free(writer);
	}
}
