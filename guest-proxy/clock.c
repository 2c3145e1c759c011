/* SPDX-License-Identifier: MIT */
#include "clock.h"

/* A time of the host's that arrives later than this behind its event tells nothing of one clock for both. */
#define SAME_CLOCK_NS INT64_C(50000000)
/* An estimate that is contradicted by as much was wrong. */
#define FORGET_NS (5 * GP_CLOCK_NSEC)

static int64_t add(int64_t a, int64_t b)
{
	int64_t sum;
	if (__builtin_add_overflow(a, b, &sum)) {
		return a < 0 ? INT64_MIN : INT64_MAX;
	}
	return sum;
}

static int64_t subtract(int64_t a, int64_t b)
{
	int64_t difference;
	if (__builtin_sub_overflow(a, b, &difference)) {
		return a < 0 ? INT64_MIN : INT64_MAX;
	}
	return difference;
}

/* Without the overflow that a sum has. */
static int64_t middle(int64_t low, int64_t high)
{
	return low / 2 + high / 2 + (low % 2 + high % 2) / 2;
}

/* How far the bounds have moved since. */
static int64_t drift(const struct gp_clock *clock, int64_t now_ns)
{
	int64_t age = subtract(now_ns, clock->at_ns);
	return age > 0 ? age / (1000000 / GP_CLOCK_DRIFT_PPM) : 0;
}

bool gp_clock_exchange(struct gp_clock *clock, int64_t sent_ns, uint64_t host_ns,
		       int64_t received_ns)
{
	if (sent_ns < 0 || received_ns < sent_ns || host_ns > INT64_MAX) {
		return false;
	}
	int64_t low = (int64_t)host_ns - received_ns, high = (int64_t)host_ns - sent_ns;
	if (clock->measured) {
		int64_t wider = drift(clock, received_ns);
		int64_t old_low = subtract(clock->low_ns, wider);
		int64_t old_high = add(clock->high_ns, wider);
		if (old_low <= high && old_high >= low) {
			low = old_low > low ? old_low : low;
			high = old_high < high ? old_high : high;
		}
	}
	*clock = (struct gp_clock){
		.measured = true, .low_ns = low, .high_ns = high, .at_ns = received_ns};
	return true;
}

void gp_clock_hear(struct gp_clock *clock, const struct gp_time *host, int64_t received_ns)
{
	int64_t host_ns = gp_time_ns(host);
	if (clock->measured || host_ns == INT64_MAX || received_ns < 0) {
		return;
	}
	int64_t low = host_ns - received_ns;
	if (clock->heard) {
		int64_t old = subtract(clock->low_ns, drift(clock, received_ns));
		low = old > low && old < add(low, FORGET_NS) ? old : low;
	}
	*clock = (struct gp_clock){.heard = true, .low_ns = low, .at_ns = received_ns};
}

int64_t gp_clock_offset(const struct gp_clock *clock)
{
	if (!clock->measured) {
		bool same = clock->low_ns <= 0 && clock->low_ns > -SAME_CLOCK_NS;
		return same ? 0 : clock->low_ns;
	}
	bool same = clock->low_ns <= 0 && clock->high_ns >= 0;
	return same ? 0 : middle(clock->low_ns, clock->high_ns);
}

int64_t gp_clock_error(const struct gp_clock *clock, int64_t now_ns)
{
	if (!clock->measured) {
		return INT64_MAX;
	}
	int64_t guess = gp_clock_offset(clock);
	int64_t below = subtract(guess, clock->low_ns), above = subtract(clock->high_ns, guess);
	return add(below > above ? below : above, drift(clock, now_ns));
}

struct gp_time gp_time_shift(const struct gp_time *time, int64_t offset_ns)
{
	static const struct gp_time first = {0}, last = {UINT64_MAX, GP_CLOCK_NSEC - 1};
	int64_t sec = offset_ns / GP_CLOCK_NSEC, nsec = offset_ns % GP_CLOCK_NSEC;
	nsec += time->nsec;
	if (nsec < 0) {
		nsec += GP_CLOCK_NSEC;
		sec--;
	} else if (nsec >= GP_CLOCK_NSEC) {
		nsec -= GP_CLOCK_NSEC;
		sec++;
	}
	struct gp_time shifted = {.nsec = (uint32_t)nsec};
	if (sec < 0) {
		return __builtin_sub_overflow(time->sec, (uint64_t)-sec, &shifted.sec) ? first
										       : shifted;
	}
	return __builtin_add_overflow(time->sec, (uint64_t)sec, &shifted.sec) ? last : shifted;
}

int64_t gp_time_ns(const struct gp_time *time)
{
	int64_t ns;
	if (time->sec > INT64_MAX ||
	    __builtin_mul_overflow((int64_t)time->sec, GP_CLOCK_NSEC, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)time->nsec, &ns)) {
		return INT64_MAX;
	}
	return ns;
}
