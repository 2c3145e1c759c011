/* SPDX-License-Identifier: MIT
 *
 * probe [APP-ID [RRGGBB [SEAT]]]
 *
 * Commands on stdin, a line each:
 *   window                     map a window; prints "mapped W H"
 *   color RRGGBB               paint it; prints "painted RRGGBB" when its frame was shown
 *   shrink                     show a buffer, cut its file to nothing, show it again; "shrunk"
 *   unmap                      take the window away
 *   sync                       a round trip; prints "synced"
 *   offer KIND MIME FILE       KIND: clipboard, primary, or dnd (starts with the next press)
 *   storm COUNT FILE           COUNT clipboard offers, one after another; prints "stormed"
 *   paste KIND MIME [PAUSE]    prints "received KIND BYTES SHA256"; "paused" after PAUSE bytes
 *   drop-pause PAUSE           the same pause for the next drop
 *   resume                     go on with what is paused
 *   quit                       disconnect and exit
 * When the connection ends: "closed INTERFACE ID CODE" (or "closed - 0 ERRNO") and exit status 3.
 */
#include "probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct probe probe;

static void closed(void)
{
	const struct wl_interface *interface = NULL;
	uint32_t id = 0;
	int error = wl_display_get_error(probe.display);
	uint32_t code = wl_display_get_protocol_error(probe.display, &interface, &id);
	if (error == EPROTO && interface != NULL) {
		say("closed %s %u %u", interface->name, id, code);
	} else {
		say("closed - 0 %d", error);
	}
	exit(3);
}

static void handle_synced(void *data, struct wl_callback *callback, uint32_t serial)
{
	(void)serial;
	wl_callback_destroy(callback);
	probe.quiet_offers = false;
	say("%s", (const char *)data);
}

static const struct wl_callback_listener sync_listener = {.done = handle_synced};

static void sync_say(const char *line)
{
	wl_callback_add_listener(wl_display_sync(probe.display), &sync_listener, (void *)line);
}

static enum selection_kind parse_kind(const char *name)
{
	for (unsigned i = 0; i < N_KINDS; i++) {
		if (strcmp(name, kind_name((enum selection_kind)i)) == 0) {
			return (enum selection_kind)i;
		}
	}
	die("no such kind: %s", name);
}

static void storm(unsigned count, const char *path)
{
	probe.quiet_offers = true;
	for (unsigned i = 0; i < count; i++) {
		/* The one before is destroyed by its cancelled event. */
		selection_offer(CLIPBOARD, "text/plain", path);
		if (wl_display_roundtrip(probe.display) < 0) {
			closed();
		}
	}
	sync_say("stormed");
}

static void command(char *line)
{
	char word[4][512] = {"", "", "", ""};
	int n = sscanf(line, "%511s %511s %511s %511s", word[0], word[1], word[2], word[3]);
	if (n < 1) {
		return;
	}
	if (strcmp(word[0], "window") == 0) {
		window_open();
	} else if (strcmp(word[0], "color") == 0) {
		window_recolor((uint32_t)strtoul(word[1], NULL, 16));
	} else if (strcmp(word[0], "shrink") == 0) {
		window_shrink();
	} else if (strcmp(word[0], "unmap") == 0) {
		window_close();
	} else if (strcmp(word[0], "sync") == 0) {
		sync_say("synced");
	} else if (strcmp(word[0], "offer") == 0 && n == 4) {
		selection_offer(parse_kind(word[1]), word[2], word[3]);
	} else if (strcmp(word[0], "storm") == 0 && n == 3) {
		storm((unsigned)strtoul(word[1], NULL, 10), word[2]);
	} else if (strcmp(word[0], "paste") == 0 && n >= 3) {
		selection_paste(parse_kind(word[1]), word[2], strtoull(word[3], NULL, 10));
	} else if (strcmp(word[0], "drop-pause") == 0) {
		probe.dnd_pause_at = strtoull(word[1], NULL, 10);
	} else if (strcmp(word[0], "resume") == 0) {
		transfer_resume();
	} else if (strcmp(word[0], "quit") == 0) {
		wl_display_disconnect(probe.display);
		exit(0);
	} else {
		die("no such command: %s", line);
	}
}

static void flush(struct pollfd *fd)
{
	int ret = wl_display_flush(probe.display);
	fd->events = POLLIN;
	if (ret < 0 && errno == EAGAIN) {
		fd->events |= POLLOUT;
	} else if (ret < 0 && errno != EPIPE) {
		closed();
	}
}

static void run_once(void)
{
	struct pollfd fds[2 + MAX_TRANSFERS] = {
		{.fd = wl_display_get_fd(probe.display)},
		{.fd = STDIN_FILENO, .events = POLLIN},
	};
	while (wl_display_prepare_read(probe.display) < 0) {
		if (wl_display_dispatch_pending(probe.display) < 0) {
			closed();
		}
	}
	flush(&fds[0]);
	transfer_poll(&fds[2]);
	if (poll(fds, 2 + MAX_TRANSFERS, -1) < 0 && errno != EINTR) {
		die("poll: %s", strerror(errno));
	}
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
		if (wl_display_read_events(probe.display) < 0) {
			closed();
		}
	} else {
		wl_display_cancel_read(probe.display);
	}
	if (wl_display_dispatch_pending(probe.display) < 0) {
		closed();
	}
	transfer_dispatch(&fds[2]);
	if (fds[1].revents != 0) {
		read_commands(command);
	}
}

int main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN); /* a reader's end is a state line */
	probe.app_id = argc > 1 ? argv[1] : "probe";
	probe.color = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 16) : 0x204060;
	probe.seat_name = argc > 3 ? argv[3] : NULL;
	for (unsigned i = 0; i < MAX_TRANSFERS; i++) {
		probe.transfers[i].fd = -1;
	}
	probe.display = wl_display_connect(NULL);
	if (probe.display == NULL) {
		say("no-display %s", strerror(errno));
		return 4;
	}
	probe_globals();
	/* Two: the globals, and what their first binding says. */
	if (wl_display_roundtrip(probe.display) < 0 || wl_display_roundtrip(probe.display) < 0) {
		closed();
	}
	say("ready");
	for (;;) {
		run_once();
	}
}
