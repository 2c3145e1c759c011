/* SPDX-License-Identifier: MIT
 *
 * The host's device as a guest sees it: capset, contexts, resources, rings, the stream, pipes, and
 * what a hostile guest might send. Each case also checks that no fd is left.
 */
#include <drm/drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "gpu/resource.h"
#include "host_device.h"
#include "limits.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BAD VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
static void test_capset(struct guest *guest)
{
	struct virtio_gpu_get_capset_info info = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO};
	CHECK_EQ(guest_call(guest, &info, sizeof(info), -1), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	struct virtio_gpu_resp_capset_info answer;
	memcpy(&answer, guest->bytes, sizeof(answer));
	CHECK_EQ(answer.capset_id, 5);
	CHECK_EQ(answer.capset_max_version, 0);
	CHECK_EQ(answer.capset_max_size, 32);
	info.capset_index = 1;
	CHECK_EQ(guest_call(guest, &info, sizeof(info), -1), BAD);

	struct virtio_gpu_get_capset get = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET, .capset_id = 5};
	CHECK_EQ(guest_call(guest, &get, sizeof(get), -1), VIRTIO_GPU_RESP_OK_CAPSET);
	CHECK_EQ(guest->len, 24 + 32);
	struct xd_capset_ext capset;
	memcpy(&capset, guest->bytes + 24, sizeof(capset));
	CHECK_EQ(capset.base.version, 1);
	CHECK_EQ(capset.base.supported_channels, 2);
	CHECK_EQ(capset.magic, XD_CAPSET_MAGIC);
	CHECK_EQ(capset.extensions, PUSH_ALL);
	get.capset_version = 1;
	CHECK_EQ(guest_call(guest, &get, sizeof(get), -1), BAD);
	CHECK_EQ(guest_call(guest, &get, sizeof(get) - 1, -1), BAD);

	struct virtio_gpu_ctrl_hdr display = {.type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO};
	CHECK_EQ(guest_call(guest, &display, sizeof(display), -1), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	CHECK_EQ(guest->len, sizeof(struct virtio_gpu_resp_display_info));
	display.type = VIRTIO_GPU_CMD_SET_SCANOUT;
	CHECK_EQ(guest_call(guest, &display, sizeof(display), -1),
		 VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID);
	display.type = 0x7777;
	CHECK_EQ(guest_call(guest, &display, sizeof(display), -1), VIRTIO_GPU_RESP_ERR_UNSPEC);
}

static void test_errors(struct guest *guest)
{
	struct virtio_gpu_ctx_create create = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_CREATE, .ctx_id = 0},
		.context_init = 5,
	};
	CHECK_EQ(guest_call(guest, &create, sizeof(create), -1),
		 VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	create.hdr.ctx_id = CTX;
	create.context_init = 4;
	CHECK_EQ(guest_call(guest, &create, sizeof(create), -1), BAD);
	create.context_init = 5;
	create.nlen = 65;
	CHECK_EQ(guest_call(guest, &create, sizeof(create), -1), BAD);
	create.nlen = 64;
	CHECK_EQ(guest_call(guest, &create, sizeof(create), -1), OK);
	CHECK_EQ(guest_call(guest, &create, sizeof(create), -1),
		 VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	struct virtio_gpu_ctrl_hdr destroy = {.type = VIRTIO_GPU_CMD_CTX_DESTROY, .ctx_id = CTX};
	CHECK_EQ(guest_call(guest, &destroy, sizeof(destroy), -1), OK);
	CHECK_EQ(guest_call(guest, &destroy, sizeof(destroy), -1),
		 VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);

	struct virtio_gpu_resource_unref unref = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNREF,
						  .resource_id = 9};
	CHECK_EQ(guest_call(guest, &unref, sizeof(unref), -1),
		 VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);

	int fd = memfd_create("short", MFD_CLOEXEC);
	CHECK(ftruncate(fd, 4096) == 0);
	struct virtio_gpu_resource_create_blob blob = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, .ctx_id = CTX},
		.resource_id = 9,
		.blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST,
		.size = 4097,
	};
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), fd), BAD);
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), -1), BAD);
	blob.size = UINT64_MAX;
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), fd), BAD);
	blob.size = 4096;
	blob.nr_entries = 1;
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), fd), BAD);
	blob.nr_entries = 0;
	blob.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST;
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), fd),
		 VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	blob.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D;
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), -1),
		 VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	blob.blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST;
	blob.resource_id = 0;
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), fd),
		 VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	blob.resource_id = 9;
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), fd), OK);
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), fd),
		 VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	CHECK_EQ(guest_call(guest, &unref, sizeof(unref), -1), OK);
	close(fd);

	/* Only what must be answered is. */
	destroy.flags = 0;
	create.hdr.flags = 0;
	guest_request(guest, &create, sizeof(create), NULL, 0);
	guest_request(guest, &destroy, sizeof(destroy), NULL, 0);
	CHECK(!guest_receive(guest));
	guest_request(guest, &destroy, sizeof(destroy), NULL, 0);
	CHECK(guest_receive(guest));
	CHECK_EQ(guest_type(guest), VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
}

static void test_mailbox(struct guest *guest)
{
	int rings[2];
	guest_open(guest, 0, rings);
	struct send send = make_send(100);
	CHECK_EQ(guest_submit_wait(guest, &send, send.head.hdr.cmd_size), OK);
	CHECK_EQ(fake_client->dispatches, 1);
	CHECK_EQ(br_stream_bytes(&fake_client->in), 100);
	CHECK(memcmp(br_stream_peek(&fake_client->in), send.data, 100) == 0);

	/* Nothing is written without a POLL. */
	uint8_t page[4096], zero[4096] = {0};
	add_event("first", 5);
	CHECK(!guest_receive(guest));
	CHECK(pread(rings[1], page, sizeof(page), 0) == 4096 && memcmp(page, zero, 4096) == 0);

	/* Two POLLs, one event: one fence. */
	uint64_t one = guest_submit(guest, &poll_cmd, sizeof(poll_cmd), 1, NULL, 0);
	uint64_t two = guest_submit(guest, &poll_cmd, sizeof(poll_cmd), 1, NULL, 0);
	CHECK(guest_receive(guest));
	CHECK_EQ(guest->packet.cookie, one);
	struct virtio_gpu_ctrl_hdr hdr;
	memcpy(&hdr, guest->bytes, sizeof(hdr));
	CHECK_EQ(hdr.ring_idx, 1);
	CHECK(!guest_receive(guest));
	CHECK(pread(rings[1], page, sizeof(page), 0) == 4096);
	struct xd_send_receive *head = (struct xd_send_receive *)page;
	uint64_t first_word;
	memcpy(&first_word, page, sizeof(first_word));
	CHECK_EQ(first_word, XD_CMD_RECEIVE); /* bytes 1 to 7 are zero */
	CHECK_EQ(head->opaque_data_size, 5);
	CHECK(memcmp(page + sizeof(*head), "first", 5) == 0);

	/* More than the page takes comes in pieces. */
	char big[6000];
	memset(big, 'x', sizeof(big));
	add_event(big, sizeof(big));
	CHECK(guest_receive(guest));
	CHECK_EQ(guest->packet.cookie, two);
	CHECK(pread(rings[1], page, sizeof(page), 0) == 4096);
	CHECK_EQ(head->opaque_data_size, 4096 - 352);
	guest_submit(guest, &poll_cmd, sizeof(poll_cmd), 1, NULL, 0);
	CHECK(guest_receive(guest));
	CHECK(pread(rings[1], page, sizeof(page), 0) == 4096);
	CHECK_EQ(head->opaque_data_size, 6000 - (4096 - 352));

	/* EOF once; then nothing, and destruction ends the waiting POLL. */
	fake_client->events->closed(fake_client->data);
	guest_submit(guest, &poll_cmd, sizeof(poll_cmd), 1, NULL, 0);
	CHECK(guest_receive(guest));
	CHECK(pread(rings[1], page, sizeof(page), 0) == 4096);
	CHECK(head->opaque_data_size == 0 && head->num_identifiers == 0);
	uint64_t last = guest_submit(guest, &poll_cmd, sizeof(poll_cmd), 1, NULL, 0);
	CHECK(!guest_receive(guest));
	struct virtio_gpu_ctrl_hdr destroy = {.type = VIRTIO_GPU_CMD_CTX_DESTROY, .ctx_id = CTX};
	guest_request(guest, &destroy, sizeof(destroy), NULL, 0);
	CHECK(guest_receive(guest));
	CHECK_EQ(guest->packet.cookie, last);
	close(rings[0]);
	close(rings[1]);
}

static void test_shrunk_ring(struct guest *guest)
{
	int rings[2];
	guest_open(guest, 0, rings);
	uint64_t poll = guest_submit(guest, &poll_cmd, sizeof(poll_cmd), 1, NULL, 0);
	guest_run(guest);
	CHECK(fcntl(rings[1], F_SETFL, 0) == 0 && ftruncate(rings[1], 0) == 0);
	add_event("text", 4); /* grows the file again, or fails; no signal */
	guest_receive(guest);
	CHECK(guest->packet.cookie == poll || fake_client->failure[0]);
	close(rings[0]);
	close(rings[1]);
}

static void test_images(struct guest *guest)
{
	int rings[2];
	guest_open(guest, 0, rings);
	struct xd_get_image_requirements get = {
		.hdr = {.cmd = XD_CMD_GET_IMAGE_REQUIREMENTS, .cmd_size = sizeof(get)},
		.width = 101,
		.height = 51,
		.drm_format = DRM_FORMAT_NV12,
		.flags = 17,
	};
	struct xd_image_requirements reqs, again;
	CHECK_EQ(guest_submit_wait(guest, &get, sizeof(get)), OK);
	CHECK(pread(rings[0], &reqs, sizeof(reqs), 0) == sizeof(reqs));
	CHECK_EQ(reqs.strides[0], 101);
	CHECK_EQ(reqs.strides[1], 102);
	CHECK_EQ(reqs.offsets[1], 101 * 51);
	CHECK_EQ(reqs.size, 8192);
	CHECK_EQ(reqs.blob_id, XD_FIRST_ITEM_ID);
	CHECK_EQ(reqs.map_info, 1);
	CHECK_EQ(guest_submit_wait(guest, &get, sizeof(get)), OK);
	CHECK(pread(rings[0], &again, sizeof(again), 0) == sizeof(again));
	CHECK(memcmp(&reqs, &again, sizeof(reqs)) == 0);

	struct virtio_gpu_resource_create_blob blob = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, .ctx_id = CTX},
		.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
		.blob_id = reqs.blob_id,
		.size = reqs.size - 1,
		.resource_id = 10,
	};
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), -1), BAD);
	blob.size = reqs.size;
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), -1), OK);
	blob.resource_id = 11;
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), -1), OK);
	blob.resource_id = 12;
	blob.blob_id = 99;
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), -1), BAD);

	struct virtio_gpu_resource_map_blob map = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB,
						   .resource_id = 10};
	CHECK_EQ(guest_call(guest, &map, sizeof(map), -1), VIRTIO_GPU_RESP_OK_MAP_INFO);
	CHECK_EQ(guest->n_fds, 1);
	CHECK_EQ(fcntl(guest->fds[0], F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	CHECK(lseek(guest->fds[0], 0, SEEK_END) == 8192);
	CHECK_EQ(guest_call(guest, &map, sizeof(map), -1), BAD);
	struct virtio_gpu_resource_unmap_blob unmap = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, .resource_id = 10};
	CHECK_EQ(guest_call(guest, &unmap, sizeof(unmap), -1), OK);
	CHECK_EQ(guest_call(guest, &unmap, sizeof(unmap), -1), BAD);

	struct virtio_gpu_resource_assign_uuid assign = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, .resource_id = 10};
	uint8_t uuid[16];
	CHECK_EQ(guest_call(guest, &assign, sizeof(assign), -1), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	memcpy(uuid, guest->bytes + 24, 16);
	CHECK_EQ(guest_call(guest, &assign, sizeof(assign), -1), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	CHECK(memcmp(uuid, guest->bytes + 24, 16) == 0);

	/* Sizes that overflow, and formats that nobody knows. */
	const uint32_t bad[][3] = {{UINT32_MAX, UINT32_MAX, DRM_FORMAT_ABGR16161616F},
				   {0, 5, DRM_FORMAT_R8},
				   {5, 0, DRM_FORMAT_R8},
				   {1u << 31, 3, DRM_FORMAT_R8},
				   {64, 64, 0x12345678}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		get.width = bad[i][0];
		get.height = bad[i][1];
		get.drm_format = bad[i][2];
		CHECK_EQ(guest_submit_wait(guest, &get, sizeof(get)), BAD);
	}
	close(rings[0]);
	close(rings[1]);
}

static void test_items(struct guest *guest)
{
	int rings[2];
	guest_open(guest, 0, rings);
	/* A keymap arrives, and becomes a blob once. */
	int fd = memfd_create("keymap", MFD_CLOEXEC);
	CHECK(write(fd, "keymap", 6) == 6);
	struct br_handle handle = {.fd = fd, .kind = BR_FD_FILE};
	CHECK(br_stream_push_handle_take(&fake_client->out, &handle) == 0);
	guest_submit(guest, &poll_cmd, sizeof(poll_cmd), 1, NULL, 0);
	add_event("message", 7);
	CHECK(guest_receive(guest));
	struct xd_send_receive head;
	CHECK(pread(rings[1], &head, sizeof(head), 0) == sizeof(head));
	CHECK_EQ(head.num_identifiers, 1);
	CHECK_EQ(head.types[0], XD_ITEM_BLOB);
	CHECK_EQ(head.identifiers[0], XD_FIRST_ITEM_ID);
	CHECK_EQ(head.sizes[0], 6);
	struct virtio_gpu_resource_create_blob blob = {
		.hdr = {.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, .ctx_id = CTX},
		.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
		.blob_id = head.identifiers[0],
		.size = 8192,
		.resource_id = 10,
	};
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), -1), BAD);
	blob.size = 4096; /* the guest rounds up to pages */
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), -1), OK);
	blob.resource_id = 11;
	CHECK_EQ(guest_call(guest, &blob, sizeof(blob), -1), BAD);

	/* The same resource goes back as a handle once it is attached. */
	struct send send = make_send(8);
	send.head.num_identifiers = 1;
	send.head.identifiers[0] = 10;
	send.head.types[0] = XD_ITEM_BLOB;
	struct virtio_gpu_ctx_resource attach = {
		.hdr = {.type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, .ctx_id = CTX},
		.resource_id = 10,
	};
	CHECK_EQ(guest_call(guest, &attach, sizeof(attach), -1), OK);
	CHECK_EQ(guest_submit_wait(guest, &send, send.head.hdr.cmd_size), OK);
	struct br_handle sent;
	CHECK(br_stream_pop_handle(&fake_client->in, &sent));
	char text[6];
	CHECK(pread(sent.fd, text, 6, 0) == 6 && memcmp(text, "keymap", 6) == 0);
	close(sent.fd);
	attach.hdr.type = VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE;
	CHECK_EQ(guest_call(guest, &attach, sizeof(attach), -1), OK);
	CHECK_EQ(guest_submit_wait(guest, &send, send.head.hdr.cmd_size),
		 VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	CHECK(fake_client->failure[0]);
	close(rings[0]);
	close(rings[1]);
}

static void test_bad_fd_kind(struct guest *guest)
{
	int rings[2], pair[2];
	guest_open(guest, 0, rings);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	close(pair[1]);
	struct br_handle handle = {.fd = pair[0], .kind = BR_FD_FILE};
	CHECK(br_stream_push_handle_take(&fake_client->out, &handle) == 0);
	guest_submit(guest, &poll_cmd, sizeof(poll_cmd), 1, NULL, 0);
	guest_run(guest);
	add_event("message", 7);
	CHECK(fake_client->failure[0]);
	CHECK(guest_receive(guest)); /* EOF, not silence */
	close(rings[0]);
	close(rings[1]);
}

static void test_push(struct guest *guest)
{
	guest_open(guest, PUSH_ALL, NULL);
	add_event("hello", 5);
	CHECK(!guest_receive(guest)); /* no credit */
	grant(guest, 0, 1);
	CHECK(guest_receive(guest)); /* overdrawn by one command */
	CHECK_EQ(guest->packet.type, SK_PUSH);
	CHECK_EQ(guest->packet.ctx_id, CTX);
	CHECK_EQ(guest->len, 352 + 5);
	CHECK(memcmp(guest->bytes + 352, "hello", 5) == 0);
	add_event("again", 5);
	CHECK(!guest_receive(guest));
	grant(guest, 0, 356 + 1);
	CHECK(guest_receive(guest));

	/* fds travel beside the command, both ways. */
	int fd = memfd_create("shm", MFD_CLOEXEC);
	CHECK(write(fd, "pixels", 6) == 6);
	struct send send = make_send(8);
	send.head.num_identifiers = 1;
	send.head.types[0] = XD_ITEM_FD;
	guest_submit(guest, &send, send.head.hdr.cmd_size, -1, &fd, 1);
	guest_run(guest);
	struct br_handle handle = {.fd = -1};
	CHECK(br_stream_pop_handle(&fake_client->in, &handle));
	grant(guest, 0, 10000);
	handle.kind = BR_FD_SHM;
	CHECK(br_stream_push_handle_take(&fake_client->out, &handle) == 0);
	add_event("message", 7);
	CHECK(guest_receive(guest));
	CHECK_EQ(guest->n_fds, 1);
	char text[6];
	CHECK(pread(guest->fds[0], text, 6, 0) == 6 && memcmp(text, "pixels", 6) == 0);
	close(fd);

	/* POLL has no place here; an item without its fd has none either. */
	CHECK_EQ(guest_submit_wait(guest, &poll_cmd, sizeof(poll_cmd)), BAD);
	CHECK_EQ(guest_submit_wait(guest, &send, send.head.hdr.cmd_size), BAD);
	CHECK(fake_client->failure[0]);
}

static void test_push_stalled(struct guest *guest)
{
	/* A guest that does not read: the host queues little, and goes on when it reads again. */
	guest_open(guest, PUSH_ALL, NULL);
	grant(guest, 0, 64u << 20);
	guest_run(guest);
	static char block[100000];
	size_t sent = 0, got = 0;
	for (int i = 0; i < 40; i++) {
		memset(block, i, sizeof(block));
		add_event(block, sizeof(block));
		sent += sizeof(block);
	}
	CHECK(br_stream_bytes(&fake_client->out) > sent / 2); /* held back */
	while (guest_receive(guest)) {
		for (size_t i = 352; i < guest->len; i++, got++) {
			CHECK_EQ(guest->bytes[i], got / sizeof(block));
		}
	}
	CHECK_EQ(got, sent);
}

static void test_fences(struct guest *guest)
{
	guest_open(guest, PUSH_ALL, NULL);
	struct send send = make_send(8);
	fake_client->congested = true;
	uint64_t slow = guest_submit(guest, &send, send.head.hdr.cmd_size, 0, NULL, 0);
	CHECK(!guest_receive(guest));
	/* Another ring goes on. */
	struct xd_grant none = {.hdr = {.cmd = XD_CMD_GRANT, .cmd_size = sizeof(none)}};
	uint64_t fast = guest_submit(guest, &none, sizeof(none), 1, NULL, 0);
	CHECK(guest_receive(guest));
	CHECK_EQ(guest->packet.cookie, fast);
	fake_client->congested = false;
	fake_client->events->requests_drained(fake_client->data);
	CHECK(guest_receive(guest));
	CHECK_EQ(guest->packet.cookie, slow);

	/* What comes although congested is bounded. */
	fake_client->congested = true;
	send = make_send(4096);
	for (int i = 0; i < 200 && !fake_client->failure[0]; i++) {
		guest_submit(guest, &send, send.head.hdr.cmd_size, -1, NULL, 0);
		guest_run(guest);
	}
	CHECK(strstr(fake_client->failure, "limits"));
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;
	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct xd_clock get_clock(struct guest *guest, int ring, uint32_t id)
{
	struct xd_get_clock cmd = {.hdr = {.cmd = XD_CMD_GET_CLOCK, .cmd_size = sizeof(cmd)},
				   .clock_id = id};
	struct xd_clock answer;
	CHECK_EQ(guest_submit_wait(guest, &cmd, sizeof(cmd)), OK);
	CHECK(pread(ring, &answer, sizeof(answer), XD_CLOCK_OFFSET) == sizeof(answer));
	CHECK_EQ(answer.clock_id, id);
	return answer;
}

static void test_clock(struct guest *guest)
{
	static const uint32_t none[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, 12,
					UINT32_MAX};
	int rings[2];
	guest_open(guest, XD_EXT_CLOCK, rings);
	struct xd_image_requirements image = {.size = 77}, still;
	CHECK(pwrite(rings[0], &image, sizeof(image), 0) == sizeof(image));
	uint64_t before = monotonic_ns();
	struct xd_clock answer = get_clock(guest, rings[0], CLOCK_MONOTONIC);
	CHECK(answer.valid && answer.time_ns >= before && answer.time_ns <= monotonic_ns());
	CHECK(get_clock(guest, rings[0], CLOCK_MONOTONIC_RAW).valid);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		answer = get_clock(guest, rings[0], none[i]);
		CHECK(!answer.valid && answer.time_ns == 0);
	}
	/* What another query may have brought is left alone. */
	CHECK(pread(rings[0], &still, sizeof(still), 0) == sizeof(still));
	CHECK(memcmp(&still, &image, sizeof(still)) == 0);
	struct xd_get_clock cmd = {.hdr = {.cmd = XD_CMD_GET_CLOCK, .cmd_size = 12}};
	CHECK_EQ(guest_submit_wait(guest, &cmd, 12), BAD);
	close(rings[0]);
	close(rings[1]);
}

static void test_clock_without_ring(struct guest *guest)
{
	guest_open(guest, PUSH_ALL, NULL);
	struct xd_get_clock cmd = {.hdr = {.cmd = XD_CMD_GET_CLOCK, .cmd_size = sizeof(cmd)}};
	CHECK_EQ(guest_submit_wait(guest, &cmd, sizeof(cmd)), BAD);
}

static void test_hostile_commands(struct guest *guest)
{
	int rings[2];
	guest_open(guest, 0, rings);
	uint8_t zeros[8] = {XD_CMD_POLL};
	CHECK_EQ(guest_submit_wait(guest, zeros, sizeof(zeros)), BAD); /* cmd_size 0 */
	CHECK_EQ(guest_submit_wait(guest, zeros, 3), BAD);
	const struct {
		uint8_t cmd;
		uint16_t cmd_size;
		uint32_t word0, word1;
	} bad[] = {
		{XD_CMD_POLL, 7, 0, 0},
		{XD_CMD_POLL, 500, 0, 0},
		{XD_CMD_SEND, 351, 0, 0},
		{XD_CMD_SEND, 352, 29, 0},
		{XD_CMD_SEND, 352, 0, 1},
		{XD_CMD_SEND, 352, UINT32_MAX, 0},
		{XD_CMD_SEND, 352, 0, ~0u},
		{XD_CMD_SEND, 352, 1, 0},
		{XD_CMD_WRITE, 23, 0, 0},
		{XD_CMD_INIT, 20, 1, 2},
		{XD_CMD_INIT, 17, 1, 2},
		{XD_CMD_ENABLE, 16, 1, 0},
		{XD_CMD_GRANT, 16, 7, 1},
		{XD_CMD_RECEIVE, 352, 0, 0},
		{XD_CMD_READ, 24, 0, 0},
		{0, 8, 0, 0},
		{255, 8, 0, 0},
		{XD_CMD_GET_IMAGE_REQUIREMENTS, 23, 0, 0},
		{XD_CMD_GET_CLOCK, 16, CLOCK_MONOTONIC, 0}, /* not enabled */
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t bytes[352] = {0};
		struct xd_header hdr = {.cmd = bad[i].cmd, .cmd_size = bad[i].cmd_size};
		memcpy(bytes, &hdr, sizeof(hdr));
		memcpy(bytes + 8, &bad[i].word0, 4);
		memcpy(bytes + 12, &bad[i].word1, 4);
		uint32_t type = guest_submit_wait(guest, bytes, 352);
		if (type == OK) {
			/* SENDs to a client that has ended are dropped. */
			CHECK(fake_client->failure[0] && bad[i].cmd == XD_CMD_SEND);
		} else {
			CHECK_EQ(type, BAD);
		}
	}
	close(rings[0]);
	close(rings[1]);
}

static void test_submit_size(struct guest *guest)
{
	guest_open(guest, PUSH_ALL, NULL);
	struct virtio_gpu_cmd_submit cmd = {
		.hdr = {.type = VIRTIO_GPU_CMD_SUBMIT_3D, .ctx_id = CTX},
		.size = 1,
	};
	CHECK_EQ(guest_call(guest, &cmd, sizeof(cmd), -1), BAD);
	cmd.size = UINT32_MAX;
	CHECK_EQ(guest_call(guest, &cmd, sizeof(cmd), -1), BAD);
	cmd.size = 0;
	CHECK_EQ(guest_call(guest, &cmd, sizeof(cmd), -1), OK);
	cmd.hdr.ctx_id = 77;
	CHECK_EQ(guest_call(guest, &cmd, sizeof(cmd), -1), VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
}

static void test_no_compositor(struct guest *guest)
{
	fake_refuses = true;
	guest_open(guest, PUSH_ALL, NULL); /* checks the error */
	fake_refuses = false;
}

static void test_init_sizes(struct guest *guest)
{
	int rings[2];
	guest_open(guest, 0, rings);
	const uint16_t sizes[] = {16, 20, 24, 36};
	for (size_t i = 0; i < 4; i++) {
		struct virtio_gpu_ctrl_hdr destroy = {.type = VIRTIO_GPU_CMD_CTX_DESTROY,
						      .ctx_id = CTX};
		CHECK_EQ(guest_call(guest, &destroy, sizeof(destroy), -1), OK);
		struct virtio_gpu_ctx_create create = {
			.hdr = {.type = VIRTIO_GPU_CMD_CTX_CREATE, .ctx_id = CTX},
			.context_init = 5,
		};
		CHECK_EQ(guest_call(guest, &create, sizeof(create), -1), OK);
		struct virtio_gpu_ctx_resource attach = {
			.hdr = {.type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, .ctx_id = CTX},
			.resource_id = 1,
		};
		CHECK_EQ(guest_call(guest, &attach, sizeof(attach), -1), OK);
		uint8_t bytes[36] = {0};
		struct xd_init init = {.hdr = {.cmd = XD_CMD_INIT, .cmd_size = sizes[i]},
				       .query_ring_id = 1,
				       .channel_ring_id = 1,
				       .channel_type = 1};
		memcpy(bytes, &init, sizeof(init));
		CHECK_EQ(guest_submit_wait(guest, bytes, sizes[i]), OK);
		CHECK(fake_client);
	}
	close(rings[0]);
	close(rings[1]);
}

static void test_bad_packets(struct guest *guest)
{
	/* A packet that is no request ends the connection. */
	guest_open(guest, PUSH_ALL, NULL);
	struct sk_packet packet = {.type = SK_PUSH};
	CHECK(send(guest->fd, &packet, sizeof(packet), 0) == sizeof(packet));
	guest_run(guest);
	char byte;
	CHECK(recv(guest->fd, &byte, 1, 0) == 0);
	CHECK(fake_client == NULL);
}

static void test_large_packet(struct guest *guest)
{
	static uint8_t large[SK_MAX_PACKET_BYTES + 1];
	struct sk_packet packet = {.type = SK_REQUEST};
	memcpy(large, &packet, sizeof(packet));
	CHECK(send(guest->fd, large, sizeof(large), 0) == sizeof(large));
	guest_run(guest);
	CHECK(recv(guest->fd, large, 1, 0) == 0);
}

static void test_teardown(struct guest *guest)
{
	/* The guest vanishes with everything in use. */
	guest_open(guest, XD_EXT_PUSH | XD_EXT_PIPE_CREDIT, NULL);
	grant(guest, 0, 1u << 20);
	uint32_t id;
	int fd = open_write_pipe(guest, &id);
	int pipe_fd = open_read_pipe(guest, 0x80000001);
	for (int i = 0; i < 10; i++) {
		guest_write(guest, id, 0, 40000, false);
	}
	guest_run(guest);
	close(fd);
	close(pipe_fd);
}

static void test_memory_of_others(struct guest *guest)
{
	(void)guest;
	/* Ours, and what can be sealed. */
	int ours = hr_memory_create(8192);
	CHECK_EQ(hr_memory_seal(ours, 8192), 0);
	CHECK_EQ(hr_memory_seal(ours, 8193), -EINVAL);
	close(ours);
	int open_fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(ftruncate(open_fd, 8192) == 0);
	CHECK_EQ(hr_memory_seal(open_fd, 8192), 0);
	CHECK(ftruncate(open_fd, 4096) < 0 && errno == EPERM);
	close(open_fd);
	/* What can be cut under the VMM's hands. */
	int loose = memfd_create("loose", MFD_CLOEXEC);
	CHECK(ftruncate(loose, 8192) == 0);
	CHECK_EQ(hr_memory_seal(loose, 8192), -EPERM);
	close(loose);
	int ends[2];
	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	CHECK_EQ(hr_memory_seal(ends[0], 1), -EPERM);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	static const struct device_case cases[] = {
		CASE(capset),
		CASE(errors),
		CASE(mailbox),
		CASE(shrunk_ring),
		CASE(images),
		CASE(items),
		CASE(bad_fd_kind),
		CASE(push),
		CASE(push_stalled),
		CASE(fences),
		CASE(clock),
		CASE(clock_without_ring),
		CASE(hostile_commands),
		CASE(submit_size),
		CASE(no_compositor),
		CASE(init_sizes),
		CASE(bad_packets),
		CASE(large_packet),
		CASE(teardown),
		CASE(memory_of_others),
	};
	return run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
