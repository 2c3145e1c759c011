/* SPDX-License-Identifier: MIT
 *
 * causeway-host --check: what is there, what is missing, and how to get it.
 */
#ifndef HR_CHECK_H
#define HR_CHECK_H

#include "options.h"

/** Print the list on stdout. Waits at most a few seconds for the compositor. Returns the exit
 * status: 0 all that is needed is there, 1 not. */
int hr_check(const struct hr_options *options);

#endif
