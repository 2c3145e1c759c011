#!/bin/sh
# SPDX-License-Identifier: MIT
# Fails, and shows the difference, if clang-format would change a file. usage: check-format.sh ROOT
cd "$1" || exit 1
command -v clang-format >/dev/null || { echo "clang-format is not installed"; exit 77; }
find protocol shared guest-proxy host-renderer tests examples -name '*.[ch]' -print0 |
	xargs -0 clang-format --dry-run --Werror
