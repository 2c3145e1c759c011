/* SPDX-License-Identifier: MIT
 *
 * The policy file: its syntax, who may write it, and how it and the command line make one policy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "limits.h"
#include "options.h"
#include "policy_file.h"
#include "tables.h"
#include "test.h"

static struct hr_settings settings;
static char err[512];

static int parse(const char *text)
{
	hr_settings_finish(&settings);
	err[0] = '\0';
	return hr_policy_file_parse(&settings, "FILE", text, strlen(text), "box", err, sizeof(err));
}

static void check_setting(size_t i, const char *name, const char *value, const char *place)
{
	CHECK(i < settings.n);
	CHECK_STR(settings.list[i].name, name);
	CHECK_STR(settings.list[i].value, value);
	CHECK_STR(settings.list[i].place, place);
}

TEST(lines_and_sections)
{
	CHECK_INT(parse("# all\n"
			"deny wl_shm\n"
			"\n"
			"  allow   a:2  \t\n"
			"title-mark \"[x] \"\n"
			"app-id-prefix \"\"\n"
			"[other]\n"
			"deny b\n"
			"[ box ]\n"
			"deny c\n"
			"stats\n"
			"[boxer]\n"
			"deny d"),
		  0);
	CHECK_INT(settings.n, 6);
	check_setting(0, "deny", "wl_shm", "FILE:2");
	check_setting(1, "allow", "a:2", "FILE:4");
	check_setting(2, "title-mark", "[x] ", "FILE:5");
	check_setting(3, "app-id-prefix", "", "FILE:6");
	check_setting(4, "deny", "c", "FILE:10");
	check_setting(5, "stats", NULL, "FILE:11");
	CHECK_INT(parse(""), 0);
	CHECK_INT(settings.n, 0);
	hr_settings_finish(&settings);
}

static void check_bad_text(const char *text, int ret, const char *message)
{
	CHECK_INT(parse(text), ret);
	if (strcmp(err, message) != 0) {
		FAIL("\"%s\" instead of \"%s\"", err, message);
	}
	hr_settings_finish(&settings);
}

TEST(bad_lines)
{
	char text[BR_LIMIT_POLICY_LINE_BYTES + 16];
	check_bad_text("deny a\n--deny b\n", -EINVAL,
		       "FILE:2: an option's name is wanted, without dashes, not --deny");
	check_bad_text("[box\n", -EINVAL, "FILE:1: a section is [NAME], not [box");
	check_bad_text("[]\n", -EINVAL, "FILE:1: a section is [NAME], not []");
	check_bad_text("\n\n\x1b[31m\n", -EINVAL,
		       "FILE:3: an option's name is wanted, without dashes, not \\x1b[31m");
	/* One for others is looked at, too. */
	check_bad_text("[other]\nDENY a\n", -EINVAL,
		       "FILE:2: an option's name is wanted, without dashes, not DENY");
	CHECK_INT(
		hr_policy_file_parse(&settings, "FILE", "deny a\0b\n", 9, "box", err, sizeof(err)),
		-EINVAL);
	CHECK_STR(err, "FILE:1: a byte 0: this is no text");
	memset(text, '#', sizeof(text));
	text[BR_LIMIT_POLICY_LINE_BYTES] = '\0';
	CHECK_INT(parse(text), 0);
	text[BR_LIMIT_POLICY_LINE_BYTES] = '#';
	text[BR_LIMIT_POLICY_LINE_BYTES + 1] = '\0';
	check_bad_text(text, -E2BIG, "FILE:1: the line is too long");
}

TEST(too_many_lines)
{
	static char text[(BR_LIMIT_POLICY_LINES + 1) * 7 + 1];
	for (size_t i = 0; i <= BR_LIMIT_POLICY_LINES; i++) {
		memcpy(text + i * 7, "deny a\n", 8);
	}
	check_bad_text(text, -E2BIG, "FILE:1025: too many lines");
	text[BR_LIMIT_POLICY_LINES * 7] = '\0';
	CHECK_INT(parse(text), 0);
	CHECK_INT(settings.n, BR_LIMIT_POLICY_LINES);
	hr_settings_finish(&settings);
}

/* --- with the command line --- */

static char dir[64], path[96];

static void write_file(const char *text, mode_t mode)
{
	if (dir[0] == '\0') {
		strcpy(dir, "/tmp/policy-XXXXXX");
		CHECK(mkdtemp(dir) != NULL);
		(void)snprintf(path, sizeof(path), "%s/causeway", dir);
		CHECK_INT(mkdir(path, 0700), 0);
		(void)snprintf(path, sizeof(path), "%s/causeway/policy", dir);
		CHECK_INT(setenv("XDG_CONFIG_HOME", dir, 1), 0);
	}
	FILE *file = fopen(path, "we");
	CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
	CHECK_INT(chmod(path, mode), 0);
}

static void remove_file(struct hr_options *options)
{
	hr_options_finish(options);
	CHECK_INT(unlink(path), 0);
	path[strlen(path) - 7] = '\0';
	CHECK_INT(rmdir(path), 0);
	CHECK_INT(rmdir(dir), 0);
}

static int run(struct hr_options *options, char **argv)
{
	int argc = 0;
	while (argv[argc] != NULL) {
		argc++;
	}
	hr_options_finish(options);
	return hr_options_parse(options, argc, argv);
}

#define RUN(options, ...) run(options, (char *[]){"causeway-host", ##__VA_ARGS__, NULL})

static uint8_t version_of(const struct hr_options *options, const char *name)
{
	return options->policy->max_version[br_iface_find(name)];
}

TEST(file_and_command_line)
{
	struct hr_options options = {0};
	write_file("deny zwp_pointer_constraints_v1\n"
		   "deny xdg_activation_v1\n"
		   "title-mark \"(vm) \"\n"
		   "present shm\n"
		   "[box]\n"
		   "allow zwlr_layer_shell_v1\n"
		   "compositor-wait 7\n",
		   0644);
	CHECK_INT(RUN(&options, "--name", "box", "--allow", "xdg_activation_v1"), 0);
	CHECK_INT(version_of(&options, "zwp_pointer_constraints_v1"), 0);
	CHECK_INT(version_of(&options, "xdg_activation_v1"), 1);
	CHECK(version_of(&options, "zwlr_layer_shell_v1") > 0);
	CHECK_STR(options.policy->title_mark, "(vm) ");
	CHECK_STR(options.policy->app_id_prefix, "causeway.box.");
	CHECK_INT(options.present, HR_PRESENT_SHM);
	CHECK_INT(options.compositor_wait, 7);
	const char *by = options.policy->decided_by[br_iface_find("zwp_pointer_constraints_v1")];
	CHECK(by != NULL && strstr(by, "/causeway/policy:1") != NULL);
	CHECK_STR(options.policy->decided_by[br_iface_find("xdg_activation_v1")], "--allow");
	/* The command line is last, and another guest has another section. */
	CHECK_INT(RUN(&options, "--present", "dmabuf"), 0);
	CHECK_INT(options.present, HR_PRESENT_DMABUF);
	CHECK_INT(options.compositor_wait, 30);
	CHECK_INT(version_of(&options, "zwlr_layer_shell_v1"), 0);
	CHECK_INT(version_of(&options, "xdg_activation_v1"), 0);
	/* None is wanted. */
	CHECK_INT(RUN(&options, "--policy", ""), 0);
	CHECK_INT(version_of(&options, "xdg_activation_v1"), 1);
	remove_file(&options);
}

static void check_refused(struct hr_options *options, const char *text, mode_t mode,
			  const char *message)
{
	struct capture capture;
	write_file(text, mode);
	capture_start(&capture);
	int status = RUN(options);
	capture_end(&capture);
	if (status != 2 || options->action != HR_ACTION_EXIT ||
	    strstr(capture.text, message) == NULL) {
		FAIL("status %d, \"%s\" instead of \"%s\"", status, capture.text, message);
	}
}

TEST(bad_files)
{
	struct hr_options options = {0};
	struct capture capture;
	check_refused(&options, "deny wl_shm\ndeny nothing_known\n", 0600,
		      "/causeway/policy:2: 'nothing_known' is no interface");
	check_refused(&options, "present never\n", 0600,
		      "/causeway/policy:1: --present is auto, dmabuf or shm, not 'never'");
	check_refused(&options, "frobnicate yes\n", 0600,
		      "/causeway/policy:1: there is no option 'frobnicate'");
	check_refused(&options, "present\n", 0600,
		      "/causeway/policy:1: a value is missing behind 'present'");
	check_refused(&options, "name other\n", 0600,
		      "/causeway/policy:1: this is for the command line only: 'name'");
	check_refused(&options, "present shm\n", 0646,
		      "/causeway/policy: it must belong to you or root");
	/* One that was named has to be there. */
	capture_start(&capture);
	int status = RUN(&options, "--policy", "/nowhere/policy");
	capture_end(&capture);
	CHECK_INT(status, 2);
	CHECK(strstr(capture.text, "/nowhere/policy: No such file") != NULL);
	capture_start(&capture);
	status = RUN(&options, "--policy", dir);
	capture_end(&capture);
	CHECK_INT(status, 2);
	CHECK(strstr(capture.text, "no regular file") != NULL);
	remove_file(&options);
}
