/* SPDX-License-Identifier: MIT
 *
 * Memory for dmabuf-paint, as an fd of each kind that there is to test with, and mapped.
 */
#ifndef DMABUF_MEMORY_H
#define DMABUF_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/** One piece. It lives as long as the program. */
struct memory {
	int fd;		  /* to be sent */
	size_t size;	  /* bytes */
	uint32_t *pixels; /* size bytes */
};

/** Make zeroed memory of a kind: "memfd"; "udmabuf", of the kernel's device; "virtgpu", of the host through
 * the cross-domain channel of the first render node that has it; "pages", of the guest there, which the
 * host can't show. Ends the program if that does not work. */
struct memory memory_make(const char *kind, size_t size);

/** Number of the render node that "virtgpu" uses. */
uint64_t memory_render_node(void);

#endif
