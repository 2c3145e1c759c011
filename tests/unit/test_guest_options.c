/* SPDX-License-Identifier: MIT
 *
 * The command line of causeway-guest.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "cross_domain.h"
#include "options.h"
#include "test.h"

static struct gp_options options;

/* Words separated by blanks; _ stands for an empty one. Returns what gp_options_parse() does. */
static int parse(const char *line)
{
	static char text[512], empty[] = "", name[] = "causeway-guest";
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
	optind = 0; /* start over */
	return gp_options_parse(&options, argc, argv);
}

static void check_good(const char *line)
{
	if (parse(line) != -1) {
		FAIL("\"%s\" is refused", line);
	}
}

/* It ends with status 2, and a message that has both texts. */
static void check_bad(const char *line, const char *option, const char *text)
{
	struct capture capture;
	capture_start(&capture);
	int status = parse(line);
	capture_end(&capture);
	if (status != 2 || strstr(capture.text, option) == NULL ||
	    strstr(capture.text, text) == NULL) {
		FAIL("\"%s\": status %d, \"%s\"", line, status, capture.text);
	}
}

TEST(defaults)
{
	(void)unsetenv("CAUSEWAY_TRANSPORT");
	check_good("");
	CHECK_INT(options.transport, GP_TRANSPORT_VIRTGPU);
	CHECK_STR(options.host_path, NULL);
	CHECK_STR(options.socket, NULL);
	CHECK_INT(options.shm, GP_SHM_AUTO);
	CHECK_INT(options.extensions, GP_EXTENSIONS_ALL);
	CHECK_INT(options.log_level, BR_LOG_INFO);
	CHECK(options.app == NULL && !options.check && !options.stats);
}

TEST(ways_to_the_host)
{
	check_good("--transport socket:/run/host.sock");
	CHECK_INT(options.transport, GP_TRANSPORT_SOCKET);
	CHECK_STR(options.host_path, "/run/host.sock");
	check_good("-t virtgpu:/dev/dri/renderD129");
	CHECK_INT(options.transport, GP_TRANSPORT_VIRTGPU);
	CHECK_STR(options.host_path, "/dev/dri/renderD129");
	/* The last one counts, and all of it. */
	check_good("-t socket:/a -t virtgpu");
	CHECK_STR(options.host_path, NULL);
	CHECK_INT(options.transport, GP_TRANSPORT_VIRTGPU);
	static const char *const bad[] = {
		"--transport _",	"--transport socket",	 "--transport socket:",
		"--transport virtio",	"--transport virtgpu:",	 "--transport virtgpu:renderD128",
		"--transport virtgpu/", "--transport SOCKET:/a",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_bad(bad[i], "--transport", "it must be virtgpu");
	}
	char line[512] = "--transport socket:/";
	memset(line + strlen(line), 'x', 107);
	check_bad(line, "--transport", "107 bytes");
	line[strlen(line) - 1] = '\0';
	check_good(line);
	check_bad("--transport", "--transport", "requires an argument");
}

TEST(way_from_the_environment)
{
	CHECK_INT(setenv("CAUSEWAY_TRANSPORT", "socket:/a", 1), 0);
	check_good("");
	CHECK_STR(options.host_path, "/a");
	check_good("-t socket:/b");
	CHECK_STR(options.host_path, "/b");
	CHECK_INT(setenv("CAUSEWAY_TRANSPORT", "nonsense", 1), 0);
	check_bad("", "CAUSEWAY_TRANSPORT", "nonsense");
	check_good("-t virtgpu");
	CHECK_INT(setenv("CAUSEWAY_TRANSPORT", "", 1), 0);
	check_good("");
	CHECK_INT(options.transport, GP_TRANSPORT_VIRTGPU);
}

TEST(modes_of_shared_memory)
{
	check_good("--shm auto");
	CHECK_INT(options.shm, GP_SHM_AUTO);
	check_good("--shm mirror");
	CHECK_INT(options.shm, GP_SHM_MIRROR);
	check_good("--shm pass -t socket:/a");
	CHECK_INT(options.shm, GP_SHM_PASS);
	check_bad("--shm pass", "--shm", "another machine");
	check_bad("--shm pass -t socket:/a -t virtgpu", "--shm", "another machine");
	check_bad("--shm _", "--shm", "auto, pass or mirror");
	check_bad("--shm Mirror", "--shm", "auto, pass or mirror");
	check_bad("--shm mirrored", "--shm", "auto, pass or mirror");
}

TEST(the_session)
{
	check_good("");
	CHECK_INT(options.session, GP_SESSION_AUTO);
	check_good("--session off --session on");
	CHECK_INT(options.session, GP_SESSION_ON);
	check_good("--session off");
	CHECK_INT(options.session, GP_SESSION_OFF);
	check_bad("--session _", "--session", "auto, on or off");
	check_bad("--session yes", "--session", "auto, on or off");
}

TEST(extensions)
{
	check_good("--extensions none");
	CHECK_INT(options.extensions, 0);
	check_good("--extensions all");
	CHECK_INT(options.extensions, GP_EXTENSIONS_ALL);
	check_good("--extensions fds,push");
	CHECK_INT(options.extensions, XD_EXT_FDS | XD_EXT_PUSH);
	check_good("--extensions clock");
	CHECK_INT(options.extensions, XD_EXT_CLOCK);
	static const char *const bad[] = {"_", ",", "push,", "pushy", "push,,fds", "none,push"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[64] = "--extensions ";
		check_bad(strcat(line, bad[i]), "--extensions", "push, fds and clock");
	}
}

TEST(others)
{
	check_bad("--log-level loud", "--log-level", "error, warn, info or debug");
	check_bad("--socket _", "--socket", "it needs a name");
	check_bad("--nonsense", "--nonsense", "causeway-guest --help");
	check_bad("--check=yes", "--check", "causeway-guest --help");
	check_good("-q --check --stats --trace=client=1");
	CHECK_INT(options.log_level, BR_LOG_ERROR);
	CHECK_STR(options.trace, "client=1");
	CHECK(options.check && options.stats);
	/* What belongs to the program is left alone. */
	check_good("-v foot --shm nonsense");
	CHECK_STR(options.app[0], "foot");
	CHECK_STR(options.app[1], "--shm");
	check_good("-- -v");
	CHECK_STR(options.app[0], "-v");
}

TEST(help_and_version)
{
	struct capture capture;
	capture_start(&capture);
	int status = parse("--help");
	capture_end(&capture);
	CHECK_INT(status, 0);
	CHECK(strncmp(capture.text, "Usage: causeway-guest", 21) == 0);
	capture_start(&capture);
	status = parse("--version --nonsense");
	capture_end(&capture);
	CHECK_INT(status, 0);
	CHECK(strncmp(capture.text, "causeway-guest ", 15) == 0);
}
