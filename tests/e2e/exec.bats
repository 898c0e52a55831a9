# SPDX-License-Identifier: Apache-2.0
# bats file_tags=e2e
# wharf exec: one more command in a container that runs.
load helper

setup_file() {
    start_stack
    wharf run -d --name web -e FROM=container -w /tmp busybox sleep 100000 >/dev/null
}

# What the log says of the newest exec of a container, of the given type.
newest() { wharf history --format json "$1" | jq -c "select(.type | contains(\"$2\")) | .data" | tail -1; }

# How many of the container's execs the log has an end of.
ended_are() { [ "$(history_types "$1" | grep -c '^container.exec_exited$')" = "$2" ]; }

# Directories of execs that were not removed.
left_over() { grep -ls '"exec_of"' "$WHARF_STATE_DIR"/containers/*/launch.json; }

nothing_left() { ! left_over >/dev/null; }

@test "output, errors and the exit code are the command's own" {
    run -0 --separate-stderr wharf exec web sh -c 'echo out; echo err >&2'
    [ "$output" = out ] && [ "$stderr" = err ]
    run -7 wharf exec web sh -c 'exit 7'
    run -143 wharf exec web sh -c 'kill -TERM $$'
    [ "$(newest web exec_exited | jq -r '.reason, .signal, .exit_code' | xargs)" = "signaled SIGTERM 143" ]
    run -0 wharf exec web sh -c 'ps | wc -l'
    run -0 wharf exec "$(wharf ps -q --filter name=web)" true
    run -0 wharf exec e2e/web echo by node
    [ "$output" = "by node" ]
    eventually nothing_left
}

@test "its environment, directory and user are the container's, or what is asked for" {
    run -0 wharf exec web sh -c 'echo $FROM $HOME $(pwd) $(id -u) [$TERM]'
    [ "$output" = "container /root /tmp 0 []" ]
    printf 'FILE=one\n# no more\nBOTH=file\n' >"$BATS_TEST_TMPDIR/env"
    run -0 env OURS=taken wharf exec -e FROM=here -e OURS -e BOTH=option --env-file "$BATS_TEST_TMPDIR/env" web \
        sh -c 'echo $FROM $OURS $BOTH $FILE'
    [ "$output" = "here taken option one" ]
    run -0 wharf exec -u guest web sh -c 'echo $(id -un) $(id -gn) $HOME; id -G'
    [ "${lines[0]}" = "guest guest /tmp" ] && [ "${lines[1]}" = "1000 1001" ]
    run -0 wharf exec -u 4711:12 web sh -c 'echo $(id -u) $(id -g) $HOME'
    [ "$output" = "4711 12 /" ]
    run -0 wharf exec -w /etc web pwd
    [ "$output" = /etc ]
    run -125 wharf exec -w /no/such web pwd
    [[ $output == *"/no/such"* ]]
    run -125 wharf exec -u nobody-there web true
    [[ $output == *nobody-there* ]]
    [ "$(newest web exec_failed | jq -r .code)" = unknown-user ]
}

@test "a user that the container has made itself is found" {
    wharf exec web sh -c 'echo own:x:1234:1234::/home/own:/bin/sh >>/etc/passwd'
    run -0 wharf exec -u own web sh -c 'echo $(id -u) $HOME'
    [ "$output" = "1234 /home/own" ]
}

@test "-i hands standard input on, byte by byte, with its end; without it there is none" {
    run bash -c "printf 'a\nb\0c' | wharf exec -i web cat | od -An -c | tr -d ' \n'"
    [ "$output" = 'a\nb\0c' ]
    head -c 5000000 /dev/urandom >"$BATS_TEST_TMPDIR/bytes"
    run -0 bash -c "wharf exec -i web sha256sum <'$BATS_TEST_TMPDIR/bytes' | cut -d' ' -f1"
    [ "$output" = "$(sha256sum <"$BATS_TEST_TMPDIR/bytes" | cut -d' ' -f1)" ]
    run -0 bash -c 'echo x | wharf exec web cat'
    [ -z "$output" ]
    run -3 bash -c 'yes | wharf exec -i web sh -c "exec <&-; exit 3"'
}

@test "big output comes whole" {
    wharf exec web sh -c 'seq 1 2000000' >"$BATS_TEST_TMPDIR/numbers"
    [ "$(sha256sum <"$BATS_TEST_TMPDIR/numbers")" = "$(seq 1 2000000 | sha256sum)" ]
    wharf exec web head -c 30000000 /dev/zero | tr '\0' x | sha256sum >"$BATS_TEST_TMPDIR/sum"
    [ "$(cat "$BATS_TEST_TMPDIR/sum")" = "$(head -c 30000000 /dev/zero | tr '\0' x | sha256sum)" ]
}

@test "-d leaves it running; the log has its end" {
    run -0 wharf exec -d web sh -c 'until [ -e /tmp/end ]; do sleep 0.05; done; exit 9'
    [ -z "$output" ]
    [ "$(newest web exec_started | jq -r '.command[0]')" = sh ]
    local before
    before=$(history_types web | grep -c '^container.exec_exited$' || true)
    wharf exec web touch /tmp/end
    eventually ended_are web $((before + 2))
    wharf history --format json web | jq -c .data.exit_code | tail -2 | grep -qx 9
    run -127 wharf exec -d web no-such-command
    [[ $output == *"no-such-command"* ]]
}

@test "what cannot be executed: 126, 127; what is refused: 125" {
    run -127 wharf exec web no-such-command
    [[ $output == *"cannot run 'no-such-command': not found in the container's PATH"* ]]
    run -126 wharf exec web /bin/not-executable
    [[ $output == *"not an executable file"* ]]
    run -126 wharf exec web /etc
    run -125 wharf exec no-such-container true
    [[ $output == *"no container"* ]]
    wharf create --name idle busybox true >/dev/null
    run -125 wharf exec idle true
    [[ $output == *"container 'idle' is not running"* ]]
    run -125 wharf exec web
    wharf pause web >/dev/null
    run -125 wharf exec web true
    wharf unpause web >/dev/null
    [[ $output == *"container 'web' is paused: unpause it"* ]]
    run -125 bash -c 'wharf exec -it web sh </dev/null'
    [[ $output == *"no terminal"* ]]
    run -125 wharf exec --no-such-option web true
    wharf rm idle
    eventually nothing_left
}

@test "what follows the container is the command's, options too" {
    run -0 wharf exec web echo -d -- -i
    [ "$output" = "-d -- -i" ]
    run -0 wharf exec web printf '%s|' 'a b' '' "quote'\"" '☃'
    [ "$output" = "a b||quote'\"|☃|" ]
    [ "$(newest web exec_started | jq -c .command)" = '["printf","%s|","a b","","quote'"'"'\"","☃"]' ]
}

@test "twenty at once" {
    local i pids=()
    for i in {1..20}; do
        wharf exec web sh -c "seq $i 1 $((i + 2000)); exit $i" >"$BATS_TEST_TMPDIR/out.$i" &
        pids+=($!)
    done
    for i in {1..20}; do
        local code=0
        wait "${pids[i - 1]}" || code=$?
        [ "$code" = "$i" ]
        [ "$(sha256sum <"$BATS_TEST_TMPDIR/out.$i")" = "$(seq "$i" 1 $((i + 2000)) | sha256sum)" ]
    done
    eventually nothing_left
}

@test "only the standard streams are open in it, and the container's namespaces are its own" {
    run -0 wharf exec web ls /proc/self/fd
    [ "${lines[*]}" = "0 1 2 3" ] # the last is how it lists them
    run -0 wharf exec web sh -c 'for n in ipc mnt net pid uts cgroup; do [ "$(readlink /proc/1/ns/$n)" = "$(readlink /proc/self/ns/$n)" ] || echo $n; done'
    [ -z "$output" ]
    run -0 wharf exec web sh -c 'cat /proc/self/cgroup | sort | cut -d: -f2-; echo --; cat /proc/1/cgroup | sort | cut -d: -f2-'
    [ "${output%%--*}" = "${output##*--$'\n'}"$'\n' ] || [ "$(sed '/^--$/,$d' <<<"$output")" = "$(sed '1,/^--$/d' <<<"$output")" ]
}

@test "rights: the container's, or with --privileged all, which is not to be overlooked" {
    run -0 wharf exec web sh -c 'grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status | cut -f2 | xargs'
    [ "$output" = "$(wharf exec web sh -c 'grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/1/status | cut -f2 | xargs')" ]
    [[ $output == *" 1 2" ]]
    run -1 wharf exec web unshare -U true
    run -0 wharf exec --privileged web sh -c 'grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status | cut -f2 | xargs'
    [ "$output" = "$(awk '/^CapPrm/ { print $2 }' /proc/self/status) 0 0" ] || [[ $output == *" 0 0" ]]
    run -0 wharf exec --privileged web unshare -U true
    run -0 wharf history --format table web
    [[ $output == *PRIVILEGED* ]]
}

@test "history says who executed what, and how it ended" {
    wharf exec -u guest web sh -c 'echo audited'
    run -0 wharf history --format table web
    local started exited
    started=$(grep 'exec_started.*audited' <<<"$output")
    [[ $started == *'command="sh -c echo audited"'* && $started == *user=guest* && $started == *"by unix:uid=0,user=root,pid="* ]]
    exited=$(tail -1 <<<"$output")
    [[ $exited == *container.exec_exited* && $exited == *exit_code=0* ]]
    [ "$(sed 's/.* exec=\([0-9a-f]*\).*/\1/' <<<"$started")" = "$(sed 's/.* exec=\([0-9a-f]*\).*/\1/' <<<"$exited")" ]
    chain_is_whole
}

@test "in containers of other kinds" {
    wharf run -d --name init --init busybox sleep 1000 >/dev/null
    run -4 wharf exec init sh -c 'exit 4'
    wharf run -d --name ro --read-only busybox sleep 1000 >/dev/null
    run -1 wharf exec ro touch /file
    wharf run -d --name hostpid --pid host busybox sleep 1000 >/dev/null
    run -0 wharf exec hostpid sh -c '[ -d /proc/'"$(part_pid runtime)"' ] && echo seen'
    [ "$output" = seen ]
    wharf run -d --name joined --network container:web busybox sleep 1000 >/dev/null
    run -0 wharf exec joined readlink /proc/self/ns/net
    [ "$output" = "$(wharf exec web readlink /proc/self/ns/net)" ]
    wharf run -d --name user -u guest busybox sleep 1000 >/dev/null
    run -0 wharf exec user sh -c 'id -un; grep CapEff /proc/self/status | cut -f2'
    [ "${lines[0]}" = guest ] && [ "${lines[1]}" = 0000000000000000 ]
    run -0 wharf exec -u root user id -un
    [ "$output" = root ]
    wharf rm -f init ro joined user
}

@test "with the host's pids, an exec ends with its container all the same" {
    wharf exec -d hostpid sleep 100000
    local pid
    pid=$(newest hostpid exec_started | jq .pid)
    [ -d "/proc/$pid" ]
    wharf rm -f hostpid
    [ ! -d "/proc/$pid" ]
    [ "$(wharf history --format json hostpid | jq -r 'select(.type | contains("exec_exited")) | .data.signal' | tail -1)" = SIGKILL ]
}

@test "the container's limits hold for its execs" {
    wharf run -d --name tight --pids-limit 5 -m 32m busybox sleep 1000 >/dev/null
    run wharf exec tight sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all'
    [[ $output == *fork* ]]
    run -125 wharf exec tight true # no room for it either
    [[ $output == *"Resource temporarily unavailable"* ]]
    wharf restart -t 0 tight
    run -137 wharf exec tight sh -c 'exec tail /dev/zero'
    [ "$(newest tight exec_exited | jq -r '.reason, .oom_killed' | xargs)" = "oom-killed true" ]
    state_is tight running
    run -0 wharf exec tight true
    [ "$(newest tight exec_exited | jq -r '.reason, .oom_killed' | xargs)" = "exited null" ]
    wharf rm -f tight
}

@test "a container that is removed while execs run: all of them end first, on the log" {
    wharf run -d --name going busybox sleep 1000 >/dev/null
    local i
    for i in 1 2 3; do wharf exec -d going sleep 1000; done
    wharf exec going sleep 1000 &
    local client=$! code=0
    eventually has_happened going container.exec_started 4
    wharf rm -f going
    wait $client || code=$?
    [ "$code" = 137 ]
    [ "$(history_types going | grep -c exec_exited)" = 4 ]
    [ "$(history_types going | tail -1)" = container.removed ]
    eventually nothing_left
}

@test "with --rm too, when it ends by itself" {
    wharf run -d --rm --name brief busybox sh -c 'until [ -e /tmp/end ]; do sleep 0.05; done' >/dev/null
    wharf exec -d brief sleep 1000
    run -137 wharf exec brief sh -c 'touch /tmp/end; sleep 1000'
    eventually has_happened brief container.removed
    [ "$(history_types brief | grep -c exec_exited)" = 2 ]
    [ "$(history_types brief | tail -1)" = container.removed ]
}

@test "a restart ends its execs; the next ones are of the new incarnation" {
    wharf run -d --name again busybox sleep 1000 >/dev/null
    wharf exec -d again sleep 1000
    wharf restart -t 0 again
    eventually ended_are again 1
    wharf exec again true
    [ "$(newest again exec_started | jq .incarnation)" = 2 ]
    wharf rm -f again
}

@test "the runtime is killed: output and exit code still arrive" {
    mkfifo "$BATS_TEST_TMPDIR/gate"
    wharf exec -i web sh -c 'echo before; read x; echo after $x; exit 6' <"$BATS_TEST_TMPDIR/gate" >"$BATS_TEST_TMPDIR/out" &
    local client=$! code=0
    exec 5>"$BATS_TEST_TMPDIR/gate"
    eventually grep -q before "$BATS_TEST_TMPDIR/out"
    kill -KILL "$(part_pid runtime)"
    echo typed >&5
    exec 5>&-
    wait $client || code=$?
    [ "$code" = 6 ]
    [ "$(xargs <"$BATS_TEST_TMPDIR/out")" = "before after typed" ]
    [ "$(newest web exec_exited | jq .exit_code)" = 6 ]
    eventually nothing_left
}

@test "an exec that ends while no runtime is there has its code on the log later" {
    local before
    before=$(history_types web | grep -c '^container.exec_exited$')
    wharf exec -d web sh -c 'until [ -e /tmp/down ]; do sleep 0.05; done; exit 11'
    wharf exec -d web sleep 100000
    local pid kept
    kept=$(newest web exec_started | jq .pid)
    pid=$(wharf history --format json web | jq 'select(.data.command[2]? // "" | contains("/tmp/down")) | .data.pid')
    wharf down
    touch "/proc/$pid/root/tmp/down"
    eventually [ ! -d "/proc/$pid" ]
    wharf up --detach
    eventually ended_are web $((before + 1))
    [ "$(newest web exec_exited | jq -r '.reason, .exit_code' | xargs)" = "exited 11" ]
    [ -d "/proc/$kept" ]
    kill -KILL "$kept"
    eventually ended_are web $((before + 2))
    eventually nothing_left
    chain_is_whole
}
