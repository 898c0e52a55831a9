#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Hostile containers and bundles against wharf-oci: each attack is held off, and succeeds where its defence is switched off.

load attack

@test "no descriptor of the host's reaches the command (CVE-2024-21626)" {
    setup_bundle
    attacker descriptors "$DIR/canary"
    exec 20</ # a caller's own leak
    defended
    container
    held_off
    undefended closed-descriptors
    container
    succeeded
}

@test "no working directory leads out of the root (CVE-2024-21626)" {
    setup_bundle
    attacker workdir "$DIR/canary"
    exec 20</
    local fd
    defended
    for fd in {3..20}; do
        config --arg cwd "/proc/self/fd/$fd" '.process.cwd = $cwd'
        container
        [ "$status" -ne 0 ]
        [[ "$output" == *"held off"* || "$output" == *"cannot enter the working directory"* ]]
    done
    undefended confined-paths,closed-descriptors
    container
    succeeded
}

@test "links in the root lead no mount out of it" {
    setup_bundle
    mkdir -p "$DIR/host" "$DIR/b/rootfs$DIR/host" # as the link is meant, and as the container has to see it
    ln -s "$DIR/host" "$DIR/b/rootfs/etc/link"
    config '.process.args = ["true"] | .mounts += [{destination: "/etc/link/made", type: "tmpfs", source: "tmpfs"}]'
    defended
    container
    succeeded
    [ ! -e "$DIR/host/made" ]
    undefended confined-paths
    container
    [ -d "$DIR/host/made" ]
}

# Starts a container that mounts into a volume, while a neighbour swaps a directory of it and a link to the host.
mount_into_volume() {
    config --arg to "/volume/a/made-$((++made))" '.mounts[-1].destination = $to'
    container
    [ "$status" -eq 0 ] || echo "$output" >&2
}

# Without the defence a race is won some time, which takes more tries on a busy machine: tries ONE until CONDITION.
race_until() {
    local i
    for ((i = 0; i < 1000; i++)); do
        "$1"
        "${@:2}" && return 0
    done
    return 1
}
not() { ! "$@"; }
is_empty() { [ -z "$(ls -A "$1")" ]; }
has_devices() { [ -n "$(find "$1" -type c)" ]; }
has_run() { [ "$status" -eq 0 ]; }
has_said() { [[ "$output" == *"$1"* ]]; }

@test "a volume that changes meanwhile leads no mount out of the root (CVE-2021-30465)" {
    setup_bundle
    mkdir -p "$DIR/host" "$DIR/b/rootfs$DIR/host" "$DIR/volume/a"
    ln -s "$DIR/host" "$DIR/volume/link"
    config --arg volume "$DIR/volume" '.process.args = ["true"] | .mounts += [
        {destination: "/volume", type: "none", source: $volume, options: ["rbind"]},
        {destination: "", type: "tmpfs", source: "tmpfs"}]'
    "$WHARF_BUILD/security/attack" swap "$DIR/volume/a" "$DIR/volume/link" &
    local neighbour=$!
    local made=0 i
    defended
    for ((i = 0; i < 60; i++)); do
        mount_into_volume
    done
    is_empty "$DIR/host"
    undefended confined-paths
    race_until mount_into_volume not is_empty "$DIR/host"
    kill "$neighbour"
}

# Starts containers, while a neighbour swaps what they need: how many ran, and how many said TEXT.
race_for() {
    ran=0 said=0
    local i
    for ((i = 0; i < 60; i++)); do
        container
        [ "$status" -ne 0 ] || ran=$((ran + 1))
        [[ "$output" != *"$1"* ]] || said=$((said + 1))
    done
}

@test "what the container has for /dev/null masks nothing (CVE-2025-31133)" {
    setup_bundle
    mkdir "$DIR/dev"
    mknod -m 666 "$DIR/dev/null" c 1 3
    ln -s "$DIR/canary" "$DIR/dev/link"
    touch "$DIR/b/rootfs/etc/masked"
    config --arg dev "$DIR/dev" '.process.args = ["cat", "/etc/masked"] | .linux.maskedPaths = ["/etc/masked"] |
        .mounts = [.mounts[] | select(.destination | startswith("/dev") | not)] +
            [{destination: "/dev", type: "none", source: $dev, options: ["rbind"]}]'
    "$WHARF_BUILD/security/attack" swap "$DIR/dev/null" "$DIR/dev/link" &
    local neighbour=$!
    defended
    race_for secret
    [ "$said" -eq 0 ]
    [ "$ran" -gt 0 ]
    undefended host-null
    race_until container has_said secret
    kill "$neighbour"
}

@test "no link at /proc leads what protects it elsewhere (CVE-2019-19921)" {
    setup_bundle
    mkdir -p "$DIR/volume/a" "$DIR/volume/b"
    rmdir "$DIR/b/rootfs/proc"
    ln -s /early/a "$DIR/b/rootfs/proc"
    config --arg volume "$DIR/volume" \
        '.mounts = [{destination: "/early", type: "none", source: $volume, options: ["rbind"]}] + .mounts'
    command 'attack write /early/a/sys/kernel/core_pattern || attack write /early/b/sys/kernel/core_pattern'
    "$WHARF_BUILD/security/attack" swap "$DIR/volume/a" "$DIR/volume/b" &
    local neighbour=$!
    defended
    race_for "cannot mount in the container '/proc'"
    [ "$ran" -eq 0 ]
    [ "$said" -eq 60 ]
    undefended plain-mounts,held-mounts
    race_until container has_run
    kill "$neighbour"
}

@test "who shares the root directory moves no /proc away from what protects it (CVE-2019-19921)" {
    setup_bundle
    mkdir "$DIR/b/rootfs/moved"
    config .
    command 'attack write /moved/sys/kernel/core_pattern || attack write /proc/sys/kernel/core_pattern'
    "$WHARF_BUILD/security/attack" swap "$DIR/b/rootfs/proc" "$DIR/b/rootfs/moved" &
    local neighbour=$!
    defended
    race_for "held off"
    [ "$ran" -eq 0 ]
    [ "$said" -gt 0 ]
    undefended held-mounts
    race_until container has_run
    kill "$neighbour"
}

@test "no link at /dev leads the container's devices into a volume" {
    setup_bundle
    mkdir -p "$DIR/volume/a" "$DIR/volume/b"
    rmdir "$DIR/b/rootfs/dev"
    ln -s /early/a "$DIR/b/rootfs/dev"
    config --arg volume "$DIR/volume" '.process.args = ["true"] |
        .mounts = [{destination: "/early", type: "none", source: $volume, options: ["rbind"]}] + .mounts'
    "$WHARF_BUILD/security/attack" swap "$DIR/volume/a" "$DIR/volume/b" &
    local neighbour=$!
    defended
    race_for "cannot mount in the container '/dev'"
    [ "$said" -eq 60 ]
    not has_devices "$DIR/volume"
    undefended plain-mounts,held-mounts
    race_until container has_devices "$DIR/volume"
    kill "$neighbour"
}

@test "kernel parameters go to the kernel, whatever the root has at /proc (CVE-2025-52881)" {
    setup_bundle
    mkdir -p "$DIR/proc/sys/net/ipv4"
    ln -s /etc/victim "$DIR/proc/sys/net/ipv4/ip_forward"
    printf 0 >"$DIR/b/rootfs/etc/victim"
    config --arg proc "$DIR/proc" '.process.args = ["true"] | .linux.sysctl = {"net.ipv4.ip_forward": "1"} |
        .linux.maskedPaths = [] | .linux.readonlyPaths = [] |
        .mounts = [{destination: "/proc", type: "none", source: $proc, options: ["rbind"]}]'
    defended
    container
    succeeded
    [ "$(cat "$DIR/b/rootfs/etc/victim")" = 0 ]
    undefended host-proc
    container
    [ "$(cat "$DIR/b/rootfs/etc/victim")" = 1 ]
}

@test "who comes in by exec cannot be looked into before it runs its command (CVE-2016-9962)" {
    setup_bundle
    attacker newcomer 20
    defended
    [[ "$(let_in true)" == *"held off: who comes in"* ]]
    undefended hidden-setup
    [ "$(let_in true)" = ready ]
}

@test "the program that comes in cannot be overwritten (CVE-2019-5736)" {
    setup_bundle
    attacker program
    defended
    [[ "$(let_in /proc/self/exe)" == *"held off: the program cannot be written to"* ]]
    undefended sealed-program
    [ "$(let_in /proc/self/exe)" = ready ]
}

@test "the caller's keyring stays outside" {
    setup_bundle
    attacker key
    defended
    container "$WHARF_BUILD/security/attack" with-key
    held_off
    undefended own-keyring
    container "$WHARF_BUILD/security/attack" with-key
    succeeded
}

@test "the caller's groups stay outside" {
    setup_bundle
    attacker group
    defended
    container "$WHARF_BUILD/security/attack" with-group
    held_off
    undefended own-groups
    container "$WHARF_BUILD/security/attack" with-group
    succeeded
}

at_a_terminal() { run script -qefc "$OCI run --bundle $DIR/b $ID" /dev/null </dev/null; }

@test "the caller's terminal is not the container's" {
    setup_bundle
    attacker terminal
    defended
    at_a_terminal
    held_off
    undefended own-session
    at_a_terminal
    succeeded
}

@test "a terminal is opened where terminals are, and nowhere else (CVE-2025-52565)" {
    setup_bundle
    mkdir "$DIR/pts" "$DIR/b/rootfs/other"
    ln -s /other/ptmx "$DIR/pts/ptmx"
    ln -s /proc/sys/kernel/core_pattern "$DIR/pts/0"
    config --arg pts "$DIR/pts" --arg is "$(cat /proc/sys/kernel/core_pattern)" '.process.terminal = true |
        .process.args = ["sh", "-c", "[ \"$(cat /dev/console)\" = \"$0\" ]", $is] |
        (.mounts[] | select(.destination == "/dev/pts")) as $devpts |
        .mounts |= map(if .destination == "/dev/pts" then {destination, type: "none", source: $pts, options: ["rbind"]} else . end) |
        .mounts += [$devpts | .destination = "/other"]'
    defended
    at_a_terminal
    [ "$status" -eq 1 ]
    [[ "$output" == *"cannot make the terminal '/dev/pts/ptmx'"* ]]
    undefended own-terminal
    at_a_terminal
    succeeded
}

@test "kernel parameters and sysrq cannot be written" {
    setup_bundle
    cp "$DIR/b/config.json" "$DIR/confined.json"
    local path
    defended
    for path in /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do
        [ -e "$path" ] || continue # a kernel without it
        cp "$DIR/confined.json" "$DIR/b/config.json"
        attacker write "$path"
        container
        held_off
        config '.linux.readonlyPaths = []'
        container
        succeeded
    done
}

@test "cgroups cannot be written (CVE-2022-0492)" {
    setup_bundle
    attacker cgroups
    defended
    container
    held_off
    config '.mounts |= map(if .destination == "/sys/fs/cgroup" then .options -= ["ro"] else . end)'
    container
    succeeded
}

@test "devices that are not allowed cannot be opened, even by who may make them" {
    setup_bundle
    attacker device
    config '.process.capabilities[] += ["CAP_MKNOD", "CAP_SYSLOG"]'
    defended
    container
    held_off
    config '.linux.resources.devices = [{"allow": true, "access": "rwm"}]'
    container
    succeeded
}

@test "a fork bomb ends at the limit" {
    setup_bundle
    attacker forks 100
    config '.linux.resources.pids = {"limit": 32}'
    defended
    container
    held_off
    config 'del(.linux.resources.pids)'
    container
    succeeded
}

@test "a memory bomb ends at the limit" {
    setup_bundle
    attacker memory 134217728
    config '.linux.resources.memory = {"limit": 33554432, "swap": 33554432}'
    defended
    container
    held_off
    config 'del(.linux.resources.memory)'
    container
    succeeded
}
