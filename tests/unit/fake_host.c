/* SPDX-License-Identifier: MIT */
#include "fake_host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_gpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fd.h"
#include "limits.h"
#include "sock.h"
#include "socket_proto.h"
#include "test.h"

/* Largest READ: what the mailbox holds. */
#define READ_BYTES (FAKE_RING_BYTES - sizeof(struct xd_read_write))

void fake_start(struct fake_host *host)
{
	memset(host, 0, sizeof(*host));
	strcpy(host->dir, "/tmp/channel-XXXXXX");
	CHECK(mkdtemp(host->dir) != NULL);
	snprintf(host->path, sizeof(host->path), "%s/socket", host->dir);
	host->fd = -1;
	host->listen_fd = br_sock_listen(host->path, SOCK_SEQPACKET);
	CHECK(host->listen_fd >= 0);
	host->last_item = XD_FIRST_ITEM_ID - 1;
	host->last_read_pipe = XD_FIRST_READ_PIPE_ID - 1;
	br_stream_init(&host->in, SIZE_MAX / 2, SIZE_MAX / 2);
}

static void reset_device(struct fake_host *host)
{
	for (size_t i = 0; i < FAKE_MAX_RESOURCES; i++) {
		if (host->resources[i].id != 0) {
			br_fd_clear(&host->resources[i].fd);
			host->resources[i].id = 0;
		}
	}
	for (size_t i = 0; i < FAKE_MAX_ITEMS; i++) {
		if (host->items[i].id != 0) {
			br_fd_clear(&host->items[i].fd);
			host->items[i].id = 0;
		}
	}
	for (size_t i = 0; i < host->n_read_pipes; i++) {
		br_fd_clear(&host->read_pipes[i].fd);
	}
	for (; host->event_head < host->event_tail; host->event_head++) {
		free(host->events[host->event_head].bytes);
	}
	host->n_read_pipes = host->n_polls = host->n_held = host->n_held_maps = 0;
	host->event_head = host->event_tail = 0;
	host->ctx_id = 0;
	host->initialised = false;
	host->last_item = XD_FIRST_ITEM_ID - 1;
	host->last_read_pipe = XD_FIRST_READ_PIPE_ID - 1;
}

void fake_die(struct fake_host *host)
{
	br_fd_clear(&host->fd);
	reset_device(host);
}

void fake_finish(struct fake_host *host)
{
	fake_die(host);
	br_fd_clear(&host->listen_fd);
	br_stream_finish(&host->in);
	(void)unlink(host->path);
	(void)rmdir(host->dir);
}

/* --- answers --- */

static void send_fd(struct fake_host *host, const void *bytes, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	/* Answers are few and small: the guest, in this thread, reads them all. */
	CHECK_INT(sendmsg(host->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT), len);
}

void fake_send_packet(struct fake_host *host, const void *bytes, size_t len)
{
	send_fd(host, bytes, len, -1);
}

static void answer(struct fake_host *host, uint64_t cookie, uint32_t ctx_id, uint32_t type, int fd)
{
	struct {
		struct sk_packet packet;
		struct virtio_gpu_resp_map_info response;
	} message = {
		.packet = {.type = SK_RESPONSE, .cookie = cookie},
		.response.hdr = {.type = type, .ctx_id = ctx_id},
	};
	size_t len = type == VIRTIO_GPU_RESP_OK_MAP_INFO
			     ? sizeof(message)
			     : sizeof(message.packet) + sizeof(message.response.hdr);
	send_fd(host, &message, len, fd);
}

static void signal_fence(struct fake_host *host, const struct fake_fence *fence)
{
	answer(host, fence->cookie, fence->ctx_id, VIRTIO_GPU_RESP_OK_NODATA, -1);
}

void fake_release_fences(struct fake_host *host)
{
	host->hold_fences = false;
	for (size_t i = 0; i < host->n_held; i++) {
		signal_fence(host, &host->held[i]);
	}
	host->n_held = 0;
}

void fake_fail_poll(struct fake_host *host)
{
	CHECK_INT(host->n_polls, 1);
	answer(host, host->polls[0].cookie, host->ctx_id, VIRTIO_GPU_RESP_ERR_UNSPEC, -1);
	host->n_polls = 0;
}

/* --- resources and items --- */

struct fake_resource *fake_find_resource(struct fake_host *host, uint32_t id)
{
	for (size_t i = 0; i < FAKE_MAX_RESOURCES; i++) {
		if (id != 0 && host->resources[i].id == id) {
			return &host->resources[i];
		}
	}
	return NULL;
}

unsigned fake_count_resources(struct fake_host *host)
{
	unsigned count = 0;
	for (size_t i = 0; i < FAKE_MAX_RESOURCES; i++) {
		count += host->resources[i].id != 0;
	}
	return count;
}

static struct fake_item *add_item(struct fake_host *host)
{
	for (size_t i = 0; i < FAKE_MAX_ITEMS; i++) {
		if (host->items[i].id == 0) {
			host->items[i] = (struct fake_item){.id = ++host->last_item, .fd = -1};
			return &host->items[i];
		}
	}
	FAIL("too many items for this test");
}

static struct fake_item *find_item(struct fake_host *host, uint32_t id)
{
	for (size_t i = 0; i < FAKE_MAX_ITEMS; i++) {
		if (id != 0 && host->items[i].id == id) {
			return &host->items[i];
		}
	}
	return NULL;
}

static void drop_item(struct fake_item *item)
{
	br_fd_clear(&item->fd);
	item->id = 0;
}

static int new_memory(uint64_t size)
{
	int fd = memfd_create("fake", MFD_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_INT(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* Returns the memory of a blob id, or -1 if there is none of that size. */
static int host_memory(struct fake_host *host, uint64_t blob_id, uint64_t size)
{
	struct fake_item *item = find_item(host, (uint32_t)blob_id);
	if (host->refuse_blob || item == NULL || item->pipe || item->size != size) {
		return -1;
	}
	if (item->image) {
		return new_memory(size); /* any number of times */
	}
	int fd = br_fd_take(&item->fd);
	drop_item(item);
	return fd;
}

static uint32_t create_blob(struct fake_host *host, const uint8_t *bytes, size_t len, int *fd)
{
	struct virtio_gpu_resource_create_blob cmd;
	struct stat st;
	CHECK_INT(len, sizeof(cmd));
	memcpy(&cmd, bytes, sizeof(cmd));
	CHECK(cmd.resource_id != 0 && fake_find_resource(host, cmd.resource_id) == NULL);
	CHECK_INT(cmd.nr_entries, 0);
	bool guest_memory = cmd.blob_mem == VIRTIO_GPU_BLOB_MEM_GUEST;
	struct fake_resource *resource = host->resources;
	while (resource->id != 0) {
		resource++;
		CHECK(resource < host->resources + FAKE_MAX_RESOURCES);
	}
	if (guest_memory) {
		CHECK_INT(cmd.blob_id, 0);
		CHECK(*fd >= 0);
		CHECK_INT(fstat(*fd, &st), 0);
		CHECK((uint64_t)st.st_size >= cmd.size);
	} else {
		CHECK_INT(cmd.blob_mem, VIRTIO_GPU_BLOB_MEM_HOST3D);
		CHECK_INT(cmd.hdr.ctx_id, host->ctx_id);
		CHECK_INT(*fd, -1);
		*fd = host_memory(host, cmd.blob_id, cmd.size);
		if (*fd < 0) {
			host->refused_blobs++;
			return VIRTIO_GPU_RESP_ERR_UNSPEC;
		}
	}
	*resource = (struct fake_resource){
		.id = cmd.resource_id,
		.fd = br_fd_take(fd),
		.size = cmd.size,
		.guest_memory = guest_memory,
	};
	return 0;
}

static int map_fd(struct fake_host *host, const struct fake_resource *resource)
{
	char path[32];
	if (host->short_map) {
		return new_memory(resource->size - 1);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", resource->fd);
	return host->read_only_map ? open(path, O_RDONLY | O_CLOEXEC) : br_fd_dup(resource->fd);
}

static void map_blob(struct fake_host *host, const struct virtio_gpu_ctrl_hdr *hdr,
		     const uint8_t *bytes, uint64_t cookie)
{
	struct virtio_gpu_resource_map_blob cmd;
	memcpy(&cmd, bytes, sizeof(cmd));
	struct fake_resource *resource = fake_find_resource(host, cmd.resource_id);
	if (resource == NULL || resource->guest_memory || resource->mapped) {
		answer(host, cookie, hdr->ctx_id, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, -1);
		return;
	}
	resource->mapped = true;
	if (host->hold_maps) {
		CHECK(host->n_held_maps < FAKE_MAX_FENCES);
		host->held_maps[host->n_held_maps++] = (struct fake_fence){.cookie = cookie};
		return;
	}
	int fd BR_CLEANUP_FD = map_fd(host, resource);
	CHECK(fd >= 0);
	answer(host, cookie, hdr->ctx_id, VIRTIO_GPU_RESP_OK_MAP_INFO, fd);
}

static void unref_resource(struct fake_host *host, uint32_t id)
{
	struct fake_resource *resource = fake_find_resource(host, id);
	/* One whose creation was refused is not there. */
	CHECK(resource != NULL || host->refused_blobs-- > 0);
	if (resource != NULL) {
		br_fd_clear(&resource->fd);
		resource->id = 0;
	}
}

/* --- cross-domain --- */

static void write_ring(struct fake_host *host, uint32_t id, const void *bytes, size_t len)
{
	struct fake_resource *ring = fake_find_resource(host, id);
	CHECK(ring != NULL && len <= ring->size);
	CHECK_INT(pwrite(ring->fd, bytes, len, 0), len);
}

static bool init(struct fake_host *host, const uint8_t *bytes, size_t len)
{
	struct xd_init cmd;
	CHECK_INT(len, sizeof(cmd)); /* what every host takes */
	memcpy(&cmd, bytes, sizeof(cmd));
	CHECK(!host->initialised);
	CHECK_INT(cmd.channel_type, XD_CHANNEL_WAYLAND);
	CHECK(cmd.query_ring_id != cmd.channel_ring_id);
	const uint32_t ids[] = {cmd.query_ring_id, cmd.channel_ring_id};
	for (size_t i = 0; i < 2; i++) {
		struct fake_resource *ring = fake_find_resource(host, ids[i]);
		CHECK(ring != NULL && ring->guest_memory && ring->attached);
		CHECK_INT(ring->size, FAKE_RING_BYTES);
	}
	host->query_ring = cmd.query_ring_id;
	host->channel_ring = cmd.channel_ring_id;
	host->initialised = true;
	return true;
}

static bool image_requirements(struct fake_host *host, const uint8_t *bytes, size_t len)
{
	struct xd_get_image_requirements cmd;
	CHECK_INT(len, sizeof(cmd));
	memcpy(&cmd, bytes, sizeof(cmd));
	host->queries++;
	if (host->refuse_query) {
		return false;
	}
	struct fake_item *item = add_item(host);
	item->image = true;
	item->size = ((uint64_t)cmd.width * cmd.height + 4095) / 4096 * 4096;
	const struct xd_image_requirements reply = {
		.strides = {cmd.width},
		.size = item->size,
		.blob_id = item->id,
		.memory_idx = -1,
		.physical_device_idx = -1,
	};
	write_ring(host, host->query_ring, &reply, sizeof(reply));
	return true;
}

static void send_handle(struct fake_host *host, uint32_t type, uint32_t id)
{
	struct br_handle handle = {.fd = -1};
	int ends[2];
	if (type == XD_ITEM_BLOB) {
		struct fake_resource *resource = fake_find_resource(host, id);
		CHECK(resource != NULL && resource->attached);
		handle.fd = br_fd_dup(resource->fd);
		handle.kind = XD_ITEM_BLOB;
	} else {
		CHECK_INT(type, XD_ITEM_READ_PIPE);
		CHECK_INT(id, ++host->last_read_pipe);
		CHECK_INT(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
		CHECK(host->n_read_pipes < FAKE_MAX_ITEMS);
		host->read_pipes[host->n_read_pipes].id = id;
		host->read_pipes[host->n_read_pipes++].fd = ends[0];
		handle.fd = ends[1];
		handle.kind = XD_ITEM_READ_PIPE;
	}
	CHECK(handle.fd >= 0);
	CHECK_INT(br_stream_push_handle_take(&host->in, &handle), 0);
}

static bool send_command(struct fake_host *host, const uint8_t *bytes, size_t len)
{
	struct xd_send_receive cmd;
	unsigned pipes = 0;
	CHECK(len >= sizeof(cmd));
	memcpy(&cmd, bytes, sizeof(cmd));
	CHECK(cmd.num_identifiers <= XD_MAX_IDENTIFIERS);
	CHECK_INT(len, sizeof(cmd) + cmd.opaque_data_size);
	CHECK(cmd.opaque_data_size <= XD_MAX_DATA_COMPAT);
	for (uint32_t i = 0; i < cmd.num_identifiers; i++) {
		pipes += cmd.types[i] == XD_ITEM_READ_PIPE;
		send_handle(host, cmd.types[i], cmd.identifiers[i]);
	}
	CHECK(pipes <= 1);
	CHECK_INT(br_stream_write(&host->in, bytes + sizeof(cmd), cmd.opaque_data_size), 0);
	host->sends++;
	if (cmd.opaque_data_size > host->largest_send) {
		host->largest_send = cmd.opaque_data_size;
	}
	return true;
}

static bool write_command(struct fake_host *host, const uint8_t *bytes, size_t len)
{
	struct xd_read_write cmd;
	CHECK(len >= sizeof(cmd));
	memcpy(&cmd, bytes, sizeof(cmd));
	CHECK_INT(len, sizeof(cmd) + cmd.opaque_data_size);
	CHECK(cmd.opaque_data_size <= XD_MAX_WRITE_COMPAT);
	/* Some hosts forget the bytes of a WRITE that also hangs up. */
	CHECK(!cmd.hang_up || cmd.opaque_data_size == 0);
	CHECK(cmd.hang_up || cmd.opaque_data_size > 0);
	struct fake_item *item = find_item(host, cmd.identifier);
	CHECK(item != NULL && item->pipe);
	host->writes++;
	/* The test's pipes are files of any size: a short count would be lost data. */
	CHECK_INT(write(item->fd, bytes + sizeof(cmd), cmd.opaque_data_size), cmd.opaque_data_size);
	if (cmd.hang_up) {
		host->hang_ups++;
		drop_item(item);
	}
	return true;
}

static bool run_command(struct fake_host *host, const uint8_t *bytes, size_t len)
{
	CHECK(host->initialised || bytes[0] == XD_CMD_INIT);
	switch (bytes[0]) {
	case XD_CMD_INIT:
		return init(host, bytes, len);
	case XD_CMD_GET_IMAGE_REQUIREMENTS:
		return image_requirements(host, bytes, len);
	case XD_CMD_POLL:
		CHECK_INT(len, sizeof(struct xd_poll));
		return true;
	case XD_CMD_SEND:
		return send_command(host, bytes, len);
	case XD_CMD_WRITE:
		return write_command(host, bytes, len);
	default:
		FAIL("command %u is not one of the protocol's", bytes[0]);
	}
}

static uint32_t submit(struct fake_host *host, const struct virtio_gpu_ctrl_hdr *hdr,
		       const uint8_t *bytes, size_t len, uint64_t cookie)
{
	struct virtio_gpu_cmd_submit cmd;
	uint8_t last = 0;
	CHECK(len >= sizeof(cmd));
	memcpy(&cmd, bytes, sizeof(cmd));
	CHECK_INT(cmd.size, len - sizeof(cmd));
	CHECK_INT(hdr->ctx_id, host->ctx_id);
	for (size_t at = sizeof(cmd); at < len;) {
		struct xd_header head;
		CHECK(len - at >= sizeof(head));
		memcpy(&head, bytes + at, sizeof(head));
		CHECK(head.cmd_size >= sizeof(head) && head.cmd_size <= len - at);
		if (!run_command(host, bytes + at, head.cmd_size)) {
			return VIRTIO_GPU_RESP_ERR_UNSPEC;
		}
		last = head.cmd;
		at += head.cmd_size;
	}
	if (!(hdr->flags & VIRTIO_GPU_FLAG_FENCE)) {
		return 0;
	}
	struct fake_fence fence = {cookie, hdr->ctx_id, hdr->ring_idx};
	if (hdr->ring_idx == XD_RING_CHANNEL) {
		/* Any fence there waits for an event: only a POLL may have one. */
		CHECK_INT(last, XD_CMD_POLL);
		CHECK_INT(host->n_polls, 0);
		host->polls[host->n_polls++] = fence;
	} else if (host->hold_fences) {
		CHECK(host->n_held < FAKE_MAX_FENCES);
		host->held[host->n_held++] = fence;
	} else {
		signal_fence(host, &fence);
	}
	return 0;
}

/* --- requests --- */

static void get_capset(struct fake_host *host, uint64_t cookie)
{
	struct {
		struct sk_packet packet;
		struct virtio_gpu_ctrl_hdr hdr;
		struct xd_capset capset;
	} message = {
		.packet = {.type = SK_RESPONSE, .cookie = cookie},
		.hdr.type = VIRTIO_GPU_RESP_OK_CAPSET,
		.capset = {.version = 1, .supported_channels = 1 << XD_CHANNEL_WAYLAND},
	};
	send_fd(host, &message, sizeof(message), -1);
}

static uint32_t create_context(struct fake_host *host, const uint8_t *bytes, size_t len)
{
	struct virtio_gpu_ctx_create cmd;
	CHECK_INT(len, sizeof(cmd));
	memcpy(&cmd, bytes, sizeof(cmd));
	CHECK_INT(host->ctx_id, 0);
	CHECK(cmd.hdr.ctx_id != 0);
	CHECK_INT(cmd.context_init, XD_CAPSET_ID);
	CHECK(cmd.nlen > 0 && cmd.nlen <= sizeof(cmd.debug_name));
	host->ctx_id = cmd.hdr.ctx_id;
	host->contexts++;
	return 0;
}

static void destroy_context(struct fake_host *host)
{
	CHECK(host->ctx_id != 0);
	host->ctx_id = 0;
	host->initialised = false;
	host->n_polls = 0;
}

static void handle_request(struct fake_host *host, uint64_t cookie, const uint8_t *bytes,
			   size_t len, int *fd)
{
	struct virtio_gpu_ctrl_hdr hdr;
	struct virtio_gpu_ctx_resource by_id = {0};
	struct fake_resource *resource;
	uint32_t err = 0;
	CHECK(len >= sizeof(hdr));
	memcpy(&hdr, bytes, sizeof(hdr));
	memcpy(&by_id, bytes, len < sizeof(by_id) ? len : sizeof(by_id));
	switch (hdr.type) {
	case VIRTIO_GPU_CMD_GET_CAPSET:
		get_capset(host, cookie);
		break;
	case VIRTIO_GPU_CMD_CTX_CREATE:
		err = create_context(host, bytes, len);
		break;
	case VIRTIO_GPU_CMD_CTX_DESTROY:
		destroy_context(host);
		break;
	case VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE:
		resource = fake_find_resource(host, by_id.resource_id);
		CHECK_INT(hdr.ctx_id, host->ctx_id);
		err = resource == NULL ? VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID : 0;
		if (resource != NULL) {
			resource->attached = true;
		}
		break;
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
		err = create_blob(host, bytes, len, fd);
		break;
	case VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
		map_blob(host, &hdr, bytes, cookie);
		break;
	case VIRTIO_GPU_CMD_RESOURCE_UNREF:
		unref_resource(host, by_id.resource_id);
		break;
	case VIRTIO_GPU_CMD_SUBMIT_3D:
		err = submit(host, &hdr, bytes, len, cookie);
		break;
	default:
		FAIL("request 0x%x is not expected", hdr.type);
	}
	if (err != 0) {
		answer(host, cookie, hdr.ctx_id, err, -1);
	}
}

static bool receive(struct fake_host *host)
{
	static uint8_t bytes[SK_MAX_PACKET_BYTES];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SK_MAX_FDS * sizeof(int))];
	} control;
	struct sk_packet packet;
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(host->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0) {
		CHECK(errno == EAGAIN || errno == ECONNRESET);
		return false;
	}
	if (n == 0) {
		fake_die(host);
		return true;
	}
	CHECK(!(msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC)));
	CHECK((size_t)n >= sizeof(packet));
	memcpy(&packet, bytes, sizeof(packet));
	CHECK_INT(packet.type, SK_REQUEST);
	CHECK_INT(packet.ctx_id, 0);
	int fd BR_CLEANUP_FD = -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (c != NULL) {
		/* Without extensions only memory travels beside its command. */
		CHECK_INT(c->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	}
	handle_request(host, packet.cookie, bytes + sizeof(packet), (size_t)n - sizeof(packet),
		       &fd);
	return true;
}

/* --- events --- */

void fake_send_raw(struct fake_host *host, const void *bytes, size_t len)
{
	CHECK(host->event_tail < FAKE_MAX_EVENTS && len <= FAKE_RING_BYTES);
	struct fake_event *event = &host->events[host->event_tail++];
	event->bytes = malloc(len);
	CHECK(event->bytes != NULL);
	memcpy(event->bytes, bytes, len);
	event->len = len;
}

void fake_send_event(struct fake_host *host, const void *bytes, size_t len, const int *fds,
		     size_t n)
{
	uint8_t message[FAKE_RING_BYTES];
	struct xd_send_receive head = {
		.hdr.cmd = XD_CMD_RECEIVE,
		.num_identifiers = (uint32_t)n,
		.opaque_data_size = (uint32_t)len,
	};
	CHECK(n <= XD_MAX_IDENTIFIERS && len <= XD_MAX_DATA_COMPAT);
	for (size_t i = 0; i < n; i++) {
		struct fake_item *item = add_item(host);
		off_t size = lseek(fds[i], 0, SEEK_END);
		item->fd = br_fd_dup(fds[i]);
		item->pipe = (fcntl(fds[i], F_GETFL) & O_ACCMODE) == O_WRONLY;
		item->size = size > 0 ? (uint64_t)size : 0;
		head.identifiers[i] = item->id;
		head.types[i] = item->pipe ? XD_ITEM_WRITE_PIPE : XD_ITEM_BLOB;
		head.sizes[i] = item->pipe ? 0 : (uint32_t)item->size;
	}
	memcpy(message, &head, sizeof(head));
	if (len > 0) {
		memcpy(message + sizeof(head), bytes, len);
	}
	fake_send_raw(host, message, sizeof(head) + len);
}

static void use_poll(struct fake_host *host, const void *bytes, size_t len)
{
	write_ring(host, host->channel_ring, bytes, len);
	signal_fence(host, &host->polls[0]);
	host->n_polls = 0;
}

/* One event for one POLL. */
static bool emit(struct fake_host *host)
{
	uint8_t message[FAKE_RING_BYTES];
	if (host->n_polls == 0) {
		return false;
	}
	if (host->event_head < host->event_tail) {
		struct fake_event *event = &host->events[host->event_head++];
		use_poll(host, event->bytes, event->len);
		free(event->bytes);
		return true;
	}
	for (size_t i = 0; i < host->n_read_pipes; i++) {
		ssize_t n = read(host->read_pipes[i].fd, message + sizeof(struct xd_read_write),
				 READ_BYTES);
		if (n < 0) {
			continue;
		}
		const struct xd_read_write head = {
			.hdr.cmd = XD_CMD_READ,
			.identifier = host->read_pipes[i].id,
			.hang_up = n == 0,
			.opaque_data_size = (uint32_t)n,
		};
		memcpy(message, &head, sizeof(head));
		if (n == 0) {
			br_fd_clear(&host->read_pipes[i].fd);
			host->read_pipes[i] = host->read_pipes[--host->n_read_pipes];
		}
		use_poll(host, message, sizeof(head) + (size_t)n);
		return true;
	}
	return false;
}

bool fake_run(struct fake_host *host)
{
	bool busy = false;
	if (host->fd < 0 && host->listen_fd >= 0) {
		host->fd = accept4(host->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		busy = host->fd >= 0;
	}
	while (host->fd >= 0 && !host->silent && receive(host)) {
		busy = true;
	}
	return host->fd >= 0 && !host->silent && emit(host) ? true : busy;
}
