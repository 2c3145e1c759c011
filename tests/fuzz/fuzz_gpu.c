/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the device's side of GPU work: what the guest asks for, and what workers, which here are this file's,
 * say to it. A row of what ctrl_commands.h says; with the top bit of its first byte, a head is a worker's turn:
 * the second byte says what it does and which worker it is. Link with hr_worker_*() wrapped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../gpu/gpu.h"
#include "../gpu/render.h"
#include "../gpu/worker.h"
#include "../wayland/context.h"
#include "ctrl_commands.h"
#include "fd.h"
#include "guest.h"

#define MAX_WORKERS 8
#define MAX_OWED 256
#define MAX_FENCES 32

/** A worker, in this process. */
struct hr_worker {
	const struct hr_worker_events *events;
	void *data;
	const char *killed; /* the reason; NULL: it lives */
	/* Answers that it owes, the oldest first, and fences that it has been told. */
	struct {
		uint32_t seq, type;
	} owed[MAX_OWED];
	uint32_t n_owed;
	uint64_t fences[MAX_FENCES];
	uint32_t n_fences;
};

static struct hr_worker *workers[MAX_WORKERS];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_hr_worker_start(struct wl_event_loop *loop, const char *program,
			   const struct hr_worker_events *events, void *data,
			   struct hr_worker **ret_worker);
void __wrap_hr_worker_send(struct hr_worker *worker, const void *message, size_t message_bytes,
			   const void *bytes, size_t n_bytes, const int *fds, size_t n_fds);
void __wrap_hr_worker_kill(struct hr_worker *worker, const char *reason);
void __wrap_hr_worker_destroy(struct hr_worker *worker);

int __wrap_hr_worker_start(struct wl_event_loop *loop, const char *program,
			   const struct hr_worker_events *events, void *data,
			   struct hr_worker **ret_worker)
{
	(void)loop;
	(void)program;
	for (unsigned i = 0; i < MAX_WORKERS; i++) {
		if (!workers[i]) {
			workers[i] = calloc(1, sizeof(*workers[i]));
			workers[i]->events = events;
			workers[i]->data = data;
			*ret_worker = workers[i];
			return 0;
		}
	}
	return -EAGAIN;
}

void __wrap_hr_worker_send(struct hr_worker *worker, const void *message, size_t message_bytes,
			   const void *bytes, size_t n_bytes, const int *fds, size_t n_fds)
{
	const struct wk_header *header = message;
	(void)bytes;
	(void)fds;
	if (message_bytes < sizeof(*header) || n_bytes > BR_LIMIT_CONTROL_BYTES ||
	    n_fds > WK_MAX_FDS) {
		abort();
	}
	if (header->type == WK_FENCE) {
		const struct wk_fence *fence = message;
		worker->fences[worker->n_fences++ % MAX_FENCES] = fence->id;
	}
	if (header->seq != 0 && worker->n_owed < MAX_OWED) {
		worker->owed[worker->n_owed].seq = header->seq;
		worker->owed[worker->n_owed++].type = header->type;
	}
}

void __wrap_hr_worker_kill(struct hr_worker *worker, const char *reason)
{
	worker->killed = reason;
}

void __wrap_hr_worker_destroy(struct hr_worker *worker)
{
	for (unsigned i = 0; i < MAX_WORKERS; i++) {
		if (worker && workers[i] == worker) {
			workers[i] = NULL;
		}
	}
	free(worker);
}

/* --- a worker's turn --- */

static void say(struct hr_worker *worker, const void *message, size_t len, int fd)
{
	int fds[1] = {fd};
	worker->events->message(worker->data, message, len, fds, fd >= 0 ? 1 : 0);
	br_fd_clear(&fds[0]);
}

/* The answer to the oldest question, as byte says it. */
static void answer(struct hr_worker *worker, uint8_t byte)
{
	if (worker->n_owed == 0) {
		return;
	}
	uint32_t seq = worker->owed[0].seq, type = worker->owed[0].type;
	memmove(worker->owed, worker->owed + 1, --worker->n_owed * sizeof(worker->owed[0]));
	int32_t err = byte & 1 ? -EIO : 0;
	if (type != WK_EXPORT) {
		const struct wk_done done = {.hdr = {.type = WK_DONE, .seq = seq}, .err = err};
		say(worker, &done, sizeof(done), -1);
		return;
	}
	struct wk_exported exported = {.hdr = {.type = WK_EXPORTED, .seq = seq},
				       .err = err,
				       .kind = byte >> 1 & 3,
				       .map_info = byte >> 3 & 3,
				       .n_planes = byte >> 5};
	int fd = byte & 2 ? memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;
	if (fd >= 0 && ftruncate(fd, byte & 4 ? 65536 : 4096) < 0) {
		abort();
	}
	say(worker, &exported, sizeof(exported), fd);
}

static void end_worker(struct hr_worker *worker)
{
	worker->events->ended(worker->data, worker->killed ? worker->killed : "it has ended");
}

static void worker_turn(const uint8_t *head, const uint8_t *bytes, size_t len)
{
	static union {
		struct wk_header header;
		uint8_t bytes[WK_MAX_PACKET];
	} message;
	struct hr_worker *worker = workers[head[1] >> 4 & 3];
	if (!worker) {
		return;
	}
	struct wk_fence done = {.hdr = {.type = WK_FENCE_DONE}};
	switch (head[1] & 7) {
	case 0:
	case 1:
	case 2:
		answer(worker, len > 0 ? bytes[0] : 0);
		break;
	case 3:
	case 4:
		done.id = worker->fences[(len > 0 ? bytes[0] : 0) % MAX_FENCES];
		say(worker, &done, sizeof(done), -1);
		break;
	case 5:
		end_worker(worker);
		break;
	default:
		/* Anything, of a kind that may be known. */
		memset(&message, 0, sizeof(message.header));
		memcpy(message.bytes, bytes, len);
		message.header.type = WK_CAPSET + (message.header.type & 7);
		message.header.seq &= 0xff;
		say(worker, &message, len < sizeof(message.header) ? sizeof(message.header) : len,
		    -1);
		break;
	}
}

static void end_killed(void)
{
	for (unsigned i = 0; i < MAX_WORKERS; i++) {
		if (workers[i] && workers[i]->killed) {
			end_worker(workers[i]);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t bytes[4] = {1, 2, 3, 4};
	const struct hr_frontend frontend = {.ops = &ctrl_ops, .extensions = XD_EXT_PIPE_CREDIT};
	struct hr_host host = {.next_client = 1};
	host.loop = wl_event_loop_create();
	ctrl_window_open(host.loop);
	struct hr_gpu gpu = {
		.loop = host.loop, .flags = WK_VENUS | WK_VIRGL | WK_DRM, .answer_ms = 20000};
	/* What a test's context_init, with its lowest byte, names. */
	const struct hr_capset *capsets[] = {
		&hr_wayland_capset,
		hr_render_capset_create(&gpu, VIRTIO_GPU_CAPSET_VENUS, 0, bytes, 4),
		hr_render_capset_create(&gpu, VIRTIO_GPU_CAPSET_VIRGL2, 2, bytes, 4),
		hr_render_capset_create(&gpu, VIRTIO_GPU_CAPSET_DRM, 0, bytes, 4),
	};
	struct hr_device *device = hr_device_create(&host, &frontend, capsets, 4);
	for (size_t at = 0; at + CTRL_HEAD_BYTES <= size;) {
		const uint8_t *head = data + at;
		size_t len = ctrl_payload_bytes(head, size - at - CTRL_HEAD_BYTES);
		if (head[0] & 0x80) {
			worker_turn(head, head + CTRL_HEAD_BYTES, len);
		} else {
			ctrl_run(device, head, head + CTRL_HEAD_BYTES, len);
		}
		end_killed();
		at += CTRL_HEAD_BYTES + len;
	}
	hr_device_destroy(device);
	for (unsigned i = 1; i < sizeof(capsets) / sizeof(capsets[0]); i++) {
		hr_render_capset_destroy(capsets[i]);
	}
	hr_window_finish(&ctrl_window);
	wl_event_loop_destroy(host.loop);
	return 0;
}
