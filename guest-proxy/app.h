/* SPDX-License-Identifier: MIT
 *
 * The program that causeway-guest was told to run.
 */
#ifndef GP_APP_H
#define GP_APP_H

#include <stdbool.h>
#include <sys/types.h>

#include "environment.h"

/** A child process. */
struct gp_app {
	pid_t pid;  /* 0: none, or it has ended */
	int status; /* once it has ended: its exit status, or 128 + the signal's number */
};

/** Start argv with these variables set. A program that can't be run ends with 126 or 127, having said why.
 * Returns 0 or -errno of fork. */
int gp_app_start(struct gp_app *app, char **argv, const struct gp_variable *variables,
		 uint32_t count);

/** Look whether it has ended, after SIGCHLD. Returns true if so. */
bool gp_app_reap(struct gp_app *app);

#endif
