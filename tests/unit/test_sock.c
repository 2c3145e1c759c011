/* SPDX-License-Identifier: MIT
 *
 * Stream sockets with fds.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "fd.h"
#include "sock.h"
#include "test.h"

struct pair {
	int fd[2];
	struct br_stream out, in; /* out goes into fd[0], in comes from fd[1] */
};

static void pair_init(struct pair *p)
{
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->fd), 0);
	br_stream_init(&p->out, 4 << 20, 512);
	br_stream_init(&p->in, 4 << 20, 512);
}

static void pair_finish(struct pair *p)
{
	br_fd_clear(&p->fd[0]);
	br_fd_clear(&p->fd[1]);
	br_stream_finish(&p->out);
	br_stream_finish(&p->in);
}

static int temp_file(unsigned number)
{
	FILE *file = tmpfile();
	CHECK(file != NULL);
	int fd = br_fd_dup(fileno(file));
	CHECK_INT(pwrite(fd, &number, sizeof(number), 0), sizeof(number));
	fclose(file);
	return fd;
}

static unsigned file_number(int fd)
{
	unsigned number;
	CHECK_INT(pread(fd, &number, sizeof(number), 0), sizeof(number));
	return number;
}

static void push_file(struct br_stream *s, unsigned number)
{
	struct br_handle handle = {.fd = temp_file(number)};
	CHECK_INT(br_stream_push_handle_take(s, &handle), 0);
}

/* Send fds past br_sock_flush(), with one byte. */
static void raw_send(int sock_fd, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {0};
	char byte = 'x';
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(count * sizeof(int)),
	};
	control.align = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(count * sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
	CHECK_INT(sendmsg(sock_fd, &msg, 0), 1);
}

TEST(bytes_and_fds_arrive)
{
	struct pair p;
	struct br_handle handle;
	pair_init(&p);
	CHECK_INT(br_sock_flush(p.fd[0], &p.out), 0);
	CHECK_INT(br_sock_read(p.fd[1], &p.in), -EAGAIN);
	push_file(&p.out, 41);
	CHECK_INT(br_stream_write(&p.out, "12345678", 8), 0);
	push_file(&p.out, 42);
	CHECK_INT(br_stream_write(&p.out, "abcd", 4), 0);
	CHECK_INT(br_sock_flush(p.fd[0], &p.out), 0);
	CHECK_INT(br_stream_handle_count(&p.out), 0);
	CHECK_INT(br_sock_read(p.fd[1], &p.in), 12);
	CHECK_MEM(br_stream_peek(&p.in), "12345678abcd", 12);
	CHECK_INT(br_stream_handle_count(&p.in), 2);
	CHECK_INT(p.in.handles[p.in.handle_head].pos, 0);
	for (unsigned i = 41; i <= 42; i++) {
		CHECK(br_stream_pop_handle(&p.in, &handle));
		CHECK_INT(file_number(handle.fd), i);
		CHECK_INT(fcntl(handle.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		CHECK_INT(handle.kind, 0);
		CHECK_INT(handle.res_id, 0);
		br_fd_clear(&handle.fd);
	}
	pair_finish(&p);
}

/* More than one sendmsg may carry: in order, none lost, and none later than its message. */
TEST(many_fds)
{
	struct pair p;
	struct br_handle handle;
	unsigned next = 0;
	pair_init(&p);
	for (unsigned i = 0; i < 100; i++) {
		push_file(&p.out, i);
		CHECK_INT(br_stream_write(&p.out, &i, sizeof(i)), 0);
	}
	CHECK_INT(br_sock_flush(p.fd[0], &p.out), 0);
	while (next < 100) {
		WAIT_FD(p.fd[1], POLLIN, "the next fds");
		CHECK(br_sock_read(p.fd[1], &p.in) > 0);
		while (br_stream_bytes(&p.in) >= sizeof(next)) {
			CHECK_MEM(br_stream_peek(&p.in), &next, sizeof(next));
			br_stream_consume(&p.in, sizeof(next));
			CHECK(br_stream_pop_handle(&p.in, &handle));
			CHECK_INT(file_number(handle.fd), next);
			br_fd_clear(&handle.fd);
			next++;
		}
	}
	pair_finish(&p);
}

/* A megabyte through a socket that takes less: the reader and the writer alternate. */
TEST(full_socket)
{
	struct pair p;
	size_t len = 1 << 20, got = 0;
	unsigned eagain = 0;
	pair_init(&p);
	uint8_t *at = br_stream_reserve(&p.out, len);
	CHECK(at != NULL);
	for (size_t i = 0; i < len; i++) {
		at[i] = (uint8_t)(i * 31 >> 3);
	}
	br_stream_commit(&p.out, len);
	while (got < len) {
		int ret = br_sock_flush(p.fd[0], &p.out);
		CHECK(ret == 0 || ret == -EAGAIN);
		CHECK_INT(ret == 0, br_stream_empty(&p.out));
		eagain += ret == -EAGAIN;
		int n = br_sock_read(p.fd[1], &p.in);
		CHECK(n > 0);
		for (int i = 0; i < n; i++, got++) {
			CHECK_INT(br_stream_peek(&p.in)[i], (uint8_t)(got * 31 >> 3));
		}
		br_stream_consume(&p.in, (size_t)n);
	}
	CHECK(eagain > 0);
	pair_finish(&p);
}

TEST(no_room)
{
	struct pair p;
	struct br_stream small;
	uint8_t bytes[100] = {0};
	pair_init(&p);
	br_stream_init(&small, 64, 64);
	CHECK_INT(write(p.fd[0], bytes, sizeof(bytes)), sizeof(bytes));
	CHECK_INT(br_sock_read(p.fd[1], &small), 64);
	CHECK_INT(br_sock_read(p.fd[1], &small), -ENOSPC);
	br_stream_consume(&small, 64);
	CHECK_INT(br_sock_read(p.fd[1], &small), 36);
	br_stream_finish(&small);
	pair_finish(&p);
}

/* Without room for fds nothing is read: what was in the socket is still there later. */
TEST(no_room_for_fds)
{
	struct pair p;
	struct br_stream small;
	struct br_handle handle;
	int fd = temp_file(7);
	pair_init(&p);
	br_stream_init(&small, 64, 28);
	raw_send(p.fd[0], &fd, 1);
	raw_send(p.fd[0], &fd, 1);
	CHECK_INT(br_sock_read(p.fd[1], &small), 1);
	CHECK_INT(br_sock_read(p.fd[1], &small), -ENOSPC);
	CHECK(br_stream_pop_handle(&small, &handle));
	br_fd_clear(&handle.fd);
	CHECK_INT(br_sock_read(p.fd[1], &small), 1);
	CHECK_INT(br_stream_bytes(&small), 2);
	CHECK_INT(br_stream_handle_count(&small), 1);
	br_fd_clear(&fd);
	br_stream_finish(&small);
	pair_finish(&p);
}

/* More fds at once than the stream may hold: lost, so an error that ends the connection. */
TEST(too_many_fds)
{
	struct pair p;
	struct br_stream small;
	int fds[40];
	pair_init(&p);
	br_stream_init(&small, 64, 30);
	for (unsigned i = 0; i < 40; i++) {
		fds[i] = i == 0 ? temp_file(0) : br_fd_dup(fds[0]);
	}
	raw_send(p.fd[0], fds, 40);
	CHECK_INT(br_sock_read(p.fd[1], &small), -EPROTO);
	CHECK(br_stream_empty(&small));
	for (unsigned i = 0; i < 40; i++) {
		br_fd_clear(&fds[i]);
	}
	br_stream_finish(&small);
	pair_finish(&p);
}

/* Our fd table is full: the kernel drops some, and says so with MSG_CTRUNC. */
TEST(lost_fds)
{
	struct pair p;
	struct rlimit old, tight;
	int fds[8];
	pair_init(&p);
	for (unsigned i = 0; i < 8; i++) {
		fds[i] = temp_file(i);
	}
	raw_send(p.fd[0], fds, 8);
	unsigned before = test_count_fds();
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	int next = br_fd_dup(fds[0]);
	tight.rlim_cur = (rlim_t)next + 3;
	br_fd_clear(&next);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &tight), 0);
	int ret = br_sock_read(p.fd[1], &p.in);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &old), 0);
	CHECK_INT(ret, -EPROTO);
	CHECK_INT(test_count_fds(), before);
	for (unsigned i = 0; i < 8; i++) {
		br_fd_clear(&fds[i]);
	}
	pair_finish(&p);
}

TEST(peer_closes)
{
	struct pair p;
	pair_init(&p);
	CHECK_INT(write(p.fd[0], "last", 4), 4);
	br_fd_clear(&p.fd[0]);
	CHECK_INT(br_sock_read(p.fd[1], &p.in), 4);
	CHECK_INT(br_sock_read(p.fd[1], &p.in), -EPIPE);
	CHECK_INT(br_stream_write(&p.out, "x", 1), 0);
	CHECK_INT(br_sock_flush(p.fd[1], &p.out), -EPIPE); /* and no SIGPIPE */
	pair_finish(&p);
}

TEST(peer_closes_without_reading)
{
	struct pair p;
	pair_init(&p);
	CHECK_INT(write(p.fd[1], "unread", 6), 6);
	br_fd_clear(&p.fd[0]);
	CHECK_INT(br_sock_read(p.fd[1], &p.in), -EPIPE);
	pair_finish(&p);
}

TEST(own_process_is_a_good_peer)
{
	struct pair p;
	pair_init(&p);
	CHECK_INT(br_sock_check_peer(p.fd[0]), 0);
	pair_finish(&p);
}

/* Needs root: becomes another user, to whom a third user's socket is a stranger's. */
TEST(stranger_is_refused)
{
	struct pair p;
	if (geteuid() != 0) {
		test_skip("not root");
	}
	/* The pair's credentials are those of its creation. */
	if (seteuid(1234) < 0) {
		test_skip("user 1234 does not exist in this user namespace");
	}
	pair_init(&p);
	CHECK_INT(seteuid(0), 0);
	CHECK_INT(br_sock_check_peer(p.fd[0]), -EACCES);
	CHECK_INT(seteuid(1234), 0);
	CHECK_INT(br_sock_check_peer(p.fd[0]), 0);
	CHECK_INT(seteuid(0), 0);
	pair_finish(&p);
}

struct place {
	char dir[64], path[128];
};

static void place_init(struct place *place)
{
	snprintf(place->dir, sizeof(place->dir), "/tmp/unit-sock-XXXXXX");
	CHECK(mkdtemp(place->dir) != NULL);
	snprintf(place->path, sizeof(place->path), "%s/socket", place->dir);
}

static void place_finish(struct place *place)
{
	(void)unlink(place->path);
	CHECK_INT(rmdir(place->dir), 0);
}

static void listen_and_connect(int type)
{
	struct place place;
	struct stat st;
	place_init(&place);
	(void)umask(0);
	int listen_fd = br_sock_listen(place.path, type);
	CHECK(listen_fd >= 0);
	CHECK_INT(stat(place.path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	CHECK_INT(umask(0), 0); /* left as it was */
	CHECK_INT(fcntl(listen_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	CHECK_INT(fcntl(listen_fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	int fd = br_sock_connect(place.path, type);
	CHECK(fd >= 0);
	CHECK_INT(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	CHECK_INT(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	int peer_fd = accept(listen_fd, NULL, NULL);
	CHECK(peer_fd >= 0);
	CHECK_INT(br_sock_check_peer(fd), 0);
	CHECK_INT(write(fd, "hi", 2), 2);
	char text[2];
	CHECK_INT(read(peer_fd, text, 2), 2);
	CHECK_INT(br_sock_listen(place.path, type), -EADDRINUSE);
	br_fd_clear(&fd);
	br_fd_clear(&peer_fd);
	br_fd_clear(&listen_fd);
	place_finish(&place);
}

TEST(listen_stream)
{
	listen_and_connect(SOCK_STREAM);
}

TEST(listen_seqpacket)
{
	listen_and_connect(SOCK_SEQPACKET);
}

TEST(stale_socket_is_replaced)
{
	struct place place;
	place_init(&place);
	CHECK_INT(br_sock_connect(place.path, SOCK_STREAM), -ENOENT);
	int fd = br_sock_listen(place.path, SOCK_STREAM);
	CHECK(fd >= 0);
	br_fd_clear(&fd);
	CHECK_INT(br_sock_connect(place.path, SOCK_STREAM), -ECONNREFUSED);
	fd = br_sock_listen(place.path, SOCK_SEQPACKET);
	CHECK(fd >= 0);
	br_fd_clear(&fd);
	place_finish(&place);
}

/* A live socket of the other type is not taken for a stale one. */
TEST(other_type_is_in_use)
{
	struct place place;
	place_init(&place);
	int fd = br_sock_listen(place.path, SOCK_STREAM);
	CHECK(fd >= 0);
	CHECK_INT(br_sock_listen(place.path, SOCK_SEQPACKET), -EADDRINUSE);
	int client_fd = br_sock_connect(place.path, SOCK_STREAM);
	CHECK(client_fd >= 0);
	br_fd_clear(&client_fd);
	br_fd_clear(&fd);
	place_finish(&place);
}

TEST(other_files_are_left_alone)
{
	struct place place;
	struct stat st;
	place_init(&place);
	int fd = open(place.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	CHECK_INT(write(fd, "data", 4), 4);
	br_fd_clear(&fd);
	CHECK_INT(br_sock_listen(place.path, SOCK_STREAM), -EEXIST);
	CHECK_INT(stat(place.path, &st), 0);
	CHECK_INT(st.st_size, 4);
	place_finish(&place);
}

TEST(bad_paths)
{
	char path[300];
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	CHECK_INT(br_sock_listen(path, SOCK_STREAM), -ENAMETOOLONG);
	CHECK_INT(br_sock_connect(path, SOCK_STREAM), -ENAMETOOLONG);
	path[sizeof(((struct sockaddr_un *)0)->sun_path)] = '\0'; /* no room for the NUL */
	CHECK_INT(br_sock_connect(path, SOCK_STREAM), -ENAMETOOLONG);
	CHECK_INT(br_sock_listen("", SOCK_STREAM), -EINVAL);
	CHECK_INT(br_sock_connect("", SOCK_STREAM), -EINVAL);
	CHECK_INT(br_sock_listen("/nonexistent/socket", SOCK_STREAM), -ENOENT);
}
