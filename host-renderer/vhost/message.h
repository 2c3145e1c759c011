/* SPDX-License-Identifier: MIT
 *
 * vhost-user messages on their stream sockets. Nothing blocks.
 */
#ifndef HR_VHOST_MESSAGE_H
#define HR_VHOST_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

/* The largest that a front end sends: the memory table, or a write of the configuration. */
#define HR_MAX_MESSAGE_BYTES sizeof(struct vu_config)

/** A message on its way in. */
struct hr_message {
	struct vu_header header;
	union {
		uint8_t bytes[HR_MAX_MESSAGE_BYTES];
		uint64_t u64;
		struct vu_vring_state vring_state;
		struct vu_vring_addr vring_addr;
		struct vu_mem_table mem_table;
		struct vu_config config;
	} payload;
	size_t have; /* bytes of header and payload */
	int fds[VU_MAX_REGIONS];
	size_t n_fds; /* owned; those taken become -1 */
};

/** Read on. Returns 1 a whole message is there; -EAGAIN not yet; 0 the peer has gone; -EMSGSIZE it is
 * larger than any, or has too many fds; else -errno. */
int hr_message_receive(int socket_fd, struct hr_message *message);

/** Forget a message, to receive the next. Closes its fds. */
void hr_message_clear(struct hr_message *message);

/** Send a message of up to sizeof(struct vu_shmem_config) bytes; fd: borrowed, -1 for none. Messages are
 * few and small and the peer waits for them: a socket that has no room is an error. Returns 0, -errno. */
int hr_message_send(int socket_fd, uint32_t request, uint32_t flags, const void *payload,
		    size_t size, int fd);

#endif
