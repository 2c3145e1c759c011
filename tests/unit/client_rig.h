/* SPDX-License-Identifier: MIT
 *
 * One guest program on the host, for tests: its context and the compositor are played by the test, which writes
 * and reads the bytes of both.
 */
#ifndef TEST_CLIENT_RIG_H
#define TEST_CLIENT_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "host.h"
#include "policy.h"
#include "stream.h"

#define DEADLINE_MS 5000

/* Ids that the guest program chooses. */
enum { REGISTRY = 2, FIRST_BOUND = 3 };

/** All of a test. */
struct fixture {
	struct hr_host host;
	struct hr_policy *policy;
	struct hr_client *client;
	char dir[32], path[64];
	int listen_fd, fd;	  /* the compositor's ends */
	struct br_stream in, out; /* of the compositor, on fd */
	unsigned ready, drained, closed;
};

/* A message being written: words, the header last. */
struct message {
	uint32_t words[1024];
	size_t n;
};

extern const struct hr_client_events fixture_events; /* count in the fixture */

/** A host and a listening compositor, without a client. */
void set_up(struct fixture *f);
void connect_client(struct fixture *f);
void tear_down(struct fixture *f);
/** Append to a message. */
void put(struct message *m, uint32_t word);
void put_string(struct message *m, const char *text);
void send_message(struct br_stream *to, uint32_t object, uint16_t opcode, const struct message *m);
/** Where the guest's requests go, and its events come from. */
struct br_stream *guest_out(struct fixture *f);
struct br_stream *guest_in(struct fixture *f);
void flush_compositor(struct fixture *f);
/** Turn the loop until *counter has grown past was. */
void wait_for(struct fixture *f, const unsigned *counter, unsigned was, const char *what);
/** The next message of a stream into *m, without the header. Returns the opcode; -1: none. */
int take(struct br_stream *from, uint32_t *object, struct message *m);
void read_requests(struct fixture *f);
void get_registry(struct fixture *f);
/** The compositor announces a global; to be flushed. */
void announce(struct fixture *f, uint32_t name, const char *iface, uint32_t version);
void bind_global(struct fixture *f, uint32_t name, const char *iface, uint32_t version,
		 uint32_t id);
/** The client must have been ended with this error of this object. */
void check_error(struct fixture *f, uint32_t object, uint32_t code, const char *part);

#endif
