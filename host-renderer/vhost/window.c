/* SPDX-License-Identifier: MIT */
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "../gpu/context.h"
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
/* Asked of the VMM at a time. Each is two messages, and its socket has to take them all while it is busy with
 * the guest: one message takes below 1 KiB of the 208 KiB that Linux gives a socket. */
#define MOST_DUE 32

static void set_taken(struct hr_window *window, const struct hr_resource *resource, bool taken);
static void send_held(struct hr_window *window);

enum due_kind { DUE_START, DUE_MAP, DUE_UNMAP };

/** An answer that the VMM owes, or will. */
struct due {
	struct wl_list link; /* hr_window.due or .held */
	enum due_kind kind;
	bool stale; /* of before a stop: nobody waits for it */
	struct vu_shmem_map map;
	/* Of a map, which takes two answers: its own, and that of what was asked behind it. */
	bool answered, accepted;
	int fd; /* of a map that is held; owned; else -1 */
	/* Of a map: what was asked. */
	struct hr_resource *resource; /* referenced */
	struct virtio_gpu_ctrl_hdr request;
	uint64_t cookie;
};

int hr_window_init(struct hr_window *window, struct wl_event_loop *loop,
		   const struct hr_window_options *options, void (*ready)(void *data), void *data)
{
	*window = (struct hr_window){
		.loop = loop,
		.bytes = options->bytes,
		.kind = options->kind,
		.arena_fd = -1,
		.channel_fd = -1,
		.ready = ready,
		.data = data,
	};
	wl_list_init(&window->due);
	wl_list_init(&window->held);
	if (window->bytes > 0) {
		window->taken = calloc(window->bytes / PAGE, sizeof(*window->taken));
		return window->taken ? 0 : -ENOMEM;
	}
	return 0;
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

static void finish_map(struct hr_window *window, struct due *due, bool mapped)
{
	struct hr_resource *resource = due->resource;
	/* It may have lost its id meanwhile, and then has been unmapped. */
	if (!mapped && resource->mapped) {
		set_taken(window, resource, false);
	}
	hr_device_mapped(resource->device, &due->request, due->cookie, resource,
			 mapped ? 0 : -ENOSPC);
}

static void due_destroy(struct due *due)
{
	wl_list_remove(&due->link);
	hr_resource_unref(due->resource);
	br_fd_clear(&due->fd);
	free(due);
}

/* An answer that is due has come, or will not. */
static void finish_due(struct hr_window *window, struct due *due, bool accepted)
{
	wl_list_remove(&due->link);
	wl_list_init(&due->link);
	if (!due->stale && due->kind == DUE_START) {
		finish_start(window, accepted);
	} else if (!due->stale && due->kind == DUE_MAP) {
		finish_map(window, due, accepted);
	}
	due_destroy(due);
}

static struct due *first_due(struct hr_window *window)
{
	struct due *due = wl_container_of(window->due.next, due, link);
	return due;
}

static void drop_all(struct hr_window *window, struct wl_list *list)
{
	while (!wl_list_empty(list)) {
		struct due *due = wl_container_of(list->next, due, link);
		finish_due(window, due, false);
	}
}

static void close_channel(struct hr_window *window)
{
	if (window->source) {
		wl_event_source_remove(window->source);
		window->source = NULL;
	}
	br_fd_clear(&window->channel_fd);
	window->ack_have = 0;
	window->n_due = 0;
	drop_all(window, &window->due);
	/* During a pause a new channel may follow. */
	if (!window->paused) {
		drop_all(window, &window->held);
	}
}

static void handle_ack(struct hr_window *window)
{
	struct vu_header header;
	uint64_t refused;
	memcpy(&header, window->ack, sizeof(header));
	memcpy(&refused, window->ack + sizeof(header), sizeof(refused));
	window->ack_have = 0;
	if (header.size != sizeof(refused) || !(header.flags & VU_FLAG_REPLY) ||
	    wl_list_empty(&window->due)) {
		br_log_peer(BR_LOG_WARN, "vhost: the VMM sent nonsense on the back-end channel");
		close_channel(window);
		return;
	}
	struct due *due = first_due(window);
	if (due->kind != DUE_UNMAP && !due->answered) {
		due->answered = true;
		due->accepted = refused == 0;
		return;
	}
	window->n_due--;
	finish_due(window, due, due->kind == DUE_UNMAP ? refused == 0 : due->accepted);
	send_held(window);
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
		close_channel(window);
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

/* QEMU 11.1 answers a map before the guest sees it: what the guest writes in between is lost. But it does one thing
 * after the other, so the answer to something harmless behind it says that the map is done. Source: QEMU,
 * vhost_user_backend_handle_shmem_map(). */
static int send_due(struct hr_window *window, const struct due *due, int fd)
{
	uint32_t flags = VU_VERSION | VU_FLAG_NEED_REPLY;
	uint32_t request = due->kind == DUE_UNMAP ? VU_BACKEND_SHMEM_UNMAP : VU_BACKEND_SHMEM_MAP;
	int ret = hr_message_send(window->channel_fd, request, flags, &due->map, sizeof(due->map),
				  fd);
	if (ret == 0 && due->kind != DUE_UNMAP) {
		ret = hr_message_send(window->channel_fd, VU_BACKEND_CONFIG_CHANGE, flags, NULL, 0,
				      -1);
		if (ret < 0) {
			/* The VMM's answers can't be told apart any more. */
			(void)shutdown(window->channel_fd, SHUT_RDWR);
		}
	}
	if (ret < 0) {
		br_log_peer(BR_LOG_WARN, "vhost: the VMM can't be asked for memory: %s",
			    strerror(-ret));
	}
	return ret;
}

static bool may_ask(const struct hr_window *window)
{
	return !window->paused && window->n_due < MOST_DUE;
}

/* Ask the VMM, now or as soon as it may be asked; fd: borrowed. *ret_due is for the caller to fill in. */
static int ask(struct hr_window *window, enum due_kind kind, const struct vu_shmem_map *map, int fd,
	       struct due **ret_due)
{
	struct due *due = window->channel_fd >= 0 ? calloc(1, sizeof(*due)) : NULL;
	if (!due) {
		return window->channel_fd >= 0 ? -ENOMEM : -ENOTCONN;
	}
	*due = (struct due){.kind = kind, .map = *map, .fd = -1};
	wl_list_init(&due->link);
	int ret = 0;
	bool now = may_ask(window) && wl_list_empty(&window->held);
	if (now) {
		ret = send_due(window, due, fd);
	} else if (fd >= 0) {
		due->fd = br_fd_dup(fd);
		ret = due->fd < 0 ? due->fd : 0;
	}
	if (ret < 0) {
		due_destroy(due);
		return ret;
	}
	window->n_due += now ? 1 : 0;
	wl_list_insert((now ? &window->due : &window->held)->prev, &due->link);
	*ret_due = due;
	return 0;
}

static void send_held(struct hr_window *window)
{
	while (may_ask(window) && !wl_list_empty(&window->held)) {
		struct due *due = wl_container_of(window->held.next, due, link);
		if (send_due(window, due, due->fd) < 0) {
			finish_due(window, due, false);
			continue;
		}
		br_fd_clear(&due->fd);
		wl_list_remove(&due->link);
		wl_list_insert(window->due.prev, &due->link);
		window->n_due++;
	}
}

void hr_window_pause(struct hr_window *window)
{
	window->paused = true;
}

void hr_window_resume(struct hr_window *window)
{
	window->paused = false;
	send_held(window);
}

/* --- start and stop --- */

static int start_arena(struct hr_window *window)
{
	const struct vu_shmem_map map = {
		.shmid = SHMID_HOST_VISIBLE,
		.len = window->bytes,
		.flags = VU_SHMEM_MAP_RW,
	};
	struct due *due;
	int fd = hr_memory_create(window->bytes);
	if (fd < 0) {
		return fd;
	}
	window->arena_fd = fd;
	return ask(window, DUE_START, &map, fd, &due);
}

bool hr_window_start(struct hr_window *window)
{
	window->paused = false;
	if (window->bytes == 0 || !window->offered || window->channel_fd < 0) {
		return false;
	}
	if (window->kind == HR_WINDOW_EACH) {
		window->mapped = true;
		return false;
	}
	int ret = start_arena(window);
	if (ret < 0) {
		br_log(BR_LOG_WARN, "vhost: there is no host-visible window: %s", strerror(-ret));
	}
	return ret == 0;
}

void hr_window_stop(struct hr_window *window)
{
	struct due *due, *next;
	/* First: memory that goes with its last reference here is no longer shown. */
	window->mapped = false;
	wl_list_for_each (due, &window->due, link) {
		due->stale = true;
		due->resource = hr_resource_unref(due->resource);
	}
	wl_list_for_each_safe (due, next, &window->held, link) {
		due_destroy(due);
	}
	br_fd_clear(&window->arena_fd);
	window->n_maps = 0;
	if (window->taken) {
		memset(window->taken, 0, window->bytes / PAGE * sizeof(*window->taken));
	}
}

void hr_window_finish(struct hr_window *window)
{
	hr_window_stop(window);
	close_channel(window);
	free(window->taken);
	window->taken = NULL;
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
	window->n_maps = taken ? window->n_maps + 1 : window->n_maps - 1;
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

/* A file of the compositor's, whose size and place don't suit a window: the guest gets a copy. */
static int copy_file(const struct hr_resource *resource, int to_fd, uint64_t offset)
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
		if (pwrite(to_fd, bytes, (size_t)n, (off_t)(offset + at)) != n) {
			return -EIO;
		}
		at += (uint64_t)n;
	}
	return 0;
}

static int map_in_arena(struct hr_window *window, struct hr_resource *resource, uint64_t offset)
{
	/* Memory that is elsewhere already can't move: somebody may have it. */
	if (resource->fresh && resource->memory_fd >= 0) {
		return -EINVAL;
	}
	int ret = zero(window, offset, pages_of(resource));
	if (ret == 0 && !resource->fresh) {
		ret = copy_file(resource, window->arena_fd, offset);
	}
	if (ret == 0 && resource->fresh) {
		resource->memory_fd = window->arena_fd;
		resource->memory_offset = offset;
		resource->in_window = true;
	}
	return ret;
}

/* The file to show: its own, or whole pages with a copy of it. Returns the fd, the caller's. */
static int file_to_show(struct hr_resource *resource)
{
	int ret = hr_resource_need_memory(resource);
	if (ret < 0 || resource->fresh || resource->gpu == HR_GPU_SHARED) {
		return ret < 0 ? ret : br_fd_dup(resource->memory_fd);
	}
	int fd = hr_memory_create(pages_of(resource) * PAGE);
	ret = fd < 0 ? fd : copy_file(resource, fd, 0);
	if (ret < 0) {
		br_fd_clear(&fd);
		return ret;
	}
	return fd;
}

static int map_file(struct hr_window *window, struct hr_resource *resource, uint64_t offset,
		    const struct hr_request *request)
{
	const struct vu_shmem_map map = {
		.shmid = SHMID_HOST_VISIBLE,
		.shm_offset = offset,
		.len = pages_of(resource) * PAGE,
		.flags = VU_SHMEM_MAP_RW,
	};
	struct due *due;
	/* Its own is counted already. */
	if (resource->maker && resource->maker->n_mapped > BR_LIMIT_CTX_MAPS) {
		br_log_peer(BR_LOG_WARN,
			    "vhost: a guest program maps more than %d pieces of memory",
			    BR_LIMIT_CTX_MAPS);
		return -ENOSPC;
	}
	if (window->n_maps >= BR_LIMIT_WINDOW_MAPS) {
		br_log_peer(BR_LOG_WARN, "vhost: the guest maps more than %d pieces of memory",
			    BR_LIMIT_WINDOW_MAPS);
		return -ENOSPC;
	}
	int fd BR_CLEANUP_FD = file_to_show(resource);
	int ret = fd < 0 ? fd : ask(window, DUE_MAP, &map, fd, &due);
	if (ret < 0) {
		return ret;
	}
	due->resource = hr_resource_ref(resource);
	due->request = request->hdr;
	due->cookie = request->cookie;
	return -EINPROGRESS;
}

int hr_window_map(struct hr_window *window, struct hr_resource *resource, uint64_t offset,
		  const struct hr_request *request)
{
	if (!window->mapped) {
		return -ENOSPC;
	}
	if (!is_free(window, offset, pages_of(resource))) {
		return -EINVAL;
	}
	int ret = window->kind == HR_WINDOW_ARENA ? map_in_arena(window, resource, offset)
						  : map_file(window, resource, offset, request);
	if (ret == 0 || ret == -EINPROGRESS) {
		resource->window_offset = offset;
		set_taken(window, resource, true);
	}
	return ret;
}

void hr_window_unmap(struct hr_window *window, struct hr_resource *resource)
{
	const struct vu_shmem_map map = {
		.shmid = SHMID_HOST_VISIBLE,
		.shm_offset = resource->window_offset,
		.len = pages_of(resource) * PAGE,
	};
	struct due *due;
	if (window->mapped && window->kind == HR_WINDOW_EACH) {
		/* The VMM does what it is asked in turn: the place may be asked for again. But
		 * not if it can't be asked, for it still shows something there. */
		if (ask(window, DUE_UNMAP, &map, -1, &due) == 0) {
			set_taken(window, resource, false);
		}
	} else if (window->mapped) {
		set_taken(window, resource, false);
		/* Gives the memory back to the system; map() does it again and sees to errors. */
		(void)zero(window, resource->window_offset, pages_of(resource));
	}
	if (resource->in_window) {
		resource->memory_fd = -1;
		resource->memory_offset = 0;
		resource->in_window = false;
	}
}
