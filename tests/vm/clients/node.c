/* SPDX-License-Identifier: MIT */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FENCE_MS 20000

void die(const char *fmt, ...)
{
	int err = errno;
	va_list args;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(err));
	exit(1);
}

static bool has_channel(int fd)
{
	uint64_t mask = 0;
	struct drm_virtgpu_getparam param = {.param = VIRTGPU_PARAM_SUPPORTED_CAPSET_IDs,
					     .value = (uintptr_t)&mask};
	return drmIoctl(fd, DRM_IOCTL_VIRTGPU_GETPARAM, &param) == 0 &&
	       (mask & (1u << XD_CAPSET_ID)) != 0;
}

int node_open(void)
{
	for (int i = 128; i < 192; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/dev/dri/renderD%d", i);
		int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0 && has_channel(fd)) {
			return fd;
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	errno = ENODEV;
	die("no render node with the cross-domain capset");
}

int node_init_context_of(int fd, uint32_t capset_id, uint32_t n_rings, uint64_t poll_mask)
{
	struct drm_virtgpu_context_set_param params[] = {
		{VIRTGPU_CONTEXT_PARAM_CAPSET_ID, capset_id},
		{VIRTGPU_CONTEXT_PARAM_NUM_RINGS, n_rings},
		{VIRTGPU_CONTEXT_PARAM_POLL_RINGS_MASK, poll_mask},
	};
	struct drm_virtgpu_context_init init = {.num_params = poll_mask ? 3 : 2,
						.ctx_set_params = (uintptr_t)params};
	return drmIoctl(fd, DRM_IOCTL_VIRTGPU_CONTEXT_INIT, &init) < 0 ? -errno : 0;
}

int node_init_context(int fd, uint32_t n_rings, uint64_t poll_mask)
{
	return node_init_context_of(fd, XD_CAPSET_ID, n_rings, poll_mask);
}

int node_make_object(int fd, uint32_t mem, uint64_t blob_id, uint64_t size, struct object *ret)
{
	struct drm_virtgpu_resource_create_blob create = {.blob_mem = mem,
							  .blob_flags =
								  VIRTGPU_BLOB_FLAG_USE_MAPPABLE,
							  .size = size,
							  .blob_id = blob_id};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create) < 0) {
		return -errno;
	}
	struct object object = {
		.handle = create.bo_handle, .res_id = create.res_handle, .size = size};
	struct drm_virtgpu_map map = {.handle = create.bo_handle};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_MAP, &map) == 0) {
		void *at =
			mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)map.offset);
		object.map = at == MAP_FAILED ? NULL : at;
	}
	if (!object.map) {
		int ret_errno = -errno;
		node_free_object(fd, &object);
		return ret_errno;
	}
	*ret = object;
	return 0;
}

int node_free_object(int fd, struct object *object)
{
	if (object->map) {
		munmap(object->map, object->size);
	}
	int ret = drmCloseBufferHandle(fd, object->handle) < 0 ? -errno : 0;
	*object = (struct object){0};
	return ret;
}

int node_exec(int fd, const void *command, uint32_t size, uint32_t ring_idx, int *fence)
{
	struct drm_virtgpu_execbuffer exec = {
		.flags = VIRTGPU_EXECBUF_RING_IDX | (fence ? VIRTGPU_EXECBUF_FENCE_FD_OUT : 0),
		.command = (uintptr_t)command,
		.size = size,
		.fence_fd = -1,
		.ring_idx = ring_idx,
	};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec) < 0) {
		return -errno;
	}
	if (fence) {
		*fence = exec.fence_fd;
	}
	return 0;
}

int node_submit(int fd, const void *command, uint32_t size)
{
	int fence = -1;
	int ret = node_exec(fd, command, size, XD_RING_QUERY, &fence);
	if (ret < 0) {
		return ret;
	}
	struct pollfd wait = {.fd = fence, .events = POLLIN};
	if (poll(&wait, 1, FENCE_MS) != 1) {
		errno = ETIMEDOUT;
		die("waited %d ms for the host to take a command", FENCE_MS);
	}
	close(fence);
	return 0;
}
