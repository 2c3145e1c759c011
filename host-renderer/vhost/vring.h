/* SPDX-License-Identifier: MIT
 *
 * A split virtqueue, from the device's side. Everything in it is the guest's and may change at any time:
 * each value is read once and checked. Source: virtio 1.3, section 2.7; <linux/virtio_ring.h>.
 */
#ifndef HR_VHOST_VRING_H
#define HR_VHOST_VRING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limits.h"
#include "ram.h"

/* Parts of an answer buffer that are kept; answers are short. */
#define HR_MAX_ANSWER_SEGMENTS 8

/** A part of a buffer, in guest memory. Not checked. */
struct hr_segment {
	uint64_t address;
	uint32_t len;
};

/** A request's descriptor chain. */
struct hr_chain {
	uint16_t head;
	bool too_long; /* there were more readable parts than fit */
	uint32_t n_readable, n_writable;
	uint32_t steps; /* descriptors that were followed */
	uint64_t readable_bytes;
	struct hr_segment readable[BR_LIMIT_CHAIN_SEGMENTS];
	struct hr_segment writable[HR_MAX_ANSWER_SEGMENTS];
};

/** A virtqueue. */
struct hr_vring {
	const struct hr_ram *ram;
	/* As the VMM says. */
	uint32_t num;		    /* a power of two; 0: not set */
	uint64_t desc, avail, used; /* the VMM's addresses; 0: not set */
	bool event_idx, indirect;   /* features that the driver took */
	/* Where they are here; NULL: nowhere. */
	struct vring_desc *desc_ring;
	struct vring_avail *avail_ring;
	struct vring_used *used_ring;
	uint16_t last_avail; /* index of the next request */
	uint16_t used_idx;   /* index of the next answer */
	uint16_t signalled;  /* used_idx when the driver was told last */
};

/** Find the rings in memory (again). Returns 0; -EINVAL they are not there. */
int hr_vring_locate(struct hr_vring *vring);

/** Get the next request. Returns 1 and *chain; 0 none; -EPROTO the driver broke the ring. */
int hr_vring_pop(struct hr_vring *vring, struct hr_chain *chain);

/** Ask for a kick at the next request. Returns true if one came meanwhile. */
bool hr_vring_want_kick(struct hr_vring *vring);

/** Give a buffer back with len bytes written. */
void hr_vring_push(struct hr_vring *vring, uint16_t head, uint32_t len);

/** True if the driver wants to hear of what was pushed since the last time; counts it as told. */
bool hr_vring_should_call(struct hr_vring *vring);

/** Gather readable bytes into memory: at most max. Returns how many; -EFAULT not guest memory. */
int64_t hr_chain_read(const struct hr_ram *ram, const struct hr_chain *chain, uint8_t *bytes,
		      size_t max);

#endif
