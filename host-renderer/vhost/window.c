/* SPDX-License-Identifier: MIT */
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "../gpu/device.h"
#include "../gpu/resource.h"
#include "fd.h"
#include "limits.h"
#include "log.h"
#include "message.h"

/* Source: <linux/virtio_gpu.h>, VIRTIO_GPU_SHM_ID_HOST_VISIBLE. */
#define SHMID_HOST_VISIBLE 1
/* The smallest page of a guest: it maps no less. */
#define PAGE 4096u

int hr_window_init(struct hr_window *window, struct wl_event_loop *loop, uint64_t bytes,
		   void (*ready)(void *data), void *data)
{
	*window = (struct hr_window){
		.loop = loop,
		.bytes = bytes,
		.arena_fd = -1,
		.channel_fd = -1,
		.ready = ready,
		.data = data,
	};
	if (bytes > 0) {
		window->taken = calloc(bytes / PAGE, sizeof(*window->taken));
		return window->taken ? 0 : -ENOMEM;
	}
	return 0;
}

static void close_channel(struct hr_window *window)
{
	if (window->source) {
		wl_event_source_remove(window->source);
		window->source = NULL;
	}
	br_fd_clear(&window->channel_fd);
	window->ack_have = 0;
	window->acks_due = 0;
}

void hr_window_finish(struct hr_window *window)
{
	hr_window_stop(window);
	close_channel(window);
	free(window->taken);
	window->taken = NULL;
}

/* --- the back-end channel --- */

static void finish_start(struct hr_window *window, bool mapped)
{
	window->mapped = mapped && window->arena_fd >= 0;
	if (!mapped) {
		br_log(BR_LOG_WARN, "vhost: the VMM did not map the host-visible window: windows "
				    "of the guest's programs cost one more copy");
	}
	window->ready(window->data);
}

static void handle_ack(struct hr_window *window)
{
	struct vu_header header;
	uint64_t refused;
	memcpy(&header, window->ack, sizeof(header));
	memcpy(&refused, window->ack + sizeof(header), sizeof(refused));
	window->ack_have = 0;
	if (header.size != sizeof(refused) || !(header.flags & VU_FLAG_REPLY) ||
	    window->acks_due == 0) {
		br_log_peer(BR_LOG_WARN, "vhost: the VMM sent nonsense on the back-end channel");
		bool waiting = window->acks_due > 0;
		close_channel(window);
		if (waiting) {
			finish_start(window, false);
		}
		return;
	}
	/* Answers of starts that were stopped meanwhile come before that of the last one. */
	if (--window->acks_due == 0) {
		finish_start(window, refused == 0);
	}
}

static int on_channel(int fd, uint32_t mask, void *data)
{
	struct hr_window *window = data;
	(void)mask;
	ssize_t n = recv(fd, window->ack + window->ack_have, HR_ACK_BYTES - window->ack_have,
			 MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	if (n <= 0) {
		bool waiting = window->acks_due > 0;
		close_channel(window);
		if (waiting) {
			finish_start(window, false);
		}
		return 0;
	}
	window->ack_have += (size_t)n;
	if (window->ack_have == HR_ACK_BYTES) {
		handle_ack(window);
	}
	return 0;
}

int hr_window_set_channel_take(struct hr_window *window, int *fd)
{
	close_channel(window);
	int ret = br_fd_set_nonblock(*fd);
	if (ret < 0) {
		return ret;
	}
	window->source =
		wl_event_loop_add_fd(window->loop, *fd, WL_EVENT_READABLE, on_channel, window);
	if (!window->source) {
		return -ENOMEM;
	}
	window->channel_fd = br_fd_take(fd);
	return 0;
}

bool hr_window_start(struct hr_window *window)
{
	if (window->bytes == 0 || !window->offered || window->channel_fd < 0) {
		return false;
	}
	window->arena_fd = hr_memory_create(window->bytes);
	if (window->arena_fd < 0) {
		br_log(BR_LOG_WARN, "vhost: no memory for the host-visible window: %s",
		       strerror(-window->arena_fd));
		window->arena_fd = -1;
		return false;
	}
	const struct vu_shmem_map map = {
		.shmid = SHMID_HOST_VISIBLE,
		.len = window->bytes,
		.flags = VU_SHMEM_MAP_RW,
	};
	int ret = hr_message_send(window->channel_fd, VU_BACKEND_SHMEM_MAP,
				  VU_VERSION | VU_FLAG_NEED_REPLY, &map, sizeof(map),
				  window->arena_fd);
	if (ret < 0) {
		br_log(BR_LOG_WARN, "vhost: the VMM can't be asked to map the window: %s",
		       strerror(-ret));
		return false;
	}
	window->acks_due++;
	return true;
}

void hr_window_stop(struct hr_window *window)
{
	window->mapped = false;
	br_fd_clear(&window->arena_fd);
	if (window->taken) {
		memset(window->taken, 0, window->bytes / PAGE * sizeof(*window->taken));
	}
}

/* --- blobs --- */

static uint64_t pages_of(const struct hr_resource *resource)
{
	return (resource->size + PAGE - 1) / PAGE;
}

static bool is_free(const struct hr_window *window, uint64_t offset, uint64_t pages)
{
	uint64_t total = window->bytes / PAGE, first = offset / PAGE;
	if (offset % PAGE != 0 || first > total || pages > total - first) {
		return false;
	}
	for (uint64_t i = 0; i < pages; i++) {
		if (window->taken[first + i]) {
			return false;
		}
	}
	return true;
}

static void set_taken(struct hr_window *window, const struct hr_resource *resource, bool taken)
{
	uint64_t first = resource->window_offset / PAGE;
	for (uint64_t i = 0; i < pages_of(resource); i++) {
		window->taken[first + i] = taken;
	}
}

static int zero(struct hr_window *window, uint64_t offset, uint64_t pages)
{
	return fallocate(window->arena_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)offset, (off_t)(pages * PAGE)) < 0
		       ? -errno
		       : 0;
}

/* A file from the compositor, whose place can't be chosen: the guest gets a copy. */
static int copy_in(struct hr_window *window, const struct hr_resource *resource, uint64_t offset)
{
	uint8_t *bytes = resource->device->scratch;
	if (resource->size > BR_LIMIT_FILE_BYTES) {
		return -ENOSPC;
	}
	for (uint64_t at = 0; at < resource->size;) {
		uint64_t left = resource->size - at;
		ssize_t n = pread(resource->memory_fd, bytes,
				  left < HR_SCRATCH_BYTES ? left : HR_SCRATCH_BYTES, (off_t)at);
		if (n <= 0) {
			return n < 0 ? -errno : 0;
		}
		if (pwrite(window->arena_fd, bytes, (size_t)n, (off_t)(offset + at)) != n) {
			return -EIO;
		}
		at += (uint64_t)n;
	}
	return 0;
}

int hr_window_map(struct hr_window *window, struct hr_resource *resource, uint64_t offset)
{
	if (!window->mapped) {
		return -ENOSPC;
	}
	/* Memory that is elsewhere already can't move: somebody may have it. */
	if (!is_free(window, offset, pages_of(resource)) ||
	    (resource->fresh && resource->memory_fd >= 0)) {
		return -EINVAL;
	}
	int ret = zero(window, offset, pages_of(resource));
	if (ret == 0 && !resource->fresh) {
		ret = copy_in(window, resource, offset);
	}
	if (ret < 0) {
		return ret;
	}
	if (resource->fresh) {
		resource->memory_fd = window->arena_fd;
		resource->memory_offset = offset;
		resource->in_window = true;
	}
	resource->window_offset = offset;
	set_taken(window, resource, true);
	return 0;
}

void hr_window_unmap(struct hr_window *window, struct hr_resource *resource)
{
	if (window->arena_fd < 0) {
		return;
	}
	set_taken(window, resource, false);
	/* Gives the memory back to the system; map() does it again and sees to errors. */
	(void)zero(window, resource->window_offset, pages_of(resource));
	if (resource->in_window) {
		resource->memory_fd = -1;
		resource->memory_offset = 0;
		resource->in_window = false;
	}
}
