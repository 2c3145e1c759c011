/* SPDX-License-Identifier: MIT */
#include "dmabuf-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../vm/clients/node.h"

static int make_memfd(size_t size, void **ret_map)
{
	int fd = memfd_create("dmabuf-paint", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
		die("a memfd of %zu bytes", size);
	}
	*ret_map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return fd;
}

static int make_udmabuf(size_t size, void **ret_map)
{
	struct udmabuf_create create = {.memfd = (uint32_t)make_memfd(size, ret_map),
					.flags = UDMABUF_FLAGS_CLOEXEC,
					.size = size};
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int fd = device < 0 ? -1 : ioctl(device, UDMABUF_CREATE, &create);
	if (fd < 0) {
		die("/dev/udmabuf");
	}
	return fd;
}

static int node(void)
{
	static int fd = -1;
	if (fd < 0) {
		fd = node_open();
		errno = -node_init_context(fd, XD_NUM_RINGS, 0);
		if (errno != 0) {
			die("CONTEXT_INIT");
		}
	}
	return fd;
}

uint64_t memory_render_node(void)
{
	struct stat st;
	return fstat(node(), &st) == 0 ? st.st_rdev : 0;
}

/* Once: what the host says to an image with at least size bytes. */
static struct xd_image_requirements query(uint64_t size)
{
	struct object query_ring, channel_ring;
	if (node_make_object(node(), VIRTGPU_BLOB_MEM_GUEST, 0, NODE_RING_BYTES, &query_ring) < 0 ||
	    node_make_object(node(), VIRTGPU_BLOB_MEM_GUEST, 0, NODE_RING_BYTES, &channel_ring) <
		    0) {
		die("rings");
	}
	struct xd_init init = {.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizeof(init)},
			       .query_ring_id = query_ring.res_id,
			       .channel_ring_id = channel_ring.res_id,
			       .channel_type = XD_CHANNEL_NONE};
	struct xd_get_image_requirements get = {
		.hdr = {.cmd = XD_CMD_GET_IMAGE_REQUIREMENTS, .cmd_size = sizeof(get)},
		.width = 1024,
		.height = (uint32_t)((size + 4095) / 4096),
		.drm_format = NODE_FOURCC_XR24,
		.flags = NODE_IMAGE_FLAGS};
	if (node_submit(node(), &init, sizeof(init)) < 0 ||
	    node_submit(node(), &get, sizeof(get)) < 0) {
		die("INIT, or GET_IMAGE_REQUIREMENTS");
	}
	struct xd_image_requirements answer;
	memcpy(&answer, query_ring.map, sizeof(answer));
	return answer;
}

static int make_blob(uint32_t mem, uint64_t blob_id, uint64_t size, void **ret_map)
{
	struct drm_virtgpu_resource_create_blob create = {
		.blob_mem = mem,
		.blob_flags = VIRTGPU_BLOB_FLAG_USE_MAPPABLE | VIRTGPU_BLOB_FLAG_USE_SHAREABLE,
		.size = size,
		.blob_id = blob_id,
	};
	int fd = -1;
	if (drmIoctl(node(), DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create) < 0) {
		die("a blob of %llu bytes", (unsigned long long)size);
	}
	struct drm_virtgpu_map map = {.handle = create.bo_handle};
	if (drmIoctl(node(), DRM_IOCTL_VIRTGPU_MAP, &map) < 0 ||
	    drmPrimeHandleToFD(node(), create.bo_handle, DRM_CLOEXEC | DRM_RDWR, &fd) < 0) {
		die("the blob's offset or dma-buf");
	}
	*ret_map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, node(), (off_t)map.offset);
	return fd;
}

static int make_virtgpu(size_t size, void **ret_map)
{
	static struct xd_image_requirements image;
	if (image.blob_id == 0) {
		image = query(size);
	}
	if (image.blob_id == 0 || image.size < size) {
		die("the host said nothing about an image of %zu bytes", size);
	}
	return make_blob(VIRTGPU_BLOB_MEM_HOST3D, image.blob_id, image.size, ret_map);
}

static int make_pages(size_t size, void **ret_map)
{
	return make_blob(VIRTGPU_BLOB_MEM_GUEST, 0, size, ret_map);
}

struct memory memory_make(const char *kind, size_t size)
{
	static const struct {
		const char *name;
		int (*make)(size_t size, void **ret_map);
	} kinds[] = {
		{"memfd", make_memfd},
		{"udmabuf", make_udmabuf},
		{"virtgpu", make_virtgpu},
		{"pages", make_pages},
	};
	struct memory memory = {.fd = -1, .size = (size + 65535) / 65536 * 65536};
	void *map = MAP_FAILED;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, kind) == 0) {
			memory.fd = kinds[i].make(memory.size, &map);
		}
	}
	if (map == MAP_FAILED) {
		die("memory of kind %s", kind);
	}
	memory.pixels = map;
	return memory;
}
