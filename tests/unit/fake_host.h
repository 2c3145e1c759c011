/* SPDX-License-Identifier: MIT
 *
 * A cross-domain host for tests of the guest's end: it behaves as other hosts than ours do. One
 * mailbox that it writes only while a POLL is outstanding, one event per POLL, one counter for item
 * ids, a 16-byte capset, headers of zero but for the command, one read pipe per SEND, fences of ring 0
 * signalled at once. It fails the test when the guest breaks a rule. In the same process and thread
 * as the channel, on a socket of its own; the compositor behind it is the test.
 */
#ifndef TEST_FAKE_HOST_H
#define TEST_FAKE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cross_domain.h"
#include "stream.h"

#define FAKE_RING_BYTES 4096
#define FAKE_MAX_RESOURCES 512
#define FAKE_MAX_ITEMS 512
#define FAKE_MAX_EVENTS 1024
#define FAKE_MAX_FENCES 256

/** Memory that the guest named. */
struct fake_resource {
	uint32_t id; /* 0: free */
	int fd;
	uint64_t size;
	bool guest_memory, attached, mapped;
};

/** Something that the guest can ask for by its id, or write to. */
struct fake_item {
	uint32_t id; /* 0: free */
	int fd;	     /* memory, or the write end of a pipe */
	bool image, pipe;
	uint64_t size;
};

/** One fence that was not signalled yet. */
struct fake_fence {
	uint64_t cookie;
	uint32_t ctx_id, ring_idx;
};

/** A mailbox message that waits for its POLL. */
struct fake_event {
	uint8_t *bytes;
	size_t len;
};

struct fake_host {
	char dir[32], path[64];
	int listen_fd, fd; /* fd -1: nobody is connected */
	/* Settings */
	bool silent;	    /* takes connections, and does nothing: as one that is stopped */
	bool hold_fences;   /* of ring 0: in held */
	bool hold_maps;	    /* RESOURCE_MAP_BLOB is not answered: in held_maps */
	bool refuse_query;  /* GET_IMAGE_REQUIREMENTS is an error */
	bool refuse_blob;   /* RESOURCE_CREATE_BLOB of host memory is an error */
	bool short_map;	    /* the fd in the answer to RESOURCE_MAP_BLOB is too small */
	bool read_only_map; /* it can't be written */
	/* What the guest did */
	uint32_t ctx_id; /* 0: none */
	bool initialised;
	uint32_t query_ring, channel_ring;
	struct fake_resource resources[FAKE_MAX_RESOURCES];
	struct fake_item items[FAKE_MAX_ITEMS];
	uint32_t last_item, last_read_pipe;
	struct {
		uint32_t id;
		int fd; /* read end */
	} read_pipes[FAKE_MAX_ITEMS];
	size_t n_read_pipes;
	struct fake_fence polls[4];
	size_t n_polls;
	struct fake_fence held[FAKE_MAX_FENCES], held_maps[FAKE_MAX_FENCES];
	size_t n_held, n_held_maps;
	unsigned sends, queries, contexts, writes, hang_ups, refused_blobs;
	size_t largest_send; /* bytes of data */
	/* The compositor: what it was sent, and its events for the guest. */
	struct br_stream in;
	struct fake_event events[FAKE_MAX_EVENTS];
	size_t event_head, event_tail;
};

void fake_start(struct fake_host *host);
void fake_finish(struct fake_host *host);
/** Close the connection, as a host that died. */
void fake_die(struct fake_host *host);

/** Answer what has arrived and give what can be given. Returns true if anything happened. */
bool fake_run(struct fake_host *host);

/** Queue an event with n fds: memory, or write ends of pipes, by what they are. fds: borrowed. */
void fake_send_event(struct fake_host *host, const void *bytes, size_t len, const int *fds,
		     size_t n);
/** Queue a message as it is, for one POLL. */
void fake_send_raw(struct fake_host *host, const void *bytes, size_t len);
/** Send a packet as it is. */
void fake_send_packet(struct fake_host *host, const void *bytes, size_t len);
/** Signal the held fences, and no longer hold new ones. */
void fake_release_fences(struct fake_host *host);
/** Answer the fence of the outstanding POLL with an error. */
void fake_fail_poll(struct fake_host *host);
struct fake_resource *fake_find_resource(struct fake_host *host, uint32_t id);
unsigned fake_count_resources(struct fake_host *host);

#endif
