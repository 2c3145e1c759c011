/* SPDX-License-Identifier: MIT
 *
 * Vulkan for the programs of a container: virglrenderer's virgl_test_server, which serves Mesa's Venus driver
 * over a socket of its own ("vtest") beside ours, in a process for each program. What they draw comes to
 * us as dma-bufs of theirs. It is started, watched, started anew and ended here; nothing else of the
 * device knows of it.
 */
#ifndef HR_SOCKET_VTEST_H
#define HR_SOCKET_VTEST_H

#include <stdbool.h>

struct hr_gpu_options;
struct hr_vtest;
struct wl_event_loop;

#define HR_VTEST_PROGRAM "virgl_test_server"
#define HR_VTEST_HINT "install the package virgl-server, with virglrenderer's Venus"

/** Tell whether it is wanted: only if Venus was named. */
bool hr_vtest_is_wanted(const struct hr_gpu_options *options);

/** Tell whether the server's program is there, in PATH. */
bool hr_vtest_is_there(void);

/** Start the server at socket_path with ".vtest" after it: only this user can connect there, and the container
 * that is given the file. *ret_vtest is the caller's. Errors are logged: -ENOENT the program is missing;
 * -ENAMETOOLONG; -errno. */
int hr_vtest_start(struct wl_event_loop *loop, const char *socket_path,
		   struct hr_vtest **ret_vtest);

/** End the server, its programs' processes with it, remove its socket and free. NULL is fine. */
void hr_vtest_finish(struct hr_vtest *vtest);

#endif
