/* SPDX-License-Identifier: MIT */
#include "vtest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "../gpu/gpu.h"
#include "fd.h"
#include "log.h"
#include "program.h"

#define SUFFIX ".vtest"
#define LINE_BYTES 200
/* Between a server's end and the next one's start; twice as long each time, until one has lived. */
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 60000
#define LIVED_MS 10000
#define END_MS 1000

struct hr_vtest {
	struct wl_event_loop *loop;
	char *program, *path; /* owned */
	pid_t pid;	      /* 0: none runs */
	int pid_fd;	      /* -1: the same */
	int errors_fd;	      /* our end of its stderr; -1: the same */
	struct wl_event_source *pid_source, *errors_source; /* NULL: the same */
	struct wl_event_source *retry;			    /* timer */
	int retry_ms;
	int64_t started_ms;
	char line[LINE_BYTES]; /* of stderr, as far as it has come */
	size_t line_bytes;
	char last[LINE_BYTES]; /* the line before it; "": none */
};

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool hr_vtest_is_wanted(const struct hr_gpu_options *options)
{
	return options->required && options->flags & WK_VENUS;
}

bool hr_vtest_is_there(void)
{
	char *program = br_program_find(HR_VTEST_PROGRAM);
	free(program);
	return program != NULL;
}

_Noreturn static void run(const struct hr_vtest *vtest, int errors_fd, pid_t parent)
{
	char *argv[] = {HR_VTEST_PROGRAM, "--venus",   "--no-virgl",
			"--socket-path",  vtest->path, NULL};
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	/* A terminal's signals are meant for others. */
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) {
		_exit(EXIT_FAILURE);
	}
	/* For its socket. */
	(void)umask(077);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd >= 0) {
		(void)dup2(null_fd, STDIN_FILENO);
		(void)dup2(null_fd, STDOUT_FILENO);
	}
	(void)dup2(errors_fd, STDERR_FILENO);
	(void)execv(vtest->program, argv);
	dprintf(STDERR_FILENO, "%s: %s\n", vtest->program, strerror(errno));
	_exit(EXIT_FAILURE);
}

/* --- what it says --- */

static void handle_line(struct hr_vtest *vtest)
{
	char text[LINE_BYTES * 4], before[LINE_BYTES * 4];
	vtest->line[vtest->line_bytes] = '\0';
	(void)br_log_escape(text, sizeof(text), vtest->line, vtest->line_bytes);
	if (strstr(vtest->line, "VTEST_CLIENT_ERROR")) {
		(void)br_log_escape(before, sizeof(before), vtest->last, strlen(vtest->last));
		br_log_peer(BR_LOG_WARN, "vtest: a program lost its GPU: %s (%s)", before, text);
	} else {
		br_log_peer(BR_LOG_DEBUG, "vtest: %s", text);
	}
	memcpy(vtest->last, vtest->line, vtest->line_bytes + 1);
	vtest->line_bytes = 0;
}

static void handle_text(struct hr_vtest *vtest, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] != '\n') {
			vtest->line[vtest->line_bytes++] = text[i];
		}
		if (vtest->line_bytes == LINE_BYTES - 1 ||
		    (text[i] == '\n' && vtest->line_bytes > 0)) {
			handle_line(vtest);
		}
	}
}

/* Its programs' processes have the other end, too: after its own end there may be more, or an end. */
static int on_errors(int fd, uint32_t mask, void *data)
{
	struct hr_vtest *vtest = data;
	char text[4096];
	(void)mask;
	ssize_t n = read(fd, text, sizeof(text));
	if (n > 0) {
		handle_text(vtest, text, (size_t)n);
	} else if (n == 0 || errno != EAGAIN) {
		wl_event_source_remove(vtest->errors_source);
		vtest->errors_source = NULL;
	}
	return 0;
}

/* --- its life --- */

static void forget(struct hr_vtest *vtest)
{
	if (vtest->pid_source) {
		wl_event_source_remove(vtest->pid_source);
	}
	if (vtest->errors_source) {
		wl_event_source_remove(vtest->errors_source);
	}
	vtest->pid_source = vtest->errors_source = NULL;
	br_fd_clear(&vtest->pid_fd);
	br_fd_clear(&vtest->errors_fd);
	vtest->pid = 0;
}

static void start_later(struct hr_vtest *vtest, const char *reason)
{
	char said[LINE_BYTES * 4];
	vtest->retry_ms = now_ms() - vtest->started_ms >= LIVED_MS ? RETRY_MIN_MS : vtest->retry_ms;
	(void)br_log_escape(said, sizeof(said), vtest->last, strlen(vtest->last));
	br_log(BR_LOG_WARN,
	       "vtest: %s %s%s%s; the guest's Vulkan programs have lost their GPU, and new ones "
	       "have one in %d.%d s",
	       HR_VTEST_PROGRAM, reason, said[0] != '\0' ? "; it said last: " : "", said,
	       vtest->retry_ms / 1000, vtest->retry_ms % 1000 / 100);
	(void)wl_event_source_timer_update(vtest->retry, vtest->retry_ms);
	vtest->retry_ms = vtest->retry_ms < RETRY_MAX_MS / 2 ? vtest->retry_ms * 2 : RETRY_MAX_MS;
}

static int on_end(int fd, uint32_t mask, void *data)
{
	struct hr_vtest *vtest = data;
	siginfo_t info = {0};
	char reason[80];
	(void)fd;
	(void)mask;
	if (waitid(P_PIDFD, (id_t)vtest->pid_fd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    info.si_pid == 0) {
		return 0;
	}
	/* Before its id can be another's. */
	(void)kill(-vtest->pid, SIGKILL);
	(void)waitid(P_PIDFD, (id_t)vtest->pid_fd, &info, WEXITED);
	if (vtest->errors_source) {
		(void)on_errors(vtest->errors_fd, 0, vtest);
	}
	forget(vtest);
	if (info.si_code == CLD_EXITED) {
		(void)snprintf(reason, sizeof(reason), "has ended with status %d", info.si_status);
	} else {
		(void)snprintf(reason, sizeof(reason), "was ended by signal %d (%s)",
			       info.si_status, strsignal(info.si_status));
	}
	start_later(vtest, reason);
	return 0;
}

static int watch(struct hr_vtest *vtest)
{
	vtest->pid_fd = pidfd_open(vtest->pid, 0);
	if (vtest->pid_fd < 0) {
		return -errno;
	}
	vtest->pid_source =
		wl_event_loop_add_fd(vtest->loop, vtest->pid_fd, WL_EVENT_READABLE, on_end, vtest);
	vtest->errors_source = wl_event_loop_add_fd(vtest->loop, vtest->errors_fd,
						    WL_EVENT_READABLE, on_errors, vtest);
	return vtest->pid_source && vtest->errors_source ? 0 : -ENOMEM;
}

/* End it at once, and what it has started. */
static void end(struct hr_vtest *vtest)
{
	struct pollfd ended = {.fd = vtest->pid_fd, .events = POLLIN};
	if (vtest->pid == 0) {
		return;
	}
	(void)kill(-vtest->pid, SIGKILL);
	/* So that the socket that is removed then is not made after that; init collects what takes longer. */
	if (vtest->pid_fd >= 0 && poll(&ended, 1, END_MS) > 0) {
		(void)waitpid(vtest->pid, NULL, WNOHANG);
	}
	forget(vtest);
}

static int start(struct hr_vtest *vtest)
{
	int ends[2];
	pid_t parent = getpid();
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		run(vtest, ends[1], parent);
	}
	int ret = pid < 0 ? -errno : 0;
	br_fd_clear(&ends[1]);
	vtest->errors_fd = ends[0];
	vtest->last[0] = '\0';
	vtest->line_bytes = 0;
	vtest->started_ms = now_ms();
	if (ret == 0) {
		vtest->pid = pid;
		(void)setpgid(pid, pid); /* whoever of the two is first */
		ret = br_fd_set_nonblock(vtest->errors_fd);
		ret = ret < 0 ? ret : watch(vtest);
	}
	if (ret < 0) {
		end(vtest);
		forget(vtest);
	}
	return ret;
}

static int on_retry(void *data)
{
	struct hr_vtest *vtest = data;
	char reason[80];
	int ret = start(vtest);
	if (ret < 0) {
		(void)snprintf(reason, sizeof(reason), "can't be started: %s", strerror(-ret));
		start_later(vtest, reason);
	}
	return 0;
}

static int create(struct wl_event_loop *loop, const char *socket_path, struct hr_vtest **ret_vtest)
{
	struct hr_vtest *vtest = calloc(1, sizeof(*vtest));
	if (!vtest) {
		return -ENOMEM;
	}
	*vtest = (struct hr_vtest){
		.loop = loop, .pid_fd = -1, .errors_fd = -1, .retry_ms = RETRY_MIN_MS};
	vtest->retry = wl_event_loop_add_timer(loop, on_retry, vtest);
	vtest->program = br_program_find(HR_VTEST_PROGRAM);
	if (asprintf(&vtest->path, "%s%s", socket_path, SUFFIX) < 0) {
		vtest->path = NULL;
	}
	int ret = !vtest->retry || !vtest->path ? -ENOMEM : !vtest->program ? -ENOENT : 0;
	if (ret == 0 && strlen(vtest->path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		ret = -ENAMETOOLONG;
	}
	ret = ret < 0 ? ret : start(vtest);
	if (ret < 0) {
		hr_vtest_finish(vtest);
		return ret;
	}
	*ret_vtest = vtest;
	return 0;
}

int hr_vtest_start(struct wl_event_loop *loop, const char *socket_path, struct hr_vtest **ret_vtest)
{
	int ret = create(loop, socket_path, ret_vtest);
	if (ret == -ENOENT) {
		br_log(BR_LOG_ERROR, "host: --gpu venus over a socket needs " HR_VTEST_PROGRAM
				     ": " HR_VTEST_HINT);
	} else if (ret < 0) {
		br_log(BR_LOG_ERROR, "host: can't start " HR_VTEST_PROGRAM " at %s" SUFFIX ": %s",
		       socket_path, strerror(-ret));
	} else {
		br_log(BR_LOG_INFO,
		       "host: Venus for the guest's programs: VN_DEBUG=vtest VTEST_SOCKET_NAME=%s",
		       (*ret_vtest)->path);
	}
	return ret;
}

void hr_vtest_finish(struct hr_vtest *vtest)
{
	if (!vtest) {
		return;
	}
	end(vtest);
	if (vtest->retry) {
		wl_event_source_remove(vtest->retry);
	}
	if (vtest->path) {
		(void)unlink(vtest->path);
	}
	free(vtest->program);
	free(vtest->path);
	free(vtest);
}
