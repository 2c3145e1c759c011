/* SPDX-License-Identifier: MIT
 *
 * What a guest program has told its compositor, as far as another one has to hear it again: for each object
 * the request that made it, and those of its state that count. Objects that are gone are kept as long as others
 * were made by them. Noted by note.c, said again by restore.c. Loop thread only.
 */
#ifndef HR_KEPT_H
#define HR_KEPT_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>

#include "relay.h"

struct hr_hold;
struct hr_hook_state;
struct hr_kept;

#define HR_KEPT_OUTPUTS 8
#define HR_KEPT_BUTTONS 8
#define HR_KEPT_SERIALS 16

/** An argument; objects are named by what is kept of them. */
union hr_said_arg {
	union br_arg value;
	struct hr_kept *kept; /* of object arguments; may be NULL. A reference */
};

/** A request. Strings and arrays are behind the arguments. */
struct hr_said {
	struct wl_list link;
	struct hr_kept *target; /* NULL: wl_display. A reference if owns_target */
	bool owns_target;
	uint8_t opcode;
	uint32_t bytes;		 /* of it that count */
	int fds[BR_MAX_MSG_FDS]; /* owned; -1: none */
	union hr_said_arg args[];
};

/** More of a wl_surface. */
struct hr_kept_surface {
	struct wl_list pending, current; /* hr_said.link: of it, its viewport and its role */
	struct hr_kept *buffer, *next;	 /* shown, attached; references, may be NULL */
	bool attached;			 /* next counts */
	bool muted;			 /* its role is gone: it is not to be shown */
	struct hr_kept *subsurface;	 /* of parent; else NULL */
	struct hr_kept_surface *parent;	 /* of a subsurface; else NULL */
	struct wl_list stack;		 /* in_parent of subsurfaces and own self: lowest first */
	struct wl_list in_parent, self;	 /* on themselves where they are in no list */
	bool ordered;			 /* stack is not as the subsurfaces were made */
	struct hr_kept *kept;		 /* whose this is */
	struct hr_kept *xdg;		 /* its xdg_surface; may be NULL */
	struct hr_kept *outputs[HR_KEPT_OUTPUTS]; /* it is on these; references */
	uint32_t n_outputs;
};

/** What xdg_toplevel.configure said. */
struct hr_kept_size {
	int32_t width, height;
	bool strict; /* maximised or fullscreen: other sizes are an error */
};

/** More of an xdg_surface. */
struct hr_kept_xdg {
	struct hr_kept *toplevel; /* may be NULL */
	bool popup;
	bool committed; /* so that a configure had to follow */
	bool awaiting;	/* the next compositor's first configure */
	struct hr_kept_size size, next_size;
	/* Configures that the client has not acknowledged; oldest first. */
	struct {
		uint32_t serial;
		bool dead; /* the compositor must not hear the answer */
	} serials[HR_KEPT_SERIALS];
	uint32_t n_serials;
};

/** More of a wl_buffer. */
struct hr_kept_buffer {
	uint32_t shown; /* by so many surfaces */
	bool busy;	/* the client waits for its release */
};

/** More of what is of a seat. */
struct hr_kept_device {
	struct hr_kept *focus; /* a wl_surface: a reference; may be NULL */
	uint32_t buttons[HR_KEPT_BUTTONS];
	uint32_t n_buttons; /* pressed, or fingers down */
	uint32_t caps;	    /* of a wl_seat: announced by this compositor */
};

/** An object. Reference counted: by the object, and by what is kept of others. */
struct hr_kept {
	struct br_record record; /* of object; first */
	struct wl_list link;	 /* hr_notes.kept */
	struct hr_notes *notes;
	struct br_object *object; /* NULL: gone */
	uint32_t refs;
	uint16_t iface, version;
	bool stand_in; /* object is ours, for the sake of others; it is no reference */
	bool told; /* what it may tell only once: an output its name, an image description that it's ready */
	bool ready;		 /* an image description: this compositor has it */
	bool spent;		 /* a selection's source that was used */
	struct hr_said *made;	 /* may be NULL: not complete */
	struct wl_list said;	 /* hr_said.link: state that isn't a surface's */
	struct hr_kept *surface; /* whose state its own is part of; a reference, may be NULL */
	struct hr_hold *hold;	 /* of a wl_shm_pool; may be NULL */
	/* By its interface; all else NULL. */
	struct hr_kept_surface *content;
	struct hr_kept_xdg *xdg;
	struct hr_kept_buffer *buffer;
	struct hr_kept_device *device;
};

/** All that is kept of one client. */
struct hr_notes {
	struct wl_list kept; /* hr_kept.link, in the order in which they were made */
	struct br_relay *relay;
	struct hr_hook_state *state;
	uint64_t bytes;
	uint32_t n_fds;
	const char *broken; /* why it can't go on elsewhere; NULL: it can */
	bool saying;	    /* what passes is not news */
	bool moved;	    /* has been with another compositor */
};

/** Prepare. The relay and state outlive it. */
void hr_notes_init(struct hr_notes *notes, struct br_relay *relay, struct hr_hook_state *state);

/** Forget all, without a word to the compositor: before the relay goes. */
void hr_notes_finish(struct hr_notes *notes);

/** What is kept of an object; NULL: nothing, or no object. */
struct hr_kept *hr_kept_of(const struct br_object *object);

/** Keep a new object, which holds the reference. NULL: there is no room. */
struct hr_kept *hr_kept_create(struct hr_notes *notes, struct br_object *object);

/** References. NULL is fine. Returns kept; NULL. */
struct hr_kept *hr_kept_ref(struct hr_kept *kept);
struct hr_kept *hr_kept_unref(struct hr_kept *kept);

/** Note a request. Returns what is the caller's; NULL: it can't be said again, or (notes->broken) there is no
 * room. owns_target: see hr_said. */
struct hr_said *hr_said_create(struct hr_notes *notes, const struct br_msg *msg, bool owns_target);

/** Take it out of its list, if it is in one, and free it. NULL is fine. */
void hr_said_destroy(struct hr_notes *notes, struct hr_said *said);

/** Empty a list. target: only what was said to that; NULL: all. */
void hr_said_purge(struct hr_notes *notes, struct wl_list *list, const struct hr_kept *target);

/** Put said, which is of BR_KEEP_LAST or BR_KEEP_EACH, at the end of a list, in the place of what it replaces. */
void hr_said_add(struct hr_notes *notes, struct wl_list *list, struct hr_said *said);

/** Send it. self: what it makes; may be NULL. Returns false if something that it names is not there. */
bool hr_said_again(struct hr_notes *notes, const struct hr_said *said, struct br_object *self);

/** Set or clear what a surface shows: counted in the buffer. */
void hr_kept_show(struct hr_kept_surface *surface, struct hr_kept *buffer);

/** Whether an object that is gone may be made again for others. */
bool hr_kept_can_stand_in(const struct hr_kept *kept);

#endif
