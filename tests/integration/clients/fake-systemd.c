/* SPDX-License-Identifier: MIT
 *
 * fake-systemd [NAME=VALUE...]: org.freedesktop.systemd1 on the session's bus, as far as its environment
 * goes. Prints "ready", and each call's name; after a change "environment NAME=VALUE..." in order.
 * Commands on stdin, each answered by "ok":
 *   set NAME=VALUE   as somebody else would
 *   mute             calls get no answer from here on
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define MAX_VARIABLES 64
#define PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"

static char *variables[MAX_VARIABLES + 1]; /* NAME=VALUE, NULL at the end */
static unsigned count;
static bool muted;

static void die(const char *what, int ret)
{
	fprintf(stderr, "fake-systemd: %s: %s\n", what, strerror(-ret));
	exit(1);
}

static void unset(const char *name, size_t len)
{
	for (unsigned i = 0; i < count; i++) {
		if (strncmp(variables[i], name, len) == 0 && variables[i][len] == '=') {
			free(variables[i]);
			memmove(&variables[i], &variables[i + 1],
				(count - i) * sizeof(variables[0]));
			count--;
			return;
		}
	}
}

static void set(const char *assignment)
{
	unset(assignment, strcspn(assignment, "="));
	if (count == MAX_VARIABLES) {
		die("variables", -ENOSPC);
	}
	variables[count++] = strdup(assignment);
	variables[count] = NULL;
}

static void print_environment(void)
{
	printf("environment");
	for (unsigned i = 0; i < count; i++) {
		printf(" %s", variables[i]);
	}
	puts("");
}

static int get_environment(sd_bus *bus, const char *path, const char *interface,
			   const char *property, sd_bus_message *reply, void *userdata,
			   sd_bus_error *error)
{
	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)userdata;
	(void)error;
	puts("Get");
	return sd_bus_message_append_strv(reply, variables);
}

static int each(sd_bus_message *message, void (*handle)(const char *text))
{
	const char *text;
	int ret = sd_bus_message_enter_container(message, 'a', "s");
	while (ret >= 0 && (ret = sd_bus_message_read_basic(message, 's', &text)) > 0) {
		handle(text);
	}
	return ret < 0 ? ret : sd_bus_message_exit_container(message);
}

static void unset_name(const char *name)
{
	unset(name, strlen(name));
}

static int handle_change(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	int ret = 0;
	(void)userdata;
	(void)error;
	puts(sd_bus_message_get_member(message));
	if (muted) {
		return 1;
	}
	if (strcmp(sd_bus_message_get_member(message), "UnsetAndSetEnvironment") == 0) {
		ret = each(message, unset_name);
	}
	ret = ret < 0 ? ret : each(message, set);
	print_environment();
	return ret < 0 ? ret : sd_bus_reply_method_return(message, "");
}

static const sd_bus_vtable manager[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Environment", "as", get_environment, 0, 0),
	SD_BUS_METHOD("SetEnvironment", "as", "", handle_change, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("UnsetAndSetEnvironment", "asas", "", handle_change,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* Returns false at the end of stdin. */
static bool read_command(void)
{
	char line[1024];
	if (fgets(line, sizeof(line), stdin) == NULL) {
		return false;
	}
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "set ", 4) == 0) {
		set(line + 4);
	} else if (strcmp(line, "mute") == 0) {
		muted = true;
	} else {
		die(line, -EINVAL);
	}
	puts("ok");
	return true;
}

int main(int argc, char **argv)
{
	sd_bus *bus = NULL;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		set(argv[i]);
	}
	int ret = sd_bus_open_user(&bus);
	ret = ret < 0 ? ret : sd_bus_add_object_vtable(bus, NULL, PATH, MANAGER, manager, NULL);
	ret = ret < 0 ? ret : sd_bus_request_name(bus, "org.freedesktop.systemd1", 0);
	if (ret < 0) {
		die("bus", ret);
	}
	puts("ready");
	while (true) {
		while ((ret = sd_bus_process(bus, NULL)) > 0) {
		}
		if (ret < 0) {
			die("bus", ret);
		}
		struct pollfd fds[] = {{0, POLLIN, 0},
				       {sd_bus_get_fd(bus), (short)sd_bus_get_events(bus), 0}};
		(void)poll(fds, 2, -1);
		if (fds[0].revents != 0 && !read_command()) {
			return 0;
		}
	}
}
