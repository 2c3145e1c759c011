/* SPDX-License-Identifier: MIT
 *
 * Drag-and-drop between X programs and others.
 */
#include <poll.h>
#include <wayland-server-core.h>

#include "xw_rig.h"

/* --- drags over an X window --- */

static void expect_message(unsigned type, const uint32_t wanted[5])
{
	const xcb_client_message_event_t *message = &fake_x.event.message;
	CHECK_INT(message->response_type, XCB_CLIENT_MESSAGE);
	CHECK_INT(message->type, rig.wm.atoms[type]);
	CHECK_INT(message->window, X_PROGRAM);
	CHECK_INT(message->data.data32[0], rig.all->each[XW_DND].window);
	for (unsigned i = 1; i < 5; i++) {
		CHECK_INT(message->data.data32[i], wanted[i]);
	}
}

static void x_message(unsigned type, uint32_t flags, xcb_atom_t action)
{
	xcb_client_message_event_t event = {
		.response_type = XCB_CLIENT_MESSAGE,
		.format = 32,
		.window = rig.all->each[XW_DND].window,
		.type = rig.wm.atoms[type],
	};
	event.data.data32[0] = X_PROGRAM;
	event.data.data32[1] = flags;
	event.data.data32[type == XW_ATOM_XDND_FINISHED ? 2 : 4] = action;
	CHECK(x_event(&event));
}

/* The compositor leads a drag over the window. */
static void drag_enter(void)
{
	struct wire made = begin(rig.devices[0], BR_EVT_WL_DATA_DEVICE_DATA_OFFER);
	put(&made, OFFER);
	pass(&made);
	for (unsigned i = 0; i < 2; i++) {
		struct wire mime = begin(OFFER, BR_EVT_WL_DATA_OFFER_OFFER);
		put_string(&mime, i == 0 ? "text/uri-list" : "text/plain;charset=utf-8");
		pass(&mime);
	}
	struct wire enter = begin(rig.devices[0], BR_EVT_WL_DATA_DEVICE_ENTER);
	put(&enter, 42);
	put(&enter, rig.surface);
	put(&enter, 10 * 256);
	put(&enter, 20 * 256);
	put(&enter, OFFER);
	pass(&enter);
	CHECK_INT(fake_x.owned, rig.wm.atoms[XW_ATOM_XDND_SELECTION]);
	x_owner(XW_DND, fake_x.owner, XCB_XFIXES_SELECTION_EVENT_SET_SELECTION_OWNER);
}

static void drag_motion(uint32_t x, uint32_t y)
{
	struct wire motion = begin(rig.devices[0], BR_EVT_WL_DATA_DEVICE_MOTION);
	put(&motion, 1);
	put(&motion, x * 256);
	put(&motion, y * 256);
	pass(&motion);
}

static void drag_event(uint16_t opcode)
{
	struct wire w = begin(rig.devices[0], opcode);
	pass(&w);
}

#define WL_POINTER 6u /* Xwayland's ids */
#define WL_SURFACE 4u

static void client_request(const uint32_t *words, unsigned count)
{
	uint32_t copy[16];
	memcpy(copy, words, count * 4);
	copy[1] |= count * 4 << 16;
	CHECK_INT(br_stream_write(br_relay_input(rig.wm.relay, BR_REQUEST), copy, count * 4), 0);
	CHECK_INT(br_relay_dispatch(rig.wm.relay, BR_REQUEST), 0);
}

/* Xwayland with a surface and a pointer. */
static void set_up_xwayland(void)
{
	set_up();
	const uint32_t registry[] = {1, BR_REQ_WL_DISPLAY_GET_REGISTRY, 2};
	client_request(registry, 3);
	uint32_t bind[16] = {2, BR_REQ_WL_REGISTRY_BIND, 20, 14};
	memcpy(&bind[4], "wl_compositor", 14);
	bind[8] = 4;
	bind[9] = 3;
	client_request(bind, 10);
	const uint32_t surface[] = {3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, WL_SURFACE};
	client_request(surface, 3);
	uint32_t seat[16] = {2, BR_REQ_WL_REGISTRY_BIND, 1, 8};
	memcpy(&seat[4], "wl_seat", 8);
	seat[6] = 7;
	seat[7] = 5;
	client_request(seat, 8);
	const uint32_t pointer[] = {5, BR_REQ_WL_SEAT_GET_POINTER, WL_POINTER};
	client_request(pointer, 3);
	(void)take(BR_REQ_WL_DISPLAY_GET_REGISTRY);
	(void)take(BR_REQ_WL_REGISTRY_BIND);
	(void)take(BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
	rig.surface = rig.words[2];
	(void)take(BR_REQ_WL_REGISTRY_BIND);
	(void)take(BR_REQ_WL_SEAT_GET_POINTER);
	check_quiet();
}

static void set_up_drag(uint32_t version)
{
	set_up_xwayland();
	if (version > 0) {
		fake_property_set(X_PROGRAM, rig.wm.atoms[XW_ATOM_XDND_AWARE], XCB_ATOM_ATOM, 32,
				  &version, 4);
	}
}

/* As far as the window's yes. */
static void drag_accepted(void)
{
	const xcb_atom_t *atoms = rig.wm.atoms;
	drag_enter();
	x_anything();
	x_anything();
	CHECK_INT(fake_x.n_events, 2); /* enter and position */
	const uint32_t position[5] = {0, 0, 110 << 16 | 220, TIME, atoms[XW_ATOM_XDND_ACTION_COPY]};
	expect_message(XW_ATOM_XDND_POSITION, position);
	/* While it thinks, no more positions; then the last of them. */
	drag_motion(11, 20);
	drag_motion(12, 20);
	CHECK_INT(fake_x.n_events, 2);
	x_message(XW_ATOM_XDND_STATUS, 1, atoms[XW_ATOM_XDND_ACTION_MOVE]);
	CHECK_INT(fake_x.n_events, 3);
	CHECK_INT(fake_x.event.message.data.data32[2], 112 << 16 | 220);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_ACCEPT), OFFER);
	CHECK_INT(rig.words[2], 42);
	CHECK_STR((const char *)&rig.words[4], "text/uri-list");
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_SET_ACTIONS), OFFER);
	CHECK_INT(rig.words[2], 2);
	CHECK_INT(rig.words[3], 2);
}

TEST(a_drag_over_an_x_window)
{
	const xcb_atom_t *atoms = rig.wm.atoms;
	set_up_drag(9);
	drag_accepted();
	/* It has been told once of our version and the types. */
	const struct fake_property *types =
		fake_property(rig.all->each[XW_DND].window, atoms[XW_ATOM_XDND_TYPE_LIST]);
	const xcb_atom_t wanted[] = {fake_atom("text/uri-list"),
				     fake_atom("text/plain;charset=utf-8"),
				     atoms[XW_ATOM_UTF8_STRING]};
	CHECK_INT(types->bytes, sizeof(wanted));
	CHECK_MEM(types->data, wanted, sizeof(wanted));
	drag_event(BR_EVT_WL_DATA_DEVICE_DROP);
	const uint32_t drop[5] = {0, 0, TIME, 0, 0};
	expect_message(XW_ATOM_XDND_DROP, drop);
	drag_event(BR_EVT_WL_DATA_DEVICE_LEAVE);
	CHECK_INT(fake_x.n_events, 4);
	x_request(XW_DND, X_PROGRAM, fake_atom("text/uri-list"), 701);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_RECEIVE), OFFER);
	write_all(rig.fd, "file:///x\r\n", 11);
	br_fd_clear(&rig.fd);
	turn();
	CHECK_INT(fake_property(X_PROGRAM, 701)->bytes, 11);
	x_message(XW_ATOM_XDND_FINISHED, 1, atoms[XW_ATOM_XDND_ACTION_MOVE]);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_FINISH), OFFER);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	check_quiet();
	tear_down();
}

TEST(a_drag_that_leaves)
{
	set_up_drag(5);
	drag_accepted();
	drag_event(BR_EVT_WL_DATA_DEVICE_LEAVE);
	const uint32_t leave[5] = {0};
	expect_message(XW_ATOM_XDND_LEAVE, leave);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	/* Late answers, and answers to nothing. */
	x_message(XW_ATOM_XDND_STATUS, 1, 0);
	x_message(XW_ATOM_XDND_FINISHED, 1, 0);
	drag_motion(1, 1);
	drag_event(BR_EVT_WL_DATA_DEVICE_DROP);
	check_quiet();
	tear_down();
}

TEST(a_drag_that_is_not_wanted)
{
	set_up_drag(5);
	drag_enter();
	x_anything();
	x_anything();
	x_message(XW_ATOM_XDND_STATUS, 0, 0);
	drag_event(BR_EVT_WL_DATA_DEVICE_DROP);
	const uint32_t leave[5] = {0};
	expect_message(XW_ATOM_XDND_LEAVE, leave);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	tear_down();
}

TEST(a_window_that_knows_no_drags)
{
	set_up_drag(0);
	drag_enter();
	x_anything();
	x_anything();
	drag_motion(5, 5);
	CHECK_INT(fake_x.n_events, 0);
	drag_event(BR_EVT_WL_DATA_DEVICE_LEAVE);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	tear_down();
}

TEST(a_drop_that_is_never_finished)
{
	set_up_drag(5);
	rig.all->peer_ms = 50;
	drag_accepted();
	drag_event(BR_EVT_WL_DATA_DEVICE_DROP);
	CHECK(WAIT_FD(wl_event_loop_get_fd(rig.wm.loop), POLLIN, "the deadline") & POLLIN);
	turn();
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	tear_down();
}

/* --- drags of X programs --- */

static void set_up_pointer(void)
{
	set_up_xwayland();
	struct br_object *object = br_relay_client_object(rig.wm.relay, WL_POINTER);
	xw_dnd_pointer_enter(&rig.wm, object, br_relay_client_object(rig.wm.relay, WL_SURFACE));
	xw_dnd_pointer_button(&rig.wm, 33, 0x110, true);
}

/* The next event of Xwayland's pointer, its frame included; returns words behind the header. */
static const uint32_t *take_event(uint16_t opcode)
{
	static uint32_t words[16];
	struct br_stream *out = br_relay_output(rig.wm.relay, BR_EVENT);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t head[2];
		CHECK(br_stream_bytes(out) >= 8);
		memcpy(head, br_stream_peek(out), 8);
		CHECK_INT(head[0], WL_POINTER);
		CHECK_INT(head[1] & 0xffff, i == 0 ? opcode : BR_EVT_WL_POINTER_FRAME);
		memcpy(i == 0 ? words : head, br_stream_peek(out), i == 0 ? head[1] >> 16 : 8);
		br_stream_consume(out, head[1] >> 16);
	}
	return words + 2;
}

static void check_no_events(void)
{
	CHECK_INT(br_stream_bytes(br_relay_output(rig.wm.relay, BR_EVENT)), 0);
}

static void source_message(unsigned type, uint32_t d1, uint32_t d2, uint32_t d3, uint32_t d4)
{
	xcb_client_message_event_t event = {
		.response_type = XCB_CLIENT_MESSAGE,
		.format = 32,
		.window = rig.all->each[XW_DND].window,
		.type = rig.wm.atoms[type],
		.data.data32 = {X_PROGRAM, d1, d2, d3, d4},
	};
	CHECK(x_event(&event));
}

/* The program looks at where its pointer has been moved to. */
static void source_follows(const uint32_t *words)
{
	uint32_t x = 100 + words[1] / 256, y = 200 + words[2] / 256;
	source_message(XW_ATOM_XDND_POSITION, 0, x << 16 | y, TIME,
		       rig.wm.atoms[XW_ATOM_XDND_ACTION_COPY]);
}

/* The X program begins to drag; returns the compositor's source. */
static uint32_t x_drags(void)
{
	x_owner(XW_DND, X_PROGRAM, XCB_XFIXES_SELECTION_EVENT_SET_SELECTION_OWNER);
	x_anything();
	CHECK(fake_x.mapped);
	(void)take_event(BR_EVT_WL_POINTER_MOTION);
	source_message(XW_ATOM_XDND_ENTER, 5u << 24, fake_atom("text/uri-list"), 0, 0);
	x_anything();
	CHECK_INT(take(BR_REQ_WL_DATA_DEVICE_MANAGER_CREATE_DATA_SOURCE), rig.managers[0]);
	uint32_t source = rig.words[2];
	take_offered(source, "text/uri-list");
	CHECK_INT(take(BR_REQ_WL_DATA_SOURCE_SET_ACTIONS), source);
	CHECK_INT(rig.words[2], 3);
	CHECK_INT(take(BR_REQ_WL_DATA_DEVICE_START_DRAG), rig.devices[0]);
	CHECK_INT(rig.words[2], source);
	CHECK_INT(rig.words[3], rig.surface);
	CHECK_INT(rig.words[4], 0);
	CHECK_INT(rig.words[5], 33);
	/* The compositor takes the pointer; Xwayland goes on without knowing. */
	CHECK(xw_dnd_pointer_leave(&rig.wm, 44));
	return source;
}

static void source_event(uint32_t source, uint16_t opcode, const char *text, uint32_t word)
{
	struct wire w = begin(source, opcode);
	if (text != NULL) {
		put_string(&w, text);
	} else if (opcode == BR_EVT_WL_DATA_SOURCE_ACTION ||
		   opcode == BR_EVT_WL_DATA_SOURCE_TARGET) {
		put(&w, word);
	}
	pass(&w);
}

/* As far as a place where it would be taken. */
static void source_accepted(uint32_t source)
{
	const xcb_atom_t *atoms = rig.wm.atoms;
	source_message(XW_ATOM_XDND_POSITION, 0, 300 << 16 | 400, TIME,
		       atoms[XW_ATOM_XDND_ACTION_COPY]);
	const uint32_t no[5] = {0, 2, 0, 0, 0};
	expect_message(XW_ATOM_XDND_STATUS, no);
	source_event(source, BR_EVT_WL_DATA_SOURCE_TARGET, "text/uri-list", 0);
	(void)take_event(BR_EVT_WL_POINTER_MOTION);
	source_event(source, BR_EVT_WL_DATA_SOURCE_ACTION, NULL, 2);
	source_follows(take_event(BR_EVT_WL_POINTER_MOTION));
	const uint32_t yes[5] = {0, 3, 0, 0, atoms[XW_ATOM_XDND_ACTION_MOVE]};
	expect_message(XW_ATOM_XDND_STATUS, yes);
}

static void expect_release(void)
{
	const uint32_t *words = take_event(BR_EVT_WL_POINTER_BUTTON);
	CHECK_INT(words[2], 0x110);
	CHECK_INT(words[3], 0);
}

TEST(an_x_program_drags)
{
	set_up_pointer();
	uint32_t source = x_drags();
	source_accepted(source);
	source_event(source, BR_EVT_WL_DATA_SOURCE_DND_DROP_PERFORMED, NULL, 0);
	check_no_events(); /* until it is known to have heard the last answer */
	x_anything();
	expect_release();
	source_message(XW_ATOM_XDND_DROP, 0, TIME + 9, 0, 0);
	int fd = send_to(XW_DND, source, "text/uri-list");
	CHECK_INT(fake_x.converted.time, TIME + 9);
	CHECK_INT(fake_x.converted.selection, rig.wm.atoms[XW_ATOM_XDND_SELECTION]);
	fake_property_set(fake_x.converted.requestor, fake_x.converted.property,
			  fake_atom("text/uri-list"), 8, "file:///y", 9);
	x_notify(true);
	x_anything();
	expect_bytes(fd, "file:///y", 9);
	br_fd_clear(&fd);
	source_event(source, BR_EVT_WL_DATA_SOURCE_DND_FINISHED, NULL, 0);
	const uint32_t finished[5] = {0, 1, rig.wm.atoms[XW_ATOM_XDND_ACTION_MOVE], 0, 0};
	expect_message(XW_ATOM_XDND_FINISHED, finished);
	CHECK_INT(take(BR_REQ_WL_DATA_SOURCE_DESTROY), source);
	CHECK(!fake_x.mapped);
	/* What Xwayland missed. */
	CHECK_INT(take_event(BR_EVT_WL_POINTER_LEAVE)[0], 44);
	check_no_events();
	tear_down();
}

TEST(an_x_program_is_slow_to_drop)
{
	set_up_pointer();
	uint32_t source = x_drags();
	source_accepted(source);
	source_event(source, BR_EVT_WL_DATA_SOURCE_DND_DROP_PERFORMED, NULL, 0);
	x_anything();
	expect_release();
	source_event(source, BR_EVT_WL_DATA_SOURCE_DND_FINISHED, NULL, 0);
	source_event(source, BR_EVT_WL_DATA_SOURCE_CANCELLED, NULL, 0);
	check_quiet();
	source_message(XW_ATOM_XDND_DROP, 0, TIME + 9, 0, 0);
	const uint32_t finished[5] = {0, 1, rig.wm.atoms[XW_ATOM_XDND_ACTION_MOVE], 0, 0};
	expect_message(XW_ATOM_XDND_FINISHED, finished);
	CHECK_INT(take(BR_REQ_WL_DATA_SOURCE_DESTROY), source);
	tear_down();
}

TEST(an_x_programs_drag_that_nobody_wants)
{
	set_up_pointer();
	uint32_t source = x_drags();
	source_accepted(source);
	source_event(source, BR_EVT_WL_DATA_SOURCE_CANCELLED, NULL, 0);
	CHECK_INT(take(BR_REQ_WL_DATA_SOURCE_DESTROY), source);
	const uint32_t no[5] = {0, 2, 0, 0, 0};
	expect_message(XW_ATOM_XDND_STATUS, no);
	check_no_events();
	x_anything();
	expect_release();
	(void)take_event(BR_EVT_WL_POINTER_LEAVE);
	/* It drops nevertheless, and must not wait for ever. */
	source_message(XW_ATOM_XDND_DROP, 0, TIME, 0, 0);
	const uint32_t finished[5] = {0};
	expect_message(XW_ATOM_XDND_FINISHED, finished);
	check_no_events();
	tear_down();
}

/* The program is over an X window, which would take it: it must not believe that this is where it ended. */
TEST(an_x_programs_drag_that_ends_elsewhere)
{
	set_up_pointer();
	uint32_t source = x_drags();
	source_message(XW_ATOM_XDND_LEAVE, 0, 0, 0, 0);
	source_event(source, BR_EVT_WL_DATA_SOURCE_CANCELLED, NULL, 0);
	CHECK_INT(take(BR_REQ_WL_DATA_SOURCE_DESTROY), source);
	x_anything();
	CHECK(fake_x.mapped);
	const uint32_t *words = take_event(BR_EVT_WL_POINTER_MOTION);
	check_no_events();
	source_message(XW_ATOM_XDND_ENTER, 5u << 24, fake_atom("text/uri-list"), 0, 0);
	/* Where it was before does not count. */
	source_message(XW_ATOM_XDND_POSITION, 0, 1 << 16 | 1, TIME, 0);
	x_anything();
	check_no_events();
	source_follows(words);
	const uint32_t no[5] = {0, 2, 0, 0, 0};
	expect_message(XW_ATOM_XDND_STATUS, no);
	x_anything();
	expect_release();
	(void)take_event(BR_EVT_WL_POINTER_LEAVE);
	CHECK(!fake_x.mapped);
	check_quiet();
	tear_down();
}

TEST(an_x_programs_drag_over_its_own_kind)
{
	set_up_pointer();
	uint32_t source = x_drags();
	struct wire made = begin(rig.devices[0], BR_EVT_WL_DATA_DEVICE_DATA_OFFER);
	put(&made, OFFER);
	pass(&made);
	struct wire mime = begin(OFFER, BR_EVT_WL_DATA_OFFER_OFFER);
	put_string(&mime, "text/uri-list");
	pass(&mime);
	struct wire enter = begin(rig.devices[0], BR_EVT_WL_DATA_DEVICE_ENTER);
	put(&enter, 42);
	put(&enter, rig.surface);
	put(&enter, 10 * 256);
	put(&enter, 20 * 256);
	put(&enter, OFFER);
	pass(&enter);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_ACCEPT), OFFER);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_SET_ACTIONS), OFFER);
	x_anything();
	CHECK(!fake_x.mapped);
	const uint32_t *words = take_event(BR_EVT_WL_POINTER_MOTION);
	CHECK_INT(words[2], 20 * 256);
	drag_motion(30, 40);
	words = take_event(BR_EVT_WL_POINTER_MOTION);
	CHECK_INT(words[1], 30 * 256);
	CHECK_INT(words[2], 40 * 256);
	drag_event(BR_EVT_WL_DATA_DEVICE_DROP);
	expect_release();
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_FINISH), OFFER);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	source_message(XW_ATOM_XDND_LEAVE, 0, 0, 0, 0);
	source_event(source, BR_EVT_WL_DATA_SOURCE_DND_FINISHED, NULL, 0);
	CHECK_INT(take(BR_REQ_WL_DATA_SOURCE_DESTROY), source);
	tear_down();
}

TEST(an_x_programs_drag_without_a_button)
{
	set_up_pointer();
	xw_dnd_pointer_button(&rig.wm, 34, 0x110, false);
	x_owner(XW_DND, X_PROGRAM, XCB_XFIXES_SELECTION_EVENT_SET_SELECTION_OWNER);
	x_anything();
	CHECK(!fake_x.mapped);
	CHECK(!xw_dnd_pointer_leave(&rig.wm, 44));
	source_message(XW_ATOM_XDND_ENTER, 5u << 24, fake_atom("text/uri-list"), 0, 0);
	source_message(XW_ATOM_XDND_POSITION, 0, 0, 0, 0);
	x_anything();
	check_quiet();
	check_no_events();
	tear_down();
}
