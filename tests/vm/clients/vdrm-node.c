/* SPDX-License-Identifier: MIT */
#include "vdrm-node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SHMEM_BYTES 0x4000u
#define FENCE_MS 20000

static void check(int ret, const char *what)
{
	if (ret < 0) {
		die("%s", what);
	}
}

static void get_caps(struct vdrm *vdrm)
{
	struct drm_virtgpu_get_caps get = {
		.cap_set_id = VDRM_CAPSET_ID,
		.addr = (uintptr_t)&vdrm->capset,
		.size = sizeof(vdrm->capset),
	};
	check(drmIoctl(vdrm->fd, DRM_IOCTL_VIRTGPU_GET_CAPS, &get), "capset DRM");
	memcpy(&vdrm->caps, vdrm->capset.driver, sizeof(vdrm->caps));
	if (vdrm->capset.context_type != CRAYON_CONTEXT_TYPE) {
		errno = ENODEV;
		die("native contexts of type %u, not of the test's", vdrm->capset.context_type);
	}
}

void vdrm_open(struct vdrm *vdrm)
{
	*vdrm = (struct vdrm){.fd = node_open()};
	get_caps(vdrm);
	struct drm_virtgpu_context_set_param params[] = {
		{VIRTGPU_CONTEXT_PARAM_CAPSET_ID, VDRM_CAPSET_ID},
		{VIRTGPU_CONTEXT_PARAM_NUM_RINGS, vdrm->caps.n_rings},
	};
	struct drm_virtgpu_context_init init = {
		.num_params = 2,
		.ctx_set_params = (uintptr_t)params,
	};
	check(drmIoctl(vdrm->fd, DRM_IOCTL_VIRTGPU_CONTEXT_INIT, &init), "CONTEXT_INIT");
	errno = -node_make_object(vdrm->fd, VIRTGPU_BLOB_MEM_HOST3D, 0, SHMEM_BYTES, &vdrm->shmem);
	if (errno != 0) {
		die("the shared memory");
	}
}

static void number(struct vdrm *vdrm, void *command, uint32_t cmd, uint32_t len)
{
	*(struct vdrm_request *)command =
		(struct vdrm_request){.cmd = cmd, .len = len, .seqno = ++vdrm->seqno};
}

int vdrm_draw(struct vdrm *vdrm, void *command, uint32_t cmd, uint32_t len, uint32_t ring,
	      const struct vdrm_image *image)
{
	struct drm_virtgpu_execbuffer exec = {
		.flags = VIRTGPU_EXECBUF_RING_IDX | VIRTGPU_EXECBUF_FENCE_FD_OUT,
		.command = (uintptr_t)command,
		.size = len,
		.bo_handles = image != NULL ? (uintptr_t)&image->object.handle : 0,
		.num_bo_handles = image != NULL ? 1 : 0,
		.fence_fd = -1,
		.ring_idx = ring,
	};
	number(vdrm, command, cmd, len);
	if (drmIoctl(vdrm->fd, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec) < 0) {
		die("EXECBUFFER of command %u", cmd);
	}
	return exec.fence_fd;
}

int vdrm_submit(struct vdrm *vdrm, void *command, uint32_t cmd, uint32_t len, uint32_t ring)
{
	return vdrm_draw(vdrm, command, cmd, len, ring, NULL);
}

bool vdrm_is_done(int fence_fd)
{
	struct pollfd wait = {.fd = fence_fd, .events = POLLIN};
	return poll(&wait, 1, 0) == 1;
}

void vdrm_wait(int fence_fd, const char *what)
{
	struct pollfd wait = {.fd = fence_fd, .events = POLLIN};
	if (poll(&wait, 1, FENCE_MS) != 1) {
		errno = ETIMEDOUT;
		die("waited %d ms for %s", FENCE_MS, what);
	}
	close(fence_fd);
}

/* What the host says to the command that was submitted last, if that is done. */
static void check_answer(struct vdrm *vdrm)
{
	const struct vdrm_shmem *shmem = (const struct vdrm_shmem *)vdrm->shmem.map;
	struct crayon_gem_new_response response;
	struct vdrm_request nop;
	uint32_t wanted = vdrm->seqno;
	vdrm_wait(vdrm_submit(vdrm, &nop, CRAYON_NOP, sizeof(nop), 0), "the host's CPU");
	if (shmem->seqno != wanted + 1) {
		errno = EPROTO;
		die("command %u is shown where %u was obeyed", shmem->seqno, wanted + 1);
	}
	memcpy(&response, vdrm->shmem.map + shmem->rsp_mem_offset, sizeof(response));
	errno = -response.err;
	if (errno != 0 || response.hdr.len != sizeof(response)) {
		die("GEM_NEW's answer");
	}
}

static void make_object(struct vdrm *vdrm, uint64_t size, struct object *ret_object)
{
	struct crayon_gem_new gem_new = {.blob_id = ++vdrm->n_blobs, .size = size};
	struct drm_virtgpu_resource_create_blob create = {
		.blob_mem = VIRTGPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTGPU_BLOB_FLAG_USE_MAPPABLE | VIRTGPU_BLOB_FLAG_USE_SHAREABLE,
		.size = size,
		.blob_id = gem_new.blob_id,
		.cmd = (uintptr_t)&gem_new,
		.cmd_size = sizeof(gem_new),
	};
	number(vdrm, &gem_new, CRAYON_GEM_NEW, sizeof(gem_new));
	check(drmIoctl(vdrm->fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create), "a blob");
	check_answer(vdrm);
	struct drm_virtgpu_map map = {.handle = create.bo_handle};
	check(drmIoctl(vdrm->fd, DRM_IOCTL_VIRTGPU_MAP, &map), "where a blob is");
	*ret_object = (struct object){
		.handle = create.bo_handle,
		.res_id = create.res_handle,
		.size = size,
		.map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vdrm->fd,
			    (off_t)map.offset),
	};
	check(ret_object->map == MAP_FAILED ? -1 : 0, "mapping a blob");
}

static uint32_t align(uint32_t value, uint32_t to)
{
	return (value + to - 1) / to * to;
}

void vdrm_make_image(struct vdrm *vdrm, uint32_t width, uint32_t height, bool tiled,
		     struct vdrm_image *ret_image)
{
	struct vdrm_image image = {
		.width = width,
		.height = height,
		.stride = align(width, CRAYON_TILE_PX) * CRAYON_PIXEL_BYTES,
		.tiled = tiled,
	};
	uint64_t size = (uint64_t)image.stride * align(height, CRAYON_TILE_PX);
	make_object(vdrm, (size + 4095) / 4096 * 4096, &image.object);
	check(drmPrimeHandleToFD(vdrm->fd, image.object.handle, DRM_CLOEXEC | DRM_RDWR,
				 &image.dmabuf_fd),
	      "the blob's dma-buf");
	*ret_image = image;
}

void vdrm_set_pixel(const struct vdrm_image *image, uint32_t x, uint32_t y, uint32_t color)
{
	memcpy(image->object.map + crayon_offset(image->tiled, image->stride, x, y), &color,
	       sizeof(color));
}
