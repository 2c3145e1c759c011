/* SPDX-License-Identifier: MIT */
#include "fake_drm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xf86drm.h>

#include "fd.h"
#include "test.h"

/* Where objects are mapped: offsets that nothing else has. */
#define MAP_SHIFT 40

struct fake_drm fake_drm;

int __wrap_drmIoctl(int fd, unsigned long request, void *arg);
int __wrap_drmPrimeFDToHandle(int fd, int prime_fd, uint32_t *ret_handle);
int __wrap_drmCloseBufferHandle(int fd, uint32_t handle);
drmVersionPtr __wrap_drmGetVersion(int fd);
void __wrap_drmFreeVersion(drmVersionPtr version);
void *__real_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);

void fake_drm_start(void)
{
	fake_drm = (struct fake_drm){
		.capset = {.base = {.version = 1, .supported_channels = 1 << XD_CHANNEL_WAYLAND},
			   .magic = XD_CAPSET_MAGIC,
			   .extensions = XD_EXT_PIPE_CREDIT | XD_EXT_CLOCK,
			   .max_cmd_bytes = XD_MAX_CMD_BYTES},
	};
	strcpy(fake_drm.dir, "/tmp/drm-XXXXXX");
	CHECK(mkdtemp(fake_drm.dir) != NULL);
	snprintf(fake_drm.path, sizeof(fake_drm.path), "%s/renderD128", fake_drm.dir);
	CHECK_INT(mkfifo(fake_drm.path, 0600), 0);
	fake_drm.events_fd = open(fake_drm.path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	CHECK(fake_drm.events_fd >= 0);
}

size_t fake_drm_count_open(void)
{
	size_t count = 0;
	for (size_t i = 0; i < fake_drm.n_bos; i++) {
		count += fake_drm.bos[i].open;
	}
	return count;
}

void fake_drm_finish(void)
{
	CHECK_INT(fake_drm_count_open(), 0);
	for (size_t i = 0; i < fake_drm.n_execs; i++) {
		br_fd_clear(&fake_drm.execs[i].fence_fd);
	}
	free(fake_drm.transfers);
	br_fd_clear(&fake_drm.events_fd);
	(void)unlink(fake_drm.path);
	(void)rmdir(fake_drm.dir);
}

void fake_drm_signal(size_t exec)
{
	const uint64_t one = 1;
	CHECK(exec < fake_drm.n_execs && fake_drm.execs[exec].fence_fd >= 0);
	CHECK_INT(write(fake_drm.execs[exec].fence_fd, &one, sizeof(one)), sizeof(one));
}

void fake_drm_send_bytes(const void *bytes, size_t len)
{
	CHECK_INT(write(fake_drm.events_fd, bytes, len), len);
}

void fake_drm_send_events(size_t n)
{
	struct drm_event events[32];
	CHECK(n <= 32);
	for (size_t i = 0; i < n; i++) {
		events[i] = (struct drm_event){.type = VIRTGPU_EVENT_FENCE_SIGNALED,
					       .length = sizeof(events[i])};
	}
	fake_drm_send_bytes(events, n * sizeof(events[0]));
}

/* --- ioctls --- */

static struct fake_bo *find_bo(uint32_t handle)
{
	CHECK(handle > 0 && handle <= fake_drm.n_bos && fake_drm.bos[handle - 1].open);
	return &fake_drm.bos[handle - 1];
}

static int get_param(const struct drm_virtgpu_getparam *get)
{
	uint32_t value = 1;
	if (get->param == VIRTGPU_PARAM_SUPPORTED_CAPSET_IDs) {
		value = 1u << XD_CAPSET_ID;
	} else if (get->param == VIRTGPU_PARAM_HOST_VISIBLE) {
		value = !fake_drm.no_window;
	}
	memcpy((void *)(uintptr_t)get->value, &value, sizeof(value));
	return 0;
}

static int create_blob(struct drm_virtgpu_resource_create_blob *create)
{
	CHECK(fake_drm.n_bos < FAKE_DRM_MAX);
	struct fake_bo *bo = &fake_drm.bos[fake_drm.n_bos++];
	CHECK_INT(create->size % 4096, 0);
	*bo = (struct fake_bo){.open = true, .create = *create};
	bo->memory_fd = memfd_create("bo", MFD_CLOEXEC);
	CHECK_INT(ftruncate(bo->memory_fd, (off_t)create->size), 0);
	create->bo_handle = (uint32_t)fake_drm.n_bos;
	create->res_handle = create->bo_handle + 100;
	return 0;
}

static int execute(struct drm_virtgpu_execbuffer *exec)
{
	CHECK(fake_drm.n_execs < FAKE_DRM_MAX);
	struct fake_exec *done = &fake_drm.execs[fake_drm.n_execs++];
	*done = (struct fake_exec){.flags = exec->flags,
				   .ring_idx = exec->ring_idx,
				   .size = exec->size,
				   .fence_fd = -1};
	memcpy(done->bytes, (void *)(uintptr_t)exec->command,
	       exec->size < sizeof(done->bytes) ? exec->size : sizeof(done->bytes));
	if (exec->flags & VIRTGPU_EXECBUF_FENCE_FD_OUT) {
		done->fence_fd = eventfd(0, EFD_CLOEXEC);
		exec->fence_fd = br_fd_dup(done->fence_fd);
		CHECK(exec->fence_fd >= 0);
	}
	return 0;
}

/* Both structs are the same. */
static int transfer(const struct drm_virtgpu_3d_transfer_to_host *rows, bool to_host)
{
	(void)find_bo(rows->bo_handle);
	CHECK_INT(rows->box.x | rows->box.y | rows->box.z, 0);
	CHECK_INT(rows->box.d, 1);
	fake_drm.transfers = realloc(fake_drm.transfers,
				     (fake_drm.n_transfers + 1) * sizeof(*fake_drm.transfers));
	CHECK(fake_drm.transfers != NULL);
	fake_drm.transfers[fake_drm.n_transfers++] = (struct fake_transfer){
		.to_host = to_host,
		.bo_handle = rows->bo_handle,
		.bytes = rows->box.w,
		.rows = rows->box.h,
		.offset = rows->offset,
		.stride = rows->stride,
	};
	return 0;
}

static int init_context(const struct drm_virtgpu_context_init *init)
{
	CHECK(init->num_params <= 8);
	fake_drm.n_params = init->num_params;
	memcpy(fake_drm.params, (void *)(uintptr_t)init->ctx_set_params,
	       init->num_params * sizeof(fake_drm.params[0]));
	return 0;
}

static int get_caps(const struct drm_virtgpu_get_caps *get)
{
	CHECK_INT(get->cap_set_id, XD_CAPSET_ID);
	CHECK(get->size <= sizeof(fake_drm.capset));
	memcpy((void *)(uintptr_t)get->addr, &fake_drm.capset, get->size);
	return 0;
}

static int map(struct drm_virtgpu_map *request)
{
	(void)find_bo(request->handle);
	request->offset = (uint64_t)request->handle << MAP_SHIFT;
	return 0;
}

static int info(struct drm_virtgpu_resource_info *request)
{
	request->res_handle = request->bo_handle + 100;
	return 0;
}

static int refuse(int err)
{
	errno = err;
	return -1;
}

static int get_cap(struct drm_get_cap *get)
{
	CHECK_INT(get->capability, DRM_CAP_SYNCOBJ_TIMELINE);
	get->value = !fake_drm.no_timelines;
	return 0;
}

static int import_syncobj(struct drm_syncobj_handle *import)
{
	CHECK_INT(import->flags, 0);
	if (import->fd != fake_drm.syncobj_fd) {
		return refuse(EINVAL);
	}
	import->handle = 7;
	fake_drm.syncobjs++;
	return 0;
}

static int destroy_syncobj(const struct drm_syncobj_destroy *destroy)
{
	CHECK(destroy->handle == 7 && fake_drm.syncobjs > 0);
	fake_drm.syncobjs--;
	return 0;
}

static int wait_syncobj(const struct drm_syncobj_eventfd *wait)
{
	if (fake_drm.no_syncobj_eventfd) {
		return refuse(EINVAL);
	}
	if (wait->handle != 7 || fake_drm.syncobjs == 0) {
		return refuse(ENOENT);
	}
	fake_drm.wait = *wait;
	return 0;
}

static int signal_syncobj(const struct drm_syncobj_timeline_array *array)
{
	CHECK_INT(array->count_handles, 1);
	CHECK_INT(*(const uint32_t *)(uintptr_t)array->handles, 7);
	fake_drm.signalled = *(const uint64_t *)(uintptr_t)array->points;
	return 0;
}

static int syncobj_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case DRM_IOCTL_GET_CAP:
		return get_cap(arg);
	case DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE:
		return import_syncobj(arg);
	case DRM_IOCTL_SYNCOBJ_DESTROY:
		return destroy_syncobj(arg);
	case DRM_IOCTL_SYNCOBJ_EVENTFD:
		return wait_syncobj(arg);
	case DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL:
		return signal_syncobj(arg);
	default:
		FAIL("ioctl 0x%lx is not expected", request);
	}
}

int __wrap_drmIoctl(int fd, unsigned long request, void *arg)
{
	CHECK(fd >= 0);
	if (request == fake_drm.fail_request && fake_drm.fail_after-- == 0) {
		fake_drm.fail_after = 0;
		fake_drm.fail_request = fake_drm.fail_always ? request : 0;
		errno = fake_drm.fail_errno;
		return -1;
	}
	switch (request) {
	case DRM_IOCTL_VIRTGPU_GETPARAM:
		return get_param(arg);
	case DRM_IOCTL_VIRTGPU_GET_CAPS:
		return get_caps(arg);
	case DRM_IOCTL_VIRTGPU_CONTEXT_INIT:
		return init_context(arg);
	case DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB:
		return create_blob(arg);
	case DRM_IOCTL_VIRTGPU_MAP:
		return map(arg);
	case DRM_IOCTL_VIRTGPU_RESOURCE_INFO:
		return info(arg);
	case DRM_IOCTL_VIRTGPU_EXECBUFFER:
		return execute(arg);
	case DRM_IOCTL_VIRTGPU_TRANSFER_TO_HOST:
		return transfer(arg, true);
	case DRM_IOCTL_VIRTGPU_TRANSFER_FROM_HOST:
		return transfer(arg, false);
	default:
		return syncobj_ioctl(request, arg);
	}
}

int __wrap_drmPrimeFDToHandle(int fd, int prime_fd, uint32_t *ret_handle)
{
	(void)fd, (void)prime_fd, (void)ret_handle;
	errno = ENODEV;
	return -1;
}

int __wrap_drmCloseBufferHandle(int fd, uint32_t handle)
{
	struct fake_bo *bo = find_bo(handle);
	CHECK(fd >= 0);
	bo->open = false;
	br_fd_clear(&bo->memory_fd);
	return 0;
}

drmVersionPtr __wrap_drmGetVersion(int fd)
{
	static char name[] = "virtio_gpu";
	static drmVersion version = {.name = name};
	return fd >= 0 ? &version : NULL;
}

void __wrap_drmFreeVersion(drmVersionPtr version)
{
	(void)version;
}

void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (offset >> MAP_SHIFT == 0) {
		return __real_mmap64(at, size, prot, flags, fd, offset);
	}
	struct fake_bo *bo = find_bo((uint32_t)(offset >> MAP_SHIFT));
	if (bo->create.blob_mem == fake_drm.fail_mmap_of) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	CHECK_INT(size, bo->create.size); /* the window maps nothing less */
	return __real_mmap64(at, size, prot, flags, bo->memory_fd, 0);
}
