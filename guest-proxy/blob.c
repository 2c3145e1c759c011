/* SPDX-License-Identifier: MIT
 *
 * Memory of the host for the guest to write into: asked for as an image of one-byte pixels, because
 * that is the request which every host knows. Answers are kept: an image's memory can be made any
 * number of times from one answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "channel_private.h"
#include "limits.h"

#define IMAGE_WIDTH 4096	  /* bytes in a row */
#define DRM_FORMAT_R8 0x20203852u /* drm_fourcc.h: 'R','8',' ',' ' */
#define GBM_BO_USE_SCANOUT 1u	  /* gbm.h; other guests ask for both */
#define GBM_BO_USE_LINEAR 16u

/** A blob with its resource. */
struct blob {
	struct gp_blob base;
	struct wl_list link;	      /* gp_channel.blobs; empty once the channel is gone */
	struct gp_resource *resource; /* owned; NULL once the channel is gone */
};

/** A blob that was asked for. */
struct allocation {
	struct wl_list link; /* gp_channel.allocations; empty once the memory is being made */
	struct gp_channel *channel;
	uint32_t rows;
	uint64_t size; /* bytes asked for */
	gp_blob_done done;
	void *data;
};

static void ask_next(struct gp_channel *channel);

struct gp_blob *gp_blob_ref(struct gp_blob *blob)
{
	blob->refs++;
	return blob;
}

struct gp_blob *gp_blob_unref(struct gp_blob *base)
{
	struct blob *blob = (struct blob *)base;
	if (blob == NULL || --blob->base.refs > 0) {
		return NULL;
	}
	wl_list_remove(&blob->link);
	if (blob->resource != NULL) {
		gp_resource_destroy(blob->resource);
	} else if (blob->base.map != NULL) {
		(void)munmap(blob->base.map, blob->base.size);
	}
	free(blob);
	return NULL;
}

static void finish(struct allocation *allocation, int err, struct gp_blob *blob)
{
	wl_list_remove(&allocation->link);
	allocation->done(allocation->data, err, blob);
	free(allocation);
}

/* The host has memory of its own: it gets what was written, ahead of the messages that tell of it. */
static int handle_written(struct gp_blob *base, const struct gp_rows *rows)
{
	struct blob *blob = (struct blob *)base;
	return blob->resource != NULL ? gp_resource_transfer(blob->resource, rows) : 0;
}

/* Takes the resource, in any case. */
static struct blob *blob_new(struct gp_channel *channel, struct gp_resource *resource)
{
	struct blob *blob = calloc(1, sizeof(*blob));
	if (blob == NULL) {
		gp_resource_destroy(resource);
		return NULL;
	}
	blob->base = (struct gp_blob){
		.refs = 1, .res_id = resource->id, .size = resource->size, .map = resource->map};
	blob->base.written = resource->needs_transfer ? handle_written : NULL;
	blob->resource = resource;
	wl_list_insert(&channel->blobs, &blob->link);
	return blob;
}

uint64_t gp_channel_render_node(const struct gp_channel *channel)
{
	return channel->transport->caps.render_node;
}

int gp_channel_import(struct gp_channel *channel, int fd, struct gp_blob **ret_blob)
{
	struct gp_resource *resource;
	if (channel->closed || channel->destroyed || !channel->started) {
		return -ENOTCONN;
	}
	if (gp_channel_render_node(channel) == 0) {
		return -ENODEV;
	}
	int ret = gp_resource_import(channel->context, fd, &resource);
	if (ret < 0) {
		return ret;
	}
	struct blob *blob = blob_new(channel, resource);
	if (blob == NULL) {
		return -ENOMEM;
	}
	*ret_blob = &blob->base;
	return 0;
}

static void handle_created(void *data, int err, struct gp_resource *resource)
{
	struct allocation *allocation = data;
	struct gp_channel *channel = allocation->channel;
	struct blob *blob = NULL;
	/* Memory that can only be read is mapped so; ours is to be written. */
	if (err == 0 &&
	    mprotect(resource->map, (size_t)resource->size, PROT_READ | PROT_WRITE) < 0) {
		gp_resource_destroy(resource);
		err = -EACCES;
	}
	if (err == 0) {
		blob = blob_new(channel, resource);
		err = blob == NULL ? -ENOMEM : 0;
	}
	gp_channel_enter(channel);
	finish(allocation, err, blob != NULL ? &blob->base : NULL);
	(void)gp_channel_leave(channel);
}

/* The answer is known: make memory from it. */
static void create(struct allocation *allocation, uint32_t blob_id, uint64_t size)
{
	struct gp_channel *channel = allocation->channel;
	wl_list_remove(&allocation->link);
	wl_list_init(&allocation->link);
	int ret = gp_resource_create_host(channel->context, blob_id, size, GP_HOST_IMAGE,
					  handle_created, allocation);
	if (ret < 0) {
		finish(allocation, ret, NULL);
	}
}

static bool find_image(const struct gp_channel *channel, uint32_t rows, uint32_t *ret_blob_id,
		       uint64_t *ret_size)
{
	for (size_t i = 0; i < sizeof(channel->images) / sizeof(channel->images[0]); i++) {
		if (channel->images[i].rows == rows) {
			*ret_blob_id = channel->images[i].blob_id;
			*ret_size = channel->images[i].size;
			return true;
		}
	}
	return false;
}

/* The query ring holds the answer to the first allocation. */
static void handle_answer(void *data, int err)
{
	struct gp_channel *channel = data;
	struct xd_image_requirements answer;
	if (channel->destroyed) {
		return; /* gp_blobs_finish() has canceled */
	}
	memcpy(&answer, channel->query_ring->map, sizeof(answer));
	struct allocation *allocation =
		wl_container_of(channel->allocations.next, allocation, link);
	gp_channel_enter(channel);
	if (err < 0) {
		finish(allocation, err, NULL);
	} else if (answer.size < allocation->size ||
		   answer.size > 2 * (uint64_t)BR_LIMIT_POOL_BYTES) {
		finish(allocation, -EPROTO, NULL);
	} else {
		size_t slot = channel->n_images++ %
			      (sizeof(channel->images) / sizeof(channel->images[0]));
		channel->images[slot].rows = allocation->rows;
		channel->images[slot].blob_id = answer.blob_id;
		channel->images[slot].size = answer.size;
		create(allocation, answer.blob_id, answer.size);
	}
	if (!channel->destroyed) {
		ask_next(channel);
	}
	(void)gp_channel_leave(channel);
}

/* Ask for the first allocation: the query ring has room for one answer. */
static void ask_next(struct gp_channel *channel)
{
	while (!channel->destroyed && !wl_list_empty(&channel->allocations)) {
		uint32_t blob_id;
		uint64_t size;
		struct allocation *allocation =
			wl_container_of(channel->allocations.next, allocation, link);
		if (find_image(channel, allocation->rows, &blob_id, &size)) {
			create(allocation, blob_id, size);
			continue;
		}
		const struct xd_get_image_requirements query = {
			.hdr = {.cmd = XD_CMD_GET_IMAGE_REQUIREMENTS, .cmd_size = sizeof(query)},
			.width = IMAGE_WIDTH,
			.height = allocation->rows,
			.drm_format = DRM_FORMAT_R8,
			.flags = GBM_BO_USE_SCANOUT | GBM_BO_USE_LINEAR,
		};
		const struct gp_command command = {
			.head = &query,
			.head_bytes = sizeof(query),
			.ring = XD_RING_QUERY,
			.done = handle_answer,
			.data = channel,
		};
		int ret = gp_channel_submit(channel, &command);
		if (ret == 0) {
			break;
		}
		finish(allocation, ret, NULL);
	}
}

void gp_channel_alloc_blob(struct gp_channel *channel, uint64_t size, gp_blob_done done, void *data)
{
	struct allocation *allocation = NULL;
	int err = size == 0 || size > BR_LIMIT_POOL_BYTES ? -EINVAL : 0;
	if (channel->closed || channel->destroyed || !channel->started) {
		err = -ENOTCONN;
	}
	if (err == 0) {
		allocation = calloc(1, sizeof(*allocation));
		err = allocation == NULL ? -ENOMEM : 0;
	}
	if (err < 0) {
		done(data, err, NULL);
		return;
	}
	*allocation = (struct allocation){
		.channel = channel,
		.rows = (uint32_t)((size + IMAGE_WIDTH - 1) / IMAGE_WIDTH),
		.size = size,
		.done = done,
		.data = data,
	};
	bool idle = wl_list_empty(&channel->allocations);
	wl_list_insert(channel->allocations.prev, &allocation->link);
	if (idle) {
		gp_channel_enter(channel);
		ask_next(channel);
		(void)gp_channel_leave(channel);
	}
}

void gp_blobs_finish(struct gp_channel *channel)
{
	struct blob *blob, *tmp;
	while (!wl_list_empty(&channel->allocations)) {
		struct allocation *allocation =
			wl_container_of(channel->allocations.next, allocation, link);
		finish(allocation, -ECANCELED, NULL);
	}
	wl_list_for_each_safe (blob, tmp, &channel->blobs, link) {
		wl_list_remove(&blob->link);
		wl_list_init(&blob->link);
		/* The mapping stays for whoever still holds the blob. */
		blob->resource->map = NULL;
		gp_resource_destroy(blob->resource);
		blob->resource = NULL;
	}
}
