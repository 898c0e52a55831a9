# SPDX-License-Identifier: Apache-2.0
load helper

teardown() {
    local id
    for id in $(wharf ps -aq --no-trunc); do
        wharf rm -f "$id" >/dev/null
    done
}

@test "create, start, stop, start again, remove" {
    run -0 wharf create --name cycle --stop-timeout 1 busybox sh -c 'trap "exit 0" TERM; while :; do sleep 0.1; done'
    [[ "$output" =~ ^[0-9a-f]{64}$ ]]
    state_is cycle created
    run -0 wharf start cycle
    [ "$output" = cycle ]
    state_is cycle running
    wharf stop cycle
    state_is cycle exited
    wharf start cycle
    run -1 wharf rm cycle
    [[ "$output" == *"cannot remove 'cycle'"* ]]
    wharf stop cycle
    wharf rm cycle
    run -1 wharf inspect cycle
}

@test "starting a running container changes nothing; a container that is gone is named" {
    wharf run -d --name running busybox sleep 1000
    local pid
    pid=$(member running pid)
    run wharf start running
    [ "$(member running pid)" = "$pid" ]
    run -1 wharf start gone
    [[ "$output" == *gone* ]]
    run -1 wharf stop gone
    run -1 wharf kill gone
    run -1 wharf rm gone
    run -1 wharf logs gone
    run -1 wharf wait gone
    run -1 wharf history gone
}

@test "one failure does not stop the others" {
    wharf run -d --name one busybox sleep 1000
    wharf run -d --name two busybox sleep 1000
    run --separate-stderr -1 wharf stop -t 0 one nobody two
    [ "$output" = "$(printf 'one\ntwo')" ]
    [[ "$stderr" == *nobody* ]]
    state_is one exited
    state_is two exited
}

@test "stop asks first and kills then" {
    wharf run -d --name polite busybox sh -c 'trap "echo bye; exit 3" TERM; echo ready; while :; do sleep 0.1; done'
    eventually logs_have polite ready
    wharf stop polite
    [ "$(member polite exit_code)" = 3 ]
    wharf run -d --name stubborn busybox sh -c 'trap "" TERM; echo ready; while :; do sleep 1000; done'
    wharf stop -t 1 stubborn
    [ "$(member stubborn exit_code)" = 137 ]
}

@test "whoever is less patient does not wait for another's stop" {
    local stopper
    wharf run -d --name tough busybox sh -c 'trap "" TERM; echo ready; while :; do sleep 1000; done'
    eventually logs_have tough ready
    wharf stop -t 600 tough 3>&- &
    stopper=$!
    eventually state_is tough stopping
    run -125 wharf exec tough true
    [[ "$output" == *"container 'tough' is being stopped"* ]]
    timeout 60 wharf stop -t 1 tough
    wait $stopper
    wharf start tough
    wharf stop -t 600 tough 3>&- &
    stopper=$!
    eventually state_is tough stopping
    timeout 60 wharf rm -f tough
    wait $stopper
}

@test "kill sends the signal that was asked for" {
    wharf run -d --name target busybox sh -c 'trap "exit 9" USR1; echo ready; while :; do sleep 0.1; done'
    eventually logs_have target ready
    wharf kill -s USR1 target
    run -0 wharf wait target
    [ "$output" = 9 ]
    wharf run -d --name target2 busybox sleep 1000
    wharf kill target2
    run -0 wharf wait target2
    [ "$output" = 137 ]
    run -1 wharf kill -s NOSUCH target2
}

@test "what was killed has ended: it can be started and removed at once" {
    wharf run -d --name mortal --restart always busybox sleep 1000
    wharf run -d --name frozen busybox sleep 1000
    wharf pause frozen
    local turn
    for turn in 1 2 3; do
        run --separate-stderr -1 wharf kill mortal nobody frozen
        [ "$output" = "$(printf 'mortal\nfrozen')" ]
        wharf start mortal
        wharf start frozen
    done
    wharf kill mortal frozen
    wharf rm mortal frozen
}

@test "restart gives a new process" {
    wharf run -d --name again busybox sleep 1000
    local before
    before=$(member again pid)
    wharf restart -t 0 again
    state_is again running
    [ "$(member again pid)" != "$before" ]
    before=$(member again pid)
    [ "$(wharf start again)" = again ] # as docker has it
    [ "$(member again pid)" = "$before" ]
}

@test "wait prints the code of what ends later, and of what has ended" {
    wharf run -d --name later busybox sh -c 'while [ ! -e /go ]; do sleep 0.05; done; exit 5'
    wharf wait later >"$BATS_TEST_TMPDIR/code" 3>&- &
    local waiter=$!
    wharf kill -s KILL later
    wait $waiter
    [ "$(cat "$BATS_TEST_TMPDIR/code")" = 137 ]
    wharf run -d --name ended busybox sh -c 'exit 6'
    run -0 wharf wait ended ended
    [ "$output" = "$(printf '6\n6')" ]
}

@test "restart policies start again what failed, and stop ends that" {
    wharf run -d --name flaky --restart on-failure:2 busybox sh -c 'exit 1'
    eventually state_is flaky exited
    [ "$(history_types flaky | grep -c '^container.started$')" = 3 ]
    wharf run -d --name eager --restart always busybox sh -c 'exit 0'
    eventually has_happened eager container.started 2
    wharf stop -t 0 eager
    state_is eager exited
}

@test "logs: streams, tail, since, time stamps, follow" {
    wharf run --name speaker busybox sh -c 'for i in 1 2 3; do echo $i; done; echo bad >&2' >/dev/null 2>&1
    run --separate-stderr -0 wharf logs speaker
    [ "$output" = "$(printf '1\n2\n3')" ]
    [ "$stderr" = bad ]
    run -0 wharf logs speaker
    [ "$output" = "$(cut -d' ' -f4- "$WHARF_STATE_DIR/containers/$(member speaker id)/log")" ]
    run --separate-stderr -0 wharf logs --tail 1 speaker
    [ "$output$stderr" = bad ]
    run --separate-stderr -0 wharf logs -t speaker
    [[ "${lines[0]}" =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z\ 1$ ]]
    run -0 wharf logs --since 2200-01-01T00:00:00Z speaker
    [ -z "$output" ]
    wharf run -d --name ticker busybox sh -c 'echo one; while [ ! -e /go ]; do sleep 0.05; done'
    wharf logs -f ticker >"$BATS_TEST_TMPDIR/out" 3>&- &
    local follower=$!
    eventually grep -q one "$BATS_TEST_TMPDIR/out"
    wharf kill ticker
    wait $follower
}

@test "ps: what runs, all, quiet, filters, last, json" {
    wharf run -d --name web1 -l tier=web busybox sleep 1000
    wharf run -d --name web2 -l tier=web -l odd busybox sleep 1000
    wharf run --name batch -l tier=batch busybox true
    run -0 wharf ps
    [[ "${lines[0]}" =~ ^CONTAINER\ ID\ +IMAGE\ +COMMAND\ +CREATED\ +STATUS\ +NAMES$ ]]
    [ "${#lines[@]}" = 3 ]
    [[ "${lines[1]}" == *web2 ]]
    run -0 wharf ps -a
    [ "${#lines[@]}" = 4 ]
    [[ "$output" == *"Exited (0)"* ]]
    run -0 wharf ps -q
    [[ "${lines[0]}" =~ ^[0-9a-f]{12}$ ]]
    run -0 wharf ps -aq --no-trunc --filter label=tier=batch
    [[ "$output" =~ ^[0-9a-f]{64}$ ]]
    run -0 wharf ps -q --filter label=tier=web --filter label=odd
    [ "${#lines[@]}" = 1 ]
    run -0 wharf ps -q --filter status=exited
    [ "${#lines[@]}" = 1 ]
    run -0 wharf ps -aq --filter name=web1
    [ "${#lines[@]}" = 1 ]
    run -0 wharf ps -q -n 1
    [ "${#lines[@]}" = 1 ]
    [ "$(wharf ps --format json --filter name=web1 | jq -r '.labels.tier + .state + .node')" = webrunninge2e ]
    run -0 wharf ps --format wide
    [[ "${lines[0]}" == *NODE ]]
    run -1 wharf ps --filter colour=red
    run -1 wharf ps --format yaml
}

@test "top and stats show what runs and what it uses" {
    wharf run -d --name busy --memory 64m --pids-limit 20 busybox sh -c 'head -c 8000000 /dev/zero >/big; sleep 1000 & while :; do :; done'
    eventually has_processes busy 2
    run -0 wharf top busy
    [[ ${lines[0]} =~ ^UID\ +PID\ +PPID ]]
    [[ $output == *"sleep 1000"* ]]
    local pid
    pid=$(member busy pid)
    [ "$(wharf top --format json busy | jq "select(.pid == $pid).uid")" = 0 ]
    run -0 wharf stats --no-stream busy
    [[ ${lines[1]} == *busy* && ${lines[1]} == *67.1MB* ]]
    wharf stats --no-stream --format json >"$BATS_TEST_TMPDIR/stats"
    jq -se 'map(select(.name == "busy"))[0] | .cpu_percent > 0 and .memory_limit_bytes == 67108864 and .pids == 2
        and .pids_limit == 20 and .net_sent_bytes == 0 and .io_write_bytes != null' "$BATS_TEST_TMPDIR/stats"
    wharf rm -f busy
    wharf create --name idle busybox true
    run -1 wharf top idle
    [[ $output == *"container 'idle' is not running"* ]]
    wharf rm idle
}

# True when the container has as many processes.
has_processes() { [ "$(wharf top --format json "$1" | wc -l)" -eq "$2" ]; }

@test "inspect, history and events show the same facts" {
    local id
    id=$(wharf run -d --name facts busybox sleep 1000)
    [ "$(wharf inspect facts | jq -r '.[0].id')" = "$id" ]
    [ "$(wharf inspect "${id:0:12}" e2e/facts | jq length)" = 2 ]
    [ "$(wharf inspect -f '{{.name}} {{.state}} {{.spec.image}} {{.nothing}}' facts)" = 'facts running busybox <no value>' ]
    [ "$(wharf inspect --format '{{json .spec.command}}' facts facts)" = $'["sleep","1000"]\n["sleep","1000"]' ]
    run -1 wharf inspect -f '{{range .state}}' facts
    [[ "$output" == *"'{{range .state}}' is not understood"* ]]
    wharf rm -f facts
    [ "$(history_types "$id" | tr '\n' ' ')" = "$(wharf events --filter container="$id" |
        jq -r '.type | sub("^wharf\\."; "") | sub("\\.v[0-9]+$"; "")' | tr '\n' ' ')" ]
    [ "$(history_types facts | tail -1)" = container.removed ]
    wharf history --format json "$id" | jq -e '.actor | startswith("uid:0") or contains("root") or startswith("system")' >/dev/null
    [ "$(wharf events --filter type=container.removed --filter container="$id" | wc -l)" = 1 ]
    [ "$(wharf events --since 2200-01-01T00:00:00Z | wc -l)" = 0 ]
    local last
    last=$(wharf events | tail -1 | jq ._offset)
    [ "$(wharf events --from-offset "$last" | wc -l)" -ge 1 ]
}

@test "events --follow goes on with what happens" {
    wharf events --follow --from-offset 0 >"$BATS_TEST_TMPDIR/events" 3>&- &
    local follower=$!
    wharf run --rm --name followed busybox true
    eventually grep -q '"name":"followed"' "$BATS_TEST_TMPDIR/events"
    eventually grep -q 'container.removed' "$BATS_TEST_TMPDIR/events"
    kill $follower
}

@test "the history is a chain that sha256sum can check" {
    wharf run --rm busybox true
    chain_is_whole
}
