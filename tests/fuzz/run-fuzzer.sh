#!/bin/sh
# SPDX-License-Identifier: MIT
# Run one libFuzzer program for FUZZ_SECONDS (60): run-fuzzer.sh PROGRAM CORPUS SEEDS
set -eu
program=$1 corpus=$2 seeds=$3
mkdir -p "$corpus"
exec "$program" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -max_len=65536 -print_final_stats=1 \
	-artifact_prefix="$corpus-crash-" "$corpus" "$seeds"
