/* SPDX-License-Identifier: MIT
 *
 * Trace lines of a relay.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "br-tables.h"
#include "test.h"
#include "trace.h"

static FILE *out;

/* Everything printed so far, without the time stamps. */
static const char *traced(void)
{
	static char text[8192], plain[8192];
	size_t at = 0;
	ssize_t len = pread(fileno(out), text, sizeof(text) - 1, 0);
	CHECK(len >= 0);
	text[len] = '\0';
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		unsigned ms, us;
		int skip = 0;
		CHECK_INT(sscanf(line, "[%u.%3u] %n", &ms, &us, &skip), 2);
		CHECK(skip > 0);
		at += (size_t)snprintf(plain + at, sizeof(plain) - at, "%s\n", line + skip);
	}
	plain[at] = '\0';
	return plain;
}

static struct br_relay *make_relay(uint32_t number)
{
	const struct br_relay_config config = {.client_number = number};
	struct br_relay *relay = br_relay_create(&config);
	CHECK(relay != NULL);
	return relay;
}

static void start(const char *filter)
{
	out = tmpfile();
	CHECK(out != NULL);
	CHECK_INT(br_trace_enable(filter, out), 0);
}

static void show(struct br_relay *relay, uint16_t iface, enum br_dir dir, uint16_t opcode,
		 const union br_arg *args, const char *what)
{
	struct br_object object = {.client_id = 3, .server_id = 30, .iface = iface, .version = 1};
	uint16_t first =
		dir == BR_REQUEST ? br_ifaces[iface].first_req : br_ifaces[iface].first_evt;
	struct br_msg msg = {
		.desc = &br_msgs[first + opcode],
		.object = &object,
		.dir = dir,
		.opcode = opcode,
		.handles = {{.fd = 5}, {.fd = -1, .res_id = 12}},
	};
	if (args != NULL) {
		memcpy(msg.args, args, msg.desc->n_args * sizeof(*args));
	}
	br_trace_msg(relay, &msg, what);
}

TEST(request_and_event)
{
	struct br_relay *relay = make_relay(7);
	struct br_object buffer = {.client_id = 5, .server_id = 50, .iface = BR_IFACE_WL_BUFFER};
	start("");
	show(relay, BR_IFACE_WL_SURFACE, BR_REQUEST, BR_REQ_WL_SURFACE_COMMIT, NULL, "");
	show(relay, BR_IFACE_WL_SURFACE, BR_REQUEST, BR_REQ_WL_SURFACE_ATTACH,
	     (union br_arg[]){{.object = &buffer}, {.i = -4}, {.i = 9}}, "own");
	show(relay, BR_IFACE_WL_SURFACE, BR_REQUEST, BR_REQ_WL_SURFACE_ATTACH,
	     (union br_arg[]){{.object = NULL}, {.i = 0}, {.i = 0}}, "");
	show(relay, BR_IFACE_WL_POINTER, BR_EVENT, BR_EVT_WL_POINTER_MOTION,
	     (union br_arg[]){{.u = 4000000000u}, {.fixed = 384}, {.fixed = -128}}, "");
	CHECK_STR(traced(),
		  "client=7 -> wl_surface@3.commit()\n"
		  "client=7 -> wl_surface@3.attach(wl_buffer@5, -4, 9) [own]\n"
		  "client=7 -> wl_surface@3.attach(nil, 0, 0)\n"
		  "client=7 <- wl_pointer@3.motion(4000000000, 1.50000000, -0.50000000)\n");
	fclose(out);
	br_relay_destroy(relay);
}

TEST(other_arguments)
{
	struct br_relay *relay = make_relay(1);
	struct br_object fresh = {.client_id = 9, .iface = BR_IFACE_WL_SHM_POOL};
	struct br_object hidden = {.server_id = 8, .iface = BR_IFACE_WL_BUFFER};
	uint32_t keys[3] = {0};
	start("");
	show(relay, BR_IFACE_WL_SHM, BR_REQUEST, BR_REQ_WL_SHM_CREATE_POOL,
	     (union br_arg[]){{.object = &fresh}, {.handle = 0}, {.i = 4096}}, "");
	show(relay, BR_IFACE_WL_SHM, BR_REQUEST, BR_REQ_WL_SHM_CREATE_POOL,
	     (union br_arg[]){{.object = &fresh}, {.handle = 1}, {.i = 4096}}, "");
	show(relay, BR_IFACE_WL_KEYBOARD, BR_EVENT, BR_EVT_WL_KEYBOARD_ENTER,
	     (union br_arg[]){{.u = 1}, {.object = NULL}, {.array = {keys, sizeof(keys)}}}, "");
	show(relay, BR_IFACE_WL_OUTPUT, BR_EVENT, BR_EVT_WL_OUTPUT_NAME,
	     (union br_arg[]){{.str = {"a\nb", 3}}}, "");
	show(relay, BR_IFACE_WL_SURFACE, BR_REQUEST, BR_REQ_WL_SURFACE_ATTACH,
	     (union br_arg[]){{.object = &hidden}, {.i = 0}, {.i = 0}}, "");
	CHECK_STR(traced(),
		  "client=1 -> wl_shm@3.create_pool(new id wl_shm_pool@9, fd 5, 4096)\n"
		  "client=1 -> wl_shm@3.create_pool(new id wl_shm_pool@9, resource 12, 4096)\n"
		  "client=1 <- wl_keyboard@3.enter(1, nil, array[12])\n"
		  "client=1 <- wl_output@3.name(\"a\\x0ab\")\n"
		  "client=1 -> wl_surface@3.attach(wl_buffer@server:8, 0, 0)\n");
	fclose(out);
	br_relay_destroy(relay);
}

static void show_some(void)
{
	for (uint32_t number = 1; number <= 3; number++) {
		struct br_relay *relay = make_relay(number);
		show(relay, BR_IFACE_WL_SURFACE, BR_REQUEST, BR_REQ_WL_SURFACE_COMMIT, NULL, "");
		show(relay, BR_IFACE_WL_BUFFER, BR_EVENT, BR_EVT_WL_BUFFER_RELEASE, NULL, "");
		br_relay_destroy(relay);
	}
}

TEST(filters)
{
	start("client=2");
	show_some();
	CHECK_STR(traced(),
		  "client=2 -> wl_surface@3.commit()\nclient=2 <- wl_buffer@3.release()\n");
	fclose(out);
	start("iface=wl_buffer,client=1,client=3");
	show_some();
	CHECK_STR(traced(),
		  "client=1 <- wl_buffer@3.release()\nclient=3 <- wl_buffer@3.release()\n");
	fclose(out);
	start("iface=wl_seat");
	show_some();
	CHECK_STR(traced(), "");
	fclose(out);
}

TEST(bad_filters)
{
	static const char *const bad[] = {"nonsense",  "client=",	    "client=x",
					  "client=-1", "client=1x",	    "client=4294967296",
					  "iface=",    "iface=wl_nonsense", "client=1,foo"};
	start("");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (br_trace_enable(bad[i], out) != -EINVAL) {
			FAIL("filter \"%s\" is taken", bad[i]);
		}
	}
	show_some();
	CHECK_STR(traced(), "");
	fclose(out);
}

/* What a relay receives is traced without further doing. */
TEST(relayed_message)
{
	struct br_relay *relay = make_relay(4);
	const uint32_t get_registry[] = {1, 12 << 16 | BR_REQ_WL_DISPLAY_GET_REGISTRY, 2};
	start("");
	CHECK_INT(br_stream_write(br_relay_input(relay, BR_REQUEST), get_registry,
				  sizeof(get_registry)),
		  0);
	CHECK_INT(br_relay_dispatch(relay, BR_REQUEST), 0);
	CHECK_STR(traced(), "client=4 -> wl_display@1.get_registry(new id wl_registry@2)\n");
	fclose(out);
	br_relay_destroy(relay);
}
