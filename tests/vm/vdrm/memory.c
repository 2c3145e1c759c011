/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "double.h"

#define MAX_BYTES (UINT64_C(1) << 30)
#define PAGE 4096u

struct vd_memory *vd_memory_create(uint64_t size)
{
	struct vd_memory *memory = calloc(1, sizeof(*memory));
	if (memory == NULL || size == 0 || size > MAX_BYTES) {
		free(memory);
		return NULL;
	}
	memory->refs = 1;
	memory->size = (size + PAGE - 1) / PAGE * PAGE;
	memory->fd = memfd_create("vdrm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	memory->map = MAP_FAILED;
	if (memory->fd >= 0 && ftruncate(memory->fd, (off_t)memory->size) == 0 &&
	    fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0) {
		memory->map =
			mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
	}
	if (memory->map == MAP_FAILED) {
		if (memory->fd >= 0) {
			close(memory->fd);
		}
		free(memory);
		return NULL;
	}
	return memory;
}

struct vd_memory *vd_memory_ref(struct vd_memory *memory)
{
	memory->refs++;
	return memory;
}

void vd_memory_unref(struct vd_memory *memory)
{
	if (memory == NULL || --memory->refs > 0) {
		return;
	}
	(void)munmap(memory->map, memory->size);
	close(memory->fd);
	free(memory);
}

int vd_memory_export(const struct vd_memory *memory)
{
	struct udmabuf_create create = {
		.memfd = (uint32_t)memory->fd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = memory->size,
	};
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int fd = device >= 0 ? ioctl(device, UDMABUF_CREATE, &create) : -1;
	if (device >= 0) {
		close(device);
	}
	if (fd < 0) {
		fd = fcntl(memory->fd, F_DUPFD_CLOEXEC, 3);
	}
	return fd < 0 ? -errno : fd;
}
