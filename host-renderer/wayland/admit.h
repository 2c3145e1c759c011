/* SPDX-License-Identifier: MIT
 *
 * The globals that one guest program has been shown. It can bind only these, as what they were
 * announced and at no higher version: the names it sends are never passed on unchecked.
 */
#ifndef HR_ADMIT_H
#define HR_ADMIT_H

#include <stddef.h>
#include <stdint.h>

/** A global as announced to the client. */
struct hr_admit_global {
	uint32_t name;	  /* chosen by the compositor */
	uint32_t version; /* as announced to the client */
	uint16_t iface;	  /* index into br_ifaces */
	/* The compositor took it back. It stays known: the client's bind may have been on its way, and
	 * the compositor knows best whether that is still in order. */
	uint8_t removed;
};

/** All zero is valid and empty. */
struct hr_admit {
	struct hr_admit_global *globals;
	size_t count, capacity;
};

/** Free what it holds; it is empty afterwards. */
void hr_admit_finish(struct hr_admit *admit);

/** Remember a global that is about to be announced. A name used before is replaced.
 * Returns 0; -ENOSPC more than BR_LIMIT_GLOBALS of them; -ENOMEM. */
int hr_admit_announce(struct hr_admit *admit, uint32_t name, uint16_t iface, uint32_t version);

/** The global of that name, valid until the next hr_admit_announce(). NULL if it was never shown. */
struct hr_admit_global *hr_admit_find(struct hr_admit *admit, uint32_t name);

#endif
