/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"
#include "scm.h"

static int receive(int socket_fd, struct hr_message *message, void *bytes, size_t len)
{
	size_t n_fds;
	int flags;
	ssize_t n = br_scm_receive(socket_fd, bytes, len, message->fds + message->n_fds,
				   VU_MAX_REGIONS - message->n_fds, &n_fds, &flags);
	if (n < 0) {
		return (int)n;
	}
	message->n_fds += n_fds;
	message->have += (size_t)n;
	return flags & MSG_CTRUNC ? -EMSGSIZE : (int)n;
}

int hr_message_receive(int socket_fd, struct hr_message *message)
{
	const size_t head = sizeof(message->header);
	if (message->have < head) {
		int ret = receive(socket_fd, message, (uint8_t *)&message->header + message->have,
				  head - message->have);
		if (ret <= 0) {
			return ret;
		}
		if (message->have < head) {
			return -EAGAIN;
		}
		if (message->header.size > HR_MAX_MESSAGE_BYTES) {
			return -EMSGSIZE;
		}
	}
	size_t done = message->have - head;
	if (done < message->header.size) {
		int ret = receive(socket_fd, message, message->payload.bytes + done,
				  message->header.size - done);
		if (ret <= 0) {
			return ret;
		}
	}
	return message->have - head == message->header.size ? 1 : -EAGAIN;
}

void hr_message_clear(struct hr_message *message)
{
	for (size_t i = 0; i < message->n_fds; i++) {
		br_fd_clear(&message->fds[i]);
	}
	*message = (struct hr_message){0};
}

int hr_message_send(int socket_fd, uint32_t request, uint32_t flags, const void *payload,
		    size_t size, int fd)
{
	struct vu_header header = {.request = request, .flags = flags, .size = (uint32_t)size};
	struct iovec iov[] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = (void *)payload, .iov_len = size},
	};
	ssize_t n = br_scm_send(socket_fd, iov, 2, &fd, fd >= 0 ? 1 : 0);
	if (n < 0) {
		return (int)n;
	}
	return (size_t)n == sizeof(header) + size ? 0 : -EIO;
}
