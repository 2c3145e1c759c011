/* SPDX-License-Identifier: MIT */
#include "gpu_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fd.h"
#include "scm.h"
#include "test.h"

/* A message as it came. */
struct message {
	union {
		struct wk_header hdr;
		struct wk_capset capset;
		struct wk_ready ready;
		struct wk_done done;
		struct wk_exported exported;
		struct wk_fence fence;
		struct wk_log log;
		uint64_t align[WK_MAX_PACKET / 8];
	};
	size_t size;
	int fd; /* -1: none */
};

static void spawn(struct gpu_rig *rig, const char *program)
{
	int ends[2];
	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	rig->pid = fork();
	CHECK(rig->pid >= 0);
	if (rig->pid == 0) {
		const char *preload = getenv("GPU_RIG_PRELOAD");
		int high = fcntl(ends[1], F_DUPFD_CLOEXEC, 16);
		(void)dup2(high, WK_FD);
		if (preload != NULL) {
			(void)setenv("LD_PRELOAD", preload, 1);
			(void)setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
		}
		(void)execl(program, program, (char *)NULL);
		_exit(127);
	}
	br_fd_clear(&ends[1]);
	rig->sock_fd = ends[0];
	rig->pid_fd = pidfd_open(rig->pid, 0);
	CHECK(rig->pid_fd >= 0);
}

/* Next message, whatever it is. What is not asked for is noted. */
static void next_message(struct gpu_rig *rig, struct message *message, const char *what)
{
	size_t n_fds;
	int flags;
	(void)WAIT_FD(rig->sock_fd, POLLIN, what);
	message->fd = -1;
	ssize_t n = br_scm_receive(rig->sock_fd, message, sizeof(message->align), &message->fd, 1,
				   &n_fds, &flags);
	if (n <= 0) {
		FAIL("the worker has ended while a test waits for %s", what);
	}
	message->size = (size_t)n;
	switch (message->hdr.type) {
	case WK_FENCE_DONE:
		CHECK(rig->n_fences < GPU_RIG_FENCES);
		rig->fences[rig->n_fences++] = message->fence.id;
		break;
	case WK_LOG:
		rig->n_logs++;
		rig->log_ctx_id = message->hdr.ctx_id;
		memcpy(rig->log, message->log.text, sizeof(rig->log));
		if (getenv("GPU_RIG_VERBOSE") != NULL) {
			printf("# log %u: %s\n", message->log.level, rig->log);
		}
		break;
	case WK_CAPSET:
		CHECK(message->capset.id < 8);
		CHECK_INT(message->size, sizeof(message->capset) + message->capset.size);
		rig->capset_bytes[message->capset.id] = message->capset.size;
		break;
	default:
		break;
	}
}

/* Waits for the answer to rig->seq, of this type. */
static void wait_answer(struct gpu_rig *rig, uint32_t type, struct message *message,
			const char *what)
{
	do {
		next_message(rig, message, what);
	} while (message->hdr.type == WK_FENCE_DONE || message->hdr.type == WK_LOG ||
		 message->hdr.type == WK_CAPSET);
	CHECK_INT(message->hdr.type, type);
	CHECK_INT(message->hdr.seq, rig->seq);
}

static void give_ram(struct gpu_rig *rig)
{
	struct {
		struct wk_guest_memory memory;
		struct wk_region region;
	} request = {
		.memory = {.hdr.type = WK_GUEST_MEMORY, .n_regions = 1},
		.region = {.address = GPU_RIG_RAM_ADDRESS, .bytes = GPU_RIG_RAM_BYTES},
	};
	int BR_CLEANUP_FD fd = memfd_create("ram", MFD_CLOEXEC);
	CHECK_INT(ftruncate(fd, GPU_RIG_RAM_BYTES), 0);
	rig->ram = mmap(NULL, GPU_RIG_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(rig->ram != MAP_FAILED);
	CHECK_INT(gpu_rig_ask(rig, &request, sizeof(request), fd), 0);
}

void gpu_rig_try(struct gpu_rig *rig, uint32_t flags)
{
	struct wk_init init = {.hdr.type = WK_INIT, .flags = flags};
	struct message message;
	const char *program = getenv("CAUSEWAY_GPU_WORKER");
	const char *node = getenv("GPU_RIG_RENDER_NODE");
	int BR_CLEANUP_FD node_fd = node != NULL ? open(node, O_RDWR | O_CLOEXEC) : -1;
	*rig = (struct gpu_rig){.pid_fd = -1, .sock_fd = -1};
	if (program == NULL) {
		test_skip("CAUSEWAY_GPU_WORKER does not name a worker");
	}
	spawn(rig, program);
	init.hdr.seq = ++rig->seq;
	gpu_rig_send(rig, &init, sizeof(init), node_fd);
	wait_answer(rig, WK_READY, &message, "the worker's start");
	rig->ready = message.ready;
}

/* Drivers that are installed have to work. */
static bool is_installed(uint32_t flag)
{
	const char *vulkan = getenv("VK_DRIVER_FILES");
	switch (flag) {
	case WK_VENUS:
		return vulkan != NULL && access(vulkan, R_OK) == 0;
	case WK_VIRGL:
		return access("/usr/share/glvnd/egl_vendor.d/50_mesa.json", R_OK) == 0;
	default:
		return false;
	}
}

void gpu_rig_start(struct gpu_rig *rig, uint32_t flags)
{
	gpu_rig_try(rig, flags);
	for (int i = 0; i < WK_N_KINDS; i++) {
		uint32_t missing = flags & ~rig->ready.flags & (1u << i);
		if (missing != 0 && is_installed(missing)) {
			FAIL("%s", rig->ready.text[i]);
		} else if (missing != 0) {
			test_skip(rig->ready.text[i]);
		}
	}
	give_ram(rig);
}

static void wait_end(int pid_fd, const char *what)
{
	(void)WAIT_FD(pid_fd, POLLIN, what);
}

static void finish(struct gpu_rig *rig)
{
	br_fd_clear(&rig->sock_fd);
	br_fd_clear(&rig->pid_fd);
	if (rig->ram != NULL) {
		(void)munmap(rig->ram, GPU_RIG_RAM_BYTES);
	}
}

void gpu_rig_end(struct gpu_rig *rig)
{
	pid_t children[16];
	int status;
	size_t n = gpu_rig_processes(rig, "", children, 16);
	br_fd_clear(&rig->sock_fd);
	wait_end(rig->pid_fd, "the worker's end");
	CHECK_INT(waitpid(rig->pid, &status, 0), rig->pid);
	CHECK_INT(status, 0);
	for (size_t i = 0; i < n; i++) {
		gpu_rig_wait_gone(children[i]);
	}
	finish(rig);
}

void gpu_rig_kill(struct gpu_rig *rig)
{
	(void)kill(rig->pid, SIGKILL);
	CHECK_INT(waitpid(rig->pid, NULL, 0), rig->pid);
	finish(rig);
}

static void send_parts(struct gpu_rig *rig, const void *message, size_t size, const void *more,
		       size_t more_size, int fd)
{
	const struct iovec iov[2] = {
		{.iov_base = (void *)message, .iov_len = size},
		{.iov_base = (void *)more, .iov_len = more_size},
	};
	ssize_t n;
	do {
		(void)WAIT_FD(rig->sock_fd, POLLOUT, "the worker to read");
		n = br_scm_send(rig->sock_fd, iov, more_size > 0 ? 2 : 1, &fd, fd >= 0 ? 1 : 0);
	} while (n == -EAGAIN);
	CHECK_INT(n, size + more_size);
}

void gpu_rig_send(struct gpu_rig *rig, const void *message, size_t size, int fd)
{
	send_parts(rig, message, size, NULL, 0, fd);
}

static int ask(struct gpu_rig *rig, void *message, size_t size, const void *more, size_t more_size,
	       int fd)
{
	struct wk_header *hdr = message;
	struct message answer;
	hdr->seq = ++rig->seq;
	send_parts(rig, message, size, more, more_size, fd);
	wait_answer(rig, WK_DONE, &answer, "an answer");
	CHECK_INT(answer.size, sizeof(answer.done));
	return answer.done.err;
}

int gpu_rig_ask(struct gpu_rig *rig, void *message, size_t size, int fd)
{
	return ask(rig, message, size, NULL, 0, fd);
}

int gpu_rig_ask_with(struct gpu_rig *rig, void *message, size_t size, const void *more,
		     size_t more_size)
{
	return ask(rig, message, size, more, more_size, -1);
}

struct wk_exported gpu_rig_export(struct gpu_rig *rig, uint32_t resource_id, int *ret_fd)
{
	struct wk_resource request = {
		.hdr = {.type = WK_EXPORT},
		.resource_id = resource_id,
	};
	return gpu_rig_ask_exported(rig, &request, sizeof(request), ret_fd);
}

struct wk_exported gpu_rig_ask_exported(struct gpu_rig *rig, void *message, size_t size,
					int *ret_fd)
{
	struct wk_header *hdr = message;
	struct message answer;
	hdr->seq = ++rig->seq;
	gpu_rig_send(rig, message, size, -1);
	wait_answer(rig, WK_EXPORTED, &answer, "an export");
	CHECK_INT(answer.size, sizeof(answer.exported));
	CHECK_INT(answer.fd >= 0, answer.exported.err == 0);
	*ret_fd = answer.fd;
	return answer.exported;
}

int gpu_rig_context(struct gpu_rig *rig, uint32_t ctx_id, uint32_t capset_id)
{
	struct wk_context_create request = {
		.hdr = {.type = WK_CONTEXT_CREATE, .ctx_id = ctx_id},
		.capset_id = capset_id,
		.name = "test",
	};
	return gpu_rig_ask(rig, &request, sizeof(request), -1);
}

int gpu_rig_resource(struct gpu_rig *rig, uint32_t type, uint32_t ctx_id, uint32_t resource_id)
{
	struct wk_resource request = {
		.hdr = {.type = type, .ctx_id = ctx_id},
		.resource_id = resource_id,
	};
	return gpu_rig_ask(rig, &request, sizeof(request), -1);
}

int gpu_rig_submit(struct gpu_rig *rig, uint32_t ctx_id, const uint32_t *commands, size_t n)
{
	struct wk_submit request = {
		.hdr = {.type = WK_SUBMIT, .ctx_id = ctx_id},
		.size = (uint32_t)(n * sizeof(*commands)),
	};
	return gpu_rig_ask_with(rig, &request, sizeof(request), commands, request.size);
}

void gpu_rig_wait_fence(struct gpu_rig *rig, uint64_t id)
{
	struct message message;
	for (size_t i = 0;; i++) {
		while (i >= rig->n_fences) {
			next_message(rig, &message, "a fence");
			CHECK(message.hdr.type == WK_FENCE_DONE || message.hdr.type == WK_LOG);
		}
		if (rig->fences[i] == id) {
			return;
		}
	}
}

void gpu_rig_fence(struct gpu_rig *rig, uint32_t ctx_id, uint32_t ring_idx, uint64_t id)
{
	const struct wk_fence request = {
		.hdr = {.type = WK_FENCE, .ctx_id = ctx_id},
		.ring_idx = ring_idx,
		.id = id,
	};
	gpu_rig_send(rig, &request, sizeof(request), -1);
	gpu_rig_wait_fence(rig, id);
}

void gpu_rig_ask_stuck(struct gpu_rig *rig, void *message, size_t size, int seconds)
{
	struct wk_header *hdr = message;
	struct pollfd readable = {.fd = rig->sock_fd, .events = POLLIN};
	hdr->seq = ++rig->seq;
	gpu_rig_send(rig, message, size, -1);
	CHECK_INT(poll(&readable, 1, seconds * 1000), 1);
}

int gpu_rig_answer(struct gpu_rig *rig)
{
	struct message answer;
	wait_answer(rig, WK_DONE, &answer, "an answer");
	return answer.done.err;
}

void gpu_rig_wait_log(struct gpu_rig *rig, const char *part)
{
	struct message message;
	while (strstr(rig->log, part) == NULL) {
		next_message(rig, &message, part);
		CHECK(message.hdr.type == WK_FENCE_DONE || message.hdr.type == WK_LOG);
	}
}

/* Source: proc_pid_stat(5). Returns the parent, 0 if the process is gone. name: up to 15 bytes. */
static pid_t parent_of(pid_t pid, char name[32])
{
	char path[64];
	int parent = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		return 0;
	}
	if (fscanf(file, "%*d (%31[^)]) %*c %d", name, &parent) != 2) {
		parent = 0;
	}
	(void)fclose(file);
	return parent;
}

static bool is_below(pid_t pid, pid_t ancestor)
{
	char name[32];
	for (pid_t parent = parent_of(pid, name); parent > 1; parent = parent_of(parent, name)) {
		if (parent == ancestor) {
			return true;
		}
	}
	return false;
}

size_t gpu_rig_processes(const struct gpu_rig *rig, const char *name, pid_t *pids, size_t max)
{
	size_t n = 0;
	DIR *dir = opendir("/proc");
	CHECK(dir != NULL);
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		pid_t pid = atoi(entry->d_name);
		char found[32] = "";
		if (pid <= 0 || n >= max || parent_of(pid, found) == 0 ||
		    !is_below(pid, rig->pid)) {
			continue;
		}
		if (strncmp(found, name, strlen(name)) == 0) {
			pids[n++] = pid;
		}
	}
	closedir(dir);
	return n;
}

pid_t gpu_rig_child(const struct gpu_rig *rig, const char *name)
{
	pid_t pids[16];
	char found[32];
	size_t n = gpu_rig_processes(rig, name, pids, 16);
	for (size_t i = 0; i < n; i++) {
		if (parent_of(pids[i], found) == rig->pid) {
			return pids[i];
		}
	}
	CHECK(false);
	return 0;
}

void gpu_rig_wait_gone(pid_t pid)
{
	int BR_CLEANUP_FD fd = pidfd_open(pid, 0);
	if (fd >= 0) {
		wait_end(fd, "a process of the render server to end");
	}
}

size_t gpu_rig_count_fds(const struct gpu_rig *rig)
{
	char path[64];
	size_t n = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)rig->pid);
	DIR *dir = opendir(path);
	CHECK(dir != NULL);
	while (readdir(dir) != NULL) {
		n++;
	}
	closedir(dir);
	return n;
}
