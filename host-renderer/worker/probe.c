/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vulkan/vulkan.h>

#include "fd.h"

#define PROBE_MS 20000
#define MAX_DEVICES 16

static bool has_extension(VkPhysicalDevice device, const char *name)
{
	uint32_t n = 0;
	bool found = false;
	(void)vkEnumerateDeviceExtensionProperties(device, NULL, &n, NULL);
	VkExtensionProperties *extensions = calloc(n + 1, sizeof(*extensions));
	if (extensions == NULL ||
	    vkEnumerateDeviceExtensionProperties(device, NULL, &n, extensions) < 0) {
		n = 0;
	}
	for (uint32_t i = 0; i < n && !found; i++) {
		found = strcmp(extensions[i].extensionName, name) == 0;
	}
	free(extensions);
	return found;
}

static void add_device(struct wk_probe_result *result, VkPhysicalDevice device)
{
	VkPhysicalDeviceProperties properties;
	size_t used = strlen(result->text);
	vkGetPhysicalDeviceProperties(device, &properties);
	(void)snprintf(result->text + used, sizeof(result->text) - used, "%s%.100s",
		       result->n_devices > 0 ? ", " : "", properties.deviceName);
	result->n_devices++;
	result->can_share += has_extension(device, "VK_EXT_external_memory_dma_buf") &&
			     has_extension(device, "VK_EXT_image_drm_format_modifier");
}

static void look(struct wk_probe_result *result)
{
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = VK_API_VERSION_1_1,
	};
	const VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
	};
	VkPhysicalDevice devices[MAX_DEVICES];
	uint32_t n = MAX_DEVICES;
	VkInstance instance;
	if (vkCreateInstance(&info, NULL, &instance) != VK_SUCCESS) {
		return;
	}
	if (vkEnumeratePhysicalDevices(instance, &n, devices) < 0) {
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		add_device(result, devices[i]);
	}
}

int wk_probe_start(struct wk_probe *probe)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	probe->pid = fork();
	if (probe->pid == 0) {
		struct wk_probe_result result = {0};
		(void)signal(SIGALRM, SIG_DFL);
		(void)alarm(PROBE_MS / 1000);
		look(&result);
		/* Not exit(): what drivers do then is of no use here. */
		_exit(write(ends[1], &result, sizeof(result)) == sizeof(result) ? 0 : 1);
	}
	int ret = probe->pid < 0 ? -errno : 0;
	br_fd_clear(&ends[1]);
	probe->result_fd = ends[0];
	if (ret < 0) {
		br_fd_clear(&probe->result_fd);
	}
	return ret;
}

int wk_probe_finish(struct wk_probe *probe, struct wk_probe_result *ret_result)
{
	struct wk_probe_result result;
	struct pollfd pipe_end = {.fd = probe->result_fd, .events = POLLIN};
	int ret = -ETIMEDOUT;
	int ready;
	while ((ready = poll(&pipe_end, 1, PROBE_MS)) < 0 && errno == EINTR) {
	}
	if (ready > 0) {
		ret = read(probe->result_fd, &result, sizeof(result)) == sizeof(result) ? 0
											: -ECHILD;
	}
	(void)kill(probe->pid, SIGKILL);
	while (waitpid(probe->pid, NULL, 0) < 0 && errno == EINTR) {
	}
	br_fd_clear(&probe->result_fd);
	if (ret == 0) {
		result.text[sizeof(result.text) - 1] = '\0';
		*ret_result = result;
	}
	return ret;
}
