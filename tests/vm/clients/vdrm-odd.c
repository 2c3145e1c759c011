/* SPDX-License-Identifier: MIT
 *
 * vdrm-odd private | junk | import
 *
 * What native contexts don't meet every day, with the test double's GPU. private: memory that nobody but the
 * GPU may have can be drawn in, not mapped. junk: commands that are none do no harm. import: one context's
 * image is drawn in by another's queue. Says "good", or what was not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vdrm-node.h"

#define SIDE 64u
#define COLOR 0x123456u

static void expect(bool good, const char *what)
{
	if (!good) {
		errno = EPROTO;
		die("%s", what);
	}
}

static void fill(struct vdrm *vdrm, uint32_t res_id)
{
	struct crayon_fill command = {
		.res_id = res_id,
		.ring = 1,
		.stride = SIDE * CRAYON_PIXEL_BYTES,
		.w = SIDE,
		.h = SIDE,
		.color = COLOR,
		.tiled = true,
	};
	vdrm_wait(vdrm_submit(vdrm, &command, CRAYON_FILL, sizeof(command), 1), "a queue");
}

static uint32_t last_pixel(const struct vdrm_image *image)
{
	uint32_t color;
	memcpy(&color, image->object.map + crayon_offset(true, image->stride, SIDE - 1, SIDE - 1),
	       sizeof(color));
	return color;
}

static void check_alive(struct vdrm *vdrm)
{
	struct vdrm_image image;
	vdrm_make_image(vdrm, SIDE, SIDE, true, &image);
	fill(vdrm, image.object.res_id);
	expect(last_pixel(&image) == COLOR, "the GPU draws no more");
}

static void try_private(struct vdrm *vdrm)
{
	struct crayon_gem_new gem_new = {
		.hdr = {.cmd = CRAYON_GEM_NEW, .len = sizeof(gem_new), .seqno = ++vdrm->seqno},
		.blob_id = ++vdrm->n_blobs,
		.size = SIDE * SIDE * CRAYON_PIXEL_BYTES,
		.flags = CRAYON_GEM_PRIVATE,
	};
	struct drm_virtgpu_resource_create_blob create = {
		.blob_mem = VIRTGPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTGPU_BLOB_FLAG_USE_MAPPABLE,
		.size = gem_new.size,
		.blob_id = gem_new.blob_id,
		.cmd = (uintptr_t)&gem_new,
		.cmd_size = sizeof(gem_new),
	};
	expect(drmIoctl(vdrm->fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create) == 0,
	       "private memory is not made");
	struct drm_virtgpu_map map = {.handle = create.bo_handle};
	void *at = MAP_FAILED;
	if (drmIoctl(vdrm->fd, DRM_IOCTL_VIRTGPU_MAP, &map) == 0) {
		at = mmap(NULL, gem_new.size, PROT_READ | PROT_WRITE, MAP_SHARED, vdrm->fd,
			  (off_t)map.offset);
	}
	expect(at == MAP_FAILED, "private memory was mapped");
	fill(vdrm, create.res_handle);
}

static void try_junk(struct vdrm *vdrm)
{
	uint32_t words[64];
	int fence;
	for (uint32_t i = 0; i < 64; i++) {
		words[i] = i * 0x9e3779b9u;
	}
	for (uint32_t size = 4; size <= sizeof(words); size += 20) {
		if (node_exec(vdrm->fd, words, size, size % 4, &fence) == 0) {
			vdrm_wait(fence, "junk to be refused");
		}
	}
	struct crayon_fill command = {.ring = 1, .stride = UINT32_MAX, .w = UINT32_MAX};
	vdrm_wait(vdrm_submit(vdrm, &command, CRAYON_FILL, sizeof(command), 1), "a bad command");
}

static void try_import(struct vdrm *vdrm)
{
	struct vdrm other;
	struct vdrm_image image;
	uint32_t handle;
	vdrm_open(&other);
	vdrm_make_image(vdrm, SIDE, SIDE, true, &image);
	expect(drmPrimeFDToHandle(other.fd, image.dmabuf_fd, &handle) == 0, "no import");
	struct drm_virtgpu_resource_info info = {.bo_handle = handle};
	expect(drmIoctl(other.fd, DRM_IOCTL_VIRTGPU_RESOURCE_INFO, &info) == 0 &&
		       info.res_handle == image.object.res_id,
	       "an import is another resource");
	fill(&other, info.res_handle);
	expect(last_pixel(&image) == COLOR, "the other context has drawn elsewhere");
}

int main(int argc, char **argv)
{
	struct vdrm vdrm;
	const char *what = argc > 1 ? argv[1] : "";
	vdrm_open(&vdrm);
	if (strcmp(what, "private") == 0) {
		try_private(&vdrm);
	} else if (strcmp(what, "junk") == 0) {
		try_junk(&vdrm);
	} else {
		try_import(&vdrm);
	}
	check_alive(&vdrm);
	puts("good");
	return 0;
}
