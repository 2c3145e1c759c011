/* SPDX-License-Identifier: MIT
 *
 * causeway-guest --check: what is there, and what is missing and how to get it.
 */
#ifndef GP_CHECK_H
#define GP_CHECK_H

#include <stdbool.h>
#include <wayland-server-core.h>

#include "options.h"

/** Print one line per thing on stdout. Returns the exit status: 0 all there, 1 not. */
int gp_check(const struct gp_options *options, struct wl_event_loop *loop);

/** True if any of the shell patterns, the last one NULL, has a file. */
bool gp_check_has_file(const char *const *patterns);

#endif
