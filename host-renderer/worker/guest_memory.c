/* SPDX-License-Identifier: MIT */
#include "guest_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "limits.h"
#include "payload.h"

struct region {
	uint64_t address, bytes;
	uint8_t *base;	/* where address is */
	void *map;	/* what was mapped, which starts at a page */
	size_t map_len; /* 0: not mapped */
};

/* A layout. Freed when worker->guest and the last wk_pages let it go. */
struct wk_guest {
	unsigned refs;
	uint32_t n_regions;
	struct region regions[WK_MAX_REGIONS];
};

static void unref(struct wk_guest *guest)
{
	if (guest == NULL || --guest->refs > 0) {
		return;
	}
	for (uint32_t i = 0; i < guest->n_regions; i++) {
		if (guest->regions[i].map_len > 0) {
			(void)munmap(guest->regions[i].map, guest->regions[i].map_len);
		}
	}
	free(guest);
}

static int map_region(struct region *region, const struct wk_region *wanted, int fd)
{
	struct stat stat;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t before = wanted->offset % page;
	if (fstat(fd, &stat) < 0) {
		return -errno;
	}
	/* What is not in the file would be a SIGBUS. */
	uint64_t file_bytes = (uint64_t)stat.st_size;
	if (wanted->bytes == 0 || wanted->offset > file_bytes ||
	    wanted->bytes > file_bytes - wanted->offset ||
	    wanted->address > UINT64_MAX - wanted->bytes) {
		return -EINVAL;
	}
	void *map = mmap(NULL, before + wanted->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 (off_t)(wanted->offset - before));
	if (map == MAP_FAILED) {
		return -errno;
	}
	*region = (struct region){
		.address = wanted->address,
		.bytes = wanted->bytes,
		.base = (uint8_t *)map + before,
		.map = map,
		.map_len = before + wanted->bytes,
	};
	return 0;
}

int wk_guest_set(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_guest_memory *memory = packet->bytes;
	const struct wk_region *regions = (const struct wk_region *)(memory + 1);
	int ret = 0;
	if (memory->n_regions > WK_MAX_REGIONS || memory->n_regions != packet->n_fds ||
	    memory->n_regions > (packet->size - sizeof(*memory)) / sizeof(*regions)) {
		return -EINVAL;
	}
	struct wk_guest *guest = calloc(1, sizeof(*guest));
	if (guest == NULL) {
		return -ENOMEM;
	}
	guest->refs = 1;
	for (uint32_t i = 0; i < memory->n_regions && ret == 0; i++) {
		ret = map_region(&guest->regions[i], &regions[i], packet->fds[i]);
		guest->n_regions = i + 1;
	}
	if (ret < 0) {
		unref(guest);
		return ret;
	}
	unref(worker->guest);
	worker->guest = guest;
	return 0;
}

void wk_guest_finish(struct wk_worker *worker)
{
	unref(worker->guest);
	worker->guest = NULL;
}

static void *find_bytes(const struct wk_guest *guest, const struct wk_entry *entry)
{
	for (uint32_t i = 0; i < guest->n_regions; i++) {
		const struct region *region = &guest->regions[i];
		uint64_t inside = entry->address - region->address;
		if (entry->address >= region->address && inside < region->bytes &&
		    entry->bytes <= region->bytes - inside) {
			return region->base + inside;
		}
	}
	return NULL;
}

static int add_entry(struct wk_pages *pages, const struct wk_guest *guest,
		     const struct wk_entry *entry)
{
	uint8_t *base = entry->bytes > 0 ? find_bytes(guest, entry) : NULL;
	if (base == NULL) {
		return -EFAULT;
	}
	struct iovec *last = pages->n_iov > 0 ? &pages->iov[pages->n_iov - 1] : NULL;
	if (last != NULL && (uint8_t *)last->iov_base + last->iov_len == base) {
		last->iov_len += entry->bytes;
	} else {
		pages->iov[pages->n_iov++] = (struct iovec){base, entry->bytes};
	}
	return 0;
}

static int add_entries(struct wk_pages *pages, struct wk_guest *guest,
		       const struct wk_entry *entries, uint32_t n)
{
	int ret = 0;
	pages->iov = malloc(n * sizeof(*pages->iov));
	if (pages->iov == NULL) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n && ret == 0; i++) {
		ret = add_entry(pages, guest, &entries[i]);
	}
	if (ret < 0) {
		free(pages->iov);
		*pages = (struct wk_pages){0};
		return ret;
	}
	struct iovec *fitting = realloc(pages->iov, pages->n_iov * sizeof(*fitting));
	pages->iov = fitting != NULL ? fitting : pages->iov;
	pages->guest = guest;
	guest->refs++;
	return 0;
}

int wk_pages_init(struct wk_pages *pages, struct wk_worker *worker, const struct wk_packet *packet,
		  size_t header_size, uint32_t n_entries)
{
	struct wk_payload entries;
	*pages = (struct wk_pages){0};
	if (n_entries == 0) {
		return 0;
	}
	int ret = wk_payload_init(&entries, packet, header_size,
				  n_entries * (uint64_t)sizeof(struct wk_entry),
				  BR_LIMIT_MEM_ENTRIES * sizeof(struct wk_entry));
	if (ret < 0) {
		return ret;
	}
	ret = worker->guest != NULL ? add_entries(pages, worker->guest, entries.bytes, n_entries)
				    : -EFAULT;
	wk_payload_finish(&entries);
	return ret;
}

void wk_pages_finish(struct wk_pages *pages)
{
	free(pages->iov);
	unref(pages->guest);
	*pages = (struct wk_pages){0};
}
