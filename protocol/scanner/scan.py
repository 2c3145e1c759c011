#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turn protocol XML and the policy into tables.

usage: scan.py POLICY OUTDIR XML...

Writes br-tables.[ch], br-hook-args.h, gp-hooks.[ch] and hr-hooks.[ch]. Exits with 1 and
"file:line: text" on the first error.
"""
import os
import sys

import emit_hooks
import emit_tables
import lint
import model
import policy


def main(argv):
    """Read everything, then write: after an error there is no output. Returns the exit status."""
    if len(argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        interfaces = model.load(argv[3:])
        policy.apply(interfaces, argv[1])
        lint.check(interfaces)
    except (model.ScanError, OSError) as e:
        print(e, file=sys.stderr)
        return 1
    files = {
        "br-tables.h": emit_tables.header(interfaces),
        "br-tables.c": emit_tables.source(interfaces),
        "br-hook-args.h": emit_hooks.args_header(interfaces),
        "gp-hooks.h": emit_hooks.side_header(interfaces, "guest", "gp"),
        "gp-hooks.c": emit_hooks.side_source(interfaces, "guest", "gp"),
        "hr-hooks.h": emit_hooks.side_header(interfaces, "host", "hr"),
        "hr-hooks.c": emit_hooks.side_source(interfaces, "host", "hr"),
    }
    for name, text in files.items():
        with open(os.path.join(argv[2], name), "w", encoding="utf-8") as f:
            f.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
