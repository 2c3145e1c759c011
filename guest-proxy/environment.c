/* SPDX-License-Identifier: MIT */
#include "environment.h"

#include <stdlib.h>
#include <string.h>

#include "gpu.h"
#include "server.h"

/* What lies in the runtime folder is named without it, as compositors do. */
static const char *display_name(const char *name)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	size_t len = dir != NULL ? strlen(dir) : 0;
	return len > 0 && strncmp(name, dir, len) == 0 && name[len] == '/' ? name + len + 1 : name;
}

uint32_t gp_environment_list(const struct gp_server *server, const char *x11_display,
			     struct gp_variable *ret_variables)
{
	if (server->name == NULL) {
		return 0;
	}
	/* systemd's socket is there for the next proxy. */
	const bool stays = server->socket_path == NULL;
	const char *gl_driver = gp_gpu_gl_override(server->options);
	uint32_t count = 0;
	ret_variables[count++] =
		(struct gp_variable){"WAYLAND_DISPLAY", display_name(server->name), .stays = stays};
	ret_variables[count++] =
		(struct gp_variable){"XDG_SESSION_TYPE", "wayland", .stays = stays};
	/* Its portals are in causeway-portals.conf. */
	ret_variables[count++] = (struct gp_variable){"XDG_CURRENT_DESKTOP", "causeway",
						      .weak = true, .stays = stays};
	if (x11_display != NULL) {
		ret_variables[count++] = (struct gp_variable){"DISPLAY", x11_display};
	}
	if (gl_driver != NULL) {
		ret_variables[count++] = (struct gp_variable){
			"MESA_LOADER_DRIVER_OVERRIDE", gl_driver, .weak = true, .stays = true};
	}
	return count;
}
