/* SPDX-License-Identifier: MIT
 *
 * Memory of the device's that the compositor has, by wl_shm pools: it lives on when the guest gives its
 * resource back, until the pool and all its buffers are gone, and counts for the client until then.
 */
#ifndef HR_HOOKS_HOLD_H
#define HR_HOOKS_HOLD_H

#include <stdint.h>

struct br_object;
struct hr_hook_state;

/** A pool's memory. Reference counted; outlived by the state. */
struct hr_hold {
	struct hr_hook_state *state;
	uint32_t refs;
	uint64_t bytes;
};

/** Count bytes, 0 for memory that is not the device's; *ret_hold has one reference. Returns 0; -ENOSPC the
 * client, or all of them, have too much; -ENOMEM. */
int hr_hold_create(struct hr_hook_state *state, uint64_t bytes, struct hr_hold **ret_hold);

/** Add a reference. NULL is fine. */
struct hr_hold *hr_hold_ref(struct hr_hold *hold);

/** Drop a reference. NULL is fine. Returns NULL. */
struct hr_hold *hr_hold_unref(struct hr_hold *hold);

/** What a wl_shm_pool of the client's holds; NULL for others. */
struct hr_hold *hr_hold_of_pool(const struct br_object *pool);

/** Let a wl_buffer, which has no data of its own, hold it as well. */
void hr_hold_attach(struct hr_hold *hold, struct br_object *buffer);

#endif
