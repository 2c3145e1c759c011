/* SPDX-License-Identifier: MIT
 *
 * A small harness for C tests. Each TEST runs in a child process of its own with a deadline; it fails
 * if a CHECK fails, if it leaves more fds open than it found, if it dies, or if a sanitizer complains
 * when it ends. Output is TAP. `program NAME...` runs only these tests; `program --direct NAME` runs
 * one without a child or a deadline, for a debugger.
 */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEST_SECONDS 30 /* deadline of a TEST */

/** A registered test. */
struct test_case {
	const char *name;
	void (*run)(void);
	unsigned seconds; /* deadline */
	struct test_case *next;
};

/** Add a test to those that main() runs. TEST does it. */
void test_register(struct test_case *test);

#define TEST_WITHIN(id, limit)                                                                     \
	static void test_run_##id(void);                                                           \
	static struct test_case test_case_##id = {#id, test_run_##id, (limit), NULL};              \
	__attribute__((constructor)) static void test_register_##id(void)                          \
	{                                                                                          \
		test_register(&test_case_##id);                                                    \
	}                                                                                          \
	static void test_run_##id(void)

/* TEST(name) { ... } */
#define TEST(id) TEST_WITHIN(id, TEST_SECONDS)

/** End the running test as failed, with a reason. */
_Noreturn void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** End the running test as skipped: reason says what is missing. */
_Noreturn void test_skip(const char *reason);

/** Wait until poll(2) reports one of events on fd, or fail saying what was waited for. The time limit
 * is 10 s. Returns the events. */
short test_wait_fd(const char *file, int line, int fd, short events, const char *what);

/** Number of fds that this process has open. */
unsigned test_count_fds(void);

void test_check_int(const char *file, int line, const char *got_text, long long got,
		    const char *want_text, long long want);
void test_check_str(const char *file, int line, const char *got_text, const char *got,
		    const char *want);
void test_check_mem(const char *file, int line, const char *got_text, const void *got,
		    const void *want, size_t len);

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define WAIT_FD(fd, events, what) test_wait_fd(__FILE__, __LINE__, (fd), (events), (what))

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			FAIL("%s is false", #cond);                                                \
		}                                                                                  \
	} while (0)

/* Integers of any kind; both are printed. */
#define CHECK_INT(got, want)                                                                       \
	test_check_int(__FILE__, __LINE__, #got, (long long)(got), #want, (long long)(want))

/* Strings; either may be NULL. */
#define CHECK_STR(got, want) test_check_str(__FILE__, __LINE__, #got, (got), (want))

/* Bytes; the first that differs is printed. */
#define CHECK_MEM(got, want, len) test_check_mem(__FILE__, __LINE__, #got, (got), (want), (len))

#endif
