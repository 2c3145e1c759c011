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

int wk_sockets_watch(struct wk_worker *worker, enum wk_source source, uint32_t ctx_id)
{
	int found = -1;
	DIR *dir = opendir("/proc/self/fd");
	if (dir == NULL) {
		return -1;
	}
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		char *end;
		long fd = strtol(entry->d_name, &end, 10);
		if (*end != '\0' || fd == dirfd(dir) || !is_seqpacket((int)fd)) {
			continue;
		}
		/* Those that epoll knows it refuses. Once, for an end stays. */
		if (wk_watch(worker, (int)fd, EPOLLONESHOT, source, ctx_id) == 0) {
			found = (int)fd;
		}
	}
	closedir(dir);
	return found;
}
