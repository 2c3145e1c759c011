/* SPDX-License-Identifier: MIT */
#include "payload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_file(int fd, uint8_t *bytes, size_t size)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = pread(fd, bytes + done, size - done, (off_t)done);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -EINVAL;
		}
		done += (size_t)n;
	}
	return 0;
}

int wk_payload_init(struct wk_payload *payload, const struct wk_packet *packet, size_t header_size,
		    uint64_t size, uint64_t limit)
{
	const uint8_t *bytes = packet->bytes;
	int ret = 0;
	*payload = (struct wk_payload){0};
	if (size > limit) {
		return -E2BIG;
	}
	if (packet->n_fds == 0 && size > packet->size - header_size) {
		return -EINVAL;
	}
	/* In the packet they are aligned as their header's size happens to be. */
	if (packet->n_fds == 0 && header_size % 8 == 0) {
		payload->bytes = (void *)(bytes + header_size);
		return 0;
	}
	payload->owned = malloc(size > 0 ? size : 1);
	if (payload->owned == NULL) {
		return -ENOMEM;
	}
	if (packet->n_fds == 0) {
		memcpy(payload->owned, bytes + header_size, size);
	} else {
		ret = read_file(packet->fds[0], payload->owned, size);
	}
	payload->bytes = payload->owned;
	if (ret < 0) {
		wk_payload_finish(payload);
	}
	return ret;
}

void wk_payload_finish(struct wk_payload *payload)
{
	free(payload->owned);
	*payload = (struct wk_payload){0};
}
