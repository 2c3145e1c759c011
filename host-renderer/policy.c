/* SPDX-License-Identifier: MIT */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"
#include "log.h"
#include "tables.h"

#define LIST_HINT "causeway-host --print-policy prints the known ones"

static uint8_t default_version(const struct br_iface *iface)
{
	if (!(iface->flags & BR_IFACE_GLOBAL) ||
	    iface->flags & (BR_IFACE_PRIVILEGED | BR_IFACE_HIDDEN)) {
		return 0;
	}
	return iface->safe_version;
}

struct hr_policy *hr_policy_create(const char *guest_name)
{
	struct hr_policy *policy = calloc(1, sizeof(*policy));
	if (policy == NULL) {
		return NULL;
	}
	policy->max_version = calloc(br_iface_count, sizeof(*policy->max_version));
	policy->logged = calloc(br_iface_count, sizeof(*policy->logged));
	policy->decided_by = calloc(br_iface_count, sizeof(*policy->decided_by));
	if (asprintf(&policy->app_id_prefix, "causeway.%s.", guest_name) < 0) {
		policy->app_id_prefix = NULL;
	}
	if (asprintf(&policy->title_mark, "[%s] ", guest_name) < 0) {
		policy->title_mark = NULL;
	}
	if (policy->max_version == NULL || policy->logged == NULL || policy->decided_by == NULL ||
	    policy->app_id_prefix == NULL || policy->title_mark == NULL) {
		hr_policy_destroy(policy);
		return NULL;
	}
	for (uint16_t i = 0; i < br_iface_count; i++) {
		policy->max_version[i] = default_version(&br_ifaces[i]);
	}
	return policy;
}

void hr_policy_destroy(struct hr_policy *policy)
{
	if (policy == NULL) {
		return;
	}
	free(policy->max_version);
	free(policy->logged);
	free(policy->decided_by);
	free(policy->app_id_prefix);
	free(policy->title_mark);
	free(policy);
}

/* Length of the well-formed UTF-8 character at text, 0 if it isn't one. Source: Unicode, table 3-7;
 * surrogates and overlong forms are refused. */
static size_t utf8_char_bytes(const char *text, size_t len)
{
	const uint8_t *t = (const uint8_t *)text;
	size_t n = t[0] < 0x80 ? 1 : t[0] < 0xc2 ? 0 : t[0] < 0xe0 ? 2 : t[0] < 0xf0 ? 3 : 4;
	if (n == 0 || n > len || t[0] > 0xf4) {
		return 0;
	}
	for (size_t i = 1; i < n; i++) {
		if ((t[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	if ((t[0] == 0xe0 && t[1] < 0xa0) || (t[0] == 0xed && t[1] > 0x9f) ||
	    (t[0] == 0xf0 && t[1] < 0x90) || (t[0] == 0xf4 && t[1] > 0x8f)) {
		return 0;
	}
	return n;
}

static bool mark_is_valid(const char *mark)
{
	size_t len = strlen(mark);
	if (len > BR_LIMIT_TITLE_BYTES / 2) {
		return false;
	}
	for (size_t at = 0, n; at < len; at += n) {
		n = utf8_char_bytes(mark + at, len - at);
		if (n == 0 || (uint8_t)mark[at] < 0x20 || mark[at] == 0x7f) {
			return false;
		}
	}
	return true;
}

static int replace_mark(char **where, const char *mark)
{
	if (mark == NULL) {
		return 0;
	}
	if (!mark_is_valid(mark)) {
		return -EINVAL;
	}
	char *copy = strdup(mark);
	if (copy == NULL) {
		return -ENOMEM;
	}
	free(*where);
	*where = copy;
	return 0;
}

int hr_policy_set_marks(struct hr_policy *policy, const char *app_id_prefix, const char *title_mark)
{
	int ret = replace_mark(&policy->app_id_prefix, app_id_prefix);
	return ret < 0 ? ret : replace_mark(&policy->title_mark, title_mark);
}

/* Split "IFACE[:VERSION]"; *ret_version is 0 if there is none. */
static int parse_spec(const char *spec, uint16_t *ret_iface, uint8_t *ret_version, char *err,
		      size_t err_size)
{
	char name[128];
	size_t len = strcspn(spec, ":");
	unsigned long version = 0;
	if (len >= sizeof(name)) {
		len = sizeof(name) - 1;
	}
	memcpy(name, spec, len);
	name[len] = '\0';
	if (spec[len] == ':') {
		char *end;
		errno = 0;
		version = strtoul(spec + len + 1, &end, 10);
		if (errno != 0 || *end != '\0' || spec[len + 1] < '0' || spec[len + 1] > '9' ||
		    version < 1 || version > UINT8_MAX) {
			snprintf(err, err_size, "'%s': the version must be a number from 1 to 255",
				 spec);
			return -EINVAL;
		}
	}
	*ret_iface = br_iface_find(name);
	*ret_version = (uint8_t)version;
	if (*ret_iface == BR_IFACE_ANY) {
		snprintf(err, err_size, "'%s' is no interface that causeway knows; " LIST_HINT,
			 name);
		return -EINVAL;
	}
	if (!(br_ifaces[*ret_iface].flags & BR_IFACE_GLOBAL)) {
		snprintf(err, err_size, "'%s' is not a global; " LIST_HINT, name);
		return -EINVAL;
	}
	return 0;
}

int hr_policy_allow(struct hr_policy *policy, const char *spec, const char *by, char *err,
		    size_t err_size)
{
	uint16_t index;
	uint8_t version;
	int ret = parse_spec(spec, &index, &version, err, err_size);
	if (ret < 0) {
		return ret;
	}
	const struct br_iface *iface = &br_ifaces[index];
	if (iface->flags & BR_IFACE_HIDDEN || iface->safe_version == 0) {
		snprintf(err, err_size, "'%s' can't be carried to the guest: %s", iface->name,
			 iface->reason != NULL ? iface->reason : "not supported");
		return -EINVAL;
	}
	policy->max_version[index] =
		version != 0 && version < iface->safe_version ? version : iface->safe_version;
	policy->decided_by[index] = by;
	return 0;
}

int hr_policy_deny(struct hr_policy *policy, const char *spec, const char *by, char *err,
		   size_t err_size)
{
	uint16_t index;
	uint8_t version;
	int ret = parse_spec(spec, &index, &version, err, err_size);
	if (ret < 0) {
		return ret;
	}
	uint8_t highest = version == 0 ? 0 : (uint8_t)(version - 1);
	if (policy->max_version[index] > highest) {
		policy->max_version[index] = highest;
		policy->decided_by[index] = by;
	}
	return 0;
}

uint32_t hr_policy_version(const struct hr_policy *policy, uint16_t iface,
			   uint32_t compositor_version)
{
	if (iface >= br_iface_count) {
		return 0;
	}
	uint32_t highest = policy->max_version[iface];
	return compositor_version < highest ? compositor_version : highest;
}

/* In a word, what becomes of an interface. */
static const char *state_of(const struct hr_policy *policy, uint16_t index)
{
	const struct br_iface *iface = &br_ifaces[index];
	if (iface->flags & BR_IFACE_HIDDEN) {
		return "never";
	}
	if (policy->max_version[index] == 0) {
		return "withheld";
	}
	return iface->flags & BR_IFACE_PRIVILEGED ? "allowed" : "offered";
}

void hr_policy_log_withheld(const struct hr_policy *policy, uint16_t iface, const char *name)
{
	char escaped[128];
	const char *by = NULL, *reason = "unknown to causeway";
	if (iface < br_iface_count) {
		if (policy->logged[iface]) {
			return;
		}
		policy->logged[iface] = 1;
		by = policy->decided_by[iface];
		reason = br_ifaces[iface].reason;
	}
	/* Unknown names can't be counted in the table: they are of interest to developers only. */
	br_log_peer(iface < br_iface_count ? BR_LOG_INFO : BR_LOG_DEBUG,
		    "policy: %s is withheld from the guest: %s%s",
		    br_log_escape(escaped, sizeof(escaped), name, strlen(name)),
		    by != NULL ? "by " : "", by != NULL ? by : reason);
}

void hr_policy_print(const struct hr_policy *policy, FILE *out)
{
	fprintf(out, "%-52s %7s  %-8s  %-12s  %s\n", "interface", "version", "state", "decided by",
		"reason");
	for (uint16_t i = 0; i < br_iface_count; i++) {
		const char *by = policy->decided_by[i];
		if (!(br_ifaces[i].flags & BR_IFACE_GLOBAL)) {
			continue;
		}
		fprintf(out, "%-52s %7u  %-8s  %-12s  %s\n", br_ifaces[i].name,
			policy->max_version[i], state_of(policy, i), by != NULL ? by : "default",
			br_ifaces[i].reason);
	}
}

size_t hr_policy_mark(char *buf, const char *mark, const char *text, size_t len)
{
	size_t used = strlen(mark);
	memcpy(buf, mark, used);
	for (size_t at = 0, n; at < len; at += n) {
		n = utf8_char_bytes(text + at, len - at);
		if (n == 0) {
			n = 1; /* not UTF-8: passed on as it is, as without us */
		}
		if (used + n > BR_LIMIT_TITLE_BYTES) {
			break;
		}
		memcpy(buf + used, text + at, n);
		used += n;
	}
	buf[used] = '\0';
	return used;
}
