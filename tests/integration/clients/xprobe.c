/* SPDX-License-Identifier: MIT
 *
 * xprobe TITLE: an X11 program for tests, with a window of 320 x 240. It takes part in selections and in
 * drag-and-drop (XDND 5). Commands on stdin, a line each:
 *   sync                       a round trip; prints "synced"
 *   request SELECTION TARGET   prints "received SELECTION BYTES SHA256", or "refused SELECTION"
 *   stall SELECTION TARGET     begin like that, and take no chunk; prints "stalled SELECTION"
 *   drag TARGET FILE           with the next press drag this; prints "dragging"
 *   refuse | accept            what to say to drags over the window; accept at first
 * and prints what happens: "mapped", "focused", "unfocused", "pointer-enter X Y", "pointer-motion X Y", "button N", "xdnd-enter TARGETS",
 * "xdnd-position X Y ACTION", "xdnd-leave", "xdnd-drop", "status ACCEPTED ACTION", "finished ACCEPTED ACTION".
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xcb/xcb.h>

#include "driven.h"
#include "sha256.h"

#define MAX_DATA (192 * 1024) /* of a drag: one property */
#define MAX_TYPES 8

static xcb_connection_t *conn;
static xcb_window_t root, window;
static bool refuses;

/** What is being asked of another program's selection. */
static struct {
	char name[64];
	xcb_atom_t selection;
	bool active, stalls, incr;
	struct sha256 sha;
	uint64_t bytes;
} request;

/** A drag over the window. */
static struct {
	xcb_window_t source;
	xcb_atom_t type;
	xcb_timestamp_t time;
	bool dropped;
} drop;

/** A drag of our own. */
static struct {
	bool armed, active, entered, waits, moved, accepted, dropped;
	xcb_window_t target;
	xcb_atom_t type;
	int16_t x, y;
	xcb_timestamp_t time;
	uint8_t data[MAX_DATA];
	size_t size;
} drag;

static xcb_atom_t atom(const char *name)
{
	xcb_intern_atom_reply_t *reply = xcb_intern_atom_reply(
		conn, xcb_intern_atom(conn, 0, (uint16_t)strlen(name), name), NULL);
	if (reply == NULL) {
		die("no atom");
	}
	xcb_atom_t made = reply->atom;
	free(reply);
	return made;
}

/* Cached for one caller at a time. */
static const char *atom_name(xcb_atom_t which)
{
	static char name[256];
	xcb_get_atom_name_reply_t *reply =
		which != 0 ? xcb_get_atom_name_reply(conn, xcb_get_atom_name(conn, which), NULL)
			   : NULL;
	snprintf(name, sizeof(name), "%.*s",
		 reply != NULL ? xcb_get_atom_name_name_length(reply) : 1,
		 reply != NULL ? xcb_get_atom_name_name(reply) : "-");
	free(reply);
	return name;
}

static xcb_get_property_reply_t *read_property(xcb_window_t of, xcb_atom_t name, bool delete)
{
	return xcb_get_property_reply(
		conn,
		xcb_get_property(conn, delete, of, name, XCB_GET_PROPERTY_TYPE_ANY, 0, 1 << 24),
		NULL);
}

static void message(xcb_window_t to, const char *type, uint32_t d1, uint32_t d2, uint32_t d3,
		    uint32_t d4)
{
	const xcb_client_message_event_t event = {
		.response_type = XCB_CLIENT_MESSAGE,
		.format = 32,
		.window = to,
		.type = atom(type),
		.data.data32 = {window, d1, d2, d3, d4},
	};
	xcb_send_event(conn, 0, to, 0, (const char *)&event);
}

/* --- asking for a selection --- */

static void request_start(const char *name, xcb_atom_t target, xcb_timestamp_t time)
{
	snprintf(request.name, sizeof(request.name), "%s", name);
	request.selection = atom(name);
	request.active = true;
	request.incr = false;
	request.bytes = 0;
	sha256_init(&request.sha);
	xcb_convert_selection(conn, window, request.selection, target, atom("XPROBE_DATA"), time);
}

static void request_end(bool ok)
{
	char hex[65];
	sha256_finish(&request.sha, hex);
	request.active = false;
	if (ok) {
		say("received %s %llu %s", request.name, (unsigned long long)request.bytes, hex);
	} else {
		say("refused %s", request.name);
	}
	if (drop.dropped) {
		drop.dropped = false;
		message(drop.source, "XdndFinished", ok, ok ? atom("XdndActionCopy") : 0, 0, 0);
	}
}

static void take_property(void)
{
	xcb_get_property_reply_t *reply =
		read_property(window, atom("XPROBE_DATA"), !request.stalls);
	size_t bytes = reply != NULL ? (size_t)xcb_get_property_value_length(reply) : 0;
	if (reply == NULL || reply->type == XCB_NONE) {
		free(reply);
		return;
	}
	if (reply->type == atom("INCR")) {
		request.incr = true;
		if (request.stalls) {
			say("stalled %s", request.name);
		}
	} else {
		sha256_add(&request.sha, xcb_get_property_value(reply), bytes);
		request.bytes += bytes;
		if (!request.incr || bytes == 0) {
			request_end(true);
		}
	}
	free(reply);
}

static void handle_selection_notify(const xcb_selection_notify_event_t *event)
{
	if (request.active && event->selection == request.selection) {
		if (event->property == XCB_NONE) {
			request_end(false);
		} else {
			take_property();
		}
	}
}

static void handle_property(const xcb_property_notify_event_t *event)
{
	if (request.active && request.incr && !request.stalls &&
	    event->state == XCB_PROPERTY_NEW_VALUE && event->atom == atom("XPROBE_DATA")) {
		take_property();
	}
}

/* --- giving what is dragged --- */

static void handle_selection_request(const xcb_selection_request_event_t *event)
{
	xcb_selection_notify_event_t notify = {
		.response_type = XCB_SELECTION_NOTIFY,
		.time = event->time,
		.requestor = event->requestor,
		.selection = event->selection,
		.target = event->target,
		.property = event->property,
	};
	if (event->target == atom("TARGETS")) {
		xcb_change_property(conn, XCB_PROP_MODE_REPLACE, event->requestor, event->property,
				    XCB_ATOM_ATOM, 32, 1, &drag.type);
	} else if (event->target == drag.type) {
		xcb_change_property(conn, XCB_PROP_MODE_REPLACE, event->requestor, event->property,
				    drag.type, 8, (uint32_t)drag.size, drag.data);
	} else {
		notify.property = XCB_NONE;
	}
	char wire[32] = {0};
	memcpy(wire, &notify, sizeof(notify));
	xcb_send_event(conn, 0, event->requestor, 0, wire);
}

/* --- a drag of our own --- */

static bool is_aware(xcb_window_t of)
{
	xcb_get_property_reply_t *reply = read_property(of, atom("XdndAware"), false);
	bool aware = reply != NULL && reply->type == XCB_ATOM_ATOM;
	free(reply);
	return aware;
}

/* The topmost window there, if drags may go to it. */
static xcb_window_t find_target(int16_t x, int16_t y)
{
	xcb_translate_coordinates_reply_t *reply = xcb_translate_coordinates_reply(
		conn, xcb_translate_coordinates(conn, root, root, x, y), NULL);
	xcb_window_t found = reply != NULL ? reply->child : XCB_NONE;
	free(reply);
	return found != XCB_NONE && is_aware(found) ? found : XCB_NONE;
}

static void send_position(void)
{
	if (drag.waits) {
		drag.moved = true;
		return;
	}
	drag.waits = true;
	drag.moved = false;
	message(drag.target, "XdndPosition", 0, (uint32_t)(uint16_t)drag.x << 16 | (uint16_t)drag.y,
		drag.time, atom("XdndActionCopy"));
}

static void drag_move(const xcb_motion_notify_event_t *event)
{
	drag.x = event->root_x;
	drag.y = event->root_y;
	drag.time = event->time;
	xcb_window_t target = find_target(drag.x, drag.y);
	if (target != drag.target) {
		if (drag.target != XCB_NONE) {
			message(drag.target, "XdndLeave", 0, 0, 0, 0);
		}
		drag.target = target;
		drag.waits = drag.accepted = false;
		if (target != XCB_NONE) {
			message(target, "XdndEnter", 5u << 24, drag.type, 0, 0);
		}
	}
	if (drag.target != XCB_NONE) {
		send_position();
	}
}

static void drag_start(const xcb_button_press_event_t *event)
{
	drag.armed = false;
	drag.active = true;
	drag.target = XCB_NONE;
	drag.waits = drag.accepted = drag.dropped = false;
	xcb_set_selection_owner(conn, window, atom("XdndSelection"), event->time);
	free(xcb_grab_pointer_reply(
		conn,
		xcb_grab_pointer(conn, 0, window,
				 XCB_EVENT_MASK_BUTTON_RELEASE | XCB_EVENT_MASK_POINTER_MOTION,
				 XCB_GRAB_MODE_ASYNC, XCB_GRAB_MODE_ASYNC, XCB_NONE, XCB_NONE,
				 event->time),
		NULL));
	say("dragging");
}

static void drag_release(const xcb_button_release_event_t *event)
{
	xcb_ungrab_pointer(conn, event->time);
	drag.active = false;
	if (drag.target == XCB_NONE) {
		say("dropped nowhere");
	} else if (!drag.accepted) {
		message(drag.target, "XdndLeave", 0, 0, 0, 0);
		say("dropped unwanted");
	} else {
		message(drag.target, "XdndDrop", 0, event->time, 0, 0);
		say("dropped");
	}
}

/* --- messages --- */

static void handle_enter(const uint32_t data[5])
{
	drop.source = data[0];
	drop.type = data[2];
	if (data[1] & 1) {
		xcb_get_property_reply_t *list =
			read_property(drop.source, atom("XdndTypeList"), false);
		if (list != NULL && list->value_len > 0) {
			drop.type = *(uint32_t *)xcb_get_property_value(list);
		}
		free(list);
	}
	say("xdnd-enter %s", atom_name(drop.type));
}

static void handle_message(const xcb_client_message_event_t *event)
{
	const uint32_t *data = event->data.data32;
	char type[64];
	snprintf(type, sizeof(type), "%s", atom_name(event->type));
	if (strcmp(type, "XdndEnter") == 0) {
		handle_enter(data);
	} else if (strcmp(type, "XdndPosition") == 0) {
		say("xdnd-position %u %u %s", data[2] >> 16, data[2] & 0xffff, atom_name(data[4]));
		message(data[0], "XdndStatus", !refuses, 0, 0,
			refuses ? 0 : atom("XdndActionCopy"));
	} else if (strcmp(type, "XdndLeave") == 0) {
		say("xdnd-leave");
	} else if (strcmp(type, "XdndDrop") == 0) {
		say("xdnd-drop");
		drop.dropped = true;
		request_start("XdndSelection", drop.type, data[2]);
	} else if (strcmp(type, "XdndStatus") == 0 && data[0] == drag.target) {
		drag.accepted = data[1] & 1;
		drag.waits = false;
		say("status %u %s", data[1] & 1, atom_name(data[4]));
		if (drag.moved) {
			send_position();
		}
	} else if (strcmp(type, "XdndFinished") == 0) {
		say("finished %u %s", data[1] & 1, atom_name(data[2]));
	}
}

static void handle_event(xcb_generic_event_t *event)
{
	switch (event->response_type & 0x7f) {
	case XCB_MAP_NOTIFY:
		say("mapped");
		break;
	case XCB_FOCUS_IN:
		say("focused");
		break;
	case XCB_FOCUS_OUT:
		say("unfocused");
		break;
	case XCB_BUTTON_PRESS:
		say("button %u", ((xcb_button_press_event_t *)event)->detail);
		if (drag.armed) {
			drag_start((xcb_button_press_event_t *)event);
		}
		break;
	case XCB_BUTTON_RELEASE:
		if (drag.active) {
			drag_release((xcb_button_release_event_t *)event);
		}
		break;
	case XCB_ENTER_NOTIFY:
		say("pointer-enter %d %d", ((xcb_enter_notify_event_t *)event)->event_x,
		    ((xcb_enter_notify_event_t *)event)->event_y);
		break;
	case XCB_MOTION_NOTIFY:
		if (drag.active) {
			drag_move((xcb_motion_notify_event_t *)event);
		} else {
			say("pointer-motion %d %d", ((xcb_motion_notify_event_t *)event)->event_x,
			    ((xcb_motion_notify_event_t *)event)->event_y);
		}
		break;
	case XCB_PROPERTY_NOTIFY:
		handle_property((xcb_property_notify_event_t *)event);
		break;
	case XCB_SELECTION_NOTIFY:
		handle_selection_notify((xcb_selection_notify_event_t *)event);
		break;
	case XCB_SELECTION_REQUEST:
		handle_selection_request((xcb_selection_request_event_t *)event);
		break;
	case XCB_CLIENT_MESSAGE:
		handle_message((xcb_client_message_event_t *)event);
		break;
	default:
		break;
	}
}

static void arm_drag(const char *type, const char *path)
{
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		die("no such file");
	}
	drag.size = fread(drag.data, 1, sizeof(drag.data), file);
	fclose(file);
	drag.type = atom(type);
	drag.armed = true;
	say("armed %zu", drag.size);
}

static void command(char *line)
{
	char word[3][512] = {"", "", ""};
	int n = sscanf(line, "%511s %511s %511s", word[0], word[1], word[2]);
	if (n < 1) {
		return;
	}
	if (strcmp(word[0], "sync") == 0) {
		free(xcb_get_input_focus_reply(conn, xcb_get_input_focus(conn), NULL));
		say("synced");
	} else if ((strcmp(word[0], "request") == 0 || strcmp(word[0], "stall") == 0) && n == 3) {
		request.stalls = word[0][0] == 's';
		request_start(word[1], atom(word[2]), XCB_CURRENT_TIME);
	} else if (strcmp(word[0], "drag") == 0 && n == 3) {
		arm_drag(word[1], word[2]);
	} else if (strcmp(word[0], "refuse") == 0 || strcmp(word[0], "accept") == 0) {
		refuses = word[0][0] == 'r';
	} else {
		die("no such command");
	}
}

static void create_window(const char *title)
{
	const xcb_screen_t *screen = xcb_setup_roots_iterator(xcb_get_setup(conn)).data;
	const uint32_t values[] = {
		screen->white_pixel,
		XCB_EVENT_MASK_STRUCTURE_NOTIFY | XCB_EVENT_MASK_PROPERTY_CHANGE |
			XCB_EVENT_MASK_FOCUS_CHANGE | XCB_EVENT_MASK_ENTER_WINDOW |
			XCB_EVENT_MASK_BUTTON_PRESS | XCB_EVENT_MASK_BUTTON_RELEASE |
			XCB_EVENT_MASK_POINTER_MOTION};
	const uint32_t version = 5;
	root = screen->root;
	window = xcb_generate_id(conn);
	xcb_create_window(conn, XCB_COPY_FROM_PARENT, window, root, 0, 0, 320, 240, 0,
			  XCB_WINDOW_CLASS_INPUT_OUTPUT, XCB_COPY_FROM_PARENT,
			  XCB_CW_BACK_PIXEL | XCB_CW_EVENT_MASK, values);
	xcb_change_property(conn, XCB_PROP_MODE_REPLACE, window, XCB_ATOM_WM_NAME, XCB_ATOM_STRING,
			    8, (uint32_t)strlen(title), title);
	xcb_change_property(conn, XCB_PROP_MODE_REPLACE, window, atom("XdndAware"), XCB_ATOM_ATOM,
			    32, 1, &version);
	xcb_map_window(conn, window);
}

int main(int argc, char **argv)
{
	conn = xcb_connect(NULL, NULL);
	if (xcb_connection_has_error(conn)) {
		die("no X server");
	}
	create_window(argc > 1 ? argv[1] : "xprobe");
	say("ready");
	for (;;) {
		struct pollfd fds[2] = {{.fd = xcb_get_file_descriptor(conn), .events = POLLIN},
					{.fd = STDIN_FILENO, .events = POLLIN}};
		xcb_generic_event_t *event;
		while ((event = xcb_poll_for_event(conn)) != NULL) {
			handle_event(event);
			free(event);
		}
		if (xcb_connection_has_error(conn)) {
			say("closed");
			return 3;
		}
		xcb_flush(conn);
		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			die("poll failed");
		}
		if (fds[1].revents != 0) {
			read_commands(command);
		}
	}
}
