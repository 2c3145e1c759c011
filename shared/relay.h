/* SPDX-License-Identifier: MIT
 *
 * The relay of one Wayland connection: a client on one side, a server on the other. It takes whole
 * messages from two input streams, validates each against the tables and its object map, lets hooks
 * change or drop it, maps the ids, and appends it to the output stream of the other side. Both
 * programs use it; what differs is in the hooks and in what the streams are connected to.
 *
 * Each side has an id space of its own, so either may hold objects which the other does not see.
 * Loop thread only; nothing here blocks. A hook may do anything but destroy the relay.
 */
#ifndef BR_RELAY_H
#define BR_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "stream.h"
#include "tables.h"

struct br_relay;
struct br_msg;

enum br_dir {
	BR_REQUEST, /* from the client to the server */
	BR_EVENT,   /* from the server to the client */
};

enum br_object_state {
	BR_OBJECT_LIVE,
	BR_OBJECT_INERT,  /* the server does not have it: requests are swallowed */
	BR_OBJECT_ZOMBIE, /* destroyed; its ids wait for delete_id or for reuse */
	BR_OBJECT_OURS,	  /* the server does not have it: hooks deal with the requests. A hook says
			   * so of an object that its message would have made, and drops that */
};

/** What somebody keeps of an object: the head of its own struct. */
struct br_record {
	/* The object is about to go, or has become a zombie: it has no record any more. */
	void (*retired)(struct br_record *record);
};

/** An object of a relayed connection. Owned by the relay; freed when no id refers to it any more.
 * The fields below the line belong to the hooks. */
struct br_object {
	uint32_t client_id; /* on the connection to the client; 0 if it has none */
	uint32_t server_id; /* on the connection to the server; 0 if it has none */
	uint16_t iface;	    /* index into br_ifaces */
	uint16_t version;   /* as bound or inherited */
	uint8_t state;	    /* enum br_object_state */
	/* --- */
	void *data; /* may be NULL: hooks keep their state here */
	/* May be NULL. Called when the object becomes a zombie or the relay goes away, exactly once
	 * (the relay clears it); it frees data. */
	void (*destroy)(struct br_relay *relay, struct br_object *object);
	/* May be NULL. Receives the events of an object that the client does not have
	 * (br_relay_create_server_object). An object that the server makes by such an event is kept if
	 * this is set in it before the handler of that event returns. */
	void (*event)(struct br_relay *relay, struct br_object *object, struct br_msg *msg);
	struct br_record *record; /* may be NULL; belongs to ops->passes */
};

/** A decoded argument; which member counts follows from br_arg_desc.kind. */
union br_arg {
	int32_t i;
	uint32_t u;
	int32_t fixed; /* 24.8 */
	struct {
		const char *ptr; /* NUL-terminated; NULL for a null string */
		uint32_t len;	 /* without the NUL */
	} str;
	struct br_object *object; /* BR_ARG_OBJECT: may be NULL if nullable; BR_ARG_NEW_ID: new */
	struct {
		const void *ptr;
		uint32_t len; /* bytes */
	} array;
	uint32_t handle; /* BR_ARG_FD: index into br_msg.handles */
};

/** A decoded message. Lives on the dispatch stack; strings and arrays point into the input stream,
 * or, if a hook replaced them, wherever the hook put them until it returns. Owns its handles: those
 * not taken are closed after dispatch. */
struct br_msg {
	const struct br_msg_desc *desc;
	struct br_object *object;
	enum br_dir dir;
	uint16_t opcode;
	union br_arg args[BR_MAX_ARGS];
	struct br_handle handles[BR_MAX_MSG_FDS];
};

enum br_verdict {
	BR_FORWARD, /* send it on, with the arguments and handles as they now are */
	BR_DROP,    /* the hook has dealt with it. An object it would have created on the other side
		     * stays INERT; a destructor still makes its object a zombie. */
	BR_AGAIN,   /* not now: the message stays queued, nothing has happened, and this direction
		     * stands still until br_relay_resume() */
};

/** Hook of one message. May change msg->args and msg->handles; may send other messages first with
 * br_relay_send(); on bad input calls br_relay_client_error() and returns BR_DROP. The relay calls it
 * after validation, with the objects of new-id arguments already made (state LIVE, the id on the
 * other side not yet given). */
typedef enum br_verdict (*br_hook_fn)(struct br_relay *relay, struct br_msg *msg);

/** Number of the generated hook table's rows: hook index 0 is unused. */
extern const uint16_t br_hook_count;

/** What the relay tells its owner. All may be NULL. */
struct br_relay_ops {
	/* The relay stopped for good: a wl_display.error to the client is queued. text says who did
	 * what to which object, for the log. Called once. */
	void (*failed)(struct br_relay *relay, const char *text);
	/* The server reported wl_display.error; it is forwarded to the client and the relay has
	 * stopped. text is escaped. */
	void (*server_error)(struct br_relay *relay, const char *text);
	/* A request was refused by policy without ending the client (a hidden global bound...). */
	void (*refused)(struct br_relay *relay, const char *text);
	/* A valid message that no hook dropped, or a request that one sends itself, as it goes to the other
	 * side; new objects have no id there yet. Returns false if it is to be dropped. */
	bool (*passes)(struct br_relay *relay, struct br_msg *msg);
};

struct br_relay_config {
	const br_hook_fn *hooks; /* br_hook_count rows; rows may be NULL */
	const struct br_relay_ops *ops;
	void *data;		/* br_relay_data() */
	uint32_t client_number; /* in log and trace lines */
};

/** Make a relay with wl_display as object 1 on both sides. Returns NULL if memory is out. */
struct br_relay *br_relay_create(const struct br_relay_config *config);

/** Destroy all objects (calling their destroy hooks, newest first), close all queued handles, free.
 * NULL is fine. */
void br_relay_destroy(struct br_relay *relay);

/** The owner's pointer, from the config. */
void *br_relay_data(const struct br_relay *relay);
uint32_t br_relay_client_number(const struct br_relay *relay);

/** Where messages come from and go to. Input: BR_REQUEST is what the client sent; output: BR_REQUEST
 * is what goes to the server. The endpoints fill inputs and flush outputs. */
struct br_stream *br_relay_input(struct br_relay *relay, enum br_dir dir);
struct br_stream *br_relay_output(struct br_relay *relay, enum br_dir dir);

/** Relay the whole messages of one input, until it holds none or its output is above high water.
 * Returns 0, or -EPROTO once the relay has failed (flush the client's output, then close). */
int br_relay_dispatch(struct br_relay *relay, enum br_dir dir);

/** Let a direction that a hook stopped with BR_AGAIN go on: the hook is called again by the next
 * br_relay_dispatch(). */
void br_relay_resume(struct br_relay *relay, enum br_dir dir);

/** True if the output of this direction is above BR_HIGH_WATER_*: stop reading the source. */
bool br_relay_congested(struct br_relay *relay, enum br_dir dir);

/** True once the relay has failed or a fatal error went to the client. */
bool br_relay_failed(const struct br_relay *relay);

/** End the client: queue wl_display.error(object, code, text) for it, and stop. object may be NULL:
 * then wl_display. Text is also what ops->failed gets, with client, object and message named. */
void br_relay_client_error(struct br_relay *relay, struct br_object *object, uint32_t code,
			   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** Report a refusal to ops->refused. */
void br_relay_refused(struct br_relay *relay, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** Make an object for the server only, e.g. one that a hook needs. Its id on the server's side is
 * given by the br_relay_send() that passes it as a new-id argument. The hook sets event/destroy.
 * Returns NULL if memory is out or BR_LIMIT_OBJECTS is reached. */
struct br_object *br_relay_create_server_object(struct br_relay *relay, uint16_t iface,
						uint16_t version);

/** Bind a global of the server's in such an object. registry: any wl_registry that has it, under name. Returns NULL
 * if memory is out, BR_LIMIT_OBJECTS is reached, or the relay has failed. */
struct br_object *br_relay_bind(struct br_relay *relay, struct br_object *registry, uint32_t name,
				uint16_t iface, uint16_t version);

/** Free an object that no message has told of, neither side's. Its destroy hook is called. */
void br_relay_forget(struct br_relay *relay, struct br_object *object);

/** Let an object that only the client has be the one that the server made by an event which a hook dropped:
 * server_id is the new id of that event. Returns 0; -ENOENT there is none. */
int br_relay_adopt(struct br_relay *relay, struct br_object *object, uint32_t server_id);

/** Ask the server to answer when it is through with all that was sent before. done is called once, or
 * never if the relay ends first. Returns 0, or -errno after which the relay has failed. */
int br_relay_sync(struct br_relay *relay, void (*done)(struct br_relay *relay, void *data),
		  void *data);

/** Queue a message of our own in a direction. opcode: of the object's interface in that direction
 * (BR_REQ_* / BR_EVT_* from the generated br-tables.h). args: desc->n_args of them. Handles of fd
 * arguments are taken from handles[] (their fd becomes -1) in order. A destructor makes the object a
 * zombie, as when relayed. Objects that lack an id on that side are sent as null; where the object itself
 * does, nothing is sent.
 * Returns 0; -ENOSPC or -ENOMEM after which the relay has failed. */
int br_relay_send(struct br_relay *relay, enum br_dir dir, struct br_object *object,
		  uint16_t opcode, const union br_arg *args, struct br_handle *handles);

/** Forget the server: it is gone, and another one, which knows nothing yet, will take its place. Its queued
 * events and what was queued for it are dropped; no object but wl_display has an id on its side any more, and
 * requests go nowhere until a hook makes their object again by br_relay_send(). Ids that only the server had
 * yet to free are freed. Not from a hook. */
void br_relay_reset_server(struct br_relay *relay);

/** Call visit for each object that is no zombie, oldest first. visit may destroy no other object. */
void br_relay_each(struct br_relay *relay, void (*visit)(struct br_object *object, void *data),
		   void *data);

/** Look up an object by its id on the client's or the server's side. NULL if there is none or it
 * is a zombie. */
struct br_object *br_relay_client_object(struct br_relay *relay, uint32_t client_id);
struct br_object *br_relay_server_object(struct br_relay *relay, uint32_t server_id);

#endif
