/* SPDX-License-Identifier: MIT
 *
 * How causeway-host finds out what a QEMU can do; scripts stand for QEMU.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#include "launch/qemu_probe.h"

TEST(versions)
{
	static const struct {
		const char *text;
		unsigned major, minor;
	} good[] = {
		{"QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)\nCopyright (c)", 11,
		 1},
		{"QEMU emulator version 9.1.0 (qemu-kvm-9.1.0-15.el9)\n", 9, 1},
		{"QEMU emulator version 11.0.50 (v11.0.0-1-gdeadbeef)", 11, 0},
		{"qemu: warning: a module is missing\nQEMU emulator version 12.0.0\n", 12, 0},
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct hr_qemu_probe probe = {0};
		CHECK_INT(hr_qemu_parse_version(good[i].text, &probe), 0);
		CHECK_INT(probe.major, good[i].major);
		CHECK_INT(probe.minor, good[i].minor);
	}
	static const char *const bad[] = {"", "GNU bash, version 5.2.37(1)-release",
					  "QEMU emulator version ", "QEMU emulator version x.y",
					  "qemu-img version 11.1.3"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct hr_qemu_probe probe = {0};
		CHECK_INT(hr_qemu_parse_version(bad[i], &probe), -EBADMSG);
	}
}

static void check_verdict(unsigned major, unsigned minor, bool has_device,
			  enum hr_qemu_verdict want)
{
	struct hr_qemu_probe probe = {major, minor, has_device};
	CHECK_INT(hr_qemu_judge(&probe), want);
}

TEST(verdicts)
{
	check_verdict(11, 1, true, HR_QEMU_GOOD);
	check_verdict(12, 0, true, HR_QEMU_GOOD);
	check_verdict(11, 0, true, HR_QEMU_NO_WINDOW);
	check_verdict(10, 2, true, HR_QEMU_NO_WINDOW);
	check_verdict(11, 1, false, HR_QEMU_NO_DEVICE);
	check_verdict(10, 2, false, HR_QEMU_NO_DEVICE);
	check_verdict(10, 1, true, HR_QEMU_TOO_OLD);
	check_verdict(10, 0, false, HR_QEMU_TOO_OLD);
	check_verdict(9, 2, false, HR_QEMU_TOO_OLD);
}

/* A script in a folder of its own. */
struct script {
	char dir[64], path[96];
};

static void make_script(struct script *script, const char *text)
{
	strcpy(script->dir, "/tmp/qemu-probe-XXXXXX");
	CHECK(mkdtemp(script->dir) != NULL);
	snprintf(script->path, sizeof(script->path), "%s/qemu", script->dir);
	FILE *file = fopen(script->path, "we");
	CHECK(file != NULL);
	CHECK(fputs(text, file) >= 0);
	CHECK_INT(fclose(file), 0);
	CHECK_INT(chmod(script->path, 0700), 0);
}

static void remove_script(struct script *script)
{
	CHECK_INT(unlink(script->path), 0);
	CHECK_INT(rmdir(script->dir), 0);
	/* No process is left behind. */
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
	CHECK_INT(errno, ECHILD);
}

static int probe_script(const char *text, int deadline_ms, struct hr_qemu_probe *probe)
{
	struct script script;
	make_script(&script, text);
	int ret = hr_qemu_probe(script.path, deadline_ms, probe);
	remove_script(&script);
	return ret;
}

TEST(asks_for_version_and_device)
{
	struct hr_qemu_probe probe = {0};
	CHECK_INT(probe_script("#!/bin/sh\n"
			       "case \"$#:$*\" in\n"
			       "1:--version) echo 'QEMU emulator version 11.1.3' ;;\n"
			       "2:-device\\ vhost-user-test-device-pci,help) exit 0 ;;\n"
			       "*) exit 3 ;;\n"
			       "esac\n",
			       HR_QEMU_PROBE_MS, &probe),
		  0);
	CHECK_INT(probe.major, 11);
	CHECK_INT(probe.minor, 1);
	CHECK(probe.has_device);
}

TEST(device_is_missing)
{
	struct hr_qemu_probe probe = {0};
	CHECK_INT(probe_script(
			  "#!/bin/sh\n[ $# = 2 ] && exit 1\necho QEMU emulator version 10.0.13\n",
			  HR_QEMU_PROBE_MS, &probe),
		  0);
	CHECK_INT(hr_qemu_judge(&probe), HR_QEMU_TOO_OLD);
	CHECK(!probe.has_device);
	CHECK_INT(probe_script("#!/bin/sh\n[ $# = 2 ] && kill -ABRT $$\n"
			       "echo QEMU emulator version 11.1.3\n",
			       HR_QEMU_PROBE_MS, &probe),
		  0);
	CHECK_INT(hr_qemu_judge(&probe), HR_QEMU_NO_DEVICE);
}

TEST(no_shell_and_no_input)
{
	struct hr_qemu_probe probe;
	CHECK_INT(hr_qemu_probe("/bin/echo QEMU emulator version 11.1", HR_QEMU_PROBE_MS, &probe),
		  -ENOENT);
	CHECK_INT(hr_qemu_probe("/etc/passwd", HR_QEMU_PROBE_MS, &probe), -EACCES);
	CHECK_INT(hr_qemu_probe("/bin/true", HR_QEMU_PROBE_MS, &probe), -EBADMSG);
	/* cat ends: its input is empty. */
	CHECK_INT(probe_script("#!/bin/sh\ncat\n", HR_QEMU_PROBE_MS, &probe), -EBADMSG);
}

TEST(a_hanging_command_is_ended)
{
	struct hr_qemu_probe probe;
	CHECK_INT(probe_script("#!/bin/sh\nexec sleep 1000\n", 100, &probe), -ETIMEDOUT);
	CHECK_INT(probe_script("#!/bin/sh\necho QEMU emulator version 11.1.3\n"
			       "[ $# = 1 ] || exec sleep 1000\n",
			       100, &probe),
		  -ETIMEDOUT);
}

TEST(output_without_end_is_dropped)
{
	struct hr_qemu_probe probe;
	CHECK_INT(probe_script("#!/bin/sh\nexec yes\n", 100, &probe), -ETIMEDOUT);
	CHECK_INT(probe_script("#!/bin/sh\necho QEMU emulator version 11.1.3\n"
			       "head -c 1000000 /dev/zero\n",
			       HR_QEMU_PROBE_MS, &probe),
		  0);
	CHECK(probe.has_device);
}

/* What a wrapper script starts may outlive it, with its output open. */
TEST(a_child_that_stays_is_not_waited_for)
{
	struct hr_qemu_probe probe;
	struct script script;
	char text[512], pid_path[128];
	make_script(&script, "");
	snprintf(pid_path, sizeof(pid_path), "%s.pid", script.path);
	snprintf(text, sizeof(text),
		 "#!/bin/sh\necho QEMU emulator version 11.1.3\n"
		 "[ $# = 2 ] && { sleep 1000 & echo $! > %s; }\nexit 0\n",
		 pid_path);
	FILE *file = fopen(script.path, "we");
	CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
	CHECK_INT(hr_qemu_probe(script.path, HR_QEMU_PROBE_MS, &probe), 0);
	file = fopen(pid_path, "re");
	int pid = 0;
	CHECK(file != NULL && fscanf(file, "%d", &pid) == 1 && fclose(file) == 0);
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK_INT(unlink(pid_path), 0);
	remove_script(&script);
}
