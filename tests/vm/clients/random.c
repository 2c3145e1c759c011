/* SPDX-License-Identifier: MIT */
#include "random.h"

uint64_t random_state = 1;

/* xorshift64*. */
uint64_t rnd(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

uint32_t below(uint32_t n)
{
	return (uint32_t)(rnd(&random_state) >> 32) % n;
}

uint64_t odd_number(void)
{
	static const uint64_t numbers[] = {
		0,	    1,		4095,	       4096,	   4097,
		0x7fffffff, 0x80000000, 0x80000001,    0xffffffff, 1ull << 32,
		1ull << 63, UINT64_MAX, 0xffffffff000,
	};
	uint32_t n = sizeof(numbers) / sizeof(numbers[0]);
	uint32_t which = below(n + 2);
	return which < n ? numbers[which] : which == n ? below(64) : rnd(&random_state);
}
