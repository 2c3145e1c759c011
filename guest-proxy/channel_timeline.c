/* SPDX-License-Identifier: MIT
 *
 * Timelines of a channel's client: the host knows nothing of them.
 */
#include <errno.h>

#include "channel_private.h"
#include "transport.h"

bool gp_channel_has_timelines(const struct gp_channel *channel)
{
	return channel->transport->caps.timelines;
}

int gp_channel_timeline_import(struct gp_channel *channel, int fd, uint32_t *ret_handle)
{
	if (channel->context == NULL || !gp_channel_has_timelines(channel)) {
		return -ENOTCONN;
	}
	return channel->context->ops->timeline_import(channel->context, fd, ret_handle);
}

void gp_channel_timeline_destroy(struct gp_channel *channel, uint32_t handle)
{
	if (channel->context != NULL) {
		channel->context->ops->timeline_destroy(channel->context, handle);
	}
}

int gp_channel_timeline_wait(struct gp_channel *channel, uint32_t handle, uint64_t point,
			     int event_fd)
{
	return channel->context == NULL ? -ENOTCONN
					: channel->context->ops->timeline_wait(
						  channel->context, handle, point, event_fd);
}

int gp_channel_timeline_signal(struct gp_channel *channel, uint32_t handle, uint64_t point)
{
	return channel->context == NULL
		       ? -ENOTCONN
		       : channel->context->ops->timeline_signal(channel->context, handle, point);
}
