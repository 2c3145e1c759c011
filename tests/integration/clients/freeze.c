// SPDX-License-Identifier: MIT
/*
 * A preloaded library that makes an animated client stand still at a frame that is the same in
 * every run: frame callbacks tell a time that depends on their number alone, there are
 * FREEZE_FRAMES of them (default 8), and random numbers are not seeded by the clock.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <wayland-client.h>

#define MAX_LISTENERS 64

typedef int (*add_listener_fn)(struct wl_proxy *, void (**)(void), void *);

/* One place in the client that handles callbacks, and how often it was told. */
struct handler {
	const struct wl_callback_listener *listener;
	uint32_t told;
};

/* A callback under way; freed when it is done. */
struct waiting {
	struct handler *handler;
	void *data; /* the client's */
};

static struct handler handlers[MAX_LISTENERS];

static void done(void *data, struct wl_callback *callback, uint32_t time)
{
	static const uint32_t step_ms = 40;
	struct waiting waiting = *(struct waiting *)data;
	const char *frames = getenv("FREEZE_FRAMES");

	(void)time;
	free(data);
	if (waiting.handler->told >= (frames != NULL ? strtoul(frames, NULL, 10) : 8)) {
		return; /* the client waits for ever; its last frame stays */
	}
	waiting.handler->told++;
	waiting.handler->listener->done(waiting.data, callback, waiting.handler->told * step_ms);
}

static const struct wl_callback_listener frozen = {.done = done};

static struct handler *find_handler(const struct wl_callback_listener *listener)
{
	for (int i = 0; i < MAX_LISTENERS; i++) {
		if (handlers[i].listener == NULL) {
			handlers[i].listener = listener;
		}
		if (handlers[i].listener == listener) {
			return &handlers[i];
		}
	}
	return NULL;
}

/* Instead of libwayland's; a header declares it, so that it needs no prototype of ours. */
int wl_proxy_add_listener(struct wl_proxy *proxy, void (**implementation)(void), void *data)
{
	add_listener_fn real = (add_listener_fn)dlsym(RTLD_NEXT, "wl_proxy_add_listener");
	const struct wl_callback_listener *listener = (const void *)implementation;
	struct waiting *waiting;

	if (strcmp(wl_proxy_get_class(proxy), "wl_callback") != 0 ||
	    find_handler(listener) == NULL) {
		return real(proxy, implementation, data);
	}
	waiting = malloc(sizeof(*waiting));
	if (waiting == NULL) {
		abort();
	}
	*waiting = (struct waiting){.handler = find_handler(listener), .data = data};
	return real(proxy, (void (**)(void))(uintptr_t)&frozen, waiting);
}

void srandom(unsigned int seed)
{
	(void)seed;
}

void srand(unsigned int seed)
{
	(void)seed;
}
