/* SPDX-License-Identifier: MIT */
#include "callback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fd.h"

#define MAX_LINES 64 /* that wait to be sent */

int wk_callbacks_init(struct wk_callbacks *callbacks)
{
	*callbacks = (struct wk_callbacks){.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (callbacks->wake_fd < 0) {
		return -errno;
	}
	wl_array_init(&callbacks->retired);
	wl_array_init(&callbacks->lines);
	return -pthread_mutex_init(&callbacks->lock, NULL);
}

void wk_callbacks_finish(struct wk_callbacks *callbacks)
{
	br_fd_clear(&callbacks->wake_fd);
	wl_array_release(&callbacks->retired);
	wl_array_release(&callbacks->lines);
	wl_array_init(&callbacks->retired);
	wl_array_init(&callbacks->lines);
}

static void wake(struct wk_callbacks *callbacks)
{
	const uint64_t one = 1;
	(void)!write(callbacks->wake_fd, &one, sizeof(one));
}

void wk_callbacks_retire(struct wk_callbacks *callbacks, const struct wk_retired *retired)
{
	pthread_mutex_lock(&callbacks->lock);
	struct wk_retired *slot = wl_array_add(&callbacks->retired, sizeof(*slot));
	if (slot == NULL) {
		/* A fence that is never done would hang a guest for good. */
		abort();
	}
	*slot = *retired;
	wake(callbacks);
	pthread_mutex_unlock(&callbacks->lock);
}

void wk_callbacks_log(struct wk_callbacks *callbacks, uint32_t level, const char *text)
{
	pthread_mutex_lock(&callbacks->lock);
	struct wk_line *line = NULL;
	if (callbacks->lines.size < MAX_LINES * sizeof(*line)) {
		line = wl_array_add(&callbacks->lines, sizeof(*line));
	}
	if (line != NULL) {
		/* The newline is of libvirglrenderer's own log. */
		size_t len = strcspn(text, "\n");
		len = len < sizeof(line->text) ? len : sizeof(line->text) - 1;
		*line = (struct wk_line){.level = level};
		memcpy(line->text, text, len);
		wake(callbacks);
	} else {
		callbacks->lost_lines++;
	}
	pthread_mutex_unlock(&callbacks->lock);
}

void wk_callbacks_take(struct wk_callbacks *callbacks, struct wl_array *ret_retired,
		       struct wl_array *ret_lines, unsigned *ret_lost_lines)
{
	uint64_t count;
	/* First: what comes after it wakes once more. */
	(void)!read(callbacks->wake_fd, &count, sizeof(count));
	pthread_mutex_lock(&callbacks->lock);
	*ret_retired = callbacks->retired;
	*ret_lines = callbacks->lines;
	*ret_lost_lines = callbacks->lost_lines;
	wl_array_init(&callbacks->retired);
	wl_array_init(&callbacks->lines);
	callbacks->lost_lines = 0;
	pthread_mutex_unlock(&callbacks->lock);
}
