/* SPDX-License-Identifier: MIT
 *
 * A virtqueue at work: its requests go to the device, the answers back into it, whenever they come.
 */
#ifndef HR_VHOST_QUEUE_H
#define HR_VHOST_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wayland-util.h>

#include "vring.h"

struct hr_device;
struct hr_queue;
struct wl_event_loop;
struct wl_event_source;

/** What the queues of a device share. Owned by the session. */
struct hr_queue_shared {
	struct wl_event_loop *loop; /* borrowed */
	const struct hr_ram *ram;
	struct hr_device *device; /* NULL: none yet */
	struct hr_chain *chain;	  /* the one being read */
	uint8_t *bytes; /* the command being executed; of bytes_capacity, grown as needed */
	size_t bytes_capacity;
};

/** A request that was not answered in the ring yet. */
struct hr_pending {
	struct wl_list link; /* hr_queue.pending */
	struct hr_queue *queue;
	uint16_t head;
	uint32_t n_writable;
	struct hr_segment writable[HR_MAX_ANSWER_SEGMENTS];
	uint8_t *answer; /* owned; one that came while the queue was stopped */
	size_t answer_bytes;
};

/** A virtqueue. */
struct hr_queue {
	struct hr_queue_shared *shared;
	bool cursor; /* it is the cursor queue */
	struct hr_vring vring;
	int kick_fd, call_fd, err_fd; /* eventfds; -1: not set */
	struct wl_event_source *source;
	bool enabled; /* by SET_VRING_ENABLE */
	bool running;
	bool broken;   /* by the driver: until it resets the device */
	bool in_batch; /* the driver is told at the end */
	uint32_t base; /* of SET_VRING_BASE */
	struct wl_list pending;
	uint32_t n_pending;
};

/** Prepare a queue. */
void hr_queue_init(struct hr_queue *queue, struct hr_queue_shared *shared, bool cursor);

/** Stop it, close its fds, and forget its requests. */
void hr_queue_finish(struct hr_queue *queue);

/** True if the VMM has said all that is needed to run it. */
bool hr_queue_is_set_up(const struct hr_queue *queue);

/** True if the ring goes on where it was stopped: the guest has not reset the device in between. */
bool hr_queue_can_resume(struct hr_queue *queue);

/** Run: from base, or on from where it was, giving the answers that came meanwhile. Returns 0; -EINVAL
 * the rings are not in memory; else -errno. */
int hr_queue_start(struct hr_queue *queue, bool resume);

/** Stop; answers are kept. */
void hr_queue_stop(struct hr_queue *queue);

/** Find the rings in memory that has moved. */
void hr_queue_relocate(struct hr_queue *queue);

/** Execute what is waiting. */
void hr_queue_process(struct hr_queue *queue);

/** Forget all requests: nobody waits for them any more. */
void hr_queue_forget(struct hr_queue *queue);

/** Answer a request, named by the cookie that the device was given; see hr_frontend_ops.complete. */
void hr_queue_complete(uint64_t cookie, const void *response, size_t len);

#endif
