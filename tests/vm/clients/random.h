/* SPDX-License-Identifier: MIT
 *
 * Numbers for hostile programs: the same for the same seed.
 */
#ifndef VM_RANDOM_H
#define VM_RANDOM_H

#include <stdint.h>

/** Of below() and odd_number(). Never 0. */
extern uint64_t random_state;

/** The next number of a state of the caller's. */
uint64_t rnd(uint64_t *state);

/** A number in [0, n). */
uint32_t below(uint32_t n);

/** A number that breaks things, or one that may mean something. */
uint64_t odd_number(void);

#endif
