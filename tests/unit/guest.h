/* SPDX-License-Identifier: MIT
 *
 * A guest for tests of the host's device, in the same process and thread: it writes packets to one
 * end of a socketpair, runs the host's loop, and reads the answers. The hr_client behind the device
 * is a fake whose two streams the test fills and reads itself.
 */
#ifndef TEST_GUEST_H
#define TEST_GUEST_H

#include <linux/virtio_gpu.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wayland-server-core.h>

#include "client.h"
#include "cross_domain.h"
#include "host.h"
#include "socket.h"
#include "socket_proto.h"
#include "stream.h"

#define CTX 1

/** The fake behind hr_client_create(). */
struct hr_client {
	const struct hr_client_events *events;
	void *data;
	struct br_stream in, out; /* requests, events */
	bool congested;
	char failure[128]; /* hr_client_fail()'s text */
	unsigned dispatches;
};

struct guest {
	struct hr_host host;
	struct hr_socket *sock;
	int fd; /* the guest's end */
	uint64_t cookie;
	/* The last packet received. */
	struct sk_packet packet;
	uint8_t bytes[SK_MAX_PACKET_BYTES];
	size_t len;
	int fds[SK_MAX_FDS];
	size_t n_fds;
};

extern struct hr_client *fake_client; /* the newest; NULL if there is none */
extern bool fake_refuses;	      /* hr_client_create() fails */

void guest_start(struct guest *guest);
void guest_finish(struct guest *guest);
/** Run the host's loop until it has nothing to do at once. */
void guest_run(struct guest *guest);
/** Send one request; returns its cookie. */
uint64_t guest_request(struct guest *guest, const void *bytes, size_t len, const int *fds,
		       size_t n_fds);
/** Receive one packet, after running the loop. Returns false if there is none. */
bool guest_receive(struct guest *guest);
/** The type of the answer in guest->bytes. */
uint32_t guest_type(const struct guest *guest);
/** Send a fenced request and return the type of its answer; 0 if none came. */
uint32_t guest_call(struct guest *guest, void *cmd, size_t len, int fd);
/** Send commands as a SUBMIT_3D. ring -1: no fence. Returns the cookie. */
uint64_t guest_submit(struct guest *guest, const void *cmds, size_t len, int ring, const int *fds,
		      size_t n_fds);
/** The same on no ring, fenced; returns the type of the answer, 0 if none came. */
uint32_t guest_submit_wait(struct guest *guest, const void *cmds, size_t len);
/** Context CTX; ENABLE with extensions if not 0; two rings 1 and 2 of one page if mailbox; INIT. ring:
 * fds of the two rings, or NULL. */
void guest_open(struct guest *guest, uint32_t extensions, int ring_fds[2]);
void guest_close_fds(struct guest *guest);
int open_fds(void);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);         \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define CHECK_EQ(got, want)                                                                        \
	do {                                                                                       \
		unsigned long long got_ = (unsigned long long)(got);                               \
		unsigned long long want_ = (unsigned long long)(want);                             \
		if (got_ != want_) {                                                               \
			fprintf(stderr, "%s:%d: failed: %s is 0x%llx, not 0x%llx (%s)\n",          \
				__FILE__, __LINE__, #got, got_, want_, #want);                     \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#endif
