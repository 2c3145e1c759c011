/* SPDX-License-Identifier: MIT
 *
 * A preloaded library that makes a GPU program a hostile one: now and then a word of the commands that it
 * submits is another. MUTATE_SEED, and MUTATE_AFTER: submits that are left alone. Says "mutated N" to stdout.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <drm/virtgpu_drm.h>
#include <xf86drm.h>

#include "random.h"

/* One of so many submits. */
#define ONE_OF 4

static unsigned number_of(const char *name)
{
	const char *text = getenv(name);
	return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static int submit(int fd, unsigned long request, struct drm_virtgpu_execbuffer *exec,
		  int (*real)(int, unsigned long, ...))
{
	static atomic_uint count;
	unsigned turn = atomic_fetch_add(&count, 1);
	if (turn == 0) {
		random_state = number_of("MUTATE_SEED") | 1;
	}
	struct drm_virtgpu_execbuffer changed = *exec;
	uint32_t n = exec->size / 4, *words = n > 0 ? malloc(exec->size) : NULL;
	if (!words || turn < number_of("MUTATE_AFTER") || below(ONE_OF) != 0) {
		free(words);
		return real(fd, request, exec);
	}
	memcpy(words, (const void *)(uintptr_t)exec->command, exec->size);
	for (uint32_t k = 1 + below(4); k > 0; k--) {
		uint32_t at = below(n);
		words[at] = below(2) ? words[at] ^ 1u << below(32) : (uint32_t)odd_number();
	}
	static unsigned mutated;
	printf("mutated %u\n", ++mutated);
	fflush(stdout);
	changed.command = (uintptr_t)words;
	int ret = real(fd, request, &changed);
	exec->fence_fd = changed.fence_fd;
	free(words);
	return ret;
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, ...);
	va_list list;
	va_start(list, request);
	void *arg = va_arg(list, void *);
	va_end(list);
	if (!real) {
		void *found = dlsym(RTLD_NEXT, "ioctl");
		memcpy(&real, &found, sizeof(real));
	}
	if (request == DRM_IOCTL_VIRTGPU_EXECBUFFER) {
		return submit(fd, request, arg, real);
	}
	return real(fd, request, arg);
}
