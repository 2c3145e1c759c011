/* SPDX-License-Identifier: MIT
 *
 * For a dma-buf of a guest's GPU that the compositor refuses, though it has linux-dmabuf: another one, linear,
 * that the GPU's worker allocates and draws the first one to. Nothing is read back by a CPU. Where that can't
 * be, wl_shm is next (copy.c).
 */
#ifndef HR_HOOKS_BLIT_H
#define HR_HOOKS_BLIT_H

#include <stdbool.h>
#include <stdint.h>

struct br_object;
struct br_params;
struct br_params_image;
struct br_relay;
struct hr_blit;
struct hr_resource;

/** Begin to make one. dmabuf: the linux-dmabuf that the compositor is asked with. image->format: as the host has
 * it. The client's requests have to wait; state->wake when that changes. NULL: it can't be had. The caller's. */
struct hr_blit *hr_blit_create(struct br_relay *relay, struct br_object *dmabuf,
			       struct hr_resource *resource, const struct br_params *params,
			       const struct br_params_image *image);

/** Whether it is still to be waited for. */
bool hr_blit_is_busy(const struct hr_blit *blit);

/** Once it isn't: make buffer, which only the client has, the compositor's buffer of the copy. Returns 0; -ENOTSUP
 * there is none. */
int hr_blit_finish(struct br_relay *relay, struct hr_blit *blit, struct br_object *buffer);

/** End it. NULL is fine. What it has finished is the buffer's. */
void hr_blit_destroy(struct hr_blit *blit);

#endif
