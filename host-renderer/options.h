/* SPDX-License-Identifier: MIT
 *
 * The command line of causeway-host.
 */
#ifndef HR_OPTIONS_H
#define HR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "gpu/gpu.h"
#include "log.h"
#include "policy.h"
#include "policy_file.h"
#include "wayland/host.h"
#include "wayland/upstream.h"

enum hr_action {
	HR_ACTION_RUN,
	HR_ACTION_CHECK,
	HR_ACTION_PRINT_POLICY,
	HR_ACTION_PRINT_QEMU_ARGS,
	HR_ACTION_PRINT_LIBVIRT_XML,
	HR_ACTION_EXIT,
};

/** What was asked for. Owned by main; strings point into argv or settings but
 * for paths. */
struct hr_options {
	enum hr_action action;
	const char *name;    /* of the guest */
	char *socket_path;   /* owned; NULL: not served, or XDG_RUNTIME_DIR is not set */
	char *vhost_path;    /* owned; NULL: not served */
	uint32_t window_mib; /* 0: no window */
	struct hr_gpu_options gpu;
	char **command; /* QEMU and its arguments; NULL: none */
	enum hr_present present;
	uint32_t compositor_wait;    /* seconds */
	const char *wayland_display; /* NULL: as in the environment */
	enum hr_secctx_mode secctx;
	const char *trace; /* filter; NULL: off */
	enum br_log_level log_level;
	bool stats;		     /* print counters at exit */
	char *policy_path;	     /* owned; "": no file */
	struct hr_settings settings; /* of that file; others point into it */
	struct hr_policy *policy;    /* owned */
};

/** Read the command line. Returns 0; or the exit status, 0 or more after a message, as
 * options->action HR_ACTION_EXIT. Free with hr_options_finish() in any case. */
int hr_options_parse(struct hr_options *options, int argc, char **argv);

/** Free what it owns; zeroed afterwards. */
void hr_options_finish(struct hr_options *options);

#endif
