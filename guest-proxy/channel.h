/* SPDX-License-Identifier: MIT
 *
 * The guest's end of a cross-domain channel: one Wayland connection to the host, in a virtio-gpu
 * context of its own. Turns stream handles into identifiers and back, streams pipes, allocates
 * host memory. Knows cross_domain.h; the transport below knows how commands reach the device.
 */
#ifndef GP_CHANNEL_H
#define GP_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream.h"

struct gp_channel;
struct gp_rows;
struct gp_transport;

/** What a channel tells its client. A callback may destroy the channel. */
struct gp_channel_events {
	/* Bytes and handles (fds, always) were appended to the input stream. */
	void (*received)(void *data);
	/* The window that made gp_channel_flush() return -EAGAIN is open again. */
	void (*writable)(void *data);
	/* The host ended this channel (EOF of the compositor connection, refusal, transport lost);
	 * nothing follows. reason is for the log. */
	void (*closed)(void *data, const char *reason);
};

/** Memory that guest and host share: HOST3D blob, mapped here; or imported, then it is not mapped.
 * Reference counted. */
struct gp_blob {
	uint32_t refs;
	uint32_t res_id; /* virtio-gpu resource */
	uint64_t size;	 /* bytes, at least what was asked for, whole pages */
	uint8_t *map;	 /* size bytes, readable and writable; NULL if imported */
	/* To be called for what was written before the host is told of it; NULL: it sees map itself.
	 * Returns 0 or -errno. */
	int (*written)(struct gp_blob *blob, const struct gp_rows *rows);
};

/** Open a context and start its channel. What the host sends is appended to `in` (borrowed, outlives
 * the channel). *ret_channel is owned by the caller. Returns 0; -EMFILE limit; -ENOTCONN the
 * transport is lost; else -errno. The host's answer comes later, as events. */
int gp_channel_create(struct gp_transport *transport, const char *debug_name, struct br_stream *in,
		      const struct gp_channel_events *events, void *data,
		      struct gp_channel **ret_channel);

/** Close the channel: pipes end, the context is destroyed. Blobs stay until their last unref. NULL
 * is fine; may be called from a callback. */
void gp_channel_destroy(struct gp_channel *channel);

/** Send what is queued in `out`, handles included: by kind (enum br_fd_kind) as memory resource,
 * pipe or fd. Handles with a res_id name a resource that must live until this returns.
 * Returns 0 when all is on its way; -EAGAIN when the window is full (`writable` follows); else
 * -errno, after which the channel is dead. */
int gp_channel_flush(struct gp_channel *channel, struct br_stream *out);

/** Say that `in` was read: lets the host send more if `in` is below high water. Call after each
 * dispatch of `in`. */
void gp_channel_resume(struct gp_channel *channel);

/** Called once when an allocation ends: err 0 and a blob (one reference, the caller's), or -errno and
 * NULL. */
typedef void (*gp_blob_done)(void *data, int err, struct gp_blob *blob);

/** Allocate shared memory of at least size bytes, zeroed. done may be called before this returns, and
 * is called with -ECANCELED if the channel goes away first. */
void gp_channel_alloc_blob(struct gp_channel *channel, uint64_t size, gp_blob_done done,
			   void *data);

/** The number of the guest's device whose dma-bufs can be imported; 0: none, and they are handed on as
 * fds. */
uint64_t gp_channel_render_node(const struct gp_channel *channel);

/** Find the memory of the host behind a dma-buf (borrowed) of that device. *ret_blob has one reference.
 * Returns 0; -ENODEV it is of another device, or the host can't see it; else -errno. */
int gp_channel_import(struct gp_channel *channel, int fd, struct gp_blob **ret_blob);

/** Whether programs' timelines (DRM syncobjs) can be used: the guest's own device and kernel have them. */
bool gp_channel_has_timelines(const struct gp_channel *channel);

/** Find the timeline behind an fd (borrowed). *ret_handle, the caller's until gp_channel_timeline_destroy(), ends
 * with the channel. Returns 0; -EINVAL it is none; else -errno. */
int gp_channel_timeline_import(struct gp_channel *channel, int fd, uint32_t *ret_handle);
void gp_channel_timeline_destroy(struct gp_channel *channel, uint32_t handle);

/** Let an eventfd (borrowed) become readable once a point is signalled; now, if it is. That may never be, nor
 * does the point have to exist yet. Returns 0 or -errno. */
int gp_channel_timeline_wait(struct gp_channel *channel, uint32_t handle, uint64_t point,
			     int event_fd);

/** Signal a point, and all before it. Returns 0 or -errno. */
int gp_channel_timeline_signal(struct gp_channel *channel, uint32_t handle, uint64_t point);

/** An exchange of times with the host. */
struct gp_clock_sample {
	uint32_t clock_id;
	int64_t sent_ns, received_ns; /* of the guest's clock */
	uint64_t host_ns;	      /* of the host's, in between; as it says */
};

/** Called once when an exchange ends: err 0 and the sample; -ENODATA the host has no such clock; -ECANCELED
 * the channel is gone; else -errno. The sample is NULL with an error. */
typedef void (*gp_clock_done)(void *data, int err, const struct gp_clock_sample *sample);

/** Ask the host for the time of a clock (a clockid_t of Linux that both have). done is never called before
 * this returns. Returns 0; -EOPNOTSUPP the host does not tell; -EBUSY an answer is on its way; -ENOTCONN
 * the channel has not begun or has ended; else -errno. */
int gp_channel_read_clock(struct gp_channel *channel, uint32_t clock_id, gp_clock_done done,
			  void *data);

struct gp_blob *gp_blob_ref(struct gp_blob *blob);
/** Drop a reference; the last unmaps and frees the resource. NULL is fine. Returns NULL. */
struct gp_blob *gp_blob_unref(struct gp_blob *blob);

#endif
