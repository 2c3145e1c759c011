/* SPDX-License-Identifier: MIT
 *
 * The objects of one relayed connection and their ids on both sides. On each side there are two
 * ranges, as in the Wayland wire format: ids chosen by the client (from 1) and ids chosen by the
 * server (from 0xff000000). Towards the client we choose the server's ids, towards the server the
 * client's. Both libraries at the ends want dense ids, so freed ones are used again first.
 */
#ifndef BR_OBJECT_H
#define BR_OBJECT_H

#include <wayland-util.h>

#include "relay.h"

#define BR_SERVER_ID_START 0xff000000u /* first id chosen by a server */

enum br_side { BR_SIDE_CLIENT, BR_SIDE_SERVER };

/** Ids of one range: slots[i] is the object with id base + i, or NULL. */
struct br_id_range {
	struct br_object **slots;
	uint32_t count, capacity;
	uint32_t *free_ids; /* only of ranges in which we choose; a stack */
	uint32_t free_count, free_capacity;
};

/** All objects of a relay. Owns them. */
struct br_object_table {
	struct br_id_range ranges[2][2]; /* [enum br_side][0: chosen by client, 1: by server] */
	struct wl_list objects;		 /* struct object_node.link, newest first */
	uint32_t count;
	struct br_relay *relay; /* passed to the objects' destroy hooks */
};

/** Prepare an empty table. */
void br_objects_init(struct br_object_table *table, struct br_relay *relay);

/** Destroy all objects, newest first, calling their destroy hooks. */
void br_objects_finish(struct br_object_table *table);

/** The object with this id on a side, zombies included; NULL if there is none. */
struct br_object *br_object_find(const struct br_object_table *table, enum br_side side,
				 uint32_t id);

/** Make an object without ids. NULL if memory or BR_LIMIT_OBJECTS is out. */
struct br_object *br_object_new(struct br_object_table *table, uint16_t iface, uint16_t version);

/** Give an object the id that the peer on that side chose. A zombie of the server's range gives way.
 * Returns 0; -EINVAL the id is not in the peer's range, not dense, or in use; -ENOMEM. */
int br_object_set_id(struct br_object_table *table, struct br_object *object, enum br_side side,
		     uint32_t id);

/** Give an object a fresh id of ours on a side. Returns 0 or -ENOMEM. */
int br_object_alloc_id(struct br_object_table *table, struct br_object *object, enum br_side side);

/** Take an object's id on a side away, so that it can be used again. Frees the object when it was
 * its last id. Returns true if it was freed. */
bool br_object_release_id(struct br_object_table *table, struct br_object *object,
			  enum br_side side);

/** Free an object and its ids, without calling its destroy hook: it never came to life. */
void br_object_forget(struct br_object_table *table, struct br_object *object);

/** Call the object's destroy hook, once. */
void br_object_run_destroy(struct br_object_table *table, struct br_object *object);

/** Take the ids on the server's side away from all objects. Zombies are freed: freed is called with the ids that
 * they had on the client's side. So are the objects that nobody else has: neither the client nor a record. */
void br_objects_forget_server(struct br_object_table *table,
			      void (*freed)(struct br_relay *relay, uint32_t client_id));

/** Call visit for each object that is no zombie, oldest first. visit may destroy that object, but no other. */
void br_objects_each(struct br_object_table *table,
		     void (*visit)(struct br_object *object, void *data), void *data);

/** The object's id on a side; 0 if it has none. */
static inline uint32_t br_object_id(const struct br_object *object, enum br_side side)
{
	return side == BR_SIDE_CLIENT ? object->client_id : object->server_id;
}

#endif
