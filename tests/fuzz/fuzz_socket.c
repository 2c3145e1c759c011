/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the socket front end: packets of any form with any fds, over several connections that come and go,
 * from guests that read their answers or don't. The input is a row of pieces: what it is and of which
 * connection, flags, how many bytes follow in units of 4, and these. Build with tests/unit/guest.c, whose
 * fake client it uses.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "guest.h"

#define N_GUESTS 4
#define MEMORY_BYTES 8192
#define SMALL_BYTES 4096 /* of socket buffers, so that they are full soon */

enum { REQUEST, PACKET, READ, CLOSE, EVENTS, N_PIECES };

/* Of a piece's second byte. */
#define HUGE 1u	 /* behind the bytes so many zeroes as the largest packet, and more, has */
#define ALIEN 2u /* fds that aren't memory */
#define N_FDS(flags) ((flags) >> 3)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct hr_host host;
	struct hr_socket *sock;
	int guests[N_GUESTS]; /* -1: not connected */
	int memory_fd, event_fd;
};

static int connect_guest(struct fuzz *fuzz, unsigned i)
{
	int pair[2], bytes = SMALL_BYTES;
	if (fuzz->guests[i] < 0 &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0) {
		(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
		if (hr_socket_serve_take(fuzz->sock, &pair[1]) < 0) {
			abort();
		}
		fuzz->guests[i] = pair[0];
	}
	return fuzz->guests[i];
}

static void send_packet(struct fuzz *fuzz, int fd, unsigned flags, const struct iovec *iov,
			size_t n_iov)
{
	/* More than a packet may have. */
	enum { MAX_FDS = SK_MAX_FDS + 3 };
	char control[CMSG_SPACE(MAX_FDS * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n_iov};
	size_t n_fds = N_FDS(flags) < MAX_FDS ? N_FDS(flags) : MAX_FDS;
	int fds[MAX_FDS];
	for (size_t i = 0; i < n_fds; i++) {
		fds[i] = flags & ALIEN ? fuzz->event_fd : fuzz->memory_fd;
	}
	if (n_fds > 0) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}
	(void)sendmsg(fd, &msg, MSG_NOSIGNAL);
}

/* What a guest is sent are whole packets. */
static void read_answers(int fd)
{
	static uint8_t bytes[SK_MAX_PACKET_BYTES + 1];
	struct iovec iov = {bytes, sizeof(bytes)};
	char control[CMSG_SPACE(SK_MAX_FDS * sizeof(int))] __attribute__((aligned(8)));
	for (;;) {
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control,
				     .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n <= 0) {
			return;
		}
		struct sk_packet packet;
		memcpy(&packet, bytes, sizeof(packet));
		if ((size_t)n < sizeof(packet) || (size_t)n == sizeof(bytes) ||
		    (packet.type != SK_RESPONSE && packet.type != SK_PUSH)) {
			abort();
		}
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		size_t n_fds = cmsg ? (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
		int fds[SK_MAX_FDS];
		memcpy(fds, cmsg ? CMSG_DATA(cmsg) : bytes, n_fds * sizeof(int));
		for (size_t i = 0; i < n_fds; i++) {
			br_fd_clear(&fds[i]);
		}
	}
}

static void send_events(struct fuzz *fuzz, unsigned flags, const uint8_t *bytes, size_t len)
{
	if (!fake_client) {
		return;
	}
	struct br_handle handle = {.fd = N_FDS(flags) > 0 ? br_fd_dup(fuzz->memory_fd) : -1,
				   .kind = (uint8_t)(1 + (N_FDS(flags) & 3))};
	if (handle.fd >= 0 && br_stream_push_handle_take(&fake_client->out, &handle) < 0) {
		br_fd_clear(&handle.fd);
	}
	(void)br_stream_write(&fake_client->out, bytes, len);
	fake_client->events->events_ready(fake_client->data);
}

static void run_piece(struct fuzz *fuzz, const uint8_t *head, const uint8_t *bytes, size_t len)
{
	static uint8_t zeroes[SK_MAX_PACKET_BYTES];
	unsigned what = head[0] % 8 % N_PIECES, i = head[0] >> 3 & (N_GUESTS - 1), flags = head[1];
	struct sk_packet packet = {.type = SK_REQUEST, .cookie = i};
	const struct iovec iov[] = {
		{&packet, what == REQUEST ? sizeof(packet) : 0},
		{(void *)bytes, len},
		{zeroes, flags & HUGE ? sizeof(zeroes) - 64 : 0},
	};
	int fd = connect_guest(fuzz, i);
	if (what == READ) {
		read_answers(fd);
	} else if (what == CLOSE) {
		br_fd_clear(&fuzz->guests[i]);
	} else if (what == EVENTS) {
		send_events(fuzz, flags, bytes, len);
	} else {
		send_packet(fuzz, fd, flags, iov, 3);
	}
	for (int turn = 0; turn < 3; turn++) {
		wl_event_loop_dispatch(fuzz->host.loop, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = {
		.host = {.next_client = 1, .loop = wl_event_loop_create()},
		.guests = {-1, -1, -1, -1},
		.memory_fd = memfd_create("fuzz", MFD_CLOEXEC),
		.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	signal(SIGPIPE, SIG_IGN);
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (hr_socket_start_fd(&fuzz.host, listener, &fuzz.sock) < 0 ||
	    ftruncate(fuzz.memory_fd, MEMORY_BYTES) < 0) {
		abort();
	}
	for (size_t at = 0; at + 4 <= size;) {
		size_t len = (size_t)(data[at + 2] | (data[at + 3] & 3) << 8) * 4;
		len = len < size - at - 4 ? len : size - at - 4;
		run_piece(&fuzz, data + at, data + at + 4, len);
		at += 4 + len;
	}
	hr_socket_finish(fuzz.sock);
	wl_event_loop_destroy(fuzz.host.loop);
	for (unsigned i = 0; i < N_GUESTS; i++) {
		br_fd_clear(&fuzz.guests[i]);
	}
	br_fd_clear(&listener);
	br_fd_clear(&fuzz.memory_fd);
	br_fd_clear(&fuzz.event_fd);
	return 0;
}
