/* SPDX-License-Identifier: MIT */
#include "admit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"

void hr_admit_finish(struct hr_admit *admit)
{
	free(admit->globals);
	*admit = (struct hr_admit){0};
}

struct hr_admit_global *hr_admit_find(struct hr_admit *admit, uint32_t name)
{
	for (size_t i = 0; i < admit->count; i++) {
		if (admit->globals[i].name == name) {
			return &admit->globals[i];
		}
	}
	return NULL;
}

/* Forget the oldest removed global. Returns -ENOSPC if all are in use. */
static int evict(struct hr_admit *admit)
{
	for (size_t i = 0; i < admit->count; i++) {
		if (admit->globals[i].removed) {
			admit->count--;
			memmove(&admit->globals[i], &admit->globals[i + 1],
				(admit->count - i) * sizeof(admit->globals[0]));
			return 0;
		}
	}
	return -ENOSPC;
}

int hr_admit_announce(struct hr_admit *admit, uint32_t name, uint16_t iface, uint32_t version)
{
	struct hr_admit_global *global = hr_admit_find(admit, name);
	if (global == NULL) {
		if (admit->count >= BR_LIMIT_GLOBALS && evict(admit) < 0) {
			return -ENOSPC;
		}
		if (admit->count == admit->capacity) {
			size_t capacity = admit->capacity == 0 ? 64 : admit->capacity * 2;
			global = reallocarray(admit->globals, capacity, sizeof(*global));
			if (global == NULL) {
				return -ENOMEM;
			}
			admit->globals = global;
			admit->capacity = capacity;
		}
		global = &admit->globals[admit->count++];
	}
	*global = (struct hr_admit_global){.name = name, .version = version, .iface = iface};
	return 0;
}
