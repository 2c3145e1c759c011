/* SPDX-License-Identifier: MIT */
#include "vring.h"

#include <errno.h>
#include <string.h>

/* Descriptors of an indirect table: as many as a kernel can allocate at once (4 MiB). */
#define MAX_INDIRECT 262144u

int hr_vring_locate(struct hr_vring *vring)
{
	size_t num = vring->num;
	vring->desc_ring = NULL;
	vring->avail_ring = NULL;
	vring->used_ring = NULL;
	/* The event words behind the rings are there in any case. */
	void *desc = hr_ram_user(vring->ram, vring->desc, num * sizeof(struct vring_desc));
	void *avail = hr_ram_user(vring->ram, vring->avail,
				  sizeof(struct vring_avail) + (num + 1) * sizeof(uint16_t));
	void *used = hr_ram_user(vring->ram, vring->used,
				 sizeof(struct vring_used) + num * sizeof(struct vring_used_elem) +
					 sizeof(uint16_t));
	if (num == 0 || !desc || !avail || !used || (uintptr_t)desc % VRING_DESC_ALIGN_SIZE ||
	    (uintptr_t)avail % VRING_AVAIL_ALIGN_SIZE || (uintptr_t)used % VRING_USED_ALIGN_SIZE) {
		return -EINVAL;
	}
	vring->desc_ring = desc;
	vring->avail_ring = avail;
	vring->used_ring = used;
	return 0;
}

static uint16_t load(const uint16_t *shared)
{
	return __atomic_load_n(shared, __ATOMIC_ACQUIRE);
}

static uint16_t *used_event(const struct hr_vring *vring)
{
	return &vring->avail_ring->ring[vring->num];
}

static uint16_t *avail_event(const struct hr_vring *vring)
{
	return (uint16_t *)&vring->used_ring->ring[vring->num];
}

/* Add one descriptor's buffer. Returns 0, -EPROTO. */
static int add_segment(struct hr_chain *chain, const struct vring_desc *desc)
{
	struct hr_segment segment = {.address = desc->addr, .len = desc->len};
	if (desc->flags & VRING_DESC_F_WRITE) {
		if (chain->n_writable < HR_MAX_ANSWER_SEGMENTS) {
			chain->writable[chain->n_writable++] = segment;
		}
		return 0;
	}
	if (chain->n_writable > 0) {
		return -EPROTO;
	}
	chain->readable_bytes += segment.len;
	if (chain->n_readable < BR_LIMIT_CHAIN_SEGMENTS) {
		chain->readable[chain->n_readable++] = segment;
	} else {
		chain->too_long = true;
	}
	return 0;
}

/* Follow a chain through a table of count descriptors, which is shared. *ret_indirect is the
 * descriptor that leads to an indirect table, or of length 0. */
static int walk(const struct vring_desc *table, uint32_t count, uint32_t index,
		struct hr_chain *chain, struct vring_desc *ret_indirect)
{
	ret_indirect->len = 0;
	for (uint32_t steps = 0; steps < count; steps++) {
		struct vring_desc desc;
		if (index >= count) {
			return -EPROTO;
		}
		memcpy(&desc, (const void *)&table[index], sizeof(desc));
		chain->steps++;
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			*ret_indirect = desc;
			return desc.flags & VRING_DESC_F_NEXT ? -EPROTO : 0;
		}
		if (add_segment(chain, &desc) < 0) {
			return -EPROTO;
		}
		if (!(desc.flags & VRING_DESC_F_NEXT)) {
			return 0;
		}
		index = desc.next;
	}
	return -EPROTO; /* a loop */
}

static int walk_indirect(const struct hr_vring *vring, struct hr_chain *chain,
			 const struct vring_desc *indirect)
{
	struct vring_desc nested;
	uint32_t count = indirect->len / sizeof(struct vring_desc);
	const struct vring_desc *table = hr_ram_guest(vring->ram, indirect->addr, indirect->len);
	if (!vring->indirect || !table || indirect->len % sizeof(struct vring_desc) != 0 ||
	    count > MAX_INDIRECT) {
		return -EPROTO;
	}
	int ret = walk(table, count, 0, chain, &nested);
	return ret == 0 && nested.len != 0 ? -EPROTO : ret;
}

int hr_vring_pop(struct hr_vring *vring, struct hr_chain *chain)
{
	struct vring_desc indirect;
	uint16_t waiting = (uint16_t)(load(&vring->avail_ring->idx) - vring->last_avail);
	if (waiting == 0) {
		return 0;
	}
	if (waiting > vring->num) {
		return -EPROTO;
	}
	uint16_t head = load(&vring->avail_ring->ring[vring->last_avail & (vring->num - 1)]);
	chain->head = head;
	chain->too_long = false;
	chain->n_readable = chain->n_writable = chain->steps = 0;
	chain->readable_bytes = 0;
	int ret = walk(vring->desc_ring, vring->num, head, chain, &indirect);
	if (ret == 0 && indirect.len != 0) {
		ret = walk_indirect(vring, chain, &indirect);
	}
	if (ret < 0) {
		return ret;
	}
	vring->last_avail++;
	return 1;
}

bool hr_vring_want_kick(struct hr_vring *vring)
{
	if (vring->event_idx) {
		__atomic_store_n(avail_event(vring), vring->last_avail, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&vring->used_ring->flags, 0, __ATOMIC_RELAXED);
	}
	/* The driver reads it behind its own store of the index: one of us sees the other's. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load(&vring->avail_ring->idx) != vring->last_avail;
}

void hr_vring_push(struct hr_vring *vring, uint16_t head, uint32_t len)
{
	struct vring_used_elem elem = {.id = head, .len = len};
	memcpy((void *)&vring->used_ring->ring[vring->used_idx & (vring->num - 1)], &elem,
	       sizeof(elem));
	vring->used_idx++;
	__atomic_store_n(&vring->used_ring->idx, vring->used_idx, __ATOMIC_RELEASE);
}

bool hr_vring_should_call(struct hr_vring *vring)
{
	uint16_t old = vring->signalled;
	if (old == vring->used_idx) {
		return false;
	}
	vring->signalled = vring->used_idx;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vring->event_idx) {
		return vring_need_event(load(used_event(vring)), vring->used_idx, old);
	}
	return !(load(&vring->avail_ring->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

int64_t hr_chain_read(const struct hr_ram *ram, const struct hr_chain *chain, uint8_t *bytes,
		      size_t max)
{
	size_t done = 0;
	for (uint32_t i = 0; i < chain->n_readable && done < max; i++) {
		const struct hr_segment *segment = &chain->readable[i];
		size_t n = segment->len < max - done ? segment->len : max - done;
		if (segment->len == 0) {
			continue;
		}
		const void *from = hr_ram_guest(ram, segment->address, n);
		if (!from) {
			return -EFAULT;
		}
		memcpy(bytes + done, from, n);
		done += n;
	}
	return (int64_t)done;
}
