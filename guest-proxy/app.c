/* SPDX-License-Identifier: MIT */
#include "app.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_RUNNABLE 126
#define NOT_FOUND 127

static void run_child(char **argv, const char *display, const char *x11_display,
		      const char *gl_driver) __attribute__((noreturn));

static void run_child(char **argv, const char *display, const char *x11_display,
		      const char *gl_driver)
{
	sigset_t none;
	sigemptyset(&none);
	/* The event loop keeps its signals blocked; ignored ones stay so through exec. */
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (setenv("WAYLAND_DISPLAY", display, 1) < 0 ||
	    (x11_display != NULL && setenv("DISPLAY", x11_display, 1) < 0) ||
	    (gl_driver != NULL && setenv("MESA_LOADER_DRIVER_OVERRIDE", gl_driver, 0) < 0)) {
		_exit(NOT_RUNNABLE);
	}
	(void)unsetenv("WAYLAND_SOCKET");
	(void)execvp(argv[0], argv);
	int status = errno == ENOENT ? NOT_FOUND : NOT_RUNNABLE;
	fprintf(stderr, "causeway-guest: guest: can't run %s: %s\n", argv[0], strerror(errno));
	_exit(status);
}

int gp_app_start(struct gp_app *app, char **argv, const char *display, const char *x11_display,
		 const char *gl_driver)
{
	*app = (struct gp_app){0};
	pid_t pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		run_child(argv, display, x11_display, gl_driver);
	}
	app->pid = pid;
	return 0;
}

bool gp_app_reap(struct gp_app *app)
{
	int status;
	if (app->pid == 0 || waitpid(app->pid, &status, WNOHANG) != app->pid) {
		return false;
	}
	app->pid = 0;
	app->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return true;
}
