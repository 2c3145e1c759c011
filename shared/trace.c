/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"

#define MAX_FILTERS 32	 /* of each kind */
#define STRING_BYTES 256 /* longer string arguments are cut */

static struct {
	FILE *out; /* NULL: tracing is off */
	uint32_t clients[MAX_FILTERS];
	unsigned n_clients;
	uint16_t ifaces[MAX_FILTERS];
	unsigned n_ifaces;
} trace;

static int add_client(const char *text)
{
	char *end;
	if (text[0] < '0' || text[0] > '9' || trace.n_clients == MAX_FILTERS) {
		return -EINVAL;
	}
	errno = 0;
	unsigned long number = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || number > UINT32_MAX) {
		return -EINVAL;
	}
	trace.clients[trace.n_clients++] = (uint32_t)number;
	return 0;
}

static int add_iface(const char *name)
{
	uint16_t iface = br_iface_find(name);
	if (iface == BR_IFACE_ANY || trace.n_ifaces == MAX_FILTERS) {
		return -EINVAL;
	}
	trace.ifaces[trace.n_ifaces++] = iface;
	return 0;
}

static int add_filter(const char *word)
{
	if (strncmp(word, "client=", 7) == 0) {
		return add_client(word + 7);
	}
	if (strncmp(word, "iface=", 6) == 0) {
		return add_iface(word + 6);
	}
	return -EINVAL;
}

int br_trace_enable(const char *filter, FILE *out)
{
	char *save = NULL;
	int ret = 0;
	char *copy = strdup(filter);
	if (copy == NULL) {
		return -ENOMEM;
	}
	memset(&trace, 0, sizeof(trace));
	for (char *word = strtok_r(copy, ",", &save); word != NULL && ret == 0;
	     word = strtok_r(NULL, ",", &save)) {
		ret = add_filter(word);
	}
	free(copy);
	trace.out = ret == 0 ? out : NULL;
	return ret;
}

static bool wanted(const struct br_relay *relay, const struct br_msg *msg)
{
	bool client = trace.n_clients == 0;
	bool iface = trace.n_ifaces == 0;
	for (unsigned i = 0; i < trace.n_clients; i++) {
		client |= trace.clients[i] == br_relay_client_number(relay);
	}
	for (unsigned i = 0; i < trace.n_ifaces; i++) {
		iface |= trace.ifaces[i] == msg->object->iface;
	}
	return client && iface;
}

static void print_object(const struct br_object *object)
{
	if (object == NULL) {
		fputs("nil", trace.out);
	} else if (object->client_id != 0) {
		fprintf(trace.out, "%s@%u", br_ifaces[object->iface].name, object->client_id);
	} else {
		/* The client does not know it. */
		fprintf(trace.out, "%s@server:%u", br_ifaces[object->iface].name,
			object->server_id);
	}
}

static void print_string(const union br_arg *arg)
{
	char text[STRING_BYTES];
	if (arg->str.ptr == NULL) {
		fputs("nil", trace.out);
		return;
	}
	fprintf(trace.out, "\"%s\"", br_log_escape(text, sizeof(text), arg->str.ptr, arg->str.len));
}

static void print_handle(const struct br_handle *handle)
{
	if (handle->fd < 0 && handle->res_id != 0) {
		fprintf(trace.out, "resource %u", handle->res_id);
	} else if (handle->fd < 0) {
		fputs("fd", trace.out); /* a hook has taken it */
	} else {
		fprintf(trace.out, "fd %d", handle->fd);
	}
}

static void print_arg(const struct br_msg *msg, const struct br_arg_desc *desc,
		      const union br_arg *arg)
{
	switch (desc->kind) {
	case BR_ARG_INT:
		fprintf(trace.out, "%d", arg->i);
		break;
	case BR_ARG_UINT:
		fprintf(trace.out, "%u", arg->u);
		break;
	case BR_ARG_FIXED:
		fprintf(trace.out, "%.8f", (double)arg->fixed / 256.0);
		break;
	case BR_ARG_STRING:
		print_string(arg);
		break;
	case BR_ARG_NEW_ID:
		fputs("new id ", trace.out);
		print_object(arg->object);
		break;
	case BR_ARG_OBJECT:
		print_object(arg->object);
		break;
	case BR_ARG_ARRAY:
		fprintf(trace.out, "array[%u]", arg->array.len);
		break;
	case BR_ARG_FD:
		print_handle(&msg->handles[arg->handle]);
		break;
	default:
		break;
	}
}

void br_trace_msg(const struct br_relay *relay, const struct br_msg *msg, const char *what)
{
	struct timespec now;
	if (trace.out == NULL || !wanted(relay, msg)) {
		return;
	}
	int saved = errno;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	/* Wraps within the hour, like the time stamps of WAYLAND_DEBUG, which it lines up with. */
	uint32_t us = (uint32_t)((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	fprintf(trace.out, "[%7u.%03u] client=%u %s ", us / 1000, us % 1000,
		br_relay_client_number(relay), msg->dir == BR_REQUEST ? "->" : "<-");
	print_object(msg->object);
	fprintf(trace.out, ".%s(", msg->desc->name);
	const struct br_arg_desc *desc = &br_args[msg->desc->first_arg];
	for (unsigned i = 0; i < msg->desc->n_args; i++) {
		fputs(i > 0 ? ", " : "", trace.out);
		print_arg(msg, &desc[i], &msg->args[i]);
	}
	fprintf(trace.out, ")%s%s%s\n", what[0] ? " [" : "", what, what[0] ? "]" : "");
	(void)fflush(trace.out);
	errno = saved;
}
