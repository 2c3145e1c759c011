/* SPDX-License-Identifier: MIT */
#include "fake_xcb.h"

#include <stdlib.h>
#include <string.h>
#include <xcb/xcbext.h>
#include <xcb/xfixes.h>

#include "test.h"

#define MAX_REPLIES 512
#define FIRST_NAMED 1000

struct fake_x fake_x;
static void *replies[MAX_REPLIES]; /* by sequence number */
static bool answered[MAX_REPLIES];
static unsigned next_sequence;
static char names[128][300];
static unsigned n_names;
static uint32_t next_id;

void fake_x_reset(void)
{
	fake_x = (struct fake_x){0};
	next_sequence = 0;
	next_id = 0x200000;
	n_names = 0;
}

void fake_x_finish(void)
{
	for (unsigned i = 0; i < 64; i++) {
		free(fake_x.properties[i].data);
	}
	for (unsigned i = 0; i < MAX_REPLIES; i++) {
		free(replies[i]);
		replies[i] = NULL;
	}
}

struct fake_property *fake_property(xcb_window_t window, xcb_atom_t name)
{
	for (unsigned i = 0; i < 64; i++) {
		struct fake_property *p = &fake_x.properties[i];
		if (p->data != NULL && p->window == window && p->name == name) {
			return p;
		}
	}
	return NULL;
}

void fake_property_set(xcb_window_t window, xcb_atom_t name, xcb_atom_t type, uint8_t format,
		       const void *data, size_t bytes)
{
	struct fake_property *p = fake_property(window, name);
	for (unsigned i = 0; p == NULL && i < 64; i++) {
		p = fake_x.properties[i].data == NULL ? &fake_x.properties[i] : NULL;
	}
	CHECK(p != NULL);
	free(p->data);
	*p = (struct fake_property){window, name, type, format, malloc(bytes + 1), bytes};
	if (bytes > 0) {
		memcpy(p->data, data, bytes);
	}
}

bool fake_property_delete(xcb_window_t window, xcb_atom_t name)
{
	struct fake_property *p = fake_property(window, name);
	if (p != NULL) {
		free(p->data);
		p->data = NULL;
	}
	return p != NULL;
}

xcb_atom_t fake_atom(const char *name)
{
	for (unsigned i = 0; i < n_names; i++) {
		if (strcmp(names[i], name) == 0) {
			return FIRST_NAMED + i;
		}
	}
	CHECK(n_names < 128 && strlen(name) < sizeof(names[0]));
	strcpy(names[n_names], name);
	return FIRST_NAMED + n_names++;
}

/* --- answers --- */

static unsigned answer(void *reply)
{
	unsigned sequence = ++next_sequence % MAX_REPLIES;
	CHECK(!answered[sequence]);
	replies[sequence] = reply;
	answered[sequence] = true;
	return sequence;
}

int xcb_poll_for_reply(xcb_connection_t *c, unsigned int request, void **reply,
		       xcb_generic_error_t **error)
{
	(void)c;
	if (fake_x.silent) {
		return 0;
	}
	CHECK(answered[request]);
	answered[request] = false;
	*reply = replies[request];
	*error = NULL;
	replies[request] = NULL;
	fake_x.unconfirmed = 0;
	return 1;
}

void xcb_discard_reply(xcb_connection_t *c, unsigned int sequence)
{
	(void)c;
	CHECK(answered[sequence]);
	answered[sequence] = false;
	free(replies[sequence]);
	replies[sequence] = NULL;
}

const struct xcb_query_extension_reply_t *xcb_get_extension_data(xcb_connection_t *c,
								 xcb_extension_t *ext)
{
	static const struct xcb_query_extension_reply_t reply = {.present = 1,
								 .first_event = FAKE_XFIXES_EVENT};
	(void)c;
	(void)ext;
	return &reply;
}

xcb_extension_t xcb_xfixes_id;

xcb_get_input_focus_cookie_t xcb_get_input_focus(xcb_connection_t *c)
{
	(void)c;
	return (xcb_get_input_focus_cookie_t){answer(calloc(1, 32))};
}

xcb_intern_atom_cookie_t xcb_intern_atom(xcb_connection_t *c, uint8_t only_if_exists,
					 uint16_t name_len, const char *name)
{
	xcb_intern_atom_reply_t *reply = calloc(1, sizeof(*reply));
	char text[300] = "";
	(void)c;
	(void)only_if_exists;
	memcpy(text, name, name_len);
	reply->atom = fake_atom(text);
	return (xcb_intern_atom_cookie_t){answer(reply)};
}

xcb_get_atom_name_cookie_t xcb_get_atom_name(xcb_connection_t *c, xcb_atom_t atom)
{
	(void)c;
	if (atom < FIRST_NAMED || atom >= FIRST_NAMED + n_names) {
		return (xcb_get_atom_name_cookie_t){answer(NULL)};
	}
	const char *name = names[atom - FIRST_NAMED];
	xcb_get_atom_name_reply_t *reply = calloc(1, sizeof(*reply) + strlen(name));
	reply->name_len = (uint16_t)strlen(name);
	memcpy(reply + 1, name, strlen(name));
	return (xcb_get_atom_name_cookie_t){answer(reply)};
}

char *xcb_get_atom_name_name(const xcb_get_atom_name_reply_t *reply)
{
	return (char *)(reply + 1);
}

int xcb_get_atom_name_name_length(const xcb_get_atom_name_reply_t *reply)
{
	return reply->name_len;
}

/* --- properties --- */

xcb_get_property_cookie_t xcb_get_property(xcb_connection_t *c, uint8_t del, xcb_window_t window,
					   xcb_atom_t property, xcb_atom_t type, uint32_t offset,
					   uint32_t length)
{
	const struct fake_property *p = fake_property(window, property);
	size_t start = (size_t)offset * 4;
	size_t bytes = p != NULL && p->bytes > start ? p->bytes - start : 0;
	size_t given = bytes < (size_t)length * 4 ? bytes : (size_t)length * 4;
	xcb_get_property_reply_t *reply = calloc(1, sizeof(*reply) + given);
	(void)c;
	CHECK(type == XCB_GET_PROPERTY_TYPE_ANY || p == NULL || type == p->type);
	if (p != NULL) {
		reply->type = p->type;
		reply->format = p->format;
		reply->bytes_after = (uint32_t)(bytes - given);
		reply->value_len = (uint32_t)(given * 8 / p->format);
		memcpy(reply + 1, p->data + start, given);
		if (del && given == bytes) {
			(void)fake_property_delete(window, property);
		}
	}
	return (xcb_get_property_cookie_t){answer(reply)};
}

void *xcb_get_property_value(const xcb_get_property_reply_t *reply)
{
	return (void *)(reply + 1);
}

int xcb_get_property_value_length(const xcb_get_property_reply_t *reply)
{
	return (int)(reply->value_len * (reply->format / 8));
}

xcb_void_cookie_t xcb_change_property(xcb_connection_t *c, uint8_t mode, xcb_window_t window,
				      xcb_atom_t property, xcb_atom_t type, uint8_t format,
				      uint32_t data_len, const void *data)
{
	size_t bytes = (size_t)data_len * format / 8;
	(void)c;
	CHECK_INT(mode, XCB_PROP_MODE_REPLACE);
	fake_property_set(window, property, type, format, data, bytes);
	fake_x.max_change = bytes > fake_x.max_change ? bytes : fake_x.max_change;
	fake_x.unconfirmed += bytes;
	if (fake_x.unconfirmed > fake_x.max_unconfirmed) {
		fake_x.max_unconfirmed = fake_x.unconfirmed;
	}
	return (xcb_void_cookie_t){0};
}

xcb_void_cookie_t xcb_delete_property(xcb_connection_t *c, xcb_window_t window, xcb_atom_t property)
{
	(void)c;
	CHECK(fake_property_delete(window, property));
	return (xcb_void_cookie_t){0};
}

/* --- the rest --- */

uint32_t xcb_generate_id(xcb_connection_t *c)
{
	(void)c;
	return next_id++;
}

xcb_void_cookie_t xcb_create_window(xcb_connection_t *c, uint8_t depth, xcb_window_t wid,
				    xcb_window_t parent, int16_t x, int16_t y, uint16_t width,
				    uint16_t height, uint16_t border_width, uint16_t window_class,
				    xcb_visualid_t visual, uint32_t value_mask,
				    const void *value_list)
{
	(void)c, (void)depth, (void)wid, (void)x, (void)y, (void)width, (void)height;
	(void)border_width, (void)window_class, (void)visual, (void)value_mask, (void)value_list;
	CHECK_INT(parent, FAKE_ROOT);
	fake_x.n_windows++;
	return (xcb_void_cookie_t){0};
}

xcb_void_cookie_t xcb_destroy_window(xcb_connection_t *c, xcb_window_t window)
{
	(void)c;
	for (unsigned i = 0; i < 64; i++) {
		if (fake_x.properties[i].data != NULL && fake_x.properties[i].window == window) {
			free(fake_x.properties[i].data);
			fake_x.properties[i].data = NULL;
		}
	}
	fake_x.n_windows--;
	return (xcb_void_cookie_t){0};
}

xcb_void_cookie_t xcb_map_window(xcb_connection_t *c, xcb_window_t window)
{
	(void)c, (void)window;
	fake_x.mapped = true;
	return (xcb_void_cookie_t){0};
}

xcb_void_cookie_t xcb_unmap_window(xcb_connection_t *c, xcb_window_t window)
{
	(void)c, (void)window;
	fake_x.mapped = false;
	return (xcb_void_cookie_t){0};
}

xcb_void_cookie_t xcb_configure_window(xcb_connection_t *c, xcb_window_t window,
				       uint16_t value_mask, const void *value_list)
{
	(void)c, (void)window, (void)value_mask, (void)value_list;
	return (xcb_void_cookie_t){0};
}

xcb_void_cookie_t xcb_change_window_attributes(xcb_connection_t *c, xcb_window_t window,
					       uint32_t value_mask, const void *value_list)
{
	(void)c;
	CHECK_INT(value_mask, XCB_CW_EVENT_MASK);
	fake_x.watched = window;
	memcpy(&fake_x.watched_mask, value_list, 4);
	return (xcb_void_cookie_t){0};
}

xcb_void_cookie_t xcb_convert_selection(xcb_connection_t *c, xcb_window_t requestor,
					xcb_atom_t selection, xcb_atom_t target,
					xcb_atom_t property, xcb_timestamp_t time)
{
	(void)c;
	fake_x.n_converted++;
	fake_x.converted = (xcb_convert_selection_request_t){.requestor = requestor,
							     .selection = selection,
							     .target = target,
							     .property = property,
							     .time = time};
	return (xcb_void_cookie_t){0};
}

xcb_void_cookie_t xcb_set_selection_owner(xcb_connection_t *c, xcb_window_t owner,
					  xcb_atom_t selection, xcb_timestamp_t time)
{
	(void)c, (void)time;
	fake_x.owner = owner;
	fake_x.owned = selection;
	fake_x.n_owned++;
	return (xcb_void_cookie_t){0};
}

xcb_void_cookie_t xcb_send_event(xcb_connection_t *c, uint8_t propagate, xcb_window_t destination,
				 uint32_t event_mask, const char *event)
{
	(void)c, (void)propagate, (void)event_mask;
	fake_x.n_events++;
	fake_x.event.to = destination;
	memcpy(&fake_x.event.message, event, sizeof(fake_x.event.message));
	return (xcb_void_cookie_t){0};
}

xcb_xfixes_query_version_cookie_t xcb_xfixes_query_version(xcb_connection_t *c, uint32_t major,
							   uint32_t minor)
{
	(void)c, (void)major, (void)minor;
	return (xcb_xfixes_query_version_cookie_t){answer(NULL)};
}

xcb_void_cookie_t xcb_xfixes_select_selection_input(xcb_connection_t *c, xcb_window_t window,
						    xcb_atom_t selection, uint32_t event_mask)
{
	(void)c, (void)window, (void)selection, (void)event_mask;
	return (xcb_void_cookie_t){0};
}

int xcb_flush(xcb_connection_t *c)
{
	(void)c;
	return 1;
}
