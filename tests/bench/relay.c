/* SPDX-License-Identifier: MIT
 *
 * relay unix:PATH|tcp:PORT unix:PATH|tcp:ADDRESS:PORT
 *
 * Listens at the first address (tcp: of the loopback interface; port 0: a free one) and joins each
 * connection with one of its own to the second. Prints "listening PORT". For waypipe, which speaks
 * Unix sockets and vsock only, where there is no vsock: bytes go by splice(), each connection has a
 * process of its own, so that as little as possible of the time is the relay's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PIPE_BYTES (1 << 20)

/* One direction: from a socket through a pipe to the other socket. */
struct flow {
	int from, to, pipe[2];
	size_t held; /* bytes in the pipe */
	bool ended, closed;
};

union address {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in in;
};

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* unix:PATH, tcp:PORT or tcp:ADDRESS:PORT. Returns the size of the address. */
static socklen_t parse(const char *text, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (strncmp(text, "unix:", 5) == 0 && strlen(text + 5) < sizeof(ret->un.sun_path)) {
		ret->un.sun_family = AF_UNIX;
		memcpy(ret->un.sun_path, text + 5, strlen(text + 5) + 1);
		return sizeof(ret->un);
	}
	if (strncmp(text, "tcp:", 4) == 0) {
		char host[32] = "127.0.0.1";
		const char *colon = strchr(text + 4, ':');
		if (colon != NULL) {
			snprintf(host, sizeof(host), "%.*s", (int)(colon - text - 4), text + 4);
		}
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons((uint16_t)strtoul(colon ? colon + 1 : text + 4, NULL, 10));
		if (inet_pton(AF_INET, host, &ret->in.sin_addr) == 1) {
			return sizeof(ret->in);
		}
	}
	errno = EINVAL;
	die(text);
}

static int open_socket(const union address *address)
{
	int one = 1;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		die("socket");
	}
	if (address->any.sa_family == AF_INET) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	return fd;
}

/* Move what can be moved; false when the connection is of no more use. */
static bool pump(struct flow *flow)
{
	while (!flow->closed) {
		bool moved = false;
		if (!flow->ended && flow->held < PIPE_BYTES) {
			ssize_t n =
				splice(flow->from, NULL, flow->pipe[1], NULL,
				       PIPE_BYTES - flow->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
			if (n < 0 && errno != EAGAIN) {
				return false;
			}
			flow->ended = n == 0;
			flow->held += n > 0 ? (size_t)n : 0;
			moved = n > 0;
		}
		if (flow->held > 0) {
			ssize_t n = splice(flow->pipe[0], NULL, flow->to, NULL, flow->held,
					   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
			if (n < 0 && errno != EAGAIN) {
				return false;
			}
			flow->held -= n > 0 ? (size_t)n : 0;
			moved = moved || n > 0;
		}
		if (flow->ended && flow->held == 0) {
			shutdown(flow->to, SHUT_WR);
			flow->closed = true;
		}
		if (!moved) {
			break;
		}
	}
	return true;
}

static void serve(int near_fd, int far_fd)
{
	struct flow flows[2] = {{.from = near_fd, .to = far_fd}, {.from = far_fd, .to = near_fd}};
	for (int i = 0; i < 2; i++) {
		if (pipe2(flows[i].pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
			die("pipe");
		}
		fcntl(flows[i].pipe[1], F_SETPIPE_SZ, PIPE_BYTES);
		fcntl(flows[i].from, F_SETFL, fcntl(flows[i].from, F_GETFL) | O_NONBLOCK);
	}
	while (!flows[0].closed || !flows[1].closed) {
		struct pollfd fds[2] = {{.fd = near_fd}, {.fd = far_fd}};
		for (int i = 0; i < 2; i++) {
			/* A full pipe may be full in pages before it is in bytes: first drain it. */
			bool full = flows[i].held > 0;
			fds[i].events |= !flows[i].ended && !full ? POLLIN : 0;
			fds[1 - i].events |= full ? POLLOUT : 0;
		}
		for (int i = 0; i < 2; i++) {
			fds[i].fd = fds[i].events ? fds[i].fd : -1;
		}
		if (poll(fds, 2, -1) < 0 || !pump(&flows[0]) || !pump(&flows[1])) {
			return;
		}
	}
}

static int listen_at(const char *text)
{
	union address address;
	socklen_t size = parse(text, &address);
	int fd = open_socket(&address);
	if (address.any.sa_family == AF_UNIX) {
		unlink(address.un.sun_path);
	}
	if (bind(fd, &address.any, size) < 0 || listen(fd, 128) < 0) {
		die(text);
	}
	if (getsockname(fd, &address.any, &size) < 0) {
		die("getsockname");
	}
	printf("listening %u\n", address.any.sa_family == AF_INET ? ntohs(address.in.sin_port) : 0);
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	union address far;
	if (argc != 3) {
		fputs("usage: relay unix:PATH|tcp:PORT unix:PATH|tcp:ADDRESS:PORT\n", stderr);
		return 2;
	}
	socklen_t size = parse(argv[2], &far);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	int listen_fd = listen_at(argv[1]);
	for (;;) {
		int one = 1;
		int near_fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (near_fd < 0) {
			die("accept");
		}
		setsockopt(near_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			int far_fd = open_socket(&far);
			if (connect(far_fd, &far.any, size) < 0) {
				die(argv[2]);
			}
			serve(near_fd, far_fd);
			_exit(0);
		}
		close(near_fd);
	}
}
