/* SPDX-License-Identifier: MIT
 *
 * The kernel's virtio-gpu for tests of transport_virtgpu*.c: the linker replaces libdrm's calls (--wrap).
 * The node is a FIFO, in which the test writes events; memory is a memfd for each object; the fence of
 * a command is an eventfd, which the test signals. One context at a time.
 */
#ifndef TEST_FAKE_DRM_H
#define TEST_FAKE_DRM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xf86drm.h>

#include <drm/virtgpu_drm.h>

#include "cross_domain.h"

#define FAKE_DRM_MAX 64
/* As a test's meson.build names them. */
#define FAKE_DRM_COMMAND_BYTES 1024

/** A GEM object; its handle is its place plus 1, its resource id 100 more. */
struct fake_bo {
	bool open;
	int memory_fd; /* owned */
	struct drm_virtgpu_resource_create_blob create;
};

/** A command that was executed. */
struct fake_exec {
	uint32_t flags, ring_idx, size;
	uint8_t bytes[FAKE_DRM_COMMAND_BYTES]; /* the first ones */
	int fence_fd;			       /* owned: the other end of the fence; -1 */
};

/** Rows that were asked for, either way. */
struct fake_transfer {
	bool to_host;
	uint32_t bo_handle, bytes, rows, offset, stride;
};

struct fake_drm {
	char dir[32], path[64];
	int events_fd; /* owned */
	/* Settings */
	struct xd_capset_ext capset;
	bool no_window;
	bool no_timelines;	    /* DRM_CAP_SYNCOBJ_TIMELINE is 0 ... */
	bool no_syncobj_eventfd;    /* ... or the kernel is older than Linux 6.6 */
	unsigned long fail_request; /* this ioctl fails ... */
	unsigned fail_after;	    /* ... behind so many of its kind */
	bool fail_always;	    /* ... from then on; else once */
	int fail_errno;
	uint32_t fail_mmap_of; /* blob_mem; 0: none */
	/* What was done */
	struct drm_virtgpu_context_set_param params[8];
	uint32_t n_params;
	struct fake_bo bos[FAKE_DRM_MAX];
	size_t n_bos; /* ever */
	struct fake_exec execs[FAKE_DRM_MAX];
	size_t n_execs;
	struct fake_transfer *transfers; /* owned */
	size_t n_transfers;
	int syncobj_fd;			 /* imported; -1: no timeline, which an import refuses */
	uint32_t syncobjs;		 /* that are open */
	struct drm_syncobj_eventfd wait; /* last */
	uint64_t signalled;		 /* last point */
};

extern struct fake_drm fake_drm;

/** Make the node. A capset of causeway-host's. */
void fake_drm_start(void);
/** Check that no object is open any more, and remove everything. */
void fake_drm_finish(void);
/** The fence of a command, by its place, ends. */
void fake_drm_signal(size_t exec);
/** Send n events that the fence of a ring has ended, in one piece. */
void fake_drm_send_events(size_t n);
/** Send bytes as they are. */
void fake_drm_send_bytes(const void *bytes, size_t len);
size_t fake_drm_count_open(void);

#endif
