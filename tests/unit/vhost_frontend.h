/* SPDX-License-Identifier: MIT
 *
 * A vhost-user front end for tests: plays QEMU and the guest's driver at once, in the same process and
 * thread as the device. Messages come in the order of QEMU 11.1. The hr_client behind the device is the
 * fake of guest.h.
 */
#ifndef TEST_VHOST_FRONTEND_H
#define TEST_VHOST_FRONTEND_H

#include <linux/virtio_gpu.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest.h"
#include "limits.h"
#include "protocol.h"
#include "vhost.h"

#define FRONT_RAM_BYTES (4u << 20)
/* The second half of the memory is elsewhere in the guest, and in the VMM. */
#define FRONT_HALF (FRONT_RAM_BYTES / 2)
#define FRONT_HIGH 0x100000000ull
#define FRONT_USER 0x7f0000000000ull
#define FRONT_USER_HIGH 0x7e0000000000ull
#define FRONT_QUEUE_SIZE 64
#define FRONT_WINDOW (1u << 20)
#define FRONT_MAX_HELD 16
#define FRONT_MAX_SHOWN (BR_LIMIT_WINDOW_MAPS + 1)

/** What the front end does otherwise than QEMU 11.1. All zero: nothing. */
struct front_quirks {
	bool no_shmem; /* as QEMU 11.0 */
	bool no_event_idx;
	bool indirect;	       /* every request goes through an indirect table */
	bool each;	       /* the host shows every blob by itself */
	bool refuse_map;       /* SHMEM_MAP fails */
	uint64_t window_bytes; /* 0: FRONT_WINDOW */
};

/** A virtqueue from the driver's side. */
struct front_queue {
	int kick_fd, call_fd;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_desc, avail_idx, used_seen;
	uint32_t base;
};

struct front {
	struct hr_host host;
	struct hr_vhost *vhost;
	struct front_quirks quirks;
	int fd, back_fd; /* main socket, back-end channel */
	int ram_fd;
	uint8_t *ram;
	uint32_t heap;	 /* offset in ram of the next buffer */
	uint8_t *window; /* what the guest sees of it */
	struct vu_shmem_map shown[FRONT_MAX_SHOWN];
	unsigned n_shown;
	int late_fd;  /* of the last one shown, while the guest does not see it; 0: it does */
	bool running; /* the device is */
	unsigned maps;
	bool hold_replies; /* on the back-end channel */
	bool deaf;	   /* it is not read */
	struct {
		uint32_t request;
		uint64_t refused;
	} held[FRONT_MAX_HELD];
	unsigned n_held;
	struct front_queue queues[2];
	uint64_t fence_id;
	uint8_t answer[1024]; /* the last */
	uint32_t answer_len;
};

/** Connect and negotiate. */
void front_start(struct front *front, struct front_quirks quirks);
/** Disconnect. */
void front_finish(struct front *front);
/** The driver starts the device: memory, queues. base: where the queues go on, or 0s. */
void front_driver_start(struct front *front, bool fresh);
/** The VMM stops the device, as at a reset or a pause. */
void front_driver_stop(struct front *front);

/** Answer on the back-end channel what was held, and hold nothing any more. */
void front_release_replies(struct front *front);

/** Run the host until it has nothing to do at once, answering the back-end channel. */
void front_run(struct front *front);
/** Send a message. */
void front_send(struct front *front, uint32_t request, uint32_t flags, const void *payload,
		size_t size, const int *fds, size_t n_fds);
/** The size of the answer's payload, of at most max bytes; -1 the host has disconnected or is silent. */
int front_receive(struct front *front, void *payload, size_t max);
/** Send with NEED_REPLY; 0 ok, 1 refused, -1 disconnected. */
int front_send_ack(struct front *front, uint32_t request, const void *payload, size_t size,
		   const int *fds, size_t n_fds);
/** Send the memory table: two regions. */
int front_send_memory(struct front *front);

/** Room in guest memory. Returns the guest's address; *ret_bytes where it is here. */
uint64_t front_alloc(struct front *front, size_t bytes, uint8_t **ret_bytes);
/** The same in the second half of the memory. */
uint64_t front_alloc_high(struct front *front, size_t bytes, uint8_t **ret_bytes);
/** Make a chain available without telling the host. descs: n; next and its flag are set here. Returns
 * its head. */
uint16_t front_add(struct front *front, unsigned queue, const struct vring_desc *descs, unsigned n);
/** Tell the host. */
void front_kick(struct front *front, unsigned queue);
/** Send a command with room for answers of 408 bytes, fenced if its header says so. Returns the head. */
uint16_t front_request(struct front *front, unsigned queue, const void *cmd, size_t len);
/** Take one answer: false if there is none. Fills answer. */
bool front_take(struct front *front, unsigned queue, uint16_t *ret_head);
/** Send a command and wait for its answer. Returns its type; 0: none came. */
uint32_t front_call(struct front *front, void *cmd, size_t len);
/** Make a context 1 with two rings, resources 1 and 2, attached. ring: their memory. */
void front_open_rings(struct front *front, uint8_t *ring[2]);
/** The same, and start its channel. */
void front_open(struct front *front, uint8_t *ring[2]);
/** Send commands to context 1, fenced on a ring unless it is -1. Returns the head. */
uint16_t front_submit(struct front *front, const void *cmds, size_t len, int ring);

/** A case; FRONT_CASE(x, quirks...) runs test_x with a front end that has been started. */
struct front_case {
	const char *name;
	void (*run)(struct front *front);
	struct front_quirks quirks;
};
#define FRONT_CASE(name, ...)                                                                      \
	{                                                                                          \
		#name, test_##name,                                                                \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

/** Run cases, each with a fresh device, and print TAP. A case that leaves an fd open fails. Returns
 * the exit status. */
int front_run_cases(const struct front_case *cases, size_t n);

#endif
