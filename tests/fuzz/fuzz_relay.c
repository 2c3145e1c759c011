/* SPDX-License-Identifier: MIT
 *
 * Fuzz the relay: a client and a compositor talk, in pieces of any size. The input is pieces of
 * {head, bytes}: bit 7 of the head is the sender (1: the compositor), bit 6 adds an fd, bits 0-5 are
 * the number of bytes. Outputs are read and dropped now and then (head 0x3f), so that the relay also
 * meets high water.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "relay.h"

#define READ_OUTPUTS 0x3f

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_output(struct br_stream *out)
{
	struct br_handle handle;
	br_stream_consume(out, br_stream_bytes(out));
	while (br_stream_pop_handle(out, &handle)) {
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct br_relay_config config = {0};
	struct br_relay *relay = br_relay_create(&config);
	if (relay == NULL) {
		abort();
	}
	for (size_t at = 0; at < size && !br_relay_failed(relay);) {
		uint8_t head = data[at++];
		enum br_dir dir = head & 0x80 ? BR_EVENT : BR_REQUEST;
		size_t len = head & 0x3f;
		if (len == READ_OUTPUTS) {
			read_output(br_relay_output(relay, BR_REQUEST));
			read_output(br_relay_output(relay, BR_EVENT));
			continue;
		}
		len = len < size - at ? len : size - at;
		if (head & 0x40) {
			struct br_handle handle = {.fd = -1, .res_id = 1};
			(void)br_stream_push_handle_take(br_relay_input(relay, dir), &handle);
		}
		(void)br_stream_write(br_relay_input(relay, dir), data + at, len);
		at += len;
		(void)br_relay_dispatch(relay, dir);
	}
	br_relay_destroy(relay);
	return 0;
}
