/* SPDX-License-Identifier: MIT
 *
 * The X server for the guest's X11 programs: a rootless Xwayland, started when the first of them connects,
 * and again when it has ended. To the proxy it is a program like any other; its windows are managed by
 * wm.h. Loop thread only.
 */
#ifndef XW_SERVER_H
#define XW_SERVER_H

#include <stdbool.h>

struct gp_server;
struct xw_server;

/** Listen for X11 programs on the first free display. gl_driver: for MESA_LOADER_DRIVER_OVERRIDE, borrowed; NULL:
 * none. Returns 0 and the server in *ret_server; -ENOENT Xwayland is not installed; else -errno. */
int xw_server_create(struct gp_server *server, const char *gl_driver,
		     struct xw_server **ret_server);

/** End Xwayland and listen no more. NULL is fine. */
void xw_server_destroy(struct xw_server *server);

/** The value of DISPLAY, e.g. ":0". */
const char *xw_server_display(const struct xw_server *server);

/** Whether Xwayland can be found in PATH. */
bool xw_server_installed(void);

#endif
