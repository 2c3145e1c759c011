/* SPDX-License-Identifier: MIT
 *
 * As readback.h, for images that a GPU worker has: it does the copying, behind all that was submitted. This
 * process never touches memory of a GPU, at which a driver may fail.
 */
#ifndef HR_READBACK_GPU_H
#define HR_READBACK_GPU_H

#include <stdint.h>

#include "dmabuf.h"
#include "readback.h"
#include "shm.h"

struct hr_gpu_readback;
struct hr_host;
struct hr_read_back;
struct hr_resource;

/** Say how a copy of a worker's image would lie in wl_shm: as it is, if that is possible, else as ARGB8888 or
 * XRGB8888, which the worker makes of it. Returns 0; -ERANGE the size makes no sense; -ENOTSUP it is upside down. */
int hr_gpu_readback_geometry(const struct hr_resource *resource, const struct br_params *params,
			     const struct br_params_image *image,
			     struct br_shm_geometry *ret_geometry);

/** Make one. References the resource. target_fd: a file for the copy, borrowed, duplicated; its first row is
 * at 0. Returns 0; -ENOMEM; else -errno. */
int hr_gpu_readback_create(struct hr_host *host, struct hr_resource *resource,
			   const struct br_params *params, const struct br_params_image *image,
			   int target_fd, struct hr_gpu_readback **ret_readback);

/** Make one that draws to another dma-buf, which the worker allocates: for a compositor that can't take this one.
 * References the resource. image->format: as the host has it. ready(data, 0 or -errno) is called later, unless the
 * readback is destroyed. Returns 0; -ENOTSUP it is upside down; -EIO the worker is gone; -ENOMEM. */
int hr_gpu_readback_create_drawn(struct hr_host *host, struct hr_resource *resource,
				 const struct br_params *params,
				 const struct br_params_image *image,
				 void (*ready)(void *data, int err), void *data,
				 struct hr_gpu_readback **ret_readback);

/** That dma-buf, once it is ready. Its fd is the readback's. */
const struct hr_read_back *hr_gpu_readback_target(const struct hr_gpu_readback *readback);

/** Copy; one at a time. Returns 0 and calls done later; or -errno, and may call it never. */
int hr_gpu_readback_ask(struct hr_gpu_readback *readback, const struct hr_readback_ask *ask);

/** Forget it, and what was asked for. NULL is fine. */
void hr_gpu_readback_destroy(struct hr_gpu_readback *readback);

#endif
