/* SPDX-License-Identifier: MIT
 *
 * causeway-host --check: what a virtual machine needs on this side.
 */
#ifndef HR_LAUNCH_VM_CHECK_H
#define HR_LAUNCH_VM_CHECK_H

#include <stdbool.h>

struct hr_options;

/** Called for each thing that was looked at. required: causeway-host can't do without. hint: how to get
 * it; may be NULL when ok. */
typedef void (*hr_vm_check_line)(void *data, bool ok, bool required, const char *what,
				 const char *hint);

/** Look at QEMU, at the memory that it will share and at KVM. With a command in options its QEMU and
 * arguments are what is required; else nothing of QEMU is, for a container needs none. Waits at most
 * two times HR_QEMU_PROBE_MS. */
void hr_vm_check(const struct hr_options *options, hr_vm_check_line line, void *data);

#endif
