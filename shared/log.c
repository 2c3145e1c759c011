/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PEER_LINES_PER_SECOND 20

static const char *program = "causeway";
static enum br_log_level max_level = BR_LOG_INFO;

void br_log_init(const char *name, enum br_log_level level)
{
	program = name;
	max_level = level;
}

bool br_log_enabled(enum br_log_level level)
{
	return level <= max_level;
}

static void print_line(enum br_log_level level, const char *fmt, va_list args)
{
	static const char *const marks[] = {"error: ", "warning: ", "", "debug: "};
	char text[1024], line[1200];
	vsnprintf(text, sizeof(text), fmt, args);
	int len = snprintf(line, sizeof(line) - 1, "%s: %s%s", program, marks[level], text);
	size_t used = len < (int)sizeof(line) - 1 ? (size_t)len : sizeof(line) - 2;
	line[used++] = '\n';
	/* At once, for other processes may write there as well. */
	(void)fwrite(line, 1, used, stderr);
}

void br_log(enum br_log_level level, const char *fmt, ...)
{
	int saved = errno;
	va_list args;
	if (br_log_enabled(level)) {
		va_start(args, fmt);
		print_line(level, fmt, args);
		va_end(args);
	}
	errno = saved;
}

void br_log_peer(enum br_log_level level, const char *fmt, ...)
{
	static time_t second;
	static unsigned printed, held_back;
	int saved = errno;
	struct timespec now;
	va_list args;
	if (!br_log_enabled(level)) {
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != second) {
		second = now.tv_sec;
		printed = 0;
	}
	if (printed++ >= PEER_LINES_PER_SECOND) {
		held_back++;
		errno = saved;
		return;
	}
	if (held_back > 0) {
		br_log(level, "(%u lines held back)", held_back);
		held_back = 0;
	}
	va_start(args, fmt);
	print_line(level, fmt, args);
	va_end(args);
	errno = saved;
}

const char *br_log_escape(char *buf, size_t size, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t out = 0;
	size_t cut = 0; /* the last place where the dots fit */
	if (size == 0) {
		return "";
	}
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '\\';
		size_t need = plain ? 1 : 4;
		if (out + 4 <= size) {
			cut = out;
		}
		if (out + need + 1 > size) {
			for (out = cut; out < cut + 3 && out + 1 < size; out++) {
				buf[out] = '.';
			}
			break;
		}
		if (plain) {
			buf[out++] = (char)c;
		} else {
			const char escaped[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
			memcpy(buf + out, escaped, sizeof(escaped));
			out += sizeof(escaped);
		}
	}
	buf[out] = '\0';
	return buf;
}
