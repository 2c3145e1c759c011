/* SPDX-License-Identifier: MIT
 *
 * Requests that wait for a resource's memory, which a worker was asked for. What names the same context or
 * the same resource waits behind them: the guest's order is kept where it matters, and nobody else
 * notices.
 */
#ifndef HR_GPU_DEFER_H
#define HR_GPU_DEFER_H

#include <stdbool.h>

struct hr_device;
struct hr_request;

/** True if a request has to wait behind another. */
bool hr_defer_must(const struct hr_device *device, const struct hr_request *request);

/** Keep a request (copied; its fds are taken) until hr_defer_run() finds that it can go on. Returns 0;
 * -ENOSPC as many wait as may (BR_LIMIT_DEFERRED, of one context BR_LIMIT_CTX_DEFERRED); -ENOMEM. */
int hr_defer(struct hr_device *device, struct hr_request *request);

/** Run all that need not wait any more. */
void hr_defer_run(struct hr_device *device);

/** Answer all with an error. */
void hr_defer_drop_all(struct hr_device *device);

#endif
