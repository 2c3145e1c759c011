/* SPDX-License-Identifier: MIT
 *
 * The way from the guest to a virtio-gpu device: contexts, resources, commands, fences. Knows nothing
 * of Wayland or of the cross-domain channel. Backends: the socket (transport_socket.c), and the
 * render node of a virtio-gpu (transport_virtgpu.c).
 */
#ifndef GP_TRANSPORT_H
#define GP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "stream.h"

struct gp_options;
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
	uint32_t
		rings; /* that commands may be fenced on; a fence may end with a later one of its ring */
	uint64_t render_node; /* number of the device whose dma-bufs can be imported; 0: none */
	bool timelines;	      /* programs' timelines can be waited for */
};

/** What memory of the host is for. */
enum gp_host_memory {
	GP_HOST_IMAGE, /* to be written by the guest: mapped, no fd */
	GP_HOST_ITEM,  /* a file of the compositor, to be read: an fd of it, or of a copy */
};

/** Rows of bytes in a resource. */
struct gp_rows {
	uint32_t offset; /* of the first byte */
	uint32_t stride; /* from one row to the next; at least bytes, if count is more than 1 */
	uint32_t bytes;	 /* in each row */
	uint32_t count;
};

/** Memory that the device knows by an id. Owned by who created it; gp_resource_destroy(). */
struct gp_resource {
	struct gp_context *context; /* that it is attached to */
	uint32_t id;
	uint64_t size;	     /* bytes */
	int fd;		     /* of the memory, owned; -1 if there is none */
	uint8_t *map;	     /* size bytes; NULL if not mapped */
	bool needs_transfer; /* the host sees what is in map only after gp_resource_transfer() */
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
			   enum gp_host_memory kind, gp_resource_fn done, void *data);
	/* NULL if caps.render_node is 0. */
	int (*import)(struct gp_context *context, int fd, struct gp_resource **ret_resource);
	/* NULL if there is no caps.timelines. handle: *ret_handle of an import. */
	int (*timeline_import)(struct gp_context *context, int fd, uint32_t *ret_handle);
	void (*timeline_destroy)(struct gp_context *context, uint32_t handle);
	int (*timeline_wait)(struct gp_context *context, uint32_t handle, uint64_t point,
			     int event_fd);
	int (*timeline_signal)(struct gp_context *context, uint32_t handle, uint64_t point);
	int (*resource_transfer)(struct gp_resource *resource, const struct gp_rows *rows);
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

/** Use the virtio-gpu whose render node is at path, or NULL: the one that fits best. *ret_transport is the
 * caller's. Returns 0; -ENODEV, -EACCES with *ret_advice, a line on what is wrong (constant); else
 * -errno with NULL there. */
int gp_transport_virtgpu_create(struct wl_event_loop *loop, const char *path,
				const struct gp_transport_options *options,
				struct gp_transport **ret_transport, const char **ret_advice);

/** What is wrong with the virtio-gpu at path, or with the best of all if NULL: a line on it and how to
 * mend it (constant); NULL if it can be used. *ret_path, of at least 64 bytes: of the node, or empty. */
const char *gp_transport_virtgpu_probe(const char *path, char *ret_path);

/** The kinds of context that the virtio-gpu at path has, or the best of all if NULL: a mask of 1 <<
 * VIRTIO_GPU_CAPSET_*; 0 if it can't be used. */
uint32_t gp_transport_virtgpu_capsets(const char *path);

/** Go the way that the program's options name. As the two above; *ret_advice may be NULL on failure. */
int gp_transport_create(struct wl_event_loop *loop, const struct gp_options *program,
			const struct gp_transport_options *options,
			struct gp_transport **ret_transport, const char **ret_advice);

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

/** Get memory of the host by its blob id. done is called unless this fails, never before it returns. */
static inline int gp_resource_create_host(struct gp_context *context, uint32_t blob_id,
					  uint64_t size, enum gp_host_memory kind,
					  gp_resource_fn done, void *data)
{
	return context->ops->create_host(context, blob_id, size, kind, done, data);
}

/** Find the resource behind a dma-buf (borrowed) of caps.render_node, and attach it to the context; it
 * is not mapped. Several may name the same one. Returns 0; -ENODEV the memory is of another device, or
 * none that the host sees; else -errno. */
static inline int gp_resource_import(struct gp_context *context, int fd,
				     struct gp_resource **ret_resource)
{
	return context->ops->import(context, fd, ret_resource);
}

/** Let the host see rows that were written; only for a resource that needs it. Commands submitted later
 * come later. Returns 0 or -errno. */
static inline int gp_resource_transfer(struct gp_resource *resource, const struct gp_rows *rows)
{
	return resource->context->ops->resource_transfer(resource, rows);
}

/** Unmap, and let the device forget it. NULL is fine. */
static inline void gp_resource_destroy(struct gp_resource *resource)
{
	if (resource != NULL) {
		resource->context->ops->resource_destroy(resource);
	}
}

#endif
