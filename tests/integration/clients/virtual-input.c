/* SPDX-License-Identifier: MIT
 *
 * virtual-input [SEAT]: a pointer and keyboard for tests, through the compositor's virtual device
 * protocols. Commands on stdin, each answered by "ok" when the compositor has handled it:
 *   keyboard LAYOUT            make the keyboard, with an xkb layout
 *   move X Y WIDTH HEIGHT      the pointer, absolute in an area of WIDTH x HEIGHT
 *   wiggle COUNT X Y WIDTH HEIGHT   COUNT moves, between X and X+1
 *   press [BUTTON] | release [BUTTON]   a button (Linux code), the left one unless said
 *   scroll STEPS               the wheel, down or (negative) up
 *   key CODE...                press keys in order and release them in reverse (Linux key codes)
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <wayland-client.h>
#include <xkbcommon/xkbcommon.h>

#include "probe-virtual-keyboard.h"
#include "probe-virtual-pointer.h"

#define BTN_LEFT 0x110
#define MAX_SEATS 8

static struct wl_display *display;
static struct zwlr_virtual_pointer_manager_v1 *pointer_manager;
static struct zwp_virtual_keyboard_manager_v1 *keyboard_manager;
static struct zwlr_virtual_pointer_v1 *pointer;
static struct zwp_virtual_keyboard_v1 *keyboard;
static struct wl_seat *seats[MAX_SEATS];
static char seat_names[MAX_SEATS][64];
static unsigned n_seats;
static struct xkb_state *state; /* of the virtual keyboard */

static void die(const char *what)
{
	fprintf(stderr, "virtual-input: %s\n", what);
	exit(1);
}

static void seat_capabilities(void *data, struct wl_seat *seat, uint32_t capabilities)
{
	(void)data;
	(void)seat;
	(void)capabilities;
}

static void seat_name(void *data, struct wl_seat *seat, const char *name)
{
	(void)seat;
	snprintf(data, sizeof(seat_names[0]), "%s", name);
}

static const struct wl_seat_listener seat_listener = {
	.capabilities = seat_capabilities,
	.name = seat_name,
};

static void handle_global(void *data, struct wl_registry *registry, uint32_t name,
			  const char *interface, uint32_t version)
{
	(void)data;
	if (strcmp(interface, zwlr_virtual_pointer_manager_v1_interface.name) == 0) {
		pointer_manager = wl_registry_bind(registry, name,
						   &zwlr_virtual_pointer_manager_v1_interface, 1);
	} else if (strcmp(interface, zwp_virtual_keyboard_manager_v1_interface.name) == 0) {
		keyboard_manager = wl_registry_bind(registry, name,
						    &zwp_virtual_keyboard_manager_v1_interface, 1);
	} else if (strcmp(interface, wl_seat_interface.name) == 0 && version >= 2 &&
		   n_seats < MAX_SEATS) {
		seats[n_seats] = wl_registry_bind(registry, name, &wl_seat_interface, 2);
		wl_seat_add_listener(seats[n_seats], &seat_listener, seat_names[n_seats]);
		n_seats++;
	}
}

static void handle_global_remove(void *data, struct wl_registry *registry, uint32_t name)
{
	(void)data;
	(void)registry;
	(void)name;
}

static const struct wl_registry_listener registry_listener = {
	.global = handle_global,
	.global_remove = handle_global_remove,
};

static uint32_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint32_t)((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

static void make_keyboard(struct wl_seat *seat, const char *layout)
{
	struct xkb_context *context = xkb_context_new(XKB_CONTEXT_NO_FLAGS);
	struct xkb_rule_names names = {.rules = "evdev", .model = "pc105", .layout = layout};
	struct xkb_keymap *keymap =
		xkb_keymap_new_from_names(context, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
	char *text = keymap ? xkb_keymap_get_as_string(keymap, XKB_KEYMAP_FORMAT_TEXT_V1) : NULL;
	if (text == NULL) {
		die("no such keymap");
	}
	size_t size = strlen(text) + 1;
	int fd = memfd_create("keymap", MFD_CLOEXEC);
	if (fd < 0 || write(fd, text, size) != (ssize_t)size) {
		die("no memory for the keymap");
	}
	if (keyboard == NULL) {
		keyboard = zwp_virtual_keyboard_manager_v1_create_virtual_keyboard(keyboard_manager,
										   seat);
	}
	zwp_virtual_keyboard_v1_keymap(keyboard, WL_KEYBOARD_KEYMAP_FORMAT_XKB_V1, fd,
				       (uint32_t)size);
	wl_display_flush(display);
	close(fd);
	free(text);
	xkb_state_unref(state);
	state = xkb_state_new(keymap);
	xkb_keymap_unref(keymap);
	xkb_context_unref(context);
}

static void wiggle(unsigned count, unsigned x, unsigned y, unsigned width, unsigned height)
{
	for (unsigned i = 0; i < count; i++) {
		zwlr_virtual_pointer_v1_motion_absolute(pointer, now_ms(), x + i % 2, y, width,
							height);
		zwlr_virtual_pointer_v1_frame(pointer);
		if (i % 100 == 99 && wl_display_roundtrip(display) < 0) {
			die("connection lost");
		}
	}
}

/* The compositor takes modifiers as they are said, not from the keys. */
static void key(unsigned code, bool down)
{
	zwp_virtual_keyboard_v1_key(keyboard, now_ms(), code, down);
	/* xkb's codes are X's. */
	if (xkb_state_update_key(state, code + 8, down ? XKB_KEY_DOWN : XKB_KEY_UP) != 0) {
		zwp_virtual_keyboard_v1_modifiers(
			keyboard, xkb_state_serialize_mods(state, XKB_STATE_MODS_DEPRESSED),
			xkb_state_serialize_mods(state, XKB_STATE_MODS_LATCHED),
			xkb_state_serialize_mods(state, XKB_STATE_MODS_LOCKED),
			xkb_state_serialize_layout(state, XKB_STATE_LAYOUT_EFFECTIVE));
	}
}

static void keys(const char *text)
{
	unsigned codes[8], count = 0;
	char *end;
	for (unsigned long code; count < 8 && (code = strtoul(text, &end, 10), end != text);
	     text = end) {
		codes[count++] = (unsigned)code;
	}
	for (unsigned i = 0; i < count; i++) {
		key(codes[i], true);
	}
	while (count > 0) {
		key(codes[--count], false);
	}
}

/* The text behind a command's name: a button's code, or the left one's. */
static void button(const char *text, bool down)
{
	unsigned long code = strtoul(text, NULL, 10);
	zwlr_virtual_pointer_v1_button(pointer, now_ms(), code != 0 ? (uint32_t)code : BTN_LEFT,
				       down);
	zwlr_virtual_pointer_v1_frame(pointer);
}

static void scroll(int steps)
{
	zwlr_virtual_pointer_v1_axis_source(pointer, WL_POINTER_AXIS_SOURCE_WHEEL);
	zwlr_virtual_pointer_v1_axis_discrete(pointer, now_ms(), WL_POINTER_AXIS_VERTICAL_SCROLL,
					      wl_fixed_from_int(15 * steps), steps);
	zwlr_virtual_pointer_v1_frame(pointer);
}

static void command(struct wl_seat *seat, const char *line)
{
	char text[64];
	unsigned x, y, width, height, count;
	int steps;
	if (sscanf(line, "keyboard %63s", text) == 1) {
		make_keyboard(seat, text);
	} else if (sscanf(line, "move %u %u %u %u", &x, &y, &width, &height) == 4) {
		zwlr_virtual_pointer_v1_motion_absolute(pointer, now_ms(), x, y, width, height);
		zwlr_virtual_pointer_v1_frame(pointer);
	} else if (sscanf(line, "wiggle %u %u %u %u %u", &count, &x, &y, &width, &height) == 5) {
		wiggle(count, x, y, width, height);
	} else if (strncmp(line, "press", 5) == 0) {
		button(line + 5, true);
	} else if (strncmp(line, "release", 7) == 0) {
		button(line + 7, false);
	} else if (sscanf(line, "scroll %d", &steps) == 1) {
		scroll(steps);
	} else if (strncmp(line, "key ", 4) == 0 && keyboard != NULL) {
		keys(line + 4);
	} else {
		die("no such command");
	}
}

int main(int argc, char **argv)
{
	char line[256];
	display = wl_display_connect(NULL);
	if (display == NULL) {
		die("no compositor");
	}
	struct wl_registry *registry = wl_display_get_registry(display);
	wl_registry_add_listener(registry, &registry_listener, NULL);
	wl_display_roundtrip(display);
	wl_display_roundtrip(display);
	struct wl_seat *seat = n_seats > 0 ? seats[0] : NULL;
	for (unsigned i = 0; argc > 1 && i < n_seats; i++) {
		seat = strcmp(seat_names[i], argv[1]) == 0 ? seats[i] : seat;
	}
	if (seat == NULL || pointer_manager == NULL || keyboard_manager == NULL) {
		die("the compositor lacks a seat or the virtual device protocols");
	}
	pointer = zwlr_virtual_pointer_manager_v1_create_virtual_pointer(pointer_manager, seat);
	if (wl_display_roundtrip(display) < 0) {
		die("connection lost");
	}
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		command(seat, line);
		if (wl_display_roundtrip(display) < 0) {
			die("connection lost");
		}
		puts("ok");
		fflush(stdout);
	}
	return 0;
}
