/* SPDX-License-Identifier: MIT
 *
 * vdrm-odd private | junk | import | wrong | many
 *
 * What native contexts don't meet every day, with the test double's GPU. private: memory that nobody but the
 * GPU may have can be drawn in, not mapped. junk: commands that are none do no harm. import: one context's
 * image is drawn in by another's queue. wrong: blobs of nothing, and of the wrong size. many: 10,000 blobs. Says
 * "good", or what was not.
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

/* Memory, and a blob of it that need not fit. Returns its handle; 0: the kernel would not. */
static uint32_t make_blob(struct vdrm *vdrm, uint64_t object_size, uint64_t blob_id, uint64_t size,
			  uint32_t flags)
{
	struct crayon_gem_new gem_new = {
		.hdr = {.cmd = CRAYON_GEM_NEW, .len = sizeof(gem_new), .seqno = ++vdrm->seqno},
		.blob_id = blob_id,
		.size = object_size,
	};
	struct drm_virtgpu_resource_create_blob create = {
		.blob_mem = VIRTGPU_BLOB_MEM_HOST3D,
		.blob_flags = flags,
		.size = size,
		.blob_id = blob_id,
		.cmd = (uintptr_t)&gem_new,
		.cmd_size = object_size > 0 ? sizeof(gem_new) : 0,
	};
	int ret = drmIoctl(vdrm->fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create);
	return ret == 0 ? create.bo_handle : 0;
}

static void try_wrong(struct vdrm *vdrm)
{
	const uint32_t flags = VIRTGPU_BLOB_FLAG_USE_MAPPABLE;
	(void)make_blob(vdrm, 0, 4711, 4096, flags);		 /* of nothing */
	(void)make_blob(vdrm, 4096, 5000, 1 << 20, flags);	 /* too large */
	(void)make_blob(vdrm, 4096, 5000, 4096, flags);		 /* a number that is in use */
	(void)make_blob(vdrm, 0, 0, 4096, flags);		 /* another shared memory */
	(void)make_blob(vdrm, UINT64_C(1) << 50, 6000, 4096, 0); /* more than there is */
	(void)make_blob(vdrm, 4096, 7000, UINT64_C(1) << 40, 0);
}

static void try_many(struct vdrm *vdrm)
{
	for (uint32_t i = 0; i < 10000; i++) {
		expect(make_blob(vdrm, 4096, ++vdrm->n_blobs, 4096, 0) != 0, "no more blobs");
	}
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
	} else if (strcmp(what, "wrong") == 0) {
		try_wrong(&vdrm);
	} else if (strcmp(what, "many") == 0) {
		try_many(&vdrm);
	} else {
		try_import(&vdrm);
	}
	check_alive(&vdrm);
	puts("good");
	return 0;
}
