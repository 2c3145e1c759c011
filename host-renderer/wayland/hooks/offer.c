/* SPDX-License-Identifier: MIT
 *
 * A linux-dmabuf of our own, where the compositor has none: GPU programs in a guest need one, or they
 * show nothing. What it takes is what the compositor's wl_shm takes, as images whose rows follow one
 * another; dmabuf.c makes wl_shm buffers of them.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../host.h"
#include "br-tables.h"
#include "fd.h"
#include "format.h"
#include "hooks.h"
#include "hr-hooks.h"
#include "wire.h"

/* No compositor gets as far with its names. */
#define OUR_NAME 0xfffffff0u
#define OUR_VERSION 5
/* Formats that are told: those of the compositor's wl_shm, and the two that each has. */
#define MAX_FORMATS (BR_LIMIT_SHM_FORMATS + 2)

/** A row of the format table. Source: zwp_linux_dmabuf_feedback_v1.format_table. */
struct row {
	uint32_t format, pad;
	uint64_t modifier;
};

static_assert(sizeof(struct row) == 16, "as the protocol has it");

/* Data of a zwp_linux_dmabuf_v1 below version 4, or of a feedback: it is told the formats. */
struct asker {
	struct wl_list link; /* hr_hook_state.askers; on itself once it was told */
	struct br_object *object;
};

void hr_hook_state_init(struct hr_hook_state *state, struct hr_host *host)
{
	*state = (struct hr_hook_state){.host = host};
	wl_list_init(&state->askers);
	br_surfaces_init(&state->surfaces, BR_LIMIT_SURFACES);
}

void hr_hook_state_finish(struct hr_hook_state *state)
{
	hr_admit_finish(&state->admit);
	hr_hook_state_init(state, NULL);
}

/* --- the formats --- */

/* Like ARGB8888 and XRGB8888, which are always there, every GPU worker reads them. Source: wl_shm.format. */
#define XBGR8888 0x34324258u
#define ABGR8888 0x34324241u

static uint32_t list_formats(const struct br_own_shm *shm, uint32_t *formats)
{
	uint32_t n = 0;
	formats[n++] = br_format_to_drm(0);
	formats[n++] = br_format_to_drm(1);
	for (uint32_t i = 0; i < shm->n_formats; i++) {
		if (shm->formats[i] == XBGR8888 || shm->formats[i] == ABGR8888) {
			formats[n++] = shm->formats[i];
		}
	}
	return n;
}

static void send_formats(struct br_relay *relay, struct br_object *dmabuf)
{
	uint32_t formats[MAX_FORMATS];
	uint32_t n = list_formats(&hr_hook_state(relay)->own_shm, formats);
	for (uint32_t i = 0; i < n; i++) {
		const union br_arg args[] = {{.u = formats[i]},
					     {.u = (uint32_t)(BR_MODIFIER_LINEAR >> 32)},
					     {.u = (uint32_t)BR_MODIFIER_LINEAR}};
		(void)br_relay_send(relay, BR_EVENT, dmabuf,
				    dmabuf->version < 3 ? BR_EVT_ZWP_LINUX_DMABUF_V1_FORMAT
							: BR_EVT_ZWP_LINUX_DMABUF_V1_MODIFIER,
				    args, NULL);
	}
}

/* A sealed file with the rows. Returns the fd or -errno. */
static int make_table(const uint32_t *formats, uint32_t n)
{
	struct row rows[MAX_FORMATS] = {0};
	int fd BR_CLEANUP_FD = memfd_create("causeway-formats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	for (uint32_t i = 0; i < n; i++) {
		rows[i] = (struct row){.format = formats[i], .modifier = BR_MODIFIER_LINEAR};
	}
	ssize_t size = (ssize_t)(n * sizeof(*rows));
	if (fd < 0 || write(fd, rows, (size_t)size) != size ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
		return errno != 0 ? -errno : -EIO;
	}
	return br_fd_take(&fd);
}

/* All of it in one tranche. */
static void send_feedback(struct br_relay *relay, struct br_object *feedback)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	uint32_t formats[MAX_FORMATS], n = list_formats(&state->own_shm, formats);
	uint16_t indices[MAX_FORMATS];
	dev_t device = state->host->render_node;
	struct br_handle table = {.fd = make_table(formats, n), .kind = BR_FD_FILE};
	if (table.fd < 0) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY,
				      "host: no memory for the format table");
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		indices[i] = (uint16_t)i;
	}
	const union br_arg table_args[] = {{.handle = 0}, {.u = n * (uint32_t)sizeof(struct row)}};
	const union br_arg device_arg = {.array = {&device, sizeof(device)}};
	const union br_arg formats_arg = {.array = {indices, n * (uint32_t)sizeof(*indices)}};
	const union br_arg flags_arg = {.u = 0};
	const struct {
		uint16_t opcode;
		const union br_arg *args;
	} events[] = {
		{BR_EVT_ZWP_LINUX_DMABUF_FEEDBACK_V1_FORMAT_TABLE, table_args},
		{BR_EVT_ZWP_LINUX_DMABUF_FEEDBACK_V1_MAIN_DEVICE, &device_arg},
		{BR_EVT_ZWP_LINUX_DMABUF_FEEDBACK_V1_TRANCHE_TARGET_DEVICE, &device_arg},
		{BR_EVT_ZWP_LINUX_DMABUF_FEEDBACK_V1_TRANCHE_FLAGS, &flags_arg},
		{BR_EVT_ZWP_LINUX_DMABUF_FEEDBACK_V1_TRANCHE_FORMATS, &formats_arg},
		{BR_EVT_ZWP_LINUX_DMABUF_FEEDBACK_V1_TRANCHE_DONE, NULL},
		{BR_EVT_ZWP_LINUX_DMABUF_FEEDBACK_V1_DONE, NULL},
	};
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		(void)br_relay_send(relay, BR_EVENT, feedback, events[i].opcode, events[i].args,
				    &table);
	}
	br_fd_clear(&table.fd);
}

/* --- who is told --- */

static void asker_destroy(struct br_relay *relay, struct br_object *object)
{
	struct asker *asker = object->data;
	(void)relay;
	wl_list_remove(&asker->link);
	free(asker);
	object->data = NULL;
}

static void tell(struct br_relay *relay, struct asker *asker)
{
	wl_list_remove(&asker->link);
	wl_list_init(&asker->link);
	if (asker->object->iface == BR_IFACE_ZWP_LINUX_DMABUF_V1) {
		send_formats(relay, asker->object);
	} else {
		send_feedback(relay, asker->object);
	}
}

static void handle_formats_known(struct br_relay *relay, struct br_own_shm *shm)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	(void)shm;
	while (!wl_list_empty(&state->askers)) {
		struct asker *asker = wl_container_of(state->askers.prev, asker, link);
		tell(relay, asker);
	}
}

/* Tell an object of the client's the formats, once they are known. */
static void ask(struct br_relay *relay, struct br_object *object)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	struct asker *asker = calloc(1, sizeof(*asker));
	if (asker == NULL) {
		br_relay_client_error(relay, NULL, BR_ERROR_NO_MEMORY, "out of memory");
		return;
	}
	asker->object = object;
	wl_list_insert(&state->askers, &asker->link);
	object->data = asker;
	object->destroy = asker_destroy;
	if (state->own_shm.complete || state->own_shm.object == NULL) {
		tell(relay, asker);
	}
}

/* --- the global --- */

static void registry_destroy(struct br_relay *relay, struct br_object *object)
{
	if (hr_hook_state(relay)->registry == object) {
		hr_hook_state(relay)->registry = NULL;
	}
}

bool hr_offer_sees(struct br_relay *relay, struct br_object *registry, uint32_t name,
		   uint16_t iface)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	if (state->host == NULL) {
		return true;
	}
	if (iface == BR_IFACE_WL_SHM) {
		state->registry = registry;
		state->shm_name = name;
		registry->destroy = registry_destroy;
	}
	if (iface == BR_IFACE_ZWP_LINUX_DMABUF_V1) {
		if (state->host->present == HR_PRESENT_SHM || state->offers_dmabuf) {
			return false;
		}
		state->has_dmabuf = true;
	}
	return true;
}

void hr_offer_need_shm(struct br_relay *relay)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	if (state->own_shm.object == NULL && state->registry != NULL) {
		state->own_shm = (struct br_own_shm){.completed = handle_formats_known};
		(void)br_own_shm_bind(relay, &state->own_shm, state->registry, state->shm_name);
	}
}

/* The compositor has announced all that it has to this registry. */
static void handle_listed(struct br_relay *relay, void *data)
{
	static const char iface[] = "zwp_linux_dmabuf_v1";
	struct hr_hook_state *state = hr_hook_state(relay);
	struct br_object *registry = br_relay_client_object(relay, (uint32_t)(uintptr_t)data);
	uint32_t version =
		hr_policy_version(state->policy, BR_IFACE_ZWP_LINUX_DMABUF_V1, OUR_VERSION);
	if (registry == NULL || registry->iface != BR_IFACE_WL_REGISTRY || version == 0 ||
	    state->has_dmabuf || state->registry == NULL) {
		return;
	}
	const struct hr_admit_global *global;
	if (hr_admit_announce(&state->admit, OUR_NAME, BR_IFACE_ZWP_LINUX_DMABUF_V1, version,
			      &global) < 0) {
		return;
	}
	const union br_arg args[] = {
		{.u = OUR_NAME}, {.str = {iface, sizeof(iface) - 1}}, {.u = version}};
	state->offers_dmabuf = true;
	(void)br_relay_send(relay, BR_EVENT, registry, BR_EVT_WL_REGISTRY_GLOBAL, args, NULL);
}

/* Only behind the last of its globals it is certain that the compositor has no linux-dmabuf. The client's own
 * sync is answered after ours. */
enum br_verdict hr_hook_wl_display_get_registry(struct br_relay *relay, struct br_msg *msg,
						const struct br_args_wl_display_get_registry *args)
{
	struct hr_hook_state *state = hr_hook_state(relay);
	void *registry = (void *)(uintptr_t)msg->args[0].object->client_id;
	(void)args;
	if (state->host == NULL || state->host->present == HR_PRESENT_DMABUF) {
		return BR_FORWARD;
	}
	if (br_relay_send(relay, BR_REQUEST, msg->object, msg->opcode, msg->args, NULL) == 0) {
		(void)br_relay_sync(relay, handle_listed, registry);
	}
	return BR_DROP;
}

bool hr_offer_has(const struct hr_hook_state *state, const struct hr_admit_global *global)
{
	return state->offers_dmabuf && global->name == OUR_NAME &&
	       global->iface == BR_IFACE_ZWP_LINUX_DMABUF_V1;
}

void hr_offer_bound(struct br_relay *relay, struct br_object *object)
{
	object->state = BR_OBJECT_OURS;
	hr_offer_need_shm(relay);
	if (object->version < 4) {
		ask(relay, object);
	}
}

static enum br_verdict get_feedback(struct br_relay *relay, struct br_msg *msg)
{
	struct br_object *feedback = msg->args[0].object;
	if (msg->object->state != BR_OBJECT_OURS) {
		return BR_FORWARD;
	}
	feedback->state = BR_OBJECT_OURS;
	ask(relay, feedback);
	return BR_DROP;
}

enum br_verdict hr_hook_zwp_linux_dmabuf_v1_get_default_feedback(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_dmabuf_v1_get_default_feedback *args)
{
	(void)args;
	return get_feedback(relay, msg);
}

enum br_verdict hr_hook_zwp_linux_dmabuf_v1_get_surface_feedback(
	struct br_relay *relay, struct br_msg *msg,
	const struct br_args_zwp_linux_dmabuf_v1_get_surface_feedback *args)
{
	(void)args;
	return get_feedback(relay, msg);
}
