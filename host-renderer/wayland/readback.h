/* SPDX-License-Identifier: MIT
 *
 * Pixels of memory that only a GPU, or the guest, can show: they are copied to where the compositor finds
 * them, when the guest says that they have changed. The memory is a dma-buf; it is read by the CPU, a
 * piece at a time, once what draws into it is finished. Loop thread only; nothing blocks.
 */
#ifndef HR_READBACK_H
#define HR_READBACK_H

#include <stddef.h>
#include <stdint.h>

#include "damage.h"
#include "shm.h"

struct br_handle;
struct hr_host;
struct hr_readback;

/** What is to be copied, and where to. */
struct hr_readback_ask {
	const struct br_rect *rects; /* pixels, inside of the image; copied */
	uint32_t n_rects;	     /* at most BR_LIMIT_DAMAGE_RECTS */
	/* All is there: err 0; or -errno. Not called out of hr_readback_ask(). */
	void (*done)(void *data, int err);
	void *data;
};

/** Make one for an image in a dma-buf, of a format with whole pixels. Takes memory->fd. target: where the
 * image's first row goes, with the same stride; it outlives the reader. Returns 0; -ENODEV it can't be read;
 * -EINVAL it is too small; else -errno. */
int hr_readback_create_take(struct hr_host *host, struct br_handle *memory,
			    const struct br_shm_geometry *geometry, uint8_t *target,
			    struct hr_readback **ret_readback);

/** Copy; one at a time. Returns 0 and calls done later; or -errno. */
int hr_readback_ask(struct hr_readback *readback, const struct hr_readback_ask *ask);

/** Forget it, and what was asked for: done is not called. NULL is fine. */
void hr_readback_destroy(struct hr_readback *readback);

#endif
