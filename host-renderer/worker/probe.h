/* SPDX-License-Identifier: MIT
 *
 * Which Vulkan devices the render server will find. libvirglrenderer offers Venus without looking.
 */
#ifndef HR_WORKER_PROBE_H
#define HR_WORKER_PROBE_H

#include <stdint.h>
#include <sys/types.h>

#include "protocol.h"

/** What was found. */
struct wk_probe_result {
	int32_t n_devices;
	uint32_t
		can_share; /* devices whose memory others can use: VK_EXT_external_memory_dma_buf */
	char text[WK_TEXT_BYTES]; /* the devices' names */
};

/** A look at Vulkan that is under way, in a process of its own: drivers may crash. */
struct wk_probe {
	pid_t pid;
	int result_fd;
};

/** Begin. Before there are threads. Returns 0 or -errno. */
int wk_probe_start(struct wk_probe *probe);

/** Wait for the end. Returns 0; -ETIMEDOUT; -ECHILD the driver crashed; else -errno. */
int wk_probe_finish(struct wk_probe *probe, struct wk_probe_result *ret_result);

#endif
