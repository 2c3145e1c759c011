/* SPDX-License-Identifier: MIT
 *
 * Pipes that cross the channel. A read pipe: the compositor's side writes, the guest gets READ. A
 * write pipe: the guest's WRITE go to an fd that the compositor gave. Neither blocks; a slow reader
 * holds up only its own pipe.
 */
#ifndef HR_WAYLAND_PIPE_H
#define HR_WAYLAND_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "context.h"
#include "sink.h"
#include "stream.h"

struct wl_event_source;

/** A pipe whose data goes to the guest. Owned by its context. */
struct hr_read_pipe {
	struct wl_list link; /* hr_wl_context.read_pipes */
	struct hr_wl_context *context;
	uint32_t id;
	int pipe_fd;
	int64_t credit;			/* bytes that the guest takes; XD_EXT_PIPE_CREDIT only */
	struct wl_event_source *source; /* NULL while it is not polled */
};

/** A pipe that the guest's data goes to. Owned by its context. */
struct hr_write_pipe {
	struct wl_list link; /* hr_wl_context.write_pipes */
	struct hr_wl_context *context;
	uint32_t id;
	struct br_sink sink;
	struct br_stream queue;		/* bytes only */
	bool hang_up;			/* close when the queue is written */
	bool lost;			/* nobody reads: the guest is to be told */
	struct wl_event_source *source; /* NULL once lost, or if it can't be polled */
	struct wl_list fences;		/* hr_fence.link: wait until the queue is short */
};

/** Make the next read pipe. id: the guest's prediction of its number. *ret_write_fd: the end for the
 * compositor, owned by the caller, blocking. Returns 0; -EINVAL wrong id; -ENOSPC limit; -errno. */
int hr_read_pipe_create(struct hr_wl_context *context, uint32_t id, int *ret_write_fd);

/** Let the host read more of a pipe. Returns 0 (also for a pipe that has ended); -EINVAL for an id that
 * was never given out. */
int hr_read_pipe_grant(struct hr_wl_context *context, uint32_t id, uint32_t bytes);

/** Send one READ of whichever pipe has data, in turn. Returns false if there was nothing to send. */
bool hr_read_pipes_emit(struct hr_wl_context *context);

/** Poll the pipes that may be read now. */
void hr_read_pipes_update(struct hr_wl_context *context);

/** Keep the compositor's write end. Takes *fd on success. Returns 0; -ENOSPC limit; -errno. */
int hr_write_pipe_create_take(struct hr_wl_context *context, int *fd, uint32_t *ret_id);

/** Write, or queue, bytes of the guest. A pipe whose reader has gone is no error.
 * Returns 0; -EINVAL for an id that was never given out; -ENOSPC more than the queue takes. */
int hr_write_pipe_write(struct hr_wl_context *context, uint32_t id, const uint8_t *bytes,
			size_t len, bool hang_up);

/** Tell the guest of one pipe that nobody reads any more (XD_EXT_PIPE_CREDIT). Returns false if there was
 * nothing to tell. */
bool hr_write_pipes_emit(struct hr_wl_context *context);

/** The pipe with this id if its queue is too long for more; else NULL. */
struct hr_write_pipe *hr_write_pipe_find_full(struct hr_wl_context *context, uint32_t id);

/** End all pipes, completing their fences. */
void hr_pipes_finish(struct hr_wl_context *context);

#endif
