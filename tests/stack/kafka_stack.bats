#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The whole stack on a real Kafka broker: the same command line, a broker that is down at start, frozen while containers
# exit, restarted; garbage in both topics; records that kcat can read.

load ../e2e/helper

kafka() { "$BATS_TEST_DIRNAME/kafka.sh" "$1" "$BROKER" "${@:2}"; }

# Records of a topic, a line each.
topic() { kcat -b "$(cat "$BROKER/address")" -C -t "$1" -e -q "${@:2}"; }

setup_file() {
    prepare_stack
    export BROKER=$E2E_DIR/broker
    kafka start
    WHARF_LOG=kafka://$(cat "$BROKER/address")
    export WHARF_LOG
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox --cmd sh >/dev/null
}

teardown_file() {
    kafka resume 2>/dev/null || true
    local keep=$BROKER id
    for id in $(wharf ps -aq --no-trunc 2>/dev/null); do
        wharf rm -f "$id" >/dev/null 2>&1 || true
    done
    wharf down >/dev/null 2>&1 || true
    "$BATS_TEST_DIRNAME/kafka.sh" stop "$keep" || true
    stop_stack
}

@test "a container runs in the foreground, and its history is on Kafka, readable with kcat" {
    run -3 wharf run --name once busybox sh -c 'echo out; exit 3'
    [ "$output" = out ]
    wharf history --format json once >"$BATS_TEST_TMPDIR/history"
    [ "$(jq -rs 'map(.type) | join(" ")' "$BATS_TEST_TMPDIR/history")" = \
        "wharf.container.created.v1 wharf.container.started.v1 wharf.container.exited.v1" ]
    id=$(jq -rs '.[0].subject' "$BATS_TEST_TMPDIR/history")
    topic wharf.events -f '%k %h %s\n' | grep "^$id content-type=application/cloudevents+json " |
        sed 's/^[^{]*//' | jq -c 'del(._partition, ._offset)' >"$BATS_TEST_TMPDIR/kcat"
    jq -c 'del(._partition, ._offset)' "$BATS_TEST_TMPDIR/history" | cmp - "$BATS_TEST_TMPDIR/kcat"
    topic wharf.commands -f '%k %s\n' | grep "^$id " | grep -q '"wharf.container.run.v1"'
    wharf rm once
}

@test "garbage in both topics is parked in the dead letters, and the rest goes on" {
    printf 'no json' | kcat -b "$(cat "$BROKER/address")" -P -t wharf.commands -p 0
    printf '\377\376' | kcat -b "$(cat "$BROKER/address")" -P -t wharf.events -p 0
    run -0 wharf run --rm busybox echo still-here
    [ "$output" = still-here ]
    parked() { [ "$(topic wharf.deadletters | jq -rs 'map(.topic) | sort | join(" ")')" = "wharf.commands wharf.events" ]; }
    eventually parked
    topic wharf.deadletters | jq -es 'map(select(.topic == "wharf.events"))[0].value_base64 == "//4="'
}

@test "a broker that freezes while containers exit: nothing is lost, new commands are refused, state can be read" {
    wharf run -d --name brief busybox sh -c 'while [ ! -e /go ]; do sleep 0.05; done; echo bye; exit 7'
    wharf run -d --name long busybox sleep 1000
    pid=$(member long pid)
    brief=$(member brief pid)
    kafka pause
    touch "/proc/$brief/root/go"
    gone() { [ ! -e "/proc/$brief" ]; }
    eventually gone
    run -125 --separate-stderr wharf run -d busybox true
    [[ $stderr == *"the log is away"* ]]
    kill -0 "$pid"
    run -0 --separate-stderr wharf ps -q --no-trunc
    [ "${#lines[@]}" -ge 1 ]
    [[ $stderr == *"may be behind"* ]]
    kafka resume
    # the first reads may still be told that they may be behind
    run -0 --separate-stderr wharf wait brief
    [ "$output" = 7 ]
    [ "$(wharf logs brief)" = bye ]
    [ "$(member long pid)" = "$pid" ]
    wharf rm -f brief long
}

@test "a broker that is restarted: the stack goes on by itself" {
    wharf run -d --name over busybox sleep 1000
    kafka restart
    again() { wharf run --rm busybox echo again 2>/dev/null | grep -q again; }
    eventually again
    state_is over running
    wharf rm -f over
}

@test "writer, runtime and projector killed under way: one outcome a command, and the view is the fold" {
    wharf run -d --name kept busybox sleep 1000
    pid=$(member kept pid)
    for part in writer runtime projector; do
        kill -KILL "$(part_pid "$part")"
    done
    again() { wharf run --rm busybox echo again 2>/dev/null | grep -q again; }
    eventually again
    [ "$(member kept pid)" = "$pid" ]
    has_happened kept container.adopted
    topic wharf.events | jq -Rr 'fromjson? | select(.outcome) | .causationid' 2>/dev/null | sort >"$BATS_TEST_TMPDIR/outcomes"
    [ -s "$BATS_TEST_TMPDIR/outcomes" ]
    [ -z "$(uniq -d "$BATS_TEST_TMPDIR/outcomes")" ]
    run -0 wharf rebuild --verify
    wharf rm -f kept
}

@test "the next start reads what came after its snapshot, and a fresh host takes the node over by name and log" {
    wharf run -d --name lost busybox sleep 1000
    wharf down
    wharf up --detach
    grep -q 'read 0 events after its snapshot' "$WHARF_RUN_DIR/up.log"
    run ! grep -q 'put aside\|does not fit\|are read instead' "$WHARF_RUN_DIR/up.log"
    shim=$(wharf history --format json lost | jq -r 'select(.type == "wharf.container.started.v1").data.shim_pid')
    wharf down
    kill -KILL "$shim"
    rm -rf "${WHARF_STATE_DIR:?}"
    [ "$(wharf replay --dry-run --format json | jq -r 'select(.kind == "start").name')" = lost ]
    wharf up --detach
    wharf import "$E2E_DIR/rootfs" busybox --cmd sh
    [ "$(wharf replay --yes)" = lost ]
    state_is lost running
    [ "$(wharf history --format json lost | jq -r 'select(.type == "wharf.container.exited.v1").data.reason')" = state-lost ]
    wharf rm -f lost
}

@test "a topic that would lose its history is warned of, at start and by doctor" {
    run -0 wharf doctor
    [[ "$output" != *"loses its history"* ]]
    kafka retention wharf.events 3600000
    kill -KILL "$(part_pid writer)"
    warned() { wharf doctor | grep -q "^writer *note *topic 'wharf.events' loses its history: retention.ms is 3600000"; }
    eventually warned
    grep -q "wharf-writer: warning: topic 'wharf.events' loses its history" "$WHARF_RUN_DIR/up.log"
    kafka retention wharf.events -1
}

@test "a broker that is down at start: the stack starts, says so, refuses commands, and works when the broker is there" {
    wharf down
    kafka stop
    # not --detach: readiness is what cannot be had yet
    wharf up 2>"$BATS_TEST_TMPDIR/up" 3>&- &
    up=$!
    said() { grep -q 'away\|cannot' "$BATS_TEST_TMPDIR/up"; }
    eventually said
    run -125 --separate-stderr wharf run -d busybox true
    [ -n "$stderr" ]
    kafka restart
    again() { wharf run --rm busybox echo again 2>/dev/null | grep -q again; }
    eventually again
    kill -TERM "$up"
    wait "$up"
}
