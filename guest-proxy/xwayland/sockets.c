/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "log.h"

#define SOCKET_DIR "/tmp/.X11-unix"
#define MAX_DISPLAY 99
#define BACKLOG 32
/* A process number in ten places, and a line feed. Source: X servers' convention. */
#define LOCK_BYTES 11

static void lock_path(int number, char *path, size_t size)
{
	snprintf(path, size, "/tmp/.X%d-lock", number);
}

/* Remove the lock of a process that has ended. Returns true if it is gone. */
static bool remove_stale(const char *path)
{
	char text[LOCK_BYTES + 1] = "";
	int fd BR_CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || read(fd, text, LOCK_BYTES) != LOCK_BYTES) {
		return false;
	}
	long pid = strtol(text, NULL, 10);
	if (pid <= 0 || pid > INT32_MAX || kill((pid_t)pid, 0) == 0 || errno != ESRCH) {
		return false;
	}
	return unlink(path) == 0;
}

static int lock(int number)
{
	char path[32], text[LOCK_BYTES + 1];
	lock_path(number, path, sizeof(path));
	int fd BR_CLEANUP_FD = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
	if (fd < 0 && errno == EEXIST && remove_stale(path)) {
		fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
	}
	if (fd < 0) {
		return -errno;
	}
	snprintf(text, sizeof(text), "%10d\n", (int)getpid());
	if (write(fd, text, LOCK_BYTES) != LOCK_BYTES) {
		(void)unlink(path);
		return -EIO;
	}
	return 0;
}

/* abstract: without a file. Returns the fd or -errno. */
static int listen_at(int number, bool abstract)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char *path = addr.sun_path + abstract;
	int length = snprintf(path, sizeof(addr.sun_path) - 1, SOCKET_DIR "/X%d", number);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length + 1);
	int fd BR_CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	if (!abstract) {
		(void)unlink(path); /* we hold the lock */
	}
	if (bind(fd, (struct sockaddr *)&addr, size) < 0 || listen(fd, BACKLOG) < 0) {
		return -errno;
	}
	return br_fd_take(&fd);
}

/* Anybody may put sockets into it, and take away only their own. */
static int check_dir(void)
{
	struct stat stat;
	if (mkdir(SOCKET_DIR, 01777) == 0) {
		(void)chmod(SOCKET_DIR, 01777); /* whatever the umask is */
	}
	if (lstat(SOCKET_DIR, &stat) < 0) {
		return -errno;
	}
	bool ours = stat.st_uid == 0 || stat.st_uid == getuid();
	if (!S_ISDIR(stat.st_mode) || !ours || ((stat.st_mode & 022) && !(stat.st_mode & 01000))) {
		return -EPERM;
	}
	return 0;
}

static void unlock(int number)
{
	char path[32];
	lock_path(number, path, sizeof(path));
	(void)unlink(path);
}

static int open_number(struct xw_sockets *sockets, int number)
{
	int ret = lock(number);
	if (ret < 0) {
		return ret;
	}
	*sockets = (struct xw_sockets){.number = number, .fds = {-1, -1}};
	for (int i = 0; i < XW_N_SOCKETS && ret == 0; i++) {
		sockets->fds[i] = listen_at(number, i == 1);
		ret = sockets->fds[i] < 0 ? sockets->fds[i] : 0;
	}
	if (ret < 0) {
		br_fd_clear(&sockets->fds[0]);
		br_fd_clear(&sockets->fds[1]);
		unlock(number);
	}
	return ret;
}

int xw_sockets_open(struct xw_sockets *sockets)
{
	int ret = check_dir();
	for (int number = 0; ret == 0 && number <= MAX_DISPLAY; number++) {
		ret = open_number(sockets, number);
		if (ret == 0) {
			return 0;
		}
		/* Somebody else's display, or a rest of one. */
		ret = ret == -EEXIST || ret == -EADDRINUSE || ret == -EACCES ? 0 : ret;
	}
	ret = ret == 0 ? -EADDRINUSE : ret;
	br_log(BR_LOG_WARN, "guest: no display for X11 programs: %s: %s",
	       ret == -EADDRINUSE ? "all are taken" : SOCKET_DIR, strerror(-ret));
	return ret;
}

void xw_sockets_close(struct xw_sockets *sockets)
{
	char path[64];
	if (sockets->fds[0] < 0) {
		return;
	}
	br_fd_clear(&sockets->fds[0]);
	br_fd_clear(&sockets->fds[1]);
	snprintf(path, sizeof(path), SOCKET_DIR "/X%d", sockets->number);
	(void)unlink(path);
	unlock(sockets->number);
}
