# SPDX-License-Identifier: Apache-2.0
# Stacks that cannot start, and stores that fail while they run. Each test has a stack of its own.
load helper

setup_file() { :; }
teardown_file() { :; }
setup() { prepare_stack; }
teardown() { stop_stack; }

@test "a log directory that cannot be used fails up with the reason, and nothing stays" {
    mkdir -p "$WHARF_STATE_DIR"
    touch "$WHARF_STATE_DIR/log"
    run -1 wharf up --detach
    [[ "$output" == *"$WHARF_STATE_DIR/log"* ]]
    [ ! -e "$WHARF_RUN_DIR/up.json" ]
    run -0 wharf down
    [[ "$output" == *"not running"* ]]
}

@test "up without redis-server says what to install" {
    mkdir "$E2E_DIR/bin"
    run -1 env PATH="$E2E_DIR/bin" "$WHARF_BUILD/wharf" up --detach
    [[ "$output" == *"apt-get install redis-server"* ]]
}

# The value is the epoch.
node_is_alive() { [ "$(redis-cli -s "$E2E_DIR/late.sock" get wharf:v1:alive:e2e)" = 1 ]; }

@test "a Redis that is not there at start is waited for; commands do not need it" {
    wharf up --log "sqlite:$WHARF_STATE_DIR/log" --redis "unix:$E2E_DIR/late.sock" >"$E2E_DIR/up.out" 2>&1 3>&- &
    local up=$!
    make_rootfs "$E2E_DIR/rootfs"
    eventually test -S "$WHARF_RUN_DIR/writer.sock"
    eventually test -S "$WHARF_RUN_DIR/runtime.sock"
    eventually wharf import "$E2E_DIR/rootfs" busybox
    run -0 wharf run --rm busybox echo without
    [ "$output" = without ]
    redis-server --port 0 --unixsocket "$E2E_DIR/late.sock" --save '' --daemonize no >/dev/null 3>&- &
    local redis=$!
    eventually wharf ps -a
    eventually node_is_alive
    (($(redis-cli -s "$E2E_DIR/late.sock" pttl wharf:v1:alive:e2e) > 0))
    wharf down
    wait $up
    [ "$(redis-cli -s "$E2E_DIR/late.sock" exists wharf:v1:alive:e2e)" = 0 ]
    kill $redis
}

@test "a full disk refuses commands with a clear message, and works again when there is room" {
    mkdir -p "$WHARF_STATE_DIR/log"
    mount -t tmpfs -o size=8m tmpfs "$WHARF_STATE_DIR/log"
    chmod 2770 "$WHARF_STATE_DIR/log"
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox
    dd if=/dev/zero of="$WHARF_STATE_DIR/log/filler" bs=4k 2>/dev/null || true
    local code=0 i
    for i in $(seq 1 20); do
        timeout 60 wharf create busybox true >/dev/null 2>"$E2E_DIR/refused" || { code=$?; break; }
    done
    [ $code = 1 ]
    [ -s "$E2E_DIR/refused" ]
    rm "$WHARF_STATE_DIR/log/filler"
    eventually wharf run --rm busybox true
}

@test "two stacks side by side do not see each other" {
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox
    wharf run -d --name here busybox sleep 1000
    wharf --run-dir "$E2E_DIR/run2" up --detach --state-dir "$E2E_DIR/state2" --node second
    [ -z "$(wharf --run-dir "$E2E_DIR/run2" ps -aq)" ]
    wharf --run-dir "$E2E_DIR/run2" down
    state_is here running
}

@test "only the runtime stays root where there is a user for the others" {
    chmod 755 "$E2E_DIR"
    WHARF_USER=nobody wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox
    run -0 wharf run --rm busybox echo unprivileged
    [ "$output" = unprivileged ]
    local part uid
    for part in redis writer projector query; do
        uid=$(awk '/^Uid:/ { print $2 }' "/proc/$(part_pid "$part")/status")
        [ "$uid" = "$(id -u nobody)" ]
        grep -q '^CapEff:[[:space:]]*0000000000000000$' "/proc/$(part_pid "$part")/status"
    done
    [ "$(awk '/^Uid:/ { print $2 }' "/proc/$(part_pid runtime)/status")" = 0 ]
    [ "$(wharf ps -aq | wc -l)" = 0 ]
    wharf down
    [ "$(stat -c %U "$WHARF_STATE_DIR/redis/dump.rdb")" = nobody ]
    [ ! -L "$WHARF_RUN_DIR/redis.sock" ]
}

@test "down --stop stops the containers first" {
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox
    wharf run -d --name ending --stop-timeout 0 busybox sleep 1000
    wharf run -d --name paused --stop-timeout 0 busybox sleep 1000
    wharf pause paused
    local pid paused
    pid=$(member ending pid)
    paused=$(member paused pid)
    wharf down --stop
    run ! kill -0 "$pid"
    run ! kill -0 "$paused"
    wharf up --detach
    state_is ending exited
    state_is paused exited
}

@test "rebuild makes the same view again" {
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox
    wharf run --name seen busybox true
    local before
    before=$(wharf ps -a --format json | jq -S .)
    wharf rebuild --verify
    wharf rebuild
    [ "$(wharf ps -a --format json | jq -S .)" = "$before" ]
    # the stack itself says where its log is
    run -0 env -u WHARF_STATE_DIR wharf rebuild --verify
    [[ $output != *" 0 records"* ]]
}

@test "the private Redis starts from its copy, and without it if that is damaged" {
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox
    wharf run --name kept busybox true
    local before
    before=$(wharf ps -a --format json | jq -S .)
    wharf down
    [ -s "$WHARF_STATE_DIR/redis/dump.rdb" ]
    wharf up --detach
    [ "$(wharf ps -a --format json | jq -S .)" = "$before" ]
    wharf down
    truncate -s 100 "$WHARF_STATE_DIR/redis/dump.rdb"
    wharf up --detach
    [ "$(wharf ps -a --format json | jq -S .)" = "$before" ]
    [ -e "$WHARF_STATE_DIR/redis/dump.rdb.damaged" ]
    grep -q "which is now '.*dump.rdb.damaged'" "$WHARF_RUN_DIR"/*.log
}

@test "a history that the read model has forgotten comes from the log" {
    wharf up --detach
    make_rootfs "$E2E_DIR/rootfs"
    wharf import "$E2E_DIR/rootfs" busybox
    local id before key
    id=$(wharf run -d --name old busybox true)
    wharf wait old
    wharf rm old
    before=$(wharf history "$id")
    # what the projector does once 10,000 more containers were removed
    key="wharf:v1:{$(wharf events --format json | jq -r ._partition | head -1)}:"
    redis-cli -s "$WHARF_RUN_DIR/redis.sock" del "${key}history:$id"
    redis-cli -s "$WHARF_RUN_DIR/redis.sock" zrem "${key}ids" "$id"
    redis-cli -s "$WHARF_RUN_DIR/redis.sock" hdel "${key}pastnames" "$WHARF_NODE/old"
    [ "$(wharf history "$id")" = "$before" ]
    [ "$(wharf history "${id:0:12}")" = "$before" ]
    [ "$(wharf history old)" = "$before" ]
    run -1 wharf history never
    [[ $output == *"there is no container 'never'"* ]]
}

@test "a host whose name cannot name a node: only those who need the node want another one" {
    named_none() { # COMMAND [ARG...]
        unshare --uts env -u WHARF_NODE python3 -c 'import os, socket, sys; socket.sethostname("(none)"); os.execvp(sys.argv[1], sys.argv[1:])' "$@"
    }
    run -1 named_none wharf up --detach
    [[ $output == *"the host's name cannot name the node; give it one with --node" ]]
    [ ! -e "$WHARF_STATE_DIR" ]
    run -1 named_none wharf ps
    [[ $output == *"is the stack up?"* ]]
    run -0 --separate-stderr named_none wharf-oci --root "$E2E_DIR/oci" list
    [ -z "$stderr" ]
}
