#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Build and test. See --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$here")
all_suites="unit golden integration fault vm vdrm fuzz bench"

usage() {
	cat <<-USAGE
	usage: tests/run.sh [SUITE...]

	Builds in the build environment (tests/env/enter makes it on first use) and runs the suites
	given, or all of: ${all_suites}.
	  unit, golden   C and scanner tests, in the plain build and under ASan and UBSan
	  integration    real programs on headless compositors; the bridge under ASan and UBSan, and the
	                 tests that measure memory once more in the plain build
	  fault          limits, deaths and stand-stills, in the sanitized build; what a sanitizer can't
	                 bear, in the plain build
	  vm             the bridge under ASan and UBSan between a virtual machine (QEMU with the
	                 environment's kernel; under KVM where that works) and headless compositors
	  vdrm           native contexts of virglrenderer itself, on a fake GPU, in a virtual machine; skipped
	                 without CAUSEWAY_VIRGLRENDERER
	  fuzz           every fuzzer for CAUSEWAY_FUZZ_SECONDS (60) seconds
	  bench          one short repetition, to see that the benchmarks run; for figures see
	                 tests/bench/bench.py --help, and vm_bench.py and gpu_bench.py for a virtual machine
	Ends with one line: N passed, N failed, N skipped.

	environment variables:
	  CAUSEWAY_PYTEST         further arguments for pytest, such as "-k selection"
	  CAUSEWAY_FUZZ_SECONDS   time for each fuzzer
	  CAUSEWAY_VIRGLRENDERER  folder where a virglrenderer (1.2 or newer) with native contexts is installed;
	                          tests/vdrm/build-virglrenderer.sh makes one
	  CAUSEWAY_ENV and others see tests/env/enter --help
	USAGE
}

case "${1:-}" in
-h | --help) usage; exit 0 ;;
esac
for suite in "$@"; do
	case " $all_suites " in
	*" $suite "*) ;;
	*) echo "tests/run.sh: there is no suite $suite (there are: $all_suites)" >&2; exit 2 ;;
	esac
done
if [ -z "${CAUSEWAY_INSIDE:-}" ] && [ "${CAUSEWAY_ENV:-}" != native ]; then
	if [ -n "${CAUSEWAY_VIRGLRENDERER:-}" ]; then
		CAUSEWAY_VIRGLRENDERER=$(realpath "$CAUSEWAY_VIRGLRENDERER")
		export CAUSEWAY_VIRGLRENDERER CAUSEWAY_BIND="${CAUSEWAY_BIND:+$CAUSEWAY_BIND:}$CAUSEWAY_VIRGLRENDERER"
	fi
	exec "$here/env/enter" "${BASH_SOURCE[0]}" "$@"
fi
[ $# -gt 0 ] || read -ra suites <<<"$all_suites"
[ $# -eq 0 ] || suites=("$@")
cd "$checkout"
results=$checkout/tests/results
rm -rf "$results"
mkdir -p "$results"
failed_steps=0

export ASAN_OPTIONS=detect_leaks=1:halt_on_error=1:abort_on_error=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

wanted() { case " ${suites[*]} " in *" $1 "*) return 0 ;; esac; return 1; }

# step NAME CMD...: run it with a heading and its time; a failure is kept in mind.
step() {
	local name=$1 start=$SECONDS status=0
	shift
	echo "=== $name"
	"$@" || status=$?
	echo "=== $name: $((SECONDS - start)) s$([ $status = 0 ] || echo ", status $status")"
	[ $status = 0 ] || failed_steps=$((failed_steps + 1))
	return 0
}

# configure_and_compile DIR ARGS...: make a build folder and build.
configure_and_compile() {
	local dir=$1
	shift
	[ -f "$dir/build.ninja" ] || meson setup "$dir" -Dwerror=true "$@" >"$results/$dir-setup.log" ||
		{ cat "$results/$dir-setup.log"; return 1; }
	ninja -C "$dir" >"$results/$dir-build.log" || { tail -n 60 "$results/$dir-build.log"; return 1; }
}

# build DIR ARGS...: a step, and false if it failed. What needs DIR is then left out, and what was
# tested without it still counts.
build() {
	local before=$failed_steps
	step "build $1" configure_and_compile "$@"
	[ "$failed_steps" = "$before" ]
}

# meson_tests DIR NAME SUITE-ARGS...: run them and keep the result as junit XML.
meson_tests() {
	local dir=$1 name=$2 status=0
	shift 2
	meson test -C "$dir" --no-rebuild --print-errorlogs --logbase "$name" "$@" || status=$?
	# Without a result even success would say nothing.
	cp "$dir/meson-logs/$name.junit.xml" "$results/$name.xml" || status=1
	return $status
}

integration() {
	local dir=$1 name=$2
	shift 2
	# shellcheck disable=SC2086 # words of the user's own
	CAUSEWAY_BUILD=$checkout/$dir python3 -m pytest -p no:cacheprovider -q -rs --timeout 240 \
		--junitxml="$results/$name.xml" "$@" ${CAUSEWAY_PYTEST:-} tests/integration
}

fault() {
	local dir=$1 name=$2
	shift 2
	# shellcheck disable=SC2086 # words of the user's own
	CAUSEWAY_BUILD=$checkout/$dir python3 -m pytest -p no:cacheprovider -q -rs --timeout 120 \
		--junitxml="$results/$name.xml" "$@" ${CAUSEWAY_PYTEST:-} tests/fault
}

vm() {
	# shellcheck disable=SC2086 # words of the user's own
	CAUSEWAY_BUILD=$checkout/build-asan python3 -m pytest -p no:cacheprovider -q -rs --timeout 240 \
		--junitxml="$results/vm.xml" ${CAUSEWAY_PYTEST:-} tests/vm
}

vdrm() {
	# shellcheck disable=SC2086 # words of the user's own
	CAUSEWAY_BUILD=$checkout/build python3 -m pytest -p no:cacheprovider -q -rs --timeout 240 \
		--junitxml="$results/vdrm.xml" ${CAUSEWAY_PYTEST:-} tests/vdrm
}

bench_smoke() {
	python3 tests/bench/bench.py --build build --repetitions 1 --junit "$results/bench.xml"
}

vm_bench_smoke() {
	python3 tests/bench/vm_bench.py --build build --repetitions 1 --scale 0.02 \
		--junit "$results/vm-bench.xml"
}

gpu_bench_smoke() {
	python3 tests/bench/gpu_bench.py --build build --repetitions 1 --scale 0.02 \
		--junit "$results/gpu-bench.xml"
}

sanitizers=('-Db_sanitize=address,undefined' -Db_lundef=false)
suite_args=()
wanted unit && suite_args+=(--suite unit)
wanted golden && suite_args+=(--suite golden)

if build build && [ ${#suite_args[@]} -gt 0 ]; then
	step "unit and golden" meson_tests build unit-plain "${suite_args[@]}"
fi
if wanted unit || wanted golden || wanted integration || wanted fault || wanted vm; then
	if build build-asan "${sanitizers[@]}"; then
		if [ ${#suite_args[@]} -gt 0 ]; then
			step "unit and golden, sanitized" meson_tests build-asan unit-asan "${suite_args[@]}" -t 3
		fi
		if wanted integration; then
			step "integration, sanitized" integration build-asan integration-asan
		fi
		if wanted fault; then
			step "fault, sanitized" fault build-asan fault-asan -m "not plain"
		fi
		if wanted vm; then
			step "vm" vm
		fi
	fi
fi
if wanted integration && [ -x build/host-renderer/causeway-host ]; then
	step "integration, memory" integration build integration-memory -m memory
fi
if wanted fault && [ -x build/host-renderer/causeway-host ]; then
	step "fault, plain" fault build fault-plain -m plain
fi
if wanted vdrm && [ -x build/host-renderer/causeway-host ]; then
	step "vdrm" vdrm
fi
if wanted fuzz && CC=clang build build-fuzz -Dfuzzers=true "${sanitizers[@]}"; then
	export FUZZ_SECONDS=${CAUSEWAY_FUZZ_SECONDS:-60}
	step "fuzz" meson_tests build-fuzz fuzz --suite fuzz -j 2
fi
if wanted bench && [ -x build/host-renderer/causeway-host ]; then
	step "bench" bench_smoke
	step "bench in a virtual machine" vm_bench_smoke
	step "bench of a virtual machine's GPU" gpu_bench_smoke
fi

# Counts what ran; a step that failed without naming a test counts as one.
python3 tests/count.py --failed-steps "$failed_steps" "$results"
