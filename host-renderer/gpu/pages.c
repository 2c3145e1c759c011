/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "limits.h"

/* Parts of one preadv() or pwritev(). */
#define COPY_IOVS 64

static void *guest_memory(const struct hr_device *device, uint64_t address, uint64_t len)
{
	const struct hr_frontend *frontend = &device->frontend;
	return frontend->ops->guest_memory(frontend->data, address, len);
}

/* Append an entry, or make the last run longer. */
static int add_entry(const struct hr_device *device, struct hr_pages *pages, uint64_t address,
		     uint64_t bytes)
{
	if (bytes == 0 || !guest_memory(device, address, bytes)) {
		return -EINVAL;
	}
	struct hr_page_run *last = pages->n_runs > 0 ? &pages->runs[pages->n_runs - 1] : NULL;
	if (last && last->address + last->bytes == address &&
	    guest_memory(device, last->address, last->bytes + bytes)) {
		last->bytes += bytes;
	} else {
		pages->runs[pages->n_runs++] = (struct hr_page_run){
			.address = address,
			.offset = pages->bytes,
			.bytes = bytes,
		};
	}
	pages->bytes += bytes;
	return 0;
}

int hr_pages_init(struct hr_device *device, struct hr_pages *pages, const uint8_t *entries,
		  uint32_t n)
{
	*pages = (struct hr_pages){0};
	if (n == 0) {
		return 0;
	}
	if (n > BR_LIMIT_MEM_ENTRIES) {
		return -ENOSPC;
	}
	pages->runs = malloc(n * sizeof(*pages->runs));
	int ret = pages->runs ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < n && ret == 0; i++) {
		struct virtio_gpu_mem_entry entry;
		memcpy(&entry, entries + i * sizeof(entry), sizeof(entry));
		ret = add_entry(device, pages, entry.addr, entry.length);
	}
	if (ret == 0 && pages->n_runs > BR_LIMIT_DEVICE_MEM_RUNS - device->n_page_runs) {
		ret = -ENOSPC;
	}
	if (ret < 0) {
		free(pages->runs);
		*pages = (struct hr_pages){0};
		return ret;
	}
	void *fitting = realloc(pages->runs, pages->n_runs * sizeof(*pages->runs));
	pages->runs = fitting ? fitting : pages->runs;
	device->n_page_runs += pages->n_runs;
	return 0;
}

void hr_pages_finish(struct hr_device *device, struct hr_pages *pages)
{
	device->n_page_runs -= pages->n_runs;
	free(pages->runs);
	*pages = (struct hr_pages){0};
}

/* The run that holds a byte; the byte is there. */
static uint32_t find_run(const struct hr_pages *pages, uint64_t offset)
{
	uint32_t low = 0, high = pages->n_runs - 1;
	while (low < high) {
		uint32_t middle = low + (high - low + 1) / 2;
		if (pages->runs[middle].offset <= offset) {
			low = middle;
		} else {
			high = middle - 1;
		}
	}
	return low;
}

/* Up to COPY_IOVS parts from offset on. *ret_bytes is their sum. Returns how many, -EFAULT. */
static int get_iovs(const struct hr_device *device, const struct hr_pages *pages, uint64_t offset,
		    uint64_t len, struct iovec iov[COPY_IOVS], uint64_t *ret_bytes)
{
	int n = 0;
	*ret_bytes = 0;
	for (uint32_t i = find_run(pages, offset); len > 0 && n < COPY_IOVS; i++, n++) {
		const struct hr_page_run *run = &pages->runs[i];
		uint64_t inside = offset - run->offset;
		uint64_t bytes = run->bytes - inside < len ? run->bytes - inside : len;
		void *base = guest_memory(device, run->address + inside, bytes);
		if (!base) {
			return -EFAULT;
		}
		iov[n] = (struct iovec){.iov_base = base, .iov_len = bytes};
		*ret_bytes += bytes;
		offset += bytes;
		len -= bytes;
	}
	return n;
}

static bool is_inside(const struct hr_pages *pages, uint64_t offset, uint64_t len)
{
	return offset <= pages->bytes && len <= pages->bytes - offset;
}

/* Write one piece behind what is there already. */
static int write_piece(struct hr_device *device, const struct hr_pages *pages, uint64_t offset,
		       const uint8_t *bytes, uint64_t len)
{
	while (len > 0) {
		struct iovec parts[COPY_IOVS];
		uint64_t covered;
		int n = get_iovs(device, pages, offset, len, parts, &covered);
		if (n < 0) {
			return n;
		}
		for (int i = 0; i < n; i++) {
			memcpy(parts[i].iov_base, bytes, parts[i].iov_len);
			bytes += parts[i].iov_len;
		}
		offset += covered;
		len -= covered;
	}
	return 0;
}

int hr_pages_write(struct hr_device *device, const struct hr_pages *pages, uint64_t offset,
		   const struct iovec *iov, size_t n_iov)
{
	for (size_t i = 0; i < n_iov; i++) {
		if (!is_inside(pages, offset, iov[i].iov_len)) {
			return -ENOSPC;
		}
		int ret = write_piece(device, pages, offset, iov[i].iov_base, iov[i].iov_len);
		if (ret < 0) {
			return ret;
		}
		offset += iov[i].iov_len;
	}
	return 0;
}

static void zero(const struct iovec *iov, int n)
{
	for (int i = 0; i < n; i++) {
		memset(iov[i].iov_base, 0, iov[i].iov_len);
	}
}

int hr_pages_copy(struct hr_device *device, const struct hr_pages *pages, uint64_t offset,
		  uint64_t len, int fd, uint64_t file_offset, enum hr_pages_dir dir)
{
	if (!is_inside(pages, offset, len)) {
		return -EINVAL;
	}
	while (len > 0) {
		struct iovec iov[COPY_IOVS];
		uint64_t covered;
		int n = get_iovs(device, pages, offset, len, iov, &covered);
		if (n < 0) {
			return n;
		}
		ssize_t done = dir == HR_PAGES_TO_FILE ? pwritev(fd, iov, n, (off_t)file_offset)
						       : preadv(fd, iov, n, (off_t)file_offset);
		if (done < 0) {
			return -errno;
		}
		if (done == 0 && dir == HR_PAGES_TO_FILE) {
			return -EIO;
		}
		if (done == 0) {
			zero(iov, n);
			done = (ssize_t)covered;
		}
		offset += (uint64_t)done;
		file_offset += (uint64_t)done;
		len -= (uint64_t)done;
	}
	return 0;
}
