/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the control and cursor commands of a device with the channel's contexts: a row of what
 * ctrl_commands.h says. Build with tests/unit/guest.c, whose fake client it uses.
 */
#include <stdlib.h>

#include "../wayland/context.h"
#include "ctrl_commands.h"
#include "guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct hr_capset *const capsets[] = {&hr_wayland_capset};
	const struct hr_frontend frontend = {.ops = &ctrl_ops,
					     .extensions = XD_EXT_PIPE_CREDIT | XD_EXT_CLOCK};
	struct hr_host host = {.next_client = 1};
	host.loop = wl_event_loop_create();
	ctrl_window_open(host.loop);
	struct hr_device *device = hr_device_create(&host, &frontend, capsets, 1);
	for (size_t at = 0; at + CTRL_HEAD_BYTES <= size;) {
		const uint8_t *head = data + at;
		size_t len = ctrl_payload_bytes(head, size - at - CTRL_HEAD_BYTES);
		ctrl_run(device, head, head + CTRL_HEAD_BYTES, len);
		at += CTRL_HEAD_BYTES + len;
	}
	hr_device_destroy(device);
	hr_window_finish(&ctrl_window);
	wl_event_loop_destroy(host.loop);
	return 0;
}
