/* SPDX-License-Identifier: MIT
 *
 * Memory and pixels that leave the worker, for the guest's window and for compositors.
 */
#ifndef HR_WORKER_IMAGE_H
#define HR_WORKER_IMAGE_H

#include "worker.h"

struct wk_object;

/** Obey WK_EXPORT: answered by WK_EXPORTED. Returns 0. */
int wk_image_export(struct wk_worker *worker, const struct wk_packet *packet);

/** Obey WK_READ_BACK, which draws if there is a target. Returns 0; -ENOENT; -EINVAL not in the image, the memory or the file; -ENOTSUP its
 * pixels don't have 4 bytes, or it has no memory to read; else -errno. */
int wk_image_read_back(struct wk_worker *worker, const struct wk_packet *packet);

/** Obey WK_ALLOCATE: answered by WK_EXPORTED, whose err is 0; -ENOENT; -EINVAL the resource's layout makes
 * no sense; -ENOTSUP no such image can be had here, or not drawn to. Returns 0. */
int wk_image_allocate(struct wk_worker *worker, const struct wk_packet *packet);

/** Unmap a resource that goes away. */
void wk_image_forget(struct wk_object *object);

#endif
