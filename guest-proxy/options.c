/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "cross_domain.h"

#define USAGE_ERROR 2

enum long_only {
	OPT_EXTENSIONS = 256,
	OPT_TRACE,
	OPT_LOG_LEVEL,
	OPT_STATS,
	OPT_CHECK,
	OPT_SHM,
	OPT_SESSION,
	OPT_ENVIRONMENT,
	OPT_XWAYLAND
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"transport", required_argument, NULL, 't'},
	{"shm", required_argument, NULL, OPT_SHM},
	{"session", required_argument, NULL, OPT_SESSION},
	{"extensions", required_argument, NULL, OPT_EXTENSIONS},
	{"trace", optional_argument, NULL, OPT_TRACE},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"verbose", no_argument, NULL, 'v'},
	{"quiet", no_argument, NULL, 'q'},
	{"stats", no_argument, NULL, OPT_STATS},
	{"check", no_argument, NULL, OPT_CHECK},
	{"print-environment", no_argument, NULL, OPT_ENVIRONMENT},
	{"xwayland", required_argument, NULL, OPT_XWAYLAND},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

static void print_help(void)
{
	printf("Usage: causeway-guest [OPTIONS] [-- APP ARGS...]\n"
	       "\n"
	       "Wayland proxy: shows the windows of programs here on the host's desktop, through\n"
	       "causeway-host there.\n"
	       "\n"
	       "With APP: runs it with WAYLAND_DISPLAY set, and exits with its status when it "
	       "ends.\n"
	       "\n"
	       "  -s, --socket NAME       listen on NAME in $XDG_RUNTIME_DIR, or on an absolute "
	       "path\n"
	       "                          (default: the first free one of wayland-1, wayland-2, "
	       "...)\n"
	       "  -t, --transport T       way to the host: virtgpu, the virtio-gpu of a virtual "
	       "machine;\n"
	       "                          virtgpu:/dev/dri/renderDN, that one; or socket:PATH, the "
	       "socket\n"
	       "                          of causeway-host --socket PATH (default:\n"
	       "                          $CAUSEWAY_TRANSPORT, else virtgpu)\n"
	       "      --shm MODE          pass: hand wl_shm memory on; mirror: copy what has "
	       "changed;\n"
	       "                          auto: pass where the transport can (default)\n"
	       "      --session MODE      on: systemd's user manager and D-Bus learn "
	       "WAYLAND_DISPLAY; off: not;\n"
	       "                          auto: if they know no other, and without APP (default)\n"
	       "      --extensions LIST   of pipe-credit,push,fds,clock: use at most these; or "
	       "none, or "
	       "all\n"
	       "      --xwayland MODE     auto: serve X11 programs if Xwayland is installed "
	       "(default);\n"
	       "                          off: don't\n"
	       "      --trace[=FILTER]    print each message; FILTER: client=N,iface=NAME,...\n"
	       "      --log-level LEVEL   error, warn, info (default) or debug\n"
	       "  -v, --verbose           the same as --log-level debug\n"
	       "  -q, --quiet             the same as --log-level error\n"
	       "      --stats             print counters at the end (and always on SIGUSR1)\n"
	       "      --check             say what is there and what is missing, and exit\n"
	       "      --print-environment print what a session's programs need to find the GPU, "
	       "and "
	       "exit\n"
	       "  -h, --help              print this\n"
	       "  -V, --version           print the version\n"
	       "\n"
	       "Exit status: 0; 1 failure; 2 usage error; with APP its own (128+N: ended by signal "
	       "N;\n"
	       "126: APP can't be run; 127: not found).\n");
}

static int usage_error(const char *what, const char *value, const char *hint)
{
	fprintf(stderr, "causeway-guest: guest: %s '%s': %s\n", what, value, hint);
	return USAGE_ERROR;
}

/* what: the option or the variable that the value is from. */
static int parse_transport(struct gp_options *options, const char *what, const char *value)
{
	/* A socket's address holds no more. */
	const size_t most = 7 + sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	size_t len = strlen(value);
	if (strncmp(value, "socket:", 7) == 0 && len > 7 && len <= most) {
		options->transport = GP_TRANSPORT_SOCKET;
		options->host_path = value + 7;
		return -1;
	}
	if (strcmp(value, "virtgpu") == 0 ||
	    (strncmp(value, "virtgpu:", 8) == 0 && value[8] == '/')) {
		options->transport = GP_TRANSPORT_VIRTGPU;
		options->host_path = value[7] == ':' ? value + 8 : NULL;
		return -1;
	}
	return usage_error(what, value,
			   "it must be virtgpu, virtgpu:/dev/dri/renderDN or socket:PATH, with a "
			   "path of up to 107 bytes");
}

/* The index of value in names, or -1. */
static int find_name(const char *const *names, unsigned count, const char *value)
{
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(value, names[i]) == 0) {
			return (int)i;
		}
	}
	return -1;
}

static int parse_shm(struct gp_options *options, const char *value)
{
	static const char *const names[] = {"auto", "pass", "mirror"};
	int index = find_name(names, 3, value);
	if (index < 0) {
		return usage_error("--shm", value, "it must be auto, pass or mirror");
	}
	options->shm = (enum gp_shm_mode)index;
	return -1;
}

static int parse_session(struct gp_options *options, const char *value)
{
	static const char *const names[] = {"auto", "on", "off"};
	int index = find_name(names, 3, value);
	if (index < 0) {
		return usage_error("--session", value, "it must be auto, on or off");
	}
	options->session = (enum gp_session_mode)index;
	return -1;
}

static int parse_xwayland(struct gp_options *options, const char *value)
{
	options->xwayland = strcmp(value, "auto") == 0;
	return options->xwayland || strcmp(value, "off") == 0
		       ? -1
		       : usage_error("--xwayland", value, "it must be auto or off");
}

static uint32_t extension_bit(const char *name, size_t len)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} known[] = {
		{"pipe-credit", XD_EXT_PIPE_CREDIT},
		{"push", XD_EXT_PUSH},
		{"fds", XD_EXT_FDS},
		{"clock", XD_EXT_CLOCK},
	};
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0) {
			return known[i].bit;
		}
	}
	return 0;
}

static int parse_extensions(struct gp_options *options, const char *value)
{
	uint32_t bits = 0;
	if (strcmp(value, "all") == 0) {
		options->extensions = GP_EXTENSIONS_ALL;
		return -1;
	}
	for (const char *at = value; strcmp(value, "none") != 0;) {
		size_t len = strcspn(at, ",");
		uint32_t bit = extension_bit(at, len);
		if (bit == 0) {
			return usage_error("--extensions", value,
					   "it must be none, all, or a list of pipe-credit, push, "
					   "fds and clock");
		}
		bits |= bit;
		if (at[len] == '\0') {
			break;
		}
		at += len + 1;
	}
	options->extensions = bits;
	return -1;
}

static int parse_log_level(struct gp_options *options, const char *value)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	int index = find_name(names, 4, value);
	if (index < 0) {
		return usage_error("--log-level", value, "it must be error, warn, info or debug");
	}
	options->log_level = (enum br_log_level)index;
	return -1;
}

static int parse_one(struct gp_options *options, int option)
{
	switch (option) {
	case 's':
		options->socket = optarg;
		return *optarg != '\0' ? -1 : usage_error("--socket", optarg, "it needs a name");
	case 't':
		return parse_transport(options, "--transport", optarg);
	case OPT_SHM:
		return parse_shm(options, optarg);
	case OPT_SESSION:
		return parse_session(options, optarg);
	case OPT_EXTENSIONS:
		return parse_extensions(options, optarg);
	case OPT_TRACE:
		options->trace = optarg != NULL ? optarg : "";
		return -1;
	case OPT_LOG_LEVEL:
		return parse_log_level(options, optarg);
	case 'v':
		options->log_level = BR_LOG_DEBUG;
		return -1;
	case 'q':
		options->log_level = BR_LOG_ERROR;
		return -1;
	case OPT_STATS:
		options->stats = true;
		return -1;
	case OPT_CHECK:
		options->check = true;
		return -1;
	case OPT_ENVIRONMENT:
		options->print_environment = true;
		return -1;
	case OPT_XWAYLAND:
		return parse_xwayland(options, optarg);
	case 'h':
		print_help();
		return 0;
	case 'V':
		printf("causeway-guest %s\n", CAUSEWAY_VERSION);
		return 0;
	default:
		fprintf(stderr, "Try 'causeway-guest --help'.\n");
		return USAGE_ERROR;
	}
}

int gp_options_parse(struct gp_options *options, int argc, char **argv)
{
	int option;
	bool given = false;
	*options = (struct gp_options){
		.transport = GP_TRANSPORT_VIRTGPU,
		.extensions = GP_EXTENSIONS_ALL,
		.log_level = BR_LOG_INFO,
		.xwayland = true,
	};
	/* '+': the app's own options are not ours. */
	while ((option = getopt_long(argc, argv, "+s:t:vqhV", long_options, NULL)) != -1) {
		int status = parse_one(options, option);
		given = given || option == 't';
		if (status >= 0) {
			return status;
		}
	}
	if (optind < argc) {
		options->app = &argv[optind];
	}
	const char *fallback = getenv("CAUSEWAY_TRANSPORT");
	if (!given && fallback != NULL && *fallback != '\0') {
		int status = parse_transport(options, "CAUSEWAY_TRANSPORT", fallback);
		if (status >= 0) {
			return status;
		}
	}
	if (options->transport == GP_TRANSPORT_VIRTGPU && options->shm == GP_SHM_PASS) {
		return usage_error("--shm", "pass",
				   "memory can't be handed on to another machine: "
				   "use auto");
	}
	return -1;
}
