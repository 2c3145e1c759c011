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

static void run_child(char **argv, const struct gp_variable *variables, uint32_t count)
	__attribute__((noreturn));

static void run_child(char **argv, const struct gp_variable *variables, uint32_t count)
{
	sigset_t none;
	sigemptyset(&none);
	/* The event loop keeps its signals blocked; ignored ones stay so through exec. */
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	for (uint32_t i = 0; i < count; i++) {
		if (setenv(variables[i].name, variables[i].value, !variables[i].weak) < 0) {
			_exit(NOT_RUNNABLE);
		}
	}
	(void)unsetenv("WAYLAND_SOCKET");
	(void)execvp(argv[0], argv);
	int status = errno == ENOENT ? NOT_FOUND : NOT_RUNNABLE;
	fprintf(stderr, "causeway-guest: guest: can't run %s: %s\n", argv[0], strerror(errno));
	_exit(status);
}

int gp_app_start(struct gp_app *app, char **argv, const struct gp_variable *variables,
		 uint32_t count)
{
	*app = (struct gp_app){0};
	pid_t pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		run_child(argv, variables, count);
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
