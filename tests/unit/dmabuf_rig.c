/* SPDX-License-Identifier: MIT */
#include "dmabuf_rig.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <wayland-server-core.h>

#include "test.h"

#include "br-tables.h"
#include "dmabuf.h"

bool files_are_dmabufs;

bool __wrap_br_dmabuf_is(int fd);

bool __wrap_br_dmabuf_is(int fd)
{
	return files_are_dmabufs && fd >= 0;
}

void request(struct fixture *f, uint32_t object, uint16_t opcode, const uint32_t *args, size_t n)
{
	struct message m = {.n = n};
	if (n > 0) {
		memcpy(m.words, args, n * 4);
	}
	send_message(guest_out(f), object, opcode, &m);
	hr_client_dispatch(f->client);
}

void event(struct fixture *f, uint32_t object, uint16_t opcode, const uint32_t *args, size_t n)
{
	struct message m = {.n = n};
	if (n > 0) {
		memcpy(m.words, args, n * 4);
	}
	send_message(&f->out, object, opcode, &m);
	flush_compositor(f);
}

void expect(struct fixture *f, uint32_t object, uint16_t opcode, struct message *m)
{
	uint32_t got = 0;
	for (int i = 0; br_stream_empty(&f->in) && i < DEADLINE_MS / 10; i++) {
		CHECK_INT(wl_event_loop_dispatch(f->host.loop, 10), 0);
		read_requests(f);
	}
	int ret = take(&f->in, &got, m);
	if (ret != opcode || got != object) {
		FAIL("the compositor got %u.%d instead of %u.%u", got, ret, object, opcode);
	}
}

void expect_nothing(struct fixture *f)
{
	for (int i = 0; i < 3; i++) {
		CHECK_INT(wl_event_loop_dispatch(f->host.loop, 0), 0);
		read_requests(f);
	}
	CHECK_INT(br_stream_bytes(&f->in), 0);
}

void expect_event(struct fixture *f, uint32_t object, uint16_t opcode, struct message *m)
{
	uint32_t got = 0;
	for (int i = 0; br_stream_empty(guest_in(f)) && i < DEADLINE_MS / 10; i++) {
		CHECK_INT(wl_event_loop_dispatch(f->host.loop, 10), 0);
	}
	int ret = take(guest_in(f), &got, m);
	if (ret != opcode || got != object) {
		FAIL("the guest got %u.%d instead of %u.%u", got, ret, object, opcode);
	}
}

void skip(struct br_stream *stream)
{
	br_stream_consume(stream, br_stream_bytes(stream));
}

void start(struct fixture *f, enum hr_present present, bool has_dmabuf)
{
	struct message m;
	uint32_t object;
	set_up(f);
	files_are_dmabufs = false;
	f->host.present = present;
	connect_client(f);
	REQUEST(f, 1, BR_REQ_WL_DISPLAY_GET_REGISTRY, REGISTRY);
	read_requests(f);
	CHECK_INT(take(&f->in, &object, &m), BR_REQ_WL_DISPLAY_GET_REGISTRY);
	announce(f, 1, "wl_compositor", 4);
	announce(f, 2, "wl_shm", 1);
	if (has_dmabuf) {
		announce(f, 3, "zwp_linux_dmabuf_v1", 3);
	}
	if (present != HR_PRESENT_DMABUF) {
		CHECK_INT(take(&f->in, &object, &m), BR_REQ_WL_DISPLAY_SYNC);
		event(f, m.words[0], BR_EVT_WL_CALLBACK_DONE, (const uint32_t[]){0}, 1);
		event(f, 1, BR_EVT_WL_DISPLAY_DELETE_ID, m.words, 1);
	}
	flush_compositor(f);
	wait_for(f, &f->ready, f->ready, "globals");
}

void bind_theirs(struct fixture *f)
{
	struct message m;
	skip(guest_in(f));
	bind_global(f, 3, "zwp_linux_dmabuf_v1", 3, DMABUF);
	expect(f, REGISTRY, BR_REQ_WL_REGISTRY_BIND, &m);
	bind_global(f, 1, "wl_compositor", 4, COMPOSITOR);
	expect(f, REGISTRY, BR_REQ_WL_REGISTRY_BIND, &m);
	REQUEST(f, COMPOSITOR, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, SURFACE);
	expect(f, m.words[m.n - 1], BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, &m);
}

int make_file(size_t size)
{
	int fd = memfd_create("dmabuf", MFD_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	return fd;
}

void add_plane(struct fixture *f, struct br_handle *handle, uint32_t index, uint32_t offset,
	       uint32_t stride)
{
	CHECK_INT(br_stream_push_handle_take(guest_out(f), handle), 0);
	REQUEST(f, PARAMS, BR_REQ_ZWP_LINUX_BUFFER_PARAMS_V1_ADD, index, offset, stride, 0, 0);
}

void add_file(struct fixture *f, size_t size, uint32_t offset, uint32_t stride)
{
	struct br_handle handle = {.fd = make_file(size)};
	add_plane(f, &handle, 0, offset, stride);
}

uint32_t create_params(struct fixture *f, bool with_shm)
{
	struct message m;
	uint32_t params;
	REQUEST(f, DMABUF, BR_REQ_ZWP_LINUX_DMABUF_V1_CREATE_PARAMS, PARAMS);
	if (with_shm) {
		expect(f, REGISTRY, BR_REQ_WL_REGISTRY_BIND, &m);
		CHECK_INT(m.words[0], 2);
		expect(f, 1, BR_REQ_WL_DISPLAY_SYNC, &m);
	}
	expect(f, DMABUF, BR_REQ_ZWP_LINUX_DMABUF_V1_CREATE_PARAMS, &m);
	params = m.words[0];
	return params;
}
