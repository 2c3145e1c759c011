/* SPDX-License-Identifier: MIT
 *
 * The globals that one guest program has been shown. It can bind only these, as what they were
 * announced and at no higher version: the names it sends are never passed on unchecked.
 */
#ifndef HR_ADMIT_H
#define HR_ADMIT_H

#include <stddef.h>
#include <stdint.h>

/* It went with its compositor, and the next one has none. */
#define HR_ADMIT_LOST 2

/** A global as announced to the client. */
struct hr_admit_global {
	uint32_t name;	      /* as the client knows it */
	uint32_t server_name; /* as the compositor does, if it is there */
	uint32_t version;     /* as announced to the client */
	uint16_t iface;	      /* index into br_ifaces */
	/* The compositor took it back. It stays known: the client's bind may have been on its way, and
	 * the compositor knows best whether that is still in order. */
	uint8_t removed; /* or HR_ADMIT_LOST */
	uint8_t there;	 /* at this compositor */
	uint8_t known;	 /* the client knows it already from another compositor */
};

/** All zero is valid and empty. */
struct hr_admit {
	struct hr_admit_global *globals;
	size_t count, capacity;
};

/** Free what it holds; it is empty afterwards. */
void hr_admit_finish(struct hr_admit *admit);

/** Remember a global that the compositor announces. One that the client knows from another compositor, and
 * that is no better there, takes its place, under the name that the client knows. A name used before is replaced.
 * *ret_global is valid until the next call. Returns 0; -ENOSPC more than BR_LIMIT_GLOBALS of them; -ENOMEM. */
int hr_admit_announce(struct hr_admit *admit, uint32_t server_name, uint16_t iface,
		      uint32_t version, const struct hr_admit_global **ret_global);

/** The global of that name of the client's, valid until the next hr_admit_announce(). NULL if it was never
 * shown. */
struct hr_admit_global *hr_admit_find(struct hr_admit *admit, uint32_t name);

/** The same by the compositor's name. */
struct hr_admit_global *hr_admit_find_server(struct hr_admit *admit, uint32_t server_name);

/** The compositor is gone, with all its globals. */
void hr_admit_lose(struct hr_admit *admit);

#endif
