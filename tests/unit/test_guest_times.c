/* SPDX-License-Identifier: MIT
 *
 * Times in messages, with a guest's clock that stands still unless told, and a host that is ahead of it.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "test.h"

#include "br-tables.h"
#include "hooks_rig.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

enum { PRESENTATION = POOL, FEEDBACK, TIMING = FEEDBACK, TIMER }; /* ids are dense */

/* --- clocks --- */

static int64_t now;   /* of the guest's CLOCK_MONOTONIC */
static int64_t ahead; /* the host's is */

int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __real_clock_gettime(clockid_t id, struct timespec *ts);

/* Each of the guest's clocks is as many hours ahead of its CLOCK_MONOTONIC as its number says. */
static int64_t guest_time(uint32_t id)
{
	return now + (id - CLOCK_MONOTONIC) * 3600 * SEC;
}

/* The host's clocks other than CLOCK_MONOTONIC are another minute ahead. */
static int64_t ahead_of(uint32_t id)
{
	return ahead + (id == CLOCK_MONOTONIC ? 0 : 60 * SEC);
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	if (now == 0) {
		return __real_clock_gettime(id, ts);
	}
	int64_t time = guest_time((uint32_t)id);
	*ts = (struct timespec){time / SEC, time % SEC};
	return 0;
}

static struct {
	uint32_t id;
	int64_t sent;
	gp_clock_done done;
	void *data;
} exchange;
static unsigned asked;

static int ask(uint32_t clock_id, gp_clock_done done, void *data)
{
	CHECK(exchange.done == NULL);
	exchange.id = clock_id;
	exchange.sent = guest_time(clock_id);
	exchange.done = done;
	exchange.data = data;
	asked++;
	return 0;
}

static void answer_with(int err, uint64_t host_ns)
{
	struct gp_clock_sample sample = {
		.clock_id = exchange.id,
		.sent_ns = exchange.sent,
		.received_ns = guest_time(exchange.id),
		.host_ns = host_ns,
	};
	gp_clock_done done = exchange.done;
	CHECK(done != NULL);
	exchange.done = NULL;
	done(exchange.data, err, err < 0 ? NULL : &sample);
}

/* The host's answer to an exchange that takes 40 us each way. */
static void answer(void)
{
	now += 40 * US;
	uint64_t host_ns = (uint64_t)(guest_time(exchange.id) + ahead_of(exchange.id));
	now += 40 * US;
	answer_with(0, host_ns);
}

static void answer_all(void)
{
	while (exchange.done != NULL) {
		answer();
	}
}

/* --- messages --- */

static void wake(struct gp_state *state)
{
	struct fixture *f = wl_container_of(state, f, state);
	br_relay_resume(f->relay, BR_REQUEST);
	br_relay_resume(f->relay, BR_EVENT);
	(void)br_relay_dispatch(f->relay, BR_REQUEST);
	(void)br_relay_dispatch(f->relay, BR_EVENT);
}

static void begin(struct fixture *f, bool tells)
{
	now = 1000 * SEC;
	ahead = 5000 * SEC;
	read_clock = tells ? ask : NULL;
	start(f);
	f->state.wake = wake;
}

static void begin_presentation(struct fixture *f, bool tells)
{
	begin(f, tells);
	bind_global(f, 13, "wp_presentation", 1, PRESENTATION);
}

static void event(struct fixture *f, uint32_t object, uint32_t opcode, const uint32_t *args,
		  uint32_t count)
{
	struct br_stream *in = br_relay_input(f->relay, BR_EVENT);
	struct br_object *to = br_relay_client_object(f->relay, object);
	CHECK(to != NULL);
	uint32_t header[2] = {to->server_id, (8 + count * 4) << 16 | opcode};
	CHECK_INT(br_stream_write(in, header, sizeof(header)), 0);
	CHECK_INT(br_stream_write(in, args, count * 4), 0);
	(void)br_relay_dispatch(f->relay, BR_EVENT);
	CHECK(!br_relay_failed(f->relay));
}

#define EVENT(f, object, opcode, ...)                                                              \
	do {                                                                                       \
		const uint32_t args_[] = {__VA_ARGS__};                                            \
		event(f, object, opcode, args_, sizeof(args_) / 4);                                \
	} while (0)

static uint32_t last[16]; /* message that next() found */

/* The next message of a kind that goes out; false if there is none. */
static bool next(struct fixture *f, enum br_dir dir, uint32_t opcode, uint32_t size)
{
	struct br_stream *out = br_relay_output(f->relay, dir);
	while (!br_stream_empty(out)) {
		uint32_t words[2];
		memcpy(words, br_stream_peek(out), sizeof(words));
		memcpy(last, br_stream_peek(out),
		       words[1] >> 16 < sizeof(last) ? words[1] >> 16 : sizeof(last));
		br_stream_consume(out, words[1] >> 16);
		if (words[1] == (size << 16 | opcode) && words[0] != 1) {
			return true;
		}
	}
	return false;
}

static void clear(struct fixture *f, enum br_dir dir)
{
	struct br_stream *out = br_relay_output(f->relay, dir);
	br_stream_consume(out, br_stream_bytes(out));
}

static int64_t last_time(void)
{
	return (int64_t)((uint64_t)last[2] << 32 | last[3]) * SEC + last[4];
}

static uint32_t high(int64_t ns)
{
	return (uint32_t)(ns / SEC >> 32);
}

static uint32_t low(int64_t ns)
{
	return (uint32_t)(ns / SEC);
}

static void feedback(struct fixture *f)
{
	REQUEST(f, PRESENTATION, BR_REQ_WP_PRESENTATION_FEEDBACK, SURFACE, FEEDBACK);
}

static void present(struct fixture *f, int64_t host_ns)
{
	EVENT(f, FEEDBACK, BR_EVT_WP_PRESENTATION_FEEDBACK_PRESENTED, high(host_ns), low(host_ns),
	      (uint32_t)(host_ns % SEC), 16666666, 0, 7, 1);
}

static bool presented(struct fixture *f)
{
	return next(f, BR_EVENT, BR_EVT_WP_PRESENTATION_FEEDBACK_PRESENTED, 36);
}

/* The feedback's object is gone, as the server says. */
static void delete_feedback(struct fixture *f)
{
	struct br_stream *in = br_relay_input(f->relay, BR_EVENT);
	uint32_t words[] = {1, 12 << 16 | BR_EVT_WL_DISPLAY_DELETE_ID, FEEDBACK};
	CHECK_INT(br_stream_write(in, words, sizeof(words)), 0);
	(void)br_relay_dispatch(f->relay, BR_EVENT);
}

static void tell_clock(struct fixture *f, uint32_t told, uint32_t want)
{
	EVENT(f, PRESENTATION, BR_EVT_WP_PRESENTATION_CLOCK_ID, told);
	CHECK(next(f, BR_EVENT, BR_EVT_WP_PRESENTATION_CLOCK_ID, 12));
	CHECK_INT(last[2], want);
}

/* --- tests --- */

TEST(presentation)
{
	struct fixture f;
	begin_presentation(&f, true);
	answer_all();
	CHECK_INT(asked, 1);
	tell_clock(&f, CLOCK_MONOTONIC, CLOCK_MONOTONIC);
	feedback(&f);
	present(&f, now + ahead - 3 * MS);
	CHECK(presented(&f));
	CHECK_INT(last_time(), now - 3 * MS);
	CHECK_INT(last[5], 16666666);
	CHECK_INT(last[7], 7);
	CHECK_INT(asked, 1);
	finish(&f);
}

TEST(an_event_waits_for_the_first_exchange)
{
	struct fixture f;
	begin_presentation(&f, true);
	feedback(&f);
	present(&f, now + ahead - 20 * MS);
	EVENT(&f, PRESENTATION, BR_EVT_WP_PRESENTATION_CLOCK_ID, CLOCK_MONOTONIC);
	CHECK(!presented(&f));
	int64_t then = now;
	answer();
	CHECK(presented(&f));
	CHECK_INT(last_time(), then - 20 * MS);
	CHECK(next(&f, BR_EVENT, BR_EVT_WP_PRESENTATION_CLOCK_ID, 12)); /* in order */
	finish(&f);
}

TEST(a_waiting_event_goes_on_when_the_channel_ends)
{
	struct fixture f;
	begin_presentation(&f, true);
	feedback(&f);
	present(&f, 5 * SEC);
	CHECK(!presented(&f));
	f.state.channel = NULL;
	answer_with(-ECANCELED, 0);
	CHECK(presented(&f));
	finish(&f);
}

/* While nothing with a time passes, nothing is asked; then once in a while, and a time that is too old to
 * tell is not guessed. */
TEST(exchanges_as_they_are_needed)
{
	struct fixture f;
	begin_presentation(&f, true);
	answer_all();
	for (int i = 0; i < 100; i++) {
		feedback(&f);
		now += 16 * MS;
		present(&f, now + ahead);
		CHECK(presented(&f));
		CHECK_INT(last_time(), now);
		delete_feedback(&f);
		answer_all();
	}
	CHECK(asked >= 3 && asked <= 5);
	unsigned before = asked;
	now += 3600 * SEC;
	ahead += 30 * MS; /* one of the clocks ran slow */
	CHECK_INT(asked, before);
	feedback(&f);
	CHECK_INT(asked, before + 1);
	present(&f, now + ahead);
	CHECK(!presented(&f));
	int64_t then = now;
	answer_all();
	CHECK(presented(&f));
	CHECK_INT(last_time(), then);
	finish(&f);
}

/* The guest was stopped for a minute; its clock with it. */
TEST(a_time_from_the_future_is_doubted)
{
	struct fixture f;
	begin_presentation(&f, true);
	answer_all();
	ahead += 60 * SEC;
	feedback(&f);
	present(&f, now + ahead);
	CHECK(!presented(&f));
	int64_t then = now;
	answer_all();
	CHECK(presented(&f));
	CHECK_INT(last_time(), then);
	finish(&f);
}

/* A compositor may mean it. */
TEST(a_time_from_the_future_is_doubted_once)
{
	struct fixture f;
	begin_presentation(&f, true);
	answer_all();
	for (unsigned i = 0; i < 5; i++) {
		feedback(&f);
		present(&f, now + ahead + 30 * MS);
		CHECK_INT(exchange.done != NULL, i == 0);
		int64_t then = now;
		answer_all();
		CHECK(presented(&f));
		CHECK_INT(last_time(), then + 30 * MS);
		delete_feedback(&f);
		clear(&f, BR_EVENT);
	}
	/* And a jump is still one. */
	ahead += 20 * MS;
	feedback(&f);
	present(&f, now + ahead + 30 * MS);
	CHECK(!presented(&f));
	int64_t then = now;
	answer_all();
	CHECK(presented(&f));
	CHECK_INT(last_time(), then + 30 * MS);
	finish(&f);
}

TEST(unequal_ways_are_tried_again)
{
	struct fixture f;
	begin_presentation(&f, true);
	for (unsigned i = 0; i < 30 && exchange.done != NULL; i++) {
		now += 3 * MS; /* back */
		answer_with(0, (uint64_t)(exchange.sent + ahead));
	}
	CHECK_INT(asked, 8); /* no better comes: it has to do */
	feedback(&f);
	present(&f, now + ahead);
	CHECK(presented(&f));
	CHECK(last_time() >= now - 1500 * US && last_time() <= now + 1500 * US);
	finish(&f);
}

/* A first exchange that was slow is not good enough, while others follow. */
TEST(a_poor_exchange_is_waited_out)
{
	struct fixture f;
	begin_presentation(&f, true);
	now += 20 * MS;
	answer_with(0, (uint64_t)(exchange.sent + ahead));
	feedback(&f);
	int64_t then = now;
	present(&f, now + ahead);
	CHECK(!presented(&f));
	answer();
	CHECK(presented(&f));
	CHECK(last_time() >= then - 40 * US && last_time() <= then + 40 * US);
	CHECK_INT(asked, 2);
	finish(&f);
}

TEST(other_presentation_clocks)
{
	static const struct {
		uint32_t told, want, measured;
	} clocks[] = {
		{CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_RAW},
		{CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC},
		{CLOCK_REALTIME, CLOCK_REALTIME, CLOCK_REALTIME},
		{CLOCK_BOOTTIME, CLOCK_BOOTTIME, CLOCK_BOOTTIME},
	};
	for (unsigned i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		struct fixture f;
		uint32_t id = clocks[i].measured;
		begin_presentation(&f, true);
		tell_clock(&f, clocks[i].told, clocks[i].want);
		answer_all();
		feedback(&f);
		present(&f, guest_time(id) + ahead_of(id));
		CHECK(presented(&f));
		CHECK_INT(last_time(), guest_time(id));
		finish(&f);
	}
}

/* One that only the host's system has: the guest's own is told, and the times are estimated. */
TEST(unknown_presentation_clock)
{
	static const uint32_t clocks[] = {CLOCK_PROCESS_CPUTIME_ID, 77, UINT32_MAX};
	for (unsigned i = 0; i < 3; i++) {
		struct fixture f;
		begin_presentation(&f, true);
		tell_clock(&f, clocks[i], CLOCK_MONOTONIC);
		answer_all();
		feedback(&f);
		present(&f, 12345 * SEC);
		CHECK(presented(&f));
		CHECK_INT(last_time(), now);
		finish(&f);
	}
}

TEST(the_presentation_clock_changes)
{
	struct fixture f;
	begin_presentation(&f, true);
	tell_clock(&f, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_RAW);
	answer(); /* CLOCK_MONOTONIC's; RAW's is on its way */
	CHECK_INT(exchange.id, CLOCK_MONOTONIC_RAW);
	tell_clock(&f, CLOCK_BOOTTIME, CLOCK_BOOTTIME);
	feedback(&f);
	present(&f, guest_time(CLOCK_BOOTTIME) + ahead_of(CLOCK_BOOTTIME) - MS);
	int64_t then = guest_time(CLOCK_BOOTTIME);
	answer_all();
	CHECK(presented(&f));
	CHECK_INT(last_time(), then - MS);
	finish(&f);
}

TEST(estimates)
{
	struct fixture f;
	begin_presentation(&f, false);
	tell_clock(&f, CLOCK_MONOTONIC, CLOCK_MONOTONIC);
	feedback(&f);
	present(&f, now + ahead - 2 * MS);
	CHECK(presented(&f));
	CHECK_INT(last_time(), now); /* as far as one can tell */
	delete_feedback(&f);
	clear(&f, BR_EVENT);
	feedback(&f);
	now += 16 * MS;
	present(&f, now + ahead - MS);
	CHECK(presented(&f));
	CHECK_INT(last_time(), now);
	finish(&f);
}

TEST(one_machine_without_exchanges)
{
	struct fixture f;
	begin_presentation(&f, false);
	feedback(&f);
	present(&f, now - 2 * MS);
	CHECK(presented(&f));
	CHECK_INT(last_time(), now - 2 * MS);
	finish(&f);
}

static void set_timestamp(struct fixture *f, uint64_t sec, uint32_t nsec)
{
	REQUEST(f, TIMER, BR_REQ_WP_COMMIT_TIMER_V1_SET_TIMESTAMP, (uint32_t)(sec >> 32),
		(uint32_t)sec, nsec);
}

static bool timed(struct fixture *f)
{
	return next(f, BR_REQUEST, BR_REQ_WP_COMMIT_TIMER_V1_SET_TIMESTAMP, 20);
}

static void begin_timing(struct fixture *f, bool tells)
{
	begin_presentation(f, tells);
	bind_global(f, 14, "wp_commit_timing_manager_v1", 1, TIMING);
	REQUEST(f, TIMING, BR_REQ_WP_COMMIT_TIMING_MANAGER_V1_GET_TIMER, TIMER, SURFACE);
	CHECK(!br_relay_failed(f->relay));
	clear(f, BR_REQUEST);
}

TEST(commit_times)
{
	struct fixture f;
	begin_timing(&f, true);
	set_timestamp(&f, (uint64_t)(now / SEC), 5000);
	CHECK(!timed(&f));
	CHECK(gp_state_waits(&f.state));
	int64_t then = now;
	answer_all();
	CHECK(!gp_state_waits(&f.state));
	CHECK(timed(&f));
	CHECK_INT(last_time(), then + ahead + 5000);
	finish(&f);
}

TEST(commit_times_that_cant_be)
{
	struct fixture f;
	begin_timing(&f, true);
	answer_all();
	set_timestamp(&f, 7, 1000000000);
	CHECK(timed(&f)); /* the compositor's error is the program's */
	CHECK_INT(last[3], 7);
	CHECK_INT(last[4], 1000000000);
	set_timestamp(&f, UINT64_MAX, 999999999);
	CHECK(timed(&f));
	CHECK(last[2] == UINT32_MAX && last[3] == UINT32_MAX);
	CHECK_INT(last[4], 999999999);
	ahead = -900 * SEC;
	now += 2 * SEC;
	set_timestamp(&f, 3, 3);
	answer_all();
	CHECK(timed(&f));
	CHECK_INT(last_time(), 0);
	finish(&f);
}

/* In the wrong clock a time may be years ahead. */
TEST(commit_times_without_a_clock)
{
	struct fixture f;
	begin_timing(&f, false);
	set_timestamp(&f, 1, 1);
	CHECK(!timed(&f));
	CHECK(!gp_state_waits(&f.state));
	request(&f, SURFACE, BR_REQ_WL_SURFACE_COMMIT, NULL, 0);
	CHECK(next(&f, BR_REQUEST, BR_REQ_WL_SURFACE_COMMIT, 8));
	finish(&f);
}

TEST(hostile_answers)
{
	static const uint64_t answers[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
	static const uint32_t words[] = {0, 1, 0x7fffffff, 0x80000000, UINT32_MAX};
	for (unsigned i = 0; i < 5 * 5 * 5; i++) {
		struct fixture f;
		begin_presentation(&f, true);
		while (exchange.done != NULL) {
			answer_with(0, answers[i % 5]);
		}
		feedback(&f);
		EVENT(&f, FEEDBACK, BR_EVT_WP_PRESENTATION_FEEDBACK_PRESENTED, words[i / 5 % 5],
		      words[i / 25], words[i % 4], 0, 0, 0, 0);
		while (exchange.done != NULL) {
			answer_with(0, answers[i / 5 % 5]);
		}
		CHECK(presented(&f));
		CHECK(last[4] < SEC || last[4] == words[i % 4]);
		finish(&f);
	}
}

/* A host that has the extension, but no clocks: as one without. */
TEST(a_refusal_is_final)
{
	struct fixture f;
	begin_presentation(&f, true);
	answer_with(-ENODATA, 0);
	CHECK_INT(asked, 1);
	feedback(&f);
	present(&f, now + ahead);
	CHECK(presented(&f));
	CHECK_INT(last_time(), now);
	CHECK_INT(asked, 1);
	finish(&f);
}

/* --- ms --- */

static void begin_pointer(struct fixture *f, bool tells)
{
	begin(f, tells);
	bind_global(f, 13, "wl_seat", 5, POOL);
	REQUEST(f, POOL, BR_REQ_WL_SEAT_GET_POINTER, BUFFER);
}

static uint32_t move(struct fixture *f, uint32_t time)
{
	EVENT(f, BUFFER, BR_EVT_WL_POINTER_MOTION, time, 0, 0);
	answer_all();
	CHECK(next(f, BR_EVENT, BR_EVT_WL_POINTER_MOTION, 20));
	return last[2];
}

TEST(input_times)
{
	struct fixture f;
	begin_pointer(&f, true);
	uint32_t host_ms = (uint32_t)((now + ahead) / MS);
	CHECK_INT(move(&f, host_ms), host_ms - ahead / MS);
	EVENT(&f, BUFFER, BR_EVT_WL_POINTER_BUTTON, 9, host_ms, 0x110, 1);
	CHECK(next(&f, BR_EVENT, BR_EVT_WL_POINTER_BUTTON, 24));
	CHECK_INT(last[2], 9);
	CHECK_INT(last[3], host_ms - ahead / MS);
	finish(&f);
}

/* 32 bits of ms are seven weeks. */
TEST(input_times_wrap)
{
	struct fixture f;
	begin_pointer(&f, true);
	answer_all();
	clear(&f, BR_EVENT);
	CHECK_INT(move(&f, 7), (uint32_t)(7 - ahead / MS));
	CHECK_INT(move(&f, UINT32_MAX), (uint32_t)(UINT32_MAX - ahead / MS));
	finish(&f);
}

TEST(input_times_behind_a_stop)
{
	struct fixture f;
	begin_pointer(&f, true);
	answer_all();
	ahead += 60 * SEC;
	EVENT(&f, BUFFER, BR_EVT_WL_POINTER_MOTION, (uint32_t)((now + ahead) / MS), 0, 0);
	CHECK(exchange.done != NULL);
	int64_t then = now;
	answer_all();
	CHECK(next(&f, BR_EVENT, BR_EVT_WL_POINTER_MOTION, 20));
	CHECK_INT(last[2], then / MS);
	/* Of another base than the clock's: asked once. */
	CHECK_INT(move(&f, 0x70000000), 0x70000000 - (uint32_t)(ahead / MS));
	unsigned before = asked;
	for (uint32_t i = 0; i < 9; i++) {
		CHECK_INT(move(&f, 0x70000000 + i), 0x70000000 + i - (uint32_t)(ahead / MS));
	}
	CHECK(asked <= before + 2);
	finish(&f);
}

TEST(input_times_are_left_alone_without_exchanges)
{
	struct fixture f;
	begin_pointer(&f, false);
	CHECK_INT(move(&f, 12345), 12345);
	finish(&f);
}

TEST(frame_callbacks_but_no_other)
{
	struct fixture f;
	begin(&f, true);
	answer_all();
	REQUEST(&f, SURFACE, BR_REQ_WL_SURFACE_FRAME, POOL);
	REQUEST(&f, 1, BR_REQ_WL_DISPLAY_SYNC, BUFFER);
	uint32_t host_ms = (uint32_t)((now + ahead) / MS);
	EVENT(&f, POOL, BR_EVT_WL_CALLBACK_DONE, host_ms);
	CHECK(next(&f, BR_EVENT, BR_EVT_WL_CALLBACK_DONE, 12));
	CHECK_INT(last[2], host_ms - ahead / MS);
	EVENT(&f, BUFFER, BR_EVT_WL_CALLBACK_DONE, host_ms);
	CHECK(next(&f, BR_EVENT, BR_EVT_WL_CALLBACK_DONE, 12));
	CHECK_INT(last[2], host_ms);
	finish(&f);
}

/* "in the same clock domain": input-timestamps-unstable-v1. */
TEST(input_timestamps_are_as_input_times)
{
	struct fixture f;
	begin_pointer(&f, true);
	answer_all();
	bind_global(&f, 14, "zwp_input_timestamps_manager_v1", 1, BUFFER2);
	REQUEST(&f, BUFFER2, BR_REQ_ZWP_INPUT_TIMESTAMPS_MANAGER_V1_GET_POINTER_TIMESTAMPS,
		BUFFER2 + 1, BUFFER);
	int64_t host = now + ahead;
	EVENT(&f, BUFFER2 + 1, BR_EVT_ZWP_INPUT_TIMESTAMPS_V1_TIMESTAMP, high(host), low(host),
	      (uint32_t)(host % SEC));
	CHECK(next(&f, BR_EVENT, BR_EVT_ZWP_INPUT_TIMESTAMPS_V1_TIMESTAMP, 20));
	CHECK_INT(last_time(), now);
	CHECK_INT(move(&f, (uint32_t)(host / MS)), now / MS);
	finish(&f);
}
