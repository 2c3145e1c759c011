/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <string.h>
#include <wayland-server-core.h>

#include "../gpu/context.h"
#include "../gpu/device.h"
#include "../gpu/gpu.h"
#include "../gpu/render.h"
#include "../gpu/resource.h"
#include "../wayland/context.h"
#include "fd.h"
#include "host.h"
#include "log.h"

#define MESSAGES_PER_WAKEUP 64

#define FEATURES                                                                                   \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC |                        \
	 1ull << VIRTIO_RING_F_EVENT_IDX | VU_F_PROTOCOL_FEATURES | 1ull << VIRTIO_GPU_F_VIRGL |   \
	 1ull << VIRTIO_GPU_F_RESOURCE_UUID | 1ull << VIRTIO_GPU_F_RESOURCE_BLOB |                 \
	 1ull << VIRTIO_GPU_F_CONTEXT_INIT)
/* Not CONFIGURE_MEM_SLOTS: with it QEMU 11.1 aborts at many mappings, and when the guest reboots. */
#define PROTOCOL_FEATURES                                                                          \
	(VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ |                  \
	 VU_PROTOCOL_F_CONFIG | VU_PROTOCOL_F_BACKEND_SEND_FD | VU_PROTOCOL_F_SHMEM)

static void on_reap(void *data)
{
	struct hr_session *session = data;
	void (*gone)(void *) = session->gone;
	void *gone_data = session->data;
	session->reaper = NULL; /* the loop removes a source that ran */
	hr_session_destroy(session);
	gone(gone_data);
}

/* Something of the session may be on the stack: end it from the loop. */
static void kill_later(struct hr_session *session)
{
	if (session->dead) {
		return;
	}
	session->dead = true;
	session->reaper = wl_event_loop_add_idle(session->host->loop, on_reap, session);
}

/* --- the device --- */

static void complete(void *data, uint64_t cookie, const void *response, size_t len, int fd)
{
	const struct hr_session *session = data;
	(void)fd;
	if (!session->forgetting) {
		hr_queue_complete(cookie, response, len);
	}
}

static void *guest_memory(void *data, uint64_t address, uint64_t len)
{
	const struct hr_session *session = data;
	return hr_ram_guest(&session->ram, address, len);
}

static uint32_t guest_regions(void *data, struct wk_region *ret_regions, int *ret_fds, uint32_t max)
{
	const struct hr_session *session = data;
	uint32_t n = 0;
	for (; n < session->ram.n_regions && n < max; n++) {
		const struct hr_ram_region *region = &session->ram.regions[n];
		ret_regions[n] = (struct wk_region){
			.address = region->guest_address,
			.bytes = region->bytes,
			.offset = region->file_offset,
		};
		ret_fds[n] = region->fd;
	}
	return n;
}

static int map(void *data, struct hr_resource *resource, uint64_t offset,
	       const struct hr_request *request)
{
	struct hr_session *session = data;
	return hr_window_map(&session->window, resource, offset, request);
}

static void unmap(void *data, struct hr_resource *resource)
{
	struct hr_session *session = data;
	hr_window_unmap(&session->window, resource);
}

static const struct hr_frontend_ops frontend_ops = {
	.complete = complete,
	.guest_memory = guest_memory,
	.guest_regions = guest_regions,
	.map = map,
	.unmap = unmap,
};

/* Everything of the guest before a reset. */
static void forget_device(struct hr_session *session)
{
	session->forgetting = true;
	hr_window_stop(&session->window); /* the VMM has dropped it: nothing is to be taken back */
	hr_device_destroy(session->shared.device);
	session->shared.device = NULL;
	for (int i = 0; i < HR_N_QUEUES; i++) {
		hr_queue_forget(&session->queues[i]);
	}
	session->forgetting = false;
}

static int make_device(struct hr_session *session)
{
	const struct hr_frontend frontend = {
		.ops = &frontend_ops,
		.data = session,
		.extensions = XD_EXT_PIPE_CREDIT | XD_EXT_CLOCK,
	};
	session->shared.device =
		hr_device_create(session->host, &frontend, session->capsets, session->n_capsets);
	if (!session->shared.device) {
		return -ENOMEM;
	}
	/* What waits keeps its place in the queue: a quarter is always left for what does not. */
	uint32_t places = session->queues[0].vring.num;
	session->shared.device->max_channels = places / 2;
	session->shared.device->max_shared_fences = places / 4;
	return 0;
}

static void run_queues(struct hr_session *session)
{
	session->starting = false;
	for (int i = 0; i < HR_N_QUEUES && !session->dead; i++) {
		hr_queue_process(&session->queues[i]);
	}
}

static void on_window_ready(void *data)
{
	struct hr_session *session = data;
	if (session->starting) {
		run_queues(session);
	}
}

/* The control queue decides: with it the device starts. */
static int start_control(struct hr_session *session)
{
	struct hr_queue *queue = &session->queues[0];
	bool resume = session->shared.device && hr_queue_can_resume(queue);
	if (!(session->features & 1ull << VIRTIO_F_VERSION_1)) {
		br_log(BR_LOG_ERROR,
		       "vhost: the guest's driver is a legacy one: virtio 1.0 is needed "
		       "(QEMU: disable-legacy=on)");
		return -EINVAL;
	}
	if (!resume) {
		forget_device(session);
		int ret = make_device(session);
		if (ret < 0) {
			return ret;
		}
	}
	int ret = hr_queue_start(queue, resume);
	if (ret < 0) {
		return ret;
	}
	if (resume) {
		hr_window_resume(&session->window);
		hr_device_resume(session->shared.device);
	} else {
		session->starting = hr_window_start(&session->window);
	}
	return 0;
}

/* Called whenever something that a queue needs was set. */
static int start_if_set_up(struct hr_session *session, unsigned index)
{
	struct hr_queue *queue = &session->queues[index];
	if (queue->running || !hr_queue_is_set_up(queue)) {
		return 0;
	}
	int ret = index == 0 ? start_control(session) : hr_queue_start(queue, false);
	if (ret < 0) {
		br_log(BR_LOG_ERROR, "vhost: virtqueue %u can't run: %s", index, strerror(-ret));
		return ret;
	}
	if (!session->starting) {
		hr_queue_process(queue);
	}
	return 0;
}

/* A device that has more memory mapped than the VMM's table has places can't be started again. Whether this is
 * a pause is not said; a reset takes the memory away. Source: QEMU 11.1, vhost_user_set_mem_table(). */
static void warn_of_pause(const struct hr_session *session)
{
	if (session->window.kind == HR_WINDOW_EACH && session->window.n_maps + 1 > VU_MAX_REGIONS) {
		br_log(BR_LOG_INFO,
		       "vhost: the device is stopped with %u pieces of memory mapped: if the "
		       "machine "
		       "is paused, QEMU 11.1 can't start it again until the guest reboots; with "
		       "--gpu "
		       "none it can",
		       session->window.n_maps);
	}
}

static void stop_queue(struct hr_session *session, unsigned index)
{
	bool ran = session->queues[index].running;
	hr_queue_stop(&session->queues[index]);
	if (index == 0 && session->shared.device) {
		if (ran) {
			warn_of_pause(session);
		}
		session->shared.device->paused = true;
		hr_window_pause(&session->window);
		session->starting = false;
	}
}

/* --- messages --- */

static int reply(struct hr_session *session, const void *payload, size_t size)
{
	return hr_message_send(session->socket_fd, session->message.header.request,
			       VU_VERSION | VU_FLAG_REPLY, payload, size, -1);
}

static int reply_u64(struct hr_session *session, uint64_t value)
{
	return reply(session, &value, sizeof(value));
}

static struct hr_queue *find_queue(struct hr_session *session, uint32_t index)
{
	return index < HR_N_QUEUES ? &session->queues[index] : NULL;
}

static int set_features(struct hr_session *session)
{
	uint64_t features = session->message.payload.u64;
	if (features & ~FEATURES) {
		return -EINVAL;
	}
	session->features = features;
	for (int i = 0; i < HR_N_QUEUES; i++) {
		struct hr_vring *vring = &session->queues[i].vring;
		vring->event_idx = features & 1ull << VIRTIO_RING_F_EVENT_IDX;
		vring->indirect = features & 1ull << VIRTIO_RING_F_INDIRECT_DESC;
	}
	return 0;
}

static int set_protocol_features(struct hr_session *session)
{
	uint64_t features = session->message.payload.u64;
	if (features & ~PROTOCOL_FEATURES) {
		return -EINVAL;
	}
	session->protocol_features = features;
	if (session->window.bytes > 0 && !(features & VU_PROTOCOL_F_SHMEM)) {
		br_log(BR_LOG_WARN,
		       "vhost: this VMM has no host-visible window (QEMU 11.1 has): windows "
		       "of the guest's programs cost one more copy");
	}
	return 0;
}

static int set_mem_table(struct hr_session *session)
{
	struct hr_message *message = &session->message;
	const struct vu_mem_table *table = &message->payload.mem_table;
	if (message->header.size < 8 || table->n_regions > VU_MAX_REGIONS ||
	    message->header.size != 8 + table->n_regions * sizeof(table->regions[0])) {
		return -EINVAL;
	}
	int ret = hr_ram_set(&session->ram, table, message->fds, message->n_fds);
	if (ret < 0) {
		br_log(BR_LOG_ERROR,
		       "vhost: the guest's memory can't be mapped: %s; the VMM has to share it "
		       "(QEMU: -object memory-backend-memfd,share=on)",
		       strerror(-ret));
		return ret;
	}
	for (int i = 0; i < HR_N_QUEUES; i++) {
		hr_queue_relocate(&session->queues[i]);
	}
	if (session->shared.device) {
		hr_render_update_memory(session->shared.device);
	}
	return 0;
}

static int set_vring_num(struct hr_session *session)
{
	const struct vu_vring_state *state = &session->message.payload.vring_state;
	struct hr_queue *queue = find_queue(session, state->index);
	if (!queue || queue->running || state->num == 0 || state->num > BR_LIMIT_VRING_SIZE ||
	    (state->num & (state->num - 1)) != 0) {
		return -EINVAL;
	}
	queue->vring.num = state->num;
	return 0;
}

static int set_vring_addr(struct hr_session *session)
{
	const struct vu_vring_addr *addr = &session->message.payload.vring_addr;
	struct hr_queue *queue = find_queue(session, addr->index);
	if (!queue || queue->running) {
		return -EINVAL;
	}
	queue->vring.desc = addr->desc;
	queue->vring.avail = addr->avail;
	queue->vring.used = addr->used;
	return 0;
}

static int set_vring_base(struct hr_session *session)
{
	const struct vu_vring_state *state = &session->message.payload.vring_state;
	struct hr_queue *queue = find_queue(session, state->index);
	if (!queue || queue->running || state->num > UINT16_MAX) {
		return -EINVAL;
	}
	queue->base = state->num;
	return 0;
}

static int get_vring_base(struct hr_session *session)
{
	struct vu_vring_state state = session->message.payload.vring_state;
	struct hr_queue *queue = find_queue(session, state.index);
	if (!queue) {
		return -EINVAL;
	}
	stop_queue(session, state.index);
	br_fd_clear(&queue->kick_fd);
	state.num = queue->vring.last_avail;
	return reply(session, &state, sizeof(state));
}

static int set_vring_enable(struct hr_session *session)
{
	const struct vu_vring_state *state = &session->message.payload.vring_state;
	struct hr_queue *queue = find_queue(session, state->index);
	if (!queue || state->num > 1) {
		return -EINVAL;
	}
	queue->enabled = state->num == 1;
	if (!queue->enabled) {
		stop_queue(session, state->index);
		return 0;
	}
	return start_if_set_up(session, state->index);
}

/* Take the eventfd of KICK, CALL or ERR; *ret_fd becomes -1 where the VMM sends none. */
static int take_eventfd(struct hr_session *session, struct hr_queue **ret_queue, int *ret_fd)
{
	struct hr_message *message = &session->message;
	uint64_t value = message->payload.u64;
	bool none = value & VU_VRING_NO_FD;
	*ret_queue = find_queue(session, (uint32_t)(value & VU_VRING_INDEX_MASK));
	*ret_fd = -1;
	if (!*ret_queue || message->n_fds != (none ? 0 : 1)) {
		return -EINVAL;
	}
	if (none) {
		return 0;
	}
	*ret_fd = br_fd_take(&message->fds[0]);
	return br_fd_set_nonblock(*ret_fd);
}

static int set_vring_kick(struct hr_session *session)
{
	struct hr_queue *queue;
	int fd;
	int ret = take_eventfd(session, &queue, &fd);
	/* Without a kick we would have to poll. */
	if (ret < 0 || fd < 0 || queue->running) {
		br_fd_clear(&fd);
		return -EINVAL;
	}
	br_fd_clear(&queue->kick_fd);
	queue->kick_fd = fd;
	return start_if_set_up(session, (unsigned)(queue - session->queues));
}

static int set_vring_call(struct hr_session *session)
{
	struct hr_queue *queue;
	int fd;
	int ret = take_eventfd(session, &queue, &fd);
	if (ret < 0) {
		br_fd_clear(&fd);
		return ret;
	}
	bool err = session->message.header.request == VU_SET_VRING_ERR;
	int *slot = err ? &queue->err_fd : &queue->call_fd;
	br_fd_clear(slot);
	*slot = fd;
	return 0;
}

static int set_backend_req_fd(struct hr_session *session)
{
	struct hr_message *message = &session->message;
	return message->n_fds == 1 ? hr_window_set_channel_take(&session->window, &message->fds[0])
				   : -EINVAL;
}

static int get_config(struct hr_session *session)
{
	const struct virtio_gpu_config config = {.num_capsets = session->n_capsets};
	const struct vu_config *asked = &session->message.payload.config;
	uint32_t size = session->message.header.size;
	if (size < 12 || asked->size != size - 12 || asked->offset > VU_MAX_CONFIG_BYTES ||
	    asked->size > VU_MAX_CONFIG_BYTES - asked->offset) {
		return -EINVAL;
	}
	struct vu_config answer = {.offset = asked->offset, .size = asked->size};
	uint8_t space[VU_MAX_CONFIG_BYTES] = {0};
	memcpy(space, &config, sizeof(config));
	memcpy(answer.bytes, space + asked->offset, asked->size);
	return reply(session, &answer, 12 + asked->size);
}

static int get_shmem_config(struct hr_session *session)
{
	struct vu_shmem_config config = {0};
	if (session->window.bytes > 0) {
		config.n_regions = 1;
		config.bytes[VIRTIO_GPU_SHM_ID_HOST_VISIBLE] = session->window.bytes;
		session->window.offered = true;
	}
	return reply(session, &config, sizeof(config));
}

static int get_features(struct hr_session *session)
{
	return reply_u64(session, FEATURES);
}

static int get_protocol_features(struct hr_session *session)
{
	return reply_u64(session, PROTOCOL_FEATURES);
}

static int get_queue_num(struct hr_session *session)
{
	return reply_u64(session, HR_N_QUEUES);
}

/* Ownership means nothing here; the configuration of a device without displays can't be changed. */
static int accept_silently(struct hr_session *session)
{
	(void)session;
	return 0;
}

/* A message: its handler, the size of its payload (VARIES: the handler checks), and how it is answered. */
struct row {
	uint16_t request;
	uint16_t size;
	bool replies; /* by itself, not by REPLY_ACK */
	bool fds;
	int (*handle)(struct hr_session *session);
};

#define VARIES UINT16_MAX
#define U64 sizeof(uint64_t)
#define STATE sizeof(struct vu_vring_state)

static const struct row rows[] = {
	{VU_GET_FEATURES, 0, true, false, get_features},
	{VU_SET_FEATURES, U64, false, false, set_features},
	{VU_SET_OWNER, 0, false, false, accept_silently},
	{VU_RESET_OWNER, 0, false, false, accept_silently},
	{VU_SET_MEM_TABLE, VARIES, false, true, set_mem_table},
	{VU_SET_VRING_NUM, STATE, false, false, set_vring_num},
	{VU_SET_VRING_ADDR, sizeof(struct vu_vring_addr), false, false, set_vring_addr},
	{VU_SET_VRING_BASE, STATE, false, false, set_vring_base},
	{VU_GET_VRING_BASE, STATE, true, false, get_vring_base},
	{VU_SET_VRING_KICK, U64, false, true, set_vring_kick},
	{VU_SET_VRING_CALL, U64, false, true, set_vring_call},
	{VU_SET_VRING_ERR, U64, false, true, set_vring_call},
	{VU_GET_PROTOCOL_FEATURES, 0, true, false, get_protocol_features},
	{VU_SET_PROTOCOL_FEATURES, U64, false, false, set_protocol_features},
	{VU_GET_QUEUE_NUM, 0, true, false, get_queue_num},
	{VU_SET_VRING_ENABLE, STATE, false, false, set_vring_enable},
	{VU_SET_BACKEND_REQ_FD, 0, false, true, set_backend_req_fd},
	{VU_GET_CONFIG, VARIES, true, false, get_config},
	{VU_SET_CONFIG, VARIES, false, false, accept_silently},
	{VU_GET_SHMEM_CONFIG, 0, true, false, get_shmem_config},
};

static const struct row *find_row(const struct hr_message *message)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		if (row->request == message->header.request) {
			bool sized = row->size == VARIES || row->size == message->header.size;
			return sized && (row->fds || message->n_fds == 0) ? row : NULL;
		}
	}
	return NULL;
}

/* Returns 0, or -errno if the VMM makes no sense. */
static int handle_message(struct hr_session *session)
{
	const struct hr_message *message = &session->message;
	const struct row *row = find_row(message);
	bool wants_ack = message->header.flags & VU_FLAG_NEED_REPLY &&
			 session->protocol_features & VU_PROTOCOL_F_REPLY_ACK;
	if ((message->header.flags & VU_VERSION_MASK) != VU_VERSION) {
		return -EPROTO;
	}
	int ret = row ? row->handle(session) : -EINVAL;
	if (ret < 0) {
		br_log_peer(BR_LOG_WARN, "vhost: message %u of the VMM (%u bytes, %zu fds): %s",
			    message->header.request, message->header.size, message->n_fds,
			    row ? strerror(-ret) : "unknown or of a wrong size");
	}
	if (row && row->replies) {
		return ret; /* it waits for an answer that does not come */
	}
	return wants_ack ? reply_u64(session, ret < 0) : ret;
}

static int on_socket(int fd, uint32_t mask, void *data)
{
	struct hr_session *session = data;
	(void)mask;
	for (int i = 0; i < MESSAGES_PER_WAKEUP && !session->dead; i++) {
		int ret = hr_message_receive(fd, &session->message);
		if (ret == -EAGAIN) {
			break;
		}
		if (ret == 0) {
			br_log(BR_LOG_INFO, "vhost: the VMM has disconnected");
			kill_later(session);
			break;
		}
		ret = ret < 0 ? ret : handle_message(session);
		if (ret < 0) {
			br_log(BR_LOG_ERROR, "vhost: the VMM is disconnected: %s", strerror(-ret));
			kill_later(session);
			break;
		}
		hr_message_clear(&session->message);
	}
	return 0;
}

/* --- life --- */

int hr_session_create_take(struct hr_host *host, const struct hr_window_options *window, int *fd,
			   void (*gone)(void *data), void *data, struct hr_session **ret_session)
{
	struct hr_session *session = calloc(1, sizeof(*session));
	if (!session) {
		return -ENOMEM;
	}
	session->host = host;
	session->socket_fd = -1;
	session->gone = gone;
	session->data = data;
	session->capsets[session->n_capsets++] = &hr_wayland_capset;
	for (uint32_t i = 0; host->gpu && i < host->gpu->n_capsets; i++) {
		session->capsets[session->n_capsets++] = host->gpu->capsets[i];
	}
	session->shared = (struct hr_queue_shared){
		.loop = host->loop,
		.ram = &session->ram,
		.chain = malloc(sizeof(struct hr_chain)),
	};
	for (int i = 0; i < HR_N_QUEUES; i++) {
		hr_queue_init(&session->queues[i], &session->shared, i == 1);
	}
	int ret = hr_window_init(&session->window, host->loop, window, on_window_ready, session);
	ret = ret < 0 ? ret : br_fd_set_nonblock(*fd);
	if (ret == 0) {
		session->source = wl_event_loop_add_fd(host->loop, *fd, WL_EVENT_READABLE,
						       on_socket, session);
	}
	if (ret == 0 && (!session->source || !session->shared.chain)) {
		ret = -ENOMEM;
	}
	if (ret < 0) {
		hr_session_destroy(session);
		return ret;
	}
	session->socket_fd = br_fd_take(fd);
	*ret_session = session;
	return 0;
}

void hr_session_destroy(struct hr_session *session)
{
	if (!session) {
		return;
	}
	session->dead = true;
	if (session->reaper) {
		wl_event_source_remove(session->reaper);
	}
	forget_device(session);
	for (int i = 0; i < HR_N_QUEUES; i++) {
		hr_queue_finish(&session->queues[i]);
	}
	hr_window_finish(&session->window);
	hr_ram_finish(&session->ram);
	hr_message_clear(&session->message);
	if (session->source) {
		wl_event_source_remove(session->source);
	}
	br_fd_clear(&session->socket_fd);
	free(session->shared.chain);
	free(session->shared.bytes);
	free(session);
}
