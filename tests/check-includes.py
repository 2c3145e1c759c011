#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the layering of the sources: check-includes.py ROOT

Includes go protocol <- shared <- {guest-proxy, host-renderer} <- {tests, examples}; headers of
drivers and of the kernel's vhost stay in the one place that knows them; no file grows past its
limit; each names its licence.
"""
import re
import sys
from pathlib import Path

MAX_LINES = 800
LAYERS = {  # folder: the folders whose headers it may include, besides its own
    'protocol': set(),
    'shared': {'protocol'},
    'guest-proxy': {'protocol', 'shared'},
    'host-renderer': {'protocol', 'shared'},
    'examples': {'protocol', 'shared', 'guest-proxy', 'host-renderer'},
    'tests': {'protocol', 'shared', 'guest-proxy', 'host-renderer', 'examples'},
}
# The generated headers count as the protocol's, but for the hooks of one program.
GENERATED = {'br-tables.h': 'protocol', 'br-hook-args.h': 'protocol',
             'gp-hooks.h': 'guest-proxy', 'hr-hooks.h': 'host-renderer'}
RESTRICTED = [  # header, where it may be included, as patterns of whole paths
    (r'(.*/)?virtgpu_drm\.h', r'guest-proxy/transport_virtgpu.*|tests/.*'),
    (r'(.*/)?virglrenderer\.h', r'host-renderer/worker/.*|tests/.*'),
    (r'linux/vhost.*\.h', r'host-renderer/vhost/.*|tests/.*'),
]
CODE = {'.c', '.h'}
TEXT = CODE | {'.py', '.sh'}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def layer_of(path):
    return path.parts[0]


def sources(root):
    for folder in LAYERS:
        for path in sorted((root / folder).rglob('*')):
            relative = path.relative_to(root)
            if path.is_file() and not any(part.startswith('build') for part in relative.parts):
                if path.suffix in TEXT or path.name == 'meson.build':
                    yield relative


def target_layers(root, source, name, headers):
    """The layers that a quoted include may mean; empty: unknown."""
    if (root / source.parent / name).is_file():
        return {layer_of((root / source.parent / name).resolve().relative_to(root))}
    if name in GENERATED:
        return {GENERATED[name]}
    return {layer_of(path) for path in headers if str(path).endswith('/' + name)}


def check_includes(root, source, text, headers):
    for bracket, name in INCLUDE.findall(text):
        for header, allowed in RESTRICTED:
            if re.fullmatch(header, name) and not re.fullmatch(allowed, str(source)):
                yield f'includes {name}, which only {allowed.split("|")[0]} may'
        if bracket == '<':
            continue
        layers = target_layers(root, source, name, headers)
        own = layer_of(source)
        if layers and not layers & (LAYERS[own] | {own}):
            yield f'includes {name} of {", ".join(sorted(layers))}'


def check(root):
    files = list(sources(root))
    headers = [path for path in files if path.suffix == '.h']
    problems = []
    for path in files:
        text = (root / path).read_text(errors='replace')
        found = []
        if 'SPDX-License-Identifier: MIT' not in '\n'.join(text.split('\n', 3)[:3]):
            found.append('no SPDX line at the top')
        if text.count('\n') >= MAX_LINES and path.suffix in TEXT:
            found.append(f'{text.count(chr(10))} lines; the limit is {MAX_LINES}')
        if path.suffix in CODE:
            found += check_includes(root, path, text, headers)
        problems += [f'{path}: {problem}' for problem in found]
    return files, problems


def main():
    root = Path(sys.argv[1]).resolve()
    files, problems = check(root)
    for problem in problems:
        print(problem)
    print(f'{len(files)} files, {len(problems)} problems')
    # Finding nothing to look at would be a mistake as well.
    return 1 if problems or not files else 0


if __name__ == '__main__':
    sys.exit(main())
