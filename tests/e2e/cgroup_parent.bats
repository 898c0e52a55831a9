#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Containers whose cgroup is below another parent than the node's.
load helper

# The directories of a cgroup path in all hierarchies, below either layout's mount point.
cgroups() { find /sys/fs/cgroup -maxdepth 6 -type d -path "/sys/fs/cgroup*/$1" 2>/dev/null; }
two() { WHARF_RUN_DIR=$E2E_DIR/run2 WHARF_STATE_DIR=$E2E_DIR/state2 WHARF_NODE=two wharf "$@"; }
is_gone() { [ -z "$(cgroups "$1")" ]; }
teardown_file() {
    two down >/dev/null 2>&1 || true
    stop_stack
}
other() { echo "$WHARF_CGROUP_PARENT-other"; }

@test "a cgroup is where it is said to be, with its limits, and goes with its parents" {
    local parent
    parent=$(other)/deep
    wharf run -d --name there --cgroup-parent "/$parent" -m 64m --pids-limit 20 busybox sleep 1000
    grep -q ":/$parent/wharf-$(wharf ps -q --no-trunc)\$" "/proc/$(member there pid)/cgroup"
    [ "$(wharf stats --no-stream --format json there | jq '[.memory_limit_bytes, .pids_limit, .pids] | tostring')" = '"[67108864,20,1]"' ]
    [ "$(wharf top --format json there | jq -r .command)" = "sleep 1000" ]
    run -0 wharf exec there echo in
    [ "$output" = in ]
    wharf pause there
    state_is there paused
    wharf unpause there
    wharf update -m 128m there
    [ "$(wharf stats --no-stream --format json there | jq .memory_limit_bytes)" = 134217728 ]
    [ "$(member there spec.cgroup_parent)" = "/$parent" ]
    # Others in the same parent: it goes with the last one.
    wharf run -d --name beside --userns auto --cgroup-parent "$parent" busybox sleep 1000
    wharf rm -f there
    [ -n "$(cgroups "$parent")" ]
    wharf rm -f beside
    is_gone "$(other)"
    run -137 wharf run --rm --cgroup-parent "$parent" -m 16m busybox tail /dev/zero
    is_gone "$(other)"
}

@test "a parent that was there before stays" {
    local parent hierarchy
    parent=$(other)
    for hierarchy in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts); do
        mkdir "$hierarchy/$parent"
    done
    wharf run --rm --cgroup-parent "$parent/made" busybox true
    is_gone "$parent/made"
    for hierarchy in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts); do
        rmdir "$hierarchy/$parent"
    done
}

@test "a runtime that comes back finds it, and what ended meanwhile leaves nothing" {
    local parent pid
    parent=$(other)
    wharf run -d --name stays --cgroup-parent "$parent" busybox sleep 1000
    wharf run -d --name ends --cgroup-parent "$parent/ends" busybox sleep 1000
    wharf pause stays
    pid=$(member ends pid)
    kill -STOP "$(part_pid runtime)"
    kill -KILL "$pid"
    kill -KILL "$(part_pid runtime)"
    eventually has_happened stays container.adopted
    eventually state_is ends exited
    state_is stays paused
    eventually is_gone "$parent/ends"
    wharf rm -f stays ends
    is_gone "$parent"
}

@test "a state directory that is lost leaves no processes of it behind" {
    local parent pid
    parent=$(other)
    wharf run -d --name lost --cgroup-parent "$parent" busybox sleep 1000
    pid=$(member lost pid)
    wharf down
    rm -rf "$WHARF_STATE_DIR"/{containers,node.json,snapshot}
    wharf up --detach
    eventually is_gone "$parent"
    [ ! -e "/proc/$pid/exe" ]
    [ "$(member lost state)" = exited ]
    wharf rm lost
}

@test "another node's runtime does not take it for an orphan" {
    local cgroup pid
    two up --detach
    # The other runtime's own parent, which is named after node and directory.
    cgroup=$(cgroups "$WHARF_CGROUP_PARENT/two-*" | head -n 1)
    wharf run -d --name guest --cgroup-parent "$WHARF_CGROUP_PARENT/${cgroup##*/}" busybox sleep 1000
    pid=$(member guest pid)
    two down
    two up --detach
    [ "$(member guest pid)" = "$pid" ]
    [ -e "/proc/$pid/exe" ]
    state_is guest running
    [ -z "$(two events --format json | jq -r 'select(.type | contains("orphan")) | .type')" ]
    wharf rm -f guest
    two down
}

@test "a path that leads elsewhere is refused" {
    local path
    for path in / .. a/../b /a//b a/ 'a b' /a/. ''; do
        run -125 wharf run --rm --cgroup-parent "$path" busybox true
        [[ $output == *"must be a path below the root of the cgroups"* ]]
    done
}
