/* SPDX-License-Identifier: MIT
 *
 * Images and commands of VirGL, and blobs of Venus, for tests of the GPU worker.
 */
#ifndef GPU_IMAGES_H
#define GPU_IMAGES_H

#include "gpu_rig.h"

enum { CAPSET_VIRGL = 1, CAPSET_VIRGL2 = 2, CAPSET_VENUS = 4, CAPSET_DRM = 6 };
/* VIRTIO_GPU_BLOB_* */
enum { MEM_GUEST = 1, MEM_HOST3D = 2, FLAG_MAPPABLE = 1 };

/* VirGL's wire format: the first dword of a command has its number, an object's type and how many dwords
 * follow. Source: virglrenderer, src/virgl_protocol.h. */
#define VIRGL_COMMAND(number, object, dwords) ((number) | (object) << 8 | (uint32_t)(dwords) << 16)
enum { VIRGL_CREATE_OBJECT = 1, VIRGL_SET_FRAMEBUFFER = 5, VIRGL_CLEAR = 7 };
enum { VIRGL_BEGIN_QUERY = 19, VIRGL_END_QUERY = 20, VIRGL_GET_QUERY_RESULT = 21 };
enum { VIRGL_SET_RESOURCE_TYPE = 49 };
enum { VIRGL_OBJECT_SURFACE = 8, VIRGL_OBJECT_QUERY = 9 };
enum { TARGET_BUFFER = 0, TARGET_2D = 2, FORMAT_BGRA = 1, FORMAT_R8 = 64 };
enum { BIND_RENDER_TARGET = 2, BIND_SAMPLER_VIEW = 8, BIND_CUSTOM = 1 << 17 };

#define GPU_SIDE 64 /* pixels, of the images here */
#define GPU_IMAGE_BYTES (GPU_SIDE * GPU_SIDE * 4)

/** A request for an image that can be drawn to. */
struct wk_create_3d gpu_image_request(uint32_t id);

/** Give an image guest memory: two pieces that are no neighbours in the guest. Returns err. */
int gpu_attach_backing(struct gpu_rig *rig, uint32_t id);

/** Where a byte of that memory is. */
uint8_t *gpu_backing(struct gpu_rig *rig, size_t offset);

/** Copy between an image and its guest memory, in the direction of the request's type. Returns err. */
int gpu_transfer(struct gpu_rig *rig, uint32_t type, uint32_t ctx_id, uint32_t id);

/** Start a worker with a context in it that has an image with guest memory. */
void gpu_start_virgl(struct gpu_rig *rig, uint32_t ctx_id, uint32_t id);

/** A pixel that tells where it is. */
uint32_t gpu_pattern(uint32_t x, uint32_t y);

/** Fill that guest memory with these pixels. */
void gpu_fill_backing(struct gpu_rig *rig);

/** Read a part of an image back into a file of this many bytes, and those to ret_pixels. Returns err. */
int gpu_read_back(struct gpu_rig *rig, struct wk_read_back *request, size_t file_bytes,
		  uint32_t *ret_pixels);

/** Draw an image blue. */
void gpu_clear_blue(struct gpu_rig *rig, uint32_t ctx_id, uint32_t id);

/** Make a blob as Venus' drivers use for their rings: memory of the host. Returns err. */
int gpu_create_ring(struct gpu_rig *rig, uint32_t ctx_id, uint32_t id);

#endif
