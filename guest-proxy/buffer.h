/* SPDX-License-Identifier: MIT
 *
 * Mirrored wl_shm buffers: the client's memory on one side, the same bytes in memory that the host
 * has too on the other, and what of them differs.
 */
#ifndef GP_BUFFER_H
#define GP_BUFFER_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>

#include "channel.h"
#include "mapping.h"
#include "shm.h"
#include "surface.h"

struct br_object;

/** Counters of the process, for --stats. */
struct gp_stats {
	uint64_t copied_bytes;
	uint64_t full_frames; /* copies of a whole buffer */
	uint64_t clients;     /* ever accepted */
};

/** A mirrored buffer. Owned by its wl_buffer object. */
struct gp_buffer {
	struct br_copied base;
	struct gp_mapping *mapping; /* one reference */
	struct gp_blob *blob;	    /* one reference */
	uint64_t start;		    /* where in the mapping the blob's first byte is */
	struct br_shm_geometry geometry;
	struct gp_stats *stats;
	struct br_object *object; /* its wl_buffer */
};

/** The buffer that a copied one is part of; NULL for NULL. */
static inline struct gp_buffer *gp_buffer_from(struct br_copied *copied)
{
	return (struct gp_buffer *)copied;
}

/** Bytes of a buffer in its pool: of formats with several planes as many as there may be, up to
 * the pool's end. */
uint64_t gp_buffer_bytes(const struct br_shm_geometry *geometry, uint64_t pool_bytes);

/** Make a buffer with references of its own to both memories; everything differs. The blob mirrors the
 * mapping from byte start on. The geometry was checked against the sizes of both. NULL if memory is
 * out. */
struct gp_buffer *gp_buffer_create(struct gp_mapping *mapping, struct gp_blob *blob, uint64_t start,
				   const struct br_shm_geometry *geometry, struct gp_stats *stats);

/** Free; no surface may have it. NULL is fine. The blob's reference is handed to the caller,
 * since messages on their way may still name it. */
struct gp_blob *gp_buffer_destroy(struct gp_buffer *buffer);

/** Copy what differs to the host's side, and note that nothing differs any more.
 * Returns 0; -EFAULT the client's file is shorter than its pool; else -errno, the host can't be reached. */
int gp_buffer_sync(struct gp_buffer *buffer);

#endif
