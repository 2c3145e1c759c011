/* SPDX-License-Identifier: MIT
 *
 * linux-dmabuf at the host's end, with files in place of dma-bufs: what the compositor is asked, what it
 * refuses, and what becomes wl_shm, copied or not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "test.h"

#include "br-tables.h"
#include "dmabuf.h"
#include "dmabuf_rig.h"
#include "fd.h"
#include "limits.h"
#include "relay.h"
#include "sock.h"

#define OUR_NAME 0xfffffff0u

/* --- a compositor with linux-dmabuf --- */

TEST(create_immed_waits_for_the_compositors_answer)
{
	struct fixture f;
	struct message m;
	start(&f, HR_PRESENT_AUTO, true);
	bind_theirs(&f);
	uint32_t params = create_params(&f, true);
	add_file(&f, 65536, 0, 400);
	expect(&f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, &m);
	REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, BUFFER, 100, 100, XR24,
		0);
	expect(&f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE, &m);
	CHECK_INT(m.words[2], XR24);
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, BUFFER, 0, 0);
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	expect_nothing(&f);
	event(&f, params, BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_CREATED, (const uint32_t[]){SERVER_ID},
	      1);
	expect(&f, 5, BR_REQ_WL_SURFACE_ATTACH, &m);
	CHECK_INT(m.words[0], SERVER_ID);
	expect(&f, 5, BR_REQ_WL_SURFACE_COMMIT, &m);
	CHECK_INT(f.host.dmabuf_frames, 1);
	CHECK_INT(f.host.copied_bytes, 0);
	/* Nobody tells when one of the compositor's ids is free: the client hears so at once. */
	event(&f, SERVER_ID, BR_EVT_WL_BUFFER_RELEASE, NULL, 0);
	expect_event(&f, BUFFER, BR_EVT_WL_BUFFER_RELEASE, &m);
	REQUEST(&f, BUFFER, BR_REQ_WL_BUFFER_DESTROY);
	expect(&f, SERVER_ID, BR_REQ_WL_BUFFER_DESTROY, &m);
	expect_event(&f, 1, BR_EVT_WL_DISPLAY_DELETE_ID, &m);
	CHECK_INT(m.words[0], BUFFER);
	CHECK_INT(f.closed, 0);
	tear_down(&f);
}

/* What it can't import becomes wl_shm in the same memory, for either request. */
static void check_refused(bool immed)
{
	struct fixture f;
	struct message m;
	start(&f, HR_PRESENT_AUTO, true);
	bind_theirs(&f);
	uint32_t params = create_params(&f, true), pool;
	add_file(&f, 65536, 400, 400);
	expect(&f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, &m);
	if (immed) {
		REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, BUFFER, 100,
			100, XR24, 0);
	} else {
		REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE, 100, 100, XR24, 0);
	}
	expect(&f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE, &m);
	event(&f, params, BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_FAILED, NULL, 0);
	expect(&f, 6, BR_REQ_WL_SHM_CREATE_POOL, &m);
	pool = m.words[0];
	CHECK_INT(m.words[1], 400 + 400 * 100);
	expect(&f, pool, BR_REQ_WL_SHM_POOL_CREATE_BUFFER, &m);
	const uint32_t geometry[] = {m.words[0], 400, 100, 100, 400, 1};
	CHECK(memcmp(m.words, geometry, sizeof(geometry)) == 0);
	uint32_t buffer = m.words[0];
	expect(&f, pool, BR_REQ_WL_SHM_POOL_DESTROY, &m);
	if (!immed) {
		expect_event(&f, PARAMS, BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_CREATED, &m);
		CHECK_INT(m.words[0], SERVER_ID);
	}
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, immed ? BUFFER : SERVER_ID, 0, 0);
	expect(&f, 5, BR_REQ_WL_SURFACE_ATTACH, &m);
	CHECK_INT(m.words[0], buffer);
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	expect(&f, 5, BR_REQ_WL_SURFACE_COMMIT, &m);
	CHECK_INT(f.host.dmabuf_frames, 0);
	CHECK_INT(f.host.copied_bytes, 0);
	CHECK_INT(f.closed, 0);
	tear_down(&f);
}

TEST(what_the_compositor_refuses_becomes_shm)
{
	check_refused(true);
	check_refused(false);
}

TEST(what_nobody_can_show_is_refused)
{
	struct fixture f;
	struct message m;
	start(&f, HR_PRESENT_AUTO, true);
	bind_theirs(&f);
	uint32_t params = create_params(&f, true);
	add_file(&f, 65536, 0, 400);
	expect(&f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, &m);
	/* y_invert */
	REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE, 100, 100, XR24, 1);
	expect(&f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE, &m);
	event(&f, params, BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_FAILED, NULL, 0);
	expect_event(&f, PARAMS, BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_FAILED, &m);
	CHECK_INT(f.closed, 0);
	tear_down(&f);
}

TEST(dmabuf_only_passes_everything_on)
{
	struct fixture f;
	struct message m;
	start(&f, HR_PRESENT_DMABUF, true);
	bind_theirs(&f);
	uint32_t params = create_params(&f, false);
	add_file(&f, 65536, 0, 400);
	expect(&f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, &m);
	REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, BUFFER, 100, 100, XR24,
		0);
	expect(&f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, &m);
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, BUFFER, 0, 0);
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	CHECK_INT(f.host.dmabuf_frames, 1);
	tear_down(&f);
}

/* A resource's memory may begin anywhere in its dma-buf. */
TEST(offsets_move)
{
	static const struct {
		uint64_t start;
		uint32_t offset;
		bool fits;
	} cases[] = {{4096, 16, true}, {4096, 0xffffffff, false}, {1ull << 32, 0, false}};
	for (size_t i = 0; i < 3; i++) {
		struct fixture f;
		struct message m;
		start(&f, HR_PRESENT_DMABUF, true);
		bind_theirs(&f);
		files_are_dmabufs = true;
		uint32_t params = create_params(&f, false);
		struct br_handle handle = {.fd = make_file(65536), .offset = cases[i].start};
		add_plane(&f, &handle, 0, cases[i].offset, 400);
		if (cases[i].fits) {
			expect(&f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, &m);
			CHECK_INT(m.words[1], 4096 + 16);
		} else {
			check_error(&f, PARAMS, BR_PARAMS_OUT_OF_BOUNDS, "offset");
		}
		tear_down(&f);
	}
}

/* --- a compositor without --- */

/* The client has our linux-dmabuf (version 3), the compositor's wl_compositor and a surface; the
 * compositor's id of our wl_shm is 3, the surface's *ret_surface. */
static void bind_ours(struct fixture *f, uint32_t *ret_surface)
{
	struct message m;
	skip(guest_in(f));
	bind_global(f, OUR_NAME, "zwp_linux_dmabuf_v1", 3, DMABUF);
	expect(f, REGISTRY, BR_REQ_WL_REGISTRY_BIND, &m);
	CHECK_INT(m.words[0], 2);
	CHECK_INT(m.words[m.n - 1], 3);
	expect(f, 1, BR_REQ_WL_DISPLAY_SYNC, &m);
	event(f, 3, BR_EVT_WL_SHM_FORMAT, (const uint32_t[]){0}, 1);
	event(f, 3, BR_EVT_WL_SHM_FORMAT, (const uint32_t[]){0x34324258}, 1);
	event(f, 3, BR_EVT_WL_SHM_FORMAT, (const uint32_t[]){0x3231564e}, 1); /* NV12 */
	event(f, m.words[0], BR_EVT_WL_CALLBACK_DONE, (const uint32_t[]){0}, 1);
	static const uint32_t formats[] = {0x34325241, XR24, 0x34324258};
	for (size_t i = 0; i < 3; i++) {
		struct message modifier;
		expect_event(f, DMABUF, BR_EVT_ZWP_LINUX_DMABUF_V1_MODIFIER, &modifier);
		CHECK_INT(modifier.words[0], formats[i]);
		CHECK_INT(modifier.words[1] | modifier.words[2], 0);
	}
	CHECK_INT(br_stream_bytes(guest_in(f)), 0);
	bind_global(f, 1, "wl_compositor", 4, COMPOSITOR);
	expect(f, REGISTRY, BR_REQ_WL_REGISTRY_BIND, &m);
	REQUEST(f, COMPOSITOR, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, SURFACE);
	expect(f, m.words[m.n - 1], BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, &m);
	*ret_surface = m.words[0];
	REQUEST(f, DMABUF, BR_REQ_ZWP_LINUX_DMABUF_V1_CREATE_PARAMS, PARAMS);
}

TEST(our_own_is_announced_behind_the_others)
{
	static const struct {
		enum hr_present present;
		bool theirs;
		uint32_t name; /* of linux-dmabuf as the guest sees it; 0: none */
	} cases[] = {
		{HR_PRESENT_AUTO, false, OUR_NAME}, {HR_PRESENT_AUTO, true, 3},
		{HR_PRESENT_SHM, false, OUR_NAME},  {HR_PRESENT_SHM, true, OUR_NAME},
		{HR_PRESENT_DMABUF, false, 0},	    {HR_PRESENT_DMABUF, true, 3},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		struct message m;
		start(&f, cases[i].present, cases[i].theirs);
		for (uint32_t name = 1; name <= 2; name++) {
			expect_event(&f, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL, &m);
			CHECK_INT(m.words[0], name);
		}
		if (cases[i].name != 0) {
			expect_event(&f, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL, &m);
			CHECK_INT(m.words[0], cases[i].name);
			CHECK_INT(strcmp((char *)&m.words[2], "zwp_linux_dmabuf_v1"), 0);
		}
		CHECK_INT(br_stream_bytes(guest_in(&f)), 0);
		tear_down(&f);
	}
}

TEST(bad_parameters)
{
	static const struct {
		uint32_t index, offset, stride, width, height;
		uint32_t code;
	} cases[] = {
		{4, 0, 400, 100, 100, BR_PARAMS_PLANE_IDX},
		{1, 0, 400, 100, 100, BR_PARAMS_INCOMPLETE},
		{0, 0, 400, 0, 100, BR_PARAMS_INVALID_DIMENSIONS},
		{0, 0, 400, 100, 0x80000000, BR_PARAMS_INVALID_DIMENSIONS},
		{0, 0, 399, 100, 100, BR_PARAMS_OUT_OF_BOUNDS},
		{0, 65536, 400, 100, 100, BR_PARAMS_OUT_OF_BOUNDS},
		{0, 0xffffff00, 400, 100, 100, BR_PARAMS_OUT_OF_BOUNDS},
		{0, 0, 0xffffffff, 100, 100, BR_PARAMS_OUT_OF_BOUNDS},
		{0, 0, 0x7fffffff, 100, 0x7fffffff, BR_PARAMS_OUT_OF_BOUNDS},
		{0, 0, 400, 0x7fffffff, 1, BR_PARAMS_OUT_OF_BOUNDS},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		uint32_t surface;
		start(&f, HR_PRESENT_SHM, false);
		bind_ours(&f, &surface);
		struct br_handle handle = {.fd = make_file(65536)};
		add_plane(&f, &handle, cases[i].index, cases[i].offset, cases[i].stride);
		if (f.closed == 0) {
			REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, BUFFER,
				cases[i].width, cases[i].height, XR24, 0);
		}
		check_error(&f, PARAMS, cases[i].code, "");
		tear_down(&f);
	}
}

TEST(used_parameters_and_planes)
{
	for (int again = 0; again < 2; again++) {
		struct fixture f;
		uint32_t surface;
		start(&f, HR_PRESENT_SHM, false);
		bind_ours(&f, &surface);
		add_file(&f, 65536, 0, 400);
		if (again) {
			REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, BUFFER,
				100, 100, XR24, 0);
			CHECK_INT(f.closed, 0);
			skip(&f.in);
		}
		add_file(&f, 65536, 0, 400);
		CHECK_INT(f.closed, 1);
		tear_down(&f);
	}
}

/* Memory in a virtual machine's window, beside that of others: the pool ends with it. */
TEST(memory_in_the_window_keeps_to_its_part)
{
	for (int fits = 0; fits < 2; fits++) {
		struct fixture f;
		struct message m;
		uint32_t surface;
		start(&f, HR_PRESENT_SHM, false);
		bind_ours(&f, &surface);
		struct br_handle handle = {
			.fd = make_file(1 << 20), .offset = 65536, .bytes = fits ? 40000 : 39999};
		add_plane(&f, &handle, 0, 0, 400);
		REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, BUFFER, 100,
			100, XR24, 0);
		if (!fits) {
			check_error(&f, PARAMS, BR_PARAMS_OUT_OF_BOUNDS, "");
		} else {
			expect(&f, 3, BR_REQ_WL_SHM_CREATE_POOL, &m);
			CHECK_INT(m.words[1], 65536 + 40000);
			expect(&f, m.words[0], BR_REQ_WL_SHM_POOL_CREATE_BUFFER, &m);
			CHECK_INT(m.words[1], 65536);
		}
		tear_down(&f);
	}
}

TEST(fds_in_hand_are_limited)
{
	struct fixture f;
	uint32_t surface;
	start(&f, HR_PRESENT_SHM, false);
	bind_ours(&f, &surface);
	for (uint32_t i = 0; i <= BR_LIMIT_KEPT_FDS && f.closed == 0; i++) {
		struct br_handle handle = {.fd = make_file(4096)};
		CHECK_INT(br_stream_push_handle_take(guest_out(&f), &handle), 0);
		REQUEST(&f, DMABUF, BR_REQ_ZWP_LINUX_DMABUF_V1_CREATE_PARAMS, BUFFER + i);
		REQUEST(&f, BUFFER + i, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, 0, 0, 64, 0, 0);
		CHECK_INT(f.closed, i == BR_LIMIT_KEPT_FDS);
	}
	CHECK_INT(f.closed, 1);
	tear_down(&f);
}

/* --- copies --- */

struct copy {
	struct fixture f;
	uint8_t *source, *copy; /* 40000 bytes: of the guest, of the compositor */
	uint32_t surface;
};

static void start_copy(struct copy *c)
{
	struct message m;
	struct br_handle pool;
	start(&c->f, HR_PRESENT_AUTO, false);
	bind_ours(&c->f, &c->surface);
	files_are_dmabufs = true;
	struct br_handle handle = {.fd = make_file(65536)};
	c->source = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, handle.fd, 0);
	CHECK(c->source != MAP_FAILED);
	for (size_t i = 0; i < 65536; i++) {
		c->source[i] = (uint8_t)(i * 2654435761u >> 24);
	}
	add_plane(&c->f, &handle, 0, 800, 400);
	REQUEST(&c->f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, BUFFER, 100, 100,
		XR24, 0);
	expect(&c->f, 3, BR_REQ_WL_SHM_CREATE_POOL, &m);
	CHECK_INT(m.words[1], 40000);
	CHECK(br_stream_pop_handle(&c->f.in, &pool));
	c->copy = mmap(NULL, 40000, PROT_READ, MAP_SHARED, pool.fd, 0);
	CHECK(c->copy != MAP_FAILED);
	br_fd_clear(&pool.fd);
	expect(&c->f, m.words[0], BR_REQ_WL_SHM_POOL_CREATE_BUFFER, &m);
	CHECK_INT(m.words[1], 0);
	skip(&c->f.in);
	REQUEST(&c->f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, BUFFER, 0, 0);
	expect(&c->f, c->surface, BR_REQ_WL_SURFACE_ATTACH, &m);
}

static void finish_copy(struct copy *c)
{
	CHECK_INT(c->f.closed, 0);
	tear_down(&c->f);
	(void)munmap(c->source, 65536);
	(void)munmap(c->copy, 40000);
}

TEST(a_commit_waits_for_its_copy)
{
	struct copy c;
	struct message m;
	start_copy(&c);
	REQUEST(&c.f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	/* What comes behind it waits, too. */
	REQUEST(&c.f, SURFACE, BR_REQ_WL_SURFACE_DAMAGE_BUFFER, 5, 7, 10, 20);
	read_requests(&c.f);
	CHECK_INT(br_stream_bytes(&c.f.in), 0);
	expect(&c.f, c.surface, BR_REQ_WL_SURFACE_COMMIT, &m);
	CHECK(memcmp(c.copy, c.source + 800, 40000) == 0);
	CHECK_INT(c.f.host.copied_bytes, 40000);
	expect(&c.f, c.surface, BR_REQ_WL_SURFACE_DAMAGE_BUFFER, &m);

	c.source[800 + 8 * 400 + 6 * 4] ^= 0xff;
	c.source[800 + 50 * 400] ^= 0xff; /* not damaged: stays behind */
	REQUEST(&c.f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	expect(&c.f, c.surface, BR_REQ_WL_SURFACE_COMMIT, &m);
	CHECK_INT(c.f.host.copied_bytes, 40000 + 10 * 20 * 4);
	CHECK_INT(c.copy[8 * 400 + 6 * 4], c.source[800 + 8 * 400 + 6 * 4]);
	CHECK(c.copy[50 * 400] != c.source[800 + 50 * 400]);
	CHECK_INT(c.f.host.dmabuf_frames, 0);
	finish_copy(&c);
}

TEST(clients_end_while_their_buffers_are_copied)
{
	struct copy c;
	start_copy(&c);
	REQUEST(&c.f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	finish_copy(&c);
}

/* A compositor that forgets a buffer in the middle of its copy. */
TEST(a_buffer_goes_while_it_is_copied)
{
	struct copy c;
	struct message m;
	start_copy(&c);
	REQUEST(&c.f, SURFACE, BR_REQ_WL_SURFACE_COMMIT);
	uint32_t id = br_relay_client_object(hr_client_relay(c.f.client), BUFFER)->server_id;
	event(&c.f, 1, BR_EVT_WL_DISPLAY_DELETE_ID, &id, 1);
	expect(&c.f, c.surface, BR_REQ_WL_SURFACE_COMMIT, &m);
	finish_copy(&c);
}
