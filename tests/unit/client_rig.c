/* SPDX-License-Identifier: MIT */
#include "client_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wayland-server-core.h>

#include "test.h"

#include "br-tables.h"
#include "fd.h"
#include "limits.h"
#include "log.h"
#include "sock.h"
#include "upstream.h"

static void on_ready(void *data)
{
	((struct fixture *)data)->ready++;
}

static void on_drained(void *data)
{
	((struct fixture *)data)->drained++;
}

static void on_closed(void *data)
{
	((struct fixture *)data)->closed++;
}

const struct hr_client_events fixture_events = {on_ready, on_drained, on_closed};

void set_up(struct fixture *f)
{
	*f = (struct fixture){.listen_fd = -1, .fd = -1};
	br_log_init("test", BR_LOG_ERROR);
	strcpy(f->dir, "/tmp/causeway-test-XXXXXX");
	CHECK(mkdtemp(f->dir) != NULL);
	snprintf(f->path, sizeof(f->path), "%s/wl", f->dir);
	f->listen_fd = br_sock_listen(f->path, SOCK_STREAM);
	CHECK(f->listen_fd >= 0);
	br_stream_init(&f->in, 16 * BR_LIMIT_OUT_BYTES, BR_LIMIT_OUT_FDS);
	br_stream_init(&f->out, BR_LIMIT_OUT_BYTES, BR_LIMIT_OUT_FDS);
	f->policy = hr_policy_create("vm");
	f->host = (struct hr_host){
		.loop = wl_event_loop_create(), .policy = f->policy, .next_client = 1};
	const struct hr_upstream_config config = {
		.display = f->path, .secctx = HR_SECCTX_OFF, .guest_name = "vm"};
	CHECK_INT(hr_upstream_create(f->host.loop, &config, &f->host.upstream), 0);
}

void connect_client(struct fixture *f)
{
	CHECK_INT(hr_client_create(&f->host, &fixture_events, f, &f->client), 0);
	f->fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	CHECK(f->fd >= 0);
}

void tear_down(struct fixture *f)
{
	hr_client_destroy(f->client);
	CHECK_INT(f->host.client_count, 0);
	hr_upstream_destroy(f->host.upstream);
	wl_event_loop_destroy(f->host.loop);
	hr_policy_destroy(f->policy);
	br_stream_finish(&f->in);
	br_stream_finish(&f->out);
	br_fd_clear(&f->fd);
	br_fd_clear(&f->listen_fd);
	unlink(f->path);
	rmdir(f->dir);
}

void put(struct message *m, uint32_t word)
{
	m->words[m->n++] = word;
}

void put_string(struct message *m, const char *text)
{
	uint32_t len = (uint32_t)strlen(text) + 1;
	put(m, len);
	m->words[m->n + (len - 1) / 4] = 0;
	memcpy(&m->words[m->n], text, len);
	m->n += (len + 3) / 4;
}

void send_message(struct br_stream *to, uint32_t object, uint16_t opcode, const struct message *m)
{
	const uint32_t head[2] = {object, (uint32_t)((m->n * 4 + 8) << 16) | opcode};
	CHECK_INT(br_stream_write(to, head, sizeof(head)), 0);
	if (m->n > 0) {
		CHECK_INT(br_stream_write(to, m->words, m->n * 4), 0);
	}
}

struct br_stream *guest_out(struct fixture *f)
{
	return br_relay_input(hr_client_relay(f->client), BR_REQUEST);
}

struct br_stream *guest_in(struct fixture *f)
{
	return br_relay_output(hr_client_relay(f->client), BR_EVENT);
}

void flush_compositor(struct fixture *f)
{
	int ret = br_sock_flush(f->fd, &f->out);
	CHECK(ret == 0 || ret == -EAGAIN);
}

void wait_for(struct fixture *f, const unsigned *counter, unsigned was, const char *what)
{
	for (int i = 0; *counter == was && i < DEADLINE_MS / 10; i++) {
		CHECK_INT(wl_event_loop_dispatch(f->host.loop, 10), 0);
	}
	if (*counter == was) {
		FAIL("waited in vain for %s", what);
	}
}

int take(struct br_stream *from, uint32_t *object, struct message *m)
{
	uint32_t head[2];
	if (br_stream_bytes(from) < sizeof(head)) {
		return -1;
	}
	memcpy(head, br_stream_peek(from), sizeof(head));
	m->n = (head[1] >> 16) / 4 - 2;
	CHECK(m->n <= sizeof(m->words) / 4);
	memcpy(m->words, br_stream_peek(from) + sizeof(head), m->n * 4);
	br_stream_consume(from, head[1] >> 16);
	*object = head[0];
	return head[1] & 0xffff;
}

void read_requests(struct fixture *f)
{
	int ret = br_sock_read(f->fd, &f->in);
	CHECK(ret > 0 || ret == -EAGAIN);
}

void get_registry(struct fixture *f)
{
	struct message m = {0};
	uint32_t object;
	put(&m, REGISTRY);
	send_message(guest_out(f), 1, BR_REQ_WL_DISPLAY_GET_REGISTRY, &m);
	hr_client_dispatch(f->client);
	read_requests(f); /* in the same wake-up */
	CHECK_INT(take(&f->in, &object, &m), BR_REQ_WL_DISPLAY_GET_REGISTRY);
	CHECK_INT(object, 1);
}

void announce(struct fixture *f, uint32_t name, const char *iface, uint32_t version)
{
	struct message m = {0};
	put(&m, name);
	put_string(&m, iface);
	put(&m, version);
	send_message(&f->out, REGISTRY, BR_EVT_WL_REGISTRY_GLOBAL, &m);
}

void bind_global(struct fixture *f, uint32_t name, const char *iface, uint32_t version, uint32_t id)
{
	struct message m = {0};
	put(&m, name);
	put_string(&m, iface);
	put(&m, version);
	put(&m, id);
	send_message(guest_out(f), REGISTRY, BR_REQ_WL_REGISTRY_BIND, &m);
	hr_client_dispatch(f->client);
}

void check_error(struct fixture *f, uint32_t object, uint32_t code, const char *part)
{
	struct message m;
	uint32_t sender;
	CHECK_INT(f->closed, 1);
	CHECK_INT(take(guest_in(f), &sender, &m), BR_EVT_WL_DISPLAY_ERROR);
	CHECK_INT(sender, 1);
	CHECK_INT(m.words[0], object);
	CHECK_INT(m.words[1], code);
	CHECK(strstr((char *)&m.words[3], part) != NULL);
	CHECK_INT(br_stream_bytes(guest_in(f)), 0);
	/* The compositor sees the end at once. */
	CHECK(WAIT_FD(f->fd, POLLIN, "the hang-up of the client") & POLLHUP);
}
