/* SPDX-License-Identifier: MIT
 *
 * The arithmetic of clock offsets: what exchanges prove, however unequal their ways; jumps, drift, and answers
 * that make no sense.
 */
#include <stdint.h>

#include "clock.h"
#include "test.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC GP_CLOCK_NSEC

/* An exchange at now of the guest's, with a host that is ahead. */
static bool exchange(struct gp_clock *clock, int64_t now, int64_t ahead, int64_t there,
		     int64_t back)
{
	return gp_clock_exchange(clock, now, (uint64_t)(now + there + ahead), now + there + back);
}

static void check_within(const struct gp_clock *clock, int64_t now, int64_t ahead)
{
	int64_t wrong = gp_clock_offset(clock) - ahead;
	CHECK((wrong < 0 ? -wrong : wrong) <= gp_clock_error(clock, now));
}

TEST(a_symmetric_exchange_is_exact)
{
	struct gp_clock clock = {0};
	CHECK(!gp_clock_known(&clock));
	CHECK(gp_clock_error(&clock, 0) == INT64_MAX);
	CHECK(exchange(&clock, 5 * SEC, 77 * SEC, 20 * US, 20 * US));
	CHECK(gp_clock_known(&clock));
	CHECK_INT(gp_clock_offset(&clock), 77 * SEC);
	CHECK_INT(gp_clock_error(&clock, 5 * SEC + 40 * US), 20 * US);
}

/* The guess is wrong, and says by how much it may be; a second exchange that is as unequal the other way
 * proves the rest. */
TEST(asymmetric_exchanges_narrow_each_other)
{
	struct gp_clock clock = {0};
	int64_t ahead = -3 * SEC - 5;
	CHECK(exchange(&clock, 90 * SEC, ahead, 10 * US, 4 * MS));
	check_within(&clock, 90 * SEC, ahead);
	CHECK(gp_clock_error(&clock, 90 * SEC + 4010 * US) <= 2005 * US);
	CHECK(exchange(&clock, 90 * SEC + 5 * MS, ahead, 6 * MS, 10 * US));
	check_within(&clock, 90 * SEC + 12 * MS, ahead);
	CHECK(gp_clock_error(&clock, 90 * SEC + 11010 * US) <= 20 * US);
	/* A slow one takes nothing back. */
	CHECK(exchange(&clock, 90 * SEC + 20 * MS, ahead, 9 * MS, 9 * MS));
	check_within(&clock, 90 * SEC + 38 * MS, ahead);
	CHECK(gp_clock_error(&clock, 90 * SEC + 38 * MS) <= 40 * US);
}

TEST(one_clock_is_the_same_to_the_nanosecond)
{
	struct gp_clock clock = {0};
	CHECK(exchange(&clock, 7 * SEC, 0, 90 * US, 10 * US));
	CHECK_INT(gp_clock_offset(&clock), 0);
	CHECK_INT(gp_clock_error(&clock, 7 * SEC + 100 * US), 90 * US);
}

TEST(age_widens_the_error)
{
	struct gp_clock clock = {0};
	CHECK(exchange(&clock, SEC, SEC, 10 * US, 10 * US));
	CHECK_INT(gp_clock_error(&clock, 3 * SEC + 20 * US), 10 * US + MS);
	/* The guest's clock was set back: nothing is known of what lies between. */
	CHECK_INT(gp_clock_error(&clock, 0), 10 * US);
}

TEST(drift_is_followed)
{
	struct gp_clock clock = {0};
	/* 400 ppm, an exchange each second, that takes 60 us in all, its ways of every share. */
	for (int64_t i = 0; i < 3000; i++) {
		int64_t now = SEC + i * SEC, ahead = 9 * SEC + i * 400 * US;
		CHECK(exchange(&clock, now, ahead, (i * 7 % 61) * US, (60 - i * 7 % 61) * US));
		check_within(&clock, now + 60 * US, ahead);
		CHECK(gp_clock_error(&clock, now + 60 * US) <= 60 * US);
	}
}

TEST(jumps_leave_only_the_newest_exchange)
{
	static const int64_t jumps[] = {SEC, -SEC, 3600 * SEC, -9 * SEC, 200 * US, -200 * US};
	int64_t ahead = 50 * SEC, now = 100 * SEC;
	struct gp_clock clock = {0};
	CHECK(exchange(&clock, now, ahead, 30 * US, 30 * US));
	for (unsigned i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		ahead += jumps[i];
		now += 10 * MS;
		CHECK(exchange(&clock, now, ahead, 30 * US, 20 * US));
		check_within(&clock, now + 50 * US, ahead);
		CHECK(gp_clock_error(&clock, now + 50 * US) <= 25 * US);
	}
}

/* Whatever is said, the guess is one that the last exchange allows, and nothing overflows. */
TEST(hostile_answers)
{
	static const uint64_t answers[] = {
		0,	    1,
		SEC,	    INT64_MAX - 1,
		INT64_MAX,  (uint64_t)INT64_MAX + 1,
		UINT64_MAX, UINT64_MAX / 2,
	};
	static const int64_t times[] = {0, 1, SEC, 1 << 30, INT64_MAX - 1, INT64_MAX};
	const unsigned n = sizeof(answers) / sizeof(answers[0]);
	struct gp_clock clock = {0};
	for (unsigned i = 0; i < n * n * 36; i++) {
		uint64_t host = answers[i % n ^ (i / n % n)];
		int64_t sent = times[i / (n * n) % 6], received = times[i / (n * n * 6) % 6];
		struct gp_clock before = clock;
		bool learned = gp_clock_exchange(&clock, sent, host, received);
		CHECK_INT(learned, host <= INT64_MAX && received >= sent);
		if (!learned) {
			CHECK(clock.low_ns == before.low_ns && clock.at_ns == before.at_ns);
			continue;
		}
		CHECK(gp_clock_offset(&clock) >= (int64_t)host - received);
		CHECK(gp_clock_offset(&clock) <= (int64_t)host - sent);
		CHECK(gp_clock_error(&clock, received) >= 0);
		CHECK(gp_clock_error(&clock, INT64_MAX) >= 0);
		CHECK(gp_clock_error(&clock, 0) >= 0);
	}
	CHECK(!gp_clock_exchange(&clock, -1, 0, 5));
}

static struct gp_time from_ns(int64_t ns)
{
	return (struct gp_time){(uint64_t)(ns / SEC), (uint32_t)(ns % SEC)};
}

static void hear(struct gp_clock *clock, int64_t host, int64_t received)
{
	struct gp_time time = from_ns(host);
	gp_clock_hear(clock, &time, received);
}

/* The fastest delivery counts; a delay changes nothing. */
TEST(estimates_from_arrivals)
{
	struct gp_clock clock = {0};
	hear(&clock, 500 * SEC, 20 * SEC + 4 * MS);
	CHECK(gp_clock_known(&clock));
	CHECK(gp_clock_error(&clock, 20 * SEC) == INT64_MAX);
	CHECK_INT(gp_clock_offset(&clock), 480 * SEC - 4 * MS);
	hear(&clock, 501 * SEC, 21 * SEC + MS);
	CHECK_INT(gp_clock_offset(&clock), 480 * SEC - MS);
	hear(&clock, 501 * SEC + 10 * MS, 21 * SEC + 31 * MS);
	CHECK(gp_clock_offset(&clock) <= 480 * SEC - MS);
	CHECK(gp_clock_offset(&clock) >= 480 * SEC - MS - 20 * US);
	/* A time that was a lie, or a clock that was set, is forgotten. */
	hear(&clock, 9000 * SEC, 21 * SEC + 40 * MS);
	CHECK_INT(gp_clock_offset(&clock), 8979 * SEC - 40 * MS);
	hear(&clock, 501 * SEC + 50 * MS, 21 * SEC + 51 * MS);
	CHECK_INT(gp_clock_offset(&clock), 480 * SEC - MS);
	/* An exchange knows better. */
	CHECK(exchange(&clock, 22 * SEC, 480 * SEC, 9 * US, 9 * US));
	hear(&clock, 600 * SEC, 21 * SEC);
	CHECK_INT(gp_clock_offset(&clock), 480 * SEC);
}

TEST(estimates_of_one_clock_and_of_none)
{
	struct gp_clock clock = {0};
	hear(&clock, 30 * SEC, 30 * SEC + 6 * MS);
	CHECK_INT(gp_clock_offset(&clock), 0);
	clock = (struct gp_clock){0};
	struct gp_time late = {UINT64_MAX, 999999999};
	gp_clock_hear(&clock, &late, SEC);
	CHECK(!gp_clock_known(&clock));
	hear(&clock, SEC, -1);
	CHECK(!gp_clock_known(&clock));
}

static void check_shift(uint64_t sec, uint32_t nsec, int64_t offset, uint64_t to_sec,
			uint32_t to_nsec)
{
	struct gp_time time = {sec, nsec};
	time = gp_time_shift(&time, offset);
	CHECK(time.sec == to_sec);
	CHECK_INT(time.nsec, to_nsec);
}

TEST(shifts)
{
	check_shift(5, 999999999, 1, 6, 0);
	check_shift(6, 0, -1, 5, 999999999);
	check_shift(6, 3, -2 * SEC - 4, 3, 999999999);
	check_shift(6, 3, 2 * SEC + 999999998, 9, 1);
	check_shift(7, 8, 0, 7, 8);
	/* Across 32 bits of seconds. */
	check_shift(UINT32_MAX, 999999999, 1, (uint64_t)UINT32_MAX + 1, 0);
	check_shift((uint64_t)UINT32_MAX + 1, 0, -1, UINT32_MAX, 999999999);
	/* There is nothing before the first and behind the last. */
	check_shift(0, 0, -1, 0, 0);
	check_shift(3, 5, -4 * SEC, 0, 0);
	check_shift(0, 999999999, INT64_MIN, 0, 0);
	check_shift(UINT64_MAX, 999999999, 1, UINT64_MAX, 999999999);
	check_shift(UINT64_MAX - 1, 0, INT64_MAX, UINT64_MAX, 999999999);
	check_shift(UINT64_MAX, 999999999, INT64_MIN, UINT64_MAX - 9223372036, 145224191);
	check_shift(0, 0, INT64_MAX, 9223372036, 854775807);
}

TEST(nanoseconds)
{
	struct gp_time time = {9223372036, 854775807};
	CHECK(gp_time_ns(&time) == INT64_MAX);
	time.nsec--;
	CHECK(gp_time_ns(&time) == INT64_MAX - 1);
	time = (struct gp_time){UINT64_MAX, 0};
	CHECK(gp_time_ns(&time) == INT64_MAX);
	time = (struct gp_time){2, 3};
	CHECK_INT(gp_time_ns(&time), 2 * SEC + 3);
}
