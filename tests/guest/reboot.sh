#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In the guest, with the disk on /disk: judges what the power cut before has left, then loads the stack until the next one.
# reboot.sh CYCLE, from 1 on; reboot.sh last judges and ends. "READY" and "acked NAME" on the console tell run_reboot.sh how far
# it is: NAME was answered for, so no power cut may lose it.
set -eu
cycle=$1
export WHARF_RUN_DIR=/run/wharf WHARF_STATE_DIR=/disk/state WHARF_NODE=guest WHARF_CGROUP_PARENT=wharf-guest

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

member() { wharf inspect --format json "$1" | jq -r ".$2"; }
state_is() { [ "$(member "$1" state)" = "$2" ]; }
# The last exit of a container, as its history has it: "reason code".
last_exit() {
    wharf history --format json "$1" |
        jq -rs 'map(select(.type == "wharf.container.exited.v1"))[-1].data | "\(.reason) \(.exit_code)"'
}
happened() { wharf history --format json "$1" | grep -q "wharf.container.$2.v1"; }
is_gone() { ! wharf inspect "$1" >/dev/null 2>&1; }

# What a container's last exit must be: the host took it, and nobody knows more; but what was known is kept.
taken_by_the_host() {
    [ "$(last_exit "$1")" = "host-restart null" ] || fail "$1 ended as '$(last_exit "$1")'"
    wharf history --format json "$1" | grep -q '"observed":' || fail "$1: no evidence: $(wharf history --format json "$1")"
    happened "$1" started || fail "$1 was never started"
}

has_exited() { happened "$1" exited; }

restarted() {
    eventually has_exited "$1"
    taken_by_the_host "$1"
    eventually state_is "$1" running
    [ "$(member "$1" restarts)" -ge 1 ] || fail "$1 runs, but not by its policy"
}

# Ended by itself with 7, or with the host; but ended, and not stuck.
burst_is_over() {
    wharf ps -a --format json |
        jq -es 'map(select(.name | startswith("burst-"))) | all(.state == "exited" and (.exit_code == 7 or .reason == "host-restart"))' >/dev/null
}

nothing_is_left() { [ -z "$(wharf ps -aq)" ]; }

judge() {
    echo "-- after the power cut"
    eventually has_exited plain
    taken_by_the_host plain
    eventually state_is plain exited
    [ "$(member plain exit_code)" = null ] || fail "plain has an exit code: $(member plain exit_code)"
    for name in always unless failure stopped; do restarted "$name"; done
    eventually state_is halted exited
    [ "$(last_exit ended)" = "exited 3" ] || fail "ended ended as '$(last_exit ended)'"
    eventually state_is ended exited
    eventually state_is made created
    eventually is_gone auto
    taken_by_the_host auto
    eventually burst_is_over
    [ "$(wharf run --rm busybox echo hello)" = hello ] || fail "run --rm"
    ids=$(wharf ps -aq --no-trunc)
    # shellcheck disable=SC2086 # a list of ids
    wharf rm -f $ids >/dev/null || fail "rm"
    eventually nothing_is_left
    left=$(find /sys/fs/cgroup/wharf-guest -mindepth 2 -type d)
    [ -z "$left" ] || fail "cgroups were left: $left"
    wharf rebuild --verify || fail "the view is not the fold"
}

make_image() {
    mkdir -p /tmp/rootfs/bin /tmp/rootfs/dev /tmp/rootfs/proc /tmp/rootfs/sys /tmp/rootfs/tmp
    cp /bin/busybox /tmp/rootfs/bin/
    for applet in sh sleep echo true; do ln -s busybox "/tmp/rootfs/bin/$applet"; done
    wharf import /tmp/rootfs busybox --cmd sh >/dev/null || fail "import"
}

load() {
    echo "-- containers with and without restart policies"
    wharf run -d --name plain busybox sleep 1000 >/dev/null
    wharf run -d --name always --restart always busybox sleep 1000 >/dev/null
    wharf run -d --name unless --restart unless-stopped busybox sleep 1000 >/dev/null
    wharf run -d --name failure --restart on-failure busybox sleep 1000 >/dev/null
    wharf run -d --name stopped --restart always --stop-timeout 0 busybox sleep 1000 >/dev/null
    wharf run -d --name halted --restart unless-stopped --stop-timeout 0 busybox sleep 1000 >/dev/null
    wharf stop stopped halted >/dev/null
    wharf start stopped >/dev/null
    wharf run -d --name auto --rm busybox sleep 1000 >/dev/null
    wharf create --name made busybox sleep 1000 >/dev/null
    wharf run --name ended busybox sh -c 'exit 3' || true
    echo READY
}

# Starts until the power is cut.
burst() {
    i=0
    while :; do
        i=$((i + 1))
        wharf run -d --name "burst-$1-$i" busybox sh -c 'exit 7' >/dev/null && echo "acked burst-$1-$i"
    done
}

wharf up --detach || fail "up"
if [ "$cycle" = 1 ]; then make_image; else judge; fi
if [ "$cycle" = last ]; then
    wharf down || fail "down"
    exit 0
fi
load
burst "$cycle-a" &
burst "$cycle-b" &
wait
