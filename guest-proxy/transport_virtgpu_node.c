/* SPDX-License-Identifier: MIT
 *
 * Which of the render nodes is a virtio-gpu with the channel. Source: <drm/virtgpu_drm.h>.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xf86drm.h>

#include <drm/virtgpu_drm.h>

#include "fd.h"
#include "transport_virtgpu.h"

static bool has_param(int fd, uint64_t param, uint64_t *ret_value)
{
	uint32_t value = 0; /* the kernel writes 32 bits */
	struct drm_virtgpu_getparam get = {.param = param, .value = (uintptr_t)&value};
	int ret = drmIoctl(fd, DRM_IOCTL_VIRTGPU_GETPARAM, &get);
	*ret_value = value;
	return ret == 0 && value != 0;
}

static bool is_virtgpu(int fd)
{
	drmVersionPtr version = drmGetVersion(fd);
	bool is = version && strcmp(version->name, "virtio_gpu") == 0;
	drmFreeVersion(version);
	return is;
}

/* Longer capsets first: the kernel refuses to give less than there is nothing of. */
static bool get_capset(int fd, struct xd_capset_ext *ret_capset)
{
	*ret_capset = (struct xd_capset_ext){0};
	struct drm_virtgpu_get_caps get = {
		.cap_set_id = XD_CAPSET_ID,
		.cap_set_ver = XD_CAPSET_VERSION,
		.addr = (uintptr_t)ret_capset,
		.size = sizeof(*ret_capset),
	};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_GET_CAPS, &get) == 0) {
		return true;
	}
	get.size = sizeof(ret_capset->base);
	return drmIoctl(fd, DRM_IOCTL_VIRTGPU_GET_CAPS, &get) == 0;
}

static enum gp_node_state look(int fd, struct gp_node *node)
{
	static const uint64_t needed[] = {
		VIRTGPU_PARAM_CAPSET_QUERY_FIX,
		VIRTGPU_PARAM_RESOURCE_BLOB,
		VIRTGPU_PARAM_CONTEXT_INIT,
	};
	uint64_t value;
	if (!is_virtgpu(fd)) {
		return GP_NODE_NOT_VIRTGPU;
	}
	/* Without VIRGL the host has no contexts at all, whatever the kernel. */
	if (!has_param(fd, VIRTGPU_PARAM_3D_FEATURES, &value)) {
		return GP_NODE_NO_CHANNEL;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (!has_param(fd, needed[i], &value)) {
			return GP_NODE_OLD_KERNEL;
		}
	}
	if (!has_param(fd, VIRTGPU_PARAM_SUPPORTED_CAPSET_IDs, &value) ||
	    !(value & 1u << XD_CAPSET_ID) || !get_capset(fd, &node->capset)) {
		return GP_NODE_NO_CHANNEL;
	}
	node->capsets = (uint32_t)value;
	node->timelines = gp_node_has_timelines(fd);
	node->window = has_param(fd, VIRTGPU_PARAM_HOST_VISIBLE, &value);
	return GP_NODE_USABLE;
}

void gp_node_probe(struct gp_node *node, const char *path)
{
	*node = (struct gp_node){.state = GP_NODE_NOT_VIRTGPU};
	int len = snprintf(node->path, sizeof(node->path), "%s", path);
	if (len >= (int)sizeof(node->path)) {
		return; /* and not whatever has the path's beginning */
	}
	struct stat st;
	int fd BR_CLEANUP_FD = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		node->state = look(fd, node);
		node->device = fstat(fd, &st) == 0 ? st.st_rdev : 0;
	} else if (errno == EACCES || errno == EPERM) {
		node->state = GP_NODE_NO_ACCESS;
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
		node->state = GP_NODE_NO_FILES;
	}
}

static bool is_better(const struct gp_node *node, const struct gp_node *than)
{
	if (node->state != than->state) {
		return node->state < than->state;
	}
	return node->capset.magic == XD_CAPSET_MAGIC && than->capset.magic != XD_CAPSET_MAGIC;
}

bool gp_node_find(struct gp_node *ret_node)
{
	drmDevicePtr devices[DRM_MAX_MINOR];
	int n = drmGetDevices2(0, devices, DRM_MAX_MINOR);
	bool found = false;
	for (int i = 0; i < n; i++) {
		struct gp_node node;
		if (!(devices[i]->available_nodes & 1 << DRM_NODE_RENDER)) {
			continue;
		}
		gp_node_probe(&node, devices[i]->nodes[DRM_NODE_RENDER]);
		if (!found || is_better(&node, ret_node)) {
			*ret_node = node;
		}
		found = true;
	}
	if (n > 0) {
		drmFreeDevices(devices, n);
	}
	return found;
}

const char *gp_node_advice(const struct gp_node *node)
{
	if (node == NULL) {
		return "there is no virtio-gpu: start the virtual machine with causeway-host -- "
		       "qemu-system-x86_64 ..., and load the module virtio-gpu in the guest";
	}
	switch (node->state) {
	case GP_NODE_NO_CHANNEL:
		return "this virtio-gpu has no cross-domain capset: start the virtual machine with "
		       "causeway-host -- qemu-system-x86_64 ...";
	case GP_NODE_OLD_KERNEL:
		return "the guest's kernel is too old for virtio-gpu contexts and blobs: Linux "
		       "5.16 "
		       "or newer is needed, 6.4 or newer for a device without displays";
	case GP_NODE_NO_ACCESS:
		return "you may not open the render node: join its group (usermod -a -G render "
		       "USER), or use a session of systemd-logind";
	case GP_NODE_NO_FILES:
		return "the render node can't be opened now: raise causeway-guest's limit of open "
		       "files (ulimit -n)";
	case GP_NODE_NOT_VIRTGPU:
		return "the render node is not a virtio-gpu: start the virtual machine with "
		       "causeway-host -- qemu-system-x86_64 ...";
	default:
		return "nothing is wrong with it";
	}
}

const char *gp_transport_virtgpu_probe(const char *path, char *ret_path)
{
	struct gp_node node;
	ret_path[0] = '\0';
	if (path != NULL) {
		gp_node_probe(&node, path);
	} else if (!gp_node_find(&node)) {
		return gp_node_advice(NULL);
	}
	snprintf(ret_path, GP_NODE_PATH_BYTES, "%s", node.path);
	return node.state == GP_NODE_USABLE ? NULL : gp_node_advice(&node);
}

uint32_t gp_transport_virtgpu_capsets(const char *path)
{
	struct gp_node node = {0};
	if (path != NULL) {
		gp_node_probe(&node, path);
	} else if (!gp_node_find(&node)) {
		return 0;
	}
	return node.state == GP_NODE_USABLE ? node.capsets : 0;
}

int gp_node_open_context(const struct gp_node *node, uint32_t n_rings, const char *name)
{
	struct drm_virtgpu_context_set_param params[] = {
		{.param = VIRTGPU_CONTEXT_PARAM_CAPSET_ID, .value = XD_CAPSET_ID},
		{.param = VIRTGPU_CONTEXT_PARAM_NUM_RINGS, .value = n_rings},
		{.param = VIRTGPU_CONTEXT_PARAM_POLL_RINGS_MASK, .value = 1u << XD_RING_CHANNEL},
		{.param = VIRTGPU_CONTEXT_PARAM_DEBUG_NAME, .value = (uintptr_t)name},
	};
	struct drm_virtgpu_context_init init = {
		.num_params = 4,
		.ctx_set_params = (uintptr_t)params,
	};
	int fd BR_CLEANUP_FD = open(node->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	int ret = drmIoctl(fd, DRM_IOCTL_VIRTGPU_CONTEXT_INIT, &init);
	if (ret < 0 && errno == EINVAL) {
		init.num_params = 3; /* names came with Linux 6.13 */
		ret = drmIoctl(fd, DRM_IOCTL_VIRTGPU_CONTEXT_INIT, &init);
	}
	return ret < 0 ? -errno : br_fd_take(&fd);
}
