/* SPDX-License-Identifier: MIT
 *
 * The socket front end's framing: virtio-gpu control commands over an AF_UNIX SEQPACKET socket.
 * One connection is one virtio-gpu device. Each packet is a struct sk_packet followed by exactly
 * the bytes that a virtqueue descriptor would hold (struct virtio_gpu_ctrl_hdr first, see
 * <linux/virtio_gpu.h>), little-endian.
 *
 * What differs from a virtqueue, because there is no guest memory:
 * - RESOURCE_CREATE_BLOB with blob_mem GUEST carries one fd, the memory, instead of memory
 *   entries (nr_entries is 0). The host maps or hands on that fd; it holds at least `size` bytes.
 * - RESOURCE_MAP_BLOB's `offset` is ignored. The response (RESP_OK_MAP_INFO) carries an fd of the
 *   resource's memory, which starts at offset 0 of the fd.
 * - SUBMIT_3D may carry the fds of its XD_ITEM_FD items, in the order of the items.
 * - A request without VIRTIO_GPU_FLAG_FENCE whose response would be a plain RESP_OK_NODATA is not
 *   answered. Errors and responses with data always are. Responses may come out of order: the
 *   cookie tells which request is answered.
 */
#ifndef BR_SOCKET_PROTO_H
#define BR_SOCKET_PROTO_H

#include <assert.h>
#include <stdint.h>

#define SK_MAX_PACKET_BYTES 69632 /* a SUBMIT_3D with a full-size cross-domain command */
#define SK_MAX_FDS 28

enum sk_type {
	SK_REQUEST = 1,	 /* guest to host: a control command */
	SK_RESPONSE = 2, /* host to guest: answer to the request with this cookie */
	SK_PUSH = 3, /* host to guest (XD_EXT_PUSH): a RECEIVE or READ command of context ctx_id;
			  * fds: those of its XD_ITEM_FD items */
};

struct sk_packet {
	uint32_t type;	 /* enum sk_type */
	uint32_t ctx_id; /* SK_PUSH only; 0 otherwise */
	uint64_t cookie; /* chosen by the guest, echoed; 0 in SK_PUSH */
};

static_assert(sizeof(struct sk_packet) == 16, "wire size");

#endif
