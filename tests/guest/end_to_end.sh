#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In the guest: the command line on an embedded stack, and what it does to cgroup v2. There is nothing but busybox and dash.
set -eu
export WHARF_RUN_DIR=/tmp/e2e/run WHARF_STATE_DIR=/tmp/e2e/state WHARF_NODE=guest WHARF_CGROUP_PARENT=wharf-guest

fail() {
    echo "FAILED: $*"
    wharf ps -a || true
    tail -n 30 "$WHARF_RUN_DIR/up.log" || true
    exit 1
}

# Runs a command again until it succeeds; fails after 30 seconds of uptime.
eventually() {
    deadline=$(($(cut -d. -f1 /proc/uptime) + 30))
    until "$@"; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt "$deadline" ] || fail "did not come true in time: $*"
        usleep 50000
    done
}

history_has() { wharf history --format json "$1" | grep -q "$2"; }
value_is() { [ "$(cat "$1")" = "$2" ] || fail "'$1' is '$(cat "$1")' and not '$2'"; }
code_is() {
    expected=$1
    shift
    code=0
    "$@" || code=$?
    [ "$code" = "$expected" ] || fail "ended with $code and not $expected: $*"
}

mkdir -p /tmp/e2e/rootfs/bin /tmp/e2e/rootfs/dev /tmp/e2e/rootfs/proc /tmp/e2e/rootfs/sys /tmp/e2e/rootfs/tmp
cp -a /bin/. /tmp/e2e/rootfs/bin/
rm /tmp/e2e/rootfs/bin/redis-server /tmp/e2e/rootfs/bin/dash
ln -sf busybox /tmp/e2e/rootfs/bin/sh

echo "-- up, import, run"
wharf up --detach || fail "up"
wharf import /tmp/e2e/rootfs busybox --cmd sh >/dev/null || fail "import"
[ "$(wharf run --rm busybox echo hello)" = hello ] || fail "run --rm"
code_is 3 wharf run --rm busybox sh -c 'exit 3'

echo "-- a limit on memory ends in an OOM kill that is recorded"
# shellcheck disable=SC2016 # for the container's shell
code_is 137 wharf run --name hungry -m 16m busybox sh -c 'x=x; while :; do x=$x$x$x$x; done'
history_has hungry '"reason":"oom-killed"' || fail "no oom-killed: $(wharf history --format json hungry)"
wharf rm hungry >/dev/null

echo "-- limits as the kernel has them"
id=$(wharf run -d --name limited -m 64m --cpus 0.5 --pids-limit 7 busybox sleep 1000)
cgroups=$(dirname "$(find /sys/fs/cgroup -type d -name "$id")")
[ "${cgroups#"/sys/fs/cgroup/$WHARF_CGROUP_PARENT"}" != "$cgroups" ] || fail "no cgroup '$id': '$cgroups'"
value_is "$cgroups/$id/memory.max" 67108864
value_is "$cgroups/$id/cpu.max" "50000 100000"
value_is "$cgroups/$id/pids.max" 7
pid=$(cat "$cgroups/$id/cgroup.procs")
value_is "/proc/$pid/cgroup" "0::${cgroups#/sys/fs/cgroup}/$id"
if wharf run --rm --pids-limit 4 busybox sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait' 2>/tmp/forks; then
    fail "the limit on pids did not stop a fork"
fi
grep -q "can't fork" /tmp/forks || fail "no fork was refused: $(cat /tmp/forks)"

echo "-- a runtime that is killed is followed by one that adopts"
kill -KILL "$(pidof wharf-runtime)"
eventually history_has limited container.adopted
value_is "$cgroups/$id/cgroup.procs" "$pid"
wharf stop -t 0 limited >/dev/null || fail "stop"
wharf rm limited >/dev/null || fail "rm"
[ ! -e "$cgroups/$id" ] || fail "the cgroup '$cgroups/$id' was left"

echo "-- down"
wharf down || fail "down"
if pidof wharf-runtime wharf-shim; then fail "processes were left"; fi
[ -z "$(find "$cgroups" -mindepth 1 -type d)" ] || fail "cgroups were left: $(find "$cgroups" -type d)"
