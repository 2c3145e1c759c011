/* SPDX-License-Identifier: MIT
 *
 * The policy file: long options without their dashes, one a line, the value behind a space. '#' starts a comment
 * where it starts a line. Lines behind "[NAME]" are for the guest of that name, those above the first such line for all.
 */
#ifndef HR_POLICY_FILE_H
#define HR_POLICY_FILE_H

#include <stddef.h>

/** A line that counts. */
struct hr_setting {
	char *name;  /* of an option; not checked */
	char *value; /* NULL: none; "" is in double quotes */
	char *place; /* FILE:LINE */
};

/** All of them, in their order; owned. */
struct hr_settings {
	struct hr_setting *list;
	size_t n;
};

/** Parse the text of a file, len bytes, of any content. path: for messages. guest: whose section counts. Returns 0;
 * -EINVAL, -E2BIG (BR_LIMIT_POLICY_*) or -ENOMEM with the reason, place included, in err. In any case
 * hr_settings_finish() frees what *settings has, which must be all zero before. */
int hr_policy_file_parse(struct hr_settings *settings, const char *path, const char *text,
			 size_t len, const char *guest, char *err, size_t err_size);

/** The same for a file. It must belong to us or root, and nobody else may write it: else -EPERM. Others: -errno. */
int hr_policy_file_read(struct hr_settings *settings, const char *path, const char *guest,
			char *err, size_t err_size);

/** Where the file is looked for if none is named: $XDG_CONFIG_HOME/causeway/policy. The caller's; NULL: nowhere. */
char *hr_policy_file_default_path(void);

/** Free them; all zero afterwards. */
void hr_settings_finish(struct hr_settings *settings);

#endif
