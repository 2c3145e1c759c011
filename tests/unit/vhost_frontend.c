/* SPDX-License-Identifier: MIT */
#include "vhost_frontend.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"

#define ANSWER_BYTES 408
#define QUEUE_BYTES 0x10000u
#define HEAP 0x40000u

/* --- messages --- */

static void send_message(int fd, uint32_t request, uint32_t flags, const void *payload, size_t size,
			 const int *fds, size_t n_fds)
{
	struct vu_header header = {
		.request = request, .flags = flags | VU_VERSION, .size = (uint32_t)size};
	struct iovec iov[] = {{&header, sizeof(header)}, {(void *)payload, size}};
	char control[CMSG_SPACE(16 * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	if (n_fds > 0) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}
	(void)!sendmsg(fd, &msg, MSG_NOSIGNAL);
}

void front_send(struct front *front, uint32_t request, uint32_t flags, const void *payload,
		size_t size, const int *fds, size_t n_fds)
{
	send_message(front->fd, request, flags, payload, size, fds, n_fds);
}

/* As QEMU does: nothing over something else, and nothing outside. The guest sees the file itself. */
static bool do_map(struct front *front, const struct vu_shmem_map *map, int fd)
{
	struct stat st;
	uint64_t bytes = front->quirks.window_bytes;
	if (front->quirks.refuse_map || map->shmid != 1 || map->shm_offset > bytes ||
	    map->len > bytes - map->shm_offset || front->n_shown == FRONT_MAX_SHOWN ||
	    fstat(fd, &st) < 0 || map->fd_offset + map->len > (uint64_t)st.st_size) {
		return false;
	}
	for (unsigned i = 0; i < front->n_shown; i++) {
		const struct vu_shmem_map *other = &front->shown[i];
		if (map->shm_offset < other->shm_offset + other->len &&
		    other->shm_offset < map->shm_offset + map->len) {
			return false;
		}
	}
	front->late_fd = dup(fd);
	front->shown[front->n_shown++] = *map;
	front->maps++;
	return true;
}

/* Only what was mapped as a whole. */
static bool do_unmap(struct front *front, const struct vu_shmem_map *map)
{
	for (unsigned i = 0; i < front->n_shown; i++) {
		if (front->shown[i].shm_offset == map->shm_offset &&
		    front->shown[i].len == map->len) {
			front->shown[i] = front->shown[--front->n_shown];
			return true;
		}
	}
	return false;
}

/* QEMU lets the guest see a map only after it has answered, before it looks at what comes next. */
static void finish_map(struct front *front)
{
	if (front->late_fd > 0) {
		const struct vu_shmem_map *map = &front->shown[front->n_shown - 1];
		CHECK(mmap(front->window + map->shm_offset, map->len, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, front->late_fd,
			   (off_t)map->fd_offset) != MAP_FAILED);
		close(front->late_fd);
		front->late_fd = 0;
	}
}

static void serve_back(struct front *front)
{
	struct {
		struct vu_header header;
		struct vu_shmem_map map;
	} __attribute__((packed)) message;
	struct iovec iov = {&message, sizeof(message.header)};
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	while (front->back_fd >= 0 && !front->deaf &&
	       recvmsg(front->back_fd, &msg, MSG_DONTWAIT) > 0) {
		int fd = -1;
		if (CMSG_FIRSTHDR(&msg)) {
			memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
		}
		finish_map(front);
		CHECK_EQ(message.header.flags, VU_VERSION | VU_FLAG_NEED_REPLY);
		bool is_map = message.header.request == VU_BACKEND_SHMEM_MAP;
		bool is_sync = message.header.request == VU_BACKEND_CONFIG_CHANGE;
		CHECK(is_map || is_sync || message.header.request == VU_BACKEND_SHMEM_UNMAP);
		CHECK_EQ(message.header.size, is_sync ? 0 : sizeof(message.map));
		CHECK(is_sync || recv(front->back_fd, &message.map, sizeof(message.map),
				      MSG_WAITALL) == sizeof(message.map));
		struct vu_shmem_map map = message.map;
		/* QEMU 11.1 ends if asked while the device is stopped. */
		CHECK(front->running);
		uint64_t refused = is_sync  ? 1
				   : is_map ? !do_map(front, &map, fd)
					    : !do_unmap(front, &map);
		CHECK(is_map || is_sync || !refused);
		br_fd_clear(&fd);
		if (front->hold_replies) {
			CHECK(front->n_held < FRONT_MAX_HELD);
			front->held[front->n_held].request = message.header.request;
			front->held[front->n_held++].refused = refused;
		} else {
			send_message(front->back_fd, message.header.request, VU_FLAG_REPLY,
				     &refused, sizeof(refused), NULL, 0);
		}
		msg.msg_controllen = sizeof(control);
	}
}

void front_release_replies(struct front *front)
{
	front->hold_replies = false;
	for (unsigned i = 0; i < front->n_held; i++) {
		send_message(front->back_fd, front->held[i].request, VU_FLAG_REPLY,
			     &front->held[i].refused, sizeof(front->held[i].refused), NULL, 0);
	}
	front->n_held = 0;
	front_run(front);
}

void front_run(struct front *front)
{
	for (int i = 0; i < 6; i++) {
		wl_event_loop_dispatch(front->host.loop, 0);
		serve_back(front);
	}
}

int front_receive(struct front *front, void *payload, size_t max)
{
	struct vu_header header;
	front_run(front);
	ssize_t n = recv(front->fd, &header, sizeof(header), MSG_DONTWAIT);
	if (n != (ssize_t)sizeof(header)) {
		return -1;
	}
	CHECK_EQ(header.flags, VU_VERSION | VU_FLAG_REPLY);
	CHECK(header.size <= max);
	CHECK_EQ(recv(front->fd, payload, header.size, MSG_DONTWAIT), header.size);
	return (int)header.size;
}

int front_send_ack(struct front *front, uint32_t request, const void *payload, size_t size,
		   const int *fds, size_t n_fds)
{
	uint64_t refused;
	front_send(front, request, VU_FLAG_NEED_REPLY, payload, size, fds, n_fds);
	return front_receive(front, &refused, sizeof(refused)) == sizeof(refused) ? refused != 0
										  : -1;
}

static uint64_t ask_u64(struct front *front, uint32_t request)
{
	uint64_t value;
	front_send(front, request, 0, NULL, 0, NULL, 0);
	CHECK_EQ(front_receive(front, &value, sizeof(value)), sizeof(value));
	return value;
}

/* --- start and stop --- */

static void negotiate(struct front *front)
{
	static struct vu_shmem_config config;
	uint64_t value = ask_u64(front, VU_GET_FEATURES);
	CHECK(value & VU_F_PROTOCOL_FEATURES);
	value = ask_u64(front, VU_GET_PROTOCOL_FEATURES);
	CHECK(!(value & 1ull << 15)); /* QEMU would abort */
	if (front->quirks.no_shmem) {
		value &= ~VU_PROTOCOL_F_SHMEM;
	}
	front_send(front, VU_SET_PROTOCOL_FEATURES, 0, &value, sizeof(value), NULL, 0);
	CHECK_EQ(ask_u64(front, VU_GET_QUEUE_NUM), 2);
	int pair[2];
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	front->back_fd = pair[0];
	/* Less than the default, so that few messages fill it. */
	const int room = 32768;
	CHECK(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
	CHECK_EQ(front_send_ack(front, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	front_send(front, VU_SET_OWNER, 0, NULL, 0, NULL, 0);
	for (uint64_t i = 0; i < 2; i++) {
		front_send(front, VU_SET_VRING_CALL, 0, &i, sizeof(i), &front->queues[i].call_fd,
			   1);
	}
	if (!front->quirks.no_shmem) {
		front_send(front, VU_GET_SHMEM_CONFIG, 0, NULL, 0, NULL, 0);
		CHECK_EQ(front_receive(front, &config, sizeof(config)), sizeof(config));
		CHECK_EQ(config.n_regions, 1);
		CHECK_EQ(config.bytes[1], front->quirks.window_bytes);
	}
}

void front_start(struct front *front, struct front_quirks quirks)
{
	int pair[2];
	memset(front, 0, sizeof(*front));
	front->quirks = quirks;
	front->quirks.window_bytes = quirks.window_bytes ? quirks.window_bytes : FRONT_WINDOW;
	front->window = mmap(NULL, front->quirks.window_bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(front->window != MAP_FAILED);
	front->host.loop = wl_event_loop_create();
	front->host.next_client = 1;
	front->back_fd = -1;
	front->ram_fd = memfd_create("ram", MFD_CLOEXEC);
	CHECK(ftruncate(front->ram_fd, FRONT_RAM_BYTES) == 0);
	front->ram =
		mmap(NULL, FRONT_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, front->ram_fd, 0);
	CHECK(front->ram != MAP_FAILED);
	for (int i = 0; i < 2; i++) {
		front->queues[i].call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		front->queues[i].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	const struct hr_window_options window = {
		.bytes = front->quirks.window_bytes,
		.kind = quirks.each ? HR_WINDOW_EACH : HR_WINDOW_ARENA,
	};
	CHECK(hr_vhost_create(&front->host, &window, &front->vhost) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	front->fd = pair[0];
	CHECK(hr_vhost_serve_take(front->vhost, &pair[1]) == 0);
	negotiate(front);
}

int front_send_memory(struct front *front)
{
	const struct vu_mem_table table = {
		.n_regions = 2,
		.regions =
			{
				{.bytes = FRONT_HALF, .user_address = FRONT_USER},
				{.guest_address = FRONT_HIGH,
				 .bytes = FRONT_HALF,
				 .user_address = FRONT_USER_HIGH,
				 .file_offset = FRONT_HALF},
			},
	};
	int fds[] = {front->ram_fd, front->ram_fd};
	return front_send_ack(front, VU_SET_MEM_TABLE, &table, 8 + 2 * sizeof(table.regions[0]),
			      fds, 2);
}

static void start_queue(struct front *front, uint32_t index)
{
	struct front_queue *queue = &front->queues[index];
	uint64_t start = FRONT_USER + index * QUEUE_BYTES, fd_index = index;
	struct vu_vring_state num = {index, FRONT_QUEUE_SIZE}, base = {index, queue->base},
			      enable = {index, 1};
	struct vu_vring_addr addr = {
		.index = index,
		.desc = start,
		.avail = start + 0x4000,
		.used = start + 0x8000,
	};
	front_send(front, VU_SET_VRING_NUM, 0, &num, sizeof(num), NULL, 0);
	front_send(front, VU_SET_VRING_BASE, 0, &base, sizeof(base), NULL, 0);
	front_send(front, VU_SET_VRING_ADDR, 0, &addr, sizeof(addr), NULL, 0);
	front_send(front, VU_SET_VRING_KICK, 0, &fd_index, 8, &queue->kick_fd, 1);
	front_send(front, VU_SET_VRING_CALL, 0, &fd_index, 8, &queue->call_fd, 1);
	CHECK_EQ(front_send_ack(front, VU_SET_VRING_ENABLE, &enable, sizeof(enable), NULL, 0), 0);
	/* It comes once more, with a vector of the guest's choice. */
	front_send(front, VU_SET_VRING_CALL, 0, &fd_index, 8, &queue->call_fd, 1);
}

void front_driver_start(struct front *front, bool fresh)
{
	struct {
		uint32_t offset, size, flags;
		struct virtio_gpu_config config;
	} config = {.size = sizeof(config.config)};
	uint64_t features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_GPU_F_VIRGL |
			    1ull << VIRTIO_GPU_F_RESOURCE_BLOB | 1ull << VIRTIO_GPU_F_CONTEXT_INIT |
			    1ull << VIRTIO_RING_F_INDIRECT_DESC | VU_F_PROTOCOL_FEATURES;
	features |= front->quirks.no_event_idx ? 0 : 1ull << VIRTIO_RING_F_EVENT_IDX;
	front_send(front, VU_GET_CONFIG, 0, &config, sizeof(config), NULL, 0);
	CHECK_EQ(front_receive(front, &config, sizeof(config)), sizeof(config));
	CHECK_EQ(config.config.num_scanouts, 0);
	CHECK_EQ(config.config.num_capsets, 1);
	front->running = true;
	front_send(front, VU_SET_FEATURES, 0, &features, sizeof(features), NULL, 0);
	CHECK_EQ(front_send_memory(front), 0);
	if (fresh) {
		memset(front->ram, 0, 2 * QUEUE_BYTES);
		front->heap = HEAP;
		front->n_shown = 0; /* the VMM drops all when it resets a device */
	}
	for (uint32_t i = 0; i < 2; i++) {
		struct front_queue *queue = &front->queues[i];
		uint8_t *start = front->ram + i * QUEUE_BYTES;
		queue->desc = (void *)start;
		queue->avail = (void *)(start + 0x4000);
		queue->used = (void *)(start + 0x8000);
		if (fresh) {
			queue->next_desc = queue->avail_idx = queue->used_seen = 0;
			queue->base = 0;
		}
		start_queue(front, i);
	}
	front_run(front);
}

void front_driver_stop(struct front *front)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct vu_vring_state state = {i, 0};
		CHECK_EQ(front_send_ack(front, VU_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0),
			 0);
	}
	for (uint32_t i = 0; i < 2; i++) {
		struct vu_vring_state state = {i, 0};
		front_send(front, VU_GET_VRING_BASE, 0, &state, sizeof(state), NULL, 0);
		CHECK_EQ(front_receive(front, &state, sizeof(state)), sizeof(state));
		front->queues[i].base = state.num;
	}
	front->running = false;
}

void front_finish(struct front *front)
{
	br_fd_clear(&front->fd);
	front_run(front);
	CHECK(fake_client == NULL);
	br_fd_clear(&front->back_fd);
	hr_vhost_finish(front->vhost);
	munmap(front->window, front->quirks.window_bytes);
	munmap(front->ram, FRONT_RAM_BYTES);
	close(front->ram_fd);
	for (int i = 0; i < 2; i++) {
		close(front->queues[i].kick_fd);
		close(front->queues[i].call_fd);
	}
	wl_event_loop_destroy(front->host.loop);
}

/* --- the driver --- */

uint64_t front_alloc(struct front *front, size_t bytes, uint8_t **ret_bytes)
{
	uint32_t at = front->heap;
	bytes = (bytes + 15) / 16 * 16;
	if (at + bytes > FRONT_HALF) {
		at = HEAP; /* long answered */
	}
	front->heap = at + (uint32_t)bytes;
	*ret_bytes = front->ram + at;
	return at;
}

uint64_t front_alloc_high(struct front *front, size_t bytes, uint8_t **ret_bytes)
{
	uint64_t at = front_alloc(front, bytes, ret_bytes);
	*ret_bytes += FRONT_HALF;
	return FRONT_HIGH + at;
}

uint16_t front_add(struct front *front, unsigned index, const struct vring_desc *descs, unsigned n)
{
	struct front_queue *queue = &front->queues[index];
	struct vring_desc *table = queue->desc;
	uint16_t head = queue->next_desc, at = head;
	if (front->quirks.indirect) {
		uint8_t *bytes;
		struct vring_desc to = {
			.addr = front_alloc(front, n * sizeof(*descs), &bytes),
			.len = n * (uint32_t)sizeof(*descs),
			.flags = VRING_DESC_F_INDIRECT,
		};
		queue->desc[head] = to;
		queue->next_desc = (uint16_t)((head + 1) % FRONT_QUEUE_SIZE);
		table = (void *)bytes;
		at = 0;
	} else {
		queue->next_desc = (uint16_t)((head + n) % FRONT_QUEUE_SIZE);
	}
	for (unsigned i = 0; i < n; i++) {
		struct vring_desc *desc = &table[(at + i) % FRONT_QUEUE_SIZE];
		*desc = descs[i];
		desc->flags |= i + 1 < n ? VRING_DESC_F_NEXT : 0;
		desc->next = (uint16_t)((at + i + 1) % FRONT_QUEUE_SIZE);
	}
	queue->avail->ring[queue->avail_idx % FRONT_QUEUE_SIZE] = head;
	__atomic_store_n(&queue->avail->idx, ++queue->avail_idx, __ATOMIC_RELEASE);
	return head;
}

void front_kick(struct front *front, unsigned queue)
{
	uint64_t one = 1;
	CHECK(write(front->queues[queue].kick_fd, &one, sizeof(one)) == sizeof(one));
}

uint16_t front_request(struct front *front, unsigned queue, const void *cmd, size_t len)
{
	uint8_t *bytes, *answer;
	struct vring_desc descs[] = {
		{.addr = front_alloc_high(front, len, &bytes), .len = (uint32_t)len},
		{.addr = front_alloc(front, ANSWER_BYTES, &answer),
		 .len = ANSWER_BYTES,
		 .flags = VRING_DESC_F_WRITE},
	};
	memcpy(bytes, cmd, len);
	memset(answer, 0, ANSWER_BYTES);
	uint16_t head = front_add(front, queue, descs, 2);
	front_kick(front, queue);
	return head;
}

/* The writable descriptor of a chain of front_request(). */
static const struct vring_desc *answer_desc(struct front *front, const struct front_queue *queue,
					    uint32_t head)
{
	const struct vring_desc *desc = &queue->desc[head];
	if (desc->flags & VRING_DESC_F_INDIRECT) {
		desc = (const void *)(front->ram + desc->addr);
		return &desc[1];
	}
	return &queue->desc[desc->next];
}

bool front_take(struct front *front, unsigned index, uint16_t *ret_head)
{
	struct front_queue *queue = &front->queues[index];
	front_run(front);
	if (queue->used_seen == __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE)) {
		return false;
	}
	struct vring_used_elem elem = queue->used->ring[queue->used_seen++ % FRONT_QUEUE_SIZE];
	queue->avail->ring[FRONT_QUEUE_SIZE] = queue->used_seen; /* tell of the next one */
	CHECK(elem.id < FRONT_QUEUE_SIZE && elem.len <= sizeof(front->answer));
	*ret_head = (uint16_t)elem.id;
	front->answer_len = elem.len;
	memcpy(front->answer, front->ram + answer_desc(front, queue, elem.id)->addr, elem.len);
	return true;
}

static uint32_t answer_type(const struct front *front)
{
	struct virtio_gpu_ctrl_hdr hdr;
	memcpy(&hdr, front->answer, sizeof(hdr));
	return hdr.type;
}

uint32_t front_call(struct front *front, void *cmd, size_t len)
{
	struct virtio_gpu_ctrl_hdr hdr;
	uint16_t head, answered;
	memcpy(&hdr, cmd, sizeof(hdr));
	hdr.flags |= VIRTIO_GPU_FLAG_FENCE;
	hdr.fence_id = ++front->fence_id;
	memcpy(cmd, &hdr, sizeof(hdr));
	head = front_request(front, 0, cmd, len);
	if (!front_take(front, 0, &answered)) {
		return 0;
	}
	CHECK_EQ(answered, head);
	memcpy(&hdr, front->answer, sizeof(hdr));
	CHECK_EQ(hdr.fence_id, front->fence_id);
	return answer_type(front);
}

static uint8_t *make_ring(struct front *front, uint32_t id)
{
	uint8_t *bytes;
	struct {
		struct virtio_gpu_resource_create_blob blob;
		struct virtio_gpu_mem_entry entries[2];
	} cmd = {
		.blob = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
			 .resource_id = id,
			 .blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST,
			 .blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
			 .nr_entries = 2,
			 .size = 4096},
	};
	/* In two pieces that are neighbours here only. */
	cmd.entries[0] = (struct virtio_gpu_mem_entry){
		.addr = front_alloc_high(front, 4096, &bytes), .length = 2048};
	cmd.entries[1] =
		(struct virtio_gpu_mem_entry){.addr = cmd.entries[0].addr + 2048, .length = 2048};
	CHECK_EQ(front_call(front, &cmd, sizeof(cmd)), VIRTIO_GPU_RESP_OK_NODATA);
	struct virtio_gpu_ctx_resource attach = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, .ctx_id = CTX},
		.resource_id = id};
	CHECK_EQ(front_call(front, &attach, sizeof(attach)), VIRTIO_GPU_RESP_OK_NODATA);
	return bytes;
}

uint16_t front_submit(struct front *front, const void *cmds, size_t len, int ring)
{
	static uint8_t buffer[SK_MAX_PACKET_BYTES];
	struct virtio_gpu_cmd_submit cmd = {
		.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D, .ctx_id = CTX},
		.size = (uint32_t)len,
	};
	if (ring >= 0) {
		cmd.hdr.flags = VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX;
		cmd.hdr.ring_idx = (uint8_t)ring;
		cmd.hdr.fence_id = ++front->fence_id;
	}
	memcpy(buffer, &cmd, sizeof(cmd));
	memcpy(buffer + sizeof(cmd), cmds, len);
	return front_request(front, 0, buffer, sizeof(cmd) + len);
}

void front_open_rings(struct front *front, uint8_t *ring[2])
{
	struct virtio_gpu_ctx_create create = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_CREATE, .ctx_id = CTX},
		.nlen = 4,
		.context_init = XD_CAPSET_ID,
		.debug_name = "test",
	};
	CHECK_EQ(front_call(front, &create, sizeof(create)), VIRTIO_GPU_RESP_OK_NODATA);
	ring[0] = make_ring(front, 1);
	ring[1] = make_ring(front, 2);
}

void front_open(struct front *front, uint8_t *ring[2])
{
	const struct xd_init init = {
		.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizeof(init)},
		.query_ring_id = 1,
		.channel_ring_id = 2,
		.channel_type = XD_CHANNEL_WAYLAND,
	};
	uint16_t head;
	front_open_rings(front, ring);
	(void)front_submit(front, &init, sizeof(init), XD_RING_QUERY);
	CHECK(front_take(front, 0, &head));
	CHECK_EQ(answer_type(front), VIRTIO_GPU_RESP_OK_NODATA);
	CHECK(fake_client != NULL);
}

int front_run_cases(const struct front_case *cases, size_t n)
{
	static struct front front;
	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	printf("1..%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		int before = open_fds();
		front_start(&front, cases[i].quirks);
		cases[i].run(&front);
		front_finish(&front);
		if (open_fds() != before) {
			printf("not ok %zu %s: %d fds left\n", i + 1, cases[i].name,
			       open_fds() - before);
			return 1;
		}
		printf("ok %zu %s\n", i + 1, cases[i].name);
		fflush(stdout);
	}
	return 0;
}
