/* SPDX-License-Identifier: MIT
 *
 * Starts libvirglrenderer, and finds out what it can really do here.
 */
#ifndef HR_WORKER_RENDERER_H
#define HR_WORKER_RENDERER_H

#include "worker.h"

/** Obey a WK_INIT: start what works of what it asks for, and tell with WK_CAPSETs and WK_READY. Returns 0;
 * -EALREADY it was started before. */
int wk_renderer_init(struct wk_worker *worker, const struct wk_packet *packet);

/** Let libvirglrenderer look after its queries; when WK_SOURCE_QUERIES has an event. */
void wk_renderer_poll(void);

/** End libvirglrenderer and its render server. Contexts and resources are gone before. */
void wk_renderer_finish(struct wk_worker *worker);

/** What a call of libvirglrenderer returned, as 0 or -errno: some have their errors positive, some -1. */
int wk_renderer_error(int ret);

#endif
