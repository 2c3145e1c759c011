#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Print the XML files that protocols.txt names, one a line: its set, a tab and its path.

usage: find_xml.py PROTOCOLS.TXT WAYLAND_DIR WAYLAND_PROTOCOLS_DIR

Files of the optional sets that are not installed are left out; a missing one of the others is an
error that names it.
"""
import glob
import os
import sys

CARGO = "/usr/share/cargo/registry"


def folders(wayland, protocols):
    """Where each set may be, best place first."""
    data = os.path.dirname(os.path.normpath(protocols))
    return {
        "core": [wayland],
        "wp": [protocols],
        "plasma": [os.path.join(data, "plasma-wayland-protocols")],
        "wlr": [os.path.join(data, "wlr-protocols/unstable"),
                *glob.glob(f"{CARGO}/wayland-protocols-wlr-*/wlr-protocols/unstable")],
        "misc": glob.glob(f"{CARGO}/wayland-protocols-misc-*/protocols"),
    }


def main(argv):
    """Print the files in the order of protocols.txt. Returns the exit status."""
    places = folders(argv[2], argv[3])
    with open(argv[1], encoding="utf-8") as f:
        lines = [(n, line.split("#")[0].split()) for n, line in enumerate(f, 1)]
    for number, words in lines:
        if not words:
            continue
        if len(words) != 2 or words[0] not in places:
            print(f"{argv[1]}:{number}: not SET PATH with a set of {', '.join(places)}",
                  file=sys.stderr)
            return 1
        kind, path = words
        found = [p for p in (os.path.join(d, path) for d in places[kind]) if os.path.exists(p)]
        if found:
            print(f"{kind}\t{found[0]}")
        elif kind in ("core", "wp"):
            print(f"{path} is missing: is wayland-protocols old?", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
