/* SPDX-License-Identifier: MIT
 *
 * A program's requests through a relay with causeway-guest's hooks, for tests: the memory that the host would
 * share is looked at, and so are the bytes counted.
 */
#ifndef TEST_HOOKS_RIG_H
#define TEST_HOOKS_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "hooks/state.h"
#include "relay.h"

enum { REGISTRY = 2, SHM, COMPOSITOR, VIEWPORTER, SURFACE, POOL, BUFFER, BUFFER2 };

/** All of a test. */
struct fixture {
	struct gp_state state;
	struct gp_stats stats;
	struct br_relay *relay;
	int file;
	uint8_t *pixels;
};

/** What the kernel has of a timeline. */
struct fake_timeline {
	unsigned imported; /* handles */
	unsigned waits;	   /* ever asked for */
	int fail_wait;	   /* 0, or -errno of a wait */
	uint64_t value;	   /* highest point that is signalled */
};

extern struct fake_timeline timelines[8]; /* by the size of their file, less 1 */
extern bool has_timelines;		  /* start() leaves it as it is */
extern struct gp_blob *blobs[16];	  /* by resource id */
extern uint32_t next_res_id;
extern bool alloc_later; /* until finish_alloc() */
extern uint64_t render_node;
extern int (*import)(int fd, struct gp_blob **ret_blob); /* NULL: nothing is the virtio-gpu's */
/* NULL: the host does not tell. start() leaves it as it is. */
extern int (*read_clock)(uint32_t clock_id, gp_clock_done done, void *data);

#define REQUEST(f, object, opcode, ...)                                                            \
	do {                                                                                       \
		const uint32_t args_[] = {__VA_ARGS__};                                            \
		request(f, object, opcode, args_, sizeof(args_) / 4);                              \
	} while (0)

/** End the allocation that waits, with 0 or -errno. */
void finish_alloc(int err);
/** A request of the program, relayed. */
void request(struct fixture *f, uint32_t object, uint32_t opcode, const uint32_t *args,
	     uint32_t count);
/** The host announces a global, and the program binds it. */
void bind_global(struct fixture *f, uint32_t name, const char *iface, uint32_t version,
		 uint32_t id);
/** A program with a surface. */
void start(struct fixture *f);
/** Everything has to be given back. */
void finish(struct fixture *f);
void attach(struct fixture *f, uint32_t buffer);
void damage(struct fixture *f, uint32_t x, uint32_t y, uint32_t width, uint32_t height);
/** Commit; returns the bytes copied by it. */
uint64_t commit(struct fixture *f);
/** The code of the wl_display.error that the client got; it must be the last event. */
uint32_t error_code(struct fixture *f);

#endif
