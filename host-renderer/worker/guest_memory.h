/* SPDX-License-Identifier: MIT
 *
 * The guest's memory, as the device has it, mapped here. A new layout leaves the old one mapped for as long
 * as a resource has pages in it.
 */
#ifndef HR_WORKER_GUEST_MEMORY_H
#define HR_WORKER_GUEST_MEMORY_H

#include <sys/uio.h>

#include "worker.h"

/** Pages of a resource. libvirglrenderer keeps a pointer to iov. */
struct wk_pages {
	struct iovec *iov; /* NULL: none */
	uint32_t n_iov;
	struct wk_guest *guest; /* a reference; NULL: none */
};

/** Obey WK_GUEST_MEMORY. On errors all stays as it was. Returns 0; -EINVAL a region is not in its file;
 * -ENOMEM; else -errno. */
int wk_guest_set(struct wk_worker *worker, const struct wk_packet *packet);

/** Forget the guest's memory, but for what resources use. */
void wk_guest_finish(struct wk_worker *worker);

/** Find the pages of n_entries entries that follow a request. Neighbours are joined. Returns 0; -EFAULT one
 * is not in guest memory; -EINVAL fewer entries than said; -E2BIG too many; -ENOMEM; else -errno. */
int wk_pages_init(struct wk_pages *pages, struct wk_worker *worker, const struct wk_packet *packet,
		  size_t header_size, uint32_t n_entries);

/** libvirglrenderer must not use them any more. */
void wk_pages_finish(struct wk_pages *pages);

#endif
