/* SPDX-License-Identifier: MIT
 *
 * What a driver and its programs do with blobs, by the front end of vhost_frontend.h.
 */
#ifndef TEST_VHOST_BLOBS_H
#define TEST_VHOST_BLOBS_H

#include "vhost_frontend.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BAD VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define NO_MEMORY VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
#define BAD_RESOURCE VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define BAD_CONTEXT VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID

/** The type of the last answer. */
uint32_t front_type(const struct front *front);

/** Ask for an image of one-byte pixels, 4096 a row, on the query ring's memory. Returns its blob id; *ret_size
 * its bytes. */
uint32_t front_ask_image(struct front *front, const uint8_t *query, uint32_t rows,
			 uint64_t *ret_size);

/** Attach a resource to context 1. Returns the type of the answer, as those below. */
uint32_t front_attach(struct front *front, uint32_t id);

/** Make a blob of context 1 that can be mapped, and attach it. */
uint32_t front_create_host3d(struct front *front, uint32_t id, uint64_t blob_id, uint64_t size);

/** Map it at an offset of the window. */
uint32_t front_map_blob(struct front *front, uint32_t id, uint64_t offset);

/** A command that names nothing but a resource. */
uint32_t front_on_resource(struct front *front, uint32_t type, uint32_t id);

/** Send a resource to the compositor's side. Returns the fd that came there, the caller's; -1: it was refused. */
struct br_handle front_send_resource(struct front *front, uint32_t id);

#endif
