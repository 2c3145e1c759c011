/* SPDX-License-Identifier: MIT
 *
 * Tests that fail on purpose; test_harness.py looks at what the harness makes of them.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "test.h"

TEST(passes)
{
	CHECK_INT(2, 1 + 1);
	CHECK_STR("a", "a");
	CHECK_MEM("ab", "ab", 2);
}

TEST(integer)
{
	CHECK_INT(3, 4);
}

TEST(string)
{
	CHECK_STR(NULL, "text");
}

TEST(memory)
{
	CHECK_MEM("abc", "abd", 3);
}

TEST(condition)
{
	CHECK(1 > 2);
}

TEST(leaks_fd)
{
	CHECK(open("/dev/null", O_RDONLY) >= 0);
}

TEST(dies)
{
	(void)raise(SIGKILL);
}

TEST(exits)
{
	exit(3);
}

TEST_WITHIN(hangs, 1)
{
	for (;;) {
		(void)pause();
	}
}

TEST(skips)
{
	test_skip("no reason");
}
