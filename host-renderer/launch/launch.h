/* SPDX-License-Identifier: MIT
 *
 * "causeway-host -- QEMU ARGS...": one command that starts the device and a QEMU that has it; and the
 * same arguments in print, for those who start QEMU in another way.
 */
#ifndef HR_LAUNCH_LAUNCH_H
#define HR_LAUNCH_LAUNCH_H

#include "supervise.h"

struct hr_options;
struct hr_qemu_probe;

/** Run options->command with the device. device, data: as in struct hr_supervised.
 * Returns the exit status: QEMU's, or 1 after a message when it can't be started. */
int hr_launch(const struct hr_options *options, hr_device_main device, void *data);

/** Print what to add to QEMU's arguments, one a line, on stdout, and what it is for on stderr. With a
 * command in options, for its arguments, else for a guest of 4 GiB. Returns the exit status. */
int hr_launch_print_args(const struct hr_options *options);

/** Print what to add to a libvirt domain on stdout, and what it is for on stderr. Returns the exit
 * status. */
int hr_launch_print_xml(const struct hr_options *options);

/** Say in one line why a QEMU can't be run with the device. ret: of hr_qemu_probe(). Returns NULL when
 * it can, else text, which the caller frees. */
char *hr_launch_refusal(const char *command, int ret, const struct hr_qemu_probe *probe);

#endif
