/* SPDX-License-Identifier: MIT
 *
 * Mirrored wl_shm pools of causeway-guest: requests of a client go through a relay with the real
 * hooks; the memory that the host would share is looked at, and so are the bytes counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

#include "br-tables.h"
#include "fd.h"
#include "hooks_rig.h"
#include "limits.h"
#include "relay.h"

/* A file of 1 MiB with no two rows alike, and a pool of pool_bytes in it. */
static void create_pool(struct fixture *f, uint32_t pool_bytes)
{
	f->file = memfd_create("pool", MFD_CLOEXEC);
	CHECK(f->file >= 0 && ftruncate(f->file, 1 << 20) == 0);
	f->pixels = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, f->file, 0);
	CHECK(f->pixels != MAP_FAILED);
	for (unsigned i = 0; i < 1 << 20; i++) {
		f->pixels[i] = (uint8_t)(i * 2654435761u >> 24);
	}
	struct br_handle handle = {.fd = br_fd_dup(f->file)};
	CHECK_INT(br_stream_push_handle_take(br_relay_input(f->relay, BR_REQUEST), &handle), 0);
	REQUEST(f, SHM, BR_REQ_WL_SHM_CREATE_POOL, POOL, pool_bytes);
}

static void create_buffer(struct fixture *f, uint32_t id, uint32_t offset, uint32_t width,
			  uint32_t height, uint32_t stride)
{
	REQUEST(f, POOL, BR_REQ_WL_SHM_POOL_CREATE_BUFFER, id, offset, width, height, stride, 0);
}

TEST(copies_only_the_damage)
{
	struct fixture f;
	start(&f);
	create_pool(&f, 1 << 20);
	create_buffer(&f, BUFFER, 0, 256, 200, 1024);
	attach(&f, BUFFER);
	CHECK_INT(commit(&f), 1024 * 200); /* first: all of it */
	CHECK(memcmp(blobs[1]->map, f.pixels, 1024 * 200) == 0);
	CHECK_INT(commit(&f), 0);

	f.pixels[10 * 1024 + 7 * 4] ^= 0xff;
	f.pixels[100 * 1024] ^= 0xff; /* not damaged: stays behind */
	damage(&f, 4, 8, 64, 64);
	CHECK_INT(commit(&f), 64 * 64 * 4);
	CHECK_INT(blobs[1]->map[10 * 1024 + 7 * 4], f.pixels[10 * 1024 + 7 * 4]);
	CHECK(blobs[1]->map[100 * 1024] != f.pixels[100 * 1024]);
	CHECK_INT(f.stats.full_frames, 1);
	finish(&f);
}

TEST(damage_adds_up_per_buffer)
{
	struct fixture f;
	start(&f);
	create_pool(&f, 1 << 20);
	create_buffer(&f, BUFFER, 0, 100, 100, 400);
	create_buffer(&f, BUFFER2, 40000, 100, 100, 400);
	attach(&f, BUFFER);
	(void)commit(&f);
	attach(&f, BUFFER2);
	damage(&f, 0, 0, 10, 10);
	CHECK_INT(commit(&f), 40000); /* its first time */
	attach(&f, BUFFER);
	damage(&f, 50, 50, 10, 10);
	/* What changed while the other one was shown, too. */
	CHECK_INT(commit(&f), 2 * 10 * 10 * 4);
	attach(&f, BUFFER2);
	damage(&f, 50, 50, 10, 10);
	CHECK_INT(commit(&f), 10 * 10 * 4);
	finish(&f);
}

TEST(surface_damage_is_scaled_and_viewports_copy_all)
{
	struct fixture f;
	start(&f);
	create_pool(&f, 1 << 20);
	create_buffer(&f, BUFFER, 0, 100, 100, 400);
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_SET_BUFFER_SCALE, 2);
	attach(&f, BUFFER);
	(void)commit(&f);
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_DAMAGE, 1, 1, 5, 5);
	CHECK_INT(commit(&f), 10 * 10 * 4);
	REQUEST(&f, VIEWPORTER, BR_REQ_WP_VIEWPORTER_GET_VIEWPORT, BUFFER2, SURFACE);
	REQUEST(&f, BUFFER2, BR_REQ_WP_VIEWPORT_SET_DESTINATION, 30, 30);
	(void)commit(&f);
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_DAMAGE, 1, 1, 5, 5);
	CHECK_INT(commit(&f), 40000);
	damage(&f, 0, 0, 3, 3);
	CHECK_INT(commit(&f), 36);
	CHECK(!br_relay_failed(f.relay));
	finish(&f);
}

TEST(waits_for_the_hosts_memory)
{
	struct fixture f;
	start(&f);
	alloc_later = true;
	struct br_stream *out = br_relay_output(f.relay, BR_REQUEST);
	size_t before = br_stream_bytes(out);
	create_pool(&f, 4096);
	create_buffer(&f, BUFFER, 0, 10, 10, 40);
	CHECK_INT(br_stream_bytes(out), before);
	finish_alloc(0);
	br_relay_resume(f.relay, BR_REQUEST);
	CHECK_INT(br_relay_dispatch(f.relay, BR_REQUEST), 0);
	CHECK(br_stream_bytes(out) > before);
	CHECK_INT(br_stream_handle_count(out), 1);
	CHECK_INT(out->handles[out->handle_head].handle.res_id, 1);
	CHECK_INT(out->handles[out->handle_head].handle.fd, -1);
	finish(&f);
}

TEST(no_memory_on_the_host_ends_the_client)
{
	struct fixture f;
	start(&f);
	alloc_later = true;
	create_pool(&f, 4096);
	finish_alloc(-ENOSPC);
	br_relay_resume(f.relay, BR_REQUEST);
	CHECK_INT(br_relay_dispatch(f.relay, BR_REQUEST), -EPROTO);
	CHECK_INT(error_code(&f), 2);
	finish(&f);
}

TEST(resize_moves_new_buffers_only)
{
	struct fixture f;
	start(&f);
	create_pool(&f, 40000);
	create_buffer(&f, BUFFER, 0, 100, 100, 400);
	REQUEST(&f, POOL, BR_REQ_WL_SHM_POOL_RESIZE, 80000);
	CHECK(blobs[2] != NULL && blobs[2]->size >= 80000);
	create_buffer(&f, BUFFER2, 40000, 100, 100, 400);
	attach(&f, BUFFER);
	CHECK_INT(commit(&f), 40000);
	CHECK(memcmp(blobs[1]->map, f.pixels, 40000) == 0);
	attach(&f, BUFFER2);
	CHECK_INT(commit(&f), 40000);
	CHECK(memcmp(blobs[2]->map + 40000, f.pixels + 40000, 40000) == 0);
	/* Once more within what is there, then beyond the file, then smaller. */
	REQUEST(&f, POOL, BR_REQ_WL_SHM_POOL_RESIZE, 81000);
	CHECK(!br_relay_failed(f.relay));
	REQUEST(&f, POOL, BR_REQ_WL_SHM_POOL_RESIZE, 80999);
	CHECK_INT(error_code(&f), 2);
	finish(&f);
}

/* The host deletes the pool that it was given after a resize: nobody may go on using that. */
TEST(a_pool_that_the_host_deletes_is_forgotten)
{
	struct fixture f;
	start(&f);
	create_pool(&f, 40000);
	REQUEST(&f, POOL, BR_REQ_WL_SHM_POOL_RESIZE, 80000);
	/* Server ids are dense: the pool's is as the client's, the next is the successor's. */
	const uint32_t event[] = {1, 12 << 16 | BR_EVT_WL_DISPLAY_DELETE_ID, POOL + 1};
	CHECK(br_relay_server_object(f.relay, POOL + 1) != NULL);
	CHECK_INT(br_stream_write(br_relay_input(f.relay, BR_EVENT), event, sizeof(event)), 0);
	CHECK_INT(br_relay_dispatch(f.relay, BR_EVENT), 0);
	CHECK(br_relay_server_object(f.relay, POOL + 1) == NULL);
	create_buffer(&f, BUFFER, 0, 100, 100, 400);
	REQUEST(&f, POOL, BR_REQ_WL_SHM_POOL_RESIZE, 200000);
	CHECK(br_relay_server_object(f.relay, POOL + 1) != NULL);
	REQUEST(&f, POOL, BR_REQ_WL_SHM_POOL_RESIZE, 400000);
	/* A pool that ends takes its successor along; what comes later is about neither. */
	request(&f, POOL, BR_REQ_WL_SHM_POOL_DESTROY, NULL, 0);
	CHECK(!br_relay_failed(f.relay));
	finish(&f);
}

/* The same when the client's pool goes first. */
TEST(a_successor_outlives_its_pool)
{
	struct fixture f;
	start(&f);
	create_pool(&f, 40000);
	REQUEST(&f, POOL, BR_REQ_WL_SHM_POOL_RESIZE, 80000);
	const uint32_t event[] = {1, 12 << 16 | BR_EVT_WL_DISPLAY_DELETE_ID, POOL,
				  1, 12 << 16 | BR_EVT_WL_DISPLAY_DELETE_ID, POOL + 1};
	CHECK_INT(br_stream_write(br_relay_input(f.relay, BR_EVENT), event, sizeof(event)), 0);
	CHECK_INT(br_relay_dispatch(f.relay, BR_EVENT), 0);
	CHECK(br_relay_server_object(f.relay, POOL + 1) == NULL);
	finish(&f);
}

/* Of a pool of half a gigabyte only the buffers cost memory, also when it came to be one by a resize. */
static void check_large_pool(bool by_resize)
{
	const uint32_t large = 512u << 20, offset = 300u << 20;
	struct fixture f;
	start(&f);
	create_pool(&f, by_resize ? 40000 : 4096);
	CHECK_INT(ftruncate(f.file, large), 0);
	CHECK_INT(pwrite(f.file, f.pixels, 40000, offset), 40000);
	if (!by_resize) {
		struct br_handle handle = {.fd = br_fd_dup(f.file)};
		CHECK_INT(br_stream_push_handle_take(br_relay_input(f.relay, BR_REQUEST), &handle),
			  0);
		REQUEST(&f, POOL, BR_REQ_WL_SHM_POOL_DESTROY);
		REQUEST(&f, SHM, BR_REQ_WL_SHM_CREATE_POOL, BUFFER, large);
	} else {
		create_buffer(&f, BUFFER, 0, 100, 100, 400);
		REQUEST(&f, POOL, BR_REQ_WL_SHM_POOL_RESIZE, large);
	}
	uint32_t pool = by_resize ? POOL : BUFFER;
	REQUEST(&f, pool, BR_REQ_WL_SHM_POOL_CREATE_BUFFER, BUFFER2, offset, 100, 100, 400, 0);
	CHECK(!br_relay_failed(f.relay));
	struct gp_blob *blob = blobs[next_res_id - 1];
	CHECK(blob->size < 65536);
	attach(&f, BUFFER2);
	CHECK_INT(commit(&f), 40000);
	CHECK(memcmp(blob->map, f.pixels, 40000) == 0);
	CHECK_INT(pwrite(f.file, "changed", 8, offset + 400 * 5 + 4 * 3), 8);
	damage(&f, 3, 5, 2, 1);
	CHECK_INT(commit(&f), 8);
	CHECK(memcmp(blob->map + 400 * 5 + 4 * 3, "changed", 8) == 0);
	/* What the pool had before still mirrors into the memory of before. */
	if (by_resize) {
		attach(&f, BUFFER);
		CHECK_INT(commit(&f), 40000);
		CHECK(memcmp(blobs[1]->map, f.pixels, 40000) == 0);
	}
	REQUEST(&f, pool, BR_REQ_WL_SHM_POOL_DESTROY);
	attach(&f, BUFFER2);
	CHECK(!br_relay_failed(f.relay));
	/* Messages in the order and with the sizes that a server takes are the integration tests' matter. */
	finish(&f);
}

TEST(large_pools_cost_what_is_in_them)
{
	check_large_pool(false);
	check_large_pool(true);
}

TEST(buffers_outlive_their_pool)
{
	struct fixture f;
	start(&f);
	create_pool(&f, 40000);
	create_buffer(&f, BUFFER, 0, 100, 100, 400);
	request(&f, POOL, BR_REQ_WL_SHM_POOL_DESTROY, NULL, 0);
	gp_state_release_retired(&f.state);
	CHECK(blobs[1] != NULL);
	attach(&f, BUFFER);
	CHECK_INT(commit(&f), 40000);
	request(&f, BUFFER, BR_REQ_WL_BUFFER_DESTROY, NULL, 0);
	CHECK(blobs[1] != NULL); /* what is queued may name it */
	gp_state_release_retired(&f.state);
	CHECK(blobs[1] == NULL);
	damage(&f, 0, 0, 1, 1);
	CHECK_INT(commit(&f), 0);
	CHECK(!br_relay_failed(f.relay));
	finish(&f);
}

TEST(bad_geometry)
{
	static const uint32_t bad[][4] = {
		/* offset, width, height, stride */
		{0, 0, 1, 4},	       {0, 1, 0, 4},
		{0, 100, 101, 400},    {4, 100, 100, 400},
		{0xffffffff, 1, 1, 4}, {0, 0x7fffffff, 0x7fffffff, 0x7fffffff},
		{0x7fffffff, 1, 1, 4}, {0, 100, 100, 99},
		{0, 0x80000000, 1, 4},
	};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fixture f;
		start(&f);
		create_pool(&f, 40000);
		create_buffer(&f, BUFFER, bad[i][0], bad[i][1], bad[i][2], bad[i][3]);
		CHECK_INT(error_code(&f), 1);
		finish(&f);
	}
}

TEST(bad_pools)
{
	static const struct {
		uint32_t size, code;
	} bad[] = {{0, 1}, {0xffffffff, 1}, {BR_LIMIT_POOL_BYTES + 1, 1}, {(1 << 20) + 1, 2}};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fixture f;
		start(&f);
		create_pool(&f, bad[i].size);
		CHECK_INT(error_code(&f), bad[i].code);
		finish(&f);
	}
}

TEST(a_file_cut_short_ends_its_client_only)
{
	struct fixture f;
	start(&f);
	create_pool(&f, 1 << 20);
	create_buffer(&f, BUFFER, 0, 256, 200, 1024);
	attach(&f, BUFFER);
	CHECK(ftruncate(f.file, 4096) == 0);
	(void)commit(&f);
	CHECK_INT(error_code(&f), 2);
	finish(&f);
}

TEST(binds_what_was_announced_only)
{
	struct fixture f;
	start(&f);
	uint32_t bind[] = {12, 7, 0, 0, 1, POOL}; /* name 12 is the viewporter */
	memcpy(&bind[2], "wl_shm", 7);
	request(&f, REGISTRY, BR_REQ_WL_REGISTRY_BIND, bind, 6);
	CHECK_INT(error_code(&f), 0);
	finish(&f);
}
