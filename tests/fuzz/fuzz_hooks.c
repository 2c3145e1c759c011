/* SPDX-License-Identifier: MIT
 *
 * Fuzz the hooks of both programs: a client and a server that mostly keep to the protocol, in any
 * order, and forget objects whenever they like. The input decides step by step; its first byte says
 * whose hooks, and whether pools are mirrored.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "admit.h"
#include "br-tables.h"
#include "cursor_theme.h"
#include "fd.h"
#include "gp-hooks.h"
#include "hooks/hooks.h"
#include "hooks/state.h"
#include "host.h"
#include "hr-hooks.h"
#include "object.h"
#include "policy.h"
#include "relay.h"
#include "restore.h"

#define MAX_ID 96
#define FILE_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The decisions. */
struct input {
	const uint8_t *at, *end;
};

static uint32_t take(struct input *in, uint32_t below)
{
	return in->at < in->end ? *in->at++ % below : 0;
}

/* --- memory of a host that is not there --- */

static struct {
	uint64_t size;
	gp_blob_done done;
	void *data;
} waiting;
static uint32_t next_res_id;
static bool alloc_later;

/* The exchange that is on its way; done NULL: none. */
static struct {
	uint32_t id;
	gp_clock_done done;
	void *data;
} asked;

static void finish_alloc(int err)
{
	gp_blob_done done = waiting.done;
	struct gp_blob *blob = NULL;
	if (done == NULL) {
		return;
	}
	waiting.done = NULL;
	if (err == 0) {
		blob = calloc(1, sizeof(*blob));
		blob->refs = 1;
		blob->res_id = ++next_res_id;
		blob->size = (waiting.size + 4095) & ~(uint64_t)4095;
		blob->map = calloc(1, blob->size);
	}
	done(waiting.data, err, blob);
}

void gp_channel_alloc_blob(struct gp_channel *channel, uint64_t size, gp_blob_done done, void *data)
{
	(void)channel;
	waiting.size = size;
	waiting.done = done;
	waiting.data = data;
	if (size > 16 * FILE_BYTES) {
		finish_alloc(-ENOSPC);
	} else if (!alloc_later) {
		finish_alloc(0);
	}
}

uint64_t gp_channel_render_node(const struct gp_channel *channel)
{
	(void)channel;
	return 1;
}

bool gp_channel_has_timelines(const struct gp_channel *channel)
{
	(void)channel;
	return alloc_later; /* by chance, too */
}

int gp_channel_timeline_import(struct gp_channel *channel, int fd, uint32_t *ret_handle)
{
	(void)channel;
	*ret_handle = 1;
	return fd < 0 || next_res_id % 4 == 0 ? -EINVAL : 0;
}

void gp_channel_timeline_destroy(struct gp_channel *channel, uint32_t handle)
{
	(void)channel, (void)handle;
}

int gp_channel_timeline_wait(struct gp_channel *channel, uint32_t handle, uint64_t point,
			     int event_fd)
{
	const uint64_t one = 1;
	(void)channel, (void)handle;
	return point % 2 == 0 && write(event_fd, &one, sizeof(one)) < 0 ? -EIO : 0;
}

int gp_channel_timeline_signal(struct gp_channel *channel, uint32_t handle, uint64_t point)
{
	(void)channel, (void)handle, (void)point;
	return 0;
}

int gp_channel_import(struct gp_channel *channel, int fd, struct gp_blob **ret_blob)
{
	(void)channel;
	/* By chance, as what is mapped by a program is. */
	if (next_res_id % 2 == 0) {
		next_res_id++;
		return fd < 0 ? -EINVAL : -ENODEV;
	}
	*ret_blob = calloc(1, sizeof(**ret_blob));
	(*ret_blob)->refs = 1;
	(*ret_blob)->res_id = next_res_id++;
	return 0;
}

int gp_channel_read_clock(struct gp_channel *channel, uint32_t clock_id, gp_clock_done done,
			  void *data)
{
	(void)channel;
	if (next_res_id % 3 == 0) {
		return -EOPNOTSUPP;
	}
	asked.id = clock_id;
	asked.done = done;
	asked.data = data;
	return 0;
}

struct gp_blob *gp_blob_ref(struct gp_blob *blob)
{
	blob->refs++;
	return blob;
}

struct gp_blob *gp_blob_unref(struct gp_blob *blob)
{
	if (blob != NULL && --blob->refs == 0) {
		free(blob->map);
		free(blob);
	}
	return NULL;
}

/* --- both sides --- */

/* Interfaces whose hooks keep state, and what is needed to get there. */
static const char *const globals[] = {
	"wl_shm",
	"wl_compositor",
	"wp_viewporter",
	"xdg_wm_base",
	"xdg_toplevel_icon_manager_v1",
	"wl_fixes",
	"xdg_activation_v1",
	"wl_data_device_manager",
	"wl_seat",
	"zwp_linux_dmabuf_v1",
	"wp_presentation",
	"wp_commit_timing_manager_v1",
	"zwp_input_timestamps_manager_v1",
	"zwp_relative_pointer_manager_v1",
	"wp_cursor_shape_manager_v1",
	"ext_session_lock_manager_v1",
};
#define N_GLOBALS (sizeof(globals) / sizeof(globals[0]))
#define N_BOUND (N_GLOBALS - 1) /* the last is withheld */

struct fuzz {
	struct input in;
	struct br_relay *relay;
	struct hr_restore restore; /* only of the host */
	int file;
	bool own_dmabuf;	/* the host offers it itself */
	bool own_cursors;	/* the guest offers them itself */
	uint32_t pool_bytes;	/* size of the pool that was resized last */
	uint32_t next_id[2];	/* enum br_dir: ids that its sender has not used yet */
	uint32_t freed[MAX_ID]; /* the client's, by wl_display.delete_id */
	uint32_t n_freed;
	uint16_t at_server
		[MAX_ID]; /* interfaces of the client's objects there; 0: none, wl_display */
};

static void put(struct br_stream *s, const void *bytes, size_t len)
{
	(void)br_stream_write(s, bytes, len);
}

static struct br_object *find(struct fuzz *f, enum br_dir dir, uint32_t id)
{
	return dir == BR_REQUEST ? br_relay_client_object(f->relay, id)
				 : br_relay_server_object(f->relay, id);
}

/* A new id of the sender's side, as its library chooses one. */
static uint32_t new_id(struct fuzz *f, enum br_dir dir)
{
	if (dir == BR_REQUEST && f->n_freed > 0) {
		return f->freed[--f->n_freed];
	}
	uint32_t old = BR_SERVER_ID_START + take(&f->in, MAX_ID);
	if (dir == BR_EVENT && old < f->next_id[dir] && find(f, dir, old) == NULL) {
		return old;
	}
	return f->next_id[dir]++;
}

/* Some object of an interface; 0 if there is none near. */
static uint32_t some_object(struct fuzz *f, enum br_dir dir, uint16_t iface)
{
	uint32_t start = take(&f->in, MAX_ID);
	for (uint32_t i = 0; i < MAX_ID; i++) {
		uint32_t id = (start + i) % MAX_ID;
		id = id < MAX_ID / 4 ? BR_SERVER_ID_START + id : id - MAX_ID / 4 + 1;
		struct br_object *object = find(f, dir, id);
		if (object != NULL && (object->iface == iface || iface == BR_IFACE_ANY)) {
			return id;
		}
	}
	return 0;
}

static uint32_t number(struct fuzz *f)
{
	static const uint32_t usual[] = {1, 2, 4, 8, 16, 64, 256, 4096, 8192, 16384, 65536};
	uint32_t i = take(&f->in, 256);
	return i > 1 ? usual[i % 11] : take(&f->in, 256) << 24 | take(&f->in, 256);
}

/* What a number should mostly be where others end the client. i: of the argument. */
static uint32_t fitting(struct fuzz *f, const struct br_msg_desc *desc, unsigned i)
{
	static const uint32_t geometry[] = {0, 0, 16, 16, 64, 0};
	static const uint32_t plane[] = {0, 0, 0, 64, 0, 0};
	static const uint32_t image[] = {16, 16, 0x34325258 /* XR24 */, 0};
	if (take(&f->in, 32) == 0) {
		return number(f);
	}
	if (strcmp(desc->name, "create_buffer") == 0 && i < 6) {
		return geometry[i];
	}
	if (strcmp(desc->name, "add") == 0 && i < 6) {
		return plane[i];
	}
	if (strcmp(desc->name, "create") == 0 && i < 4) {
		return image[i];
	}
	if (strcmp(desc->name, "create_immed") == 0 && i > 0 && i < 5) {
		return image[i - 1];
	}
	if (strcmp(desc->name, "create_pool") == 0) {
		return 4096;
	}
	if (strcmp(desc->name, "resize") == 0) {
		f->pool_bytes += f->pool_bytes < FILE_BYTES ? 4096 : 0;
		return f->pool_bytes;
	}
	return number(f);
}

/* True if there are objects for all arguments that need one, and ids for new ones. */
static bool has_objects(struct fuzz *f, enum br_dir dir, const struct br_msg_desc *desc)
{
	const struct br_arg_desc *arg = &br_args[desc->first_arg];
	bool found = true;
	for (unsigned i = 0; i < desc->n_args && found; i++, arg++) {
		struct input rest = f->in;
		if (arg->kind == BR_ARG_OBJECT && !arg->nullable) {
			found = some_object(f, dir, arg->iface) != 0;
		} else if (arg->kind == BR_ARG_NEW_ID && dir == BR_REQUEST) {
			found = f->n_freed > 0 || f->next_id[dir] < MAX_ID;
		}
		f->in = rest;
	}
	return found;
}

/* Append the name, version and id that a bind has, or the name and version of an announcement. */
static size_t put_global(struct fuzz *f, uint32_t *words, enum br_dir dir)
{
	uint32_t i = take(&f->in, dir == BR_REQUEST ? N_BOUND : N_GLOBALS);
	uint32_t len = (uint32_t)strlen(globals[i]) + 1;
	uint16_t iface = br_iface_find(globals[i]);
	size_t n = 0;
	words[n++] = i;
	if (dir == BR_REQUEST && iface == BR_IFACE_ZWP_LINUX_DMABUF_V1 && take(&f->in, 2) == 0) {
		words[n - 1] = 0xfffffff0; /* of our own: see hooks/offer.c */
	}
	if (f->own_cursors && iface == BR_IFACE_WP_CURSOR_SHAPE_MANAGER_V1) {
		words[n - 1] = 0xfffffff1; /* see the guest's hooks/registry.c */
	}
	words[n++] = len;
	memcpy(&words[n], globals[i], len);
	n += (len + 3) / 4;
	words[n++] = iface != BR_IFACE_ANY && br_ifaces[iface].safe_version > 0
			     ? br_ifaces[iface].safe_version
			     : 1;
	if (dir == BR_REQUEST) {
		words[n++] = new_id(f, dir);
	}
	return n;
}

static size_t put_args(struct fuzz *f, enum br_dir dir, const struct br_msg_desc *desc,
		       uint32_t *words)
{
	const struct br_arg_desc *arg = &br_args[desc->first_arg];
	size_t n = 0;
	for (unsigned i = 0; i < desc->n_args; i++, arg++) {
		struct br_handle handle = {.fd = -1};
		switch (arg->kind) {
		case BR_ARG_FD:
			handle.fd = br_fd_dup(f->file);
			(void)br_stream_push_handle_take(br_relay_input(f->relay, dir), &handle);
			br_fd_clear(&handle.fd);
			break;
		case BR_ARG_NEW_ID:
			words[n++] = new_id(f, dir);
			break;
		case BR_ARG_OBJECT:
			words[n++] = some_object(f, dir, arg->iface);
			break;
		case BR_ARG_STRING:
			words[n++] = 2;
			words[n++] = 'x';
			break;
		case BR_ARG_ARRAY:
			words[n++] = 0;
			break;
		default:
			words[n++] = fitting(f, desc, i);
			break;
		}
	}
	return n;
}

/* One message of a sender; nothing if its object is not there. */
static void send(struct fuzz *f, enum br_dir dir)
{
	uint32_t words[64] = {0}, id = some_object(f, dir, BR_IFACE_ANY);
	struct br_object *object = find(f, dir, id);
	if (object == NULL) {
		return;
	}
	const struct br_iface *iface = &br_ifaces[object->iface];
	uint16_t count = dir == BR_REQUEST ? iface->n_req : iface->n_evt;
	uint16_t first = dir == BR_REQUEST ? iface->first_req : iface->first_evt;
	uint32_t opcode = count > 0 ? take(&f->in, count) : 0;
	const struct br_msg_desc *desc = &br_msgs[first + opcode];
	bool registry = object->iface == BR_IFACE_WL_REGISTRY;
	if (registry && id != 2) {
		return; /* it was shown nothing */
	}
	if (count == 0 || desc->since > object->version || (id == 1 && dir == BR_EVENT) ||
	    !has_objects(f, dir, desc)) {
		return;
	}
	size_t n = registry && opcode == 0 ? put_global(f, &words[2], dir)
					   : put_args(f, dir, desc, &words[2]);
	words[0] = id;
	words[1] = (uint32_t)(8 + n * 4) << 16 | opcode;
	put(br_relay_input(f->relay, dir), words, 8 + n * 4);
	(void)br_relay_dispatch(f->relay, dir);
}

static void delete_id(struct fuzz *f, uint32_t id)
{
	const uint32_t event[] = {1, 12 << 16 | BR_EVT_WL_DISPLAY_DELETE_ID, id};
	if (id > 1 && id < MAX_ID && f->at_server[id] != 0) {
		f->at_server[id] = 0;
		put(br_relay_input(f->relay, BR_EVENT), event, sizeof(event));
		(void)br_relay_dispatch(f->relay, BR_EVENT);
	}
}

/* The server takes a request: what it makes, and what it ends. */
static void serve(struct fuzz *f, const uint32_t *words)
{
	uint32_t at = 2, id = words[0];
	if (id >= MAX_ID || (f->at_server[id] == 0 && id != 1)) {
		return;
	}
	uint16_t index = id == 1 ? BR_IFACE_WL_DISPLAY : f->at_server[id];
	const struct br_msg_desc *desc = &br_msgs[br_ifaces[index].first_req + (words[1] & 0xffff)];
	const struct br_arg_desc *arg = &br_args[desc->first_arg];
	for (unsigned i = 0; i < desc->n_args; i++, arg++) {
		uint16_t iface = arg->iface;
		if (arg->kind == BR_ARG_NEW_ID && iface == BR_IFACE_ANY) {
			iface = br_iface_find((const char *)&words[4]);
		}
		if (arg->kind == BR_ARG_NEW_ID && words[at] < MAX_ID) {
			f->at_server[words[at]] = iface;
		}
		bool sized = arg->kind == BR_ARG_STRING || arg->kind == BR_ARG_ARRAY;
		at += arg->kind == BR_ARG_FD ? 0 : 1 + (sized ? (words[at] + 3) / 4 : 0);
	}
	/* Not always at once. */
	if (desc->flags & BR_MSG_DESTRUCTOR && take(&f->in, 4) != 0) {
		delete_id(f, id);
	}
}

static void drop_handles(struct br_stream *s)
{
	struct br_handle handle;
	while (br_stream_pop_handle(s, &handle)) {
		br_fd_clear(&handle.fd);
	}
}

/* Both ends take all; a queue that is empty lets go of what messages named. */
static void deliver(struct fuzz *f, struct gp_state *state)
{
	for (int dir = 0; dir < 2; dir++) {
		struct br_stream *out = br_relay_output(f->relay, dir);
		while (!br_stream_empty(out)) {
			static uint32_t words[16384];
			memcpy(words, br_stream_peek(out), 8);
			memcpy(words, br_stream_peek(out), words[1] >> 16);
			br_stream_consume(out, words[1] >> 16);
			if (dir == BR_REQUEST) {
				serve(f, words);
			} else if (words[0] == 1 && (words[1] & 0xffff) == 1 &&
				   f->n_freed < MAX_ID) {
				f->freed[f->n_freed++] = words[2];
			}
		}
		drop_handles(out);
	}
	gp_state_release_retired(state);
}

/* The host tells what time it is: near the truth, far off, or not at all. */
static void tell_time(struct fuzz *f, int err)
{
	struct gp_clock_sample sample = {.clock_id = asked.id};
	gp_clock_done done = asked.done;
	if (done == NULL) {
		return;
	}
	asked.done = NULL;
	sample.sent_ns = (int64_t)((uint64_t)take(&f->in, 256) << take(&f->in, 64));
	sample.received_ns = (int64_t)((uint64_t)sample.sent_ns + take(&f->in, 256) * 1000000);
	sample.host_ns = (uint64_t)take(&f->in, 256) << take(&f->in, 64);
	done(asked.data, err, err < 0 ? NULL : &sample);
}

/* An announcement of one of the globals, by the server whose registry has that id. */
static void announce(struct fuzz *f, uint32_t registry, uint8_t which)
{
	/* What put_global() asks for. */
	const uint8_t decisions[] = {which};
	struct input rest = f->in;
	uint32_t words[64] = {registry};
	f->in = (struct input){decisions, decisions + 1};
	size_t n = put_global(f, &words[2], BR_EVENT);
	f->in = rest;
	words[1] = (uint32_t)(8 + n * 4) << 16;
	put(br_relay_input(f->relay, BR_EVENT), words, 8 + n * 4);
	(void)br_relay_dispatch(f->relay, BR_EVENT);
}

/* The server goes, and there is another one, which lacks a global now and then. */
static void change_server(struct fuzz *f, struct gp_state *state)
{
	uint32_t without = take(&f->in, 32);
	memset(f->at_server, 0, sizeof(f->at_server));
	f->next_id[BR_EVENT] = BR_SERVER_ID_START;
	hr_restore_lose(&f->restore);
	hr_restore_begin(&f->restore);
	deliver(f, state);
	for (uint32_t id = 2; id < MAX_ID; id++) {
		uint16_t iface = f->at_server[id];
		for (uint8_t i = 0; iface == BR_IFACE_WL_REGISTRY && i < N_GLOBALS; i++) {
			if (i != without) {
				announce(f, id, i);
			}
		}
		if (iface == BR_IFACE_WL_CALLBACK) {
			const uint32_t done[] = {id, 12 << 16 | BR_EVT_WL_CALLBACK_DONE, 0};
			put(br_relay_input(f->relay, BR_EVENT), done, sizeof(done));
			(void)br_relay_dispatch(f->relay, BR_EVENT);
		}
	}
}

static void step(struct fuzz *f, struct gp_state *state)
{
	switch (take(&f->in, 12)) {
	case 0:
		deliver(f, state);
		break;
	case 1: /* also of objects that nobody ended */
		delete_id(f, take(&f->in, 2) == 0 ? take(&f->in, MAX_ID) : 0);
		break;
	case 2:
		alloc_later = take(&f->in, 2);
		finish_alloc(take(&f->in, 8) == 0 ? -ENOSPC : 0);
		tell_time(f, take(&f->in, 16) == 0 ? -ENODATA : 0);
		br_relay_resume(f->relay, BR_REQUEST);
		br_relay_resume(f->relay, BR_EVENT);
		(void)br_relay_dispatch(f->relay, BR_REQUEST);
		(void)br_relay_dispatch(f->relay, BR_EVENT);
		if (f->restore.relay != NULL && take(&f->in, 4) == 1) {
			change_server(f, state);
		}
		break;
	case 3:
	case 4:
	case 5:
		send(f, BR_EVENT);
		break;
	default:
		send(f, BR_REQUEST);
		break;
	}
}

/* A registry, what it announces, and one of each. */
static void begin(struct fuzz *f)
{
	f->pool_bytes = 4096;
	f->next_id[BR_REQUEST] = 3;
	f->next_id[BR_EVENT] = BR_SERVER_ID_START;
	const uint32_t get_registry[] = {1, 12 << 16 | BR_REQ_WL_DISPLAY_GET_REGISTRY, 2};
	put(br_relay_input(f->relay, BR_REQUEST), get_registry, sizeof(get_registry));
	(void)br_relay_dispatch(f->relay, BR_REQUEST);
	for (int dir = 1; dir >= 0; dir--) {
		for (uint8_t i = 0; i < (dir == BR_REQUEST ? N_BOUND : N_GLOBALS); i++) {
			if (dir == BR_EVENT && f->own_cursors &&
			    strcmp(globals[i], "wp_cursor_shape_manager_v1") == 0) {
				continue;
			}
			/* What put_global() asks for: which one, and which id. */
			const uint8_t decisions[] = {i, f->own_dmabuf ? 0 : MAX_ID - 1};
			struct input rest = f->in;
			uint32_t words[64] = {2};
			f->in = (struct input){decisions, decisions + 2};
			size_t n = put_global(f, &words[2], dir);
			f->in = rest;
			words[1] = (uint32_t)(8 + n * 4) << 16;
			put(br_relay_input(f->relay, dir), words, 8 + n * 4);
			(void)br_relay_dispatch(f->relay, dir);
		}
		if (dir == BR_EVENT && (f->own_dmabuf || f->own_cursors)) {
			/* That was all: the hooks have asked. */
			const uint32_t done[] = {3, 12 << 16 | BR_EVT_WL_CALLBACK_DONE, 0};
			put(br_relay_input(f->relay, dir), done, sizeof(done));
			(void)br_relay_dispatch(f->relay, BR_EVENT);
		}
	}
}

static struct br_relay *woken;

static void wake_host(struct hr_hook_state *state)
{
	(void)state;
	if (woken != NULL) {
		br_relay_resume(woken, BR_REQUEST);
	}
}

/* host: NULL if the hooks are the guest's. */
static void run(struct fuzz *f, const struct br_relay_config *config, struct gp_state *state,
		struct hr_hook_state *host)
{
	f->relay = br_relay_create(config);
	br_relay_output(f->relay, BR_REQUEST)->takes_resources = true;
	if (f->relay == NULL) {
		abort();
	}
	woken = f->relay;
	if (host != NULL) {
		hr_restore_init(&f->restore, f->relay, host, wake_host);
	}
	begin(f);
	while (f->in.at < f->in.end && !br_relay_failed(f->relay)) {
		step(f, state);
	}
	woken = NULL;
	hr_restore_finish(&f->restore);
	br_relay_destroy(f->relay);
	state->channel = NULL; /* nothing more can be asked */
	finish_alloc(-ECANCELED);
	tell_time(f, -ECANCELED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hr_policy *policy;
	static struct gp_cursor_themes *themes;
	struct fuzz f = {.in = {data, data + size}};
	struct gp_stats stats = {0};
	struct gp_state guest;
	uint32_t mode = take(&f.in, 6);
	bool of_host = mode >= 2 && mode < 5;
	if (policy == NULL) {
		policy = hr_policy_create("vm");
		themes = gp_cursor_themes_create();
	}
	struct hr_host shared = {.present =
					 of_host ? (enum hr_present)(mode - 2) : HR_PRESENT_AUTO};
	struct hr_hook_state host;
	hr_hook_state_init(&host, &shared);
	host.policy = policy;
	host.wake = wake_host;
	f.file = memfd_create("fuzz", MFD_CLOEXEC);
	if (f.file < 0 || ftruncate(f.file, FILE_BYTES) < 0) {
		abort();
	}
	f.own_dmabuf = mode == 2 + HR_PRESENT_SHM;
	alloc_later = false;
	gp_state_init(&guest, mode == 1 || mode == 5, &stats);
	f.own_cursors = mode == 5 && themes != NULL;
	guest.cursor_themes = f.own_cursors ? themes : NULL;
	guest.channel = (struct gp_channel *)&stats; /* only its address counts */
	static const struct br_relay_ops ops = {.passes = hr_restore_passes};
	const struct br_relay_config config = {
		.hooks = of_host ? hr_hooks : gp_hooks,
		.ops = of_host ? &ops : NULL,
		.data = of_host ? (void *)&host : &guest,
	};
	run(&f, &config, &guest, of_host ? &host : NULL);
	guest.channel = NULL;
	gp_state_finish(&guest);
	hr_hook_state_finish(&host);
	close(f.file);
	return 0;
}
