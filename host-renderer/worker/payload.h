/* SPDX-License-Identifier: MIT
 *
 * What follows a request: in the same packet, or in a file if it is too large for one.
 */
#ifndef HR_WORKER_PAYLOAD_H
#define HR_WORKER_PAYLOAD_H

#include "worker.h"

/** Bytes, aligned to 8. */
struct wk_payload {
	void *bytes;
	void *owned; /* what is to be freed; NULL: they are in the packet */
};

/** Get the size bytes behind the first header_size of a packet, or those of its fd. Returns 0; -E2BIG more
 * than limit; -EINVAL there are fewer; -ENOMEM; else -errno. */
int wk_payload_init(struct wk_payload *payload, const struct wk_packet *packet, size_t header_size,
		    uint64_t size, uint64_t limit);
void wk_payload_finish(struct wk_payload *payload);

#endif
