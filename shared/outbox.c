/* SPDX-License-Identifier: MIT */
#include "outbox.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wayland-server-core.h>

#include "fd.h"
#include "packet.h"

/* A socket says that it has room, but not that the system has: for memory, or fds under way. */
#define RETRY_MS 10

/** A packet that waits. */
struct packet {
	struct wl_list link; /* br_outbox.packets */
	size_t len;
	size_t n_fds;
	int fds[SK_MAX_FDS]; /* owned */
	uint8_t bytes[];
};

void br_outbox_init(struct br_outbox *box, struct wl_event_loop *loop, size_t max_bytes,
		    void (*flush)(void *data), void *data)
{
	*box = (struct br_outbox){
		.loop = loop, .max_bytes = max_bytes, .flush = flush, .data = data};
	wl_list_init(&box->packets);
}

static void packet_destroy(struct br_outbox *box, struct packet *packet)
{
	box->bytes -= packet->len;
	wl_list_remove(&packet->link);
	while (packet->n_fds > 0) {
		br_fd_clear(&packet->fds[--packet->n_fds]);
	}
	free(packet);
}

static void stop_retry(struct br_outbox *box)
{
	if (box->retry != NULL) {
		wl_event_source_remove(box->retry);
		box->retry = NULL;
	}
}

void br_outbox_clear(struct br_outbox *box)
{
	struct packet *packet, *next;
	stop_retry(box);
	wl_list_for_each_safe (packet, next, &box->packets, link) {
		packet_destroy(box, packet);
	}
}

static int handle_retry(void *data)
{
	struct br_outbox *box = data;
	stop_retry(box);
	box->flush(box->data);
	return 0;
}

static int retry_later(struct br_outbox *box)
{
	if (box->retry == NULL) {
		box->retry = wl_event_loop_add_timer(box->loop, handle_retry, box);
	}
	return box->retry != NULL && wl_event_source_timer_update(box->retry, RETRY_MS) == 0
		       ? -EAGAIN
		       : -ENOMEM;
}

/* Returns 0; -EAGAIN later; else -errno. */
static int try(struct br_outbox *box, int sock_fd, const struct iovec *iov, size_t n_iov,
	       const int *fds, size_t n_fds)
{
	int ret = br_packet_send(sock_fd, iov, n_iov, fds, n_fds);
	return ret == -ENOBUFS ? retry_later(box) : ret;
}

static struct packet *packet_create(const struct iovec *iov, size_t n_iov, size_t len)
{
	struct packet *packet = malloc(sizeof(*packet) + len);
	if (packet == NULL) {
		return NULL;
	}
	*packet = (struct packet){.len = 0};
	wl_list_init(&packet->link);
	for (size_t i = 0; i < n_iov; i++) {
		if (iov[i].iov_len > 0) {
			memcpy(packet->bytes + packet->len, iov[i].iov_base, iov[i].iov_len);
			packet->len += iov[i].iov_len;
		}
	}
	return packet;
}

static int enqueue(struct br_outbox *box, const struct iovec *iov, size_t n_iov, const int *fds,
		   size_t n_fds)
{
	size_t len = 0;
	for (size_t i = 0; i < n_iov; i++) {
		len += iov[i].iov_len;
	}
	if (len > box->max_bytes - box->bytes) {
		return -ENOBUFS;
	}
	struct packet *packet = packet_create(iov, n_iov, len);
	if (packet == NULL) {
		return -ENOMEM;
	}
	box->bytes += len;
	for (size_t i = 0; i < n_fds; i++) {
		int copy = br_fd_dup(fds[i]);
		if (copy < 0) {
			packet_destroy(box, packet);
			return copy;
		}
		packet->fds[packet->n_fds++] = copy;
	}
	wl_list_insert(box->packets.prev, &packet->link);
	return 0;
}

int br_outbox_send(struct br_outbox *box, int sock_fd, const struct iovec *iov, size_t n_iov,
		   const int *fds, size_t n_fds)
{
	int ret = -EAGAIN;
	if (n_fds > SK_MAX_FDS) {
		return -EINVAL;
	}
	if (wl_list_empty(&box->packets)) {
		ret = try(box, sock_fd, iov, n_iov, fds, n_fds);
	}
	return ret == -EAGAIN ? enqueue(box, iov, n_iov, fds, n_fds) : ret;
}

int br_outbox_flush(struct br_outbox *box, int sock_fd)
{
	int ret = 0;
	while (ret == 0 && !wl_list_empty(&box->packets)) {
		struct packet *packet = wl_container_of(box->packets.next, packet, link);
		const struct iovec iov = {.iov_base = packet->bytes, .iov_len = packet->len};
		ret = try(box, sock_fd, &iov, 1, packet->fds, packet->n_fds);
		if (ret == 0) {
			packet_destroy(box, packet);
		}
	}
	return ret == -EAGAIN ? 0 : ret;
}
