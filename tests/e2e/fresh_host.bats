# SPDX-License-Identifier: Apache-2.0
# The host is lost: its state directory and its containers are gone, the log is elsewhere and whole. The node comes back by its name.
load helper

setup_file() { :; }
teardown_file() { :; }
setup() {
    prepare_stack
    export WHARF_LOG=sqlite:$E2E_DIR/log
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox --cmd sh >/dev/null
    wharf run -d --name plain busybox sh -c 'echo hello; exec sleep 1000'
    wharf run -d --name always --restart always busybox sleep 1000
    wharf run -d --name unless --restart unless-stopped busybox sleep 1000
    wharf run -d --name failing --restart on-failure:3 busybox sleep 1000
    wharf run -d --name once --rm busybox sleep 1000
    wharf run -d --name off --restart unless-stopped --stop-timeout 0 busybox sleep 1000
    wharf stop off
    run -3 wharf run --name ended busybox sh -c 'exit 3'
    wharf create --name made busybox sleep 1000
    all_running=(plain always unless failing)
}
teardown() { stop_stack; }

lose_host() {
    local shims name
    shims=$(for name in "${all_running[@]}" once; do wharf history --format json "$name"; done |
        jq -r 'select(.type == "wharf.container.started.v1").data.shim_pid')
    wharf down
    # shellcheck disable=SC2086
    kill -KILL $shims
    rm -rf "${WHARF_STATE_DIR:?}"
}

# The rows of a dry run of a kind, as NAME or the jq expression $2.
planned() { wharf replay --dry-run --format json | jq -r "select($1) | ${2:-.name}" | sort | tr '\n' ' '; }

event_of() { wharf history --format json "$1" | jq -r "select(.type == \"wharf.container.$2.v1\") | $3" | tail -n 1; }

@test "what ran before runs again, and the history tells all of it" {
    [ "$(planned '.kind == "start"')" = "" ]
    lose_host

    # before there is a stack: the same fold and the same recovery, and nothing is changed
    [ "$(planned '.kind == "event" and .type == "container.exited" and .data.reason == "state-lost"')" = "always failing once plain unless " ]
    [ "$(planned '.kind == "remove"')" = "once " ]
    [ "$(planned '.kind == "start" and .by == "policy"')" = "always failing unless " ]
    [ "$(planned '.kind == "start" and .by == "replay"')" = "plain " ]
    [ "$(planned '.kind == "image"' '.image')" = "busybox " ]
    run -0 wharf replay --dry-run
    [[ "$output" == *"node 'e2e' is down, and its state directory is new"* ]]
    [[ "$output" == *"to be imported first: busybox (sha256:"* ]]
    [ ! -e "$WHARF_STATE_DIR" ]
    run -1 wharf replay --yes
    [[ "$output" == *"is not running: start it with 'wharf up'"* ]]

    # the node comes back: what was said is recorded, and the policies' starts fail for lack of the image, once
    wharf up --detach
    local name
    for name in always unless failing; do eventually has_happened "$name" container.start_failed; done
    for name in "${all_running[@]}"; do
        state_is "$name" exited
        [ "$(event_of "$name" exited '[.actor, .data.reason, .data.exit_code] | @csv')" = '"system:recovery","state-lost",' ]
        [[ "$(event_of "$name" exited .data.observed)" == "the state directory is new"* ]]
    done
    [ "$(event_of always start_failed .data.code)" = image-missing ]
    [[ "$(event_of always start_failed .data.message)" == "image contents of 'busybox' (sha256:"*") are not on this host: import it again" ]]
    run -1 wharf inspect once
    state_is off exited
    state_is ended exited
    [ "$(member ended exit_code)" = 3 ]
    state_is made created
    run -1 wharf logs plain
    [[ "$output" == *"no output of it is on this host"* ]]
    run -125 wharf run --rm busybox true
    [[ "$output" == *"are not on this host: import it again"* ]]

    # without the image a replay says what is missing; without a terminal it does not go ahead by itself
    run -1 wharf replay </dev/null
    [[ "$output" == *"say --yes"* ]]
    local before
    before=$(sqlite3 "$E2E_DIR/log/wharf.events.db" 'select count(*) from records')
    run -1 wharf replay --yes
    [[ "$output" == *"cannot start 'plain': image contents of 'busybox'"* ]]
    [ "$(sqlite3 "$E2E_DIR/log/wharf.events.db" 'select count(*) from records')" = "$before" ]

    wharf import "$E2E_DIR/rootfs" busybox --cmd sh
    [ "$(planned '.kind == "start" and .by == "replay"')" = "always failing plain unless " ]
    [ "$(wharf replay --yes | sort | tr '\n' ' ')" = "always failing plain unless " ]
    for name in "${all_running[@]}"; do state_is "$name" running; done
    run -0 wharf replay --yes
    [[ "$output" == *"everything that should run on node 'e2e' runs"* ]]
    eventually logs_have plain hello
    [[ "$(event_of plain started .actor)" == *uid=0* ]]
    [ "$(history_types plain | tail -n 2 | tr '\n' ' ')" = "container.exited container.started " ]

    # what did not run on the old host can be started or removed on the new one
    wharf start made ended
    wharf rm -f off
    WHARF_STATE_DIR=$E2E_DIR chain_is_whole
}

@test "an image that is imported before the node comes back is all that is needed for policies" {
    lose_host
    mkdir -p "$WHARF_STATE_DIR"
    # the first runtime on the new host, without the containers' node, brings the image
    WHARF_LOG=sqlite:$E2E_DIR/elsewhere wharf up --detach
    wharf import "$E2E_DIR/rootfs" busybox --cmd sh
    wharf down
    rm "$WHARF_STATE_DIR/node.json" "$WHARF_STATE_DIR/snapshot"
    [ "$(planned '.kind == "image"')" = "" ]
    wharf up --detach
    local name
    for name in always unless failing; do eventually state_is "$name" running; done
    [ "$(wharf replay --yes)" = plain ]
    state_is plain running
}

@test "on a terminal replay asks" {
    lose_host
    wharf up --detach
    wharf import "$E2E_DIR/rootfs" busybox --cmd sh
    wharf replay --dry-run
    run -1 script -qec "wharf replay" /dev/null <<<n
    [[ "$output" == *"start "*"container"*"? [y/N]"* ]]
    [[ "$output" == *"nothing was started"* ]]
    state_is plain exited
    run -0 script -qec "wharf replay" /dev/null <<<y
    state_is plain running
}

@test "a node or a log that is not there is said so" {
    wharf down
    run -1 wharf replay --dry-run --node misspelt
    [[ "$output" == *"is of node 'e2e', not of 'misspelt'"* ]]
    run -1 wharf replay --dry-run --node misspelt --state-dir "$E2E_DIR/fresh"
    [[ "$output" == *"knows no node 'misspelt'"* ]]
    run -1 wharf replay --dry-run --log "sqlite:$E2E_DIR/nowhere"
    [[ "$output" == *"$E2E_DIR/nowhere"* ]]
    [ ! -e "$E2E_DIR/nowhere" ]
    run -1 wharf replay --dry-run --log nonsense
    [[ "$output" == *"nonsense"* ]]
    wharf up --detach
}

@test "a state directory of another node is refused" {
    wharf down
    run -1 wharf up --detach --node another
    [[ "$output" == *"is of node 'e2e', not of 'another'"* ]]
    wharf up --detach
    state_is plain running
}
