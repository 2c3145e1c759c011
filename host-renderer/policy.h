/* SPDX-License-Identifier: MIT
 *
 * What the guest is offered: which globals of the compositor, at which version, and how its windows
 * are marked. Everything is decided here, from the tables' flags, the policy file and the command line; the
 * hooks only ask. Unknown interfaces are never offered: the relay could not validate them.
 */
#ifndef HR_POLICY_H
#define HR_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Owned by main; constant once the loop runs, but for what has been logged. */
struct hr_policy {
	/* Highest version offered; 0: not offered. br_iface_count entries. */
	uint8_t *max_version;
	/* The compositor's global was withheld and that was logged. br_iface_count entries. */
	uint8_t *logged;
	/* Who said so: "--deny" or FILE:LINE; NULL: it is the default. br_iface_count entries; not owned. */
	const char **decided_by;
	char *app_id_prefix; /* "" switches it off */
	char *title_mark;    /* "" switches it off */
};

/** Make the default policy for a guest of this name: privileged and hidden interfaces are withheld,
 * windows are marked with the name. Returns NULL if memory is out. */
struct hr_policy *hr_policy_create(const char *guest_name);

/** NULL is fine. */
void hr_policy_destroy(struct hr_policy *policy);

/** Replace the marks; NULL keeps one. The texts are copied. Returns 0; -EINVAL not UTF-8, has control
 * characters or is longer than half of BR_LIMIT_TITLE_BYTES; -ENOMEM. */
int hr_policy_set_marks(struct hr_policy *policy, const char *app_id_prefix,
			const char *title_mark);

/** Offer an interface, spec being IFACE or IFACE:VERSION (then at most that version). Later calls
 * override earlier ones. by: who says so, kept. Returns 0, or -EINVAL with the reason in err. */
int hr_policy_allow(struct hr_policy *policy, const char *spec, const char *by, char *err,
		    size_t err_size);

/** Withhold an interface, spec being IFACE or IFACE:VERSION (then versions from VERSION up).
 * by: who says so, kept. Returns 0, or -EINVAL with the reason in err. */
int hr_policy_deny(struct hr_policy *policy, const char *spec, const char *by, char *err,
		   size_t err_size);

/** The version at which a global of the compositor is offered; 0 if it is withheld.
 * iface: index into br_ifaces, or BR_IFACE_ANY. */
uint32_t hr_policy_version(const struct hr_policy *policy, uint16_t iface,
			   uint32_t compositor_version);

/** Say once that a global is withheld, and why. name: as announced, may be unknown to us. */
void hr_policy_log_withheld(const struct hr_policy *policy, uint16_t iface, const char *name);

/** Print all interfaces that can be globals: name, version offered, state, who decided, reason. */
void hr_policy_print(const struct hr_policy *policy, FILE *out);

/** Put a mark in front of text, into a buffer of BR_LIMIT_TITLE_BYTES + 1 bytes; too long a text is
 * cut between characters. Returns the length in bytes without the NUL. */
size_t hr_policy_mark(char *buf, const char *mark, const char *text, size_t len);

#endif
