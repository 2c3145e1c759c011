/* SPDX-License-Identifier: MIT
 *
 * The device's side of GPU work, with a worker that the test plays itself: what the guest asks for, in which
 * order the worker hears of it, and when the guest gets its answers.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "../../host-renderer/gpu/context.h"
#include "../../host-renderer/gpu/device.h"
#include "../../host-renderer/gpu/gpu.h"
#include "../../host-renderer/gpu/render.h"
#include "../../host-renderer/gpu/resource.h"
#include "../../host-renderer/wayland/host.h"
#include "fd.h"
#include "limits.h"
#include "log.h"
#include "packet.h"
#include "sock.h"
#include "test.h"

#define MAX_ANSWERS 1024
#define VENUS_CTX 1
#define OTHER_CTX 2
#define CHANNEL_CTX 3
#define THIRD_CTX 4
#define RAM_BYTES 65536

/* A context of another kind, as the channel's is. */
#define PLAIN_CAPSET 5

struct rig {
	struct wl_event_loop *loop;
	struct hr_host host;
	struct hr_gpu gpu;
	struct hr_device *device;
	int listen_fd, control_fd; /* control_fd: of the last worker; -1 */
	int worker_fd;		   /* the worker's end of its pair */
	char path[64];
	uint8_t ram[RAM_BYTES];
	/* Answers, in the order in which they came. */
	struct {
		uint64_t cookie;
		uint32_t type;
	} answers[MAX_ANSWERS];
	uint32_t n_answers;
	uint64_t next_cookie;
	uint32_t maps, submits; /* of the window, and of the plain context */
	/* The last message of the worker's. */
	union {
		struct wk_header hdr;
		struct wk_resource resource;
		struct wk_submit submit;
		struct wk_fence fence;
		uint8_t bytes[WK_MAX_PACKET];
	} message;
	int message_fds[SK_MAX_FDS];
	size_t n_message_fds;
};

static struct rig rig;

/* --- the front end, and a plain context --- */

static void complete(void *data, uint64_t cookie, const void *response, size_t len, int fd)
{
	const struct virtio_gpu_ctrl_hdr *hdr = response;
	(void)data;
	(void)fd;
	CHECK(len >= sizeof(*hdr) && rig.n_answers < MAX_ANSWERS);
	rig.answers[rig.n_answers].cookie = cookie;
	rig.answers[rig.n_answers++].type = hdr->type;
}

static void *guest_memory(void *data, uint64_t address, uint64_t len)
{
	(void)data;
	return address <= RAM_BYTES && len <= RAM_BYTES - address ? rig.ram + address : NULL;
}

static int map(void *data, struct hr_resource *resource, uint64_t offset,
	       const struct hr_request *request)
{
	(void)data;
	(void)offset;
	(void)request;
	rig.maps++;
	return hr_resource_need_memory(resource);
}

static void unmap(void *data, struct hr_resource *resource)
{
	(void)data;
	(void)resource;
}

static const struct hr_frontend_ops frontend_ops = {
	.complete = complete,
	.guest_memory = guest_memory,
	.map = map,
	.unmap = unmap,
};

static void plain_destroy(struct hr_context *context)
{
	free(context);
}

static int plain_submit(struct hr_context *context, struct hr_submit *submit)
{
	(void)context;
	(void)submit;
	rig.submits++;
	return 0;
}

static int plain_create_blob(struct hr_context *context, uint64_t blob_id, uint64_t size,
			     struct hr_memory *ret_memory)
{
	(void)context;
	(void)blob_id;
	(void)size;
	*ret_memory = (struct hr_memory){.fd = -1, .fresh = true};
	return 0;
}

static void plain_resume(struct hr_context *context)
{
	(void)context;
}

static int plain_create(const struct hr_capset *capset, struct hr_device *device, uint32_t id,
			const char *name, struct hr_context **ret_context)
{
	static const struct hr_context_ops ops = {
		.destroy = plain_destroy,
		.submit = plain_submit,
		.create_blob = plain_create_blob,
		.resume = plain_resume,
	};
	(void)capset;
	(void)device;
	(void)id;
	(void)name;
	*ret_context = calloc(1, sizeof(**ret_context));
	CHECK(*ret_context != NULL);
	(*ret_context)->ops = &ops;
	return 0;
}

static const struct hr_capset plain_capset = {.id = PLAIN_CAPSET, .create = plain_create};

/* --- the guest --- */

/* Returns the cookie. */
static uint64_t request(void *cmd, size_t len)
{
	struct hr_request made = {.bytes = cmd, .len = len, .cookie = ++rig.next_cookie};
	hr_device_handle(rig.device, &made);
	return made.cookie;
}

#define REQUEST(type_, ctx, ...)                                                                   \
	request(&(struct type_){.hdr = {.type = (ctx) >> 16, .ctx_id = (ctx) & 0xff},              \
				__VA_ARGS__},                                                      \
		sizeof(struct type_))
#define CMD(name, ctx) (VIRTIO_GPU_CMD_##name << 16 | (ctx))

/* The type of the answer; 0 if there is none yet. */
static uint32_t answer_of(uint64_t cookie)
{
	for (uint32_t i = 0; i < rig.n_answers; i++) {
		if (rig.answers[i].cookie == cookie) {
			return rig.answers[i].type;
		}
	}
	return 0;
}

static uint64_t create_context(uint32_t id, uint32_t capset)
{
	return REQUEST(virtio_gpu_ctx_create, CMD(CTX_CREATE, id), .context_init = capset);
}

static uint64_t create_blob_of(uint32_t ctx_id, uint32_t resource_id)
{
	return REQUEST(virtio_gpu_resource_create_blob, CMD(RESOURCE_CREATE_BLOB, ctx_id),
		       .resource_id = resource_id, .blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
		       .blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE, .size = 8192, .blob_id = 1);
}

static uint64_t create_blob(uint32_t resource_id)
{
	return create_blob_of(VENUS_CTX, resource_id);
}

static uint64_t map_blob(uint32_t resource_id)
{
	return REQUEST(virtio_gpu_resource_map_blob, CMD(RESOURCE_MAP_BLOB, 0),
		       .resource_id = resource_id);
}

static uint64_t unref(uint32_t resource_id)
{
	return REQUEST(virtio_gpu_resource_unref, CMD(RESOURCE_UNREF, 0),
		       .resource_id = resource_id);
}

static uint64_t attach(uint32_t ctx_id, uint32_t resource_id)
{
	return REQUEST(virtio_gpu_ctx_resource, CMD(CTX_ATTACH_RESOURCE, ctx_id),
		       .resource_id = resource_id);
}

/* A submit of 8 bytes, fenced; ring -1: on none. */
static uint64_t submit(uint32_t ctx_id, int ring)
{
	struct {
		struct virtio_gpu_cmd_submit cmd;
		uint8_t bytes[8];
	} full = {.cmd = {.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D,
				  .flags = VIRTIO_GPU_FLAG_FENCE |
					   (ring >= 0 ? VIRTIO_GPU_FLAG_INFO_RING_IDX : 0),
				  .ctx_id = ctx_id,
				  .ring_idx = ring >= 0 ? (uint8_t)ring : 0},
			  .size = 8}};
	return request(&full, sizeof(full.cmd) + 8);
}

/* --- the worker --- */

static void clear_message(void)
{
	while (rig.n_message_fds > 0) {
		br_fd_clear(&rig.message_fds[--rig.n_message_fds]);
	}
}

/* The next message of this kind; others before it are passed over. */
static void worker_expect(enum wk_type type)
{
	do {
		clear_message();
		(void)WAIT_FD(rig.worker_fd, POLLIN, "a message for the worker");
		int n = br_packet_receive(rig.worker_fd, &rig.message, sizeof(rig.message),
					  rig.message_fds, &rig.n_message_fds);
		CHECK(n >= (int)sizeof(struct wk_header));
	} while (rig.message.hdr.type != type);
}

/* Nothing but these is there for the worker. */
static bool worker_has(enum wk_type type)
{
	struct pollfd pollfd = {.fd = rig.worker_fd, .events = POLLIN};
	while (poll(&pollfd, 1, 0) == 1) {
		clear_message();
		int n = br_packet_receive(rig.worker_fd, &rig.message, sizeof(rig.message),
					  rig.message_fds, &rig.n_message_fds);
		CHECK(n >= (int)sizeof(struct wk_header));
		if (rig.message.hdr.type == type) {
			return true;
		}
	}
	return false;
}

static void worker_send(const void *message, size_t len, int fd)
{
	const struct iovec iov = {.iov_base = (void *)message, .iov_len = len};
	CHECK_INT(br_packet_send(rig.worker_fd, &iov, 1, &fd, fd >= 0 ? 1 : 0), 0);
}

static void worker_done(uint32_t seq, int32_t err)
{
	const struct wk_done done = {.hdr = {.type = WK_DONE, .seq = seq}, .err = err};
	worker_send(&done, sizeof(done), -1);
}

/* Answer an export with memory of so many bytes, made with these flags. */
static void worker_exported_so(uint32_t seq, int32_t err, off_t bytes, unsigned flags)
{
	int fd BR_CLEANUP_FD = err == 0 ? memfd_create("memory", MFD_CLOEXEC | flags) : -1;
	CHECK(err != 0 || ftruncate(fd, bytes) == 0);
	const struct wk_exported exported = {.hdr = {.type = WK_EXPORTED, .seq = seq},
					     .err = err,
					     .kind = WK_SHM,
					     .map_info = VIRTIO_GPU_MAP_CACHE_CACHED};
	worker_send(&exported, sizeof(exported), fd);
}

static void worker_exported(uint32_t seq, int32_t err, off_t bytes)
{
	worker_exported_so(seq, err, bytes, MFD_ALLOW_SEALING);
}

static void worker_fence_done(uint64_t id)
{
	const struct wk_fence fence = {.hdr = {.type = WK_FENCE_DONE, .ctx_id = VENUS_CTX},
				       .id = id};
	worker_send(&fence, sizeof(fence), -1);
}

/* A worker process has started: take its end of the pair. */
static void worker_start(void)
{
	size_t n;
	char byte;
	int fds[SK_MAX_FDS];
	br_fd_clear(&rig.control_fd);
	br_fd_clear(&rig.worker_fd);
	(void)WAIT_FD(rig.listen_fd, POLLIN, "a worker process");
	rig.control_fd = accept4(rig.listen_fd, NULL, NULL, SOCK_CLOEXEC);
	(void)WAIT_FD(rig.control_fd, POLLIN, "the worker's end of the pair");
	CHECK_INT(br_packet_receive(rig.control_fd, &byte, 1, fds, &n), 1);
	CHECK_INT(n, 1);
	rig.worker_fd = fds[0];
	worker_expect(WK_INIT);
}

/* The process ends with a status. */
static void worker_end(char status)
{
	CHECK_INT(write(rig.control_fd, &status, 1), 1);
}

static void run_until(bool (*done)(uint64_t), uint64_t arg, const char *what)
{
	for (int i = 0; i < 1000 && !done(arg); i++) {
		(void)wl_event_loop_dispatch(rig.loop, 10);
	}
	if (!done(arg)) {
		FAIL("waited 10 s for %s", what);
	}
}

static bool is_answered(uint64_t cookie)
{
	return answer_of(cookie) != 0;
}

static void wait_answer(uint64_t cookie, uint32_t type)
{
	run_until(is_answered, cookie, "an answer");
	CHECK_INT(answer_of(cookie), type);
}

/* --- life --- */

static void set_up(void)
{
	static const struct hr_capset *capsets[3];
	const struct hr_frontend frontend = {.ops = &frontend_ops};
	static const uint8_t bytes[4] = {1, 2, 3, 4};
	br_log_init("test", BR_LOG_ERROR);
	(void)signal(SIGPIPE, SIG_IGN);
	rig = (struct rig){.control_fd = -1, .worker_fd = -1, .loop = wl_event_loop_create()};
	(void)snprintf(rig.path, sizeof(rig.path), "/tmp/fake-worker-%d", getpid());
	rig.listen_fd = br_sock_listen(rig.path, SOCK_SEQPACKET);
	CHECK(rig.listen_fd >= 0 && setenv("FAKE_WORKER_SOCKET", rig.path, 1) == 0);
	rig.host.loop = rig.loop;
	rig.gpu = (struct hr_gpu){.loop = rig.loop,
				  .program = getenv("FAKE_WORKER"),
				  .flags = WK_VENUS | WK_VIRGL,
				  .answer_ms = 20000};
	capsets[0] = &plain_capset;
	capsets[1] = hr_render_capset_create(&rig.gpu, VIRTIO_GPU_CAPSET_VENUS, 0, bytes, 4);
	capsets[2] = hr_render_capset_create(&rig.gpu, VIRTIO_GPU_CAPSET_DRM, 0, bytes, 4);
	rig.gpu.capsets[rig.gpu.n_capsets++] = capsets[1];
	rig.gpu.capsets[rig.gpu.n_capsets++] = capsets[2];
	rig.device = hr_device_create(&rig.host, &frontend, capsets, 3);
	CHECK(rig.device != NULL);
	CHECK_INT(answer_of(create_context(VENUS_CTX, VIRTIO_GPU_CAPSET_VENUS)),
		  VIRTIO_GPU_RESP_OK_NODATA);
	worker_start();
	worker_expect(WK_CONTEXT_CREATE);
	worker_done(rig.message.hdr.seq, 0);
}

static void tear_down(void)
{
	hr_device_destroy(rig.device);
	while (rig.gpu.n_capsets > 0) {
		hr_render_capset_destroy(rig.gpu.capsets[--rig.gpu.n_capsets]);
	}
	clear_message();
	/* Killed workers are collected by the loop. */
	for (int i = 0; i < 10; i++) {
		(void)wl_event_loop_dispatch(rig.loop, 10);
	}
	wl_event_loop_destroy(rig.loop);
	br_fd_clear(&rig.listen_fd);
	br_fd_clear(&rig.control_fd);
	br_fd_clear(&rig.worker_fd);
	(void)unlink(rig.path);
}

/* --- tests --- */

TEST(map_waits_for_memory)
{
	set_up();
	CHECK_INT(answer_of(create_blob(7)), VIRTIO_GPU_RESP_OK_NODATA);
	worker_expect(WK_CREATE_BLOB);
	worker_done(rig.message.hdr.seq, 0);
	uint64_t mapped = map_blob(7), gone = unref(7);
	worker_expect(WK_EXPORT);
	uint32_t seq = rig.message.hdr.seq;
	CHECK(!is_answered(mapped) && !is_answered(gone) && rig.maps == 0);
	/* Others go on. */
	uint64_t other = submit(VENUS_CTX, 1);
	worker_expect(WK_FENCE);
	worker_fence_done(rig.message.fence.id);
	wait_answer(other, VIRTIO_GPU_RESP_OK_NODATA);
	CHECK(!is_answered(mapped) && !worker_has(WK_UNREF));
	worker_exported(seq, 0, 8192);
	wait_answer(mapped, VIRTIO_GPU_RESP_OK_MAP_INFO);
	wait_answer(gone, VIRTIO_GPU_RESP_OK_NODATA);
	CHECK_INT(rig.maps, 1);
	worker_expect(WK_UNREF);
	CHECK_INT(rig.message.resource.resource_id, 7);
	tear_down();
}

TEST(other_contexts_wait_for_memory)
{
	set_up();
	(void)create_context(CHANNEL_CTX, PLAIN_CAPSET);
	(void)create_context(OTHER_CTX, PLAIN_CAPSET);
	(void)create_blob(7);
	uint64_t attached = attach(CHANNEL_CTX, 7), sent = submit(CHANNEL_CTX, 1);
	CHECK(!is_answered(attached) && !is_answered(sent) && rig.submits == 0);
	CHECK_INT(answer_of(submit(OTHER_CTX, 1)), VIRTIO_GPU_RESP_OK_NODATA);
	worker_expect(WK_CREATE_BLOB);
	worker_done(rig.message.hdr.seq, 0);
	worker_expect(WK_EXPORT);
	worker_exported(rig.message.hdr.seq, 0, 8192);
	wait_answer(attached, VIRTIO_GPU_RESP_OK_NODATA);
	wait_answer(sent, VIRTIO_GPU_RESP_OK_NODATA);
	CHECK_INT(rig.submits, 2);
	/* The context that made it needs no memory. */
	CHECK_INT(answer_of(attach(VENUS_CTX, 7)), VIRTIO_GPU_RESP_OK_NODATA);
	tear_down();
}

TEST(memory_that_is_too_small)
{
	set_up();
	(void)create_blob(7);
	uint64_t mapped = map_blob(7);
	worker_expect(WK_CREATE_BLOB);
	worker_done(rig.message.hdr.seq, 0);
	worker_expect(WK_EXPORT);
	worker_exported(rig.message.hdr.seq, 0, 4096);
	run_until(is_answered, mapped, "an answer");
	CHECK(answer_of(mapped) != VIRTIO_GPU_RESP_OK_MAP_INFO);
	tear_down();
}

/* Cut short, it would end whoever has it mapped: the VMM, or the device. */
TEST(memory_that_can_shrink)
{
	set_up();
	(void)create_blob(7);
	uint64_t mapped = map_blob(7);
	worker_expect(WK_CREATE_BLOB);
	worker_done(rig.message.hdr.seq, 0);
	worker_expect(WK_EXPORT);
	worker_exported_so(rig.message.hdr.seq, 0, 1 << 20, 0);
	run_until(is_answered, mapped, "an answer");
	CHECK(answer_of(mapped) != VIRTIO_GPU_RESP_OK_MAP_INFO);
	tear_down();
}

TEST(memory_that_can_not_be_had)
{
	set_up();
	(void)create_context(CHANNEL_CTX, PLAIN_CAPSET);
	(void)create_blob(7);
	uint64_t attached = attach(CHANNEL_CTX, 7);
	worker_expect(WK_CREATE_BLOB);
	worker_done(rig.message.hdr.seq, 0);
	worker_expect(WK_EXPORT);
	worker_exported(rig.message.hdr.seq, -ENOTSUP, 0);
	/* The worker may be able to read it. */
	wait_answer(attached, VIRTIO_GPU_RESP_OK_NODATA);
	uint64_t mapped = map_blob(7);
	CHECK(is_answered(mapped) && answer_of(mapped) != VIRTIO_GPU_RESP_OK_MAP_INFO);
	tear_down();
}

TEST(a_blob_that_failed)
{
	set_up();
	(void)create_blob(7);
	worker_expect(WK_CREATE_BLOB);
	worker_done(rig.message.hdr.seq, -EINVAL);
	uint64_t other = submit(VENUS_CTX, 1);
	worker_expect(WK_FENCE);
	worker_fence_done(rig.message.fence.id);
	wait_answer(other, VIRTIO_GPU_RESP_OK_NODATA);
	uint64_t mapped = map_blob(7);
	CHECK(is_answered(mapped) && answer_of(mapped) != VIRTIO_GPU_RESP_OK_MAP_INFO);
	tear_down();
}

TEST(fences_of_rings_in_any_order)
{
	uint64_t ids[2], cookies[2];
	set_up();
	for (int i = 0; i < 2; i++) {
		cookies[i] = submit(VENUS_CTX, i + 1);
		worker_expect(WK_FENCE);
		CHECK_INT(rig.message.fence.ring_idx, i + 1);
		ids[i] = rig.message.fence.id;
	}
	worker_fence_done(ids[1]);
	wait_answer(cookies[1], VIRTIO_GPU_RESP_OK_NODATA);
	CHECK(!is_answered(cookies[0]));
	worker_fence_done(ids[0]);
	wait_answer(cookies[0], VIRTIO_GPU_RESP_OK_NODATA);
	tear_down();
}

TEST(fences_on_no_ring_in_order)
{
	uint64_t ids[2], cookies[2];
	set_up();
	for (int i = 0; i < 2; i++) {
		cookies[i] = submit(VENUS_CTX, -1);
		worker_expect(WK_FENCE);
		ids[i] = rig.message.fence.id;
	}
	/* Needs no waiting, but is behind them. */
	struct virtio_gpu_resource_unref fenced = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_UNREF, .flags = VIRTIO_GPU_FLAG_FENCE},
		.resource_id = 99};
	uint64_t other = request(&fenced, sizeof(fenced));
	uint64_t on_ring = submit(VENUS_CTX, 1);
	worker_expect(WK_FENCE);
	worker_fence_done(rig.message.fence.id);
	worker_fence_done(ids[1]);
	wait_answer(on_ring, VIRTIO_GPU_RESP_OK_NODATA);
	CHECK(!is_answered(cookies[1]) && !is_answered(other));
	worker_fence_done(ids[0]);
	wait_answer(other, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	CHECK(is_answered(cookies[0]) && is_answered(cookies[1]));
	CHECK_INT(rig.answers[rig.n_answers - 3].cookie, cookies[0]);
	CHECK_INT(rig.answers[rig.n_answers - 2].cookie, cookies[1]);
	tear_down();
}

TEST(pages_until_the_worker_lets_go)
{
	struct {
		struct virtio_gpu_resource_attach_backing cmd;
		struct virtio_gpu_mem_entry entry;
	} backing = {.cmd = {.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING},
			     .resource_id = 7,
			     .nr_entries = 1},
		     .entry = {.addr = 4096, .length = 8192}};
	set_up();
	CHECK_INT(answer_of(REQUEST(virtio_gpu_resource_create_3d, CMD(RESOURCE_CREATE_3D, 0),
				    .resource_id = 7, .width = 8, .height = 8)),
		  VIRTIO_GPU_RESP_OK_NODATA);
	CHECK_INT(answer_of(request(&backing, sizeof(backing))), VIRTIO_GPU_RESP_OK_NODATA);
	worker_expect(WK_ATTACH_BACKING);
	CHECK_INT(answer_of(attach(VENUS_CTX, 7)), VIRTIO_GPU_RESP_OK_NODATA);
	uint64_t transfer =
		REQUEST(virtio_gpu_transfer_host_3d, CMD(TRANSFER_FROM_HOST_3D, VENUS_CTX),
			.resource_id = 7, .box = {.w = 8, .h = 8, .d = 1});
	worker_expect(WK_TRANSFER_FROM_HOST);
	uint32_t seq = rig.message.hdr.seq;
	uint64_t gone = unref(7);
	CHECK(!is_answered(transfer) && !is_answered(gone));
	worker_done(seq, 0);
	wait_answer(transfer, VIRTIO_GPU_RESP_OK_NODATA);
	worker_expect(WK_UNREF);
	CHECK(!is_answered(gone));
	worker_done(rig.message.hdr.seq, 0);
	wait_answer(gone, VIRTIO_GPU_RESP_OK_NODATA);
	tear_down();
}

TEST(worker_ends)
{
	set_up();
	(void)create_blob(7);
	uint64_t fenced = submit(VENUS_CTX, 1), mapped = map_blob(7);
	worker_expect(WK_EXPORT);
	worker_end(3);
	wait_answer(fenced, VIRTIO_GPU_RESP_ERR_UNSPEC);
	run_until(is_answered, mapped, "the map's answer");
	CHECK(answer_of(mapped) != VIRTIO_GPU_RESP_OK_MAP_INFO);
	/* Its contexts stay lost; a new one gets a new worker. */
	CHECK_INT(answer_of(submit(VENUS_CTX, 1)), VIRTIO_GPU_RESP_ERR_UNSPEC);
	(void)create_context(OTHER_CTX, VIRTIO_GPU_CAPSET_VENUS);
	worker_start();
	worker_expect(WK_CONTEXT_CREATE);
	CHECK_INT(rig.message.hdr.ctx_id, OTHER_CTX);
	tear_down();
}

static bool has_workers(uint64_t n)
{
	return wl_list_length(&rig.device->workers) == (int)n;
}

/* A native context's worker goes with the last that needs it; here it has ended, and what it said before is
 * still to be read. */
TEST(all_gone_with_the_answer)
{
	set_up();
	(void)create_context(OTHER_CTX, VIRTIO_GPU_CAPSET_DRM);
	worker_start();
	worker_expect(WK_CONTEXT_CREATE);
	worker_done(rig.message.hdr.seq, 0);
	(void)create_blob_of(OTHER_CTX, 7);
	worker_expect(WK_CREATE_BLOB);
	worker_done(rig.message.hdr.seq, 0);
	uint64_t mapped = map_blob(7), gone = unref(7);
	worker_expect(WK_EXPORT);
	CHECK_INT(answer_of(REQUEST(virtio_gpu_ctx_destroy, CMD(CTX_DESTROY, OTHER_CTX))),
		  VIRTIO_GPU_RESP_OK_NODATA);
	CHECK(has_workers(2));
	/* More than are read at once. */
	for (int i = 0; i < 100; i++) {
		worker_fence_done(1000);
	}
	worker_exported(rig.message.hdr.seq, 0, 8192);
	struct pollfd pollfd = {.fd = rig.control_fd, .events = POLLHUP};
	worker_end(0);
	CHECK_INT(poll(&pollfd, 1, 10000), 1);
	run_until(has_workers, 1, "the worker to go");
	CHECK_INT(answer_of(mapped), VIRTIO_GPU_RESP_OK_MAP_INFO);
	CHECK_INT(answer_of(gone), VIRTIO_GPU_RESP_OK_NODATA);
	tear_down();
}

static bool worker_is_gone(uint64_t unused)
{
	(void)unused;
	return rig.device->main_worker == NULL;
}

static void note_error(void *data, int err)
{
	*(int *)data = err;
}

/* Ask for an image for copies of blob 7. The answer says this many planes, and has a file or not. Returns what
 * becomes of it. */
static int allocate(struct hr_read_back *image, int32_t err, uint32_t n_planes, bool file)
{
	struct hr_ask *ask;
	struct wk_exported answer = {
		.hdr.type = WK_EXPORTED,
		.err = err,
		.kind = WK_DMABUF,
		.n_planes = n_planes,
		.strides = {512},
		.offsets = {64},
		.modifier = 3,
	};
	int result = 1;
	*image = (struct hr_read_back){.fd = -1, .target_fourcc = 1, .width = 100, .height = 80};
	CHECK_INT(hr_render_allocate(hr_resource_find(rig.device, 7), image, note_error, &result,
				     &ask),
		  0);
	worker_expect(WK_ALLOCATE);
	answer.hdr.seq = rig.message.hdr.seq;
	int BR_CLEANUP_FD fd = file ? memfd_create("image", MFD_CLOEXEC) : -1;
	worker_send(&answer, sizeof(answer), fd);
	while (result == 1) {
		CHECK_INT(wl_event_loop_dispatch(rig.loop, 1000), 0);
	}
	return result;
}

TEST(images_for_copies)
{
	struct hr_read_back image;
	set_up();
	(void)create_blob(7);
	worker_expect(WK_CREATE_BLOB);
	worker_done(rig.message.hdr.seq, 0);
	CHECK_INT(allocate(&image, 0, 1, true), 0);
	CHECK(image.fd >= 0);
	br_fd_clear(&image.fd);
	CHECK_INT(image.stride, 512);
	CHECK_INT(image.offset, 64);
	CHECK_INT(image.target_modifier, 3);
	CHECK_INT(allocate(&image, -ENOTSUP, 0, false), -ENOTSUP);
	CHECK_INT(image.fd, -1);
	CHECK_INT(allocate(&image, 0, 1, false), -EPROTO);
	CHECK_INT(allocate(&image, 0, 2, true), -EPROTO);
	CHECK_INT(image.fd, -1);
	tear_down();
}

TEST(worker_that_lies)
{
	set_up();
	uint64_t fenced = submit(VENUS_CTX, 1);
	worker_done(12345, 0);
	run_until(worker_is_gone, 0, "the worker's end");
	CHECK_INT(answer_of(fenced), VIRTIO_GPU_RESP_ERR_UNSPEC);
	tear_down();
}

TEST(worker_that_talks_nonsense)
{
	const uint32_t words[] = {0xdeadbeef, 1, 2, 3, 4, 5, 6};
	set_up();
	uint64_t fenced = submit(VENUS_CTX, 1);
	worker_expect(WK_FENCE);
	uint64_t id = rig.message.fence.id;
	worker_send(words, sizeof(words), -1);
	worker_fence_done(id + 1);
	worker_send(words, 4, -1); /* less than a header: no worker of ours */
	run_until(is_answered, fenced, "the fence's end");
	tear_down();
}

TEST(worker_that_does_not_answer)
{
	set_up();
	rig.gpu.answer_ms = 50;
	/* It counts for workers that start from now on. */
	worker_end(0);
	run_until(worker_is_gone, 0, "the first worker's end");
	(void)create_context(OTHER_CTX, VIRTIO_GPU_CAPSET_VENUS);
	worker_start();
	run_until(worker_is_gone, 0, "the silent worker's end");
	tear_down();
}

TEST(worker_that_does_not_read)
{
	static uint8_t big[sizeof(struct virtio_gpu_cmd_submit) + 32768];
	struct virtio_gpu_cmd_submit *cmd = (struct virtio_gpu_cmd_submit *)big;
	set_up();
	*cmd = (struct virtio_gpu_cmd_submit){
		.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D, .ctx_id = VENUS_CTX}, .size = 32768};
	for (int i = 0; i < 4 * (int)(BR_LIMIT_WORKER_QUEUE_BYTES / 32768) && !worker_is_gone(0);
	     i++) {
		(void)request(big, sizeof(big));
		rig.n_answers = 0;
		(void)wl_event_loop_dispatch(rig.loop, 0);
	}
	run_until(worker_is_gone, 0, "the worker's end");
	tear_down();
}

TEST(many_that_wait)
{
	uint64_t last = 0;
	set_up();
	(void)create_context(OTHER_CTX, VIRTIO_GPU_CAPSET_VENUS);
	for (uint32_t context = VENUS_CTX; context <= OTHER_CTX; context++) {
		(void)create_blob_of(context, context + 6);
		for (uint32_t i = 0; i < BR_LIMIT_CTX_DEFERRED; i++) {
			CHECK_INT(answer_of(map_blob(context + 6)), 0);
		}
		last = map_blob(context + 6);
		CHECK_INT(answer_of(last), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	}
	/* They have all there is, together. */
	(void)create_context(THIRD_CTX, VIRTIO_GPU_CAPSET_VENUS);
	(void)create_blob_of(THIRD_CTX, 20);
	CHECK_INT(answer_of(map_blob(20)), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	rig.n_answers = 0;
	hr_device_destroy(rig.device);
	rig.device = NULL;
	tear_down();
}
