#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""List the interfaces of protocol XML files for test_tables.c, without using the scanner.

usage: list_interfaces.py OUTPUT XML...

Each file becomes a declaration of its interfaces and one line PROTOCOL(FILE, INTERFACES).
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def lines(path):
    """The lines of one XML file."""
    names = [i.get("name") for i in ElementTree.parse(path).getroot().iter("interface")]
    for name in names:
        yield f"extern const struct wl_interface {name}_interface;\n"
    stem = re.sub(r"\W", "_", pathlib.Path(path).stem)
    yield f"PROTOCOL({stem}, {', '.join(f'&{name}_interface' for name in names)})\n"


def main(argv):
    """Write the list."""
    text = "".join(line for path in argv[2:] for line in lines(path))
    pathlib.Path(argv[1]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv)
