/* SPDX-License-Identifier: MIT
 *
 * The virtio-gpu backend of the guest's transport, on a kernel that is a fake.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "channel_private.h"
#include "fake_drm.h"
#include "fd.h"
#include "limits.h"
#include "test.h"
#include "transport_virtgpu.h"

struct rig {
	struct wl_event_loop *loop;
	struct gp_transport *transport;
	struct gp_context *context;
	unsigned ready, lost, fences, transports_lost;
	int err; /* of the last fence */
	struct gp_resource *resource;
	unsigned created;
	bool destroy_in_fence, destroy_in_lost;
	struct gp_channel *channel;
	struct br_stream in;
	unsigned received, closed;
	struct gp_blob *blob;
};

static void destroy_context(struct rig *rig)
{
	/* Fences that are canceled come here again. */
	struct gp_context *context = rig->context;
	rig->context = NULL;
	gp_context_destroy(context);
}

static void on_ready(void *data)
{
	struct rig *rig = data;
	rig->ready++;
}

static void on_lost(void *data, const char *reason)
{
	struct rig *rig = data;
	CHECK(reason != NULL);
	rig->lost++;
	if (rig->destroy_in_lost) {
		destroy_context(rig);
	}
}

static void on_transport_lost(void *data, const char *reason)
{
	struct rig *rig = data;
	CHECK(reason != NULL);
	rig->transports_lost++;
}

static const struct gp_context_events events = {.ready = on_ready, .lost = on_lost};

static void open_transport(struct rig *rig)
{
	const struct gp_transport_options options = {
		.extensions = UINT32_MAX, .lost = on_transport_lost, .data = rig};
	const char *advice;
	*rig = (struct rig){.loop = wl_event_loop_create()};
	CHECK_INT(gp_transport_virtgpu_create(rig->loop, fake_drm.path, &options, &rig->transport,
					      &advice),
		  0);
	CHECK(advice == NULL);
}

static void open_context(struct rig *rig)
{
	CHECK_INT(gp_context_create(rig->transport, "test", &events, rig, &rig->context), 0);
	CHECK_INT(rig->ready, 0); /* later, never out of the call */
	CHECK_INT(wl_event_loop_dispatch(rig->loop, 0), 0);
	CHECK_INT(rig->ready, 1);
}

static void start(struct rig *rig)
{
	fake_drm_start();
	open_transport(rig);
	open_context(rig);
}

static void finish(struct rig *rig)
{
	gp_context_destroy(rig->context);
	gp_transport_destroy(rig->transport);
	wl_event_loop_destroy(rig->loop);
	fake_drm_finish();
}

static struct gp_resource *make_guest(struct rig *rig, uint64_t size)
{
	struct gp_resource *resource;
	CHECK_INT(gp_resource_create_guest(rig->context, -1, size, &resource), 0);
	return resource;
}

/* --- timelines --- */

TEST(timelines_are_the_kernels)
{
	struct rig rig;
	uint32_t handle;
	start(&rig);
	fake_drm.syncobj_fd = 33;
	const struct gp_transport_ops *ops = rig.context->ops;
	CHECK(rig.transport->caps.timelines);
	CHECK_INT(ops->timeline_import(rig.context, 34, &handle), -EINVAL);
	CHECK_INT(ops->timeline_import(rig.context, 33, &handle), 0);
	CHECK_INT(ops->timeline_wait(rig.context, handle, UINT64_MAX, 5), 0);
	CHECK(fake_drm.wait.fd == 5 && fake_drm.wait.point == UINT64_MAX);
	CHECK_INT(fake_drm.wait.flags, 0); /* of a point that is signalled, not just there */
	CHECK_INT(ops->timeline_signal(rig.context, handle, 1ull << 40), 0);
	CHECK(fake_drm.signalled == 1ull << 40);
	ops->timeline_destroy(rig.context, handle);
	CHECK_INT(fake_drm.syncobjs, 0);
	CHECK_INT(ops->timeline_wait(rig.context, handle, 1, 5), -ENOENT);
	finish(&rig);
}

TEST(without_a_call_to_wait_there_are_no_timelines)
{
	for (int old = 0; old < 2; old++) {
		struct rig rig;
		fake_drm_start();
		fake_drm.no_timelines = !old;
		fake_drm.no_syncobj_eventfd = old;
		open_transport(&rig);
		CHECK(!rig.transport->caps.timelines);
		gp_transport_destroy(rig.transport);
		wl_event_loop_destroy(rig.loop);
		fake_drm_finish();
	}
}

/* --- rows --- */

static void check_transfer(size_t at, uint32_t offset, uint32_t bytes, uint32_t rows)
{
	CHECK(at < fake_drm.n_transfers);
	const struct fake_transfer *transfer = &fake_drm.transfers[at];
	CHECK(transfer->to_host);
	CHECK_INT(transfer->offset, offset);
	CHECK_INT(transfer->bytes, bytes);
	CHECK_INT(transfer->rows, rows);
}

TEST(rows_that_fit_are_one_command)
{
	struct rig rig;
	start(&rig);
	struct gp_resource *resource = make_guest(&rig, 1 << 20);
	const struct gp_rows rows = {.offset = 400, .stride = 1000, .bytes = 12, .count = 7};
	CHECK_INT(gp_resource_transfer(resource, &rows), 0);
	CHECK_INT(fake_drm.n_transfers, 1);
	check_transfer(0, 400, 12, 7);
	CHECK_INT(fake_drm.transfers[0].stride, 1000);
	CHECK_INT(fake_drm.transfers[0].bo_handle + 100, resource->id);
	gp_resource_destroy(resource);
	finish(&rig);
}

TEST(rows_of_nothing_are_no_command)
{
	struct rig rig;
	start(&rig);
	struct gp_resource *resource = make_guest(&rig, 4096);
	const struct gp_rows none = {.offset = 4, .stride = 100, .bytes = 100, .count = 0};
	const struct gp_rows empty = {.offset = 4, .stride = 100, .bytes = 0, .count = 9};
	CHECK_INT(gp_resource_transfer(resource, &none), 0);
	CHECK_INT(gp_resource_transfer(resource, &empty), 0);
	CHECK_INT(fake_drm.n_transfers, 0);
	gp_resource_destroy(resource);
	finish(&rig);
}

TEST(too_many_rows_are_several_commands)
{
	struct rig rig;
	start(&rig);
	struct gp_resource *resource = make_guest(&rig, 1 << 20);
	const struct gp_rows rows = {
		.offset = 5, .stride = 8, .bytes = 4, .count = 2 * BR_LIMIT_TRANSFER_ROWS + 3};
	CHECK_INT(gp_resource_transfer(resource, &rows), 0);
	CHECK_INT(fake_drm.n_transfers, 3);
	check_transfer(0, 5, 4, BR_LIMIT_TRANSFER_ROWS);
	check_transfer(1, 5 + 8 * BR_LIMIT_TRANSFER_ROWS, 4, BR_LIMIT_TRANSFER_ROWS);
	check_transfer(2, 5 + 16 * BR_LIMIT_TRANSFER_ROWS, 4, 3);
	gp_resource_destroy(resource);
	finish(&rig);
}

TEST(too_many_bytes_are_several_commands)
{
	struct rig rig;
	const uint32_t row = BR_LIMIT_TRANSFER_BYTES / 4;
	start(&rig);
	struct gp_resource *resource = make_guest(&rig, 9ull * row);
	const struct gp_rows rows = {.stride = row, .bytes = row, .count = 9};
	CHECK_INT(gp_resource_transfer(resource, &rows), 0);
	CHECK_INT(fake_drm.n_transfers, 3);
	check_transfer(0, 0, row, 4);
	check_transfer(1, 4 * row, row, 4);
	check_transfer(2, 8 * row, row, 1);
	gp_resource_destroy(resource);
	finish(&rig);
}

TEST(rows_longer_than_a_command_are_cut)
{
	struct rig rig;
	const uint32_t most = BR_LIMIT_TRANSFER_BYTES;
	start(&rig);
	struct gp_resource *resource = make_guest(&rig, 8ull * most);
	const struct gp_rows rows = {
		.offset = 16, .stride = 3 * most, .bytes = 2 * most + 1, .count = 2};
	CHECK_INT(gp_resource_transfer(resource, &rows), 0);
	CHECK_INT(fake_drm.n_transfers, 6);
	for (uint32_t i = 0; i < 2; i++) {
		check_transfer(3 * i, 16 + i * 3 * most, most, 1);
		check_transfer(3 * i + 1, 16 + i * 3 * most + most, most, 1);
		check_transfer(3 * i + 2, 16 + i * 3 * most + 2 * most, 1, 1);
	}
	gp_resource_destroy(resource);
	finish(&rig);
}

TEST(transfer_that_fails_ends_the_row)
{
	struct rig rig;
	start(&rig);
	struct gp_resource *resource = make_guest(&rig, 1 << 20);
	const struct gp_rows rows = {.stride = 8, .bytes = 8, .count = 3 * BR_LIMIT_TRANSFER_ROWS};
	fake_drm.fail_request = DRM_IOCTL_VIRTGPU_TRANSFER_TO_HOST;
	fake_drm.fail_after = 1;
	fake_drm.fail_errno = ENOSPC;
	CHECK_INT(gp_resource_transfer(resource, &rows), -ENOSPC);
	CHECK_INT(fake_drm.n_transfers, 1);
	gp_resource_destroy(resource);
	finish(&rig);
}

/* --- rings --- */

TEST(rings_are_those_that_the_host_has)
{
	struct gp_transport transport = {.caps.rings = XD_NUM_RINGS};
	const struct gp_channel channel = {.transport = &transport};
	static const uint32_t ids[] = {2, 3, 60, 61, 1000, XD_FIRST_READ_PIPE_ID - 1, UINT32_MAX};
	/* The host of others ends fences on the query ring at once, and has no more. */
	CHECK_INT(gp_channel_send_ring(&channel), XD_RING_QUERY);
	CHECK_INT(gp_channel_pipe_ring(&channel, 77), XD_RING_QUERY);
	transport.caps.rings = XD_RING_SEND + 1;
	CHECK_INT(gp_channel_send_ring(&channel), XD_RING_SEND);
	CHECK_INT(gp_channel_pipe_ring(&channel, 77), XD_RING_SEND);
	for (uint32_t rings = XD_RING_FIRST_PIPE + 1; rings <= 64; rings++) {
		transport.caps.rings = rings;
		CHECK_INT(gp_channel_send_ring(&channel), XD_RING_SEND);
		for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
			int ring = gp_channel_pipe_ring(&channel, ids[i]);
			CHECK(ring >= XD_RING_FIRST_PIPE && (uint32_t)ring < rings);
		}
	}
	/* Pipes that follow each other do not wait for each other. */
	CHECK(gp_channel_pipe_ring(&channel, 8) != gp_channel_pipe_ring(&channel, 9));
}

static void on_received(void *data)
{
	struct rig *rig = data;
	rig->received++;
}

static void on_writable(void *data)
{
	(void)data;
}

static void on_closed(void *data, const char *reason)
{
	struct rig *rig = data;
	CHECK(reason != NULL);
	rig->closed++;
}

static const struct gp_channel_events channel_events = {
	.received = on_received, .writable = on_writable, .closed = on_closed};

static void open_channel(struct rig *rig)
{
	br_stream_init(&rig->in, BR_LIMIT_IN_BYTES, BR_LIMIT_IN_FDS);
	CHECK_INT(gp_channel_create(rig->transport, "test", &rig->in, &channel_events, rig,
				    &rig->channel),
		  0);
	CHECK_INT(wl_event_loop_dispatch(rig->loop, 0), 0);
}

static void finish_channel(struct rig *rig)
{
	gp_channel_destroy(rig->channel);
	br_stream_finish(&rig->in);
	finish(rig);
}

static void check_exec(size_t at, uint8_t cmd, int ring, uint32_t flags)
{
	CHECK(at < fake_drm.n_execs);
	CHECK_INT(fake_drm.execs[at].bytes[0], cmd);
	CHECK_INT(fake_drm.execs[at].flags, flags);
	if (flags & VIRTGPU_EXECBUF_RING_IDX) {
		CHECK_INT(fake_drm.execs[at].ring_idx, ring);
	}
}

#define FENCED (VIRTGPU_EXECBUF_RING_IDX | VIRTGPU_EXECBUF_FENCE_FD_OUT)

/* The host writes a command into a ring: the first object is the query ring, the second the channel's. */
static void write_ring(size_t bo, const void *bytes, size_t len)
{
	CHECK_INT(pwrite(fake_drm.bos[bo].memory_fd, bytes, len, 0), len);
}

TEST(commands_are_fenced_on_rings_of_their_own)
{
	struct rig rig;
	struct br_stream out;
	const uint8_t bytes[BR_SEND_WINDOW_BYTES / 4] = {0};
	const struct xd_send_receive receive = {
		.hdr.cmd = XD_CMD_RECEIVE,
		.num_identifiers = 1,
		.opaque_data_size = 8,
		.identifiers = {7},
		.types = {XD_ITEM_WRITE_PIPE},
	};
	struct br_handle pipe;
	fake_drm_start();
	open_transport(&rig);
	open_channel(&rig);
	CHECK_INT(fake_drm.params[1].value, 64);
	check_exec(0, XD_CMD_ENABLE, XD_RING_SEND, FENCED);
	check_exec(1, XD_CMD_POLL, XD_RING_CHANNEL, VIRTGPU_EXECBUF_RING_IDX);
	br_stream_init(&out, SIZE_MAX / 2, SIZE_MAX / 2);
	CHECK_INT(br_stream_write(&out, bytes, sizeof(bytes)), 0);
	CHECK_INT(gp_channel_flush(rig.channel, &out), 0);
	size_t last = fake_drm.n_execs - 1;
	check_exec(last, XD_CMD_SEND, XD_RING_SEND, FENCED);
	write_ring(1, &receive, sizeof(receive));
	fake_drm_send_events(1);
	CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
	CHECK_INT(rig.received, 1);
	check_exec(last + 1, XD_CMD_POLL, XD_RING_CHANNEL, VIRTGPU_EXECBUF_RING_IDX);
	CHECK(br_stream_pop_handle(&rig.in, &pipe));
	CHECK_INT(write(pipe.fd, "data", 4), 4);
	CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
	check_exec(last + 2, XD_CMD_WRITE, XD_RING_FIRST_PIPE + 7, FENCED);
	br_fd_clear(&pipe.fd);
	CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
	check_exec(last + 3, XD_CMD_WRITE, 0, 0); /* the end is not waited for */
	br_stream_finish(&out);
	finish_channel(&rig);
}

TEST(other_hosts_have_two_rings)
{
	struct rig rig;
	fake_drm_start();
	fake_drm.capset.magic = 0;
	open_transport(&rig);
	open_channel(&rig);
	CHECK_INT(fake_drm.params[1].param, VIRTGPU_CONTEXT_PARAM_NUM_RINGS);
	CHECK_INT(fake_drm.params[1].value, XD_NUM_RINGS);
	check_exec(0, XD_CMD_INIT, XD_RING_QUERY, FENCED);
	check_exec(1, XD_CMD_POLL, XD_RING_CHANNEL, VIRTGPU_EXECBUF_RING_IDX);
	finish_channel(&rig);
}

/* --- memory of the host --- */

static void on_blob(void *data, int err, struct gp_blob *blob)
{
	struct rig *rig = data;
	rig->created++;
	rig->err = err;
	rig->blob = blob;
}

/* Answer the query of the last command, and say that the memory, if it is made, is there. */
static void make_blob(struct rig *rig, uint64_t size)
{
	const struct xd_image_requirements answer = {.strides = {4096}, .size = size, .blob_id = 5};
	gp_channel_alloc_blob(rig->channel, size, on_blob, rig);
	CHECK_INT(fake_drm.execs[fake_drm.n_execs - 1].bytes[0], XD_CMD_GET_IMAGE_REQUIREMENTS);
	write_ring(0, &answer, sizeof(answer));
	size_t query = fake_drm.n_execs - 1;
	fake_drm_signal(query);
	CHECK_INT(wl_event_loop_dispatch(rig->loop, 0), 0);
	while (rig->created == 0 && fake_drm.n_execs > query + 1) {
		query = fake_drm.n_execs - 1;
		fake_drm_signal(query);
		CHECK_INT(wl_event_loop_dispatch(rig->loop, 0), 0);
	}
	CHECK_INT(rig->created, 1);
}

TEST(memory_in_the_window_needs_no_transfer)
{
	struct rig rig;
	fake_drm_start();
	open_transport(&rig);
	open_channel(&rig);
	make_blob(&rig, 8192);
	CHECK_INT(rig.err, 0);
	CHECK(rig.blob->written == NULL);
	CHECK_INT(fake_drm.bos[2].create.blob_mem, VIRTGPU_BLOB_MEM_HOST3D);
	CHECK_INT(fake_drm.bos[2].create.blob_id, 5);
	(void)gp_blob_unref(rig.blob);
	finish_channel(&rig);
}

TEST(memory_beside_the_window_is_transferred)
{
	for (unsigned full = 0; full < 2; full++) {
		struct rig rig;
		const struct gp_rows rows = {.offset = 8, .stride = 64, .bytes = 4, .count = 2};
		fake_drm_start();
		fake_drm.no_window = !full;
		open_transport(&rig);
		open_channel(&rig);
		/* A window without room shows when the memory is mapped. */
		fake_drm.fail_mmap_of = full ? VIRTGPU_BLOB_MEM_HOST3D : 0;
		make_blob(&rig, 8192);
		CHECK_INT(rig.err, 0);
		CHECK(rig.blob->written != NULL);
		CHECK_INT(fake_drm.bos[2 + full].create.blob_mem, VIRTGPU_BLOB_MEM_HOST3D_GUEST);
		CHECK_INT(rig.blob->written(rig.blob, &rows), 0);
		CHECK_INT(fake_drm.n_transfers, 1);
		check_transfer(0, 8, 4, 2);
		struct gp_blob *blob = gp_blob_ref(rig.blob);
		gp_channel_destroy(rig.channel);
		rig.channel = NULL;
		/* Without its channel nobody sees it. */
		CHECK_INT(blob->written(blob, &rows), 0);
		CHECK_INT(fake_drm.n_transfers, 1);
		(void)gp_blob_unref(blob);
		(void)gp_blob_unref(blob);
		finish_channel(&rig);
	}
}

/* --- the node --- */

/* Create a transport that can't be; returns the error. */
static int fail_to_open(const char *path, const char **ret_advice)
{
	struct rig rig = {0};
	const struct gp_transport_options options = {.lost = on_transport_lost, .data = &rig};
	rig.loop = wl_event_loop_create();
	CHECK(rig.loop != NULL);
	int ret = gp_transport_virtgpu_create(rig.loop, path, &options, &rig.transport, ret_advice);
	wl_event_loop_destroy(rig.loop);
	CHECK(ret < 0 && *ret_advice != NULL);
	return ret;
}

TEST(no_more_files_are_not_a_missing_device)
{
	struct rig rig;
	const struct gp_transport_options options = {.lost = on_transport_lost, .data = &rig};
	struct rlimit limit, none;
	const char *advice;
	fake_drm_start();
	rig.loop = wl_event_loop_create();
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	int ret = gp_transport_virtgpu_create(rig.loop, fake_drm.path, &options, &rig.transport,
					      &advice);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK_INT(ret, -EMFILE);
	CHECK(strstr(advice, "ulimit -n") != NULL);
	wl_event_loop_destroy(rig.loop);
	fake_drm_finish();
}

TEST(long_paths_are_not_cut)
{
	char path[128];
	const char *advice;
	fake_drm_start();
	/* Its beginning, as long as what fits, is the node. */
	memset(path, '/', sizeof(path));
	strcpy(path + GP_NODE_PATH_BYTES - 1 - strlen(fake_drm.path), fake_drm.path);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	CHECK(fd >= 0);
	br_fd_clear(&fd);
	strcat(path, "0");
	CHECK_INT(fail_to_open(path, &advice), -ENODEV);
	fake_drm_finish();
}

TEST(nodes_that_lack_something_say_what)
{
	const char *advice;
	fake_drm_start();
	CHECK_INT(fail_to_open("/nonexistent", &advice), -ENODEV);
	CHECK(strstr(advice, "not a virtio-gpu") != NULL);
	fake_drm.fail_request = DRM_IOCTL_VIRTGPU_GET_CAPS;
	fake_drm.fail_errno = EINVAL;
	fake_drm.fail_always = true;
	CHECK_INT(fail_to_open(fake_drm.path, &advice), -ENODEV);
	CHECK(strstr(advice, "no cross-domain capset") != NULL);
	fake_drm.fail_request = DRM_IOCTL_VIRTGPU_GETPARAM;
	fake_drm.fail_always = false;
	fake_drm.fail_after = 1; /* behind 3D_FEATURES */
	CHECK_INT(fail_to_open(fake_drm.path, &advice), -ENODEV);
	CHECK(strstr(advice, "kernel is too old") != NULL);
	fake_drm_finish();
}

TEST(context_without_a_name_for_older_kernels)
{
	struct rig rig;
	fake_drm_start();
	open_transport(&rig);
	fake_drm.fail_request = DRM_IOCTL_VIRTGPU_CONTEXT_INIT;
	fake_drm.fail_errno = EINVAL;
	open_context(&rig);
	CHECK_INT(fake_drm.n_params, 3);
	finish(&rig);
}

TEST(context_that_can_not_be_made_loses_the_transport)
{
	struct rig rig;
	fake_drm_start();
	open_transport(&rig);
	fake_drm.fail_request = DRM_IOCTL_VIRTGPU_CONTEXT_INIT;
	fake_drm.fail_errno = ENODEV;
	CHECK_INT(gp_context_create(rig.transport, "test", &events, &rig, &rig.context), -ENODEV);
	CHECK_INT(rig.transports_lost, 1);
	rig.context = NULL;
	finish(&rig);
}

/* --- fences --- */

static void on_fence(void *data, int err)
{
	struct rig *rig = data;
	rig->fences++;
	rig->err = err;
	if (rig->destroy_in_fence) {
		destroy_context(rig);
	}
}

static int submit(struct rig *rig, int ring)
{
	const uint32_t command = 7;
	const struct iovec iov = {.iov_base = (void *)&command, .iov_len = sizeof(command)};
	const struct gp_submit what = {
		.iov = &iov, .n_iov = 1, .ring_idx = ring, .done = on_fence, .data = rig};
	return gp_context_submit(rig->context, &what);
}

TEST(fences_end_when_they_are_signaled)
{
	struct rig rig;
	start(&rig);
	CHECK_INT(submit(&rig, XD_RING_SEND), 0);
	CHECK_INT(submit(&rig, XD_RING_CHANNEL), 0);
	CHECK_INT(submit(&rig, XD_RING_CHANNEL), 0);
	CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
	CHECK_INT(rig.fences, 0);
	fake_drm_signal(0);
	CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
	CHECK_INT(rig.fences, 1);
	fake_drm_send_events(1);
	CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
	CHECK_INT(rig.fences, 2);
	/* More events than anybody waits for. */
	fake_drm_send_events(5);
	CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
	CHECK_INT(rig.fences, 3);
	CHECK_INT(rig.err, 0);
	CHECK_INT(rig.lost, 0);
	finish(&rig);
}

TEST(fences_are_canceled_with_their_context)
{
	struct rig rig;
	start(&rig);
	CHECK_INT(submit(&rig, XD_RING_SEND), 0);
	CHECK_INT(submit(&rig, XD_RING_CHANNEL), 0);
	destroy_context(&rig);
	CHECK_INT(rig.fences, 2);
	CHECK_INT(rig.err, -ECANCELED);
	finish(&rig);
}

TEST(context_may_be_destroyed_by_a_fence)
{
	for (unsigned polled = 0; polled < 2; polled++) {
		struct rig rig;
		start(&rig);
		CHECK_INT(submit(&rig, polled ? XD_RING_CHANNEL : XD_RING_SEND), 0);
		CHECK_INT(submit(&rig, polled ? XD_RING_CHANNEL : XD_RING_SEND), 0);
		rig.destroy_in_fence = true;
		if (polled) {
			fake_drm_send_events(2);
		} else {
			fake_drm_signal(0);
			fake_drm_signal(1);
		}
		CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
		CHECK(rig.context == NULL);
		CHECK_INT(rig.fences, 2);
		finish(&rig);
	}
}

TEST(events_of_a_wrong_size_do_no_harm)
{
	struct rig rig;
	const struct drm_event zero = {.type = VIRTGPU_EVENT_FENCE_SIGNALED, .length = 0};
	const struct drm_event huge = {.type = VIRTGPU_EVENT_FENCE_SIGNALED, .length = UINT32_MAX};
	start(&rig);
	CHECK_INT(submit(&rig, XD_RING_CHANNEL), 0);
	fake_drm_send_bytes(&zero, sizeof(zero));
	CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
	CHECK_INT(rig.fences, 0);
	fake_drm_send_bytes(&huge, sizeof(huge));
	CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
	CHECK_INT(rig.fences, 1);
	fake_drm_send_bytes("abc", 3);
	CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
	finish(&rig);
}

TEST(refused_commands_are_the_callers)
{
	struct rig rig;
	start(&rig);
	fake_drm.fail_request = DRM_IOCTL_VIRTGPU_EXECBUFFER;
	fake_drm.fail_errno = ENOMEM;
	CHECK_INT(submit(&rig, XD_RING_SEND), -ENOMEM);
	CHECK_INT(rig.fences, 0);
	CHECK_INT(submit(&rig, XD_RING_SEND), 0);
	static uint8_t large[XD_MAX_CMD_BYTES + 1];
	const struct iovec iov = {.iov_base = large, .iov_len = sizeof(large)};
	const struct gp_submit what = {.iov = &iov, .n_iov = 1};
	CHECK_INT(gp_context_submit(rig.context, &what), -EMSGSIZE);
	finish(&rig);
}

/* --- memory that can't be had --- */

/* Each step of making memory of the host fails once: nothing may be left, and nobody may wait. */
TEST(memory_fails_at_each_step)
{
	static const unsigned long requests[] = {
		DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB,
		DRM_IOCTL_VIRTGPU_MAP,
		DRM_IOCTL_VIRTGPU_EXECBUFFER,
	};
	for (size_t i = 0; i < 3; i++) {
		for (unsigned after = 0; after < 3; after++) {
			struct rig rig;
			fake_drm_start();
			fake_drm.fail_mmap_of = after == 0 ? 0 : VIRTGPU_BLOB_MEM_HOST3D;
			open_transport(&rig);
			open_channel(&rig);
			/* Behind the query, which is a command as well. */
			fake_drm.fail_request = requests[i];
			fake_drm.fail_errno = ENOSPC;
			fake_drm.fail_after =
				after + (requests[i] == DRM_IOCTL_VIRTGPU_EXECBUFFER ? 1 : 0);
			fake_drm.fail_always = true;
			make_blob(&rig, 8192);
			if (rig.err == 0) {
				(void)gp_blob_unref(rig.blob);
			} else {
				CHECK(rig.blob == NULL);
			}
			fake_drm.fail_request = 0;
			CHECK_INT(fake_drm_count_open(), 2);
			finish_channel(&rig);
		}
	}
}

TEST(channel_may_go_while_memory_is_made)
{
	for (unsigned answered = 0; answered < 2; answered++) {
		struct rig rig;
		const struct xd_image_requirements answer = {
			.strides = {4096}, .size = 8192, .blob_id = 5};
		fake_drm_start();
		open_transport(&rig);
		open_channel(&rig);
		gp_channel_alloc_blob(rig.channel, 8192, on_blob, &rig);
		if (answered) {
			write_ring(0, &answer, sizeof(answer));
			fake_drm_signal(fake_drm.n_execs - 1);
			CHECK_INT(wl_event_loop_dispatch(rig.loop, 0), 0);
			CHECK_INT(fake_drm.n_bos, 3);
		}
		gp_channel_destroy(rig.channel);
		rig.channel = NULL;
		CHECK_INT(rig.created, 1);
		CHECK(rig.err < 0);
		finish_channel(&rig);
	}
}
