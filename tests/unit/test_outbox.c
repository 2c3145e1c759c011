/* SPDX-License-Identifier: MIT
 *
 * Packets that a socket does not take at once. The linker replaces sendmsg() (--wrap), so that the system
 * can be short of what a test can't use up.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "fd.h"
#include "outbox.h"
#include "packet.h"
#include "test.h"

static int shortage; /* errno of sendmsg(); 0: none */
static unsigned tries;

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	tries++;
	if (shortage != 0) {
		errno = shortage;
		return -1;
	}
	return __real_sendmsg(fd, msg, flags);
}

struct rig {
	struct wl_event_loop *loop;
	struct br_outbox box;
	int ends[2];
	unsigned flushes;
	uint8_t next_sent, next_got;
};

static void flush(void *data)
{
	struct rig *rig = data;
	rig->flushes++;
	CHECK_INT(br_outbox_flush(&rig->box, rig->ends[0]), 0);
}

static void start(struct rig *rig, size_t max_bytes)
{
	*rig = (struct rig){.loop = wl_event_loop_create()};
	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, rig->ends),
		  0);
	br_outbox_init(&rig->box, rig->loop, max_bytes, flush, rig);
}

static void finish(struct rig *rig)
{
	br_outbox_clear(&rig->box);
	CHECK_INT(rig->box.bytes, 0);
	br_fd_clear(&rig->ends[0]);
	br_fd_clear(&rig->ends[1]);
	wl_event_loop_destroy(rig->loop);
}

/* A packet of 1000 bytes in two parts, which tell its number; fd: -1 for none. */
static int put(struct rig *rig, int fd)
{
	uint8_t bytes[1000];
	memset(bytes, rig->next_sent, sizeof(bytes));
	const struct iovec iov[] = {
		{.iov_base = bytes, .iov_len = 300},
		{.iov_base = NULL, .iov_len = 0},
		{.iov_base = bytes + 300, .iov_len = 700},
	};
	int ret = br_outbox_send(&rig->box, rig->ends[0], iov, 3, &fd, fd >= 0 ? 1 : 0);
	rig->next_sent = (uint8_t)(rig->next_sent + (ret == 0));
	return ret;
}

/* Returns false if there is none. */
static bool get(struct rig *rig, size_t n_wanted)
{
	uint8_t bytes[2000];
	int fds[SK_MAX_FDS];
	size_t n_fds;
	int n = br_packet_receive(rig->ends[1], bytes, sizeof(bytes), fds, &n_fds);
	if (n == -EAGAIN) {
		return false;
	}
	CHECK_INT(n, 1000);
	CHECK_INT(bytes[0], rig->next_got);
	CHECK_INT(bytes[999], rig->next_got);
	CHECK_INT(n_fds, n_wanted);
	for (size_t i = 0; i < n_fds; i++) {
		br_fd_clear(&fds[i]);
	}
	rig->next_got++;
	return true;
}

TEST(socket_with_room_gets_packets_at_once)
{
	struct rig rig;
	start(&rig, 4000);
	for (int i = 0; i < 5; i++) {
		CHECK_INT(put(&rig, rig.ends[0]), 0);
		CHECK_INT(rig.box.bytes, 0);
		CHECK(!br_outbox_waits(&rig.box));
		CHECK(get(&rig, 1));
	}
	finish(&rig);
}

TEST(full_socket_gets_them_later_and_in_order)
{
	struct rig rig;
	start(&rig, 10000);
	while (rig.box.bytes < 10000) {
		CHECK_INT(put(&rig, rig.ends[0]), 0);
	}
	CHECK(br_outbox_waits(&rig.box));
	CHECK_INT(put(&rig, -1), -ENOBUFS);
	CHECK_INT(rig.box.bytes, 10000);
	while (rig.next_got < rig.next_sent) {
		CHECK(get(&rig, 1));
		CHECK_INT(br_outbox_flush(&rig.box, rig.ends[0]), 0);
	}
	CHECK_INT(rig.box.bytes, 0);
	CHECK(!br_outbox_waits(&rig.box));
	CHECK_INT(rig.flushes, 0);
	finish(&rig);
}

/* The socket has room, and would say so for ever: nobody may watch it. */
static void check_shortage(int err)
{
	struct rig rig;
	start(&rig, 10000);
	shortage = err;
	CHECK_INT(put(&rig, rig.ends[0]), 0);
	CHECK_INT(put(&rig, -1), 0);
	CHECK_INT(rig.box.bytes, 2000);
	CHECK(!br_outbox_waits(&rig.box));
	/* It is tried again, but not all the time. */
	tries = 0;
	while (rig.flushes < 3) {
		CHECK_INT(wl_event_loop_dispatch(rig.loop, -1), 0);
	}
	CHECK_INT(tries, 3);
	shortage = 0;
	while (!get(&rig, 1)) {
		CHECK_INT(wl_event_loop_dispatch(rig.loop, -1), 0);
	}
	CHECK(get(&rig, 0));
	CHECK_INT(rig.flushes, 4);
	CHECK_INT(rig.box.bytes, 0);
	/* And no timer is left. */
	CHECK(rig.box.retry == NULL);
	finish(&rig);
}

TEST(system_without_memory_is_asked_again_later)
{
	check_shortage(ENOBUFS);
}

TEST(too_many_fds_under_way_become_fewer)
{
	check_shortage(ETOOMANYREFS);
}

TEST(nothing_is_kept_of_a_packet_whose_fds_can_not_be)
{
	struct rig rig;
	struct rlimit limit, none;
	start(&rig, 10000);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 4; /* all of them are open */
	shortage = EAGAIN;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	CHECK_INT(put(&rig, rig.ends[0]), -EMFILE);
	CHECK_INT(rig.box.bytes, 0);
	CHECK_INT(put(&rig, -1), 0);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	shortage = 0;
	CHECK_INT(br_outbox_flush(&rig.box, rig.ends[0]), 0);
	CHECK(get(&rig, 0));
	finish(&rig);
}

TEST(errors_of_the_socket_are_told)
{
	struct rig rig;
	start(&rig, 10000);
	shortage = EAGAIN;
	CHECK_INT(put(&rig, -1), 0);
	shortage = 0;
	br_fd_clear(&rig.ends[1]);
	CHECK_INT(br_outbox_flush(&rig.box, rig.ends[0]), -EPIPE);
	br_outbox_clear(&rig.box);
	CHECK_INT(put(&rig, -1), -EPIPE);
	CHECK_INT(rig.box.bytes, 0);
	finish(&rig);
}

TEST(packet_that_lost_its_fds_is_still_one)
{
	struct rig rig;
	struct rlimit limit, none;
	start(&rig, 10000);
	CHECK_INT(put(&rig, rig.ends[0]), 0);
	CHECK_INT(put(&rig, rig.ends[0]), 0);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 4; /* all of them are open */
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	CHECK(get(&rig, 0));
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK(get(&rig, 1));
	finish(&rig);
}
