/* SPDX-License-Identifier: MIT
 *
 * What all guest programs of one causeway-host share.
 */
#ifndef HR_HOST_H
#define HR_HOST_H

#include <stdint.h>

struct wl_event_loop;
struct hr_gpu;
struct hr_policy;
struct hr_upstream;

/** Owned by main; the pointers outlive every device and client. */
struct hr_host {
	struct wl_event_loop *loop;
	const struct hr_policy *policy; /* globals, marks */
	const struct hr_gpu *gpu;	/* NULL: no GPU work is offered */
	struct hr_upstream *upstream;	/* connections to the compositor, security context */
	uint32_t next_client;		/* number of the next client, from 1 */
	uint32_t client_count;
	/* Bytes of pixels copied on the host, for --stats and the tests' proof of no copies. */
	uint64_t copied_bytes;
	/* Wayland bytes to and from the compositor, for --stats. */
	uint64_t request_bytes, event_bytes;
};

#endif
