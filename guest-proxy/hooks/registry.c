/* SPDX-License-Identifier: MIT
 *
 * What the host announces, cut down to what the tables can carry.
 */
#include <stdlib.h>
#include <string.h>

#include "br-tables.h"
#include "state.h"
#include "gp-hooks.h"
#include "limits.h"
#include "wire.h"

/* What programs are offered by us. No compositor gets as far with its names, and causeway-host's own is
 * 0xfffffff0. */
#define CURSOR_SHAPE_NAME 0xfffffff1u /* where the host lacks it */
#define SYNCOBJ_NAME 0xfffffff2u      /* where the guest's device has timelines; never the host's */
#define SHELL_NAME 0xfffffff3u	      /* to an X server only. Source: xwayland-shell-v1 */

/* Removed globals that a late bind may still name. */
#define MAX_REMOVED 64

struct global {
	uint32_t name;
	uint16_t iface;
	uint16_t version; /* as announced to the client */
	bool removed;
	bool ours; /* the host does not have it */
};

/* Data of a wl_registry. */
struct registry {
	struct wl_list link; /* gp_state.registries */
	struct br_object *object;
	struct global *globals; /* oldest first */
	uint32_t count, capacity;
	uint32_t removed_count;
};

static void registry_destroy(struct br_relay *relay, struct br_object *object)
{
	struct registry *registry = object->data;
	(void)relay;
	wl_list_remove(&registry->link);
	free(registry->globals);
	free(registry);
	object->data = NULL;
}

static struct registry *registry_get(struct br_relay *relay, struct br_object *object)
{
	if (object->data == NULL) {
		struct registry *registry = calloc(1, sizeof(*registry));
		if (registry == NULL) {
			return NULL;
		}
		registry->object = object;
		wl_list_insert(&gp_state_of(relay)->registries, &registry->link);
		object->data = registry;
		object->destroy = registry_destroy;
	}
	return object->data;
}

static struct global *find_global(const struct registry *registry, uint32_t name)
{
	/* The newest first: a name may come back. */
	for (uint32_t i = registry->count; i > 0; i--) {
		if (registry->globals[i - 1].name == name) {
			return &registry->globals[i - 1];
		}
	}
	return NULL;
}

static void remove_at(struct registry *registry, uint32_t index)
{
	registry->count--;
	memmove(&registry->globals[index], &registry->globals[index + 1],
		(registry->count - index) * sizeof(*registry->globals));
}

static void forget_oldest_removed(struct registry *registry)
{
	for (uint32_t i = 0; i < registry->count; i++) {
		if (registry->globals[i].removed) {
			remove_at(registry, i);
			registry->removed_count--;
			return;
		}
	}
}

static bool add_global(struct registry *registry, const struct global *global)
{
	if (registry->count - registry->removed_count >= BR_LIMIT_GLOBALS) {
		return false;
	}
	if (registry->count == registry->capacity) {
		uint32_t capacity = registry->capacity ? registry->capacity * 2 : 64;
		void *grown = realloc(registry->globals, capacity * sizeof(*registry->globals));
		if (grown == NULL) {
			return false;
		}
		registry->globals = grown;
		registry->capacity = capacity;
	}
	registry->globals[registry->count++] = *global;
	return true;
}

enum br_verdict gp_hook_wl_registry_global(struct br_relay *relay, struct br_msg *msg,
					   const struct br_args_wl_registry_global *args)
{
	uint16_t index = br_iface_find(args->interface_name);
	struct registry *registry = registry_get(relay, msg->object);
	if (registry == NULL || index == BR_IFACE_ANY || args->version == 0) {
		return BR_DROP;
	}
	const struct br_iface *iface = &br_ifaces[index];
	if (index == BR_IFACE_XWAYLAND_SHELL_V1) {
		return BR_DROP; /* ours is for our X server; there are no others */
	}
	if (!(iface->flags & BR_IFACE_GLOBAL) || iface->flags & BR_IFACE_HIDDEN ||
	    iface->safe_version == 0) {
		return BR_DROP;
	}
	struct global global = {
		.name = args->name,
		.iface = index,
		.version = (uint16_t)(args->version < iface->safe_version ? args->version
									  : iface->safe_version),
	};
	struct global *old = find_global(registry, args->name);
	if (old != NULL && !old->removed) {
		*old = global;
	} else if (!add_global(registry, &global)) {
		br_relay_refused(relay, "more than %u globals", BR_LIMIT_GLOBALS);
		return BR_DROP;
	}
	msg->args[2].u = global.version;
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_registry_global_remove(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_registry_global_remove *args)
{
	struct registry *registry = registry_get(relay, msg->object);
	struct global *global = registry != NULL ? find_global(registry, args->name) : NULL;
	if (global == NULL || global->removed) {
		return BR_DROP;
	}
	global->removed = true;
	if (++registry->removed_count > MAX_REMOVED) {
		forget_oldest_removed(registry);
	}
	return BR_FORWARD;
}

uint32_t gp_registry_find(struct br_relay *relay, uint16_t iface, struct br_object **ret_registry,
			  uint32_t *ret_name)
{
	struct registry *registry;
	wl_list_for_each (registry, &gp_state_of(relay)->registries, link) {
		for (uint32_t i = 0; i < registry->count; i++) {
			const struct global *global = &registry->globals[i];
			if (global->iface == iface && !global->removed && !global->ours) {
				*ret_registry = registry->object;
				*ret_name = global->name;
				return global->version;
			}
		}
	}
	return 0;
}

void gp_own_shm_need(struct br_relay *relay)
{
	struct gp_state *state = gp_state_of(relay);
	struct br_object *registry;
	uint32_t name;
	if (state->own_shm.object == NULL &&
	    gp_registry_find(relay, BR_IFACE_WL_SHM, &registry, &name) > 0) {
		(void)br_own_shm_bind(relay, &state->own_shm, registry, name);
	}
}

static bool is_announced(struct br_relay *relay, uint16_t iface)
{
	struct br_object *registry;
	uint32_t name;
	return gp_registry_find(relay, iface, &registry, &name) > 0;
}

static bool cursor_shape_wanted(struct br_relay *relay)
{
	return gp_state_of(relay)->cursor_themes != NULL &&
	       !is_announced(relay, BR_IFACE_WP_CURSOR_SHAPE_MANAGER_V1) &&
	       is_announced(relay, BR_IFACE_WL_SHM) && is_announced(relay, BR_IFACE_WL_COMPOSITOR);
}

static void offer(struct br_relay *relay, struct br_object *object, uint32_t name, uint16_t iface)
{
	const struct global global = {
		.name = name,
		.iface = iface,
		.version = br_ifaces[iface].safe_version,
		.ours = true,
	};
	struct registry *registry = registry_get(relay, object);
	if (registry == NULL || !add_global(registry, &global)) {
		return;
	}
	const char *text = br_ifaces[iface].name;
	const union br_arg args[] = {
		{.u = name}, {.str = {text, (uint32_t)strlen(text)}}, {.u = global.version}};
	(void)br_relay_send(relay, BR_EVENT, object, BR_EVT_WL_REGISTRY_GLOBAL, args, NULL);
}

/* The host has announced all that it has to this registry: offer what it lacks and we can do. */
static void handle_listed(struct br_relay *relay, void *data)
{
	struct br_object *object = br_relay_client_object(relay, (uint32_t)(uintptr_t)data);
	if (object == NULL || object->iface != BR_IFACE_WL_REGISTRY) {
		return;
	}
	if (cursor_shape_wanted(relay)) {
		offer(relay, object, CURSOR_SHAPE_NAME, BR_IFACE_WP_CURSOR_SHAPE_MANAGER_V1);
	}
	if (gp_sync_wanted(relay) && is_announced(relay, BR_IFACE_ZWP_LINUX_DMABUF_V1)) {
		offer(relay, object, SYNCOBJ_NAME, BR_IFACE_WP_LINUX_DRM_SYNCOBJ_MANAGER_V1);
	}
	if (gp_state_of(relay)->xwayland != NULL) {
		offer(relay, object, SHELL_NAME, BR_IFACE_XWAYLAND_SHELL_V1);
	}
}

/* The client's own sync is answered after ours. */
enum br_verdict gp_hook_wl_display_get_registry(struct br_relay *relay, struct br_msg *msg,
						const struct br_args_wl_display_get_registry *args)
{
	void *registry = (void *)(uintptr_t)msg->args[0].object->client_id;
	(void)args;
	const struct gp_state *state = gp_state_of(relay);
	if (state->cursor_themes == NULL && state->xwayland == NULL && !gp_sync_wanted(relay)) {
		return BR_FORWARD;
	}
	if (br_relay_send(relay, BR_REQUEST, msg->object, msg->opcode, msg->args, NULL) == 0) {
		(void)br_relay_sync(relay, handle_listed, registry);
	}
	return BR_DROP;
}

static enum br_verdict bind_shm(struct br_relay *relay, struct br_object *object)
{
	struct gp_state *state = gp_state_of(relay);
	if (gp_state_mirrors(state) && gp_shm_bound(object) < 0) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return BR_DROP;
	}
	return BR_FORWARD;
}

enum br_verdict gp_hook_wl_registry_bind(struct br_relay *relay, struct br_msg *msg,
					 const struct br_args_wl_registry_bind *args)
{
	struct registry *registry = registry_get(relay, msg->object);
	struct global *global = registry != NULL ? find_global(registry, args->name) : NULL;
	struct br_object *object = msg->args[3].object;
	if (global == NULL || global->iface != object->iface) {
		br_relay_client_error(relay, msg->object, BR_ERROR_INVALID_OBJECT,
				      "bind: no global %s with name %u",
				      br_ifaces[object->iface].name, args->name);
		return BR_DROP;
	}
	if (object->version > global->version) {
		br_relay_client_error(relay, msg->object, BR_ERROR_INVALID_OBJECT,
				      "bind: %s is offered in version %u, not %u",
				      br_ifaces[object->iface].name, global->version,
				      object->version);
		return BR_DROP;
	}
	if (global->ours) {
		struct gp_sync *sync = &gp_state_of(relay)->sync;
		sync->bound = sync->bound || global->name == SYNCOBJ_NAME;
		object->state = BR_OBJECT_OURS;
		return BR_DROP;
	}
	gp_times_bound(relay, object);
	if (object->iface == BR_IFACE_WL_SHM) {
		return bind_shm(relay, object);
	}
	return BR_FORWARD;
}
