/* SPDX-License-Identifier: MIT
 *
 * Guest pages: the memory entries of a resource, in a guest whose memory the front end can reach. Their
 * addresses are kept, never pointers: a VMM may move its guest's memory between two requests.
 */
#ifndef HR_GPU_PAGES_H
#define HR_GPU_PAGES_H

#include <linux/virtio_gpu.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct hr_device;

/** Guest memory without a gap. */
struct hr_page_run {
	uint64_t address; /* the guest's physical one */
	uint64_t offset;  /* of its first byte in the resource */
	uint64_t bytes;
};

/** The pages of a resource, in order. All zero is: none. */
struct hr_pages {
	struct hr_page_run *runs; /* owned */
	uint32_t n_runs;
	uint64_t bytes; /* of all runs */
};

/** Which way hr_pages_copy() goes. */
enum hr_pages_dir { HR_PAGES_TO_FILE, HR_PAGES_FROM_FILE };

/** Take over n memory entries as they were in the command, neighbours joined. Returns 0; -EINVAL an
 * entry is empty or not guest memory; -ENOSPC more than BR_LIMIT_MEM_ENTRIES, or than
 * BR_LIMIT_DEVICE_MEM_RUNS of the device are left; -ENOMEM. */
int hr_pages_init(struct hr_device *device, struct hr_pages *pages, const uint8_t *entries,
		  uint32_t n);

/** Forget them; all zero afterwards. */
void hr_pages_finish(struct hr_device *device, struct hr_pages *pages);

/** Write from offset on. Returns 0; -ENOSPC it does not fit; -EFAULT not guest memory any more. */
int hr_pages_write(struct hr_device *device, const struct hr_pages *pages, uint64_t offset,
		   const struct iovec *iov, size_t n_iov);

/** Copy len bytes between the pages at offset and a file at file_offset. A file's end reads as zeroes.
 * Returns 0; -EINVAL the pages are too few; -EFAULT not guest memory any more; else -errno. */
int hr_pages_copy(struct hr_device *device, const struct hr_pages *pages, uint64_t offset,
		  uint64_t len, int fd, uint64_t file_offset, enum hr_pages_dir dir);

#endif
