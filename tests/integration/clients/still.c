// SPDX-License-Identifier: MIT
/*
 * A preloaded library that makes an animated GPU client stand still: the surface's commits end
 * with number STILL_COMMITS, and the time of day depends on how often it was asked for alone.
 *
 * Or that measures it, with STILL_READY: it says "ready" to stdout after so many commits, and at each SIGUSR1
 * "commits N at SECONDS cpu SECONDS".
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <wayland-client.h>

#define MAX_ARGS 20
#define STEP_US 40000

static atomic_uint commits;

static double seconds_of(clockid_t clock)
{
	struct timespec now;
	(void)clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void tell(int number)
{
	char text[100];
	(void)number;
	int len = snprintf(text, sizeof(text), "\ncommits %u at %.6f cpu %.6f\n",
			   atomic_load(&commits), seconds_of(CLOCK_MONOTONIC),
			   seconds_of(CLOCK_PROCESS_CPUTIME_ID));
	(void)!write(STDOUT_FILENO, text, (size_t)len);
}

__attribute__((constructor)) static void listen_for_questions(void)
{
	const struct sigaction action = {.sa_handler = tell, .sa_flags = SA_RESTART};
	if (getenv("STILL_READY") != NULL) {
		(void)sigaction(SIGUSR1, &action, NULL);
	}
}

/* Returns true if there is to be no further one. */
static bool count_commit(void)
{
	const char *limit = getenv("STILL_COMMITS"), *ready = getenv("STILL_READY");
	unsigned long turn = atomic_fetch_add(&commits, 1);
	if (ready != NULL && turn == strtoul(ready, NULL, 10)) {
		(void)!write(STDOUT_FILENO, "\nready\n", 7);
	}
	return limit != NULL && turn >= strtoul(limit, NULL, 10);
}

static bool is_one_too_many(struct wl_proxy *proxy, uint32_t opcode)
{
	return opcode == WL_SURFACE_COMMIT &&
	       strcmp(wl_proxy_get_class(proxy), "wl_surface") == 0 && count_commit();
}

/* Instead of libwayland's, which has this only with an array for the arguments. */
struct wl_proxy *wl_proxy_marshal_flags(struct wl_proxy *proxy, uint32_t opcode,
					const struct wl_interface *interface, uint32_t version,
					uint32_t flags, ...)
{
	union wl_argument args[MAX_ARGS] = {0};
	const struct wl_interface *own = wl_proxy_get_interface(proxy);
	va_list list;
	int n = 0;

	if (is_one_too_many(proxy, opcode)) {
		for (;;) {
			(void)pause(); /* the last frame stays */
		}
	}
	va_start(list, flags);
	for (const char *at = own->methods[opcode].signature; *at != '\0'; at++) {
		switch (*at) {
		case 'i':
		case 'u':
		case 'f':
		case 'h':
			args[n++].i = va_arg(list, int32_t);
			break;
		case 's':
		case 'o':
		case 'n':
		case 'a':
			args[n++].o = va_arg(list, void *);
			break;
		default: /* the version since when it is there, or "?" */
			break;
		}
	}
	va_end(list);
	return wl_proxy_marshal_array_flags(proxy, opcode, interface, version, flags, args);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	static atomic_uint_fast64_t asked;
	uint64_t us = getenv("STILL_COMMITS") != NULL
			      ? atomic_fetch_add(&asked, 1) * STEP_US
			      : (uint64_t)(seconds_of(CLOCK_REALTIME) * 1e6);

	(void)zone;
	*now = (struct timeval){.tv_sec = (time_t)(us / 1000000),
				.tv_usec = (suseconds_t)(us % 1000000)};
	return 0;
}
