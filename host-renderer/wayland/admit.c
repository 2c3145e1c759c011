/* SPDX-License-Identifier: MIT */
#include "admit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"

/* No compositor gets as far with its names. */
#define FIRST_OWN_NAME 0xf0000000u

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

struct hr_admit_global *hr_admit_find_server(struct hr_admit *admit, uint32_t server_name)
{
	for (size_t i = 0; i < admit->count; i++) {
		if (admit->globals[i].there && admit->globals[i].server_name == server_name) {
			return &admit->globals[i];
		}
	}
	return NULL;
}

void hr_admit_lose(struct hr_admit *admit)
{
	for (size_t i = 0; i < admit->count; i++) {
		admit->globals[i].there = 0;
	}
}

/* What the client knows from another compositor and this global can stand for. */
static struct hr_admit_global *find_known(struct hr_admit *admit, uint16_t iface, uint32_t version)
{
	for (size_t i = 0; i < admit->count; i++) {
		struct hr_admit_global *global = &admit->globals[i];
		if (!global->there && !global->removed && global->iface == iface &&
		    global->version <= version) {
			return global;
		}
	}
	return NULL;
}

/* The compositor's, if the client knows nothing else by it. */
static uint32_t choose_name(struct hr_admit *admit, uint32_t server_name)
{
	uint32_t name = server_name;
	const struct hr_admit_global *other = hr_admit_find(admit, name);
	if (other != NULL && !other->removed) {
		name = FIRST_OWN_NAME;
		while (hr_admit_find(admit, name) != NULL) {
			name++;
		}
	}
	return name;
}

static int add(struct hr_admit *admit, uint32_t name, struct hr_admit_global **ret_global)
{
	*ret_global = hr_admit_find(admit, name);
	if (*ret_global != NULL) {
		return 0;
	}
	if (admit->count >= BR_LIMIT_GLOBALS && evict(admit) < 0) {
		return -ENOSPC;
	}
	if (admit->count == admit->capacity) {
		size_t capacity = admit->capacity == 0 ? 64 : admit->capacity * 2;
		struct hr_admit_global *globals =
			reallocarray(admit->globals, capacity, sizeof(*globals));
		if (globals == NULL) {
			return -ENOMEM;
		}
		admit->globals = globals;
		admit->capacity = capacity;
	}
	*ret_global = &admit->globals[admit->count++];
	return 0;
}

int hr_admit_announce(struct hr_admit *admit, uint32_t server_name, uint16_t iface,
		      uint32_t version, const struct hr_admit_global **ret_global)
{
	struct hr_admit_global *global = hr_admit_find_server(admit, server_name);
	struct hr_admit_global *known = global == NULL ? find_known(admit, iface, version) : NULL;
	if (known != NULL) {
		known->there = 1;
		known->known = 1;
		known->server_name = server_name;
	} else if (global != NULL && !global->removed && global->iface == iface) {
		known = global; /* another registry hears of it */
	} else {
		uint32_t name = global != NULL ? global->name : choose_name(admit, server_name);
		int ret = add(admit, name, &global);
		if (ret < 0) {
			return ret;
		}
		*global = (struct hr_admit_global){.name = name,
						   .server_name = server_name,
						   .version = version,
						   .iface = iface,
						   .there = 1};
		known = global;
	}
	*ret_global = known;
	return 0;
}
