/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the device and its cross-domain context. The input is a row of pieces, each a byte that says
 * what it is, a byte length in units of 4, and that many bytes: a submit, a whole control request, or
 * events of the compositor. Build with tests/unit/guest.c, whose fake client it uses.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* kind: bit 0 a submit, else a request; 1 fenced; 2 with an fd; 3 events instead; 4, 5 ring, or kind of fd */
static void run_piece(struct guest *guest, uint8_t kind, const uint8_t *bytes, size_t len)
{
	int fd = kind & 4 ? memfd_create("fuzz", MFD_CLOEXEC) : -1;
	if (fd >= 0) {
		(void)!ftruncate(fd, 4096);
	}
	if ((kind & 8) && fake_client) {
		struct br_handle handle = {.fd = fd, .kind = (uint8_t)(1 + (kind >> 4 & 3))};
		if (fd >= 0 && br_stream_push_handle_take(&fake_client->out, &handle) == 0) {
			fd = -1;
		}
		(void)br_stream_write(&fake_client->out, bytes, len);
		fake_client->events->events_ready(fake_client->data);
	} else if (kind & 1) {
		guest_submit(guest, bytes, len, kind & 2 ? kind >> 4 & 1 : -1, &fd, fd >= 0);
	} else {
		guest_request(guest, bytes, len, &fd, fd >= 0);
	}
	if (fd >= 0) {
		close(fd);
	}
	while (guest_receive(guest)) {
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t modes[] = {
		XD_EXT_CLOCK, XD_EXT_PUSH, XD_EXT_PUSH | XD_EXT_PIPE_CREDIT,
		XD_EXT_PUSH | XD_EXT_FDS | XD_EXT_PIPE_CREDIT | XD_EXT_CLOCK};
	static struct guest guest;
	int rings[2] = {-1, -1};
	signal(SIGPIPE, SIG_IGN);
	guest_start(&guest);
	guest_open(&guest, modes[size & 3], size & 3 ? NULL : rings);
	for (size_t at = 0; at + 2 <= size;) {
		size_t len = (size_t)data[at + 1] * 4;
		len = len < size - at - 2 ? len : size - at - 2;
		run_piece(&guest, data[at], data + at + 2, len);
		at += 2 + len;
	}
	guest_finish(&guest);
	close(rings[0]);
	close(rings[1]);
	return 0;
}
