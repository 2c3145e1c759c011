/* SPDX-License-Identifier: MIT */
#include "cursor_theme.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wayland-client.h>
#include <wayland-cursor.h>
#include <wayland-server.h>

#include "fd.h"
#include "limits.h"
#include "log.h"

#define DEFAULT_SIZE 24 /* as everywhere where XCURSOR_SIZE is not set */

/* The theme's names, in the order of enum wp_cursor_shape_device_v1.shape from 1; they are CSS's. */
static const char *const names[] = {
	"default",    "context-menu", "help",	     "pointer",	      "progress",    "wait",
	"cell",	      "crosshair",    "text",	     "vertical-text", "alias",	     "copy",
	"move",	      "no-drop",      "not-allowed", "grab",	      "grabbing",    "e-resize",
	"n-resize",   "ne-resize",    "nw-resize",   "s-resize",      "se-resize",   "sw-resize",
	"w-resize",   "ew-resize",    "ns-resize",   "nesw-resize",   "nwse-resize", "col-resize",
	"row-resize", "all-scroll",   "zoom-in",     "zoom-out",      "dnd-ask",     "all-resize",
};
#define N_NAMES (sizeof(names) / sizeof(names[0]))
#define LAST_SHAPE_V1 34u /* zoom_out */

/** Both ends of a connection within this process. */
struct gp_cursor_themes {
	struct wl_display *server;
	struct wl_client *server_client; /* of server */
	struct wl_display *client;
	struct wl_registry *registry;
	struct wl_shm *shm;					 /* may be NULL */
	struct wl_cursor_theme *of_scale[BR_LIMIT_CURSOR_SCALE]; /* [scale - 1]; may be NULL */
	bool failed;
};

uint32_t gp_cursor_last_shape(uint32_t version)
{
	return version >= 2 ? (uint32_t)N_NAMES : LAST_SHAPE_V1;
}

static void handle_global(void *data, struct wl_registry *registry, uint32_t name,
			  const char *interface, uint32_t version)
{
	struct gp_cursor_themes *themes = data;
	(void)version;
	if (strcmp(interface, wl_shm_interface.name) == 0 && themes->shm == NULL) {
		themes->shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
	}
}

static void handle_global_remove(void *data, struct wl_registry *registry, uint32_t name)
{
	(void)data;
	(void)registry;
	(void)name;
}

static const struct wl_registry_listener registry_listener = {
	.global = handle_global,
	.global_remove = handle_global_remove,
};

/* Bring what either end has said to the other. Neither waits for anything. */
static void pump(struct gp_cursor_themes *themes)
{
	struct pollfd pollfd = {.fd = wl_display_get_fd(themes->client), .events = POLLIN};
	(void)wl_display_flush(themes->client);
	(void)wl_event_loop_dispatch(wl_display_get_event_loop(themes->server), 0);
	wl_display_flush_clients(themes->server);
	if (wl_display_prepare_read(themes->client) == 0) {
		if (poll(&pollfd, 1, 0) == 1) {
			(void)wl_display_read_events(themes->client);
		} else {
			wl_display_cancel_read(themes->client);
		}
	}
	(void)wl_display_dispatch_pending(themes->client);
}

static int connect_ends(struct gp_cursor_themes *themes)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
		return -errno;
	}
	int server_fd BR_CLEANUP_FD = fds[0];
	int client_fd BR_CLEANUP_FD = fds[1];
	themes->server = wl_display_create();
	if (themes->server == NULL || wl_display_init_shm(themes->server) < 0) {
		return -ENOMEM;
	}
	themes->server_client = wl_client_create(themes->server, server_fd);
	if (themes->server_client == NULL) {
		return -ENOMEM;
	}
	(void)br_fd_take(&server_fd);
	/* It closes the fd on failure, too. */
	themes->client = wl_display_connect_to_fd(br_fd_take(&client_fd));
	if (themes->client == NULL) {
		return -ENOMEM;
	}
	themes->registry = wl_display_get_registry(themes->client);
	if (themes->registry == NULL) {
		return -ENOMEM;
	}
	wl_registry_add_listener(themes->registry, &registry_listener, themes);
	pump(themes);
	return themes->shm != NULL ? 0 : -ENOTCONN;
}

struct gp_cursor_themes *gp_cursor_themes_create(void)
{
	return calloc(1, sizeof(struct gp_cursor_themes));
}

static void disconnect_ends(struct gp_cursor_themes *themes)
{
	for (unsigned i = 0; i < BR_LIMIT_CURSOR_SCALE; i++) {
		if (themes->of_scale[i] != NULL) {
			wl_cursor_theme_destroy(themes->of_scale[i]);
		}
	}
	if (themes->shm != NULL) {
		wl_shm_destroy(themes->shm);
	}
	if (themes->registry != NULL) {
		wl_registry_destroy(themes->registry);
	}
	if (themes->client != NULL) {
		wl_display_disconnect(themes->client);
	}
	if (themes->server != NULL) {
		wl_display_destroy_clients(themes->server);
		wl_display_destroy(themes->server);
	}
	*themes = (struct gp_cursor_themes){.failed = themes->failed};
}

void gp_cursor_themes_destroy(struct gp_cursor_themes *themes)
{
	if (themes != NULL) {
		disconnect_ends(themes);
		free(themes);
	}
}

/* Most programs' hosts know cursors by name: nothing is there before it is needed. */
static bool connected(struct gp_cursor_themes *themes)
{
	if (themes->shm == NULL && !themes->failed) {
		int ret = connect_ends(themes);
		if (ret < 0) {
			br_log(BR_LOG_WARN, "guest: cursor themes can't be read: %s",
			       strerror(-ret));
			themes->failed = true;
			disconnect_ends(themes);
		}
	}
	return themes->shm != NULL;
}

/* What programs that load cursors themselves go by, too. */
static int wanted_size(void)
{
	const char *text = getenv("XCURSOR_SIZE");
	long size = text != NULL ? strtol(text, NULL, 10) : 0;
	return size > 0 && size <= BR_LIMIT_CURSOR_SIZE ? (int)size : DEFAULT_SIZE;
}

static struct wl_cursor *find(struct gp_cursor_themes *themes, uint32_t shape, int32_t scale)
{
	struct wl_cursor_theme **theme = &themes->of_scale[scale - 1];
	if (!connected(themes)) {
		return NULL;
	}
	if (*theme == NULL) {
		*theme = wl_cursor_theme_load(getenv("XCURSOR_THEME"), wanted_size() * scale,
					      themes->shm);
	}
	if (*theme == NULL) {
		return NULL;
	}
	struct wl_cursor *cursor = wl_cursor_theme_get_cursor(*theme, names[shape - 1]);
	/* Its name in themes that are older than CSS's names; libwayland-cursor always has one. */
	return cursor != NULL ? cursor : wl_cursor_theme_get_cursor(*theme, "left_ptr");
}

uint32_t gp_cursor_count(struct gp_cursor_themes *themes, uint32_t shape, int32_t scale)
{
	const struct wl_cursor *cursor = find(themes, shape, scale);
	if (cursor == NULL) {
		return 0;
	}
	return cursor->image_count < BR_LIMIT_CURSOR_IMAGES ? cursor->image_count
							    : BR_LIMIT_CURSOR_IMAGES;
}

int gp_cursor_image(struct gp_cursor_themes *themes, uint32_t shape, int32_t scale, uint32_t i,
		    struct gp_cursor_image *ret_image)
{
	const struct wl_cursor *cursor = find(themes, shape, scale);
	if (cursor == NULL || i >= cursor->image_count) {
		return -ENOENT;
	}
	struct wl_cursor_image *image = cursor->images[i];
	struct wl_buffer *buffer = wl_cursor_image_get_buffer(image);
	if (buffer == NULL) {
		return -ENOMEM;
	}
	pump(themes);
	struct wl_resource *resource = wl_client_get_object(
		themes->server_client, wl_proxy_get_id((struct wl_proxy *)buffer));
	struct wl_shm_buffer *shm = resource != NULL ? wl_shm_buffer_get(resource) : NULL;
	if (shm == NULL) {
		return -ENOENT;
	}
	*ret_image = (struct gp_cursor_image){
		.width = image->width,
		.height = image->height,
		.hotspot_x = image->hotspot_x,
		.hotspot_y = image->hotspot_y,
		.delay_ms = cursor->image_count > 1 ? image->delay : 0,
		.stride = (uint32_t)wl_shm_buffer_get_stride(shm),
		.pixels = wl_shm_buffer_get_data(shm),
	};
	return 0;
}
