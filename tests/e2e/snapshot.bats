# SPDX-License-Identifier: Apache-2.0
# Snapshots of the node's state: used when they are good, put aside when they are not, and the same state either way.
load helper

setup_file() { :; }
teardown_file() { :; }
setup() {
    export WHARF_SNAPSHOT_EVERY=5
    prepare_stack
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox
    wharf run -d --name stays --label a=b busybox sleep 1000
    run -3 wharf run --name ended busybox sh -c 'exit 3'
    wharf create --name made --restart on-failure:3 busybox true
    wharf run --rm busybox true
}
teardown() { stop_stack; }

metric() { curl -s --unix-socket "$WHARF_RUN_DIR/runtime.sock" http://runtime/metrics | awk -v name="$1" '$1 == name { print $2 }'; }

has_snapshot() { [ -f "$WHARF_STATE_DIR/snapshot" ]; }

# What a restart must not change: everything but what an adoption adds.
state() { wharf ps -a --format json | jq -c 'del(.version)' | jq -sS 'sort_by(.id) | if length > 0 then . else error("no containers") end'; }

# The same of the runtime's own state, as a snapshot has it.
runtime_state() { grep '^{"id"\|^{"reference"\|^\[' "$1" | jq -cS 'if type == "object" then del(.version, .last_event_id, .correlationid) else . end'; }

check_after_restart() {
    [ "$(state)" = "$before" ]
    chain_is_whole
    run -3 wharf run --rm busybox sh -c 'exit 3'
    run -1 wharf create --name made busybox true
    wharf start made
}

@test "a killed runtime goes on from its newest snapshot" {
    local before
    before=$(state)
    eventually has_snapshot
    eventually test "$(metric wharf_runtime_snapshots_written_total)" -ge 1
    kill -KILL "$(part_pid runtime)"
    eventually grep -q "the runtime serves again" "$WHARF_RUN_DIR/up.log"
    grep -q "read [0-9]* events after its snapshot" "$WHARF_RUN_DIR/up.log"
    [ "$(metric wharf_runtime_snapshot_offset)" -ge 5 ]
    [ "$(metric wharf_runtime_events_replayed)" -lt "$(sqlite3 "$WHARF_STATE_DIR/log/wharf.events.db" 'select count(*) from records')" ]
    check_after_restart
}

@test "an orderly end leaves a snapshot of everything" {
    local before
    before=$(state)
    wharf down
    head -n -1 "$WHARF_STATE_DIR/snapshot" | sha256sum | grep -q "^$(tail -n 1 "$WHARF_STATE_DIR/snapshot" | jq -r .sha256) "
    [ "$(head -n 1 "$WHARF_STATE_DIR/snapshot" | jq .next_offset)" = \
        "$(sqlite3 "$WHARF_STATE_DIR/log/wharf.events.db" 'select max(offset) + 1 from records')" ]
    wharf up --detach
    grep -q "read 0 events after its snapshot" "$WHARF_RUN_DIR/up.log"
    check_after_restart
}

# Stops the stack, runs the rest as a command, starts the stack, and expects $1 in what is said.
restart_with() {
    local expected=$1 before
    shift
    before=$(state)
    wharf down
    cp "$WHARF_STATE_DIR/snapshot" "$E2E_DIR/good"
    "$@"
    wharf up --detach
    grep "the snapshot of node 'e2e' .*$expected.*; it was put aside and the log is read from its beginning" "$WHARF_RUN_DIR/up.log"
    grep -q "read [1-9][0-9]* events from the beginning" "$WHARF_RUN_DIR/up.log"
    [ "$(find "$WHARF_STATE_DIR" -name 'snapshot.aside-*' | wc -l)" = 1 ]
    [ "$(metric wharf_runtime_snapshots_put_aside_total)" = 1 ]
    [ "$(state)" = "$before" ]
    wharf down
    [ "$(runtime_state "$E2E_DIR/good" | wc -l)" -ge 5 ]
    [ "$(runtime_state "$WHARF_STATE_DIR/snapshot")" = "$(runtime_state "$E2E_DIR/good")" ]
    wharf up --detach
    check_after_restart
    eventually has_snapshot
}

flip_byte() { printf X | dd of="$WHARF_STATE_DIR/snapshot" bs=1 seek=700 conv=notrunc 2>/dev/null; }

@test "a changed byte" { restart_with "its digest is not what its last line says" flip_byte; }

@test "a cut" { restart_with "is cut off or was changed" truncate -s -100 "$WHARF_STATE_DIR/snapshot"; }

@test "an empty file" { restart_with "does not begin as one" truncate -s 0 "$WHARF_STATE_DIR/snapshot"; }

@test "a newer format" {
    restart_with "is of format version 77, and this wharf reads version [0-9]*" \
        sed -i '1s/"version":[0-9]*,/"version":77,/' "$WHARF_STATE_DIR/snapshot"
}

@test "another node's" {
    reseal() {
        sed -i '1s/"node":"e2e"/"node":"xyz"/; $d' "$WHARF_STATE_DIR/snapshot"
        printf '{"sha256":"%s"}\n' "$(sha256sum <"$WHARF_STATE_DIR/snapshot" | cut -d' ' -f1)" >>"$WHARF_STATE_DIR/snapshot"
    }
    restart_with "is of node 'xyz', not of 'e2e'" reseal
}

# Creates a container under a key; prints what the answer is made of.
create_once() {
    curl -s --unix-socket "$WHARF_RUN_DIR/writer.sock" -H 'Content-Type: application/json' -H "Idempotency-Key: $1" \
        -d '{"type": "container.create", "data": {"image": "busybox", "command": ["true"]}}' \
        'http://writer/v1/commands?wait=20' | jq -S 'del(.event.traceparent)'
}

@test "the writer's file: outcomes are remembered, and a file that is of no use is done without" {
    local file=$WHARF_STATE_DIR/writer/placement first damage
    first=$(create_once key-1)
    [ "$(jq -r .outcome <<<"$first")" = ok ]
    for _ in 1 2 3 4 5; do wharf run --rm busybox true; done
    wharf down
    [ "$(sed -n 2p "$file" | jq .[0])" = "$(head -n 1 "$WHARF_STATE_DIR/snapshot" | jq .next_offset)" ]
    wharf up --detach
    run ! grep -q "all events are read instead" "$WHARF_RUN_DIR/up.log"
    [ "$(create_once key-1)" = "$first" ]
    [ "$(wharf ps -aq | wc -l)" = 4 ]
    for damage in "s/e2e/e3e/" "2s/\[[0-9]*,/[999999,/"; do
        wharf down
        sed -i "$damage" "$file"
        wharf up --detach
        grep -q "writer/placement' is cut off or was changed.*all events are read instead" "$WHARF_RUN_DIR/up.log"
        [ "$(create_once key-1)" = "$first" ]
    done
    wharf run --rm busybox true
    wharf down
    rm -r "$WHARF_STATE_DIR/writer"
    wharf up --detach
    wharf run --rm busybox true
    wharf down
    [ -f "$file" ]
    cp "$file" "$E2E_DIR/ahead"
    WHARF_LOG=sqlite:$WHARF_STATE_DIR/other wharf up --detach
    grep -q "writer/placement' does not fit the log; all events are read instead" "$WHARF_RUN_DIR/up.log"
    wharf import "$E2E_DIR/rootfs" busybox
    wharf run --rm busybox true
}

@test "one that the log does not reach, or that is of other events" {
    wharf rm -f stays
    wharf down
    cp "$WHARF_STATE_DIR/snapshot" "$E2E_DIR/ahead"
    WHARF_LOG=sqlite:$WHARF_STATE_DIR/other wharf up --detach
    grep -q "does not fit the log, which has other events or fewer; it was put aside" "$WHARF_RUN_DIR/up.log"
    [ -z "$(wharf ps -aq)" ]
    WHARF_LOG=sqlite:$WHARF_STATE_DIR/other wharf import "$E2E_DIR/rootfs" busybox
    for _ in 1 2 3 4 5; do wharf run --rm busybox true; done
    wharf down
    cp "$E2E_DIR/ahead" "$WHARF_STATE_DIR/snapshot"
    WHARF_LOG=sqlite:$WHARF_STATE_DIR/other wharf up --detach
    grep -q "does not fit the log" "$WHARF_RUN_DIR/up.log"
    [ -z "$(wharf ps -aq)" ]
    [ "$(find "$WHARF_STATE_DIR" -name 'snapshot.aside-*' | wc -l)" = 2 ]
}
