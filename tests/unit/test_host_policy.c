/* SPDX-License-Identifier: MIT
 *
 * What causeway-host offers to a guest, the marks on its windows, and the globals of one client.
 */
#include <errno.h>
#include <string.h>

#include "test.h"

#include "admit.h"
#include "limits.h"
#include "policy.h"
#include "tables.h"

static char err[256];

static uint16_t find(const char *name)
{
	uint16_t iface = br_iface_find(name);
	CHECK(iface != BR_IFACE_ANY);
	return iface;
}

/* The first interface with all flags of one mask and none of another. */
static uint16_t find_flags(unsigned with, unsigned without)
{
	for (uint16_t i = 0; i < br_iface_count; i++) {
		if ((br_ifaces[i].flags & with) == with && !(br_ifaces[i].flags & without)) {
			return i;
		}
	}
	return BR_IFACE_ANY;
}

TEST(defaults_follow_the_tables)
{
	struct hr_policy *policy = hr_policy_create("vm");
	for (uint16_t i = 0; i < br_iface_count; i++) {
		unsigned flags = br_ifaces[i].flags;
		bool offered = flags & BR_IFACE_GLOBAL &&
			       !(flags & (BR_IFACE_PRIVILEGED | BR_IFACE_HIDDEN));
		CHECK_INT(hr_policy_version(policy, i, 1000),
			  offered ? br_ifaces[i].safe_version : 0);
	}
	CHECK_INT(hr_policy_version(policy, BR_IFACE_ANY, 1), 0);
	CHECK_INT(hr_policy_version(policy, find("wl_compositor"), 2), 2);
	CHECK_STR(policy->app_id_prefix, "causeway.vm.");
	CHECK_STR(policy->title_mark, "[vm] ");
	hr_policy_destroy(policy);
}

TEST(deny_and_allow)
{
	struct hr_policy *policy = hr_policy_create("vm");
	uint16_t compositor = find("wl_compositor");
	uint32_t full = br_ifaces[compositor].safe_version;
	CHECK_INT(hr_policy_deny(policy, "wl_compositor:4", "test", err, sizeof(err)), 0);
	CHECK_INT(hr_policy_version(policy, compositor, 1000), 3);
	CHECK_INT(hr_policy_deny(policy, "wl_compositor:6", "test", err, sizeof(err)), 0);
	CHECK_INT(hr_policy_version(policy, compositor, 1000), 3);
	CHECK_INT(hr_policy_deny(policy, "wl_compositor", "test", err, sizeof(err)), 0);
	CHECK_INT(hr_policy_version(policy, compositor, 1000), 0);
	CHECK_INT(hr_policy_allow(policy, "wl_compositor:2", "test", err, sizeof(err)), 0);
	CHECK_INT(hr_policy_version(policy, compositor, 1000), 2);
	CHECK_INT(hr_policy_allow(policy, "wl_compositor:255", "test", err, sizeof(err)), 0);
	CHECK_INT(hr_policy_version(policy, compositor, 1000), full);
	CHECK_INT(hr_policy_deny(policy, "wl_compositor:1", "test", err, sizeof(err)), 0);
	CHECK_INT(hr_policy_version(policy, compositor, 1000), 0);
	hr_policy_destroy(policy);
}

TEST(privileged_needs_allow_and_hidden_refuses)
{
	struct hr_policy *policy = hr_policy_create("vm");
	uint16_t privileged = find_flags(BR_IFACE_GLOBAL | BR_IFACE_PRIVILEGED, BR_IFACE_HIDDEN);
	uint16_t hidden = find_flags(BR_IFACE_GLOBAL | BR_IFACE_HIDDEN, 0);
	CHECK(privileged != BR_IFACE_ANY);
	CHECK_INT(hr_policy_version(policy, privileged, 1000), 0);
	CHECK_INT(hr_policy_allow(policy, br_ifaces[privileged].name, "test", err, sizeof(err)), 0);
	CHECK_INT(hr_policy_version(policy, privileged, 1000), br_ifaces[privileged].safe_version);
	CHECK(hidden != BR_IFACE_ANY);
	CHECK_INT(hr_policy_allow(policy, br_ifaces[hidden].name, "test", err, sizeof(err)),
		  -EINVAL);
	CHECK(strstr(err, "can't be carried") != NULL);
	CHECK_INT(hr_policy_version(policy, hidden, 1000), 0);
	hr_policy_destroy(policy);
}

TEST(bad_specs)
{
	static const char *const bad[] = {
		"",
		":1",
		"no_such_global",
		"wl_compositor:",
		"wl_compositor:0",
		"wl_compositor:256",
		"wl_compositor:-1",
		"wl_compositor:1x",
		"wl_compositor: 1",
		"wl_surface",
		"wl_compositor:99999999999999999999",
	};
	struct hr_policy *policy = hr_policy_create("vm");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		CHECK_INT(hr_policy_allow(policy, bad[i], "test", err, sizeof(err)), -EINVAL);
		CHECK(err[0] != '\0');
		CHECK_INT(hr_policy_deny(policy, bad[i], "test", err, sizeof(err)), -EINVAL);
	}
	CHECK_INT(hr_policy_allow(policy, "no_such_global", "test", err, sizeof(err)), -EINVAL);
	CHECK(strstr(err, "--print-policy") != NULL);
	hr_policy_destroy(policy);
}

TEST(marks)
{
	static char buf[BR_LIMIT_TITLE_BYTES + 1], text[BR_LIMIT_TITLE_BYTES + 1];
	CHECK_INT(hr_policy_mark(buf, "[vm] ", "hello", 5), 10);
	CHECK_STR(buf, "[vm] hello");
	CHECK_INT(hr_policy_mark(buf, "", "hello", 5), 5);
	CHECK_STR(buf, "hello");
	/* A character of three bytes that would end one byte past the limit goes as a whole. */
	memset(text, 'a', sizeof(text));
	memcpy(text + BR_LIMIT_TITLE_BYTES - 4, "\xe2\x82\xac", 3);
	CHECK_INT(hr_policy_mark(buf, "ab", text, BR_LIMIT_TITLE_BYTES), BR_LIMIT_TITLE_BYTES - 2);
	CHECK_INT(hr_policy_mark(buf, "a", text, BR_LIMIT_TITLE_BYTES), BR_LIMIT_TITLE_BYTES);
	CHECK_INT(strlen(buf), BR_LIMIT_TITLE_BYTES);
	/* What is no UTF-8 passes, and its end is no reason to read on. */
	CHECK_INT(hr_policy_mark(buf, "", "\xe2\x82", 2), 2);
	CHECK_STR(buf, "\xe2\x82");
}

TEST(mark_options)
{
	static char text[BR_LIMIT_TITLE_BYTES];
	struct hr_policy *policy = hr_policy_create("vm");
	CHECK_INT(hr_policy_set_marks(policy, "", NULL), 0);
	CHECK_STR(policy->app_id_prefix, "");
	CHECK_STR(policy->title_mark, "[vm] ");
	CHECK_INT(hr_policy_set_marks(policy, NULL, "\xe2\x82\xac "), 0);
	CHECK_STR(policy->title_mark, "\xe2\x82\xac ");
	CHECK_INT(hr_policy_set_marks(policy, NULL, "\xed\xa0\x80"), -EINVAL);
	CHECK_INT(hr_policy_set_marks(policy, NULL, "a\nb"), -EINVAL);
	memset(text, 'a', BR_LIMIT_TITLE_BYTES / 2 + 1);
	CHECK_INT(hr_policy_set_marks(policy, text, NULL), -EINVAL);
	hr_policy_destroy(policy);
}

/* The next compositor's globals take the places of the last one's. */
TEST(globals_of_another_compositor)
{
	const struct hr_admit_global *global;
	struct hr_admit admit = {0};
	for (uint32_t name = 1; name <= 3; name++) {
		CHECK_INT(hr_admit_announce(&admit, name, 7, 3, &global), 0);
	}
	hr_admit_find(&admit, 1)->removed = 1;
	hr_admit_lose(&admit);
	CHECK(hr_admit_find_server(&admit, 2) == NULL);
	CHECK_INT(hr_admit_announce(&admit, 3, 7, 4, &global), 0);
	CHECK(global->name == 2 && global->version == 3 && global->known);
	/* Another registry hears of the same. */
	CHECK_INT(hr_admit_announce(&admit, 3, 7, 4, &global), 0);
	CHECK_INT(global->name, 2);
	/* A lesser one is another one, and so is one too many. */
	CHECK_INT(hr_admit_announce(&admit, 8, 7, 2, &global), 0);
	CHECK(global->name == 8 && !global->known);
	CHECK_INT(hr_admit_announce(&admit, 9, 7, 3, &global), 0);
	CHECK(global->name == 3 && global->known);
	CHECK_INT(hr_admit_announce(&admit, 2, 7, 3, &global), 0);
	CHECK(global->name != 2 && global->server_name == 2 && !global->known);
	CHECK(hr_admit_find_server(&admit, 2) == global);
	hr_admit_finish(&admit);
}

TEST(admitted_globals)
{
	const struct hr_admit_global *global;
	struct hr_admit admit = {0};
	CHECK(hr_admit_find(&admit, 1) == NULL);
	for (uint32_t name = 1; name <= BR_LIMIT_GLOBALS; name++) {
		CHECK_INT(hr_admit_announce(&admit, name, 7, 3, &global), 0);
	}
	CHECK_INT(hr_admit_announce(&admit, 5000, 7, 3, &global), -ENOSPC);
	CHECK_INT(hr_admit_announce(&admit, 2, 8, 4, &global), 0); /* the name is used again */
	CHECK_INT(hr_admit_find(&admit, 2)->iface, 8);
	CHECK_INT(hr_admit_find(&admit, 2)->version, 4);
	/* Removed ones make room, oldest first, and stay known until then. */
	hr_admit_find(&admit, 9)->removed = 1;
	hr_admit_find(&admit, 3)->removed = 1;
	CHECK_INT(hr_admit_announce(&admit, 5000, 7, 3, &global), 0);
	CHECK(hr_admit_find(&admit, 3) == NULL);
	CHECK(hr_admit_find(&admit, 9) != NULL);
	CHECK_INT(hr_admit_announce(&admit, 5001, 7, 3, &global), 0);
	CHECK(hr_admit_find(&admit, 9) == NULL);
	CHECK(hr_admit_find(&admit, 5000) != NULL);
	CHECK(hr_admit_find(&admit, 4) != NULL);
	hr_admit_finish(&admit);
	CHECK(hr_admit_find(&admit, 1) == NULL);
}
