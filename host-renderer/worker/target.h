/* SPDX-License-Identifier: MIT
 *
 * Images that the worker allocates itself: where a compositor can't take a dma-buf of the guest's, it is drawn to
 * one that every compositor takes.
 */
#ifndef HR_WORKER_TARGET_H
#define HR_WORKER_TARGET_H

#include "worker.h"

/** Allocate an image of request->width by height pixels, linear, of target_fourcc. Fills in stride, offset and
 * target_modifier. *ret_fd: its dma-buf, the caller's. Returns 0; -ENOTSUP the GPU can't, or there is none.
 * Source: gbm.h. */
int wk_target_allocate(struct wk_worker *worker, struct wk_read_back *request, int *ret_fd);

/** End what was needed for it. Images live on. */
void wk_target_finish(struct wk_worker *worker);

#endif
