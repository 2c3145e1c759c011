/* SPDX-License-Identifier: MIT
 *
 * The guest's end of the channel against a host that is not ours: memory, the end of either side, and
 * a host that lies.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "channel_rig.h"
#include "fd.h"
#include "limits.h"
#include "test.h"

/* --- memory --- */

struct wanted {
	struct rig *guest;
	unsigned calls;
	int err;
	struct gp_blob *blob;
	bool destroy_channel;
};

static void on_blob(void *data, int err, struct gp_blob *blob)
{
	struct wanted *wanted = data;
	wanted->calls++;
	wanted->err = err;
	wanted->blob = blob;
	CHECK((err == 0) == (blob != NULL));
	if (wanted->destroy_channel) {
		rig_destroy_channel(wanted->guest);
	}
}

TEST(memory_is_shared_with_the_host)
{
	struct rig guest;
	struct wanted wanted[6] = {0};
	static const uint64_t sizes[6] = {1, 4096, 4097, 100000, 4 * MIB, 100000};
	rig_start(&guest);
	for (size_t i = 0; i < 6; i++) {
		gp_channel_alloc_blob(guest.channel, sizes[i], on_blob, &wanted[i]);
	}
	for (size_t i = 0; i < 6; i++) {
		RUN_UNTIL(&guest, wanted[i].calls == 1);
		struct gp_blob *blob = wanted[i].blob;
		CHECK_INT(wanted[i].err, 0);
		CHECK(blob->size >= sizes[i] && blob->size % 4096 == 0);
		CHECK(blob->map[0] == 0 && blob->map[blob->size - 1] == 0);
		blob->map[sizes[i] - 1] = (uint8_t)(i + 1);
		struct fake_resource *resource = fake_find_resource(&guest.host, blob->res_id);
		uint8_t seen = 0;
		CHECK(resource != NULL);
		CHECK_INT(pread(resource->fd, &seen, 1, (off_t)sizes[i] - 1), 1);
		CHECK_INT(seen, i + 1);
	}
	/* What was asked before is not asked again: 4096 as 1, and 100000 twice. */
	CHECK(guest.host.queries <= 4);
	/* Its resource can be named in a message. */
	struct br_handle handle = {.fd = -1, .kind = BR_FD_SHM, .res_id = wanted[4].blob->res_id};
	CHECK_INT(br_stream_push_handle_take(&guest.out, &handle), 0);
	rig_put(&guest.out, 16);
	rig_send_all(&guest);
	int fd BR_CLEANUP_FD = rig_compositor_pipe(&guest);
	CHECK_INT(lseek(fd, 0, SEEK_END), 4 * MIB);
	for (size_t i = 0; i < 6; i++) {
		struct gp_blob *blob = gp_blob_ref(wanted[i].blob);
		CHECK(gp_blob_unref(blob) == NULL);
		CHECK_INT(blob->size, wanted[i].blob->size); /* one reference is left */
		(void)gp_blob_unref(blob);
	}
	rig_settle(&guest);
	CHECK_INT(fake_count_resources(&guest.host), 2);
	rig_finish(&guest);
}

TEST(memory_outlives_its_channel)
{
	struct rig guest;
	struct wanted wanted = {0};
	rig_start(&guest);
	gp_channel_alloc_blob(guest.channel, 10000, on_blob, &wanted);
	RUN_UNTIL(&guest, wanted.calls == 1);
	rig_destroy_channel(&guest);
	rig_settle(&guest);
	wanted.blob->map[9999] = 7;
	CHECK_INT(wanted.blob->map[9999], 7);
	(void)gp_blob_unref(wanted.blob);
	rig_finish(&guest);
}

TEST(allocation_is_canceled_with_its_channel)
{
	struct rig guest;
	struct wanted wanted[3] = {0};
	rig_start(&guest);
	guest.host.hold_maps = true;
	gp_channel_alloc_blob(guest.channel, 4096, on_blob, &wanted[0]);
	rig_settle(&guest);
	CHECK_INT(guest.host.n_held_maps, 1);
	guest.host.hold_fences = true;
	gp_channel_alloc_blob(guest.channel, 3 * MIB, on_blob, &wanted[1]);
	gp_channel_alloc_blob(guest.channel, 5 * MIB, on_blob, &wanted[2]);
	rig_settle(&guest);
	rig_destroy_channel(&guest);
	for (size_t i = 0; i < 3; i++) {
		CHECK_INT(wanted[i].calls, 1);
		CHECK_INT(wanted[i].err, -ECANCELED);
	}
	rig_finish(&guest);
}

TEST(memory_that_is_too_short_is_refused)
{
	struct rig guest;
	struct wanted wanted = {0};
	rig_start(&guest);
	guest.host.short_map = true;
	gp_channel_alloc_blob(guest.channel, 8192, on_blob, &wanted);
	RUN_UNTIL(&guest, wanted.calls == 1);
	CHECK(wanted.err < 0);
	rig_finish(&guest);
}

/* --- ends --- */

TEST(host_dies_in_the_middle_of_everything)
{
	struct rig guest;
	struct wanted wanted = {0};
	int fd BR_CLEANUP_FD = rig_make_memory("keymap");
	rig_start(&guest);
	int program BR_CLEANUP_FD = rig_request_paste(&guest);
	int compositor BR_CLEANUP_FD = rig_compositor_pipe(&guest);
	(void)rig_feed_pipe(compositor, 0, MIB);
	rig_settle(&guest);
	guest.host.hold_maps = true;
	gp_channel_alloc_blob(guest.channel, 4096, on_blob, &wanted);
	fake_send_event(&guest.host, "8 bytes", 8, &fd, 1);
	rig_settle(&guest);
	CHECK(guest.host.n_held_maps > 0);
	rig_put(&guest.out, 5000);
	(void)gp_channel_flush(guest.channel, &guest.out);
	fake_die(&guest.host);
	br_fd_clear(&guest.host.listen_fd);
	RUN_UNTIL(&guest, guest.lost == 1);
	CHECK_INT(guest.closed, 1);
	CHECK(guest.reason[0] != '\0');
	CHECK(gp_channel_flush(guest.channel, &guest.out) < 0);
	rig_destroy_channel(&guest);
	CHECK_INT(wanted.calls, 1);
	CHECK(wanted.err < 0);
	CHECK_INT(gp_channel_create(guest.transport, "late", &guest.in, &rig_events, &guest,
				    &guest.channel),
		  -ENOTCONN);
	guest.channel = NULL;
	rig_finish(&guest);
}

TEST(new_transport_after_a_loss)
{
	struct rig guest;
	rig_start(&guest);
	fake_die(&guest.host);
	RUN_UNTIL(&guest, guest.lost == 1);
	rig_destroy_channel(&guest);
	gp_transport_destroy(guest.transport);
	guest.closed = 0;
	rig_open_transport(&guest);
	rig_open_channel(&guest);
	RUN_UNTIL(&guest, guest.host.n_polls == 1);
	rig_put(&guest.out, 100);
	rig_send_all(&guest);
	rig_check_pattern(&guest.host.in, 100);
	rig_finish(&guest);
}

TEST(may_be_destroyed_in_any_callback)
{
	static const enum destroy_when when[] = {IN_RECEIVED, IN_WRITABLE, IN_CLOSED};
	for (size_t i = 0; i < 3; i++) {
		struct rig guest;
		rig_start(&guest);
		guest.destroy_when = when[i];
		fake_send_event(&guest.host, "8 bytes", 8, NULL, 0);
		fake_send_event(&guest.host, NULL, 0, NULL, 0);
		if (when[i] == IN_WRITABLE) {
			rig_put(&guest.out, 2 * BR_SEND_WINDOW_BYTES);
			CHECK_INT(gp_channel_flush(guest.channel, &guest.out), -EAGAIN);
		}
		RUN_UNTIL(&guest, guest.channel == NULL);
		rig_finish(&guest);
	}
}

TEST(may_be_destroyed_when_memory_comes)
{
	struct rig guest;
	struct wanted wanted = {.guest = &guest, .destroy_channel = true};
	rig_start(&guest);
	gp_channel_alloc_blob(guest.channel, 4096, on_blob, &wanted);
	gp_channel_alloc_blob(guest.channel, 4096, on_blob, &(struct wanted){0});
	RUN_UNTIL(&guest, guest.channel == NULL);
	(void)gp_blob_unref(wanted.blob);
	rig_finish(&guest);
}

/* --- a host that lies --- */

/* Send one message into the mailbox; the channel must end with a reason, and with nothing left. */
static void expect_closed(const char *what, const void *bytes, size_t len)
{
	struct rig guest;
	rig_start(&guest);
	fake_send_raw(&guest.host, bytes, len);
	rig_settle(&guest);
	if (guest.closed != 1 || guest.reason[0] == '\0') {
		FAIL("%s was taken", what);
	}
	CHECK_INT(guest.lost, 0);
	CHECK_INT(br_stream_bytes(&guest.got), 0);
	rig_finish(&guest);
}

static void expect_item_closed(const char *what, uint32_t type, uint32_t id, uint32_t size)
{
	struct xd_send_receive head = {
		.hdr.cmd = XD_CMD_RECEIVE,
		.num_identifiers = 1,
		.opaque_data_size = 8,
		.identifiers = {id},
		.types = {type},
		.sizes = {size},
	};
	uint8_t message[sizeof(head) + 8] = {0};
	memcpy(message, &head, sizeof(head));
	expect_closed(what, message, sizeof(message));
}

TEST(refuses_items_that_can_not_be)
{
	expect_item_closed("memory that does not exist", XD_ITEM_BLOB, 77, 4096);
	expect_item_closed("memory without a size", XD_ITEM_BLOB, 2, 0);
	expect_item_closed("memory of 4 GiB", XD_ITEM_BLOB, 2, UINT32_MAX);
	expect_item_closed("a sync item", XD_ITEM_SYNC, 2, 0);
	expect_item_closed("a read pipe", XD_ITEM_READ_PIPE, XD_FIRST_READ_PIPE_ID, 0);
	expect_item_closed("an event", 5, 2, 0);
	expect_item_closed("an fd that is not there", XD_ITEM_FD, 0, 0);
	expect_item_closed("type 0", 0, 2, 0);
}

TEST(refuses_messages_of_a_wrong_size)
{
	struct xd_send_receive head = {.hdr.cmd = XD_CMD_RECEIVE,
				       .num_identifiers = XD_MAX_IDENTIFIERS + 1};
	expect_closed("29 items", &head, sizeof(head));
	head.num_identifiers = UINT32_MAX;
	expect_closed("4294967295 items", &head, sizeof(head));
	head.num_identifiers = 0;
	head.opaque_data_size = FAKE_RING_BYTES;
	expect_closed("data behind the ring", &head, sizeof(head));
	head.opaque_data_size = UINT32_MAX;
	expect_closed("4 GiB of data", &head, sizeof(head));
}

TEST(refuses_commands_out_of_place)
{
	struct xd_read_write head = {.hdr.cmd = XD_CMD_READ, .opaque_data_size = 4};
	head.identifier = XD_FIRST_READ_PIPE_ID;
	expect_closed("a READ without a pipe", &head, sizeof(head));
	head.identifier = 2;
	expect_closed("a READ for an item", &head, sizeof(head));
	head.opaque_data_size = UINT32_MAX;
	expect_closed("a READ of 4 GiB", &head, sizeof(head));
	for (unsigned cmd = 0; cmd < 256; cmd += cmd < 8 ? 1 : 31) {
		if (cmd != XD_CMD_RECEIVE && cmd != XD_CMD_READ) {
			uint8_t bytes[FAKE_RING_BYTES] = {(uint8_t)cmd};
			expect_closed("a command of nobody's", bytes, sizeof(bytes));
		}
	}
}

TEST(refuses_data_behind_the_end_of_a_pipe)
{
	struct rig guest;
	struct {
		struct xd_read_write head;
		char data[8];
	} message = {
		.head = {.hdr.cmd = XD_CMD_READ,
			 .identifier = XD_FIRST_READ_PIPE_ID,
			 .hang_up = 1,
			 .opaque_data_size = 8},
		.data = "the end",
	};
	char got[16];
	rig_start(&guest);
	int program BR_CLEANUP_FD = rig_request_paste(&guest);
	int compositor BR_CLEANUP_FD = rig_compositor_pipe(&guest);
	fake_send_raw(&guest.host, &message, sizeof(message));
	rig_settle(&guest);
	CHECK_INT(guest.closed, 0);
	CHECK_INT(read(program, got, sizeof(got)), 8);
	CHECK_INT(read(program, got, sizeof(got)), 0);
	fake_send_raw(&guest.host, &message, sizeof(message));
	rig_settle(&guest);
	CHECK_INT(guest.closed, 1);
	rig_finish(&guest);
}

TEST(short_packets_end_the_connection)
{
	static const size_t lengths[] = {1, 15, 16, 39};
	for (size_t i = 0; i < 4; i++) {
		struct rig guest;
		uint8_t bytes[64] = {2 /* SK_RESPONSE */};
		rig_start(&guest);
		fake_send_packet(&guest.host, bytes, lengths[i]);
		rig_settle(&guest);
		CHECK_INT(guest.lost, 1);
		CHECK_INT(guest.closed, 1);
		rig_finish(&guest);
	}
}

TEST(answers_to_nobody_are_ignored)
{
	struct rig guest;
	uint8_t bytes[64] = {2 /* SK_RESPONSE */, [8] = 0xff, 0xff, 0xff, 0xff};
	rig_start(&guest);
	fake_send_packet(&guest.host, bytes, 40);
	rig_settle(&guest);
	CHECK_INT(guest.closed, 0);
	rig_put(&guest.out, 100);
	rig_send_all(&guest);
	rig_check_pattern(&guest.host.in, 100);
	rig_finish(&guest);
}

/* --- a host that refuses --- */

TEST(memory_that_is_refused_is_an_error_only)
{
	struct rig guest;
	struct wanted wanted[3] = {0};
	rig_start(&guest);
	guest.host.refuse_query = true;
	gp_channel_alloc_blob(guest.channel, 4096, on_blob, &wanted[0]);
	RUN_UNTIL(&guest, wanted[0].calls == 1);
	CHECK(wanted[0].err < 0);
	guest.host.refuse_query = false;
	guest.host.refuse_blob = true;
	gp_channel_alloc_blob(guest.channel, 4096, on_blob, &wanted[1]);
	RUN_UNTIL(&guest, wanted[1].calls == 1);
	CHECK(wanted[1].err < 0);
	CHECK_INT(guest.closed, 0);
	guest.host.refuse_blob = false;
	gp_channel_alloc_blob(guest.channel, 4096, on_blob, &wanted[2]);
	RUN_UNTIL(&guest, wanted[2].calls == 1);
	CHECK_INT(wanted[2].err, 0);
	(void)gp_blob_unref(wanted[2].blob);
	rig_finish(&guest);
}

TEST(memory_that_can_not_be_written_is_refused)
{
	struct rig guest;
	struct wanted wanted = {0};
	rig_start(&guest);
	guest.host.read_only_map = true;
	gp_channel_alloc_blob(guest.channel, 8192, on_blob, &wanted);
	RUN_UNTIL(&guest, wanted.calls == 1);
	CHECK(wanted.err < 0);
	rig_finish(&guest);
}

TEST(refused_poll_ends_the_channel)
{
	struct rig guest;
	rig_start(&guest);
	fake_fail_poll(&guest.host);
	RUN_UNTIL(&guest, guest.closed == 1);
	CHECK(guest.reason[0] != '\0');
	rig_finish(&guest);
}
