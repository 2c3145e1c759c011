/* SPDX-License-Identifier: MIT */
#include "launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"
#include "log.h"
#include "options.h"
#include "qemu_args.h"
#include "qemu_probe.h"

char *hr_launch_refusal(const char *command, int ret, const struct hr_qemu_probe *probe)
{
	char *text = NULL;
	int len = 0;
	if (ret == -ENOENT) {
		len = asprintf(&text, "there is no program %s: " HR_QEMU_NEEDED, command);
	} else if (ret == -EBADMSG) {
		len = asprintf(&text,
			       "%s is not QEMU: name qemu-system-... itself, or let your script "
			       "add what causeway-host --print-qemu-args prints",
			       command);
	} else if (ret == -ETIMEDOUT) {
		len = asprintf(&text, "%s --version did not end within %d s", command,
			       HR_QEMU_PROBE_MS / 1000);
	} else if (ret < 0) {
		len = asprintf(&text, "can't run %s: %s", command, strerror(-ret));
	} else if (hr_qemu_judge(probe) == HR_QEMU_TOO_OLD) {
		len = asprintf(&text,
			       "%s is QEMU %u.%u, which has no device for Causeway: " HR_QEMU_NEEDED
			       "; 10.2 and 11.0 work as well, slower",
			       command, probe->major, probe->minor);
	} else if (hr_qemu_judge(probe) == HR_QEMU_NO_DEVICE) {
		len = asprintf(&text,
			       "%s is QEMU %u.%u, but built without vhost-user-test-device-pci: "
			       "take one that has it, such as Debian's",
			       command, probe->major, probe->minor);
	}
	return len < 0 ? NULL : text;
}

/* Returns 0 after a look at the QEMU, or -1 after a message. */
static int check_qemu(const char *command)
{
	struct hr_qemu_probe probe = {0};
	int ret = hr_qemu_probe(command, HR_QEMU_PROBE_MS, &probe);
	char *refusal = hr_launch_refusal(command, ret, &probe);
	if (refusal != NULL) {
		br_log(BR_LOG_ERROR, "host: %s", refusal);
		free(refusal);
		return -1;
	}
	if (ret == 0 && hr_qemu_judge(&probe) == HR_QEMU_NO_WINDOW) {
		br_log(BR_LOG_WARN,
		       "host: QEMU %u.%u gives its guest no window into the host's memory, so "
		       "pixels "
		       "are copied once more: QEMU 11.1 has it",
		       probe.major, probe.minor);
	}
	return ret;
}

/* Returns 0, or -1 after a message. */
static int find_args(char *const *user, const char *connection, struct hr_qemu_args *ret_args)
{
	char err[HR_QEMU_ERROR_BYTES];
	int ret = hr_qemu_args_find(user, connection, ret_args, err);
	if (ret == -EINVAL) {
		br_log(BR_LOG_ERROR, "host: QEMU's arguments: %s", err);
	} else if (ret < 0) {
		br_log(BR_LOG_ERROR, "host: QEMU's arguments: %s", strerror(-ret));
	} else if (ret_args->warning != NULL) {
		br_log(BR_LOG_WARN, "host: QEMU's arguments: %s", ret_args->warning);
	}
	return ret < 0 ? -1 : 0;
}

/* The user's command and the arguments to add; they stay their owners'. Only the array is the
 * caller's. NULL: no memory. */
static char **join(char **command, const struct hr_qemu_args *args)
{
	size_t count = 0;
	while (command[count] != NULL) {
		count++;
	}
	char **argv = calloc(count + args->count + 1, sizeof(*argv));
	if (argv != NULL) {
		memcpy(argv, command, count * sizeof(*argv));
		memcpy(argv + count, args->args, args->count * sizeof(*argv));
	}
	return argv;
}

static void log_args(const struct hr_qemu_args *args)
{
	char *line = hr_qemu_args_quote(args->args);
	if (line != NULL && br_log_enabled(BR_LOG_INFO)) {
		fprintf(stderr, "causeway-host: host: added to QEMU's arguments: %s\n", line);
	}
	free(line);
}

/* A connected pair rather than a path: nothing else can connect, nothing is left behind, and QEMU need
 * not wait for a file. */
static int launch_connected(const struct hr_options *options, hr_device_main device, void *data,
			    int fds[2])
{
	char connection[32];
	struct hr_qemu_args args;
	snprintf(connection, sizeof(connection), "fd=%d", fds[1]);
	if (find_args(options->command + 1, connection, &args) < 0) {
		return EXIT_FAILURE;
	}
	int status = EXIT_FAILURE;
	char **argv = join(options->command, &args);
	if (argv != NULL) {
		const struct hr_supervised what = {argv, device, data};
		log_args(&args);
		status = hr_supervise(&what, fds);
	}
	free(argv);
	hr_qemu_args_finish(&args);
	return status;
}

/* Whoever started us may have left a standard fd closed, or ignore ended children: a socket must not
 * become QEMU's stdin, and its status must not get lost. */
static void make_ordinary(void)
{
	int fd;
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	br_fd_clear(&fd);
	(void)signal(SIGCHLD, SIG_DFL);
}

int hr_launch(const struct hr_options *options, hr_device_main device, void *data)
{
	int fds[2];
	make_ordinary();
	if (check_qemu(options->command[0]) < 0) {
		return EXIT_FAILURE;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		br_log(BR_LOG_ERROR, "host: no socket for QEMU: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	int status = launch_connected(options, device, data, fds);
	br_fd_clear(&fds[0]);
	br_fd_clear(&fds[1]);
	return status;
}

/* The arguments for a QEMU that connects to the path. Returns 0, or -1 after a message. */
static int find_path_args(const struct hr_options *options, char *const *user,
			  struct hr_qemu_args *ret_args)
{
	if (options->vhost_path == NULL) {
		br_log(BR_LOG_ERROR,
		       "host: XDG_RUNTIME_DIR is not set: set it, or give --vhost-user PATH");
		return -1;
	}
	char *connection = hr_qemu_path_property(options->vhost_path);
	int ret = connection != NULL ? find_args(user, connection, ret_args) : -1;
	free(connection);
	return ret;
}

static void explain_device(const struct hr_options *options)
{
	fprintf(stderr,
		"causeway-host: host: start 'causeway-host --name %s --vhost-user %s' first; QEMU "
		"connects to it\n",
		options->name, options->vhost_path);
}

int hr_launch_print_args(const struct hr_options *options)
{
	static char *const example[] = {"-m", "4G", NULL};
	struct hr_qemu_args args;
	bool given = options->command != NULL;
	if (find_path_args(options, given ? options->command + 1 : example, &args) < 0) {
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < args.count; i++) {
		puts(args.args[i]);
	}
	explain_device(options);
	fprintf(stderr,
		"causeway-host: host: -object, -machine: guest memory that the device can read%s\n",
		given ? "" : ", for a guest with -m 4G: its size must be that of -m");
	fprintf(stderr, "causeway-host: host: -chardev, -device: the device, a virtio-gpu without "
			"displays; " HR_QEMU_NEEDED "\n");
	hr_qemu_args_finish(&args);
	return EXIT_SUCCESS;
}

/* In an attribute between single quotes. */
static void print_xml(const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '&':
			(void)fputs("&amp;", stdout);
			break;
		case '<':
			(void)fputs("&lt;", stdout);
			break;
		case '\'':
			(void)fputs("&apos;", stdout);
			break;
		default:
			(void)putchar(*text);
		}
	}
}

int hr_launch_print_xml(const struct hr_options *options)
{
	/* libvirt makes the memory itself; any of one's own leaves the device's arguments. */
	static char *const memory[] = {"-object", "memory-backend-memfd,id=m", "-machine",
				       "memory-backend=m", NULL};
	struct hr_qemu_args args;
	if (find_path_args(options, memory, &args) < 0) {
		return EXIT_FAILURE;
	}
	puts("<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
	     "  <memoryBacking>\n"
	     "    <source type='memfd'/>\n"
	     "    <access mode='shared'/>\n"
	     "  </memoryBacking>\n"
	     "  <qemu:commandline>");
	for (size_t i = 0; i < args.count; i++) {
		(void)fputs("    <qemu:arg value='", stdout);
		print_xml(args.args[i]);
		puts("'/>");
	}
	puts("  </qemu:commandline>\n"
	     "</domain>");
	explain_device(options);
	fprintf(stderr,
		"causeway-host: host: memoryBacking: guest memory that the device can read; "
		"qemu:commandline: the device; both go into your domain (virsh -c "
		"qemu:///session edit DOMAIN), and the namespace into its first "
		"line; " HR_QEMU_NEEDED "\n");
	hr_qemu_args_finish(&args);
	return EXIT_SUCCESS;
}
