/* SPDX-License-Identifier: MIT
 *
 * Resources: textures and buffers of VirGL, blobs, and memory of others. Their ids are the guest's choice.
 */
#ifndef HR_WORKER_RESOURCE_H
#define HR_WORKER_RESOURCE_H

#include <wayland-util.h>

#include "guest_memory.h"
#include "worker.h"

struct wk_context;

/** A resource, as the worker holds it. */
struct wk_object {
	uint32_t id;
	bool is_image;	      /* VirGL may know it as an image; else it is nothing but memory */
	bool is_host_memory;  /* made by a context for the guest to map */
	uint64_t image_bytes; /* counted in wk_worker.image_bytes */
	struct wk_pages pages;
	struct wl_list attachments; /* wk_attachment.resource_link */
	/* For reading it back. */
	void *map;	/* NULL: not mapped yet */
	size_t map_len; /* bytes */
	int map_fd;	/* a dma-buf, which has to be told of accesses; -1: none */
};

/** A resource that a context may use. libvirglrenderer, told so twice, would keep a dangling pointer. */
struct wk_attachment {
	struct wl_list context_link;  /* wk_context.attachments */
	struct wl_list resource_link; /* wk_object.attachments */
	struct wk_context *context;
};

/** Find by id. NULL if there is none. */
struct wk_object *wk_resource_find(const struct wk_worker *worker, uint32_t id);

/* Obey the requests of these names. They return 0; -ENOENT there is no such resource or context; -EEXIST the
 * id is in use; -EINVAL what was asked for makes no sense; -ENOSPC too many or too large; -EFAULT not in guest
 * memory; -ENODEV the context is lost; -ENOMEM; -EIO libvirglrenderer does not say why. */
int wk_resource_create_3d(struct wk_worker *worker, const struct wk_packet *packet);
int wk_resource_create_blob(struct wk_worker *worker, const struct wk_packet *packet);
int wk_resource_import(struct wk_worker *worker, const struct wk_packet *packet);
int wk_resource_unref(struct wk_worker *worker, const struct wk_packet *packet);
int wk_resource_attach(struct wk_worker *worker, const struct wk_packet *packet);
int wk_resource_detach(struct wk_worker *worker, const struct wk_packet *packet);
int wk_resource_attach_backing(struct wk_worker *worker, const struct wk_packet *packet);
int wk_resource_detach_backing(struct wk_worker *worker, const struct wk_packet *packet);
int wk_resource_transfer_to_host(struct wk_worker *worker, const struct wk_packet *packet);
int wk_resource_transfer_from_host(struct wk_worker *worker, const struct wk_packet *packet);

/** Detach all of a context that goes away. */
void wk_resource_detach_all(struct wk_context *context);

/** Free all. */
void wk_resources_finish(struct wk_worker *worker);

#endif
