/* SPDX-License-Identifier: MIT */
#include "transport.h"

void gp_transport_destroy(struct gp_transport *transport)
{
	if (transport != NULL) {
		transport->ops->destroy(transport);
	}
}
