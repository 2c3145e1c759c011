/* SPDX-License-Identifier: MIT
 *
 * The control commands, by table. Source: the virtio 1.3 specification, section 5.7.6, and
 * <linux/virtio_gpu.h>.
 */
#ifndef HR_GPU_CTRL_H
#define HR_GPU_CTRL_H

#include <linux/virtio_gpu.h>
#include <stdbool.h>
#include <stdint.h>

struct hr_device;
struct hr_request;

/** Check a request against the table, run it, and answer it (or leave that to its fence). */
void hr_ctrl_handle(struct hr_device *device, struct hr_request *request);

/** Run a request that was deferred. Returns false if it has to wait on. */
bool hr_ctrl_handle_deferred(struct hr_device *device, struct hr_request *request);

/** Make the header of a response: the request's fence, context and ring are echoed. */
struct virtio_gpu_ctrl_hdr hr_ctrl_response(const struct virtio_gpu_ctrl_hdr *request,
					    uint32_t type);

#endif
