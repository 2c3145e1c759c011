/* SPDX-License-Identifier: MIT
 *
 * hostile MODE [COUNT [SEED]]
 *
 * Does to the virtio-gpu device what no sane program does, as far as the kernel lets it. Nothing here
 * expects an answer, but some look after each round whether a context of its own gets one. Prints
 * "done MODE COUNT" at its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node.h"
#include "random.h"

#define MOST_OBJECTS 8192
#define CHURNERS 4

/** A context with its rings, as the proxy has one for each program. */
struct peer {
	int fd;
	struct object query, channel;
};

static void make_object(int fd, uint32_t mem, uint64_t blob_id, uint64_t size, struct object *ret)
{
	errno = -node_make_object(fd, mem, blob_id, size, ret);
	if (errno != 0) {
		die("a blob of %llu bytes", (unsigned long long)size);
	}
}

static void peer_init(struct peer *peer, uint32_t channel_type)
{
	*peer = (struct peer){.fd = node_open()};
	errno = -node_init_context(peer->fd, 64, 1u << XD_RING_CHANNEL);
	if (errno != 0) {
		die("CONTEXT_INIT");
	}
	make_object(peer->fd, VIRTGPU_BLOB_MEM_GUEST, 0, NODE_RING_BYTES, &peer->query);
	make_object(peer->fd, VIRTGPU_BLOB_MEM_GUEST, 0, NODE_RING_BYTES, &peer->channel);
	struct xd_init init = {.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizeof(init)},
			       .query_ring_id = peer->query.res_id,
			       .channel_ring_id = peer->channel.res_id,
			       .channel_type = channel_type};
	errno = -node_submit(peer->fd, &init, sizeof(init));
	if (errno != 0) {
		die("EXECBUFFER");
	}
}

static void peer_finish(struct peer *peer)
{
	node_free_object(peer->fd, &peer->query);
	node_free_object(peer->fd, &peer->channel);
	close(peer->fd);
	*peer = (struct peer){.fd = -1};
}

/* The requirements of an image; zeroed if the host refuses. */
static struct xd_image_requirements peer_image(struct peer *peer, uint32_t width, uint32_t height)
{
	struct xd_get_image_requirements get = {
		.hdr = {.cmd = XD_CMD_GET_IMAGE_REQUIREMENTS, .cmd_size = sizeof(get)},
		.width = width,
		.height = height,
		.drm_format = NODE_FOURCC_XR24,
		.flags = NODE_IMAGE_FLAGS};
	struct xd_image_requirements answer = {0};
	if (node_submit(peer->fd, &get, sizeof(get)) == 0) {
		memcpy(&answer, peer->query.map, sizeof(answer));
	}
	return answer;
}

static void need_life(void)
{
	struct peer peer;
	peer_init(&peer, XD_CHANNEL_NONE);
	if (peer_image(&peer, 64, 64).size < 64 * 64 * 4) {
		errno = EPROTO;
		die("the host gives no image any more");
	}
	peer_finish(&peer);
}

static void poll_channel(struct peer *peer)
{
	struct xd_poll poll = {.hdr = {.cmd = XD_CMD_POLL, .cmd_size = sizeof(poll)}};
	node_exec(peer->fd, &poll, sizeof(poll), XD_RING_CHANNEL, NULL);
}

/* Space for events is finite; who never reads them can't POLL any more. */
static void drain_events(struct peer *peer)
{
	char events[1024];
	while (read(peer->fd, events, sizeof(events)) > 0) {
	}
}

static void wait_for_word(void)
{
	char word[16];
	fflush(stdout);
	if (!fgets(word, sizeof(word), stdin)) {
		exit(0);
	}
}

/* --- commands of the channel --- */

static uint32_t resource_like(const struct peer *peer)
{
	switch (below(4)) {
	case 0:
		return peer->query.res_id;
	case 1:
		return peer->channel.res_id + below(4);
	case 2:
		return below(64);
	default:
		return (uint32_t)odd_number();
	}
}

static uint32_t fill_send(const struct peer *peer, uint8_t *at)
{
	struct xd_send_receive send = {.num_identifiers =
					       below(4) ? below(29) : (uint32_t)odd_number(),
				       .opaque_data_size = below(600)};
	uint32_t size = sizeof(send) + send.opaque_data_size;
	for (int i = 0; i < XD_MAX_IDENTIFIERS; i++) {
		send.types[i] = below(8) ? 1 + below(4) : (uint32_t)odd_number();
		send.identifiers[i] = send.types[i] == XD_ITEM_READ_PIPE
					      ? XD_FIRST_READ_PIPE_ID + below(8)
					      : resource_like(peer);
		send.sizes[i] = (uint32_t)odd_number();
	}
	if (below(4) == 0) {
		send.opaque_data_size = (uint32_t)odd_number();
	} else if (below(2) == 0) {
		/* wl_display.get_registry, so that there is something to be told. */
		uint32_t message[] = {1, 12 << 16 | 1, 2};
		send.num_identifiers = 0;
		send.opaque_data_size = sizeof(message);
		size = sizeof(send) + sizeof(message);
		memcpy(at + sizeof(send), message, sizeof(message));
	}
	memcpy(at, &send, sizeof(send));
	return size;
}

/* Write a random command; returns its size. */
static uint32_t fill_command(const struct peer *peer, uint8_t *at)
{
	static const uint8_t known[] = {XD_CMD_INIT,  XD_CMD_GET_IMAGE_REQUIREMENTS,
					XD_CMD_POLL,  XD_CMD_SEND,
					XD_CMD_WRITE, XD_CMD_ENABLE,
					XD_CMD_GRANT};
	uint8_t cmd = below(16) ? known[below(sizeof(known))] : (uint8_t)below(256);
	uint32_t words[16], size = sizeof(struct xd_header) + 4 * below(15);
	for (size_t i = 0; i < 16; i++) {
		words[i] = below(2) ? resource_like(peer) : (uint32_t)odd_number();
	}
	memcpy(at, words, sizeof(words));
	if (cmd == XD_CMD_SEND) {
		size = fill_send(peer, at);
	}
	struct xd_header head = {.cmd = cmd, .cmd_size = (uint16_t)size};
	if (below(8) == 0) {
		head.cmd_size = (uint16_t)odd_number();
	}
	memcpy(at, &head, sizeof(head));
	return size;
}

static void mode_commands(unsigned count)
{
	static uint8_t bytes[64 << 10];
	for (unsigned done = 0; done < count;) {
		struct peer peer;
		peer_init(&peer, below(3) ? XD_CHANNEL_WAYLAND : XD_CHANNEL_NONE);
		/* A connection dies of the first bad command that concerns it. */
		for (unsigned n = 1 + below(12); n > 0; n--, done++) {
			uint32_t size = 0;
			for (unsigned k = 1 + below(4); k > 0; k--) {
				size += fill_command(&peer, bytes + size);
			}
			size -= below(16) ? 0 : below(size);
			node_exec(peer.fd, bytes, size, below(70), NULL);
			drain_events(&peer);
		}
		peer_finish(&peer);
	}
	need_life();
	printf("done commands %u\n", count);
}

static void mode_sizes(unsigned count)
{
	static const uint32_t sizes[] = {
		1,
		7,
		8,
		4095,
		4097,
		65535,
		65536,
		1 << 20,
		4 << 20,
		(4112 << 10) - 32,
		(4112 << 10) - 31,
		8 << 20,
		16 << 20,
		64 << 20,
	};
	uint8_t *bytes = calloc(1, 64 << 20);
	if (!bytes) {
		die("64 MiB");
	}
	for (unsigned i = 0; i < count; i++) {
		struct peer peer;
		peer_init(&peer, XD_CHANNEL_WAYLAND);
		for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			/* Many commands of the largest size that their field can say, or nonsense. */
			struct xd_header head = {.cmd = XD_CMD_POLL, .cmd_size = i % 2 ? 0 : 65528};
			for (uint32_t at = 0; at + 65528 <= sizes[k]; at += 65528) {
				memcpy(bytes + at, &head, sizeof(head));
			}
			node_submit(peer.fd, bytes, sizes[k]);
		}
		peer_finish(&peer);
		need_life();
	}
	free(bytes);
	printf("done sizes %u\n", count);
}

/* --- objects --- */

static void bad_blob(int fd, uint64_t image)
{
	struct drm_virtgpu_resource_create_blob create = {
		.blob_mem = below(4) ? 1 + below(3) : (uint32_t)odd_number(),
		.blob_flags = below(4) ? below(8) : (uint32_t)odd_number(),
		.size = below(2) ? 4096 * (1 + below(64)) : odd_number(),
		.blob_id = below(2) ? image : odd_number(),
	};
	/* The kernel would take the memory. */
	if (create.size > 64 << 20 && create.blob_mem != VIRTGPU_BLOB_MEM_HOST3D) {
		create.size = 64 << 20;
	}
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create) < 0) {
		return;
	}
	if (below(2)) {
		struct drm_virtgpu_map map = {.handle = create.bo_handle};
		drmIoctl(fd, DRM_IOCTL_VIRTGPU_MAP, &map);
	}
	if (below(4)) {
		drmCloseBufferHandle(fd, create.bo_handle);
	}
}

static void bad_transfer(int fd)
{
	struct drm_virtgpu_3d_transfer_to_host transfer = {
		.bo_handle = below(8) ? below(40) : (uint32_t)odd_number(),
		.box = {(uint32_t)odd_number(), (uint32_t)odd_number(), below(2),
			(uint32_t)odd_number(), (uint32_t)odd_number(), 1},
		.level = below(4) ? 0 : (uint32_t)odd_number(),
		.offset = (uint32_t)odd_number(),
		.stride = (uint32_t)odd_number(),
		.layer_stride = below(4) ? 0 : (uint32_t)odd_number(),
	};
	drmIoctl(fd,
		 below(2) ? DRM_IOCTL_VIRTGPU_TRANSFER_TO_HOST
			  : DRM_IOCTL_VIRTGPU_TRANSFER_FROM_HOST,
		 &transfer);
}

static void bad_texture(int fd)
{
	struct drm_virtgpu_resource_create create = {
		.target = below(10),
		.format = below(8) ? below(300) : (uint32_t)odd_number(),
		.bind = (uint32_t)odd_number(),
		.width = (uint32_t)odd_number(),
		.height = (uint32_t)odd_number(),
		.depth = below(4),
		.size = 4096 * below(64),
	};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &create) == 0 && below(2)) {
		drmCloseBufferHandle(fd, create.bo_handle);
	}
}

static void bad_question(int fd)
{
	char answer[256];
	struct drm_virtgpu_get_caps caps = {.cap_set_id = below(4) ? 5 : (uint32_t)odd_number(),
					    .cap_set_ver = below(4) ? 0 : (uint32_t)odd_number(),
					    .addr = (uintptr_t)answer,
					    .size = below(sizeof(answer))};
	struct drm_virtgpu_resource_info info = {.bo_handle = below(40)};
	struct drm_virtgpu_3d_wait wait = {.handle = below(40), .flags = VIRTGPU_WAIT_NOWAIT};
	drmIoctl(fd, DRM_IOCTL_VIRTGPU_GET_CAPS, &caps);
	drmIoctl(fd, DRM_IOCTL_VIRTGPU_RESOURCE_INFO, &info);
	drmIoctl(fd, DRM_IOCTL_VIRTGPU_WAIT, &wait);
	node_init_context(fd, below(80), odd_number());
}

/* A display's buffer, on the device's other node: that takes root. */
static void bad_dumb_buffer(void)
{
	int fd = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
	struct drm_mode_create_dumb create = {
		.width = 1 + below(8192), .height = 1 + below(2048), .bpp = 32};
	if (fd >= 0 && drmIoctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &create) == 0) {
		drmCloseBufferHandle(fd, create.handle);
	}
	if (fd >= 0) {
		close(fd);
	}
}

static void mode_ids(unsigned count)
{
	for (unsigned done = 0; done < count;) {
		struct peer peer;
		peer_init(&peer, XD_CHANNEL_NONE);
		uint32_t image = peer_image(&peer, 64, 64).blob_id;
		for (unsigned n = 0; n < 200 && done < count; n++, done++) {
			switch (below(16)) {
			case 0:
				bad_texture(peer.fd);
				break;
			case 1:
				bad_question(peer.fd);
				break;
			case 2:
				bad_dumb_buffer();
				break;
			case 3:
			case 4:
			case 5:
				bad_transfer(peer.fd);
				break;
			case 6:
				drmCloseBufferHandle(peer.fd, 3 + below(40));
				break;
			default:
				bad_blob(peer.fd, image);
				break;
			}
		}
		peer_finish(&peer);
	}
	need_life();
	printf("done ids %u\n", count);
}

/* Host memory until there is no more place for it; all of it is held until a word comes. */
static void mode_blobs(unsigned count)
{
	static struct object objects[MOST_OBJECTS];
	struct peer peer;
	unsigned n = 0;
	int ret = 0;
	count = count < MOST_OBJECTS ? count : MOST_OBJECTS;
	peer_init(&peer, XD_CHANNEL_NONE);
	struct xd_image_requirements image = peer_image(&peer, 256, 256);
	while (n < count && ret == 0) {
		ret = node_make_object(peer.fd, VIRTGPU_BLOB_MEM_HOST3D, image.blob_id, image.size,
				       &objects[n]);
		if (ret == 0) {
			objects[n++].map[0] = 1;
		}
	}
	printf("full %u %s\n", n, strerror(-ret));
	wait_for_word();
	/* Every other one, so that what is free is in pieces. */
	for (unsigned i = 0; i < n; i += 2) {
		node_free_object(peer.fd, &objects[i]);
	}
	printf("holes %u\n", n / 2);
	wait_for_word();
	/* The rest goes with the program. */
	printf("done blobs %u\n", n);
}

/* --- contexts --- */

/* Each with a connection to the compositor, and a POLL that waits; all end with the program. */
static void mode_contexts(unsigned count)
{
	struct rlimit files = {1 << 16, 1 << 16};
	setrlimit(RLIMIT_NOFILE, &files);
	for (unsigned i = 0; i < count; i++) {
		struct peer peer;
		peer_init(&peer, XD_CHANNEL_WAYLAND);
		poll_channel(&peer);
	}
	printf("made %u\n", count);
	wait_for_word();
	printf("done contexts %u\n", count);
}

/* One context that never reads what it is told, and asks for it again and again. */
static void mode_polls(unsigned count)
{
	struct peer peer;
	peer_init(&peer, XD_CHANNEL_WAYLAND);
	for (unsigned i = 0; i < count; i++) {
		poll_channel(&peer);
	}
	printf("asked %u\n", count);
	wait_for_word();
	need_life();
	printf("done polls %u\n", count);
}

static atomic_bool stop;

struct scribbler {
	struct peer *peer;
	uint64_t state;
};

static void *scribble(void *data)
{
	struct scribbler *scribbler = data;
	while (!atomic_load(&stop)) {
		uint64_t number = rnd(&scribbler->state);
		size_t at = (number >> 48) % (NODE_RING_BYTES - 8);
		*(volatile uint8_t *)(scribbler->peer->query.map + at) = (uint8_t)number;
		*(volatile uint8_t *)(scribbler->peer->channel.map + at) = (uint8_t)(number >> 8);
	}
	return NULL;
}

/* Over both mailboxes, while a compositor's globals come. */
static void mode_scribble(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		static uint8_t bytes[8192];
		struct peer peer;
		peer_init(&peer, XD_CHANNEL_WAYLAND);
		struct scribbler scribbler = {&peer, rnd(&random_state) | 1};
		pthread_t thread;
		atomic_store(&stop, false);
		if (pthread_create(&thread, NULL, scribble, &scribbler) != 0) {
			die("pthread_create");
		}
		for (int k = 0; k < 20; k++) {
			struct xd_send_receive *send = (struct xd_send_receive *)bytes;
			uint32_t message[] = {1, 12 << 16 | (k % 2), 2 + (uint32_t)k};
			*send = (struct xd_send_receive){
				.hdr = {.cmd = XD_CMD_SEND,
					.cmd_size = sizeof(*send) + sizeof(message)},
				.opaque_data_size = sizeof(message)};
			memcpy(send + 1, message, sizeof(message));
			node_submit(peer.fd, bytes, send->hdr.cmd_size);
			poll_channel(&peer);
			peer_image(&peer, 1 + below(100), 1 + below(100));
			drain_events(&peer);
		}
		atomic_store(&stop, true);
		pthread_join(thread, NULL);
		peer_finish(&peer);
	}
	need_life();
	printf("done scribble %u\n", count);
}

struct churner {
	struct peer *peer;
	uint64_t state;
	unsigned count;
	uint32_t blob_id;
};

/* Threads that use, and take from each other, the same small handles of one context. */
static void *churn(void *data)
{
	struct churner *churner = data;
	int fd = churner->peer->fd;
	for (unsigned i = 0; i < churner->count; i++) {
		uint32_t handle = 3 + (uint32_t)(rnd(&churner->state) >> 33) % 8;
		struct object object = {0};
		switch (rnd(&churner->state) >> 62) {
		case 0:
			node_make_object(fd, VIRTGPU_BLOB_MEM_HOST3D, churner->blob_id, 64 * 64 * 4,
					 &object);
			break;
		case 1: {
			struct xd_poll poll = {.hdr = {XD_CMD_POLL, 0, sizeof(poll), 0}};
			struct drm_virtgpu_execbuffer exec = {
				.size = sizeof(poll),
				.command = (uintptr_t)&poll,
				.bo_handles = (uintptr_t)&handle,
				.num_bo_handles = 1,
			};
			drmIoctl(fd, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec);
			break;
		}
		case 2: {
			struct drm_virtgpu_map map = {.handle = handle};
			drmIoctl(fd, DRM_IOCTL_VIRTGPU_MAP, &map);
			break;
		}
		default:
			drmCloseBufferHandle(fd, handle);
			break;
		}
	}
	return NULL;
}

static void mode_churn(unsigned count)
{
	struct peer peer;
	peer_init(&peer, XD_CHANNEL_WAYLAND);
	uint32_t blob_id = peer_image(&peer, 64, 64).blob_id;
	struct churner churners[CHURNERS];
	pthread_t threads[CHURNERS];
	for (int i = 0; i < CHURNERS; i++) {
		churners[i] = (struct churner){&peer, rnd(&random_state) | 1, count, blob_id};
		if (pthread_create(&threads[i], NULL, churn, &churners[i]) != 0) {
			die("pthread_create");
		}
	}
	for (int i = 0; i < CHURNERS; i++) {
		pthread_join(threads[i], NULL);
	}
	/* No orderly end: the rings' handles may be anybody's now. */
	close(peer.fd);
	need_life();
	printf("done churn %u\n", count);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(unsigned count);
	} modes[] = {
		{"ids", mode_ids},     {"commands", mode_commands},
		{"sizes", mode_sizes}, {"contexts", mode_contexts},
		{"blobs", mode_blobs}, {"scribble", mode_scribble},
		{"churn", mode_churn}, {"polls", mode_polls},
	};
	const char *mode = argc > 1 ? argv[1] : "";
	unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;
	random_state = argc > 3 ? strtoull(argv[3], NULL, 10) | 1 : 1;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, mode) == 0) {
			modes[i].run(count);
			fflush(stdout);
			return 0;
		}
	}
	fprintf(stderr, "hostile: no mode %s\n", mode);
	return 2;
}
