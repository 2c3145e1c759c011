#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the static analysers over the sources: cppcheck, clang-tidy, and gcc with -fanalyzer.

Prints what they find, then one line for each: clean, or how much it found. Exits 0 only if all are
clean. What is suppressed stands, with its reason, in .clang-tidy, in NOLINT comments, and here in
cppcheck.cfg, cppcheck-suppressions.txt and gcc-suppressions.txt.
"""
import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROGRAMS = ['guest-proxy', 'host-renderer', 'shared', 'examples']
# cppcheck alone, as a test may crash where a program may not: the others find calls whose result is not
# looked at, numbers that could be too large, and what a failed CHECK() would have ended.
TESTS = ['tests']
MODEL = ['-include', str(HERE / 'model.h')]
FINDING = re.compile(r'^(?P<file>[^\s:]+):(?P<line>\d+):\d+: (?P<kind>warning|error): (?P<text>.*)$')
OPTION = re.compile(r'\[-W(analyzer-[a-z-]+)\]')
FUNCTION = re.compile(r"In function [‘'](?P<name>\w+)[’']")


class Source:
    """A file, and how the build compiles it."""

    def __init__(self, entry):
        self.folder = Path(entry['directory'])
        self.path = (self.folder / entry['file']).resolve()
        self.command = shlex.split(entry['command'])

    def name(self):
        return str(self.path.relative_to(ROOT))


def sources(build, wanted):
    """Those of the build that are in a wanted file or folder, each once."""
    found = {}
    for entry in json.loads((build / 'compile_commands.json').read_text()):
        source = Source(entry)
        if source.path in found or source.path.is_relative_to(build):
            continue
        if any(source.path.is_relative_to(path) for path in wanted):
            found[source.path] = source
    return [found[path] for path in sorted(found)]


def run(command, folder=ROOT):
    env = dict(os.environ, LC_ALL='C.UTF-8')
    return subprocess.run(['nice', *command], cwd=folder, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def in_pool(jobs, work, items):
    with ThreadPoolExecutor(jobs) as pool:
        return [finding for found in pool.map(work, items) for finding in found]


def cppcheck(build, files, jobs):
    command = ['cppcheck', '--quiet', '--inline-suppr', '--std=c11', '--check-level=exhaustive',
               '--enable=warning,performance,portability', f'-j{jobs}',
               f'--project={build}/compile_commands.json', f'--library={HERE}/cppcheck.cfg',
               '-i', str(build),
               f'--suppress=*:{build}/*', f'--suppressions-list={HERE}/cppcheck-suppressions.txt',
               '--template={file}:{line}:{column}: {severity}: {message} [{id}]',
               '--template-location=']
    command += [f'--file-filter={source.path}' for source in files]
    done = run(command)
    found = [line for line in done.stdout.splitlines() if line.strip()]
    return found or ([f'cppcheck ended with {done.returncode}'] if done.returncode else [])


def clang_tidy(build, files, jobs):
    extra = [f'--extra-arg={word}' for word in MODEL]

    def one(source):
        done = run(['clang-tidy', '-p', str(build), '--quiet', *extra, str(source.path)])
        found = [line for line in done.stdout.splitlines() if FINDING.match(line)]
        return found or ([f'{source.name()}: clang-tidy ended with {done.returncode}: '
                          f'{done.stdout[-500:]}'] if done.returncode else [])
    return sorted(set(in_pool(jobs, one, files)))


def gcc_command(source):
    """The build's own, but for what it writes."""
    words, command = iter(source.command), []
    for word in words:
        if word in ('-o', '-MF', '-MQ'):
            next(words)
        elif word not in ('-MD', '-c') and not word.endswith('ccache'):
            command.append(word)
    command[0] = 'gcc'
    return [*command, '-S', '-o', '/dev/null', '-fanalyzer', '-Wno-error', '-fdiagnostics-path-format=none',
            '-fno-diagnostics-show-caret', '-fdiagnostics-color=never', *MODEL]


def gcc_suppressions():
    """(file, option, function), each on a line behind the reason for it."""
    lines = (HERE / 'gcc-suppressions.txt').read_text().splitlines()
    return {tuple(line.split()) for line in lines if line.strip() and not line.startswith('#')}


def gcc(_build, files, jobs):
    suppressed, used = gcc_suppressions(), set()

    def one(source):
        done = run(gcc_command(source), source.folder)
        function, found = '', []
        for line in done.stdout.splitlines():
            named = FUNCTION.search(line)
            function = named['name'] if named else function
            option = OPTION.search(line)
            if FINDING.match(line) and option:
                key = (source.name(), option[1], function)
                if key in suppressed:
                    used.add(key)
                else:
                    found.append(f'{line} in {function}()')
        return found or ([f'{source.name()}: gcc ended with {done.returncode}: '
                          f'{done.stdout[-500:]}'] if done.returncode else [])
    found = sorted(set(in_pool(jobs, one, files)))
    names = {source.name() for source in files}
    return found + [f'gcc-suppressions.txt: no longer needed: {" ".join(key)}'
                    for key in sorted(suppressed - used) if key[0] in names]


TOOLS = {'cppcheck': cppcheck, 'clang-tidy': clang_tidy, 'gcc': gcc}


def main():
    parser = argparse.ArgumentParser(prog='tests/analyze.sh', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', type=Path, default=ROOT / 'build', help='build folder (build)')
    parser.add_argument('--tool', action='append', choices=list(TOOLS), help='only this one')
    parser.add_argument('-j', '--jobs', type=int, default=1, help='files at once (1)')
    parser.add_argument('path', nargs='*', help='files or folders (all of ours)')
    options = parser.parse_args()
    build = options.build.resolve()
    lines = []
    for tool in options.tool or TOOLS:
        paths = options.path or PROGRAMS + (TESTS if tool == 'cppcheck' else [])
        files = sources(build, [(ROOT / path).resolve() for path in paths])
        if not files:
            sys.exit(f'no source of {build} is in {" ".join(paths)}')
        found = TOOLS[tool](build, files, options.jobs)
        print('\n'.join(found), end='\n' if found else '', flush=True)
        lines.append((f'{tool}: ' + (f'{len(found)} findings' if found else 'clean') +
                      f' ({len(files)} files)', not found))
    print('\n'.join(line for line, _ in lines))
    return 0 if all(clean for _, clean in lines) else 1


if __name__ == '__main__':
    sys.exit(main())
