#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Containers that the previous build started, under this one.

load ../e2e/helper

setup_file() { :; }
teardown_file() { :; }

# install_build TREE: over what is installed, as `make install` does.
install_build() {
    make -s -C "$1" install BUILD="$2" DESTDIR="$E2E_DIR/root" PREFIX=/usr >/dev/null
}

setup() {
    prepare_stack
    install_build "$TEST_PREVIOUS" build
    export PATH=$E2E_DIR/root/usr/bin:$PATH
    hash -r
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox >/dev/null
}

teardown() { stop_stack; }

upgrade() {
    install_build "$(dirname "$WHARF_BUILD")" "$WHARF_BUILD"
}

# The runtime's processes are gone, and with them whoever could see an exit.
process_is_gone() { ! kill -0 "$1" 2>/dev/null; }

@test "containers outlive an upgrade" {
    local talker stopper ender pid_talker pid_ender
    talker=$(wharf run -d --name talker busybox sh -c 'i=0; while :; do i=$((i + 1)); echo "line $i"; sleep 0.05; done')
    stopper=$(wharf run -d --name stopper busybox sh -c 'trap "exit 5" TERM; while :; do sleep 0.05; done')
    ender=$(wharf run -d --name ender busybox sh -c 'trap "exit 7" USR1; while :; do sleep 0.05; done')
    wharf run -d --name again --restart always busybox sleep 1000
    pid_talker=$(member talker pid)
    pid_ender=$(member ender pid)
    eventually logs_have talker 'line 3'
    wharf down
    kill -USR1 "$pid_ender"
    eventually process_is_gone "$pid_ender"

    upgrade
    wharf up --detach
    state_is talker running
    [ "$(member talker pid)" = "$pid_talker" ]
    has_happened talker container.adopted
    has_happened again container.adopted
    state_is ender exited
    [ "$(member ender exit_code)" = 7 ]
    # what is new to its shim works all the same, or is refused
    wharf pause talker
    state_is talker paused
    wharf unpause talker
    wharf update --pids-limit 50 talker
    wharf attach talker </dev/null | head -n 1 | grep '^line '
    wharf rename ender ended
    wharf rename ended ender
    wharf stop stopper
    [ "$(member stopper exit_code)" = 5 ]
    wharf kill talker
    run -0 wharf wait talker
    [ "$output" = 137 ]
    # every line once and in order, from before, during and after
    wharf logs talker >"$BATS_TEST_TMPDIR/lines"
    cmp "$BATS_TEST_TMPDIR/lines" <(seq -f 'line %.0f' "$(wc -l <"$BATS_TEST_TMPDIR/lines")")
    kill -KILL "$(member again pid)" # not by hand: its policy applies
    eventually has_happened again container.started 2
    eventually state_is again running
    wharf start ender
    wharf rm -f "$talker" "$stopper" "$ender" again
    run -0 wharf run --rm busybox echo hello
    [ "$output" = hello ]
    chain_is_whole
    wharf rebuild --verify
}

@test "an upgrade under a running stack" {
    wharf run -d --name before busybox sh -c 'trap "exit 3" TERM; while :; do sleep 0.05; done'
    upgrade
    wharf run -d --name between busybox sh -c 'trap "exit 4" TERM; while :; do sleep 0.05; done'
    local pid_before pid_between
    pid_before=$(member before pid)
    pid_between=$(member between pid)
    wharf down
    wharf up --detach
    [ "$(member before pid)" = "$pid_before" ]
    [ "$(member between pid)" = "$pid_between" ]
    wharf stop before between
    [ "$(member before exit_code)" = 3 ]
    [ "$(member between exit_code)" = 4 ]
    chain_is_whole
}

# FNV-1a of the text, as the records have it.
checksum() {
    local sum=2166136261 i code
    for ((i = 0; i < ${#1}; i++)); do
        printf -v code %d "'${1:i:1}"
        sum=$((((sum ^ code) * 16777619) & 0xffffffff))
    done
    printf %08x "$sum"
}

@test "a record of a newer build" {
    upgrade
    wharf down
    wharf up --detach
    local id pid record
    id=$(wharf run -d --name newer busybox sleep 1000)
    pid=$(member newer pid)
    wharf down
    record=$(head -1 "$WHARF_STATE_DIR/containers/$id/shim")
    record=${record% sum=*}
    record="wharf-shim 2 ${record#wharf-shim 1 }"
    cp "$WHARF_STATE_DIR/containers/$id/shim" "$E2E_DIR/shim"
    printf '%s sum=%s\n' "$record" "$(checksum "$record")" >"$WHARF_STATE_DIR/containers/$id/shim"
    run -1 wharf up --detach
    [[ $output == *"started by a newer wharf"* ]]
    kill -0 "$pid"
    cp "$E2E_DIR/shim" "$WHARF_STATE_DIR/containers/$id/shim"
    wharf up --detach
    [ "$(member newer pid)" = "$pid" ]
    wharf rm -f newer
}
