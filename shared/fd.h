/* SPDX-License-Identifier: MIT
 *
 * Ownership of file descriptors. An `int fd` argument is borrowed; a function that keeps it ends in
 * _take and sets the caller's variable to -1. Stored fds are initialised to -1.
 */
#ifndef BR_FD_H
#define BR_FD_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "limits.h"

/** Close *fd if it is open, and set it to -1. Preserves errno. */
static inline void br_fd_clear(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		(void)close(*fd);
		errno = saved;
	}
	*fd = -1;
}

/** Move an fd out of its variable, which becomes -1. */
static inline int br_fd_take(int *fd)
{
	int moved = *fd;
	*fd = -1;
	return moved;
}

/** Duplicate with CLOEXEC. Returns the new fd, owned by the caller, or -errno. */
static inline int br_fd_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return copy < 0 ? -errno : copy;
}

/** Tell whether BR_RESERVED_FDS more files can be opened, by trying; fd: any that is open. For
 * deciding on new clients: those that there are need some for what they send. */
static inline bool br_fd_has_reserve(int fd)
{
	int copies[BR_RESERVED_FDS];
	size_t n = 0;
	while (n < BR_RESERVED_FDS && (copies[n] = br_fd_dup(fd)) >= 0) {
		n++;
	}
	bool all = n == BR_RESERVED_FDS;
	while (n > 0) {
		br_fd_clear(&copies[--n]);
	}
	return all;
}

/** Switch O_NONBLOCK on. Returns 0 or -errno. */
static inline int br_fd_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		return -errno;
	}
	return 0;
}

/* int fd BR_CLEANUP_FD = -1; closes the fd when the variable goes out of scope. */
#define BR_CLEANUP_FD __attribute__((cleanup(br_fd_clear)))

#endif
