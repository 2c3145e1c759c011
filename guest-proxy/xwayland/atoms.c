/* SPDX-License-Identifier: MIT */
#include "atoms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int xw_atoms_intern(xcb_connection_t *conn, xcb_atom_t *ret_atoms)
{
	static const char *const names[] = {
#define XW_ATOM_NAME(name, text) text,
		XW_ATOMS(XW_ATOM_NAME)
#undef XW_ATOM_NAME
	};
	xcb_intern_atom_cookie_t cookies[XW_N_ATOMS];
	int ret = 0;
	for (unsigned i = 0; i < XW_N_ATOMS; i++) {
		cookies[i] = xcb_intern_atom(conn, 0, (uint16_t)strlen(names[i]), names[i]);
	}
	for (unsigned i = 0; i < XW_N_ATOMS; i++) {
		xcb_intern_atom_reply_t *reply = xcb_intern_atom_reply(conn, cookies[i], NULL);
		ret_atoms[i] = reply != NULL ? reply->atom : XCB_ATOM_NONE;
		ret = reply != NULL ? ret : -ENOTCONN;
		free(reply);
	}
	return ret;
}
