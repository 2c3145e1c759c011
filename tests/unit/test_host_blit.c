/* SPDX-License-Identifier: MIT
 *
 * A dma-buf that the compositor refuses, and the copy of it that the GPU's worker draws.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

#include "../gpu/render.h"
#include "../gpu/resource.h"
#include "br-tables.h"
#include "dmabuf.h"
#include "dmabuf_rig.h"
#include "fd.h"
#include "hooks/hooks.h"
#include "relay.h"

/* The GPU's worker: what it was asked for, until it answers. Link with --wrap= of its functions. */
static struct {
	struct hr_resource *resource; /* behind all planes; NULL: they are only fds */
	struct hr_read_back *allocation;
	struct hr_read_back drawn; /* as it was asked for */
	void (*done)(void *data, int err);
	void *data;
} gpu;

struct hr_resource *__wrap_hr_copy_resource_of(const struct hr_hook_state *state,
					       const struct br_handle *memory);
struct hr_resource *__real_hr_copy_resource_of(const struct hr_hook_state *state,
					       const struct br_handle *memory);
int __wrap_hr_render_allocate(struct hr_resource *resource, struct hr_read_back *read_back,
			      void (*done)(void *data, int err), void *data, struct hr_ask **ask);
int __wrap_hr_render_read_back(struct hr_resource *resource, const struct hr_read_back *read_back,
			       void (*done)(void *data, int err), void *data, struct hr_ask **ask);
void __wrap_hr_render_cancel(struct hr_ask *ask);

struct hr_resource *__wrap_hr_copy_resource_of(const struct hr_hook_state *state,
					       const struct br_handle *memory)
{
	return gpu.resource != NULL ? gpu.resource : __real_hr_copy_resource_of(state, memory);
}

int __wrap_hr_render_allocate(struct hr_resource *resource, struct hr_read_back *read_back,
			      void (*done)(void *data, int err), void *data, struct hr_ask **ask)
{
	CHECK(resource == gpu.resource && gpu.done == NULL);
	gpu.allocation = read_back;
	gpu.done = done;
	gpu.data = data;
	*ask = (struct hr_ask *)&gpu;
	return 0;
}

int __wrap_hr_render_read_back(struct hr_resource *resource, const struct hr_read_back *read_back,
			       void (*done)(void *data, int err), void *data, struct hr_ask **ask)
{
	CHECK(resource == gpu.resource && gpu.done == NULL);
	gpu.drawn = *read_back;
	gpu.done = done;
	gpu.data = data;
	*ask = (struct hr_ask *)&gpu;
	return 0;
}

void __wrap_hr_render_cancel(struct hr_ask *ask)
{
	CHECK(ask == (struct hr_ask *)&gpu);
	gpu.done = NULL;
}

static void answer(int err)
{
	void (*done)(void *data, int err) = gpu.done;
	CHECK(done != NULL);
	gpu.done = NULL;
	done(gpu.data, err);
}

#define AR24 0x34325241u
#define AB24 0x34324241u

struct blit {
	struct fixture f;
	struct hr_resource resource;
	uint32_t params; /* the guest's, at the compositor */
};

/* The compositor refuses a tiled image of the GPU's. */
static void start_blit(struct blit *b)
{
	struct message m;
	*b = (struct blit){.resource = {.refs = 1, .blob_mem = 2, .gpu = HR_GPU_SHARED}};
	memset(&gpu, 0, sizeof(gpu));
	start(&b->f, HR_PRESENT_AUTO, true);
	gpu.resource = &b->resource;
	bind_theirs(&b->f);
	b->params = create_params(&b->f, true);
	struct br_handle handle = {.fd = make_file(65536)};
	CHECK_INT(br_stream_push_handle_take(guest_out(&b->f), &handle), 0);
	REQUEST(&b->f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, 0, 64, 512, 0x01000000, 2);
	expect(&b->f, b->params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, &m);
	REQUEST(&b->f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, BUFFER, 100, 80,
		AB24, 0);
	expect(&b->f, b->params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE, &m);
	event(&b->f, b->params, BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_FAILED, NULL, 0);
	REQUEST(&b->f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, BUFFER, 0, 0);
	expect_nothing(&b->f);
	CHECK(gpu.allocation != NULL);
	CHECK_INT(gpu.allocation->width, 100);
	CHECK_INT(gpu.allocation->height, 80);
	CHECK_INT(gpu.allocation->fourcc, AB24);
	CHECK_INT(gpu.allocation->n_planes, 1);
	CHECK_INT(gpu.allocation->plane_offsets[0], 64);
	CHECK_INT(gpu.allocation->plane_strides[0], 512);
	CHECK(gpu.allocation->modifier == (0x01000000ull << 32 | 2));
	CHECK_INT(gpu.allocation->target_fourcc, AR24);
}

static void finish_blit(struct blit *b)
{
	CHECK_INT(b->f.closed, 0);
	tear_down(&b->f);
	CHECK_INT(b->resource.refs, 1);
	CHECK(gpu.done == NULL);
}

/* The worker has an image; the compositor is asked. Returns the parameters of that. */
static uint32_t allocate(struct blit *b)
{
	struct message m;
	struct br_handle handle;
	gpu.allocation->fd = make_file(512 * 80);
	gpu.allocation->stride = 448;
	gpu.allocation->offset = 128;
	answer(0);
	expect(&b->f, DMABUF, BR_REQ_ZWP_LINUX_DMABUF_V1_CREATE_PARAMS, &m);
	uint32_t params = m.words[0];
	expect(&b->f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, &m);
	const uint32_t plane[] = {0, 128, 448, 0, 0};
	CHECK(memcmp(m.words, plane, sizeof(plane)) == 0);
	/* The first one is of the guest's own image. */
	CHECK(br_stream_pop_handle(&b->f.in, &handle));
	br_fd_clear(&handle.fd);
	CHECK(br_stream_pop_handle(&b->f.in, &handle));
	CHECK_INT(br_memory_bytes(handle.fd), 512 * 80);
	br_fd_clear(&handle.fd);
	expect(&b->f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE, &m);
	const uint32_t image[] = {100, 80, AR24, 0};
	CHECK(memcmp(m.words, image, sizeof(image)) == 0);
	expect_nothing(&b->f);
	return params;
}

static void expect_shm(struct blit *b)
{
	struct message m;
	expect(&b->f, 6, BR_REQ_WL_SHM_CREATE_POOL, &m);
	CHECK_INT(m.words[1], 100 * 80 * 4);
	expect(&b->f, m.words[0], BR_REQ_WL_SHM_POOL_CREATE_BUFFER, &m);
}

TEST(what_the_compositor_refuses_is_drawn_for_it)
{
	struct blit b;
	struct message m;
	start_blit(&b);
	uint32_t params = allocate(&b);
	event(&b.f, params, BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_CREATED,
	      (const uint32_t[]){SERVER_ID}, 1);
	expect(&b.f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_DESTROY, &m);
	expect(&b.f, 5, BR_REQ_WL_SURFACE_ATTACH, &m);
	CHECK_INT(m.words[0], SERVER_ID);
	/* Each commit waits until what has changed is drawn. */
	REQUEST(&b.f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	expect_nothing(&b.f);
	CHECK_INT(gpu.drawn.w, 100);
	CHECK_INT(gpu.drawn.h, 80);
	CHECK_INT(gpu.drawn.stride, 448);
	CHECK_INT(gpu.drawn.offset, 128);
	CHECK_INT(gpu.drawn.target_fourcc, AR24);
	answer(0);
	expect(&b.f, 5, BR_REQ_WL_SURFACE_COMMIT, &m);
	REQUEST(&b.f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, BUFFER, 0, 0);
	expect(&b.f, 5, BR_REQ_WL_SURFACE_ATTACH, &m);
	REQUEST(&b.f, SURFACE, BR_REQ_WL_SURFACE_DAMAGE_BUFFER, 5, 7, 10, 20);
	expect(&b.f, 5, BR_REQ_WL_SURFACE_DAMAGE_BUFFER, &m);
	REQUEST(&b.f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	CHECK_INT(gpu.drawn.x, 5);
	CHECK_INT(gpu.drawn.y, 7);
	CHECK_INT(gpu.drawn.w, 10);
	answer(0);
	expect(&b.f, 5, BR_REQ_WL_SURFACE_COMMIT, &m);
	finish_blit(&b);
}

TEST(what_can_not_be_drawn_becomes_shm)
{
	struct blit b;
	struct message m;
	start_blit(&b);
	answer(-ENOTSUP);
	expect_shm(&b);
	finish_blit(&b);

	start_blit(&b);
	uint32_t params = allocate(&b);
	event(&b.f, params, BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_FAILED, NULL, 0);
	expect(&b.f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_DESTROY, &m);
	expect_shm(&b);
	finish_blit(&b);
}

TEST(clients_end_while_a_copy_is_made)
{
	struct blit b;
	start_blit(&b);
	finish_blit(&b);
	start_blit(&b);
	(void)allocate(&b);
	finish_blit(&b);
}

/* The linux-dmabuf that it could be asked with is gone. */
TEST(nobody_to_ask_for_a_copy)
{
	struct blit b;
	start_blit(&b);
	struct br_object *dmabuf = br_relay_client_object(hr_client_relay(b.f.client), DMABUF);
	dmabuf->state = BR_OBJECT_ZOMBIE;
	gpu.allocation->fd = make_file(512 * 80);
	answer(0);
	expect_shm(&b);
	dmabuf->state = BR_OBJECT_LIVE;
	finish_blit(&b);
}
