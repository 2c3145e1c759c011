/* SPDX-License-Identifier: MIT
 *
 * The vhost-user front end: causeway-host as a virtio-gpu device of a virtual machine. A VMM connects
 * to the socket, shares its guest's memory and virtqueues, and finds a device without displays. One
 * VMM at a time. Source: the vhost-user specification (QEMU docs/interop/vhost-user.rst).
 */
#ifndef HR_VHOST_VHOST_H
#define HR_VHOST_VHOST_H

#include <stdint.h>

struct hr_host;
struct hr_vhost;

/** How memory is shown in the window; see window.h. */
enum hr_window_kind { HR_WINDOW_ARENA, HR_WINDOW_EACH };

/** The host-visible window. */
struct hr_window_options {
	uint64_t bytes; /* a power of two up to BR_LIMIT_WINDOW_BYTES; 0: none */
	enum hr_window_kind kind;
};

/** Listen for a VMM on a Unix stream socket at path, which is removed at the end. *ret_vhost is the
 * caller's. Returns 0; -EADDRINUSE; else -errno. */
int hr_vhost_start(struct hr_host *host, const char *path, const struct hr_window_options *window,
		   struct hr_vhost **ret_vhost);

/** The same without a socket to listen on: connections come by hr_vhost_serve_take(). */
int hr_vhost_create(struct hr_host *host, const struct hr_window_options *window,
		    struct hr_vhost **ret_vhost);

/** Serve a connected stream socket; takes *conn_fd on success. Returns 0; -EBUSY there is a VMM already;
 * else -errno. */
int hr_vhost_serve_take(struct hr_vhost *vhost, int *conn_fd);

/** End the device and stop listening. NULL is fine. */
void hr_vhost_finish(struct hr_vhost *vhost);

#endif
