/* SPDX-License-Identifier: MIT
 *
 * wl_registry: the guest sees the globals that the policy offers, at the version that it offers, and
 * can bind only those.
 */
#include <string.h>

#include "br-tables.h"
#include "hooks.h"
#include "hr-hooks.h"
#include "wire.h"

enum br_verdict hr_hook_wl_registry_global(struct br_relay *relay, struct br_msg *msg,
					   const struct br_args_wl_registry_global *args)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	(void)args; /* the interface is looked up, the version rewritten: by position */
	const char *name = msg->args[1].str.ptr;
	uint16_t iface = br_iface_find(name);
	if (!hr_offer_sees(relay, msg->object, msg->args[0].u, iface)) {
		return BR_DROP;
	}
	uint32_t version = hr_policy_version(state->policy, iface, msg->args[2].u);
	if (version == 0) {
		hr_policy_log_withheld(state->policy, iface, name);
		return BR_DROP;
	}
	const struct hr_admit_global *global;
	int ret = hr_admit_announce(&state->admit, msg->args[0].u, iface, version, &global);
	if (ret < 0) {
		br_relay_client_error(relay, NULL, BR_ERROR_IMPLEMENTATION,
				      "host: global %u (%s): %s", msg->args[0].u, name,
				      strerror(-ret));
		return BR_DROP;
	}
	msg->args[0].u = global->name;
	msg->args[2].u = global->version;
	return global->known ? BR_DROP : BR_FORWARD;
}

/* The opcode of wl_fixes.ack_global_remove; n_req where the XML is too old to have it. */
static uint16_t ack_opcode(const struct br_iface *iface)
{
	uint16_t opcode = 0;
	while (opcode < iface->n_req &&
	       strcmp(br_msgs[iface->first_req + opcode].name, "ack_global_remove") != 0) {
		opcode++;
	}
	return opcode;
}

static void fixes_destroy(struct br_relay *relay, struct br_object *object)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	if (state->fixes == object) {
		state->fixes = NULL;
	}
}

/* Remember a wl_fixes through which removals are to be acknowledged. */
static void fixes_bound(struct br_relay *relay, struct br_object *object)
{
	const struct br_iface *iface = &br_ifaces[object->iface];
	uint16_t opcode = ack_opcode(iface);
	if (opcode < iface->n_req && object->version >= br_msgs[iface->first_req + opcode].since) {
		object->destroy = fixes_destroy;
		hr_hook_state(relay)->fixes = object;
	}
}

/* The client never heard of the global: what the compositor waits for is said here. Source: wayland.xml,
 * wl_fixes.ack_global_remove. */
static void acknowledge(struct br_relay *relay, struct br_object *registry, uint32_t name)
{
	struct br_object *fixes = hr_hook_state(relay)->fixes;
	const union br_arg args[] = {{.object = registry}, {.u = name}};
	if (fixes != NULL) {
		(void)br_relay_send(relay, BR_REQUEST, fixes, ack_opcode(&br_ifaces[fixes->iface]),
				    args, NULL);
	}
}

enum br_verdict hr_hook_wl_registry_global_remove(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_wl_registry_global_remove *args)
{
	struct hr_admit_global *global =
		hr_admit_find_server(&hr_hook_state(relay)->admit, msg->args[0].u);
	(void)args;
	if (global == NULL) {
		acknowledge(relay, msg->object, msg->args[0].u);
		return BR_DROP; /* it was withheld */
	}
	global->removed = 1;
	msg->args[0].u = global->name;
	return BR_FORWARD;
}

enum br_verdict hr_hook_wl_registry_bind(struct br_relay *relay, struct br_msg *msg,
					 const struct br_args_wl_registry_bind *args)
{
	uint32_t name = msg->args[0].u;
	uint32_t version = msg->args[2].u;
	const char *wanted = br_ifaces[msg->args[3].object->iface].name;
	const struct hr_admit_global *global = hr_admit_find(&hr_hook_state(relay)->admit, name);
	(void)args;
	if (global == NULL) {
		br_relay_client_error(relay, msg->object, BR_ERROR_INVALID_OBJECT,
				      "bind: invalid global %s (%u)", wanted, name);
		return BR_DROP;
	}
	if (global->iface != msg->args[3].object->iface) {
		br_relay_client_error(relay, msg->object, BR_ERROR_INVALID_OBJECT,
				      "bind: invalid interface for global %u: it is %s, not %s",
				      name, br_ifaces[global->iface].name, wanted);
		return BR_DROP;
	}
	if (version == 0 || version > global->version) {
		br_relay_client_error(relay, msg->object, BR_ERROR_INVALID_OBJECT,
				      "bind: invalid version for global %s (%u): it has %u, not %u",
				      wanted, name, global->version, version);
		return BR_DROP;
	}
	if (hr_offer_has(hr_hook_state(relay), global)) {
		hr_offer_bound(relay, msg->args[3].object);
		return BR_DROP;
	}
	if (!global->there) {
		return BR_DROP; /* the compositor that had it is gone */
	}
	msg->args[0].u = global->server_name;
	if (strcmp(wanted, "wl_fixes") == 0) {
		fixes_bound(relay, msg->args[3].object);
	}
	return BR_FORWARD;
}
