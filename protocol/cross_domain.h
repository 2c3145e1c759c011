/* SPDX-License-Identifier: MIT
 *
 * The cross-domain channel's wire format: virtio-gpu capset 5. Everything is little-endian and
 * naturally aligned; there is no published specification, the layouts are those of the running
 * implementations (crosvm, libkrun, Sommelier, wayland-proxy-virtwl).
 */
#ifndef BR_CROSS_DOMAIN_H
#define BR_CROSS_DOMAIN_H

#include <assert.h>
#include <stdint.h>

#define XD_CAPSET_ID 5
#define XD_CAPSET_VERSION 0

#define XD_MAX_IDENTIFIERS 28
/* What hosts other than ours read from the compositor, and guests send, at a time. */
#define XD_MAX_DATA_COMPAT 3744
/* Data bytes of one WRITE that every host takes: a page with the header. */
#define XD_MAX_WRITE_COMPAT 4072
/* A command carries its size in 16 bits. */
#define XD_MAX_CMD_BYTES 65532

#define XD_FIRST_ITEM_ID 2u		  /* ids of items which the host makes */
#define XD_FIRST_READ_PIPE_ID 0x80000001u /* ids of read pipes, predicted by the guest */

/** Rings: ring_idx of fences. Others than causeway-host know only the first XD_NUM_RINGS. */
enum xd_ring {
	XD_RING_QUERY = 0,
	XD_RING_CHANNEL = 1,
	XD_NUM_RINGS = 2,
	XD_RING_SEND = 2,
	XD_RING_FIRST_PIPE = 3, /* and all behind it, in turn */
};

enum xd_channel_type { XD_CHANNEL_NONE = 0, XD_CHANNEL_WAYLAND = 1 };

enum xd_cmd {
	XD_CMD_INIT = 1,
	XD_CMD_GET_IMAGE_REQUIREMENTS = 2,
	XD_CMD_POLL = 3,
	XD_CMD_SEND = 4,
	XD_CMD_RECEIVE = 5, /* host to guest */
	XD_CMD_READ = 6,    /* host to guest */
	XD_CMD_WRITE = 7,
	/* Causeway's own, used only when the capset says so. */
	XD_CMD_ENABLE = 0xc0, /* first command of a context, before INIT */
	XD_CMD_GRANT = 0xc1,
	XD_CMD_GET_CLOCK = 0xc2,
};

enum xd_item_type {
	XD_ITEM_BLOB = 1,
	XD_ITEM_SYNC = 2,
	XD_ITEM_READ_PIPE = 3,
	XD_ITEM_WRITE_PIPE = 4,
	/* Causeway's own: the fd itself travels beside the command (socket front end only). */
	XD_ITEM_FD = 0xc0,
};

/** Extensions of Causeway, offered in struct xd_capset_ext and chosen with XD_CMD_ENABLE. None is
 * needed for correctness. */
enum xd_ext {
	/* READ is sent for a pipe only while the guest has granted it bytes. A READ for a pipe that the
	 * guest writes, with hang_up and no bytes, says that nobody reads it any more. */
	XD_EXT_PIPE_CREDIT = 1 << 0,
	/* RECEIVE and READ are pushed as packets (struct sk_push), gated by granted bytes; no
	 * mailbox, no POLL. Socket front end only. */
	XD_EXT_PUSH = 1 << 1,
	/* XD_ITEM_FD may be used both ways. Socket front end only. */
	XD_EXT_FDS = 1 << 2,
	/* GET_CLOCK may be sent, so that the guest can tell the host's times in its own clock. */
	XD_EXT_CLOCK = 1 << 3,
};

struct xd_capset {
	uint32_t version;	     /* always 1 */
	uint32_t supported_channels; /* 1 << enum xd_channel_type */
	uint32_t supports_dmabuf;
	uint32_t supports_external_gpu_memory;
};

#define XD_CAPSET_MAGIC 0x79777363u /* "cswy" */

/** The longer capset of a Causeway host; others read the first 16 bytes only. */
struct xd_capset_ext {
	struct xd_capset base;
	uint32_t magic; /* XD_CAPSET_MAGIC, so that a foreign longer capset is not taken for ours */
	uint32_t extensions;	/* enum xd_ext */
	uint32_t max_cmd_bytes; /* of one SEND, header included; at most XD_MAX_CMD_BYTES */
	uint32_t pad;
};

struct xd_header {
	uint8_t cmd;
	uint8_t ring_idx;  /* zero from the host */
	uint16_t cmd_size; /* header and payload; zero from the host (guests compare 32 bits) */
	uint32_t pad;
};

struct xd_init {
	struct xd_header hdr;
	uint32_t query_ring_id; /* resource ids */
	uint32_t channel_ring_id;
	uint32_t channel_type;
};

/** INIT before June 2023: one ring for both. */
struct xd_init_legacy {
	struct xd_header hdr;
	uint32_t ring_id;
	uint32_t channel_type;
};

struct xd_init_uuid {
	struct xd_init init;
	uint8_t socket_uuid[16];
};

struct xd_poll {
	struct xd_header hdr;
	uint64_t pad;
};

struct xd_get_image_requirements {
	struct xd_header hdr;
	uint32_t width, height; /* pixels */
	uint32_t drm_format;	/* fourcc */
	uint32_t flags;		/* GBM_BO_USE_* */
};

/** Answer at offset 0 of the query ring, without a header. */
struct xd_image_requirements {
	uint32_t strides[4];
	uint32_t offsets[4];
	uint64_t modifier;
	uint64_t size; /* bytes, whole pages */
	uint32_t blob_id;
	uint32_t map_info;
	int32_t memory_idx; /* -1: not Vulkan memory */
	int32_t physical_device_idx;
};

/** SEND and RECEIVE, followed by opaque_data_size bytes of Wayland messages. */
struct xd_send_receive {
	struct xd_header hdr;
	uint32_t num_identifiers;
	uint32_t opaque_data_size;
	uint32_t identifiers[XD_MAX_IDENTIFIERS];
	uint32_t types[XD_MAX_IDENTIFIERS];
	uint32_t sizes[XD_MAX_IDENTIFIERS]; /* of blobs from the host; ignored from the guest */
};

/** READ and WRITE, followed by opaque_data_size bytes. */
struct xd_read_write {
	struct xd_header hdr;
	uint32_t identifier;
	uint32_t hang_up; /* 1: the stream ends behind these bytes */
	uint32_t opaque_data_size;
	uint32_t pad;
};

struct xd_enable {
	struct xd_header hdr;
	uint32_t extensions; /* enum xd_ext; a bit not offered is a context error */
	uint32_t pad;
};

/** Allow the host to send more: of a pipe (data bytes of READ), or with identifier 0 of the
 * channel itself (whole commands, header included; the host may overdraw by one command). */
struct xd_grant {
	struct xd_header hdr;
	uint32_t identifier;
	uint32_t bytes;
};

/* Where the answer to GET_CLOCK is in the query ring: behind that to GET_IMAGE_REQUIREMENTS, which may be
 * on its way at the same time. */
#define XD_CLOCK_OFFSET 64

/** Ask what time it is on a clock of the host's (XD_EXT_CLOCK). */
struct xd_get_clock {
	struct xd_header hdr;
	uint32_t clock_id; /* clockid_t of Linux: a realtime, monotonic, boottime or TAI clock */
	uint32_t pad;
};

/** Its answer, at XD_CLOCK_OFFSET of the query ring. */
struct xd_clock {
	uint64_t time_ns; /* read between the command's arrival and the end of its fence */
	uint32_t clock_id;
	uint32_t valid; /* 0: the host has no such clock, or does not tell */
};

static_assert(sizeof(struct xd_capset) == 16, "wire size");
static_assert(sizeof(struct xd_capset_ext) == 32, "wire size");
static_assert(sizeof(struct xd_header) == 8, "wire size");
static_assert(sizeof(struct xd_init) == 20, "wire size");
static_assert(sizeof(struct xd_init_legacy) == 16, "wire size");
static_assert(sizeof(struct xd_init_uuid) == 36, "wire size");
static_assert(sizeof(struct xd_poll) == 16, "wire size");
static_assert(sizeof(struct xd_get_image_requirements) == 24, "wire size");
static_assert(sizeof(struct xd_image_requirements) == 64, "wire size");
static_assert(sizeof(struct xd_send_receive) == 352, "wire size");
static_assert(sizeof(struct xd_read_write) == 24, "wire size");
static_assert(sizeof(struct xd_enable) == 16, "wire size");
static_assert(sizeof(struct xd_grant) == 16, "wire size");
static_assert(sizeof(struct xd_get_clock) == 16, "wire size");
static_assert(sizeof(struct xd_clock) == 16, "wire size");

#endif
