/* SPDX-License-Identifier: MIT
 *
 * One guest program on the host, against a compositor that is played here: a listening socket and
 * bytes. The registry's filter, the marks, failures, hang-up and back-pressure.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
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
#include "log.h"
#include "policy.h"
#include "sock.h"
#include "upstream.h"

static void set_up_globals(struct fixture *f)
{
	set_up(f);
	connect_client(f);
	get_registry(f);
	announce(f, 1, "wl_compositor", 200);
	announce(f, 2, "ext_session_lock_manager_v1", 1);
	announce(f, 3, "no_such_interface", 1);
	announce(f, 4, "wl_shm", 1);
	announce(f, 5, "xdg_wm_base", 2);
	flush_compositor(f);
	wait_for(f, &f->ready, f->ready, "globals");
}

static void skip_globals(struct fixture *f)
{
	br_stream_consume(guest_in(f), br_stream_bytes(guest_in(f)));
	hr_client_events_taken(f->client);
}

TEST(globals_are_filtered_and_clamped)
{
	struct fixture f;
	struct message m;
	uint32_t object;
	set_up_globals(&f);
	static const uint32_t names[] = {1, 4, 5};
	for (size_t i = 0; i < 3; i++) {
		CHECK_INT(take(guest_in(&f), &object, &m), BR_EVT_WL_REGISTRY_GLOBAL);
		CHECK_INT(object, REGISTRY);
		CHECK_INT(m.words[0], names[i]);
		if (i == 0) {
			CHECK_INT(m.words[m.n - 1], br_ifaces[BR_IFACE_WL_COMPOSITOR].safe_version);
		}
	}
	CHECK_INT(br_stream_bytes(guest_in(&f)), 0);
	/* Only what was announced goes away; and it may still be bound, the compositor decides. */
	struct message gone = {0};
	put(&gone, 2);
	send_message(&f.out, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL_REMOVE, &gone);
	gone.words[0] = 4;
	send_message(&f.out, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL_REMOVE, &gone);
	flush_compositor(&f);
	wait_for(&f, &f.ready, f.ready, "global_remove");
	CHECK_INT(take(guest_in(&f), &object, &m), BR_EVT_WL_REGISTRY_GLOBAL_REMOVE);
	CHECK_INT(m.words[0], 4);
	CHECK_INT(br_stream_bytes(guest_in(&f)), 0);
	bind_global(&f, 4, "wl_shm", 1, FIRST_BOUND);
	read_requests(&f);
	CHECK_INT(take(&f.in, &object, &m), BR_REQ_WL_REGISTRY_BIND);
	CHECK_INT(f.closed, 0);
	tear_down(&f);
}

static void remove_global(struct fixture *f, uint32_t name)
{
	const struct message m = {.words = {name}, .n = 1};
	send_message(&f->out, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL_REMOVE, &m);
	flush_compositor(f);
}

/* The compositor waits for an answer to each removal; the client can't give it for what it was not
 * shown. */
TEST(the_end_of_a_withheld_global_is_acknowledged)
{
	struct fixture f;
	struct message m = {0};
	uint32_t object;
	uint16_t fixes = br_iface_find("wl_fixes");
	if (fixes == BR_IFACE_ANY || br_ifaces[fixes].version < 2) {
		return; /* libwayland's XML is older */
	}
	set_up_globals(&f);
	announce(&f, 6, "wl_fixes", 2);
	flush_compositor(&f);
	wait_for(&f, &f.ready, f.ready, "wl_fixes");
	skip_globals(&f);
	bind_global(&f, 6, "wl_fixes", 2, FIRST_BOUND);
	read_requests(&f);
	CHECK_INT(take(&f.in, &object, &m), BR_REQ_WL_REGISTRY_BIND);
	remove_global(&f, 2);
	for (int i = 0; br_stream_empty(&f.in) && i < DEADLINE_MS / 10; i++) {
		CHECK_INT(wl_event_loop_dispatch(f.host.loop, 10), 0);
		read_requests(&f);
	}
	CHECK_INT(take(&f.in, &object, &m), 2); /* ack_global_remove */
	CHECK_INT(object, FIRST_BOUND);
	CHECK_INT(m.words[0], REGISTRY);
	CHECK_INT(m.words[1], 2);
	/* Of what it knows the client tells itself. */
	remove_global(&f, 4);
	wait_for(&f, &f.ready, f.ready, "global_remove");
	CHECK_INT(br_stream_bytes(&f.in), 0);
	/* And without the object there is nobody to tell. */
	m.n = 0;
	send_message(guest_out(&f), FIRST_BOUND, 0, &m);
	hr_client_dispatch(f.client);
	remove_global(&f, 3);
	remove_global(&f, 5);
	wait_for(&f, &f.ready, f.ready, "another global_remove");
	read_requests(&f);
	CHECK_INT(take(&f.in, &object, &m), 0); /* wl_fixes.destroy */
	CHECK_INT(br_stream_bytes(&f.in), 0);
	CHECK_INT(f.closed, 0);
	tear_down(&f);
}

static void check_bad_bind(uint32_t name, const char *iface, uint32_t version, const char *part)
{
	struct fixture f;
	set_up_globals(&f);
	skip_globals(&f);
	bind_global(&f, name, iface, version, FIRST_BOUND);
	check_error(&f, REGISTRY, 0, part);
	tear_down(&f);
}

TEST(binds_are_checked)
{
	check_bad_bind(2, "ext_session_lock_manager_v1", 1, "invalid global");
	check_bad_bind(99, "wl_shm", 1, "invalid global");
	check_bad_bind(4, "wl_compositor", 1, "invalid interface");
	check_bad_bind(4, "wl_shm", 2, "invalid version");
	check_bad_bind(5, "xdg_wm_base", 3, "invalid version");
}

static void check_pool(int32_t file_size, int32_t size, int32_t resize, const char *part)
{
	struct fixture f;
	struct message m = {0};
	struct br_handle handle = {.fd = memfd_create("pool", MFD_CLOEXEC)};
	CHECK(handle.fd >= 0 && ftruncate(handle.fd, file_size) == 0);
	set_up_globals(&f);
	skip_globals(&f);
	bind_global(&f, 4, "wl_shm", 1, FIRST_BOUND);
	CHECK_INT(br_stream_push_handle_take(guest_out(&f), &handle), 0);
	put(&m, FIRST_BOUND + 1);
	put(&m, (uint32_t)size);
	send_message(guest_out(&f), FIRST_BOUND, BR_REQ_WL_SHM_CREATE_POOL, &m);
	hr_client_dispatch(f.client);
	if (f.closed == 0) {
		m = (struct message){0};
		put(&m, (uint32_t)resize);
		send_message(guest_out(&f), FIRST_BOUND + 1, BR_REQ_WL_SHM_POOL_RESIZE, &m);
		hr_client_dispatch(f.client);
	}
	if (part == NULL) {
		CHECK_INT(f.closed, 0);
	} else {
		check_error(&f, resize == 0 ? FIRST_BOUND : FIRST_BOUND + 1,
			    strstr(part, "invalid size") ? 1 : 2, part);
	}
	tear_down(&f);
}

TEST(pools_are_checked)
{
	check_pool(4096, 4096, 8192, NULL);
	check_pool(4096, 4097, 0, "does not hold");
	check_pool(4096, -1, 0, "invalid size");
	check_pool(4096, 0, 0, "invalid size");
	check_pool(4096, 4096, 4095, "can't become");
	check_pool(4096, 4096, -1, "can't become");
	check_pool(4096, 4096, BR_LIMIT_POOL_BYTES + 1, "can't become");
}

/* Ask for a pool of the device's memory. */
static void create_pool(struct fixture *f, int fd, uint32_t id)
{
	struct message m = {0};
	struct br_handle handle = {.fd = br_fd_dup(fd), .bytes = BR_LIMIT_POOL_BYTES};
	CHECK_INT(br_stream_push_handle_take(guest_out(f), &handle), 0);
	put(&m, id);
	put(&m, 4096);
	send_message(guest_out(f), FIRST_BOUND, BR_REQ_WL_SHM_CREATE_POOL, &m);
	hr_client_dispatch(f->client);
	if (f->closed == 0) {
		read_requests(f);
	}
}

static void create_buffer(struct fixture *f, uint32_t pool, uint32_t id)
{
	const uint32_t words[] = {id, 0, 8, 8, 32, 0};
	struct message m = {0};
	for (size_t i = 0; i < 6; i++) {
		put(&m, words[i]);
	}
	send_message(guest_out(f), pool, BR_REQ_WL_SHM_POOL_CREATE_BUFFER, &m);
	hr_client_dispatch(f->client);
}

static void destroy_object(struct fixture *f, uint32_t id, uint16_t opcode)
{
	const struct message none = {0};
	send_message(guest_out(f), id, opcode, &none);
	hr_client_dispatch(f->client);
}

/* The device may forget memory that the compositor has. It counts, until that has lost it as well. */
TEST(memory_of_pools_counts_until_its_last_buffer)
{
	struct fixture f;
	const uint64_t one = BR_LIMIT_POOL_BYTES;
	const uint32_t most = BR_LIMIT_HELD_BYTES / BR_LIMIT_POOL_BYTES;
	const uint32_t first = FIRST_BOUND + 1, buffer = first + most;
	int fd BR_CLEANUP_FD = memfd_create("pool", MFD_CLOEXEC);
	CHECK_INT(ftruncate(fd, 4096), 0);
	set_up_globals(&f);
	skip_globals(&f);
	bind_global(&f, 4, "wl_shm", 1, FIRST_BOUND);
	for (uint32_t i = 0; i < most; i++) {
		create_pool(&f, fd, first + i);
		CHECK_INT(f.host.held_bytes, (i + 1) * one);
	}
	create_buffer(&f, first, buffer);
	create_buffer(&f, first, buffer + 1);
	destroy_object(&f, first, BR_REQ_WL_SHM_POOL_DESTROY);
	destroy_object(&f, buffer, BR_REQ_WL_BUFFER_DESTROY);
	CHECK_INT(f.host.held_bytes, most * one);
	destroy_object(&f, buffer + 1, BR_REQ_WL_BUFFER_DESTROY);
	CHECK_INT(f.host.held_bytes, (most - 1) * one);
	CHECK_INT(f.closed, 0);
	create_pool(&f, fd, buffer + 2);
	CHECK_INT(f.host.held_bytes, most * one);
	create_pool(&f, fd, buffer + 3);
	check_error(&f, 1, 2, "too much memory");
	hr_client_destroy(f.client);
	f.client = NULL;
	CHECK_INT(f.host.held_bytes, 0);
	tear_down(&f);
}

static void check_string(struct fixture *f, int opcode, const char *text)
{
	struct message m;
	uint32_t object;
	CHECK_INT(take(&f->in, &object, &m), opcode);
	CHECK_STR((char *)&m.words[1], text);
	CHECK_INT(m.words[0], strlen(text) + 1);
}

TEST(windows_are_marked)
{
	struct fixture f;
	struct message m = {0}, got;
	uint32_t object;
	set_up_globals(&f);
	bind_global(&f, 1, "wl_compositor", 1, 3);
	bind_global(&f, 5, "xdg_wm_base", 2, 4);
	put(&m, 5);
	send_message(guest_out(&f), 3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, &m);
	m = (struct message){.words = {6, 5}, .n = 2};
	send_message(guest_out(&f), 4, BR_REQ_XDG_WM_BASE_GET_XDG_SURFACE, &m);
	m = (struct message){.words = {7}, .n = 1};
	send_message(guest_out(&f), 6, BR_REQ_XDG_SURFACE_GET_TOPLEVEL, &m);
	m.n = 0;
	put_string(&m, "hello");
	send_message(guest_out(&f), 7, BR_REQ_XDG_TOPLEVEL_SET_TITLE, &m);
	send_message(guest_out(&f), 7, BR_REQ_XDG_TOPLEVEL_SET_APP_ID, &m);
	hr_client_dispatch(f.client);
	read_requests(&f);
	for (int i = 0; i < 4; i++) {
		CHECK(take(&f.in, &object, &got) >= 0); /* up to get_xdg_surface */
	}
	CHECK_INT(take(&f.in, &object, &got), BR_REQ_XDG_SURFACE_GET_TOPLEVEL);
	check_string(&f, BR_REQ_XDG_TOPLEVEL_SET_TITLE, "[vm] ");
	check_string(&f, BR_REQ_XDG_TOPLEVEL_SET_APP_ID, "causeway.vm.");
	check_string(&f, BR_REQ_XDG_TOPLEVEL_SET_TITLE, "[vm] hello");
	check_string(&f, BR_REQ_XDG_TOPLEVEL_SET_APP_ID, "causeway.vm.hello");
	CHECK_INT(br_stream_bytes(&f.in), 0);
	tear_down(&f);
}

TEST(what_else_names_a_window_is_marked)
{
	struct fixture f;
	struct message m = {0}, got;
	uint32_t object;
	set_up_globals(&f);
	announce(&f, 6, "xdg_activation_v1", 1);
	announce(&f, 7, "xdg_toplevel_tag_manager_v1", 1);
	flush_compositor(&f);
	wait_for(&f, &f.ready, f.ready, "more globals");
	bind_global(&f, 1, "wl_compositor", 1, 3);
	bind_global(&f, 5, "xdg_wm_base", 2, 4);
	bind_global(&f, 6, "xdg_activation_v1", 1, 5);
	bind_global(&f, 7, "xdg_toplevel_tag_manager_v1", 1, 6);
	put(&m, 7);
	send_message(guest_out(&f), 3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, &m);
	m = (struct message){.words = {8, 7}, .n = 2};
	send_message(guest_out(&f), 4, BR_REQ_XDG_WM_BASE_GET_XDG_SURFACE, &m);
	m = (struct message){.words = {9}, .n = 1};
	send_message(guest_out(&f), 8, BR_REQ_XDG_SURFACE_GET_TOPLEVEL, &m);
	m = (struct message){.words = {10}, .n = 1};
	send_message(guest_out(&f), 5, BR_REQ_XDG_ACTIVATION_V1_GET_ACTIVATION_TOKEN, &m);
	hr_client_dispatch(f.client);
	read_requests(&f);
	for (int i = 0; i < 10; i++) {
		CHECK(take(&f.in, &object, &got) >= 0); /* up to get_activation_token */
	}
	CHECK_INT(br_stream_bytes(&f.in), 0);
	m = (struct message){0};
	put_string(&m, "hello");
	send_message(guest_out(&f), 10, BR_REQ_XDG_ACTIVATION_TOKEN_V1_SET_APP_ID, &m);
	m = (struct message){.words = {9}, .n = 1};
	put_string(&m, "main");
	send_message(guest_out(&f), 6, BR_REQ_XDG_TOPLEVEL_TAG_MANAGER_V1_SET_TOPLEVEL_TAG, &m);
	send_message(guest_out(&f), 6, BR_REQ_XDG_TOPLEVEL_TAG_MANAGER_V1_SET_TOPLEVEL_DESCRIPTION,
		     &m);
	hr_client_dispatch(f.client);
	read_requests(&f);
	check_string(&f, BR_REQ_XDG_ACTIVATION_TOKEN_V1_SET_APP_ID, "causeway.vm.hello");
	CHECK_INT(take(&f.in, &object, &got), BR_REQ_XDG_TOPLEVEL_TAG_MANAGER_V1_SET_TOPLEVEL_TAG);
	CHECK_STR((char *)&got.words[2], "causeway.vm.main");
	CHECK_INT(take(&f.in, &object, &got),
		  BR_REQ_XDG_TOPLEVEL_TAG_MANAGER_V1_SET_TOPLEVEL_DESCRIPTION);
	CHECK_STR((char *)&got.words[2], "[vm] main");
	CHECK_INT(br_stream_bytes(&f.in), 0);
	tear_down(&f);
}

TEST(hang_up_comes_after_the_last_event)
{
	struct fixture f;
	set_up(&f);
	connect_client(&f);
	get_registry(&f);
	announce(&f, 1, "wl_compositor", 1);
	flush_compositor(&f);
	br_fd_clear(&f.fd);
	wait_for(&f, &f.closed, 0, "the end of the client");
	CHECK_INT(f.closed, 1);
	CHECK(f.ready >= 1);
	CHECK(br_stream_bytes(guest_in(&f)) > 0);
	hr_client_events_taken(f.client);
	CHECK_INT(f.closed, 1);
	tear_down(&f);
}

/* Feed pings until the relay is congested, the compositor reading nothing. */
TEST(requests_are_held_back)
{
	struct fixture f;
	struct message m = {0};
	set_up(&f);
	connect_client(&f);
	size_t sent = 0;
	uint32_t id = 2;
	while (!br_relay_congested(hr_client_relay(f.client), BR_REQUEST)) {
		m = (struct message){.words = {id++}, .n = 1};
		send_message(guest_out(&f), 1, BR_REQ_WL_DISPLAY_SYNC, &m);
		sent += 12;
		hr_client_dispatch(f.client);
		CHECK(id < BR_LIMIT_OBJECTS);
	}
	CHECK_INT(f.drained, 0);
	CHECK(sent > BR_HIGH_WATER_BYTES);
	for (int i = 0; f.drained == 0 && i < DEADLINE_MS / 10; i++) {
		read_requests(&f);
		CHECK_INT(wl_event_loop_dispatch(f.host.loop, 10), 0);
	}
	CHECK_INT(f.drained, 1);
	for (int i = 0; br_stream_bytes(&f.in) < sent && i < DEADLINE_MS / 10; i++) {
		read_requests(&f);
		CHECK_INT(wl_event_loop_dispatch(f.host.loop, 10), 0);
	}
	CHECK_INT(br_stream_bytes(&f.in), sent);
	tear_down(&f);
}

/* The guest takes nothing: the compositor's events stay in its socket, and the loop sleeps, even
 * when the compositor then hangs up. */
TEST(events_are_held_back)
{
	struct fixture f;
	set_up(&f);
	connect_client(&f);
	get_registry(&f);
	size_t announced = 0;
	for (int idle = 0; idle < 3;) {
		unsigned ready = f.ready;
		if (br_stream_bytes(&f.out) < 4096) {
			announce(&f, (uint32_t)(announced++ % 1000), "wl_compositor", 1);
		}
		flush_compositor(&f);
		CHECK_INT(wl_event_loop_dispatch(f.host.loop, 0), 0);
		idle = f.ready == ready && br_stream_bytes(&f.out) >= 4096 ? idle + 1 : 0;
	}
	CHECK(br_relay_congested(hr_client_relay(f.client), BR_EVENT));
	CHECK(br_stream_bytes(guest_in(&f)) < 2 * BR_HIGH_WATER_BYTES);
	br_fd_clear(&f.fd);
	CHECK_INT(wl_event_loop_dispatch(f.host.loop, 0), 0);
	struct pollfd pfd = {.fd = wl_event_loop_get_fd(f.host.loop), .events = POLLIN};
	CHECK_INT(poll(&pfd, 1, 0), 0);
	CHECK_INT(f.closed, 0);
	size_t got = 0;
	for (int i = 0; f.closed == 0 && i < DEADLINE_MS / 10; i++) {
		got += br_stream_bytes(guest_in(&f));
		br_stream_consume(guest_in(&f), br_stream_bytes(guest_in(&f)));
		hr_client_events_taken(f.client);
		CHECK_INT(wl_event_loop_dispatch(f.host.loop, 10), 0);
	}
	got += br_stream_bytes(guest_in(&f));
	CHECK_INT(f.closed, 1);
	CHECK(got > 2 * BR_HIGH_WATER_BYTES / 2);
	tear_down(&f);
}

/* Fds that belong to no message fill the input: they are no reason to try again for ever. */
TEST(too_many_fds_from_the_compositor_end_the_client)
{
	struct fixture f;
	set_up(&f);
	connect_client(&f);
	get_registry(&f);
	for (int i = 0; f.closed == 0 && i < 2 * BR_LIMIT_IN_FDS; i++) {
		struct br_handle handle = {.fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
		CHECK(handle.fd >= 0);
		CHECK_INT(br_stream_push_handle_take(&f.out, &handle), 0);
		announce(&f, 1, "wl_compositor", 1);
		flush_compositor(&f);
		CHECK_INT(wl_event_loop_dispatch(f.host.loop, 10), 0);
	}
	CHECK_INT(f.closed, 1);
	tear_down(&f);
}

TEST(no_compositor_is_an_error_and_a_new_one_serves)
{
	struct fixture f;
	set_up(&f);
	br_fd_clear(&f.listen_fd);
	CHECK_INT(hr_client_create(&f.host, &fixture_events, &f, &f.client), -ECONNREFUSED);
	unlink(f.path);
	CHECK_INT(hr_client_create(&f.host, &fixture_events, &f, &f.client), -ENOENT);
	CHECK_INT(f.host.client_count, 0);
	f.listen_fd = br_sock_listen(f.path, SOCK_STREAM);
	CHECK(f.listen_fd >= 0);
	connect_client(&f);
	get_registry(&f);
	tear_down(&f);
}

TEST(the_channel_can_fail_it)
{
	struct fixture f;
	set_up(&f);
	connect_client(&f);
	hr_client_fail(f.client, "a bad command");
	check_error(&f, 1, 3, "a bad command");
	tear_down(&f);
}

/* Such a client is told why, and counts for nothing. */
static void check_refused(struct fixture *f, const char *why)
{
	uint32_t clients = f->host.client_count, object;
	struct message m;
	CHECK_INT(hr_client_create(&f->host, &fixture_events, f, &f->client), 0);
	hr_client_dispatch(f->client);
	CHECK_INT(f->closed, 1);
	CHECK_INT(take(guest_in(f), &object, &m), BR_EVT_WL_DISPLAY_ERROR);
	CHECK_INT(object, 1);
	CHECK_INT(m.words[1], 2); /* no_memory */
	CHECK(strstr((char *)&m.words[3], why) != NULL);
	hr_client_destroy(f->client);
	f->client = NULL;
	f->closed = 0;
	CHECK_INT(f->host.client_count, clients);
}

TEST(clients_over_the_limit_are_told)
{
	struct fixture f;
	set_up(&f);
	f.host.client_count = BR_LIMIT_CLIENTS;
	check_refused(&f, "too many guest programs");
	f.host.client_count = 0;
	tear_down(&f);
}

TEST(the_last_files_are_not_for_new_clients)
{
	struct fixture f;
	struct rlimit limit, few;
	set_up(&f);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = limit;
	few.rlim_cur = test_count_fds() + BR_RESERVED_FDS / 2;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
	check_refused(&f, "ulimit -n");
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	tear_down(&f);
}
