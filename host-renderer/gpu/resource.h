/* SPDX-License-Identifier: MIT
 *
 * Resources. Their bytes are in a file of the host, in guest pages, or in both. A resource's id lives
 * until RESOURCE_UNREF, its memory until the last reference. Files that a guest may shrink are never
 * mapped: what must be written to them is written through the fd, so that such a guest gets an error
 * and we no SIGBUS.
 */
#ifndef HR_GPU_RESOURCE_H
#define HR_GPU_RESOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <wayland-util.h>

#include "pages.h"

struct hr_context;
struct hr_device;
struct hr_memory;

/** Whose the memory is. */
enum hr_gpu_state {
	HR_GPU_NONE,	/* ours */
	HR_GPU_PRIVATE, /* the worker's */
	HR_GPU_ASKED,	/* the worker's, who was asked for it */
	HR_GPU_SHARED,	/* the worker's, and memory_fd */
	HR_GPU_FAILED,	/* it can't be had */
};

/** How an image of VirGL's lies in its memory. */
struct hr_layout {
	uint32_t n_planes; /* 0: not known, or no image */
	uint32_t fourcc;
	uint32_t strides[4], offsets[4]; /* bytes */
	uint64_t modifier;
};

/** A resource. */
struct hr_resource {
	struct wl_list link; /* hr_device.resources; self-linked once the id is gone */
	struct hr_device *device;
	uint32_t id;
	uint32_t refs;
	uint32_t
		blob_mem; /* VIRTIO_GPU_BLOB_MEM_*; 0: a 2D resource, of which only pages are kept */
	uint32_t blob_flags; /* VIRTIO_GPU_BLOB_FLAG_* */
	uint32_t map_info;
	uint64_t size;	  /* bytes */
	uint64_t charged; /* bytes counted in hr_device.host_bytes */
	/* The host's file. */
	int memory_fd;		/* -1: none, or none yet; see hr_resource_need_memory() */
	uint64_t memory_offset; /* of the first byte in memory_fd */
	bool fresh;		/* new memory is made for it when it is needed */
	bool in_window;		/* memory_fd is the front end's window, not owned */
	uint64_t window_offset; /* the front end's, while mapped */
	struct hr_pages pages;	/* the guest's; may be none */
	uint32_t width, height; /* pixels; of 2D resources */
	bool mapped;		/* see hr_resource_set_mapped() */
	bool has_uuid;
	uint8_t uuid[16];
	struct hr_context *maker;   /* NULL: none, or it is gone */
	struct wl_list made_link;   /* hr_context.made */
	struct wl_list attachments; /* hr_attachment.resource_link */
	/* Of the GPU's, see render.h. */
	enum hr_gpu_state gpu;
	bool dmabuf;		 /* memory_fd is a dma-buf */
	struct hr_layout layout; /* once it is HR_GPU_SHARED */
	struct wl_list knowers;	 /* the workers that know it */
};

/** A resource that a context may use. */
struct hr_attachment {
	struct wl_list context_link;  /* hr_context.attachments */
	struct wl_list resource_link; /* hr_resource.attachments */
	struct hr_context *context;
	struct hr_resource *resource;
};

/** Add a resource with one reference, the device's; the id must be free. Takes *memory; its fd may be
 * -1. Returns it, or NULL if memory is out (the fd stays the caller's). */
struct hr_resource *hr_resource_create_take(struct hr_device *device, uint32_t id, uint64_t size,
					    struct hr_memory *memory);

/** See to it that memory_fd is there. Returns 0; -ENXIO the resource has only guest pages, or none;
 * else -errno. */
int hr_resource_need_memory(struct hr_resource *resource);

/** Say by which context it was made, once. */
void hr_resource_set_maker(struct hr_resource *resource, struct hr_context *context);

/** Let the resources of a context that goes away be nobody's. */
void hr_resource_orphan_all(struct hr_context *context);

/** Say that the guest sees it in the front end's window, or no longer; its maker's count follows. */
void hr_resource_set_mapped(struct hr_resource *resource, bool mapped);

/** Find by id. NULL if there is none. */
struct hr_resource *hr_resource_find(struct hr_device *device, uint32_t id);

/** Find a resource that is attached to a context. NULL if there is none. */
struct hr_resource *hr_resource_find_attached(struct hr_context *context, uint32_t id);

/** Detach from all contexts, free the id, and drop the device's reference. */
void hr_resource_remove(struct hr_resource *resource);

struct hr_resource *hr_resource_ref(struct hr_resource *resource);
/** Drop a reference; the last closes the memory. NULL is fine. Returns NULL. */
struct hr_resource *hr_resource_unref(struct hr_resource *resource);

/** Attach to a context; once more is fine. Returns 0, -ENOSPC, -ENOMEM. */
int hr_resource_attach(struct hr_resource *resource, struct hr_context *context);

/** Detach. Returns 0, -ENOENT if it was not attached. */
int hr_resource_detach(struct hr_resource *resource, struct hr_context *context);

/** Detach all resources of a context that goes away. */
void hr_resource_detach_all(struct hr_context *context);

/** Write to the guest's memory, from offset on. Returns 0; -ENOSPC if it does not fit; else -errno. */
int hr_resource_write(struct hr_resource *resource, uint32_t offset, const struct iovec *iov,
		      size_t n_iov);

/** Make zeroed, sealed memory of a fixed size. Returns the fd, owned by the caller, or -errno.
 * Source: memfd_create(2), F_ADD_SEALS. */
int hr_memory_create(uint64_t size);

/** See to it that memory of somebody else's has size bytes, and keeps them: the VMM maps it, and so do we with
 * the guest's memory. fd: borrowed. Returns 0; -EPERM it may become shorter; -EINVAL it is shorter. */
int hr_memory_seal(int fd, uint64_t size);

#endif
