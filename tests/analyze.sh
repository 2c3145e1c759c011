#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Static analysis: build (the generated sources are needed), then tests/analyze/run.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case "${1:-}" in
-h | --help) exec python3 "$here/analyze/run.py" --help ;;
esac
if [ -z "${CAUSEWAY_INSIDE:-}" ] && [ "${CAUSEWAY_ENV:-}" != native ]; then
	exec "$here/env/enter" "${BASH_SOURCE[0]}" "$@"
fi
cd "$here/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ [ -f build/build.ninja ] || meson setup build -Dwerror=true; } >"$log" 2>&1 || { cat "$log"; exit 1; }
ninja -C build >"$log" 2>&1 || { tail -n 60 "$log"; exit 1; }
python3 tests/analyze/run.py "$@"
