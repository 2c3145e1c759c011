/* SPDX-License-Identifier: MIT
 *
 * What the guest's programs can draw with: kinds of GPU work that the host takes, and the drivers of Mesa's
 * that go with them.
 */
#ifndef GP_GPU_H
#define GP_GPU_H

#include <stdbool.h>
#include <stdio.h>

struct gp_options;

/** The value that MESA_LOADER_DRIVER_OVERRIDE needs so that OpenGL programs find the GPU: "zink" where the
 * host offers Vulkan and nothing that Mesa would take for OpenGL by itself; NULL: none. Source:
 * Mesa's loader, which takes VirGL, or a native driver, of a virtio-gpu. */
const char *gp_gpu_gl_override(const struct gp_options *options);

/** Print the environment that a session needs, NAME=VALUE a line, for a generator of environment.d(5). */
void gp_gpu_print_environment(const struct gp_options *options, FILE *file);

/** Print lines on what programs draw with, for --check: nothing of it is needed for windows. */
void gp_gpu_check(const struct gp_options *options);

#endif
