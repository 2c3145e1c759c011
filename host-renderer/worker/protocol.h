/* SPDX-License-Identifier: MIT
 *
 * What the device process and a GPU worker say to each other, over a SOCK_SEQPACKET pair: one message a
 * packet, fds beside it. Both ends are of one build, so the numbers are the machine's own. The worker obeys
 * in order; of the device it believes everything but what came from the guest: ids, sizes and commands.
 * A request with a seq other than 0 is answered, once, by a WK_DONE (or what its comment says) with the same
 * seq; answers come in the order of the requests. Resource ids are those of the device, and mean the same in
 * every worker.
 */
#ifndef HR_WORKER_PROTOCOL_H
#define HR_WORKER_PROTOCOL_H

#include <stdint.h>

/** The fd at which a worker finds its end of the pair. */
#define WK_FD 3
/** Bytes of a packet, at most; what is larger comes in a file. */
#define WK_MAX_PACKET 65536
#define WK_MAX_FDS 64
#define WK_MAX_CAPSET_BYTES 4096
#define WK_MAX_REGIONS WK_MAX_FDS
#define WK_MAX_PLANES 4
#define WK_TEXT_BYTES 256

/** Kinds of message. */
enum wk_type {
	/* To the worker. */
	WK_INIT = 1, /* wk_init; fd: the render node, if any. Answered by WK_CAPSETs and WK_READY */
	WK_GUEST_MEMORY,       /* wk_guest_memory; an fd a region. Replaces what was there */
	WK_CONTEXT_CREATE,     /* wk_context_create */
	WK_CONTEXT_DESTROY,    /* wk_header */
	WK_CREATE_3D,	       /* wk_create_3d */
	WK_CREATE_BLOB,	       /* wk_create_blob, and entries */
	WK_IMPORT,	       /* wk_import; fd: the memory */
	WK_UNREF,	       /* wk_resource */
	WK_ATTACH,	       /* wk_resource: to the context */
	WK_DETACH,	       /* wk_resource */
	WK_ATTACH_BACKING,     /* wk_attach_backing, and entries */
	WK_DETACH_BACKING,     /* wk_resource */
	WK_TRANSFER_TO_HOST,   /* wk_transfer */
	WK_TRANSFER_FROM_HOST, /* wk_transfer */
	WK_SUBMIT,	       /* wk_submit, and the commands, or fd: a file with them */
	WK_FENCE,	       /* wk_fence; answered by WK_FENCE_DONE, when that may be */
	WK_EXPORT,	       /* wk_resource; answered by WK_EXPORTED */
	WK_READ_BACK,	       /* wk_read_back; fd: the file to write to, or the image to draw to */
	WK_ALLOCATE, /* wk_read_back, without a part: an image for its copy. Answered by WK_EXPORTED */

	/* From the worker. */
	WK_CAPSET = 64, /* wk_capset, and its bytes */
	WK_READY,	/* wk_ready */
	WK_DONE,	/* wk_done */
	WK_EXPORTED,	/* wk_exported; fd: the memory, unless err */
	WK_FENCE_DONE,	/* wk_fence */
	WK_LOG,		/* wk_log: a line for the device's log */
};

/** The start of every message. */
struct wk_header {
	uint32_t type; /* enum wk_type */
	uint32_t seq;
	uint32_t ctx_id; /* the context that it is about; else 0 */
};

/** What a worker may serve. */
enum wk_flags { WK_VENUS = 1, WK_VIRGL = 2, WK_DRM = 4 };
#define WK_N_KINDS 3

struct wk_init {
	struct wk_header hdr;
	uint32_t flags; /* enum wk_flags: to be tried */
};

/** Where guest memory is: [address, address + bytes) is at offset of the fd. */
struct wk_region {
	uint64_t address, bytes, offset;
};

struct wk_guest_memory {
	struct wk_header hdr;
	uint32_t n_regions; /* wk_region, behind this; at most WK_MAX_REGIONS */
};

struct wk_context_create {
	struct wk_header hdr;
	uint32_t capset_id; /* VIRTIO_GPU_CAPSET_* */
	char name[64];	    /* ends with a NUL */
};

struct wk_resource {
	struct wk_header hdr;
	uint32_t resource_id;
};

/** As virtio_gpu_resource_create_3d. */
struct wk_create_3d {
	struct wk_header hdr;
	uint32_t resource_id, target, format, bind;
	uint32_t width, height, depth, array_size, last_level, nr_samples, flags;
};

/** Guest memory without a gap, in a wk_region. */
struct wk_entry {
	uint64_t address, bytes;
};

struct wk_create_blob {
	struct wk_header hdr;
	uint32_t resource_id;
	uint32_t blob_mem, blob_flags; /* VIRTIO_GPU_BLOB_* */
	uint32_t n_entries;	       /* behind this; or, if there is an fd, in that file */
	uint64_t blob_id, size;
};

/** Memory of another context or worker becomes known under its id. */
struct wk_import {
	struct wk_header hdr;
	uint32_t resource_id;
	uint32_t kind; /* enum wk_memory */
	uint64_t size;
};

struct wk_attach_backing {
	struct wk_header hdr;
	uint32_t resource_id;
	uint32_t n_entries; /* as in wk_create_blob */
};

/** As virtio_gpu_transfer_host_3d. */
struct wk_transfer {
	struct wk_header hdr;
	uint32_t resource_id, level, stride, layer_stride;
	uint32_t x, y, z, w, h, d;
	uint64_t offset;
};

struct wk_submit {
	struct wk_header hdr;
	uint32_t size; /* bytes: a multiple of 4 */
};

/** A fence behind all that was submitted to the ring; the id is the device's, unique in this worker. */
struct wk_fence {
	struct wk_header hdr;
	uint32_t ring_idx;
	uint64_t id;
};

/** Pixels of a resource, as VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM or whatever it has with 4 bytes each, to
 * offset + y * stride + x * 4 of the file. Row 0 is the top one. image_*: how the pixels lie in a blob that is
 * linear. */
struct wk_read_back {
	struct wk_header hdr;
	uint32_t resource_id;
	uint32_t x, y, w, h;	       /* pixels */
	uint32_t stride, image_stride; /* bytes */
	uint64_t offset, image_offset; /* bytes, of pixel 0, 0 */
	/* How a blob is to be imported by OpenGL instead, which draws it as B8G8R8A8 whatever it is. Of all
	 * planes the resource has the memory. */
	uint32_t n_planes; /* 0: not so */
	uint32_t width, height, fourcc;
	uint32_t plane_strides[WK_MAX_PLANES], plane_offsets[WK_MAX_PLANES]; /* bytes */
	uint64_t modifier;
	/* The fd is a dma-buf with an image of the same size, at offset and with stride; OpenGL draws it. Then
	 * n_planes says how the resource is to be imported, whatever it is. */
	uint32_t target_fourcc; /* 0: a file */
	uint64_t target_modifier;
};

struct wk_capset {
	struct wk_header hdr;
	uint32_t id, max_version;
	uint32_t size; /* bytes, behind this */
};

struct wk_ready {
	struct wk_header hdr;
	uint32_t flags; /* those that work */
	/* Of Venus, VirGL and DRM, in this order: what is missing and how to get it, if it was asked for
	 * and does not work; else what it works on (a driver's name). Ends with a NUL. */
	char text[WK_N_KINDS][WK_TEXT_BYTES];
};

struct wk_done {
	struct wk_header hdr;
	int32_t err; /* 0 or -errno */
};

/** What kind of file has the memory. */
enum wk_memory { WK_DMABUF = 1, WK_SHM };

struct wk_exported {
	struct wk_header hdr;
	int32_t err;	   /* 0; -ENOTSUP: it has no memory that others can use; else -errno */
	uint32_t kind;	   /* enum wk_memory */
	uint32_t map_info; /* VIRTIO_GPU_MAP_CACHE_*; 0: can't be mapped */
	/* Of an image that is not a blob: how it lies in the memory. The order of its colours may be another
	 * than the guest's; the fourcc has no word on whether the guest means its alpha. */
	uint32_t n_planes; /* 0: a blob */
	uint32_t width, height, fourcc;
	uint32_t strides[WK_MAX_PLANES], offsets[WK_MAX_PLANES]; /* bytes */
	uint64_t modifier;
};

struct wk_log {
	struct wk_header hdr;
	uint32_t level; /* enum br_log_level */
	char text[WK_TEXT_BYTES];
};

#endif
