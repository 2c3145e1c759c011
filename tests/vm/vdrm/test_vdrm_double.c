/* SPDX-License-Identifier: MIT
 *
 * The GPU worker on a libvirglrenderer with native contexts, which is the test double.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../unit/gpu_rig.h"
#include "crayon.h"
#include "fd.h"
#include "test.h"

/* VIRTIO_GPU_BLOB_* */
enum { MEM_HOST3D = 2, FLAG_MAPPABLE = 1, FLAG_SHAREABLE = 2 };
enum { SHMEM_ID = 10, IMAGE_ID, CTX_ID = 1 };
#define SHMEM_BYTES 0x4000u
#define SIDE 64u
#define STRIDE (SIDE * CRAYON_PIXEL_BYTES)
#define IMAGE_BYTES (STRIDE * SIDE)

/* A context of a guest's, with its shared memory. */
struct guest {
	struct gpu_rig rig;
	uint8_t *shmem;
	uint32_t seqno;
};

static int make_blob(struct gpu_rig *rig, uint32_t id, uint64_t blob_id, uint32_t flags,
		     uint64_t size)
{
	struct wk_create_blob request = {
		.hdr = {.type = WK_CREATE_BLOB, .ctx_id = CTX_ID},
		.resource_id = id,
		.blob_mem = MEM_HOST3D,
		.blob_flags = flags,
		.blob_id = blob_id,
		.size = size,
	};
	return gpu_rig_ask(rig, &request, sizeof(request), -1);
}

/* Map what the worker exports, which has to be of that kind. */
static void *map(struct gpu_rig *rig, uint32_t id, uint32_t kind, size_t size)
{
	int BR_CLEANUP_FD fd = -1;
	struct wk_exported exported = gpu_rig_export(rig, id, &fd);
	CHECK_INT(exported.err, 0);
	CHECK_INT(exported.kind, kind);
	CHECK_INT(exported.map_info, 1); /* VIRTIO_GPU_MAP_CACHE_CACHED */
	CHECK_INT(exported.n_planes, 0);
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(at != MAP_FAILED);
	return at;
}

static void start(struct guest *guest)
{
	*guest = (struct guest){0};
	gpu_rig_start(&guest->rig, WK_DRM);
	CHECK_INT(gpu_rig_context(&guest->rig, CTX_ID, VDRM_CAPSET_ID), 0);
	CHECK_INT(make_blob(&guest->rig, SHMEM_ID, 0, FLAG_MAPPABLE, SHMEM_BYTES), 0);
	guest->shmem = map(&guest->rig, SHMEM_ID, WK_SHM, SHMEM_BYTES);
}

static int submit(struct guest *guest, void *command, uint32_t cmd, uint32_t len)
{
	struct vdrm_request *request = command;
	*request = (struct vdrm_request){.cmd = cmd, .len = len, .seqno = ++guest->seqno};
	return gpu_rig_submit(&guest->rig, CTX_ID, command, len / 4);
}

static uint32_t shown_seqno(const struct guest *guest)
{
	return ((const volatile struct vdrm_shmem *)guest->shmem)->seqno;
}

/* Memory for an image, and a resource of it, attached. */
static uint8_t *make_image(struct guest *guest, uint32_t id, uint64_t blob_id)
{
	struct crayon_gem_new gem_new = {.blob_id = blob_id, .size = IMAGE_BYTES};
	CHECK_INT(submit(guest, &gem_new, CRAYON_GEM_NEW, sizeof(gem_new)), 0);
	CHECK_INT(make_blob(&guest->rig, id, blob_id, FLAG_MAPPABLE | FLAG_SHAREABLE, IMAGE_BYTES),
		  0);
	CHECK_INT(gpu_rig_resource(&guest->rig, WK_ATTACH, CTX_ID, id), 0);
	return map(&guest->rig, id, WK_DMABUF, IMAGE_BYTES);
}

static int fill(struct guest *guest, uint32_t ring, uint32_t gate, uint32_t color)
{
	struct crayon_fill command = {
		.res_id = IMAGE_ID,
		.ring = ring,
		.gate = gate,
		.stride = STRIDE,
		.x = 8,
		.y = 8,
		.w = SIDE - 16,
		.h = SIDE - 16,
		.color = color,
		.tiled = true,
	};
	return submit(guest, &command, CRAYON_FILL, sizeof(command));
}

static uint32_t pixel(const uint8_t *image, uint32_t x, uint32_t y)
{
	uint32_t color;
	memcpy(&color, image + crayon_offset(true, STRIDE, x, y), sizeof(color));
	return color;
}

static void add_fence(struct guest *guest, uint32_t ring, uint64_t id)
{
	struct wk_fence fence = {
		.hdr = {.type = WK_FENCE, .ctx_id = CTX_ID},
		.ring_idx = ring,
		.id = id,
	};
	gpu_rig_send(&guest->rig, &fence, sizeof(fence), -1);
}

TEST(start_with_native_contexts)
{
	struct gpu_rig rig;
	gpu_rig_start(&rig, WK_DRM);
	CHECK_INT(rig.ready.flags, WK_DRM);
	CHECK_INT(rig.capset_bytes[VDRM_CAPSET_ID], 592);
	CHECK_STR(rig.ready.text[2], "a driver of type 25458");
	CHECK_INT(rig.capset_bytes[4], 0);
	CHECK_INT(gpu_rig_context(&rig, CTX_ID, 4), -EINVAL);
	gpu_rig_end(&rig);
}

TEST(start_with_a_driver_that_is_known)
{
	struct gpu_rig rig;
	CHECK_INT(setenv("VDRM_DOUBLE", "asahi", 1), 0);
	gpu_rig_start(&rig, WK_DRM);
	CHECK_STR(rig.ready.text[2], "asahi 1.0");
	gpu_rig_end(&rig);
}

TEST(commands_and_answers)
{
	struct guest guest;
	struct crayon_gem_new gem_new = {.blob_id = 1, .size = IMAGE_BYTES};
	start(&guest);
	const struct vdrm_shmem *shmem = (const struct vdrm_shmem *)guest.shmem;
	CHECK_INT(shown_seqno(&guest), 0);
	CHECK_INT(submit(&guest, &gem_new, CRAYON_GEM_NEW, sizeof(gem_new)), 0);
	CHECK_INT(shown_seqno(&guest), 1);
	struct crayon_gem_new_response response;
	memcpy(&response, guest.shmem + shmem->rsp_mem_offset, sizeof(response));
	CHECK_INT(response.hdr.len, sizeof(response));
	CHECK_INT(response.err, 0);
	CHECK_INT(submit(&guest, &gem_new, CRAYON_GEM_NEW, sizeof(gem_new)), 0);
	memcpy(&response, guest.shmem + shmem->rsp_mem_offset, sizeof(response));
	CHECK_INT(response.err, -EEXIST);
	gpu_rig_end(&guest.rig);
}

TEST(one_shared_memory_in_a_context)
{
	struct guest guest;
	start(&guest);
	CHECK_INT(make_blob(&guest.rig, 20, 0, FLAG_MAPPABLE, SHMEM_BYTES), -EINVAL);
	CHECK_INT(make_blob(&guest.rig, 20, 77, FLAG_MAPPABLE, IMAGE_BYTES), -EINVAL);
	gpu_rig_end(&guest.rig);
}

TEST(drawing_is_done_at_the_fence)
{
	struct guest guest;
	start(&guest);
	uint8_t *image = make_image(&guest, IMAGE_ID, 1);
	CHECK_INT(fill(&guest, 1, 0, 0xff8000), 0);
	gpu_rig_fence(&guest.rig, CTX_ID, 1, 100);
	CHECK_INT(pixel(image, 7, 7), 0);
	CHECK_INT(pixel(image, 8, 8), 0xff8000);
	CHECK_INT(pixel(image, SIDE - 9, SIDE - 9), 0xff8000);
	CHECK_INT(pixel(image, SIDE - 8, 20), 0);
	gpu_rig_end(&guest.rig);
}

TEST(rings_are_done_in_their_own_order)
{
	struct guest guest;
	struct crayon_gate gate = {.value = 1};
	start(&guest);
	uint8_t *image = make_image(&guest, IMAGE_ID, 1);
	CHECK_INT(fill(&guest, 1, 1, 0x111111), 0);
	add_fence(&guest, 1, 100);
	CHECK_INT(fill(&guest, 2, 0, 0x222222), 0);
	add_fence(&guest, 2, 101);
	add_fence(&guest, 0, 102);
	gpu_rig_wait_fence(&guest.rig, 101);
	gpu_rig_wait_fence(&guest.rig, 102);
	CHECK_INT(pixel(image, 20, 20), 0x222222);
	CHECK_INT(guest.rig.n_fences, 2);
	CHECK_INT(submit(&guest, &gate, CRAYON_GATE, sizeof(gate)), 0);
	gpu_rig_wait_fence(&guest.rig, 100);
	CHECK_INT(pixel(image, 20, 20), 0x111111);
	CHECK_INT(guest.rig.n_fences, 3);
	gpu_rig_end(&guest.rig);
}

/* What was never submitted to has nothing to wait for. */
TEST(fence_of_an_idle_ring)
{
	struct guest guest;
	start(&guest);
	gpu_rig_fence(&guest.rig, CTX_ID, 3, 100);
	gpu_rig_end(&guest.rig);
}

TEST(context_ends_while_its_gpu_works)
{
	struct guest guest;
	struct wk_header destroy = {.type = WK_CONTEXT_DESTROY, .ctx_id = CTX_ID};
	start(&guest);
	(void)make_image(&guest, IMAGE_ID, 1);
	CHECK_INT(fill(&guest, 1, 1000, 0x111111), 0);
	add_fence(&guest, 1, 100);
	CHECK_INT(gpu_rig_ask(&guest.rig, &destroy, sizeof(destroy), -1), 0);
	gpu_rig_wait_fence(&guest.rig, 100);
	gpu_rig_end(&guest.rig);
}

TEST(memory_that_nobody_may_have)
{
	struct guest guest;
	int fd = -1;
	struct crayon_gem_new gem_new = {
		.blob_id = 1, .size = IMAGE_BYTES, .flags = CRAYON_GEM_PRIVATE};
	start(&guest);
	CHECK_INT(submit(&guest, &gem_new, CRAYON_GEM_NEW, sizeof(gem_new)), 0);
	CHECK_INT(make_blob(&guest.rig, IMAGE_ID, 1, FLAG_MAPPABLE, IMAGE_BYTES), 0);
	CHECK_INT(gpu_rig_export(&guest.rig, IMAGE_ID, &fd).err, -ENOTSUP);
	CHECK_INT(fd, -1);
	CHECK_INT(gpu_rig_resource(&guest.rig, WK_ATTACH, CTX_ID, IMAGE_ID), 0);
	CHECK_INT(fill(&guest, 1, 0, 0x333333), 0);
	gpu_rig_fence(&guest.rig, CTX_ID, 1, 100);
	gpu_rig_end(&guest.rig);
}

TEST(nonsense_is_refused_and_no_more)
{
	struct guest guest;
	uint32_t junk[4] = {CRAYON_NOP, 1000, 1, 0};
	struct crayon_fill far = {.res_id = IMAGE_ID, .ring = 1, .stride = STRIDE, .h = 1u << 31};
	start(&guest);
	(void)make_image(&guest, IMAGE_ID, 1);
	CHECK(gpu_rig_submit(&guest.rig, CTX_ID, junk, 4) < 0);
	CHECK(submit(&guest, &far, CRAYON_FILL, sizeof(far)) < 0);
	CHECK(fill(&guest, 0, 0, 1) < 0);
	CHECK_INT(gpu_rig_resource(&guest.rig, WK_DETACH, CTX_ID, IMAGE_ID), 0);
	CHECK(fill(&guest, 1, 0, 1) < 0);
	CHECK_INT(gpu_rig_context(&guest.rig, 2, VDRM_CAPSET_ID), 0);
	gpu_rig_end(&guest.rig);
}
