#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Put the fuzzers of a build, their seeds and the libraries they need into one folder, to be run on another
# machine (amd64), whatever its system: tests/fuzz/pack.sh BUILD FOLDER, then there
#   FOLDER/run.sh [SECONDS [NAME...]]
# runs each (or those named) for so long (60), one for each processor, and prints a line for each; it fails if
# one does. What they found and said stays in FOLDER/out.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${CAUSEWAY_INSIDE:-}" ] && [ "${CAUSEWAY_ENV:-}" != native ]; then
	exec "$here/../env/enter" "${BASH_SOURCE[0]}" "$@"
fi
build=$1 folder=$2
mkdir -p "$folder/lib" "$folder/bin"
cp -r "$here/seeds" "$folder/"
cp "$here/run-fuzzer.sh" "$folder/"
for program in "$build"/tests/fuzz/fuzz-*; do
	if [ -f "$program" ] && [ -x "$program" ]; then
		cp "$program" "$folder/bin/"
		ldd "$program" | grep -o '/[^ ]*' | xargs cp -Lt "$folder/lib"
	fi
done
cat >"$folder/run.sh" <<'RUN'
#!/usr/bin/env bash
cd "$(dirname "${BASH_SOURCE[0]}")"
export FUZZ_SECONDS=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(cd bin && ls | sed 's/^fuzz-//')
export ASAN_OPTIONS=detect_leaks=1:halt_on_error=1:abort_on_error=1:handle_abort=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
mkdir -p out
one() {
	local status=0
	printf '#!/bin/sh\nexec lib/ld-linux-x86-64.so.2 --library-path lib bin/fuzz-%s "$@"\n' "$1" >"out/$1.sh"
	chmod +x "out/$1.sh"
	./run-fuzzer.sh "out/$1.sh" "out/$1" "seeds/$1" >"out/$1.log" 2>&1 || status=$?
	echo "$1: status $status: $(grep -a -m1 'SUMMARY' "out/$1.log" || grep -a 'DONE' "out/$1.log" | tail -n 1)"
	return $status
}
export -f one
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'one {}'
RUN
chmod +x "$folder/run.sh"
