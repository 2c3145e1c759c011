/* SPDX-License-Identifier: MIT
 *
 * What OpenGL programs of a guest do with the GPU worker. Mesa's software drivers do the work.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"
#include "gpu_images.h"
#include "test.h"

static void check_whole(struct gpu_rig *rig, uint32_t id)
{
	struct wk_read_back request = {
		.resource_id = id, .w = GPU_SIDE, .h = GPU_SIDE, .stride = GPU_SIDE * 4};
	uint32_t pixels[GPU_SIDE * GPU_SIDE];
	CHECK_INT(gpu_read_back(rig, &request, sizeof(pixels), pixels), 0);
	for (uint32_t i = 0; i < GPU_SIDE * GPU_SIDE; i++) {
		CHECK_INT(pixels[i], gpu_pattern(i % GPU_SIDE, i / GPU_SIDE));
	}
}

TEST(virgl_transfers_and_reads_back)
{
	struct gpu_rig rig;
	uint32_t pixels[80 * 40] = {0};
	gpu_start_virgl(&rig, 1, 7);
	gpu_fill_backing(&rig);
	CHECK_INT(gpu_transfer(&rig, WK_TRANSFER_TO_HOST, 1, 7), 0);
	check_whole(&rig, 7);
	/* A part of it goes to the same place of a larger file; the rest stays. */
	struct wk_read_back part = {.resource_id = 7,
				    .x = 50,
				    .y = 30,
				    .w = 14,
				    .h = 9,
				    .stride = 80 * 4,
				    .offset = 320};
	CHECK_INT(gpu_read_back(&rig, &part, sizeof(pixels), pixels), 0);
	for (uint32_t i = 0; i < 80 * 39; i++) {
		uint32_t x = i % 80, y = i / 80;
		bool inside = x >= 50 && x < 64 && y >= 30 && y < 39;
		CHECK_INT(pixels[80 + i], inside ? gpu_pattern(x, y) : 0);
	}
	/* And back to the guest. */
	memset(rig.ram, 0, GPU_RIG_RAM_BYTES);
	CHECK_INT(gpu_transfer(&rig, WK_TRANSFER_FROM_HOST, 1, 7), 0);
	for (uint32_t i = 0; i < GPU_SIDE * GPU_SIDE; i++) {
		const uint32_t want = gpu_pattern(i % GPU_SIDE, i / GPU_SIDE);
		CHECK_MEM(gpu_backing(&rig, i * 4), &want, 4);
	}
	gpu_rig_end(&rig);
}

TEST(virgl_draws)
{
	struct gpu_rig rig;
	uint32_t pixels[GPU_SIDE * GPU_SIDE];
	struct wk_read_back request = {
		.resource_id = 7, .w = GPU_SIDE, .h = GPU_SIDE, .stride = GPU_SIDE * 4};
	gpu_start_virgl(&rig, 1, 7);
	gpu_clear_blue(&rig, 1, 7);
	gpu_rig_fence(&rig, 1, 0, 1);
	CHECK_INT(gpu_read_back(&rig, &request, sizeof(pixels), pixels), 0);
	for (uint32_t i = 0; i < GPU_SIDE * GPU_SIDE; i++) {
		CHECK_INT(pixels[i], 0xff0000ff);
	}
	gpu_rig_end(&rig);
}

/* Without dma-bufs an image is nobody else's. */
TEST(virgl_image_can_not_be_exported_here)
{
	struct gpu_rig rig;
	int BR_CLEANUP_FD fd = -1;
	gpu_start_virgl(&rig, 1, 7);
	CHECK_INT(gpu_rig_export(&rig, 7, &fd).err, -ENOTSUP);
	CHECK_INT(gpu_rig_export(&rig, 8, &fd).err, -ENOENT);
	gpu_rig_end(&rig);
}

/* Their results are there when the fence behind them is done; who waits for that is the worker. */
TEST(virgl_queries_are_looked_after)
{
	struct gpu_rig rig;
	struct wk_create_3d create = {
		.hdr.type = WK_CREATE_3D,
		.resource_id = 9,
		.target = TARGET_BUFFER,
		.format = FORMAT_R8,
		.bind = BIND_CUSTOM,
		.width = 4096,
		.height = 1,
		.depth = 1,
		.array_size = 1,
	};
	struct wk_attach_backing attach = {
		.hdr.type = WK_ATTACH_BACKING, .resource_id = 9, .n_entries = 1};
	const struct wk_entry entry = {GPU_RIG_RAM_ADDRESS + (1u << 20), 4096};
	const uint32_t commands[] = {
		VIRGL_COMMAND(VIRGL_CREATE_OBJECT, VIRGL_OBJECT_QUERY, 4),
		2,
		0,
		0,
		9,
		VIRGL_COMMAND(VIRGL_BEGIN_QUERY, 0, 1),
		2,
		VIRGL_COMMAND(VIRGL_END_QUERY, 0, 1),
		2,
		VIRGL_COMMAND(VIRGL_GET_QUERY_RESULT, 0, 2),
		2,
		0,
	};
	uint32_t state;
	gpu_start_virgl(&rig, 1, 7);
	gpu_clear_blue(&rig, 1, 7);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), 0);
	CHECK_INT(gpu_rig_ask_with(&rig, &attach, sizeof(attach), &entry, sizeof(entry)), 0);
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, 9), 0);
	memset(rig.ram + (1u << 20), 0xff, 4096);
	CHECK_INT(gpu_rig_submit(&rig, 1, commands, sizeof(commands) / 4), 0);
	gpu_rig_fence(&rig, 1, 0, 1);
	memcpy(&state, rig.ram + (1u << 20), sizeof(state));
	CHECK_INT(state, 1); /* VIRGL_QUERY_STATE_DONE */
	gpu_rig_end(&rig);
}

TEST(fences_of_no_context)
{
	struct gpu_rig rig;
	gpu_start_virgl(&rig, 1, 7);
	gpu_rig_fence(&rig, 0, 0, 1ull << 40);
	gpu_rig_fence(&rig, 0, 0, (1ull << 40) + 1);
	CHECK_INT(rig.fences[0], 1ull << 40);
	/* What can't be waited for is done. */
	gpu_rig_fence(&rig, 99, 0, 3);
	gpu_rig_end(&rig);
	gpu_rig_start(&rig, WK_VENUS);
	gpu_rig_fence(&rig, 0, 0, 4);
	gpu_rig_end(&rig);
}

TEST(long_commands_come_in_a_file)
{
	struct gpu_rig rig;
	struct wk_submit request = {
		.hdr = {.type = WK_SUBMIT, .ctx_id = 1}, .size = 1u << 20, /* of no-operations */
	};
	int BR_CLEANUP_FD fd = memfd_create("commands", MFD_CLOEXEC);
	CHECK_INT(ftruncate(fd, 1 << 20), 0);
	gpu_start_virgl(&rig, 1, 7);
	CHECK_INT(gpu_rig_ask(&rig, &request, sizeof(request), fd), 0);
	CHECK_INT(ftruncate(fd, (1 << 20) - 4), 0);
	CHECK_INT(gpu_rig_ask(&rig, &request, sizeof(request), fd), -EINVAL);
	gpu_rig_end(&rig);
}

TEST(guest_memory_moves)
{
	struct gpu_rig rig;
	struct {
		struct wk_guest_memory memory;
		struct wk_region region;
	} request = {
		.memory = {.hdr.type = WK_GUEST_MEMORY, .n_regions = 1},
		.region = {.address = 0, .bytes = 8192, .offset = 4096},
	};
	int BR_CLEANUP_FD fd = memfd_create("ram", MFD_CLOEXEC);
	CHECK_INT(ftruncate(fd, 8192), 0);
	gpu_start_virgl(&rig, 1, 7);
	gpu_fill_backing(&rig);
	/* More than the file has: refused, and nothing changes. */
	CHECK_INT(gpu_rig_ask(&rig, &request, sizeof(request), fd), -EINVAL);
	CHECK_INT(gpu_transfer(&rig, WK_TRANSFER_TO_HOST, 1, 7), 0);
	request.region.bytes = 4096;
	CHECK_INT(gpu_rig_ask(&rig, &request, sizeof(request), fd), 0);
	/* What has its pages keeps them. */
	memset(rig.ram, 0, GPU_RIG_RAM_BYTES);
	CHECK_INT(gpu_transfer(&rig, WK_TRANSFER_FROM_HOST, 1, 7), 0);
	const uint32_t want = gpu_pattern(5, 60);
	CHECK_MEM(gpu_backing(&rig, (60 * GPU_SIDE + 5) * 4), &want, 4);
	CHECK_INT(gpu_rig_resource(&rig, WK_DETACH_BACKING, 0, 7), 0);
	CHECK_INT(gpu_attach_backing(&rig, 7), -EFAULT);
	gpu_rig_end(&rig);
}
