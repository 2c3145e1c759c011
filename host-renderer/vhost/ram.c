/* SPDX-License-Identifier: MIT */
#include "ram.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"

static bool is_sound(const struct vu_region *region, const struct stat *st)
{
	uint64_t end;
	return region->bytes > 0 &&
	       !__builtin_add_overflow(region->guest_address, region->bytes, &end) &&
	       !__builtin_add_overflow(region->user_address, region->bytes, &end) &&
	       !__builtin_add_overflow(region->file_offset, region->bytes, &end) &&
	       end <= INT64_MAX && (uint64_t)st->st_size >= end;
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

static int map_region(struct hr_ram_region *region, int fd)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t lead = region->file_offset % page;
	region->map_bytes = region->bytes + lead;
	region->map = mmap(NULL, region->map_bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_NORESERVE, fd, (off_t)(region->file_offset - lead));
	if (region->map == MAP_FAILED) {
		return -errno;
	}
	/* A core dump of ours is no place for the guest's memory. */
	(void)madvise(region->map, region->map_bytes, MADV_DONTDUMP);
	region->base = (uint8_t *)region->map + lead;
	region->fd = br_fd_dup(fd);
	if (region->fd < 0) {
		(void)munmap(region->map, region->map_bytes);
		return region->fd;
	}
	return 0;
}

/* Where the same part of the same file is mapped already: each mapping anew would fault all pages in
 * again, and a VMM sends the table at each change of the window. */
static const struct hr_ram_region *find_same(const struct hr_ram *ram,
					     const struct hr_ram_region *region)
{
	for (size_t i = 0; i < ram->n_regions; i++) {
		const struct hr_ram_region *old = &ram->regions[i];
		if (old->device == region->device && old->inode == region->inode &&
		    old->file_offset == region->file_offset && old->bytes == region->bytes) {
			return old;
		}
	}
	return NULL;
}

static int add_region(const struct hr_ram *old, struct hr_ram *ram, const struct vu_region *from,
		      int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	/* Of no type: a dma-buf. Source: Linux, alloc_anon_inode(). */
	if ((st.st_mode & S_IFMT) == 0) {
		return 0;
	}
	if (!S_ISREG(st.st_mode) || !is_sound(from, &st) || overlaps(ram, from)) {
		return -EINVAL;
	}
	struct hr_ram_region *region = &ram->regions[ram->n_regions];
	*region = (struct hr_ram_region){
		.guest_address = from->guest_address,
		.user_address = from->user_address,
		.bytes = from->bytes,
		.file_offset = from->file_offset,
		.device = st.st_dev,
		.inode = st.st_ino,
		.fd = -1,
	};
	const struct hr_ram_region *same = find_same(old, region);
	int ret = 0;
	if (same && !find_same(ram, region)) {
		region->map = same->map;
		region->map_bytes = same->map_bytes;
		region->base = same->base;
		region->fd = same->fd;
	} else {
		ret = map_region(region, fd);
	}
	ram->n_regions += ret == 0 ? 1 : 0;
	return ret;
}

static bool has_map(const struct hr_ram *ram, const void *map)
{
	for (size_t i = 0; i < ram->n_regions; i++) {
		if (ram->regions[i].map == map) {
			return true;
		}
	}
	return false;
}

/* Unmap what the other does not have. */
static void finish_all_but(struct hr_ram *ram, const struct hr_ram *other)
{
	for (size_t i = 0; i < ram->n_regions; i++) {
		if (!has_map(other, ram->regions[i].map)) {
			(void)munmap(ram->regions[i].map, ram->regions[i].map_bytes);
			br_fd_clear(&ram->regions[i].fd);
		}
	}
	*ram = (struct hr_ram){0};
}

int hr_ram_set(struct hr_ram *ram, const struct vu_mem_table *table, const int *fds, size_t n)
{
	struct hr_ram new = {0};
	int ret = table->n_regions == n && n <= VU_MAX_REGIONS ? 0 : -EINVAL;
	for (size_t i = 0; ret == 0 && i < n; i++) {
		ret = add_region(ram, &new, &table->regions[i], fds[i]);
	}
	if (ret < 0) {
		finish_all_but(&new, ram);
		return ret;
	}
	finish_all_but(ram, &new);
	*ram = new;
	return 0;
}

void hr_ram_finish(struct hr_ram *ram)
{
	const struct hr_ram none = {0};
	finish_all_but(ram, &none);
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
