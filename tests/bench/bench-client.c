/* SPDX-License-Identifier: MIT
 *
 * The benchmarks' client: one measurement a run, printed as "value UNIT". Which compositor connection
 * it uses (direct, through a bridge) is in WAYLAND_DISPLAY; the input and paste measurements have a
 * second connection named by BENCH_HOST_DISPLAY, which is direct where client and host are on one machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "window.h"
#include "bench-wlr-data-control-unstable-v1-client.h"
#include "bench-wlr-virtual-pointer-unstable-v1-client.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void print_median_us(uint64_t *ns, size_t count)
{
	qsort(ns, count, sizeof(*ns), compare);
	printf("%.3f us\n", (double)ns[count / 2] / 1000.0);
}

static uint64_t *samples(size_t count)
{
	uint64_t *ns = calloc(count, sizeof(*ns));
	if (ns == NULL) {
		die("no memory for %zu samples", count);
	}
	return ns;
}

static void run_roundtrip(size_t count)
{
	struct session session;
	uint64_t *ns = samples(count);
	session_open(&session, NULL);
	for (size_t i = 0; i < count; i++) {
		uint64_t start = now_ns();
		sync_display(&session);
		ns[i] = now_ns() - start;
	}
	print_median_us(ns, count);
	free(ns);
	session_close(&session);
}

/* Commit and round trip: afterwards the host has this frame. Painting is not counted. */
static void run_commit(size_t count, bool full)
{
	struct session session;
	struct window window;
	uint64_t *ns = samples(count);
	session_open(&session, NULL);
	window_open(&window, &session, 1920, 1080);
	for (size_t i = 0; i < count; i++) {
		window_paint(&window, full);
		uint64_t start = now_ns();
		window_commit(&window, full);
		sync_display(&session);
		ns[i] = now_ns() - start;
	}
	print_median_us(ns, count);
	free(ns);
	window_close(&window);
	session_close(&session);
}

static void handle_sync_done(void *data, struct wl_callback *callback, uint32_t serial)
{
	(void)serial;
	(*(unsigned *)data)--;
	wl_callback_destroy(callback);
}

static const struct wl_callback_listener sync_listener = {.done = handle_sync_done};

static double cpu_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Frames painted, committed and taken by the host per second, with at most two on their way. Also
 * prints the CPU time of a frame in this process. */
static void run_fps(size_t count, bool full)
{
	struct session session;
	struct window window;
	unsigned pending = 0;
	session_open(&session, NULL);
	window_open(&window, &session, 1920, 1080);
	uint64_t start = now_ns();
	double cpu = cpu_ms();
	for (size_t i = 0; i < count; i++) {
		window_paint(&window, full);
		window_commit(&window, full);
		struct wl_callback *callback = wl_display_sync(session.display);
		wl_callback_add_listener(callback, &sync_listener, &pending);
		pending++;
		while (pending >= 2) {
			if (wl_display_dispatch(session.display) < 0) {
				die("connection lost");
			}
		}
	}
	sync_display(&session);
	uint64_t ns = now_ns() - start;
	printf("%.1f fps\ncpu %.4f ms\n", (double)count * 1e9 / (double)ns,
	       (cpu_ms() - cpu) / (double)count);
	window_close(&window);
	session_close(&session);
}

static void run_windows(size_t count)
{
	struct session session;
	session_open(&session, NULL);
	uint64_t start = now_ns();
	for (size_t i = 0; i < count; i++) {
		struct window window;
		window_open(&window, &session, 256, 256);
		window_close(&window);
	}
	sync_display(&session);
	printf("%.1f windows/s\n", (double)count * 1e9 / (double)(now_ns() - start));
	session_close(&session);
}

/* The time of a whole process: the caller measures it, or run_startups(). */
static void run_startup(void)
{
	struct session session;
	struct window window;
	session_open(&session, NULL);
	window_open(&window, &session, 640, 480);
	session_close(&session);
}

static void run_startups(size_t count)
{
	uint64_t *ns = samples(count);
	for (size_t i = 0; i < count; i++) {
		int status = 0;
		uint64_t start = now_ns();
		pid_t pid = fork();
		if (pid == 0) {
			execl("/proc/self/exe", "bench-client", "startup", (char *)NULL);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
			die("a client did not start");
		}
		ns[i] = now_ns() - start;
	}
	qsort(ns, count, sizeof(*ns), compare);
	printf("%.3f ms\n", (double)ns[count / 2] / 1e6);
	free(ns);
}

static void serve_until_eof(struct session *session)
{
	char byte;
	struct pollfd fds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = wl_display_get_fd(session->display), .events = POLLIN},
	};
	for (;;) {
		wl_display_flush(session->display);
		if (poll(fds, 2, -1) < 0 || (fds[0].revents && read(STDIN_FILENO, &byte, 1) <= 0)) {
			break;
		}
		if (fds[1].revents && wl_display_dispatch(session->display) < 0) {
			die("connection lost");
		}
	}
}

static void run_hold(void)
{
	struct session session;
	struct window window;
	alarm(0); /* its caller ends it */
	session_open(&session, NULL);
	window_open(&window, &session, 640, 480);
	puts("ready");
	fflush(stdout);
	serve_until_eof(&session);
	session_close(&session);
}

/* --- input --- */

struct pointer_state {
	uint64_t motions;
	bool entered;
};

static void pointer_enter(void *data, struct wl_pointer *pointer, uint32_t serial,
			  struct wl_surface *surface, wl_fixed_t x, wl_fixed_t y)
{
	(void)pointer, (void)serial, (void)surface, (void)x, (void)y;
	((struct pointer_state *)data)->entered = true;
}

static void pointer_leave(void *data, struct wl_pointer *pointer, uint32_t serial,
			  struct wl_surface *surface)
{
	(void)data, (void)pointer, (void)serial, (void)surface;
}

static void pointer_motion(void *data, struct wl_pointer *pointer, uint32_t time, wl_fixed_t x,
			   wl_fixed_t y)
{
	(void)pointer, (void)time, (void)x, (void)y;
	((struct pointer_state *)data)->motions++;
}

static void pointer_button(void *data, struct wl_pointer *pointer, uint32_t serial, uint32_t time,
			   uint32_t button, uint32_t state)
{
	(void)data, (void)pointer, (void)serial, (void)time, (void)button, (void)state;
}

static void pointer_axis(void *data, struct wl_pointer *pointer, uint32_t time, uint32_t axis,
			 wl_fixed_t value)
{
	(void)data, (void)pointer, (void)time, (void)axis, (void)value;
}

static void pointer_frame(void *data, struct wl_pointer *pointer)
{
	(void)data, (void)pointer;
}

static void pointer_axis_source(void *data, struct wl_pointer *pointer, uint32_t source)
{
	(void)data, (void)pointer, (void)source;
}

static void pointer_axis_stop(void *data, struct wl_pointer *pointer, uint32_t time, uint32_t axis)
{
	(void)data, (void)pointer, (void)time, (void)axis;
}

static void pointer_axis_discrete(void *data, struct wl_pointer *pointer, uint32_t axis,
				  int32_t discrete)
{
	(void)data, (void)pointer, (void)axis, (void)discrete;
}

static const struct wl_pointer_listener pointer_listener = {
	.enter = pointer_enter,
	.leave = pointer_leave,
	.motion = pointer_motion,
	.button = pointer_button,
	.axis = pointer_axis,
	.frame = pointer_frame,
	.axis_source = pointer_axis_source,
	.axis_stop = pointer_axis_stop,
	.axis_discrete = pointer_axis_discrete,
};

static void move_pointer(struct session *host, struct zwlr_virtual_pointer_v1 *pointer, unsigned i)
{
	zwlr_virtual_pointer_v1_motion_absolute(pointer, i, 300 + i % 100, 300, 1280, 720);
	zwlr_virtual_pointer_v1_frame(pointer);
	wl_display_flush(host->display);
}

static void await_motion(struct session *session, struct pointer_state *state, uint64_t count)
{
	while (state->motions < count) {
		if (wl_display_dispatch(session->display) < 0) {
			die("connection lost while waiting for pointer motion");
		}
	}
}

/* From a virtual pointer's motion on the host to the client's event; with_frame: on to the moment
 * when the host has the frame that the client painted in answer. */
static void run_input(size_t count, bool with_frame)
{
	struct session session, host;
	struct window window;
	struct pointer_state state = {0};
	uint64_t *ns = samples(count);
	session_open(&host, getenv("BENCH_HOST_DISPLAY"));
	if (host.virtual_pointers == NULL) {
		die("BENCH_HOST_DISPLAY has no virtual pointers");
	}
	struct zwlr_virtual_pointer_v1 *virtual_pointer =
		zwlr_virtual_pointer_manager_v1_create_virtual_pointer(host.virtual_pointers, NULL);
	sync_display(&host);
	session_open(&session, NULL);
	if (session.seat == NULL) {
		die("no seat");
	}
	struct wl_pointer *pointer = wl_seat_get_pointer(session.seat);
	wl_pointer_add_listener(pointer, &pointer_listener, &state);
	window_open(&window, &session, 1280, 720);
	move_pointer(&host, virtual_pointer, 1);
	while (!state.entered) {
		if (wl_display_dispatch(session.display) < 0) {
			die("connection lost while waiting for the pointer to enter");
		}
	}
	sync_display(&session);
	for (size_t i = 0; i < count; i++) {
		uint64_t wanted = state.motions + 1;
		uint64_t start = now_ns();
		move_pointer(&host, virtual_pointer, (unsigned)i + 2);
		await_motion(&session, &state, wanted);
		if (with_frame) {
			window_paint(&window, true);
			window_commit(&window, true);
			sync_display(&session);
		}
		ns[i] = now_ns() - start;
	}
	print_median_us(ns, count);
	free(ns);
	window_close(&window);
	session_close(&session);
	session_close(&host);
}

/* --- clipboard --- */

struct clipboard {
	struct wl_data_offer *offer; /* of the selection; NULL: none yet */
};

static void offer_offer(void *data, struct wl_data_offer *offer, const char *type)
{
	(void)data, (void)offer, (void)type;
}

static void offer_source_actions(void *data, struct wl_data_offer *offer, uint32_t actions)
{
	(void)data, (void)offer, (void)actions;
}

static void offer_action(void *data, struct wl_data_offer *offer, uint32_t action)
{
	(void)data, (void)offer, (void)action;
}

static const struct wl_data_offer_listener offer_listener = {
	.offer = offer_offer,
	.source_actions = offer_source_actions,
	.action = offer_action,
};

static void device_data_offer(void *data, struct wl_data_device *device,
			      struct wl_data_offer *offer)
{
	(void)device;
	wl_data_offer_add_listener(offer, &offer_listener, data);
}

static void device_enter(void *data, struct wl_data_device *device, uint32_t serial,
			 struct wl_surface *surface, wl_fixed_t x, wl_fixed_t y,
			 struct wl_data_offer *offer)
{
	(void)data, (void)device, (void)serial, (void)surface, (void)x, (void)y, (void)offer;
}

static void device_leave(void *data, struct wl_data_device *device)
{
	(void)data, (void)device;
}

static void device_motion(void *data, struct wl_data_device *device, uint32_t time, wl_fixed_t x,
			  wl_fixed_t y)
{
	(void)data, (void)device, (void)time, (void)x, (void)y;
}

static void device_drop(void *data, struct wl_data_device *device)
{
	(void)data, (void)device;
}

static void device_selection(void *data, struct wl_data_device *device, struct wl_data_offer *offer)
{
	(void)device;
	((struct clipboard *)data)->offer = offer;
}

static const struct wl_data_device_listener device_listener = {
	.data_offer = device_data_offer,
	.enter = device_enter,
	.leave = device_leave,
	.motion = device_motion,
	.drop = device_drop,
	.selection = device_selection,
};

/* Writes the whole clipboard in a process of its own, as a real owner would from its own. */
static void source_send(void *data, struct zwlr_data_control_source_v1 *source, const char *type,
			int32_t fd)
{
	(void)source, (void)type;
	size_t left = *(size_t *)data;
	if (fork() == 0) {
		static uint8_t block[1 << 16];
		while (left > 0) {
			ssize_t n = write(fd, block, left < sizeof(block) ? left : sizeof(block));
			if (n <= 0) {
				_exit(1);
			}
			left -= (size_t)n;
		}
		_exit(0);
	}
	close(fd);
}

static void source_cancelled(void *data, struct zwlr_data_control_source_v1 *source)
{
	(void)data, (void)source;
}

static const struct zwlr_data_control_source_v1_listener source_listener = {
	.send = source_send,
	.cancelled = source_cancelled,
};

/* Read until the end of the stream, serving the host connection (NULL: none) meanwhile. */
static size_t drain(struct session *host, struct session *session, int fd)
{
	static uint8_t block[1 << 16];
	size_t total = 0;
	struct pollfd fds[2] = {
		{.fd = fd, .events = POLLIN},
		{.fd = host ? wl_display_get_fd(host->display) : -1, .events = POLLIN},
	};
	for (;;) {
		if (host != NULL) {
			wl_display_flush(host->display);
		}
		wl_display_flush(session->display);
		if (poll(fds, 2, 20000) <= 0) {
			die("nothing pasted within 20 s");
		}
		if (fds[1].revents && wl_display_dispatch(host->display) < 0) {
			die("connection lost");
		}
		if (fds[0].revents) {
			ssize_t n = read(fd, block, sizeof(block));
			if (n <= 0) {
				return total;
			}
			total += (size_t)n;
		}
	}
}

/* Own the clipboard of a host with that many bytes. */
static void own_clipboard(struct session *host, size_t *bytes)
{
	if (!host->data_controls || !host->seat) {
		die("the compositor lacks data control or a seat");
	}
	struct zwlr_data_control_source_v1 *source =
		zwlr_data_control_manager_v1_create_data_source(host->data_controls);
	zwlr_data_control_source_v1_add_listener(source, &source_listener, bytes);
	zwlr_data_control_source_v1_offer(source, "application/octet-stream");
	struct zwlr_data_control_device_v1 *control =
		zwlr_data_control_manager_v1_get_data_device(host->data_controls, host->seat);
	zwlr_data_control_device_v1_set_selection(control, source);
	sync_display(host);
}

/* The owner alone, for a reader on another machine; until stdin ends. */
static void run_own(size_t mib)
{
	struct session host;
	size_t bytes = mib << 20;
	alarm(0); /* its caller ends it */
	session_open(&host, NULL);
	signal(SIGCHLD, SIG_IGN);
	own_clipboard(&host, &bytes);
	puts("ready");
	fflush(stdout);
	serve_until_eof(&host);
	session_close(&host);
}

/* Without BENCH_HOST_DISPLAY the owner is somebody else (run_own()). */
static void run_paste(size_t mib)
{
	struct session session, host = {0};
	struct window window;
	struct clipboard clipboard = {0};
	size_t bytes = mib << 20;
	bool owner = getenv("BENCH_HOST_DISPLAY") != NULL;
	if (owner) {
		session_open(&host, getenv("BENCH_HOST_DISPLAY"));
	}
	session_open(&session, NULL);
	if (!session.seat || !session.data_devices) {
		die("the compositor lacks a seat or data devices");
	}
	struct wl_data_device *device =
		wl_data_device_manager_get_data_device(session.data_devices, session.seat);
	wl_data_device_add_listener(device, &device_listener, &clipboard);
	window_open(&window, &session, 640, 480);
	if (owner) {
		own_clipboard(&host, &bytes);
	}
	while (clipboard.offer == NULL) {
		if (wl_display_dispatch(session.display) < 0) {
			die("connection lost while waiting for the selection");
		}
	}
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0) {
		die("pipe: %s", strerror(errno));
	}
	uint64_t start = now_ns();
	wl_data_offer_receive(clipboard.offer, "application/octet-stream", fds[1]);
	wl_display_flush(session.display);
	close(fds[1]);
	size_t total = drain(owner ? &host : NULL, &session, fds[0]);
	uint64_t ns = now_ns() - start;
	if (total != bytes) {
		die("pasted %zu of %zu bytes", total, bytes);
	}
	printf("%.1f MiB/s\n", (double)mib * 1e9 / (double)ns);
	window_close(&window);
	session_close(&session);
	if (owner) {
		session_close(&host);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	size_t count = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 0;
	alarm(120); /* a bridge that hangs fails the measurement */
	if (strcmp(mode, "startup") == 0 && count == 0) {
		run_startup();
		return 0;
	}
	if (strcmp(mode, "hold") == 0) {
		run_hold();
	} else if (count == 0) {
		die("usage: bench-client startup|hold, or startup|roundtrip|commit-small|"
		    "commit-full|fps-small|fps-full|windows|input|input-frame|paste|own COUNT");
	} else if (strcmp(mode, "startup") == 0) {
		run_startups(count);
	} else if (strcmp(mode, "roundtrip") == 0) {
		run_roundtrip(count);
	} else if (strncmp(mode, "commit-", 7) == 0) {
		run_commit(count, strcmp(mode, "commit-full") == 0);
	} else if (strncmp(mode, "fps-", 4) == 0) {
		run_fps(count, strcmp(mode, "fps-full") == 0);
	} else if (strcmp(mode, "windows") == 0) {
		run_windows(count);
	} else if (strcmp(mode, "input") == 0 || strcmp(mode, "input-frame") == 0) {
		run_input(count, strcmp(mode, "input-frame") == 0);
	} else if (strcmp(mode, "paste") == 0) {
		run_paste(count);
	} else if (strcmp(mode, "own") == 0) {
		run_own(count);
	} else {
		die("unknown measurement %s", mode);
	}
	return 0;
}
