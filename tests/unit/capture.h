/* SPDX-License-Identifier: MIT
 *
 * What a program's part prints on stdout and stderr, in a test of that part.
 */
#ifndef TEST_CAPTURE_H
#define TEST_CAPTURE_H

/** Printed text. */
struct capture {
	int saved[2], file;
	char text[8192];
};

/** Start to keep what is printed. */
void capture_start(struct capture *capture);
/** Print as before again, and read what was kept into text. */
void capture_end(struct capture *capture);

#endif
