/* SPDX-License-Identifier: MIT
 *
 * Programs that are looked for in PATH.
 */
#ifndef BR_PROGRAM_H
#define BR_PROGRAM_H

/** The path of a program, the caller's to free; NULL: not in PATH, or no memory. As execvp(3) looks, but not in the
 * current folder. */
char *br_program_find(const char *name);

#endif
