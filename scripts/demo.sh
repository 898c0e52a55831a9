#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows what wharf does, on an embedded stack in a directory of its own, and checks what it claims. Fails if a check fails.
# shellcheck disable=SC2016 # the containers' shells expand these
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/build:$PATH
dir=$(mktemp -d "${TMPDIR:-/tmp}/wharf-demo.XXXXXX")
export WHARF_RUN_DIR=$dir/run WHARF_STATE_DIR=$dir/state WHARF_NODE=demo WHARF_CGROUP_PARENT=${dir##*/}
unset WHARF_CONFIG WHARF_LOG WHARF_REDIS

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || step() { printf '\n== %s\n' "$*"; }
show() {
    printf '$ %s\n' "$*"
    "$@"
}
fail() {
    echo "demo: $*" >&2
    exit 1
}

clean_up() {
    local code=$? id
    step "Cleaning up: containers, stack, cgroups, directory"
    for id in $(wharf ps -aq --no-trunc 2>/dev/null); do wharf rm -f "$id" >/dev/null 2>&1 || true; done
    wharf down >/dev/null 2>&1 || true
    awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mounted; do
        umount -l "$mounted" || true
    done
    find /sys/fs/cgroup -depth -type d -path "/sys/fs/cgroup/*${WHARF_CGROUP_PARENT:?}*" -exec rmdir {} \; 2>/dev/null || true
    rm -rf "${dir:?}"
    [ $code = 0 ] && echo "done in $SECONDS s" || echo "failed after $SECONDS s"
    exit $code
}
trap clean_up EXIT

[ "$(id -u)" = 0 ] || fail "containers need root: run it as root"

step "A root file system: busybox, a link for each applet, two users"
rootfs=$dir/rootfs
mkdir -p "$rootfs"/{bin,etc,tmp,root,proc,sys,dev}
cp "$(command -v busybox)" "$rootfs/bin/busybox"
for applet in $("$rootfs/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -sf busybox "$rootfs/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/tmp:/bin/sh\n' >"$rootfs/etc/passwd"
printf 'root:x:0:\nguest:x:1000:\n' >"$rootfs/etc/group"

step "The stack: writer, runtime, projector, query, a log in SQLite files and a private Redis"
show wharf up --detach
show wharf status

step "The root file system becomes an image: a command on the log, an event, files in the node's store"
show wharf import "$rootfs" busybox
show wharf images

step "A container in the foreground: its output and its exit code are ours"
code=0
show wharf run --rm busybox sh -c 'echo "hello from $(hostname), process $$"; exit 3' || code=$?
echo "exit code $code"
[ $code = 3 ] || fail "the exit code should be 3"

step "Two in the background, with limits, labels and a restart policy"
show wharf run -d --name web -l tier=web -m 64m --cpus 0.5 --pids-limit 20 --restart always busybox \
    sh -c 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.1; done'
show wharf run -d --name db -l tier=db busybox sleep 1000
show wharf ps

step "Before the crash: what runs, under which pids"
pids() { wharf ps --format json | jq -r '"\(.name) \(.pid)"' | sort; }
before=$(pids)
echo "$before"

# Until 'web' has written so many lines.
await_lines() {
    local deadline=$((SECONDS + 10))
    until [ "$(wharf logs web | wc -l)" -ge "$1" ]; do
        ((SECONDS < deadline)) || fail "container 'web' does not write"
        read -rt 0.05 <> <(:) || true
    done
}
await_lines 5

step "SIGKILL to the supervisor, writer, runtime, projector, query and Redis"
jq -r '.pid, .parts[].pid' "$WHARF_RUN_DIR/up.json" | while read -r pid; do kill -KILL "$pid" 2>/dev/null || true; done
while read -r _ pid; do
    kill -0 "$pid" || fail "process $pid of a container is gone"
    echo "container process $pid runs on: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
done <<<"$before"

step "The stack again: it reads the log, adopts what runs, and makes the read model anew in an empty Redis"
deadline=$((SECONDS + 10))
until wharf up --detach 2>"$dir/up.err"; do
    ((SECONDS < deadline)) || fail "the stack does not start: $(cat "$dir/up.err")"
    read -rt 0.1 <> <(:) || true
done
show wharf ps
after=$(pids)
[ "$before" = "$after" ] || fail "the containers are not the same: $after"
echo "the same containers, the same pids"

step "Not a line of output is missing"
await_lines $(($(wharf logs web | wc -l) + 5))
show wharf logs --tail 3 web
wharf logs web | awk '$2 != NR { exit 1 }' || fail "lines are missing"
echo "$(wharf logs web | wc -l) lines in order, from before, during and after the crash"

step "The history of a container: who did what, when"
show wharf history --format table web

step "The history is whole: each event carries the SHA-256 of the one before, checked with sqlite3 and sha256sum alone"
previous=$(printf '0%.0s' {1..64})
events=0
for offset in $(sqlite3 "$WHARF_STATE_DIR/log/wharf.events.db" 'select offset from records order by offset'); do
    sqlite3 "$WHARF_STATE_DIR/log/wharf.events.db" "select value from records where offset = $offset" | head -c -1 >"$dir/event"
    events=$((events + 1))
    [ "$(jq -r .prevhash "$dir/event")" = "$previous" ] || fail "the chain is broken at offset $offset"
    [ "$(jq -r .nodeseq "$dir/event")" = $events ] || fail "an event is missing before offset $offset"
    previous=$(sha256sum <"$dir/event" | cut -d' ' -f1)
done
echo "$events events, no hole, the last is $previous"

step "Stopping and removing: the containers go, their history stays"
show wharf stop -t 1 web db
show wharf rm web db
show wharf ps -a
wharf history --format json db | grep -q '"wharf.container.removed.v1"' || fail "the removal is not in the history"
