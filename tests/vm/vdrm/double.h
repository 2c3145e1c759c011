/* SPDX-License-Identifier: MIT
 *
 * libvirglrenderer.so.1 with native contexts of a GPU that does not exist: what a worker loads in tests, in
 * place of a virglrenderer that has native contexts and a GPU for them. Written from virglrenderer.h.
 *
 * virgl.c has the library's interface: contexts and resources; ring.c queues that do their work later, each
 * in a thread of its own, from which fences come; memory.c memory that others can map. A driver (crayon.c, or
 * asahi.c for $VDRM_DOUBLE = asahi) has commands. One thread calls the library, as with the real one; threads
 * of rings touch only rings and memory.
 */
#ifndef VDRM_DOUBLE_H
#define VDRM_DOUBLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "vdrm_wire.h"

#define VD_MAX_RINGS 64

/** Memory, counted: of objects, resources and jobs. */
struct vd_memory {
	_Atomic unsigned refs;
	int fd;		  /* sealed: it can't shrink */
	uint8_t *map;	  /* size bytes */
	uint64_t size;	  /* bytes */
	bool private_one; /* nobody else may have it */
};

/** What a driver's command has made, and a blob can be made of. */
struct vd_object {
	LIST_ENTRY(vd_object) link; /* vd_context.objects */
	uint64_t blob_id;
	struct vd_memory *memory;
};

/** A resource. */
struct vd_resource {
	LIST_ENTRY(vd_resource) link;
	uint32_t id;
	uint32_t fd_type;	  /* VIRGL_RENDERER_BLOB_FD_TYPE_* */
	struct vd_memory *memory; /* NULL: the guest's pages */
};

/** A resource that a context may use. */
struct vd_attachment {
	LIST_ENTRY(vd_attachment) link; /* vd_context.attachments */
	struct vd_resource *resource;
};

/** Something to be done by a ring's thread. */
struct vd_job {
	STAILQ_ENTRY(vd_job) link;	 /* vd_ring.jobs */
	uint32_t gate;			 /* not before the context's gate is this far */
	void (*run)(struct vd_job *job); /* NULL: a fence. Frees the job */
	uint64_t fence_id;
};

struct vd_ring;

/** A context. */
struct vd_context {
	LIST_ENTRY(vd_context) link;
	uint32_t id;
	const struct vd_driver *driver;
	struct vd_memory *shmem; /* NULL: not asked for yet */
	LIST_HEAD(, vd_object) objects;
	LIST_HEAD(, vd_attachment) attachments;
	struct vd_ring *rings[VD_MAX_RINGS]; /* NULL: nothing was submitted to it */
	/* What follows is also the rings' threads'. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t gate;
	bool ending;
};

/** A kind of GPU. */
struct vd_driver {
	void (*fill_caps)(struct vdrm_capset *capset);
	/** Obey a command, of len bytes, which the guest chose. Returns 0 or -errno. */
	int (*obey)(struct vd_context *context, const struct vdrm_request *request);
};

extern const struct vd_driver vd_crayon;
/** Only where the kernel's headers know that GPU. */
extern const struct vd_driver vd_asahi __attribute__((weak));

/** Returns NULL if memory is out or the size makes no sense. */
struct vd_memory *vd_memory_create(uint64_t size);
struct vd_memory *vd_memory_ref(struct vd_memory *memory);
void vd_memory_unref(struct vd_memory *memory); /* NULL: nothing */
/** An fd that others can map: a dma-buf where the kernel (or a fixture) makes one of it, else a memfd. The
 * caller owns it. Returns -errno. */
int vd_memory_export(const struct vd_memory *memory);

/** Find what a context may use. NULL: nothing. Valid until it is detached. */
struct vd_memory *vd_find_attached(const struct vd_context *context, uint32_t res_id);
/** Make an object. Takes the reference to its memory. Returns 0, -EEXIST, -ENOMEM. */
int vd_object_add(struct vd_context *context, uint64_t blob_id, struct vd_memory *memory);
/** Answer a command: bytes with a struct vdrm_response at the start. Returns 0 or -EINVAL. */
int vd_answer(const struct vd_context *context, const struct vdrm_request *request,
	      const void *bytes, uint32_t size);

/** Queue a job; the ring is started if need be. Takes the job. Returns 0 or -errno; then it is still the
 * caller's. */
int vd_ring_add(struct vd_context *context, uint32_t ring_idx, struct vd_job *job);
/** Queue a fence. Returns 0; -EINVAL nothing was ever submitted to the ring; -ENOMEM. */
int vd_ring_fence(struct vd_context *context, uint32_t ring_idx, uint64_t fence_id);
/** Let jobs go on that wait for a gate. */
void vd_open_gate(struct vd_context *context, uint32_t value);
/** End all rings: what waits is done at once. */
void vd_rings_finish(struct vd_context *context);
/** Tell the library's caller of a fence; from any thread. */
void vd_fence_done(uint32_t ctx_id, uint32_t ring_idx, uint64_t fence_id);

#endif
