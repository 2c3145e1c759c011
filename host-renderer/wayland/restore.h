/* SPDX-License-Identifier: MIT
 *
 * A guest program outlives its compositor: when that is gone, and another one is there, the program's objects
 * are made again on it and its windows shown with the buffers that they had. The program sees other outputs and
 * seats, its popups closed, and its windows configured; the guest's side sees nothing at all.
 *
 * What has to be said again is noted as it passes the relay (note.c, kept.h). Programs that have objects of an
 * interface without "survives" in protocol/policy.txt can't be moved.
 */
#ifndef HR_RESTORE_H
#define HR_RESTORE_H

#include <stdbool.h>

#include "kept.h"

/** Of one client. All zero is: nothing is noted, nothing can be restored. */
struct hr_restore {
	struct hr_notes notes;
	struct br_relay *relay; /* NULL: off */
	/* The client's requests have to wait: it has no compositor, or not all of it there. */
	bool busy;
	bool said;				   /* to the new compositor, who has heard it */
	unsigned awaiting;			   /* first configures of windows */
	unsigned attempts;			   /* since it last succeeded */
	void (*done)(struct hr_hook_state *state); /* requests can flow again */
};

/** Begin to take notes for a new client. */
void hr_restore_init(struct hr_restore *restore, struct br_relay *relay,
		     struct hr_hook_state *state, void (*done)(struct hr_hook_state *state));

/** Before the relay goes. */
void hr_restore_finish(struct hr_restore *restore);

/** br_relay_ops.passes. */
bool hr_restore_passes(struct br_relay *relay, struct br_msg *msg);

/** Why the client can't do without this compositor; NULL: it can. */
const char *hr_restore_obstacle(struct hr_restore *restore);

/** The compositor is gone: tell the client what it lost with it. Its requests wait from now on. */
void hr_restore_lose(struct hr_restore *restore);

/** There is a connection to the next one: the relay's output is what it is to be told. */
void hr_restore_begin(struct hr_restore *restore);

/** A dma-buf that the compositor was asked for by create is there: as if it came from create_immed. */
void hr_restore_note_dmabuf(struct br_relay *relay, struct br_object *params,
			    struct br_object *buffer, const union br_arg *image);

/** The compositor has answered a create. */
void hr_restore_note_answer(struct br_object *params);

/* For note.c. */

/** A window was configured for the first time. Answers, and shows it. */
void hr_restore_configured(struct hr_restore *restore, struct hr_kept *xdg, uint32_t serial);

/** An image description is ready: surfaces that have it can be told, for their next commit. */
void hr_restore_describe(struct hr_restore *restore, const struct hr_kept *description);

/** A seat has other devices. */
void hr_restore_remake(struct hr_restore *restore);

#endif
