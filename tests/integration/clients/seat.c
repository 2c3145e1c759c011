/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void pointer_enter(void *data, struct wl_pointer *pointer, uint32_t serial,
			  struct wl_surface *surface, wl_fixed_t x, wl_fixed_t y)
{
	(void)data;
	(void)pointer;
	(void)surface;
	probe.serial = serial;
	say("pointer-enter %d %d", wl_fixed_to_int(x), wl_fixed_to_int(y));
}

static void pointer_leave(void *data, struct wl_pointer *pointer, uint32_t serial,
			  struct wl_surface *surface)
{
	(void)data;
	(void)pointer;
	(void)serial;
	(void)surface;
	say("pointer-leave");
}

static void pointer_motion(void *data, struct wl_pointer *pointer, uint32_t time, wl_fixed_t x,
			   wl_fixed_t y)
{
	(void)data;
	(void)pointer;
	(void)time;
	say("pointer-motion %d %d", wl_fixed_to_int(x), wl_fixed_to_int(y));
}

static void pointer_button(void *data, struct wl_pointer *pointer, uint32_t serial, uint32_t time,
			   uint32_t button, uint32_t state)
{
	(void)data;
	(void)pointer;
	(void)time;
	probe.serial = serial;
	say("button %u %u", button, state);
	if (state == WL_POINTER_BUTTON_STATE_PRESSED) {
		selection_start_drag(serial);
	}
}

static void pointer_axis(void *data, struct wl_pointer *pointer, uint32_t time, uint32_t axis,
			 wl_fixed_t value)
{
	(void)data;
	(void)pointer;
	(void)time;
	(void)axis;
	(void)value;
}

static void pointer_frame(void *data, struct wl_pointer *pointer)
{
	(void)data;
	(void)pointer;
}

static void pointer_axis_source(void *data, struct wl_pointer *pointer, uint32_t source)
{
	(void)data;
	(void)pointer;
	(void)source;
}

static void pointer_axis_stop(void *data, struct wl_pointer *pointer, uint32_t time, uint32_t axis)
{
	(void)data;
	(void)pointer;
	(void)time;
	(void)axis;
}

static void pointer_axis_discrete(void *data, struct wl_pointer *pointer, uint32_t axis,
				  int32_t discrete)
{
	(void)data;
	(void)pointer;
	(void)axis;
	(void)discrete;
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

static void keyboard_keymap(void *data, struct wl_keyboard *keyboard, uint32_t format, int32_t fd,
			    uint32_t size)
{
	(void)data;
	(void)keyboard;
	char hex[65] = "-";
	/* MAP_PRIVATE: since version 7 compositors may seal the file against shared maps. */
	void *text = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	if (text != MAP_FAILED) {
		struct sha256 sha;
		sha256_init(&sha);
		sha256_add(&sha, text, size);
		sha256_finish(&sha, hex);
		munmap(text, size);
	}
	close(fd);
	say("keymap %u %u %s", format, size, hex);
}

static void keyboard_enter(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			   struct wl_surface *surface, struct wl_array *keys)
{
	(void)data;
	(void)keyboard;
	(void)surface;
	(void)keys;
	probe.serial = serial;
	say("focused");
}

static void keyboard_leave(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			   struct wl_surface *surface)
{
	(void)data;
	(void)keyboard;
	(void)serial;
	(void)surface;
	say("unfocused");
}

static void keyboard_key(void *data, struct wl_keyboard *keyboard, uint32_t serial, uint32_t time,
			 uint32_t key, uint32_t state)
{
	(void)data;
	(void)keyboard;
	(void)time;
	probe.serial = serial;
	say("key %u %u", key, state);
}

static void keyboard_modifiers(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			       uint32_t depressed, uint32_t latched, uint32_t locked,
			       uint32_t group)
{
	(void)data;
	(void)keyboard;
	(void)serial;
	say("modifiers %u %u %u %u", depressed, latched, locked, group);
}

static void keyboard_repeat(void *data, struct wl_keyboard *keyboard, int32_t rate, int32_t delay)
{
	(void)data;
	(void)keyboard;
	say("repeat %d %d", rate, delay);
}

static const struct wl_keyboard_listener keyboard_listener = {
	.keymap = keyboard_keymap,
	.enter = keyboard_enter,
	.leave = keyboard_leave,
	.key = keyboard_key,
	.modifiers = keyboard_modifiers,
	.repeat_info = keyboard_repeat,
};

static void use_devices(struct wl_seat *seat, uint32_t capabilities)
{
	if ((capabilities & WL_SEAT_CAPABILITY_POINTER) && probe.pointer == NULL) {
		probe.pointer = wl_seat_get_pointer(seat);
		wl_pointer_add_listener(probe.pointer, &pointer_listener, NULL);
	}
	if ((capabilities & WL_SEAT_CAPABILITY_KEYBOARD) && probe.keyboard == NULL) {
		probe.keyboard = wl_seat_get_keyboard(seat);
		wl_keyboard_add_listener(probe.keyboard, &keyboard_listener, NULL);
	}
	if (!(capabilities & WL_SEAT_CAPABILITY_KEYBOARD) && probe.keyboard != NULL) {
		wl_keyboard_release(probe.keyboard);
		probe.keyboard = NULL;
	}
	if (!(capabilities & WL_SEAT_CAPABILITY_POINTER) && probe.pointer != NULL) {
		wl_pointer_release(probe.pointer);
		probe.pointer = NULL;
	}
}

static void seat_capabilities(void *data, struct wl_seat *seat, uint32_t capabilities)
{
	(void)data;
	say("seat-capabilities %u", capabilities);
	if (probe.seat == NULL && probe.seat_name == NULL) {
		seat_use(seat);
	}
	if (seat == probe.seat) {
		use_devices(seat, capabilities);
	}
}

static void seat_name(void *data, struct wl_seat *seat, const char *name)
{
	(void)data;
	say("seat-name %s", name);
	if (probe.seat == NULL && probe.seat_name != NULL && strcmp(name, probe.seat_name) == 0) {
		seat_use(seat);
	}
}

static const struct wl_seat_listener seat_listener = {
	.capabilities = seat_capabilities,
	.name = seat_name,
};

void seat_use(struct wl_seat *seat)
{
	if (wl_proxy_get_listener((struct wl_proxy *)seat) == NULL) {
		wl_seat_add_listener(seat, &seat_listener, NULL);
		return;
	}
	probe.seat = seat;
	selection_use_seat(seat);
}
