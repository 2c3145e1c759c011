/* SPDX-License-Identifier: MIT
 *
 * The tables say the same of every interface as the code that libwayland's own scanner makes of the
 * same XML. One test for each XML file.
 */
#include <string.h>
#include <wayland-client-core.h>

#include "br-tables.h"
#include "test.h"

static const char kinds[] = {
	[BR_ARG_INT] = 'i',    [BR_ARG_UINT] = 'u',   [BR_ARG_FIXED] = 'f', [BR_ARG_STRING] = 's',
	[BR_ARG_OBJECT] = 'o', [BR_ARG_NEW_ID] = 'n', [BR_ARG_ARRAY] = 'a', [BR_ARG_FD] = 'h',
};

/* What is compared just now, for the text of a failure. */
static const char *iface_name, *msg_name;

#define SAME(got, want, what)                                                                      \
	do {                                                                                       \
		long long got_ = (got), want_ = (want);                                            \
		if (got_ != want_) {                                                               \
			FAIL("%s.%s: %s is %lld, not %lld", iface_name, msg_name, what, got_,      \
			     want_);                                                               \
		}                                                                                  \
	} while (0)

static void compare_arg(const struct br_arg_desc *arg, char kind, bool nullable,
			const struct wl_interface *type)
{
	CHECK(arg->kind < sizeof(kinds));
	if (kinds[arg->kind] != kind) {
		FAIL("%s.%s: an argument is %c, not %c", iface_name, msg_name, kinds[arg->kind],
		     kind);
	}
	SAME(arg->nullable, nullable, "nullable");
	if (type == NULL) {
		SAME(arg->iface, BR_IFACE_ANY, "interface of an argument");
	} else {
		CHECK(arg->iface < br_iface_count);
		CHECK_STR(br_ifaces[arg->iface].name, type->name);
	}
}

/* wl_message.signature: [since] and for each argument [?]kind. */
static void compare_message(const struct br_msg_desc *msg, const struct wl_message *want)
{
	const char *at = want->signature;
	unsigned since = 0, n = 0, fds = 0;
	msg_name = want->name;
	CHECK_STR(msg->name, want->name);
	for (; *at >= '0' && *at <= '9'; at++) {
		since = since * 10 + (unsigned)(*at - '0');
	}
	SAME(msg->since, since == 0 ? 1 : since, "since");
	for (; *at != '\0'; at++, n++) {
		bool nullable = *at == '?';
		at += nullable;
		if (n >= msg->n_args) {
			FAIL("%s.%s: has %u arguments, not %s", iface_name, msg_name, msg->n_args,
			     want->signature);
		}
		compare_arg(&br_args[msg->first_arg + n], *at, nullable, want->types[n]);
		fds += *at == 'h';
	}
	SAME(msg->n_args, n, "number of arguments");
	SAME(msg->n_fds, fds, "number of fds");
	SAME(msg->fd_kind != BR_FD_NONE && fds == 0, false, "fd kind without an fd");
}

static void compare_interface(const struct wl_interface *want)
{
	uint16_t index = br_iface_find(want->name);
	iface_name = want->name;
	msg_name = "(interface)";
	if (index >= br_iface_count) {
		FAIL("%s is not in the tables", want->name);
	}
	const struct br_iface *iface = &br_ifaces[index];
	CHECK_STR(iface->name, want->name);
	SAME(iface->version, want->version, "version");
	SAME(iface->safe_version <= iface->version, true, "safe version within the version");
	SAME(iface->n_req, want->method_count, "number of requests");
	SAME(iface->n_evt, want->event_count, "number of events");
	for (int i = 0; i < want->method_count; i++) {
		compare_message(&br_msgs[iface->first_req + i], &want->methods[i]);
	}
	for (int i = 0; i < want->event_count; i++) {
		compare_message(&br_msgs[iface->first_evt + i], &want->events[i]);
	}
}

#define PROTOCOL(file, ...)                                                                        \
	TEST(file)                                                                                 \
	{                                                                                          \
		const struct wl_interface *const all[] = {__VA_ARGS__};                            \
		for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {                        \
			compare_interface(all[i]);                                                 \
		}                                                                                  \
	}

#include "protocols.inc"

/* Every interface is found under its name, and none is there twice. */
TEST(each_interface_once)
{
	for (uint16_t i = 0; i < br_iface_count; i++) {
		if (br_iface_find(br_ifaces[i].name) != i) {
			FAIL("%s is not found at its place %u", br_ifaces[i].name, i);
		}
	}
}

TEST(unknown_names)
{
	static const char *const names[] = {"",	 "wl_",	   "wl_surfac",	 "wl_surface2",
					    "A", "zzzzzz", "wl_Surface", "xdg_toplevel\n"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (br_iface_find(names[i]) != BR_IFACE_ANY) {
			FAIL("\"%s\" is found", names[i]);
		}
	}
}
