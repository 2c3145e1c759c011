/* SPDX-License-Identifier: MIT
 *
 * Which arguments a QEMU command line needs for Causeway's device: guest memory that another process
 * can map, a connection, and the generic vhost-user device. They are worked out from the user's own
 * arguments, and go behind them: QEMU merges repeated -machine options, the later value wins.
 */
#ifndef HR_LAUNCH_QEMU_ARGS_H
#define HR_LAUNCH_QEMU_ARGS_H

#include <stddef.h>
#include <stdint.h>

#define HR_QEMU_ARGS_MAX 10
#define HR_QEMU_ERROR_BYTES 512

/** Arguments to add. Finished with hr_qemu_args_finish(). */
struct hr_qemu_args {
	char *args[HR_QEMU_ARGS_MAX + 1]; /* owned; NULL-terminated */
	size_t count;
	const char *warning; /* static text: what will not work; NULL: nothing */
};

/** Work out what to add to a QEMU command line.
 * @user: the user's arguments without the command, NULL-terminated; borrowed.
 * @connection: how QEMU finds the device, as a property of -chardev socket: "fd=7", or "path=..." from
 * hr_qemu_path_property().
 * Returns 0; -EINVAL with a text in err when these arguments can't go with the device, or can't be
 * understood; -ENOMEM. *ret_args is the caller's only on success. */
int hr_qemu_args_find(char *const *user, const char *connection, struct hr_qemu_args *ret_args,
		      char err[HR_QEMU_ERROR_BYTES]);

/** "path=PATH", with the commas doubled, as QEMU's option syntax wants it. NULL: no memory. The caller
 * frees it. */
char *hr_qemu_path_property(const char *path);

/** One line that a shell would read as these arguments. NULL: no memory. The caller frees it. */
char *hr_qemu_args_quote(char *const *args);

/** Free what it owns; zeroed afterwards. */
void hr_qemu_args_finish(struct hr_qemu_args *args);

#endif
