/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include <errno.h>
#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wayland-server-core.h>

#include "../gpu/context.h"
#include "../gpu/device.h"
#include "../wayland/context.h"
#include "fd.h"
#include "host.h"
#include "limits.h"
#include "log.h"
#include "outbox.h"
#include "packet.h"

/* Packets handled per wake-up, so that other guests and compositors get their turn. */
#define PACKETS_PER_WAKEUP 64
/* A packet shorter than this is mostly alone: looking for another costs a system call each time, and
 * the loop finds it anyway. */
#define BURST_BYTES 4096
/* Packet header, pushed parts. */
#define MAX_IOVS (1 + HR_MAX_PUSH_IOVS)

struct hr_connection {
	struct wl_list link; /* hr_connection_owner.connections */
	struct hr_connection_owner *owner;
	int socket_fd;
	bool dead; /* to be destroyed as soon as nobody uses it */
	struct hr_device *device;
	struct wl_event_source *source, *reaper; /* reaper: NULL unless dead */
	uint32_t mask;				 /* of source */
	struct br_outbox out;
};

static void on_reap(void *data)
{
	struct hr_connection *conn = data;
	conn->reaper = NULL; /* the loop removes a source that ran */
	hr_connection_destroy(conn);
}

/* The device may be in the middle of something: end it from the loop. */
static void kill_later(struct hr_connection *conn, const char *reason)
{
	if (conn->dead) {
		return;
	}
	conn->dead = true;
	if (reason) {
		br_log_peer(BR_LOG_WARN, "socket: connection dropped: %s", reason);
	}
	conn->reaper = wl_event_loop_add_idle(conn->owner->host->loop, on_reap, conn);
}

/* --- out --- */

static void set_mask(struct hr_connection *conn)
{
	uint32_t mask = br_outbox_waits(&conn->out) ? WL_EVENT_WRITABLE : 0;
	/* Who does not take answers may not ask for more. */
	if (conn->out.bytes <= BR_LIMIT_OUT_BYTES / 4) {
		mask |= WL_EVENT_READABLE;
	}
	if (mask != conn->mask && wl_event_source_fd_update(conn->source, mask) == 0) {
		conn->mask = mask;
	}
}

/* Why the connection ends: nothing to say of a peer that has gone. */
static const char *loss(int err)
{
	return err == -EPIPE || err == -ECONNRESET ? NULL
	       : err == -ENOBUFS		   ? "it does not read its packets"
						   : strerror(-err);
}

/* Send or queue. iov[0] is the caller's struct sk_packet. */
static void post(struct hr_connection *conn, const struct iovec *iov, size_t n_iov, const int *fds,
		 size_t n_fds)
{
	if (conn->dead) {
		return;
	}
	int ret = br_outbox_send(&conn->out, conn->socket_fd, iov, n_iov, fds, n_fds);
	if (ret == -EMFILE || ret == -ENFILE) {
		/* Without its fds it is the loss of one program, not of all. */
		ret = br_outbox_send(&conn->out, conn->socket_fd, iov, n_iov, NULL, 0);
	}
	if (ret < 0) {
		kill_later(conn, loss(ret));
	} else {
		set_mask(conn);
	}
}

static void flush(void *data)
{
	struct hr_connection *conn = data;
	if (conn->dead) {
		return;
	}
	int ret = br_outbox_flush(&conn->out, conn->socket_fd);
	if (ret < 0) {
		kill_later(conn, loss(ret));
		return;
	}
	set_mask(conn);
	if (conn->out.bytes <= BR_HIGH_WATER_BYTES / 2 && conn->device->push_full) {
		hr_device_resume(conn->device);
	}
}

static void complete(void *data, uint64_t cookie, const void *response, size_t len, int fd)
{
	struct hr_connection *conn = data;
	struct virtio_gpu_ctrl_hdr hdr;
	memcpy(&hdr, response, sizeof(hdr));
	if (hdr.type == VIRTIO_GPU_RESP_OK_NODATA && !(hdr.flags & VIRTIO_GPU_FLAG_FENCE)) {
		return;
	}
	struct sk_packet packet = {.type = SK_RESPONSE, .cookie = cookie};
	struct iovec iov[] = {
		{.iov_base = &packet, .iov_len = sizeof(packet)},
		{.iov_base = (void *)response, .iov_len = len},
	};
	post(conn, iov, 2, &fd, fd >= 0 ? 1 : 0);
}

static bool push(void *data, uint32_t ctx_id, const struct iovec *parts, size_t n_parts,
		 const int *fds, size_t n_fds)
{
	struct hr_connection *conn = data;
	struct sk_packet packet = {.type = SK_PUSH, .ctx_id = ctx_id};
	struct iovec iov[MAX_IOVS] = {{.iov_base = &packet, .iov_len = sizeof(packet)}};
	memcpy(iov + 1, parts, n_parts * sizeof(*parts));
	post(conn, iov, 1 + n_parts, fds, n_fds);
	return !conn->dead && conn->out.bytes < BR_HIGH_WATER_BYTES;
}

static const struct hr_frontend_ops frontend_ops = {.complete = complete, .push = push};

/* --- in --- */

/* Collect the fds of a message. Returns how many. */
static bool handle_packet(struct hr_connection *conn, size_t len, int *fds, size_t n_fds)
{
	struct sk_packet packet;
	if (len < sizeof(packet)) {
		return false;
	}
	memcpy(&packet, conn->owner->packet, sizeof(packet));
	if (packet.type != SK_REQUEST || packet.ctx_id != 0) {
		return false;
	}
	struct hr_request request = {
		.bytes = conn->owner->packet + sizeof(packet),
		.len = len - sizeof(packet),
		.fds = fds,
		.n_fds = n_fds,
		.cookie = packet.cookie,
	};
	hr_device_handle(conn->device, &request);
	return true;
}

/* Returns false when there is probably nothing more to read. */
static bool receive(struct hr_connection *conn)
{
	int fds[SK_MAX_FDS];
	size_t n_fds;
	int n = br_packet_receive(conn->socket_fd, conn->owner->packet, SK_MAX_PACKET_BYTES, fds,
				  &n_fds);
	if (n == -EAGAIN) {
		return false;
	}
	if (n == 0 || n == -ECONNRESET) {
		kill_later(conn, NULL);
	} else if (n < 0) {
		kill_later(conn, n == -EMSGSIZE ? "a packet is too large" : strerror(-n));
	} else if (!handle_packet(conn, (size_t)n, fds, n_fds)) {
		kill_later(conn, "a packet is not a request");
	}
	for (size_t i = 0; i < n_fds; i++) {
		br_fd_clear(&fds[i]);
	}
	return !conn->dead && n >= BURST_BYTES;
}

static int on_socket(int fd, uint32_t mask, void *data)
{
	(void)fd;
	struct hr_connection *conn = data;
	if (conn->dead) {
		return 0;
	}
	if (mask & WL_EVENT_WRITABLE) {
		flush(conn);
	}
	if (mask & WL_EVENT_READABLE) {
		for (int i = 0; i < PACKETS_PER_WAKEUP && (conn->mask & WL_EVENT_READABLE); i++) {
			if (!receive(conn)) {
				break;
			}
		}
	} else if (mask & (WL_EVENT_HANGUP | WL_EVENT_ERROR)) {
		kill_later(conn, NULL);
	}
	return 0;
}

/* --- life --- */

int hr_connection_create_take(struct hr_connection_owner *owner, int *fd)
{
	static const struct hr_capset *const capsets[] = {&hr_wayland_capset};
	if (owner->n_connections >= BR_LIMIT_SESSIONS) {
		return -EMFILE;
	}
	struct hr_connection *conn = calloc(1, sizeof(*conn));
	if (!conn) {
		return -ENOMEM;
	}
	struct hr_frontend frontend = {
		.ops = &frontend_ops,
		.data = conn,
		.extensions = XD_EXT_PIPE_CREDIT | XD_EXT_PUSH | XD_EXT_FDS | XD_EXT_CLOCK,
	};
	conn->device = hr_device_create(owner->host, &frontend, capsets, 1);
	br_outbox_init(&conn->out, owner->host->loop, BR_LIMIT_OUT_BYTES, flush, conn);
	conn->mask = WL_EVENT_READABLE;
	conn->source = wl_event_loop_add_fd(owner->host->loop, *fd, conn->mask, on_socket, conn);
	if (!conn->device || !conn->source) {
		if (conn->source) {
			wl_event_source_remove(conn->source);
		}
		hr_device_destroy(conn->device);
		free(conn);
		return -ENOMEM;
	}
	conn->owner = owner;
	conn->socket_fd = br_fd_take(fd);
	wl_list_insert(&owner->connections, &conn->link);
	owner->n_connections++;
	return 0;
}

void hr_connection_destroy(struct hr_connection *conn)
{
	if (conn->reaper) {
		wl_event_source_remove(conn->reaper);
	}
	conn->dead = true; /* fences that end now are not answered */
	hr_device_destroy(conn->device);
	br_outbox_clear(&conn->out);
	wl_event_source_remove(conn->source);
	br_fd_clear(&conn->socket_fd);
	wl_list_remove(&conn->link);
	conn->owner->n_connections--;
	free(conn);
}

void hr_connection_destroy_all(struct hr_connection_owner *owner)
{
	while (!wl_list_empty(&owner->connections)) {
		struct hr_connection *conn = wl_container_of(owner->connections.next, conn, link);
		hr_connection_destroy(conn);
	}
}
