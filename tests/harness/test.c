/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 10000
#define EXIT_FAILED 1
#define EXIT_SKIPPED 77

static struct test_case *first_test, **last_test = &first_test;

void test_register(struct test_case *test)
{
	*last_test = test;
	last_test = &test->next;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;
	printf("# %s:%d: ", file, line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	/* Not exit(): what the test did not get to free is no news. */
	_exit(EXIT_FAILED);
}

void test_skip(const char *reason)
{
	printf("# skipped: %s\n", reason);
	fflush(stdout);
	_exit(EXIT_SKIPPED);
}

static long long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

short test_wait_fd(const char *file, int line, int fd, short events, const char *what)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	long long end_ms = now_ms() + WAIT_MS;
	for (;;) {
		long long left_ms = end_ms - now_ms();
		int n = poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0);
		if (n > 0) {
			return poll_fd.revents;
		}
		if (n == 0) {
			test_fail(file, line, "waited %d ms for %s", WAIT_MS, what);
		}
		if (errno != EINTR) {
			test_fail(file, line, "poll for %s: %s", what, strerror(errno));
		}
	}
}

void test_check_int(const char *file, int line, const char *got_text, long long got,
		    const char *want_text, long long want)
{
	if (got != want) {
		test_fail(file, line, "%s is %lld, not %lld (%s)", got_text, got, want, want_text);
	}
}

void test_check_str(const char *file, int line, const char *got_text, const char *got,
		    const char *want)
{
	if (got == want) {
		return;
	}
	if (got == NULL || want == NULL || strcmp(got, want) != 0) {
		test_fail(file, line, "%s is \"%s\", not \"%s\"", got_text, got ? got : "(null)",
			  want ? want : "(null)");
	}
}

void test_check_mem(const char *file, int line, const char *got_text, const void *got,
		    const void *want, size_t len)
{
	const uint8_t *a = got, *b = want;
	for (size_t i = 0; i < len; i++) {
		if (a[i] != b[i]) {
			test_fail(file, line, "%s: byte %zu of %zu is 0x%02x, not 0x%02x", got_text,
				  i, len, a[i], b[i]);
		}
	}
}

/* Count the open fds, and print them if asked to. The directory's own does not count. */
static unsigned walk_fds(bool print)
{
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");
	if (dir == NULL) {
		FAIL("/proc/self/fd: %s", strerror(errno));
	}
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		char target[256];
		if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(dir)) {
			continue;
		}
		count++;
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		if (print && len >= 0) {
			printf("#   fd %s: %.*s\n", entry->d_name, (int)len, target);
		}
	}
	closedir(dir);
	return count;
}

unsigned test_count_fds(void)
{
	return walk_fds(false);
}

static void run_and_count(const struct test_case *test)
{
	unsigned before = test_count_fds();
	test->run();
	unsigned after = test_count_fds();
	if (after > before) {
		printf("# %u fds open before the test, %u after it:\n", before, after);
		(void)walk_fds(true);
		fflush(stdout);
		_exit(EXIT_FAILED);
	}
}

static void run_child(const struct test_case *test)
{
	/* Whatever the test starts ends with it. */
	(void)setpgid(0, 0);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)alarm(test->seconds);
	run_and_count(test);
	fflush(stdout);
	/* Not _exit(): LeakSanitizer looks at exit. */
	exit(0);
}

/* Report how the child ended. Returns true unless it failed. */
static bool report(const struct test_case *test, unsigned number, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		printf("ok %u %s\n", number, test->name);
		return true;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED) {
		printf("ok %u %s # SKIP\n", number, test->name);
		return true;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
		printf("# did not end within its deadline of %u s\n", test->seconds);
	} else if (WIFSIGNALED(status)) {
		printf("# ended by signal %d (%s)\n", WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	} else if (WEXITSTATUS(status) != EXIT_FAILED) {
		printf("# exit status %d\n", WEXITSTATUS(status));
	}
	printf("not ok %u %s\n", number, test->name);
	return false;
}

static bool run_test(const struct test_case *test, unsigned number)
{
	int status = 0;
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0) {
		printf("# fork: %s\nnot ok %u %s\n", strerror(errno), number, test->name);
		return false;
	}
	if (pid == 0) {
		run_child(test);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	(void)kill(-pid, SIGKILL); /* what it left running; mostly nothing */
	return report(test, number, status);
}

static bool chosen(const struct test_case *test, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], test->name) == 0) {
			return true;
		}
	}
	return argc <= 1;
}

int main(int argc, char **argv)
{
	unsigned count = 0, number = 0;
	bool direct = argc > 1 && strcmp(argv[1], "--direct") == 0;
	bool good = true;
	if (direct) {
		argc--;
		argv++;
	}
	for (struct test_case *test = first_test; test != NULL; test = test->next) {
		count += chosen(test, argc, argv);
	}
	printf("1..%u\n", count);
	for (struct test_case *test = first_test; test != NULL; test = test->next) {
		if (!chosen(test, argc, argv)) {
			continue;
		}
		if (direct) {
			run_and_count(test);
		} else {
			good &= run_test(test, ++number);
		}
	}
	if (count == 0) {
		printf("# no test of that name\n");
	}
	return good && count > 0 ? 0 : 1;
}
