/* SPDX-License-Identifier: MIT */
#include "policy_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "limits.h"
#include "log.h"

#define BLANKS " \t"

/* A file being parsed. */
struct parser {
	struct hr_settings *settings;
	const char *path, *guest;
	unsigned line;
	bool counts; /* the section */
	char *err;
	size_t err_size;
};

static int fail(const struct parser *parser, int ret, const char *problem, const char *text)
{
	char escaped[64];
	(void)snprintf(parser->err, parser->err_size, "%s:%u: %s%s", parser->path, parser->line,
		       problem, br_log_escape(escaped, sizeof(escaped), text, strnlen(text, 48)));
	return ret;
}

/* Cut blanks off both ends. */
static char *trim(char *text)
{
	text += strspn(text, BLANKS);
	size_t len = strlen(text);
	while (len > 0 && strchr(BLANKS, text[len - 1]) != NULL) {
		text[--len] = '\0';
	}
	return text;
}

static int add(const struct parser *parser, const char *name, const char *value)
{
	struct hr_settings *settings = parser->settings;
	struct hr_setting made = {0};
	if (settings->n >= BR_LIMIT_POLICY_LINES) {
		return fail(parser, -E2BIG, "too many lines", "");
	}
	struct hr_setting *grown =
		reallocarray(settings->list, settings->n + 1, sizeof(*settings->list));
	if (grown == NULL) {
		return fail(parser, -ENOMEM, "out of memory", "");
	}
	settings->list = grown;
	made.name = strdup(name);
	made.value = value != NULL ? strdup(value) : NULL;
	if (asprintf(&made.place, "%s:%u", parser->path, parser->line) < 0) {
		made.place = NULL;
	}
	settings->list[settings->n++] = made;
	if (made.name == NULL || made.place == NULL || (value != NULL && made.value == NULL)) {
		return fail(parser, -ENOMEM, "out of memory", "");
	}
	return 0;
}

static int parse_section(struct parser *parser, char *line)
{
	size_t len = strlen(line);
	if (len < 3 || line[len - 1] != ']') {
		return fail(parser, -EINVAL, "a section is [NAME], not ", line);
	}
	line[len - 1] = '\0';
	parser->counts = strcmp(trim(line + 1), parser->guest) == 0;
	return 0;
}

/* NAME VALUE, or NAME. Those of other sections are looked at as well: an error there is one for all. */
static int parse_line(struct parser *parser, char *line)
{
	line = trim(line);
	if (line[0] == '\0' || line[0] == '#') {
		return 0;
	}
	if (line[0] == '[') {
		return parse_section(parser, line);
	}
	size_t len = strcspn(line, BLANKS);
	char *value = line[len] != '\0' ? trim(line + len) : NULL;
	line[len] = '\0';
	if (strspn(line, "abcdefghijklmnopqrstuvwxyz-") != len || line[0] == '-') {
		return fail(parser, -EINVAL, "an option's name is wanted, without dashes, not ",
			    line);
	}
	size_t value_len = value != NULL ? strlen(value) : 0;
	if (value_len >= 2 && value[0] == '"' && value[value_len - 1] == '"') {
		value[value_len - 1] = '\0';
		value++;
	}
	return parser->counts ? add(parser, line, value) : 0;
}

int hr_policy_file_parse(struct hr_settings *settings, const char *path, const char *text,
			 size_t len, const char *guest, char *err, size_t err_size)
{
	struct parser parser = {
		.settings = settings,
		.path = path,
		.guest = guest,
		.counts = true,
		.err = err,
		.err_size = err_size,
	};
	char line[BR_LIMIT_POLICY_LINE_BYTES + 1];
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t bytes = end != NULL ? (size_t)(end - text) : len;
		parser.line++;
		if (bytes >= sizeof(line)) {
			return fail(&parser, -E2BIG, "the line is too long", "");
		}
		memcpy(line, text, bytes);
		line[bytes] = '\0';
		if (strlen(line) != bytes) {
			return fail(&parser, -EINVAL, "a byte 0: this is no text", "");
		}
		int ret = parse_line(&parser, line);
		if (ret < 0) {
			return ret;
		}
		bytes += end != NULL ? 1 : 0;
		text += bytes;
		len -= bytes;
	}
	return 0;
}

/* Returns the bytes, at most size; or -errno. */
static ssize_t read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	while (len < size) {
		ssize_t n = read(fd, text + len, size - len);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : (ssize_t)len;
		}
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* What a user without rights to it could have written counts for nothing. */
static bool is_trusted(const struct stat *stat)
{
	return (stat->st_uid == geteuid() || stat->st_uid == 0) && !(stat->st_mode & S_IWOTH);
}

int hr_policy_file_read(struct hr_settings *settings, const char *path, const char *guest,
			char *err, size_t err_size)
{
	static char text[BR_LIMIT_POLICY_BYTES + 1];
	struct stat stat;
	int BR_CLEANUP_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &stat) < 0) {
		int ret = -errno;
		(void)snprintf(err, err_size, "%s: %s", path, strerror(-ret));
		return ret;
	}
	if (!S_ISREG(stat.st_mode) || !is_trusted(&stat)) {
		(void)snprintf(err, err_size, "%s: %s", path,
			       S_ISREG(stat.st_mode)
				       ? "it must belong to you or root, and not be writable by "
					 "others (chmod o-w)"
				       : "it is no regular file");
		return -EPERM;
	}
	ssize_t len = read_all(fd, text, sizeof(text));
	if (len < 0 || len > BR_LIMIT_POLICY_BYTES) {
		(void)snprintf(err, err_size, "%s: %s", path,
			       len < 0 ? strerror((int)-len) : "larger than 64 KiB");
		return len < 0 ? (int)len : -E2BIG;
	}
	return hr_policy_file_parse(settings, path, text, (size_t)len, guest, err, err_size);
}

char *hr_policy_file_default_path(void)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int ret = -1;
	if (config != NULL && config[0] == '/') {
		ret = asprintf(&path, "%s/causeway/policy", config);
	} else if (home != NULL && home[0] == '/') {
		ret = asprintf(&path, "%s/.config/causeway/policy", home);
	}
	return ret < 0 ? NULL : path;
}

void hr_settings_finish(struct hr_settings *settings)
{
	for (size_t i = 0; i < settings->n; i++) {
		free(settings->list[i].name);
		free(settings->list[i].value);
		free(settings->list[i].place);
	}
	free(settings->list);
	*settings = (struct hr_settings){0};
}
