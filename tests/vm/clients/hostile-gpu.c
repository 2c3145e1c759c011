/* SPDX-License-Identifier: MIT
 *
 * hostile-gpu virgl2|venus|drm MODE [COUNT [SEED]]
 *
 * Does with GPU contexts of a kind what no sane program does, as far as the kernel lets it. Nothing here
 * expects an answer, but that fences end. Prints "refused" if there are no such contexts, else
 * "done MODE COUNT" at its end.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node.h"
#include "random.h"

#define N_RINGS 64
#define FENCE_MS 60000
#define STREAM_WORDS (4u << 20 >> 2)
#define MOST_FENCES 256

enum capset { VIRGL2 = 2, VENUS = 4, DRM = 6 };

/* Of virglrenderer's virgl_protocol.h. */
enum { VIRGL_SET_SUB_CTX = 28, VIRGL_CREATE_SUB_CTX = 29 };

/* Of Mesa's vn_protocol: kinds of command, and VkRingCreateInfoMESA's type. */
enum { VENUS_CREATE_RING = 188, VENUS_NOTIFY_RING = 190, VENUS_COMMANDS = 340 };
#define VENUS_RING_INFO 1000384000u

static enum capset capset;
static uint32_t stream[STREAM_WORDS];
static uint32_t newest_resource = 1;

/* --- contexts --- */

static int open_context(void)
{
	int fd = node_open();
	errno = -node_init_context_of(fd, capset, N_RINGS, 0);
	if (errno != 0) {
		die("CONTEXT_INIT");
	}
	return fd;
}

/* Every fence has to end, whatever came of its commands. */
static void wait_fence(int fence)
{
	struct pollfd wait = {.fd = fence, .events = POLLIN};
	if (poll(&wait, 1, FENCE_MS) != 1) {
		errno = ETIMEDOUT;
		die("waited %d ms for a fence", FENCE_MS);
	}
	close(fence);
}

/* A new context works: an empty command's fence ends. */
static void need_life(void)
{
	uint32_t none[2] = {0};
	int fence, fd = open_context();
	errno = -node_exec(fd, none, sizeof(none), 0, &fence);
	if (errno != 0) {
		die("EXECBUFFER");
	}
	wait_fence(fence);
	close(fd);
}

static void wait_for_word(void)
{
	char word[16];
	fflush(stdout);
	if (!fgets(word, sizeof(word), stdin)) {
		exit(0);
	}
}

/* --- commands --- */

/* A word that may be an id, an object, a float, or breaks something. */
static uint32_t word(void)
{
	switch (below(6)) {
	case 0:
		return below(newest_resource + 8);
	case 1:
		return below(16);
	case 2:
		return 0x3f800000;
	case 3:
		return 0;
	default:
		return (uint32_t)odd_number();
	}
}

/* Commands of virgl_protocol.h, with an object's kind above 8 bits, and how many words they want. */
static const uint16_t virgl_commands[][2] = {
	{0x101, 11}, {0x201, 9}, {0x301, 5}, {0x501, 9}, {0x601, 6}, {0x701, 9}, {0x801, 5},
	{0x901, 4},  {0xa01, 4}, {0x102, 1}, {0x202, 1}, {0x302, 1}, {0x502, 1}, {0x103, 1},
	{0x603, 1},  {0x803, 1}, {4, 7},     {5, 3},	 {6, 3},     {6, 6},	 {7, 8},
	{8, 12},     {9, 20},	 {10, 3},    {10, 6},	 {11, 3},    {12, 18},	 {13, 1},
	{14, 4},     {15, 3},	 {16, 21},   {17, 13},	 {18, 3},    {19, 1},	 {20, 1},
	{21, 2},     {22, 32},	 {23, 32},   {24, 1},	 {25, 3},    {26, 3},	 {27, 5},
	{30, 1},     {31, 2},	 {32, 6},    {33, 1},	 {34, 5},    {35, 7},	 {36, 1},
	{37, 8},     {38, 2},	 {39, 1},    {40, 4},	 {42, 6},    {43, 13},	 {44, 0},
	{45, 14},    {46, 2},	 {47, 12},   {48, 11},	 {49, 3},    {50, 2},	 {51, 3},
};

/* A shader, with a letter changed now and then. */
static uint32_t fill_shader(uint32_t *at)
{
	char text[] = "FRAG\nDCL IN[0], GENERIC[0], PERSPECTIVE\nDCL OUT[0], COLOR\n"
		      "DCL SAMP[0]\nDCL SVIEW[0], 2D, FLOAT\nDCL TEMP[0]\n"
		      "IMM[0] FLT32 {1.0, 0.0, 0.5, 1.0}\n"
		      "  0: TEX TEMP[0], IN[0], SAMP[0], 2D\n  1: MUL OUT[0], TEMP[0], IMM[0]\n  "
		      "2: END\n";
	for (uint32_t n = below(4); n > 0; n--) {
		text[below(sizeof(text) - 1)] = (char)(below(2) ? '0' + below(10) : below(256));
	}
	at[1] = 1 + below(4);
	at[2] = below(6);
	at[3] = below(4) ? sizeof(text) : (uint32_t)odd_number();
	at[4] = below(4) ? 300 : (uint32_t)odd_number();
	at[5] = 0;
	memcpy(&at[6], text, sizeof(text));
	uint32_t len = 5 + (sizeof(text) + 3) / 4;
	at[0] = 0x401 | len << 16;
	return 1 + len;
}

static uint32_t fill_virgl(uint32_t *at, uint32_t most)
{
	static const uint32_t known = sizeof(virgl_commands) / sizeof(virgl_commands[0]);
	uint32_t n = 0;
	at[n++] = VIRGL_CREATE_SUB_CTX | 1 << 16;
	at[n++] = 1;
	at[n++] = VIRGL_SET_SUB_CTX | 1 << 16;
	at[n++] = 1;
	while (n + 128 < most) {
		const uint16_t *command = virgl_commands[below(known)];
		uint32_t len = below(24) ? command[1] : below(60);
		uint32_t said = below(50) ? len : (uint32_t)odd_number() & 0xffff;
		if (below(12) == 0) {
			n += fill_shader(at + n);
			continue;
		}
		at[n++] = (below(50) ? command[0] : below(1 << 12)) | said << 16;
		for (uint32_t i = 0; i < len; i++) {
			at[n++] = i == 0 && below(4) ? 1 + below(8) : word();
		}
	}
	return n;
}

static uint32_t fill_venus(uint32_t *at, uint32_t most)
{
	uint32_t n = 0;
	while (n + 64 < most) {
		at[n++] = below(VENUS_COMMANDS);
		at[n++] = below(2);
		for (uint32_t len = below(24); len > 0; len--) {
			/* Pointers and handles have 64 bits; most are small. */
			uint64_t number = below(2) ? below(3) : word();
			at[n++] = (uint32_t)number;
			at[n++] = below(8) ? 0 : (uint32_t)odd_number();
		}
	}
	return n;
}

static uint32_t fill_stream(uint32_t most)
{
	if (below(16) == 0) {
		for (uint32_t i = 0; i < most; i++) {
			stream[i] = (uint32_t)rnd(&random_state);
		}
		return most;
	}
	return capset == VENUS ? fill_venus(stream, most) : fill_virgl(stream, most);
}

static uint32_t some_size(void)
{
	static const uint32_t sizes[] = {1, 2, 3, 16384, 16385, STREAM_WORDS};
	/* A context ends with its first error. */
	return below(12) ? 132 + below(200) : sizes[below(6)];
}

/* --- resources --- */

static uint32_t make_texture(int fd, bool sane)
{
	struct drm_virtgpu_resource_create create = {
		.target = sane ? 2 : below(10),
		.format = sane	     ? 1
			  : below(8) ? below(400)
				     : (uint32_t)odd_number(),
		.bind = sane ? 10 : (uint32_t)odd_number(),
		.width = sane ? 32 : (uint32_t)odd_number(),
		.height = sane ? 32 : (uint32_t)odd_number(),
		.depth = sane ? 1 : below(4),
		.array_size = sane ? 1 : (uint32_t)odd_number(),
		.last_level = sane ? 0 : (uint32_t)odd_number(),
		.nr_samples = sane ? 0 : below(70),
		.flags = sane ? 0 : (uint32_t)odd_number(),
		.size = 4096,
	};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &create) < 0) {
		return 0;
	}
	newest_resource = create.res_handle;
	return create.bo_handle;
}

static void try_map(int fd, uint32_t handle, uint64_t size)
{
	struct drm_virtgpu_map map = {.handle = handle};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_MAP, &map) == 0 && size <= 1 << 20) {
		/* What the host refused to map is known only now; it is not touched. */
		void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)map.offset);
		if (at != MAP_FAILED) {
			munmap(at, size);
		}
	}
}

static uint32_t make_blob(int fd, uint32_t mem, uint32_t flags, uint64_t size, uint64_t blob_id)
{
	struct drm_virtgpu_resource_create_blob create = {
		.blob_mem = mem,
		.blob_flags = flags,
		.size = size,
		.blob_id = blob_id,
	};
	bool sane = size == 4096 && blob_id == 0;
	/* The kernel would take the memory. */
	if (size > 16 << 20 && mem != VIRTGPU_BLOB_MEM_HOST3D) {
		create.size = 16 << 20;
	}
	/* With commands of its own that say what the blob is. */
	if (!sane && below(4) == 0) {
		create.cmd_size = 4 * (fill_stream(200));
		create.cmd = (uintptr_t)stream;
	}
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create) < 0) {
		return 0;
	}
	newest_resource = create.res_handle;
	return create.bo_handle;
}

static void bad_transfer(int fd, uint32_t handle)
{
	struct drm_virtgpu_3d_transfer_to_host transfer = {
		.bo_handle = handle,
		.box = {(uint32_t)odd_number(), (uint32_t)odd_number(), below(2),
			(uint32_t)odd_number(), (uint32_t)odd_number(), below(3)},
		.level = below(4) ? 0 : (uint32_t)odd_number(),
		.offset = below(2) ? 0 : (uint32_t)odd_number(),
		.stride = below(2) ? 0 : (uint32_t)odd_number(),
		.layer_stride = below(4) ? 0 : (uint32_t)odd_number(),
	};
	drmIoctl(fd,
		 below(2) ? DRM_IOCTL_VIRTGPU_TRANSFER_TO_HOST
			  : DRM_IOCTL_VIRTGPU_TRANSFER_FROM_HOST,
		 &transfer);
}

/* --- modes --- */

static void mode_streams(unsigned count)
{
	for (unsigned done = 0; done < count;) {
		int fences[16], n_fences = 0, fd = open_context();
		for (int i = 0; i < 4; i++) {
			make_texture(fd, true);
		}
		for (unsigned n = 1 + below(16); n > 0; n--, done++) {
			uint32_t size = 4 * fill_stream(some_size());
			size -= below(16) ? 0 : below(4);
			int *fence = below(4) ? NULL : &fences[n_fences];
			if (node_exec(fd, stream, size, below(8) ? 0 : below(N_RINGS), fence) ==
				    0 &&
			    fence) {
				n_fences++;
			}
		}
		/* Half of the contexts end with work that waits. */
		bool pending = below(2);
		while (n_fences > 0) {
			int fence = fences[--n_fences];
			pending ? (void)close(fence) : wait_fence(fence);
		}
		close(fd);
	}
	need_life();
}

/* Every kind of blob, with every flag. */
static void mode_blobs(unsigned count)
{
	static const uint64_t sizes[] = {4096, 8192, 65536, 1 << 20, 1ull << 31, 1ull << 33};
	for (unsigned i = 0; i < count; i++) {
		int fd = open_context();
		for (uint32_t kind = 0; kind < 6 * 8; kind++) {
			uint64_t size = below(4) ? sizes[below(6)] : odd_number();
			uint64_t id = below(3) ? below(4) : odd_number();
			uint32_t handle = make_blob(fd, kind / 8, kind % 8, size, id);
			if (handle == 0) {
				continue;
			}
			try_map(fd, handle, size);
			if (below(2)) {
				bad_transfer(fd, handle);
			}
			if (below(4)) {
				drmCloseBufferHandle(fd, handle);
			}
		}
		close(fd);
	}
	need_life();
}

static void mode_images(unsigned count)
{
	for (unsigned done = 0; done < count;) {
		int fd = open_context();
		for (int i = 0; i < 50; i++, done++) {
			uint32_t handle = make_texture(fd, below(2));
			if (handle == 0) {
				continue;
			}
			for (uint32_t n = below(6); n > 0; n--) {
				bad_transfer(fd, handle);
			}
			if (below(2)) {
				drmCloseBufferHandle(fd, handle);
				/* Named by commands, and by its handle, when it is gone. */
				node_exec(fd, stream, 4 * fill_stream(200), 0, NULL);
				bad_transfer(fd, handle);
			}
		}
		close(fd);
	}
	need_life();
}

/* On each ring, and all have to end. */
static void mode_fences(unsigned count)
{
	static int fences[MOST_FENCES];
	for (unsigned i = 0; i < count; i++) {
		int fd = open_context();
		uint32_t none[2] = {0}, n = 0;
		for (uint32_t k = 0; k < MOST_FENCES; k++) {
			n += node_exec(fd, none, sizeof(none), k % (N_RINGS + 2), &fences[n]) == 0;
		}
		if (n < MOST_FENCES / 2) {
			die("only %u of %u fences", n, MOST_FENCES);
		}
		while (n > 0) {
			wait_fence(fences[--n]);
		}
		close(fd);
	}
	need_life();
}

static void mode_contexts(unsigned count)
{
	struct rlimit files = {1 << 16, 1 << 16};
	setrlimit(RLIMIT_NOFILE, &files);
	for (unsigned i = 0; i < count; i++) {
		int fd = open_context();
		node_exec(fd, stream, 4 * fill_stream(200), 0, NULL);
	}
	printf("made %u\n", count);
	wait_for_word();
}

/* As many as it gets, all in a hurry. */
static void make_resources(unsigned count, uint32_t flags)
{
	unsigned made = 0;
	int fd = open_context();
	for (unsigned i = 0; i < count; i++) {
		uint32_t handle = capset == VENUS
					  ? make_blob(fd, VIRTGPU_BLOB_MEM_HOST3D, flags, 4096, 0)
					  : make_texture(fd, true);
		made += handle != 0;
	}
	/* That the worker has come so far. */
	uint32_t none[2] = {0};
	int fence;
	errno = -node_exec(fd, none, sizeof(none), 0, &fence);
	if (errno != 0) {
		die("EXECBUFFER");
	}
	wait_fence(fence);
	printf("made %u\n", made);
	wait_for_word();
}

static void mode_resources(unsigned count)
{
	make_resources(count, 0);
}

/* The kernel asks for each to be mapped as it is made, and waits for none. */
static void mode_maps(unsigned count)
{
	make_resources(count, VIRTGPU_BLOB_FLAG_USE_MAPPABLE);
}

/* --- Venus' rings --- */

static void put64(uint32_t **at, uint64_t number)
{
	memcpy(*at, &number, sizeof(number));
	*at += 2;
}

/* Commands in memory that this program goes on to write to. */
static void create_ring(int fd, const struct object *object, bool sane)
{
	static const uint64_t layout[] = {0, 64, 128, 192, 4096, 4288, 64};
	uint32_t *at = stream;
	*at++ = VENUS_CREATE_RING;
	*at++ = 0;
	put64(&at, 1);
	put64(&at, 1);
	*at++ = VENUS_RING_INFO;
	put64(&at, 0);
	*at++ = 0;
	*at++ = sane || below(2) ? object->res_id : word();
	put64(&at, sane || below(2) ? 0 : odd_number());
	put64(&at, sane || below(2) ? object->size : odd_number());
	put64(&at, 1000);
	for (size_t i = 0; i < sizeof(layout) / sizeof(layout[0]); i++) {
		put64(&at, sane || below(4) ? layout[i] : odd_number());
	}
	node_exec(fd, stream, (uint32_t)((uint8_t *)at - (uint8_t *)stream), 0, NULL);
}

static void use_ring(int fd, struct object *object)
{
	uint32_t *tail = (uint32_t *)(void *)(object->map + 64);
	for (int i = 0; i < 30; i++) {
		uint32_t notify[] = {VENUS_NOTIFY_RING, 0, 1, 0, word(), 0};
		uint32_t n = fill_venus((uint32_t *)(void *)(object->map + 192), 1000);
		__atomic_store_n(tail, below(8) ? *tail + 4 * n : (uint32_t)odd_number(),
				 __ATOMIC_SEQ_CST);
		node_exec(fd, notify, sizeof(notify), 0, NULL);
	}
}

static void mode_rings(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int fd = open_context();
		struct object object;
		int ret = node_make_object(fd, VIRTGPU_BLOB_MEM_HOST3D, 0, 8192, &object);
		if (ret == 0) {
			memset(object.map, 0, object.size);
			create_ring(fd, &object, i % 2 == 0);
			use_ring(fd, &object);
			if (below(2)) {
				node_free_object(fd, &object);
				use_ring(fd, &(struct object){.map = (uint8_t *)stream});
			}
		}
		close(fd);
	}
	need_life();
}

/* Bits of everything, until it is killed. */
static void mode_all(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		mode_streams(8);
		mode_blobs(1);
		mode_images(50);
		if (capset == VENUS) {
			mode_rings(2);
		}
	}
}

static enum capset parse_capset(const char *name)
{
	return strcmp(name, "venus") == 0 ? VENUS : strcmp(name, "drm") == 0 ? DRM : VIRGL2;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(unsigned count);
	} modes[] = {
		{"streams", mode_streams},     {"blobs", mode_blobs},	    {"images", mode_images},
		{"fences", mode_fences},       {"contexts", mode_contexts}, {"rings", mode_rings},
		{"resources", mode_resources}, {"all", mode_all},	    {"maps", mode_maps},
	};
	capset = parse_capset(argc > 1 ? argv[1] : "");
	const char *mode = argc > 2 ? argv[2] : "";
	unsigned count = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
	random_state = argc > 4 ? strtoull(argv[4], NULL, 10) | 1 : 1;
	if (node_init_context_of(node_open(), capset, N_RINGS, 0) < 0) {
		printf("refused\n");
		return 0;
	}
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, mode) == 0) {
			modes[i].run(count);
			printf("done %s %u\n", mode, count);
			return 0;
		}
	}
	fprintf(stderr, "hostile-gpu: no mode %s\n", mode);
	return 2;
}
