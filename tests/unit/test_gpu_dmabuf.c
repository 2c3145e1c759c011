/* SPDX-License-Identifier: MIT
 *
 * What the GPU worker does with dma-bufs. Mesa's software drivers do the work; where the kernel has no udmabuf
 * the fixture stands in for it.
 */
#include <drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"
#include "gpu_images.h"
#include "test.h"

/* Start a worker that has dma-bufs, or what stands in for them. */
static void start(struct gpu_rig *rig, uint32_t flags)
{
	const char *fixture = getenv("GPU_RIG_FIXTURE");
	if (access("/dev/udmabuf", R_OK | W_OK) == 0) {
		fixture = NULL;
	} else if (fixture == NULL) {
		test_skip(
			"there is no /dev/udmabuf, and GPU_RIG_FIXTURE does not name the library");
	} else {
		(void)setenv("GPU_RIG_PRELOAD", fixture, 1);
	}
	gpu_rig_start(rig, flags);
}

/* Without the kernel's help memory is its own dma-buf. Returns the fd, the caller's. */
static int make_dmabuf(int memory_fd, size_t bytes)
{
	struct udmabuf_create create = {
		.memfd = (uint32_t)memory_fd, .flags = UDMABUF_FLAGS_CLOEXEC, .size = bytes};
	int BR_CLEANUP_FD device_fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int fd = device_fd < 0 ? br_fd_dup(memory_fd) : ioctl(device_fd, UDMABUF_CREATE, &create);
	CHECK(fd >= 0);
	return fd;
}

/* A dma-buf of this size, known as resource 30. Returns an fd to write to it, the caller's. */
static int import_dmabuf(struct gpu_rig *rig, size_t bytes)
{
	struct wk_import import = {
		.hdr.type = WK_IMPORT, .resource_id = 30, .kind = WK_DMABUF, .size = bytes};
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK_INT(ftruncate(fd, (off_t)bytes), 0);
	CHECK_INT(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	int BR_CLEANUP_FD dmabuf_fd = make_dmabuf(fd, bytes);
	CHECK_INT(gpu_rig_ask(rig, &import, sizeof(import), dmabuf_fd), 0);
	return fd;
}

/* Read the part 3, 5, 20 by 10 of an image of this format that is known as 30. */
static int read_part(struct gpu_rig *rig, uint32_t fourcc, uint32_t pixels[GPU_SIDE * GPU_SIDE])
{
	struct wk_read_back request = {
		.resource_id = 30,
		.x = 3,
		.y = 5,
		.w = 20,
		.h = 10,
		.stride = GPU_SIDE * 4,
		.n_planes = 1,
		.width = GPU_SIDE,
		.height = GPU_SIDE,
		.fourcc = fourcc,
		.plane_strides = {GPU_SIDE * 4},
	};
	memset(pixels, 0, GPU_IMAGE_BYTES);
	return gpu_read_back(rig, &request, GPU_IMAGE_BYTES, pixels);
}

static void write_pattern(int fd)
{
	for (uint32_t i = 0; i < GPU_SIDE * GPU_SIDE; i++) {
		uint32_t pixel = gpu_pattern(i % GPU_SIDE, i / GPU_SIDE);
		CHECK_INT(pwrite(fd, &pixel, 4, i * 4), 4);
	}
}

static uint32_t swap_red_blue(uint32_t pixel)
{
	return (pixel & 0xff00ff00) | (pixel & 0xff) << 16 | (pixel >> 16 & 0xff);
}

static void check_part(const uint32_t *pixels, bool swapped)
{
	for (uint32_t i = 0; i < GPU_SIDE * GPU_SIDE; i++) {
		uint32_t x = i % GPU_SIDE, y = i / GPU_SIDE;
		bool inside = x >= 3 && x < 23 && y >= 5 && y < 15;
		uint32_t want = swapped ? swap_red_blue(gpu_pattern(x, y)) : gpu_pattern(x, y);
		CHECK_INT(pixels[i], inside ? want : 0);
	}
}

static void check_formats(uint32_t flags)
{
	struct gpu_rig rig;
	uint32_t pixels[GPU_SIDE * GPU_SIDE];
	start(&rig, flags);
	int BR_CLEANUP_FD fd = import_dmabuf(&rig, GPU_IMAGE_BYTES);
	write_pattern(fd);
	CHECK_INT(read_part(&rig, DRM_FORMAT_ARGB8888, pixels), 0);
	check_part(pixels, false);
	CHECK_INT(read_part(&rig, DRM_FORMAT_ABGR8888, pixels), 0);
	check_part(pixels, true);
	CHECK_INT(read_part(&rig, DRM_FORMAT_INVALID, pixels), -ENOTSUP);
	gpu_rig_end(&rig);
}

/* With OpenGL of its own, and beside VirGL's. */
TEST(opengl_reads_images)
{
	check_formats(WK_VENUS);
}

TEST(opengl_reads_images_beside_virgl)
{
	check_formats(WK_VENUS | WK_VIRGL);
}

TEST(virgl_goes_on_after_a_read_back)
{
	struct gpu_rig rig;
	uint32_t pixels[GPU_SIDE * GPU_SIDE];
	struct wk_read_back request = {
		.resource_id = 7, .w = GPU_SIDE, .h = GPU_SIDE, .stride = GPU_SIDE * 4};
	struct wk_create_3d create = gpu_image_request(7);
	start(&rig, WK_VIRGL);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VIRGL2), 0);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), 0);
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, 7), 0);
	int BR_CLEANUP_FD fd = import_dmabuf(&rig, GPU_IMAGE_BYTES);
	write_pattern(fd);
	CHECK_INT(read_part(&rig, DRM_FORMAT_ARGB8888, pixels), 0);
	gpu_clear_blue(&rig, 1, 7);
	CHECK_INT(gpu_rig_context(&rig, 2, CAPSET_VIRGL2), 0);
	CHECK_INT(gpu_read_back(&rig, &request, sizeof(pixels), pixels), 0);
	CHECK_INT(pixels[0], 0xff0000ff);
	CHECK_INT(read_part(&rig, DRM_FORMAT_ARGB8888, pixels), 0);
	check_part(pixels, false);
	gpu_rig_end(&rig);
}

/* Two planes: brightness, and colours at half the size. A grey is grey whatever the matrix is. */
TEST(opengl_reads_yuv)
{
	struct gpu_rig rig;
	uint32_t pixels[GPU_SIDE * GPU_SIDE];
	uint8_t planes[GPU_SIDE * GPU_SIDE * 3 / 2];
	struct wk_read_back request = {
		.resource_id = 30,
		.w = GPU_SIDE,
		.h = GPU_SIDE,
		.stride = GPU_SIDE * 4,
		.n_planes = 2,
		.width = GPU_SIDE,
		.height = GPU_SIDE,
		.fourcc = DRM_FORMAT_NV12,
		.plane_strides = {GPU_SIDE, GPU_SIDE},
		.plane_offsets = {0, GPU_SIDE * GPU_SIDE},
	};
	start(&rig, WK_VENUS);
	int BR_CLEANUP_FD fd = import_dmabuf(&rig, GPU_IMAGE_BYTES);
	memset(planes, 128, sizeof(planes));
	memset(planes, 235, GPU_SIDE * GPU_SIDE / 2); /* white above, grey below */
	CHECK_INT(pwrite(fd, planes, sizeof(planes), 0), sizeof(planes));
	CHECK_INT(gpu_read_back(&rig, &request, sizeof(pixels), pixels), 0);
	CHECK_INT(pixels[0], 0xffffffff);
	CHECK_INT(pixels[GPU_SIDE * GPU_SIDE - 1], 0xff828282);
	gpu_rig_end(&rig);
}

TEST(layouts_are_checked)
{
	struct gpu_rig rig;
	uint32_t pixels[GPU_SIDE * GPU_SIDE];
	const struct wk_read_back good = {
		.resource_id = 30,
		.w = GPU_SIDE,
		.h = GPU_SIDE,
		.stride = GPU_SIDE * 4,
		.n_planes = 1,
		.width = GPU_SIDE,
		.height = GPU_SIDE,
		.fourcc = DRM_FORMAT_XRGB8888,
		.plane_strides = {GPU_SIDE * 4},
	};
	struct wk_read_back bad[9];
	start(&rig, WK_VENUS);
	int BR_CLEANUP_FD fd = import_dmabuf(&rig, GPU_IMAGE_BYTES);
	for (size_t i = 0; i < 9; i++) {
		bad[i] = good;
	}
	bad[0].n_planes = WK_MAX_PLANES + 1;
	bad[1].width = GPU_SIDE - 1;
	bad[2].height = GPU_SIDE + 1;
	bad[3].height = 0xffffffff;
	bad[4].plane_strides[0] = GPU_SIDE * 4 + 4;
	bad[5].plane_offsets[0] = 4;
	bad[6].plane_offsets[0] = 0xffffffff;
	bad[7].x = 1;
	bad[8].n_planes = 4;
	for (size_t i = 0; i < 9; i++) {
		CHECK(gpu_read_back(&rig, &bad[i], sizeof(pixels), pixels) < 0);
	}
	struct wk_read_back request = good;
	request.modifier = DRM_FORMAT_MOD_INVALID;
	CHECK_INT(gpu_read_back(&rig, &request, sizeof(pixels), pixels), 0);
	request.modifier = I915_FORMAT_MOD_X_TILED;
	CHECK_INT(gpu_read_back(&rig, &request, sizeof(pixels), pixels), -ENOTSUP);
	gpu_rig_end(&rig);
}

/* --- images that are drawn to --- */

/* The part 3, 5, 20 by 10 of resource 30, to the same place of another image. */
static struct wk_read_back draw_request(uint32_t fourcc)
{
	return (struct wk_read_back){
		.hdr.type = WK_READ_BACK,
		.resource_id = 30,
		.x = 3,
		.y = 5,
		.w = 20,
		.h = 10,
		.stride = GPU_SIDE * 4,
		.n_planes = 1,
		.width = GPU_SIDE,
		.height = GPU_SIDE,
		.fourcc = fourcc,
		.plane_strides = {GPU_SIDE * 4},
		.target_fourcc = DRM_FORMAT_ARGB8888,
	};
}

static int make_image(size_t bytes, int *ret_memory_fd)
{
	*ret_memory_fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK_INT(ftruncate(*ret_memory_fd, (off_t)bytes), 0);
	CHECK_INT(fcntl(*ret_memory_fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return make_dmabuf(*ret_memory_fd, bytes);
}

static void check_drawn(struct gpu_rig *rig, uint32_t fourcc, bool swapped)
{
	uint32_t pixels[GPU_SIDE * GPU_SIDE];
	struct wk_read_back request = draw_request(fourcc);
	int BR_CLEANUP_FD memory_fd = -1;
	int BR_CLEANUP_FD fd = make_image(GPU_IMAGE_BYTES, &memory_fd);
	CHECK_INT(gpu_rig_ask(rig, &request, sizeof(request), fd), 0);
	CHECK_INT(pread(memory_fd, pixels, sizeof(pixels), 0), sizeof(pixels));
	check_part(pixels, swapped);
}

static void check_draws(uint32_t flags)
{
	struct gpu_rig rig;
	start(&rig, flags);
	int BR_CLEANUP_FD fd = import_dmabuf(&rig, GPU_IMAGE_BYTES);
	write_pattern(fd);
	check_drawn(&rig, DRM_FORMAT_ARGB8888, false);
	check_drawn(&rig, DRM_FORMAT_ABGR8888, true);
	gpu_rig_end(&rig);
}

TEST(opengl_draws_to_images)
{
	check_draws(WK_VENUS);
	check_draws(WK_VENUS | WK_VIRGL);
}

TEST(targets_are_checked)
{
	struct gpu_rig rig;
	start(&rig, WK_VENUS);
	int BR_CLEANUP_FD source_fd = import_dmabuf(&rig, GPU_IMAGE_BYTES);
	int BR_CLEANUP_FD memory_fd = -1;
	int BR_CLEANUP_FD fd = make_image(GPU_IMAGE_BYTES, &memory_fd);
	const struct wk_read_back good = draw_request(DRM_FORMAT_ARGB8888);
	struct wk_read_back bad[9];
	for (size_t i = 0; i < 9; i++) {
		bad[i] = good;
	}
	bad[0].x = GPU_SIDE;
	bad[1].n_planes = 0;
	bad[2].n_planes = WK_MAX_PLANES + 1;
	bad[3].offset = 4;
	bad[4].offset = 1ull << 32;
	bad[5].stride = GPU_SIDE * 4 + 4;
	bad[6].target_fourcc = DRM_FORMAT_INVALID - 1;
	bad[7].target_modifier = I915_FORMAT_MOD_X_TILED;
	bad[8].plane_offsets[0] = 4;
	for (size_t i = 0; i < 9; i++) {
		CHECK(gpu_rig_ask(&rig, &bad[i], sizeof(bad[i]), fd) < 0);
	}
	struct wk_read_back request = good;
	CHECK_INT(gpu_rig_ask(&rig, &request, sizeof(request), fd), 0);
	gpu_rig_end(&rig);
}

/* Where there is a GPU: one for the copy is allocated, and drawn to. In a virtual machine that is the kernel's
 * vgem: tests/vm/test_vm_host.py. */
TEST(image_for_a_copy)
{
	struct gpu_rig rig;
	struct wk_read_back request = draw_request(DRM_FORMAT_ABGR8888), refused = request;
	int BR_CLEANUP_FD fd = -1;
	start(&rig, WK_VENUS);
	int BR_CLEANUP_FD source_fd = import_dmabuf(&rig, GPU_IMAGE_BYTES);
	write_pattern(source_fd);
	request.hdr.type = refused.hdr.type = WK_ALLOCATE;
	refused.plane_offsets[0] = 4;
	CHECK(gpu_rig_ask_exported(&rig, &refused, sizeof(refused), &fd).err < 0);
	refused.resource_id = 31;
	CHECK_INT(gpu_rig_ask_exported(&rig, &refused, sizeof(refused), &fd).err, -ENOENT);
	struct wk_exported image = gpu_rig_ask_exported(&rig, &request, sizeof(request), &fd);
	if (getenv("GPU_RIG_RENDER_NODE") == NULL) {
		CHECK_INT(image.err, -ENOTSUP);
		gpu_rig_end(&rig);
		return;
	}
	CHECK_INT(image.err, 0);
	CHECK_INT(image.n_planes, 1);
	CHECK_INT(image.fourcc, DRM_FORMAT_ARGB8888);
	CHECK(image.strides[0] >= GPU_SIDE * 4);
	request.hdr.type = WK_READ_BACK;
	request.stride = image.strides[0];
	request.offset = image.offsets[0];
	request.target_modifier = image.modifier;
	CHECK_INT(gpu_rig_ask(&rig, &request, sizeof(request), fd), 0);
	size_t bytes = image.offsets[0] + (size_t)image.strides[0] * GPU_SIDE;
	uint8_t *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t x = 3 + i % 20, y = 5 + i / 20, pixel;
		memcpy(&pixel, map + request.offset + y * request.stride + x * 4, 4);
		CHECK_INT(pixel, swap_red_blue(gpu_pattern(x, y)));
	}
	(void)munmap(map, bytes);
	gpu_rig_end(&rig);
}

/* --- VirGL's images --- */

static uint32_t pixel_at(const struct wk_exported *image, const uint8_t *map, uint32_t x,
			 uint32_t y)
{
	uint32_t pixel;
	memcpy(&pixel, map + image->offsets[0] + y * image->strides[0] + x * 4, 4);
	return image->fourcc == DRM_FORMAT_ABGR8888 ? swap_red_blue(pixel) : pixel;
}

/* OpenGL has its own order of colours, which is told. The first row is the top one, and what is drawn later
 * is there as well. */
TEST(virgl_image_is_exported)
{
	struct gpu_rig rig;
	struct wk_create_3d create = gpu_image_request(7);
	int BR_CLEANUP_FD fd = -1;
	start(&rig, WK_VIRGL);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VIRGL2), 0);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), 0);
	CHECK_INT(gpu_attach_backing(&rig, 7), 0);
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, 7), 0);
	gpu_fill_backing(&rig);
	CHECK_INT(gpu_transfer(&rig, WK_TRANSFER_TO_HOST, 1, 7), 0);
	const struct wk_exported image = gpu_rig_export(&rig, 7, &fd);
	CHECK_INT(image.err, 0);
	CHECK_INT(image.kind, WK_DMABUF);
	CHECK_INT(image.n_planes, 1);
	CHECK_INT(image.width, GPU_SIDE);
	CHECK_INT(image.height, GPU_SIDE);
	CHECK(image.fourcc == DRM_FORMAT_ARGB8888 || image.fourcc == DRM_FORMAT_ABGR8888);
	CHECK_INT(image.modifier, DRM_FORMAT_MOD_LINEAR);
	size_t bytes = image.offsets[0] + image.strides[0] * (size_t)GPU_SIDE;
	uint8_t *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	gpu_rig_fence(&rig, 1, 0, 1);
	for (uint32_t i = 0; i < GPU_SIDE * GPU_SIDE; i++) {
		uint32_t x = i % GPU_SIDE, y = i / GPU_SIDE;
		CHECK_INT(pixel_at(&image, map, x, y), gpu_pattern(x, y));
	}
	gpu_clear_blue(&rig, 1, 7);
	gpu_rig_fence(&rig, 1, 0, 2);
	CHECK_INT(pixel_at(&image, map, 5, 60), 0xff0000ff);
	(void)munmap(map, bytes);
	gpu_rig_end(&rig);
}

/* Memory of another program, or of Vulkan's, becomes an image of OpenGL's. */
TEST(virgl_draws_to_memory_of_others)
{
	struct gpu_rig rig;
	const uint32_t set_type[] = {
		VIRGL_COMMAND(VIRGL_SET_RESOURCE_TYPE, 0, 10),
		30,
		FORMAT_BGRA,
		BIND_RENDER_TARGET | BIND_SAMPLER_VIEW,
		GPU_SIDE,
		GPU_SIDE,
		0, /* usage */
		0, /* modifier: linear */
		0,
		GPU_SIDE * 4,
		0, /* offset */
	};
	uint32_t pixel;
	start(&rig, WK_VIRGL);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VIRGL2), 0);
	int BR_CLEANUP_FD fd = import_dmabuf(&rig, GPU_IMAGE_BYTES);
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, 30), 0);
	CHECK_INT(gpu_rig_submit(&rig, 1, set_type, sizeof(set_type) / 4), 0);
	gpu_clear_blue(&rig, 1, 30);
	gpu_rig_fence(&rig, 1, 0, 1);
	CHECK_INT(pread(fd, &pixel, 4, GPU_IMAGE_BYTES - 4), 4);
	CHECK_INT(pixel, 0xff0000ff);
	gpu_rig_end(&rig);
}
