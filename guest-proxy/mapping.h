/* SPDX-License-Identifier: MIT
 *
 * Read-only mappings of clients' files. A client may shrink its file at any time, and the next
 * access would raise SIGBUS: a handler then puts zero pages in the mapping's place and marks it, so
 * that only that client pays. Loop thread only.
 */
#ifndef GP_MAPPING_H
#define GP_MAPPING_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <wayland-util.h>

/** A mapped file. Reference counted. */
struct gp_mapping {
	uint32_t refs;
	size_t size; /* bytes */
	const uint8_t *bytes;
	int dmabuf_fd;		      /* to be told of accesses; -1: it is another file */
	volatile sig_atomic_t broken; /* the file was shorter; from then on it reads as zeros */
	struct wl_list link;	      /* of all mappings, for the handler */
};

/** Map the first size bytes of a file. fd is borrowed. *ret_mapping has one reference.
 * Returns 0, -EINVAL the file is smaller, else -errno of fstat or mmap. */
int gp_mapping_create(int fd, size_t size, struct gp_mapping **ret_mapping);

/** The same of a dma-buf, which is taken in any case. Returns 0, -EINVAL it is smaller; else -errno of fstat
 * or mmap: not each can be mapped. */
int gp_mapping_create_dmabuf_take(int *fd, size_t size, struct gp_mapping **ret_mapping);

struct gp_mapping *gp_mapping_ref(struct gp_mapping *mapping);

/** Drop a reference; the last unmaps. NULL is fine. Returns NULL. */
struct gp_mapping *gp_mapping_unref(struct gp_mapping *mapping);

#endif
