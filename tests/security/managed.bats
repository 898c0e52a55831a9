#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The same attacker in containers that Wharf manages, as anybody would run them, and with what they can be given.

load ../e2e/helper

start_attacked_stack() {
    start_stack
    cp "$WHARF_BUILD/security/attack" "$E2E_DIR/rootfs/bin/"
    echo secret >"$E2E_DIR/canary"
    wharf import "$E2E_DIR/rootfs" attacker >/dev/null
}

setup_file() { start_attacked_stack; }

teardown_file() { stop_stack; }

attack() { # [OPTION...] -- NAME [ARGUMENT...]
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    run timeout 60 wharf run --rm "${options[@]}" attacker attack "$@"
    echo "$output"
}
held_off() { [ "$status" -eq 1 ] && [[ "$output" == *"held off: "* ]]; }

@test "a user namespace cannot be made through the default filter" {
    attack -- namespace
    held_off
    attack --security-opt seccomp=unconfined -- namespace
    [ "$status" -eq 0 ]
}

@test "devices and kernel parameters are for who is given them, cgroups for nobody" {
    attack -- device
    held_off
    attack -- write /proc/sys/kernel/core_pattern
    held_off
    attack -- cgroups
    held_off
    attack --privileged -- device
    [ "$status" -eq 0 ]
    attack --privileged -- write /proc/sys/kernel/core_pattern
    [ "$status" -eq 0 ]
}

@test "no descriptor, working directory, key or group of the host's comes in" {
    attack -- descriptors "$E2E_DIR/canary"
    held_off
    attack -w /proc/self/fd/3 -- workdir "$E2E_DIR/canary"
    [ "$status" -ne 0 ]
    attack --security-opt seccomp=unconfined -- key
    held_off
    attack -- group
    held_off
}

@test "bombs end at the limits" {
    attack --pids-limit 32 -- forks 100
    held_off
    attack -- forks 100
    [ "$status" -eq 0 ]
    attack -m 32m -- memory 134217728
    held_off
    attack -- memory 134217728
    [ "$status" -eq 0 ]
}

# An attacker runs; commands are executed beside it until it has its answer.
let_in() { # ATTACK... -- COMMAND...
    local attack=()
    while [ "$1" != -- ]; do
        attack+=("$1")
        shift
    done
    shift
    wharf run -d --name attacked attacker attack "${attack[@]}" >/dev/null
    eventually logs_have attacked ready
    while state_is attacked running; do
        wharf exec attacked "$@" >/dev/null 2>&1 || true
    done
    wharf logs attacked
    wharf rm attacked >/dev/null
}

# The same on a stack of the build for tests, without the defence.
undefended() ( # DEFENCE, then as above
    export TEST_UNDEFENDED=$1 PATH=$WHARF_BUILD/faults:$PATH
    shift
    start_attacked_stack
    trap stop_stack EXIT
    let_in "$@"
)

@test "who comes in by exec cannot be looked into before it runs its command (CVE-2016-9962)" {
    [[ "$(let_in newcomer 20 -- true)" == *"held off: who comes in"* ]]
    [ "$(undefended hidden-setup newcomer 20 -- true)" = ready ]
}

@test "the program that comes in by exec cannot be overwritten (CVE-2019-5736)" {
    # Without the seal the kernel does: the container's own shim runs from the same copy (ETXTBSY).
    [[ "$(let_in program -- /proc/self/exe)" == *"held off: the program cannot be written to"* ]]
}

@test "no descriptor or working directory of the host's comes in by exec (CVE-2024-21626)" {
    wharf run -d --name open attacker sleep 1000 >/dev/null
    run -1 wharf exec open attack descriptors "$E2E_DIR/canary"
    [[ "$output" == *"held off: "* ]]
    local fd
    for fd in {3..20}; do
        run wharf exec -w "/proc/self/fd/$fd" open attack workdir "$E2E_DIR/canary"
        [ "$status" -ne 0 ]
    done
    run -1 wharf exec open attack group
    run -1 wharf exec open attack namespace
    wharf rm -f open
}
