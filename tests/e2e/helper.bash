# SPDX-License-Identifier: Apache-2.0
# Shared by the end-to-end tests: a stack of their own for each file, and ways to wait that are not sleeps.

WHARF_BUILD=${WHARF_BUILD:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../../build" && pwd)}
export PATH=$WHARF_BUILD:$PATH
bats_require_minimum_version 1.5.0

# A root file system of busybox alone, in $1.
make_rootfs() {
    mkdir -p "$1"/{bin,etc,tmp,root,proc,sys,dev}
    cp "$(command -v busybox)" "$1/bin/busybox"
    local applet
    for applet in $("$1/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -sf busybox "$1/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/tmp:/bin/sh\n' >"$1/etc/passwd"
    printf 'root:x:0:\nguest:x:1000:\nextra:x:1001:guest\n' >"$1/etc/group"
    printf 'not a program\n' >"$1/bin/not-executable"
    chmod 644 "$1/bin/not-executable"
}

# Settings of a stack in a fresh directory; nothing is started yet.
prepare_stack() {
    E2E_DIR=$(mktemp -d "${TMPDIR:-/tmp}/wharf-e2e.XXXXXX")
    export E2E_DIR
    export WHARF_RUN_DIR=$E2E_DIR/run WHARF_STATE_DIR=$E2E_DIR/state WHARF_NODE=e2e
    export WHARF_CGROUP_PARENT=${E2E_DIR##*/}
    unset WHARF_CONFIG WHARF_LOG WHARF_REDIS
}

start_stack() {
    prepare_stack
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox --cmd sh >/dev/null
}

# Leaves nothing behind, whatever a test did.
stop_stack() {
    # An empty name would make the patterns below match what is not ours.
    local cgroup=${WHARF_CGROUP_PARENT:?} dir=${E2E_DIR:?} id
    [[ $cgroup == wharf-e2e.?* && $dir == */"$cgroup" ]] || return 1
    for id in $(wharf ps -aq --no-trunc 2>/dev/null); do
        wharf rm -f "$id" >/dev/null 2>&1 || true
    done
    wharf down >/dev/null 2>&1 || true
    local pid mounted
    for pid in $(find /sys/fs/cgroup -path "/sys/fs/cgroup/*$cgroup/*/cgroup.procs" -exec cat {} + 2>/dev/null | sort -u); do
        kill -KILL "$pid" 2>/dev/null || true
    done
    for mounted in $(awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r); do
        umount -l "$mounted" || true
    done
    find /sys/fs/cgroup -depth -type d -path "/sys/fs/cgroup/*$cgroup*" -exec rmdir {} \; 2>/dev/null || true
    rm -rf "$dir"
}

setup_file() { start_stack; }
teardown_file() { stop_stack; }

# Runs a command again until it succeeds; fails after 20 seconds.
eventually() {
    local deadline=$((SECONDS + 20))
    until "$@"; do
        ((SECONDS < deadline)) || {
            echo "did not come true in time: $*" >&2
            return 1
        }
        read -rt 0.05 <> <(:) || true
    done
}

# A container's member of `wharf inspect`, as jq prints it.
member() { wharf inspect --format json "$1" | jq -r ".$2"; }

state_is() { [ "$(member "$1" state)" = "$2" ]; }

logs_have() { wharf logs "$1" 2>&1 | grep -q "$2"; }

# True when the container's history has at least $3 events of type $2.
has_happened() { [ "$(history_types "$1" | grep -c "^$2\$")" -ge "${3:-1}" ]; }

# The pid of a part of the stack.
part_pid() { jq -r --arg name "$1" '.parts[] | select(.name == $name) | .pid' "$WHARF_RUN_DIR/up.json"; }

# The types of a container's history, a line each, without prefix and version.
history_types() { wharf history --format json "$1" | jq -r '.type | sub("^wharf\\."; "") | sub("\\.v[0-9]+$"; "")'; }

# Checks the node's hash chain over the stored bytes, with sqlite3 and sha256sum alone.
chain_is_whole() {
    local db=$WHARF_STATE_DIR/log/wharf.events.db previous count=0 offset
    previous=$(printf '0%.0s' {1..64})
    for offset in $(sqlite3 "$db" 'select offset from records order by offset'); do
        sqlite3 "$db" "select value from records where offset = $offset" | head -c -1 >"$BATS_TEST_TMPDIR/event"
        [ "$(jq -r .prevhash "$BATS_TEST_TMPDIR/event")" = "$previous" ] || return 1
        previous=$(sha256sum <"$BATS_TEST_TMPDIR/event" | cut -d' ' -f1)
        count=$((count + 1))
        [ "$(jq -r .nodeseq "$BATS_TEST_TMPDIR/event")" = "$count" ] || return 1
    done
    [ "$count" -gt 0 ]
}
