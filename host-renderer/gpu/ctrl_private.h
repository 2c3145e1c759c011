/* SPDX-License-Identifier: MIT
 *
 * Shared by the control commands: ctrl.c (table, contexts, submits), ctrl_resource.c (resources).
 */
#ifndef HR_GPU_CTRL_PRIVATE_H
#define HR_GPU_CTRL_PRIVATE_H

#include <linux/virtio_gpu.h>
#include <stddef.h>
#include <stdint.h>

struct hr_device;
struct hr_request;

/** The fixed part of any command, aligned; zeroes behind it. */
union hr_command {
	struct virtio_gpu_ctrl_hdr hdr;
	struct virtio_gpu_get_capset_info get_capset_info;
	struct virtio_gpu_get_capset get_capset;
	struct virtio_gpu_ctx_create ctx_create;
	struct virtio_gpu_ctx_resource ctx_resource;
	struct virtio_gpu_resource_unref unref;
	struct virtio_gpu_resource_create_2d create_2d;
	struct virtio_gpu_resource_create_3d create_3d;
	struct virtio_gpu_resource_create_blob create_blob;
	struct virtio_gpu_resource_attach_backing attach_backing;
	struct virtio_gpu_resource_detach_backing detach_backing;
	struct virtio_gpu_resource_map_blob map_blob;
	struct virtio_gpu_resource_unmap_blob unmap_blob;
	struct virtio_gpu_resource_assign_uuid assign_uuid;
	struct virtio_gpu_resource_flush flush;
	struct virtio_gpu_transfer_to_host_2d transfer_2d;
	struct virtio_gpu_transfer_host_3d transfer_3d;
	struct virtio_gpu_cmd_submit submit;
	struct virtio_gpu_update_cursor cursor;
};

/** What a handler returns for a request that has to wait for a resource; see defer.h. */
#define HR_WAIT UINT32_MAX

/** Run a command whose size was checked. Returns the type of the answer; 0 if it was given already, or will
 * be by a fence; or HR_WAIT if nothing was done yet. */
typedef uint32_t (*hr_handler_fn)(struct hr_device *device, struct hr_request *request,
				  const union hr_command *cmd);

/** The response type that tells of 0 or -errno. */
uint32_t hr_ctrl_response_of(int err);

/** Answer with more than a header; fd: borrowed, -1 for none. Returns 0, for handlers to return. */
uint32_t hr_ctrl_answer(struct hr_device *device, const struct hr_request *request,
			const void *response, size_t len, int fd);

/* ctrl_resource.c; virtio 1.3, sections 5.7.6.8 and 5.7.6.10. */
uint32_t hr_ctrl_resource_create_2d(struct hr_device *device, struct hr_request *request,
				    const union hr_command *cmd);
uint32_t hr_ctrl_resource_create_3d(struct hr_device *device, struct hr_request *request,
				    const union hr_command *cmd);
uint32_t hr_ctrl_resource_create_blob(struct hr_device *device, struct hr_request *request,
				      const union hr_command *cmd);
uint32_t hr_ctrl_resource_unref(struct hr_device *device, struct hr_request *request,
				const union hr_command *cmd);
uint32_t hr_ctrl_resource_attach_backing(struct hr_device *device, struct hr_request *request,
					 const union hr_command *cmd);
uint32_t hr_ctrl_resource_detach_backing(struct hr_device *device, struct hr_request *request,
					 const union hr_command *cmd);
uint32_t hr_ctrl_resource_map_blob(struct hr_device *device, struct hr_request *request,
				   const union hr_command *cmd);
uint32_t hr_ctrl_resource_unmap_blob(struct hr_device *device, struct hr_request *request,
				     const union hr_command *cmd);
uint32_t hr_ctrl_resource_assign_uuid(struct hr_device *device, struct hr_request *request,
				      const union hr_command *cmd);
uint32_t hr_ctrl_resource_flush(struct hr_device *device, struct hr_request *request,
				const union hr_command *cmd);
uint32_t hr_ctrl_transfer_to_host_2d(struct hr_device *device, struct hr_request *request,
				     const union hr_command *cmd);
uint32_t hr_ctrl_transfer_3d(struct hr_device *device, struct hr_request *request,
			     const union hr_command *cmd);

#endif
