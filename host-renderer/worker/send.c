/* SPDX-License-Identifier: MIT */
#include "send.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "scm.h"
#include "worker.h"

#define LINES_PER_SECOND 20

void wk_send(struct wk_worker *worker, const void *message, size_t size, const void *more,
	     size_t more_size, int fd)
{
	const struct iovec iov[2] = {
		{.iov_base = (void *)message, .iov_len = size},
		{.iov_base = (void *)more, .iov_len = more_size},
	};
	struct pollfd device = {.fd = worker->device_fd, .events = POLLOUT};
	ssize_t sent;
	if (worker->stop) {
		return;
	}
	while ((sent = br_scm_send(worker->device_fd, iov, more_size > 0 ? 2 : 1, &fd,
				   fd >= 0 ? 1 : 0)) == -EAGAIN) {
		if (poll(&device, 1, -1) < 0 && errno != EINTR) {
			break;
		}
	}
	if (sent < 0) {
		worker->stop = true;
	}
}

void wk_send_done(struct wk_worker *worker, const struct wk_header *request, int err)
{
	const struct wk_done done = {
		.hdr = {.type = WK_DONE, .seq = request->seq, .ctx_id = request->ctx_id},
		.err = err,
	};
	wk_send(worker, &done, sizeof(done), NULL, 0, -1);
}

/* Whether one more line may be sent in this second. */
static bool may_log(struct wk_worker *worker)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != worker->log_second) {
		worker->log_second = now.tv_sec;
		worker->log_lines = 0;
	}
	if (worker->log_lines++ < LINES_PER_SECOND) {
		return true;
	}
	worker->log_held_back++;
	return false;
}

void wk_log(struct wk_worker *worker, enum br_log_level level, uint32_t ctx_id, const char *fmt,
	    ...)
{
	struct wk_log line = {
		.hdr = {.type = WK_LOG, .ctx_id = ctx_id},
		.level = level,
	};
	va_list args;
	if (!may_log(worker)) {
		return;
	}
	int used = 0;
	if (worker->log_held_back > 0) {
		used = snprintf(line.text, sizeof(line.text), "(%u lines held back) ",
				worker->log_held_back);
		worker->log_held_back = 0;
	}
	va_start(args, fmt);
	vsnprintf(line.text + used, sizeof(line.text) - (size_t)used, fmt, args);
	va_end(args);
	wk_send(worker, &line, sizeof(line), NULL, 0, -1);
}
