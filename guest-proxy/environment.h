/* SPDX-License-Identifier: MIT
 *
 * What programs need in their environment to find the proxy and the GPU: those that it starts itself, and
 * those of the session.
 */
#ifndef GP_ENVIRONMENT_H
#define GP_ENVIRONMENT_H

#include <stdbool.h>
#include <stdint.h>

#define GP_MAX_VARIABLES 8

struct gp_server;

/** A variable; the strings are borrowed. */
struct gp_variable {
	const char *name;
	const char *value;
	bool weak;  /* not where the user has set it */
	bool stays; /* valid after our end: what it names is of somebody who outlives us */
};

/** List the variables, valid as long as the server and x11_display (NULL: X11 programs are not served) are, in
 * ret_variables, which has room for GP_MAX_VARIABLES. Returns how many; 0 if programs have no way to the
 * server by a name. */
uint32_t gp_environment_list(const struct gp_server *server, const char *x11_display,
			     struct gp_variable *ret_variables);

#endif
