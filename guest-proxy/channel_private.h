/* SPDX-License-Identifier: MIT
 *
 * Shared by the parts of a channel: channel.c (the stream), pipe.c (pipes), blob.c (host memory).
 */
#ifndef GP_CHANNEL_PRIVATE_H
#define GP_CHANNEL_PRIVATE_H

#include <wayland-util.h>

#include "channel.h"
#include "cross_domain.h"
#include "deadline.h"
#include "transport.h"

struct wl_event_loop;

/** One channel. depth counts the callbacks on the stack: while it is not 0, a destroyed channel stays
 * as a shell. */
struct gp_channel {
	struct gp_transport *transport;
	struct gp_context *context; /* NULL once destroyed */
	struct br_stream *in;	    /* borrowed */
	const struct gp_channel_events *events;
	void *data;
	unsigned depth;
	bool started;		    /* INIT was sent */
	bool closed;		    /* the host's end is gone, the owner knows */
	bool destroyed;		    /* by its owner */
	struct gp_deadline opening; /* runs until the host has answered INIT */

	struct gp_resource *query_ring,
		*channel_ring; /* channel_ring: NULL when packets are pushed */

	/* To the host: bytes sent, those which no fence has confirmed, and those behind the last fence. */
	uint32_t in_flight, unfenced;
	bool blocked; /* flush returned -EAGAIN: writable is due */

	/* From the host. */
	bool poll_pending;
	uint32_t ungranted;	 /* bytes received that were not granted again */
	bool ended;		 /* the end came, perhaps behind receives that wait */
	struct wl_list receives; /* struct receive.link: those that wait for memory */
	size_t receive_bytes;	 /* of their commands */

	struct wl_list readers, writers; /* gp_reader.link, gp_writer.link */
	uint32_t n_pipes;
	uint32_t last_read_pipe_id;
	size_t reader_bytes; /* queued in all readers */

	struct wl_list blobs;	    /* struct blob.link */
	struct wl_list allocations; /* struct allocation.link: the first is being asked for */
	struct {
		uint32_t rows, blob_id;
		uint64_t size;
	} images[16]; /* answers known, a ring */
	uint32_t n_images;

	struct {		    /* channel_clock.c: the exchange that is on its way */
		gp_clock_done done; /* NULL: none */
		void *data;
		uint32_t id;
		int64_t sent_ns;
	} clock;
};

/** Report the end of the host's side, once. */
void gp_channel_close(struct gp_channel *channel, const char *reason);

/** Bracket callbacks. leave frees a destroyed channel and returns false if it is gone. */
void gp_channel_enter(struct gp_channel *channel);
bool gp_channel_leave(struct gp_channel *channel);

/** The ring for fences of SENDs: their own where the host has so many. */
int gp_channel_send_ring(const struct gp_channel *channel);

/** The ring for fences of a write pipe, by its id. */
int gp_channel_pipe_ring(const struct gp_channel *channel, uint32_t id);

/** A command in up to two parts. */
struct gp_command {
	const void *head, *body; /* borrowed */
	size_t head_bytes, body_bytes;
	int ring;	  /* of the fence */
	gp_fence_fn done; /* NULL: no fence */
	void *data;
};

/** Send one command. Failure closes the channel. */
int gp_channel_submit(struct gp_channel *channel, const struct gp_command *command);

/** Send a grant of bytes: for a pipe, or for the channel with id 0. */
void gp_channel_grant(struct gp_channel *channel, uint32_t id, uint32_t bytes);

/* pipe.c */

/** Serve a pipe whose data the host sends: write_fd (taken) is the program's. Returns 0 or -errno. */
int gp_reader_create_take(struct gp_channel *channel, uint32_t id, int *write_fd);
/** Grant the first window of new readers: behind the SEND that told the host of them. */
void gp_readers_grant(struct gp_channel *channel);
/** Deal with a READ command. Returns 0, or -EPROTO for one that makes no sense. */
int gp_readers_handle(struct gp_channel *channel, const struct xd_read_write *head,
		      const uint8_t *bytes);
/** Serve a pipe whose data the host wants: makes it, and returns its write end, owned by the caller,
 * or -errno. */
int gp_writer_create(struct gp_channel *channel, uint32_t id);
/** Deal with a READ of a pipe that we write: nobody reads it any more (XD_EXT_PIPE_CREDIT). Returns 0, or
 * -EPROTO for one that makes no sense. */
int gp_writers_handle_lost(struct gp_channel *channel, const struct xd_read_write *head);
/** Close all pipes. */
void gp_pipes_finish(struct gp_channel *channel);

/* channel_clock.c */

/** Cancel the exchange that is on its way. */
void gp_channel_clock_finish(struct gp_channel *channel);

/* blob.c */

/** Cancel allocations and detach blobs from the channel. Before the context goes. */
void gp_blobs_finish(struct gp_channel *channel);

#endif
