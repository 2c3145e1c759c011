/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct transfer *transfer_start(const char *label, int fd, const uint8_t *data, size_t size)
{
	for (unsigned i = 0; i < MAX_TRANSFERS; i++) {
		struct transfer *t = &probe.transfers[i];
		if (t->fd >= 0) {
			continue;
		}
		*t = (struct transfer){.fd = fd,
				       .writing = data != NULL,
				       .label = label,
				       .data = data,
				       .size = size};
		sha256_init(&t->sha);
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		return t;
	}
	die("more than %d transfers at once", MAX_TRANSFERS);
}

void transfer_resume(void)
{
	for (unsigned i = 0; i < MAX_TRANSFERS; i++) {
		if (probe.transfers[i].paused) {
			probe.transfers[i].paused = false;
			probe.transfers[i].pause_at = 0;
		}
	}
}

void transfer_poll(struct pollfd fds[MAX_TRANSFERS])
{
	for (unsigned i = 0; i < MAX_TRANSFERS; i++) {
		const struct transfer *t = &probe.transfers[i];
		fds[i] = (struct pollfd){
			.fd = t->paused ? -1 : t->fd,
			.events = t->writing ? POLLOUT : POLLIN,
		};
	}
}

static void transfer_end(struct transfer *t)
{
	close(t->fd);
	t->fd = -1;
}

static void read_some(struct transfer *t)
{
	static uint8_t buffer[256 * 1024];
	size_t want = sizeof(buffer);
	if (t->pause_at != 0 && t->pause_at - t->done < want) {
		want = (size_t)(t->pause_at - t->done);
	}
	ssize_t n = read(t->fd, buffer, want);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n < 0) {
		say("receive-failed %s %s", t->label, strerror(errno));
		transfer_end(t);
		return;
	}
	if (n == 0) {
		char hex[65];
		sha256_finish(&t->sha, hex);
		bool finish = t->finish_dnd;
		transfer_end(t);
		if (finish) {
			selection_finish_dnd();
		}
		say("received %s %llu %s", t->label, (unsigned long long)t->done, hex);
		return;
	}
	sha256_add(&t->sha, buffer, (size_t)n);
	t->done += (uint64_t)n;
	if (t->pause_at != 0 && t->done >= t->pause_at) {
		t->paused = true;
		say("paused %s %llu", t->label, (unsigned long long)t->done);
	}
}

static void write_some(struct transfer *t)
{
	ssize_t n = write(t->fd, t->data + t->done, (size_t)(t->size - t->done));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n < 0) {
		say("send-failed %s %s", t->label, strerror(errno));
		transfer_end(t);
		return;
	}
	t->done += (uint64_t)n;
	if (t->done == t->size) {
		transfer_end(t);
		say("sent %s %llu", t->label, (unsigned long long)t->done);
	}
}

void transfer_dispatch(const struct pollfd fds[MAX_TRANSFERS])
{
	for (unsigned i = 0; i < MAX_TRANSFERS; i++) {
		struct transfer *t = &probe.transfers[i];
		if (fds[i].fd < 0 || fds[i].fd != t->fd || fds[i].revents == 0) {
			continue;
		}
		if (t->writing) {
			write_some(t);
		} else {
			read_some(t);
		}
	}
}
