# SPDX-License-Identifier: Apache-2.0
# What the client does without a stack.
load helper

setup_file() { prepare_stack; }
teardown_file() { rm -rf "$E2E_DIR"; }

@test "the client links libc and jansson only" {
    [ -z "$(ldd "$WHARF_BUILD/wharf" | grep -vE 'linux-vdso|ld-linux|libc\.so|libjansson')" ]
}

@test "every command explains itself, and help lists it" {
    local verb
    for verb in $(wharf help | sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p'); do
        run -0 wharf help "$verb"
        [[ "${lines[0]}" == "Usage: wharf $verb"* ]]
        run -0 wharf "$verb" --help
    done
    run -0 wharf --help
    run -1 wharf
    run -1 wharf help nothing
}

@test "the manual page and the completion are well-formed and know every command" {
    wharf man >"$BATS_TEST_TMPDIR/wharf.1"
    run mandoc -Tlint -W warning "$BATS_TEST_TMPDIR/wharf.1"
    [ -z "$(grep -v outdated <<<"$output")" ]
    wharf completion bash >"$BATS_TEST_TMPDIR/wharf.bash"
    bash -n "$BATS_TEST_TMPDIR/wharf.bash"
    run -0 bash -c 'source "$1"; COMP_WORDS=(wharf run --re); COMP_CWORD=2; _wharf; echo "${COMPREPLY[@]}"' - \
        "$BATS_TEST_TMPDIR/wharf.bash"
    [ "$output" = "--restart --read-only" ]
    run -0 bash -c 'source "$1"; COMP_WORDS=(wharf run --restart ""); COMP_CWORD=3; _wharf; echo "${COMPREPLY[@]}"' - \
        "$BATS_TEST_TMPDIR/wharf.bash"
    [ "$output" = "no on-failure always unless-stopped" ]
    run -0 bash -c 'source "$1"; COMP_WORDS=(wharf hi); COMP_CWORD=1; _wharf; echo "${COMPREPLY[@]}"' - \
        "$BATS_TEST_TMPDIR/wharf.bash"
    [ "$output" = history ]
}

@test "bad usage says what is wrong and where to look" {
    run -1 wharf no-such-command
    [[ "$output" == "wharf: error: there is no command 'no-such-command'"* ]]
    run -1 wharf ps --no-such-option
    [[ "$output" == *"unknown option '--no-such-option'"*"wharf ps --help"* ]]
    run -1 wharf start
    [[ "$output" == *"needs CONTAINER..."* ]]
    run -1 wharf version extra
    [[ "$output" == *"'wharf version' takes no operand, but was given 'extra'"* ]]
    run -1 wharf rename one two three
    [[ "$output" == *"nothing more, but was given 'three'"* ]]
    run -1 wharf up --log bogus: --run-dir "$BATS_TEST_TMPDIR/run" --state-dir "$BATS_TEST_TMPDIR/state"
    [[ "$output" == *"'bogus:' is no value for 'log': it must be sqlite:DIR or kafka://"* ]]
    [ ! -e "$BATS_TEST_TMPDIR/run" ] && [ ! -e "$BATS_TEST_TMPDIR/state" ]
    run -125 wharf run
}

@test "without a stack, commands say how to start one" {
    run -1 wharf ps
    [[ "$output" == "wharf: error: cannot reach the query service at '$WHARF_RUN_DIR/query.sock': No such file or directory"*"wharf up --detach"* ]]
    run -125 wharf run --rm busybox true
    [[ "$output" == *"cannot reach the writer"* ]]
    run -1 wharf status
    run -0 wharf down
    [[ "$output" == *"not running"* ]]
}

@test "doctor looks at everything, in words and as JSON" {
    run wharf doctor
    [[ "$output" == *cgroups*overlayfs*seccomp*log*redis* ]]
    [ "$(wharf doctor --format json | jq -r .check | head -1)" = kernel ]
}

@test "a run directory of any length is reached" {
    local long=$BATS_TEST_TMPDIR/$(printf 'd%.0s' {1..120})
    mkdir -p "$long"
    run -1 wharf --run-dir "$long" ps
    [[ "$output" == *"No such file or directory"* ]]
}

@test "a configuration that is wrong is named with file and line" {
    printf 'node = good\ncolour = red\n' >"$BATS_TEST_TMPDIR/wharf.conf"
    run -1 wharf ps --config "$BATS_TEST_TMPDIR/wharf.conf"
    [[ "$output" == *wharf.conf*colour* ]]
    run -1 wharf ps --config /no/such/file
    [[ "$output" == *"/no/such/file"* ]]
}

@test "output that cannot be written is a failure" {
    run -1 bash -c 'wharf help >/dev/full'
    [[ "$output" == *"No space left on device"* ]]
}
