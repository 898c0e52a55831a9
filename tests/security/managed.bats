#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The same attacker in containers that Wharf manages, as anybody would run them, and with what they can be given.

load ../e2e/helper

setup_file() {
    start_stack
    cp "$WHARF_BUILD/security/attack" "$E2E_DIR/rootfs/bin/"
    echo secret >"$E2E_DIR/canary"
    wharf import "$E2E_DIR/rootfs" attacker >/dev/null
}

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
