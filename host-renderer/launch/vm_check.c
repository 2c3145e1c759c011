/* SPDX-License-Identifier: MIT */
#include "vm_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fd.h"
#include "launch.h"
#include "options.h"
#include "qemu_args.h"
#include "qemu_probe.h"

struct check {
	const struct hr_options *options;
	hr_vm_check_line line;
	void *data;
	bool required; /* QEMU is */
};

static void check_window(const struct check *check, const struct hr_qemu_probe *probe)
{
	char what[128];
	snprintf(what, sizeof(what), "the guest's window into the host's memory (QEMU %u.%u)",
		 probe->major, probe->minor);
	if (check->options->window_mib == 0) {
		check->line(check->data, false, false, what, "--window-size 0 withholds it");
		return;
	}
	check->line(check->data, hr_qemu_judge(probe) == HR_QEMU_GOOD, false, what,
		    "QEMU 11.1 has it; without, pixels are copied once more");
}

/* Returns whether it can be used. */
static bool check_qemu(const struct check *check, const char *command)
{
	char what[256];
	struct hr_qemu_probe probe = {0};
	int ret = hr_qemu_probe(command, HR_QEMU_PROBE_MS, &probe);
	char *refusal = hr_launch_refusal(command, ret, &probe);
	if (ret < 0 || refusal != NULL) {
		check->line(check->data, false, check->required, "QEMU with Causeway's device",
			    refusal != NULL ? refusal : strerror(-ret));
		free(refusal);
		return false;
	}
	snprintf(what, sizeof(what), "%s %u.%u with vhost-user-test-device-pci", command,
		 probe.major, probe.minor);
	check->line(check->data, true, check->required, what, NULL);
	check_window(check, &probe);
	return true;
}

static void check_args(const struct check *check)
{
	struct hr_qemu_args args;
	char err[HR_QEMU_ERROR_BYTES] = "out of memory";
	int ret = hr_qemu_args_find(check->options->command + 1, "fd=3", &args, err);
	check->line(check->data, ret == 0, true, "QEMU's arguments", err);
	if (ret == 0) {
		hr_qemu_args_finish(&args);
	}
}

static void check_kernel(const struct check *check)
{
	char what[64] = "memfd";
	int fd = memfd_create("causeway-check", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) {
		snprintf(what, sizeof(what), "memfd (%s)", strerror(errno));
	}
	check->line(
		check->data, fd >= 0, check->required, what,
		"the guest's memory is shared through it: use a kernel with CONFIG_MEMFD_CREATE");
	br_fd_clear(&fd);
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		check->line(check->data, true, false, "/dev/kvm", NULL);
		br_fd_clear(&fd);
		return;
	}
	snprintf(what, sizeof(what), "/dev/kvm (%s)", strerror(errno));
	check->line(check->data, false, false, what,
		    errno == EACCES
			    ? "virtual machines are slow without: join the group kvm"
			    : "virtual machines are slow without: load kvm_intel or kvm_amd, "
			      "and switch virtualisation on in the firmware");
}

void hr_vm_check(const struct hr_options *options, hr_vm_check_line line, void *data)
{
	const struct check check = {options, line, data, options->command != NULL};
	struct utsname machine;
	char name[128] = "qemu-system-x86_64";
	if (uname(&machine) == 0) {
		snprintf(name, sizeof(name), "qemu-system-%s", machine.machine);
	}
	bool usable = check_qemu(&check, options->command != NULL ? options->command[0] : name);
	if (usable && options->command != NULL) {
		check_args(&check);
	}
	check_kernel(&check);
}
