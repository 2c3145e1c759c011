/* SPDX-License-Identifier: MIT
 *
 * How far a clock of the host's is ahead of the guest's of the same kind. An exchange (the guest's time,
 * the host's answer, the guest's time again) proves that the offset lies between two bounds, however its
 * two ways shared the round trip. Bounds of later exchanges narrow it; time that passes widens it, as the
 * clocks may run apart. Arithmetic only: nothing is asked or read here.
 */
#ifndef GP_CLOCK_H
#define GP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define GP_CLOCK_NSEC INT64_C(1000000000)

/* The most that two clocks which NTP disciplines run apart. Source: Linux, MAXFREQ of <linux/timex.h>. */
#define GP_CLOCK_DRIFT_PPM 500

/** What is known of one clock's offset: host minus guest. All zero: nothing. */
struct gp_clock {
	bool measured;		 /* by exchanges: both bounds hold */
	bool heard;		 /* only by what arrived: low_ns alone holds */
	int64_t low_ns, high_ns; /* at at_ns */
	int64_t at_ns;		 /* of the guest's clock */
};

/** A time as messages carry it. */
struct gp_time {
	uint64_t sec;
	uint32_t nsec; /* below GP_CLOCK_NSEC */
};

/** Learn from an exchange: the guest's clock before and behind it, the host's in between. If it does not
 * fit what was known, a clock has jumped: only the exchange counts. Returns false, having learned nothing,
 * for times that can't be. */
bool gp_clock_exchange(struct gp_clock *clock, int64_t sent_ns, uint64_t host_ns,
		       int64_t received_ns);

/** Learn from a time of the host's that was past when it arrived. For hosts that can't be asked; ignored
 * once an exchange has told more. */
void gp_clock_hear(struct gp_clock *clock, const struct gp_time *host, int64_t received_ns);

/** Whether gp_clock_offset() means something. */
static inline bool gp_clock_known(const struct gp_clock *clock)
{
	return clock->measured || clock->heard;
}

/** The best guess, in ns. 0 exactly where the clocks may be the same one. */
int64_t gp_clock_offset(const struct gp_clock *clock);

/** The most that the guess can be wrong by, in ns; INT64_MAX unless exchanges have told. */
int64_t gp_clock_error(const struct gp_clock *clock, int64_t now_ns);

/** A time that lies offset_ns later; or the first or last there is. */
struct gp_time gp_time_shift(const struct gp_time *time, int64_t offset_ns);

/** What is left of a time in ns; INT64_MAX if that does not hold it. */
int64_t gp_time_ns(const struct gp_time *time);

#endif
