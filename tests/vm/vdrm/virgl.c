/* SPDX-License-Identifier: MIT */
#define VIRGL_RENDERER_UNSTABLE_APIS

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <virglrenderer.h>

#include "double.h"

/* Drivers have words of their own behind a struct vdrm_shmem. */
#define RSP_MEM_OFFSET 64u

static struct {
	bool started;
	void *cookie;
	struct virgl_renderer_callbacks callbacks;
	virgl_log_callback_type log;
	void *log_data;
	const struct vd_driver *driver;
	LIST_HEAD(, vd_context) contexts;
	LIST_HEAD(, vd_resource) resources;
} state;

static void say(enum virgl_log_level_flags level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(enum virgl_log_level_flags level, const char *fmt, ...)
{
	char text[200];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (state.log != NULL) {
		state.log(level, text, state.log_data);
	}
}

void virgl_set_log_callback(virgl_log_callback_type log, void *data,
			    virgl_free_data_callback_type free_data)
{
	(void)free_data;
	state.log = log;
	state.log_data = data;
}

static struct vd_context *find_context(uint32_t id)
{
	struct vd_context *context;
	LIST_FOREACH(context, &state.contexts, link)
	{
		if (context->id == id) {
			return context;
		}
	}
	return NULL;
}

static struct vd_resource *find_resource(uint32_t id)
{
	struct vd_resource *resource;
	LIST_FOREACH(resource, &state.resources, link)
	{
		if (resource->id == id) {
			return resource;
		}
	}
	return NULL;
}

/* --- life --- */

/* Returns NULL if it is not there. */
static const struct vd_driver *choose_driver(void)
{
	const char *gpu = getenv("VDRM_DOUBLE");
	return gpu != NULL && strcmp(gpu, "asahi") == 0 ? &vd_asahi : &vd_crayon;
}

/* As the real one: native contexts need fences from threads, and one kind that fails makes all fail. */
int virgl_renderer_init(void *cookie, int flags, struct virgl_renderer_callbacks *callbacks)
{
	const int needed = VIRGL_RENDERER_DRM | VIRGL_RENDERER_ASYNC_FENCE_CB |
			   VIRGL_RENDERER_THREAD_SYNC | VIRGL_RENDERER_USE_EXTERNAL_BLOB |
			   VIRGL_RENDERER_NO_VIRGL;
	if (state.started) {
		return -EBUSY;
	}
	if ((flags & needed) != needed || flags & VIRGL_RENDERER_VENUS || callbacks->version < 3) {
		say(VIRGL_LOG_LEVEL_ERROR, "the test double has nothing but native contexts");
		return -1;
	}
	if (choose_driver() == NULL) {
		say(VIRGL_LOG_LEVEL_ERROR, "the test double has no such GPU");
		return -1;
	}
	state.started = true;
	state.cookie = cookie;
	state.callbacks = *callbacks;
	state.driver = choose_driver();
	return 0;
}

void virgl_renderer_cleanup(void *cookie)
{
	(void)cookie;
	while (!LIST_EMPTY(&state.contexts)) {
		virgl_renderer_context_destroy(LIST_FIRST(&state.contexts)->id);
	}
	while (!LIST_EMPTY(&state.resources)) {
		virgl_renderer_resource_unref(LIST_FIRST(&state.resources)->id);
	}
	state.started = false;
}

void virgl_renderer_get_cap_set(uint32_t set, uint32_t *version, uint32_t *size)
{
	*version = 0;
	*size = set == VDRM_CAPSET_ID ? sizeof(struct vdrm_capset) : 0;
}

void virgl_renderer_fill_caps(uint32_t set, uint32_t version, void *caps)
{
	struct vdrm_capset capset = {.wire_format_version = 2};
	(void)version;
	if (set == VDRM_CAPSET_ID && state.started) {
		state.driver->fill_caps(&capset);
		memcpy(caps, &capset, sizeof(capset));
	}
}

int virgl_renderer_get_poll_fd(void)
{
	return -1;
}

void virgl_renderer_poll(void)
{
}

void virgl_renderer_force_ctx_0(void)
{
}

/* --- contexts --- */

int virgl_renderer_context_create_with_flags(uint32_t id, uint32_t flags, uint32_t n,
					     const char *name)
{
	(void)n;
	(void)name;
	if (id == 0 || find_context(id) != NULL ||
	    (flags & VIRGL_RENDERER_CONTEXT_FLAG_CAPSET_ID_MASK) != VDRM_CAPSET_ID) {
		return EINVAL;
	}
	struct vd_context *context = calloc(1, sizeof(*context));
	if (context == NULL) {
		return ENOMEM;
	}
	context->id = id;
	context->driver = state.driver;
	pthread_mutex_init(&context->lock, NULL);
	pthread_cond_init(&context->changed, NULL);
	LIST_INSERT_HEAD(&state.contexts, context, link);
	return 0;
}

static void detach(struct vd_attachment *attachment)
{
	LIST_REMOVE(attachment, link);
	free(attachment);
}

void virgl_renderer_context_destroy(uint32_t id)
{
	struct vd_context *context = find_context(id);
	if (context == NULL) {
		return;
	}
	vd_rings_finish(context);
	while (!LIST_EMPTY(&context->attachments)) {
		detach(LIST_FIRST(&context->attachments));
	}
	while (!LIST_EMPTY(&context->objects)) {
		struct vd_object *object = LIST_FIRST(&context->objects);
		LIST_REMOVE(object, link);
		vd_memory_unref(object->memory);
		free(object);
	}
	vd_memory_unref(context->shmem);
	LIST_REMOVE(context, link);
	pthread_cond_destroy(&context->changed);
	pthread_mutex_destroy(&context->lock);
	free(context);
}

int vd_object_add(struct vd_context *context, uint64_t blob_id, struct vd_memory *memory)
{
	struct vd_object *object;
	LIST_FOREACH(object, &context->objects, link)
	{
		if (object->blob_id == blob_id) {
			vd_memory_unref(memory);
			return -EEXIST;
		}
	}
	object = calloc(1, sizeof(*object));
	if (object == NULL) {
		vd_memory_unref(memory);
		return -ENOMEM;
	}
	object->blob_id = blob_id;
	object->memory = memory;
	LIST_INSERT_HEAD(&context->objects, object, link);
	return 0;
}

int vd_answer(const struct vd_context *context, const struct vdrm_request *request,
	      const void *bytes, uint32_t size)
{
	const uint64_t start = RSP_MEM_OFFSET + (uint64_t)request->rsp_off;
	if (context->shmem == NULL || start + size > context->shmem->size) {
		return -EINVAL;
	}
	memcpy(context->shmem->map + start, bytes, size);
	return 0;
}

static void show_seqno(const struct vd_context *context, uint32_t seqno)
{
	if (context->shmem != NULL) {
		struct vdrm_shmem *shmem = (struct vdrm_shmem *)context->shmem->map;
		atomic_store((_Atomic uint32_t *)&shmem->seqno, seqno);
	}
}

int virgl_renderer_submit_cmd(void *buffer, int ctx_id, int n_dwords)
{
	struct vd_context *context = find_context((uint32_t)ctx_id);
	size_t left = (size_t)n_dwords * 4;
	const uint8_t *at = buffer;
	if (context == NULL || (uintptr_t)buffer % 8 != 0) {
		return EFAULT;
	}
	while (left > 0) {
		const struct vdrm_request *request = (const struct vdrm_request *)at;
		if (left < sizeof(*request) || request->len < sizeof(*request) ||
		    request->len > left || request->len % 4 != 0) {
			say(VIRGL_LOG_LEVEL_ERROR, "context %d: not a command", ctx_id);
			return EINVAL;
		}
		int ret = context->driver->obey(context, request);
		if (ret < 0) {
			say(VIRGL_LOG_LEVEL_ERROR, "context %d: command %u: %s", ctx_id,
			    request->cmd, strerror(-ret));
			return ret;
		}
		show_seqno(context, request->seqno);
		at += request->len;
		left -= request->len;
	}
	return 0;
}

void vd_fence_done(uint32_t ctx_id, uint32_t ring_idx, uint64_t fence_id)
{
	state.callbacks.write_context_fence(state.cookie, ctx_id, ring_idx, fence_id);
}

/* Ring 0 is the CPU: what was submitted is done. */
int virgl_renderer_context_create_fence(uint32_t ctx_id, uint32_t flags, uint32_t ring_idx,
					uint64_t fence_id)
{
	struct vd_context *context = find_context(ctx_id);
	(void)flags;
	if (context == NULL) {
		return -EINVAL;
	}
	if (ring_idx == 0) {
		vd_fence_done(ctx_id, ring_idx, fence_id);
		return 0;
	}
	return vd_ring_fence(context, ring_idx, fence_id);
}

int virgl_renderer_create_fence(int fence_id, uint32_t ctx_id)
{
	(void)fence_id;
	(void)ctx_id;
	return EINVAL;
}

/* --- resources --- */

static int add_resource(uint32_t id, uint32_t fd_type, struct vd_memory *memory)
{
	struct vd_resource *resource = calloc(1, sizeof(*resource));
	if (resource == NULL) {
		return -ENOMEM;
	}
	resource->id = id;
	resource->fd_type = fd_type;
	resource->memory = memory != NULL ? vd_memory_ref(memory) : NULL;
	LIST_INSERT_HEAD(&state.resources, resource, link);
	return 0;
}

static int create_shmem(struct vd_context *context,
			const struct virgl_renderer_resource_create_blob_args *args)
{
	if (context->shmem != NULL) {
		say(VIRGL_LOG_LEVEL_ERROR, "context %u: there can be only one", context->id);
		return -EINVAL;
	}
	if (args->blob_flags != VIRGL_RENDERER_BLOB_FLAG_USE_MAPPABLE ||
	    args->size <= RSP_MEM_OFFSET) {
		return -EINVAL;
	}
	context->shmem = vd_memory_create(args->size);
	if (context->shmem == NULL) {
		return -ENOMEM;
	}
	((struct vdrm_shmem *)context->shmem->map)->rsp_mem_offset = RSP_MEM_OFFSET;
	return add_resource(args->res_handle, VIRGL_RENDERER_BLOB_FD_TYPE_SHM, context->shmem);
}

/* An object becomes a resource once, and is then no more than that. */
static int create_of_object(struct vd_context *context,
			    const struct virgl_renderer_resource_create_blob_args *args)
{
	struct vd_object *object;
	LIST_FOREACH(object, &context->objects, link)
	{
		if (object->blob_id == args->blob_id) {
			break;
		}
	}
	if (object == NULL || args->size > object->memory->size) {
		return -EINVAL;
	}
	int ret =
		add_resource(args->res_handle, VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF, object->memory);
	if (ret == 0) {
		LIST_REMOVE(object, link);
		vd_memory_unref(object->memory);
		free(object);
	}
	return ret;
}

int virgl_renderer_resource_create_blob(const struct virgl_renderer_resource_create_blob_args *args)
{
	struct vd_context *context = find_context(args->ctx_id);
	if (args->res_handle == 0 || find_resource(args->res_handle) != NULL) {
		return -EINVAL;
	}
	if (args->blob_mem == VIRGL_RENDERER_BLOB_MEM_GUEST) {
		return add_resource(args->res_handle, 0, NULL);
	}
	if (context == NULL || args->blob_mem != VIRGL_RENDERER_BLOB_MEM_HOST3D) {
		return -EINVAL;
	}
	return args->blob_id == 0 ? create_shmem(context, args) : create_of_object(context, args);
}

/* The fd is the library's only if it works. */
int virgl_renderer_resource_import_blob(const struct virgl_renderer_resource_import_blob_args *args)
{
	struct vd_memory *memory = calloc(1, sizeof(*memory));
	if (memory == NULL || find_resource(args->res_handle) != NULL) {
		free(memory);
		return -EINVAL;
	}
	memory->refs = 1;
	memory->size = args->size;
	memory->fd = fcntl(args->fd, F_DUPFD_CLOEXEC, 3);
	memory->map = mmap(NULL, args->size, PROT_READ | PROT_WRITE, MAP_SHARED, args->fd, 0);
	if (memory->map == MAP_FAILED || memory->fd < 0) {
		free(memory);
		return -EINVAL;
	}
	int ret = add_resource(args->res_handle, args->fd_type, memory);
	vd_memory_unref(memory);
	if (ret == 0) {
		close(args->fd);
	}
	return ret;
}

void virgl_renderer_resource_unref(uint32_t id)
{
	struct vd_resource *resource = find_resource(id);
	struct vd_context *context;
	if (resource == NULL) {
		return;
	}
	LIST_FOREACH(context, &state.contexts, link)
	{
		virgl_renderer_ctx_detach_resource((int)context->id, (int)id);
	}
	LIST_REMOVE(resource, link);
	vd_memory_unref(resource->memory);
	free(resource);
}

static struct vd_attachment *find_attachment(const struct vd_context *context, uint32_t id)
{
	struct vd_attachment *attachment;
	LIST_FOREACH(attachment, &context->attachments, link)
	{
		if (attachment->resource->id == id) {
			return attachment;
		}
	}
	return NULL;
}

struct vd_memory *vd_find_attached(const struct vd_context *context, uint32_t res_id)
{
	struct vd_attachment *attachment = find_attachment(context, res_id);
	return attachment != NULL ? attachment->resource->memory : NULL;
}

void virgl_renderer_ctx_attach_resource(int ctx_id, int id)
{
	struct vd_context *context = find_context((uint32_t)ctx_id);
	struct vd_resource *resource = find_resource((uint32_t)id);
	struct vd_attachment *attachment;
	if (context == NULL || resource == NULL || find_attachment(context, (uint32_t)id) != NULL) {
		return;
	}
	attachment = calloc(1, sizeof(*attachment));
	if (attachment != NULL) {
		attachment->resource = resource;
		LIST_INSERT_HEAD(&context->attachments, attachment, link);
	}
}

void virgl_renderer_ctx_detach_resource(int ctx_id, int id)
{
	struct vd_context *context = find_context((uint32_t)ctx_id);
	struct vd_attachment *attachment =
		context != NULL ? find_attachment(context, (uint32_t)id) : NULL;
	if (attachment != NULL) {
		detach(attachment);
	}
}

int virgl_renderer_resource_get_map_info(uint32_t id, uint32_t *map_info)
{
	struct vd_resource *resource = find_resource(id);
	if (resource == NULL || resource->memory == NULL) {
		return -EINVAL;
	}
	*map_info = VIRGL_RENDERER_MAP_CACHE_CACHED;
	return 0;
}

int virgl_renderer_resource_export_blob(uint32_t id, uint32_t *fd_type, int *fd)
{
	struct vd_resource *resource = find_resource(id);
	if (resource == NULL || resource->memory == NULL || resource->memory->private_one) {
		return -EINVAL;
	}
	if (resource->fd_type == VIRGL_RENDERER_BLOB_FD_TYPE_SHM) {
		*fd = fcntl(resource->memory->fd, F_DUPFD_CLOEXEC, 3);
	} else {
		*fd = vd_memory_export(resource->memory);
	}
	*fd_type = resource->fd_type;
	return *fd >= 0 ? 0 : -EINVAL;
}

int virgl_renderer_resource_attach_iov(int id, struct iovec *iov, int n)
{
	(void)iov;
	(void)n;
	return find_resource((uint32_t)id) != NULL ? 0 : EINVAL;
}

void virgl_renderer_resource_detach_iov(int id, struct iovec **iov, int *n)
{
	(void)id;
	(void)iov;
	(void)n;
}

/* --- VirGL, which is not here --- */

int virgl_renderer_resource_create(struct virgl_renderer_resource_create_args *args,
				   struct iovec *iov, uint32_t n)
{
	(void)args;
	(void)iov;
	(void)n;
	return EINVAL;
}

int virgl_renderer_resource_get_info(int id, struct virgl_renderer_resource_info *info)
{
	(void)id;
	(void)info;
	return EINVAL;
}

int virgl_renderer_execute(void *args, uint32_t size)
{
	(void)args;
	(void)size;
	return -EINVAL;
}

int virgl_renderer_transfer_read_iov(uint32_t id, uint32_t ctx_id, uint32_t level, uint32_t stride,
				     uint32_t layer_stride, struct virgl_box *box, uint64_t offset,
				     struct iovec *iov, int n)
{
	(void)id, (void)ctx_id, (void)level, (void)stride, (void)layer_stride;
	(void)box, (void)offset, (void)iov, (void)n;
	return EINVAL;
}

int virgl_renderer_transfer_write_iov(uint32_t id, uint32_t ctx_id, int level, uint32_t stride,
				      uint32_t layer_stride, struct virgl_box *box, uint64_t offset,
				      struct iovec *iov, unsigned int n)
{
	(void)id, (void)ctx_id, (void)level, (void)stride, (void)layer_stride;
	(void)box, (void)offset, (void)iov, (void)n;
	return EINVAL;
}
