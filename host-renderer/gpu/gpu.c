/* SPDX-License-Identifier: MIT */
#include "gpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "fd.h"
#include "log.h"
#include "render.h"
#include "worker.h"

#define READY_DEADLINE_MS 20000
/* Longer than any answer takes but from a driver that hangs. */
#define ANSWER_DEADLINE_MS 20000
#define PROGRAM_NAME "causeway-gpu-worker"

static const char *const kind_names[WK_N_KINDS] = {"Venus", "VirGL", "vDRM"};

/* A worker that is asked what there is. */
struct question {
	struct hr_gpu *gpu;
	struct wk_ready ready;
	bool answered;
	char ended[80]; /* why there will be no answer */
};

/* --- where the worker's program is --- */

/* Beside this program, as in a build folder: NULL if it is not there. */
static char *program_beside_us(const char *subfolder)
{
	char self[4096], *path;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len <= 0) {
		return NULL;
	}
	self[len] = '\0';
	char *slash = strrchr(self, '/');
	*slash = '\0';
	if (asprintf(&path, "%s/%s%s", self, subfolder, PROGRAM_NAME) < 0) {
		return NULL;
	}
	if (access(path, X_OK) < 0) {
		free(path);
		return NULL;
	}
	return path;
}

static char *find_program(void)
{
	const char *named = getenv("CAUSEWAY_GPU_WORKER");
	if (named) {
		return strdup(named);
	}
	char *path = program_beside_us("");
	path = path ? path : program_beside_us("worker/");
	return path ? path : strdup(CAUSEWAY_LIBEXECDIR "/" PROGRAM_NAME);
}

/* --- what a worker offers --- */

static void handle_capset(struct hr_gpu *gpu, const struct wk_capset *message, size_t len)
{
	if (gpu->n_capsets >= HR_MAX_CAPSETS || len < sizeof(*message) ||
	    message->size > len - sizeof(*message) || message->size > HR_MAX_CAPSET_BYTES) {
		br_log(BR_LOG_WARN, "gpu: the worker's capability set is of no use");
		return;
	}
	const struct hr_capset *capset =
		hr_render_capset_create(gpu, message->id, message->max_version,
					(const uint8_t *)(message + 1), message->size);
	if (capset) {
		gpu->capsets[gpu->n_capsets++] = capset;
	}
}

static void on_message(void *data, const struct wk_header *message, size_t len, int *fds,
		       size_t n_fds)
{
	struct question *question = data;
	(void)fds;
	(void)n_fds;
	if (message->type == WK_CAPSET) {
		handle_capset(question->gpu, (const struct wk_capset *)message, len);
	} else if (message->type == WK_READY && len == sizeof(question->ready)) {
		memcpy(&question->ready, message, len);
		question->answered = true;
	} else if (message->type == WK_LOG) {
		hr_gpu_log((const struct wk_log *)message, len);
	}
}

static void on_ended(void *data, const char *reason)
{
	struct question *question = data;
	(void)snprintf(question->ended, sizeof(question->ended), "%s", reason);
}

static const struct hr_worker_events events = {.message = on_message, .ended = on_ended};

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void hr_gpu_log(const struct wk_log *message, size_t len)
{
	char text[WK_TEXT_BYTES * 4];
	if (len == sizeof(*message) && message->level <= BR_LOG_DEBUG) {
		br_log_peer(message->level, "gpu: %s",
			    br_log_escape(text, sizeof(text), message->text,
					  strnlen(message->text, sizeof(message->text))));
	}
}

struct wk_init hr_gpu_init_message(const struct hr_gpu *gpu, uint32_t flags, int *ret_fd)
{
	*ret_fd = gpu->render_node ? open(gpu->render_node, O_RDWR | O_CLOEXEC | O_NONBLOCK) : -1;
	return (struct wk_init){.hdr = {.type = WK_INIT}, .flags = flags};
}

static int ask(struct hr_gpu *gpu, const struct hr_gpu_options *options, struct question *question)
{
	struct hr_worker *worker;
	int fd BR_CLEANUP_FD = -1;
	int64_t deadline = now_ms() + READY_DEADLINE_MS;
	*question = (struct question){.gpu = gpu};
	int ret = hr_worker_start(gpu->loop, gpu->program, &events, question, &worker);
	if (ret < 0) {
		(void)snprintf(question->ended, sizeof(question->ended), "%s", strerror(-ret));
		return ret;
	}
	const struct wk_init init = hr_gpu_init_message(gpu, options->flags, &fd);
	hr_worker_send(worker, &init, sizeof(init), NULL, 0, &fd, fd >= 0 ? 1 : 0);
	while (!question->answered && question->ended[0] == '\0') {
		int64_t left = deadline - now_ms();
		if (left <= 0) {
			(void)snprintf(question->ended, sizeof(question->ended),
				       "the GPU's drivers gave no answer in %d s",
				       READY_DEADLINE_MS / 1000);
			break;
		}
		(void)wl_event_loop_dispatch(gpu->loop, (int)left);
	}
	hr_worker_destroy(worker);
	gpu->flags = question->answered ? question->ready.flags : 0;
	return question->answered ? 0 : -EIO;
}

/* --- life --- */

static struct hr_gpu *gpu_new(struct wl_event_loop *loop, const struct hr_gpu_options *options)
{
	struct hr_gpu *gpu = calloc(1, sizeof(*gpu));
	if (!gpu) {
		return NULL;
	}
	gpu->loop = loop;
	gpu->render_node = options->render_node;
	gpu->answer_ms = ANSWER_DEADLINE_MS;
	gpu->program = find_program();
	if (!gpu->program) {
		free(gpu);
		return NULL;
	}
	return gpu;
}

/* Returns true if all that was asked for works. */
static bool log_answer(const struct hr_gpu *gpu, const struct hr_gpu_options *options,
		       const struct question *question)
{
	enum br_log_level level = options->required ? BR_LOG_ERROR : BR_LOG_INFO;
	if (!question->answered) {
		br_log(level,
		       "host: no GPU work: %s: %s; install all of causeway, with "
		       "libvirglrenderer, or give --gpu none",
		       gpu->program, question->ended);
		return false;
	}
	for (uint32_t i = 0; i < WK_N_KINDS; i++) {
		if (options->flags & ~gpu->flags & 1u << i) {
			br_log(level, "host: no %s: %.*s", kind_names[i], WK_TEXT_BYTES,
			       question->ready.text[i]);
		} else if (gpu->flags & 1u << i) {
			br_log(BR_LOG_INFO, "host: %s on %.*s", kind_names[i], WK_TEXT_BYTES,
			       question->ready.text[i]);
		}
	}
	return (options->flags & ~gpu->flags) == 0;
}

int hr_gpu_create(struct wl_event_loop *loop, const struct hr_gpu_options *options,
		  struct hr_gpu **ret_gpu)
{
	struct question question;
	struct hr_gpu *gpu = gpu_new(loop, options);
	if (!gpu) {
		return -ENOMEM;
	}
	if (options->flags != 0) {
		(void)ask(gpu, options, &question);
		if (!log_answer(gpu, options, &question) && options->required) {
			hr_gpu_destroy(gpu);
			return -ENOENT;
		}
	}
	*ret_gpu = gpu;
	return 0;
}

void hr_gpu_destroy(struct hr_gpu *gpu)
{
	if (!gpu) {
		return;
	}
	while (gpu->n_capsets > 0) {
		hr_render_capset_destroy(gpu->capsets[--gpu->n_capsets]);
	}
	free(gpu->program);
	free(gpu);
}

bool hr_gpu_check(const struct hr_gpu_options *options)
{
	struct question question;
	struct wl_event_loop *loop = wl_event_loop_create();
	struct hr_gpu *gpu = loop ? gpu_new(loop, options) : NULL;
	bool all = gpu && ask(gpu, options, &question) == 0;
	if (gpu && !question.answered) {
		printf("%s  GPU: %s: %s; install all of causeway, with libvirglrenderer\n",
		       options->required ? "missing" : "without", gpu->program, question.ended);
	}
	for (uint32_t i = 0; gpu && question.answered && i < WK_N_KINDS; i++) {
		bool works = gpu->flags & 1u << i;
		if (options->flags & 1u << i) {
			printf("%s  %s: %.*s\n",
			       works		   ? "ok     "
			       : options->required ? "missing"
						   : "without",
			       kind_names[i], WK_TEXT_BYTES, question.ready.text[i]);
			all &= works;
		}
	}
	hr_gpu_destroy(gpu);
	if (loop) {
		wl_event_loop_destroy(loop);
	}
	return all;
}
