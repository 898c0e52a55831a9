# SPDX-License-Identifier: Apache-2.0
# bats file_tags=e2e
load helper

@test "run copies output, keeps the streams apart, and exits with the container's code" {
    run --separate-stderr -42 wharf run --rm busybox sh -c 'echo out; echo err >&2; exit 42'
    [ "$output" = out ]
    [ "$stderr" = err ]
}

@test "run --rm leaves nothing but history" {
    wharf run --rm --name gone busybox true
    run -1 wharf inspect gone
    [[ "$(history_types gone | tr '\n' ' ')" == *"container.created container.started container.exited container.removed"* ]]
}

@test "a command that is not found is 127, one that cannot be executed 126" {
    run -127 wharf run --rm busybox no-such-command
    [[ "$output" == *"no-such-command"* ]]
    run -126 wharf run --rm busybox /bin/not-executable
    [[ "$output" == *"not-executable"* ]]
    run -127 wharf run -d --name d127 busybox no-such-command
    wharf rm -f d127 || true
}

@test "an unknown image is refused with 125 and the image's name" {
    run -125 wharf run --rm no-such-image true
    [[ "$output" == *"no-such-image"* ]]
    run -125 wharf run -d no-such-image true
    [[ "$output" == *"no-such-image"* ]]
    run -1 wharf create no-such-image true
}

@test "run -d prints the id and nothing else" {
    run --separate-stderr -0 wharf run -d --name detached busybox sleep 1000
    [[ "$output" =~ ^[0-9a-f]{64}$ ]]
    [ -z "$stderr" ]
    state_is detached running
    wharf rm -f detached
}

@test "a name is taken once" {
    wharf run -d --name once busybox sleep 1000
    run -125 wharf run --name once busybox true
    [[ "$output" == *once* ]]
    wharf rm -f once
    wharf run --rm --name once busybox true
}

@test "bad names, labels, sizes, users and options are refused before anything happens" {
    local before
    before=$(wharf ps -aq | wc -l)
    run -125 wharf run --name 'a b' busybox true
    [[ "$output" == "wharf: error: name must be "*"but is 'a b'" ]]
    run -125 wharf run --name /x busybox true
    run -125 wharf run -l =x busybox true
    run -125 wharf run -m lots busybox true
    run -125 wharf run -m 1k busybox true
    [[ "$output" == "wharf: error: memory must be at least 4194304, but is 1024" ]]
    run -125 wharf run --cpus none busybox true
    run -125 wharf run --pids-limit -2 busybox true
    run -125 wharf run --restart sometimes busybox true
    run -125 wharf run --rm --restart always busybox true
    run -125 wharf run --network bridge busybox true
    run -125 wharf run -w relative busybox true
    run -125 wharf run -u ':' busybox true
    run -125 wharf run -it busybox sh </dev/null
    [[ "$output" == *"no terminal"* ]]
    run -125 wharf run --no-such-option busybox true
    run -125 wharf run
    [ "$(wharf ps -aq | wc -l)" = "$before" ]
}

@test "a user that the image does not know cannot run" {
    run ! wharf run --rm -u nobody-knows-me busybox true
    [[ "$output" == *nobody-knows-me* ]]
}

@test "environment, files of it, working directory, host name, user" {
    printf '# comment\nA=file\nB=file\n' >"$BATS_TEST_TMPDIR/env"
    OWN=mine run -0 wharf run --rm --env-file "$BATS_TEST_TMPDIR/env" -e B=flag -eC=1 -e OWN busybox \
        sh -c 'echo $A $B $C $OWN'
    [ "$output" = "file flag 1 mine" ]
    run -0 wharf run --rm -w /tmp busybox pwd
    [ "$output" = /tmp ]
    run -0 wharf run --rm -h goods busybox hostname
    [ "$output" = goods ]
    run -0 wharf run --rm -u guest busybox id -u
    [ "$output" = 1000 ]
    run -0 wharf run --rm -u 7:8 busybox sh -c 'echo $(id -u):$(id -g)'
    [ "$output" = 7:8 ]
}

@test "a container sees its own processes, network and files" {
    run -0 wharf run --rm busybox sh -c 'echo $$'
    [ "$output" = 1 ]
    run -0 wharf run --rm busybox sh -c 'ls /sys/class/net'
    [ "$output" = lo ]
    run -0 wharf run --rm --network host busybox sh -c 'ls /sys/class/net | wc -l'
    [ "$output" -ge 1 ]
    run -0 wharf run --rm busybox sh -c 'echo x >/written && cat /written'
    [ "$output" = x ]
    [ ! -e "$E2E_DIR/rootfs/written" ]
    run ! wharf run --rm --read-only busybox sh -c 'echo x >/written'
}

@test "an entrypoint can be replaced" {
    run -0 wharf run --rm --entrypoint /bin/echo busybox one two
    [ "$output" = "one two" ]
}

@test "limits hold: memory is an OOM kill that is recorded, pids stop a fork" {
    run -137 wharf run --name hungry -m 16m busybox sh -c 'x=x; while :; do x=$x$x$x$x; done'
    [ "$(wharf history --format json hungry | jq -r 'select(.type | contains("exited")) | .data.reason')" = oom-killed ]
    wharf rm hungry
    run ! wharf run --rm --pids-limit 4 busybox sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait'
}

@test "a signal to the client is a signal to the container" {
    wharf run --rm --name signalled busybox sh -c 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done' \
        >"$BATS_TEST_TMPDIR/out" 3>&- &
    local client=$!
    eventually grep -q ready "$BATS_TEST_TMPDIR/out"
    kill -TERM $client
    local code=0
    wait $client || code=$?
    [ $code = 7 ]
}

@test "large output arrives whole and in order" {
    wharf run --rm busybox seq 1 100000 >"$BATS_TEST_TMPDIR/out"
    seq 1 100000 | cmp - "$BATS_TEST_TMPDIR/out"
}

@test "output beyond what the log keeps arrives whole, also at a slow reader" {
    local sum
    sum=$(seq 1 1500000 | sha256sum)
    [ "$(wharf run --rm busybox seq 1 1500000 | sha256sum)" = "$sum" ]
    sum=$(head -c 100000000 /dev/zero | sha256sum)
    mkfifo "$BATS_TEST_TMPDIR/slow"
    wharf run --rm busybox head -c 100000000 /dev/zero >"$BATS_TEST_TMPDIR/slow" &
    local client=$! got
    # Nothing is read until the container has to wait for us: its log's files are all there.
    exec {reader}<"$BATS_TEST_TMPDIR/slow"
    eventually compgen -G "$WHARF_STATE_DIR/containers/*/log.2"
    got=$(timeout 60 sha256sum <&"$reader")
    wait "$client"
    [ "$got" = "$sum" ]
}

@test "a reader that stops reading ends the client like any filter" {
    run -0 bash -c 'wharf run --name piped busybox seq 1 100000 | head -1'
    [ "${lines[0]}" = 1 ]
    wharf rm -f piped
}

@test "fifty runs side by side all end with their own code" {
    local i codes=0
    for i in $(seq 1 50); do
        (
            code=0
            wharf run --rm busybox sh -c "exit $i" 3>&- || code=$?
            [ $code = "$i" ]
        ) &
    done
    for i in $(jobs -p); do
        wait "$i" || codes=$((codes + 1))
    done
    [ $codes = 0 ]
}
