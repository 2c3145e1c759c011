/* SPDX-License-Identifier: MIT
 *
 * Socket activation and start-up notification; without libsystemd both do nothing.
 */
#ifndef GP_SYSTEMD_H
#define GP_SYSTEMD_H

/** Take over the listening sockets that systemd passed; CLOEXEC, owned by the caller. The variables
 * that announce them are removed from the environment. Returns how many, 0 if none; -errno. */
int gp_systemd_listen_fds(int *ret_fds, int max);

/** Tell systemd a state, e.g. "READY=1". */
void gp_systemd_notify(const char *state);

#endif
