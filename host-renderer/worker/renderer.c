/* SPDX-License-Identifier: MIT */
#include "renderer.h"

#include <epoxy/egl.h>
#include <epoxy/gl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <virglrenderer.h>

#include "fd.h"
#include "probe.h"
#include "send.h"
#include "sockets.h"

/* Capset ids. Source: the virtio specification 1.4, 5.7.6.8 */
enum { CAPSET_VIRGL = 1, CAPSET_VIRGL2 = 2, CAPSET_VENUS = 4, CAPSET_DRM = 6 };

/* For a Venus context that only shows whether the render server works. No guest gets that far: the ids of
 * contexts are dense. */
#define TRIAL_CTX_ID 0x7ffffffe

/* What is found out while starting; texts as in wk_ready. */
struct start {
	uint32_t wanted;
	char text[WK_N_KINDS][WK_TEXT_BYTES];
	char error[WK_TEXT_BYTES]; /* the last that libvirglrenderer told of */
};

enum kind { VENUS, VIRGL, DRM };

int wk_renderer_error(int ret)
{
	if (ret == 0) {
		return 0;
	}
	return ret == -1 ? -EIO : ret < 0 ? ret : -ret;
}

static void handle_fence(void *data, uint32_t number)
{
	struct wk_worker *worker = data;
	const struct wk_retired retired = {.number = number};
	wk_callbacks_retire(&worker->callbacks, &retired);
}

static void handle_context_fence(void *data, uint32_t ctx_id, uint32_t ring_idx, uint64_t number)
{
	struct wk_worker *worker = data;
	const struct wk_retired retired = {
		.ctx_id = ctx_id,
		.ring_idx = ring_idx,
		.number = number,
	};
	wk_callbacks_retire(&worker->callbacks, &retired);
}

/* libvirglrenderer owns what it gets, and asks more than once. */
static int handle_get_drm_fd(void *data)
{
	struct wk_worker *worker = data;
	int fd = worker->render_node_fd >= 0 ? br_fd_dup(worker->render_node_fd) : -1;
	return fd < 0 ? -1 : fd;
}

static void handle_log(enum virgl_log_level_flags level, const char *text, void *data)
{
	static const uint32_t levels[] = {
		[VIRGL_LOG_LEVEL_DEBUG] = BR_LOG_DEBUG,	 [VIRGL_LOG_LEVEL_INFO] = BR_LOG_DEBUG,
		[VIRGL_LOG_LEVEL_WARNING] = BR_LOG_WARN, [VIRGL_LOG_LEVEL_ERROR] = BR_LOG_WARN,
		[VIRGL_LOG_LEVEL_SILENT] = BR_LOG_DEBUG,
	};
	struct wk_worker *worker = data;
	wk_callbacks_log(&worker->callbacks, levels[level], text);
}

static struct virgl_renderer_callbacks renderer_callbacks = {
	.version = 3,
	.write_fence = handle_fence,
	.get_drm_fd = handle_get_drm_fd,
	.write_context_fence = handle_context_fence,
};

__attribute__((format(printf, 3, 4))) static void tell(struct start *start, enum kind kind,
						       const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(start->text[kind], sizeof(start->text[kind]), fmt, args);
	va_end(args);
}

static int renderer_flags(uint32_t kinds, bool surfaceless)
{
	int flags = VIRGL_RENDERER_THREAD_SYNC | VIRGL_RENDERER_ASYNC_FENCE_CB |
		    VIRGL_RENDERER_USE_EXTERNAL_BLOB;
	if (kinds & WK_VENUS) {
		flags |= VIRGL_RENDERER_VENUS | VIRGL_RENDERER_RENDER_SERVER;
	}
	if (kinds & WK_DRM) {
		flags |= VIRGL_RENDERER_DRM;
	}
	if (!(kinds & WK_VIRGL)) {
		return flags | VIRGL_RENDERER_NO_VIRGL;
	}
	flags |= VIRGL_RENDERER_USE_EGL;
	return surfaceless ? flags | VIRGL_RENDERER_USE_SURFACELESS : flags;
}

/* Start with these kinds. What libvirglrenderer complains about is kept. Returns 0 or -errno. */
static int try_kinds(struct wk_worker *worker, struct start *start, uint32_t kinds)
{
	struct wl_array retired, lines;
	struct wk_line *line;
	unsigned lost;
	/* Surfaceless takes whichever GPU is the first. With a node, EGL is to run on that one; but not
	 * every driver has EGL on gbm. */
	int ret = -EIO;
	if (worker->render_node_fd >= 0 && (kinds & WK_VIRGL)) {
		ret = wk_renderer_error(virgl_renderer_init(worker, renderer_flags(kinds, false),
							    &renderer_callbacks));
	}
	if (ret != 0) {
		ret = wk_renderer_error(virgl_renderer_init(worker, renderer_flags(kinds, true),
							    &renderer_callbacks));
	}
	if (ret == 0) {
		return 0;
	}
	wk_callbacks_take(&worker->callbacks, &retired, &lines, &lost);
	wl_array_for_each (line, &lines) {
		if (line->level <= BR_LOG_WARN) {
			(void)snprintf(start->error, sizeof(start->error), "%s", line->text);
		}
	}
	wl_array_release(&retired);
	wl_array_release(&lines);
	return ret;
}

static const char *error_text(const struct start *start)
{
	return start->error[0] != '\0' ? start->error : "libvirglrenderer does not say why";
}

/* Whether a Venus context can be made at all. */
static bool try_venus(void)
{
	static const char name[] = "trial";
	int ret = virgl_renderer_context_create_with_flags(TRIAL_CTX_ID, CAPSET_VENUS,
							   sizeof(name) - 1, name);
	if (ret == 0) {
		virgl_renderer_context_destroy(TRIAL_CTX_ID);
	}
	return ret == 0;
}

/* Whether a kind works without the others. libvirglrenderer is as it was, then. */
static bool try_alone(struct wk_worker *worker, struct start *start, uint32_t kind)
{
	if (try_kinds(worker, start, kind) != 0) {
		return false;
	}
	bool works = kind != WK_VENUS || try_venus();
	virgl_renderer_cleanup(worker);
	return works;
}

/* One kind that fails makes all fail: those that can be tried more than once are tried alone before. VirGL
 * can't; what a second start of it does depends on luck. Returns what may be tried together. */
static uint32_t try_some(struct wk_worker *worker, struct start *start)
{
	static const uint32_t kinds[] = {WK_DRM, WK_VENUS};
	uint32_t works = start->wanted;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		bool is_only_one = start->wanted == kinds[i];
		if ((works & kinds[i]) && !is_only_one && !try_alone(worker, start, kinds[i])) {
			works &= ~kinds[i];
		}
	}
	return works;
}

/* Returns what has started. */
static uint32_t start_kinds(struct wk_worker *worker, struct start *start, uint32_t kinds)
{
	if (kinds == 0) {
		return 0;
	}
	if (try_kinds(worker, start, kinds) == 0) {
		return kinds;
	}
	kinds &= ~(uint32_t)WK_VIRGL;
	return kinds != 0 && start->wanted & WK_VIRGL && try_kinds(worker, start, kinds) == 0
		       ? kinds
		       : 0;
}

static void check_vulkan(struct start *start, struct wk_probe *probe)
{
	struct wk_probe_result result;
	int ret = wk_probe_finish(probe, &result);
	if (ret < 0) {
		tell(start, VENUS,
		     "the Vulkan drivers can't be asked: %s; see whether vulkaninfo runs",
		     ret == -ECHILD ? "one crashed" : strerror(-ret));
	} else if (result.n_devices == 0) {
		tell(start, VENUS,
		     "there is no Vulkan driver for this GPU: install it (Debian: "
		     "mesa-vulkan-drivers) and see that vulkaninfo lists the GPU");
	} else if (result.can_share == 0) {
		tell(start, VENUS,
		     "%.100s; it can't share images, so windows need a copy or fail: the driver "
		     "lacks VK_EXT_image_drm_format_modifier (lavapipe has it with /dev/udmabuf)",
		     result.text);
	} else {
		tell(start, VENUS, "%s", result.text);
	}
	if (ret < 0 || result.n_devices == 0) {
		start->wanted &= ~(uint32_t)WK_VENUS;
	}
}

/* Only what libvirglrenderer was built with is worth a try. */
static void check_built(struct start *start)
{
	uint32_t version = 0, size = 0;
	if (!(start->wanted & WK_DRM)) {
		return;
	}
	virgl_renderer_get_cap_set(CAPSET_DRM, &version, &size);
	if (size == 0) {
		tell(start, DRM,
		     "this libvirglrenderer was built without native contexts (Debian's is): build "
		     "virglrenderer with -Ddrm-renderers=... and Causeway with "
		     "-Dvirglrenderer_prefix=DIR");
		start->wanted &= ~(uint32_t)WK_DRM;
	}
}

/* Kinds that were to start and did not. */
static void tell_failed(struct start *start, uint32_t started)
{
	uint32_t failed = start->wanted & ~started;
	if (failed & WK_VENUS) {
		tell(start, VENUS,
		     "the render server does not start: %s; virgl_render_server has to be "
		     "where libvirglrenderer looks for it, or at $RENDER_SERVER_EXEC_PATH",
		     error_text(start));
	}
	if (failed & WK_VIRGL) {
		tell(start, VIRGL,
		     "EGL does not start (%s): install the OpenGL driver of this GPU "
		     "(Debian: libegl-mesa0, libgl1-mesa-dri)",
		     error_text(start));
	}
	if (failed & WK_DRM) {
		tell(start, DRM,
		     "no GPU that libvirglrenderer has native contexts for (%s): see "
		     "--render-node, and the access rights of /dev/dri",
		     error_text(start));
	}
}

static void send_capset(struct wk_worker *worker, uint32_t id)
{
	struct wk_capset capset = {.hdr.type = WK_CAPSET, .id = id};
	uint8_t bytes[WK_MAX_CAPSET_BYTES] = {0};
	virgl_renderer_get_cap_set(id, &capset.max_version, &capset.size);
	if (capset.size == 0 || capset.size > sizeof(bytes)) {
		return;
	}
	virgl_renderer_fill_caps(id, capset.max_version, bytes);
	wk_send(worker, &capset, sizeof(capset), bytes, capset.size, -1);
}

static void send_ready(struct wk_worker *worker, const struct start *start, uint32_t seq)
{
	struct wk_ready ready = {
		.hdr = {.type = WK_READY, .seq = seq},
		.flags = worker->flags,
	};
	memcpy(ready.text, start->text, sizeof(ready.text));
	if (worker->flags & WK_VIRGL) {
		send_capset(worker, CAPSET_VIRGL);
		send_capset(worker, CAPSET_VIRGL2);
	}
	if (worker->flags & WK_VENUS) {
		send_capset(worker, CAPSET_VENUS);
	}
	if (worker->flags & WK_DRM) {
		send_capset(worker, CAPSET_DRM);
	}
	wk_send(worker, &ready, sizeof(ready), NULL, 0, -1);
}

/* libvirglrenderer leaves its own context current. */
static const char *gl_name(void)
{
	const char *name = NULL;
	if (eglGetCurrentContext() != EGL_NO_CONTEXT) {
		name = (const char *)glGetString(GL_RENDERER);
	}
	return name != NULL ? name : "an OpenGL driver without a name";
}

/* The GPU's driver, of whose kind the contexts are. Source: virglrenderer, src/drm/drm_hw.h. */
static void tell_native(struct start *start)
{
	static const char *const names[] = {
		[1] = "msm", [2] = "amdgpu", [3] = "i915", [4] = "asahi", [5] = "panfrost",
	};
	union {
		struct {
			uint32_t wire_format, major, minor, patchlevel, type;
		};
		uint8_t bytes[WK_MAX_CAPSET_BYTES];
	} caps = {0};
	uint32_t version, size;
	virgl_renderer_get_cap_set(CAPSET_DRM, &version, &size);
	if (size <= sizeof(caps)) {
		virgl_renderer_fill_caps(CAPSET_DRM, version, &caps);
	}
	if (caps.type < sizeof(names) / sizeof(names[0]) && names[caps.type] != NULL) {
		tell(start, DRM, "%s %u.%u", names[caps.type], caps.major, caps.minor);
	} else {
		tell(start, DRM, "a driver of type %u", caps.type);
	}
}

static void start_renderer(struct wk_worker *worker, struct start *start)
{
	struct wk_probe probe;
	bool probing = (start->wanted & WK_VENUS) && wk_probe_start(&probe) == 0;
	virgl_set_log_callback(handle_log, worker, NULL);
	check_built(start);
	uint32_t works = try_some(worker, start);
	if (probing) {
		check_vulkan(start, &probe);
	}
	uint32_t started = start_kinds(worker, start, works & start->wanted);
	worker->started = started != 0;
	if (started != 0) {
		int poll_fd = virgl_renderer_get_poll_fd();
		if (poll_fd >= 0) {
			(void)wk_watch(worker, poll_fd, EPOLLIN, WK_SOURCE_QUERIES, 0);
		}
	}
	if (started & WK_VENUS) {
		wk_sockets_watch(worker, WK_SOURCE_SERVER, 0);
		if (!try_venus()) {
			started &= ~(uint32_t)WK_VENUS;
		}
	}
	if (started & WK_VIRGL) {
		tell(start, VIRGL, "%s", gl_name());
	}
	if (started & WK_DRM) {
		tell_native(start);
	}
	tell_failed(start, started);
	worker->flags = started;
}

int wk_renderer_init(struct wk_worker *worker, const struct wk_packet *packet)
{
	const struct wk_init *init = packet->bytes;
	struct start start = {.wanted = init->flags & (WK_VENUS | WK_VIRGL | WK_DRM)};
	if (worker->started) {
		return -EALREADY;
	}
	br_fd_clear(&worker->render_node_fd);
	if (packet->n_fds > 0) {
		worker->render_node_fd = br_fd_take(&packet->fds[0]);
	}
	start_renderer(worker, &start);
	send_ready(worker, &start, init->hdr.seq);
	return 0;
}

void wk_renderer_poll(void)
{
	virgl_renderer_poll();
}

void wk_renderer_finish(struct wk_worker *worker)
{
	if (worker->started) {
		virgl_renderer_cleanup(worker);
		worker->started = false;
	}
	br_fd_clear(&worker->render_node_fd);
}
