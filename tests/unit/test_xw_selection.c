/* SPDX-License-Identifier: MIT
 *
 * Selections of X programs' and of others'.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <wayland-server-core.h>

#include "xw_rig.h"
#include "xwayland/text.h"

/* --- text --- */

TEST(latin1_and_utf8)
{
	const uint8_t latin1[] = {'a', 0xe9, 0xff, '\n'};
	uint8_t out[8], text[] = "a\xc3\xa9\xc3\xbf\n\xe2\x82\xac!\xf0\x9f\x98\x80\xff";
	size_t used;
	CHECK_INT(xw_latin1_to_utf8(latin1, 4, out), 6);
	CHECK_MEM(out, "a\xc3\xa9\xc3\xbf\n", 6);
	CHECK_INT(xw_utf8_to_latin1(text, sizeof(text) - 1, false, &used), 8);
	CHECK_INT(used, sizeof(text) - 1);
	CHECK_MEM(text, "a\xe9\xff\n?!??", 8);
	/* A character in two pieces. */
	uint8_t cut[] = "x\xc3";
	CHECK_INT(xw_utf8_to_latin1(cut, 2, false, &used), 1);
	CHECK_INT(used, 1);
	CHECK_INT(xw_utf8_to_latin1(cut, 2, true, &used), 2);
	CHECK_INT(used, 2);
	CHECK_MEM(cut, "x?", 2);
}

TEST(mime_types_that_cant_be)
{
	char longer[BR_LIMIT_MIME_BYTES + 2];
	struct xw_mimes mimes = {0};
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	CHECK(xw_mimes_add(&mimes, "", 0, 1));
	CHECK(xw_mimes_add(&mimes, "a/b\n", 4, 1));
	CHECK(xw_mimes_add(&mimes, longer, sizeof(longer) - 1, 1));
	CHECK_INT(mimes.count, 0);
	for (unsigned i = 0; i < BR_LIMIT_X_MIMES + 9; i++) {
		char name[16];
		int len = snprintf(name, sizeof(name), "x/%u", i / 2);
		CHECK(xw_mimes_add(&mimes, name, (size_t)len, i));
		len = snprintf(name, sizeof(name), "y/%u", i);
		CHECK(xw_mimes_add(&mimes, name, (size_t)len, i));
	}
	CHECK_INT(mimes.count, BR_LIMIT_X_MIMES);
	xw_mimes_finish(&mimes);
}

/* --- to X programs --- */

static void check_text(unsigned kind)
{
	const xcb_atom_t *atoms = rig.wm.atoms;
	offer_text(kind);
	x_request(kind, X_PROGRAM, atoms[XW_ATOM_TARGETS], 501);
	expect_notify(X_PROGRAM, 501);
	const struct fake_property *p = fake_property(X_PROGRAM, 501);
	CHECK_INT(p->type, XCB_ATOM_ATOM);
	const xcb_atom_t wanted[] = {
		atoms[XW_ATOM_TARGETS],
		atoms[XW_ATOM_TIMESTAMP],
		atoms[XW_ATOM_UTF8_STRING],
		atoms[XW_ATOM_TEXT],
		XCB_ATOM_STRING,
		fake_atom("image/png"),
		fake_atom("text/plain;charset=utf-8"),
	};
	CHECK_INT(p->bytes, sizeof(wanted));
	CHECK_MEM(p->data, wanted, sizeof(wanted));
	x_request(kind, X_PROGRAM, atoms[XW_ATOM_TIMESTAMP], 501);
	CHECK_INT(*(uint32_t *)fake_property(X_PROGRAM, 501)->data, TIME);

	x_request(kind, X_PROGRAM, atoms[XW_ATOM_UTF8_STRING], 502);
	int fd = take_receive(kind, "text/plain;charset=utf-8");
	write_all(fd, "caf\xc3\xa9", 5);
	turn();
	CHECK(fake_property(X_PROGRAM, 502) == NULL);
	br_fd_clear(&fd);
	turn();
	expect_notify(X_PROGRAM, 502);
	p = fake_property(X_PROGRAM, 502);
	CHECK_INT(p->type, atoms[XW_ATOM_UTF8_STRING]);
	CHECK_INT(p->bytes, 5);
	CHECK_MEM(p->data, "caf\xc3\xa9", 5);

	x_request(kind, X_OTHER, XCB_ATOM_STRING, XCB_NONE); /* of before ICCCM */
	fd = take_receive(kind, "text/plain;charset=utf-8");
	write_all(fd, "caf\xc3", 4);
	turn();
	write_all(fd, "\xa9", 1);
	br_fd_clear(&fd);
	turn();
	p = fake_property(X_OTHER, XCB_ATOM_STRING);
	CHECK_INT(p->type, XCB_ATOM_STRING);
	CHECK_INT(p->bytes, 4);
	CHECK_MEM(p->data, "caf\xe9", 4);
	CHECK_INT(rig.all->n_transfers, 0);
}

TEST(text_of_the_clipboard)
{
	set_up();
	check_text(XW_CLIPBOARD);
	tear_down();
}

TEST(text_of_the_primary_selection)
{
	set_up();
	check_text(XW_PRIMARY);
	tear_down();
}

TEST(an_offer_that_was_void)
{
	set_up();
	offer_text(XW_CLIPBOARD);
	x_request(XW_CLIPBOARD, X_PROGRAM, fake_atom("image/png"), 501);
	int fd = take_receive(XW_CLIPBOARD, "image/png");
	br_fd_clear(&fd);
	turn();
	CHECK_INT(take(BR_REQ_WL_DISPLAY_SYNC), 1);
	uint32_t callback = rig.words[2];
	offer_selection(XW_CLIPBOARD, OFFER + 1, text_mimes);
	x_anything();
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	CHECK_INT(fake_x.n_events, 0);
	struct wire done = begin(callback, BR_EVT_WL_CALLBACK_DONE);
	put(&done, 0);
	pass(&done);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_RECEIVE), OFFER + 1);
	br_fd_clear(&rig.fd);
	/* This one is empty. */
	turn();
	CHECK_INT(take(BR_REQ_WL_DISPLAY_SYNC), 1);
	done = begin(rig.words[2], BR_EVT_WL_CALLBACK_DONE);
	put(&done, 0);
	pass(&done);
	expect_notify(X_PROGRAM, 501);
	CHECK_INT(fake_property(X_PROGRAM, 501)->bytes, 0);
	x_anything();
	CHECK_INT(rig.all->n_transfers, 0);
	tear_down();
}

TEST(the_same_again)
{
	set_up();
	offer_text(XW_CLIPBOARD);
	x_anything();
	/* What its targets are called need not be asked again. */
	offer_selection(XW_CLIPBOARD, OFFER + 1, text_mimes);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	fake_x.silent = true;
	x_request(XW_CLIPBOARD, X_PROGRAM, fake_atom("image/png"), 501);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_RECEIVE), OFFER + 1);
	fake_x.silent = false;
	tear_down();
}

TEST(what_is_not_there_is_refused)
{
	set_up();
	x_request(XW_CLIPBOARD, X_PROGRAM, rig.wm.atoms[XW_ATOM_TARGETS], 501);
	expect_notify(X_PROGRAM, XCB_NONE);
	offer_text(XW_CLIPBOARD);
	x_request(XW_CLIPBOARD, X_PROGRAM, fake_atom("text/html"), 501);
	expect_notify(X_PROGRAM, XCB_NONE);
	/* Of a time when it was somebody else's. */
	rig.all->each[XW_CLIPBOARD].time = TIME + 1;
	fake_x.event.notify.property = 1;
	x_request(XW_CLIPBOARD, X_PROGRAM, rig.wm.atoms[XW_ATOM_TARGETS], 501);
	expect_notify(X_PROGRAM, XCB_NONE);
	check_quiet();
	tear_down();
}

/** A source of bytes that no pattern repeats in, and what of them has arrived. */
struct flow {
	int fd; /* where they are written; -1: all were */
	size_t written, got, total;
};

static uint8_t byte_at(size_t i)
{
	return (uint8_t)((i * 2654435761u) >> 13);
}

static void flow_write(struct flow *flow)
{
	uint8_t block[4096];
	while (flow->fd >= 0 && flow->written < flow->total) {
		size_t len = flow->total - flow->written;
		len = len < sizeof(block) ? len : sizeof(block);
		for (size_t i = 0; i < len; i++) {
			block[i] = byte_at(flow->written + i);
		}
		ssize_t n = write(flow->fd, block, len);
		if (n < 0) {
			CHECK_INT(errno, EAGAIN);
			return;
		}
		flow->written += (size_t)n;
	}
	br_fd_clear(&flow->fd);
}

/* Ask for the picture as X_PROGRAM or another. */
static struct flow flow_start(xcb_window_t requestor, xcb_atom_t property, size_t total)
{
	struct flow flow = {.total = total};
	x_request(XW_CLIPBOARD, requestor, fake_atom("image/png"), property);
	flow.fd = take_receive(XW_CLIPBOARD, "image/png");
	CHECK_INT(br_fd_set_nonblock(flow.fd), 0);
	return flow;
}

/* Take a chunk, if there is one, and have the next one sent. Returns false at the end. */
static bool flow_take(struct flow *flow, xcb_window_t requestor, xcb_atom_t property)
{
	const struct fake_property *p = fake_property(requestor, property);
	if (p == NULL) {
		return true;
	}
	bool incr = p->type == rig.wm.atoms[XW_ATOM_INCR], end = p->bytes == 0;
	for (size_t i = 0; !incr && i < p->bytes; i++) {
		CHECK_INT(p->data[i], byte_at(flow->got + i));
	}
	flow->got += incr ? 0 : p->bytes;
	CHECK(fake_property_delete(requestor, property));
	CHECK(!x_property(requestor, property, XCB_PROPERTY_DELETE));
	return !end;
}

TEST(large_data_goes_in_chunks)
{
	struct flow flow;
	unsigned turns = 0;
	set_up();
	offer_text(XW_CLIPBOARD);
	flow = flow_start(X_PROGRAM, 601, (4 << 20) + 17);
	do {
		flow_write(&flow);
		turn();
		CHECK(++turns < 10000);
	} while (flow_take(&flow, X_PROGRAM, 601));
	x_anything();
	CHECK_INT(flow.got, flow.total);
	CHECK_INT(rig.all->n_transfers, 0);
	CHECK(fake_x.max_change <= BR_LIMIT_X_CHUNK_BYTES);
	/* The window manager hears again what it wants to hear, and no more. */
	CHECK_INT(fake_x.watched, X_PROGRAM);
	CHECK_INT(fake_x.watched_mask, XCB_EVENT_MASK_FOCUS_CHANGE);
	tear_down();
}

TEST(many_at_a_time_wait_for_the_server)
{
	struct flow flows[8];
	unsigned left = 8, turns = 0;
	bool ended[8] = {false};
	set_up();
	offer_text(XW_CLIPBOARD);
	for (unsigned i = 0; i < 8; i++) {
		flows[i] = flow_start(X_PROGRAM + i, 601, 300000 + i);
	}
	while (left > 0) {
		for (unsigned i = 0; i < 8; i++) {
			flow_write(&flows[i]);
			turn();
			if (!ended[i] && !flow_take(&flows[i], X_PROGRAM + i, 601)) {
				ended[i] = true;
				left--;
			}
		}
		CHECK(++turns < 10000);
	}
	x_anything();
	for (unsigned i = 0; i < 8; i++) {
		CHECK_INT(flows[i].got, flows[i].total);
	}
	CHECK_INT(rig.all->n_transfers, 0);
	/* One chunk, and of each the four bytes that say how much there is. */
	CHECK(fake_x.max_unconfirmed <= BR_LIMIT_X_CHUNK_BYTES + 8 * 4);
	tear_down();
}

TEST(a_requestor_that_stalls_holds_up_nobody)
{
	struct flow stalled, flow;
	unsigned turns = 0;
	set_up();
	rig.all->peer_ms = 200;
	offer_text(XW_CLIPBOARD);
	stalled = flow_start(X_OTHER, 601, 1 << 20);
	flow_write(&stalled);
	turn();
	CHECK_INT(fake_property(X_OTHER, 601)->type, rig.wm.atoms[XW_ATOM_INCR]);
	flow = flow_start(X_PROGRAM, 601, 1 << 20);
	do {
		flow_write(&flow);
		turn();
		CHECK(++turns < 10000);
	} while (flow_take(&flow, X_PROGRAM, 601));
	CHECK_INT(flow.got, flow.total);
	CHECK_INT(rig.all->n_transfers, 1);
	/* It never asks for its next chunk; who writes for it learns that nobody reads. */
	CHECK(WAIT_FD(wl_event_loop_get_fd(rig.wm.loop), POLLIN, "the deadline") & POLLIN);
	turn();
	CHECK_INT(rig.all->n_transfers, 0);
	CHECK(WAIT_FD(stalled.fd, POLLERR, "the end of the pipe") & POLLERR);
	br_fd_clear(&stalled.fd);
	tear_down();
}

TEST(a_requestor_that_dies)
{
	struct flow flow;
	set_up();
	offer_text(XW_CLIPBOARD);
	flow = flow_start(X_OTHER, 601, 1 << 20);
	flow_write(&flow);
	turn();
	const xcb_destroy_notify_event_t gone = {.response_type = XCB_DESTROY_NOTIFY,
						 .window = X_OTHER};
	CHECK(!x_event(&gone));
	CHECK_INT(rig.all->n_transfers, 0);
	br_fd_clear(&flow.fd);
	/* One that was dead before. */
	flow = flow_start(X_OTHER, 601, 1 << 20);
	const xcb_value_error_t error = {.error_code = XCB_WINDOW, .bad_value = X_OTHER};
	CHECK(!x_event(&error));
	CHECK_INT(rig.all->n_transfers, 0);
	br_fd_clear(&flow.fd);
	tear_down();
}

TEST(a_source_that_stalls)
{
	set_up();
	rig.all->source_ms = 50;
	offer_text(XW_CLIPBOARD);
	struct flow flow = flow_start(X_PROGRAM, 601, 10);
	CHECK(WAIT_FD(wl_event_loop_get_fd(rig.wm.loop), POLLIN, "the deadline") & POLLIN);
	turn();
	expect_notify(X_PROGRAM, XCB_NONE);
	CHECK_INT(rig.all->n_transfers, 0);
	br_fd_clear(&flow.fd);
	tear_down();
}

TEST(too_many_transfers)
{
	struct flow flows[BR_LIMIT_X_TRANSFERS];
	set_up();
	offer_text(XW_CLIPBOARD);
	for (unsigned i = 0; i < BR_LIMIT_X_TRANSFERS; i++) {
		flows[i] = flow_start(X_PROGRAM, 601 + i, 10);
	}
	struct flow more = flow_start(X_PROGRAM, 901, 10);
	expect_notify(X_PROGRAM, XCB_NONE);
	br_fd_clear(&more.fd);
	/* Asked for once more is instead of, not besides. */
	br_fd_clear(&flows[3].fd);
	flows[3] = flow_start(X_PROGRAM, 604, 10);
	CHECK_INT(rig.all->n_transfers, BR_LIMIT_X_TRANSFERS);
	for (unsigned i = 0; i < BR_LIMIT_X_TRANSFERS; i++) {
		br_fd_clear(&flows[i].fd);
	}
	tear_down();
}

/* --- from X programs --- */

/* An X program takes a selection and says what it has; returns the compositor's source. */
static uint32_t x_copies(unsigned kind, const xcb_atom_t *targets, unsigned count)
{
	x_owner(kind, X_PROGRAM, XCB_XFIXES_SELECTION_EVENT_SET_SELECTION_OWNER);
	CHECK_INT(fake_x.converted.target, rig.wm.atoms[XW_ATOM_TARGETS]);
	CHECK_INT(fake_x.converted.selection, rig.all->each[kind].atom);
	fake_property_set(fake_x.converted.requestor, fake_x.converted.property, XCB_ATOM_ATOM, 32,
			  targets, count * 4);
	x_notify(true);
	x_anything();
	x_anything();
	if (count == 0) {
		return 0;
	}
	CHECK_INT(take(0), rig.managers[kind]); /* create_data_source and create_source */
	return rig.words[2];
}

static uint32_t x_copies_text(unsigned kind)
{
	const xcb_atom_t targets[] = {rig.wm.atoms[XW_ATOM_TARGETS], fake_atom("text/html"),
				      rig.wm.atoms[XW_ATOM_UTF8_STRING], fake_atom("_SOMETHING")};
	uint32_t source = x_copies(kind, targets, 4);
	take_offered(source, "text/plain;charset=utf-8");
	take_offered(source, "text/plain");
	take_offered(source, "text/html");
	CHECK_INT(take(kind == XW_PRIMARY ? BR_REQ_ZWP_PRIMARY_SELECTION_DEVICE_V1_SET_SELECTION
					  : BR_REQ_WL_DATA_DEVICE_SET_SELECTION),
		  rig.devices[kind]);
	CHECK_INT(rig.words[2], source);
	CHECK_INT(rig.words[3], 77);
	CHECK_INT(take(BR_REQ_WL_DISPLAY_SYNC), 1);
	return source;
}

TEST(an_x_programs_text)
{
	for (unsigned kind = XW_CLIPBOARD; kind <= XW_PRIMARY; kind++) {
		set_up();
		uint32_t source = x_copies_text(kind);
		int fd = send_to(kind, source, "text/plain");
		CHECK_INT(fake_x.converted.target, rig.wm.atoms[XW_ATOM_UTF8_STRING]);
		CHECK_INT(fake_x.converted.time, TIME);
		fake_property_set(fake_x.converted.requestor, fake_x.converted.property,
				  rig.wm.atoms[XW_ATOM_UTF8_STRING], 8, "caf\xc3\xa9", 5);
		x_notify(true);
		x_anything();
		expect_bytes(fd, "caf\xc3\xa9", 5);
		CHECK_INT(read(fd, &(char){0}, 1), 0);
		br_fd_clear(&fd);
		/* And nothing else is sent for. */
		fd = send_to(kind, source, "text/rtf");
		CHECK_INT(read(fd, &(char){0}, 1), 0);
		br_fd_clear(&fd);
		CHECK_INT(rig.all->n_transfers, 0);
		tear_down();
	}
}

TEST(an_x_programs_latin1)
{
	set_up();
	const xcb_atom_t string = XCB_ATOM_STRING;
	uint32_t source = x_copies(XW_CLIPBOARD, &string, 1);
	take_offered(source, "text/plain;charset=utf-8");
	int fd = send_to(XW_CLIPBOARD, source, "text/plain;charset=utf-8");
	CHECK_INT(fake_x.converted.target, XCB_ATOM_STRING);
	fake_property_set(fake_x.converted.requestor, fake_x.converted.property, XCB_ATOM_STRING, 8,
			  "caf\xe9", 4);
	x_notify(true);
	x_anything();
	expect_bytes(fd, "caf\xc3\xa9", 5);
	br_fd_clear(&fd);
	tear_down();
}

/* Read what is there and compare. Returns false at the end. */
static bool flow_read(struct flow *flow)
{
	static uint8_t block[65536];
	ssize_t n = read(flow->fd, block, sizeof(block));
	if (n < 0) {
		CHECK_INT(errno, EAGAIN);
		return true;
	}
	for (ssize_t i = 0; i < n; i++) {
		CHECK_INT(block[i], byte_at(flow->got + (size_t)i));
	}
	flow->got += (size_t)n;
	return n > 0;
}

static void fill_bytes(uint8_t *bytes, size_t from, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bytes[i] = byte_at(from + i);
	}
}

TEST(an_x_programs_large_property)
{
	static uint8_t bytes[1000003];
	set_up();
	fill_bytes(bytes, 0, sizeof(bytes));
	uint32_t source = x_copies_text(XW_CLIPBOARD);
	struct flow flow = {.fd = send_to(XW_CLIPBOARD, source, "text/html")};
	fake_property_set(fake_x.converted.requestor, fake_x.converted.property,
			  fake_atom("text/html"), 8, bytes, sizeof(bytes));
	x_notify(true);
	x_anything();
	while (flow_read(&flow)) {
		turn();
	}
	CHECK_INT(flow.got, sizeof(bytes));
	CHECK_INT(rig.all->n_transfers, 0);
	br_fd_clear(&flow.fd);
	tear_down();
}

TEST(an_x_programs_chunks_wait_for_the_reader)
{
	static uint8_t bytes[100000];
	set_up();
	rig.all->peer_ms = 0; /* no deadline: it is the reader who waits */
	uint32_t source = x_copies_text(XW_CLIPBOARD);
	struct flow flow = {.fd = send_to(XW_CLIPBOARD, source, "text/html")};
	xcb_window_t ours = fake_x.converted.requestor;
	xcb_atom_t property = fake_x.converted.property;
	const uint32_t least = 1;
	fake_property_set(ours, property, rig.wm.atoms[XW_ATOM_INCR], 32, &least, 4);
	x_notify(true);
	x_anything();
	size_t sent = 0;
	bool ended = false;
	for (unsigned turns = 0; flow_read(&flow); turns++) {
		CHECK(turns < 1000);
		/* A chunk is taken away when the reader has it, and not before. */
		if (fake_property(ours, property) == NULL && !ended) {
			size_t len = sent < 1000000 ? sizeof(bytes) : 0;
			CHECK(flow.got + 65536 >= sent);
			fill_bytes(bytes, sent, len);
			fake_property_set(ours, property, fake_atom("text/html"), 8, bytes, len);
			CHECK(x_property(ours, property, XCB_PROPERTY_NEW_VALUE));
			ended = len == 0;
			sent += len;
		}
		turn();
	}
	CHECK_INT(flow.got, sent);
	CHECK_INT(rig.all->n_transfers, 0);
	br_fd_clear(&flow.fd);
	tear_down();
}

TEST(an_owner_that_gives_nothing)
{
	set_up();
	rig.all->peer_ms = 50;
	uint32_t source = x_copies_text(XW_CLIPBOARD);
	int refused = send_to(XW_CLIPBOARD, source, "text/html");
	x_notify(false);
	CHECK_INT(read(refused, &(char){0}, 1), 0);
	int silent = send_to(XW_CLIPBOARD, source, "text/html");
	CHECK(WAIT_FD(wl_event_loop_get_fd(rig.wm.loop), POLLIN, "the deadline") & POLLIN);
	turn();
	CHECK_INT(read(silent, &(char){0}, 1), 0);
	int dies = send_to(XW_CLIPBOARD, source, "text/html");
	x_owner(XW_CLIPBOARD, XCB_NONE, XCB_XFIXES_SELECTION_EVENT_SELECTION_CLIENT_CLOSE);
	CHECK_INT(read(dies, &(char){0}, 1), 0);
	CHECK_INT(rig.all->n_transfers, 0);
	/* With its owner the selection is gone for everybody. */
	CHECK_INT(take(BR_REQ_WL_DATA_SOURCE_DESTROY), source);
	br_fd_clear(&refused);
	br_fd_clear(&silent);
	br_fd_clear(&dies);
	tear_down();
}

TEST(a_reader_that_dies)
{
	static uint8_t bytes[200000];
	(void)signal(SIGPIPE, SIG_IGN); /* as the program does */
	set_up();
	uint32_t source = x_copies_text(XW_CLIPBOARD);
	int fd = send_to(XW_CLIPBOARD, source, "text/html");
	fake_property_set(fake_x.converted.requestor, fake_x.converted.property,
			  fake_atom("text/html"), 8, bytes, sizeof(bytes));
	x_notify(true);
	x_anything();
	CHECK_INT(rig.all->n_transfers, 1);
	br_fd_clear(&fd);
	turn();
	CHECK_INT(rig.all->n_transfers, 0);
	tear_down();
}

/* --- whose it is --- */

static const char *const own_mimes[] = {"text/plain;charset=utf-8", "text/plain", "text/html",
					NULL};

static void seen(void)
{
	/* The id of the callback of the last sync. */
	struct wire w = begin(rig.words[2], BR_EVT_WL_CALLBACK_DONE);
	put(&w, 0);
	pass(&w);
}

TEST(an_x_programs_own_selection_comes_back)
{
	set_up();
	(void)x_copies_text(XW_CLIPBOARD);
	unsigned owned = fake_x.n_owned;
	/* What was on its way, then ours: both before the compositor's answer. */
	offer_selection(XW_CLIPBOARD, OFFER, text_mimes);
	uint32_t callback = rig.words[2];
	offer_selection(XW_CLIPBOARD, OFFER + 1, own_mimes);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	rig.words[2] = callback;
	seen();
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER + 1);
	CHECK_INT(fake_x.n_owned, owned);
	/* Again, with the focus. */
	offer_selection(XW_CLIPBOARD, OFFER, own_mimes);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	CHECK_INT(fake_x.n_owned, owned);
	check_quiet();
	tear_down();
}

TEST(another_program_copies)
{
	set_up();
	uint32_t source = x_copies_text(XW_CLIPBOARD);
	seen();
	struct wire cancelled = begin(source, BR_EVT_WL_DATA_SOURCE_CANCELLED);
	pass(&cancelled);
	CHECK_INT(take(BR_REQ_WL_DATA_SOURCE_DESTROY), source);
	offer_selection(XW_CLIPBOARD, OFFER, own_mimes);
	CHECK_INT(fake_x.owner, rig.all->each[XW_CLIPBOARD].window);
	CHECK_INT(fake_x.n_owned, 1);
	x_owner(XW_CLIPBOARD, fake_x.owner, XCB_XFIXES_SELECTION_EVENT_SET_SELECTION_OWNER);
	/* And another; the last one is given back. */
	offer_selection(XW_CLIPBOARD, OFFER + 1, text_mimes);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	CHECK_INT(fake_x.n_owned, 2);
	/* And nobody. */
	struct wire none = begin(rig.devices[XW_CLIPBOARD], BR_EVT_WL_DATA_DEVICE_SELECTION);
	put(&none, 0);
	pass(&none);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER + 1);
	CHECK_INT(fake_x.owner, XCB_NONE);
	tear_down();
}

TEST(a_seat_goes_and_comes)
{
	set_up();
	offer_text(XW_CLIPBOARD);
	struct wire gone = begin(2, BR_EVT_WL_REGISTRY_GLOBAL_REMOVE);
	put(&gone, 1);
	pass(&gone);
	CHECK_INT(take(BR_REQ_WL_DATA_OFFER_DESTROY), OFFER);
	CHECK_INT(take(BR_REQ_WL_DATA_DEVICE_RELEASE), rig.devices[0]);
	CHECK_INT(take(BR_REQ_ZWP_PRIMARY_SELECTION_DEVICE_V1_DESTROY), rig.devices[1]);
	CHECK_INT(take(BR_REQ_WL_SEAT_RELEASE), rig.seat);
	announce(2, 9, "wl_seat", 4);
	(void)take_bind(4);
	CHECK_INT(take(BR_REQ_WL_DATA_DEVICE_MANAGER_GET_DATA_DEVICE), rig.managers[0]);
	CHECK_INT(take(BR_REQ_ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_GET_DEVICE), rig.managers[1]);
	tear_down();
}

TEST(the_connection_goes_first)
{
	set_up();
	offer_text(XW_CLIPBOARD);
	(void)x_copies_text(XW_PRIMARY);
	struct flow flow = flow_start(X_PROGRAM, 601, 10);
	br_relay_destroy(rig.wm.relay);
	rig.wm.relay = NULL;
	tear_down();
	br_fd_clear(&flow.fd);
}
