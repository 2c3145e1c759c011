/* SPDX-License-Identifier: MIT
 *
 * Windows of the guest are recognisable: their app id and title carry the host's marks. The guest
 * can't leave them out, because they are set as soon as there is a window. What else names a window,
 * or a program that is about to open one, carries them too.
 */
#include <string.h>

#include "br-tables.h"
#include "hooks.h"
#include "hr-hooks.h"

static enum br_verdict mark_string(struct br_relay *relay, union br_arg *arg, const char *mark)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	size_t len = hr_policy_mark(state->text, mark, arg->str.ptr, arg->str.len);
	arg->str.ptr = state->text;
	arg->str.len = (uint32_t)len;
	return BR_FORWARD;
}

enum br_verdict hr_hook_xdg_toplevel_set_title(struct br_relay *relay, struct br_msg *msg,
					       const struct br_args_xdg_toplevel_set_title *args)
{
	(void)args;
	return mark_string(relay, &msg->args[0], hr_hook_state(relay)->policy->title_mark);
}

enum br_verdict hr_hook_xdg_toplevel_set_app_id(struct br_relay *relay, struct br_msg *msg,
						const struct br_args_xdg_toplevel_set_app_id *args)
{
	(void)args;
	return mark_string(relay, &msg->args[0], hr_hook_state(relay)->policy->app_id_prefix);
}

/* The program that will be started with the token: its window has a marked app id, too. */
enum br_verdict hr_hook_xdg_activation_token_v1_set_app_id(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_xdg_activation_token_v1_set_app_id *args)
{
	(void)args;
	return mark_string(relay, &msg->args[0], hr_hook_state(relay)->policy->app_id_prefix);
}

enum br_verdict hr_hook_xdg_toplevel_tag_manager_v1_set_toplevel_tag(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_xdg_toplevel_tag_manager_v1_set_toplevel_tag *args)
{
	(void)args;
	return mark_string(relay, &msg->args[1], hr_hook_state(relay)->policy->app_id_prefix);
}

enum br_verdict hr_hook_xdg_toplevel_tag_manager_v1_set_toplevel_description(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_xdg_toplevel_tag_manager_v1_set_toplevel_description *args)
{
	(void)args;
	return mark_string(relay, &msg->args[1], hr_hook_state(relay)->policy->title_mark);
}

static void send_mark(struct br_relay *relay, struct br_object *toplevel, uint16_t opcode,
		      const char *mark)
{
	const union br_arg arg = {.str = {.ptr = mark, .len = (uint32_t)strlen(mark)}};
	if (mark[0] != '\0') {
		(void)br_relay_send(relay, BR_REQUEST, toplevel, opcode, &arg, NULL);
	}
}

/* The request is sent from here, so that the marks can follow it at once. */
enum br_verdict hr_hook_xdg_surface_get_toplevel(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_xdg_surface_get_toplevel *args)
{
	const struct hr_policy *policy = hr_hook_state(relay)->policy;
	struct br_object *toplevel = msg->args[0].object;
	(void)args;
	if (policy->title_mark[0] == '\0' && policy->app_id_prefix[0] == '\0') {
		return BR_FORWARD;
	}
	if (br_relay_send(relay, BR_REQUEST, msg->object, msg->opcode, msg->args, NULL) < 0) {
		return BR_DROP;
	}
	send_mark(relay, toplevel, BR_REQ_XDG_TOPLEVEL_SET_TITLE, policy->title_mark);
	send_mark(relay, toplevel, BR_REQ_XDG_TOPLEVEL_SET_APP_ID, policy->app_id_prefix);
	return BR_DROP;
}
