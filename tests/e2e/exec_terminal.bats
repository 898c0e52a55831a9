# SPDX-License-Identifier: Apache-2.0
# bats file_tags=e2e
# wharf exec -it: a terminal of its own in a container that runs. at_terminal plays the person in front of it.
load helper

at_terminal() { "$WHARF_BUILD/tests/at_terminal" "$@"; }

setup_file() {
    start_stack
    wharf run -d --name web busybox sleep 100000 >/dev/null
}

@test "exec -it: a terminal with a size, a name, echo, and the exit code" {
    run -7 at_terminal 'see:# ' 'type:stty size; tty; echo [$TERM]\r' 'see:24 80' 'see:/dev/pts/0' 'see:[xterm]' \
        'size:50x132' 'type:stty size\r' 'see:50 132' 'type:exit 7\r' -- wharf exec -it web sh
}

# As in interactive.bats, only what the shell prints of what was typed is waited for.
@test "exec -it: keys are signals, job control and end of file in the container only" {
    run -5 at_terminal 'see:# ' 'raw' 'type:sh -c "echo re\x27\x27ady; exec sleep 1000"\r' 'see:ready' 'type:\x03' 'see:# ' \
        'type:echo got $?\r' 'see:got 130' 'see:# ' 'type:sleep 1000 &\r' 'see:# ' 'type:jobs\r' 'see:Running' 'see:# ' \
        'type:echo re\x27\x27ads; cat\r' 'see:reads' 'type:line\r' 'see:line' 'see:line' 'type:\x04' 'see:# ' \
        'type:exit 5\r' 'cooked' -- wharf exec -it web sh
}

@test "two terminals at once are two" {
    at_terminal 'see:# ' 'type:tty\r' 'see:/dev/pts/' 'type:read x; exit 4\r' 'type:go\r' -- wharf exec -it web sh >"$BATS_TEST_TMPDIR/first" &
    local first=$! code=0
    run -3 at_terminal 'see:# ' 'type:tty\r' 'see:/dev/pts/' 'type:exit 3\r' -- wharf exec -it web sh
    wait $first || code=$?
    [ "$code" = 4 ]
}

@test "nothing of the last output is lost" {
    local i
    for i in 1 2 3 4 5; do
        run -0 at_terminal -- wharf exec -it web seq 1 4000
        [ "$(tr -d '\r' <<<"$output" | grep -c '^[0-9]*$')" = 4000 ]
        [[ "${lines[-1]}" = 4000* ]]
    done
}

@test "-t without -i shows what a terminal would, and takes no input" {
    run -0 bash -c 'wharf exec -t web sh -c "tty; echo x" </dev/null'
    [[ "$(tr -d '\r' <<<"$output" | xargs)" = /dev/pts/*" x" ]]
}

@test "detach keys leave it running; its end is on the log" {
    run -0 at_terminal 'see:# ' 'type:echo $$\r' 'see:# ' 'type:\x10\x11' 'cooked' -- wharf exec -it web sh
    local pid
    pid=$(wharf history --format json web | jq 'select(.type | contains("exec_started")) | .data.pid' | tail -1)
    [ -d "/proc/$pid" ]
    run -0 at_terminal 'see:# ' 'type:q.' 'cooked' -- wharf exec -it --detach-keys q,. web sh
    kill -KILL "$pid"
    has_ended() { wharf history --format json web | jq -e "select(.data.exec == \"$1\" and .data.signal == \"SIGKILL\")" >/dev/null; }
    eventually has_ended "$(wharf history --format json web | jq -r "select(.data.pid == $pid).data.exec")"
}

@test "the terminal is as it was, whatever ended the client, and the command goes on" {
    run -143 at_terminal 'see:# ' 'raw' 'signal:15' 'cooked' -- wharf exec -it web sh
    local pid
    pid=$(wharf history --format json web | jq 'select(.type | contains("exec_started")) | .data.pid' | tail -1)
    [ -d "/proc/$pid" ]
    kill -KILL "$pid"
}

@test "a terminal goes on over the death of the runtime, typing and all" {
    at_terminal 'see:# ' 'type:echo one\r' 'see:one' 'see:one' 'type:read x; echo [$x]; exit 8\r' 'see:[two]' \
        -- wharf exec -it web sh >"$BATS_TEST_TMPDIR/shown" &
    local person=$! code=0 pid
    eventually grep -q 'exit 8' "$BATS_TEST_TMPDIR/shown"
    pid=$(wharf history --format json web | jq 'select(.type | contains("exec_started")) | .data.pid' | tail -1)
    kill -KILL "$(part_pid runtime)"
    eventually curl -sf --unix-socket "$WHARF_RUN_DIR/runtime.sock" http://wharf/readyz
    # typed by another hand, into the same terminal
    python3 - "/proc/$pid/fd/0" <<'PY'
import fcntl, sys, termios
with open(sys.argv[1], "wb", buffering=0) as terminal:
    for byte in b"two\n":
        fcntl.ioctl(terminal, termios.TIOCSTI, bytes([byte]))
PY
    wait $person || code=$?
    [ "$code" = 8 ]
}
