#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One fuzz target for so many seconds: fuzz.sh TARGET SECONDS. What it finds is written beside the target.
set -euo pipefail
target=$1 seconds=$2
name=${target##*/fuzz_} build=$(dirname "$target")
log=$build/$name.log
mkdir -p "$build/corpus/$name" "tests/fuzz/corpus/$name"
status=0
"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -verbosity=0 -print_final_stats=1 \
    -artifact_prefix="$build/$name-" "$build/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1 || status=$?
found=$(grep -E 'ERROR|SUMMARY|Test unit written|^Base64' "$log" || true)
echo "fuzz $name for $seconds s: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs${found:+
$found}"
[ "$status" -eq 0 ] && [ -z "$found" ]
