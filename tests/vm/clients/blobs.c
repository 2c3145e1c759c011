/* SPDX-License-Identifier: MIT
 *
 * blobs COUNT [WIDTH HEIGHT]
 *
 * Makes, maps, fills and frees COUNT host blobs of an image's size, one after another, through the
 * first render node that has the cross-domain capset. New memory has to be zero, whoever had that place
 * before. Prints "blobs COUNT BYTES"; or what went wrong, and exits with 1.
 */
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

/* The kernel's: libdrm's own copy may be without contexts and blobs. */
#include <drm/virtgpu_drm.h>
#include <xf86drm.h>

#include "cross_domain.h"

#define FOURCC_XR24 0x34325258u
#define RING_BYTES 4096
#define FENCE_MS 20000

/** A buffer object of the render node. */
struct object {
	uint32_t handle, res_id;
	uint64_t size;
	uint8_t *map;
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
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

static int open_device(void)
{
	for (int i = 128; i < 192; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/dev/dri/renderD%d", i);
		int fd = open(path, O_RDWR | O_CLOEXEC);
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

static void init_context(int fd)
{
	struct drm_virtgpu_context_set_param params[] = {
		{VIRTGPU_CONTEXT_PARAM_CAPSET_ID, XD_CAPSET_ID},
		{VIRTGPU_CONTEXT_PARAM_NUM_RINGS, XD_NUM_RINGS},
	};
	struct drm_virtgpu_context_init init = {.num_params = 2,
						.ctx_set_params = (uintptr_t)params};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_CONTEXT_INIT, &init) < 0) {
		die("CONTEXT_INIT");
	}
}

static void make_object(int fd, uint32_t mem, uint64_t blob_id, uint64_t size, struct object *ret)
{
	struct drm_virtgpu_resource_create_blob create = {.blob_mem = mem,
							  .blob_flags =
								  VIRTGPU_BLOB_FLAG_USE_MAPPABLE,
							  .size = size,
							  .blob_id = blob_id};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create) < 0) {
		die("RESOURCE_CREATE_BLOB");
	}
	struct drm_virtgpu_map map = {.handle = create.bo_handle};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_MAP, &map) < 0) {
		die("MAP");
	}
	*ret = (struct object){
		.handle = create.bo_handle, .res_id = create.res_handle, .size = size};
	ret->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)map.offset);
	if (ret->map == MAP_FAILED) {
		die("mmap");
	}
}

static void free_object(int fd, struct object *object)
{
	munmap(object->map, object->size);
	if (drmCloseBufferHandle(fd, object->handle) < 0) {
		die("GEM_CLOSE");
	}
}

/* Submit a command, and wait until the host is through with it. */
static void submit(int fd, const void *command, uint32_t size)
{
	struct drm_virtgpu_execbuffer exec = {.flags = VIRTGPU_EXECBUF_FENCE_FD_OUT |
						       VIRTGPU_EXECBUF_RING_IDX,
					      .command = (uintptr_t)command,
					      .size = size,
					      .fence_fd = -1,
					      .ring_idx = XD_RING_QUERY};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec) < 0) {
		die("EXECBUFFER");
	}
	struct pollfd fence = {.fd = exec.fence_fd, .events = POLLIN};
	if (poll(&fence, 1, FENCE_MS) != 1) {
		errno = ETIMEDOUT;
		die("waited %d ms for the host to take a command", FENCE_MS);
	}
	close(exec.fence_fd);
}

static struct xd_image_requirements query(int fd, uint32_t width, uint32_t height)
{
	struct object query_ring, channel_ring;
	make_object(fd, VIRTGPU_BLOB_MEM_GUEST, 0, RING_BYTES, &query_ring);
	make_object(fd, VIRTGPU_BLOB_MEM_GUEST, 0, RING_BYTES, &channel_ring);
	struct xd_init init = {.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizeof(init)},
			       .query_ring_id = query_ring.res_id,
			       .channel_ring_id = channel_ring.res_id,
			       .channel_type = XD_CHANNEL_NONE};
	submit(fd, &init, sizeof(init));
	struct xd_get_image_requirements get = {
		.hdr = {.cmd = XD_CMD_GET_IMAGE_REQUIREMENTS, .cmd_size = sizeof(get)},
		.width = width,
		.height = height,
		.drm_format = FOURCC_XR24,
		.flags = 17};
	submit(fd, &get, sizeof(get));
	struct xd_image_requirements answer;
	memcpy(&answer, query_ring.map, sizeof(answer));
	if (answer.blob_id == 0 || answer.size < (uint64_t)width * height * 4) {
		errno = EPROTO;
		die("the host said nothing about an image of %ux%u", width, height);
	}
	return answer;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
	uint32_t width = argc > 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 128;
	uint32_t height = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 128;
	int fd = open_device();
	init_context(fd);
	struct xd_image_requirements image = query(fd, width, height);
	for (unsigned i = 0; i < count; i++) {
		struct object blob;
		make_object(fd, VIRTGPU_BLOB_MEM_HOST3D, image.blob_id, image.size, &blob);
		for (uint64_t at = 0; at < blob.size; at += 4096) {
			if (blob.map[at] != 0 || blob.map[at + 4095] != 0) {
				errno = EPROTO;
				die("blob %u: somebody's bytes at %llu", i, (unsigned long long)at);
			}
		}
		memset(blob.map, (int)(1 + i % 255), blob.size);
		free_object(fd, &blob);
	}
	printf("blobs %u %llu\n", count, (unsigned long long)image.size);
	close(fd);
	return 0;
}
