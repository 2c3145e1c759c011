/* SPDX-License-Identifier: MIT
 *
 * What the hooks of the host share. The hooks themselves are declared in the generated hr-hooks.h,
 * one per "hook host" line of protocol/policy.txt.
 */
#ifndef HR_HOOKS_SHARED_H
#define HR_HOOKS_SHARED_H

#include <wayland-util.h>

#include "admit.h"
#include "limits.h"
#include "policy.h"
#include "relay.h"
#include "shm.h"
#include "surface.h"

struct br_handle;
struct br_params;
struct br_params_image;
struct hr_context;
struct hr_gpu_readback;
struct hr_host;
struct hr_resource;
struct hr_restore;

/** Of the commit at which a client's requests stand still. */
enum hr_copying {
	HR_COPY_NONE,
	HR_COPY_RUNNING, /* wake follows */
	HR_COPY_DONE,
};

/** State of the hooks of one client: br_relay_data() of its relay points to this. */
struct hr_hook_state {
	struct hr_admit admit;
	const struct hr_policy *policy; /* outlives it */
	struct hr_host *host;		/* outlives it; NULL: buffers are only passed on */
	struct hr_context *context;	/* whose resources the client has; NULL: none but fds */
	uint64_t held_bytes;		/* see hold.h */
	struct hr_restore *restore; /* ../restore.h; NULL: the client ends with its compositor */
	struct br_object *fixes;    /* a wl_fixes that takes acknowledgements; may be NULL */
	/* A text that replaces an argument: has to live until the relay has sent the message. */
	char text[BR_LIMIT_TITLE_BYTES + 1];

	/* linux-dmabuf: hooks/offer.c, hooks/dmabuf.c. */
	void (*wake)(struct hr_hook_state *state); /* let requests that a hook stopped go on */
	struct br_object *registry;		   /* one that has wl_shm; may be NULL */
	uint32_t shm_name;			   /* of the compositor's wl_shm in it */
	bool has_dmabuf;			   /* the compositor has announced it */
	bool offers_dmabuf;			   /* we have */
	struct br_own_shm own_shm;
	struct wl_list askers; /* struct asker.link: wait for own_shm's formats */
	struct br_surfaces surfaces;
	uint32_t n_kept_fds;   /* of buffers in the making */
	uint32_t n_copied;     /* buffers */
	uint64_t copied_bytes; /* of their copies */
	enum hr_copying copying;
	struct br_copied *copying_buffer; /* may be NULL: it is gone */
	int copy_error;
};

static inline struct hr_hook_state *hr_hook_state(const struct br_relay *relay)
{
	return br_relay_data(relay);
}

/** Prepare the state of a client. The policy and wake are set by the caller; host may be NULL. */
void hr_hook_state_init(struct hr_hook_state *state, struct hr_host *host);

/** After the relay is gone. */
void hr_hook_state_finish(struct hr_hook_state *state);

/* offer.c: linux-dmabuf of our own. */

/** Look at a global that the compositor announces. Returns false if it is to be kept from the client. */
bool hr_offer_sees(struct br_relay *relay, struct br_object *registry, uint32_t name,
		   uint16_t iface);

/** Whether a global that the client binds is ours. */
bool hr_offer_has(const struct hr_hook_state *state, const struct hr_admit_global *global);

/** The client has bound it. */
void hr_offer_bound(struct br_relay *relay, struct br_object *object);

/** See to it that state->own_shm is bound, if the compositor has wl_shm. */
void hr_offer_need_shm(struct br_relay *relay);

/* copy.c: buffers whose pixels are copied. */

/** A resource of the GPU's that a plane names, whose worker is to read it; NULL: the plane's fd is all. */
struct hr_resource *hr_copy_resource_of(const struct hr_hook_state *state,
					const struct br_handle *memory);

/** Whether all planes are in the memory of one resource, where its worker looks for them. */
bool hr_copy_is_one_resource(const struct br_params *params);

/** A wl_buffer that the compositor has is a copy that this draws. Takes the readback. Returns 0; -ENOSPC, -ENOMEM:
 * it is still the caller's. */
int hr_copy_attach(struct br_relay *relay, struct br_object *buffer,
		   struct hr_gpu_readback *readback, const struct br_params_image *image);

/** Make the compositor's wl_buffer for an image of the GPU's: in a copy that its worker makes. Returns as the
 * one below. */
int hr_copy_create_gpu_buffer(struct br_relay *relay, struct br_object *buffer,
			      struct hr_resource *resource, const struct br_params *params,
			      const struct br_params_image *image);

/** Make the compositor's wl_buffer for an image that wl_shm can say: in the memory itself where that is a plain
 * file, else in a copy. Takes memory->fd. Returns 0; -ENODEV, -EINVAL, -ENOSPC it can't be had so; else
 * -errno after which the relay may have failed. */
int hr_copy_create_buffer(struct br_relay *relay, struct br_object *buffer,
			  struct br_handle *memory, const struct br_shm_geometry *geometry);

/** The copied buffer behind a wl_buffer; NULL for others. object may be NULL. */
struct br_copied *hr_copied_of(const struct br_object *object);

/** Bring a copy up to date. As the verdict of the message that waits for it. */
enum br_verdict hr_copy_update(struct br_relay *relay, struct br_copied *copied);

/** Say that a copy failed. What it had before stays on the screen: a worker of the GPU that ended costs its
 * programs no window. copied: may be NULL. */
void hr_copy_failed(struct br_relay *relay, struct br_copied *copied, int err);

/** Whether a wl_buffer is a dma-buf that the compositor has imported; object may be NULL. */
bool hr_dmabuf_is_native(const struct br_object *object);

#endif
