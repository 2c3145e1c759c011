/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static bool is_seqpacket(int fd)
{
	int type;
	socklen_t size = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

bool wk_sockets_watch(struct wk_worker *worker, enum wk_source source, uint32_t ctx_id)
{
	bool found = false;
	DIR *dir = opendir("/proc/self/fd");
	if (dir == NULL) {
		return false;
	}
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		char *end;
		long fd = strtol(entry->d_name, &end, 10);
		if (*end != '\0' || fd == dirfd(dir) || !is_seqpacket((int)fd)) {
			continue;
		}
		/* Those that epoll knows it refuses. Once, for an end stays. */
		found |= wk_watch(worker, (int)fd, EPOLLONESHOT, source, ctx_id) == 0;
	}
	closedir(dir);
	return found;
}
