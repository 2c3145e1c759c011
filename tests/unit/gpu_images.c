/* SPDX-License-Identifier: MIT */
#include "gpu_images.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"
#include "test.h"

struct wk_create_3d gpu_image_request(uint32_t id)
{
	return (struct wk_create_3d){
		.hdr.type = WK_CREATE_3D,
		.resource_id = id,
		.target = TARGET_2D,
		.format = FORMAT_BGRA,
		.bind = BIND_RENDER_TARGET | BIND_SAMPLER_VIEW,
		.width = GPU_SIDE,
		.height = GPU_SIDE,
		.depth = 1,
		.array_size = 1,
	};
}

/* Give a resource guest memory: two pieces that are no neighbours in the guest. */
int gpu_attach_backing(struct gpu_rig *rig, uint32_t id)
{
	struct wk_attach_backing request = {
		.hdr.type = WK_ATTACH_BACKING,
		.resource_id = id,
		.n_entries = 2,
	};
	const struct wk_entry entries[2] = {
		{GPU_RIG_RAM_ADDRESS + GPU_IMAGE_BYTES, GPU_IMAGE_BYTES / 2},
		{GPU_RIG_RAM_ADDRESS, GPU_IMAGE_BYTES / 2},
	};
	return gpu_rig_ask_with(rig, &request, sizeof(request), entries, sizeof(entries));
}

/* Where a byte of what gpu_attach_backing() gives is. */
uint8_t *gpu_backing(struct gpu_rig *rig, size_t offset)
{
	return offset < GPU_IMAGE_BYTES / 2 ? rig->ram + GPU_IMAGE_BYTES + offset
					    : rig->ram + offset - GPU_IMAGE_BYTES / 2;
}

int gpu_transfer(struct gpu_rig *rig, uint32_t type, uint32_t ctx_id, uint32_t id)
{
	struct wk_transfer request = {
		.hdr = {.type = type, .ctx_id = ctx_id},
		.resource_id = id,
		.stride = GPU_SIDE * 4,
		.w = GPU_SIDE,
		.h = GPU_SIDE,
		.d = 1,
	};
	return gpu_rig_ask(rig, &request, sizeof(request), -1);
}

/* A context with an image in it that has guest memory. */
void gpu_start_virgl(struct gpu_rig *rig, uint32_t ctx_id, uint32_t id)
{
	struct wk_create_3d create = gpu_image_request(id);
	gpu_rig_start(rig, WK_VIRGL);
	CHECK_INT(gpu_rig_context(rig, ctx_id, CAPSET_VIRGL2), 0);
	CHECK_INT(gpu_rig_ask(rig, &create, sizeof(create), -1), 0);
	CHECK_INT(gpu_attach_backing(rig, id), 0);
	CHECK_INT(gpu_rig_resource(rig, WK_ATTACH, ctx_id, id), 0);
}

uint32_t gpu_pattern(uint32_t x, uint32_t y)
{
	return 0xff000000u | y << 16 | x << 8 | (x ^ y);
}

void gpu_fill_backing(struct gpu_rig *rig)
{
	for (uint32_t y = 0; y < GPU_SIDE; y++) {
		for (uint32_t x = 0; x < GPU_SIDE; x++) {
			uint32_t pixel = gpu_pattern(x, y);
			memcpy(gpu_backing(rig, (y * GPU_SIDE + x) * 4), &pixel, 4);
		}
	}
}

/* Read a part of an image back into a file of this many bytes. Returns err. */
int gpu_read_back(struct gpu_rig *rig, struct wk_read_back *request, size_t file_bytes,
		  uint32_t *ret_pixels)
{
	int BR_CLEANUP_FD fd = memfd_create("frame", MFD_CLOEXEC);
	CHECK_INT(ftruncate(fd, (off_t)file_bytes), 0);
	request->hdr = (struct wk_header){.type = WK_READ_BACK};
	int err = gpu_rig_ask(rig, request, sizeof(*request), fd);
	CHECK_INT(pread(fd, ret_pixels, file_bytes, 0), file_bytes);
	return err;
}

void gpu_clear_blue(struct gpu_rig *rig, uint32_t ctx_id, uint32_t id)
{
	const uint32_t one = 0x3f800000; /* 1.0f */
	const uint32_t commands[] = {
		VIRGL_COMMAND(VIRGL_CREATE_OBJECT, VIRGL_OBJECT_SURFACE, 5),
		1,
		id,
		FORMAT_BGRA,
		0,
		0,
		VIRGL_COMMAND(VIRGL_SET_FRAMEBUFFER, 0, 3),
		1,
		0,
		1,
		VIRGL_COMMAND(VIRGL_CLEAR, 0, 8),
		4 /* color 0 */,
		0,
		0,
		one,
		one,
		0,
		0,
		0,
	};
	CHECK_INT(gpu_rig_submit(rig, ctx_id, commands, sizeof(commands) / 4), 0);
}

int gpu_create_ring(struct gpu_rig *rig, uint32_t ctx_id, uint32_t id)
{
	struct wk_create_blob create = {
		.hdr = {.type = WK_CREATE_BLOB, .ctx_id = ctx_id},
		.resource_id = id,
		.blob_mem = MEM_HOST3D,
		.blob_flags = FLAG_MAPPABLE,
		.size = 4096,
	};
	return gpu_rig_ask(rig, &create, sizeof(create), -1);
}
