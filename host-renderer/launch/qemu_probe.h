/* SPDX-License-Identifier: MIT
 *
 * What a QEMU program can do, found out by running it: its version, and whether it has the generic
 * vhost-user device. Runs before the event loop does, and waits, but never past a deadline.
 */
#ifndef HR_LAUNCH_QEMU_PROBE_H
#define HR_LAUNCH_QEMU_PROBE_H

#include <stdbool.h>

#define HR_QEMU_PROBE_MS 10000 /* deadline of each run of QEMU */
#define HR_QEMU_NEEDED                                                                             \
	"QEMU 11.1 or later is needed (Debian 13: qemu-system-x86 of trixie-backports)"

/** What was found. */
struct hr_qemu_probe {
	unsigned major, minor;
	bool has_device; /* vhost-user-test-device-pci */
};

/** What a QEMU is good for. */
enum hr_qemu_verdict {
	HR_QEMU_GOOD,
	HR_QEMU_NO_WINDOW, /* 10.2, 11.0: the guest gets no window into the host's memory */
	HR_QEMU_NO_DEVICE, /* new enough, but built without it */
	HR_QEMU_TOO_OLD,
};

/** Run "command --version" and "command -device TYPE,help", without a shell, found in PATH as execvp(3)
 * does. deadline_ms: for each.
 * Returns 0; -ETIMEDOUT it did not end and was killed; -EBADMSG it is not QEMU; -ENOENT, -EACCES and
 * others of execve(2); else -errno. */
int hr_qemu_probe(const char *command, int deadline_ms, struct hr_qemu_probe *ret_probe);

/** Read what --version prints. Returns 0, or -EBADMSG it is not QEMU's. */
int hr_qemu_parse_version(const char *text, struct hr_qemu_probe *probe);

/** What a QEMU with these properties is good for. */
enum hr_qemu_verdict hr_qemu_judge(const struct hr_qemu_probe *probe);

#endif
