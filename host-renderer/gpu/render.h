/* SPDX-License-Identifier: MIT
 *
 * GPU contexts (capsets of Venus, VirGL and the native contexts): what they are told goes to a worker.
 * VirGL and Venus of a device share one, so that they can share images; each native context has one of its
 * own. A worker that ends takes its contexts along; the next context gets a new worker.
 */
#ifndef HR_GPU_RENDER_H
#define HR_GPU_RENDER_H

#include <linux/virtio_gpu.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hr_ask;
struct hr_capset;
struct hr_context;
struct hr_device;
struct hr_gpu;
struct hr_request;
struct hr_resource;

/** Make a capset of a GPU: bytes (copied), size of them. The caller's. NULL if memory is out. */
const struct hr_capset *hr_render_capset_create(const struct hr_gpu *gpu, uint32_t id,
						uint32_t max_version, const uint8_t *bytes,
						uint32_t size);
/** Free it. */
void hr_render_capset_destroy(const struct hr_capset *capset);

/** A new resource with memory of the GPU: tell the worker of its context. */
void hr_render_create_blob(struct hr_context *context, struct hr_resource *resource,
			   uint64_t blob_id);

/** RESOURCE_CREATE_3D: make a resource of VirGL's. Returns 0; -ENOTSUP there is no VirGL; -ENOMEM. */
int hr_render_create_3d(struct hr_device *device, const struct virtio_gpu_resource_create_3d *cmd);

/** Guest pages were given to a resource. */
void hr_render_attach_backing(struct hr_resource *resource);

/** They are taken back, which is answered when the worker has let go of them. Returns true if the request is
 * held; false: nobody has them. */
bool hr_render_detach_backing(struct hr_resource *resource, const struct hr_request *request);

/** The resource's id ends: tell the workers. Returns as the one above. */
bool hr_render_unref(struct hr_resource *resource, const struct hr_request *request);

/** Copy between guest pages and the worker's resource. Returns 0: the request is held; -ENOSPC. */
int hr_render_transfer(struct hr_context *context, struct hr_resource *resource,
		       const struct hr_request *request,
		       const struct virtio_gpu_transfer_host_3d *cmd);

/** See to it that others can use a resource's memory: after this memory_fd is there, if it can be had at all.
 * Returns true if it has to be waited for: hr_defer_run() will be called. */
bool hr_render_need_memory(struct hr_resource *resource);

/** Attach to, or detach from, a GPU context: its worker gets to know the resource, whose memory must not
 * have to be waited for if it is from elsewhere. No-op for other contexts. */
void hr_render_attach(struct hr_context *context, struct hr_resource *resource);
void hr_render_detach(struct hr_context *context, struct hr_resource *resource);

/** Pixels of a resource, of 4 bytes each, and where in a file they shall go. */
struct hr_read_back {
	uint32_t x, y, w, h; /* pixels */
	int fd;
	uint32_t stride; /* bytes, of the file */
	uint64_t offset; /* bytes, of pixel 0, 0 in the file */
	/* Of a blob, whose pixels must be linear: where they lie. */
	uint32_t image_stride; /* bytes */
	uint64_t image_offset; /* bytes, of pixel 0, 0 */
	/* Of a blob that is not so: how OpenGL imports it; it is drawn as B8G8R8A8. */
	uint32_t n_planes; /* 0: it is linear */
	uint32_t width, height, fourcc;
	uint32_t plane_strides[4], plane_offsets[4]; /* bytes */
	uint64_t modifier;
	/* fd is a dma-buf that is to be drawn to; n_planes is not 0 then, whatever the resource is. */
	uint32_t target_fourcc; /* 0: a file */
	uint64_t target_modifier;
};

/** Let the worker copy pixels. done(data, 0 or -errno) is called later, once, unless it is canceled by
 * hr_render_cancel(*ret_ask). Returns 0; -EIO the worker is gone, or never had the resource; -ENOMEM. */
int hr_render_read_back(struct hr_resource *resource, const struct hr_read_back *read_back,
			void (*done)(void *data, int err), void *data, struct hr_ask **ret_ask);
void hr_render_cancel(struct hr_ask *ask);

/** Let the worker allocate an image that the resource can be drawn to, of read_back->target_fourcc, width by
 * height. Without an error, fd, stride, offset and target_modifier are filled in before done; fd is the caller's.
 * Else as above. */
int hr_render_allocate(struct hr_resource *resource, struct hr_read_back *read_back,
		       void (*done)(void *data, int err), void *data, struct hr_ask **ret_ask);

/** True if attaching needs the resource's memory: it is the GPU's, and this context is of another
 * kind or worker. */
bool hr_render_attach_needs_memory(struct hr_context *context, const struct hr_resource *resource);

/** The guest's memory has moved. */
void hr_render_update_memory(struct hr_device *device);

/** The resource is gone for good. */
void hr_render_forget(struct hr_resource *resource);

/** The device ends: no worker of it is left behind. */
void hr_render_finish(struct hr_device *device);

#endif
