/* SPDX-License-Identifier: MIT
 *
 * wl_shm as one of us uses it in a client's name: a wl_shm of our own at the server, and buffers in
 * memory that we have.
 */
#ifndef BR_SHM_H
#define BR_SHM_H

#include <stdbool.h>
#include <stdint.h>

#include "limits.h"

struct br_handle;
struct br_object;
struct br_relay;

/** Where a buffer lies in its pool. */
struct br_shm_geometry {
	int32_t offset, stride; /* bytes */
	int32_t width, height;	/* pixels */
	uint32_t format;	/* enum wl_shm.format */
};

/** A wl_shm that the client does not see. All zero: not bound. It has to outlive the relay. */
struct br_own_shm {
	struct br_object *object; /* NULL: not bound */
	uint32_t formats[BR_LIMIT_SHM_FORMATS];
	uint32_t n_formats; /* that were announced so far */
	bool complete;	    /* which is all; only if completed is set */
	void (*completed)(struct br_relay *relay, struct br_own_shm *shm); /* may be NULL */
};

/** Check a geometry against a pool of pool_bytes, as libwayland does. */
bool br_shm_geometry_valid(const struct br_shm_geometry *geometry, uint64_t pool_bytes);

/** Bind the server's wl_shm, whose name in the registry is known. Returns 0, or -errno after which the relay
 * has failed. */
int br_own_shm_bind(struct br_relay *relay, struct br_own_shm *shm, struct br_object *registry,
		    uint32_t name);

/** Whether a format (of wl_shm) can be used: was announced, or has to be there. */
bool br_own_shm_has_format(const struct br_own_shm *shm, uint32_t format);

/** Make a buffer at the server in a pool of its own, which ends at once: the buffer keeps the memory.
 * shm: a wl_shm; memory: taken; buffer: gets its id on the server's side. Returns 0, or -errno after which
 * the relay has failed. */
int br_shm_create_buffer(struct br_relay *relay, struct br_object *shm, struct br_handle *memory,
			 uint64_t pool_bytes, struct br_object *buffer,
			 const struct br_shm_geometry *geometry);

#endif
