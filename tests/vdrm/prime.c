/* SPDX-License-Identifier: MIT
 *
 * What Mesa's drm-shim lacks of a GPU for virglrenderer's native contexts, preloaded in front of it: memory that
 * can be exported (a memfd each, which stands for the dma-buf), sync files (an eventfd that is signalled), and
 * virtual machines and queues that are not numbered 0. For asahi. Source: <drm/drm.h>, <drm/asahi_drm.h>,
 * <linux/dma-buf.h>.
 */
#include <dlfcn.h>
#include <drm/asahi_drm.h>
#include <drm/drm.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...);

/* A buffer object of a node's fd. */
struct object {
	LIST_ENTRY(object) link; /* objects */
	int node_fd;
	uint32_t handle;
	int memfd;
};

static LIST_HEAD(, object) objects = LIST_HEAD_INITIALIZER(objects);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int call(int fd, unsigned long request, void *arg)
{
	static int (*real)(int, unsigned long, ...);
	if (real == NULL) {
		real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	}
	return real(fd, request, arg);
}

static int fail(int err)
{
	errno = err;
	return -1;
}

/* With lock held. */
static struct object *find(int node_fd, uint32_t handle)
{
	struct object *object;
	LIST_FOREACH(object, &objects, link)
	{
		if (object->node_fd == node_fd && object->handle == handle) {
			return object;
		}
	}
	return NULL;
}

/* With lock held. */
static void forget(int node_fd, uint32_t handle)
{
	struct object *object = find(node_fd, handle);
	if (object != NULL) {
		LIST_REMOVE(object, link);
		close(object->memfd);
		free(object);
	}
}

/* As udmabuf wants it: it can't shrink. */
static int make_memory(uint64_t size)
{
	int fd = memfd_create("prime", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 &&
	    (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* A handle of an fd that is used once more is another object. */
static int remember(int node_fd, const struct drm_asahi_gem_create *create)
{
	struct object *object = calloc(1, sizeof(*object));
	int memfd = object != NULL ? make_memory(create->size) : -1;
	if (memfd < 0) {
		free(object);
		return fail(ENOMEM);
	}
	*object = (struct object){.node_fd = node_fd, .handle = create->handle, .memfd = memfd};
	pthread_mutex_lock(&lock);
	forget(node_fd, create->handle);
	LIST_INSERT_HEAD(&objects, object, link);
	pthread_mutex_unlock(&lock);
	return 0;
}

static int handle_to_fd(int node_fd, struct drm_prime_handle *prime)
{
	pthread_mutex_lock(&lock);
	struct object *object = find(node_fd, prime->handle);
	prime->fd = object != NULL ? fcntl(object->memfd, F_DUPFD_CLOEXEC, 3) : -1;
	pthread_mutex_unlock(&lock);
	return prime->fd >= 0 ? 0 : fail(ENOENT);
}

static bool is_same_file(int a, int b)
{
	struct stat left, right;
	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_dev == right.st_dev &&
	       left.st_ino == right.st_ino;
}

/* Only what is the same fd's own. */
static int fd_to_handle(int node_fd, struct drm_prime_handle *prime)
{
	struct object *object;
	int ret = -1;
	pthread_mutex_lock(&lock);
	LIST_FOREACH(object, &objects, link)
	{
		if (object->node_fd == node_fd && is_same_file(object->memfd, prime->fd)) {
			prime->handle = object->handle;
			ret = 0;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	return ret == 0 ? 0 : fail(EINVAL);
}

static uint32_t number(uint32_t given)
{
	static _Atomic uint32_t last = 1000;
	return given != 0 ? given : ++last;
}

static int signalled(void)
{
	return eventfd(1, EFD_CLOEXEC);
}

static int after(int fd, unsigned long request, void *arg)
{
	switch (request) {
	case DRM_IOCTL_ASAHI_GEM_CREATE:
		return remember(fd, arg);
	case DRM_IOCTL_ASAHI_VM_CREATE:
		((struct drm_asahi_vm_create *)arg)->vm_id =
			number(((struct drm_asahi_vm_create *)arg)->vm_id);
		return 0;
	case DRM_IOCTL_ASAHI_QUEUE_CREATE:
		((struct drm_asahi_queue_create *)arg)->queue_id =
			number(((struct drm_asahi_queue_create *)arg)->queue_id);
		return 0;
	case DRM_IOCTL_GEM_CLOSE:
		pthread_mutex_lock(&lock);
		forget(fd, ((struct drm_gem_close *)arg)->handle);
		pthread_mutex_unlock(&lock);
		return 0;
	default:
		return 0;
	}
}

/* Requests of the same number and another size are of older or newer headers. */
static bool is(unsigned long request, unsigned long known)
{
	return _IOC_TYPE(request) == _IOC_TYPE(known) && _IOC_NR(request) == _IOC_NR(known);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	if (is(request, DRM_IOCTL_PRIME_HANDLE_TO_FD)) {
		return handle_to_fd(fd, arg);
	}
	if (is(request, DRM_IOCTL_PRIME_FD_TO_HANDLE)) {
		return fd_to_handle(fd, arg);
	}
	if (is(request, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD)) {
		((struct drm_syncobj_handle *)arg)->fd = signalled();
		return 0;
	}
	if (is(request, DMA_BUF_IOCTL_EXPORT_SYNC_FILE)) {
		((struct dma_buf_export_sync_file *)arg)->fd = signalled();
		return 0;
	}
	if (is(request, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE) ||
	    is(request, DMA_BUF_IOCTL_IMPORT_SYNC_FILE) || is(request, DMA_BUF_IOCTL_SYNC)) {
		return 0;
	}
	int ret = call(fd, request, arg);
	return ret == 0 ? after(fd, request, arg) : ret;
}
