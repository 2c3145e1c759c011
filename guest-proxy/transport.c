/* SPDX-License-Identifier: MIT */
#include "transport.h"

#include "options.h"

int gp_transport_create(struct wl_event_loop *loop, const struct gp_options *program,
			const struct gp_transport_options *options,
			struct gp_transport **ret_transport, const char **ret_advice)
{
	if (program->transport == GP_TRANSPORT_VIRTGPU) {
		return gp_transport_virtgpu_create(loop, program->host_path, options, ret_transport,
						   ret_advice);
	}
	*ret_advice = NULL;
	return gp_transport_socket_create(loop, program->host_path, options, ret_transport);
}

void gp_transport_destroy(struct gp_transport *transport)
{
	if (transport != NULL) {
		transport->ops->destroy(transport);
	}
}
