/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <wayland-server-core.h>

#include "fd.h"
#include "limits.h"
#include "log.h"
#include "outbox.h"
#include "packet.h"

#define MESSAGES_PER_WAKEUP 64

struct hr_worker {
	const struct hr_worker_events *events; /* NULL once it is forgotten */
	void *data;
	pid_t pid;
	int pid_fd, socket_fd; /* socket_fd: -1 once it is of no use any more */
	struct wl_event_source *pid_source, *socket_source;
	struct br_outbox out;
	const char *reason; /* of our own for its end; NULL: none */
	struct wl_event_loop *loop;
	struct wl_listener loop_destroyed; /* once it is forgotten, until it has ended */
	uint8_t bytes[WK_MAX_PACKET];
};

/* --- sending --- */

static void close_socket(struct hr_worker *worker)
{
	if (worker->socket_source) {
		wl_event_source_remove(worker->socket_source);
		worker->socket_source = NULL;
	}
	br_fd_clear(&worker->socket_fd);
	br_outbox_clear(&worker->out);
}

void hr_worker_kill(struct hr_worker *worker, const char *reason)
{
	if (!worker->reason) {
		worker->reason = reason;
	}
	close_socket(worker);
	(void)pidfd_send_signal(worker->pid_fd, SIGKILL, NULL, 0);
}

static void watch(struct hr_worker *worker)
{
	uint32_t mask = WL_EVENT_READABLE;
	mask |= br_outbox_waits(&worker->out) ? WL_EVENT_WRITABLE : 0;
	(void)wl_event_source_fd_update(worker->socket_source, mask);
}

static void send_parts(struct hr_worker *worker, const struct iovec *iov, const int *fds,
		       size_t n_fds)
{
	int ret = br_outbox_send(&worker->out, worker->socket_fd, iov, 2, fds, n_fds);
	if (ret == 0) {
		watch(worker);
	} else if (ret == -EPIPE || ret == -ECONNRESET) {
		close_socket(worker); /* its end is told by its process */
	} else {
		hr_worker_kill(worker, ret == -ENOBUFS ? "it does not do its work"
						       : "no more files can be open");
	}
}

/* Bytes that are too many for a packet go as a file. */
static void send_file(struct hr_worker *worker, const struct iovec *head, const void *bytes,
		      size_t n_bytes)
{
	const struct iovec iov[2] = {*head, {0}};
	int fd BR_CLEANUP_FD = memfd_create("causeway-commands", MFD_CLOEXEC);
	if (fd < 0 || pwrite(fd, bytes, n_bytes, 0) != (ssize_t)n_bytes) {
		hr_worker_kill(worker, "there is no memory for its work");
		return;
	}
	send_parts(worker, iov, &fd, 1);
}

void hr_worker_send(struct hr_worker *worker, const void *message, size_t message_bytes,
		    const void *bytes, size_t n_bytes, const int *fds, size_t n_fds)
{
	const struct iovec iov[2] = {
		{.iov_base = (void *)message, .iov_len = message_bytes},
		{.iov_base = (void *)bytes, .iov_len = n_bytes},
	};
	if (worker->socket_fd < 0) {
		return;
	}
	if (message_bytes + n_bytes > WK_MAX_PACKET) {
		send_file(worker, &iov[0], bytes, n_bytes);
	} else {
		send_parts(worker, iov, fds, n_fds);
	}
}

static void flush(void *data)
{
	struct hr_worker *worker = data;
	if (worker->socket_fd < 0) {
		return;
	}
	if (br_outbox_flush(&worker->out, worker->socket_fd) < 0) {
		close_socket(worker);
		return;
	}
	watch(worker);
}

/* --- receiving --- */

/* Returns false if there is nothing more to read. */
static bool receive_one(struct hr_worker *worker)
{
	int fds[SK_MAX_FDS];
	size_t n_fds;
	int n = br_packet_receive(worker->socket_fd, worker->bytes, sizeof(worker->bytes), fds,
				  &n_fds);
	if (n == -EAGAIN) {
		return false;
	}
	if (n <= 0) {
		/* It ends, if it has not: how, its process tells. */
		close_socket(worker);
		(void)pidfd_send_signal(worker->pid_fd, SIGKILL, NULL, 0);
	} else if (n < (int)sizeof(struct wk_header)) {
		hr_worker_kill(worker, "it talks nonsense");
	} else {
		worker->events->message(worker->data, (const struct wk_header *)worker->bytes,
					(size_t)n, fds, n_fds);
	}
	while (n_fds > 0) {
		br_fd_clear(&fds[--n_fds]);
	}
	return n >= (int)sizeof(struct wk_header);
}

static int on_socket(int fd, uint32_t mask, void *data)
{
	struct hr_worker *worker = data;
	(void)fd;
	if (mask & WL_EVENT_WRITABLE) {
		flush(worker);
	}
	for (int i = 0; i < MESSAGES_PER_WAKEUP && worker->socket_fd >= 0; i++) {
		if (!receive_one(worker)) {
			break;
		}
	}
	return 0;
}

static void free_worker(struct hr_worker *worker)
{
	close_socket(worker);
	if (worker->pid_source) {
		wl_event_source_remove(worker->pid_source);
	}
	br_fd_clear(&worker->pid_fd);
	free(worker);
}

static int on_end(int fd, uint32_t mask, void *data)
{
	struct hr_worker *worker = data;
	siginfo_t info = {0};
	char reason[80];
	(void)fd;
	(void)mask;
	if (waitid(P_PIDFD, (id_t)worker->pid_fd, &info, WEXITED | WNOHANG) < 0 ||
	    info.si_pid == 0) {
		return 0;
	}
	/* What it said before is still there; who hears it may destroy the worker. */
	while (worker->socket_fd >= 0 && receive_one(worker)) {
	}
	close_socket(worker);
	worker->pid = -1;
	wl_event_source_remove(worker->pid_source);
	worker->pid_source = NULL;
	if (!worker->events) {
		wl_list_remove(&worker->loop_destroyed.link);
		free_worker(worker);
		return 0;
	}
	if (worker->reason) {
		(void)snprintf(reason, sizeof(reason), "%s", worker->reason);
	} else if (info.si_code == CLD_EXITED) {
		(void)snprintf(reason, sizeof(reason), "it has ended with status %d",
			       info.si_status);
	} else {
		(void)snprintf(reason, sizeof(reason), "it was ended by signal %d (%s)",
			       info.si_status, strsignal(info.si_status));
	}
	worker->events->ended(worker->data, reason);
	return 0;
}

/* --- life --- */

/* A process group of its own: a terminal's signals are meant for others. */
static int spawn(struct hr_worker *worker, const char *program, int socket_fd)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	extern char **environ;
	char *argv[] = {(char *)program, NULL};
	sigset_t none;
	if (posix_spawn_file_actions_init(&files) != 0) {
		return -ENOMEM;
	}
	if (posix_spawnattr_init(&attr) != 0) {
		(void)posix_spawn_file_actions_destroy(&files);
		return -ENOMEM;
	}
	(void)sigemptyset(&none);
	int ret = posix_spawn_file_actions_adddup2(&files, socket_fd, WK_FD);
	ret = ret != 0 ? ret : posix_spawnattr_setpgroup(&attr, 0);
	ret = ret != 0 ? ret : posix_spawnattr_setsigmask(&attr, &none);
	ret = ret != 0 ? ret
		       : posix_spawnattr_setflags(&attr,
						  POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	ret = ret != 0 ? ret : posix_spawn(&worker->pid, program, &files, &attr, argv, environ);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&files);
	return -ret;
}

static int connect_and_spawn(struct hr_worker *worker, const char *program)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	worker->socket_fd = pair[0];
	int ret = br_fd_set_nonblock(pair[0]);
	/* dup2 to itself would leave CLOEXEC on. */
	if (ret == 0 && pair[1] == WK_FD) {
		ret = br_fd_dup(pair[1]);
		br_fd_clear(&pair[1]);
		pair[1] = ret;
		ret = ret < 0 ? ret : 0;
	}
	ret = ret < 0 ? ret : spawn(worker, program, pair[1]);
	br_fd_clear(&pair[1]);
	if (ret < 0) {
		worker->pid = -1;
		return ret;
	}
	worker->pid_fd = pidfd_open(worker->pid, 0);
	return worker->pid_fd < 0 ? -errno : 0;
}

int hr_worker_start(struct wl_event_loop *loop, const char *program,
		    const struct hr_worker_events *events, void *data,
		    struct hr_worker **ret_worker)
{
	struct hr_worker *worker = calloc(1, sizeof(*worker));
	if (!worker) {
		return -ENOMEM;
	}
	*worker = (struct hr_worker){.events = events,
				     .data = data,
				     .pid = -1,
				     .pid_fd = -1,
				     .socket_fd = -1,
				     .loop = loop};
	br_outbox_init(&worker->out, loop, BR_LIMIT_WORKER_QUEUE_BYTES, flush, worker);
	int ret = connect_and_spawn(worker, program);
	if (ret == 0) {
		worker->socket_source = wl_event_loop_add_fd(loop, worker->socket_fd,
							     WL_EVENT_READABLE, on_socket, worker);
		worker->pid_source = wl_event_loop_add_fd(loop, worker->pid_fd, WL_EVENT_READABLE,
							  on_end, worker);
		ret = worker->socket_source && worker->pid_source ? 0 : -ENOMEM;
	}
	if (ret < 0) {
		hr_worker_destroy(worker);
		return ret;
	}
	*ret_worker = worker;
	return 0;
}

static void on_loop_destroyed(struct wl_listener *listener, void *loop)
{
	struct hr_worker *worker = wl_container_of(listener, worker, loop_destroyed);
	(void)loop;
	free_worker(worker);
}

void hr_worker_destroy(struct hr_worker *worker)
{
	if (!worker) {
		return;
	}
	close_socket(worker);
	if (worker->pid <= 0 || !worker->pid_source) {
		free_worker(worker);
		return;
	}
	/* The loop collects it: a driver may take its time to end. */
	(void)pidfd_send_signal(worker->pid_fd, SIGKILL, NULL, 0);
	worker->events = NULL;
	worker->loop_destroyed.notify = on_loop_destroyed;
	wl_event_loop_add_destroy_listener(worker->loop, &worker->loop_destroyed);
}
