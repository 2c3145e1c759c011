/* SPDX-License-Identifier: MIT
 *
 * The guest's memory as the VMM shares it: files, mapped here, found by the guest's physical addresses
 * (in descriptors) or by the VMM's own (in messages). Source: vhost-user, VHOST_USER_SET_MEM_TABLE.
 */
#ifndef HR_VHOST_RAM_H
#define HR_VHOST_RAM_H

#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

/** A piece of guest memory. */
struct hr_ram_region {
	uint64_t guest_address;
	uint64_t user_address; /* in the VMM's address space */
	uint64_t bytes;
	uint8_t *base; /* where it is here */
	void *map;     /* of map_bytes, whole pages, around it */
	size_t map_bytes;
	int fd; /* the file, owned, and where it is there */
	uint64_t file_offset;
	uint64_t device, inode; /* of the file */
};

/** All of it. All zero is: none. Owns the mappings. */
struct hr_ram {
	struct hr_ram_region regions[VU_MAX_REGIONS];
	size_t n_regions;
};

/** Replace the memory by the table's. fds: n of them, borrowed. What is there already stays where it is;
 * what is a dma-buf (a GPU's memory that a VMM shows in the window) is left out. Nothing changes on
 * failure. Returns 0; -EINVAL the table makes no sense, or a file is too short; else -errno. */
int hr_ram_set(struct hr_ram *ram, const struct vu_mem_table *table, const int *fds, size_t n);

/** Unmap everything. */
void hr_ram_finish(struct hr_ram *ram);

/** Where [address, address + len) of the guest is mapped, or NULL. Valid until the next change. */
void *hr_ram_guest(const struct hr_ram *ram, uint64_t address, uint64_t len);

/** The same by the VMM's addresses. */
void *hr_ram_user(const struct hr_ram *ram, uint64_t address, uint64_t len);

#endif
