/* SPDX-License-Identifier: MIT
 *
 * The Wayland wire format by table: decoding with full validation, and encoding. Source: the wire
 * format chapter of the Wayland documentation.
 */
#ifndef BR_WIRE_H
#define BR_WIRE_H

#include "object.h"
#include "relay.h"

#define BR_WIRE_HEADER_BYTES 8

/** Codes of wl_display.error. Source: wayland.xml, wl_display.error enum. */
enum br_display_error {
	BR_ERROR_INVALID_OBJECT = 0,
	BR_ERROR_INVALID_METHOD = 1,
	BR_ERROR_NO_MEMORY = 2,
	BR_ERROR_IMPLEMENTATION = 3,
};

/** Why a message was refused. */
struct br_wire_error {
	uint32_t code;		  /* enum br_display_error */
	struct br_object *object; /* the sender's object, if known; else NULL */
	char text[256];
};

/** Decode the first message of a stream. It stays queued: consume *ret_size bytes when done with it,
 * because strings and arrays point into the stream. Handles are moved out of the stream. New objects
 * are made and have their id on the sender's side.
 * Returns 1 with *msg filled in; 0 if there is no whole message yet; -EPROTO with *error filled in,
 * after which nothing else in the stream can be trusted. */
int br_wire_decode(struct br_object_table *table, enum br_dir dir, struct br_stream *in,
		   struct br_msg *msg, size_t *ret_size, struct br_wire_error *error);

/** Put a decoded message back: its handles return to the front of the stream and its new objects
 * vanish. Only directly after br_wire_decode(). */
void br_wire_undo(struct br_object_table *table, struct br_stream *in, struct br_msg *msg);

/** Append a message to a stream with the ids of the receiving side; new-id objects that have none
 * there get one. Takes the handles. Returns 0, -ENOSPC, -ENOMEM, -EMSGSIZE. */
int br_wire_encode(struct br_object_table *table, struct br_stream *out, struct br_msg *msg);

/** Close the handles that nobody took. */
void br_msg_finish(struct br_msg *msg);

#endif
