/* SPDX-License-Identifier: MIT
 *
 * What a guest's driver and a native context say to each other, as virglrenderer has it for all its
 * drivers. Commands come in SUBMIT_3D one after another; answers and the number of the last command that was
 * obeyed are in memory that both have mapped: the blob of id 0, of which each context has one.
 * Source: virglrenderer, src/drm/drm_hw.h; Mesa, src/virtio/vdrm.
 */
#ifndef VDRM_WIRE_H
#define VDRM_WIRE_H

#include <assert.h>
#include <stdint.h>

#define VDRM_CAPSET_ID 6
#define VDRM_DRIVER_BYTES 568

/** The capset; of virglrenderer 1.1 to 1.3. */
struct vdrm_capset {
	uint32_t wire_format_version;
	uint32_t version_major, version_minor, version_patchlevel; /* of the host's driver */
	uint32_t context_type;					   /* which driver */
	uint32_t pad;
	uint8_t driver[VDRM_DRIVER_BYTES]; /* its own */
};
static_assert(sizeof(struct vdrm_capset) == 592, "as virglrenderer's");

/** The start of each command. */
struct vdrm_request {
	uint32_t cmd;
	uint32_t len;	  /* bytes, with this */
	uint32_t seqno;	  /* shown in the shared memory when it was obeyed */
	uint32_t rsp_off; /* bytes: where the answer goes, from rsp_mem_offset on */
};

/** The start of each answer. */
struct vdrm_response {
	uint32_t len; /* bytes, with this */
};

/** The start of the shared memory. */
struct vdrm_shmem {
	uint32_t seqno;
	uint32_t rsp_mem_offset; /* bytes; the host sets it */
};

#endif
