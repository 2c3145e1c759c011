/* SPDX-License-Identifier: MIT */
#include "xw_rig.h"

#include <fcntl.h>
#include <wayland-server-core.h>

#include "client.h"
#include "xwayland/window.h"

/* --- what the window manager has --- */

static struct xw_window window = {.id = X_PROGRAM, .x = 100, .y = 200};

struct xw_window *xw_window_by_id(struct xw_wm *wm, xcb_window_t id)
{
	(void)wm;
	return id == window.id ? &window : NULL;
}

struct xw_window *xw_window_by_surface(struct xw_wm *wm, const struct br_object *surface)
{
	(void)wm;
	return surface != NULL ? &window : NULL;
}

void xw_window_place(struct xw_wm *wm, const struct xw_window *w, int32_t x, int32_t y,
		     int32_t *ret_x, int32_t *ret_y)
{
	(void)wm;
	*ret_x = w->x + x;
	*ret_y = w->y + y;
}

void xw_wm_flush(struct xw_wm *wm)
{
	(void)wm;
}

void gp_client_run(struct br_relay *relay)
{
	(void)relay;
}

uint32_t xw_wm_serial(const struct xw_wm *wm)
{
	(void)wm;
	return 77;
}

uint32_t xw_wm_event_mask(struct xw_wm *wm, xcb_window_t id)
{
	(void)wm;
	return id == X_PROGRAM ? XCB_EVENT_MASK_FOCUS_CHANGE : 0;
}

static const char *const atom_names[] = {
#define NAME(name, text) text,
	XW_ATOMS(NAME)
#undef NAME
};

/* --- the rig --- */

struct xw_rig rig;

struct wire begin(uint32_t object, uint16_t opcode)
{
	return (struct wire){.words = {object, opcode}, .count = 2};
}

void put(struct wire *w, uint32_t word)
{
	w->words[w->count++] = word;
}

void put_string(struct wire *w, const char *text)
{
	uint32_t len = (uint32_t)strlen(text) + 1;
	put(w, len);
	memcpy(&w->words[w->count], text, len);
	w->count += (len + 3) / 4;
}

void pass(struct wire *w)
{
	w->words[1] |= w->count * 4 << 16;
	CHECK_INT(br_stream_write(br_relay_input(rig.wm.relay, BR_EVENT), w->words, w->count * 4),
		  0);
	CHECK_INT(br_relay_dispatch(rig.wm.relay, BR_EVENT), 0);
}

/* The next request to the compositor; returns its object. */
uint32_t take(uint16_t opcode)
{
	struct br_stream *out = br_relay_output(rig.wm.relay, BR_REQUEST);
	struct br_handle handle;
	CHECK(br_stream_bytes(out) >= 8);
	memcpy(rig.words, br_stream_peek(out), 8);
	size_t size = rig.words[1] >> 16;
	CHECK(size <= sizeof(rig.words));
	memcpy(rig.words, br_stream_peek(out), size);
	CHECK_INT(rig.words[1] & 0xffff, opcode);
	br_fd_clear(&rig.fd);
	if (out->handle_tail > out->handle_head &&
	    out->handles[out->handle_head].pos == out->head_pos) {
		CHECK(br_stream_pop_handle(out, &handle));
		CHECK_INT(handle.kind, BR_FD_PIPE_WRITE);
		rig.fd = handle.fd;
	}
	br_stream_consume(out, size);
	return rig.words[0];
}

void check_quiet(void)
{
	CHECK_INT(br_stream_bytes(br_relay_output(rig.wm.relay, BR_REQUEST)), 0);
}

void announce(uint32_t registry, uint32_t name, const char *iface, uint32_t version)
{
	struct wire w = begin(registry, BR_EVT_WL_REGISTRY_GLOBAL);
	put(&w, name);
	put_string(&w, iface);
	put(&w, version);
	pass(&w);
}

uint32_t take_bind(uint32_t version)
{
	CHECK_INT(take(BR_REQ_WL_REGISTRY_BIND), 2);
	unsigned words = (rig.words[3] + 3) / 4;
	CHECK_INT(rig.words[4 + words], version);
	return rig.words[5 + words];
}

void set_up(void)
{
	const struct br_relay_config config = {.client_number = 1};
	fake_x_reset();
	memset(&rig, 0, sizeof(rig));
	rig.fd = -1;
	rig.wm.root = FAKE_ROOT;
	rig.wm.loop = wl_event_loop_create();
	rig.wm.relay = br_relay_create(&config);
	xw_replies_init(&rig.wm.replies, NULL);
	for (unsigned i = 0; i < XW_N_ATOMS; i++) {
		rig.wm.atoms[i] = fake_atom(atom_names[i]);
	}
	rig.all = rig.wm.selections = xw_selections_create(&rig.wm);
	CHECK(rig.all != NULL);
	CHECK_INT(take(BR_REQ_WL_DISPLAY_GET_REGISTRY), 1);
	announce(2, 1, "wl_seat", 9);
	rig.seat = take_bind(5);
	announce(2, 2, "wl_data_device_manager", 3);
	rig.managers[0] = take_bind(3);
	CHECK_INT(take(BR_REQ_WL_DATA_DEVICE_MANAGER_GET_DATA_DEVICE), rig.managers[0]);
	rig.devices[0] = rig.words[2];
	CHECK_INT(rig.words[3], rig.seat);
	announce(2, 3, "zwp_primary_selection_device_manager_v1", 1);
	rig.managers[1] = take_bind(1);
	CHECK_INT(take(BR_REQ_ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_GET_DEVICE), rig.managers[1]);
	rig.devices[1] = rig.words[2];
	check_quiet();
}

void tear_down(void)
{
	br_fd_clear(&rig.fd);
	xw_selections_destroy(rig.all);
	CHECK_INT(fake_x.n_windows, 0);
	CHECK(wl_list_empty(&rig.wm.replies.waiting));
	br_relay_destroy(rig.wm.relay);
	wl_event_loop_destroy(rig.wm.loop);
	fake_x_finish();
}

/* --- the X server's events --- */

bool x_event(const void *event)
{
	(void)xw_replies_poll(&rig.wm.replies);
	return xw_selection_event(&rig.wm, (xcb_generic_event_t *)event) ||
	       xw_dnd_event(&rig.wm, (xcb_generic_event_t *)event);
}

void x_owner(unsigned kind, xcb_window_t owner, uint8_t subtype)
{
	const xcb_xfixes_selection_notify_event_t event = {
		.response_type = FAKE_XFIXES_EVENT + XCB_XFIXES_SELECTION_NOTIFY,
		.subtype = subtype,
		.owner = owner,
		.selection = rig.all->each[kind].atom,
		.selection_timestamp = TIME,
	};
	CHECK(x_event(&event));
}

void x_request(unsigned kind, xcb_window_t requestor, xcb_atom_t target, xcb_atom_t property)
{
	const xcb_selection_request_event_t event = {
		.response_type = XCB_SELECTION_REQUEST,
		.owner = rig.all->each[kind].window,
		.requestor = requestor,
		.selection = rig.all->each[kind].atom,
		.target = target,
		.property = property,
		.time = TIME,
	};
	CHECK(x_event(&event));
}

/* The X program has given what was asked for, in the property that was named. */
void x_notify(bool given)
{
	const xcb_selection_notify_event_t event = {
		.response_type = XCB_SELECTION_NOTIFY,
		.requestor = fake_x.converted.requestor,
		.selection = fake_x.converted.selection,
		.target = fake_x.converted.target,
		.property = given ? fake_x.converted.property : XCB_NONE,
	};
	CHECK(x_event(&event));
}

bool x_property(xcb_window_t of, xcb_atom_t name, uint8_t state)
{
	const xcb_property_notify_event_t event = {
		.response_type = XCB_PROPERTY_NOTIFY, .window = of, .atom = name, .state = state};
	return x_event(&event);
}

/* What any event brings along: answers are dealt with. */
void x_anything(void)
{
	const xcb_generic_event_t event = {.response_type = XCB_MAPPING_NOTIFY};
	CHECK(!x_event(&event));
}

void turn(void)
{
	CHECK_INT(wl_event_loop_dispatch(rig.wm.loop, 0), 0);
	x_anything();
}

/* --- the compositor's offers and sources --- */

void offer_selection(unsigned kind, uint32_t id, const char *const *mimes)
{
	struct wire made = begin(rig.devices[kind], 0); /* data_offer in both */
	put(&made, id);
	pass(&made);
	for (; *mimes != NULL; mimes++) {
		struct wire mime = begin(id, 0); /* offer in both */
		put_string(&mime, *mimes);
		pass(&mime);
	}
	struct wire selection =
		begin(rig.devices[kind], kind == XW_PRIMARY
						 ? BR_EVT_ZWP_PRIMARY_SELECTION_DEVICE_V1_SELECTION
						 : BR_EVT_WL_DATA_DEVICE_SELECTION);
	put(&selection, id);
	pass(&selection);
}

const char *const text_mimes[] = {"image/png", "text/plain;charset=utf-8", NULL};

/* Offer text, and have the X server agree that it is ours. */
void offer_text(unsigned kind)
{
	offer_selection(kind, OFFER, text_mimes);
	CHECK_INT(fake_x.owner, rig.all->each[kind].window);
	CHECK_INT(fake_x.owned, rig.all->each[kind].atom);
	x_owner(kind, fake_x.owner, XCB_XFIXES_SELECTION_EVENT_SET_SELECTION_OWNER);
	CHECK_INT(fake_x.n_converted, 0);
}

/* The compositor's program has been asked for mime; returns where it writes. */
int take_receive(unsigned kind, const char *mime)
{
	CHECK_INT(take(kind == XW_PRIMARY ? BR_REQ_ZWP_PRIMARY_SELECTION_OFFER_V1_RECEIVE
					  : BR_REQ_WL_DATA_OFFER_RECEIVE),
		  OFFER);
	CHECK_STR((const char *)&rig.words[3], mime);
	CHECK(rig.fd >= 0);
	return br_fd_take(&rig.fd);
}

void expect_notify(xcb_window_t to, xcb_atom_t property)
{
	CHECK_INT(fake_x.event.to, to);
	CHECK_INT(fake_x.event.notify.response_type, XCB_SELECTION_NOTIFY);
	CHECK_INT(fake_x.event.notify.requestor, to);
	CHECK_INT(fake_x.event.notify.property, property);
}

void write_all(int fd, const void *bytes, size_t len)
{
	CHECK_INT(write(fd, bytes, len), len);
}

void take_offered(uint32_t source, const char *mime)
{
	CHECK_INT(take(0), source); /* offer in both */
	CHECK_STR((const char *)&rig.words[3], mime);
}

/* The compositor wants it; returns where it reads. */
int send_to(unsigned kind, uint32_t source, const char *mime)
{
	int fds[2];
	CHECK_INT(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	struct br_handle handle = {.fd = fds[1], .kind = BR_FD_PIPE_WRITE};
	struct wire w =
		begin(source, kind == XW_PRIMARY ? BR_EVT_ZWP_PRIMARY_SELECTION_SOURCE_V1_SEND
						 : BR_EVT_WL_DATA_SOURCE_SEND);
	put_string(&w, mime);
	CHECK_INT(br_stream_push_handle_take(br_relay_input(rig.wm.relay, BR_EVENT), &handle), 0);
	pass(&w);
	return fds[0];
}

void expect_bytes(int fd, const char *bytes, size_t len)
{
	char got[64];
	CHECK_INT(read(fd, got, sizeof(got)), len);
	CHECK_MEM(got, bytes, len);
}
