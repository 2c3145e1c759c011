/* SPDX-License-Identifier: MIT
 *
 * Native contexts of an Apple M1 that draws nothing: what Mesa's asahi driver in a guest needs to believe in
 * its GPU. Memory, queues and fences are real. Source: virglrenderer, src/drm/asahi; Mesa, src/asahi/lib;
 * <drm/asahi_drm.h>.
 */
#include <drm/asahi_drm.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "double.h"

#define ASAHI_CONTEXT_TYPE 4
#define MAX_PAYLOAD 128u
/* The kernel driver's pages, and where programs' addresses end. */
#define PAGE UINT64_C(0x4000)
#define ADDRESSES_END (UINT64_C(1) << 39)
#define KERNEL_ADDRESSES (UINT64_C(1) << 37)

enum command { NOP = 1, IOCTL_SIMPLE, GET_PARAMS, GEM_NEW, VM_BIND, SUBMIT, GEM_BIND_OBJECT };

/* An ioctl of the driver with nothing to point to. */
struct ioctl_simple {
	struct vdrm_request hdr;
	uint32_t request;
	uint8_t payload[];
};

struct ioctl_response {
	struct vdrm_response hdr;
	int32_t err;
	uint8_t payload[MAX_PAYLOAD];
};

struct get_params {
	struct vdrm_request hdr;
	struct drm_asahi_get_params params;
};

struct get_params_response {
	struct vdrm_response hdr;
	int32_t err;
	uint8_t params[sizeof(struct drm_asahi_params_global)];
};

struct gem_new {
	struct vdrm_request hdr;
	uint32_t flags, bind_flags, vm_id, blob_id;
	uint64_t size, address;
};

struct bind_object_response {
	struct vdrm_response hdr;
	int32_t err;
	uint32_t object_handle;
};

static void fill_caps(struct vdrm_capset *capset)
{
	capset->version_major = 1;
	capset->context_type = ASAHI_CONTEXT_TYPE;
}

/* An M1 as the kernel describes it. */
static int get_params(struct vd_context *context, const struct vdrm_request *request)
{
	const struct drm_asahi_params_global params = {
		.gpu_generation = 13,
		.gpu_variant = 'G',
		.chip_id = 0x8103,
		.num_dies = 1,
		.num_clusters_total = 1,
		.num_cores_per_cluster = 8,
		.max_frequency_khz = 1278000,
		.core_masks = {0xff},
		.vm_start = PAGE,
		.vm_end = ADDRESSES_END,
		.vm_kernel_min_size = KERNEL_ADDRESSES,
		.max_commands_per_submission = 64,
		.max_attachments = 16,
		.command_timestamp_frequency_hz = 24000000,
	};
	struct get_params wanted;
	struct get_params_response response = {0};
	if (request->len != sizeof(wanted)) {
		return -EINVAL;
	}
	memcpy(&wanted, request, sizeof(wanted));
	size_t size = wanted.params.size < sizeof(params) ? wanted.params.size : sizeof(params);
	memcpy(response.params, &params, size);
	response.hdr.len = (uint32_t)(offsetof(struct get_params_response, params) + size);
	return vd_answer(context, request, &response, response.hdr.len);
}

/* Nothing is numbered 0. */
static int run_ioctl(uint32_t request, void *payload)
{
	static uint32_t last_id;
	switch (_IOC_NR(request) - DRM_COMMAND_BASE) {
	case DRM_ASAHI_VM_CREATE:
		((struct drm_asahi_vm_create *)payload)->vm_id = ++last_id;
		return 0;
	case DRM_ASAHI_QUEUE_CREATE:
		((struct drm_asahi_queue_create *)payload)->queue_id = ++last_id;
		return 0;
	case DRM_ASAHI_VM_DESTROY:
	case DRM_ASAHI_QUEUE_DESTROY:
	case DRM_ASAHI_GET_TIME:
		return 0;
	default:
		return -EINVAL;
	}
}

static int ioctl_simple(struct vd_context *context, const struct vdrm_request *request)
{
	const struct ioctl_simple *simple = (const struct ioctl_simple *)request;
	struct ioctl_response response = {0};
	_Alignas(8) uint8_t payload[MAX_PAYLOAD] = {0};
	if (request->len < sizeof(*simple)) {
		return -EINVAL;
	}
	uint32_t size = _IOC_SIZE(simple->request);
	if (size > MAX_PAYLOAD || request->len != sizeof(*simple) + size) {
		return -EINVAL;
	}
	memcpy(payload, simple->payload, size);
	response.err = run_ioctl(simple->request, payload);
	memcpy(response.payload, payload, size);
	response.hdr.len = (uint32_t)offsetof(struct ioctl_response, payload);
	response.hdr.len += simple->request & IOC_OUT ? size : 0;
	return vd_answer(context, request, &response, response.hdr.len);
}

static int gem_new(struct vd_context *context, const struct vdrm_request *request)
{
	struct gem_new wanted;
	if (request->len != sizeof(wanted)) {
		return -EINVAL;
	}
	memcpy(&wanted, request, sizeof(wanted));
	struct vd_memory *memory = wanted.blob_id != 0 ? vd_memory_create(wanted.size) : NULL;
	return memory != NULL ? vd_object_add(context, wanted.blob_id, memory) : -EINVAL;
}

static void run_nothing(struct vd_job *job)
{
	free(job);
}

/* All queues are one here, ring 1, as the driver's programs have one each. */
static int submit(struct vd_context *context)
{
	struct vd_job *job = calloc(1, sizeof(*job));
	if (job == NULL) {
		return -ENOMEM;
	}
	job->run = run_nothing;
	int ret = vd_ring_add(context, 1, job);
	if (ret < 0) {
		free(job);
	}
	return ret;
}

static int bind_object(struct vd_context *context, const struct vdrm_request *request)
{
	struct drm_asahi_gem_bind_object bind;
	const struct bind_object_response response = {
		.hdr.len = sizeof(response),
		.object_handle = 1,
	};
	if (request->len != sizeof(*request) + sizeof(bind)) {
		return -EINVAL;
	}
	memcpy(&bind, request + 1, sizeof(bind));
	return bind.op == DRM_ASAHI_BIND_OBJECT_OP_BIND
		       ? vd_answer(context, request, &response, sizeof(response))
		       : 0;
}

static int obey(struct vd_context *context, const struct vdrm_request *request)
{
	switch (request->cmd) {
	case NOP:
	case VM_BIND:
		return 0;
	case IOCTL_SIMPLE:
		return ioctl_simple(context, request);
	case GET_PARAMS:
		return get_params(context, request);
	case GEM_NEW:
		return gem_new(context, request);
	case SUBMIT:
		return submit(context);
	case GEM_BIND_OBJECT:
		return bind_object(context, request);
	default:
		return -EINVAL;
	}
}

const struct vd_driver vd_asahi = {.fill_caps = fill_caps, .obey = obey};
