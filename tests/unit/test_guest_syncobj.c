/* SPDX-License-Identifier: MIT
 *
 * linux-drm-syncobj, ended in the proxy: timelines are the rig's, dma-bufs are files.
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

#define XR24 0x34325258u
#define MANAGER_NAME 0xfffffff2u
#define SYNC_CALLBACK 3 /* of the server: behind its registry */

enum { DMABUF = POOL, MANAGER, SYNC, ACQUIRE, RELEASE, PARAMS, DMABUF_A, PARAMS_B, DMABUF_B, NEXT };

enum { SURFACE_EXISTS, INVALID_TIMELINE };
enum { NO_SURFACE = 1, UNSUPPORTED, NO_BUFFER, NO_ACQUIRE, NO_RELEASE, CONFLICT };

static int import_all(int fd, struct gp_blob **ret_blob)
{
	struct gp_blob *blob = calloc(1, sizeof(*blob));
	CHECK(fd >= 0 && blob != NULL && next_res_id < 16);
	blob->refs = 1;
	blob->res_id = next_res_id++;
	blobs[blob->res_id] = blob;
	*ret_blob = blob;
	return 0;
}

static int waited_fd;

static int wait_readable(struct gp_state *state, int fd)
{
	CHECK(fd >= 0);
	waited_fd = fd;
	state->waiting = true;
	return 0;
}

static void event(struct fixture *f, uint32_t server_id, uint32_t opcode, uint32_t arg, bool has)
{
	const uint32_t words[] = {server_id, (has ? 12u : 8u) << 16 | opcode, arg};
	CHECK_INT(br_stream_write(br_relay_input(f->relay, BR_EVENT), words, has ? 12 : 8), 0);
	CHECK_INT(br_relay_dispatch(f->relay, BR_EVENT), 0);
}

/* A file of so many bytes, for the program's next request. */
static void push_file(struct fixture *f, off_t size)
{
	struct br_handle handle = {.fd = memfd_create("sync", MFD_CLOEXEC)};
	CHECK(handle.fd >= 0 && ftruncate(handle.fd, size) == 0);
	CHECK_INT(br_stream_push_handle_take(br_relay_input(f->relay, BR_REQUEST), &handle), 0);
}

static void import_timeline(struct fixture *f, uint32_t id, off_t number)
{
	push_file(f, number);
	REQUEST(f, MANAGER, BR_REQ_WP_LINUX_DRM_SYNCOBJ_MANAGER_V1_IMPORT_TIMELINE, id);
}

static void make_dmabuf(struct fixture *f, uint32_t params, uint32_t buffer)
{
	REQUEST(f, DMABUF, BR_REQ_ZWP_LINUX_DMABUF_V1_CREATE_PARAMS, params);
	push_file(f, 4096);
	REQUEST(f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, 0, 0, 40, 0, 0);
	REQUEST(f, params, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, buffer, 10, 10, XR24, 0);
}

static void bind_manager(struct fixture *f)
{
	static const char iface[] = "wp_linux_drm_syncobj_manager_v1"; /* 32 bytes */
	uint32_t bind[12] = {MANAGER_NAME, sizeof(iface)};
	memcpy(&bind[2], iface, sizeof(iface));
	bind[10] = 1;
	bind[11] = MANAGER;
	request(f, REGISTRY, BR_REQ_WL_REGISTRY_BIND, bind, 12);
}

/* A program with two timelines and two dma-bufs. */
static void start_sync(struct fixture *f)
{
	has_timelines = true;
	start(f);
	has_timelines = false;
	render_node = 0xe280;
	import = import_all;
	f->state.wait_readable = wait_readable;
	bind_global(f, 13, "zwp_linux_dmabuf_v1", 4, DMABUF);
	has_timelines = true;
	event(f, SYNC_CALLBACK, 0, 0, true);
	bind_manager(f);
	REQUEST(f, MANAGER, BR_REQ_WP_LINUX_DRM_SYNCOBJ_MANAGER_V1_GET_SURFACE, SYNC, SURFACE);
	import_timeline(f, ACQUIRE, 1);
	import_timeline(f, RELEASE, 2);
	make_dmabuf(f, PARAMS, DMABUF_A);
	make_dmabuf(f, PARAMS_B, DMABUF_B);
	CHECK(!br_relay_failed(f->relay));
}

static void finish_sync(struct fixture *f)
{
	gp_sync_end(&f->state);
	finish(f);
	has_timelines = false;
}

static void set_acquire(struct fixture *f, uint32_t timeline, uint32_t point)
{
	REQUEST(f, SYNC, BR_REQ_WP_LINUX_DRM_SYNCOBJ_SURFACE_V1_SET_ACQUIRE_POINT, timeline, 0,
		point);
}

static void set_release(struct fixture *f, uint32_t timeline, uint32_t point)
{
	REQUEST(f, SYNC, BR_REQ_WP_LINUX_DRM_SYNCOBJ_SURFACE_V1_SET_RELEASE_POINT, timeline, 0,
		point);
}

/* Whether the commit went out. */
static bool commits(struct fixture *f, uint32_t buffer, uint32_t acquire, uint32_t release)
{
	attach(f, buffer);
	set_acquire(f, ACQUIRE, acquire);
	set_release(f, RELEASE, release);
	size_t before = br_stream_bytes(br_relay_output(f->relay, BR_REQUEST));
	(void)commit(f);
	CHECK(!br_relay_failed(f->relay));
	return br_stream_bytes(br_relay_output(f->relay, BR_REQUEST)) > before;
}

static void host_releases(struct fixture *f, uint32_t buffer)
{
	event(f, br_relay_client_object(f->relay, buffer)->server_id, BR_EVT_WL_BUFFER_RELEASE, 0,
	      false);
}

TEST(a_commit_waits_for_its_acquire_point)
{
	struct fixture f;
	start_sync(&f);
	CHECK(!commits(&f, DMABUF_A, 5, 1));
	CHECK(f.state.waiting && f.state.sync.waits);
	size_t before = br_stream_bytes(br_relay_output(f.relay, BR_REQUEST));
	/* A wake for another reason: it waits on, with the one wish that the kernel has. */
	br_relay_resume(f.relay, BR_REQUEST);
	CHECK_INT(br_relay_dispatch(f.relay, BR_REQUEST), 0);
	CHECK_INT(br_stream_bytes(br_relay_output(f.relay, BR_REQUEST)), before);
	CHECK_INT(timelines[0].waits, 1);
	const uint64_t one = 1;
	struct br_object *sync = br_relay_client_object(f.relay, SYNC);
	CHECK(sync != NULL && sync->state == BR_OBJECT_OURS && sync->server_id == 0);
	CHECK_INT(write(waited_fd, &one, sizeof(one)), sizeof(one));
	f.state.waiting = false;
	br_relay_resume(f.relay, BR_REQUEST);
	CHECK_INT(br_relay_dispatch(f.relay, BR_REQUEST), 0);
	CHECK_INT(br_stream_bytes(br_relay_output(f.relay, BR_REQUEST)), before + 8);
	CHECK(!f.state.sync.waits);
	finish_sync(&f);
}

TEST(a_release_signals_what_was_committed)
{
	struct fixture f;
	start_sync(&f);
	timelines[0].value = 100;
	CHECK(commits(&f, DMABUF_A, 1, 10));
	CHECK(commits(&f, DMABUF_B, 2, 20));
	CHECK_INT(timelines[1].value, 0);
	host_releases(&f, DMABUF_A);
	CHECK_INT(timelines[1].value, 10);
	host_releases(&f, DMABUF_A); /* of nothing */
	CHECK_INT(timelines[1].value, 10);
	/* The timeline's object may go before. */
	REQUEST(&f, RELEASE, BR_REQ_WP_LINUX_DRM_SYNCOBJ_TIMELINE_V1_DESTROY);
	CHECK_INT(timelines[1].imported, 1);
	host_releases(&f, DMABUF_B);
	CHECK_INT(timelines[1].value, 20);
	CHECK_INT(timelines[1].imported, 0);
	finish_sync(&f);
}

TEST(a_release_is_of_the_commits_that_the_host_had)
{
	struct fixture f;
	start_sync(&f);
	timelines[0].value = 100;
	CHECK(commits(&f, DMABUF_A, 1, 10));
	CHECK(commits(&f, DMABUF_A, 2, 20));
	host_releases(&f, DMABUF_A); /* it had not yet read the second one */
	CHECK_INT(timelines[1].value, 10);
	/* It reads on: our callback is the object made last. */
	uint32_t id = br_relay_client_object(f.relay, DMABUF_B)->server_id + 1;
	event(&f, id, 0, 0, true);
	host_releases(&f, DMABUF_A);
	CHECK_INT(timelines[1].value, 20);
	finish_sync(&f);
}

TEST(what_ends_signals)
{
	for (int how = 0; how < 2; how++) {
		struct fixture f;
		start_sync(&f);
		timelines[0].value = 100;
		CHECK(commits(&f, DMABUF_A, 1, 10));
		REQUEST(&f, SYNC, BR_REQ_WP_LINUX_DRM_SYNCOBJ_SURFACE_V1_DESTROY);
		REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_DESTROY);
		CHECK_INT(timelines[1].value, 0); /* the host may show it still */
		if (how == 0) {
			host_releases(&f, DMABUF_A);
		} else {
			REQUEST(&f, DMABUF_A, BR_REQ_WL_BUFFER_DESTROY);
		}
		CHECK_INT(timelines[1].value, 10);
		CHECK(!br_relay_failed(f.relay));
		finish_sync(&f);
	}
	struct fixture f;
	start_sync(&f);
	timelines[0].value = 100;
	CHECK(commits(&f, DMABUF_A, 1, 10));
	finish_sync(&f);
	CHECK_INT(timelines[1].value, 10);
}

TEST(a_surface_that_goes_while_it_waits)
{
	struct fixture f;
	start_sync(&f);
	CHECK(!commits(&f, DMABUF_A, 5, 1));
	finish_sync(&f);
	CHECK_INT(timelines[1].value, 0);
}

TEST(without_points_nothing_is_asked_for)
{
	struct fixture f;
	start_sync(&f);
	(void)commit(&f); /* nothing attached */
	attach(&f, 0);
	(void)commit(&f);
	CHECK(!br_relay_failed(f.relay));
	REQUEST(&f, SYNC, BR_REQ_WP_LINUX_DRM_SYNCOBJ_SURFACE_V1_DESTROY);
	attach(&f, DMABUF_A);
	(void)commit(&f);
	CHECK(!br_relay_failed(f.relay));
	CHECK_INT(timelines[0].waits, 0);
	finish_sync(&f);
}

static void attach_shm(struct fixture *f)
{
	bind_global(f, 14, "wp_single_pixel_buffer_manager_v1", 1, NEXT);
	REQUEST(f, NEXT, BR_REQ_WP_SINGLE_PIXEL_BUFFER_MANAGER_V1_CREATE_U32_RGBA_BUFFER, NEXT + 1,
		0, 0, 0, 0);
	attach(f, NEXT + 1);
}

static void check_error(struct fixture *f, uint32_t object, uint32_t code)
{
	struct br_stream *out = br_relay_output(f->relay, BR_EVENT);
	uint32_t words[4] = {0};
	CHECK(br_relay_failed(f->relay));
	while (!br_stream_empty(out)) {
		memcpy(words, br_stream_peek(out), 8);
		memcpy(words, br_stream_peek(out), words[1] >> 16 < 16 ? words[1] >> 16 : 16);
		br_stream_consume(out, words[1] >> 16);
	}
	CHECK_INT(words[1] & 0xffff, BR_EVT_WL_DISPLAY_ERROR);
	CHECK_INT(words[2], object);
	CHECK_INT(words[3], code);
}

TEST(errors)
{
	static const struct {
		int buffer; /* 0 none, 1 a dma-buf, 2 another */
		uint32_t acquire, release, code;
		bool same;
	} cases[] = {
		{1, 0, 1, NO_ACQUIRE, false},  {1, 1, 0, NO_RELEASE, false},
		{0, 1, 1, NO_BUFFER, false},   {0, 1, 0, NO_BUFFER, false},
		{2, 1, 1, UNSUPPORTED, false}, {2, 0, 0, UNSUPPORTED, false},
		{1, 2, 2, CONFLICT, true},     {1, 3, 2, CONFLICT, true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		start_sync(&f);
		if (cases[i].buffer == 2) {
			attach_shm(&f);
		} else {
			attach(&f, cases[i].buffer ? DMABUF_A : 0);
		}
		if (cases[i].acquire) {
			set_acquire(&f, ACQUIRE, cases[i].acquire);
		}
		if (cases[i].release) {
			set_release(&f, cases[i].same ? ACQUIRE : RELEASE, cases[i].release);
		}
		CHECK(!br_relay_failed(f.relay));
		(void)commit(&f);
		check_error(&f, SYNC, cases[i].code);
		finish_sync(&f);
	}
}

TEST(errors_of_single_requests)
{
	struct fixture f;
	start_sync(&f);
	REQUEST(&f, MANAGER, BR_REQ_WP_LINUX_DRM_SYNCOBJ_MANAGER_V1_GET_SURFACE, NEXT, SURFACE);
	check_error(&f, MANAGER, SURFACE_EXISTS);
	finish_sync(&f);

	start_sync(&f);
	import_timeline(&f, NEXT, 4096); /* no timeline */
	check_error(&f, MANAGER, INVALID_TIMELINE);
	finish_sync(&f);

	start_sync(&f);
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_DESTROY);
	set_release(&f, RELEASE, 1);
	check_error(&f, SYNC, NO_SURFACE);
	finish_sync(&f);

	start_sync(&f);
	timelines[0].fail_wait = -ENOMEM;
	attach(&f, DMABUF_A);
	set_acquire(&f, ACQUIRE, 1);
	set_release(&f, RELEASE, 1);
	(void)commit(&f);
	CHECK(br_relay_failed(f.relay));
	finish_sync(&f);
}

TEST(one_object_after_another)
{
	struct fixture f;
	start_sync(&f);
	set_acquire(&f, ACQUIRE, 1);
	REQUEST(&f, SYNC, BR_REQ_WP_LINUX_DRM_SYNCOBJ_SURFACE_V1_DESTROY);
	REQUEST(&f, MANAGER, BR_REQ_WP_LINUX_DRM_SYNCOBJ_MANAGER_V1_GET_SURFACE, NEXT, SURFACE);
	(void)commit(&f); /* its point has gone with the first */
	CHECK(!br_relay_failed(f.relay));
	finish_sync(&f);
}

TEST(limits)
{
	struct fixture f;
	start_sync(&f);
	timelines[0].value = 1;
	for (uint32_t i = 0; i < BR_LIMIT_SYNC_RELEASES; i++) {
		CHECK(commits(&f, DMABUF_A, 1, i + 1));
		struct br_stream *out = br_relay_output(f.relay, BR_REQUEST);
		br_stream_consume(out, br_stream_bytes(out));
	}
	attach(&f, DMABUF_A);
	set_acquire(&f, ACQUIRE, 1);
	set_release(&f, RELEASE, 1);
	(void)commit(&f);
	CHECK(br_relay_failed(f.relay));
	finish_sync(&f);

	start_sync(&f);
	for (uint32_t i = 2; i < BR_LIMIT_TIMELINES; i++) {
		import_timeline(&f, NEXT + i - 2, 3);
		CHECK(!br_relay_failed(f.relay));
	}
	import_timeline(&f, NEXT + BR_LIMIT_TIMELINES - 2, 3);
	CHECK(br_relay_failed(f.relay));
	finish_sync(&f);
}
