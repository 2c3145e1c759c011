/* SPDX-License-Identifier: MIT */
#include "queue.h"

#include <errno.h>
#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "../gpu/ctrl.h"
#include "../gpu/device.h"
#include "fd.h"
#include "host.h"
#include "log.h"

/* Requests per wake-up, and bytes that they may make us copy, so that compositors get their turn. */
#define REQUESTS_PER_WAKEUP 64
#define STEPS_PER_REQUEST 4096 /* of its chain, before it counts as another one */
#define COPY_BYTES_PER_WAKEUP (16u << 20)

void hr_queue_init(struct hr_queue *queue, struct hr_queue_shared *shared, bool cursor)
{
	*queue = (struct hr_queue){
		.shared = shared,
		.cursor = cursor,
		.vring.ram = shared->ram,
		.kick_fd = -1,
		.call_fd = -1,
		.err_fd = -1,
	};
	wl_list_init(&queue->pending);
}

static void pending_destroy(struct hr_pending *pending)
{
	wl_list_remove(&pending->link);
	pending->queue->n_pending--;
	free(pending->answer);
	free(pending);
}

void hr_queue_forget(struct hr_queue *queue)
{
	struct hr_pending *pending, *next;
	wl_list_for_each_safe (pending, next, &queue->pending, link) {
		pending_destroy(pending);
	}
}

void hr_queue_finish(struct hr_queue *queue)
{
	hr_queue_stop(queue);
	hr_queue_forget(queue);
	br_fd_clear(&queue->kick_fd);
	br_fd_clear(&queue->call_fd);
	br_fd_clear(&queue->err_fd);
}

/* The VMM made them non-blocking; what else a peer may send must not block us either. */
static void signal_fd(int fd)
{
	const uint64_t one = 1;
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0) {
		br_log_peer(BR_LOG_DEBUG, "vhost: the VMM's eventfd: %s", strerror(errno));
	}
}

static void call_driver(struct hr_queue *queue)
{
	if (queue->running && !queue->in_batch && hr_vring_should_call(&queue->vring)) {
		signal_fd(queue->call_fd);
	}
}

/* The driver's own fault: it loses this queue until it resets the device. */
static void break_queue(struct hr_queue *queue, const char *why)
{
	br_log_peer(BR_LOG_WARN,
		    "vhost: the guest's driver broke its %s queue (%s): its programs get no "
		    "answers until it is loaded again",
		    queue->cursor ? "cursor" : "control", why);
	queue->broken = true;
	signal_fd(queue->err_fd);
}

/* --- answers --- */

/* Write as much of an answer as there is room for. Returns how much that was. */
static uint32_t write_answer(const struct hr_pending *pending, const uint8_t *bytes, size_t len)
{
	size_t done = 0;
	for (uint32_t i = 0; i < pending->n_writable && done < len; i++) {
		const struct hr_segment *segment = &pending->writable[i];
		size_t n = segment->len < len - done ? segment->len : len - done;
		void *to = hr_ram_guest(pending->queue->shared->ram, segment->address, n);
		if (!to) {
			break;
		}
		memcpy(to, bytes + done, n);
		done += n;
	}
	return (uint32_t)done;
}

static void give_back(struct hr_pending *pending, const void *answer, size_t len)
{
	struct hr_queue *queue = pending->queue;
	hr_vring_push(&queue->vring, pending->head, write_answer(pending, answer, len));
	pending_destroy(pending);
	call_driver(queue);
}

void hr_queue_complete(uint64_t cookie, const void *response, size_t len)
{
	struct hr_pending *pending = (struct hr_pending *)(uintptr_t)cookie;
	if (pending->queue->running) {
		give_back(pending, response, len);
		return;
	}
	pending->answer = malloc(len);
	if (pending->answer) {
		memcpy(pending->answer, response, len);
		pending->answer_bytes = len;
	}
}

static void give_back_kept(struct hr_queue *queue)
{
	struct hr_pending *pending, *next;
	wl_list_for_each_safe (pending, next, &queue->pending, link) {
		if (pending->answer) {
			give_back(pending, pending->answer, pending->answer_bytes);
		}
	}
}

/* --- requests --- */

static int grow(struct hr_queue_shared *shared, size_t bytes)
{
	if (bytes <= shared->bytes_capacity) {
		return 0;
	}
	uint8_t *grown = realloc(shared->bytes, bytes);
	if (!grown) {
		return -ENOMEM;
	}
	shared->bytes = grown;
	shared->bytes_capacity = bytes;
	return 0;
}

/* Only the header of a request that can't be executed: enough to answer it. */
static void refuse(struct hr_queue *queue, struct hr_pending *pending, uint32_t type)
{
	struct virtio_gpu_ctrl_hdr hdr = {0};
	(void)hr_chain_read(queue->shared->ram, queue->shared->chain, (uint8_t *)&hdr, sizeof(hdr));
	hr_device_respond(queue->shared->device, &hdr, (uint64_t)(uintptr_t)pending, type);
}

static void execute(struct hr_queue *queue, struct hr_pending *pending)
{
	struct hr_queue_shared *shared = queue->shared;
	const struct hr_chain *chain = shared->chain;
	if (chain->too_long || chain->readable_bytes > BR_LIMIT_CONTROL_BYTES ||
	    grow(shared, chain->readable_bytes) < 0) {
		refuse(queue, pending, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
		return;
	}
	int64_t len = hr_chain_read(shared->ram, chain, shared->bytes, shared->bytes_capacity);
	if (len < 0) {
		refuse(queue, pending, VIRTIO_GPU_RESP_ERR_UNSPEC);
		return;
	}
	struct hr_request request = {
		.bytes = shared->bytes,
		.len = (size_t)len,
		.cookie = (uint64_t)(uintptr_t)pending,
		.cursor = queue->cursor,
	};
	hr_device_handle(shared->device, &request);
}

/* Handle the request in shared->chain. */
static int handle_request(struct hr_queue *queue)
{
	const struct hr_chain *chain = queue->shared->chain;
	/* A driver has no more buffers than this; one that gives the same twice is not to be fed. */
	if (queue->n_pending >= queue->vring.num) {
		return -EPROTO;
	}
	struct hr_pending *pending = calloc(1, sizeof(*pending));
	if (!pending) {
		return -ENOMEM;
	}
	pending->queue = queue;
	pending->head = chain->head;
	pending->n_writable = chain->n_writable;
	memcpy(pending->writable, chain->writable, chain->n_writable * sizeof(chain->writable[0]));
	wl_list_insert(queue->pending.prev, &pending->link);
	queue->n_pending++;
	execute(queue, pending);
	return 0;
}

void hr_queue_process(struct hr_queue *queue)
{
	if (!queue->running || !queue->shared->device) {
		return;
	}
	const struct hr_host *host = queue->shared->device->host;
	uint64_t most = host->copied_bytes + COPY_BYTES_PER_WAKEUP;
	bool more = true;
	queue->in_batch = true;
	for (int n = 0; more && queue->running && !queue->broken;) {
		int ret = hr_vring_pop(&queue->vring, queue->shared->chain);
		if (ret == 0 && !hr_vring_want_kick(&queue->vring)) {
			break;
		}
		if (ret > 0) {
			ret = handle_request(queue);
			n += 1 + (int)(queue->shared->chain->steps / STEPS_PER_REQUEST);
			more = n < REQUESTS_PER_WAKEUP && host->copied_bytes < most;
		}
		if (ret < 0) {
			break_queue(queue, ret == -EPROTO ? "bad descriptors" : strerror(-ret));
		}
	}
	queue->in_batch = false;
	call_driver(queue);
	if (!more) {
		signal_fd(queue->kick_fd);
	}
}

static int on_kick(int fd, uint32_t mask, void *data)
{
	struct hr_queue *queue = data;
	uint64_t count;
	(void)mask;
	ssize_t n = read(fd, &count, sizeof(count));
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		/* Not an eventfd after all: it would be readable for ever. */
		hr_queue_stop(queue);
		return 0;
	}
	hr_queue_process(queue);
	return 0;
}

/* --- life --- */

bool hr_queue_is_set_up(const struct hr_queue *queue)
{
	return queue->enabled && queue->kick_fd >= 0 && queue->vring.num != 0;
}

bool hr_queue_can_resume(struct hr_queue *queue)
{
	struct hr_vring *vring = &queue->vring;
	return !queue->broken && hr_vring_locate(vring) == 0 && queue->base == vring->last_avail &&
	       vring->used_ring->idx == vring->used_idx &&
	       (vring->last_avail != 0 || vring->used_idx != 0);
}

int hr_queue_start(struct hr_queue *queue, bool resume)
{
	struct hr_vring *vring = &queue->vring;
	int ret = hr_vring_locate(vring);
	if (ret < 0) {
		return ret;
	}
	if (!queue->source) {
		queue->source = wl_event_loop_add_fd(queue->shared->loop, queue->kick_fd,
						     WL_EVENT_READABLE, on_kick, queue);
		if (!queue->source) {
			return -ENOMEM;
		}
	}
	queue->running = true;
	if (!resume) {
		vring->last_avail = (uint16_t)queue->base;
		vring->used_idx = vring->used_ring->idx;
		vring->signalled = vring->used_idx;
		queue->broken = false;
	}
	give_back_kept(queue);
	return 0;
}

void hr_queue_stop(struct hr_queue *queue)
{
	queue->running = false;
	if (queue->source) {
		wl_event_source_remove(queue->source);
		queue->source = NULL;
	}
}

void hr_queue_relocate(struct hr_queue *queue)
{
	if (queue->running && hr_vring_locate(&queue->vring) < 0) {
		break_queue(queue, "its rings are not in the guest's memory");
		hr_queue_stop(queue);
	}
}
