/* SPDX-License-Identifier: MIT
 *
 * Fuzzes what a VMM says to the vhost-user front end: messages with their fds, whole and in pieces, answers
 * on the back-end channel, guest memory and kicks. The input is a row of pieces: what it is, which request,
 * flags and fds, how many bytes follow in units of 4, and these. Numbers are made small, so that messages
 * meet. Build with tests/unit/guest.c, whose fake client it uses.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../vhost/protocol.h"
#include "../vhost/vhost.h"
#include "fd.h"
#include "guest.h"

#define RAM_BYTES 65536u
#define USER 0x7f0000000000ull
#define WINDOW_BYTES (1u << 20)
#define MAX_FDS 10 /* more than a message may have */

enum { MESSAGE, RAW, MEMORY, BACK, KICK, N_PIECES };

/* Of a piece's third byte. */
#define NEED_REPLY 1u
#define WILD 2u	 /* sizes and numbers as they come, and another version */
#define ALIEN 4u /* fds that nobody expects */
#define N_FDS(flags) ((flags) >> 4)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct vmm {
	struct hr_host host;
	struct hr_vhost *vhost;
	int fd, back_fd; /* the VMM's ends */
	int ram_fd, kick_fds[2], call_fd;
};

static uint8_t *ram;

static const struct {
	uint32_t request, size;
} requests[] = {
	{VU_GET_FEATURES, 0},
	{VU_SET_FEATURES, 8},
	{VU_SET_OWNER, 0},
	{VU_RESET_OWNER, 0},
	{VU_SET_MEM_TABLE, 8},
	{VU_SET_VRING_NUM, 8},
	{VU_SET_VRING_ADDR, sizeof(struct vu_vring_addr)},
	{VU_SET_VRING_BASE, 8},
	{VU_GET_VRING_BASE, 8},
	{VU_SET_VRING_KICK, 8},
	{VU_SET_VRING_CALL, 8},
	{VU_SET_VRING_ERR, 8},
	{VU_GET_PROTOCOL_FEATURES, 0},
	{VU_SET_PROTOCOL_FEATURES, 8},
	{VU_GET_QUEUE_NUM, 0},
	{VU_SET_VRING_ENABLE, 8},
	{VU_SET_BACKEND_REQ_FD, 0},
	{VU_GET_CONFIG, 60},
	{VU_SET_CONFIG, 60},
	{VU_GET_SHMEM_CONFIG, 0},
	{99, 8},
};

union payload {
	uint8_t bytes[1020];
	uint64_t u64;
	struct vu_vring_state state;
	struct vu_vring_addr addr;
	struct vu_mem_table table;
	struct vu_config config;
};

/* Returns the payload's size. */
static uint32_t tame(uint32_t request, uint32_t size, union payload *payload)
{
	switch (request) {
	case VU_SET_MEM_TABLE:
		payload->table.n_regions &= 3;
		for (uint32_t i = 0; i < payload->table.n_regions; i++) {
			struct vu_region *region = &payload->table.regions[i];
			region->guest_address &= 0x1ffff;
			region->bytes &= 0x1ffff;
			region->user_address = USER + (region->user_address & 0x1ffff);
			region->file_offset &= 0xffff;
		}
		return size + payload->table.n_regions * (uint32_t)sizeof(struct vu_region);
	case VU_SET_VRING_ADDR:
		payload->addr.index &= 3;
		payload->addr.desc = USER + (payload->addr.desc & 0x1ffff);
		payload->addr.avail = USER + (payload->addr.avail & 0x1ffff);
		payload->addr.used = USER + (payload->addr.used & 0x1ffff);
		return size;
	case VU_SET_FEATURES:
	case VU_SET_PROTOCOL_FEATURES:
		return size;
	case VU_GET_CONFIG:
	case VU_SET_CONFIG:
		payload->config.offset &= 31;
		payload->config.size &= 63;
		return (uint32_t)offsetof(struct vu_config, bytes) + payload->config.size;
	default:
		payload->state.index &= 0x1ff; /* or a u64's index, and its flag */
		return size;
	}
}

/* The fds that this request wants, or others. The end of a new back-end channel is *ret_new. */
static void choose_fds(struct vmm *vmm, uint32_t request, unsigned flags, unsigned index, int *fds,
		       size_t n_fds, int *ret_new)
{
	for (size_t i = 0; i < n_fds; i++) {
		fds[i] = vmm->kick_fds[index & 1];
		if (request == VU_SET_MEM_TABLE) {
			fds[i] = vmm->ram_fd;
		} else if (request == VU_SET_VRING_CALL || request == VU_SET_VRING_ERR) {
			fds[i] = vmm->call_fd;
		}
		if (flags & ALIEN) {
			fds[i] = i & 1 ? vmm->fd : vmm->call_fd;
		}
	}
	if (request == VU_SET_BACKEND_REQ_FD && n_fds > 0 && !(flags & ALIEN)) {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
			abort();
		}
		br_fd_clear(&vmm->back_fd);
		vmm->back_fd = pair[0];
		fds[0] = *ret_new = pair[1];
	}
}

static void send_all(int fd, const struct iovec *iov, size_t n_iov, const int *fds, size_t n_fds)
{
	char control[CMSG_SPACE(MAX_FDS * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n_iov};
	if (n_fds > 0) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}
	(void)sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_message(struct vmm *vmm, const uint8_t *head, const uint8_t *bytes, size_t len)
{
	static union payload payload;
	unsigned which = head[1] % (sizeof(requests) / sizeof(requests[0])), flags = head[2];
	struct vu_header header = {
		.request = requests[which].request,
		.flags = VU_VERSION | (flags & NEED_REPLY ? VU_FLAG_NEED_REPLY : 0),
		.size = (uint32_t)len,
	};
	memset(&payload, 0, sizeof(payload));
	memcpy(payload.bytes, bytes, len);
	if (flags & WILD) {
		header.flags ^= head[1] & 0x80 ? VU_VERSION : 0;
	} else {
		header.size = tame(header.request, requests[which].size, &payload);
	}
	int fds[MAX_FDS], new_fd = -1;
	size_t n_fds = N_FDS(flags) < MAX_FDS ? N_FDS(flags) : MAX_FDS;
	choose_fds(vmm, header.request, flags, payload.state.index, fds, n_fds, &new_fd);
	const struct iovec iov[] = {{&header, sizeof(header)}, {payload.bytes, header.size}};
	send_all(vmm->fd, iov, 2, fds, n_fds);
	br_fd_clear(&new_fd);
}

static void drain(int fd)
{
	uint8_t bytes[4096];
	while (fd >= 0 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
	}
}

static void run_piece(struct vmm *vmm, const uint8_t *head, const uint8_t *bytes, size_t len)
{
	const struct iovec iov = {(void *)bytes, len};
	const uint64_t one = 1;
	size_t at = (size_t)(head[1] | head[2] << 8) % RAM_BYTES;
	switch (head[0] % N_PIECES) {
	case MESSAGE:
		send_message(vmm, head, bytes, len);
		break;
	case RAW:
		send_all(vmm->fd, &iov, 1, &vmm->call_fd, head[2] & 1);
		break;
	case MEMORY:
		memcpy(ram + at, bytes, len < RAM_BYTES - at ? len : RAM_BYTES - at);
		break;
	case BACK:
		if (vmm->back_fd >= 0) {
			send_all(vmm->back_fd, &iov, 1, NULL, 0);
		}
		break;
	default:
		(void)!write(vmm->kick_fds[head[1] & 1], &one, sizeof(one));
		break;
	}
	for (int i = 0; i < 3; i++) {
		wl_event_loop_dispatch(vmm->host.loop, 0);
	}
	drain(vmm->fd);
	drain(vmm->back_fd);
}

static void start(struct vmm *vmm, const struct hr_window_options *window)
{
	int pair[2];
	*vmm = (struct vmm){
		.host = {.next_client = 1, .loop = wl_event_loop_create()},
		.back_fd = -1,
		.ram_fd = memfd_create("ram", MFD_CLOEXEC),
		.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	for (int i = 0; i < 2; i++) {
		vmm->kick_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	if (ftruncate(vmm->ram_fd, RAM_BYTES) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
	    hr_vhost_create(&vmm->host, window, &vmm->vhost) < 0 ||
	    hr_vhost_serve_take(vmm->vhost, &pair[1]) < 0) {
		abort();
	}
	vmm->fd = pair[0];
	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, vmm->ram_fd, 0);
	if (ram == MAP_FAILED) {
		abort();
	}
}

static void finish(struct vmm *vmm)
{
	hr_vhost_finish(vmm->vhost);
	wl_event_loop_destroy(vmm->host.loop);
	munmap(ram, RAM_BYTES);
	br_fd_clear(&vmm->fd);
	br_fd_clear(&vmm->back_fd);
	br_fd_clear(&vmm->ram_fd);
	br_fd_clear(&vmm->call_fd);
	br_fd_clear(&vmm->kick_fds[0]);
	br_fd_clear(&vmm->kick_fds[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm vmm;
	if (size < 1) {
		return 0;
	}
	const struct hr_window_options window = {
		.bytes = data[0] & 1 ? WINDOW_BYTES : 0,
		.kind = data[0] & 2 ? HR_WINDOW_EACH : HR_WINDOW_ARENA,
	};
	signal(SIGPIPE, SIG_IGN);
	start(&vmm, &window);
	for (size_t at = 1; at + 4 <= size;) {
		size_t len = (size_t)data[at + 3] * 4;
		len = len < size - at - 4 ? len : size - at - 4;
		run_piece(&vmm, data + at, data + at + 4, len);
		at += 4 + len;
	}
	finish(&vmm);
	return 0;
}
