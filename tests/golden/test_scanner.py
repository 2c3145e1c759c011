#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Test the protocol scanner: what it writes for a small protocol, and the error of each bad input.

usage: test_scanner.py [--update]

Prints TAP. --update writes the files that are expected, data/small/*.expected, instead of
comparing them.
"""
import difflib
import pathlib
import subprocess
import sys
import tempfile

import bad_inputs

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE / "data"
SCAN = HERE.parent.parent / "protocol/scanner/scan.py"
FIND = HERE.parent.parent / "protocol/find_xml.py"
GOLDEN = ["br-tables.h", "br-tables.c", "br-hook-args.h", "gp-hooks.h", "gp-hooks.c", "hr-hooks.h",
          "hr-hooks.c"]


def scan(policy, out, *xml):
    """Run the scanner. Returns the finished process."""
    return subprocess.run([sys.executable, "-B", SCAN, policy, out, *xml], text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def expected_file(name):
    """Not named as a source file, which it is not."""
    return DATA / "small" / f"{name}.expected"


def scan_small(out):
    """Scan the small protocol. Returns what went wrong."""
    run = scan(DATA / "small-policy.txt", out, DATA / "small.xml")
    return run.stderr if run.returncode else ""


def compare(name, out):
    """Problems of one file that the scanner wrote."""
    want = expected_file(name).read_text(encoding="utf-8")
    got = (pathlib.Path(out) / name).read_text(encoding="utf-8")
    return "".join(difflib.unified_diff(want.splitlines(True), got.splitlines(True),
                                        "expected", "written"))


def check_bad(case, folder):
    """Problems of one case of bad_inputs: exit status 1, only the one error line, no output."""
    out = folder / "out"
    out.mkdir()
    for name, text in case.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    xml = [folder / name for name in case.files if name != "policy.txt"]
    run = scan(folder / "policy.txt", out, *xml)
    error = case.error.replace("FOLDER", str(folder))
    want = f"{folder / case.file}:{case.line}: {error}\n"
    problems = []
    if run.returncode != 1:
        problems.append(f"exit status {run.returncode}, not 1")
    if run.stderr != want:
        problems.append(f"printed {run.stderr!r}, not {want!r}")
    problems += [f"wrote {path.name}" for path in out.iterdir()]
    return "\n".join(problems)


def find(folder, text):
    """Run find_xml.py on a list, with nothing installed but core.xml."""
    (folder / "list").write_text(text, encoding="utf-8")
    (folder / "core.xml").touch()
    return subprocess.run([sys.executable, "-B", FIND, folder / "list", folder, folder / "wp"],
                          text=True, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def check_find(folder, text, status, out, err):
    """Problems of one list of protocols."""
    run = find(folder, text)
    got = (run.returncode, run.stdout, run.stderr)
    want = (status, out.format(folder), err.format(folder))
    return "" if got == want else f"{got}, not {want}"


def find_results(folder):
    """Tests of the list of protocols."""
    core = "core\t{0}/core.xml\n"
    bad = "{0}/list:2: not SET PATH with a set of core, wp, plasma, wlr, misc\n"
    for name, *case in (
            ("optional XML may be missing", "# x\ncore core.xml\nwlr no.xml # y\n", 0, core, ""),
            ("other XML may not", "wp no.xml\n", 1, "",
             "no.xml is missing: is wayland-protocols old?\n"),
            ("unknown set", "core core.xml\nmore no.xml\n", 1, core, bad),
            ("set without a path", "core core.xml\nwlr\n", 1, core, bad),
            ("two paths", "core core.xml\nwlr no.xml no.xml\n", 1, core, bad)):
        yield name, check_find(folder, *case)


def check_not_utf8(folder):
    """Problems of a policy that is no text: its line is named, as for any other error."""
    (folder / "policy.txt").write_bytes(b"# good\n\xff hidden x\n")
    run = scan(folder / "policy.txt", folder, DATA / "small.xml")
    want = f"{folder}/policy.txt:2: 'utf-8' codec can't decode"
    if run.returncode == 1 and run.stderr.startswith(want) and run.stderr.count("\n") == 1:
        return ""
    return f"exit status {run.returncode}, printed {run.stderr!r}"


def results():
    """(name, problems) of every test."""
    with tempfile.TemporaryDirectory() as out:
        yield "small protocol is accepted", scan_small(out)
        for name in GOLDEN:
            yield name, compare(name, out)
        written = sorted(path.name for path in pathlib.Path(out).iterdir())
        yield "no other file", "" if written == sorted(GOLDEN) else str(written)
    for case in bad_inputs.CASES:
        with tempfile.TemporaryDirectory() as folder:
            yield case.name, check_bad(case, pathlib.Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield "policy that is no text", check_not_utf8(pathlib.Path(folder))
        yield from find_results(pathlib.Path(folder))


def update():
    """Write the expected files anew. Returns the exit status."""
    with tempfile.TemporaryDirectory() as out:
        problem = scan_small(out)
        for name in [] if problem else GOLDEN:
            expected_file(name).write_text((pathlib.Path(out) / name).read_text(encoding="utf-8"),
                                           encoding="utf-8")
    print(problem, end="", file=sys.stderr)
    return bool(problem)


def main(argv):
    """Run all tests. Returns the exit status."""
    if argv[1:] == ["--update"]:
        return update()
    failed = count = 0
    for count, (name, problems) in enumerate(results(), 1):
        for line in problems.splitlines():
            print(f"# {line}")
        print(f"{'not ok' if problems else 'ok'} {count} {name}", flush=True)
        failed += bool(problems)
    print(f"1..{count}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
