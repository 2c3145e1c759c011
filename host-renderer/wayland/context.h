/* SPDX-License-Identifier: MIT
 *
 * The cross-domain context: virtio-gpu capset 5, one guest program's Wayland connection. Parses the
 * guest's commands; channel.h carries the Wayland stream, pipe.h the pipes, item.h what the host
 * offers to the guest. Owns the hr_client.
 *
 * Two ways lead to the guest: the mailbox (a page that is overwritten once per outstanding POLL) and,
 * if the front end offers it and the guest enabled it, pushed packets.
 */
#ifndef HR_WAYLAND_CONTEXT_H
#define HR_WAYLAND_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <wayland-util.h>

#include "../gpu/context.h"
#include "client.h"
#include "cross_domain.h"
#include "item.h"

/** Capset 5, for hr_device_create(). */
extern const struct hr_capset hr_wayland_capset;

/** A cross-domain context. */
struct hr_wl_context {
	struct hr_context base;
	struct hr_client *client; /* NULL before INIT, and if the compositor could not be reached */
	uint32_t extensions;	  /* enum xd_ext, as enabled */
	bool initialised;
	bool closed;   /* the client adds no more events */
	bool eof_sent; /* the guest knows */
	bool broken;   /* the mailbox could not be written: nothing is sent any more */
	bool pumping, pump_again;
	bool event_was_last; /* the last thing sent was a RECEIVE: pipes have precedence */
	struct hr_resource *query_ring, *channel_ring; /* referenced; may be NULL */
	int64_t credit;	      /* bytes of RECEIVE that may be pushed; overdrawn by one command */
	struct wl_list polls; /* hr_fence.link: outstanding POLLs, oldest first */
	struct wl_list send_fences; /* hr_fence.link: wait until the relay is not congested */
	uint32_t n_fences;
	bool counted; /* one of hr_device.n_channels */
	struct hr_items items;
	struct wl_list read_pipes;  /* hr_read_pipe.link */
	struct wl_list write_pipes; /* hr_write_pipe.link */
	uint32_t n_pipes;
	size_t pipe_bytes;	 /* queued in all write pipes */
	uint32_t next_read_pipe; /* id */
};

static inline bool hr_wl_pushes(const struct hr_wl_context *context)
{
	return context->extensions & XD_EXT_PUSH;
}

/** Count bytes that the guest grants; *credit may be overdrawn. At most BR_LIMIT_CREDIT_BYTES are kept. */
void hr_wl_add_credit(int64_t *credit, uint32_t bytes);

/** True if a command may be sent to the guest now, as far as the transport goes. */
bool hr_wl_can_emit(const struct hr_wl_context *context);

/** The largest command that can be sent to the guest, in bytes, header included. */
size_t hr_wl_max_emit(const struct hr_wl_context *context);

/** Send one command, only when hr_wl_can_emit(). At most HR_MAX_PUSH_IOVS iovs; fds: borrowed. */
void hr_wl_emit(struct hr_wl_context *context, const struct iovec *iov, size_t n_iov,
		const int *fds, size_t n_fds);

/** Send all that is ready and allowed. */
void hr_wl_pump(struct hr_wl_context *context);

/** End the client because of something the guest did; nothing happens if there is none. */
void hr_wl_fail(struct hr_wl_context *context, const char *text);

#endif
