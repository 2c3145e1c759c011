/* SPDX-License-Identifier: MIT */
#include "ram.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_sound(const struct vu_region *region, int fd)
{
	uint64_t end;
	struct stat st;
	return region->bytes > 0 &&
	       !__builtin_add_overflow(region->guest_address, region->bytes, &end) &&
	       !__builtin_add_overflow(region->user_address, region->bytes, &end) &&
	       !__builtin_add_overflow(region->file_offset, region->bytes, &end) &&
	       end <= INT64_MAX && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size >= end;
}

static bool overlaps(const struct hr_ram *ram, const struct vu_region *region)
{
	for (size_t i = 0; i < ram->n_regions; i++) {
		const struct hr_ram_region *other = &ram->regions[i];
		if (region->guest_address < other->guest_address + other->bytes &&
		    other->guest_address < region->guest_address + region->bytes) {
			return true;
		}
	}
	return false;
}

static int add_region(struct hr_ram *ram, const struct vu_region *region, int fd)
{
	if (!is_sound(region, fd) || overlaps(ram, region)) {
		return -EINVAL;
	}
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t lead = region->file_offset % page;
	size_t map_bytes = region->bytes + lead;
	void *map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
			 (off_t)(region->file_offset - lead));
	if (map == MAP_FAILED) {
		return -errno;
	}
	/* A core dump of ours is no place for the guest's memory. */
	(void)madvise(map, map_bytes, MADV_DONTDUMP);
	ram->regions[ram->n_regions++] = (struct hr_ram_region){
		.guest_address = region->guest_address,
		.user_address = region->user_address,
		.bytes = region->bytes,
		.base = (uint8_t *)map + lead,
		.map = map,
		.map_bytes = map_bytes,
	};
	return 0;
}

int hr_ram_set(struct hr_ram *ram, const struct vu_mem_table *table, const int *fds, size_t n)
{
	struct hr_ram new = {0};
	int ret = table->n_regions == n && n <= VU_MAX_REGIONS ? 0 : -EINVAL;
	for (size_t i = 0; ret == 0 && i < n; i++) {
		ret = add_region(&new, &table->regions[i], fds[i]);
	}
	if (ret < 0) {
		hr_ram_finish(&new);
		return ret;
	}
	hr_ram_finish(ram);
	*ram = new;
	return 0;
}

void hr_ram_finish(struct hr_ram *ram)
{
	for (size_t i = 0; i < ram->n_regions; i++) {
		(void)munmap(ram->regions[i].map, ram->regions[i].map_bytes);
	}
	*ram = (struct hr_ram){0};
}

/* len is at least 1: the address of nothing is nowhere. */
static bool is_inside(uint64_t start, uint64_t bytes, uint64_t address, uint64_t len)
{
	return len > 0 && address >= start && address - start < bytes &&
	       len <= bytes - (address - start);
}

void *hr_ram_guest(const struct hr_ram *ram, uint64_t address, uint64_t len)
{
	for (size_t i = 0; i < ram->n_regions; i++) {
		const struct hr_ram_region *region = &ram->regions[i];
		if (is_inside(region->guest_address, region->bytes, address, len)) {
			return region->base + (address - region->guest_address);
		}
	}
	return NULL;
}

void *hr_ram_user(const struct hr_ram *ram, uint64_t address, uint64_t len)
{
	for (size_t i = 0; i < ram->n_regions; i++) {
		const struct hr_ram_region *region = &ram->regions[i];
		if (is_inside(region->user_address, region->bytes, address, len)) {
			return region->base + (address - region->user_address);
		}
	}
	return NULL;
}
