/* SPDX-License-Identifier: MIT
 *
 * One VMM's connection: its messages, and the device that they set up. Source: vhost-user.
 */
#ifndef HR_VHOST_SESSION_H
#define HR_VHOST_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "../gpu/context.h"
#include "message.h"
#include "queue.h"
#include "ram.h"
#include "window.h"

struct hr_capset;
struct hr_device;
struct hr_host;

/* Control and cursor. Source: virtio 1.3, section 5.7.2. */
#define HR_N_QUEUES 2

/** A connection. */
struct hr_session {
	struct hr_host *host;
	int socket_fd;
	struct wl_event_source *source, *reaper; /* reaper: NULL unless dead */
	bool dead;				 /* to be destroyed by the loop */
	void (*gone)(void *data);		 /* called behind that */
	void *data;
	struct hr_message message; /* on its way in */
	uint64_t features, protocol_features;
	const struct hr_capset *capsets[1 + HR_MAX_CAPSETS]; /* the channel's, and the GPU's */
	uint32_t n_capsets;
	struct hr_ram ram;
	struct hr_window window;
	struct hr_queue_shared shared; /* shared.device: the device, from the driver's start on */
	struct hr_queue queues[HR_N_QUEUES];
	bool forgetting; /* the device is being destroyed: answers go nowhere */
	bool starting;	 /* waiting for the window */
};

/** Serve a connected socket; takes *fd. gone(data) is called when the VMM has left. *ret_session is the
 * caller's. Returns 0; -ENOMEM; else -errno. */
int hr_session_create_take(struct hr_host *host, const struct hr_window_options *window, int *fd,
			   void (*gone)(void *data), void *data, struct hr_session **ret_session);

/** Disconnect; the device and all its windows end. NULL is fine. gone() is not called. */
void hr_session_destroy(struct hr_session *session);

#endif
