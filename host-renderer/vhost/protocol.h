/* SPDX-License-Identifier: MIT
 *
 * The vhost-user protocol's numbers and layouts, as far as a virtio-gpu device needs them; little-endian.
 * Source: the vhost-user specification (QEMU docs/interop/vhost-user.rst); the shared memory messages as
 * QEMU 11.1 and crosvm send them.
 */
#ifndef HR_VHOST_PROTOCOL_H
#define HR_VHOST_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

/** Requests of the front end (the VMM). */
enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_GET_SHMEM_CONFIG = 44,
};

/** Requests of ours, on the back-end channel. */
enum vu_backend_request {
	VU_BACKEND_CONFIG_CHANGE = 2,
	VU_BACKEND_SHMEM_MAP = 9,
	VU_BACKEND_SHMEM_UNMAP = 10,
};

/** vu_header.flags. */
#define VU_VERSION 1u
#define VU_VERSION_MASK 3u
#define VU_FLAG_REPLY (1u << 2)
#define VU_FLAG_NEED_REPLY (1u << 3)

/** Bits of GET_PROTOCOL_FEATURES. */
#define VU_PROTOCOL_F_MQ (1ull << 0)
#define VU_PROTOCOL_F_REPLY_ACK (1ull << 3)
#define VU_PROTOCOL_F_BACKEND_REQ (1ull << 5)
#define VU_PROTOCOL_F_CONFIG (1ull << 9)
#define VU_PROTOCOL_F_BACKEND_SEND_FD (1ull << 10)
#define VU_PROTOCOL_F_SHMEM (1ull << 22)

/** Bit of GET_FEATURES: there are protocol features. */
#define VU_F_PROTOCOL_FEATURES (1ull << 30)

#define VU_MAX_REGIONS 8
/** In the u64 of KICK, CALL and ERR. */
#define VU_VRING_INDEX_MASK 0xffu
#define VU_VRING_NO_FD (1u << 8)
#define VU_MAX_SHMEM_REGIONS 256
#define VU_MAX_CONFIG_BYTES 256
#define VU_SHMEM_MAP_RW 1u

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of what follows */
};

struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc, used, avail; /* addresses of the VMM's own address space */
	uint64_t log;
};

struct vu_region {
	uint64_t guest_address;
	uint64_t bytes;
	uint64_t user_address; /* in the VMM's address space */
	uint64_t file_offset;
};

struct vu_mem_table {
	uint32_t n_regions;
	uint32_t pad;
	struct vu_region regions[VU_MAX_REGIONS]; /* only n_regions are sent */
};

struct vu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t bytes[VU_MAX_CONFIG_BYTES]; /* only size are sent */
};

struct vu_shmem_config {
	uint32_t n_regions;
	uint32_t pad;
	uint64_t bytes[VU_MAX_SHMEM_REGIONS]; /* by shared memory id */
};

struct vu_shmem_map {
	uint8_t shmid;
	uint8_t pad[7];
	uint64_t fd_offset;
	uint64_t shm_offset;
	uint64_t len;
	uint64_t flags; /* VU_SHMEM_MAP_* */
};

static_assert(sizeof(struct vu_header) == 12, "wire size");
static_assert(sizeof(struct vu_vring_addr) == 40, "wire size");
static_assert(sizeof(struct vu_mem_table) == 8 + 8 * 32, "wire size");
static_assert(sizeof(struct vu_config) == 12 + VU_MAX_CONFIG_BYTES, "wire size");
static_assert(sizeof(struct vu_shmem_config) == 2056, "wire size");
static_assert(sizeof(struct vu_shmem_map) == 40, "wire size");

#endif
