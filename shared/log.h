/* SPDX-License-Identifier: MIT
 *
 * Log lines on stderr: "causeway-host: scope client=7 text". shared/ logs at debug level only;
 * programs log once, where the error is handled.
 */
#ifndef BR_LOG_H
#define BR_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum br_log_level { BR_LOG_ERROR, BR_LOG_WARN, BR_LOG_INFO, BR_LOG_DEBUG };

/** Set the program's name and the highest level that is printed. name must stay valid. */
void br_log_init(const char *name, enum br_log_level level);

/** True if lines of this level are printed. */
bool br_log_enabled(enum br_log_level level);

/** Print one line; a newline is added. Preserves errno. Text from peers goes through
 * br_log_escape() first. */
void br_log(enum br_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Print a line that a peer can trigger: at most 20 a second are printed, the rest is counted and
 * reported with the next one. */
void br_log_peer(enum br_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** Copy peer text with control and non-ASCII bytes as \xNN, cut to fit size bytes (with "...").
 * Returns buf. */
const char *br_log_escape(char *buf, size_t size, const char *text, size_t len);

#endif
