/* SPDX-License-Identifier: MIT
 *
 * What every kind of virtio-gpu context has in common. A kind (capset) is a constant struct
 * hr_capset; the device makes contexts of it and hands them their commands.
 */
#ifndef HR_GPU_CONTEXT_H
#define HR_GPU_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wayland-util.h>

struct hr_context;
struct hr_device;
struct hr_request;
struct hr_resource;

/** A SUBMIT_3D. Lives on the stack of the control handler. */
struct hr_submit {
	const uint8_t *bytes; /* commands, in the front end's buffer; not guest memory */
	size_t len;
	int *fds; /* n_fds of them; those taken become -1, the rest is closed by the front end */
	size_t n_fds;
	const struct hr_request *request;
	bool fenced;	  /* the guest wants to know when it is done */
	bool on_ring;	  /* ring_idx counts */
	uint8_t ring_idx; /* any value */
	bool held;	  /* set by hr_fence_hold(): the context completes it later */
};

/** Memory of the host for a blob. */
struct hr_memory {
	int fd;		   /* owned; starts at offset 0; -1 if fresh */
	bool fresh;	   /* new memory, which is made when it is needed */
	bool gpu;	   /* a worker's, which hr_render_create_blob() tells of it */
	uint32_t map_info; /* VIRTIO_GPU_MAP_CACHE_* */
};

/** What a kind of context can do. All return 0 or -errno, never block, and do not keep pointers. */
struct hr_context_ops {
	/* Ends all that the context has, completing the fences which it holds, and frees it. */
	void (*destroy)(struct hr_context *context);
	/* Run commands. An error becomes the response of the submit. */
	int (*submit)(struct hr_context *context, struct hr_submit *submit);
	/* Find the memory of a blob id; ret_memory->fd is the caller's. -ENOENT: no such id; -EINVAL:
	 * the size is not that of the id. */
	int (*create_blob)(struct hr_context *context, uint64_t blob_id, uint64_t size,
			   struct hr_memory *ret_memory);
	/* The front end can take pushed packets again. */
	void (*resume)(struct hr_context *context);
};

/** The base of every context; the kind's struct starts with it. */
struct hr_context {
	const struct hr_context_ops *ops;
	struct hr_device *device;
	uint32_t id;		    /* chosen by the guest; not 0 */
	struct wl_list link;	    /* hr_device.contexts */
	struct wl_list attachments; /* hr_attachment.context_link */
	uint32_t n_attachments;
	struct wl_list made; /* hr_resource.made_link */
	uint32_t n_mapped;   /* of those */
};

/** A kind of context. */
struct hr_capset {
	uint32_t id;
	uint32_t max_version;
	uint32_t size; /* bytes of the capability set, at most HR_MAX_CAPSET_BYTES */
	void (*fill)(const struct hr_capset *capset, const struct hr_device *device,
		     void *ret_capset);
	/* Make a context and fill ops of *ret_context in; the device does the rest of the base. name: what
	 * the guest calls it. */
	int (*create)(const struct hr_capset *capset, struct hr_device *device, uint32_t id,
		      const char *name, struct hr_context **ret_context);
};

#define HR_MAX_CAPSETS 8 /* of one device */
#define HR_MAX_CAPSET_BYTES 4096

#endif
