/* SPDX-License-Identifier: MIT
 *
 * The command line of causeway-guest.
 */
#ifndef GP_OPTIONS_H
#define GP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

enum gp_shm_mode {
	GP_SHM_AUTO,   /* pass where the transport carries fds, else mirror */
	GP_SHM_PASS,   /* hand the client's memory on */
	GP_SHM_MIRROR, /* copy what has changed into memory of the host */
};

enum gp_transport_kind { GP_TRANSPORT_SOCKET, GP_TRANSPORT_VIRTGPU };

enum gp_session_mode {
	GP_SESSION_AUTO, /* tell the session of the display, unless it has another or an app is run */
	GP_SESSION_ON,	 /* in any case */
	GP_SESSION_OFF,
};

#define GP_EXTENSIONS_ALL UINT32_MAX

/** The options; strings point into argv or the environment. */
struct gp_options {
	const char *socket; /* name or absolute path to listen on; NULL: the first free wayland-N */
	enum gp_transport_kind transport;
	const char *host_path; /* the socket, or the render node; of a virtio-gpu, NULL: the best */
	enum gp_shm_mode shm;
	enum gp_session_mode session;
	uint32_t extensions; /* enum xd_ext that may be used, if the host has them */
	const char *trace;   /* filter; NULL: off */
	enum br_log_level log_level;
	bool stats;
	bool check;
	bool print_environment;
	bool xwayland; /* X11 programs are served, if Xwayland is installed */
	char **app;    /* NULL-terminated argument list; NULL: no app */
};

/** Read the command line. Returns -1 to go on, else the exit status: 0 after --help and --version,
 * 2 after a usage error, which was printed. */
int gp_options_parse(struct gp_options *options, int argc, char **argv);

#endif
