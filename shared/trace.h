/* SPDX-License-Identifier: MIT
 *
 * --trace: each message that a relay receives or sends, decoded like WAYLAND_DEBUG does.
 */
#ifndef BR_TRACE_H
#define BR_TRACE_H

#include <stdio.h>

#include "relay.h"

/** Switch tracing on. filter is "" for all, else comma separated: client=N, iface=NAME (a message
 * passes if it matches one of the clients given, if any, and one of the interfaces, if any).
 * Returns 0, -EINVAL for a filter that can't be read. out: where to (kept; usually stderr). */
int br_trace_enable(const char *filter, FILE *out);

/** Print a message if tracing wants it. arrow: "->" sent to the server, "<-" to the client; what:
 * "", or a mark like "dropped". Cheap when tracing is off. ids printed are those of the client side. */
void br_trace_msg(const struct br_relay *relay, const struct br_msg *msg, const char *what);

#endif
