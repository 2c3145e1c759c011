/* SPDX-License-Identifier: MIT
 *
 * A guest program with linux-dmabuf on the host, for tests; see client_rig.h.
 */
#ifndef TEST_DMABUF_RIG_H
#define TEST_DMABUF_RIG_H

#include "client_rig.h"
#include "stream.h"

#define SERVER_ID 0xff000000u
#define XR24 0x34325258u

enum { DMABUF = FIRST_BOUND, COMPOSITOR, SURFACE, PARAMS, BUFFER };

/** Files count as dma-bufs: link with --wrap=br_dmabuf_is. start() clears it. */
extern bool files_are_dmabufs;

/** Let the guest program say this: args, n of them, behind the header. */
void request(struct fixture *f, uint32_t object, uint16_t opcode, const uint32_t *args, size_t n);

#define REQUEST(f, object, opcode, ...)                                                            \
	do {                                                                                       \
		const uint32_t args_[] = {__VA_ARGS__};                                            \
		request(f, object, opcode, args_, sizeof(args_) / 4);                              \
	} while (0)

/** Let the compositor say this. */
void event(struct fixture *f, uint32_t object, uint16_t opcode, const uint32_t *args, size_t n);

/** The next request that the compositor gets: it has to be this one. */
void expect(struct fixture *f, uint32_t object, uint16_t opcode, struct message *m);

/** The compositor gets nothing now. */
void expect_nothing(struct fixture *f);

/** The next event that the guest gets. */
void expect_event(struct fixture *f, uint32_t object, uint16_t opcode, struct message *m);

/** Forget what came. */
void skip(struct br_stream *stream);

/** Globals are announced and listed; those of the client bound as the enum has them. The compositor's ids of
 * them are in ids. */
void start(struct fixture *f, enum hr_present present, bool has_dmabuf);

/** Ids at the compositor after bind_own(): its linux-dmabuf is FIRST_BOUND there as well. */
void bind_theirs(struct fixture *f);

/** A file of this size, the caller's, that counts as a dma-buf if files_are_dmabufs. */
int make_file(size_t size);

/** Say params.add. Takes the handle. */
void add_plane(struct fixture *f, struct br_handle *handle, uint32_t index, uint32_t offset,
	       uint32_t stride);

/** The same for plane 0 with a new file. */
void add_file(struct fixture *f, size_t size, uint32_t offset, uint32_t stride);

/** create_params is passed on, and a wl_shm of ours is bound for the worst case. Returns the params' id at
 * the compositor. */
uint32_t create_params(struct fixture *f, bool with_shm);

#endif
