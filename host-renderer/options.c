/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "limits.h"

#define EXIT_USAGE 2
#define NAME_BYTES 64
#define WINDOW_MIB_UNSET UINT32_MAX

enum {
	OPT_SOCKET = 256,
	OPT_VHOST,
	OPT_WINDOW,
	OPT_GPU,
	OPT_RENDER_NODE,
	OPT_PRESENT,
	OPT_PRINT_ARGS,
	OPT_PRINT_XML,
	OPT_NAME,
	OPT_DISPLAY,
	OPT_WAIT,
	OPT_ALLOW,
	OPT_DENY,
	OPT_POLICY,
	OPT_PRINT_POLICY,
	OPT_PREFIX,
	OPT_MARK,
	OPT_SECCTX,
	OPT_TRACE,
	OPT_LEVEL,
	OPT_STATS,
	OPT_CHECK,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, OPT_SOCKET},
	{"vhost-user", required_argument, NULL, OPT_VHOST},
	{"window-size", required_argument, NULL, OPT_WINDOW},
	{"gpu", required_argument, NULL, OPT_GPU},
	{"render-node", required_argument, NULL, OPT_RENDER_NODE},
	{"present", required_argument, NULL, OPT_PRESENT},
	{"print-qemu-args", no_argument, NULL, OPT_PRINT_ARGS},
	{"print-libvirt-xml", no_argument, NULL, OPT_PRINT_XML},
	{"name", required_argument, NULL, OPT_NAME},
	{"wayland-display", required_argument, NULL, OPT_DISPLAY},
	{"compositor-wait", required_argument, NULL, OPT_WAIT},
	{"allow", required_argument, NULL, OPT_ALLOW},
	{"deny", required_argument, NULL, OPT_DENY},
	{"policy", required_argument, NULL, OPT_POLICY},
	{"print-policy", no_argument, NULL, OPT_PRINT_POLICY},
	{"app-id-prefix", required_argument, NULL, OPT_PREFIX},
	{"title-mark", required_argument, NULL, OPT_MARK},
	{"security-context", required_argument, NULL, OPT_SECCTX},
	{"trace", optional_argument, NULL, OPT_TRACE},
	{"log-level", required_argument, NULL, OPT_LEVEL},
	{"stats", no_argument, NULL, OPT_STATS},
	{"check", no_argument, NULL, OPT_CHECK},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{0},
};

static const char usage_text[] =
	"usage: causeway-host [OPTIONS]\n"
	"       causeway-host [OPTIONS] -- QEMU ARGS...\n"
	"\n"
	"Shows the windows of one guest (a virtual machine or a container) on this desktop. With "
	"QEMU,\n"
	"runs it as well, with what it needs added to its arguments, and ends with it.\n"
	"\n"
	"  --socket PATH             where the guest's proxy connects\n"
	"                            (default: $XDG_RUNTIME_DIR/causeway-NAME.sock)\n"
	"  --vhost-user PATH         be a device for the VMM (QEMU >= 11.1) that connects there; "
	"the\n"
	"                            other socket is then served only with --socket\n"
	"  --window-size MIB         the VM's window into the host's memory: a power of two up to\n"
	"                            8192 (default with a GPU), 1024 (without), or 0 for none\n"
	"  --gpu KINDS               GPU work that a VM's programs may give to the host: of "
	"venus,virgl,drm;\n"
	"                            none; or auto (default): all that works here. Where "
	"venus is\n"
	"                            named, a container's programs have it, too, at the socket's\n"
	"                            path with .vtest after it\n"
	"  --render-node PATH        the GPU for it (default: what its drivers find)\n"
	"  --present MODE            frames of GPU programs: auto (default), as they are where "
	"the\n"
	"                            compositor can show them, else copied; dmabuf, never copied;\n"
	"                            or shm, always through wl_shm\n"
	"  --print-qemu-args         print what to add to QEMU's arguments (those after --), and "
	"exit\n"
	"  --print-libvirt-xml       the same for libvirt, and exit\n"
	"  --name NAME               the guest's name, in marks and in the security context\n"
	"                            (default: guest)\n"
	"  --wayland-display D       the compositor: a name in $XDG_RUNTIME_DIR or a path\n"
	"                            (default: $WAYLAND_DISPLAY, then wayland-0)\n"
	"  --compositor-wait SECONDS how long programs wait for another compositor when theirs is\n"
	"                            gone (default: 30); 0: they end with it\n"
	"  --allow IFACE[:VERSION]   offer a global, at most at VERSION\n"
	"  --deny IFACE[:VERSION]    withhold a global, or its versions from VERSION up\n"
	"  --policy FILE             options of its own for guests, also by their name: see the "
	"man "
	"page\n"
	"                            (default: $XDG_CONFIG_HOME/causeway/policy, if it is there); "
	"'': none\n"
	"  --print-policy            print every protocol, whether it is offered, who decided, and "
	"why,\n"
	"                            and exit\n"
	"  --app-id-prefix TEXT      before app ids (default: causeway.NAME.); '' is off\n"
	"  --title-mark TEXT         before titles (default: '[NAME] '); '' is off\n"
	"  --security-context MODE   auto (default), require or off\n"
	"  --check                   print what is there and what is missing, and exit\n"
	"  --trace[=FILTER]          print messages; FILTER: client=N,iface=NAME,...\n"
	"  --stats                   print counters at exit; SIGUSR1 prints them at any time\n"
	"  --log-level LEVEL         error, warn, info (default) or debug; -v: debug, -q: error\n"
	"  -h, --help                print this and exit\n"
	"  --version                 print the version and exit\n";

/* The line of the policy file that is being obeyed, FILE:LINE; NULL: it is the command line. */
static const char *place;

static int usage_error(const char *what, const char *arg)
{
	fprintf(stderr, "causeway-host: host: %s%s%s'%s'; causeway-host --help lists the options\n",
		place != NULL ? place : "", place != NULL ? ": " : "", what, arg);
	return EXIT_USAGE;
}

static bool name_is_valid(const char *name)
{
	size_t len = strlen(name);
	return len > 0 && len <= NAME_BYTES &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       len &&
	       name[0] != '.' && name[0] != '-';
}

/* Index of arg in a NULL-terminated list, or -1. */
static int find_word(const char *const *words, const char *arg)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], arg) == 0) {
			return i;
		}
	}
	return -1;
}

static int set_path(char **path, const char *option, const char *arg)
{
	if (arg[0] == '\0' || strlen(arg) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		char what[64];
		snprintf(what, sizeof(what), "%s takes a path of 1 to 107 bytes, not ", option);
		return usage_error(what, arg);
	}
	free(*path);
	*path = strdup(arg);
	return *path == NULL;
}

/* A PCI BAR's size is a power of two. */
static int parse_window(struct hr_options *options, const char *arg)
{
	char *end;
	errno = 0;
	unsigned long mib = strtoul(arg, &end, 10);
	if (errno != 0 || arg[0] < '0' || arg[0] > '9' || *end != '\0' ||
	    mib > BR_LIMIT_WINDOW_BYTES >> 20 || (mib & (mib - 1)) != 0) {
		return usage_error(
			"--window-size takes a power of two up to 8192 (MiB), or 0, not ", arg);
	}
	options->window_mib = (uint32_t)mib;
	return 0;
}

static int parse_wait(struct hr_options *options, const char *arg)
{
	char *end;
	errno = 0;
	unsigned long seconds = strtoul(arg, &end, 10);
	if (errno != 0 || arg[0] < '0' || arg[0] > '9' || *end != '\0' ||
	    seconds > BR_LIMIT_WAIT_SECONDS) {
		return usage_error("--compositor-wait takes 0 to 86400 seconds, not ", arg);
	}
	options->compositor_wait = (uint32_t)seconds;
	return 0;
}

/* Names of kinds of GPU work, separated by commas. */
static int parse_gpu(struct hr_options *options, const char *arg)
{
	static const char *const kinds[] = {"venus", "virgl", "drm", NULL};
	uint32_t flags = 0;
	bool whole = strcmp(arg, "auto") == 0 || strcmp(arg, "none") == 0;
	for (const char *at = arg; !whole; at++) {
		char word[8];
		size_t len = strcspn(at, ",");
		(void)snprintf(word, sizeof(word), "%.*s", (int)len, at);
		int kind = len < sizeof(word) ? find_word(kinds, word) : -1;
		if (kind < 0) {
			return usage_error("--gpu takes auto, none, or some of venus,virgl,drm, "
					   "not ",
					   arg);
		}
		flags |= 1u << kind;
		at += len;
		if (*at == '\0') {
			break;
		}
	}
	options->gpu.required = !whole;
	options->gpu.flags = !whole			? flags
			     : strcmp(arg, "auto") == 0 ? WK_VENUS | WK_VIRGL | WK_DRM
							: 0;
	return 0;
}

/* How the guest connects. Returns 0 or the exit status. */
static int parse_guest(struct hr_options *options, int opt, const char *arg)
{
	switch (opt) {
	case OPT_SOCKET:
		return set_path(&options->socket_path, "--socket", arg);
	case OPT_VHOST:
		return set_path(&options->vhost_path, "--vhost-user", arg);
	case OPT_WINDOW:
		return parse_window(options, arg);
	case OPT_GPU:
		return parse_gpu(options, arg);
	case OPT_RENDER_NODE:
		options->gpu.render_node = arg;
		return 0;
	case OPT_PRINT_ARGS:
		options->action = HR_ACTION_PRINT_QEMU_ARGS;
		return 0;
	case OPT_PRINT_XML:
		options->action = HR_ACTION_PRINT_LIBVIRT_XML;
		return 0;
	default:
		return 0; /* for parse_policy() */
	}
}

/* Options that the policy does not need. Returns 0 or the exit status. */
static int parse_simple(struct hr_options *options, int opt, const char *arg)
{
	static const char *const modes[] = {"auto", "require", "off", NULL};
	static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
	static const char *const presents[] = {"dmabuf", "auto", "shm", NULL};
	int word = 0;
	switch (opt) {
	case OPT_NAME:
		options->name = arg;
		return name_is_valid(arg)
			       ? 0
			       : usage_error("--name takes 1 to 64 of A-Z a-z 0-9 . _ -, not ",
					     arg);
	case OPT_DISPLAY:
		options->wayland_display = arg;
		return 0;
	case OPT_WAIT:
		return parse_wait(options, arg);
	case OPT_PRESENT:
		word = find_word(presents, arg);
		options->present = (enum hr_present)word;
		return word >= 0 ? 0 : usage_error("--present is auto, dmabuf or shm, not ", arg);
	case OPT_SECCTX:
		word = find_word(modes, arg);
		options->secctx = (enum hr_secctx_mode)word;
		return word >= 0 ? 0
				 : usage_error("--security-context is auto, require or off, not ",
					       arg);
	case OPT_LEVEL:
		word = find_word(levels, arg);
		options->log_level = (enum br_log_level)word;
		return word >= 0 ? 0
				 : usage_error("--log-level is error, warn, info or debug, not ",
					       arg);
	case OPT_TRACE:
		options->trace = arg != NULL ? arg : "";
		return 0;
	case OPT_POLICY:
		free(options->policy_path);
		options->policy_path = strdup(arg);
		return options->policy_path == NULL;
	case OPT_STATS:
		options->stats = true;
		return 0;
	case OPT_CHECK:
		options->action = HR_ACTION_CHECK;
		return 0;
	case OPT_PRINT_POLICY:
		options->action = HR_ACTION_PRINT_POLICY;
		return 0;
	case 'v':
		options->log_level = BR_LOG_DEBUG;
		return 0;
	case 'q':
		options->log_level = BR_LOG_ERROR;
		return 0;
	default:
		return parse_guest(options, opt, arg);
	}
}

static int parse_policy(struct hr_options *options, int opt, const char *arg)
{
	char err[256];
	int ret = 0;
	switch (opt) {
	case OPT_ALLOW:
		ret = hr_policy_allow(options->policy, arg, place != NULL ? place : "--allow", err,
				      sizeof(err));
		break;
	case OPT_DENY:
		ret = hr_policy_deny(options->policy, arg, place != NULL ? place : "--deny", err,
				     sizeof(err));
		break;
	case OPT_PREFIX:
	case OPT_MARK:
		ret = hr_policy_set_marks(options->policy, opt == OPT_PREFIX ? arg : NULL,
					  opt == OPT_MARK ? arg : NULL);
		snprintf(err, sizeof(err), "%s takes at most 512 bytes of printable UTF-8",
			 opt == OPT_PREFIX ? "--app-id-prefix" : "--title-mark");
		break;
	default:
		break;
	}
	if (ret < 0) {
		fprintf(stderr, "causeway-host: host: %s%s%s\n", place != NULL ? place : "",
			place != NULL ? ": " : "", err);
		return EXIT_USAGE;
	}
	return 0;
}

typedef int parse_fn(struct hr_options *options, int opt, const char *arg);

/* Those that say where and who the guest is, or only ask, are for the command line. */
static bool is_for_file(int opt)
{
	switch (opt) {
	case OPT_GPU:
	case OPT_RENDER_NODE:
	case OPT_WINDOW:
	case OPT_PRESENT:
	case OPT_WAIT:
	case OPT_ALLOW:
	case OPT_DENY:
	case OPT_PREFIX:
	case OPT_MARK:
	case OPT_SECCTX:
	case OPT_LEVEL:
		return true;
	default:
		return false;
	}
}

/* Returns 0 or the exit status. */
static int obey(struct hr_options *options, const struct hr_setting *setting, parse_fn *parse)
{
	const struct option *option = long_options;
	place = setting->place;
	while (option->name != NULL && strcmp(option->name, setting->name) != 0) {
		option++;
	}
	if (option->name == NULL) {
		return usage_error("there is no option ", setting->name);
	}
	if (!is_for_file(option->val)) {
		return usage_error("this is for the command line only: ", setting->name);
	}
	if (setting->value == NULL) {
		return usage_error("a value is missing behind ", setting->name);
	}
	return parse(options, option->val, setting->value);
}

/* The policy file's settings: the command line comes after them. Returns 0 or the exit status. */
static int each_setting(struct hr_options *options, parse_fn *parse)
{
	int ret = 0;
	for (size_t i = 0; ret == 0 && i < options->settings.n; i++) {
		ret = obey(options, &options->settings.list[i], parse);
	}
	place = NULL;
	return ret;
}

/* Returns 0 or the exit status. */
static int read_policy_file(struct hr_options *options)
{
	char err[512];
	bool named = options->policy_path != NULL;
	if (!named) {
		options->policy_path = hr_policy_file_default_path();
	}
	if (options->policy_path == NULL || options->policy_path[0] == '\0') {
		return 0;
	}
	int ret = hr_policy_file_read(&options->settings, options->policy_path, options->name, err,
				      sizeof(err));
	bool absent = !named && (ret == -ENOENT || ret == -ENOTDIR || ret == -EACCES);
	if (ret == 0 || absent) {
		return 0;
	}
	fprintf(stderr, "causeway-host: host: the policy file can't be used: %s\n", err);
	return EXIT_USAGE;
}

/* One round over argv. Returns 0 or the exit status. */
static int each_option(struct hr_options *options, int argc, char **argv, parse_fn *parse)
{
	int opt, ret = 0;
	optind = 0; /* start over */
	while (ret == 0 && (opt = getopt_long(argc, argv, "+hvq", long_options, NULL)) != -1) {
		switch (opt) {
		case '?':
			fputs("causeway-host: host: causeway-host --help lists the options\n",
			      stderr);
			return EXIT_USAGE;
		case 'h':
			fputs(usage_text, stdout);
			options->action = HR_ACTION_EXIT;
			return 0;
		case OPT_VERSION:
			puts("causeway-host " CAUSEWAY_VERSION);
			options->action = HR_ACTION_EXIT;
			return 0;
		default:
			ret = parse(options, opt, optarg);
		}
	}
	if (ret == 0 && optind < argc) {
		if (strcmp(argv[optind - 1], "--") != 0) {
			return usage_error("unexpected argument ", argv[optind]);
		}
		options->command = argv + optind;
	}
	return ret;
}

static void default_path(char **path, const char *name, const char *kind)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	if (*path == NULL && dir != NULL && dir[0] == '/' &&
	    asprintf(path, "%s/causeway-%s%s.sock", dir, name, kind) < 0) {
		*path = NULL;
	}
}

/* The sockets that are served though none was named. Returns 0 or the exit status. */
static int default_sockets(struct hr_options *options)
{
	bool print = options->action == HR_ACTION_PRINT_QEMU_ARGS ||
		     options->action == HR_ACTION_PRINT_LIBVIRT_XML;
	if (print) {
		default_path(&options->vhost_path, options->name, "-vm");
		return 0;
	}
	if (options->vhost_path != NULL && options->command != NULL) {
		return usage_error(
			"--vhost-user is for a QEMU that is started apart: leave it out, or ",
			options->command[0]);
	}
	if (options->vhost_path == NULL && options->command == NULL) {
		default_path(&options->socket_path, options->name, "");
	}
	return 0;
}

int hr_options_parse(struct hr_options *options, int argc, char **argv)
{
	*options = (struct hr_options){.name = "guest",
				       .present = HR_PRESENT_AUTO,
				       .compositor_wait = 30,
				       .window_mib = WINDOW_MIB_UNSET,
				       .gpu.flags = WK_VENUS | WK_VIRGL | WK_DRM,
				       .log_level = BR_LOG_INFO};
	/* The policy's defaults and its file depend on the name, so that comes first. What the file says
	 * counts less than the command line, which is gone through once more. */
	int ret = each_option(options, argc, argv, parse_simple);
	if (ret == 0 && options->action != HR_ACTION_EXIT) {
		ret = read_policy_file(options);
		ret = ret != 0 ? ret : each_setting(options, parse_simple);
		ret = ret != 0 ? ret : each_option(options, argc, argv, parse_simple);
	}
	if (ret == 0 && options->action != HR_ACTION_EXIT) {
		options->policy = hr_policy_create(options->name);
		ret = options->policy == NULL ? EXIT_FAILURE : each_setting(options, parse_policy);
		ret = ret != 0 ? ret : each_option(options, argc, argv, parse_policy);
	}
	if (options->window_mib == WINDOW_MIB_UNSET) {
		options->window_mib = options->gpu.flags != 0 ? 8192 : 1024;
	}
	if (ret == 0) {
		ret = default_sockets(options);
	}
	if (ret != 0) {
		options->action = HR_ACTION_EXIT;
	}
	return ret;
}

void hr_options_finish(struct hr_options *options)
{
	free(options->socket_path);
	free(options->vhost_path);
	hr_policy_destroy(options->policy);
	hr_settings_finish(&options->settings);
	free(options->policy_path);
	*options = (struct hr_options){0};
}
