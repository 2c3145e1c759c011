/* SPDX-License-Identifier: MIT
 *
 * Fuzz the decoder: the input is what one client sends. The first byte is the number of fds that come
 * with it (modulo 8).
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct br_relay_config config = {0};
	if (size == 0) {
		return 0;
	}
	struct br_relay *relay = br_relay_create(&config);
	if (relay == NULL) {
		abort();
	}
	struct br_stream *in = br_relay_input(relay, BR_REQUEST);
	for (unsigned i = 0; i < data[0] % 8u; i++) {
		/* A handle without an fd: the relay never looks into one. */
		struct br_handle handle = {.fd = -1, .res_id = i + 1};
		(void)br_stream_push_handle_take(in, &handle);
	}
	if (br_stream_write(in, data + 1, size - 1) == 0) {
		(void)br_relay_dispatch(relay, BR_REQUEST);
	}
	br_relay_destroy(relay);
	return 0;
}
