/* SPDX-License-Identifier: MIT
 *
 * The kernel's virtio-gpu, as the test programs in the guest use it: thin, and without the proxy's care.
 */
#ifndef VM_NODE_H
#define VM_NODE_H

#include <stdint.h>

/* The kernel's: libdrm's own copy may be without contexts and blobs. */
#include <drm/virtgpu_drm.h>
#include <xf86drm.h>

#include "cross_domain.h"

#define NODE_FOURCC_XR24 0x34325258u
#define NODE_RING_BYTES 4096
/* Flags of GET_IMAGE_REQUIREMENTS that guests send: linear, for a scanout. */
#define NODE_IMAGE_FLAGS 17

/** A buffer object of a render node; zeroed: none. */
struct object {
	uint32_t handle, res_id;
	uint64_t size;
	uint8_t *map; /* NULL: not mapped */
};

/** Says what failed, with errno's text, and exits with 1. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);

/** The first render node with the cross-domain capset; the caller owns the fd. Dies without one. */
int node_open(void);

/** Make the fd's context, with n_rings rings of which poll_mask tell by events. Returns 0 or -errno. */
int node_init_context(int fd, uint32_t n_rings, uint64_t poll_mask);

/** The same for another capset. */
int node_init_context_of(int fd, uint32_t capset_id, uint32_t n_rings, uint64_t poll_mask);

/** Make and map a blob that the caller frees with node_free_object(). Returns 0 or -errno. */
int node_make_object(int fd, uint32_t mem, uint64_t blob_id, uint64_t size, struct object *ret);

/** Unmap and close; leaves a zeroed struct. Returns 0 or -errno. */
int node_free_object(int fd, struct object *object);

/**
 * Submit a command on a ring.
 * @fence: gets the fence's fd, which the caller owns; NULL: no fence
 *
 * Returns 0 or -errno.
 */
int node_exec(int fd, const void *command, uint32_t size, uint32_t ring_idx, int *fence);

/** Submit a command on the query ring, and wait until the host is through with it. Dies of a host
 * that does not answer within 20 s. Returns 0 or -errno of the submit. */
int node_submit(int fd, const void *command, uint32_t size);

#endif
