/* SPDX-License-Identifier: MIT
 *
 * The GPU worker, driven as a device drives it, with Mesa's software drivers.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"
#include "gpu_rig.h"
#include "test.h"

enum { CAPSET_VIRGL = 1, CAPSET_VIRGL2 = 2, CAPSET_VENUS = 4, CAPSET_DRM = 6 };
/* VIRTIO_GPU_BLOB_* */
enum { MEM_GUEST = 1, MEM_HOST3D = 2, FLAG_MAPPABLE = 1 };

/* VirGL's wire format: the first dword of a command has its number, an object's type and how many dwords
 * follow. Source: virglrenderer, src/virgl_protocol.h. */
#define VIRGL_COMMAND(number, object, dwords) ((number) | (object) << 8 | (uint32_t)(dwords) << 16)
enum { VIRGL_CREATE_OBJECT = 1, VIRGL_SET_FRAMEBUFFER = 5, VIRGL_CLEAR = 7 };
enum { VIRGL_BEGIN_QUERY = 19, VIRGL_END_QUERY = 20, VIRGL_GET_QUERY_RESULT = 21 };
enum { VIRGL_OBJECT_SURFACE = 8, VIRGL_OBJECT_QUERY = 9 };
enum { TARGET_BUFFER = 0, TARGET_2D = 2, FORMAT_BGRA = 1, FORMAT_R8 = 64 };
enum { BIND_RENDER_TARGET = 2, BIND_SAMPLER_VIEW = 8, BIND_CUSTOM = 1 << 17 };

#define SIDE 64 /* pixels, of the images here */
#define IMAGE_BYTES (SIDE * SIDE * 4)

static struct wk_create_3d image_request(uint32_t id)
{
	return (struct wk_create_3d){
		.hdr.type = WK_CREATE_3D,
		.resource_id = id,
		.target = TARGET_2D,
		.format = FORMAT_BGRA,
		.bind = BIND_RENDER_TARGET | BIND_SAMPLER_VIEW,
		.width = SIDE,
		.height = SIDE,
		.depth = 1,
		.array_size = 1,
	};
}

/* Give a resource guest memory: two pieces that are no neighbours in the guest. */
static int attach_backing(struct gpu_rig *rig, uint32_t id)
{
	struct wk_attach_backing request = {
		.hdr.type = WK_ATTACH_BACKING,
		.resource_id = id,
		.n_entries = 2,
	};
	const struct wk_entry entries[2] = {
		{GPU_RIG_RAM_ADDRESS + IMAGE_BYTES, IMAGE_BYTES / 2},
		{GPU_RIG_RAM_ADDRESS, IMAGE_BYTES / 2},
	};
	return gpu_rig_ask_with(rig, &request, sizeof(request), entries, sizeof(entries));
}

/* Where a byte of what attach_backing() gives is. */
static uint8_t *backing(struct gpu_rig *rig, size_t offset)
{
	return offset < IMAGE_BYTES / 2 ? rig->ram + IMAGE_BYTES + offset
					: rig->ram + offset - IMAGE_BYTES / 2;
}

static int transfer(struct gpu_rig *rig, uint32_t type, uint32_t ctx_id, uint32_t id)
{
	struct wk_transfer request = {
		.hdr = {.type = type, .ctx_id = ctx_id},
		.resource_id = id,
		.stride = SIDE * 4,
		.w = SIDE,
		.h = SIDE,
		.d = 1,
	};
	return gpu_rig_ask(rig, &request, sizeof(request), -1);
}

/* A context with an image in it that has guest memory. */
static void start_virgl(struct gpu_rig *rig, uint32_t ctx_id, uint32_t id)
{
	struct wk_create_3d create = image_request(id);
	gpu_rig_start(rig, WK_VIRGL);
	CHECK_INT(gpu_rig_context(rig, ctx_id, CAPSET_VIRGL2), 0);
	CHECK_INT(gpu_rig_ask(rig, &create, sizeof(create), -1), 0);
	CHECK_INT(attach_backing(rig, id), 0);
	CHECK_INT(gpu_rig_resource(rig, WK_ATTACH, ctx_id, id), 0);
}

static uint32_t pattern(uint32_t x, uint32_t y)
{
	return 0xff000000u | y << 16 | x << 8 | (x ^ y);
}

static void fill_backing(struct gpu_rig *rig)
{
	for (uint32_t y = 0; y < SIDE; y++) {
		for (uint32_t x = 0; x < SIDE; x++) {
			uint32_t pixel = pattern(x, y);
			memcpy(backing(rig, (y * SIDE + x) * 4), &pixel, 4);
		}
	}
}

/* Read a part of an image back into a file of this many bytes. Returns err. */
static int read_back(struct gpu_rig *rig, struct wk_read_back *request, size_t file_bytes,
		     uint32_t *ret_pixels)
{
	int BR_CLEANUP_FD fd = memfd_create("frame", MFD_CLOEXEC);
	CHECK_INT(ftruncate(fd, (off_t)file_bytes), 0);
	request->hdr = (struct wk_header){.type = WK_READ_BACK};
	int err = gpu_rig_ask(rig, request, sizeof(*request), fd);
	CHECK_INT(pread(fd, ret_pixels, file_bytes, 0), file_bytes);
	return err;
}

static void check_whole(struct gpu_rig *rig, uint32_t id)
{
	struct wk_read_back request = {.resource_id = id, .w = SIDE, .h = SIDE, .stride = SIDE * 4};
	uint32_t pixels[SIDE * SIDE];
	CHECK_INT(read_back(rig, &request, sizeof(pixels), pixels), 0);
	for (uint32_t i = 0; i < SIDE * SIDE; i++) {
		CHECK_INT(pixels[i], pattern(i % SIDE, i / SIDE));
	}
}

TEST(start_tells_what_works)
{
	struct gpu_rig rig;
	gpu_rig_start(&rig, WK_VIRGL | WK_VENUS);
	CHECK_INT(rig.ready.flags, WK_VIRGL | WK_VENUS);
	CHECK(strstr(rig.ready.text[0], "llvmpipe") != NULL);
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
	struct wk_create_3d create = image_request(1);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), -EINVAL);
	gpu_rig_end(&rig);
}

TEST(virgl_transfers_and_reads_back)
{
	struct gpu_rig rig;
	uint32_t pixels[80 * 40] = {0};
	start_virgl(&rig, 1, 7);
	fill_backing(&rig);
	CHECK_INT(transfer(&rig, WK_TRANSFER_TO_HOST, 1, 7), 0);
	check_whole(&rig, 7);
	/* A part of it goes to the same place of a larger file; the rest stays. */
	struct wk_read_back part = {.resource_id = 7,
				    .x = 50,
				    .y = 30,
				    .w = 14,
				    .h = 9,
				    .stride = 80 * 4,
				    .offset = 320};
	CHECK_INT(read_back(&rig, &part, sizeof(pixels), pixels), 0);
	for (uint32_t i = 0; i < 80 * 39; i++) {
		uint32_t x = i % 80, y = i / 80;
		bool inside = x >= 50 && x < 64 && y >= 30 && y < 39;
		CHECK_INT(pixels[80 + i], inside ? pattern(x, y) : 0);
	}
	/* And back to the guest. */
	memset(rig.ram, 0, GPU_RIG_RAM_BYTES);
	CHECK_INT(transfer(&rig, WK_TRANSFER_FROM_HOST, 1, 7), 0);
	for (uint32_t i = 0; i < SIDE * SIDE; i++) {
		const uint32_t want = pattern(i % SIDE, i / SIDE);
		CHECK_MEM(backing(&rig, i * 4), &want, 4);
	}
	gpu_rig_end(&rig);
}

static void clear_blue(struct gpu_rig *rig, uint32_t ctx_id, uint32_t id)
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

TEST(virgl_draws)
{
	struct gpu_rig rig;
	uint32_t pixels[SIDE * SIDE];
	struct wk_read_back request = {.resource_id = 7, .w = SIDE, .h = SIDE, .stride = SIDE * 4};
	start_virgl(&rig, 1, 7);
	clear_blue(&rig, 1, 7);
	gpu_rig_fence(&rig, 1, 0, 1);
	CHECK_INT(read_back(&rig, &request, sizeof(pixels), pixels), 0);
	for (uint32_t i = 0; i < SIDE * SIDE; i++) {
		CHECK_INT(pixels[i], 0xff0000ff);
	}
	gpu_rig_end(&rig);
}

/* An image that nobody outside can use is told so; the drivers here have no gbm. */
TEST(virgl_image_can_not_be_exported_here)
{
	struct gpu_rig rig;
	int BR_CLEANUP_FD fd = -1;
	start_virgl(&rig, 1, 7);
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
	start_virgl(&rig, 1, 7);
	clear_blue(&rig, 1, 7);
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
	start_virgl(&rig, 1, 7);
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

TEST(virgl_garbage_hurts_nobody_else)
{
	struct gpu_rig rig;
	uint32_t garbage[256];
	struct wk_submit odd = {.hdr = {.type = WK_SUBMIT, .ctx_id = 2}, .size = 7};
	struct wk_submit cut = {.hdr = {.type = WK_SUBMIT, .ctx_id = 2}, .size = 4096};
	struct wk_submit huge = {.hdr = {.type = WK_SUBMIT, .ctx_id = 2}, .size = 0xfffffffc};
	start_virgl(&rig, 1, 7);
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
	CHECK(transfer(&rig, WK_TRANSFER_TO_HOST, 2, 7) < 0);
	gpu_rig_fence(&rig, 2, 0, 1);
	clear_blue(&rig, 1, 7);
	gpu_rig_fence(&rig, 1, 0, 2);
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
	start_virgl(&rig, 1, 7);
	CHECK_INT(gpu_rig_ask(&rig, &request, sizeof(request), fd), 0);
	CHECK_INT(ftruncate(fd, (1 << 20) - 4), 0);
	CHECK_INT(gpu_rig_ask(&rig, &request, sizeof(request), fd), -EINVAL);
	gpu_rig_end(&rig);
}

TEST(bad_ids)
{
	struct gpu_rig rig;
	static const uint32_t types[] = {WK_UNREF, WK_ATTACH, WK_DETACH, WK_DETACH_BACKING};
	struct wk_create_3d create = image_request(7);
	start_virgl(&rig, 1, 7);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VIRGL2), -EEXIST);
	CHECK_INT(gpu_rig_context(&rig, 0, CAPSET_VIRGL2), -EINVAL);
	CHECK_INT(gpu_rig_context(&rig, 0x80000000, CAPSET_VIRGL2), -EINVAL);
	CHECK_INT(gpu_rig_context(&rig, 2, 3), -EINVAL);
	CHECK_INT(gpu_rig_context(&rig, 2, 0xffffffff), -EINVAL);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), -EEXIST);
	create = image_request(0);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), -EINVAL);
	create = image_request(0x80000007);
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), -EINVAL);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		CHECK_INT(gpu_rig_resource(&rig, types[i], 1, 8), -ENOENT);
	}
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 2, 7), -ENOENT);
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 0, 7), -ENOENT);
	CHECK_INT(transfer(&rig, WK_TRANSFER_TO_HOST, 1, 8), -ENOENT);
	CHECK_INT(transfer(&rig, WK_TRANSFER_TO_HOST, 5, 7), -ENOENT);
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
	start_virgl(&rig, 1, 7);
	CHECK_INT(attach_backing(&rig, 7), -EEXIST);
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
	start_virgl(&rig, 1, 7);
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
	CHECK(transfer(&rig, WK_TRANSFER_TO_HOST, 1, 7) < 0);
	const struct wk_entry small = {GPU_RIG_RAM_ADDRESS, 4096};
	request.n_entries = 1;
	CHECK_INT(gpu_rig_ask_with(&rig, &request, sizeof(request), &small, sizeof(small)), 0);
	CHECK(transfer(&rig, WK_TRANSFER_TO_HOST, 1, 7) < 0);
	CHECK(transfer(&rig, WK_TRANSFER_FROM_HOST, 1, 7) < 0);
	gpu_rig_end(&rig);
}

TEST(sizes_are_checked)
{
	struct gpu_rig rig;
	uint32_t pixels[SIDE * SIDE];
	struct wk_create_3d create = image_request(8);
	start_virgl(&rig, 1, 7);
	create.width = create.height = 0x80000000;
	CHECK_INT(gpu_rig_ask(&rig, &create, sizeof(create), -1), -ENOSPC);
	create = image_request(8);
	create.width = 0x10000;
	CHECK(gpu_rig_ask(&rig, &create, sizeof(create), -1) < 0);
	create = image_request(8);
	create.target = 0xffff;
	CHECK(gpu_rig_ask(&rig, &create, sizeof(create), -1) < 0);
	create = image_request(8);
	create.format = 0xffffffff;
	CHECK(gpu_rig_ask(&rig, &create, sizeof(create), -1) < 0);

	const struct wk_read_back good = {
		.resource_id = 7, .w = SIDE, .h = SIDE, .stride = SIDE * 4};
	const struct wk_read_back bad[] = {
		{.resource_id = 7, .x = 1, .w = SIDE, .h = SIDE, .stride = SIDE * 4},
		{.resource_id = 7, .w = SIDE, .h = SIDE, .stride = SIDE * 4 - 1},
		{.resource_id = 7, .w = SIDE, .h = SIDE, .stride = SIDE * 4, .offset = 4},
		{.resource_id = 7, .w = SIDE, .h = SIDE, .stride = SIDE * 4, .offset = UINT64_MAX},
		{.resource_id = 7, .w = SIDE, .h = SIDE, .stride = 0xffffffff},
		{.resource_id = 7, .w = 0, .h = 1, .stride = 4},
		{.resource_id = 7, .w = 1, .h = 0, .stride = 4},
		{.resource_id = 7, .x = UINT32_MAX, .w = 2, .h = 1, .stride = 8},
		{.resource_id = 7, .y = UINT32_MAX, .w = 1, .h = 2, .stride = 8},
		{.resource_id = 7, .y = SIDE, .w = 1, .h = 1, .stride = 4},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct wk_read_back request = bad[i];
		CHECK_INT(read_back(&rig, &request, sizeof(pixels), pixels), -EINVAL);
	}
	struct wk_read_back request = good;
	CHECK_INT(read_back(&rig, &request, sizeof(pixels), pixels), 0);
	gpu_rig_end(&rig);
}

/* Resources that only their number makes a problem; and what is done with them is told at a rate that the
 * device can bear. */
TEST_WITHIN(many_resources, 60)
{
	struct gpu_rig rig;
	struct wk_create_3d create = image_request(0);
	start_virgl(&rig, 1, 7);
	create.width = create.height = 1;
	for (uint32_t id = 100; id < 10100; id++) {
		create.resource_id = id;
		gpu_rig_send(&rig, &create, sizeof(create), -1);
	}
	for (uint32_t id = 100; id < 10100; id++) {
		create.resource_id = id; /* in use */
		gpu_rig_send(&rig, &create, sizeof(create), -1);
	}
	clear_blue(&rig, 1, 7);
	CHECK(rig.n_logs < 1000);
	CHECK_INT(gpu_rig_resource(&rig, WK_UNREF, 0, 10099), 0);
	CHECK_INT(gpu_rig_resource(&rig, WK_UNREF, 0, 10100), -ENOENT);
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
	start_virgl(&rig, 1, 7);
	fill_backing(&rig);
	/* More than the file has: refused, and nothing changes. */
	CHECK_INT(gpu_rig_ask(&rig, &request, sizeof(request), fd), -EINVAL);
	CHECK_INT(transfer(&rig, WK_TRANSFER_TO_HOST, 1, 7), 0);
	request.region.bytes = 4096;
	CHECK_INT(gpu_rig_ask(&rig, &request, sizeof(request), fd), 0);
	/* What has its pages keeps them. */
	memset(rig.ram, 0, GPU_RIG_RAM_BYTES);
	CHECK_INT(transfer(&rig, WK_TRANSFER_FROM_HOST, 1, 7), 0);
	const uint32_t want = pattern(5, 60);
	CHECK_MEM(backing(&rig, (60 * SIDE + 5) * 4), &want, 4);
	CHECK_INT(gpu_rig_resource(&rig, WK_DETACH_BACKING, 0, 7), 0);
	CHECK_INT(attach_backing(&rig, 7), -EFAULT);
	gpu_rig_end(&rig);
}

TEST(imported_memory_is_read_back)
{
	struct gpu_rig rig;
	uint32_t pixels[SIDE * SIDE] = {0};
	struct wk_import import = {
		.hdr.type = WK_IMPORT, .resource_id = 30, .kind = WK_SHM, .size = 65536};
	int BR_CLEANUP_FD fd = memfd_create("image", MFD_CLOEXEC);
	int BR_CLEANUP_FD exported_fd = -1;
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(ftruncate(fd, 65536), 0);
	/* The image starts at 400, and its rows have 300 bytes. */
	for (uint32_t y = 0; y < SIDE; y++) {
		for (uint32_t x = 0; x < SIDE; x++) {
			uint32_t pixel = pattern(x, y);
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
		.stride = SIDE * 4,
		.image_stride = 300,
		.image_offset = 400,
	};
	CHECK_INT(read_back(&rig, &request, sizeof(pixels), pixels), 0);
	for (uint32_t i = 0; i < SIDE * SIDE; i++) {
		uint32_t x = i % SIDE, y = i / SIDE;
		bool inside = x >= 3 && x < 23 && y >= 5 && y < 15;
		CHECK_INT(pixels[i], inside ? pattern(x, y) : 0);
	}
	request.image_stride = 91;
	CHECK_INT(read_back(&rig, &request, sizeof(pixels), pixels), -EINVAL);
	request.image_stride = 300;
	request.image_offset = 65536 - 14 * 300 - 91;
	CHECK_INT(read_back(&rig, &request, sizeof(pixels), pixels), -EINVAL);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, 30), 0);
	CHECK_INT(gpu_rig_export(&rig, 30, &exported_fd).kind, WK_SHM);
	gpu_rig_end(&rig);
}

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

static int create_ring(struct gpu_rig *rig, uint32_t ctx_id, uint32_t id)
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

TEST(venus_garbage_hurts_nobody_else)
{
	struct gpu_rig rig;
	uint32_t garbage[1024];
	gpu_rig_start(&rig, WK_VENUS);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(gpu_rig_context(&rig, 2, CAPSET_VENUS), 0);
	CHECK_INT(create_ring(&rig, 1, 10), 0);
	memset(garbage, 0xee, sizeof(garbage));
	(void)gpu_rig_submit(&rig, 1, garbage, 1024);
	gpu_rig_wait_log(&rig, "loses its GPU");
	CHECK_INT(rig.log_ctx_id, 1);
	gpu_rig_fence(&rig, 1, 0, 1);
	gpu_rig_fence(&rig, 1, 5, 2);
	CHECK_INT(create_ring(&rig, 1, 11), -ENODEV);
	CHECK_INT(gpu_rig_submit(&rig, 1, garbage, 1), -ENODEV);
	CHECK_INT(gpu_rig_resource(&rig, WK_ATTACH, 1, 10), -ENODEV);
	/* The other one, and one more. */
	CHECK_INT(create_ring(&rig, 2, 11), 0);
	gpu_rig_fence(&rig, 2, 0, 3);
	struct wk_header destroy = {.type = WK_CONTEXT_DESTROY, .ctx_id = 1};
	CHECK_INT(gpu_rig_ask(&rig, &destroy, sizeof(destroy), -1), 0);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(create_ring(&rig, 1, 12), 0);
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
	CHECK_INT(create_ring(&rig, 2, 10), 0);
	CHECK_INT(gpu_rig_processes(&rig, "virgl-2-", &pid, 1), 1);
	CHECK_INT(kill(pid, SIGKILL), 0);
	gpu_rig_wait_log(&rig, "loses its GPU");
	CHECK_INT(rig.log_ctx_id, 2);
	gpu_rig_fence(&rig, 2, 1, 1);
	CHECK_INT(gpu_rig_export(&rig, 10, &fd).err, 0);
	CHECK_INT(create_ring(&rig, 1, 11), 0);
	gpu_rig_fence(&rig, 1, 0, 2);
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
	CHECK_INT(create_ring(&rig, 2, 10), 0);
	CHECK_INT(gpu_rig_processes(&rig, "virgl-2-", &pid, 1), 1);
	CHECK_INT(kill(pid, SIGSTOP), 0);
	gpu_rig_ask_stuck(&rig, &create, sizeof(create), 30);
	CHECK(gpu_rig_answer(&rig) < 0);
	gpu_rig_wait_log(&rig, "loses its GPU");
	CHECK_INT(rig.log_ctx_id, 2);
	CHECK_INT(create_ring(&rig, 1, 12), 0);
	CHECK_INT(gpu_rig_context(&rig, 3, CAPSET_VENUS), 0);
	CHECK_INT(create_ring(&rig, 3, 13), 0);
	gpu_rig_end(&rig);
}

/* Without it there is no Venus any more: the worker ends, and the device gets another. */
TEST(killed_server_ends_the_worker)
{
	struct gpu_rig rig;
	pid_t pids[8];
	gpu_rig_start(&rig, WK_VENUS | WK_VIRGL);
	CHECK_INT(gpu_rig_processes(&rig, "virgl_render_se", pids, 8), 1);
	CHECK_INT(gpu_rig_context(&rig, 1, CAPSET_VENUS), 0);
	CHECK_INT(kill(pids[0], SIGKILL), 0);
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
