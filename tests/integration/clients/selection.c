/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe-primary.h"

const char *kind_name(enum selection_kind kind)
{
	static const char *const names[N_KINDS] = {"clipboard", "primary", "dnd"};
	return names[kind];
}

static void send_data(enum selection_kind kind, const char *mime, int fd)
{
	struct source *source = &probe.sources[kind];
	say("sending %s %s", kind_name(kind), mime);
	if (source->size == 0) {
		close(fd);
		say("sent %s 0", kind_name(kind));
		return;
	}
	transfer_start(kind_name(kind), fd, source->data, source->size);
}

/* Sources: one listener for the clipboard and for drags, told apart by user data. */

static void source_target(void *data, struct wl_data_source *source, const char *mime)
{
	(void)source;
	if (data == &probe.sources[DND]) {
		say("drag-target %s", mime ? mime : "-");
	}
}

static void source_send(void *data, struct wl_data_source *source, const char *mime, int fd)
{
	(void)source;
	send_data(data == &probe.sources[DND] ? DND : CLIPBOARD, mime, fd);
}

static void source_cancelled(void *data, struct wl_data_source *proxy)
{
	struct source *source = data;
	say("cancelled %s", kind_name((enum selection_kind)(source - probe.sources)));
	wl_data_source_destroy(proxy);
	if (source->proxy == proxy) {
		source->proxy = NULL;
	}
}

static void source_dropped(void *data, struct wl_data_source *source)
{
	(void)data;
	(void)source;
	say("drag-dropped");
}

static void source_finished(void *data, struct wl_data_source *proxy)
{
	struct source *source = data;
	wl_data_source_destroy(proxy);
	source->proxy = NULL;
	say("drag-finished");
}

static void source_action(void *data, struct wl_data_source *source, uint32_t action)
{
	(void)data;
	(void)source;
	say("drag-action %u", action);
}

static const struct wl_data_source_listener source_listener = {
	.target = source_target,
	.send = source_send,
	.cancelled = source_cancelled,
	.dnd_drop_performed = source_dropped,
	.dnd_finished = source_finished,
	.action = source_action,
};

static void primary_send(void *data, struct zwp_primary_selection_source_v1 *source,
			 const char *mime, int fd)
{
	(void)data;
	(void)source;
	send_data(PRIMARY, mime, fd);
}

static void primary_cancelled(void *data, struct zwp_primary_selection_source_v1 *proxy)
{
	struct source *source = data;
	zwp_primary_selection_source_v1_destroy(proxy);
	if (source->proxy == proxy) {
		source->proxy = NULL;
	}
	say("cancelled primary");
}

static const struct zwp_primary_selection_source_v1_listener primary_source_listener = {
	.send = primary_send,
	.cancelled = primary_cancelled,
};

static void map_file(struct source *source, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		die("can't open %s", path);
	}
	source->size = (size_t)st.st_size;
	if (source->size > 0) {
		source->data = mmap(NULL, source->size, PROT_READ, MAP_SHARED, fd, 0);
		if (source->data == MAP_FAILED) {
			die("can't map %s", path);
		}
	}
	close(fd);
}

static void offer_data(enum selection_kind kind, struct source *source)
{
	struct wl_data_source *proxy =
		wl_data_device_manager_create_data_source(probe.data_manager);
	wl_data_source_add_listener(proxy, &source_listener, source);
	wl_data_source_offer(proxy, source->mime);
	source->proxy = proxy;
	if (kind == DND) {
		wl_data_source_set_actions(proxy, WL_DATA_DEVICE_MANAGER_DND_ACTION_COPY);
		probe.drag_armed = true;
	} else {
		wl_data_device_set_selection(probe.data_device, proxy, probe.serial);
	}
}

void selection_offer(enum selection_kind kind, const char *mime, const char *path)
{
	struct source *source = &probe.sources[kind];
	snprintf(source->mime, sizeof(source->mime), "%s", mime);
	map_file(source, path);
	if (kind != PRIMARY && probe.data_device != NULL) {
		offer_data(kind, source);
	} else if (kind == PRIMARY && probe.primary_device != NULL) {
		struct zwp_primary_selection_source_v1 *proxy =
			zwp_primary_selection_device_manager_v1_create_source(
				probe.primary_manager);
		zwp_primary_selection_source_v1_add_listener(proxy, &primary_source_listener,
							     source);
		zwp_primary_selection_source_v1_offer(proxy, source->mime);
		source->proxy = proxy;
		zwp_primary_selection_device_v1_set_selection(probe.primary_device, proxy,
							      probe.serial);
	} else {
		die("no %s device", kind_name(kind));
	}
	say("offered %s %s %zu", kind_name(kind), mime, source->size);
}

void selection_start_drag(uint32_t serial)
{
	if (!probe.drag_armed) {
		return;
	}
	probe.drag_armed = false;
	wl_data_device_start_drag(probe.data_device, probe.sources[DND].proxy, probe.surface, NULL,
				  serial);
	say("drag-started");
}

/* Offers */

static void add_mime(struct offer *offer, const void *proxy, const char *mime)
{
	size_t used = strlen(offer->mimes);
	if (offer->proxy == proxy) {
		snprintf(offer->mimes + used, sizeof(offer->mimes) - used, " %s", mime);
	}
}

static void offer_mime(void *data, struct wl_data_offer *proxy, const char *mime)
{
	(void)data;
	add_mime(&probe.pending, proxy, mime);
}

static void offer_actions(void *data, struct wl_data_offer *offer, uint32_t actions)
{
	(void)data;
	(void)offer;
	say("dnd-source-actions %u", actions);
}

static void offer_action(void *data, struct wl_data_offer *offer, uint32_t action)
{
	(void)data;
	(void)offer;
	say("dnd-action %u", action);
}

static const struct wl_data_offer_listener offer_listener = {
	.offer = offer_mime,
	.source_actions = offer_actions,
	.action = offer_action,
};

static void device_offer(void *data, struct wl_data_device *device, struct wl_data_offer *offer)
{
	(void)data;
	(void)device;
	probe.pending = (struct offer){.proxy = offer};
	wl_data_offer_add_listener(offer, &offer_listener, NULL);
}

static void drop_offer(enum selection_kind kind)
{
	if (probe.offers[kind].proxy != NULL && kind == PRIMARY) {
		zwp_primary_selection_offer_v1_destroy(probe.offers[kind].proxy);
	} else if (probe.offers[kind].proxy != NULL) {
		wl_data_offer_destroy(probe.offers[kind].proxy);
	}
	probe.offers[kind] = (struct offer){0};
}

static void device_enter(void *data, struct wl_data_device *device, uint32_t serial,
			 struct wl_surface *surface, wl_fixed_t x, wl_fixed_t y,
			 struct wl_data_offer *offer)
{
	(void)data;
	(void)device;
	(void)surface;
	drop_offer(DND);
	if (offer == NULL) {
		say("dnd-enter -");
		return;
	}
	probe.offers[DND] = probe.pending;
	char mime[64] = "";
	sscanf(probe.pending.mimes, "%63s", mime);
	wl_data_offer_accept(offer, serial, mime);
	wl_data_offer_set_actions(offer, WL_DATA_DEVICE_MANAGER_DND_ACTION_COPY,
				  WL_DATA_DEVICE_MANAGER_DND_ACTION_COPY);
	say("dnd-enter %d %d%s", wl_fixed_to_int(x), wl_fixed_to_int(y), probe.pending.mimes);
}

static void device_leave(void *data, struct wl_data_device *device)
{
	(void)data;
	(void)device;
	say("dnd-leave");
}

static void device_motion(void *data, struct wl_data_device *device, uint32_t time, wl_fixed_t x,
			  wl_fixed_t y)
{
	(void)data;
	(void)device;
	(void)time;
	(void)x;
	(void)y;
}

static void device_drop(void *data, struct wl_data_device *device)
{
	(void)data;
	(void)device;
	char mime[64] = "";
	sscanf(probe.offers[DND].mimes, "%63s", mime);
	say("dnd-drop %s", mime);
	selection_paste(DND, mime, probe.dnd_pause_at);
}

static void device_selection(void *data, struct wl_data_device *device, struct wl_data_offer *offer)
{
	(void)data;
	(void)device;
	drop_offer(CLIPBOARD);
	if (offer != NULL) {
		probe.offers[CLIPBOARD] = probe.pending;
	}
	if (!probe.quiet_offers) {
		say("selection clipboard%s", offer ? probe.pending.mimes : " -");
	}
}

static const struct wl_data_device_listener device_listener = {
	.data_offer = device_offer,
	.enter = device_enter,
	.leave = device_leave,
	.motion = device_motion,
	.drop = device_drop,
	.selection = device_selection,
};

static void primary_mime(void *data, struct zwp_primary_selection_offer_v1 *proxy, const char *mime)
{
	(void)data;
	add_mime(&probe.pending_primary, proxy, mime);
}

static const struct zwp_primary_selection_offer_v1_listener primary_offer_listener = {
	.offer = primary_mime,
};

static void primary_offer(void *data, struct zwp_primary_selection_device_v1 *device,
			  struct zwp_primary_selection_offer_v1 *offer)
{
	(void)data;
	(void)device;
	probe.pending_primary = (struct offer){.proxy = offer};
	zwp_primary_selection_offer_v1_add_listener(offer, &primary_offer_listener, NULL);
}

static void primary_selection(void *data, struct zwp_primary_selection_device_v1 *device,
			      struct zwp_primary_selection_offer_v1 *offer)
{
	(void)data;
	(void)device;
	drop_offer(PRIMARY);
	if (offer != NULL) {
		probe.offers[PRIMARY] = probe.pending_primary;
	}
	say("selection primary%s", offer ? probe.pending_primary.mimes : " -");
}

static const struct zwp_primary_selection_device_v1_listener primary_device_listener = {
	.data_offer = primary_offer,
	.selection = primary_selection,
};

void selection_paste(enum selection_kind kind, const char *mime, uint64_t pause_at)
{
	int fds[2];
	void *offer = probe.offers[kind].proxy;
	if (offer == NULL) {
		say("no-offer %s", kind_name(kind));
		return;
	}
	if (pipe2(fds, O_CLOEXEC) < 0) {
		die("pipe2 failed");
	}
	if (kind == PRIMARY) {
		zwp_primary_selection_offer_v1_receive(offer, mime, fds[1]);
	} else {
		wl_data_offer_receive(offer, mime, fds[1]);
	}
	close(fds[1]);
	struct transfer *t = transfer_start(kind_name(kind), fds[0], NULL, 0);
	t->pause_at = pause_at;
	t->finish_dnd = kind == DND;
}

void selection_finish_dnd(void)
{
	if (probe.offers[DND].proxy != NULL) {
		wl_data_offer_finish(probe.offers[DND].proxy);
		drop_offer(DND);
	}
}

void selection_use_seat(struct wl_seat *seat)
{
	if (probe.data_manager != NULL) {
		probe.data_device =
			wl_data_device_manager_get_data_device(probe.data_manager, seat);
		wl_data_device_add_listener(probe.data_device, &device_listener, NULL);
	}
	if (probe.primary_manager != NULL) {
		probe.primary_device = zwp_primary_selection_device_manager_v1_get_device(
			probe.primary_manager, seat);
		zwp_primary_selection_device_v1_add_listener(probe.primary_device,
							     &primary_device_listener, NULL);
	}
}
