/* SPDX-License-Identifier: MIT
 *
 * portal: a program that uses desktop portals. Commands on stdin:
 *   setting NAMESPACE KEY   "setting TYPE VALUE", TYPE u, i or s; or "failed NAME"
 *   version INTERFACE       "version N", or "failed NAME": there is no such portal
 *   open TITLE              a dialog that opens a file: "asked", and later "response CODE [URI]";
 *                           or "failed NAME"
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define DESKTOP "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"

static sd_bus *bus;

static void print_failure(const sd_bus_error *error, int ret)
{
	printf("failed %s %s\n", error->name != NULL ? error->name : strerror(-ret),
	       error->message != NULL ? error->message : "");
}

static int print_value(sd_bus_message *message)
{
	const char *text, *contents;
	uint32_t number;
	char type;
	int ret = sd_bus_message_enter_container(message, 'v', NULL);
	ret = ret < 0 ? ret : sd_bus_message_peek_type(message, &type, &contents);
	if (ret < 0) {
		return ret;
	}
	if (type == 's') {
		ret = sd_bus_message_read_basic(message, type, &text);
		printf("setting s %s\n", text);
	} else if (type == 'u' || type == 'i') {
		ret = sd_bus_message_read_basic(message, type, &number);
		printf("setting %c %u\n", type, number);
	} else {
		printf("setting %c\n", type);
	}
	return ret;
}

static void read_setting(const char *space, const char *key)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int ret = sd_bus_call_method(bus, DESKTOP, "org.freedesktop.portal.Settings", "ReadOne",
				     &error, &reply, "ss", space, key);
	if (ret < 0 || (ret = print_value(reply)) < 0) {
		print_failure(&error, ret);
	}
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
}

static void read_version(const char *interface)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	uint32_t version;
	int ret = sd_bus_get_property_trivial(bus, DESKTOP, interface, "version", &error, 'u',
					      &version);
	if (ret < 0) {
		print_failure(&error, ret);
	} else {
		printf("version %u\n", version);
	}
	sd_bus_error_free(&error);
}

/* The last one in a variant with an array of strings; "" if it is empty. */
static int read_last(sd_bus_message *message, const char **ret_text)
{
	const char *text;
	int ret = sd_bus_message_enter_container(message, 'v', "as");
	ret = ret < 0 ? ret : sd_bus_message_enter_container(message, 'a', "s");
	*ret_text = "";
	while (ret >= 0 && (ret = sd_bus_message_read_basic(message, 's', &text)) > 0) {
		*ret_text = text;
	}
	ret = ret < 0 ? ret : sd_bus_message_exit_container(message);
	return ret < 0 ? ret : sd_bus_message_exit_container(message);
}

static int handle_response(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	uint32_t code;
	const char *key, *uri = "";
	(void)userdata;
	(void)error;
	int ret = sd_bus_message_read(message, "u", &code);
	ret = ret < 0 ? ret : sd_bus_message_enter_container(message, 'a', "{sv}");
	while (ret >= 0 && (ret = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
		ret = sd_bus_message_read(message, "s", &key);
		if (ret >= 0 && strcmp(key, "uris") == 0) {
			ret = read_last(message, &uri);
		} else {
			ret = ret < 0 ? ret : sd_bus_message_skip(message, "v");
		}
		ret = ret < 0 ? ret : sd_bus_message_exit_container(message);
	}
	printf("response %u %s\n", code, ret < 0 ? strerror(-ret) : uri);
	return 0;
}

static void open_file(const char *title)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int ret = sd_bus_match_signal(bus, NULL, "org.freedesktop.portal.Desktop", NULL,
				      "org.freedesktop.portal.Request", "Response", handle_response,
				      NULL);
	ret = ret < 0 ? ret
		      : sd_bus_call_method(bus, DESKTOP, "org.freedesktop.portal.FileChooser",
					   "OpenFile", &error, &reply, "ssa{sv}", "", title, 0);
	if (ret < 0) {
		print_failure(&error, ret);
	} else {
		puts("asked");
	}
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
}

/* Returns false at the end of stdin. */
static bool read_command(void)
{
	char line[1024], space[128], key[128];
	if (fgets(line, sizeof(line), stdin) == NULL) {
		return false;
	}
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "open ", 5) == 0) {
		open_file(line + 5);
	} else if (sscanf(line, "version %127s", space) == 1) {
		read_version(space);
	} else if (sscanf(line, "setting %127s %127s", space, key) == 2) {
		read_setting(space, key);
	}
	return true;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	int ret = sd_bus_open_user(&bus);
	if (ret < 0) {
		fprintf(stderr, "portal: no bus: %s\n", strerror(-ret));
		return 1;
	}
	while ((ret = sd_bus_process(bus, NULL)) >= 0) {
		struct pollfd fds[] = {{0, POLLIN, 0},
				       {sd_bus_get_fd(bus), (short)sd_bus_get_events(bus), 0}};
		if (ret > 0) {
			continue;
		}
		(void)poll(fds, 2, -1);
		if (fds[0].revents != 0 && !read_command()) {
			return 0;
		}
	}
	fprintf(stderr, "portal: bus: %s\n", strerror(-ret));
	return 1;
}
