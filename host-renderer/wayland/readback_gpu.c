/* SPDX-License-Identifier: MIT */
#include "readback_gpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../gpu/render.h"
#include "../gpu/resource.h"
#include "fd.h"
#include "format.h"
#include "host.h"

#define PIXEL_BYTES 4u
/* Source: wl_shm.format. */
#define SHM_ARGB8888 0u
#define SHM_XRGB8888 1u
/* Source: drm_fourcc.h: linear images of these every compositor takes that takes any. */
#define DRM_ARGB8888 0x34325241u
#define DRM_XRGB8888 0x34325258u

struct hr_gpu_readback {
	struct hr_host *host;
	struct hr_resource *resource; /* referenced */
	struct hr_read_back image;    /* where it lies, and the copy; the rectangle is filled in */
	struct hr_readback_ask ask;   /* done NULL: nothing is asked for; rects is unused */
	struct hr_ask
		*asks[BR_LIMIT_DAMAGE_RECTS]; /* n_asks of them, the first n_done are answered */
	uint32_t n_asks, n_done;
	int err; /* of the first one that failed */
	/* Of one that draws; ready NULL: not waited for. */
	struct hr_ask *allocation;
	void (*ready)(void *data, int err);
	void *ready_data;
};

/* The worker has more of it than memory: VirGL's images. */
static bool is_image(const struct hr_resource *resource)
{
	return resource->blob_mem == 0;
}

/* Rows of whole pixels, which can be copied as they are. */
static bool is_plain(const struct br_params *params, const struct br_params_image *image,
		     struct br_shm_geometry *ret_geometry)
{
	return br_params_to_shm(params, image, UINT64_MAX, ret_geometry) == 0 &&
	       br_format_bytes(ret_geometry->format) == PIXEL_BYTES;
}

static bool has_alpha(uint32_t fourcc)
{
	return (fourcc & 0xff) == 'A' || (fourcc & 0xff) == 'R';
}

int hr_gpu_readback_geometry(const struct hr_resource *resource, const struct br_params *params,
			     const struct br_params_image *image,
			     struct br_shm_geometry *ret_geometry)
{
	struct br_shm_geometry plain;
	uint64_t stride = (uint64_t)image->width * PIXEL_BYTES;
	uint32_t format = br_format_from_drm(image->format);
	if (image->flags != 0) {
		return -ENOTSUP;
	}
	if (image->width <= 0 || image->height <= 0 || stride > INT32_MAX) {
		return -ERANGE;
	}
	if (is_image(resource) && ((uint32_t)image->width > resource->width ||
				   (uint32_t)image->height > resource->height)) {
		return -ERANGE;
	}
	bool as_it_is = is_image(resource) ? br_format_bytes(format) == PIXEL_BYTES
					   : is_plain(params, image, &plain);
	*ret_geometry = (struct br_shm_geometry){
		.stride = (int32_t)stride,
		.width = image->width,
		.height = image->height,
		.format = as_it_is		     ? format
			  : has_alpha(image->format) ? SHM_ARGB8888
						     : SHM_XRGB8888,
	};
	return 0;
}

/* As OpenGL imports it. */
static void describe_planes(struct hr_read_back *read_back, const struct br_params *params,
			    const struct br_params_image *image)
{
	read_back->width = (uint32_t)image->width;
	read_back->height = (uint32_t)image->height;
	read_back->fourcc = image->format;
	read_back->modifier = params->modifier;
	for (unsigned i = 0; i < BR_MAX_PLANES && params->planes[i].set; i++) {
		read_back->plane_strides[i] = params->planes[i].stride;
		read_back->plane_offsets[i] = params->planes[i].offset;
		read_back->n_planes++;
	}
}

static void describe(struct hr_read_back *read_back, const struct hr_resource *resource,
		     const struct br_params *params, const struct br_params_image *image)
{
	struct br_shm_geometry plain;
	read_back->stride = (uint32_t)image->width * PIXEL_BYTES;
	if (is_image(resource)) {
		return;
	}
	if (is_plain(params, image, &plain)) {
		read_back->image_stride = params->planes[0].stride;
		read_back->image_offset = params->planes[0].offset;
		return;
	}
	describe_planes(read_back, params, image);
}

int hr_gpu_readback_create(struct hr_host *host, struct hr_resource *resource,
			   const struct br_params *params, const struct br_params_image *image,
			   int target_fd, struct hr_gpu_readback **ret_readback)
{
	struct hr_gpu_readback *readback = calloc(1, sizeof(*readback));
	if (readback == NULL) {
		return -ENOMEM;
	}
	readback->host = host;
	describe(&readback->image, resource, params, image);
	readback->image.fd = br_fd_dup(target_fd);
	if (readback->image.fd < 0) {
		int ret = readback->image.fd;
		free(readback);
		return ret;
	}
	readback->resource = hr_resource_ref(resource);
	*ret_readback = readback;
	return 0;
}

static void handle_allocated(void *data, int err)
{
	struct hr_gpu_readback *readback = data;
	readback->allocation = NULL;
	readback->ready(readback->ready_data, err);
}

int hr_gpu_readback_create_drawn(struct hr_host *host, struct hr_resource *resource,
				 const struct br_params *params,
				 const struct br_params_image *image,
				 void (*ready)(void *data, int err), void *data,
				 struct hr_gpu_readback **ret_readback)
{
	struct hr_gpu_readback *readback = calloc(1, sizeof(*readback));
	if (readback == NULL) {
		return -ENOMEM;
	}
	*readback = (struct hr_gpu_readback){
		.host = host,
		.image.fd = -1,
		.image.target_fourcc = has_alpha(image->format) ? DRM_ARGB8888 : DRM_XRGB8888,
		.ready = ready,
		.ready_data = data,
	};
	describe_planes(&readback->image, params, image);
	int ret = image->flags != 0
			  ? -ENOTSUP
			  : hr_render_allocate(resource, &readback->image, handle_allocated,
					       readback, &readback->allocation);
	if (ret < 0) {
		free(readback);
		return ret;
	}
	readback->resource = hr_resource_ref(resource);
	*ret_readback = readback;
	return 0;
}

const struct hr_read_back *hr_gpu_readback_target(const struct hr_gpu_readback *readback)
{
	return &readback->image;
}

static void cancel(struct hr_gpu_readback *readback)
{
	while (readback->n_done < readback->n_asks) {
		hr_render_cancel(readback->asks[readback->n_done++]);
	}
}

void hr_gpu_readback_destroy(struct hr_gpu_readback *readback)
{
	if (readback == NULL) {
		return;
	}
	cancel(readback);
	if (readback->allocation != NULL) {
		hr_render_cancel(readback->allocation);
	}
	br_fd_clear(&readback->image.fd);
	(void)hr_resource_unref(readback->resource);
	free(readback);
}

/* A worker answers in order. */
static void handle_done(void *data, int err)
{
	struct hr_gpu_readback *readback = data;
	readback->n_done++;
	readback->err = readback->err != 0 ? readback->err : err;
	if (readback->n_done == readback->n_asks) {
		readback->ask.done(readback->ask.data, readback->err);
	}
}

int hr_gpu_readback_ask(struct hr_gpu_readback *readback, const struct hr_readback_ask *ask)
{
	if (readback->n_done < readback->n_asks || ask->n_rects > BR_LIMIT_DAMAGE_RECTS) {
		return -EINVAL;
	}
	readback->ask = *ask;
	readback->n_asks = readback->n_done = 0;
	readback->err = 0;
	for (uint32_t i = 0; i < ask->n_rects; i++) {
		const struct br_rect *rect = &ask->rects[i];
		struct hr_read_back *image = &readback->image;
		image->x = (uint32_t)rect->x0;
		image->y = (uint32_t)rect->y0;
		image->w = (uint32_t)(rect->x1 - rect->x0);
		image->h = (uint32_t)(rect->y1 - rect->y0);
		int ret = hr_render_read_back(readback->resource, image, handle_done, readback,
					      &readback->asks[i]);
		if (ret < 0) {
			cancel(readback);
			return ret;
		}
		readback->n_asks++;
		readback->host->copied_bytes += (uint64_t)image->w * image->h * PIXEL_BYTES;
	}
	return 0;
}
