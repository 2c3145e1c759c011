/* SPDX-License-Identifier: MIT */
#include "capture.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"
#include "test.h"

void capture_start(struct capture *capture)
{
	(void)fflush(NULL);
	capture->file = memfd_create("capture", MFD_CLOEXEC);
	CHECK(capture->file >= 0);
	for (int i = 0; i < 2; i++) {
		capture->saved[i] = br_fd_dup(1 + i);
		CHECK(dup2(capture->file, 1 + i) >= 0);
	}
}

void capture_end(struct capture *capture)
{
	(void)fflush(NULL);
	for (int i = 0; i < 2; i++) {
		CHECK(dup2(capture->saved[i], 1 + i) >= 0);
		br_fd_clear(&capture->saved[i]);
	}
	ssize_t n = pread(capture->file, capture->text, sizeof(capture->text) - 1, 0);
	CHECK(n >= 0);
	capture->text[n] = '\0';
	br_fd_clear(&capture->file);
}
