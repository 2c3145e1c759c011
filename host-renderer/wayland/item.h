/* SPDX-License-Identifier: MIT
 *
 * What the host has for the guest to make blobs of: images whose layout it asked for, and memory
 * that came from the compositor. One counter numbers them and the write pipes.
 */
#ifndef HR_WAYLAND_ITEM_H
#define HR_WAYLAND_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../gpu/context.h"
#include "cross_domain.h"

/** Memory from the compositor that waits for the guest. */
struct hr_item {
	uint32_t id;
	int item_fd;
	uint64_t size; /* bytes */
};

/** A layout that the guest asked for. */
struct hr_image {
	uint32_t width, height, format;
	struct xd_image_requirements requirements;
};

/** The items and images of a context. */
struct hr_items {
	uint32_t last_id;
	struct hr_item *items;
	size_t n_items, items_capacity;
	struct hr_image *images;
	size_t n_images, images_capacity;
};

/** Prepare an empty set. */
void hr_items_init(struct hr_items *items);

/** Close and free everything; leaves an empty set. */
void hr_items_finish(struct hr_items *items);

/** Give out an id. Returns 0, -ENOSPC when the numbers are used up. */
int hr_items_next_id(struct hr_items *items, uint32_t *ret_id);

/** Keep memory for the guest. Takes *fd on success. Returns 0; -ENOSPC limit; -EINVAL not memory, or
 * of no size or more than 32 bits tell; -ENOMEM. */
int hr_items_add_take(struct hr_items *items, int *fd, uint32_t *ret_id, uint32_t *ret_size);

/** Find the layout of an image, from the cache if it was asked for before. Returns 0; -EINVAL unknown
 * format or impossible size; -ENOSPC limit; -ENOMEM. */
int hr_items_image(struct hr_items *items, uint32_t width, uint32_t height, uint32_t format,
		   struct xd_image_requirements *ret_requirements);

/** Memory for a blob: new memory for an image (any number of times), or the item itself (once).
 * Sizes that the guest rounded up to its pages are fine; for an item only if copied: who maps the file
 * itself could not read behind its last page. Returns 0; -ENOENT; -EINVAL size; -errno. */
int hr_items_memory(struct hr_items *items, uint64_t id, uint64_t size, bool copied,
		    struct hr_memory *ret_memory);

#endif
