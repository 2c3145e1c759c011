/* SPDX-License-Identifier: MIT
 *
 * linux-dmabuf in a virtual machine, with pipes and files in place of dma-bufs: those of the virtio-gpu go
 * as resources and are waited for, others are copied.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

#include "br-tables.h"
#include "dmabuf.h"
#include "fd.h"
#include "hooks_rig.h"

#define XR24 0x34325258u
#define SERVER_ID 0xff000000u

enum { DMABUF = POOL, PARAMS, NEXT }; /* ids are dense */

/* One resource per file; the same file is the same one. */
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
	state->waiting = true;
	waited_fd = fd;
	return 0;
}

static void start_dmabuf(struct fixture *f)
{
	start(f);
	render_node = 0xe280;
	waited_fd = -1;
	f->state.wait_readable = wait_readable;
	bind_global(f, 13, "zwp_linux_dmabuf_v1", 4, DMABUF);
	REQUEST(f, DMABUF, BR_REQ_ZWP_LINUX_DMABUF_V1_CREATE_PARAMS, PARAMS);
	CHECK(!br_relay_failed(f->relay));
}

/* fd: taken. */
static void add(struct fixture *f, int fd, uint32_t plane, uint32_t offset, uint32_t stride)
{
	struct br_handle handle = {.fd = fd};
	CHECK_INT(br_stream_push_handle_take(br_relay_input(f->relay, BR_REQUEST), &handle), 0);
	REQUEST(f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, plane, offset, stride, 0, 0);
}

static void create_immed(struct fixture *f, uint32_t width, uint32_t height, uint32_t flags)
{
	REQUEST(f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE_IMMED, NEXT, width, height,
		XR24, flags);
}

/* The last message queued for the host. */
static uint32_t last_request(struct fixture *f, uint32_t *words, size_t max)
{
	struct br_stream *out = br_relay_output(f->relay, BR_REQUEST);
	const uint8_t *bytes = br_stream_peek(out);
	size_t len = br_stream_bytes(out);
	uint32_t header[2] = {0};
	for (size_t at = 0; at < len; at += header[1] >> 16) {
		memcpy(header, bytes + at, sizeof(header));
		size_t size = (header[1] >> 16) - 8;
		memcpy(words, bytes + at + 8, size < max * 4 ? size : max * 4);
	}
	return header[1] & 0xffff;
}

static int make_file(struct fixture *f, size_t size)
{
	f->file = memfd_create("foreign", MFD_CLOEXEC);
	CHECK(f->file >= 0 && ftruncate(f->file, 1 << 20) == 0);
	f->pixels = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, f->file, 0);
	for (unsigned i = 0; i < 1 << 20; i++) {
		f->pixels[i] = (uint8_t)(i * 2654435761u >> 24);
	}
	CHECK(ftruncate(f->file, (off_t)size) == 0);
	return br_fd_dup(f->file);
}

TEST(memory_of_the_virtio_gpu_goes_by_its_id)
{
	struct fixture f;
	struct br_handle handle;
	int fds[2];
	start_dmabuf(&f);
	import = import_all;
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	add(&f, br_fd_dup(fds[0]), 0, 0, 400);
	add(&f, fds[0], 1, 4096, 200);
	for (uint32_t id = 1; id <= 2; id++) {
		CHECK(br_stream_pop_handle(br_relay_output(f.relay, BR_REQUEST), &handle));
		CHECK_INT(handle.res_id, id);
		CHECK_INT(handle.fd, -1);
	}
	create_immed(&f, 100, 100, 0);
	REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_DESTROY);
	gp_state_release_retired(&f.state);
	CHECK(blobs[1] != NULL && blobs[2] != NULL); /* as long as the buffer */
	attach(&f, NEXT);
	size_t before = br_stream_bytes(br_relay_output(f.relay, BR_REQUEST));
	CHECK_INT(commit(&f), 0);
	/* It is still being drawn. */
	CHECK(f.state.waiting && waited_fd >= 0);
	CHECK_INT(br_stream_bytes(br_relay_output(f.relay, BR_REQUEST)), before);
	CHECK(write(fds[1], "x", 1) == 1);
	f.state.waiting = false;
	br_relay_resume(f.relay, BR_REQUEST);
	CHECK_INT(br_relay_dispatch(f.relay, BR_REQUEST), 0);
	CHECK_INT(br_stream_bytes(br_relay_output(f.relay, BR_REQUEST)), before + 8);
	REQUEST(&f, NEXT, BR_REQ_WL_BUFFER_DESTROY);
	gp_state_release_retired(&f.state);
	CHECK(blobs[1] == NULL && blobs[2] == NULL);
	CHECK_INT(f.stats.copied_bytes, 0);
	CHECK(!br_relay_failed(f.relay));
	br_fd_clear(&fds[1]);
	finish(&f);
}

TEST(a_buffer_that_the_host_makes_keeps_the_memory)
{
	struct fixture f;
	int fds[2];
	start_dmabuf(&f);
	import = import_all;
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	add(&f, fds[0], 0, 0, 400);
	REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE, 100, 100, XR24, 0);
	uint32_t params = br_relay_client_object(f.relay, PARAMS)->server_id;
	const uint32_t created[] = {params, 12 << 16 | BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_CREATED,
				    SERVER_ID};
	CHECK_INT(br_stream_write(br_relay_input(f.relay, BR_EVENT), created, sizeof(created)), 0);
	CHECK_INT(br_relay_dispatch(f.relay, BR_EVENT), 0);
	REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_DESTROY);
	gp_state_release_retired(&f.state);
	CHECK(blobs[1] != NULL);
	attach(&f, SERVER_ID);
	(void)commit(&f);
	CHECK(f.state.waiting);
	br_fd_clear(&fds[1]); /* a hang-up ends the wait as well */
	f.state.waiting = false;
	br_relay_resume(f.relay, BR_REQUEST);
	CHECK_INT(br_relay_dispatch(f.relay, BR_REQUEST), 0);
	CHECK(!f.state.waiting);
	REQUEST(&f, SERVER_ID, BR_REQ_WL_BUFFER_DESTROY);
	gp_state_release_retired(&f.state);
	CHECK(blobs[1] == NULL);
	finish(&f);
}

TEST(memory_of_other_devices_is_copied)
{
	struct fixture f;
	start_dmabuf(&f);
	add(&f, make_file(&f, 1 << 20), 0, 800, 400);
	create_immed(&f, 100, 100, 0);
	CHECK(!br_relay_failed(f.relay) && blobs[1] != NULL);
	REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_DESTROY);
	attach(&f, NEXT);
	CHECK_INT(commit(&f), 40000);
	CHECK(memcmp(blobs[1]->map, f.pixels + 800, 40000) == 0);
	f.pixels[800 + 10 * 400 + 7 * 4] ^= 0xff;
	damage(&f, 4, 8, 16, 16);
	CHECK_INT(commit(&f), 16 * 16 * 4);
	CHECK_INT(blobs[1]->map[10 * 400 + 7 * 4], f.pixels[800 + 10 * 400 + 7 * 4]);
	finish(&f);
}

TEST(copies_wait_for_the_hosts_memory)
{
	struct fixture f;
	uint32_t words[8];
	start_dmabuf(&f);
	alloc_later = true;
	add(&f, make_file(&f, 1 << 20), 0, 0, 400);
	REQUEST(&f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_CREATE, 100, 100, XR24, 0);
	finish_alloc(0);
	br_relay_resume(f.relay, BR_REQUEST);
	CHECK_INT(br_relay_dispatch(f.relay, BR_REQUEST), 0);
	CHECK_INT(last_request(&f, words, 8), BR_REQ_WL_SHM_POOL_DESTROY);
	/* The program is told of it by "created", with an id of ours. */
	struct br_stream *out = br_relay_output(f.relay, BR_EVENT);
	memcpy(words, br_stream_peek(out) + br_stream_bytes(out) - 12, 12);
	CHECK_INT(words[0], PARAMS);
	CHECK_INT(words[1] & 0xffff, BR_EVT_ZWP_LINUX_BUFFER_PARAMS_V1_CREATED);
	attach(&f, words[2]);
	CHECK_INT(commit(&f), 40000);
	finish(&f);
}

TEST(what_cant_be_copied_is_refused)
{
	static const struct {
		uint32_t offset, stride, width, height, flags;
		uint32_t code;
	} cases[] = {
		{0, 400, 100, 100, 1, BR_PARAMS_INVALID_WL_BUFFER},
		{0, 399, 100, 100, 0, BR_PARAMS_OUT_OF_BOUNDS},
		{0x7fffffff, 400, 100, 100, 0, BR_PARAMS_OUT_OF_BOUNDS},
		{0xfffffff0, 400, 100, 100, 0, BR_PARAMS_OUT_OF_BOUNDS},
		{0, 400, 100, 0x7fffffff, 0, BR_PARAMS_OUT_OF_BOUNDS},
		{25537, 400, 100, 100, 0, BR_PARAMS_OUT_OF_BOUNDS},
		{0, 400, 0, 1, 0, BR_PARAMS_INVALID_DIMENSIONS},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		start_dmabuf(&f);
		add(&f, make_file(&f, 65536), 0, cases[i].offset, cases[i].stride);
		create_immed(&f, cases[i].width, cases[i].height, cases[i].flags);
		CHECK_INT(error_code(&f), cases[i].code);
		finish(&f);
	}
}

TEST(feedback_names_the_guests_device)
{
	for (int virtgpu = 0; virtgpu < 2; virtgpu++) {
		struct fixture f;
		start_dmabuf(&f);
		render_node = virtgpu ? 0xe280 : 0;
		REQUEST(&f, DMABUF, BR_REQ_ZWP_LINUX_DMABUF_V1_GET_DEFAULT_FEEDBACK, NEXT);
		uint32_t id = br_relay_client_object(f.relay, NEXT)->server_id;
		static const uint16_t opcodes[] = {
			BR_EVT_ZWP_LINUX_DMABUF_FEEDBACK_V1_MAIN_DEVICE,
			BR_EVT_ZWP_LINUX_DMABUF_FEEDBACK_V1_TRANCHE_TARGET_DEVICE,
		};
		for (size_t i = 0; i < 2; i++) {
			const uint32_t event[] = {id, 20u << 16 | opcodes[i], 8, 0x1234, 0};
			struct br_stream *out = br_relay_output(f.relay, BR_EVENT);
			uint32_t words[5];
			CHECK_INT(br_stream_write(br_relay_input(f.relay, BR_EVENT), event,
						  sizeof(event)),
				  0);
			CHECK_INT(br_relay_dispatch(f.relay, BR_EVENT), 0);
			memcpy(words, br_stream_peek(out) + br_stream_bytes(out) - 20, 20);
			CHECK_INT(words[1], event[1]);
			CHECK_INT(words[3], virtgpu ? 0xe280 : 0x1234);
		}
		finish(&f);
	}
}

TEST(fds_are_handed_on_where_they_can_be)
{
	struct fixture f;
	struct br_handle handle;
	start(&f);
	bind_global(&f, 13, "zwp_linux_dmabuf_v1", 4, DMABUF);
	REQUEST(&f, DMABUF, BR_REQ_ZWP_LINUX_DMABUF_V1_CREATE_PARAMS, PARAMS);
	add(&f, make_file(&f, 65536), 0, 0, 400);
	CHECK(br_stream_pop_handle(br_relay_output(f.relay, BR_REQUEST), &handle));
	CHECK(handle.fd >= 0 && handle.res_id == 0);
	br_fd_clear(&handle.fd);
	finish(&f);
}
