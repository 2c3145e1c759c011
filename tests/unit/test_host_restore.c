/* SPDX-License-Identifier: MIT
 *
 * A guest program whose compositor goes away, against compositors that are played here: what the next one is
 * told, in which order, and what the program sees of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wayland-server-core.h>

#include "test.h"

#include "br-tables.h"
#include "client.h"
#include "client_rig.h"
#include "fd.h"
#include "host.h"
#include "limits.h"
#include "sock.h"
#include "upstream.h"

#define MAX_IDS 256

/* Ids that the guest program chooses. */
enum { COMPOSITOR = 3, SHM, WM_BASE, SEAT, POOL, BUFFER, SURFACE, XDG_SURFACE, TOPLEVEL, MORE };

/* What the compositor that is there knows. */
static struct {
	uint16_t iface[MAX_IDS];
	uint32_t words[64]; /* of the last request, without the header */
	uint32_t object;
	char name[64];
} server;

/* --- the guest --- */

static void ask(struct fixture *f, uint32_t object, uint16_t opcode, const uint32_t *words,
		size_t n)
{
	struct message m = {.n = n};
	memcpy(m.words, words, n * sizeof(*words));
	send_message(guest_out(f), object, opcode, &m);
	hr_client_dispatch(f->client);
}

#define ASK(f, object, opcode, ...)                                                                \
	do {                                                                                       \
		const uint32_t words_[] = {0, ##__VA_ARGS__};                                      \
		ask(f, object, opcode, words_ + 1, sizeof(words_) / 4 - 1);                        \
	} while (0)

/* The program's next event must be this. */
static const struct message *expect_event(struct fixture *f, uint32_t object, int opcode)
{
	static struct message m;
	uint32_t from;
	for (int i = 0; br_stream_empty(guest_in(f)) && i < DEADLINE_MS / 10; i++) {
		CHECK_INT(wl_event_loop_dispatch(f->host.loop, 10), 0);
	}
	CHECK_INT(take(guest_in(f), &from, &m), opcode);
	CHECK_INT(from, object);
	return &m;
}

static void expect_no_event(struct fixture *f)
{
	CHECK_INT(br_stream_bytes(guest_in(f)), 0);
}

static void skip_events(struct fixture *f)
{
	br_stream_consume(guest_in(f), br_stream_bytes(guest_in(f)));
	hr_client_events_taken(f->client);
}

/* --- the compositor --- */

static void note_new_id(const struct br_msg_desc *desc, const uint32_t *words)
{
	const uint32_t *at = words;
	const char *bound = NULL;
	for (unsigned i = 0; i < desc->n_args; i++) {
		const struct br_arg_desc *arg = &br_args[desc->first_arg + i];
		if (arg->kind == BR_ARG_STRING) {
			bound = (const char *)&at[1];
			at += 1 + (at[0] + 3) / 4;
		} else if (arg->kind == BR_ARG_NEW_ID) {
			CHECK(*at < MAX_IDS);
			server.iface[*at++] =
				arg->iface == BR_IFACE_ANY ? br_iface_find(bound) : arg->iface;
		} else if (arg->kind != BR_ARG_FD) {
			at++;
		}
	}
}

/* The next request into server; returns its name, or "" if there is none. */
static const char *next(struct fixture *f, bool wait)
{
	struct message m;
	int opcode = take(&f->in, &server.object, &m);
	for (int i = 0; opcode < 0 && wait && i < DEADLINE_MS / 10; i++) {
		CHECK_INT(wl_event_loop_dispatch(f->host.loop, 10), 0);
		read_requests(f);
		opcode = take(&f->in, &server.object, &m);
	}
	if (opcode < 0) {
		return "";
	}
	CHECK(server.object < MAX_IDS && m.n <= 64);
	const struct br_iface *iface = &br_ifaces[server.iface[server.object]];
	const struct br_msg_desc *desc = &br_msgs[iface->first_req + opcode];
	memcpy(server.words, m.words, m.n * 4);
	note_new_id(desc, server.words);
	snprintf(server.name, sizeof(server.name), "%s.%s", iface->name, desc->name);
	return server.name;
}

static void expect(struct fixture *f, const char *name)
{
	CHECK_STR(next(f, true), name);
}

static void expect_nothing(struct fixture *f)
{
	read_requests(f);
	CHECK_STR(next(f, false), "");
}

static uint32_t id_of(const char *iface)
{
	for (uint32_t i = MAX_IDS; i-- > 1;) {
		if (server.iface[i] == br_iface_find(iface)) {
			return i;
		}
	}
	FAIL("the compositor has no %s", iface);
}

static void tell(struct fixture *f, uint32_t object, uint16_t opcode, const uint32_t *words,
		 size_t n)
{
	struct message m = {.n = n};
	memcpy(m.words, words, n * sizeof(*words));
	send_message(&f->out, object, opcode, &m);
	flush_compositor(f);
}

#define TELL(f, object, opcode, ...)                                                               \
	do {                                                                                       \
		const uint32_t words_[] = {0, ##__VA_ARGS__};                                      \
		tell(f, object, opcode, words_ + 1, sizeof(words_) / 4 - 1);                       \
	} while (0)

static void run_loop(struct fixture *f)
{
	for (int i = 0; i < 3; i++) {
		CHECK_INT(wl_event_loop_dispatch(f->host.loop, 0), 0);
	}
}

/* first: the name of the first global. */
static void announce_globals(struct fixture *f, uint32_t registry, uint32_t first, bool seat)
{
	static const struct {
		const char *name;
		uint32_t version;
	} all[] = {{"wl_compositor", 6}, {"wl_shm", 1}, {"xdg_wm_base", 5}, {"wl_seat", 7}};
	for (uint32_t i = 0; i < (seat ? 4 : 3); i++) {
		struct message m = {0};
		put(&m, first + i);
		put_string(&m, all[i].name);
		put(&m, all[i].version);
		send_message(&f->out, registry, BR_EVT_WL_REGISTRY_GLOBAL, &m);
	}
	flush_compositor(f);
}

static void forget_all(void)
{
	memset(&server, 0, sizeof(server));
	server.iface[1] = BR_IFACE_WL_DISPLAY;
}

/* --- a program with a window --- */

static void set_up_program(struct fixture *f)
{
	set_up(f);
	f->host.compositor_wait_ms = DEADLINE_MS;
	forget_all();
	connect_client(f);
	ASK(f, 1, BR_REQ_WL_DISPLAY_GET_REGISTRY, REGISTRY);
	expect(f, "wl_display.get_registry");
	announce_globals(f, REGISTRY, 1, true);
	wait_for(f, &f->ready, f->ready, "globals");
	bind_global(f, 1, "wl_compositor", 6, COMPOSITOR);
	bind_global(f, 2, "wl_shm", 1, SHM);
	bind_global(f, 3, "xdg_wm_base", 5, WM_BASE);
	bind_global(f, 4, "wl_seat", 7, SEAT);
}

static void make_buffer(struct fixture *f)
{
	struct br_handle handle = {.fd = memfd_create("pool", MFD_CLOEXEC)};
	CHECK_INT(ftruncate(handle.fd, 4096), 0);
	CHECK_INT(br_stream_push_handle_take(guest_out(f), &handle), 0);
	ASK(f, SHM, BR_REQ_WL_SHM_CREATE_POOL, POOL, 4096);
	ASK(f, POOL, BR_REQ_WL_SHM_POOL_CREATE_BUFFER, BUFFER, 0, 8, 8, 32, 0);
	ASK(f, POOL, BR_REQ_WL_SHM_POOL_DESTROY);
}

/* A window that shows a buffer. */
static void show_window(struct fixture *f)
{
	set_up_program(f);
	make_buffer(f);
	ASK(f, COMPOSITOR, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, SURFACE);
	ASK(f, WM_BASE, BR_REQ_XDG_WM_BASE_GET_XDG_SURFACE, XDG_SURFACE, SURFACE);
	ASK(f, XDG_SURFACE, BR_REQ_XDG_SURFACE_GET_TOPLEVEL, TOPLEVEL);
	ASK(f, TOPLEVEL, BR_REQ_XDG_TOPLEVEL_SET_MIN_SIZE, 3, 4);
	ASK(f, TOPLEVEL, BR_REQ_XDG_TOPLEVEL_SET_MIN_SIZE, 5, 6);
	ASK(f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	while (next(f, false)[0] != '\0' || (read_requests(f), !br_stream_empty(&f->in))) {
	}
	TELL(f, 1, BR_EVT_WL_DISPLAY_DELETE_ID, POOL);
	TELL(f, id_of("xdg_surface"), BR_EVT_XDG_SURFACE_CONFIGURE, 77);
	run_loop(f);
	ASK(f, XDG_SURFACE, BR_REQ_XDG_SURFACE_ACK_CONFIGURE, 77);
	ASK(f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, BUFFER, 0, 0);
	ASK(f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	run_loop(f);
	read_requests(f);
	skip_events(f);
	br_stream_consume(&f->in, br_stream_bytes(&f->in));
}

/* The compositor goes; the next one is connected to. */
static void replace(struct fixture *f)
{
	struct br_handle handle;
	br_fd_clear(&f->fd);
	br_stream_consume(&f->in, br_stream_bytes(&f->in));
	while (br_stream_pop_handle(&f->in, &handle)) {
		br_fd_clear(&handle.fd);
	}
	forget_all();
	for (int i = 0; f->fd < 0 && i < DEADLINE_MS / 10; i++) {
		CHECK_INT(wl_event_loop_dispatch(f->host.loop, 10), 0);
		f->fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	}
	CHECK(f->fd >= 0);
	expect(f, "wl_display.get_registry");
	expect(f, "wl_display.sync");
}

/* Answer the sync that the client sent last. */
static void answer_sync(struct fixture *f)
{
	TELL(f, id_of("wl_callback"), BR_EVT_WL_CALLBACK_DONE, 1);
	TELL(f, 1, BR_EVT_WL_DISPLAY_DELETE_ID, id_of("wl_callback"));
	server.iface[id_of("wl_callback")] = 0;
	run_loop(f);
}

/* Up to the initial commit of the window. */
static void hear_window(struct fixture *f)
{
	expect(f, "wl_registry.bind");
	CHECK_INT(server.words[0], 101);
	expect(f, "wl_registry.bind");
	expect(f, "wl_registry.bind");
	expect(f, "wl_registry.bind");
	expect(f, "wl_shm.create_pool");
	expect(f, "wl_shm_pool.create_buffer");
	expect(f, "wl_compositor.create_surface");
	expect(f, "xdg_wm_base.get_xdg_surface");
	expect(f, "xdg_surface.get_toplevel");
	expect(f, "xdg_toplevel.set_title");
	expect(f, "xdg_toplevel.set_app_id");
	expect(f, "xdg_toplevel.set_min_size");
	CHECK_INT(server.words[0], 5);
	expect(f, "wl_surface.commit");
	expect(f, "wl_display.sync");
}

static void configure_window(struct fixture *f, uint32_t serial)
{
	TELL(f, id_of("xdg_surface"), BR_EVT_XDG_SURFACE_CONFIGURE, serial);
	run_loop(f);
	expect(f, "xdg_surface.ack_configure");
	CHECK_INT(server.words[0], serial);
	expect(f, "wl_surface.attach");
	CHECK_INT(server.words[0], id_of("wl_buffer"));
	expect(f, "wl_surface.damage");
	expect(f, "wl_surface.commit");
}

static void finish_move(struct fixture *f)
{
	announce_globals(f, id_of("wl_registry"), 101, true);
	answer_sync(f);
	hear_window(f);
	answer_sync(f);
	configure_window(f, 9);
}

TEST(a_window_is_made_again_parents_first)
{
	struct fixture f;
	show_window(&f);
	replace(&f);
	/* Requests wait. */
	ASK(&f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	finish_move(&f);
	expect(&f, "wl_surface.commit");
	/* The window is configured, and that is all the program sees. */
	CHECK_INT(expect_event(&f, XDG_SURFACE, BR_EVT_XDG_SURFACE_CONFIGURE)->words[0], 9);
	expect_no_event(&f);
	/* It was acknowledged, and so was what the last compositor sent. */
	ASK(&f, XDG_SURFACE, BR_REQ_XDG_SURFACE_ACK_CONFIGURE, 9);
	expect_nothing(&f);
	TELL(&f, id_of("xdg_surface"), BR_EVT_XDG_SURFACE_CONFIGURE, 10);
	run_loop(&f);
	ASK(&f, XDG_SURFACE, BR_REQ_XDG_SURFACE_ACK_CONFIGURE, 10);
	expect(&f, "xdg_surface.ack_configure");
	CHECK_INT(f.closed, 0);
	tear_down(&f);
}

TEST(it_goes_on_to_a_third_and_a_fourth)
{
	struct fixture f;
	show_window(&f);
	replace(&f); /* which goes away before it has said what it has */
	replace(&f); /* and this one in the middle */
	announce_globals(&f, id_of("wl_registry"), 101, true);
	answer_sync(&f);
	hear_window(&f);
	replace(&f);
	finish_move(&f);
	expect_event(&f, XDG_SURFACE, BR_EVT_XDG_SURFACE_CONFIGURE);
	expect_no_event(&f);
	ASK(&f, 1, BR_REQ_WL_DISPLAY_SYNC, MORE);
	expect(&f, "wl_display.sync");
	tear_down(&f);
}

TEST(compositors_that_go_away_at_once_are_not_followed_for_ever)
{
	struct fixture f;
	show_window(&f);
	for (int i = 0; i < 5; i++) {
		replace(&f);
	}
	br_fd_clear(&f.fd);
	wait_for(&f, &f.closed, 0, "the end of the client");
	tear_down(&f);
}

TEST(the_socket_may_come_later)
{
	struct fixture f;
	show_window(&f);
	br_fd_clear(&f.listen_fd);
	unlink(f.path);
	br_fd_clear(&f.fd);
	for (int i = 0; i < 10; i++) {
		CHECK_INT(wl_event_loop_dispatch(f.host.loop, 10), 0);
	}
	CHECK_INT(f.closed, 0);
	f.listen_fd = br_sock_listen(f.path, SOCK_STREAM);
	(void)fcntl(f.listen_fd, F_SETFL, O_NONBLOCK);
	replace(&f);
	finish_move(&f);
	tear_down(&f);
}

TEST(it_waits_no_longer_than_it_may)
{
	struct fixture f;
	show_window(&f);
	f.host.compositor_wait_ms = 1;
	br_fd_clear(&f.listen_fd);
	unlink(f.path);
	br_fd_clear(&f.fd);
	wait_for(&f, &f.closed, 0, "the end of the client");
	CHECK_INT(f.closed, 1);
	tear_down(&f);
}

/* A program that floods while there is no compositor is not read for ever. */
TEST(requests_that_wait_are_bounded)
{
	struct fixture f;
	show_window(&f);
	br_fd_clear(&f.listen_fd);
	unlink(f.path);
	br_fd_clear(&f.fd);
	for (int i = 0; i < 10; i++) {
		CHECK_INT(wl_event_loop_dispatch(f.host.loop, 10), 0);
	}
	size_t before = br_stream_bytes(guest_out(&f));
	CHECK_INT(before, 0);
	while (br_stream_bytes(guest_out(&f)) < BR_LIMIT_IN_BYTES - 64) {
		ASK(&f, SURFACE, BR_REQ_WL_SURFACE_DAMAGE, 0, 0, 1, 1);
	}
	CHECK_INT(f.drained, 0);
	f.listen_fd = br_sock_listen(f.path, SOCK_STREAM);
	(void)fcntl(f.listen_fd, F_SETFL, O_NONBLOCK);
	replace(&f);
	finish_move(&f);
	expect(&f, "wl_surface.damage");
	CHECK_INT(f.drained, 1);
	tear_down(&f);
}

TEST(what_the_program_waits_for_comes)
{
	struct fixture f;
	show_window(&f);
	ASK(&f, SURFACE, BR_REQ_WL_SURFACE_FRAME, MORE);
	ASK(&f, 1, BR_REQ_WL_DISPLAY_SYNC, MORE + 1);
	ASK(&f, BUFFER, BR_REQ_WL_BUFFER_DESTROY);
	replace(&f);
	announce_globals(&f, id_of("wl_registry"), 101, true);
	/* The id that nobody will free; its frame, which nobody will show; its sync. */
	CHECK_INT(expect_event(&f, 1, BR_EVT_WL_DISPLAY_DELETE_ID)->words[0], BUFFER);
	for (uint32_t id = MORE; id < MORE + 2; id++) {
		expect_event(&f, id, BR_EVT_WL_CALLBACK_DONE);
		CHECK_INT(expect_event(&f, 1, BR_EVT_WL_DISPLAY_DELETE_ID)->words[0], id);
	}
	expect_no_event(&f);
	answer_sync(&f);
	expect(&f, "wl_registry.bind");
	expect(&f, "wl_registry.bind");
	expect(&f, "wl_registry.bind");
	expect(&f, "wl_registry.bind");
	/* The buffer is shown: it is made though the program has destroyed it. */
	expect(&f, "wl_shm.create_pool");
	expect(&f, "wl_shm_pool.create_buffer");
	tear_down(&f);
}

/* It has to be configured when it is shown again: so not before. */
TEST(a_window_that_was_taken_away_stays_away)
{
	struct fixture f;
	show_window(&f);
	ASK(&f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, 0, 0, 0);
	ASK(&f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	replace(&f);
	announce_globals(&f, id_of("wl_registry"), 101, true);
	answer_sync(&f);
	while (strcmp(next(&f, true), "wl_display.sync") != 0) {
		CHECK(strcmp(server.name, "wl_surface.commit") != 0);
	}
	answer_sync(&f);
	ASK(&f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	expect(&f, "wl_surface.commit");
	TELL(&f, id_of("xdg_surface"), BR_EVT_XDG_SURFACE_CONFIGURE, 4);
	run_loop(&f);
	ASK(&f, XDG_SURFACE, BR_REQ_XDG_SURFACE_ACK_CONFIGURE, 4);
	expect(&f, "xdg_surface.ack_configure");
	tear_down(&f);
}

TEST(a_buffer_that_is_not_shown_is_released)
{
	struct fixture f;
	show_window(&f);
	ASK(&f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, 0, 0, 0);
	ASK(&f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	replace(&f);
	expect_event(&f, BUFFER, BR_EVT_WL_BUFFER_RELEASE);
	expect_no_event(&f);
	tear_down(&f);
}

/* It was released by the last compositor: that the next one does so as well is nothing to the program. */
TEST(a_buffer_is_released_once)
{
	struct fixture f;
	show_window(&f);
	TELL(&f, BUFFER, BR_EVT_WL_BUFFER_RELEASE);
	run_loop(&f);
	expect_event(&f, BUFFER, BR_EVT_WL_BUFFER_RELEASE);
	hr_client_events_taken(f.client);
	replace(&f);
	finish_move(&f);
	TELL(&f, id_of("wl_buffer"), BR_EVT_WL_BUFFER_RELEASE);
	run_loop(&f);
	expect_event(&f, XDG_SURFACE, BR_EVT_XDG_SURFACE_CONFIGURE);
	expect_no_event(&f);
	ASK(&f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, BUFFER, 0, 0);
	ASK(&f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	TELL(&f, id_of("wl_buffer"), BR_EVT_WL_BUFFER_RELEASE);
	run_loop(&f);
	expect_event(&f, BUFFER, BR_EVT_WL_BUFFER_RELEASE);
	tear_down(&f);
}

TEST(focus_is_left_and_devices_come_with_the_seat)
{
	struct fixture f;
	show_window(&f);
	ASK(&f, SEAT, BR_REQ_WL_SEAT_GET_POINTER, MORE);
	ASK(&f, SEAT, BR_REQ_WL_SEAT_GET_KEYBOARD, MORE + 1);
	expect(&f, "wl_seat.get_pointer");
	expect(&f, "wl_seat.get_keyboard");
	TELL(&f, id_of("wl_pointer"), BR_EVT_WL_POINTER_ENTER, 1, SURFACE, 0, 0);
	TELL(&f, id_of("wl_pointer"), BR_EVT_WL_POINTER_BUTTON, 2, 3, 0x110, 1);
	TELL(&f, id_of("wl_keyboard"), BR_EVT_WL_KEYBOARD_ENTER, 1, SURFACE, 0);
	run_loop(&f);
	skip_events(&f);
	replace(&f);
	CHECK_INT(expect_event(&f, MORE, BR_EVT_WL_POINTER_BUTTON)->words[3], 0);
	CHECK_INT(expect_event(&f, MORE, BR_EVT_WL_POINTER_LEAVE)->words[1], SURFACE);
	expect_event(&f, MORE, BR_EVT_WL_POINTER_FRAME);
	CHECK_INT(expect_event(&f, MORE + 1, BR_EVT_WL_KEYBOARD_LEAVE)->words[1], SURFACE);
	expect_no_event(&f);
	finish_move(&f);
	expect_event(&f, XDG_SURFACE, BR_EVT_XDG_SURFACE_CONFIGURE);
	/* A device that the seat does not have would be an error. */
	TELL(&f, id_of("wl_seat"), BR_EVT_WL_SEAT_CAPABILITIES, 2);
	run_loop(&f);
	expect(&f, "wl_seat.get_keyboard");
	expect_nothing(&f);
	TELL(&f, id_of("wl_seat"), BR_EVT_WL_SEAT_CAPABILITIES, 3);
	run_loop(&f);
	expect(&f, "wl_seat.get_pointer");
	expect_nothing(&f);
	CHECK_INT(f.closed, 0);
	tear_down(&f);
}

TEST(popups_are_closed)
{
	struct fixture f;
	enum { POSITIONER = MORE, CHILD, CHILD_XDG, POPUP, FRESH };
	show_window(&f);
	ASK(&f, WM_BASE, BR_REQ_XDG_WM_BASE_CREATE_POSITIONER, POSITIONER);
	ASK(&f, COMPOSITOR, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, CHILD);
	ASK(&f, WM_BASE, BR_REQ_XDG_WM_BASE_GET_XDG_SURFACE, CHILD_XDG, CHILD);
	ASK(&f, CHILD_XDG, BR_REQ_XDG_SURFACE_GET_POPUP, POPUP, XDG_SURFACE, POSITIONER);
	ASK(&f, CHILD, BR_REQ_WL_SURFACE_COMMIT);
	replace(&f);
	expect_event(&f, POPUP, BR_EVT_XDG_POPUP_POPUP_DONE);
	expect_no_event(&f);
	announce_globals(&f, id_of("wl_registry"), 101, true);
	answer_sync(&f);
	while (strcmp(next(&f, true), "wl_display.sync") != 0) {
		CHECK(strcmp(server.name, "xdg_surface.get_popup") != 0);
	}
	answer_sync(&f);
	configure_window(&f, 3);
	/* Until it has taken it away, what it does with it goes nowhere. */
	ASK(&f, CHILD, BR_REQ_WL_SURFACE_ATTACH, BUFFER, 0, 0);
	ASK(&f, CHILD, BR_REQ_WL_SURFACE_COMMIT);
	ASK(&f, POPUP, BR_REQ_XDG_POPUP_DESTROY);
	ASK(&f, CHILD_XDG, BR_REQ_XDG_SURFACE_DESTROY);
	expect_nothing(&f);
	ASK(&f, CHILD, BR_REQ_WL_SURFACE_COMMIT);
	expect(&f, "wl_surface.commit");
	ASK(&f, WM_BASE, BR_REQ_XDG_WM_BASE_GET_XDG_SURFACE, FRESH, CHILD);
	expect(&f, "xdg_wm_base.get_xdg_surface");
	CHECK_INT(f.closed, 0);
	tear_down(&f);
}

TEST(globals_keep_their_names)
{
	struct fixture f;
	show_window(&f);
	replace(&f);
	announce_globals(&f, id_of("wl_registry"), 2, false);
	announce(&f, 1, "wl_output", 4);
	flush_compositor(&f);
	answer_sync(&f);
	run_loop(&f);
	/* The output's name is taken: the program knows the compositor by it. The seat is gone. */
	const struct message *m = expect_event(&f, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL);
	uint32_t output = m->words[0];
	CHECK(output != 1);
	CHECK_STR((const char *)&m->words[2], "wl_output");
	CHECK_INT(expect_event(&f, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL_REMOVE)->words[0], 4);
	expect_no_event(&f);
	while (strcmp(next(&f, true), "wl_display.sync") != 0) {
	}
	answer_sync(&f);
	configure_window(&f, 1);
	expect_event(&f, XDG_SURFACE, BR_EVT_XDG_SURFACE_CONFIGURE);
	bind_global(&f, output, "wl_output", 4, MORE);
	expect(&f, "wl_registry.bind");
	CHECK_INT(server.words[0], 1);
	/* A late bind of what is gone is no error, and goes nowhere. */
	bind_global(&f, 4, "wl_seat", 7, MORE + 1);
	ASK(&f, MORE + 1, BR_REQ_WL_SEAT_GET_POINTER, MORE + 2);
	expect_nothing(&f);
	TELL(&f, id_of("wl_registry"), BR_EVT_WL_REGISTRY_GLOBAL_REMOVE, 1);
	run_loop(&f);
	CHECK_INT(expect_event(&f, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL_REMOVE)->words[0], output);
	CHECK_INT(f.closed, 0);
	tear_down(&f);
}

TEST(a_poorer_compositor_ends_it)
{
	struct fixture f;
	show_window(&f);
	replace(&f);
	announce(&f, 1, "wl_compositor", 6);
	announce(&f, 2, "wl_shm", 1);
	announce(&f, 3, "xdg_wm_base", 4);
	flush_compositor(&f);
	answer_sync(&f);
	wait_for(&f, &f.closed, 0, "the end of the client");
	/* There is another one, its own is gone, and the seat. */
	expect_event(&f, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL);
	CHECK_INT(expect_event(&f, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL_REMOVE)->words[0], 3);
	CHECK_INT(expect_event(&f, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL_REMOVE)->words[0], 4);
	check_error(&f, 1, 3, "the new compositor has no xdg_wm_base of version 5");
	tear_down(&f);
}

TEST(who_has_what_cannot_be_moved_ends)
{
	struct fixture f;
	show_window(&f);
	announce(&f, 9, "zwp_pointer_constraints_v1", 1);
	flush_compositor(&f);
	wait_for(&f, &f.ready, f.ready, "a global");
	bind_global(&f, 9, "zwp_pointer_constraints_v1", 1, MORE);
	ASK(&f, SEAT, BR_REQ_WL_SEAT_GET_POINTER, MORE + 1);
	ASK(&f, MORE, BR_REQ_ZWP_POINTER_CONSTRAINTS_V1_LOCK_POINTER, MORE + 2, SURFACE, MORE + 1,
	    0, 2);
	run_loop(&f);
	br_fd_clear(&f.fd);
	wait_for(&f, &f.closed, 0, "the end of the client");
	tear_down(&f);
}

TEST(subsurfaces_are_stacked_as_they_were)
{
	struct fixture f;
	enum { SUBCOMPOSITOR = MORE, A, B, C, SUB_A, SUB_B, SUB_C };
	show_window(&f);
	announce(&f, 9, "wl_subcompositor", 1);
	flush_compositor(&f);
	wait_for(&f, &f.ready, f.ready, "a global");
	skip_events(&f);
	bind_global(&f, 9, "wl_subcompositor", 1, SUBCOMPOSITOR);
	for (uint32_t i = 0; i < 3; i++) {
		ASK(&f, COMPOSITOR, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, A + i);
	}
	for (uint32_t i = 0; i < 3; i++) {
		ASK(&f, SUBCOMPOSITOR, BR_REQ_WL_SUBCOMPOSITOR_GET_SUBSURFACE, SUB_A + i, A + i,
		    SURFACE);
	}
	/* From below: B, the window, C, A. */
	ASK(&f, SUB_A, BR_REQ_WL_SUBSURFACE_SET_POSITION, 7, 8);
	ASK(&f, SUB_A, BR_REQ_WL_SUBSURFACE_PLACE_ABOVE, C);
	ASK(&f, SUB_B, BR_REQ_WL_SUBSURFACE_PLACE_BELOW, SURFACE);
	ASK(&f, SUB_C, BR_REQ_WL_SUBSURFACE_SET_DESYNC);
	ASK(&f, A, BR_REQ_WL_SURFACE_ATTACH, BUFFER, 0, 0);
	ASK(&f, A, BR_REQ_WL_SURFACE_COMMIT);
	replace(&f);
	announce_globals(&f, id_of("wl_registry"), 101, true);
	announce(&f, 9, "wl_subcompositor", 1);
	flush_compositor(&f);
	answer_sync(&f);
	uint32_t surfaces[4] = {0}, subs[3] = {0};
	unsigned n_surfaces = 0, n_subs = 0;
	while (strcmp(next(&f, true), "wl_subsurface.place_above") != 0) {
		if (strcmp(server.name, "wl_compositor.create_surface") == 0) {
			surfaces[n_surfaces++] = server.words[0];
		} else if (strcmp(server.name, "wl_subcompositor.get_subsurface") == 0) {
			subs[n_subs++] = server.words[0];
			CHECK_INT(server.words[2], surfaces[0]);
			CHECK_INT(server.words[1], surfaces[n_subs]);
		} else if (strcmp(server.name, "wl_subsurface.set_position") == 0) {
			CHECK_INT(server.words[0], 7);
		}
	}
	CHECK_INT(server.object, subs[2]);
	CHECK_INT(server.words[0], surfaces[0]);
	expect(&f, "wl_subsurface.place_above");
	CHECK_INT(server.object, subs[0]);
	CHECK_INT(server.words[0], surfaces[3]);
	expect(&f, "wl_subsurface.place_below");
	CHECK_INT(server.object, subs[1]);
	CHECK_INT(server.words[0], surfaces[0]);
	CHECK_INT(f.closed, 0);
	tear_down(&f);
}

/* Answer the sync that ends what was sent over the connection by which the security context is made. */
static void answer_control(struct fixture *f, int fd)
{
	uint32_t words[64];
	ssize_t len = 0;
	for (int i = 0; len <= 0 && i < DEADLINE_MS / 10; i++) {
		CHECK_INT(wl_event_loop_dispatch(f->host.loop, 10), 0);
		len = recv(fd, words, sizeof(words), MSG_DONTWAIT);
	}
	CHECK(len >= 12);
	uint32_t id = words[len / 4 - 1];
	const uint32_t done[] = {id, 12 << 16 | BR_EVT_WL_CALLBACK_DONE,     1,
				 1,  12 << 16 | BR_EVT_WL_DISPLAY_DELETE_ID, id};
	CHECK_INT(send(fd, done, sizeof(done), 0), sizeof(done));
}

/* The compositor is still there. */
TEST(who_is_thrown_out_ends)
{
	struct fixture f;
	set_up(&f);
	hr_upstream_destroy(f.host.upstream);
	const struct hr_upstream_config config = {
		.display = f.path, .secctx = HR_SECCTX_AUTO, .guest_name = "vm"};
	CHECK_INT(hr_upstream_create(f.host.loop, &config, &f.host.upstream), 0);
	f.host.compositor_wait_ms = DEADLINE_MS;
	CHECK_INT(hr_client_create(&f.host, &fixture_events, &f, &f.client), 0);
	int control BR_CLEANUP_FD = accept4(f.listen_fd, NULL, NULL, SOCK_CLOEXEC);
	CHECK(control >= 0);
	answer_control(&f, control);
	run_loop(&f);
	f.fd = accept4(f.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	CHECK(f.fd >= 0);
	br_fd_clear(&f.fd);
	answer_control(&f, control);
	wait_for(&f, &f.closed, 0, "the end of the client");
	tear_down(&f);
}
