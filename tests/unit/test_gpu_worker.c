/* SPDX-License-Identifier: MIT
 *
 * How the GPU worker starts, and what a hostile guest may ask of it. Mesa's software drivers do the work.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "gpu_images.h"
#include "test.h"

TEST(start_tells_what_works)
{
	struct gpu_rig rig;
	gpu_rig_start(&rig, WK_VIRGL | WK_VENUS);
	CHECK_INT(rig.ready.flags, WK_VIRGL | WK_VENUS);
	CHECK(strstr(rig.ready.text[0], "llvmpipe") != NULL);
	CHECK(strstr(rig.ready.text[1], "llvmpipe") != NULL);
	CHECK(rig.capset_bytes[CAPSET_VIRGL] > 0);
	CHECK(rig.capset_bytes[CAPSET_VIRGL2] > rig.capset_bytes[CAPSET_VIRGL]);
	CHECK_INT(rig.capset_bytes[CAPSET_VENUS], 160);
	CHECK_INT(rig.capset_bytes[CAPSET_DRM], 0);
	gpu_rig_end(&rig);
}

TEST(only_what_is_asked_for_is_served)
{
	struct gpu_rig rig;
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(rig.ready.flags, WK_VENUS);
	CHECK_INT(rig.capset_bytes[CAPSET_VIRGL2], 0);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VIRGL2), -EINVAL);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_DRM), -EINVAL);
	struct wk_create_3d create = gpu_image_request(1);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), -EINVAL);
	gpu_rig_end(&rig);
}

/* Start a worker that lacks something. The rest works, and it says what is to be done. */
static void check_missing(uint32_t flags, uint32_t works, int missing, const char *advice)
{
	struct gpu_rig rig;
	gpu_rig_try(&rig, flags);
	CHECK_INT(rig.ready.flags, works);
	if (strstr(rig.ready.text[missing], advice) == NULL) {
		FAIL("\"%s\" does not say \"%s\"", rig.ready.text[missing], advice);
	}
	gpu_rig_end(&rig);
}

TEST(missing_vulkan_is_told)
{
	(void)setenv("VK_DRIVER_FILES", "/nonexistent", 1);
	check_missing(WK_VENUS | WK_VIRGL, WK_VIRGL, 0, "install");
	check_missing(WK_VENUS, 0, 0, "install");
}

TEST(missing_render_server_is_told)
{
	(void)setenv("RENDER_SERVER_EXEC_PATH", "/nonexistent", 1);
	check_missing(WK_VENUS | WK_VIRGL, WK_VIRGL, 0, "virgl_render_server has to be");
}

TEST(missing_egl_is_told)
{
	(void)setenv("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent", 1);
	check_missing(WK_VENUS | WK_VIRGL, WK_VENUS, 1, "install the OpenGL driver");
	check_missing(WK_VIRGL, 0, 1, "install the OpenGL driver");
}

TEST(missing_native_contexts_are_told)
{
	struct gpu_rig rig;
	gpu_rig_try(&rig, WK_DRM);
	bool there = rig.ready.flags & WK_DRM;
	gpu_rig_end(&rig);
	if (there) {
		test_skip("this libvirglrenderer has native contexts, and a GPU for them");
	}
	if (strstr(rig.ready.text[2], "built without") != NULL) {
		check_missing(WK_DRM | WK_VIRGL, WK_VIRGL, 2, "-Dvirglrenderer_prefix");
	} else {
		check_missing(WK_DRM | WK_VIRGL, WK_VIRGL, 2, "--render-node");
	}
}

TEST(packets_of_another_build)
{
	struct gpu_rig rig;
	struct wk_header unknown = {.type = 1000};
	struct wk_header not_ours = {.type = WK_CAPSET};
	struct wk_header none = {0};
	struct wk_submit short_one = {.hdr.type = WK_READ_BACK};
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(gpu_rig_ask(&rig, &unknown, sizeof(unknown), -1), -EPROTO);
	CHECK_INT(gpu_rig_ask(&rig, &not_ours, sizeof(not_ours), -1), -EPROTO);
	CHECK_INT(gpu_rig_ask(&rig, &none, sizeof(none), -1), -EPROTO);
	CHECK_INT(gpu_rig_ask(&rig, &short_one, sizeof(short_one), -1), -EPROTO);
	CHECK_INT(gpu_rig_ask(&rig, &unknown, sizeof(unknown), STDOUT_FILENO), -EPROTO);
	struct wk_init again = {.hdr.type = WK_INIT, .flags = WK_VENUS};
	CHECK_INT(gpu_rig_ask(&rig, &again, sizeof(again), -1), -EALREADY);
	gpu_rig_end(&rig);
}

TEST(virgl_garbage_hurts_nobody_else)
{
	struct gpu_rig rig;
	uint32_t garbage[256];
	struct wk_submit odd = {.hdr = {.type = WK_SUBMIT, .ctx_id = 2}, .size = 7};
	struct wk_submit cut = {.hdr = {.type = WK_SUBMIT, .ctx_id = 2}, .size = 4096};
	struct wk_submit huge = {.hdr = {.type = WK_SUBMIT, .ctx_id = 2}, .size = 0xfffffffc};
	gpu_start_virgl(&rig, 1, 7);
	CHECK_INT(gpu_rig_context(&rig, 2, CAPSET_VIRGL2), 0);
	for (uint32_t i = 0; i < 256; i++) {
		garbage[i] = i * 2654435761u;
	}
	CHECK(gpu_rig_submit(&rig, 2, garbage, 256) < 0);
	CHECK_INT(gpu_rig_ask_with(&rig, &odd, sizeof(odd), garbage, 7), -EINVAL);
	CHECK_INT(gpu_rig_ask_with(&rig, &cut, sizeof(cut), garbage, 1024), -EINVAL);
	CHECK_INT(gpu_rig_ask_with(&rig, &huge, sizeof(huge), garbage, 1024), -E2BIG);
	/* The image of another: the context does not have it. */
	const uint32_t steal[] = {
		VIRGL_COMMAND(VIRGL_CREATE_OBJECT, VIRGL_OBJECT_SURFACE, 5),
		1,
		7,
		FORMAT_BGRA,
		0,
		0,
	};
	CHECK(gpu_rig_submit(&rig, 2, steal, sizeof(steal) / 4) < 0);
	CHECK(gpu_transfer(&rig, WK_TRANSFER_TO_HOST, 2, 7) < 0);
	gpu_rig_fence(&rig, 2, 0, 1);
	gpu_clear_blue(&rig, 1, 7);
	gpu_rig_fence(&rig, 1, 0, 2);
	gpu_rig_end(&rig);
}

TEST(bad_ids)
{
	struct gpu_rig rig;
	static const uint32_t types[] = {WK_UNREF, WK_ATTACH, WK_DETACH, WK_DETACH_BACKING};
	struct wk_create_3d create = gpu_image_request(7);
	gpu_start_virgl(&rig, 1, 7);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VIRGL2), -EEXIST);
	CHECK_INT(gpu_rig_context(&rig, 0, CAPSET_VIRGL2), -EINVAL);
	CHECK_INT(gpu_rig_context(&rig, 0x80000000, CAPSET_VIRGL2), -EINVAL);
	CHECK_INT(gpu_rig_context(&rig, 2, 3), -EINVAL);
	CHECK_INT(gpu_rig_context(&rig, 2, 0xffffffff), -EINVAL);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), -EEXIST);
	create = gpu_image_request(0);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), -EINVAL);
	create = gpu_image_request(0x80000007);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), -EINVAL);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		CHECK_INT(gpu_rig_resource(&rig, types[i], 1, 8), -ENOENT);
	}
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 2, 7), -ENOENT);
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 0, 7), -ENOENT);
	CHECK_INT(gpu_transfer(&rig, WK_TRANSFER_TO_HOST, 1, 8), -ENOENT);
	CHECK_INT(gpu_transfer(&rig, WK_TRANSFER_TO_HOST, 5, 7), -ENOENT);
	CHECK_INT(gpu_rig_submit(&rig, 5, NULL, 0), -ENOENT);
	CHECK_INT(gpu_rig_submit(&rig, 0, NULL, 0), -ENOENT);
	struct wk_header destroy = {.type = WK_CONTEXT_DESTROY, .ctx_id = 5};
	CHECK_INT(gpu_rig_ask(&rig, &destroy, sizeof(destroy), -1), -ENOENT);
	destroy = (struct wk_header){.type = WK_CONTEXT_DESTROY};
	CHECK_INT(gpu_rig_ask(&rig, &destroy, sizeof(destroy), -1), -ENOENT);
	gpu_rig_end(&rig);
}

/* libvirglrenderer keeps pointers: they must not outlive what they point to. */
TEST(twice_attached_and_gone)
{
	struct gpu_rig rig;
	struct wk_create_blob create = {
		.hdr.type = WK_CREATE_BLOB,
		.resource_id = 20,
		.blob_mem = MEM_GUEST,
		.n_entries = 1,
		.size = 4096,
	};
	const struct wk_entry entry = {GPU_RIG_RAM_ADDRESS, 4096};
	gpu_start_virgl(&rig, 1, 7);
	CHECK_INT(gpu_attach_backing(&rig, 7), -EEXIST);
	CHECK_INT(gpu_rig_ask_with(&rig, &create, sizeof(create), &entry, sizeof(entry)), 0);
	for (uint32_t id = 7; id <= 20; id += 13) {
		CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, id), 0);
		CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, id), 0);
		CHECK_INT(gpu_rig_resource(&rig, WK_DETACH, 1, id), 0);
		CHECK_INT(gpu_rig_resource(&rig, WK_DETACH, 1, id), -ENOENT);
		CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, id), 0);
		CHECK_INT(gpu_rig_resource(&rig, WK_UNREF, 0, id), 0);
		CHECK_INT(gpu_rig_resource(&rig, WK_UNREF, 0, id), -ENOENT);
	}
	/* What its commands may find at the freed id. */
	const uint32_t commands[] = {
		VIRGL_COMMAND(VIRGL_CREATE_OBJECT, VIRGL_OBJECT_SURFACE, 5),
		1,
		7,
		FORMAT_BGRA,
		0,
		0,
	};
	CHECK(gpu_rig_submit(&rig, 1, commands, sizeof(commands) / 4) < 0);
	gpu_rig_end(&rig);
}

TEST(backing_is_checked)
{
	struct gpu_rig rig;
	static const struct wk_entry bad[] = {
		{GPU_RIG_RAM_ADDRESS - 1, 4096},
		{GPU_RIG_RAM_ADDRESS + GPU_RIG_RAM_BYTES - 4095, 4096},
		{GPU_RIG_RAM_ADDRESS, 0},
		{GPU_RIG_RAM_ADDRESS, GPU_RIG_RAM_BYTES + 1ull},
		{GPU_RIG_RAM_ADDRESS, UINT64_MAX},
		{UINT64_MAX, 2},
		{0, 4096},
	};
	struct wk_attach_backing request = {
		.hdr.type = WK_ATTACH_BACKING, .resource_id = 7, .n_entries = 1};
	gpu_start_virgl(&rig, 1, 7);
	CHECK_INT(gpu_rig_resource(&rig, WK_DETACH_BACKING, 0, 7), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_INT(
			gpu_rig_ask_with(&rig, &request, sizeof(request), &bad[i], sizeof(bad[i])),
			-EFAULT);
	}
	request.n_entries = 0xffffffff;
	CHECK_INT(gpu_rig_ask_with(&rig, &request, sizeof(request), bad, sizeof(bad)), -E2BIG);
	request.n_entries = 8;
	CHECK_INT(gpu_rig_ask_with(&rig, &request, sizeof(request), bad, sizeof(bad)), -EINVAL);
	/* Without pages, and with too few, nothing is copied. */
	CHECK(gpu_transfer(&rig, WK_TRANSFER_TO_HOST, 1, 7) < 0);
	const struct wk_entry small = {GPU_RIG_RAM_ADDRESS, 4096};
	request.n_entries = 1;
	CHECK_INT(gpu_rig_ask_with(&rig, &request, sizeof(request), &small, sizeof(small)), 0);
	CHECK(gpu_transfer(&rig, WK_TRANSFER_TO_HOST, 1, 7) < 0);
	CHECK(gpu_transfer(&rig, WK_TRANSFER_FROM_HOST, 1, 7) < 0);
	gpu_rig_end(&rig);
}

TEST(sizes_are_checked)
{
	struct gpu_rig rig;
	uint32_t pixels[GPU_SIDE * GPU_SIDE];
	struct wk_create_3d create = gpu_image_request(8);
	gpu_start_virgl(&rig, 1, 7);
	create.width = create.height = 0x80000000;
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), -ENOSPC);
	create = gpu_image_request(8);
	create.width = 0x10000;
	CHECK(gpu_rig_ask(&rig, &create, sizeof(create), -1) < 0);
	create = gpu_image_request(8);
	create.target = 0xffff;
	CHECK(gpu_rig_ask(&rig, &create, sizeof(create), -1) < 0);
	create = gpu_image_request(8);
	create.format = 0xffffffff;
	CHECK(gpu_rig_ask(&rig, &create, sizeof(create), -1) < 0);

	const struct wk_read_back good = {
		.resource_id = 7, .w = GPU_SIDE, .h = GPU_SIDE, .stride = GPU_SIDE * 4};
	const struct wk_read_back bad[] = {
		{.resource_id = 7, .x = 1, .w = GPU_SIDE, .h = GPU_SIDE, .stride = GPU_SIDE * 4},
		{.resource_id = 7, .w = GPU_SIDE, .h = GPU_SIDE, .stride = GPU_SIDE * 4 - 1},
		{.resource_id = 7,
		 .w = GPU_SIDE,
		 .h = GPU_SIDE,
		 .stride = GPU_SIDE * 4,
		 .offset = 4},
		{.resource_id = 7,
		 .w = GPU_SIDE,
		 .h = GPU_SIDE,
		 .stride = GPU_SIDE * 4,
		 .offset = UINT64_MAX},
		{.resource_id = 7, .w = GPU_SIDE, .h = GPU_SIDE, .stride = 0xffffffff},
		{.resource_id = 7, .w = 0, .h = 1, .stride = 4},
		{.resource_id = 7, .w = 1, .h = 0, .stride = 4},
		{.resource_id = 7, .x = UINT32_MAX, .w = 2, .h = 1, .stride = 8},
		{.resource_id = 7, .y = UINT32_MAX, .w = 1, .h = 2, .stride = 8},
		{.resource_id = 7, .y = GPU_SIDE, .w = 1, .h = 1, .stride = 4},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct wk_read_back request = bad[i];
		CHECK_INT(gpu_read_back(&rig, &request, sizeof(pixels), pixels), -EINVAL);
	}
	struct wk_read_back request = good;
	CHECK_INT(gpu_read_back(&rig, &request, sizeof(pixels), pixels), 0);
	gpu_rig_end(&rig);
}

/* Resources that only their number makes a problem; and what is done with them is told at a rate that the
 * device can bear. */
TEST_WITHIN(many_resources, 60)
{
	struct gpu_rig rig;
	struct wk_create_3d create = gpu_image_request(0);
	gpu_start_virgl(&rig, 1, 7);
	create.width = create.height = 1;
	for (uint32_t id = 100; id < 10100; id++) {
		create.resource_id = id;
		gpu_rig_send(&rig, &create, sizeof(create), -1);
	}
	for (uint32_t id = 100; id < 10100; id++) {
		create.resource_id = id; /* in use */
		gpu_rig_send(&rig, &create, sizeof(create), -1);
	}
	gpu_clear_blue(&rig, 1, 7);
	CHECK(rig.n_logs < 1000);
	CHECK_INT(gpu_rig_resource(&rig, WK_UNREF, 0, 10099), 0);
	CHECK_INT(gpu_rig_resource(&rig, WK_UNREF, 0, 10100), -ENOENT);
	gpu_rig_end(&rig);
}

/* A program of each kind starts, works and ends. */
static void come_and_go(struct gpu_rig *rig)
{
	struct wk_create_3d create = gpu_image_request(7);
	int BR_CLEANUP_FD fd = -1;
	CHECK_INT(gpu_rig_context(rig, 1, CAPSET_VIRGL2), 0);
	CHECK_INT(gpu_rig_context(rig, 2, CAPSET_VENUS), 0);
	CHECK_INT(gpu_rig_ask(rig, &create, sizeof(create), -1), 0);
	CHECK_INT(gpu_attach_backing(rig, 7), 0);
	CHECK_INT(gpu_rig_resource(rig, WK_ATTACH, 1, 7), 0);
	gpu_clear_blue(rig, 1, 7);
	CHECK_INT(gpu_create_ring(rig, 2, 8), 0);
	CHECK_INT(gpu_rig_resource(rig, WK_ATTACH, 2, 8), 0);
	CHECK_INT(gpu_rig_export(rig, 8, &fd).err, 0);
	rig->n_fences = 0;
	gpu_rig_fence(rig, 1, 0, 1);
	gpu_rig_fence(rig, 2, 0, 2);
	for (uint32_t id = 1; id <= 2; id++) {
		struct wk_header destroy = {.type = WK_CONTEXT_DESTROY, .ctx_id = id};
		CHECK_INT(gpu_rig_ask(rig, &destroy, sizeof(destroy), -1), 0);
		CHECK_INT(gpu_rig_resource(rig, WK_UNREF, 0, 6 + id), 0);
	}
}

TEST_WITHIN(programs_come_and_go, 60)
{
	struct gpu_rig rig;
	gpu_rig_start(&rig, WK_VIRGL | WK_VENUS);
	for (int i = 0; i < 5; i++) {
		come_and_go(&rig);
	}
	size_t before = gpu_rig_count_fds(&rig);
	for (int i = 0; i < 30; i++) {
		come_and_go(&rig);
	}
	CHECK_INT(gpu_rig_count_fds(&rig), before);
	gpu_rig_end(&rig);
}
