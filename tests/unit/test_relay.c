/* SPDX-License-Identifier: MIT
 *
 * The relay between a client and a server that both only exist as bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "br-hook-args.h"
#include "fd.h"
#include "limits.h"
#include "relay.h"
#include "test.h"

#define SERVER_IDS 0xff000000u

/** A message under construction. */
struct wire {
	uint32_t words[64];
	unsigned count;
};

static void put(struct wire *w, uint32_t word)
{
	w->words[w->count++] = word;
}

static void put_string(struct wire *w, const char *text)
{
	uint32_t len = (uint32_t)strlen(text) + 1;
	put(w, len);
	memset(&w->words[w->count], 0, (len + 3) & ~3u);
	memcpy(&w->words[w->count], text, len);
	w->count += (len + 3) / 4;
}

static struct wire begin(uint32_t object, uint16_t opcode)
{
	return (struct wire){.words = {object, opcode}, .count = 2};
}

static void feed(struct br_relay *relay, enum br_dir dir, struct wire *w)
{
	w->words[1] |= w->count * 4 << 16;
	CHECK_INT(br_stream_write(br_relay_input(relay, dir), w->words, w->count * 4), 0);
}

static int pass(struct br_relay *relay, enum br_dir dir, struct wire *w)
{
	feed(relay, dir, w);
	return br_relay_dispatch(relay, dir);
}

/* Take the next message from an output; returns its opcode. words gets all of it. */
static int take(struct br_relay *relay, enum br_dir dir, uint32_t words[64])
{
	struct br_stream *out = br_relay_output(relay, dir);
	CHECK(br_stream_bytes(out) >= 8);
	memcpy(words, br_stream_peek(out), 8);
	size_t size = words[1] >> 16;
	CHECK(size <= 256 && size <= br_stream_bytes(out));
	memcpy(words, br_stream_peek(out), size);
	br_stream_consume(out, size);
	return words[1] & 0xffff;
}

static unsigned failures;

static void count_failure(struct br_relay *relay, const char *text)
{
	(void)relay;
	(void)text;
	failures++;
}

static const struct br_relay_ops ops = {.failed = count_failure};

static struct br_relay *new_relay(const br_hook_fn *hooks)
{
	struct br_relay_config config = {.hooks = hooks, .ops = &ops, .client_number = 1};
	struct br_relay *relay = br_relay_create(&config);
	CHECK(relay != NULL);
	failures = 0;
	return relay;
}

/* registry 2, compositor bound as client id `id`; outputs drained. */
static void bind_global(struct br_relay *relay, const char *name, uint32_t version, uint32_t id)
{
	uint32_t words[64];
	if (br_relay_client_object(relay, 2) == NULL) {
		struct wire registry = begin(1, BR_REQ_WL_DISPLAY_GET_REGISTRY);
		put(&registry, 2);
		CHECK_INT(pass(relay, BR_REQUEST, &registry), 0);
		take(relay, BR_REQUEST, words);
	}
	struct wire bind = begin(2, BR_REQ_WL_REGISTRY_BIND);
	put(&bind, 1);
	put_string(&bind, name);
	put(&bind, version);
	put(&bind, id);
	CHECK_INT(pass(relay, BR_REQUEST, &bind), 0);
	CHECK_INT(take(relay, BR_REQUEST, words), BR_REQ_WL_REGISTRY_BIND);
}

/* The client must have got wl_display.error on an object, with this code. */
static void expect_error_on(struct br_relay *relay, uint32_t object, uint32_t code)
{
	uint32_t words[64];
	CHECK_INT(take(relay, BR_EVENT, words), BR_EVT_WL_DISPLAY_ERROR);
	CHECK_INT(words[2], object);
	CHECK_INT(words[3], code);
	CHECK_INT(failures, 1);
	CHECK(br_relay_failed(relay));
}

static void expect_error(struct br_relay *relay, uint32_t code)
{
	expect_error_on(relay, 1, code);
}

/* Counts the events of objects that only the server has; keeps offers. */
static unsigned own_events, own_destroyed;
static bool keep_offers;
static struct br_object *last_offer;

static void count_own_destroy(struct br_relay *relay, struct br_object *object)
{
	(void)relay;
	(void)object;
	own_destroyed++;
}

static void own_event(struct br_relay *relay, struct br_object *object, struct br_msg *msg)
{
	(void)relay;
	own_events++;
	if (object->iface == BR_IFACE_WL_DATA_DEVICE && keep_offers) {
		last_offer = msg->args[0].object;
		last_offer->event = own_event;
		last_offer->destroy = count_own_destroy;
	}
}

static void offer_from_server(struct br_relay *relay, uint32_t device, uint32_t id)
{
	struct wire made = begin(device, BR_EVT_WL_DATA_DEVICE_DATA_OFFER);
	put(&made, id);
	CHECK_INT(pass(relay, BR_EVENT, &made), 0);
	struct wire mime = begin(id, BR_EVT_WL_DATA_OFFER_OFFER);
	put_string(&mime, "text/plain");
	CHECK_INT(pass(relay, BR_EVENT, &mime), 0);
}

TEST(servers_objects_are_kept_by_those_who_want_them)
{
	uint32_t words[64];
	struct br_relay *relay = new_relay(NULL);
	bind_global(relay, "wl_data_device_manager", 3, 3);
	bind_global(relay, "wl_seat", 1, 4);
	struct br_object *device = br_relay_create_server_object(relay, BR_IFACE_WL_DATA_DEVICE, 3);
	const union br_arg args[] = {{.object = device},
				     {.object = br_relay_client_object(relay, 4)}};
	device->event = own_event;
	CHECK_INT(br_relay_send(relay, BR_REQUEST, br_relay_client_object(relay, 3),
				BR_REQ_WL_DATA_DEVICE_MANAGER_GET_DATA_DEVICE, args, NULL),
		  0);
	take(relay, BR_REQUEST, words);
	/* Nobody wants it: what it says is dropped, and its id can come again. */
	own_events = own_destroyed = 0;
	keep_offers = false;
	offer_from_server(relay, device->server_id, SERVER_IDS);
	CHECK_INT(own_events, 1);
	for (unsigned i = 0; i < 3; i++) {
		own_events = own_destroyed = 0;
		keep_offers = true;
		offer_from_server(relay, device->server_id, SERVER_IDS);
		CHECK_INT(own_events, 2);
		CHECK_INT(last_offer->server_id, SERVER_IDS);
		CHECK_INT(br_relay_send(relay, BR_REQUEST, last_offer, BR_REQ_WL_DATA_OFFER_DESTROY,
					NULL, NULL),
			  0);
		CHECK_INT(take(relay, BR_REQUEST, words), BR_REQ_WL_DATA_OFFER_DESTROY);
		CHECK_INT(words[0], SERVER_IDS);
		CHECK_INT(own_destroyed, 1);
	}
	CHECK_INT(br_stream_bytes(br_relay_output(relay, BR_EVENT)), 0);
	br_relay_destroy(relay);
}

TEST(ids_are_mapped_and_used_again)
{
	uint32_t words[64];
	struct br_relay *relay = new_relay(NULL);
	for (unsigned i = 0; i < 3; i++) {
		struct wire sync = begin(1, BR_REQ_WL_DISPLAY_SYNC);
		put(&sync, 2);
		CHECK_INT(pass(relay, BR_REQUEST, &sync), 0);
		CHECK_INT(take(relay, BR_REQUEST, words), BR_REQ_WL_DISPLAY_SYNC);
		CHECK_INT(words[2], 2);
		struct wire done = begin(2, BR_EVT_WL_CALLBACK_DONE);
		put(&done, 77);
		CHECK_INT(pass(relay, BR_EVENT, &done), 0);
		struct wire deleted = begin(1, BR_EVT_WL_DISPLAY_DELETE_ID);
		put(&deleted, 2);
		CHECK_INT(pass(relay, BR_EVENT, &deleted), 0);
		CHECK_INT(take(relay, BR_EVENT, words), BR_EVT_WL_CALLBACK_DONE);
		CHECK_INT(words[2], 77);
		CHECK_INT(take(relay, BR_EVENT, words), BR_EVT_WL_DISPLAY_DELETE_ID);
		CHECK_INT(words[2], 2);
	}
	br_relay_destroy(relay);
}

TEST(bad_requests_end_the_client)
{
	static const struct {
		uint32_t words[6];
		unsigned count;
		uint32_t code;
	} cases[] = {
		{{9, 0}, 2, 0},		    /* unknown object */
		{{1, 77}, 2, 1},	    /* unknown opcode */
		{{1, 0}, 2, 1},		    /* argument missing */
		{{1, 0, 2, 0}, 4, 1},	    /* argument too many */
		{{1, 0, 1}, 3, 1},	    /* id in use */
		{{1, 0, 0}, 3, 1},	    /* id 0 */
		{{1, 0, 3}, 3, 1},	    /* id not dense */
		{{1, 0, SERVER_IDS}, 3, 1}, /* id of the server's range */
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct br_relay *relay = new_relay(NULL);
		struct wire w = {.count = cases[i].count};
		memcpy(w.words, cases[i].words, sizeof(cases[i].words));
		CHECK_INT(pass(relay, BR_REQUEST, &w), -EPROTO);
		expect_error(relay, cases[i].code);
		CHECK_INT(br_relay_dispatch(relay, BR_REQUEST), -EPROTO);
		CHECK(br_stream_empty(br_relay_output(relay, BR_REQUEST)));
		br_relay_destroy(relay);
	}
}

TEST(sizes_in_headers_are_checked)
{
	static const uint32_t sizes[] = {0, 4, 7, 9, 13};
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct br_relay *relay = new_relay(NULL);
		const uint32_t words[4] = {1, sizes[i] << 16, 2, 0};
		CHECK_INT(br_stream_write(br_relay_input(relay, BR_REQUEST), words, 16), 0);
		CHECK_INT(br_relay_dispatch(relay, BR_REQUEST), -EPROTO);
		expect_error(relay, 1);
		br_relay_destroy(relay);
	}
}

TEST(strings_and_types_are_checked)
{
	struct br_relay *relay = new_relay(NULL);
	bind_global(relay, "wl_compositor", 4, 3);
	struct wire surface = begin(3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
	put(&surface, 4);
	CHECK_INT(pass(relay, BR_REQUEST, &surface), 0);
	/* the compositor is no wl_buffer */
	struct wire attach = begin(4, BR_REQ_WL_SURFACE_ATTACH);
	put(&attach, 3);
	put(&attach, 0);
	put(&attach, 0);
	CHECK_INT(pass(relay, BR_REQUEST, &attach), -EPROTO);
	expect_error(relay, 1);
	br_relay_destroy(relay);

	relay = new_relay(NULL);
	struct wire registry = begin(1, BR_REQ_WL_DISPLAY_GET_REGISTRY);
	put(&registry, 2);
	CHECK_INT(pass(relay, BR_REQUEST, &registry), 0);
	struct wire bind = begin(2, BR_REQ_WL_REGISTRY_BIND);
	put(&bind, 1);
	put(&bind, 4);
	put(&bind, 0x41414141); /* no NUL */
	put(&bind, 1);
	put(&bind, 3);
	CHECK_INT(pass(relay, BR_REQUEST, &bind), -EPROTO);
	expect_error(relay, 1);
	br_relay_destroy(relay);

	relay = new_relay(NULL);
	CHECK_INT(pass(relay, BR_REQUEST,
		       (registry = begin(1, BR_REQ_WL_DISPLAY_GET_REGISTRY), put(&registry, 2),
			&registry)),
		  0);
	bind = begin(2, BR_REQ_WL_REGISTRY_BIND);
	put(&bind, 1);
	put(&bind, 0xfffffffd); /* its padded length wraps in 32 bits */
	CHECK_INT(pass(relay, BR_REQUEST, &bind), -EPROTO);
	expect_error(relay, 1);
	br_relay_destroy(relay);
}

TEST(requests_newer_than_the_bound_version_are_refused)
{
	struct br_relay *relay = new_relay(NULL);
	bind_global(relay, "wl_compositor", 3, 3);
	struct wire surface = begin(3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
	put(&surface, 4);
	CHECK_INT(pass(relay, BR_REQUEST, &surface), 0);
	struct wire damage = begin(4, BR_REQ_WL_SURFACE_DAMAGE_BUFFER);
	for (unsigned i = 0; i < 4; i++) {
		put(&damage, 1);
	}
	CHECK_INT(pass(relay, BR_REQUEST, &damage), -EPROTO);
	expect_error(relay, 1);
	br_relay_destroy(relay);
}

TEST(destroyed_objects_are_dead_to_their_client)
{
	uint32_t words[64];
	struct br_relay *relay = new_relay(NULL);
	bind_global(relay, "wl_compositor", 4, 3);
	struct wire surface = begin(3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
	put(&surface, 4);
	CHECK_INT(pass(relay, BR_REQUEST, &surface), 0);
	struct wire destroy = begin(4, BR_REQ_WL_SURFACE_DESTROY);
	CHECK_INT(pass(relay, BR_REQUEST, &destroy), 0);
	/* An event that was on its way is dropped; the server may still send it. */
	struct wire enter = begin(4, BR_EVT_WL_SURFACE_ENTER);
	put(&enter, 3);
	enter.words[2] = 0;
	struct wire scale = begin(4, BR_EVT_WL_SURFACE_PREFERRED_BUFFER_SCALE);
	put(&scale, 2);
	(void)scale;
	struct wire commit = begin(4, BR_REQ_WL_SURFACE_COMMIT);
	CHECK_INT(pass(relay, BR_REQUEST, &commit), -EPROTO);
	CHECK_INT(take(relay, BR_REQUEST, words), BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
	CHECK_INT(take(relay, BR_REQUEST, words), BR_REQ_WL_SURFACE_DESTROY);
	CHECK(br_stream_empty(br_relay_output(relay, BR_REQUEST)));
	expect_error(relay, 0);
	br_relay_destroy(relay);
}

/* Announce a data offer with the server's id on data device 5. */
static void announce_offer(struct br_relay *relay, uint32_t server_id)
{
	struct wire offer = begin(5, BR_EVT_WL_DATA_DEVICE_DATA_OFFER);
	put(&offer, server_id);
	CHECK_INT(pass(relay, BR_EVENT, &offer), 0);
}

TEST(server_ids_come_back)
{
	uint32_t words[64];
	struct br_relay *relay = new_relay(NULL);
	bind_global(relay, "wl_seat", 5, 3);
	bind_global(relay, "wl_data_device_manager", 3, 4);
	struct wire device = begin(4, BR_REQ_WL_DATA_DEVICE_MANAGER_GET_DATA_DEVICE);
	put(&device, 5);
	put(&device, 3);
	CHECK_INT(pass(relay, BR_REQUEST, &device), 0);
	for (unsigned i = 0; i < 5; i++) {
		announce_offer(relay, SERVER_IDS);
		CHECK_INT(take(relay, BR_EVENT, words), BR_EVT_WL_DATA_DEVICE_DATA_OFFER);
		CHECK_INT(words[2], SERVER_IDS);
		struct wire destroy = begin(SERVER_IDS, BR_REQ_WL_DATA_OFFER_DESTROY);
		CHECK_INT(pass(relay, BR_REQUEST, &destroy), 0);
		/* An event to the dead offer, already on its way, goes nowhere. */
		struct wire type = begin(SERVER_IDS, BR_EVT_WL_DATA_OFFER_OFFER);
		put_string(&type, "text/plain");
		CHECK_INT(pass(relay, BR_EVENT, &type), 0);
		CHECK(br_stream_empty(br_relay_output(relay, BR_EVENT)));
	}
	/* A selection that names a dead offer becomes one of nothing. */
	struct wire selection = begin(5, BR_EVT_WL_DATA_DEVICE_SELECTION);
	put(&selection, SERVER_IDS);
	CHECK_INT(pass(relay, BR_EVENT, &selection), 0);
	CHECK_INT(take(relay, BR_EVENT, words), BR_EVT_WL_DATA_DEVICE_SELECTION);
	CHECK_INT(words[2], 0);
	br_relay_destroy(relay);
}

TEST(a_dead_object_is_not_replaced_by_its_own_event)
{
	struct br_relay *relay = new_relay(NULL);
	bind_global(relay, "wl_seat", 5, 3);
	bind_global(relay, "zwp_tablet_manager_v2", 1, 4);
	struct wire seat = begin(4, BR_REQ_ZWP_TABLET_MANAGER_V2_GET_TABLET_SEAT);
	put(&seat, 5);
	put(&seat, 3);
	CHECK_INT(pass(relay, BR_REQUEST, &seat), 0);
	struct wire pad = begin(5, BR_EVT_ZWP_TABLET_SEAT_V2_PAD_ADDED);
	put(&pad, SERVER_IDS);
	CHECK_INT(pass(relay, BR_EVENT, &pad), 0);
	struct wire destroy = begin(SERVER_IDS, BR_REQ_ZWP_TABLET_PAD_V2_DESTROY);
	CHECK_INT(pass(relay, BR_REQUEST, &destroy), 0);
	br_stream_consume(br_relay_output(relay, BR_EVENT),
			  br_stream_bytes(br_relay_output(relay, BR_EVENT)));
	struct wire group = begin(SERVER_IDS, BR_EVT_ZWP_TABLET_PAD_V2_GROUP);
	put(&group, SERVER_IDS);
	CHECK_INT(pass(relay, BR_EVENT, &group), -EPROTO);
	expect_error(relay, 3);
	br_relay_destroy(relay);
}

static enum br_verdict drop(struct br_relay *relay, struct br_msg *msg)
{
	(void)relay;
	(void)msg;
	return BR_DROP;
}

TEST(objects_of_dropped_requests_are_inert)
{
	uint32_t words[64];
	br_hook_fn hooks[BR_HOOK_COUNT] = {[BR_HOOK_WP_VIEWPORTER_GET_VIEWPORT] = drop};
	struct br_relay *relay = new_relay(hooks);
	bind_global(relay, "wl_compositor", 4, 3);
	bind_global(relay, "wp_viewporter", 1, 4);
	struct wire surface = begin(3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
	put(&surface, 5);
	CHECK_INT(pass(relay, BR_REQUEST, &surface), 0);
	take(relay, BR_REQUEST, words);
	struct wire viewport = begin(4, BR_REQ_WP_VIEWPORTER_GET_VIEWPORT);
	put(&viewport, 6);
	put(&viewport, 5);
	CHECK_INT(pass(relay, BR_REQUEST, &viewport), 0);
	struct wire destination = begin(6, BR_REQ_WP_VIEWPORT_SET_DESTINATION);
	put(&destination, 1);
	put(&destination, 1);
	CHECK_INT(pass(relay, BR_REQUEST, &destination), 0);
	struct wire destroy = begin(6, BR_REQ_WP_VIEWPORT_DESTROY);
	CHECK_INT(pass(relay, BR_REQUEST, &destroy), 0);
	CHECK(br_stream_empty(br_relay_output(relay, BR_REQUEST)));
	CHECK_INT(take(relay, BR_EVENT, words), BR_EVT_WL_DISPLAY_DELETE_ID);
	CHECK_INT(words[2], 6);
	/* The server never saw id 6: its ids stay dense. */
	struct wire next = begin(3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
	put(&next, 6);
	CHECK_INT(pass(relay, BR_REQUEST, &next), 0);
	CHECK_INT(take(relay, BR_REQUEST, words), BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
	CHECK_INT(words[2], 6);
	br_relay_destroy(relay);
}

static bool ready;

static enum br_verdict wait_until_ready(struct br_relay *relay, struct br_msg *msg)
{
	(void)relay;
	CHECK(msg->handles[0].fd >= 0);
	return ready ? BR_FORWARD : BR_AGAIN;
}

TEST(a_message_put_back_keeps_its_fd)
{
	uint32_t words[64];
	br_hook_fn hooks[BR_HOOK_COUNT] = {[BR_HOOK_WL_SHM_CREATE_POOL] = wait_until_ready};
	struct br_relay *relay = new_relay(hooks);
	ready = false;
	bind_global(relay, "wl_shm", 1, 3);
	struct br_handle handle = {.fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
	CHECK(handle.fd >= 0);
	CHECK_INT(br_stream_push_handle_take(br_relay_input(relay, BR_REQUEST), &handle), 0);
	CHECK_INT(handle.fd, -1);
	struct wire pool = begin(3, BR_REQ_WL_SHM_CREATE_POOL);
	put(&pool, 4);
	put(&pool, 4096);
	CHECK_INT(pass(relay, BR_REQUEST, &pool), 0);
	CHECK_INT(br_relay_dispatch(relay, BR_REQUEST), 0);
	CHECK(br_stream_empty(br_relay_output(relay, BR_REQUEST)));
	ready = true;
	br_relay_resume(relay, BR_REQUEST);
	CHECK_INT(br_relay_dispatch(relay, BR_REQUEST), 0);
	CHECK_INT(take(relay, BR_REQUEST, words), BR_REQ_WL_SHM_CREATE_POOL);
	CHECK(br_stream_pop_handle(br_relay_output(relay, BR_REQUEST), &handle));
	CHECK_INT(handle.kind, BR_FD_SHM);
	br_fd_clear(&handle.fd);
	br_relay_destroy(relay);
}

TEST(a_missing_fd_is_an_error)
{
	struct br_relay *relay = new_relay(NULL);
	bind_global(relay, "wl_shm", 1, 3);
	struct wire pool = begin(3, BR_REQ_WL_SHM_CREATE_POOL);
	put(&pool, 4);
	put(&pool, 4096);
	CHECK_INT(pass(relay, BR_REQUEST, &pool), -EPROTO);
	expect_error(relay, 1);
	br_relay_destroy(relay);
}

TEST(a_peer_that_does_not_read_stops_the_other)
{
	struct br_relay *relay = new_relay(NULL);
	struct br_stream *out = br_relay_output(relay, BR_EVENT);
	bind_global(relay, "wl_seat", 5, 3);
	unsigned fed = 0;
	while (!br_relay_congested(relay, BR_EVENT)) {
		struct wire name = begin(3, BR_EVT_WL_SEAT_NAME);
		put_string(&name, "a seat with a name of some length");
		CHECK_INT(pass(relay, BR_EVENT, &name), 0);
		CHECK(++fed < 100000);
	}
	size_t before = br_stream_bytes(out);
	struct wire name = begin(3, BR_EVT_WL_SEAT_NAME);
	put_string(&name, "x");
	CHECK_INT(pass(relay, BR_EVENT, &name), 0);
	CHECK_INT(br_stream_bytes(out), before);
	br_stream_consume(out, before);
	CHECK_INT(br_relay_dispatch(relay, BR_EVENT), 0);
	CHECK_INT(br_stream_bytes(out), 16);
	br_relay_destroy(relay);
}

TEST(a_bad_server_costs_only_its_client)
{
	struct br_relay *relay = new_relay(NULL);
	struct wire done = begin(9, BR_EVT_WL_CALLBACK_DONE);
	put(&done, 1);
	CHECK_INT(pass(relay, BR_EVENT, &done), -EPROTO);
	expect_error(relay, 3);
	br_relay_destroy(relay);

	relay = new_relay(NULL);
	struct wire deleted = begin(1, BR_EVT_WL_DISPLAY_DELETE_ID);
	put(&deleted, 1);
	CHECK_INT(pass(relay, BR_EVENT, &deleted), -EPROTO);
	expect_error(relay, 3);
	br_relay_destroy(relay);
}

TEST(errors_of_the_server_name_the_clients_object)
{
	uint32_t words[64];
	br_hook_fn hooks[BR_HOOK_COUNT] = {[BR_HOOK_WP_VIEWPORTER_GET_VIEWPORT] = drop};
	struct br_relay *relay = new_relay(hooks);
	bind_global(relay, "wl_compositor", 4, 3);
	bind_global(relay, "wp_viewporter", 1, 4);
	struct wire surface = begin(3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
	put(&surface, 5);
	CHECK_INT(pass(relay, BR_REQUEST, &surface), 0);
	struct wire viewport = begin(4, BR_REQ_WP_VIEWPORTER_GET_VIEWPORT);
	put(&viewport, 6);
	put(&viewport, 5);
	CHECK_INT(pass(relay, BR_REQUEST, &viewport), 0);
	struct wire second = begin(3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
	put(&second, 7); /* 6 on the server's side */
	CHECK_INT(pass(relay, BR_REQUEST, &second), 0);
	struct wire error = begin(1, BR_EVT_WL_DISPLAY_ERROR);
	put(&error, 6);
	put(&error, 42);
	put_string(&error, "no");
	CHECK_INT(pass(relay, BR_EVENT, &error), -EPROTO);
	CHECK_INT(take(relay, BR_EVENT, words), BR_EVT_WL_DISPLAY_ERROR);
	CHECK_INT(words[2], 7);
	CHECK_INT(words[3], 42);
	CHECK_INT(failures, 0);
	br_relay_destroy(relay);
}

TEST(hidden_interfaces_cannot_be_bound)
{
	struct br_relay *relay = new_relay(NULL);
	struct wire registry = begin(1, BR_REQ_WL_DISPLAY_GET_REGISTRY);
	put(&registry, 2);
	CHECK_INT(pass(relay, BR_REQUEST, &registry), 0);
	struct wire bind = begin(2, BR_REQ_WL_REGISTRY_BIND);
	put(&bind, 1);
	put_string(&bind, "wp_drm_lease_device_v1");
	put(&bind, 1);
	put(&bind, 3);
	CHECK_INT(pass(relay, BR_REQUEST, &bind), -EPROTO);
	expect_error_on(relay, 2, 0);
	br_relay_destroy(relay);
}

static unsigned destroyed;

static void count_destroy(struct br_relay *relay, struct br_object *object)
{
	(void)relay;
	(void)object;
	destroyed++;
}

TEST(objects_end_once)
{
	struct br_relay *relay = new_relay(NULL);
	destroyed = 0;
	bind_global(relay, "wl_compositor", 4, 3);
	for (uint32_t id = 4; id < 6; id++) {
		struct wire surface = begin(3, BR_REQ_WL_COMPOSITOR_CREATE_SURFACE);
		put(&surface, id);
		CHECK_INT(pass(relay, BR_REQUEST, &surface), 0);
		br_relay_client_object(relay, id)->destroy = count_destroy;
	}
	struct wire destroy = begin(4, BR_REQ_WL_SURFACE_DESTROY);
	CHECK_INT(pass(relay, BR_REQUEST, &destroy), 0);
	CHECK_INT(destroyed, 1);
	struct wire deleted = begin(1, BR_EVT_WL_DISPLAY_DELETE_ID);
	put(&deleted, 4);
	CHECK_INT(pass(relay, BR_EVENT, &deleted), 0);
	CHECK_INT(destroyed, 1);
	br_relay_destroy(relay);
	CHECK_INT(destroyed, 2);
}
