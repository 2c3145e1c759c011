/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "server.h"
#include "transport.h"

static void free_link(void *data)
{
	struct gp_link *link = data;
	gp_transport_destroy(link->transport);
	free(link);
}

void gp_link_unref(struct gp_link *link)
{
	if (link == NULL || --link->refs > 0) {
		return;
	}
	if (link->idle != NULL) {
		wl_event_source_remove(link->idle);
	}
	free_link(link);
}

static void drop_lost_link(void *data)
{
	struct gp_link *link = data;
	link->idle = NULL;
	if (link->server->link == link) {
		link->server->link = NULL;
	}
	gp_link_unref(link);
}

/* Called out of the transport's code: it is destroyed later. Its channels report their own end. */
static void handle_lost(void *data, const char *reason)
{
	struct gp_link *link = data;
	if (link->lost) {
		return;
	}
	link->lost = true;
	br_log(BR_LOG_WARN,
	       "guest: the connection to the host is lost: %s; the next program makes "
	       "a new one",
	       reason != NULL ? reason : "no reason given");
	link->idle = wl_event_loop_add_idle(link->server->loop, drop_lost_link, link);
}

int gp_server_get_link(struct gp_server *server, struct gp_link **ret_link)
{
	if (server->link != NULL && !server->link->lost) {
		server->link->refs++;
		*ret_link = server->link;
		return 0;
	}
	struct gp_link *link = calloc(1, sizeof(*link));
	if (link == NULL) {
		return -ENOMEM;
	}
	const struct gp_transport_options wanted = {
		.extensions = server->options->extensions,
		.lost = handle_lost,
		.data = link,
	};
	link->server = server;
	const char *advice;
	int ret = gp_transport_create(server->loop, server->options, &wanted, &link->transport,
				      &advice);
	if (ret < 0) {
		if (advice != NULL) {
			br_log(BR_LOG_WARN, "guest: %s", advice);
		}
		free(link);
		return ret;
	}
	link->refs = 2; /* the server's and the caller's */
	server->link = link;
	*ret_link = link;
	return 0;
}
