/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fd.h"
#include "limits.h"
#include "relay.h"

struct hr_client *fake_client;
bool fake_refuses;

/* --- the fake client: a relay that passes bytes through untouched --- */

int hr_client_create(struct hr_host *host, const struct hr_client_events *events, void *data,
		     struct hr_client **ret_client)
{
	(void)host;
	if (fake_refuses) {
		return -ECONNREFUSED;
	}
	struct hr_client *client = calloc(1, sizeof(*client));
	client->events = events;
	client->data = data;
	br_stream_init(&client->in, BR_LIMIT_IN_BYTES, BR_LIMIT_IN_FDS);
	br_stream_init(&client->out, BR_LIMIT_OUT_BYTES, BR_LIMIT_OUT_FDS);
	fake_client = *ret_client = client;
	return 0;
}

void hr_client_destroy(struct hr_client *client)
{
	if (client) {
		br_stream_finish(&client->in);
		br_stream_finish(&client->out);
		fake_client = fake_client == client ? NULL : fake_client;
		free(client);
	}
}

void hr_client_set_context(struct hr_client *client, struct hr_context *context)
{
	(void)client;
	(void)context;
}

struct br_relay *hr_client_relay(struct hr_client *client)
{
	return (struct br_relay *)client;
}

void hr_client_dispatch(struct hr_client *client)
{
	client->dispatches++;
}

void hr_client_events_taken(struct hr_client *client)
{
	(void)client;
}

void hr_client_fail(struct hr_client *client, const char *text)
{
	snprintf(client->failure, sizeof(client->failure), "%s", text);
	client->events->closed(client->data);
}

struct br_stream *br_relay_input(struct br_relay *relay, enum br_dir dir)
{
	(void)dir;
	return &((struct hr_client *)relay)->in;
}

struct br_stream *br_relay_output(struct br_relay *relay, enum br_dir dir)
{
	(void)dir;
	return &((struct hr_client *)relay)->out;
}

bool br_relay_failed(const struct br_relay *relay)
{
	(void)relay;
	return false;
}

bool br_relay_congested(struct br_relay *relay, enum br_dir dir)
{
	(void)dir;
	return ((struct hr_client *)relay)->congested;
}

/* --- the guest --- */

int open_fds(void)
{
	int n = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir)) {
		n++;
	}
	closedir(dir);
	return n;
}

void guest_start(struct guest *guest)
{
	int pair[2];
	memset(guest, 0, sizeof(*guest));
	guest->host.loop = wl_event_loop_create();
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK(hr_socket_start_fd(&guest->host, listener, &guest->sock) == 0);
	close(listener);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	guest->fd = pair[0];
	CHECK(hr_socket_serve_take(guest->sock, &pair[1]) == 0);
}

void guest_finish(struct guest *guest)
{
	guest_close_fds(guest);
	br_fd_clear(&guest->fd);
	if (guest->sock) {
		guest_run(guest);
		CHECK(fake_client == NULL);
		hr_socket_finish(guest->sock);
	}
	wl_event_loop_destroy(guest->host.loop);
}

void guest_run(struct guest *guest)
{
	for (int i = 0; i < 4; i++) {
		wl_event_loop_dispatch(guest->host.loop, 0);
	}
}

uint64_t guest_request(struct guest *guest, const void *bytes, size_t len, const int *fds,
		       size_t n_fds)
{
	struct sk_packet packet = {.type = SK_REQUEST, .cookie = ++guest->cookie};
	struct iovec iov[] = {{&packet, sizeof(packet)}, {(void *)bytes, len}};
	char control[CMSG_SPACE(SK_MAX_FDS * sizeof(int))] __attribute__((aligned(8))) = {0};
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
	while (sendmsg(guest->fd, &msg, MSG_NOSIGNAL) < 0 && errno == EAGAIN) {
		guest_run(guest);
	}
	return guest->cookie;
}

void guest_close_fds(struct guest *guest)
{
	for (size_t i = 0; i < guest->n_fds; i++) {
		br_fd_clear(&guest->fds[i]);
	}
	guest->n_fds = 0;
}

bool guest_receive(struct guest *guest)
{
	guest_close_fds(guest);
	guest_run(guest);
	struct iovec iov[] = {{&guest->packet, sizeof(guest->packet)},
			      {guest->bytes, sizeof(guest->bytes)}};
	char control[CMSG_SPACE(SK_MAX_FDS * sizeof(int))] __attribute__((aligned(8)));
	struct msghdr msg = {.msg_iov = iov,
			     .msg_iovlen = 2,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(guest->fd, &msg, MSG_CMSG_CLOEXEC);
	if (n <= 0) {
		return false;
	}
	guest->len = (size_t)n - sizeof(guest->packet);
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg) {
		guest->n_fds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(guest->fds, CMSG_DATA(cmsg), guest->n_fds * sizeof(int));
	}
	return true;
}

uint32_t guest_type(const struct guest *guest)
{
	struct virtio_gpu_ctrl_hdr hdr;
	memcpy(&hdr, guest->bytes, sizeof(hdr));
	return hdr.type;
}

uint32_t guest_call(struct guest *guest, void *cmd, size_t len, int fd)
{
	struct virtio_gpu_ctrl_hdr hdr;
	memcpy(&hdr, cmd, sizeof(hdr));
	hdr.flags |= VIRTIO_GPU_FLAG_FENCE;
	hdr.fence_id = guest->cookie + 1;
	memcpy(cmd, &hdr, sizeof(hdr));
	uint64_t cookie = guest_request(guest, cmd, len, &fd, fd >= 0 ? 1 : 0);
	if (!guest_receive(guest)) {
		return 0;
	}
	CHECK_EQ(guest->packet.type, SK_RESPONSE);
	CHECK_EQ(guest->packet.cookie, cookie);
	memcpy(&hdr, guest->bytes, sizeof(hdr));
	CHECK_EQ(hdr.fence_id, cookie);
	return hdr.type;
}

uint64_t guest_submit(struct guest *guest, const void *cmds, size_t len, int ring, const int *fds,
		      size_t n_fds)
{
	static uint8_t buffer[SK_MAX_PACKET_BYTES];
	struct virtio_gpu_cmd_submit cmd = {
		.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D, .ctx_id = CTX},
		.size = (uint32_t)len,
	};
	if (ring >= 0) {
		cmd.hdr.flags = VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX;
		cmd.hdr.ring_idx = (uint8_t)ring;
		cmd.hdr.fence_id = guest->cookie + 1;
	}
	memcpy(buffer, &cmd, sizeof(cmd));
	memcpy(buffer + sizeof(cmd), cmds, len);
	return guest_request(guest, buffer, sizeof(cmd) + len, fds, n_fds);
}

uint32_t guest_submit_wait(struct guest *guest, const void *cmds, size_t len)
{
	uint64_t cookie = guest_submit(guest, cmds, len, 0, NULL, 0);
	while (guest_receive(guest)) {
		if (guest->packet.type == SK_RESPONSE && guest->packet.cookie == cookie) {
			return guest_type(guest);
		}
	}
	return 0;
}

static int make_ring(struct guest *guest, uint32_t id)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);
	CHECK(ftruncate(fd, 4096) == 0);
	struct virtio_gpu_resource_create_blob blob = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB},
		.resource_id = id,
		.blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST,
		.blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
		.size = 4096,
	};
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), fd), VIRTIO_GPU_RESP_OK_NODATA);
	struct virtio_gpu_ctx_resource attach = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, .ctx_id = CTX},
		.resource_id = id,
	};
	CHECK_EQ(guest_call(guest, &attach, sizeof(attach), -1), VIRTIO_GPU_RESP_OK_NODATA);
	return fd;
}

void guest_open(struct guest *guest, uint32_t extensions, int ring_fds[2])
{
	struct virtio_gpu_ctx_create create = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_CREATE, .ctx_id = CTX},
		.nlen = 4,
		.context_init = XD_CAPSET_ID,
		.debug_name = "test",
	};
	CHECK_EQ(guest_call(guest, &create, sizeof(create), -1), VIRTIO_GPU_RESP_OK_NODATA);
	struct xd_enable enable = {.hdr = {.cmd = XD_CMD_ENABLE, .cmd_size = sizeof(enable)},
				   .extensions = extensions};
	if (extensions) {
		CHECK_EQ(guest_submit_wait(guest, &enable, sizeof(enable)),
			 VIRTIO_GPU_RESP_OK_NODATA);
	}
	struct xd_init init = {.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizeof(init)},
			       .channel_type = XD_CHANNEL_WAYLAND};
	if (ring_fds) {
		init.query_ring_id = 1;
		init.channel_ring_id = 2;
		ring_fds[0] = make_ring(guest, 1);
		ring_fds[1] = make_ring(guest, 2);
	}
	CHECK_EQ(guest_submit_wait(guest, &init, sizeof(init)),
		 fake_refuses ? VIRTIO_GPU_RESP_ERR_UNSPEC : VIRTIO_GPU_RESP_OK_NODATA);
}
