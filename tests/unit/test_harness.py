#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the C harness notices each way in which a test can fail: test_harness.py SAMPLE"""
import re
import subprocess
import sys

WANT = {  # name: (passed, what the lines before the verdict say)
    'passes': (True, ''),
    'integer': (False, r'harness_sample\.c:\d+: 3 is 3, not 4'),
    'string': (False, r'is "\(null\)", not "text"'),
    'memory': (False, r'byte 2 of 3 is 0x63, not 0x64'),
    'condition': (False, r'1 > 2 is false'),
    'leaks_fd': (False, r'fd \d+: /dev/null'),
    'dies': (False, r'ended by signal 9'),
    'exits': (False, r'exit status 3'),
    'hangs': (False, r'deadline of 1 s'),
    'skips': (True, r'skipped: no reason'),
}

run = subprocess.run([sys.argv[1]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                     timeout=60)
problems = [] if run.returncode == 1 else [f'exit status {run.returncode}, not 1']
seen, notes = {}, []
for line in run.stdout.splitlines():
    verdict = re.match(r'(not )?ok \d+ (\w+)', line)
    if verdict:
        seen[verdict[2]] = (verdict[1] is None, '\n'.join(notes))
        notes = []
    else:
        notes.append(line)
if list(seen) != list(WANT):
    problems.append(f'ran {list(seen)}, not {list(WANT)}')
for name, (passed, pattern) in WANT.items():
    got = seen.get(name, (None, ''))
    if got[0] is not passed or not re.search(pattern, got[1]):
        problems.append(f'{name}: {got}, not {(passed, pattern)}')
print('\n'.join(problems) or 'ok')
sys.exit(bool(problems))
