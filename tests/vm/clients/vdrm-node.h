/* SPDX-License-Identifier: MIT
 *
 * A native context of the render node, as a driver has it: commands, their answers, and images. Dies of
 * whatever does not work.
 */
#ifndef VDRM_NODE_H
#define VDRM_NODE_H

#include "../vdrm/crayon.h"
#include "node.h"

/** The context. Lives as long as the program. */
struct vdrm {
	int fd;
	struct vdrm_capset capset;
	struct crayon_caps caps;
	struct object shmem;
	uint32_t seqno, n_blobs;
};

/** An image of 4 bytes a pixel. */
struct vdrm_image {
	struct object object;
	int dmabuf_fd;
	uint32_t width, height;
	uint32_t stride; /* bytes */
	bool tiled;
};

/** Open the node, and make a context with rings and shared memory. */
void vdrm_open(struct vdrm *vdrm);

/** Make, map and export an image. */
void vdrm_make_image(struct vdrm *vdrm, uint32_t width, uint32_t height, bool tiled,
		     struct vdrm_image *ret_image);

/** Submit a command to a ring. Returns its fence's fd, which is the caller's. The fence is also that of image's
 * dma-buf (NULL: of none). */
int vdrm_draw(struct vdrm *vdrm, void *command, uint32_t cmd, uint32_t len, uint32_t ring,
	      const struct vdrm_image *image);
int vdrm_submit(struct vdrm *vdrm, void *command, uint32_t cmd, uint32_t len, uint32_t ring);

/** Whether a fence is done. */
bool vdrm_is_done(int fence_fd);

/** Wait for a fence, and close it. */
void vdrm_wait(int fence_fd, const char *what);

/** The part of an image in the guest's hands. */
void vdrm_set_pixel(const struct vdrm_image *image, uint32_t x, uint32_t y, uint32_t color);

#endif
