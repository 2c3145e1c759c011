#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Print the XML files that protocols.txt names, one path a line.

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
    """Print the paths in the order of protocols.txt. Returns the exit status."""
    places = folders(argv[2], argv[3])
    with open(argv[1], encoding="utf-8") as f:
        lines = [line.split("#")[0].split() for line in f]
    for kind, path in (line for line in lines if line):
        found = [p for p in (os.path.join(d, path) for d in places[kind]) if os.path.exists(p)]
        if found:
            print(found[0])
        elif kind in ("core", "wp"):
            print(f"{path} is missing: is wayland-protocols old?", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
