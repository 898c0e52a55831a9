#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# wharf-oci: update, events, ps, kill --all, and terminals of our own.

load oci

on_terminal() { timeout 20 python3 "$BATS_TEST_DIRNAME/on_terminal.py" "$@"; }
# The value of a cgroup v1 file, or of the v2 one.
limit() { cat "/sys/fs/cgroup/$1/wharf-oci/$ID/$2"; }

@test "update changes the limits live and in the saved configuration" {
    run_sleeper
    $OCI update "$ID" --memory 64m --pids-limit 100 --cpu-share 300
    [ "$(limit memory memory.limit_in_bytes)" -eq $((64 << 20)) ]
    [ "$(limit pids pids.max)" -eq 100 ]
    [ "$(limit cpu cpu.shares)" -eq 300 ]
    # Down and up, with swap, which the kernel takes in one order only each time.
    $OCI update --resources - "$ID" <<<'{"memory": {"limit": 33554432, "swap": 33554432}, "cpu": {"quota": 50000, "period": 100000}}'
    [ "$(limit memory memory.memsw.limit_in_bytes)" -eq $((32 << 20)) ]
    echo '{"memory": {"limit": 134217728, "swap": 134217728}}' >"$DIR/resources"
    $OCI update --resources "$DIR/resources" --pids-limit 0 "$ID"
    [ "$(limit memory memory.limit_in_bytes)" -eq $((128 << 20)) ]
    [ "$(limit pids pids.max)" = max ]
    [ "$(jq -c '.linux.resources | [.memory.limit, .memory.swap, .cpu.shares, .cpu.quota, .pids.limit]' "$DIR/root/$ID/config.json")" = \
        '[134217728,134217728,300,50000,0]' ]
    [ "$($OCI exec "$ID" echo on)" = on ]
}

@test "an update that is wrong changes nothing" {
    run_sleeper
    $OCI update --pids-limit 50 --memory 64m "$ID"
    cp "$DIR/root/$ID/config.json" "$DIR/before"
    while IFS='|' read -r flags input message; do
        # shellcheck disable=SC2086 # several words
        run $OCI update $flags "$ID" <<<"$input"
        [ "$status" -eq 1 ]
        [[ "$output" == *"$message"* ]]
        [ "$(limit pids pids.max)" -eq 50 ]
        [ "$(limit memory memory.limit_in_bytes)" -eq $((64 << 20)) ]
        cmp "$DIR/before" "$DIR/root/$ID/config.json"
    done <<'CASES'
--pids-limit 60 --cpuset-cpus 999||'linux.resources.cpu.cpus'
--pids-limit 60 --memory 4096||'linux.resources.memory.limit'
--resources -|{"memory": {"limit": 4096, "checkBeforeUpdate": true}}|'linux.resources.memory.limit'
--pids-limit many||--pids-limit is a number, not 'many'
--memory 1x||--memory is a number of bytes
--memory 9223372036854775807k||--memory is a number of bytes
--resources -|[]|is no JSON object
--resources -|{"pids": {"limit": "x"}}|'linux.resources.pids.limit' has a value of the wrong type
--resources -|{"devices": [{"allow": true, "access": "rwm"}]}|'linux.resources.devices' of a container that exists cannot be changed
--resources -|{"devices": 7|is no JSON object
--l3-cache-schema x||unknown option '--l3-cache-schema'
CASES
    $OCI kill "$ID" KILL
    wait_until sh -c "[ \$($OCI state $ID | jq -r .status) = stopped ]"
    run $OCI update --pids-limit 60 "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"it is not running but stopped"* ]]
}

@test "events --stats once, and at intervals until the container ends, in runc's shape" {
    run_sleeper
    $OCI update --pids-limit 100 --memory 64m "$ID"
    stats=$($OCI events --stats "$ID")
    [ "$(jq -r '"\(.type) \(.id) \(.data.pids.current) \(.data.pids.limit) \(.data.memory.usage.limit)"' <<<"$stats")" = "stats $ID 1 100 67108864" ]
    jq -e '.data.cpu.usage.total > 0 and .data.memory.usage.usage > 0 and (.data.memory.raw | length > 5) and
        (.data.blkio.ioServiceBytesRecursive | type == "array") and .data.cpu.throttling.periods >= 0' <<<"$stats"
    $OCI events "$ID" --interval 50ms >"$DIR/events" 3>&- &
    watcher=$!
    wait_until sh -c "[ \$(grep -c stats $DIR/events) -ge 3 ]"
    $OCI kill "$ID" KILL
    wait $watcher
    run $OCI events --stats "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"it is not running but stopped"* ]]
    run $OCI events --interval soon "$ID"
    [[ "$output" == *"--interval is a time from 1ms to 24 hours, such as 5s, not 'soon'"* ]]
}

@test "an OOM kill is an event" {
    config '.linux.resources.memory = {limit: 8388608, swap: 8388608}'
    run_sleeper
    $OCI events "$ID" --interval 1h >"$DIR/events" 3>&- &
    watcher=$!
    wait_until grep -q stats "$DIR/events"
    run $OCI exec "$ID" sh -c 'dd if=/dev/zero of=/dev/null bs=64M count=1'
    [ "$status" -eq 137 ]
    wait_until grep -q '"oom"' "$DIR/events"
    [ "$(grep '"oom"' "$DIR/events" | jq -r .id)" = "$ID" ]
    $OCI kill "$ID" KILL
    wait $watcher
}

@test "ps as JSON and as a table, and kill --all" {
    run_sleeper
    pid=$($OCI state "$ID" | jq .pid)
    $OCI exec --user 5 -d --pid-file "$DIR/pid" "$ID" sleep 2000 </dev/null >/dev/null 2>&1
    other=$(cat "$DIR/pid")
    [ "$($OCI ps --format json "$ID" | jq -c sort)" = "$(jq -nc "[$pid, $other] | sort")" ]
    run $OCI ps "$ID"
    [[ "${lines[0]}" =~ ^UID\ +PID\ +PPID\ +CMD$ ]]
    [ "${#lines[@]}" -eq 3 ]
    [[ "$output" =~ (^|$'\n')5\ +$other\ +[0-9]+\ +sleep\ 2000($'\n'|$) ]]
    run $OCI ps --format yaml "$ID"
    [ "$status" -eq 1 ]
    $OCI kill --all "$ID" KILL
    wait_for_end "$pid"
    wait_for_end "$other"
    $OCI delete "$ID"
}

@test "run and exec serve a terminal: its size, what is typed, and the exit code" {
    command 'stty size; echo ready; read line; echo "got $line"; exit 6'
    config '.process.terminal = true'
    run on_terminal $OCI run --bundle "$DIR/b" "$ID" <<'SCRIPT'
expect 30 100
expect ready
send hello\r
expect got hello
SCRIPT
    [ "$status" -eq 6 ]
    config '.process.terminal = false'
    run_sleeper
    run on_terminal $OCI exec --tty "$ID" sh -c 'trap "stty size; exit 8" WINCH; echo ready; while :; do sleep 0.05; done' <<'SCRIPT'
expect ready
resize 11 22
expect 11 22
SCRIPT
    [ "$status" -eq 8 ]
    # Typed control characters are the inner terminal's to act on.
    run on_terminal $OCI exec -t "$ID" sh -c 'trap "echo interrupted; exit 9" INT; echo ready; while :; do sleep 0.05; done' <<'SCRIPT'
expect ready
send \x03
expect interrupted
SCRIPT
    [ "$status" -eq 9 ]
}

@test "nothing of what a terminal showed is lost at the end" {
    run_sleeper
    on_terminal $OCI exec --tty "$ID" seq 100000 </dev/null >"$DIR/shown"
    tr -d '\r' <"$DIR/shown" | cmp - <(seq 100000)
    # Without a terminal on our side.
    $OCI exec --tty "$ID" seq 100000 </dev/null | tr -d '\r' | cmp - <(seq 100000)
}
