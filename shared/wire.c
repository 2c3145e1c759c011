/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "br-tables.h"
#include "fd.h"
#include "limits.h"
#include "log.h"

/* A read position in one message; all sizes were checked against its end. */
struct cursor {
	const uint8_t *at, *end;
};

static bool take_word(struct cursor *cursor, uint32_t *ret)
{
	if (cursor->end - cursor->at < 4) {
		return false;
	}
	memcpy(ret, cursor->at, 4);
	cursor->at += 4;
	return true;
}

static bool take_bytes(struct cursor *cursor, uint32_t len, const uint8_t **ret)
{
	uint64_t padded = ((uint64_t)len + 3) & ~(uint64_t)3;
	if ((uint64_t)(cursor->end - cursor->at) < padded) {
		return false;
	}
	*ret = cursor->at;
	cursor->at += padded;
	return true;
}

static int fail(struct br_wire_error *error, uint32_t code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct br_wire_error *error, uint32_t code, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, args);
	va_end(args);
	error->code = code;
	return -EPROTO;
}

static enum br_side source_side(enum br_dir dir)
{
	return dir == BR_REQUEST ? BR_SIDE_CLIENT : BR_SIDE_SERVER;
}

static enum br_side target_side(enum br_dir dir)
{
	return dir == BR_REQUEST ? BR_SIDE_SERVER : BR_SIDE_CLIENT;
}

static const char *arg_iface_name(const struct br_arg_desc *desc)
{
	return desc->iface == BR_IFACE_ANY ? "any object" : br_ifaces[desc->iface].name;
}

static int decode_string(struct cursor *cursor, const struct br_arg_desc *desc, union br_arg *arg,
			 struct br_wire_error *error)
{
	uint32_t len;
	const uint8_t *bytes;
	if (!take_word(cursor, &len)) {
		return fail(error, BR_ERROR_INVALID_METHOD, "message too short");
	}
	if (len == 0) {
		arg->str.ptr = NULL;
		arg->str.len = 0;
		return desc->nullable ? 0 : fail(error, BR_ERROR_INVALID_METHOD, "string is null");
	}
	if (!take_bytes(cursor, len, &bytes)) {
		return fail(error, BR_ERROR_INVALID_METHOD, "string longer than its message");
	}
	if (bytes[len - 1] != '\0') {
		return fail(error, BR_ERROR_INVALID_METHOD, "string not NUL-terminated");
	}
	arg->str.ptr = (const char *)bytes;
	arg->str.len = (uint32_t)strlen(arg->str.ptr);
	return 0;
}

static int decode_array(struct cursor *cursor, union br_arg *arg, struct br_wire_error *error)
{
	const uint8_t *bytes;
	if (!take_word(cursor, &arg->array.len) || !take_bytes(cursor, arg->array.len, &bytes)) {
		return fail(error, BR_ERROR_INVALID_METHOD, "array longer than its message");
	}
	arg->array.ptr = bytes;
	return 0;
}

static int decode_object(struct br_object_table *table, enum br_dir dir, uint32_t id,
			 const struct br_arg_desc *desc, union br_arg *arg,
			 struct br_wire_error *error)
{
	arg->object = NULL;
	if (id == 0) {
		return desc->nullable ? 0 : fail(error, BR_ERROR_INVALID_METHOD, "object is null");
	}
	struct br_object *object = br_object_find(table, source_side(dir), id);
	if (object == NULL && desc->iface == BR_IFACE_ANY && dir == BR_EVENT) {
		return 0; /* wl_display.error about an object that is gone already */
	}
	if (object == NULL) {
		return fail(error, BR_ERROR_INVALID_METHOD, "unknown object %u", id);
	}
	if (desc->iface != BR_IFACE_ANY && object->iface != desc->iface) {
		return fail(error, BR_ERROR_INVALID_METHOD, "object %u is a %s, not a %s", id,
			    br_ifaces[object->iface].name, arg_iface_name(desc));
	}
	arg->object = object;
	return 0;
}

/* The untyped new id of wl_registry.bind follows its interface's name and version. */
static int bound_type(const struct br_msg *msg, unsigned index, uint16_t *ret_iface,
		      uint16_t *ret_version, struct br_wire_error *error)
{
	const char *name = msg->args[index - 2].str.ptr;
	uint32_t version = msg->args[index - 1].u;
	uint16_t iface = br_iface_find(name);
	/* Whether one of the kind was announced is for the hooks to see. */
	if (iface == BR_IFACE_ANY || br_ifaces[iface].safe_version == 0) {
		char text[64];
		return fail(error, BR_ERROR_INVALID_OBJECT, "interface %s is not offered",
			    br_log_escape(text, sizeof(text), name, strlen(name)));
	}
	if (version == 0 || version > br_ifaces[iface].safe_version) {
		return fail(error, BR_ERROR_INVALID_OBJECT, "%s version %u is not offered",
			    br_ifaces[iface].name, version);
	}
	*ret_iface = iface;
	*ret_version = (uint16_t)version;
	return 0;
}

/* A server's id that is used again frees the zombie that had it: not the one this message is about. */
static bool message_names(const struct br_msg *msg, unsigned n_args, const struct br_object *object)
{
	const struct br_arg_desc *desc = &br_args[msg->desc->first_arg];
	bool named = object == msg->object;
	for (unsigned i = 0; i < n_args; i++) {
		named = named || (desc[i].kind == BR_ARG_OBJECT && msg->args[i].object == object);
	}
	return named;
}

static int decode_new_id(struct br_object_table *table, const struct br_msg *msg, unsigned index,
			 uint32_t id, const struct br_arg_desc *desc, union br_arg *arg,
			 struct br_wire_error *error)
{
	uint16_t iface = desc->iface;
	uint16_t version = msg->object->version;
	if (iface == BR_IFACE_ANY) {
		int ret = bound_type(msg, index, &iface, &version, error);
		if (ret < 0) {
			return ret;
		}
	}
	struct br_object *old = br_object_find(table, source_side(msg->dir), id);
	if (old != NULL && message_names(msg, index, old)) {
		return fail(error, BR_ERROR_INVALID_METHOD, "invalid new id %u", id);
	}
	struct br_object *object = br_object_new(table, iface, version);
	if (object == NULL) {
		return fail(error, BR_ERROR_NO_MEMORY, "too many objects");
	}
	int ret = br_object_set_id(table, object, source_side(msg->dir), id);
	if (ret < 0) {
		br_object_forget(table, object);
		return ret == -ENOMEM
			       ? fail(error, BR_ERROR_NO_MEMORY, "out of memory")
			       : fail(error, BR_ERROR_INVALID_METHOD, "invalid new id %u", id);
	}
	arg->object = object;
	return 0;
}

static int decode_fd(struct br_stream *in, struct br_msg *msg, uint32_t *n_fds, union br_arg *arg,
		     struct br_wire_error *error)
{
	struct br_handle handle;
	if (!br_stream_pop_handle(in, &handle)) {
		return fail(error, BR_ERROR_INVALID_METHOD, "file descriptor missing");
	}
	handle.kind = msg->desc->fd_kind;
	arg->handle = *n_fds;
	msg->handles[(*n_fds)++] = handle;
	/* Only there the message itself can say where in a file the memory is. */
	if (handle.offset != 0 && handle.kind != BR_FD_SHM && handle.kind != BR_FD_DMABUF) {
		return fail(error, BR_ERROR_INVALID_METHOD,
			    "memory in the host's window is only for buffers");
	}
	return 0;
}

static int decode_args(struct br_object_table *table, struct br_stream *in, struct br_msg *msg,
		       struct cursor *cursor, struct br_wire_error *error)
{
	uint32_t n_fds = 0, word;
	assert(msg->desc != NULL); /* decode_target() has found it */
	const struct br_arg_desc *desc = &br_args[msg->desc->first_arg];
	for (unsigned i = 0; i < msg->desc->n_args; i++, desc++) {
		union br_arg *arg = &msg->args[i];
		int ret = 0;
		if (desc->kind == BR_ARG_STRING) {
			ret = decode_string(cursor, desc, arg, error);
		} else if (desc->kind == BR_ARG_ARRAY) {
			ret = decode_array(cursor, arg, error);
		} else if (desc->kind == BR_ARG_FD) {
			ret = decode_fd(in, msg, &n_fds, arg, error);
		} else if (!take_word(cursor, &word)) {
			ret = fail(error, BR_ERROR_INVALID_METHOD, "message too short");
		} else if (desc->kind == BR_ARG_OBJECT) {
			ret = decode_object(table, msg->dir, word, desc, arg, error);
		} else if (desc->kind == BR_ARG_NEW_ID) {
			ret = decode_new_id(table, msg, i, word, desc, arg, error);
		} else {
			arg->u = word;
		}
		if (ret < 0) {
			return ret;
		}
	}
	if (cursor->at != cursor->end) {
		return fail(error, BR_ERROR_INVALID_METHOD, "message too long");
	}
	return 0;
}

static const struct br_msg_desc *find_desc(const struct br_object *object, enum br_dir dir,
					   uint16_t opcode)
{
	const struct br_iface *iface = &br_ifaces[object->iface];
	uint16_t first = dir == BR_REQUEST ? iface->first_req : iface->first_evt;
	uint16_t count = dir == BR_REQUEST ? iface->n_req : iface->n_evt;
	return opcode < count ? &br_msgs[first + opcode] : NULL;
}

static int decode_target(struct br_object_table *table, struct br_msg *msg, uint32_t id,
			 struct br_wire_error *error)
{
	msg->object = br_object_find(table, source_side(msg->dir), id);
	error->object = msg->object;
	if (msg->object == NULL) {
		return fail(error, BR_ERROR_INVALID_OBJECT, "invalid object %u", id);
	}
	msg->desc = find_desc(msg->object, msg->dir, msg->opcode);
	if (msg->desc == NULL) {
		return fail(error, BR_ERROR_INVALID_METHOD, "invalid method %u", msg->opcode);
	}
	if (msg->desc->since > msg->object->version) {
		return fail(error, BR_ERROR_INVALID_METHOD, "%s needs version %u, this is %u",
			    msg->desc->name, msg->desc->since, msg->object->version);
	}
	return 0;
}

int br_wire_decode(struct br_object_table *table, enum br_dir dir, struct br_stream *in,
		   struct br_msg *msg, size_t *ret_size, struct br_wire_error *error)
{
	uint32_t header[2];
	if (br_stream_bytes(in) < sizeof(header)) {
		return 0;
	}
	const uint8_t *bytes = br_stream_peek(in);
	memcpy(header, bytes, sizeof(header));
	size_t size = header[1] >> 16;
	msg->dir = dir;
	msg->opcode = header[1] & 0xffff;
	msg->desc = NULL;
	msg->object = NULL;
	for (unsigned i = 0; i < BR_MAX_MSG_FDS; i++) {
		msg->handles[i] = (struct br_handle){.fd = -1};
	}
	error->object = NULL;
	if (size < sizeof(header) || size % 4 != 0) {
		return fail(error, BR_ERROR_INVALID_METHOD, "message of %zu bytes to object %u",
			    size, header[0]);
	}
	if (br_stream_bytes(in) < size) {
		return 0;
	}
	struct cursor cursor = {bytes + sizeof(header), bytes + size};
	/* So that after a failure halfway no argument is taken for a new object. */
	memset(msg->args, 0, sizeof(msg->args));
	int ret = decode_target(table, msg, header[0], error);
	if (ret == 0) {
		ret = decode_args(table, in, msg, &cursor, error);
	}
	if (ret < 0) {
		br_msg_finish(msg);
		return ret;
	}
	*ret_size = size;
	return 1;
}

void br_wire_undo(struct br_object_table *table, struct br_stream *in, struct br_msg *msg)
{
	const struct br_arg_desc *desc = &br_args[msg->desc->first_arg];
	for (unsigned i = 0; i < msg->desc->n_args; i++, desc++) {
		if (desc->kind == BR_ARG_NEW_ID) {
			br_object_forget(table, msg->args[i].object);
		}
	}
	for (unsigned i = msg->desc->n_fds; i-- > 0;) {
		br_stream_unpop_handle_take(in, &msg->handles[i]);
	}
}

static size_t arg_bytes(const struct br_arg_desc *desc, const union br_arg *arg)
{
	switch (desc->kind) {
	case BR_ARG_FD:
		return 0;
	case BR_ARG_STRING:
		return arg->str.ptr == NULL ? 4 : 4 + (((size_t)arg->str.len + 4) & ~(size_t)3);
	case BR_ARG_ARRAY:
		return 4 + (((size_t)arg->array.len + 3) & ~(size_t)3);
	default:
		return 4;
	}
}

static uint8_t *put_word(uint8_t *at, uint32_t word)
{
	memcpy(at, &word, 4);
	return at + 4;
}

/* padded: the length with its padding; what is behind len bytes is zero. */
static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t len, size_t padded)
{
	memset(at + (padded & ~(size_t)3) - 4, 0, padded >= 4 ? 4 : 0);
	if (len > 0) {
		memcpy(at, bytes, len);
	}
	return at + padded;
}

static uint8_t *put_arg(uint8_t *at, const struct br_arg_desc *desc, const union br_arg *arg,
			enum br_side side)
{
	size_t rest = arg_bytes(desc, arg) - 4;
	switch (desc->kind) {
	case BR_ARG_FD:
		return at;
	case BR_ARG_STRING:
		at = put_word(at, arg->str.ptr == NULL ? 0 : arg->str.len + 1);
		return rest == 0 ? at : put_bytes(at, arg->str.ptr, arg->str.len, rest);
	case BR_ARG_ARRAY:
		at = put_word(at, arg->array.len);
		return rest == 0 ? at : put_bytes(at, arg->array.ptr, arg->array.len, rest);
	case BR_ARG_OBJECT:
	case BR_ARG_NEW_ID:
		return put_word(at, arg->object ? br_object_id(arg->object, side) : 0);
	default:
		return put_word(at, arg->u);
	}
}

/* Measure, give new objects their ids, queue the handles. */
static int prepare(struct br_object_table *table, struct br_stream *out, struct br_msg *msg,
		   size_t *ret_size)
{
	enum br_side side = target_side(msg->dir);
	const struct br_arg_desc *desc = &br_args[msg->desc->first_arg];
	size_t size = BR_WIRE_HEADER_BYTES;
	for (unsigned i = 0; i < msg->desc->n_args; i++, desc++) {
		union br_arg *arg = &msg->args[i];
		int ret = 0;
		size += arg_bytes(desc, arg);
		if (desc->kind == BR_ARG_NEW_ID && br_object_id(arg->object, side) == 0) {
			ret = br_object_alloc_id(table, arg->object, side);
		} else if (desc->kind == BR_ARG_FD) {
			const struct br_handle *handle = &msg->handles[arg->handle];
			bool sendable =
				handle->fd >= 0 || (out->takes_resources && handle->res_id != 0);
			ret = sendable ? br_stream_push_handle_take(out, &msg->handles[arg->handle])
				       : -EBADF;
		}
		if (ret < 0) {
			return ret;
		}
	}
	*ret_size = size;
	return size > BR_LIMIT_MSG_BYTES ? -EMSGSIZE : 0;
}

int br_wire_encode(struct br_object_table *table, struct br_stream *out, struct br_msg *msg)
{
	enum br_side side = target_side(msg->dir);
	size_t size;
	int ret = prepare(table, out, msg, &size);
	if (ret < 0) {
		return ret;
	}
	uint8_t *at = br_stream_reserve(out, size);
	if (at == NULL) {
		return -ENOSPC;
	}
	at = put_word(at, br_object_id(msg->object, side));
	at = put_word(at, (uint32_t)size << 16 | msg->opcode);
	const struct br_arg_desc *desc = &br_args[msg->desc->first_arg];
	for (unsigned i = 0; i < msg->desc->n_args; i++, desc++) {
		at = put_arg(at, desc, &msg->args[i], side);
	}
	br_stream_commit(out, size);
	return 0;
}

void br_msg_finish(struct br_msg *msg)
{
	for (unsigned i = 0; i < BR_MAX_MSG_FDS; i++) {
		br_fd_clear(&msg->handles[i].fd);
	}
}
