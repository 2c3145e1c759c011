/* SPDX-License-Identifier: MIT
 *
 * A queue of Wayland bytes and the handles that travel with them. Between endpoints (sockets,
 * channels) and the relay there are four per client: in and out, in each direction.
 */
#ifndef BR_STREAM_H
#define BR_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Something that travels as an fd on a Wayland socket. */
struct br_handle {
	int fd;		 /* owned by whoever holds the handle; -1: only res_id counts */
	uint8_t kind;	 /* enum br_fd_kind; BR_FD_NONE until the relay knows it */
	uint32_t res_id; /* guest to host: an existing virtio-gpu resource instead of fd; else 0 */
	uint64_t
		offset; /* where in the fd's file the memory starts; only that of wl_shm pools and dma-bufs
			  * may be elsewhere than at 0 */
	uint64_t bytes; /* that the memory has from there on; 0: the rest of the file */
};

/** A handle in a queue. */
struct br_stream_handle {
	struct br_handle handle;
	uint64_t pos; /* stream position (bytes since creation) of the message that it belongs to */
};

/** Contiguous bytes [head, tail) of data, and handles [handle_head, handle_tail). Owns both. All
 * zero is a valid empty stream but for the limits: use br_stream_init(). */
struct br_stream {
	uint8_t *data;
	size_t head, tail, capacity; /* bytes */
	uint64_t head_pos;	     /* stream position of data[head] */
	struct br_stream_handle *handles;
	size_t handle_head, handle_tail, handle_capacity;
	size_t max_bytes, max_handles;
	bool takes_resources; /* handles may be without an fd, if they have a res_id */
};

/** Prepare an empty stream that refuses to hold more than the limits. */
void br_stream_init(struct br_stream *s, size_t max_bytes, size_t max_handles);

/** Free the bytes, close the handles, and leave a zeroed stream. */
void br_stream_finish(struct br_stream *s);

static inline size_t br_stream_bytes(const struct br_stream *s)
{
	return s->tail - s->head;
}

static inline size_t br_stream_handle_count(const struct br_stream *s)
{
	return s->handle_tail - s->handle_head;
}

static inline bool br_stream_empty(const struct br_stream *s)
{
	return s->head == s->tail;
}

/** Get room for len bytes behind the queued ones, moving and growing as needed.
 * Returns where to write, valid until the next call on s; NULL if the limit or memory is out.
 * The bytes count only after br_stream_commit(). */
uint8_t *br_stream_reserve(struct br_stream *s, size_t len);

/** Count len bytes, written at the place that br_stream_reserve() returned, as queued. */
static inline void br_stream_commit(struct br_stream *s, size_t len)
{
	s->tail += len;
}

/** Append bytes. Returns 0, -ENOSPC at the limit, -ENOMEM. */
int br_stream_write(struct br_stream *s, const void *bytes, size_t len);

/** The queued bytes; valid until the next call that adds to s. */
static inline const uint8_t *br_stream_peek(const struct br_stream *s)
{
	return s->data + s->head;
}

/** Drop len queued bytes from the front; len is at most br_stream_bytes(). */
void br_stream_consume(struct br_stream *s, size_t len);

/** Append a handle for the message that starts at the current end of the bytes (write the handles
 * of a message before its bytes). Takes the fd: handle->fd becomes -1 on success, and stays the
 * caller's on failure. Returns 0, -ENOSPC at the limit, -ENOMEM. */
int br_stream_push_handle_take(struct br_stream *s, struct br_handle *handle);

/** Move the oldest handle out. Returns false if there is none. */
bool br_stream_pop_handle(struct br_stream *s, struct br_handle *ret_handle);

/** Put the handle back that br_stream_pop_handle() gave last, in front of all others; it belongs to the
 * message at the front of the bytes. Takes the fd; can't fail. */
void br_stream_unpop_handle_take(struct br_stream *s, struct br_handle *handle);

/** Find how much can be sent in one go with at most max_handles handles and max_bytes bytes: the
 * handles must not arrive later than their message. Returns bytes; the number of handles that go
 * with them in *ret_handles. Is 0 only for an empty stream. */
size_t br_stream_chunk(const struct br_stream *s, size_t max_bytes, size_t max_handles,
		       size_t *ret_handles);

#endif
