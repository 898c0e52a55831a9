#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `make bench` runs: wharf beside its peers, in the same run on the same machine, with ratios. Needs root.
#
#     bench.sh BUILD [RUNS]
#
# With BENCH_LONG=1 also what takes a quarter of an hour: a start with ten million events.
set -euo pipefail

build=$(realpath "${1:-build}")
runs=${2:-200}
((runs >= 8)) || {
    echo "bench.sh: $runs runs show nothing: give 8 or more" >&2
    exit 2
}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# shellcheck source=tests/bench/peer.sh disable=SC1091
. "$here/peer.sh"
enter_private_mounts "$@"

place=$(mktemp -d /tmp/wharf-bench.XXXXXX)
kafka=
cleanup() {
    for run in "$place"/*/run; do
        if [ -d "$run" ]; then "$build/wharf" down --stop --run-dir "$run" >/dev/null 2>&1 || true; fi
    done
    crun --root "$place/crun" delete --force bench-sleeper >/dev/null 2>&1 || true
    [ -z "$kafka" ] || "$here/../stack/kafka.sh" stop "$kafka" >/dev/null 2>&1 || true
    rm -rf "$place"
}
trap cleanup EXIT

make_bundle "$place" # one root file system for all
crun_once="$place/crun-once"
printf '#!/bin/sh\nexec crun --root %s/crun run --bundle %s/bundle bench-$$\n' "$place" "$place" >"$crun_once"
chmod 755 "$crun_once"

# stack NAME [OPTION...]: a stack of its own with the image imported.
stack() {
    local name=$1
    shift
    "$build/wharf" up --detach --node "bench-$name" --state-dir "$place/$name/state" --run-dir "$place/$name/run" "$@" >/dev/null
    "$build/wharf" import --run-dir "$place/$name/run" "$place/rootfs" busybox >/dev/null
}
mkdir -p "$place/sqlite" "$place/kafka"
stack sqlite
labels=("wharf run --rm, SQLite log" "$build/wharf" run --run-dir "$place/sqlite/run" --rm busybox true)
if "$here/../stack/kafka.sh" start "$place/broker" >/dev/null 2>&1; then
    kafka=$place/broker
    stack kafka --log "kafka://$(cat "$kafka/address")"
    labels+=(-- "wharf run --rm, Kafka log" "$build/wharf" run --run-dir "$place/kafka/run" --rm busybox true)
fi

echo "== latency of one container, create to removed ($runs runs each, in turn)"
"$build/bench/bench_command" "$runs" "crun run (no log, no history)" "$crun_once" -- "${labels[@]}"

if [ -x "$build/bench/bench_kernel" ]; then
    echo "== the bare kernel work: clone3, overlay, pivot_root, exec, wait"
    "$build/bench/bench_kernel" "$place/rootfs" "$runs" 8
fi
echo "== the host alone: launch, exit, removal, without a log"
"$build/bench/bench_host" "$build" "$place/rootfs" "$runs" 1
"$build/bench/bench_host" "$build" "$place/rootfs" "$runs" 8
for clients in 8 32; do
    echo "== containers a second, create to removed, $clients clients"
    CLIENTS=$clients "$build/bench/bench_command" "$((runs * 2))" "crun run" "$crun_once" -- "${labels[@]}"
done

echo "== memory of a shim beyond its container"
id=$("$build/wharf" run --run-dir "$place/sqlite/run" -d busybox sleep 10000)
shim=$("$build/wharf" history --run-dir "$place/sqlite/run" --format json "$id" |
    jq -r 'select(.type == "wharf.container.started.v1").data.shim_pid')
awk '/^Pss:/ { print "shim PSS " $2 " KB (goal 300)" }' "/proc/$shim/smaps_rollup"

echo "== exec in a running container, on the log with its end"
jq '.process.args = ["/bin/sleep", "10000"]' "$place/bundle/config.json" >"$place/sleeper.json"
cp -r "$place/bundle" "$place/sleeper"
mv "$place/sleeper.json" "$place/sleeper/config.json"
crun --root "$place/crun" run --detach --bundle "$place/sleeper" bench-sleeper </dev/null >/dev/null 2>&1
printf '#!/bin/sh\nexec crun --root %s/crun exec bench-sleeper /bin/true\n' "$place" >"$place/crun-exec"
chmod 755 "$place/crun-exec"
execs=("wharf exec, SQLite log (goal 1x)" "$build/wharf" exec --run-dir "$place/sqlite/run" "$id" true)
if [ -n "$kafka" ]; then
    kafka_id=$("$build/wharf" run --run-dir "$place/kafka/run" -d busybox sleep 10000)
    execs+=(-- "wharf exec, Kafka log" "$build/wharf" exec --run-dir "$place/kafka/run" "$kafka_id" true)
fi
"$build/bench/bench_command" "$runs" "crun exec (no log, no history)" "$place/crun-exec" -- "${execs[@]}"
crun --root "$place/crun" delete --force bench-sleeper

echo "== 100 MB through run | cat, beside a plain pipe (goal: 2x)"
# program NAME TEXT: an executable script, since what is timed is one command
program() {
    printf '#!/bin/bash\n%s\n' "$2" >"$place/$1"
    chmod 755 "$place/$1"
}
# The same program on both sides: busybox's head writes byte by byte, its dd in blocks that cost nothing to make.
for writer in "head -c 104857600 /dev/zero" "dd if=/dev/zero bs=64k count=1600"; do
    program plain "$place/rootfs/bin/busybox $writer 2>/dev/null | cat >/dev/null"
    program piped "$build/wharf run --run-dir $place/sqlite/run --rm busybox $writer 2>/dev/null | cat >/dev/null"
    "$build/bench/bench_command" 20 "busybox ${writer%% *} | cat" "$place/plain" -- \
        "wharf run busybox ${writer%% *} | cat, kept in its log" "$place/piped"
done

echo "== a container's start while others run (goal: 1.3x with 1,000)"
start_more() { # UP-TO
    local i
    for ((i = running; i < $1; i++)); do
        "$build/wharf" run --run-dir "$place/sqlite/run" -d busybox sleep 10000 >/dev/null
    done
    running=$1
}
running=1
"$build/bench/bench_command" "$runs" "wharf run --rm, 1 other runs" "$build/wharf" run --run-dir "$place/sqlite/run" --rm busybox true
start_more 1000
"$build/bench/bench_command" "$runs" "wharf run --rm, 1,000 others run" "$build/wharf" run --run-dir "$place/sqlite/run" --rm busybox true

if [ -x "$build/bench/bench_restart" ]; then
    echo "== a runtime's start with a long log, and with many containers"
    BUILD=$build "$build/bench/bench_restart" 100000
    BUILD=$build "$build/bench/bench_restart" 200000 10000
    if [ -n "${BENCH_LONG:-}" ]; then # ten minutes to write, five to read, 15 GB
        BUILD=$build "$build/bench/bench_restart" 10000000
    fi
fi
if [ -x "$build/bench/bench_project" ]; then
    echo "== projection into Redis"
    BUILD=$build "$build/bench/bench_project"
fi
if [ -x "$build/bench/bench_log" ]; then
    echo "== the log"
    "$build/bench/bench_log" "sqlite:$place/log"
fi
