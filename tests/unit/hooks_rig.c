/* SPDX-License-Identifier: MIT */
#include "hooks_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

#include "br-tables.h"
#include "fd.h"
#include "gp-hooks.h"
#include "limits.h"

/* --- the host's memory, without a host --- */

struct gp_blob *blobs[16];
uint32_t next_res_id = 1;
bool alloc_later;
uint64_t render_node;
bool has_timelines;
struct fake_timeline timelines[8];
int (*import)(int fd, struct gp_blob **ret_blob);
int (*read_clock)(uint32_t clock_id, gp_clock_done done, void *data);
static struct {
	uint64_t size;
	gp_blob_done done;
	void *data;
} waiting;

void finish_alloc(int err)
{
	struct gp_blob *blob = NULL;
	gp_blob_done done = waiting.done;
	CHECK(done != NULL);
	waiting.done = NULL;
	if (err == 0) {
		blob = calloc(1, sizeof(*blob));
		CHECK(blob != NULL && next_res_id < 16);
		blob->refs = 1;
		blob->size = (waiting.size + 4095) & ~(uint64_t)4095;
		blob->map = calloc(1, blob->size);
		blob->res_id = next_res_id++;
		blobs[blob->res_id] = blob;
	}
	done(waiting.data, err, blob);
}

void gp_channel_alloc_blob(struct gp_channel *channel, uint64_t size, gp_blob_done done, void *data)
{
	(void)channel;
	CHECK(waiting.done == NULL);
	waiting.size = size;
	waiting.done = done;
	waiting.data = data;
	if (!alloc_later) {
		finish_alloc(0);
	}
}

uint64_t gp_channel_render_node(const struct gp_channel *channel)
{
	(void)channel;
	return render_node;
}

bool gp_channel_has_timelines(const struct gp_channel *channel)
{
	(void)channel;
	return has_timelines;
}

/* Its fd is a memfd, by its size known again; a handle is its place plus 1. */
int gp_channel_timeline_import(struct gp_channel *channel, int fd, uint32_t *ret_handle)
{
	off_t number = lseek(fd, 0, SEEK_END);
	(void)channel;
	if (number < 1 || number > 8) {
		return -EINVAL;
	}
	timelines[number - 1].imported++;
	*ret_handle = (uint32_t)number;
	return 0;
}

static struct fake_timeline *find_timeline(uint32_t handle)
{
	CHECK(handle >= 1 && handle <= 8 && timelines[handle - 1].imported > 0);
	return &timelines[handle - 1];
}

void gp_channel_timeline_destroy(struct gp_channel *channel, uint32_t handle)
{
	(void)channel;
	find_timeline(handle)->imported--;
}

int gp_channel_timeline_wait(struct gp_channel *channel, uint32_t handle, uint64_t point,
			     int event_fd)
{
	struct fake_timeline *timeline = find_timeline(handle);
	const uint64_t one = 1;
	(void)channel;
	timeline->waits++;
	if (timeline->fail_wait < 0) {
		return timeline->fail_wait;
	}
	if (point <= timeline->value) {
		CHECK_INT(write(event_fd, &one, sizeof(one)), sizeof(one));
	}
	return 0;
}

int gp_channel_timeline_signal(struct gp_channel *channel, uint32_t handle, uint64_t point)
{
	struct fake_timeline *timeline = find_timeline(handle);
	(void)channel;
	timeline->value = point > timeline->value ? point : timeline->value;
	return 0;
}

int gp_channel_import(struct gp_channel *channel, int fd, struct gp_blob **ret_blob)
{
	(void)channel;
	return import != NULL ? import(fd, ret_blob) : -ENODEV;
}

int gp_channel_read_clock(struct gp_channel *channel, uint32_t clock_id, gp_clock_done done,
			  void *data)
{
	(void)channel;
	return read_clock != NULL ? read_clock(clock_id, done, data) : -EOPNOTSUPP;
}

struct gp_blob *gp_blob_ref(struct gp_blob *blob)
{
	blob->refs++;
	return blob;
}

struct gp_blob *gp_blob_unref(struct gp_blob *blob)
{
	if (blob != NULL && --blob->refs == 0) {
		blobs[blob->res_id] = NULL;
		free(blob->map);
		free(blob);
	}
	return NULL;
}

/* --- a client --- */

void request(struct fixture *f, uint32_t object, uint32_t opcode, const uint32_t *args,
	     uint32_t count)
{
	struct br_stream *in = br_relay_input(f->relay, BR_REQUEST);
	uint32_t header[2] = {object, (8 + count * 4) << 16 | opcode};
	CHECK_INT(br_stream_write(in, header, sizeof(header)), 0);
	CHECK_INT(br_stream_write(in, args, count * 4), 0);
	(void)br_relay_dispatch(f->relay, BR_REQUEST);
}

void bind_global(struct fixture *f, uint32_t name, const char *iface, uint32_t version, uint32_t id)
{
	uint32_t len = (uint32_t)strlen(iface) + 1, words = (len + 3) / 4;
	uint32_t event[16] = {REGISTRY, 0, name, len}, bind[16] = {name, len};
	struct br_stream *in = br_relay_input(f->relay, BR_EVENT);
	memcpy(&event[4], iface, len);
	event[4 + words] = version;
	event[1] = (5 + words) * 4 << 16 | BR_EVT_WL_REGISTRY_GLOBAL;
	CHECK_INT(br_stream_write(in, event, (5 + words) * 4), 0);
	CHECK_INT(br_relay_dispatch(f->relay, BR_EVENT), 0);
	memcpy(&bind[2], iface, len);
	bind[2 + words] = version;
	bind[3 + words] = id;
	request(f, REGISTRY, BR_REQ_WL_REGISTRY_BIND, bind, 4 + words);
}

void start(struct fixture *f)
{
	static int channel; /* only its address counts */
	*f = (struct fixture){.file = -1};
	alloc_later = false;
	next_res_id = 1;
	render_node = 0;
	memset(timelines, 0, sizeof(timelines));
	import = NULL;
	gp_state_init(&f->state, true, &f->stats);
	f->state.channel = (struct gp_channel *)&channel;
	const struct br_relay_config config = {
		.hooks = gp_hooks,
		.data = &f->state,
		.client_number = 1,
	};
	f->relay = br_relay_create(&config);
	br_relay_output(f->relay, BR_REQUEST)->takes_resources = true;
	CHECK(f->relay != NULL);
	REQUEST(f, 1, BR_REQ_WL_DISPLAY_GET_REGISTRY, REGISTRY);
	bind_global(f, 10, "wl_shm", 1, SHM);
	bind_global(f, 11, "wl_compositor", 4, COMPOSITOR);
	bind_global(f, 12, "wp_viewporter", 1, VIEWPORTER);
	REQUEST(f, COMPOSITOR, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE, SURFACE);
	CHECK(!br_relay_failed(f->relay));
}

void finish(struct fixture *f)
{
	br_relay_destroy(f->relay);
	gp_state_finish(&f->state);
	if (f->pixels != NULL) {
		(void)munmap(f->pixels, 1 << 20);
	}
	br_fd_clear(&f->file);
	for (unsigned i = 0; i < 16; i++) {
		CHECK(blobs[i] == NULL);
	}
	for (unsigned i = 0; i < 8; i++) {
		CHECK_INT(timelines[i].imported, 0);
	}
}

void attach(struct fixture *f, uint32_t buffer)
{
	REQUEST(f, SURFACE, BR_REQ_WL_SURFACE_ATTACH, buffer, 0, 0);
}

void damage(struct fixture *f, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	REQUEST(f, SURFACE, BR_REQ_WL_SURFACE_DAMAGE_BUFFER, x, y, width, height);
}

uint64_t commit(struct fixture *f)
{
	uint64_t before = f->stats.copied_bytes;
	request(f, SURFACE, BR_REQ_WL_SURFACE_COMMIT, NULL, 0);
	return f->stats.copied_bytes - before;
}

uint32_t error_code(struct fixture *f)
{
	struct br_stream *out = br_relay_output(f->relay, BR_EVENT);
	uint32_t words[4] = {0};
	CHECK(br_relay_failed(f->relay));
	while (!br_stream_empty(out)) {
		memcpy(words, br_stream_peek(out), sizeof(words));
		br_stream_consume(out, words[1] >> 16);
	}
	CHECK_INT(words[0], 1);
	CHECK_INT(words[1] & 0xffff, BR_EVT_WL_DISPLAY_ERROR);
	return words[3];
}
