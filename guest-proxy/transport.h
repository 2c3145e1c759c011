/* SPDX-License-Identifier: MIT
 *
 * The way from the guest to a virtio-gpu device: contexts, resources, commands, fences. Knows nothing
 * of Wayland or of the cross-domain channel. Backends: the socket (transport_socket.c); the render
 * node of a real virtio-gpu fits under the same operations.
 */
#ifndef GP_TRANSPORT_H
#define GP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "stream.h"

struct gp_transport;
struct gp_transport_ops;
struct wl_event_loop;

/** What a user of a transport wants. */
struct gp_transport_options {
	uint32_t extensions; /* mask of enum xd_ext that may be used; ~0 for all */
	/* The connection is gone for good; its contexts were told first. May be NULL. */
	void (*lost)(void *data, const char *reason);
	void *data;
};

/** What the device offers; valid once the transport is ready. */
struct gp_transport_caps {
	bool causeway;		/* the host is ours */
	uint32_t extensions;	/* enum xd_ext: offered, and not forbidden by the options */
	uint32_t max_cmd_bytes; /* of one cross-domain command */
	uint32_t channels;	/* 1 << enum xd_channel_type */
};

/** Memory that the device knows by an id. Owned by who created it; gp_resource_destroy(). */
struct gp_resource {
	struct gp_context *context; /* that it is attached to */
	uint32_t id;
	uint64_t size; /* bytes */
	int fd;	       /* of the memory, owned; -1 if there is none */
	uint8_t *map;  /* size bytes; NULL if not mapped */
};

/** A virtio-gpu context; backends' contexts begin with one. */
struct gp_context {
	const struct gp_transport_ops *ops;
};

/** What a context hears. Callbacks may destroy the context. */
struct gp_context_events {
	/* The device's capabilities are known: gp_transport_caps() may be read, commands be sent. */
	void (*ready)(void *data);
	/* A packet pushed by the host; bytes and fds are borrowed but for fds taken (set to -1). */
	void (*push)(void *data, const uint8_t *bytes, size_t len, struct br_handle *fds,
		     size_t n_fds);
	/* The device refused a command, or is gone: nothing works any more. */
	void (*lost)(void *data, const char *reason);
};

/** End of a fenced command: err is 0 or -errno (-ECANCELED if the context was destroyed first). */
typedef void (*gp_fence_fn)(void *data, int err);
/** End of a creation: err 0 and a resource (the receiver's), or -errno and NULL. */
typedef void (*gp_resource_fn)(void *data, int err, struct gp_resource *resource);

/** A command for SUBMIT_3D. */
struct gp_submit {
	const struct iovec *iov; /* borrowed */
	size_t n_iov;
	struct br_handle *fds; /* borrowed: XD_ITEM_FD items, in order */
	size_t n_fds;
	int ring_idx;	  /* of the fence; -1: the context has no rings for it */
	gp_fence_fn done; /* NULL: no fence */
	void *data;
};

/** What a backend provides. Nothing blocks; results are 0 or -errno. */
struct gp_transport_ops {
	int (*context_create)(struct gp_transport *transport, const char *name,
			      const struct gp_context_events *events, void *data,
			      struct gp_context **ret_context);
	void (*context_destroy)(struct gp_context *context);
	int (*submit)(struct gp_context *context, const struct gp_submit *submit);
	int (*create_guest)(struct gp_context *context, int fd, uint64_t size,
			    struct gp_resource **ret_resource);
	int (*create_host)(struct gp_context *context, uint32_t blob_id, uint64_t size,
			   gp_resource_fn done, void *data);
	void (*resource_destroy)(struct gp_resource *resource);
	void (*destroy)(struct gp_transport *transport);
};

/** A transport; backends begin with one. */
struct gp_transport {
	const struct gp_transport_ops *ops;
	struct wl_event_loop *loop; /* borrowed */
	struct gp_transport_caps caps;
	bool ready;
};

/** Connect to the socket of causeway-host. *ret_transport is the caller's. It becomes ready later.
 * Returns 0; -ENOENT, -ECONNREFUSED nobody listens; else -errno. */
int gp_transport_socket_create(struct wl_event_loop *loop, const char *path,
			       const struct gp_transport_options *options,
			       struct gp_transport **ret_transport);

/** Disconnect and free. All contexts must be destroyed before. NULL is fine. */
void gp_transport_destroy(struct gp_transport *transport);

/** Make a context for capset 5 with the channel's rings. *ret_context is the caller's. Commands may
 * be sent after events->ready, which comes later, never out of this call.
 * Returns 0; -ENOTCONN; -ENOMEM. */
static inline int gp_context_create(struct gp_transport *transport, const char *name,
				    const struct gp_context_events *events, void *data,
				    struct gp_context **ret_context)
{
	return transport->ops->context_create(transport, name, events, data, ret_context);
}

/** Destroy a context; its unfinished fences and creations are canceled (and say so). Its resources
 * must be destroyed before. NULL is fine. */
static inline void gp_context_destroy(struct gp_context *context)
{
	if (context != NULL) {
		context->ops->context_destroy(context);
	}
}

/** Submit a command. The fds are sent, not taken. Returns 0; -ENOTCONN; -ENOBUFS; -ENOMEM. */
static inline int gp_context_submit(struct gp_context *context, const struct gp_submit *submit)
{
	return context->ops->submit(context, submit);
}

/** Make memory of ours known to the device, attached to a context: fd (borrowed) of at least size
 * bytes, or -1 for new memory, which is mapped. */
static inline int gp_resource_create_guest(struct gp_context *context, int fd, uint64_t size,
					   struct gp_resource **ret_resource)
{
	return context->ops->create_guest(context, fd, size, ret_resource);
}

/** Get memory of the host by its blob id, mapped (read-only if the host's is). done is called unless
 * this fails, never before it returns. */
static inline int gp_resource_create_host(struct gp_context *context, uint32_t blob_id,
					  uint64_t size, gp_resource_fn done, void *data)
{
	return context->ops->create_host(context, blob_id, size, done, data);
}

/** Unmap, and let the device forget it. NULL is fine. */
static inline void gp_resource_destroy(struct gp_resource *resource)
{
	if (resource != NULL) {
		resource->context->ops->resource_destroy(resource);
	}
}

#endif
