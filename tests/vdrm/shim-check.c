/* SPDX-License-Identifier: MIT
 *
 * shim-check: under drm-shim and prime.c, whether the fake GPU does what virglrenderer's native contexts need of
 * one. Says "asahi" and exits with 0; else says what it does not do.
 */
#include <drm/asahi_drm.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>

#define SIZE 0x8000u

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static void check_memory(int node)
{
	struct drm_asahi_gem_create create = {.size = SIZE, .flags = DRM_ASAHI_GEM_WRITEBACK};
	uint32_t handle = 0;
	int first = -1, second = -1;
	check(drmIoctl(node, DRM_IOCTL_ASAHI_GEM_CREATE, &create) == 0, "GEM_CREATE");
	check(drmPrimeHandleToFD(node, create.handle, DRM_CLOEXEC | DRM_RDWR, &first) == 0 &&
		      drmPrimeHandleToFD(node, create.handle, DRM_CLOEXEC | DRM_RDWR, &second) == 0,
	      "PRIME_HANDLE_TO_FD");
	check(lseek(first, 0, SEEK_END) == SIZE, "the size of an exported object");
	check(drmPrimeFDToHandle(node, first, &handle) == 0 && handle == create.handle,
	      "PRIME_FD_TO_HANDLE");
	check(pwrite(first, "causeway", 8, 0x100) == 8, "an exported object's memory");
	char *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, second, 0);
	check(map != MAP_FAILED && memcmp(map + 0x100, "causeway", 8) == 0,
	      "two exports of one object");
	check(drmCloseBufferHandle(node, create.handle) == 0, "GEM_CLOSE");
	check(drmPrimeFDToHandle(node, first, &handle) != 0, "the end of an object");
	close(first);
	close(second);
}

static void check_queue(int node)
{
	struct drm_asahi_vm_create vm = {.kernel_start = UINT64_C(1) << 38,
					 .kernel_end = UINT64_C(1) << 39};
	struct drm_asahi_queue_create queue = {.priority = DRM_ASAHI_PRIORITY_MEDIUM};
	uint32_t syncobj;
	int fd = -1;
	check(drmIoctl(node, DRM_IOCTL_ASAHI_VM_CREATE, &vm) == 0 && vm.vm_id != 0, "VM_CREATE");
	queue.vm_id = vm.vm_id;
	check(drmIoctl(node, DRM_IOCTL_ASAHI_QUEUE_CREATE, &queue) == 0 && queue.queue_id != 0,
	      "QUEUE_CREATE");
	check(drmSyncobjCreate(node, 0, &syncobj) == 0, "SYNCOBJ_CREATE");
	check(drmSyncobjExportSyncFile(node, syncobj, &fd) == 0 && fd >= 0, "SYNCOBJ_HANDLE_TO_FD");
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	check(poll(&wait, 1, 0) == 1, "a sync file that is signalled");
	close(fd);
}

int main(void)
{
	int node = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
	check(node >= 0, "/dev/dri/renderD128");
	drmVersionPtr version = drmGetVersion(node);
	check(version != NULL, "VERSION");
	check_memory(node);
	check_queue(node);
	printf("%s\n", version->name);
	return 0;
}
