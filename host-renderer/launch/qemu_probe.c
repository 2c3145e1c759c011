/* SPDX-License-Identifier: MIT */
#include "qemu_probe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"

#define OUTPUT_BYTES 4096 /* kept of what QEMU prints; --version has two lines */

/* One run of QEMU. */
struct run {
	pid_t pid;
	int pid_fd;
	int out_fd; /* its stdout and stderr; -1 at their end */
	char output[OUTPUT_BYTES];
	size_t len;
};

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A process group of its own, so that a wrapper script's children can be ended with it. Returns 0 or an
 * errno of execve(2), negative. */
static int spawn(struct run *run, char *const *argv, int out_fd)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	extern char **environ;
	if (posix_spawn_file_actions_init(&files) != 0) {
		return -ENOMEM;
	}
	if (posix_spawnattr_init(&attr) != 0) {
		(void)posix_spawn_file_actions_destroy(&files);
		return -ENOMEM;
	}
	int ret = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	ret = ret != 0 ? ret : posix_spawn_file_actions_adddup2(&files, out_fd, STDOUT_FILENO);
	ret = ret != 0 ? ret : posix_spawn_file_actions_adddup2(&files, out_fd, STDERR_FILENO);
	ret = ret != 0 ? ret : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	ret = ret != 0 ? ret : posix_spawnp(&run->pid, argv[0], &files, &attr, argv, environ);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&files);
	return -ret;
}

static int start(struct run *run, char *const *argv)
{
	int pipe_fds[2];
	*run = (struct run){.pid_fd = -1, .out_fd = -1};
	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	int ret = spawn(run, argv, pipe_fds[1]);
	br_fd_clear(&pipe_fds[1]);
	run->out_fd = pipe_fds[0];
	if (ret == 0) {
		ret = br_fd_set_nonblock(run->out_fd);
		run->pid_fd = pidfd_open(run->pid, 0);
	}
	return ret;
}

/* Read what there is, a pipe full at most; what does not fit is dropped. */
static void read_output(struct run *run)
{
	char rest[OUTPUT_BYTES];
	for (int i = 0; i < 16 && run->out_fd >= 0; i++) {
		size_t room = sizeof(run->output) - 1 - run->len;
		ssize_t n = read(run->out_fd, room > 0 ? run->output + run->len : rest,
				 room > 0 ? room : sizeof(rest));
		if (n > 0) {
			run->len += room > 0 ? (size_t)n : 0;
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			br_fd_clear(&run->out_fd);
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

/* Wait for the process's end; a child of its own may hold the pipe for longer. */
static int wait_for_end(struct run *run, int deadline_ms)
{
	int64_t deadline = now_ms() + deadline_ms;
	for (;;) {
		struct pollfd fds[] = {{.fd = run->pid_fd, .events = POLLIN},
				       {.fd = run->out_fd, .events = POLLIN}};
		int64_t left = deadline - now_ms();
		int ret = poll(fds, 2, left > 0 ? (int)left : 0);
		if (ret < 0 && errno != EINTR) {
			return -errno;
		}
		if (ret == 0) {
			return -ETIMEDOUT;
		}
		read_output(run);
		if (ret > 0 && fds[0].revents != 0) {
			return 0;
		}
	}
}

/* Returns what hr_qemu_probe() does; *ret_status is that of waitpid(2). */
static int run_qemu(struct run *run, char *const *argv, int deadline_ms, int *ret_status)
{
	int ret = start(run, argv);
	if (run->pid > 0) {
		if (ret == 0) {
			ret = run->pid_fd >= 0 ? wait_for_end(run, deadline_ms) : -ENOSYS;
		}
		if (ret < 0) {
			(void)kill(-run->pid, SIGKILL);
		}
		while (waitpid(run->pid, ret_status, 0) < 0 && errno == EINTR) {
		}
		read_output(run);
	}
	run->output[run->len] = '\0';
	br_fd_clear(&run->pid_fd);
	br_fd_clear(&run->out_fd);
	return ret;
}

int hr_qemu_parse_version(const char *text, struct hr_qemu_probe *probe)
{
	static const char mark[] = "QEMU emulator version ";
	/* Warnings may come first. */
	const char *at = strstr(text, mark);
	unsigned major, minor;
	/* Three digits fit. NOLINTNEXTLINE(cert-err34-c) */
	if (at == NULL || sscanf(at + strlen(mark), "%3u.%3u", &major, &minor) != 2) {
		return -EBADMSG;
	}
	probe->major = major;
	probe->minor = minor;
	return 0;
}

int hr_qemu_probe(const char *command, int deadline_ms, struct hr_qemu_probe *ret_probe)
{
	char *version_argv[] = {(char *)command, "--version", NULL};
	char *device_argv[] = {(char *)command, "-device", "vhost-user-test-device-pci,help", NULL};
	struct hr_qemu_probe probe = {0};
	struct run run;
	int status = 0;
	int ret = run_qemu(&run, version_argv, deadline_ms, &status);
	if (ret == 0) {
		ret = hr_qemu_parse_version(run.output, &probe);
	}
	if (ret == 0) {
		ret = run_qemu(&run, device_argv, deadline_ms, &status);
	}
	if (ret < 0) {
		return ret;
	}
	probe.has_device = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	*ret_probe = probe;
	return 0;
}

enum hr_qemu_verdict hr_qemu_judge(const struct hr_qemu_probe *probe)
{
	unsigned version = probe->major * 1000 + probe->minor;
	if (version < 10002) {
		return HR_QEMU_TOO_OLD;
	}
	if (!probe->has_device) {
		return HR_QEMU_NO_DEVICE;
	}
	return version < 11001 ? HR_QEMU_NO_WINDOW : HR_QEMU_GOOD;
}
