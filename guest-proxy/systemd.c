/* SPDX-License-Identifier: MIT */
#include "systemd.h"

#include <errno.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

#include "fd.h"
#include "log.h"

int gp_systemd_listen_fds(int *ret_fds, int max)
{
	int count = sd_listen_fds(1), taken = 0;
	for (int i = 0; i < count; i++) {
		int fd = SD_LISTEN_FDS_START + i;
		if (taken == max || sd_is_socket(fd, 0, 0, 1) <= 0) {
			br_log(BR_LOG_WARN,
			       "guest: fd %d from systemd is no use: not a listening "
			       "socket, or too many",
			       fd);
			br_fd_clear(&fd);
			continue;
		}
		ret_fds[taken++] = fd;
	}
	if (count > 0 && taken == 0) {
		return -EINVAL;
	}
	return count < 0 ? count : taken;
}

void gp_systemd_notify(const char *state)
{
	(void)sd_notify(0, state);
}

#else

int gp_systemd_listen_fds(int *ret_fds, int max)
{
	(void)ret_fds;
	(void)max;
	return 0;
}

void gp_systemd_notify(const char *state)
{
	(void)state;
}

#endif
