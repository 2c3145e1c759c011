/* SPDX-License-Identifier: MIT */
#include "upstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <wayland-server-core.h>

#include "fd.h"
#include "log.h"
#include "secctx.h"
#include "sock.h"

/* A compositor that has not answered by then hangs; its clients would too. */
#define SECCTX_DEADLINE_MS 5000

/* A socket is there before it is listened on: how often it is tried again, and how soon. */
#define TRIES 50
#define TRY_AGAIN_MS 20

struct hr_upstream {
	struct wl_event_loop *loop;
	char *path;
	enum hr_secctx_mode mode;
	struct hr_secctx *secctx; /* NULL if the mode is off */
	struct wl_event_source *deadline;
	struct wl_list waits; /* hr_upstream_wait.link */
	/* Of those who lost their compositor; all but the list only while there are any. */
	struct wl_list patients; /* hr_upstream_wait.link */
	struct wl_event_source *folder, *patience;
	int inotify_fd;
	unsigned tries;
};

char *hr_upstream_find_path(const char *display)
{
	char *path = NULL;
	if (display == NULL) {
		display = getenv("WAYLAND_DISPLAY");
	}
	if (display == NULL || display[0] == '\0') {
		display = "wayland-0";
	}
	if (display[0] == '/') {
		path = strdup(display);
	} else {
		const char *dir = getenv("XDG_RUNTIME_DIR");
		if (dir == NULL || dir[0] != '/') {
			errno = EINVAL;
			return NULL;
		}
		if (asprintf(&path, "%s/%s", dir, display) < 0) {
			path = NULL;
		}
	}
	if (path == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		free(path);
		errno = ENAMETOOLONG;
		return NULL;
	}
	return path;
}

/* Connect by what is known now of the security context; -EINPROGRESS if that is nothing. */
static int connect_now(struct hr_upstream *upstream)
{
	enum hr_secctx_state state =
		upstream->secctx == NULL ? HR_SECCTX_ABSENT : hr_secctx_state(upstream->secctx);
	switch (state) {
	case HR_SECCTX_READY:
		return hr_secctx_connect(upstream->secctx);
	case HR_SECCTX_ABSENT:
		if (upstream->mode == HR_SECCTX_REQUIRE) {
			br_log_peer(
				BR_LOG_ERROR,
				"host: the compositor at %s has no wp_security_context_v1: use one "
				"that has it, or --security-context=auto",
				upstream->path);
			return -EACCES;
		}
		return br_sock_connect(upstream->path, SOCK_STREAM);
	case HR_SECCTX_PENDING:
		return -EINPROGRESS;
	case HR_SECCTX_DOWN:
		break;
	}
	return hr_secctx_error(upstream->secctx);
}

/* Tell all who wait. result: 0 to connect each, else -errno for all. */
static void wake(struct hr_upstream *upstream, int result)
{
	struct wl_list waits;
	wl_list_init(&waits);
	wl_list_insert_list(&waits, &upstream->waits);
	wl_list_init(&upstream->waits);
	(void)wl_event_source_timer_update(upstream->deadline, 0);
	while (!wl_list_empty(&waits)) {
		struct hr_upstream_wait *wait = wl_container_of(waits.next, wait, link);
		hr_upstream_cancel(wait);
		int fd = result < 0 ? result : connect_now(upstream);
		wait->ready(wait, fd == -EINPROGRESS ? -ECONNRESET : fd);
	}
}

/* --- waiting for the next compositor --- */

static int64_t now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void stop_watching(struct hr_upstream *upstream)
{
	if (upstream->folder != NULL) {
		wl_event_source_remove(upstream->folder);
		upstream->folder = NULL;
	}
	if (upstream->patience != NULL) {
		wl_event_source_remove(upstream->patience);
		upstream->patience = NULL;
	}
	br_fd_clear(&upstream->inotify_fd);
}

/* The patient leaves, with a connection or without. */
static void discharge(struct hr_upstream_wait *wait, int fd)
{
	hr_upstream_cancel(wait);
	wait->ready(wait, fd);
}

/* For the next try, or for the patient whose time is up first. */
static void set_patience(struct hr_upstream *upstream)
{
	const struct hr_upstream_wait *wait;
	int64_t now = now_ms(), next = INT32_MAX;
	if (wl_list_empty(&upstream->patients)) {
		stop_watching(upstream);
		return;
	}
	wl_list_for_each (wait, &upstream->patients, link) {
		int64_t left = wait->until_ms - now;
		next = left < next ? left : next;
	}
	if (upstream->tries > 0 && next > TRY_AGAIN_MS) {
		next = TRY_AGAIN_MS;
	}
	(void)wl_event_source_timer_update(upstream->patience, next > 0 ? (int)next : 1);
}

/* Returns a connection for one patient; -EINPROGRESS and -ECONNREFUSED: later. */
static int connect_patient(struct hr_upstream *upstream, const struct hr_upstream_wait *wait)
{
	hr_upstream_prepare(upstream);
	int fd = connect_now(upstream);
	if (fd >= 0 && wait->generation >= 0 &&
	    wait->generation == (int64_t)hr_secctx_generation(upstream->secctx)) {
		br_fd_clear(&fd);
		return -ECONNABORTED;
	}
	return fd == -ENOENT || fd == -ECONNRESET || fd == -EPIPE ? -ECONNREFUSED : fd;
}

/* Connect all, as soon as it works for one. */
static void try_patients(struct hr_upstream *upstream)
{
	while (!wl_list_empty(&upstream->patients)) {
		struct hr_upstream_wait *wait =
			wl_container_of(upstream->patients.next, wait, link);
		int fd = connect_patient(upstream, wait);
		if (fd == -EINPROGRESS) {
			upstream->tries = 0;
			(void)wl_event_source_timer_update(upstream->deadline, SECCTX_DEADLINE_MS);
			break;
		}
		if (fd == -ECONNREFUSED) {
			break;
		}
		discharge(wait, fd);
	}
	set_patience(upstream);
}

static void expire_patients(struct hr_upstream *upstream)
{
	struct wl_list late;
	struct hr_upstream_wait *wait, *tmp;
	int64_t now = now_ms();
	wl_list_init(&late);
	wl_list_for_each_safe (wait, tmp, &upstream->patients, link) {
		if (wait->until_ms <= now) {
			wl_list_remove(&wait->link);
			wl_list_insert(late.prev, &wait->link);
		}
	}
	while (!wl_list_empty(&late)) {
		wait = wl_container_of(late.next, wait, link);
		discharge(wait, -ETIMEDOUT);
	}
}

static int handle_patience(void *data)
{
	struct hr_upstream *upstream = data;
	upstream->tries -= upstream->tries > 0;
	expire_patients(upstream);
	try_patients(upstream);
	return 0;
}

/* Something new in the folder: the socket? */
static int handle_folder(int fd, uint32_t mask, void *data)
{
	struct hr_upstream *upstream = data;
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	const char *name = strrchr(upstream->path, '/') + 1;
	ssize_t len = read(fd, buf, sizeof(buf));
	bool there = false;
	(void)mask;
	for (ssize_t at = 0; at < len;) {
		const struct inotify_event *event = (const struct inotify_event *)(buf + at);
		there = there || (event->len > 0 && strcmp(event->name, name) == 0);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	if (there) {
		upstream->tries = TRIES;
		try_patients(upstream);
	}
	return 0;
}

/* Returns 0 or -errno. */
static int start_watching(struct hr_upstream *upstream)
{
	char *folder = strndup(upstream->path,
			       (size_t)(strrchr(upstream->path, '/') - upstream->path) + 1);
	int ret = 0;
	upstream->tries = 0;
	upstream->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (folder == NULL || upstream->inotify_fd < 0 ||
	    inotify_add_watch(upstream->inotify_fd, folder, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) <
		    0) {
		ret = folder == NULL ? -ENOMEM : -errno;
	} else {
		upstream->folder = wl_event_loop_add_fd(upstream->loop, upstream->inotify_fd,
							WL_EVENT_READABLE, handle_folder, upstream);
		upstream->patience =
			wl_event_loop_add_timer(upstream->loop, handle_patience, upstream);
		ret = upstream->folder != NULL && upstream->patience != NULL ? 0 : -ENOMEM;
	}
	free(folder);
	if (ret < 0) {
		stop_watching(upstream);
	}
	return ret;
}

int hr_upstream_await(struct hr_upstream *upstream, struct hr_upstream_wait *wait, uint32_t ms)
{
	enum hr_secctx_state state =
		upstream->secctx != NULL ? hr_secctx_state(upstream->secctx) : HR_SECCTX_DOWN;
	int ret = upstream->patience == NULL ? start_watching(upstream) : 0;
	if (ret < 0) {
		return ret;
	}
	wait->until_ms = now_ms() + ms;
	wait->generation =
		state == HR_SECCTX_DOWN ? -1 : (int64_t)hr_secctx_generation(upstream->secctx);
	upstream->tries += upstream->tries == 0; /* there may be another one already */
	wl_list_insert(upstream->patients.prev, &wait->link);
	if (state == HR_SECCTX_READY || state == HR_SECCTX_ABSENT) {
		hr_secctx_ask(upstream->secctx);
	}
	set_patience(upstream);
	return 0;
}

static void handle_secctx_changed(void *data)
{
	struct hr_upstream *upstream = data;
	wake(upstream, 0);
	if (upstream->patience != NULL) {
		try_patients(upstream);
	}
}

static int handle_deadline(void *data)
{
	struct hr_upstream *upstream = data;
	br_log(BR_LOG_ERROR, "host: the compositor at %s does not answer", upstream->path);
	hr_secctx_reset(upstream->secctx, -ETIMEDOUT);
	wake(upstream, -ETIMEDOUT);
	if (upstream->patience != NULL) {
		try_patients(upstream);
	}
	return 0;
}

int hr_upstream_create(struct wl_event_loop *loop, const struct hr_upstream_config *config,
		       struct hr_upstream **ret_upstream)
{
	struct hr_upstream *upstream = calloc(1, sizeof(*upstream));
	int ret = -ENOMEM;
	if (upstream == NULL) {
		return ret;
	}
	upstream->loop = loop;
	upstream->mode = config->secctx;
	wl_list_init(&upstream->waits);
	wl_list_init(&upstream->patients);
	upstream->inotify_fd = -1;
	upstream->path = hr_upstream_find_path(config->display);
	if (upstream->path == NULL) {
		ret = -errno;
		goto fail;
	}
	upstream->deadline = wl_event_loop_add_timer(loop, handle_deadline, upstream);
	if (upstream->deadline == NULL) {
		goto fail;
	}
	if (config->secctx != HR_SECCTX_OFF) {
		ret = hr_secctx_create(loop, upstream->path, config->guest_name,
				       handle_secctx_changed, upstream, &upstream->secctx);
		if (ret < 0) {
			goto fail;
		}
	}
	*ret_upstream = upstream;
	return 0;
fail:
	hr_upstream_destroy(upstream);
	return ret;
}

void hr_upstream_destroy(struct hr_upstream *upstream)
{
	if (upstream == NULL) {
		return;
	}
	while (!wl_list_empty(&upstream->patients)) {
		struct hr_upstream_wait *wait =
			wl_container_of(upstream->patients.next, wait, link);
		discharge(wait, -ECANCELED);
	}
	stop_watching(upstream);
	if (upstream->deadline != NULL) {
		wake(upstream, -ECANCELED);
		wl_event_source_remove(upstream->deadline);
	}
	hr_secctx_destroy(upstream->secctx);
	free(upstream->path);
	free(upstream);
}

const char *hr_upstream_path(const struct hr_upstream *upstream)
{
	return upstream->path;
}

void hr_upstream_prepare(struct hr_upstream *upstream)
{
	if (upstream->secctx != NULL && hr_secctx_state(upstream->secctx) == HR_SECCTX_DOWN) {
		hr_secctx_start(upstream->secctx);
	}
}

static int log_connect(const struct hr_upstream *upstream, int ret)
{
	if (ret < 0 && ret != -EINPROGRESS && ret != -EACCES) {
		br_log_peer(
			BR_LOG_ERROR,
			"host: can't connect to the compositor at %s: %s; start one, or name its "
			"socket with --wayland-display",
			upstream->path, strerror(-ret));
	}
	return ret;
}

int hr_upstream_connect(struct hr_upstream *upstream, struct hr_upstream_wait *wait)
{
	hr_upstream_prepare(upstream);
	int ret = connect_now(upstream);
	if (ret == -ECONNREFUSED && upstream->secctx != NULL &&
	    hr_secctx_state(upstream->secctx) == HR_SECCTX_READY) {
		/* The compositor has just gone; perhaps there is another one already. */
		hr_secctx_reset(upstream->secctx, ret);
		hr_upstream_prepare(upstream);
		ret = connect_now(upstream);
	}
	if (ret != -EINPROGRESS) {
		return log_connect(upstream, ret);
	}
	if (wl_list_empty(&upstream->waits)) {
		(void)wl_event_source_timer_update(upstream->deadline, SECCTX_DEADLINE_MS);
	}
	wl_list_insert(upstream->waits.prev, &wait->link);
	return ret;
}

void hr_upstream_cancel(struct hr_upstream_wait *wait)
{
	if (wait->link.next != NULL) {
		wl_list_remove(&wait->link);
		wait->link = (struct wl_list){0};
	}
}
