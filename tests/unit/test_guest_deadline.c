/* SPDX-License-Identifier: MIT
 *
 * A host that takes connections and channels, and never answers. The linker replaces the loop's timer
 * functions (--wrap), so that nobody has to wait for as long as the limits are.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "channel_private.h"
#include "channel_rig.h"
#include "deadline.h"
#include "fd.h"
#include "server.h"
#include "sock.h"
#include "test.h"

#define LIMIT_MS (GP_ANSWER_SECONDS * 1000)

static bool hurry; /* limits pass at once */
static int limits; /* how many timers were set to one */
static struct wl_event_source *timers[8];

struct wl_event_source *__real_wl_event_loop_add_timer(struct wl_event_loop *loop,
						       wl_event_loop_timer_func_t run, void *data);
struct wl_event_source *__wrap_wl_event_loop_add_timer(struct wl_event_loop *loop,
						       wl_event_loop_timer_func_t run, void *data);
int __real_wl_event_source_timer_update(struct wl_event_source *source, int ms);
int __wrap_wl_event_source_timer_update(struct wl_event_source *source, int ms);
int __real_wl_event_source_remove(struct wl_event_source *source);
int __wrap_wl_event_source_remove(struct wl_event_source *source);

struct wl_event_source *__wrap_wl_event_loop_add_timer(struct wl_event_loop *loop,
						       wl_event_loop_timer_func_t run, void *data)
{
	struct wl_event_source *source = __real_wl_event_loop_add_timer(loop, run, data);
	size_t i = 0;
	while (timers[i] != NULL) {
		i++;
		CHECK(i < sizeof(timers) / sizeof(timers[0]));
	}
	timers[i] = source;
	return source;
}

int __wrap_wl_event_source_timer_update(struct wl_event_source *source, int ms)
{
	limits += ms == LIMIT_MS;
	return __real_wl_event_source_timer_update(source, hurry && ms == LIMIT_MS ? 1 : ms);
}

int __wrap_wl_event_source_remove(struct wl_event_source *source)
{
	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
		if (timers[i] == source) {
			timers[i] = NULL;
		}
	}
	return __real_wl_event_source_remove(source);
}

static unsigned count_timers(void)
{
	unsigned count = 0;
	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
		count += timers[i] != NULL;
	}
	return count;
}

/* Both sides, until something is there; the test's own limit ends a wait in vain. */
#define WAIT_UNTIL(host, loop, cond)                                                               \
	while (!(cond)) {                                                                          \
		(void)fake_run(host);                                                              \
		CHECK_INT(wl_event_loop_dispatch(loop, 10), 0);                                    \
	}

TEST(no_time_is_limited_once_the_host_has_answered)
{
	struct rig guest;
	rig_start(&guest);
	CHECK_INT(limits, 2); /* the handshake's and the channel's */
	CHECK_INT(count_timers(), 0);
	rig_destroy_channel(&guest);
	rig_settle(&guest);
	rig_open_channel(&guest);
	RUN_UNTIL(&guest, guest.host.n_polls == 1);
	CHECK_INT(limits, 3);
	CHECK_INT(count_timers(), 0);
	CHECK_INT(guest.closed, 0);
	rig_finish(&guest);
}

TEST(handshake_without_an_answer_ends)
{
	struct rig guest;
	hurry = true;
	rig_start_unopened(&guest);
	guest.host.silent = true;
	rig_open_channel(&guest);
	WAIT_UNTIL(&guest.host, guest.loop, guest.closed > 0);
	CHECK_INT(limits, 1);
	CHECK_INT(guest.lost, 1);
	CHECK(strstr(guest.reason, "not answered within 10 seconds") != NULL);
	CHECK_INT(gp_channel_flush(guest.channel, &guest.out), -ENOTCONN);
	CHECK_INT(count_timers(), 0);
	rig_finish(&guest);
}

TEST(transport_may_go_while_it_waits)
{
	struct rig guest;
	rig_start_unopened(&guest);
	guest.host.silent = true;
	rig_open_channel(&guest);
	rig_settle(&guest);
	CHECK_INT(count_timers(), 1);
	fake_die(&guest.host);
	guest.host.silent = false;
	WAIT_UNTIL(&guest.host, guest.loop, guest.lost == 1);
	CHECK_INT(count_timers(), 0);
	CHECK(strstr(guest.reason, "not answered") == NULL);
	rig_finish(&guest);
}

TEST(channel_without_an_answer_ends)
{
	struct rig guest;
	rig_start_unopened(&guest);
	rig_settle(&guest);
	guest.host.hold_fences = true;
	hurry = true;
	rig_open_channel(&guest);
	WAIT_UNTIL(&guest.host, guest.loop, guest.closed > 0);
	CHECK(strstr(guest.reason, "not answered within 10 seconds") != NULL);
	CHECK_INT(guest.lost, 0);
	rig_settle(&guest);
	CHECK(guest.host.initialised);
	rig_destroy_channel(&guest);
	rig_settle(&guest);
	/* The next one tries anew. */
	guest.host.n_held = 0;
	guest.host.hold_fences = hurry = false;
	guest.closed = 0;
	rig_open_channel(&guest);
	RUN_UNTIL(&guest, guest.host.n_polls == 1);
	CHECK_INT(guest.closed, 0);
	CHECK_INT(count_timers(), 0);
	rig_finish(&guest);
}

TEST(channel_may_go_while_it_waits)
{
	struct rig guest;
	rig_start_unopened(&guest);
	rig_settle(&guest);
	guest.host.hold_fences = true;
	rig_open_channel(&guest);
	rig_settle(&guest);
	CHECK_INT(count_timers(), 1);
	rig_destroy_channel(&guest);
	CHECK_INT(count_timers(), 0);
	rig_settle(&guest);
	guest.host.n_held = 0;
	rig_finish(&guest);
}

TEST(channel_may_be_destroyed_by_the_limit)
{
	struct rig guest;
	rig_start_unopened(&guest);
	rig_settle(&guest);
	guest.host.hold_fences = true;
	guest.destroy_when = IN_CLOSED;
	hurry = true;
	rig_open_channel(&guest);
	WAIT_UNTIL(&guest.host, guest.loop, guest.channel == NULL);
	rig_settle(&guest);
	guest.host.n_held = 0;
	rig_finish(&guest);
}

static int64_t now_us(void)
{
	struct timespec now;
	CHECK_INT(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* As if this process had been stopped meanwhile: time is what is waited for. */
TEST(answer_that_waits_to_be_read_counts)
{
	struct rig guest;
	hurry = true;
	rig_start_unopened(&guest);
	rig_open_channel(&guest);
	(void)fake_run(&guest.host);
	for (int64_t end = now_us() + 3000; now_us() < end;) {
	}
	RUN_UNTIL(&guest, guest.host.initialised);
	CHECK_INT(guest.closed, 0);
	CHECK_INT(guest.lost, 0);
	rig_finish(&guest);
}

/* --- what programs see --- */

static int connect_program(const char *path)
{
	const uint32_t get_registry[] = {1, 12u << 16 | 1, 2};
	int fd = br_sock_connect(path, SOCK_STREAM);
	CHECK(fd >= 0);
	CHECK_INT(write(fd, get_registry, sizeof(get_registry)), sizeof(get_registry));
	return fd;
}

/* Text of the wl_display.error that ends the program. */
static void check_error(int fd, const char *wanted)
{
	char bytes[512] = "";
	uint32_t head[5];
	ssize_t n = read(fd, bytes, sizeof(bytes) - 1);
	CHECK(n > (ssize_t)sizeof(head));
	memcpy(head, bytes, sizeof(head));
	CHECK_INT(head[0], 1);
	CHECK_INT(head[1] & 0xffff, 0);
	if (strstr(bytes + sizeof(head), wanted) == NULL) {
		FAIL("\"%s\" does not say \"%s\"", bytes + sizeof(head), wanted);
	}
}

static bool readable(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	return poll(&poll_fd, 1, 0) > 0;
}

TEST(programs_get_an_error_and_the_next_one_a_new_try)
{
	struct fake_host host;
	struct gp_server server;
	char path[96];
	struct wl_event_loop *loop = wl_event_loop_create();
	fake_start(&host);
	snprintf(path, sizeof(path), "%s/wayland", host.dir);
	const struct gp_options options = {.socket = path,
					   .transport = GP_TRANSPORT_SOCKET,
					   .host_path = host.path,
					   .extensions = GP_EXTENSIONS_ALL};
	CHECK_INT(gp_server_init(&server, loop, &options), 0);
	host.silent = hurry = true;
	int first BR_CLEANUP_FD = connect_program(path);
	int second BR_CLEANUP_FD = connect_program(path);
	WAIT_UNTIL(&host, loop, readable(first) && readable(second));
	check_error(first, "not answered within 10 seconds");
	check_error(second, "not answered within 10 seconds");
	br_fd_clear(&first);
	br_fd_clear(&second);
	WAIT_UNTIL(&host, loop, server.client_count == 0 && server.link == NULL);
	fake_die(&host);
	host.silent = hurry = false;
	int third BR_CLEANUP_FD = connect_program(path);
	WAIT_UNTIL(&host, loop, host.sends == 1);
	CHECK(!readable(third));
	gp_server_finish(&server);
	(void)fake_run(&host);
	fake_finish(&host);
	wl_event_loop_destroy(loop);
}
