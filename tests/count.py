#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Count the results of all suites from their junit XML files.

usage: count.py [--failed-steps N] FOLDER

Prints each failed and each skipped test with its reason, then "N passed, N failed, N skipped".
Exits with 1 if anything failed or nothing passed.
"""
import argparse
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def cases(folder):
    """(file, test name, outcome, reason) of every test case."""
    for path in sorted(pathlib.Path(folder).glob("*.xml")):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            name = f"{case.get('classname', '')}.{case.get('name')}"
            outcome, reason = "passed", ""
            for child in case:
                if child.tag in ("failure", "error"):
                    outcome, reason = "failed", child.get("message") or ""
                elif child.tag == "skipped" and outcome == "passed":
                    outcome, reason = "skipped", child.get("message") or (child.text or "").strip()
            yield path.stem, name, outcome, reason


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--failed-steps", type=int, default=0)
    parser.add_argument("folder")
    args = parser.parse_args()
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for suite, name, outcome, reason in cases(args.folder):
        counts[outcome] += 1
        if outcome != "passed":
            print(f"{outcome}: {suite}: {name}: {reason.splitlines()[0] if reason else 'no reason'}")
    if args.failed_steps and not counts["failed"]:
        counts["failed"] = args.failed_steps
        print(f"failed: {args.failed_steps} steps ended with an error but named no test")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
