/* SPDX-License-Identifier: MIT
 *
 * Copies images that a CPU can't read: tiled, compressed, of other pixels than 4 bytes. OpenGL ES imports
 * their dma-buf and draws it, to memory or to another dma-buf. It has a context of its own, beside those of
 * VirGL.
 */
#ifndef HR_WORKER_GL_H
#define HR_WORKER_GL_H

#include "worker.h"

struct wk_gl;

/** Draw a part of an image, and write its pixels as B8G8R8A8, row 0 first. dmabuf_fd: of all its planes,
 * borrowed. pixels: of the part's first one; its rows are request->stride apart. Returns 0; -ENOTSUP there is
 * no EGL that imports dma-bufs, or not this one; -EINVAL a stride that is no multiple of 4, or a plane that is not
 * in the memory; -EIO OpenGL failed. Source: EGL_EXT_image_dma_buf_import_modifiers, GL_OES_EGL_image_external. */
int wk_gl_read(struct wk_worker *worker, int dmabuf_fd, const struct wk_read_back *request,
	       void *pixels);

/** Draw a part of an image to the same place of another one, request->target_*, in the dma-buf target_fd.
 * Both fds are borrowed. Returns when it is drawn: 0; -ENOTSUP there is no EGL that imports dma-bufs, or not
 * these, or it can't draw to this one; -EINVAL a plane is not in the memory; -EIO OpenGL failed. */
int wk_gl_draw(struct wk_worker *worker, int dmabuf_fd, const struct wk_read_back *request,
	       int target_fd);

/** End it. */
void wk_gl_finish(struct wk_worker *worker);

#endif
