/* SPDX-License-Identifier: MIT */
#include "gl.h"

#include <drm_fourcc.h>
#include <epoxy/egl.h>
#include <epoxy/gl.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <virglrenderer.h>

#include "send.h"

#define MAX_DEVICES 16

/* Source: EGL_EXT_device_drm_render_node */
#ifndef EGL_DRM_RENDER_NODE_FILE_EXT
#define EGL_DRM_RENDER_NODE_FILE_EXT 0x3377
#endif

/** OpenGL ES, as it was made ready. */
struct wk_gl {
	EGLDisplay display; /* EGL_NO_DISPLAY: it does not work here */
	bool owns_display;
	EGLContext context;
	GLuint program, framebuffer, pixels; /* pixels: the renderbuffer that is drawn to */
	GLint rect_location, swap_location;
	uint32_t width, height; /* of it; pixels */
};

/* What was current before: a guest's, or libvirglrenderer's own. */
struct saved {
	EGLenum api;
	EGLContext context;
};

static const char vertex_shader[] = "attribute vec2 corner;\n"
				    "uniform vec4 rect;\n" /* x, y, w, h; the image is 1 by 1 */
				    "varying highp vec2 place;\n"
				    "void main() {\n"
				    "	place = rect.xy + corner * rect.zw;\n"
				    "	gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);\n"
				    "}\n";

static const char fragment_shader[] =
	"#extension GL_OES_EGL_image_external : require\n"
	"precision highp float;\n"
	"uniform samplerExternalOES image;\n"
	"uniform bool swap;\n" /* what is read as R comes first in memory */
	"varying highp vec2 place;\n"
	"void main() {\n"
	"	vec4 color = texture2D(image, place);\n"
	"	gl_FragColor = swap ? color.bgra : color;\n"
	"}\n";

/* --- EGL --- */

/* The display on the GPU that the device named. */
static EGLDisplay display_of_node(int node_fd)
{
	EGLDeviceEXT devices[MAX_DEVICES];
	EGLint n = 0;
	struct stat wanted, node;
	if (node_fd < 0 || fstat(node_fd, &wanted) < 0 ||
	    !epoxy_has_egl_extension(EGL_NO_DISPLAY, "EGL_EXT_platform_device") ||
	    !eglQueryDevicesEXT(MAX_DEVICES, devices, &n)) {
		return EGL_NO_DISPLAY;
	}
	for (EGLint i = 0; i < n; i++) {
		const char *path =
			eglQueryDeviceStringEXT(devices[i], EGL_DRM_RENDER_NODE_FILE_EXT);
		if (path != NULL && stat(path, &node) == 0 && node.st_rdev == wanted.st_rdev) {
			return eglGetPlatformDisplayEXT(EGL_PLATFORM_DEVICE_EXT, devices[i], NULL);
		}
	}
	return EGL_NO_DISPLAY;
}

static bool open_display(struct wk_worker *worker, struct wk_gl *gl)
{
	/* VirGL's, if it runs; EGL has one display of a kind, and a second user must not end it. */
	gl->display = eglGetCurrentDisplay();
	if (gl->display == EGL_NO_DISPLAY) {
		gl->display = display_of_node(worker->render_node_fd);
		if (gl->display == EGL_NO_DISPLAY) {
			gl->display = eglGetPlatformDisplayEXT(EGL_PLATFORM_SURFACELESS_MESA,
							       EGL_DEFAULT_DISPLAY, NULL);
		}
		gl->owns_display =
			gl->display != EGL_NO_DISPLAY && eglInitialize(gl->display, NULL, NULL);
		if (!gl->owns_display) {
			return false;
		}
	}
	return epoxy_has_egl_extension(gl->display, "EGL_EXT_image_dma_buf_import") &&
	       epoxy_has_egl_extension(gl->display, "EGL_KHR_no_config_context") &&
	       epoxy_has_egl_extension(gl->display, "EGL_KHR_surfaceless_context");
}

static bool enter(struct wk_gl *gl, struct saved *saved)
{
	saved->api = eglQueryAPI();
	saved->context = eglGetCurrentContext();
	(void)eglBindAPI(EGL_OPENGL_ES_API);
	return eglMakeCurrent(gl->display, EGL_NO_SURFACE, EGL_NO_SURFACE, gl->context);
}

static void leave(struct wk_worker *worker, struct wk_gl *gl, const struct saved *saved)
{
	(void)eglMakeCurrent(gl->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
	(void)eglBindAPI(saved->api);
	if (worker->flags & WK_VIRGL) {
		/* It remembers which one is current. */
		virgl_renderer_force_ctx_0();
	}
}

/* --- OpenGL ES --- */

static bool add_shader(GLuint program, GLenum kind, const char *source)
{
	GLuint shader = glCreateShader(kind);
	GLint good = GL_FALSE;
	glShaderSource(shader, 1, &source, NULL);
	glCompileShader(shader);
	glGetShaderiv(shader, GL_COMPILE_STATUS, &good);
	glAttachShader(program, shader);
	glDeleteShader(shader); /* with the program */
	return good;
}

static bool make_objects(struct wk_gl *gl)
{
	GLint good = GL_FALSE;
	gl->program = glCreateProgram();
	if (!add_shader(gl->program, GL_VERTEX_SHADER, vertex_shader) ||
	    !add_shader(gl->program, GL_FRAGMENT_SHADER, fragment_shader)) {
		return false;
	}
	glBindAttribLocation(gl->program, 0, "corner");
	glLinkProgram(gl->program);
	glGetProgramiv(gl->program, GL_LINK_STATUS, &good);
	gl->rect_location = glGetUniformLocation(gl->program, "rect");
	gl->swap_location = glGetUniformLocation(gl->program, "swap");
	glGenFramebuffers(1, &gl->framebuffer);
	glGenRenderbuffers(1, &gl->pixels);
	glBindFramebuffer(GL_FRAMEBUFFER, gl->framebuffer);
	glBindRenderbuffer(GL_RENDERBUFFER, gl->pixels);
	glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER,
				  gl->pixels);
	return good;
}

static bool make_context(struct wk_worker *worker, struct wk_gl *gl)
{
	static const EGLint version[] = {EGL_CONTEXT_CLIENT_VERSION, 3, EGL_NONE};
	struct saved saved;
	EGLenum api = eglQueryAPI();
	(void)eglBindAPI(EGL_OPENGL_ES_API);
	gl->context = eglCreateContext(gl->display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, version);
	(void)eglBindAPI(api);
	if (gl->context == EGL_NO_CONTEXT) {
		return false;
	}
	bool good = enter(gl, &saved) && epoxy_has_gl_extension("GL_OES_EGL_image_external") &&
		    make_objects(gl);
	leave(worker, gl, &saved);
	return good;
}

/* Returns NULL if OpenGL ES can't be had; that is told once. */
static struct wk_gl *get_gl(struct wk_worker *worker)
{
	if (worker->gl == NULL) {
		struct wk_gl *gl = calloc(1, sizeof(*gl));
		if (gl == NULL) {
			return NULL;
		}
		worker->gl = gl;
		if (!open_display(worker, gl) || !make_context(worker, gl)) {
			wk_log(worker, BR_LOG_WARN, 0,
			       "images that are not linear can't be read: EGL does not import "
			       "dma-bufs here; install the OpenGL driver of this GPU");
			wk_gl_finish(worker);
			worker->gl = calloc(1, sizeof(*worker->gl));
		}
	}
	return worker->gl != NULL && worker->gl->display != EGL_NO_DISPLAY ? worker->gl : NULL;
}

/* --- images --- */

/* Drivers believe the numbers; what is beyond the memory would be a SIGBUS of those that use the CPU. Of other
 * layouts than linear only they know how much they take. */
static bool is_inside(int fd, const struct wk_read_back *request)
{
	off_t end = lseek(fd, 0, SEEK_END);
	bool linear = request->modifier == DRM_FORMAT_MOD_LINEAR ||
		      request->modifier == DRM_FORMAT_MOD_INVALID;
	if (end < 0) {
		return true;
	}
	for (uint32_t i = 0; i < request->n_planes; i++) {
		/* Planes of colours have at least half as many rows. */
		uint64_t rows = !linear ? 1 : i == 0 ? request->height : (request->height + 1) / 2;
		uint64_t start = request->plane_offsets[i];
		if (start >= (uint64_t)end ||
		    rows * request->plane_strides[i] > (uint64_t)end - start) {
			return false;
		}
	}
	return true;
}

static EGLImageKHR import_image(const struct wk_gl *gl, int fd, const struct wk_read_back *request)
{
	static const EGLint names[WK_MAX_PLANES][5] = {
		{EGL_DMA_BUF_PLANE0_FD_EXT, EGL_DMA_BUF_PLANE0_OFFSET_EXT,
		 EGL_DMA_BUF_PLANE0_PITCH_EXT, EGL_DMA_BUF_PLANE0_MODIFIER_LO_EXT,
		 EGL_DMA_BUF_PLANE0_MODIFIER_HI_EXT},
		{EGL_DMA_BUF_PLANE1_FD_EXT, EGL_DMA_BUF_PLANE1_OFFSET_EXT,
		 EGL_DMA_BUF_PLANE1_PITCH_EXT, EGL_DMA_BUF_PLANE1_MODIFIER_LO_EXT,
		 EGL_DMA_BUF_PLANE1_MODIFIER_HI_EXT},
		{EGL_DMA_BUF_PLANE2_FD_EXT, EGL_DMA_BUF_PLANE2_OFFSET_EXT,
		 EGL_DMA_BUF_PLANE2_PITCH_EXT, EGL_DMA_BUF_PLANE2_MODIFIER_LO_EXT,
		 EGL_DMA_BUF_PLANE2_MODIFIER_HI_EXT},
		{EGL_DMA_BUF_PLANE3_FD_EXT, EGL_DMA_BUF_PLANE3_OFFSET_EXT,
		 EGL_DMA_BUF_PLANE3_PITCH_EXT, EGL_DMA_BUF_PLANE3_MODIFIER_LO_EXT,
		 EGL_DMA_BUF_PLANE3_MODIFIER_HI_EXT},
	};
	EGLint attributes[6 + WK_MAX_PLANES * 10 + 1] = {
		EGL_WIDTH,
		(EGLint)request->width,
		EGL_HEIGHT,
		(EGLint)request->height,
		EGL_LINUX_DRM_FOURCC_EXT,
		(EGLint)request->fourcc,
	};
	bool modifiers = request->modifier != DRM_FORMAT_MOD_INVALID;
	size_t n = 6;
	if (modifiers &&
	    !epoxy_has_egl_extension(gl->display, "EGL_EXT_image_dma_buf_import_modifiers")) {
		return EGL_NO_IMAGE_KHR;
	}
	for (uint32_t i = 0; i < request->n_planes; i++) {
		const EGLint values[5] = {
			fd,
			(EGLint)request->plane_offsets[i],
			(EGLint)request->plane_strides[i],
			(EGLint)(request->modifier & UINT32_MAX),
			(EGLint)(request->modifier >> 32),
		};
		for (int j = 0; j < (modifiers ? 5 : 3); j++) {
			attributes[n++] = names[i][j];
			attributes[n++] = values[j];
		}
	}
	attributes[n] = EGL_NONE;
	return eglCreateImageKHR(gl->display, EGL_NO_CONTEXT, EGL_LINUX_DMA_BUF_EXT, NULL,
				 attributes);
}

/* The image that is drawn to, in the words of one that is read. */
static EGLImageKHR import_target(const struct wk_gl *gl, int fd, const struct wk_read_back *request)
{
	const struct wk_read_back target = {
		.n_planes = 1,
		.width = request->width,
		.height = request->height,
		.fourcc = request->target_fourcc,
		.modifier = request->target_modifier,
		.plane_strides = {request->stride},
		.plane_offsets = {(uint32_t)request->offset},
	};
	return request->offset <= UINT32_MAX && is_inside(fd, &target)
		       ? import_image(gl, fd, &target)
		       : EGL_NO_IMAGE_KHR;
}

static void resize(struct wk_gl *gl, const struct wk_read_back *request)
{
	if (gl->width >= request->w && gl->height >= request->h) {
		return;
	}
	gl->width = gl->width > request->w ? gl->width : request->w;
	gl->height = gl->height > request->h ? gl->height : request->h;
	glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, (GLsizei)gl->width, (GLsizei)gl->height);
}

/* Draw a part of the image to this place of the framebuffer. */
static void draw(const struct wk_gl *gl, EGLImageKHR image, const struct wk_read_back *request,
		 GLint x, GLint y)
{
	static const GLfloat corners[] = {0, 0, 1, 0, 0, 1, 1, 1};
	GLfloat width = (GLfloat)request->width, height = (GLfloat)request->height;
	GLuint texture;
	glGenTextures(1, &texture);
	glBindTexture(GL_TEXTURE_EXTERNAL_OES, texture);
	glTexParameteri(GL_TEXTURE_EXTERNAL_OES, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(GL_TEXTURE_EXTERNAL_OES, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	glEGLImageTargetTexture2DOES(GL_TEXTURE_EXTERNAL_OES, image);
	glUseProgram(gl->program);
	glUniform4f(gl->rect_location, (GLfloat)request->x / width, (GLfloat)request->y / height,
		    (GLfloat)request->w / width, (GLfloat)request->h / height);
	glUniform1i(gl->swap_location, request->target_fourcc == 0);
	glViewport(x, y, (GLsizei)request->w, (GLsizei)request->h);
	glVertexAttribPointer(0, 2, GL_FLOAT, GL_FALSE, 0, corners);
	glEnableVertexAttribArray(0);
	glDrawArrays(GL_TRIANGLE_STRIP, 0, 4);
	glDeleteTextures(1, &texture);
}

static int take_error(void)
{
	int ret = 0;
	while (glGetError() != GL_NO_ERROR) {
		ret = -EIO;
	}
	return ret;
}

static int draw_and_read(struct wk_gl *gl, EGLImageKHR image, const struct wk_read_back *request,
			 void *pixels)
{
	resize(gl, request);
	draw(gl, image, request, 0, 0);
	glPixelStorei(GL_PACK_ROW_LENGTH, (GLint)(request->stride / 4));
	glReadPixels(0, 0, (GLsizei)request->w, (GLsizei)request->h, GL_RGBA, GL_UNSIGNED_BYTE,
		     pixels);
	int ret = take_error();
	if (ret < 0) {
		gl->width = gl->height = 0; /* it may be that it could not be made so large */
	}
	return ret;
}

/* Row 0 of an image is at the bottom of a framebuffer, and of the part that is drawn. */
static int draw_to_image(struct wk_gl *gl, EGLImageKHR image, EGLImageKHR target,
			 const struct wk_read_back *request)
{
	GLuint framebuffer, texture;
	glGenFramebuffers(1, &framebuffer);
	glGenTextures(1, &texture);
	glBindTexture(GL_TEXTURE_2D, texture);
	glEGLImageTargetTexture2DOES(GL_TEXTURE_2D, target);
	glBindFramebuffer(GL_FRAMEBUFFER, framebuffer);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture, 0);
	bool complete = glCheckFramebufferStatus(GL_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE;
	if (complete) {
		draw(gl, image, request, (GLint)request->x, (GLint)request->y);
		/* The compositor may look as soon as it is told, and not every driver has fences in a
		 * dma-buf. */
		glFinish();
	}
	glBindFramebuffer(GL_FRAMEBUFFER, gl->framebuffer);
	glDeleteFramebuffers(1, &framebuffer);
	glDeleteTextures(1, &texture);
	int ret = take_error();
	return complete ? ret : -ENOTSUP;
}

int wk_gl_read(struct wk_worker *worker, int dmabuf_fd, const struct wk_read_back *request,
	       void *pixels)
{
	struct saved saved;
	struct wk_gl *gl = get_gl(worker);
	int ret = -ENOTSUP;
	if (gl == NULL) {
		return -ENOTSUP;
	}
	if (request->stride % 4 != 0 || !is_inside(dmabuf_fd, request)) {
		return -EINVAL;
	}
	if (enter(gl, &saved)) {
		EGLImageKHR image = import_image(gl, dmabuf_fd, request);
		if (image != EGL_NO_IMAGE_KHR) {
			ret = draw_and_read(gl, image, request, pixels);
			(void)eglDestroyImageKHR(gl->display, image);
		}
	}
	leave(worker, gl, &saved);
	return ret;
}

int wk_gl_draw(struct wk_worker *worker, int dmabuf_fd, const struct wk_read_back *request,
	       int target_fd)
{
	struct saved saved;
	struct wk_gl *gl = get_gl(worker);
	int ret = -ENOTSUP;
	if (gl == NULL) {
		return -ENOTSUP;
	}
	if (!is_inside(dmabuf_fd, request)) {
		return -EINVAL;
	}
	if (enter(gl, &saved)) {
		EGLImageKHR image = import_image(gl, dmabuf_fd, request);
		EGLImageKHR target = import_target(gl, target_fd, request);
		if (image != EGL_NO_IMAGE_KHR && target != EGL_NO_IMAGE_KHR) {
			ret = draw_to_image(gl, image, target, request);
		}
		if (image != EGL_NO_IMAGE_KHR) {
			(void)eglDestroyImageKHR(gl->display, image);
		}
		if (target != EGL_NO_IMAGE_KHR) {
			(void)eglDestroyImageKHR(gl->display, target);
		}
	}
	leave(worker, gl, &saved);
	return ret;
}

void wk_gl_finish(struct wk_worker *worker)
{
	struct wk_gl *gl = worker->gl;
	if (gl == NULL) {
		return;
	}
	if (gl->context != NULL) {
		(void)eglDestroyContext(gl->display, gl->context); /* and what is in it */
	}
	if (gl->owns_display) {
		(void)eglTerminate(gl->display);
	}
	free(gl);
	worker->gl = NULL;
}
