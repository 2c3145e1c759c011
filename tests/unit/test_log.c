/* SPDX-License-Identifier: MIT
 *
 * Log lines. The linker replaces clock_gettime() (--wrap), so that time is ours.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "test.h"

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_now);

static time_t fake_seconds = 1000;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	(void)clock;
	*ret_now = (struct timespec){.tv_sec = fake_seconds};
	errno = EBUSY; /* a success may change errno */
	return 0;
}

/* Send stderr into a file; returns it. */
static FILE *capture(void)
{
	FILE *file = tmpfile();
	CHECK(file != NULL);
	CHECK(dup2(fileno(file), STDERR_FILENO) >= 0);
	return file;
}

static char *captured(FILE *file)
{
	static char text[16384];
	fflush(stderr);
	ssize_t len = pread(fileno(file), text, sizeof(text) - 1, 0);
	CHECK(len >= 0);
	text[len] = '\0';
	return text;
}

static unsigned count_lines(const char *text)
{
	unsigned n = 0;
	for (; *text; text++) {
		n += *text == '\n';
	}
	return n;
}

TEST(line)
{
	FILE *file = capture();
	br_log_init("causeway-test", BR_LOG_INFO);
	br_log(BR_LOG_INFO, "sec client=%d %s", 7, "text");
	CHECK_STR(captured(file), "causeway-test: sec client=7 text\n");
	fclose(file);
}

TEST(levels)
{
	FILE *file = capture();
	br_log_init("t", BR_LOG_WARN);
	CHECK(br_log_enabled(BR_LOG_ERROR));
	CHECK(br_log_enabled(BR_LOG_WARN));
	CHECK(!br_log_enabled(BR_LOG_INFO));
	br_log(BR_LOG_INFO, "hidden");
	br_log(BR_LOG_DEBUG, "hidden");
	br_log_peer(BR_LOG_INFO, "hidden");
	CHECK_STR(captured(file), "");
	br_log(BR_LOG_WARN, "shown");
	CHECK(strstr(captured(file), "shown\n") != NULL);
	fclose(file);
}

TEST(errno_is_kept)
{
	FILE *file = capture();
	br_log_init("t", BR_LOG_INFO);
	errno = ENOTTY;
	br_log(BR_LOG_INFO, "%s", "one");
	CHECK_INT(errno, ENOTTY);
	for (unsigned i = 0; i < 30; i++) {
		br_log_peer(BR_LOG_INFO, "two");
		CHECK_INT(errno, ENOTTY);
	}
	br_log(BR_LOG_DEBUG, "hidden");
	CHECK_INT(errno, ENOTTY);
	fclose(file);
}

TEST(long_line_stays_one_line)
{
	static char text[100000];
	FILE *file = capture();
	memset(text, 'a', sizeof(text) - 1);
	br_log_init("t", BR_LOG_INFO);
	br_log(BR_LOG_INFO, "%s", text);
	CHECK_INT(count_lines(captured(file)), 1);
	fclose(file);
}

TEST(peer_lines_are_limited)
{
	FILE *file = capture();
	br_log_init("t", BR_LOG_INFO);
	for (unsigned i = 0; i < 500; i++) {
		br_log_peer(BR_LOG_WARN, "peer %u", i);
	}
	const char *text = captured(file);
	CHECK_INT(count_lines(text), 20);
	CHECK(strstr(text, "peer 19\n") != NULL);
	CHECK(strstr(text, "peer 20\n") == NULL);
	/* Other lines are not held back. */
	br_log(BR_LOG_WARN, "ours");
	CHECK(strstr(captured(file), "ours\n") != NULL);
	fake_seconds++;
	br_log_peer(BR_LOG_WARN, "later");
	text = captured(file);
	CHECK(strstr(text, "later\n") != NULL);
	CHECK(strstr(text, "480") != NULL); /* how many were left out */
	CHECK_INT(count_lines(text), 23);
	/* The count starts again. */
	fake_seconds++;
	br_log_peer(BR_LOG_WARN, "again");
	CHECK_INT(count_lines(captured(file)), 24);
	fclose(file);
}

static const char *escape(size_t size, const char *text)
{
	static char buf[64];
	memset(buf, '#', sizeof(buf));
	CHECK(br_log_escape(buf, size, text, strlen(text)) == buf);
	CHECK(memchr(buf, '\0', size) != NULL);
	for (size_t i = size; i < sizeof(buf); i++) {
		CHECK_INT(buf[i], '#'); /* not written past the end */
	}
	return buf;
}

TEST(escape_bytes)
{
	char buf[64];
	CHECK_STR(escape(64, ""), "");
	CHECK_STR(escape(64, "plain ~ text"), "plain ~ text");
	CHECK_STR(escape(64, "a\nb\x1b[31m\x7f\xc3\xa9"), "a\\x0ab\\x1b[31m\\x7f\\xc3\\xa9");
	CHECK_STR(escape(64, "\\x0a"), "\\x5cx0a"); /* unlike a newline */
	CHECK_STR(br_log_escape(buf, sizeof(buf), "a\0b", 3), "a\\x00b");
}

TEST(escape_cuts)
{
	CHECK_STR(escape(11, "0123456789"), "0123456789");
	CHECK_STR(escape(10, "0123456789"), "012345...");
	CHECK_STR(escape(8, "0\n\n\n\n"), "0...");
	for (size_t size = 1; size <= 16; size++) {
		CHECK(strlen(escape(size, "ab\ncd\xff efgh\x01ijkl")) < size);
	}
}
