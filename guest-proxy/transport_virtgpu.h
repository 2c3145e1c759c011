/* SPDX-License-Identifier: MIT
 *
 * Shared by the parts of the virtio-gpu backend: transport_virtgpu.c (contexts, commands, fences),
 * transport_virtgpu_node.c (the render node), transport_virtgpu_memory.c (resources).
 */
#ifndef GP_TRANSPORT_VIRTGPU_H
#define GP_TRANSPORT_VIRTGPU_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>

#include "cross_domain.h"
#include "transport.h"

struct virtgpu_transport;
struct wl_event_source;

#define GP_NODE_PATH_BYTES 64

/** Why a node can't be used, best first. */
enum gp_node_state {
	GP_NODE_USABLE,
	GP_NODE_NO_CHANNEL,  /* no cross-domain capset: its host is not causeway-host or alike */
	GP_NODE_OLD_KERNEL,  /* virtio-gpu without contexts, blobs or their queries */
	GP_NODE_NO_ACCESS,   /* EACCES */
	GP_NODE_NO_FILES,    /* not now: too many files are open, or no memory is left */
	GP_NODE_NOT_VIRTGPU, /* another driver's, or no render node */
};

/** What there is to know of a render node. */
struct gp_node {
	char path[GP_NODE_PATH_BYTES];
	enum gp_node_state state;
	bool window;		     /* host-visible */
	bool timelines;		     /* gp_node_has_timelines() */
	uint64_t device;	     /* its number */
	uint32_t capsets;	     /* mask of 1 << VIRTGPU_DRM_CAPSET_* */
	struct xd_capset_ext capset; /* of a usable one; zeroes behind what the host has */
};

/** Look at one node. Its state says what is wrong with it. */
void gp_node_probe(struct gp_node *node, const char *path);

/** Whether programs' timelines can be waited for: since Linux 6.6. */
bool gp_node_has_timelines(int fd);

/** Look at all of /dev/dri, and take the best: causeway-host's, else any host's; else the one that lacks
 * least. Returns false if there is no render node at all. */
bool gp_node_find(struct gp_node *ret_node);

/** Say in one line what is wrong with an unusable node, and how to mend it. node NULL: there is none. */
const char *gp_node_advice(const struct gp_node *node);

/** Open a usable node with a context for capset 5 on it. Returns the fd, the caller's, or -errno. */
int gp_node_open_context(const struct gp_node *node, uint32_t n_rings, const char *name);

/** A fenced command that is not done. */
struct virtgpu_fence {
	struct wl_list link; /* virtgpu_context.polls or .fences */
	struct virtgpu_context *context;
	int fence_fd; /* sync_file; -1: the DRM fd's events tell */
	struct wl_event_source *source;
	gp_fence_fn done;
	void *data;
};

/** A context of this backend: a DRM fd of its own. depth counts the callbacks on the stack: while it is
 * not 0, a destroyed context stays as a shell. */
struct virtgpu_context {
	struct gp_context base;
	struct wl_list link; /* virtgpu_transport.contexts */
	struct virtgpu_transport *transport;
	int drm_fd;
	struct wl_event_source *source;
	struct wl_event_source *ready_idle; /* NULL once ready */
	const struct gp_context_events *events;
	void *data;
	struct wl_list polls;  /* virtgpu_fence.link: on the channel's ring, oldest first */
	struct wl_list fences; /* virtgpu_fence.link: with an fd each */
	/* By GEM handle of drm_fd: how many resources have it. The kernel gives the same handle for the
	 * same memory each time. */
	uint32_t *bo_refs;
	uint32_t n_bo_refs;
	unsigned depth;
	bool lost, destroyed;
};

struct virtgpu_transport {
	struct gp_transport base;
	struct gp_transport_options options;
	struct gp_node node;
	struct wl_list contexts;
	uint8_t *command; /* XD_MAX_CMD_BYTES: the kernel takes one piece */
};

/** Submit a command; see gp_context_submit(). */
int virtgpu_submit(struct gp_context *base, const struct gp_submit *submit);

/* transport_virtgpu_memory.c, transport_virtgpu_timeline.c: see struct gp_transport_ops. */
int virtgpu_create_guest(struct gp_context *base, int fd, uint64_t size,
			 struct gp_resource **ret_resource);
int virtgpu_create_host(struct gp_context *base, uint32_t blob_id, uint64_t size,
			enum gp_host_memory kind, gp_resource_fn done, void *data);
int virtgpu_import(struct gp_context *base, int fd, struct gp_resource **ret_resource);
int virtgpu_timeline_import(struct gp_context *base, int fd, uint32_t *ret_handle);
void virtgpu_timeline_destroy(struct gp_context *base, uint32_t handle);
int virtgpu_timeline_wait(struct gp_context *base, uint32_t handle, uint64_t point, int event_fd);
int virtgpu_timeline_signal(struct gp_context *base, uint32_t handle, uint64_t point);
int virtgpu_resource_transfer(struct gp_resource *resource, const struct gp_rows *rows);
void virtgpu_resource_destroy(struct gp_resource *resource);

#endif
