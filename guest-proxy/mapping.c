/* SPDX-License-Identifier: MIT */
#include "mapping.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fd.h"

static struct wl_list mappings = {&mappings, &mappings}; /* struct gp_mapping.link */

/* Runs only inside an access to a mapping, never while the list changes. */
static void handle_sigbus(int signal_number, siginfo_t *info, void *context)
{
	struct gp_mapping *mapping;
	(void)context;
	wl_list_for_each (mapping, &mappings, link) {
		uintptr_t start = (uintptr_t)mapping->bytes;
		uintptr_t at = (uintptr_t)info->si_addr;
		if (at < start || at - start >= mapping->size) {
			continue;
		}
		if (mmap((void *)start, mapping->size, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
			break;
		}
		mapping->broken = 1;
		return;
	}
	/* Not ours: the access is repeated and ends the program as it would have. */
	(void)signal(signal_number, SIG_DFL);
}

static int install_handler(void)
{
	static bool installed;
	if (installed) {
		return 0;
	}
	struct sigaction action = {.sa_sigaction = handle_sigbus, .sa_flags = SA_SIGINFO};
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, NULL) < 0) {
		return -errno;
	}
	installed = true;
	return 0;
}

int gp_mapping_create(int fd, size_t size, struct gp_mapping **ret_mapping)
{
	struct stat st;
	int ret = install_handler();
	if (ret < 0) {
		return ret;
	}
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (size == 0 || st.st_size < 0 || (uint64_t)st.st_size < size) {
		return -EINVAL;
	}
	struct gp_mapping *mapping = calloc(1, sizeof(*mapping));
	if (mapping == NULL) {
		return -ENOMEM;
	}
	void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED) {
		ret = -errno;
		free(mapping);
		return ret;
	}
	mapping->refs = 1;
	mapping->dmabuf_fd = -1;
	mapping->size = size;
	mapping->bytes = bytes;
	wl_list_insert(&mappings, &mapping->link);
	*ret_mapping = mapping;
	return 0;
}

int gp_mapping_create_dmabuf_take(int *fd, size_t size, struct gp_mapping **ret_mapping)
{
	int ret = gp_mapping_create(*fd, size, ret_mapping);
	if (ret == 0) {
		(*ret_mapping)->dmabuf_fd = br_fd_take(fd);
	}
	br_fd_clear(fd);
	return ret;
}

struct gp_mapping *gp_mapping_ref(struct gp_mapping *mapping)
{
	mapping->refs++;
	return mapping;
}

struct gp_mapping *gp_mapping_unref(struct gp_mapping *mapping)
{
	if (mapping != NULL && --mapping->refs == 0) {
		wl_list_remove(&mapping->link);
		(void)munmap((void *)(uintptr_t)mapping->bytes, mapping->size);
		br_fd_clear(&mapping->dmabuf_fd);
		free(mapping);
	}
	return NULL;
}
