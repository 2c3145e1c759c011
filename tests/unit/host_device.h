/* SPDX-License-Identifier: MIT
 *
 * What the tests of the host's device share: commands as a guest builds them, and the main program.
 */
#ifndef HOST_DEVICE_H
#define HOST_DEVICE_H

#include "guest.h"

#define PUSH_ALL (XD_EXT_PUSH | XD_EXT_FDS | XD_EXT_PIPE_CREDIT | XD_EXT_CLOCK)

/** A SEND with its data. */
struct send {
	struct xd_send_receive head;
	uint8_t data[4096];
};

/** A SEND of len bytes, each telling its place. */
struct send make_send(size_t len);

extern const struct xd_poll poll_cmd;

/** Send a GRANT. */
void grant(struct guest *guest, uint32_t id, uint32_t bytes);

/** Let the compositor's side say something. */
void add_event(const char *text, size_t len);

/** A stream of which each byte tells its place. */
uint8_t byte_at(size_t i);

/** Let the guest ask for a pipe with this id. Returns the end that the compositor would write to. */
int open_read_pipe(struct guest *guest, uint32_t id);

/** Let the compositor hand a pipe to the guest. Returns its read end and the guest's id. */
int open_write_pipe(struct guest *guest, uint32_t *ret_id);

/** The last WRITE of guest_write(). */
struct write_cmd {
	struct xd_read_write head;
	uint8_t data[40000];
};
extern struct write_cmd write_cmd;

/** Send a fenced WRITE of len bytes of the stream, beginning at from. Returns the cookie. */
uint64_t guest_write(struct guest *guest, uint32_t id, size_t from, size_t len, bool hang_up);

/** A case; CASE(x) runs test_x. */
struct device_case {
	const char *name;
	void (*run)(struct guest *guest);
};
#define CASE(name) {#name, test_##name}

/** Run cases, each with a fresh device, and print TAP. A case that leaves an fd open fails. Returns
 * the exit status. */
int run_cases(const struct device_case *cases, size_t n);

#endif
