/* SPDX-License-Identifier: MIT
 *
 * zwp_linux_buffer_params_v1, where one of us has to know what the compositor would: the planes of a
 * buffer in the making, and whether wl_shm can say the same. And access to dma-bufs by the CPU, without
 * waiting. Source: linux-dmabuf-v1.xml; <linux/dma-buf.h>.
 */
#ifndef BR_DMABUF_H
#define BR_DMABUF_H

#include <stdbool.h>
#include <stdint.h>

#include "shm.h"
#include "stream.h"

struct br_object;
struct br_relay;

#define BR_MAX_PLANES 4

/** Source: zwp_linux_buffer_params_v1.error. */
enum br_params_error {
	BR_PARAMS_ALREADY_USED,
	BR_PARAMS_PLANE_IDX,
	BR_PARAMS_PLANE_SET,
	BR_PARAMS_INCOMPLETE,
	BR_PARAMS_INVALID_FORMAT,
	BR_PARAMS_INVALID_DIMENSIONS,
	BR_PARAMS_OUT_OF_BOUNDS,
	BR_PARAMS_INVALID_WL_BUFFER,
};

/** A plane as the client has it. */
struct br_plane {
	struct br_handle memory; /* owned */
	uint32_t offset, stride; /* bytes */
	bool set;
};

/** The planes of a buffer in the making; all zero is: none. */
struct br_params {
	struct br_plane planes[BR_MAX_PLANES];
	uint64_t modifier;
	bool used; /* create was sent */
};

/** What create and create_immed say. */
struct br_params_image {
	int32_t width, height; /* pixels */
	uint32_t format;       /* DRM's */
	uint32_t flags;
};

/** Take a plane of the object's client. Returns false having ended the client. The plane's memory is empty:
 * the caller fills it in. */
bool br_params_add(struct br_relay *relay, struct br_object *object, struct br_params *params,
		   uint32_t index, const struct br_plane *plane, uint64_t modifier);

/** Check what is to be made of them, as far as that is the same for all formats. Returns false having
 * ended the client. */
bool br_params_check(struct br_relay *relay, struct br_object *object,
		     const struct br_params *params, const struct br_params_image *image);

/** Say the same in terms of wl_shm, offset included. bytes: of the memory. Returns 0; -ENOTSUP wl_shm can't
 * say it; -ERANGE the memory is too small. */
int br_params_to_shm(const struct br_params *params, const struct br_params_image *image,
		     uint64_t bytes, struct br_shm_geometry *ret_geometry);

/** Close the memory; all zero afterwards. */
void br_params_finish(struct br_params *params);

/** Whether fd is a dma-buf. */
bool br_dmabuf_is(int fd);

/** Whether what a GPU writes to a dma-buf is finished, so that br_dmabuf_begin() won't wait. */
bool br_dmabuf_readable(int fd);

/** Bracket reads through a mapping. Nothing happens for other files. */
void br_dmabuf_begin_read(int fd);
void br_dmabuf_end_read(int fd);

/** Bytes of a file or dma-buf; 0 if it has no size. */
uint64_t br_memory_bytes(int fd);

#endif
