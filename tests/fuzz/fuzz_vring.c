/* SPDX-License-Identifier: MIT
 *
 * Fuzzes a virtqueue: everything in the guest's memory, rings and descriptors too, is input. The first
 * four bytes are the queue's size and features; then come pieces of three bytes (where to, in units of 4;
 * how long) and what is written there, and behind each the queue is worked through. Build with
 * tests/unit/guest.c, whose fake client it uses.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "../gpu/context.h"
#include "../gpu/device.h"
#include "../vhost/queue.h"
#include "../wayland/context.h"
#include "fd.h"
#include "guest.h"

#define RAM_BYTES 32768u
#define DESC 0u
#define AVAIL 8192u
#define USED 12288u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t memory[RAM_BYTES];
static struct hr_ram ram;
static bool ending;

static void complete(void *data, uint64_t cookie, const void *response, size_t len, int fd)
{
	(void)data;
	(void)fd;
	if (!ending) {
		hr_queue_complete(cookie, response, len);
	}
}

static void *guest_memory(void *data, uint64_t address, uint64_t len)
{
	(void)data;
	return hr_ram_guest(&ram, address, len);
}

static const struct hr_frontend_ops ops = {.complete = complete, .guest_memory = guest_memory};

static void setup(struct hr_queue *queue, struct hr_queue_shared *shared, const uint8_t *config)
{
	hr_queue_init(queue, shared, config[1] & 4);
	queue->vring.num = 1u << (config[0] & 7);
	queue->vring.desc = DESC;
	queue->vring.avail = AVAIL;
	queue->vring.used = USED;
	queue->vring.event_idx = config[1] & 1;
	queue->vring.indirect = config[1] & 2;
	queue->base = config[2];
	queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->enabled = true;
}

static void run(struct hr_queue *queue, const uint8_t *data, size_t size)
{
	for (size_t at = 0; at + 3 <= size;) {
		size_t to = (size_t)(data[at] | data[at + 1] << 8) * 4 % RAM_BYTES;
		size_t len = data[at + 2];
		len = len < size - at - 3 ? len : size - at - 3;
		len = len < RAM_BYTES - to ? len : RAM_BYTES - to;
		memcpy(memory + to, data + at + 3, len);
		at += 3 + len;
		hr_queue_process(queue);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct hr_capset *const capsets[] = {&hr_wayland_capset};
	static struct hr_chain chain;
	const struct hr_frontend frontend = {.ops = &ops,
					     .extensions = XD_EXT_PIPE_CREDIT | XD_EXT_CLOCK};
	struct hr_host host = {.next_client = 1};
	struct hr_queue queue;
	if (size < 4) {
		return 0;
	}
	ram = (struct hr_ram){
		.n_regions = 1,
		.regions[0] = {.bytes = RAM_BYTES, .base = memory},
	};
	memset(memory, 0, sizeof(memory));
	host.loop = wl_event_loop_create();
	struct hr_queue_shared shared = {
		.loop = host.loop,
		.ram = &ram,
		.chain = &chain,
		.device = hr_device_create(&host, &frontend, capsets, 1),
	};
	setup(&queue, &shared, data);
	if (hr_queue_start(&queue, false) == 0) {
		run(&queue, data + 4, size - 4);
	}
	hr_queue_stop(&queue);
	ending = true;
	hr_device_destroy(shared.device);
	ending = false;
	hr_queue_finish(&queue);
	free(shared.bytes);
	wl_event_loop_destroy(host.loop);
	return 0;
}
