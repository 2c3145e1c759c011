/* SPDX-License-Identifier: MIT */
#include "relay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "br-tables.h"
#include "limits.h"
#include "log.h"
#include "object.h"
#include "trace.h"
#include "wire.h"

struct br_relay {
	struct br_relay_config config;
	struct br_object_table objects;
	struct br_object *display;
	struct br_stream input[2], output[2]; /* enum br_dir */
	bool paused[2];
	bool failed;
};

static enum br_side target_side(enum br_dir dir)
{
	return dir == BR_REQUEST ? BR_SIDE_SERVER : BR_SIDE_CLIENT;
}

struct br_relay *br_relay_create(const struct br_relay_config *config)
{
	struct br_relay *relay = calloc(1, sizeof(*relay));
	if (relay == NULL) {
		return NULL;
	}
	relay->config = *config;
	br_objects_init(&relay->objects, relay);
	for (int dir = 0; dir < 2; dir++) {
		br_stream_init(&relay->input[dir], BR_LIMIT_IN_BYTES, BR_LIMIT_IN_FDS);
		br_stream_init(&relay->output[dir], BR_LIMIT_OUT_BYTES, BR_LIMIT_OUT_FDS);
	}
	relay->display = br_object_new(&relay->objects, BR_IFACE_WL_DISPLAY, 1);
	if (relay->display == NULL ||
	    br_object_set_id(&relay->objects, relay->display, BR_SIDE_CLIENT, 1) < 0 ||
	    br_object_alloc_id(&relay->objects, relay->display, BR_SIDE_SERVER) < 0) {
		br_relay_destroy(relay);
		return NULL;
	}
	return relay;
}

void br_relay_destroy(struct br_relay *relay)
{
	if (relay == NULL) {
		return;
	}
	br_objects_finish(&relay->objects);
	for (int dir = 0; dir < 2; dir++) {
		br_stream_finish(&relay->input[dir]);
		br_stream_finish(&relay->output[dir]);
	}
	free(relay);
}

void *br_relay_data(const struct br_relay *relay)
{
	return relay->config.data;
}

uint32_t br_relay_client_number(const struct br_relay *relay)
{
	return relay->config.client_number;
}

struct br_stream *br_relay_input(struct br_relay *relay, enum br_dir dir)
{
	return &relay->input[dir];
}

struct br_stream *br_relay_output(struct br_relay *relay, enum br_dir dir)
{
	return &relay->output[dir];
}

bool br_relay_congested(struct br_relay *relay, enum br_dir dir)
{
	const struct br_stream *out = &relay->output[dir];
	return br_stream_bytes(out) > BR_HIGH_WATER_BYTES ||
	       br_stream_handle_count(out) > BR_HIGH_WATER_FDS;
}

bool br_relay_failed(const struct br_relay *relay)
{
	return relay->failed;
}

void br_relay_resume(struct br_relay *relay, enum br_dir dir)
{
	relay->paused[dir] = false;
}

static struct br_object *find_live(struct br_relay *relay, enum br_side side, uint32_t id)
{
	struct br_object *object = br_object_find(&relay->objects, side, id);
	return object != NULL && object->state != BR_OBJECT_ZOMBIE ? object : NULL;
}

struct br_object *br_relay_client_object(struct br_relay *relay, uint32_t client_id)
{
	return find_live(relay, BR_SIDE_CLIENT, client_id);
}

struct br_object *br_relay_server_object(struct br_relay *relay, uint32_t server_id)
{
	return find_live(relay, BR_SIDE_SERVER, server_id);
}

struct br_object *br_relay_create_server_object(struct br_relay *relay, uint16_t iface,
						uint16_t version)
{
	return br_object_new(&relay->objects, iface, version);
}

/* Stop the relay without a word to the client. */
static void stop(struct br_relay *relay, const char *text)
{
	if (relay->failed) {
		return;
	}
	relay->failed = true;
	if (relay->config.ops != NULL && relay->config.ops->failed != NULL) {
		relay->config.ops->failed(relay, text);
	}
}

static void queue_error(struct br_relay *relay, struct br_object *object, uint32_t code,
			const char *text)
{
	struct br_msg msg = {
		.object = relay->display,
		.dir = BR_EVENT,
		.opcode = BR_EVT_WL_DISPLAY_ERROR,
		.desc = &br_msgs[br_ifaces[BR_IFACE_WL_DISPLAY].first_evt +
				 BR_EVT_WL_DISPLAY_ERROR],
		.handles = {{.fd = -1}, {.fd = -1}},
	};
	msg.args[0].object = object;
	msg.args[1].u = code;
	msg.args[2].str.ptr = text;
	msg.args[2].str.len = (uint32_t)strlen(text);
	br_trace_msg(relay, &msg, "");
	/* Without room for the error the client still gets the hang-up. */
	(void)br_wire_encode(&relay->objects, &relay->output[BR_EVENT], &msg);
}

void br_relay_client_error(struct br_relay *relay, struct br_object *object, uint32_t code,
			   const char *fmt, ...)
{
	char text[384], line[512];
	va_list args;
	if (relay->failed) {
		return;
	}
	if (object == NULL || object->client_id == 0) {
		object = relay->display;
	}
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	queue_error(relay, object, code, text);
	snprintf(line, sizeof(line), "client=%u %s@%u: %s", relay->config.client_number,
		 br_ifaces[object->iface].name, object->client_id, text);
	stop(relay, line);
}

void br_relay_refused(struct br_relay *relay, const char *fmt, ...)
{
	char text[384];
	va_list args;
	if (relay->config.ops == NULL || relay->config.ops->refused == NULL) {
		return;
	}
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	relay->config.ops->refused(relay, text);
}

/* A message that its sender got wrong. The client hears of it in any case: it can't go on. The error
 * is on wl_display, whose codes these are; the text names the object. */
static void bad_message(struct br_relay *relay, const struct br_msg *msg,
			const struct br_wire_error *error)
{
	const char *iface = error->object ? br_ifaces[error->object->iface].name : "unknown";
	uint32_t id = error->object ? error->object->client_id : 0;
	const char *name = msg->desc != NULL ? msg->desc->name : "?";
	if (msg->dir == BR_REQUEST) {
		/* A bad bind is reported on the registry, as libwayland does. */
		br_relay_client_error(relay,
				      error->code == BR_ERROR_INVALID_OBJECT ? error->object : NULL,
				      error->code, "%s@%u.%s: %s", iface, id, name, error->text);
	} else {
		br_relay_client_error(relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "bad event %s@%u.%s from the server: %s", iface, id, name,
				      error->text);
	}
}

static void send_delete_id(struct br_relay *relay, uint32_t client_id)
{
	const union br_arg arg = {.u = client_id};
	(void)br_relay_send(relay, BR_EVENT, relay->display, BR_EVT_WL_DISPLAY_DELETE_ID, &arg,
			    NULL);
}

/* The object's last message has passed. Ids that nobody will mention again are free at once: those
 * in the server's range towards the client, and those of objects which the other side never had. */
static void retire(struct br_relay *relay, struct br_object *object)
{
	object->state = BR_OBJECT_ZOMBIE;
	br_object_run_destroy(&relay->objects, object);
	if (object->client_id >= BR_SERVER_ID_START) {
		if (br_object_release_id(&relay->objects, object, BR_SIDE_CLIENT)) {
			return;
		}
	}
	/* No server says when one of its own ids is free: see br_relay_adopt(). */
	bool server_is_silent = object->server_id == 0 || object->server_id >= BR_SERVER_ID_START;
	if (server_is_silent && object->client_id != 0) {
		send_delete_id(relay, object->client_id);
		br_object_release_id(&relay->objects, object, BR_SIDE_CLIENT);
	}
}

/* wl_display.delete_id: the server has forgotten the object. */
static void handle_delete_id(struct br_relay *relay, uint32_t server_id)
{
	struct br_object *object = br_object_find(&relay->objects, BR_SIDE_SERVER, server_id);
	if (object == NULL || object == relay->display || server_id >= BR_SERVER_ID_START) {
		br_relay_client_error(relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "bad delete_id %u from the server", server_id);
		return;
	}
	object->state = BR_OBJECT_ZOMBIE;
	if (object->client_id != 0) {
		send_delete_id(relay, object->client_id);
		br_object_release_id(&relay->objects, object, BR_SIDE_CLIENT);
	}
	br_object_release_id(&relay->objects, object, BR_SIDE_SERVER);
}

/* Objects that the message would have made where it is not going. */
static void strand_new_objects(struct br_relay *relay, struct br_msg *msg)
{
	const struct br_arg_desc *desc = &br_args[msg->desc->first_arg];
	for (unsigned i = 0; i < msg->desc->n_args; i++, desc++) {
		if (desc->kind != BR_ARG_NEW_ID) {
			continue;
		}
		struct br_object *object = msg->args[i].object;
		if (br_object_id(object, target_side(msg->dir)) != 0) {
			continue; /* a hook sent it in a message of its own */
		}
		if (msg->dir == BR_REQUEST) {
			object->state =
				object->state == BR_OBJECT_OURS ? BR_OBJECT_OURS : BR_OBJECT_INERT;
		} else if (object->event == NULL) {
			object->state = BR_OBJECT_ZOMBIE;
			br_object_run_destroy(&relay->objects, object);
		}
	}
}

/* What an object argument becomes on the other side: itself; null; or the message can't go. A hole
 * comes from objects that the other side never had (inert) or has forgotten. */
static bool arguments_fit(const struct br_msg *msg)
{
	enum br_side side = target_side(msg->dir);
	const struct br_arg_desc *desc = &br_args[msg->desc->first_arg];
	for (unsigned i = 0; i < msg->desc->n_args; i++, desc++) {
		const struct br_object *object = msg->args[i].object;
		if (desc->kind == BR_ARG_OBJECT && object != NULL && !desc->nullable &&
		    br_object_id(object, side) == 0) {
			return false;
		}
	}
	return true;
}

/* A request may not name what its own client has destroyed. */
static bool names_zombie(const struct br_msg *msg, uint32_t *ret_id)
{
	const struct br_arg_desc *desc = &br_args[msg->desc->first_arg];
	for (unsigned i = 0; i < msg->desc->n_args; i++, desc++) {
		const struct br_object *object = msg->args[i].object;
		if (desc->kind == BR_ARG_OBJECT && object != NULL &&
		    object->state == BR_OBJECT_ZOMBIE) {
			*ret_id = object->client_id;
			return true;
		}
	}
	return false;
}

static void report_server_error(struct br_relay *relay, const struct br_msg *msg)
{
	char escaped[256], text[512];
	const struct br_object *object = msg->args[0].object;
	br_log_escape(escaped, sizeof(escaped), msg->args[2].str.ptr, msg->args[2].str.len);
	snprintf(text, sizeof(text), "client=%u %s@%u: error %u: %s", relay->config.client_number,
		 br_ifaces[object->iface].name, object->client_id, msg->args[1].u, escaped);
	relay->failed = true;
	if (relay->config.ops != NULL && relay->config.ops->server_error != NULL) {
		relay->config.ops->server_error(relay, text);
	}
}

/* wl_display.error is on its way to the client: name an object that the client has. */
static void redirect_error(struct br_relay *relay, struct br_msg *msg)
{
	if (msg->args[0].object == NULL || msg->args[0].object->client_id == 0) {
		msg->args[0].object = relay->display;
	}
}

static void encode(struct br_relay *relay, struct br_msg *msg)
{
	int ret = br_wire_encode(&relay->objects, &relay->output[msg->dir], msg);
	if (ret < 0) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
				      "%s@%u.%s can't be relayed: %s",
				      br_ifaces[msg->object->iface].name, msg->object->client_id,
				      msg->desc->name, strerror(-ret));
	}
}

static enum br_verdict run_hook(struct br_relay *relay, struct br_msg *msg)
{
	if (msg->desc->policy == BR_POLICY_DENY) {
		if (msg->dir == BR_REQUEST) {
			br_relay_client_error(relay, NULL, BR_ERROR_IMPLEMENTATION,
					      "%s@%u.%s can't be carried to the host",
					      br_ifaces[msg->object->iface].name,
					      msg->object->client_id, msg->desc->name);
		}
		return BR_DROP;
	}
	if (relay->config.hooks == NULL || relay->config.hooks[msg->desc->hook] == NULL) {
		return BR_FORWARD;
	}
	return relay->config.hooks[msg->desc->hook](relay, msg);
}

static bool passes(struct br_relay *relay, struct br_msg *msg)
{
	const struct br_relay_ops *ops = relay->config.ops;
	return ops == NULL || ops->passes == NULL || relay->failed || ops->passes(relay, msg);
}

/* Decide on a valid message. BR_DROP also stands for "dealt with". */
static enum br_verdict judge(struct br_relay *relay, struct br_msg *msg)
{
	uint32_t id = 0;
	if (msg->object->state == BR_OBJECT_ZOMBIE) {
		if (msg->dir == BR_REQUEST && msg->object->client_id < BR_SERVER_ID_START) {
			br_relay_client_error(relay, NULL, BR_ERROR_INVALID_OBJECT,
					      "%s on destroyed object %u", msg->desc->name,
					      msg->object->client_id);
		}
		return BR_DROP;
	}
	if (msg->dir == BR_REQUEST && names_zombie(msg, &id)) {
		br_relay_client_error(relay, NULL, BR_ERROR_INVALID_METHOD,
				      "%s@%u.%s names destroyed object %u",
				      br_ifaces[msg->object->iface].name, msg->object->client_id,
				      msg->desc->name, id);
		return BR_DROP;
	}
	if (msg->object->state == BR_OBJECT_INERT) {
		return BR_DROP;
	}
	if (msg->dir == BR_EVENT && msg->object->client_id == 0) {
		if (msg->object->event != NULL) {
			msg->object->event(relay, msg->object, msg);
		}
		return BR_DROP;
	}
	enum br_verdict verdict = run_hook(relay, msg);
	if (verdict == BR_FORWARD && (br_object_id(msg->object, target_side(msg->dir)) == 0 ||
				      !arguments_fit(msg) || !passes(relay, msg))) {
		verdict = BR_DROP;
	}
	return verdict;
}

/* The two events of wl_display, which are about the ids themselves. True if msg was one. */
static bool relay_display_event(struct br_relay *relay, struct br_msg *msg)
{
	if (msg->object != relay->display || msg->dir != BR_EVENT) {
		return false;
	}
	if (msg->opcode == BR_EVT_WL_DISPLAY_DELETE_ID) {
		br_trace_msg(relay, msg, "received");
		handle_delete_id(relay, msg->args[0].u);
	} else {
		redirect_error(relay, msg);
		br_trace_msg(relay, msg, "");
		encode(relay, msg);
		report_server_error(relay, msg);
	}
	return true;
}

/* Relay one message. Returns false when there is no whole one, or the direction stands still. */
static bool relay_one(struct br_relay *relay, enum br_dir dir)
{
	struct br_stream *in = &relay->input[dir];
	struct br_msg msg;
	struct br_wire_error error;
	size_t size;
	int ret = br_wire_decode(&relay->objects, dir, in, &msg, &size, &error);
	if (ret <= 0) {
		if (ret < 0) {
			bad_message(relay, &msg, &error);
		}
		return false;
	}
	if (!relay_display_event(relay, &msg)) {
		enum br_verdict verdict = judge(relay, &msg);
		if (verdict == BR_AGAIN) {
			br_wire_undo(&relay->objects, in, &msg);
			relay->paused[dir] = true;
			return false;
		}
		br_trace_msg(relay, &msg, verdict == BR_FORWARD ? "" : "not forwarded");
		if (verdict == BR_FORWARD && !relay->failed) {
			encode(relay, &msg);
		} else {
			strand_new_objects(relay, &msg);
		}
		/* A hook may have sent the destructor itself. */
		if (msg.desc->flags & BR_MSG_DESTRUCTOR && msg.object->state != BR_OBJECT_ZOMBIE) {
			retire(relay, msg.object);
		}
	}
	br_msg_finish(&msg);
	br_stream_consume(in, size);
	return true;
}

static void empty(struct br_stream *stream)
{
	size_t max_bytes = stream->max_bytes, max_handles = stream->max_handles;
	bool takes_resources = stream->takes_resources;
	br_stream_finish(stream);
	br_stream_init(stream, max_bytes, max_handles);
	stream->takes_resources = takes_resources;
}

void br_relay_reset_server(struct br_relay *relay)
{
	empty(&relay->input[BR_EVENT]);
	empty(&relay->output[BR_REQUEST]);
	br_objects_forget_server(&relay->objects, send_delete_id);
	/* The first id of a new connection. */
	(void)br_object_alloc_id(&relay->objects, relay->display, BR_SIDE_SERVER);
}

void br_relay_each(struct br_relay *relay, void (*visit)(struct br_object *object, void *data),
		   void *data)
{
	br_objects_each(&relay->objects, visit, data);
}

int br_relay_dispatch(struct br_relay *relay, enum br_dir dir)
{
	while (!relay->failed && !relay->paused[dir] && !br_relay_congested(relay, dir)) {
		if (!relay_one(relay, dir)) {
			break;
		}
	}
	return relay->failed ? -EPROTO : 0;
}

struct br_object *br_relay_bind(struct br_relay *relay, struct br_object *registry, uint32_t name,
				uint16_t iface, uint16_t version)
{
	struct br_object *object = br_relay_create_server_object(relay, iface, version);
	if (object == NULL) {
		return NULL;
	}
	const char *text = br_ifaces[iface].name;
	const union br_arg args[] = {
		{.u = name},
		{.str = {.ptr = text, .len = (uint32_t)strlen(text)}},
		{.u = version},
		{.object = object},
	};
	return br_relay_send(relay, BR_REQUEST, registry, BR_REQ_WL_REGISTRY_BIND, args, NULL) < 0
		       ? NULL
		       : object;
}

void br_relay_forget(struct br_relay *relay, struct br_object *object)
{
	br_object_run_destroy(&relay->objects, object);
	br_object_forget(&relay->objects, object);
}

int br_relay_adopt(struct br_relay *relay, struct br_object *object, uint32_t server_id)
{
	struct br_object *made = br_object_find(&relay->objects, BR_SIDE_SERVER, server_id);
	if (made == NULL || made->state != BR_OBJECT_ZOMBIE || made->client_id != 0 ||
	    server_id < BR_SERVER_ID_START) {
		return -ENOENT;
	}
	/* It gives way as to a reuse by the server. */
	return br_object_set_id(&relay->objects, object, BR_SIDE_SERVER, server_id);
}

/** Data of a callback of our own. */
struct sync {
	void (*done)(struct br_relay *relay, void *data);
	void *data;
};

static void handle_sync_destroy(struct br_relay *relay, struct br_object *object)
{
	(void)relay;
	free(object->data);
	object->data = NULL;
}

static void handle_sync_done(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	const struct sync *sync = object->data;
	(void)msg;
	sync->done(relay, sync->data);
}

int br_relay_sync(struct br_relay *relay, void (*done)(struct br_relay *relay, void *data),
		  void *data)
{
	struct br_object *callback = br_relay_create_server_object(relay, BR_IFACE_WL_CALLBACK, 1);
	struct sync *sync = malloc(sizeof(*sync));
	if (callback == NULL || sync == NULL) {
		free(sync);
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return -ENOMEM;
	}
	*sync = (struct sync){.done = done, .data = data};
	callback->data = sync;
	callback->destroy = handle_sync_destroy;
	callback->event = handle_sync_done;
	const union br_arg arg = {.object = callback};
	return br_relay_send(relay, BR_REQUEST, relay->display, BR_REQ_WL_DISPLAY_SYNC, &arg, NULL);
}

int br_relay_send(struct br_relay *relay, enum br_dir dir, struct br_object *object,
		  uint16_t opcode, const union br_arg *args, struct br_handle *handles)
{
	const struct br_iface *iface = &br_ifaces[object->iface];
	uint16_t first = dir == BR_REQUEST ? iface->first_req : iface->first_evt;
	struct br_msg msg = {
		.object = object,
		.dir = dir,
		.opcode = opcode,
		.desc = &br_msgs[first + opcode],
		.handles = {{.fd = -1}, {.fd = -1}},
	};
	if (relay->failed) {
		return -EPROTO;
	}
	if (msg.desc->n_args > 0) {
		memcpy(msg.args, args, msg.desc->n_args * sizeof(*args));
	}
	uint32_t n_fds = 0;
	const struct br_arg_desc *desc = &br_args[msg.desc->first_arg];
	for (unsigned i = 0; i < msg.desc->n_args; i++, desc++) {
		if (desc->kind == BR_ARG_FD) {
			msg.args[i].handle = n_fds;
			/* Who sends fds has handles. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
			msg.handles[n_fds] = handles[n_fds];
			handles[n_fds++].fd = -1;
		}
	}
	if (br_object_id(object, target_side(dir)) == 0 ||
	    (dir == BR_REQUEST && !passes(relay, &msg))) {
		br_msg_finish(&msg);
		return 0;
	}
	br_trace_msg(relay, &msg, "own");
	int ret = br_wire_encode(&relay->objects, &relay->output[dir], &msg);
	br_msg_finish(&msg);
	if (ret < 0) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "%s can't be sent: %s",
				      msg.desc->name, strerror(-ret));
		return ret;
	}
	if (msg.desc->flags & BR_MSG_DESTRUCTOR) {
		retire(relay, object);
	}
	return 0;
}
