/* SPDX-License-Identifier: MIT
 *
 * virtio-gpu control commands over a SEQPACKET socket: see socket_proto.h. One connection is one
 * device. Packets that the socket does not take are kept in order; how much that can be is bounded by
 * the windows of the channels above.
 */
#include <errno.h>
#include <linux/virtio_gpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <wayland-server-core.h>

#include "cross_domain.h"
#include "deadline.h"
#include "fd.h"
#include "limits.h"
#include "outbox.h"
#include "packet.h"
#include "sock.h"
#include "socket_proto.h"
#include "transport.h"

#define PACKETS_PER_WAKEUP 64
/* A packet shorter than this is mostly alone: looking for another costs a system call each time, and
 * the loop finds it anyway. */
#define BURST_BYTES 4096
#define MAX_IOVS 8
/* In a cookie: another request's answer tells of the failure too. */
#define COOKIE_TOLD_ELSEWHERE (1ull << 63)
/* The commands of all clients' windows, and a margin for their resources. */
#define MAX_QUEUED_BYTES (64u << 20)

/** A request whose answer somebody waits for. */
struct pending {
	struct wl_list link; /* socket_transport.pending */
	uint64_t cookie;
	struct socket_context *context; /* NULL: the handshake */
	gp_fence_fn fence;
	gp_resource_fn created;
	struct gp_resource *resource; /* under construction; owned */
	void *data;
};

/** A context of this backend. */
struct socket_context {
	struct gp_context base;
	struct wl_list link; /* socket_transport.contexts */
	struct socket_transport *transport;
	uint32_t id;
	const struct gp_context_events *events;
	void *data;
	bool announced; /* ready was called */
	bool lost;
};

struct socket_transport {
	struct gp_transport base;
	struct gp_transport_options options;
	int socket_fd;
	struct wl_event_source *source;
	struct wl_event_source *ready_idle; /* may be NULL */
	struct gp_deadline handshake;
	uint32_t mask; /* of source */
	struct wl_list contexts, pending;
	struct br_outbox out;
	uint32_t next_context, next_resource;
	uint64_t next_cookie;
	bool lost;
	uint8_t *packet; /* SK_MAX_PACKET_BYTES: the one being handled */
};

static struct socket_transport *from_base(struct gp_transport *base)
{
	return (struct socket_transport *)base;
}

static void pending_finish(struct pending *pending, int err)
{
	struct gp_resource *resource = pending->resource;
	wl_list_remove(&pending->link);
	if (pending->created != NULL) {
		if (err < 0 && resource != NULL) {
			pending->resource = NULL;
			gp_resource_destroy(resource);
			resource = NULL;
		}
		pending->created(pending->data, err, resource);
	} else if (pending->fence != NULL) {
		pending->fence(pending->data, err);
	}
	free(pending);
}

/* The connection is gone: tell everybody, once. */
static void lose(struct socket_transport *t, const char *reason)
{
	struct socket_context *context;
	if (t->lost) {
		return;
	}
	t->lost = true;
	gp_deadline_stop(&t->handshake);
	if (t->source != NULL) {
		wl_event_source_remove(t->source);
		t->source = NULL;
	}
	br_outbox_clear(&t->out);
	br_fd_clear(&t->socket_fd);
again:
	/* A callback may remove any context. */
	wl_list_for_each (context, &t->contexts, link) {
		if (!context->lost) {
			context->lost = true;
			context->events->lost(context->data, reason);
			goto again;
		}
	}
	if (t->options.lost != NULL) {
		t->options.lost(t->options.data, reason);
	}
}

/* --- out --- */

static void update_source(struct socket_transport *t)
{
	uint32_t mask = WL_EVENT_READABLE | (br_outbox_waits(&t->out) ? WL_EVENT_WRITABLE : 0);
	if (mask != t->mask && wl_event_source_fd_update(t->source, mask) == 0) {
		t->mask = mask;
	}
}

static int transmit(struct socket_transport *t, const struct iovec *iov, size_t n_iov,
		    const int *fds, size_t n_fds)
{
	if (t->lost) {
		return -ENOTCONN;
	}
	int ret = br_outbox_send(&t->out, t->socket_fd, iov, n_iov, fds, n_fds);
	update_source(t);
	/* The reading side finds a hang-up and reports it. */
	return ret == -EPIPE || ret == -ECONNRESET ? -ENOTCONN : ret;
}

static void flush(void *data)
{
	struct socket_transport *t = data;
	if (t->lost) {
		return;
	}
	if (br_outbox_flush(&t->out, t->socket_fd) < 0) {
		br_outbox_clear(&t->out); /* the same */
	}
	update_source(t);
}

/* Send a request of one or two parts. pending: filled in but for the cookie, or NULL. */
static int request(struct socket_transport *t, uint64_t cookie_flags, const struct pending *wanted,
		   const void *command, size_t len, const int *fds, size_t n_fds)
{
	struct sk_packet head = {.type = SK_REQUEST, .cookie = ++t->next_cookie | cookie_flags};
	struct iovec iov[] = {
		{.iov_base = &head, .iov_len = sizeof(head)},
		{.iov_base = (void *)command, .iov_len = len},
	};
	struct pending *pending = NULL;
	if (wanted != NULL) {
		pending = malloc(sizeof(*pending));
		if (pending == NULL) {
			return -ENOMEM;
		}
		*pending = *wanted;
		pending->cookie = head.cookie;
	}
	int ret = transmit(t, iov, 2, fds, n_fds);
	if (ret < 0) {
		free(pending);
	} else if (pending != NULL) {
		wl_list_insert(t->pending.prev, &pending->link);
	}
	return ret;
}

/* --- in --- */

static struct socket_context *find_context(struct socket_transport *t, uint32_t id)
{
	struct socket_context *context;
	wl_list_for_each (context, &t->contexts, link) {
		if (context->id == id) {
			return context;
		}
	}
	return NULL;
}

/* A callback may remove any context: the search starts again after each. */
static void announce_ready(struct socket_transport *t)
{
	struct socket_context *context;
again:
	wl_list_for_each (context, &t->contexts, link) {
		if (!context->announced && !context->lost) {
			context->announced = true;
			context->events->ready(context->data);
			if (t->lost) {
				return;
			}
			goto again;
		}
	}
}

static void handle_ready_idle(void *data)
{
	struct socket_transport *t = data;
	t->ready_idle = NULL;
	announce_ready(t);
}

static int handle_capset(struct socket_transport *t, const uint8_t *bytes, size_t len)
{
	struct xd_capset_ext capset = {0};
	size_t head = sizeof(struct virtio_gpu_ctrl_hdr);
	if (len < head + sizeof(capset.base)) {
		return -EPROTO;
	}
	size_t given = len - head;
	memcpy(&capset, bytes + head, given < sizeof(capset) ? given : sizeof(capset));
	struct gp_transport_caps *caps = &t->base.caps;
	caps->channels = capset.base.supported_channels;
	caps->causeway = given >= sizeof(capset) && capset.magic == XD_CAPSET_MAGIC;
	caps->max_cmd_bytes = sizeof(struct xd_send_receive) + XD_MAX_DATA_COMPAT;
	if (caps->causeway) {
		caps->extensions = capset.extensions & t->options.extensions;
		/* Without its own credit a pipe that nobody reads would be pushed full. */
		caps->extensions &=
			caps->extensions & XD_EXT_PIPE_CREDIT ? ~0u : ~(uint32_t)XD_EXT_PUSH;
		if (capset.max_cmd_bytes > caps->max_cmd_bytes) {
			caps->max_cmd_bytes = capset.max_cmd_bytes < XD_MAX_CMD_BYTES
						      ? capset.max_cmd_bytes
						      : XD_MAX_CMD_BYTES;
		}
	}
	t->base.ready = true;
	gp_deadline_stop(&t->handshake);
	announce_ready(t);
	return 0;
}

/* The answer to RESOURCE_MAP_BLOB brings the memory. */
static int map_resource(struct gp_resource *resource, int *fd)
{
	struct stat st;
	if (*fd < 0 || fstat(*fd, &st) < 0 || st.st_size < 0 ||
	    (uint64_t)st.st_size < resource->size) {
		return -EPROTO;
	}
	void *map = mmap(NULL, resource->size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (map == MAP_FAILED) {
		/* Read-only memory of the host: a keymap, a table. Its fd is what counts. */
		map = mmap(NULL, resource->size, PROT_READ, MAP_SHARED, *fd, 0);
	}
	if (map == MAP_FAILED) {
		return -errno;
	}
	resource->map = map;
	resource->fd = br_fd_take(fd);
	return 0;
}

static void context_fail(struct socket_context *context, const char *reason)
{
	if (!context->lost) {
		context->lost = true;
		context->events->lost(context->data, reason);
	}
}

static void handle_response(struct socket_transport *t, uint64_t cookie, const uint8_t *bytes,
			    size_t len, struct br_handle *fds, size_t n_fds)
{
	struct virtio_gpu_ctrl_hdr hdr;
	struct pending *pending;
	if (len < sizeof(hdr)) {
		lose(t, "the host sent a short response");
		return;
	}
	memcpy(&hdr, bytes, sizeof(hdr));
	int err = hdr.type >= VIRTIO_GPU_RESP_ERR_UNSPEC ? -EIO : 0;
	wl_list_for_each (pending, &t->pending, link) {
		if (pending->cookie != cookie) {
			continue;
		}
		if (pending->context == NULL) {
			wl_list_remove(&pending->link);
			free(pending);
			if (err < 0 || handle_capset(t, bytes, len) < 0) {
				lose(t, "the host has no cross-domain capset");
			}
			return;
		}
		if (err == 0 && pending->resource != NULL) {
			err = n_fds == 1 ? map_resource(pending->resource, &fds[0].fd) : -EPROTO;
		}
		pending_finish(pending, err);
		return;
	}
	bool told = cookie & COOKIE_TOLD_ELSEWHERE;
	struct socket_context *context = err < 0 && !told ? find_context(t, hdr.ctx_id) : NULL;
	if (context != NULL) {
		context_fail(context, "the host refused a command");
	}
}

static void handle_packet(struct socket_transport *t, size_t len, struct br_handle *fds,
			  size_t n_fds)
{
	struct sk_packet head;
	struct socket_context *context;
	if (len < sizeof(head)) {
		lose(t, "the host sent a short packet");
		return;
	}
	memcpy(&head, t->packet, sizeof(head));
	const uint8_t *bytes = t->packet + sizeof(head);
	len -= sizeof(head);
	switch (head.type) {
	case SK_RESPONSE:
		handle_response(t, head.cookie, bytes, len, fds, n_fds);
		break;
	case SK_PUSH:
		/* One for a context that has just been destroyed is not an error. */
		context = find_context(t, head.ctx_id);
		if (context != NULL && !context->lost) {
			context->events->push(context->data, bytes, len, fds, n_fds);
		}
		break;
	default:
		lose(t, "the host sent a packet of an unknown type");
	}
}

/* Returns false when there is probably nothing more to read. */
static bool receive_packet(struct socket_transport *t)
{
	int fds[SK_MAX_FDS];
	size_t n_fds;
	int n = br_packet_receive(t->socket_fd, t->packet, SK_MAX_PACKET_BYTES, fds, &n_fds);
	if (n == -EAGAIN) {
		return false;
	}
	if (n <= 0) {
		lose(t, n == 0 || n == -ECONNRESET ? "causeway-host closed the connection"
						   : strerror(-n));
		return false;
	}
	struct br_handle handles[SK_MAX_FDS];
	for (size_t i = 0; i < n_fds; i++) {
		handles[i] = (struct br_handle){.fd = fds[i]};
	}
	handle_packet(t, (size_t)n, handles, n_fds);
	for (size_t i = 0; i < n_fds; i++) {
		br_fd_clear(&handles[i].fd);
	}
	return n >= BURST_BYTES;
}

static int handle_socket(int fd, uint32_t mask, void *data)
{
	struct socket_transport *t = data;
	(void)fd;
	if (mask & WL_EVENT_WRITABLE) {
		flush(t);
	}
	if (mask & (WL_EVENT_READABLE | WL_EVENT_HANGUP | WL_EVENT_ERROR)) {
		for (int i = 0; i < PACKETS_PER_WAKEUP && !t->lost && receive_packet(t); i++) {
		}
	}
	return 0;
}

/* --- contexts --- */

static int socket_context_create(struct gp_transport *base, const char *name,
				 const struct gp_context_events *events, void *data,
				 struct gp_context **ret_context)
{
	struct socket_transport *t = from_base(base);
	struct virtio_gpu_ctx_create create = {
		.hdr.type = VIRTIO_GPU_CMD_CTX_CREATE,
		.context_init = XD_CAPSET_ID,
	};
	if (t->lost) {
		return -ENOTCONN;
	}
	struct socket_context *context = calloc(1, sizeof(*context));
	if (context == NULL) {
		return -ENOMEM;
	}
	*context = (struct socket_context){.base.ops = t->base.ops,
					   .transport = t,
					   .id = ++t->next_context,
					   .events = events,
					   .data = data};
	create.hdr.ctx_id = context->id;
	snprintf(create.debug_name, sizeof(create.debug_name), "%s", name);
	create.nlen = (uint32_t)strlen(create.debug_name);
	int ret = request(t, 0, NULL, &create, sizeof(create), NULL, 0);
	if (ret < 0) {
		free(context);
		return ret;
	}
	wl_list_insert(t->contexts.prev, &context->link);
	*ret_context = &context->base;
	if (t->base.ready && t->ready_idle == NULL) {
		t->ready_idle = wl_event_loop_add_idle(t->base.loop, handle_ready_idle, t);
	}
	return 0;
}

static void socket_context_destroy(struct gp_context *base)
{
	struct socket_context *context = (struct socket_context *)base;
	struct socket_transport *t = context->transport;
	struct pending *pending;
	const struct virtio_gpu_ctx_destroy destroy = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_DESTROY, .ctx_id = context->id},
	};
	context->lost = true;
again:
	wl_list_for_each (pending, &t->pending, link) {
		/* What is finished is in the list no more. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		if (pending->context == context) {
			pending_finish(pending, -ECANCELED);
			goto again;
		}
	}
	(void)request(t, 0, NULL, &destroy, sizeof(destroy), NULL, 0);
	wl_list_remove(&context->link);
	free(context);
}

static int socket_submit(struct gp_context *base, const struct gp_submit *submit)
{
	struct socket_context *context = (struct socket_context *)base;
	struct socket_transport *t = context->transport;
	struct pending *pending = NULL;
	struct sk_packet head = {.type = SK_REQUEST, .cookie = ++t->next_cookie};
	struct virtio_gpu_cmd_submit command = {
		.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D, .ctx_id = context->id},
	};
	struct iovec iov[MAX_IOVS] = {
		{.iov_base = &head, .iov_len = sizeof(head)},
		{.iov_base = &command, .iov_len = sizeof(command)},
	};
	int fds[SK_MAX_FDS];
	if (submit->n_iov > MAX_IOVS - 2 || submit->n_fds > SK_MAX_FDS) {
		return -EINVAL;
	}
	for (size_t i = 0; i < submit->n_iov; i++) {
		iov[2 + i] = submit->iov[i];
		command.size += (uint32_t)submit->iov[i].iov_len;
	}
	for (size_t i = 0; i < submit->n_fds; i++) {
		fds[i] = submit->fds[i].fd;
	}
	if (submit->done != NULL) {
		command.hdr.flags = VIRTIO_GPU_FLAG_FENCE;
		command.hdr.fence_id = head.cookie;
		if (submit->ring_idx >= 0) {
			command.hdr.flags |= VIRTIO_GPU_FLAG_INFO_RING_IDX;
			command.hdr.ring_idx = (uint8_t)submit->ring_idx;
		}
		pending = calloc(1, sizeof(*pending));
		if (pending == NULL) {
			return -ENOMEM;
		}
		pending->cookie = head.cookie;
		pending->context = context;
		pending->fence = submit->done;
		pending->data = submit->data;
	}
	int ret = transmit(t, iov, 2 + submit->n_iov, fds, submit->n_fds);
	if (ret < 0) {
		free(pending);
	} else if (pending != NULL) {
		wl_list_insert(t->pending.prev, &pending->link);
	}
	return ret;
}

/* --- resources --- */

static struct gp_resource *resource_new(struct socket_context *context, uint64_t size)
{
	struct gp_resource *resource = calloc(1, sizeof(*resource));
	if (resource != NULL) {
		*resource = (struct gp_resource){
			.context = &context->base,
			.id = ++context->transport->next_resource,
			.size = size,
			.fd = -1,
		};
	}
	return resource;
}

static int send_create(struct gp_resource *resource, uint32_t blob_mem, uint64_t blob_id,
		       const int *fds, size_t n_fds)
{
	struct socket_context *context = (struct socket_context *)resource->context;
	struct socket_transport *t = context->transport;
	const struct virtio_gpu_resource_create_blob create = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, .ctx_id = context->id},
		.resource_id = resource->id,
		.blob_mem = blob_mem,
		.blob_flags =
			VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE |
			(blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D ? VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE
								: 0),
		.blob_id = blob_id,
		.size = resource->size,
	};
	const struct virtio_gpu_ctx_resource attach = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, .ctx_id = context->id},
		.resource_id = resource->id,
	};
	/* Mapping memory that is not there fails as well, and is answered. */
	uint64_t flags = blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D ? COOKIE_TOLD_ELSEWHERE : 0;
	int ret = request(t, flags, NULL, &create, sizeof(create), fds, n_fds);
	return ret < 0 ? ret : request(t, flags, NULL, &attach, sizeof(attach), NULL, 0);
}

static void free_memory(struct gp_resource *resource)
{
	if (resource->map != NULL) {
		(void)munmap(resource->map, resource->size);
	}
	br_fd_clear(&resource->fd);
	free(resource);
}

/* New memory of our own, mapped. */
static int allocate(struct gp_resource *resource)
{
	resource->fd = memfd_create("causeway-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (resource->fd < 0 || ftruncate(resource->fd, (off_t)resource->size) < 0) {
		return -errno;
	}
	void *map = mmap(NULL, resource->size, PROT_READ | PROT_WRITE, MAP_SHARED, resource->fd, 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	resource->map = map;
	return 0;
}

static int socket_create_guest(struct gp_context *base, int fd, uint64_t size,
			       struct gp_resource **ret_resource)
{
	struct socket_context *context = (struct socket_context *)base;
	struct gp_resource *resource = resource_new(context, size);
	if (resource == NULL) {
		return -ENOMEM;
	}
	int ret = fd < 0 ? allocate(resource) : 0;
	if (ret == 0) {
		ret = send_create(resource, VIRTIO_GPU_BLOB_MEM_GUEST, 0,
				  fd < 0 ? &resource->fd : &fd, 1);
	}
	if (ret < 0) {
		free_memory(resource);
		return ret;
	}
	*ret_resource = resource;
	return 0;
}

/* Both kinds are the same here: the fd is the compositor's, and mapped. */
static int socket_create_host(struct gp_context *base, uint32_t blob_id, uint64_t size,
			      enum gp_host_memory kind, gp_resource_fn done, void *data)
{
	(void)kind;
	struct socket_context *context = (struct socket_context *)base;
	struct gp_resource *resource = resource_new(context, size);
	if (resource == NULL) {
		return -ENOMEM;
	}
	const struct virtio_gpu_resource_map_blob map = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, .ctx_id = context->id},
		.resource_id = resource->id,
	};
	const struct pending wanted = {
		.context = context, .created = done, .resource = resource, .data = data};
	int ret = send_create(resource, VIRTIO_GPU_BLOB_MEM_HOST3D, blob_id, NULL, 0);
	if (ret == 0) {
		ret = request(context->transport, 0, &wanted, &map, sizeof(map), NULL, 0);
	}
	if (ret < 0) {
		free_memory(resource);
	}
	/* The answer finds it by wanted. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	return ret;
}

static void socket_resource_destroy(struct gp_resource *resource)
{
	const struct virtio_gpu_resource_unref unref = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNREF,
		.resource_id = resource->id,
	};
	struct socket_context *context = (struct socket_context *)resource->context;
	(void)request(context->transport, 0, NULL, &unref, sizeof(unref), NULL, 0);
	free_memory(resource);
}

/* --- the transport --- */

static void socket_destroy(struct gp_transport *base)
{
	struct socket_transport *t = from_base(base);
	struct pending *pending, *tmp;
	br_outbox_clear(&t->out);
	wl_list_for_each_safe (pending, tmp, &t->pending, link) {
		wl_list_remove(&pending->link);
		free(pending);
	}
	gp_deadline_stop(&t->handshake);
	if (t->source != NULL) {
		wl_event_source_remove(t->source);
	}
	if (t->ready_idle != NULL) {
		wl_event_source_remove(t->ready_idle);
	}
	br_fd_clear(&t->socket_fd);
	free(t->packet);
	free(t);
}

static const struct gp_transport_ops socket_ops = {
	.context_create = socket_context_create,
	.context_destroy = socket_context_destroy,
	.submit = socket_submit,
	.create_guest = socket_create_guest,
	.create_host = socket_create_host,
	.resource_destroy = socket_resource_destroy,
	.destroy = socket_destroy,
};

/* A stopped process still accepts connections. */
static void handle_no_answer(void *data)
{
	lose(data, "causeway-host accepts connections, but " GP_NO_ANSWER);
}

static int start(struct socket_transport *t, const char *path)
{
	const struct virtio_gpu_get_capset get = {
		.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET,
		.capset_id = XD_CAPSET_ID,
		.capset_version = XD_CAPSET_VERSION,
	};
	const struct pending wanted = {.context = NULL};
	t->packet = malloc(SK_MAX_PACKET_BYTES);
	if (t->packet == NULL) {
		return -ENOMEM;
	}
	t->socket_fd = br_sock_connect(path, SOCK_SEQPACKET);
	if (t->socket_fd < 0) {
		return t->socket_fd;
	}
	t->mask = WL_EVENT_READABLE;
	t->source = wl_event_loop_add_fd(t->base.loop, t->socket_fd, t->mask, handle_socket, t);
	if (t->source == NULL) {
		return -ENOMEM;
	}
	int ret = gp_deadline_start(&t->handshake, t->base.loop, handle_no_answer, t);
	return ret < 0 ? ret : request(t, 0, &wanted, &get, sizeof(get), NULL, 0);
}

int gp_transport_socket_create(struct wl_event_loop *loop, const char *path,
			       const struct gp_transport_options *options,
			       struct gp_transport **ret_transport)
{
	struct socket_transport *t = calloc(1, sizeof(*t));
	if (t == NULL) {
		return -ENOMEM;
	}
	t->base.ops = &socket_ops;
	t->base.caps.rings = XD_NUM_RINGS; /* each fence ends on its own */
	t->options = *options;
	t->base.loop = loop;
	t->socket_fd = -1;
	wl_list_init(&t->contexts);
	wl_list_init(&t->pending);
	br_outbox_init(&t->out, loop, MAX_QUEUED_BYTES, flush, t);
	int ret = start(t, path);
	if (ret < 0) {
		socket_destroy(&t->base);
		return ret;
	}
	*ret_transport = &t->base;
	return 0;
}
