/* SPDX-License-Identifier: MIT
 *
 * What all guest programs of one causeway-host share.
 */
#ifndef HR_HOST_H
#define HR_HOST_H

#include <stdint.h>
#include <sys/types.h>

struct wl_event_loop;
struct hr_gpu;
struct hr_policy;
struct hr_upstream;

/** How buffers of linux-dmabuf reach the compositor. */
enum hr_present {
	HR_PRESENT_DMABUF, /* as they are, if it has linux-dmabuf */
	HR_PRESENT_AUTO,   /* as they are; what it can't import, as wl_shm */
	HR_PRESENT_SHM,	   /* as wl_shm */
};

/** Owned by main; the pointers outlive every device and client. */
struct hr_host {
	struct wl_event_loop *loop;
	const struct hr_policy *policy; /* globals, marks */
	const struct hr_gpu *gpu;	/* NULL: no GPU work is offered */
	uint64_t held_bytes;		/* of devices' memory that the compositor has */
	struct hr_upstream *upstream;	/* connections to the compositor, security context */
	uint32_t next_client;		/* number of the next client, from 1 */
	uint32_t client_count;
	enum hr_present present;
	uint32_t
		compositor_wait_ms; /* for the next one, when it is gone; 0: programs end with it */
	dev_t render_node;	    /* the GPU that feedback names; 0: none is known */
	uint64_t dmabuf_frames;	    /* commits of dma-bufs that the compositor imported */
	/* Bytes of pixels copied on the host, for --stats and the tests' proof of no copies. */
	uint64_t copied_bytes;
	/* Wayland bytes to and from the compositor, for --stats. */
	uint64_t request_bytes, event_bytes;
};

#endif
