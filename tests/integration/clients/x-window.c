/* SPDX-License-Identifier: MIT
 *
 * x-window: windows of an X11 program, as the tests want them. Commands on stdin, a line each; NAME is a
 * window's, ROOT the root window's, - none.
 *   window NAME RRGGBB X Y W H [or]   make one; or: it places itself (override-redirect)
 *   map NAME | unmap NAME | withdraw NAME | destroy NAME
 *   place NAME X Y W H | move NAME X Y | size NAME W H | raise NAME
 *   text NAME PROPERTY TYPE TEXT      set a property of bytes; \xNN is a byte
 *   set NAME PROPERTY TYPE VALUE...   set a property of 32 bits: numbers, atoms, @NAME for a window
 *   zeros NAME PROPERTY TYPE COUNT    COUNT zeros of 32 bits
 *   unset NAME PROPERTY
 *   message NAME TYPE VALUE...        a client message about it, to the root window
 *   get NAME PROPERTY                 prints "is NAME PROPERTY VALUE..."
 *   take NAME                         take the input focus, as WM_TAKE_FOCUS allows
 *   where NAME                        prints "at NAME X Y W H", in the root window
 *   pointer                           prints "pointer NAME": the window that X has it in
 *   sync                              a round trip; prints "synced"
 *   quit
 * Events: "mapped NAME", "unmapped NAME", "configured NAME X Y W H", "focused NAME", "unfocused NAME",
 * "message NAME PROTOCOL", "key NAME CODE", "press NAME X Y", "error CODE REQUEST".
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xcb/xcb.h>

#include "driven.h"

#define MAX_WINDOWS 256
#define MAX_WORDS 80

static struct {
	char name[32];
	xcb_window_t id;
} windows[MAX_WINDOWS];
static unsigned n_windows;
static xcb_connection_t *conn;
static xcb_screen_t *screen;

static const char *name_of(xcb_window_t id)
{
	for (unsigned i = 0; i < n_windows; i++) {
		if (windows[i].id == id) {
			return windows[i].name;
		}
	}
	return id == screen->root ? "ROOT" : "-";
}

static xcb_window_t window_of(const char *name)
{
	for (unsigned i = n_windows; i-- > 0;) {
		if (strcmp(windows[i].name, name) == 0) {
			return windows[i].id;
		}
	}
	return strcmp(name, "ROOT") == 0 ? screen->root : XCB_WINDOW_NONE;
}

static xcb_atom_t atom_of(const char *name)
{
	xcb_intern_atom_reply_t *reply = xcb_intern_atom_reply(
		conn, xcb_intern_atom(conn, 0, (uint16_t)strlen(name), name), NULL);
	if (reply == NULL) {
		die("no atom");
	}
	xcb_atom_t atom = reply->atom;
	free(reply);
	return atom;
}

static uint32_t value_of(const char *word)
{
	char *end;
	long value = strtol(word, &end, 0);
	if (*end == '\0') {
		return (uint32_t)value;
	}
	return word[0] == '@' ? window_of(word + 1) : atom_of(word);
}

static void make_window(char **words, int n)
{
	const uint32_t values[] = {(uint32_t)strtoul(words[2], NULL, 16), n > 7,
				   XCB_EVENT_MASK_STRUCTURE_NOTIFY | XCB_EVENT_MASK_FOCUS_CHANGE |
					   XCB_EVENT_MASK_KEY_PRESS | XCB_EVENT_MASK_BUTTON_PRESS};
	if (n_windows == MAX_WINDOWS) {
		die("too many windows");
	}
	xcb_window_t id = xcb_generate_id(conn);
	snprintf(windows[n_windows].name, sizeof(windows[0].name), "%s", words[1]);
	windows[n_windows++].id = id;
	(void)xcb_create_window(
		conn, XCB_COPY_FROM_PARENT, id, screen->root, (int16_t)atoi(words[3]),
		(int16_t)atoi(words[4]), (uint16_t)atoi(words[5]), (uint16_t)atoi(words[6]), 0,
		XCB_WINDOW_CLASS_INPUT_OUTPUT, XCB_COPY_FROM_PARENT,
		XCB_CW_BACK_PIXEL | XCB_CW_OVERRIDE_REDIRECT | XCB_CW_EVENT_MASK, values);
}

static void set_text(char **words, char *text)
{
	size_t len = 0;
	for (char *at = text; *at != '\0'; len++) {
		if (at[0] == '\\' && at[1] == 'x') {
			char hex[3] = {at[2], at[3], '\0'};
			text[len] = (char)strtoul(hex, NULL, 16);
			at += 4;
		} else {
			text[len] = *at++;
		}
	}
	(void)xcb_change_property(conn, XCB_PROP_MODE_REPLACE, window_of(words[1]),
				  atom_of(words[2]), atom_of(words[3]), 8, (uint32_t)len, text);
}

static void set_values(char **words, int n, uint32_t zeros)
{
	uint32_t *values = calloc(zeros > MAX_WORDS ? zeros : MAX_WORDS, sizeof(*values));
	uint32_t count = zeros > 0 ? zeros : (uint32_t)n - 4;
	if (values == NULL) {
		die("no memory");
	}
	for (uint32_t i = 0; zeros == 0 && i < count; i++) {
		values[i] = value_of(words[4 + i]);
	}
	(void)xcb_change_property(conn, XCB_PROP_MODE_REPLACE, window_of(words[1]),
				  atom_of(words[2]), atom_of(words[3]), 32, count, values);
	free(values);
}

static void send_message(char **words, int n)
{
	xcb_client_message_event_t event = {
		.response_type = XCB_CLIENT_MESSAGE,
		.format = 32,
		.window = window_of(words[1]),
		.type = atom_of(words[2]),
	};
	for (int i = 3; i < n && i < 8; i++) {
		event.data.data32[i - 3] = value_of(words[i]);
	}
	(void)xcb_send_event(conn, 0, screen->root,
			     XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY |
				     XCB_EVENT_MASK_SUBSTRUCTURE_REDIRECT,
			     (const char *)&event);
}

/* One value of a property, as text: an atom's name, a window's, or a number. */
static void print_value(xcb_atom_t type, uint32_t value)
{
	if (type == XCB_ATOM_ATOM) {
		xcb_get_atom_name_reply_t *name =
			xcb_get_atom_name_reply(conn, xcb_get_atom_name(conn, value), NULL);
		if (name != NULL) {
			printf(" %.*s", xcb_get_atom_name_name_length(name),
			       xcb_get_atom_name_name(name));
		}
		free(name);
	} else if (type == XCB_ATOM_WINDOW) {
		printf(" %s", name_of(value));
	} else {
		printf(" %u", value);
	}
}

static void get_property(char **words)
{
	xcb_get_property_reply_t *reply =
		xcb_get_property_reply(conn,
				       xcb_get_property(conn, 0, window_of(words[1]),
							atom_of(words[2]), XCB_ATOM_ANY, 0, 1024),
				       NULL);
	printf("is %s %s", words[1], words[2]);
	if (reply != NULL && reply->format == 32) {
		const uint32_t *values = xcb_get_property_value(reply);
		for (int i = 0; i < xcb_get_property_value_length(reply) / 4; i++) {
			print_value(reply->type, values[i]);
		}
	} else if (reply != NULL && reply->format == 8) {
		printf(" %.*s", xcb_get_property_value_length(reply),
		       (const char *)xcb_get_property_value(reply));
	}
	say("%s", "");
	free(reply);
}

static void print_place(const char *name)
{
	xcb_window_t id = window_of(name);
	xcb_get_geometry_reply_t *size =
		xcb_get_geometry_reply(conn, xcb_get_geometry(conn, id), NULL);
	xcb_translate_coordinates_reply_t *at = xcb_translate_coordinates_reply(
		conn, xcb_translate_coordinates(conn, id, screen->root, 0, 0), NULL);
	if (size == NULL || at == NULL) {
		die("no such window");
	}
	say("at %s %d %d %u %u", name, at->dst_x, at->dst_y, size->width, size->height);
	free(size);
	free(at);
}

/* Values from words[at] on, for the parts in mask. */
static void configure(char **words, int at, uint16_t mask)
{
	uint32_t values[5] = {0};
	for (int i = 0; i < __builtin_popcount(mask); i++) {
		values[i] = mask == XCB_CONFIG_WINDOW_STACK_MODE ? XCB_STACK_MODE_ABOVE
								 : (uint32_t)atoi(words[at + i]);
	}
	(void)xcb_configure_window(conn, window_of(words[1]), mask, values);
}

/* ICCCM 4.1.4: the root is told of it as well. */
static void withdraw(xcb_window_t id)
{
	const xcb_unmap_notify_event_t event = {
		.response_type = XCB_UNMAP_NOTIFY, .event = screen->root, .window = id};
	(void)xcb_unmap_window(conn, id);
	(void)xcb_send_event(conn, 0, screen->root,
			     XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY |
				     XCB_EVENT_MASK_SUBSTRUCTURE_REDIRECT,
			     (const char *)&event);
}

#define PLACE (XCB_CONFIG_WINDOW_X | XCB_CONFIG_WINDOW_Y)
#define SIZE (XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT)

static bool window_command(char **words, int n)
{
	const char *verb = words[0];
	xcb_window_t id = n > 1 ? window_of(words[1]) : XCB_WINDOW_NONE;
	if (strcmp(verb, "window") == 0 && n >= 7) {
		make_window(words, n);
	} else if (strcmp(verb, "map") == 0) {
		(void)xcb_map_window(conn, id);
	} else if (strcmp(verb, "unmap") == 0) {
		(void)xcb_unmap_window(conn, id);
	} else if (strcmp(verb, "withdraw") == 0) {
		withdraw(id);
	} else if (strcmp(verb, "destroy") == 0) {
		(void)xcb_destroy_window(conn, id);
	} else if (strcmp(verb, "place") == 0 && n == 6) {
		configure(words, 2, PLACE | SIZE);
	} else if (strcmp(verb, "move") == 0 && n == 4) {
		configure(words, 2, PLACE);
	} else if (strcmp(verb, "size") == 0 && n == 4) {
		configure(words, 2, SIZE);
	} else if (strcmp(verb, "raise") == 0) {
		configure(words, 2, XCB_CONFIG_WINDOW_STACK_MODE);
	} else if (strcmp(verb, "take") == 0) {
		(void)xcb_set_input_focus(conn, XCB_INPUT_FOCUS_PARENT, id, XCB_CURRENT_TIME);
	} else {
		return false;
	}
	return true;
}

static bool property_command(char **words, int n, char *rest)
{
	const char *verb = words[0];
	if (strcmp(verb, "text") == 0 && n >= 5) {
		set_text(words, rest);
	} else if (strcmp(verb, "set") == 0 && n >= 4) {
		set_values(words, n, 0);
	} else if (strcmp(verb, "zeros") == 0 && n == 5) {
		set_values(words, n, (uint32_t)atoi(words[4]));
	} else if (strcmp(verb, "unset") == 0 && n == 3) {
		(void)xcb_delete_property(conn, window_of(words[1]), atom_of(words[2]));
	} else if (strcmp(verb, "message") == 0 && n >= 3) {
		send_message(words, n);
	} else if (strcmp(verb, "get") == 0 && n == 3) {
		get_property(words);
	} else if (strcmp(verb, "where") == 0 && n == 2) {
		print_place(words[1]);
	} else {
		return false;
	}
	return true;
}

static void handle_command(char *line)
{
	char *words[MAX_WORDS], *save = NULL, rest[4096] = "";
	int n = 0, at = 0;
	/* A text has spaces: it is all behind the fourth word. */
	if (sscanf(line, "text %*s %*s %*s %n", &at) == 0 && at > 0) {
		snprintf(rest, sizeof(rest), "%s", line + at);
	}
	for (char *word = strtok_r(line, " ", &save); word != NULL && n < MAX_WORDS;
	     word = strtok_r(NULL, " ", &save)) {
		words[n++] = word;
	}
	if (n == 0) {
		return;
	}
	if (strcmp(words[0], "quit") == 0) {
		xcb_disconnect(conn);
		exit(0);
	} else if (strcmp(words[0], "pointer") == 0) {
		xcb_query_pointer_reply_t *reply =
			xcb_query_pointer_reply(conn, xcb_query_pointer(conn, screen->root), NULL);
		say("pointer %s", reply != NULL ? name_of(reply->child) : "-");
		free(reply);
	} else if (strcmp(words[0], "sync") == 0) {
		free(xcb_get_input_focus_reply(conn, xcb_get_input_focus(conn), NULL));
		say("synced");
	} else if (!window_command(words, n) && !property_command(words, n, rest)) {
		die("what is that command?");
	}
}

static void print_message(const xcb_client_message_event_t *event)
{
	xcb_get_atom_name_reply_t *name =
		xcb_get_atom_name_reply(conn, xcb_get_atom_name(conn, event->data.data32[0]), NULL);
	if (name != NULL) {
		say("message %s %.*s", name_of(event->window), xcb_get_atom_name_name_length(name),
		    xcb_get_atom_name_name(name));
	}
	free(name);
}

static void handle_event(const xcb_generic_event_t *event)
{
	const void *any = event;
	const xcb_configure_notify_event_t *configured = any;
	const xcb_focus_in_event_t *focus = any;
	const xcb_button_press_event_t *press = any;
	const xcb_generic_error_t *error = any;
	switch (event->response_type & 0x7f) {
	case 0:
		say("error %u %u", error->error_code, error->major_code);
		break;
	case XCB_MAP_NOTIFY:
		say("mapped %s", name_of(((const xcb_map_notify_event_t *)any)->window));
		break;
	case XCB_UNMAP_NOTIFY:
		say("unmapped %s", name_of(((const xcb_unmap_notify_event_t *)any)->window));
		break;
	case XCB_CONFIGURE_NOTIFY:
		say("configured %s %d %d %u %u", name_of(configured->window), configured->x,
		    configured->y, configured->width, configured->height);
		break;
	case XCB_FOCUS_IN:
		say("focused %s", name_of(focus->event));
		break;
	case XCB_FOCUS_OUT:
		say("unfocused %s", name_of(focus->event));
		break;
	case XCB_KEY_PRESS:
		say("key %s %u", name_of(press->event), press->detail);
		break;
	case XCB_BUTTON_PRESS:
		say("press %s %d %d", name_of(press->event), press->event_x, press->event_y);
		break;
	case XCB_CLIENT_MESSAGE:
		print_message(any);
		break;
	default:
		break;
	}
}

static void handle_events(void)
{
	xcb_generic_event_t *event;
	while ((event = xcb_poll_for_event(conn)) != NULL) {
		handle_event(event);
		free(event);
	}
	if (xcb_connection_has_error(conn)) {
		say("closed");
		exit(3);
	}
}

int main(void)
{
	conn = xcb_connect(NULL, NULL);
	if (xcb_connection_has_error(conn)) {
		die("no X server");
	}
	screen = xcb_setup_roots_iterator(xcb_get_setup(conn)).data;
	say("ready");
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = xcb_get_file_descriptor(conn), .events = POLLIN}};
	for (;;) {
		handle_events();
		(void)xcb_flush(conn);
		if (poll(fds, 2, -1) < 0) {
			die("poll");
		}
		if (fds[0].revents != 0) {
			read_commands(handle_command);
		}
	}
}
