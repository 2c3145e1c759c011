/* SPDX-License-Identifier: MIT
 *
 * A virtio-gpu device without displays, as a library: control requests go in, answers come out
 * through the front end, at once or later. The front end (a socket, a virtqueue) knows how the bytes
 * travel; nothing here does. Loop thread only; nothing blocks.
 */
#ifndef HR_GPU_DEVICE_H
#define HR_GPU_DEVICE_H

#include <linux/virtio_gpu.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <wayland-util.h>

struct hr_capset;
struct hr_context;
struct hr_host;
struct hr_render_worker;
struct hr_request;
struct hr_resource;
struct wk_region;

#define HR_CONTEXT_BUCKETS 256
#define HR_RESOURCE_BUCKETS 1024
#define HR_SCRATCH_BYTES 65536
#define HR_MAX_PUSH_IOVS 3

/** How a device reaches its guest. */
struct hr_frontend_ops {
	/* Answer the request with this cookie. response starts with a virtio_gpu_ctrl_hdr. fd: borrowed,
	 * -1 for none. May be called before hr_device_handle() returns. */
	void (*complete)(void *data, uint64_t cookie, const void *response, size_t len, int fd);
	/* Send a packet of a context (XD_EXT_PUSH); at most HR_MAX_PUSH_IOVS iovs. fds: borrowed.
	 * The packet is always accepted. Returns false if the way is full: the device asks for no more
	 * until hr_device_resume(). NULL if the front end does not offer it. */
	bool (*push)(void *data, uint32_t ctx_id, const struct iovec *iov, size_t n_iov,
		     const int *fds, size_t n_fds);
	/* The guest's memory: where [address, address + len) is mapped here, all of it, until the next
	 * request; or NULL if it is not guest memory. NULL: the guest's memory comes as fds. */
	void *(*guest_memory)(void *data, uint64_t address, uint64_t len);
	/* The guest's memory, for a worker: up to max regions and their fds (borrowed). Returns how many
	 * there are. NULL: workers don't see the guest's memory. */
	uint32_t (*guest_regions)(void *data, struct wk_region *ret_regions, int *ret_fds,
				  uint32_t max);
	/* Show a resource at an offset of the host-visible window: it gets zeroed memory there
	 * (in_window), or its own is shown. Returns 0; -EINPROGRESS: hr_device_mapped() follows;
	 * -EINVAL the offset; -ENOSPC; else -errno. NULL: the answer to RESOURCE_MAP_BLOB carries
	 * the memory's fd instead. */
	int (*map)(void *data, struct hr_resource *resource, uint64_t offset,
		   const struct hr_request *request);
	/* Undo a map; memory in the window is gone. */
	void (*unmap)(void *data, struct hr_resource *resource);
};

/** A front end, and what it offers. */
struct hr_frontend {
	const struct hr_frontend_ops *ops;
	void *data;
	uint32_t extensions; /* enum xd_ext */
};

/** A device. */
struct hr_device {
	struct hr_host *host;
	struct hr_frontend frontend;
	const struct hr_capset *const *capsets;
	uint32_t n_capsets;
	struct wl_list contexts[HR_CONTEXT_BUCKETS];   /* hr_context.link, by id */
	struct wl_list resources[HR_RESOURCE_BUCKETS]; /* hr_resource.link, by id */
	uint32_t n_contexts, n_resources;
	uint32_t next_bucket; /* of contexts, that hr_device_resume() begins with */
	uint32_t n_page_runs; /* of all resources */
	uint64_t host_bytes;  /* of host memory that resources hold */
	/* A front end whose requests wait in places of limited number (a virtqueue) lowers these, so that
	 * no guest program can take all. Channels may each have one POLL waiting; the rest is shared. */
	uint32_t n_channels, max_channels;
	uint32_t n_shared_fences, max_shared_fences;
	struct wl_list ordered;	 /* hr_fence.order_link */
	struct wl_list deferred; /* see defer.h */
	uint32_t n_deferred;
	bool running_deferred;
	struct wl_list workers;		      /* hr_render_worker.link */
	struct hr_render_worker *main_worker; /* NULL: none yet, or not any more */
	bool push_full;	  /* the front end wants no more packets until hr_device_resume() */
	bool paused;	  /* the guest's memory is not to be written until hr_device_resume() */
	uint8_t *scratch; /* HR_SCRATCH_BYTES, for use within one function */
};

/** A control request on its way through the device. */
struct hr_request {
	const uint8_t *bytes; /* the command, in the front end's own memory */
	size_t len;
	int *fds; /* n_fds of them; those taken become -1 */
	size_t n_fds;
	uint64_t cookie; /* the front end's */
	bool cursor;	 /* it came on the cursor queue */
	/* Filled in by hr_device_handle(). */
	struct hr_device *device;
	struct virtio_gpu_ctrl_hdr hdr;
};

/** Make a device with these kinds of context (borrowed, constant). Returns NULL if memory is out. */
struct hr_device *hr_device_create(struct hr_host *host, const struct hr_frontend *frontend,
				   const struct hr_capset *const *capsets, uint32_t n_capsets);

/** Destroy all contexts and resources. Pending fences are answered on the way. NULL is fine. */
void hr_device_destroy(struct hr_device *device);

/** Execute a control request. It is answered through the front end's complete(), maybe later.
 * The fds that it did not take are still the caller's. */
void hr_device_handle(struct hr_device *device, struct hr_request *request);

/** Say that packets may be pushed again. */
void hr_device_resume(struct hr_device *device);

/** Send a packet of a context; see hr_frontend_ops.push. */
void hr_device_push(struct hr_device *device, uint32_t ctx_id, const struct iovec *iov,
		    size_t n_iov, const int *fds, size_t n_fds);

/** Answer a RESOURCE_MAP_BLOB that the front end has seen to: err 0 or -errno. */
void hr_device_mapped(struct hr_device *device, const struct virtio_gpu_ctrl_hdr *request,
		      uint64_t cookie, struct hr_resource *resource, int err);

/** Answer a request with a response of type and nothing else. */
void hr_device_respond(struct hr_device *device, const struct virtio_gpu_ctrl_hdr *request,
		       uint64_t cookie, uint32_t type);

/** Find a context by id. NULL if there is none. */
struct hr_context *hr_device_find_context(struct hr_device *device, uint32_t id);

/** Make a context of a capset. name: the guest's for it. Returns 0; -EEXIST; -ENOSPC limit; else
 * -errno. */
int hr_device_create_context(struct hr_device *device, uint32_t id, const struct hr_capset *capset,
			     const char *name);

/** Destroy a context. */
void hr_device_destroy_context(struct hr_context *context);

#endif
