/* SPDX-License-Identifier: MIT
 *
 * Run-time types of the protocol tables. The scanner (protocol/scanner) turns the Wayland XML
 * files named in protocols.txt and the exceptions in policy.txt into constant arrays of these.
 * Data only: nothing here is ever written to.
 */
#ifndef BR_TABLES_H
#define BR_TABLES_H

#include <stdint.h>

#define BR_IFACE_ANY 0xffff /* an object argument without a declared interface */
#define BR_MAX_ARGS 16	    /* arguments of one message; a lint of the scanner */
#define BR_MAX_MSG_FDS 2    /* fds of one message; a lint of the scanner */

/** Kinds of wire argument. An untyped new_id (wl_registry.bind) is the three wire arguments
 * string, uint, new id; the scanner lists it as these three, the last one BR_ARG_NEW_ID with
 * iface BR_IFACE_ANY. Source: the Wayland wire format. */
enum br_arg_kind {
	BR_ARG_INT,
	BR_ARG_UINT,
	BR_ARG_FIXED,
	BR_ARG_STRING,
	BR_ARG_OBJECT,
	BR_ARG_NEW_ID,
	BR_ARG_ARRAY,
	BR_ARG_FD,
};

/** What an fd of a message stands for, so that it can cross a machine boundary. */
enum br_fd_kind {
	BR_FD_NONE,
	BR_FD_FILE,	  /* contents to read: keymap, format table, icc profile */
	BR_FD_SHM,	  /* pixel memory shared by both ends: wl_shm pools */
	BR_FD_DMABUF,	  /* a dma-buf plane */
	BR_FD_PIPE_WRITE, /* a stream which the receiver of the message writes to */
};

enum br_policy {
	BR_POLICY_PASS,
	BR_POLICY_DENY, /* a protocol error to the client that sends it; an event is dropped */
};

/** What is said again of a request when the compositor was replaced by another. */
enum br_keep {
	BR_KEEP_LAST, /* what was said last */
	BR_KEEP_NONE,
	BR_KEEP_EACH,
};

enum br_msg_flags {
	BR_MSG_DESTRUCTOR = 1 << 0, /* the sender's object is gone afterwards */
	BR_MSG_HOOK_GUEST = 1 << 1, /* causeway-guest has a hook for it */
	BR_MSG_HOOK_HOST = 1 << 2,  /* causeway-host has a hook for it */
};

enum br_iface_flags {
	BR_IFACE_GLOBAL = 1 << 0,     /* may be announced by a registry */
	BR_IFACE_PRIVILEGED = 1 << 1, /* the host offers it only if told to (--allow) */
	BR_IFACE_HIDDEN = 1 << 2,     /* never offered: something in it can't be carried */
	BR_IFACE_SURVIVES = 1 << 3,   /* who has one can go on with another compositor */
};

#define BR_NO_EVENT 0xff

/** One argument of a message. */
struct br_arg_desc {
	uint8_t kind;	  /* enum br_arg_kind */
	uint8_t nullable; /* strings and objects */
	uint16_t iface;	  /* of objects and new ids: index into br_ifaces, or BR_IFACE_ANY */
};

/** One request or event. */
struct br_msg_desc {
	const char *name;
	uint16_t first_arg; /* index into br_args */
	uint8_t n_args, n_fds;
	uint8_t since;
	uint8_t flags;	 /* enum br_msg_flags */
	uint8_t policy;	 /* enum br_policy */
	uint8_t fd_kind; /* enum br_fd_kind of all its fds */
	uint8_t keep;	 /* enum br_keep */
	uint8_t key;	 /* of BR_KEEP_LAST: the request that this one replaces; else its opcode */
	uint16_t hook;	 /* index into the hook tables; 0 is none */
};

/** One interface. */
struct br_iface {
	const char *name;
	uint8_t version;      /* of the XML */
	uint8_t safe_version; /* highest version whose fd-carrying messages all have a policy */
	uint16_t first_req, n_req; /* into br_msgs; the opcode is the offset */
	uint16_t first_evt, n_evt;
	uint16_t flags; /* enum br_iface_flags */
	uint8_t gone; /* event that tells of an object which ended with its compositor, or BR_NO_EVENT */
	const char *reason; /* why privileged or hidden; NULL otherwise */
};

extern const struct br_arg_desc br_args[];
extern const struct br_msg_desc br_msgs[];
extern const struct br_iface br_ifaces[];
extern const uint16_t br_iface_count;

/** Find an interface by name. Returns its index into br_ifaces, or BR_IFACE_ANY if the tables
 * have none of that name. */
uint16_t br_iface_find(const char *name);

#endif
