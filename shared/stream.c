/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fd.h"

void br_stream_init(struct br_stream *s, size_t max_bytes, size_t max_handles)
{
	*s = (struct br_stream){.max_bytes = max_bytes, .max_handles = max_handles};
}

void br_stream_finish(struct br_stream *s)
{
	for (size_t i = s->handle_head; i < s->handle_tail; i++) {
		br_fd_clear(&s->handles[i].handle.fd);
	}
	free(s->handles);
	free(s->data);
	*s = (struct br_stream){0};
}

uint8_t *br_stream_reserve(struct br_stream *s, size_t len)
{
	size_t used = br_stream_bytes(s);
	if (len > s->max_bytes || used > s->max_bytes - len) {
		return NULL;
	}
	if (s->capacity - s->tail >= len && s->data != NULL) {
		return s->data + s->tail;
	}
	/* Moving pays only when it frees at least as much as it moves. */
	if (s->data != NULL && s->head >= used && s->capacity - used >= len) {
		memcpy(s->data, s->data + s->head, used);
	} else {
		size_t capacity = s->capacity ? s->capacity : 4096;
		while (capacity < used + len) {
			capacity *= 2;
		}
		uint8_t *data = malloc(capacity);
		if (data == NULL) {
			return NULL;
		}
		if (s->data != NULL) {
			memcpy(data, s->data + s->head, used);
		}
		free(s->data);
		s->data = data;
		s->capacity = capacity;
	}
	s->head = 0;
	s->tail = used;
	return s->data + s->tail;
}

int br_stream_write(struct br_stream *s, const void *bytes, size_t len)
{
	if (len == 0) {
		return 0;
	}
	uint8_t *at = br_stream_reserve(s, len);
	if (at == NULL) {
		return len > s->max_bytes - br_stream_bytes(s) ? -ENOSPC : -ENOMEM;
	}
	memcpy(at, bytes, len);
	br_stream_commit(s, len);
	return 0;
}

void br_stream_consume(struct br_stream *s, size_t len)
{
	assert(len <= br_stream_bytes(s));
	s->head += len;
	s->head_pos += len;
	if (s->head == s->tail) {
		s->head = s->tail = 0;
	}
}

static int handles_make_room(struct br_stream *s)
{
	size_t used = br_stream_handle_count(s);
	if (used >= s->max_handles) {
		return -ENOSPC;
	}
	if (s->handle_tail < s->handle_capacity) {
		return 0;
	}
	if (s->handle_head > used) {
		memcpy(s->handles, s->handles + s->handle_head, used * sizeof(*s->handles));
	} else {
		size_t capacity = s->handle_capacity ? s->handle_capacity * 2 : 8;
		struct br_stream_handle *handles = malloc(capacity * sizeof(*handles));
		if (handles == NULL) {
			return -ENOMEM;
		}
		if (used > 0) {
			memcpy(handles, s->handles + s->handle_head, used * sizeof(*handles));
		}
		free(s->handles);
		s->handles = handles;
		s->handle_capacity = capacity;
	}
	s->handle_head = 0;
	s->handle_tail = used;
	return 0;
}

int br_stream_push_handle_take(struct br_stream *s, struct br_handle *handle)
{
	int ret = handles_make_room(s);
	if (ret < 0) {
		return ret;
	}
	s->handles[s->handle_tail++] = (struct br_stream_handle){
		.handle = *handle,
		.pos = s->head_pos + br_stream_bytes(s),
	};
	handle->fd = -1;
	return 0;
}

bool br_stream_pop_handle(struct br_stream *s, struct br_handle *ret_handle)
{
	if (s->handle_head == s->handle_tail) {
		return false;
	}
	*ret_handle = s->handles[s->handle_head++].handle;
	return true;
}

void br_stream_unpop_handle_take(struct br_stream *s, struct br_handle *handle)
{
	/* Popping leaves the slot in front of the rest. */
	assert(s->handle_head > 0);
	s->handles[--s->handle_head] = (struct br_stream_handle){
		.handle = *handle,
		.pos = s->head_pos,
	};
	handle->fd = -1;
}

size_t br_stream_chunk(const struct br_stream *s, size_t max_bytes, size_t max_handles,
		       size_t *ret_handles)
{
	size_t bytes = br_stream_bytes(s) < max_bytes ? br_stream_bytes(s) : max_bytes;
	size_t n = 0;
	for (size_t i = s->handle_head; i < s->handle_tail; i++) {
		uint64_t pos = s->handles[i].pos;
		uint64_t offset = pos > s->head_pos ? pos - s->head_pos : 0;
		if (offset >= bytes) {
			break;
		}
		if (n == max_handles) {
			/* The next handle's message may start only behind this chunk. If that message
			 * is at the front, its first byte goes alone: it is not read before the rest
			 * of it is there. */
			bytes = offset > 0 ? (size_t)offset : 1;
			break;
		}
		n++;
	}
	*ret_handles = n;
	return bytes;
}
