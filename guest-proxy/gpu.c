/* SPDX-License-Identifier: MIT */
#include "gpu.h"

#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "options.h"
#include "transport.h"

/* Source: <linux/virtio_gpu.h>, VIRTIO_GPU_CAPSET_*. */
#define VIRGL (1u << 1 | 1u << 2)
#define VENUS (1u << 4)
#define NATIVE (1u << 6)

#define OVERRIDE "MESA_LOADER_DRIVER_OVERRIDE"

/* In a container the GPU is not the transport's matter. */
static uint32_t kinds_of(const struct gp_options *options)
{
	return options->transport == GP_TRANSPORT_VIRTGPU
		       ? gp_transport_virtgpu_capsets(options->host_path)
		       : 0;
}

static const char *override_for(uint32_t kinds)
{
	return (kinds & VENUS) && !(kinds & (VIRGL | NATIVE)) ? "zink" : NULL;
}

const char *gp_gpu_gl_override(const struct gp_options *options)
{
	return override_for(kinds_of(options));
}

void gp_gpu_print_environment(const struct gp_options *options, FILE *file)
{
	const char *driver = gp_gpu_gl_override(options);
	if (driver != NULL) {
		fprintf(file, OVERRIDE "=%s\n", driver);
	}
}

static void check_vulkan(uint32_t kinds)
{
	static const char *const drivers[] = {"/usr/share/vulkan/icd.d/virtio*.json",
					      "/usr/local/share/vulkan/icd.d/virtio*.json",
					      "/etc/vulkan/icd.d/virtio*.json", NULL};
	if (!(kinds & VENUS)) {
		printf("without  Vulkan: the host does not offer Venus: causeway-host --check "
		       "there says "
		       "why\n");
	} else if (!gp_check_has_file(drivers)) {
		printf("without  Vulkan: Mesa's Venus driver is not installed here: the package "
		       "mesa-vulkan-drivers\n");
	} else {
		printf("ok       Vulkan: Venus\n");
	}
}

static void check_gl(uint32_t kinds)
{
	const char *driver = override_for(kinds);
	const char *set = getenv(OVERRIDE);
	if (set != NULL) {
		printf("ok       OpenGL: %s, by " OVERRIDE "\n", set);
	} else if (kinds & NATIVE) {
		printf("ok       OpenGL: the GPU's own driver, if Mesa here has it with native "
		       "contexts%s\n",
		       kinds & VIRGL ? "; else VirGL" : "");
	} else if (kinds & VIRGL) {
		printf("ok       OpenGL: VirGL%s\n",
		       kinds & VENUS ? "; with " OVERRIDE "=zink, Zink on Venus" : "");
	} else if (driver != NULL) {
		printf("ok       OpenGL: Zink on Venus, with " OVERRIDE
		       "=zink, which causeway-guest -- APP and a "
		       "session of systemd's set\n");
	} else {
		printf("without  OpenGL: the host offers no GPU: programs draw with the CPU\n");
	}
}

void gp_gpu_check(const struct gp_options *options)
{
	uint32_t kinds = kinds_of(options);
	if (options->transport == GP_TRANSPORT_VIRTGPU) {
		check_vulkan(kinds);
		check_gl(kinds);
	}
}
