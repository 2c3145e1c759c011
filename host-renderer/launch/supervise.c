/* SPDX-License-Identifier: MIT */
#include "supervise.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "fd.h"
#include "log.h"

#define NOT_RUNNABLE 126
#define NOT_FOUND 127
#define BY_SIGNAL 128
#define DEVICE_END_MS 5000 /* time for the device to end once QEMU has */

struct supervisor;

/* A child. */
struct process {
	pid_t pid;  /* 0: not started, or reaped */
	int pid_fd; /* -1: the same */
	int status; /* of exit, or 128 + N; when reaped */
	struct wl_event_source *source;
	struct supervisor *supervisor;
	void (*ended)(struct supervisor *supervisor);
};

struct supervisor {
	const struct hr_supervised *what;
	struct wl_event_loop *loop;
	struct process device, qemu;
	int vmm_fd;	 /* QEMU's end, until it is started */
	int lifeline_fd; /* -1: the device has to end */
	int signal_fd;
	sigset_t old_mask; /* for the children */
	struct wl_event_source *lifeline, *signals, *deadline;
	bool asked; /* to end, by a signal */
	bool done;
	int status; /* to exit with */
};

static const int watched_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

static void remove_source(struct wl_event_source **source)
{
	if (*source != NULL) {
		wl_event_source_remove(*source);
	}
	*source = NULL;
}

/* Nothing that the user meant for QEMU stays open in the device's process. */
static void close_others(int first, int second)
{
	unsigned low = (unsigned)(first < second ? first : second);
	unsigned high = (unsigned)(first < second ? second : first);
	if (low > 3) {
		(void)close_range(3, low - 1, 0);
	}
	if (high > low + 1) {
		(void)close_range(low + 1, high - 1, 0);
	}
	(void)close_range(high + 1, ~0u, 0);
}

_Noreturn static void run_device(const struct hr_supervised *what, int vmm_fd, int lifeline_fd)
{
	close_others(vmm_fd, lifeline_fd);
	/* The terminal's, or the pipes', that are there are QEMU's. */
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd >= 0) {
		(void)dup2(null_fd, STDIN_FILENO);
		br_fd_clear(&null_fd);
	}
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	exit(what->device(what->data, &vmm_fd, lifeline_fd));
}

_Noreturn static void run_qemu(const struct supervisor *s, pid_t parent)
{
	(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	/* A virtual machine that nobody watches would be hard to find. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) {
		_exit(BY_SIGNAL + SIGTERM);
	}
	(void)fcntl(s->vmm_fd, F_SETFD, 0);
	(void)execvp(s->what->qemu[0], s->what->qemu);
	int status = errno == ENOENT ? NOT_FOUND : NOT_RUNNABLE;
	br_log(BR_LOG_ERROR, "host: can't run %s: %s", s->what->qemu[0], strerror(errno));
	_exit(status);
}

/* Reap a process that has ended. */
static int handle_process(int fd, uint32_t mask, void *data)
{
	struct process *process = data;
	siginfo_t info = {0};
	(void)fd;
	(void)mask;
	if (waitid(P_PIDFD, (id_t)process->pid_fd, &info, WEXITED | WNOHANG) < 0 ||
	    info.si_pid == 0) {
		return 0;
	}
	process->status = info.si_code == CLD_EXITED ? info.si_status : BY_SIGNAL + info.si_status;
	process->pid = 0;
	remove_source(&process->source);
	br_fd_clear(&process->pid_fd);
	process->ended(process->supervisor);
	return 0;
}

/* Watch a child that was just made. */
static int watch(struct supervisor *s, struct process *process, pid_t pid,
		 void (*ended)(struct supervisor *s))
{
	process->pid = pid;
	process->supervisor = s;
	process->ended = ended;
	process->pid_fd = pidfd_open(pid, 0);
	if (process->pid_fd >= 0) {
		process->source = wl_event_loop_add_fd(s->loop, process->pid_fd, WL_EVENT_READABLE,
						       handle_process, process);
	}
	return process->source != NULL ? 0 : -ENOMEM;
}

static int handle_deadline(void *data)
{
	struct supervisor *s = data;
	if (s->device.pid != 0) {
		br_log(BR_LOG_ERROR, "host: the device did not end within %d s: killed",
		       DEVICE_END_MS / 1000);
		(void)kill(s->device.pid, SIGKILL);
	}
	return 0;
}

/* End the device; the supervisor is done when it has ended. */
static void end_device(struct supervisor *s)
{
	br_fd_clear(&s->vmm_fd);
	remove_source(&s->lifeline);
	br_fd_clear(&s->lifeline_fd);
	if (s->device.pid == 0) {
		s->done = true;
		return;
	}
	s->deadline = wl_event_loop_add_timer(s->loop, handle_deadline, s);
	if (s->deadline == NULL || wl_event_source_timer_update(s->deadline, DEVICE_END_MS) < 0) {
		(void)kill(s->device.pid, SIGKILL);
	}
}

static void handle_qemu_end(struct supervisor *s)
{
	s->status = s->qemu.status;
	end_device(s);
}

static void handle_device_end(struct supervisor *s)
{
	int status = s->device.status;
	if (s->qemu.pid == 0) {
		s->done = true;
		/* Its own message has said why. */
		if (!s->asked && s->lifeline_fd >= 0) {
			s->status = status != 0 ? status : EXIT_FAILURE;
		}
		return;
	}
	remove_source(&s->lifeline);
	if (s->asked) {
		return;
	}
	char how[64];
	if (status > BY_SIGNAL) {
		snprintf(how, sizeof(how), "was killed by signal %d (%s)", status - BY_SIGNAL,
			 strsignal(status - BY_SIGNAL));
	} else {
		snprintf(how, sizeof(how), "ended with status %d", status);
	}
	br_log(BR_LOG_ERROR,
	       "host: the device's process %s: the guest's windows are gone; the virtual machine "
	       "keeps "
	       "running while its GPU driver does: shut it down before it reboots or reloads that "
	       "driver, for then QEMU aborts",
	       how);
}

static int start_qemu(struct supervisor *s)
{
	pid_t parent = getpid();
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		run_qemu(s, parent);
	}
	/* So that the device sees QEMU hang up. */
	br_fd_clear(&s->vmm_fd);
	int ret = watch(s, &s->qemu, pid, handle_qemu_end);
	if (ret < 0) {
		(void)kill(pid, SIGTERM);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
		}
		s->qemu.pid = 0;
	}
	return ret;
}

/* The device can serve, or has hung up, which its end follows. */
static int handle_lifeline(int fd, uint32_t mask, void *data)
{
	struct supervisor *s = data;
	char byte;
	(void)mask;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	remove_source(&s->lifeline);
	if (n == 1 && !s->asked) {
		int ret = start_qemu(s);
		if (ret < 0) {
			br_log(BR_LOG_ERROR, "host: can't start %s: %s", s->what->qemu[0],
			       strerror(-ret));
			s->status = EXIT_FAILURE;
			end_device(s);
		}
	}
	return 0;
}

/* A terminal's signals have reached QEMU as well; those of a process are forwarded. */
static int handle_signal(int fd, uint32_t mask, void *data)
{
	struct supervisor *s = data;
	struct signalfd_siginfo info;
	(void)mask;
	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
		return 0;
	}
	int number = (int)info.ssi_signo;
	if (number == SIGUSR1) {
		if (s->device.pid != 0) {
			(void)kill(s->device.pid, SIGUSR1);
		}
		return 0;
	}
	s->asked = true;
	if (s->qemu.pid != 0) {
		if (info.ssi_code != SI_KERNEL) {
			(void)kill(s->qemu.pid, number);
		}
	} else if (s->lifeline_fd >= 0) {
		s->status = BY_SIGNAL + number;
		end_device(s);
	}
	return 0;
}

static int watch_signals(struct supervisor *s)
{
	sigset_t mask;
	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(watched_signals) / sizeof(watched_signals[0]); i++) {
		sigaddset(&mask, watched_signals[i]);
	}
	if (sigprocmask(SIG_BLOCK, &mask, &s->old_mask) < 0) {
		return -errno;
	}
	s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0) {
		return -errno;
	}
	s->signals =
		wl_event_loop_add_fd(s->loop, s->signal_fd, WL_EVENT_READABLE, handle_signal, s);
	return s->signals != NULL ? 0 : -ENOMEM;
}

/* Before anything else is opened, so that the child has nothing to forget. */
static int start_device(struct supervisor *s, int *vmm_fd, pid_t *ret_pid)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		return -errno;
	}
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		run_device(s->what, *vmm_fd, fds[1]);
	}
	int ret = pid < 0 ? -errno : 0;
	br_fd_clear(vmm_fd);
	br_fd_clear(&fds[1]);
	s->lifeline_fd = fds[0];
	*ret_pid = pid;
	return ret;
}

static int start(struct supervisor *s, int *vmm_fd)
{
	pid_t pid = -1;
	int ret = start_device(s, vmm_fd, &pid);
	if (ret < 0) {
		return ret;
	}
	s->loop = wl_event_loop_create();
	ret = s->loop != NULL ? watch(s, &s->device, pid, handle_device_end) : -ENOMEM;
	if (ret == 0) {
		ret = watch_signals(s);
	}
	if (ret == 0) {
		s->lifeline = wl_event_loop_add_fd(s->loop, s->lifeline_fd, WL_EVENT_READABLE,
						   handle_lifeline, s);
		ret = s->lifeline != NULL ? 0 : -ENOMEM;
	}
	if (ret < 0) {
		br_fd_clear(&s->lifeline_fd);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
		}
	}
	return ret;
}

static void finish(struct supervisor *s)
{
	remove_source(&s->device.source);
	remove_source(&s->qemu.source);
	remove_source(&s->lifeline);
	remove_source(&s->signals);
	remove_source(&s->deadline);
	br_fd_clear(&s->device.pid_fd);
	br_fd_clear(&s->qemu.pid_fd);
	br_fd_clear(&s->vmm_fd);
	br_fd_clear(&s->lifeline_fd);
	br_fd_clear(&s->signal_fd);
	if (s->loop != NULL) {
		wl_event_loop_destroy(s->loop);
	}
}

int hr_supervise(const struct hr_supervised *what, int vmm_fds[2])
{
	struct supervisor s = {
		.what = what,
		.device.pid_fd = -1,
		.qemu.pid_fd = -1,
		.vmm_fd = br_fd_take(&vmm_fds[1]),
		.lifeline_fd = -1,
		.signal_fd = -1,
	};
	int ret = start(&s, &vmm_fds[0]);
	while (ret == 0 && !s.done) {
		if (wl_event_loop_dispatch(s.loop, -1) < 0 && errno != EINTR) {
			ret = -errno;
		}
	}
	if (ret < 0) {
		br_log(BR_LOG_ERROR, "host: can't run the device: %s", strerror(-ret));
		s.status = EXIT_FAILURE;
	}
	finish(&s);
	return s.status;
}

void hr_supervise_ready(int lifeline_fd)
{
	(void)send(lifeline_fd, "", 1, MSG_NOSIGNAL);
}
