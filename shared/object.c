/* SPDX-License-Identifier: MIT */
#include "object.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "limits.h"

struct object_node {
	struct br_object object;
	struct wl_list link; /* br_object_table.objects */
};

static struct object_node *node_of(struct br_object *object)
{
	struct object_node *node;
	return wl_container_of(object, node, object);
}

static uint32_t range_base(int chosen_by_server)
{
	return chosen_by_server ? BR_SERVER_ID_START : 1;
}

/* We are the server of the client's side and the client of the server's side. */
static int our_range(enum br_side side)
{
	return side == BR_SIDE_CLIENT ? 1 : 0;
}

void br_objects_init(struct br_object_table *table, struct br_relay *relay)
{
	*table = (struct br_object_table){.relay = relay};
	wl_list_init(&table->objects);
}

void br_objects_finish(struct br_object_table *table)
{
	struct object_node *node, *tmp;
	wl_list_for_each_safe (node, tmp, &table->objects, link) {
		br_object_run_destroy(table, &node->object);
	}
	wl_list_for_each_safe (node, tmp, &table->objects, link) {
		free(node);
	}
	for (int side = 0; side < 2; side++) {
		for (int chosen = 0; chosen < 2; chosen++) {
			free(table->ranges[side][chosen].slots);
			free(table->ranges[side][chosen].free_ids);
		}
	}
	br_objects_init(table, table->relay);
}

struct br_object *br_object_find(const struct br_object_table *table, enum br_side side,
				 uint32_t id)
{
	int chosen = id >= BR_SERVER_ID_START;
	const struct br_id_range *range = &table->ranges[side][chosen];
	uint32_t index = id - range_base(chosen);
	return id != 0 && index < range->count ? range->slots[index] : NULL;
}

struct br_object *br_object_new(struct br_object_table *table, uint16_t iface, uint16_t version)
{
	if (table->count >= BR_LIMIT_OBJECTS) {
		return NULL;
	}
	struct object_node *node = calloc(1, sizeof(*node));
	if (node == NULL) {
		return NULL;
	}
	node->object.iface = iface;
	node->object.version = version;
	node->object.state = BR_OBJECT_LIVE;
	wl_list_insert(&table->objects, &node->link);
	table->count++;
	return &node->object;
}

/* Grow by one slot; room for its id on the free list comes along, so that freeing can't fail. */
static int range_grow(struct br_id_range *range)
{
	if (range->count == range->capacity) {
		uint32_t capacity = range->capacity ? range->capacity * 2 : 32;
		struct br_object **slots = realloc(range->slots, capacity * sizeof(*slots));
		if (slots == NULL) {
			return -ENOMEM;
		}
		range->slots = slots;
		range->capacity = capacity;
	}
	if (range->free_capacity < range->capacity) {
		uint32_t *ids = realloc(range->free_ids, range->capacity * sizeof(*ids));
		if (ids == NULL) {
			return -ENOMEM;
		}
		range->free_ids = ids;
		range->free_capacity = range->capacity;
	}
	range->slots[range->count++] = NULL;
	return 0;
}

static void object_store_id(struct br_object *object, enum br_side side, uint32_t id)
{
	if (side == BR_SIDE_CLIENT) {
		object->client_id = id;
	} else {
		object->server_id = id;
	}
}

int br_object_set_id(struct br_object_table *table, struct br_object *object, enum br_side side,
		     uint32_t id)
{
	int chosen = !our_range(side);
	bool in_range = chosen ? id >= BR_SERVER_ID_START : id != 0 && id < BR_SERVER_ID_START;
	struct br_id_range *range = &table->ranges[side][chosen];
	uint32_t index = id - range_base(chosen);
	if (!in_range || index > range->count) {
		return -EINVAL;
	}
	if (index == range->count) {
		int ret = range_grow(range);
		if (ret < 0) {
			return ret;
		}
	}
	struct br_object *old = range->slots[index];
	if (old != NULL) {
		/* Nobody says when a server's id is free again: its reuse does. */
		if (!chosen || old->state != BR_OBJECT_ZOMBIE) {
			return -EINVAL;
		}
		br_object_release_id(table, old, side);
	}
	range->slots[index] = object;
	object_store_id(object, side, id);
	return 0;
}

int br_object_alloc_id(struct br_object_table *table, struct br_object *object, enum br_side side)
{
	int chosen = our_range(side);
	struct br_id_range *range = &table->ranges[side][chosen];
	uint32_t index;
	if (range->free_count > 0) {
		index = range->free_ids[--range->free_count];
	} else {
		index = range->count;
		int ret = range_grow(range);
		if (ret < 0) {
			return ret;
		}
	}
	range->slots[index] = object;
	object_store_id(object, side, range_base(chosen) + index);
	return 0;
}

static void object_free(struct br_object_table *table, struct br_object *object)
{
	struct object_node *node = node_of(object);
	wl_list_remove(&node->link);
	table->count--;
	free(node);
}

static void drop_id(struct br_object_table *table, struct br_object *object, enum br_side side)
{
	uint32_t id = br_object_id(object, side);
	if (id == 0) {
		return;
	}
	int chosen = id >= BR_SERVER_ID_START;
	struct br_id_range *range = &table->ranges[side][chosen];
	uint32_t index = id - range_base(chosen);
	assert(index < range->count && range->slots[index] == object);
	range->slots[index] = NULL;
	if (chosen == our_range(side)) {
		range->free_ids[range->free_count++] = index;
	}
	object_store_id(object, side, 0);
}

bool br_object_release_id(struct br_object_table *table, struct br_object *object,
			  enum br_side side)
{
	drop_id(table, object, side);
	if (object->client_id != 0 || object->server_id != 0) {
		return false;
	}
	br_object_run_destroy(table, object);
	object_free(table, object);
	return true;
}

void br_object_forget(struct br_object_table *table, struct br_object *object)
{
	drop_id(table, object, BR_SIDE_CLIENT);
	drop_id(table, object, BR_SIDE_SERVER);
	object_free(table, object);
}

static void forget_server(struct br_object_table *table, struct br_object *object,
			  void (*freed)(struct br_relay *relay, uint32_t client_id))
{
	object->server_id = 0;
	if (object->state == BR_OBJECT_ZOMBIE && object->client_id != 0) {
		freed(table->relay, object->client_id);
		drop_id(table, object, BR_SIDE_CLIENT);
	}
	if (object->client_id == 0 &&
	    (object->state == BR_OBJECT_ZOMBIE || object->record == NULL)) {
		br_object_run_destroy(table, object);
		object_free(table, object);
	}
}

void br_objects_forget_server(struct br_object_table *table,
			      void (*freed)(struct br_relay *relay, uint32_t client_id))
{
	struct object_node *node, *tmp;
	for (int chosen = 0; chosen < 2; chosen++) {
		table->ranges[BR_SIDE_SERVER][chosen].count = 0;
		table->ranges[BR_SIDE_SERVER][chosen].free_count = 0;
	}
	wl_list_for_each_safe (node, tmp, &table->objects, link) {
		forget_server(table, &node->object, freed);
	}
}

void br_objects_each(struct br_object_table *table,
		     void (*visit)(struct br_object *object, void *data), void *data)
{
	struct object_node *node, *tmp;
	wl_list_for_each_reverse_safe(node, tmp, &table->objects, link)
	{
		if (node->object.state != BR_OBJECT_ZOMBIE) {
			visit(&node->object, data);
		}
	}
}

void br_object_run_destroy(struct br_object_table *table, struct br_object *object)
{
	struct br_record *record = object->record;
	object->record = NULL;
	if (record != NULL) {
		record->retired(record);
	}
	void (*destroy)(struct br_relay *, struct br_object *) = object->destroy;
	object->destroy = NULL;
	if (destroy != NULL) {
		destroy(table->relay, object);
	}
}
