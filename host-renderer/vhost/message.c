/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "fd.h"

/* Keep the fds that came with some bytes. */
static int take_fds(struct hr_message *message, struct msghdr *msg)
{
	int ret = msg->msg_flags & MSG_CTRUNC ? -EMSGSIZE : 0;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if (message->n_fds < VU_MAX_REGIONS) {
				message->fds[message->n_fds++] = fd;
			} else {
				br_fd_clear(&fd);
				ret = -EMSGSIZE;
			}
		}
	}
	return ret;
}

static int receive(int socket_fd, struct hr_message *message, void *bytes, size_t len)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(VU_MAX_REGIONS * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = bytes, .iov_len = len};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(socket_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0) {
		return errno == EINTR ? -EAGAIN : -errno;
	}
	int ret = take_fds(message, &msg);
	message->have += (size_t)n;
	return ret < 0 ? ret : (int)n;
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
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	ssize_t n = sendmsg(socket_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		return -errno;
	}
	return (size_t)n == sizeof(header) + size ? 0 : -EIO;
}
