/* SPDX-License-Identifier: MIT
 *
 * What Vulkan programs of a guest do with the GPU worker, and what becomes of their processes. Mesa's software drivers do the work.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "gpu_images.h"
#include "test.h"

TEST(venus_shares_memory)
{
	struct gpu_rig rig;
	int BR_CLEANUP_FD fd = -1;
	struct wk_create_blob create = {
		.hdr = {.type = WK_CREATE_BLOB, .ctx_id = 3},
		.resource_id = 5,
		.blob_mem = MEM_HOST3D,
		.blob_flags = FLAG_MAPPABLE,
		.size = 16384,
	};
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(gpu_rig_context(&rig, 3, CAPSET_VENUS), 0);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), 0);
	struct wk_exported exported = gpu_rig_export(&rig, 5, &fd);
	CHECK_INT(exported.err, 0);
	CHECK_INT(exported.kind, WK_SHM);
	CHECK_INT(exported.map_info, 1); /* cached */
	CHECK_INT(exported.n_planes, 0);
	uint8_t *map = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	map[16383] = 7;
	(void)munmap(map, 16384);
	gpu_rig_fence(&rig, 3, 0, 1);
	gpu_rig_end(&rig);
}

TEST(imported_memory_is_read_back)
{
	struct gpu_rig rig;
	uint32_t pixels[GPU_SIDE * GPU_SIDE] = {0};
	struct wk_import import = {
		.hdr.type = WK_IMPORT, .resource_id = 30, .kind = WK_SHM, .size = 65536};
	int BR_CLEANUP_FD fd = memfd_create("image", MFD_CLOEXEC);
	int BR_CLEANUP_FD exported_fd = -1;
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(ftruncate(fd, 65536), 0);
	/* The image starts at 400, and its rows have 300 bytes. */
	for (uint32_t y = 0; y < GPU_SIDE; y++) {
		for (uint32_t x = 0; x < GPU_SIDE; x++) {
			uint32_t pixel = gpu_pattern(x, y);
			CHECK_INT(pwrite(fd, &pixel, 4, 400 + y * 300 + x * 4), 4);
		}
	}
	CHECK_INT(gpu_rig_ask(&rig, &import, sizeof(import), fd), 0);
	struct wk_read_back request = {
		.resource_id = 30,
		.x = 3,
		.y = 5,
		.w = 20,
		.h = 10,
		.stride = GPU_SIDE * 4,
		.image_stride = 300,
		.image_offset = 400,
	};
	CHECK_INT(gpu_read_back(&rig, &request, sizeof(pixels), pixels), 0);
	for (uint32_t i = 0; i < GPU_SIDE * GPU_SIDE; i++) {
		uint32_t x = i % GPU_SIDE, y = i / GPU_SIDE;
		bool inside = x >= 3 && x < 23 && y >= 5 && y < 15;
		CHECK_INT(pixels[i], inside ? gpu_pattern(x, y) : 0);
	}
	request.image_stride = 91;
	CHECK_INT(gpu_read_back(&rig, &request, sizeof(pixels), pixels), -EINVAL);
	request.image_stride = 300;
	request.image_offset = 65536 - 14 * 300 - 91;
	CHECK_INT(gpu_read_back(&rig, &request, sizeof(pixels), pixels), -EINVAL);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, 30), 0);
	CHECK_INT(gpu_rig_export(&rig, 30, &exported_fd).kind, WK_SHM);
	gpu_rig_end(&rig);
}

TEST(venus_garbage_hurts_nobody_else)
{
	struct gpu_rig rig;
	uint32_t garbage[1024];
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(gpu_rig_context(&rig, 2, CAPSET_VENUS), 0);
	CHECK_INT(gpu_create_ring(&rig, 1, 10), 0);
	memset(garbage, 0xee, sizeof(garbage));
	(void)gpu_rig_submit(&rig, 1, garbage, 1024);
	gpu_rig_wait_log(&rig, "loses its GPU");
	CHECK_INT(rig.log_ctx_id, 1);
	gpu_rig_fence(&rig, 1, 0, 1);
	gpu_rig_fence(&rig, 1, 5, 2);
	CHECK_INT(gpu_create_ring(&rig, 1, 11), -ENODEV);
	CHECK_INT(gpu_rig_submit(&rig, 1, garbage, 1), -ENODEV);
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, 10), -ENODEV);
	/* The other one, and one more. */
	CHECK_INT(gpu_create_ring(&rig, 2, 11), 0);
	gpu_rig_fence(&rig, 2, 0, 3);
	struct wk_header destroy = {.type = WK_CONTEXT_DESTROY, .ctx_id = 1};
	CHECK_INT(gpu_rig_ask(&rig, &destroy, sizeof(destroy), -1), 0);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(gpu_create_ring(&rig, 1, 12), 0);
	gpu_rig_end(&rig);
}

/* Memory of a program that is gone may still be on the screen. */
TEST(killed_context_is_told)
{
	struct gpu_rig rig;
	pid_t pid;
	int BR_CLEANUP_FD fd = -1;
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(gpu_rig_context(&rig, 2, CAPSET_VENUS), 0);
	CHECK_INT(gpu_create_ring(&rig, 2, 10), 0);
	CHECK_INT(gpu_rig_processes(&rig, "virgl-2-", &pid, 1), 1);
	CHECK_INT(kill(pid, SIGKILL), 0);
	gpu_rig_wait_log(&rig, "loses its GPU");
	CHECK_INT(rig.log_ctx_id, 2);
	gpu_rig_fence(&rig, 2, 1, 1);
	CHECK_INT(gpu_rig_export(&rig, 10, &fd).err, 0);
	CHECK_INT(gpu_create_ring(&rig, 1, 11), 0);
	gpu_rig_fence(&rig, 1, 0, 2);
	gpu_rig_end(&rig);
}

/* The end of a process is not held against another that has its context's id by then. */
TEST(id_is_used_again_at_once)
{
	struct gpu_rig rig;
	pid_t pid;
	int status;
	const struct wk_header destroy = {.type = WK_CONTEXT_DESTROY, .ctx_id = 2};
	const struct wk_context_create create = {
		.hdr = {.type = WK_CONTEXT_CREATE, .ctx_id = 2},
		.capset_id = CAPSET_VENUS,
		.name = "test",
	};
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(gpu_rig_context(&rig, 2, CAPSET_VENUS), 0);
	CHECK_INT(gpu_create_ring(&rig, 2, 10), 0);
	CHECK_INT(gpu_rig_processes(&rig, "virgl-2-", &pid, 1), 1);
	/* The worker gets to see all of it at once. */
	CHECK_INT(kill(rig.pid, SIGSTOP), 0);
	CHECK_INT(waitpid(rig.pid, &status, WUNTRACED), rig.pid);
	gpu_rig_send(&rig, &destroy, sizeof(destroy), -1);
	gpu_rig_send(&rig, &create, sizeof(create), -1);
	CHECK_INT(kill(pid, SIGKILL), 0);
	gpu_rig_wait_gone(pid);
	CHECK_INT(kill(rig.pid, SIGCONT), 0);
	CHECK_INT(gpu_create_ring(&rig, 2, 11), 0);
	gpu_rig_fence(&rig, 2, 0, 1);
	CHECK_INT(gpu_create_ring(&rig, 2, 12), 0);
	gpu_rig_end(&rig);
}

/* The worker has one thread: it must not wait for one guest program for ever. */
TEST_WITHIN(stuck_context_holds_up_nobody, 60)
{
	struct gpu_rig rig;
	pid_t pid;
	struct wk_create_blob create = {
		.hdr = {.type = WK_CREATE_BLOB, .ctx_id = 2},
		.resource_id = 11,
		.blob_mem = MEM_HOST3D,
		.blob_flags = FLAG_MAPPABLE,
		.size = 4096,
	};
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(gpu_rig_context(&rig, 2, CAPSET_VENUS), 0);
	CHECK_INT(gpu_create_ring(&rig, 2, 10), 0);
	CHECK_INT(gpu_rig_processes(&rig, "virgl-2-", &pid, 1), 1);
	CHECK_INT(kill(pid, SIGSTOP), 0);
	gpu_rig_ask_stuck(&rig, &create, sizeof(create), 30);
	CHECK(gpu_rig_answer(&rig) < 0);
	gpu_rig_wait_log(&rig, "loses its GPU");
	CHECK_INT(rig.log_ctx_id, 2);
	CHECK_INT(gpu_create_ring(&rig, 1, 12), 0);
	CHECK_INT(gpu_rig_context(&rig, 3, CAPSET_VENUS), 0);
	CHECK_INT(gpu_create_ring(&rig, 3, 13), 0);
	gpu_rig_end(&rig);
}

/* Without it there is no Venus any more: the worker ends, and the device gets another. */
TEST(killed_server_ends_the_worker)
{
	struct gpu_rig rig;
	gpu_rig_start(&rig, WK_VENUS | WK_VIRGL);
	pid_t server = gpu_rig_child(&rig, "virgl_render_se");
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(kill(server, SIGKILL), 0);
	gpu_rig_wait_log(&rig, "virgl_render_server has ended");
	(void)WAIT_FD(rig.pid_fd, POLLIN, "the worker's end");
	gpu_rig_kill(&rig);
}

TEST_WITHIN(many_venus_blobs, 60)
{
	struct gpu_rig rig;
	struct wk_create_blob create = {
		.hdr = {.type = WK_CREATE_BLOB, .ctx_id = 1},
		.blob_mem = MEM_HOST3D,
		.blob_flags = FLAG_MAPPABLE,
		.size = 4096,
	};
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(gpu_rig_context(&rig, 2, CAPSET_VENUS), 0);
	for (uint32_t id = 1; id <= 10000; id++) {
		create.resource_id = id;
		gpu_rig_send(&rig, &create, sizeof(create), -1);
	}
	gpu_rig_fence(&rig, 2, 0, 1);
	gpu_rig_end(&rig);
}
