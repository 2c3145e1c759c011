/* SPDX-License-Identifier: MIT */
#include "dmabuf.h"

#include <errno.h>

#include "fd.h"
#include "format.h"
#include "relay.h"

bool br_params_add(struct br_relay *relay, struct br_object *object, struct br_params *params,
		   uint32_t index, const struct br_plane *plane, uint64_t modifier)
{
	if (params->used) {
		br_relay_client_error(relay, object, BR_PARAMS_ALREADY_USED,
				      "add: the buffer was created already");
		return false;
	}
	if (index >= BR_MAX_PLANES) {
		br_relay_client_error(relay, object, BR_PARAMS_PLANE_IDX, "add: plane %u of %u",
				      index, BR_MAX_PLANES);
		return false;
	}
	if (params->planes[index].set) {
		br_relay_client_error(relay, object, BR_PARAMS_PLANE_SET,
				      "add: plane %u is there already", index);
		return false;
	}
	params->planes[index] = (struct br_plane){
		.memory = {.fd = -1},
		.offset = plane->offset,
		.stride = plane->stride,
		.set = true,
	};
	params->modifier = modifier;
	return true;
}

bool br_params_check(struct br_relay *relay, struct br_object *object,
		     const struct br_params *params, const struct br_params_image *image)
{
	bool complete = params->planes[0].set;
	for (unsigned i = 1; i < BR_MAX_PLANES; i++) {
		complete = complete && (!params->planes[i].set || params->planes[i - 1].set);
	}
	if (params->used) {
		br_relay_client_error(relay, object, BR_PARAMS_ALREADY_USED,
				      "create: the buffer was created already");
	} else if (!complete) {
		br_relay_client_error(relay, object, BR_PARAMS_INCOMPLETE,
				      "create: a plane is missing");
	} else if (image->width <= 0 || image->height <= 0) {
		br_relay_client_error(relay, object, BR_PARAMS_INVALID_DIMENSIONS,
				      "create: invalid size %dx%d", image->width, image->height);
	} else {
		return true;
	}
	return false;
}

int br_params_to_shm(const struct br_params *params, const struct br_params_image *image,
		     uint64_t bytes, struct br_shm_geometry *ret_geometry)
{
	const struct br_plane *plane = &params->planes[0];
	uint32_t format = br_format_from_drm(image->format);
	uint64_t pixel_bytes = br_format_bytes(format);
	bool linear =
		params->modifier == BR_MODIFIER_LINEAR || params->modifier == BR_MODIFIER_INVALID;
	if (pixel_bytes == 0 || params->planes[1].set || !linear || image->flags != 0) {
		return -ENOTSUP;
	}
	if (plane->offset > INT32_MAX || plane->stride > INT32_MAX || image->width <= 0 ||
	    (uint64_t)image->width * pixel_bytes > plane->stride) {
		return -ERANGE;
	}
	*ret_geometry = (struct br_shm_geometry){
		.offset = (int32_t)plane->offset,
		.stride = (int32_t)plane->stride,
		.width = image->width,
		.height = image->height,
		.format = format,
	};
	return br_shm_geometry_valid(ret_geometry, bytes) ? 0 : -ERANGE;
}

void br_params_finish(struct br_params *params)
{
	for (unsigned i = 0; i < BR_MAX_PLANES; i++) {
		if (params->planes[i].set) {
			br_fd_clear(&params->planes[i].memory.fd);
		}
	}
	*params = (struct br_params){0};
}
