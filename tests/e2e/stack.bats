# SPDX-License-Identifier: Apache-2.0
# The stack itself: starting, ending, crashing, and input that is not from us.
load helper

teardown() {
    local id
    for id in $(wharf ps -aq --no-trunc 2>/dev/null); do
        wharf rm -f "$id" >/dev/null
    done
}

is_ready() { wharf status >/dev/null; }

@test "a second up says who runs the stack" {
    run -1 wharf up --detach
    [[ "$output" == *"is up already: process $(cat "$WHARF_RUN_DIR/up.lock") runs it"* ]]
    run -1 wharf up
    [[ "$output" == *"is up already"* ]]
}

@test "status shows every part" {
    run -0 wharf status
    for part in redis writer runtime projector query; do
        [[ "$output" == *"$part"*serving* ]]
    done
    [ "$(wharf status --format json | jq -r '.services.writer + .supervisor.state')" = readyup ]
}

@test "containers survive the end of the stack, and the next one takes them over" {
    wharf run -d --name survivor busybox sleep 1000
    local pid
    pid=$(member survivor pid)
    wharf down
    kill -0 "$pid"
    wharf up --detach
    [ "$(member survivor pid)" = "$pid" ]
    state_is survivor running
    history_types survivor | grep -q container.adopted
}

@test "an exit while the stack is down is recorded with its code" {
    wharf run -d --name leaver busybox sh -c 'trap "exit 11" TERM; echo ready; while :; do sleep 0.1; done'
    eventually logs_have leaver ready
    local pid
    pid=$(member leaver pid)
    wharf down
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null; do read -rt 0.05 <> <(:) || true; done
    wharf up --detach
    eventually state_is leaver exited
    [ "$(member leaver exit_code)" = 11 ]
}

@test "every part may be killed at any time: containers run on and the history stays whole" {
    wharf run -d --name rock busybox sh -c 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done'
    local pid part
    pid=$(member rock pid)
    for part in redis projector query writer runtime; do
        kill -KILL "$(part_pid $part)"
        eventually grep -q "the $part serves again" "$WHARF_RUN_DIR/up.log"
    done
    eventually is_ready
    eventually state_is rock running
    [ "$(member rock pid)" = "$pid" ]
    wharf stop -t 0 rock
    # Every line that the container wrote is there, in order.
    wharf logs rock | awk '$1 != NR { exit 1 }'
    chain_is_whole
}

@test "a foreground run goes on when the runtime is killed: no line twice, none missing, the right code" {
    wharf run --rm --name attached busybox sh -c 'for i in $(seq 1 60); do echo $i; sleep 0.05; done; exit 4' \
        >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
    local client=$! code=0
    eventually grep -qx 10 "$BATS_TEST_TMPDIR/out"
    kill -KILL "$(part_pid runtime)"
    wait $client || code=$?
    [ $code = 4 ]
    seq 1 60 | cmp - "$BATS_TEST_TMPDIR/out"
    [ "$(grep -c reconnect "$BATS_TEST_TMPDIR/err")" = 1 ]
}

@test "a supervisor that was killed does not stop the next up" {
    wharf run -d --name steady busybox sleep 1000
    local pid
    pid=$(member steady pid)
    kill -KILL "$(cat "$WHARF_RUN_DIR/up.lock")"
    eventually wharf up --detach
    [ "$(member steady pid)" = "$pid" ]
}

@test "a command sent twice with one key is carried out once" {
    local body='{"type":"container.run","data":{"image":"busybox","name":"single","command":["sleep","1000"]}}'
    local first second
    first=$(curl -s --unix-socket "$WHARF_RUN_DIR/writer.sock" -H 'Idempotency-Key: one-key' -H 'Content-Type: application/json' \
        -d "$body" 'http://wharf/v1/commands?wait=10')
    second=$(curl -s --unix-socket "$WHARF_RUN_DIR/writer.sock" -H 'Idempotency-Key: one-key' -H 'Content-Type: application/json' \
        -d "$body" 'http://wharf/v1/commands?wait=10')
    [ "$(jq -r .container <<<"$first")" = "$(jq -r .container <<<"$second")" ]
    [ "$(jq -r .outcome <<<"$second")" = ok ]
    [ "$(wharf ps -aq --filter name=single | wc -l)" = 1 ]
}

@test "a second runtime for the same node gives up and says why" {
    run -1 timeout 20 wharf runtime --run-dir "$E2E_DIR/other-run" --state-dir "$WHARF_STATE_DIR" --node e2e
    [[ "$output" == *"error"* ]]
    run -0 wharf run --rm busybox echo still
    [ "$output" = still ]
}

@test "a request of 10 MB is refused, and the writer goes on" {
    head -c 10000000 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/large"
    run curl -s -o /dev/null -w '%{http_code}' --unix-socket "$WHARF_RUN_DIR/writer.sock" \
        -H 'Content-Type: application/json' -H 'Expect:' --data-binary @"$BATS_TEST_TMPDIR/large" http://wharf/v1/commands
    [[ "$output" == *413* ]]
    wharf run --rm busybox true
}

@test "a thousand clients that say nothing stop nobody" {
    perl -MIO::Socket::UNIX -e '
        my @held = map { IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "client $_: $!" } 1 .. 1000;
        $| = 1; print "connected\n"; sleep 60' "$WHARF_RUN_DIR/writer.sock" >"$BATS_TEST_TMPDIR/held" 3>&- &
    local holder=$!
    eventually grep -q connected "$BATS_TEST_TMPDIR/held"
    run -0 wharf run --rm busybox echo served
    [ "$output" = served ]
    kill $holder
}

@test "garbage in either topic is parked, and the rest goes on" {
    local topic
    for topic in commands events; do
        sqlite3 "$WHARF_STATE_DIR/log/wharf.$topic.db" "pragma busy_timeout = 5000; insert into records
            (partition, offset, time, key, headers, value)
            select 0, coalesce(max(offset), -1) + 1, 0, null, '{}', 'no json at all' from records where partition = 0" ||
            skip_reason=1
    done
    [ -z "${skip_reason:-}" ]
    wharf down
    wharf up --detach
    run -0 wharf run --rm busybox echo after
    [ "$output" = after ]
    eventually test -s "$WHARF_STATE_DIR/log/wharf.deadletters.db"
    [ "$(sqlite3 "$WHARF_STATE_DIR/log/wharf.deadletters.db" 'select count(*) from records')" -ge 1 ]
}
