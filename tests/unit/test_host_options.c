/* SPDX-License-Identifier: MIT
 *
 * The command line of causeway-host.
 */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "options.h"
#include "test.h"

static struct hr_options options;

/* Words separated by blanks; _ stands for an empty one. Returns what hr_options_parse() does. */
static int parse(const char *line)
{
	static char text[512], empty[] = "", name[] = "causeway-host";
	static char *argv[16];
	int argc = 1;
	CHECK(strlen(line) < sizeof(text));
	strcpy(text, line);
	argv[0] = name;
	for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
		CHECK(argc < 15);
		argv[argc++] = strcmp(word, "_") == 0 ? empty : word;
	}
	argv[argc] = NULL;
	hr_options_finish(&options);
	return hr_options_parse(&options, argc, argv);
}

static void check_good(const char *line, enum hr_action action)
{
	if (parse(line) != 0 || options.action != action) {
		FAIL("\"%s\" is refused, or does %d", line, options.action);
	}
}

/* It ends with status 2, and a message that has both texts. */
static void check_bad(const char *line, const char *option, const char *text)
{
	struct capture capture;
	capture_start(&capture);
	int status = parse(line);
	capture_end(&capture);
	if (status != 2 || options.action != HR_ACTION_EXIT ||
	    strstr(capture.text, option) == NULL || strstr(capture.text, text) == NULL) {
		FAIL("\"%s\": status %d, \"%s\"", line, status, capture.text);
	}
}

TEST(sockets)
{
	CHECK_INT(setenv("XDG_RUNTIME_DIR", "/run/me", 1), 0);
	check_good("", HR_ACTION_RUN);
	CHECK_STR(options.socket_path, "/run/me/causeway-guest.sock");
	CHECK_STR(options.vhost_path, NULL);
	check_good("--name box", HR_ACTION_RUN);
	CHECK_STR(options.socket_path, "/run/me/causeway-box.sock");
	check_good("--socket /a --socket /b", HR_ACTION_RUN);
	CHECK_STR(options.socket_path, "/b");
	/* Whoever asks for a VM gets no other socket unasked. */
	check_good("--vhost-user /vm", HR_ACTION_RUN);
	CHECK_STR(options.vhost_path, "/vm");
	CHECK_STR(options.socket_path, NULL);
	check_good("--vhost-user /vm --socket /a", HR_ACTION_RUN);
	CHECK_STR(options.socket_path, "/a");
	check_good("--print-qemu-args", HR_ACTION_PRINT_QEMU_ARGS);
	CHECK_STR(options.vhost_path, "/run/me/causeway-guest-vm.sock");
	CHECK_INT(unsetenv("XDG_RUNTIME_DIR"), 0);
	check_good("", HR_ACTION_RUN);
	CHECK_STR(options.socket_path, NULL);
	hr_options_finish(&options);
}

TEST(sockets_that_can_not_be)
{
	static const char *const names[] = {"--socket", "--vhost-user"};
	for (size_t i = 0; i < 2; i++) {
		char line[256];
		strcpy(line, names[i]);
		check_bad(line, names[i], "requires an argument");
		strcat(line, " _");
		check_bad(line, names[i], "1 to 107 bytes");
		strcpy(line, names[i]);
		strcat(line, " /");
		memset(line + strlen(names[i]) + 2, 'x', 108);
		line[strlen(names[i]) + 2 + 107] = '\0';
		check_bad(line, names[i], "1 to 107 bytes");
		line[strlen(names[i]) + 1 + 107] = '\0';
		check_good(line, HR_ACTION_RUN);
	}
	check_bad("--vhost-user /vm -- qemu", "--vhost-user", "started apart");
	hr_options_finish(&options);
}

TEST(size_of_the_window)
{
	static const struct {
		const char *line;
		uint32_t mib;
	} good[] = {
		{"--window-size 0", 0},	      {"--window-size 1", 1},
		{"--window-size 256", 256},   {"--window-size 0256", 256},
		{"--window-size 8192", 8192}, {"--gpu none", 1024},
		{"--gpu venus", 8192},	      {"--gpu none --window-size 64", 64},
	};
	static const char *const bad[] = {
		"_",  "3",    "255",  "16384", "-1",
		"+1", "256M", "0x10", "256.0", "18446744073709551616",
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		check_good(good[i].line, HR_ACTION_RUN);
		CHECK_INT(options.window_mib, good[i].mib);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[64] = "--window-size ";
		check_bad(strcat(line, bad[i]), "--window-size", "power of two up to 8192");
	}
	hr_options_finish(&options);
}

TEST(wait_for_a_compositor)
{
	static const struct {
		const char *line;
		uint32_t seconds;
	} good[] = {{"", 30}, {"--compositor-wait 0", 0}, {"--compositor-wait 86400", 86400}};
	static const char *const bad[] = {"86401", "-1", "1s", "x"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		check_good(good[i].line, HR_ACTION_RUN);
		CHECK_INT(options.compositor_wait, good[i].seconds);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[64] = "--compositor-wait ";
		check_bad(strcat(line, bad[i]), "--compositor-wait", "0 to 86400 seconds");
	}
	hr_options_finish(&options);
}

TEST(kinds_of_gpu_work)
{
	check_good("", HR_ACTION_RUN);
	CHECK_INT(options.gpu.flags, WK_VENUS | WK_VIRGL | WK_DRM);
	CHECK(!options.gpu.required);
	check_good("--gpu drm,venus --render-node /dev/dri/renderD128", HR_ACTION_RUN);
	CHECK_INT(options.gpu.flags, WK_VENUS | WK_DRM);
	CHECK(options.gpu.required);
	CHECK_STR(options.gpu.render_node, "/dev/dri/renderD128");
	static const char *const bad[] = {"_",	      ",",	"venus,",     "venus,,drm",
					  "auto,drm", "vulkan", "venusvenus", "all"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[64] = "--gpu ";
		check_bad(strcat(line, bad[i]), "--gpu", "venus,virgl,drm");
	}
	hr_options_finish(&options);
}

TEST(others)
{
	check_bad("--name _", "--name", "1 to 64");
	check_bad("--name a/b", "--name", "1 to 64");
	check_bad("--name .hidden", "--name", "1 to 64");
	check_bad("--security-context maybe", "--security-context", "require");
	check_bad("--log-level loud", "--log-level", "debug");
	check_bad("--allow no_such_global", "no_such_global", "causeway-host: host: ");
	check_bad("--nonsense", "--nonsense", "causeway-host --help");
	check_bad("qemu-system-x86_64", "qemu-system-x86_64", "unexpected argument");
	check_good("-- qemu -m 1G", HR_ACTION_RUN);
	CHECK_STR(options.command[0], "qemu");
	CHECK_STR(options.socket_path, NULL);
	check_good("--check", HR_ACTION_CHECK);
	check_good("--print-policy", HR_ACTION_PRINT_POLICY);
	hr_options_finish(&options);
}

TEST(help_and_version)
{
	struct capture capture;
	capture_start(&capture);
	int status = parse("-h");
	capture_end(&capture);
	CHECK_INT(status, 0);
	CHECK_INT(options.action, HR_ACTION_EXIT);
	CHECK(strncmp(capture.text, "usage: causeway-host", 20) == 0);
	capture_start(&capture);
	status = parse("--version");
	capture_end(&capture);
	CHECK_INT(status, 0);
	CHECK(strncmp(capture.text, "causeway-host ", 14) == 0);
	hr_options_finish(&options);
}
