# SPDX-License-Identifier: Apache-2.0
# bats file_tags=e2e
# Standard input, terminals, attach. at_terminal plays the person in front of the terminal.
load helper

at_terminal() { "$WHARF_BUILD/tests/at_terminal" "$@"; }

@test "run -i hands standard input on, byte by byte, with its end" {
    run bash -c "printf 'a\nb\0c' | wharf run -i --rm busybox cat | od -An -c | tr -d ' \n'"
    [ "$output" = 'a\nb\0c' ]
    head -c 5000000 /dev/urandom >"$BATS_TEST_TMPDIR/bytes"
    wharf run -i --rm busybox sha256sum <"$BATS_TEST_TMPDIR/bytes" | cut -d' ' -f1 >"$BATS_TEST_TMPDIR/sum"
    [ "$(cat "$BATS_TEST_TMPDIR/sum")" = "$(sha256sum <"$BATS_TEST_TMPDIR/bytes" | cut -d' ' -f1)" ]
}

@test "without -i there is no input, and a process that closes its input is left alone with it" {
    run -0 bash -c 'echo x | wharf run --rm busybox cat'
    [ -z "$output" ]
    run -3 bash -c 'yes | wharf run -i --rm busybox sh -c "exec <&-; exit 3"'
}

@test "a slow reader holds its writer back" {
    mkfifo "$BATS_TEST_TMPDIR/gate"
    wharf run -i --rm --name slow busybox sh -c 'until [ -e /tmp/go ]; do sleep 0.05; done; wc -c' \
        < <(head -c 3000000 /dev/zero; echo "written" >"$BATS_TEST_TMPDIR/written") >"$BATS_TEST_TMPDIR/counted" &
    eventually state_is slow running
    local pid
    pid=$(member slow pid)
    eventually [ -p "/proc/$pid/fd/0" ]
    [ ! -e "$BATS_TEST_TMPDIR/written" ]
    touch "/proc/$pid/root/tmp/go"
    wait
    [ "$(cat "$BATS_TEST_TMPDIR/counted")" = 3000000 ]
}

@test "run -it: a terminal with a size, a name, echo, and the exit code" {
    run -7 at_terminal 'see:# ' 'type:stty size; tty; echo [$TERM]\r' 'see:24 80' 'see:/dev/pts/0' 'see:[xterm]' \
        'size:50x132' 'type:stty size\r' 'see:50 132' 'type:exit 7\r' -- wharf run -it --rm busybox sh
}

# What is typed is shown once more, or twice while the shell prepares its line editor: only what it prints of it is waited for.
@test "run -it: keys are signals and end of file in the container only" {
    run -5 at_terminal 'see:# ' 'raw' 'type:sh -c "echo re\x27\x27ady; exec sleep 1000"\r' 'see:ready' 'type:\x03' 'see:# ' \
        'type:echo got $?\r' 'see:got 130' 'see:# ' 'type:sleep 1000 &\r' 'see:# ' 'type:jobs\r' 'see:Running' 'see:# ' \
        'type:echo re\x27\x27ads; cat\r' 'see:reads' 'type:line\r' 'see:line' 'see:line' 'type:\x04' 'see:# ' \
        'type:exit 5\r' 'cooked' -- wharf run -it --rm busybox sh
}

@test "nothing of the last output is lost" {
    local i
    for i in 1 2 3 4 5; do
        run -0 at_terminal -- wharf run -it --rm busybox seq 1 4000
        [ "$(tr -d '\r' <<<"$output" | grep -c '^[0-9]*$')" = 4000 ]
        [[ "${lines[-1]}" = 4000* ]]
    done
}

@test "detach keys leave the container running; attach comes back, several at once" {
    run -0 at_terminal 'see:# ' 'type:X=kept\r' 'see:# ' 'type:\x10\x11' 'cooked' -- wharf run -it --name shell busybox sh
    state_is shell running
    run -0 at_terminal 'raw' 'type:echo [$X]\r' 'see:[kept]' 'type:q.' -- wharf attach --detach-keys q,. shell
    at_terminal 'raw' 'see:[both]' 'type:exit 4\r' -- wharf attach shell >"$BATS_TEST_TMPDIR/first" &
    local first=$!
    run -4 at_terminal 'raw' 'type:X=both; sleep 0.5; echo [$X]\r' 'see:[both]' -- wharf attach shell
    local code=0
    wait $first || code=$?
    [ "$code" = 4 ]
    [ "$(history_types shell | grep -c '^container.attached$')" = 4 ]
    wharf rm shell
}

@test "create -it and start -ai; a second incarnation shows its own output only" {
    wharf create -it --name again busybox sh -c 'echo run $(cat /count 2>/dev/null); read x; echo "$x" >/count; exit 6'
    run -6 at_terminal 'see:run' 'type:first\r' -- wharf start -ai again
    run -6 at_terminal 'see:run first' 'type:second\r' -- wharf start -ai again
    [[ "$output" != *second*first* ]]
    wharf rm again
    wharf create --rm --name quick busybox sh -c 'echo quick; exit 9'
    run -9 wharf start -a quick
    [ "$output" = quick ]
}

@test "the terminal is as it was, whatever ended the client" {
    wharf run -dit --name stays busybox sh
    run -143 at_terminal 'raw' 'signal:15' 'cooked' -- wharf attach stays
    at_terminal 'raw' 'hangup' -- wharf attach stays || true
    state_is stays running
    # with a terminal what ends the client is not for the container
    [ "$(history_types stays | grep -c signaled)" = 0 ]
    run -143 at_terminal 'raw' 'signal:15' 'cooked' -- wharf run -it --name with-it busybox cat
    state_is with-it running
    wharf rm -f with-it
    run -137 at_terminal 'raw' 'type:kill -9 $$\r' -- wharf attach stays ||
        wharf kill stays
    wharf rm -f stays
}

@test "wharf down and up: a terminal goes on, typing and all" {
    wharf run -dit --name over busybox sh
    at_terminal 'raw' 'type:echo one\r' 'see:one' 'see:one' 'see:two' 'see:two' 'type:exit 8\r' -- wharf attach over >"$BATS_TEST_TMPDIR/shown" &
    local person=$!
    eventually grep -q one "$BATS_TEST_TMPDIR/shown"
    kill -KILL "$(part_pid runtime)"
    eventually curl -sf --unix-socket "$WHARF_RUN_DIR/runtime.sock" http://wharf/readyz
    run -0 at_terminal 'raw' 'type:echo two\r' 'see:two' 'type:\x10\x11' -- wharf attach over
    local code=0
    wait $person || code=$?
    [ "$code" = 8 ]
    wharf rm over
}

@test "what cannot be typed into is said" {
    run -125 bash -c 'wharf run -it --rm busybox sh </dev/null'
    [[ "$output" == *"no terminal"* ]]
    run -125 wharf run -it --detach-keys ctrl-1 --rm busybox sh
    run -1 wharf attach no-such-container
    wharf create --name idle busybox true
    run -1 wharf attach idle
    [[ "$output" == *"wharf start"* ]]
    wharf rm idle
}
