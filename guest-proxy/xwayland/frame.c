/* SPDX-License-Identifier: MIT */
#include "frame.h"

#include <stdint.h>

#include "br-tables.h"
#include "relay.h"
#include "wm.h"

/* Source: zxdg_toplevel_decoration_v1.mode. */
enum { CLIENT_SIDE = 1, SERVER_SIDE = 2 };

/* Make an object of a manager's for a toplevel. NULL: there is no such manager. */
static struct br_object *make(struct xw_wm *wm, struct br_object **manager, uint16_t manager_iface,
			      uint16_t iface, uint16_t opcode, struct br_object *toplevel)
{
	if (*manager == NULL) {
		*manager = xw_wm_bind(wm, manager_iface, 1);
	}
	struct br_object *object =
		*manager != NULL ? br_relay_create_server_object(wm->relay, iface, 1) : NULL;
	if (object != NULL) {
		const union br_arg args[] = {{.object = object}, {.object = toplevel}};
		(void)br_relay_send(wm->relay, BR_REQUEST, *manager, opcode, args, NULL);
	}
	return object;
}

static void tell_decoration(struct xw_frame *frame, struct xw_wm *wm, struct br_object *toplevel,
			    bool undecorated)
{
	bool is_new = frame->decoration == NULL;
	if (is_new) {
		frame->decoration =
			make(wm, &wm->decorations, BR_IFACE_ZXDG_DECORATION_MANAGER_V1,
			     BR_IFACE_ZXDG_TOPLEVEL_DECORATION_V1,
			     BR_REQ_ZXDG_DECORATION_MANAGER_V1_GET_TOPLEVEL_DECORATION, toplevel);
	}
	if (frame->decoration != NULL && (is_new || undecorated != frame->undecorated)) {
		const union br_arg mode = {.u = undecorated ? CLIENT_SIDE : SERVER_SIDE};
		frame->undecorated = undecorated;
		(void)br_relay_send(wm->relay, BR_REQUEST, frame->decoration,
				    BR_REQ_ZXDG_TOPLEVEL_DECORATION_V1_SET_MODE, &mode, NULL);
	}
}

void xw_frame_tell(struct xw_frame *frame, struct xw_wm *wm, struct br_object *toplevel,
		   bool undecorated, bool modal)
{
	tell_decoration(frame, wm, toplevel, undecorated);
	if (modal == frame->modal) {
		return;
	}
	if (frame->dialog == NULL) {
		frame->dialog =
			make(wm, &wm->dialogs, BR_IFACE_XDG_WM_DIALOG_V1, BR_IFACE_XDG_DIALOG_V1,
			     BR_REQ_XDG_WM_DIALOG_V1_GET_XDG_DIALOG, toplevel);
	}
	frame->modal = modal;
	if (frame->dialog != NULL) {
		(void)br_relay_send(wm->relay, BR_REQUEST, frame->dialog,
				    modal ? BR_REQ_XDG_DIALOG_V1_SET_MODAL
					  : BR_REQ_XDG_DIALOG_V1_UNSET_MODAL,
				    NULL, NULL);
	}
}

void xw_frame_finish(struct xw_frame *frame, struct xw_wm *wm)
{
	if (frame->decoration != NULL) {
		(void)br_relay_send(wm->relay, BR_REQUEST, frame->decoration,
				    BR_REQ_ZXDG_TOPLEVEL_DECORATION_V1_DESTROY, NULL, NULL);
	}
	if (frame->dialog != NULL) {
		(void)br_relay_send(wm->relay, BR_REQUEST, frame->dialog,
				    BR_REQ_XDG_DIALOG_V1_DESTROY, NULL, NULL);
	}
	*frame = (struct xw_frame){0};
}
