/* SPDX-License-Identifier: MIT */
#include "crayon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "double.h"

/* A CRAYON_FILL that waits for its turn. */
struct fill {
	struct vd_job job;
	struct vd_memory *memory;
	struct crayon_fill request;
};

static void fill_caps(struct vdrm_capset *capset)
{
	const struct crayon_caps caps = {
		.modifier = CRAYON_MODIFIER_TILED,
		.n_rings = CRAYON_N_RINGS,
		.tile_px = CRAYON_TILE_PX,
	};
	capset->version_major = 1;
	capset->context_type = CRAYON_CONTEXT_TYPE;
	memcpy(capset->driver, &caps, sizeof(caps));
}

static int gem_new(struct vd_context *context, const struct crayon_gem_new *request)
{
	struct crayon_gem_new_response response = {.hdr.len = sizeof(response)};
	struct vd_memory *memory = request->blob_id != 0 ? vd_memory_create(request->size) : NULL;
	response.err = -EINVAL;
	if (memory != NULL) {
		memory->private_one = request->flags & CRAYON_GEM_PRIVATE;
		response.err = vd_object_add(context, request->blob_id, memory);
	}
	return vd_answer(context, &request->hdr, &response, sizeof(response));
}

static void run_fill(struct vd_job *job)
{
	struct fill *fill = (struct fill *)job;
	const struct crayon_fill *request = &fill->request;
	for (uint32_t y = request->y; y < request->y + request->h; y++) {
		for (uint32_t x = request->x; x < request->x + request->w; x++) {
			memcpy(fill->memory->map +
				       crayon_offset(request->tiled, request->stride, x, y),
			       &request->color, sizeof(request->color));
		}
	}
	vd_memory_unref(fill->memory);
	free(fill);
}

static bool fits(const struct crayon_fill *request, uint64_t bytes)
{
	uint64_t width = request->stride / CRAYON_PIXEL_BYTES;
	uint64_t rows = (uint64_t)request->y + request->h;
	rows = (rows + CRAYON_TILE_PX - 1) / CRAYON_TILE_PX * CRAYON_TILE_PX;
	return request->stride > 0 &&
	       request->stride % (CRAYON_TILE_PX * CRAYON_PIXEL_BYTES) == 0 &&
	       (uint64_t)request->x + request->w <= width && rows <= bytes / request->stride;
}

static int fill(struct vd_context *context, const struct crayon_fill *request)
{
	struct vd_memory *memory = vd_find_attached(context, request->res_id);
	if (memory == NULL || request->ring >= CRAYON_N_RINGS || !fits(request, memory->size)) {
		return -EINVAL;
	}
	struct fill *fill = calloc(1, sizeof(*fill));
	if (fill == NULL) {
		return -ENOMEM;
	}
	fill->job.run = run_fill;
	fill->job.gate = request->gate;
	fill->memory = vd_memory_ref(memory);
	fill->request = *request;
	int ret = vd_ring_add(context, request->ring, &fill->job);
	if (ret < 0) {
		vd_memory_unref(memory);
		free(fill);
	}
	return ret;
}

static int obey(struct vd_context *context, const struct vdrm_request *request)
{
	if (request->len % 8 != 0) {
		return -EINVAL;
	}
	switch (request->cmd) {
	case CRAYON_NOP:
		return 0;
	case CRAYON_GEM_NEW:
		return request->len == sizeof(struct crayon_gem_new)
			       ? gem_new(context, (const struct crayon_gem_new *)request)
			       : -EINVAL;
	case CRAYON_FILL:
		return request->len == sizeof(struct crayon_fill)
			       ? fill(context, (const struct crayon_fill *)request)
			       : -EINVAL;
	case CRAYON_GATE:
		if (request->len != sizeof(struct crayon_gate)) {
			return -EINVAL;
		}
		vd_open_gate(context, ((const struct crayon_gate *)request)->value);
		return 0;
	default:
		return -EINVAL;
	}
}

const struct vd_driver vd_crayon = {.fill_caps = fill_caps, .obey = obey};
