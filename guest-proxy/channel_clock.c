/* SPDX-License-Identifier: MIT
 *
 * The time on the host's clocks, by an exchange each (XD_EXT_CLOCK). One at a time: its answer has one place
 * in the query ring.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "channel_private.h"
#include "clock.h"

static int64_t now_ns(uint32_t clock_id)
{
	struct timespec now;
	if (clock_gettime((clockid_t)clock_id, &now) < 0) {
		return -1;
	}
	return (int64_t)now.tv_sec * GP_CLOCK_NSEC + now.tv_nsec;
}

static void finish(struct gp_channel *channel, int err, const struct gp_clock_sample *sample)
{
	gp_clock_done done = channel->clock.done;
	channel->clock.done = NULL;
	done(channel->clock.data, err, err < 0 ? NULL : sample);
}

static void handle_answer(void *data, int err)
{
	struct gp_channel *channel = data;
	struct xd_clock answer;
	if (channel->destroyed) {
		return; /* gp_channel_clock_finish() has canceled */
	}
	struct gp_clock_sample sample = {
		.clock_id = channel->clock.id,
		.sent_ns = channel->clock.sent_ns,
		.received_ns = now_ns(channel->clock.id),
	};
	memcpy(&answer, channel->query_ring->map + XD_CLOCK_OFFSET, sizeof(answer));
	sample.host_ns = answer.time_ns;
	if (err == 0 && (answer.valid == 0 || answer.clock_id != sample.clock_id)) {
		err = -ENODATA;
	}
	gp_channel_enter(channel);
	finish(channel, err, &sample);
	(void)gp_channel_leave(channel);
}

int gp_channel_read_clock(struct gp_channel *channel, uint32_t clock_id, gp_clock_done done,
			  void *data)
{
	if (channel->closed || channel->destroyed || !channel->started) {
		return -ENOTCONN;
	}
	if (!(channel->transport->caps.extensions & XD_EXT_CLOCK)) {
		return -EOPNOTSUPP;
	}
	if (channel->clock.done != NULL) {
		return -EBUSY;
	}
	const struct xd_get_clock query = {
		.hdr = {.cmd = XD_CMD_GET_CLOCK, .cmd_size = sizeof(query)},
		.clock_id = clock_id,
	};
	const struct gp_command command = {
		.head = &query,
		.head_bytes = sizeof(query),
		.ring = XD_RING_QUERY,
		.done = handle_answer,
		.data = channel,
	};
	/* An older answer must not be taken for this one. */
	memset(channel->query_ring->map + XD_CLOCK_OFFSET, 0, sizeof(struct xd_clock));
	int64_t sent_ns = now_ns(clock_id);
	int ret = sent_ns < 0 ? -EOPNOTSUPP : gp_channel_submit(channel, &command);
	if (ret == 0) {
		channel->clock.done = done;
		channel->clock.data = data;
		channel->clock.id = clock_id;
		channel->clock.sent_ns = sent_ns;
	}
	return ret;
}

void gp_channel_clock_finish(struct gp_channel *channel)
{
	if (channel->clock.done != NULL) {
		finish(channel, -ECANCELED, NULL);
	}
}
