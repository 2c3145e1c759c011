/* SPDX-License-Identifier: MIT
 *
 * The sockets between libvirglrenderer and its render server. libvirglrenderer keeps them to itself, and
 * when a process at the other end dies, its thread spins until the context is destroyed. So they are found
 * among this process' fds, and their end is watched.
 */
#ifndef HR_WORKER_SOCKETS_H
#define HR_WORKER_SOCKETS_H

#include "worker.h"

/** Watch the end of a socket that libvirglrenderer has opened since the last call. epoll forgets it when
 * libvirglrenderer closes it. Returns the fd, which stays libvirglrenderer's; -1: there was none. */
int wk_sockets_watch(struct wk_worker *worker, enum wk_source source, uint32_t ctx_id);

#endif
