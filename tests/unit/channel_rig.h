/* SPDX-License-Identifier: MIT
 *
 * A program's side of a channel, for tests against fake_host.c. Guest and host take turns in one
 * thread; when neither has anything left to do and the awaited is not there, the test fails at once,
 * so there is nothing to time out.
 */
#ifndef TEST_CHANNEL_RIG_H
#define TEST_CHANNEL_RIG_H

#include <wayland-server-core.h>

#include "channel.h"
#include "fake_host.h"
#include "tables.h"
#include "transport.h"

#define MIB (1024u * 1024u)

enum destroy_when { NEVER, IN_RECEIVED, IN_WRITABLE, IN_CLOSED };

struct rig {
	struct fake_host host;
	struct wl_event_loop *loop;
	struct gp_transport *transport;
	struct gp_channel *channel;
	struct br_stream in, out;
	struct br_stream got; /* what was taken from in */
	bool paused;	      /* leave in alone */
	enum destroy_when destroy_when;
	unsigned received, writable, closed, lost;
	char reason[128];
};

extern const struct gp_channel_events rig_events;

/** Start the host, and a transport; rig_start() also a channel, up to its first POLL. */
void rig_start_unopened(struct rig *guest);
void rig_start(struct rig *guest);
/** Free everything, and check that nothing is left on the host. */
void rig_finish(struct rig *guest);
void rig_open_transport(struct rig *guest);
void rig_open_channel(struct rig *guest);
void rig_destroy_channel(struct rig *guest);
/** Move what has been received to got. */
void rig_take_received(struct rig *guest);

/** One turn for each side. Returns false when both had nothing to do. */
bool rig_take_turn(struct rig *guest);
/** Take turns. Returns true when nothing more comes. */
bool rig_is_stuck(struct rig *guest);
void rig_settle(struct rig *guest);

#define RUN_UNTIL(guest, cond)                                                                     \
	do {                                                                                       \
		while (!(cond)) {                                                                  \
			if (rig_is_stuck(guest) && !(cond)) {                                      \
				FAIL("no more comes: %s", #cond);                                  \
			}                                                                          \
		}                                                                                  \
	} while (0)

/** Bytes that depend on their position. */
uint8_t rig_pattern(uint64_t position);
void rig_fill(uint8_t *bytes, uint64_t position, size_t len);
/** Append len bytes of the pattern. */
void rig_put(struct br_stream *s, size_t len);
/** Check that a stream, of which nothing was consumed, has len bytes of the pattern. */
void rig_check_pattern(const struct br_stream *s, size_t len);
int rig_make_memory(const char *text);
void rig_check_memory(int fd, const char *text);
void rig_push_handle(struct br_stream *s, int *fd, enum br_fd_kind kind);
/** Flush, as often as the window makes it wait. */
void rig_send_all(struct rig *guest);
/** Ask for a pipe as a program does when it pastes. Returns its read end. */
int rig_request_paste(struct rig *guest);
/** The compositor's end of the newest pipe, or newest fd of any kind. */
int rig_compositor_pipe(struct rig *guest);
/** Write to the compositor's end what it takes. Returns the new position. */
size_t rig_feed_pipe(int fd, size_t done, size_t total);

#endif
