/* SPDX-License-Identifier: MIT */
#include "attention.h"

#include <stdlib.h>
#include <string.h>

#include "br-tables.h"
#include "relay.h"
#include "window.h"
#include "wm.h"

static struct br_object *need_activation(struct xw_wm *wm)
{
	if (wm->activation == NULL) {
		wm->activation = xw_wm_bind(wm, BR_IFACE_XDG_ACTIVATION_V1, 1);
	}
	return wm->activation;
}

static void activate(struct xw_window *window, const char *token, uint32_t len)
{
	const union br_arg args[] = {{.str = {.ptr = token, .len = len}},
				     {.object = window->surface->object}};
	(void)br_relay_send(window->wm->relay, BR_REQUEST, window->wm->activation,
			    BR_REQ_XDG_ACTIVATION_V1_ACTIVATE, args, NULL);
}

static void handle_token(struct br_relay *relay, struct br_object *token, struct br_msg *msg)
{
	struct xw_window *window = token->data;
	token->data = NULL;
	if (window != NULL) {
		window->token = NULL;
		if (window->surface != NULL && msg->args[0].str.ptr != NULL) {
			activate(window, msg->args[0].str.ptr, msg->args[0].str.len);
		}
	}
	(void)br_relay_send(relay, BR_REQUEST, token, BR_REQ_XDG_ACTIVATION_TOKEN_V1_DESTROY, NULL,
			    NULL);
}

void xw_attention_ask(struct xw_window *window)
{
	struct xw_wm *wm = window->wm;
	if (window->token != NULL || window->surface == NULL ||
	    (wm->focus == window && !window->props.minimized) || need_activation(wm) == NULL) {
		return;
	}
	struct br_object *token = br_relay_create_server_object(
		wm->relay, BR_IFACE_XDG_ACTIVATION_TOKEN_V1, wm->activation->version);
	if (token == NULL) {
		return;
	}
	const union br_arg new_id = {.object = token};
	token->data = window;
	token->event = handle_token;
	window->token = token;
	(void)br_relay_send(wm->relay, BR_REQUEST, wm->activation,
			    BR_REQ_XDG_ACTIVATION_V1_GET_ACTIVATION_TOKEN, &new_id, NULL);
	(void)br_relay_send(wm->relay, BR_REQUEST, token, BR_REQ_XDG_ACTIVATION_TOKEN_V1_COMMIT,
			    NULL, NULL);
}

void xw_attention_started(struct xw_window *window)
{
	char *id = window->props.startup_id;
	if (id != NULL && id[0] != '\0' && need_activation(window->wm) != NULL) {
		activate(window, id, (uint32_t)strlen(id));
	}
	free(id);
	window->props.startup_id = NULL;
}

void xw_attention_forget(struct xw_window *window)
{
	if (window->token != NULL) {
		window->token->data = NULL;
		window->token = NULL;
	}
}
