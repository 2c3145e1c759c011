/* SPDX-License-Identifier: MIT
 *
 * Timelines of programs, by handles of the context's open file. Source: <drm/drm.h>, DRM_IOCTL_SYNCOBJ_*.
 */
#include <errno.h>
#include <xf86drm.h>

#include "transport_virtgpu.h"

static int fd_of(const struct gp_context *base)
{
	return ((const struct virtgpu_context *)base)->drm_fd;
}

bool gp_node_has_timelines(int fd)
{
	struct drm_get_cap cap = {.capability = DRM_CAP_SYNCOBJ_TIMELINE};
	struct drm_syncobj_eventfd nothing = {.fd = -1};
	if (drmIoctl(fd, DRM_IOCTL_GET_CAP, &cap) < 0 || cap.value == 0) {
		return false;
	}
	/* A kernel that knows the call misses the timeline; one before Linux 6.6 the call. */
	return drmIoctl(fd, DRM_IOCTL_SYNCOBJ_EVENTFD, &nothing) < 0 && errno == ENOENT;
}

int virtgpu_timeline_import(struct gp_context *base, int fd, uint32_t *ret_handle)
{
	struct drm_syncobj_handle import = {.fd = fd};
	if (drmIoctl(fd_of(base), DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &import) < 0) {
		return -errno;
	}
	*ret_handle = import.handle;
	return 0;
}

void virtgpu_timeline_destroy(struct gp_context *base, uint32_t handle)
{
	struct drm_syncobj_destroy destroy = {.handle = handle};
	(void)drmIoctl(fd_of(base), DRM_IOCTL_SYNCOBJ_DESTROY, &destroy);
}

int virtgpu_timeline_wait(struct gp_context *base, uint32_t handle, uint64_t point, int event_fd)
{
	struct drm_syncobj_eventfd wait = {.handle = handle, .point = point, .fd = event_fd};
	return drmIoctl(fd_of(base), DRM_IOCTL_SYNCOBJ_EVENTFD, &wait) < 0 ? -errno : 0;
}

int virtgpu_timeline_signal(struct gp_context *base, uint32_t handle, uint64_t point)
{
	struct drm_syncobj_timeline_array signal = {
		.handles = (uintptr_t)&handle,
		.points = (uintptr_t)&point,
		.count_handles = 1,
	};
	return drmIoctl(fd_of(base), DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &signal) < 0 ? -errno : 0;
}
