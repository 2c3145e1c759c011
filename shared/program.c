/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *br_program_find(const char *name)
{
	const char *at = getenv("PATH");
	for (at = at ? at : "/usr/bin:/bin"; at; at = strchr(at, ':')) {
		at += *at == ':';
		char *path;
		int len = (int)strcspn(at, ":");
		if (asprintf(&path, "%.*s/%s", len, at, name) < 0) {
			return NULL;
		}
		if (len > 0 && access(path, X_OK) == 0) {
			return path;
		}
		free(path);
	}
	return NULL;
}
