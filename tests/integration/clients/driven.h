/* SPDX-License-Identifier: MIT
 *
 * What clients that a test drives have in common: commands on stdin, a line on stdout for each thing that
 * happened.
 */
#ifndef DRIVEN_H
#define DRIVEN_H

/** Print a line, at once. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** Print a line with the program's name on stderr, and exit with 1. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/** Read stdin once and hand on the lines that are complete, of up to 4095 bytes, each without its end. Exits with 0
 * when the test is gone. */
void read_commands(void (*command)(char *line));

#endif
