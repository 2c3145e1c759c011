/* SPDX-License-Identifier: MIT */
#include "target.h"

#include <drm_fourcc.h>
#include <errno.h>
#include <gbm.h>

int wk_target_allocate(struct wk_worker *worker, struct wk_read_back *request, int *ret_fd)
{
	if (worker->gbm == NULL && worker->render_node_fd >= 0) {
		worker->gbm = gbm_create_device(worker->render_node_fd);
	}
	if (worker->gbm == NULL) {
		return -ENOTSUP;
	}
	struct gbm_bo *bo =
		gbm_bo_create(worker->gbm, request->width, request->height, request->target_fourcc,
			      GBM_BO_USE_LINEAR | GBM_BO_USE_RENDERING);
	if (bo == NULL) {
		return -ENOTSUP;
	}
	int fd = gbm_bo_get_plane_count(bo) == 1 ? gbm_bo_get_fd(bo) : -1;
	request->stride = gbm_bo_get_stride(bo);
	request->offset = gbm_bo_get_offset(bo, 0);
	/* Those who know of no modifiers have made it linear, too. */
	request->target_modifier = DRM_FORMAT_MOD_LINEAR;
	gbm_bo_destroy(bo);
	*ret_fd = fd;
	return fd < 0 ? -ENOTSUP : 0;
}

void wk_target_finish(struct wk_worker *worker)
{
	if (worker->gbm != NULL) {
		gbm_device_destroy(worker->gbm);
		worker->gbm = NULL;
	}
}
