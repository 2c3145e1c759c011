/* SPDX-License-Identifier: MIT
 *
 * The processes of "causeway-host -- QEMU": this one, which only watches, the device in a process of
 * its own, and QEMU. All are in one process group, so that a terminal's job control reaches them as it
 * would QEMU alone, whose stdin and stdout are untouched. The device ends when its lifeline to the
 * supervisor closes, and by no signal that a terminal or a service manager sends to all three: QEMU,
 * which gets that signal too, is to lose its device last.
 */
#ifndef HR_LAUNCH_SUPERVISE_H
#define HR_LAUNCH_SUPERVISE_H

/** The body of the device's process, which serves the VMM on *vmm_fd (taken) until lifeline_fd
 * (borrowed) is readable. Calls hr_supervise_ready() when it can serve. Returns the exit status. */
typedef int (*hr_device_main)(void *data, int *vmm_fd, int lifeline_fd);

/** What to run. */
struct hr_supervised {
	char *const *qemu; /* argv; borrowed */
	hr_device_main device;
	void *data; /* of device */
};

/** Run the device, then QEMU, until both have ended.
 * @vmm_fds: a connected pair of stream sockets, both with CLOEXEC; taken. The first is the device's,
 * the second, under the same number, QEMU's.
 * Returns the exit status: QEMU's; 128 + N when signal N ended it; 126 or 127 when it can't be run; 1
 * when the device can't, or for want of memory, after a message. */
int hr_supervise(const struct hr_supervised *what, int vmm_fds[2]);

/** Tell the supervisor that QEMU may start. */
void hr_supervise_ready(int lifeline_fd);

#endif
