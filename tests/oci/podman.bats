#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# podman with wharf-oci as its runtime: what people do with it every day. Its storage is a directory of the test's own, its
# image an import, its networks none and the host's.

bats_require_minimum_version 1.5.0
load rootfs

setup_file() {
    export SHARED
    SHARED=$(mktemp -d)
    make_rootfs "$SHARED/rootfs"
    write_programs
    tar -C "$SHARED/rootfs" -c . | podman import - wharf.test/busybox
}

# Programs, for those that execute one. podman's --runtime-flag does not reach the clean-up that conmon starts.
write_programs() {
    printf '#!/bin/sh\nexec "%s" --root "%s/oci" "$@"\n' "$OCI" "$SHARED" >"$SHARED/wharf-oci"
    printf '#!/bin/bash\n%s\n%s\npodman "$@"\n' "$(declare -p SHARED OCI)" "$(declare -f podman)" >"$SHARED/podman"
    chmod +x "$SHARED/wharf-oci" "$SHARED/podman"
}

teardown_file() {
    podman rm --all --force --time 0
    rm -rf --one-file-system "$SHARED"
    rmdir /sys/fs/cgroup/*/libpod_parent 2>/dev/null || true # podman's own, and shared by all podmans
}

podman() {
    command podman --root "$SHARED/root" --runroot "$SHARED/run" --tmpdir "$SHARED/tmp" --storage-driver vfs --cgroup-manager cgroupfs \
        --events-backend file --runtime "$SHARED/wharf-oci" "$@"
}

setup() {
    NAME=wharf-podman-$$-$BATS_TEST_NUMBER
}

teardown() {
    podman rm --force --time 0 "$NAME" >/dev/null 2>&1 || true
}

sleeper() { podman run --detach --network none --name "$NAME" "$@" wharf.test/busybox sleep 1000; }
logged() { podman logs "$NAME" | grep -q "$1"; }
state() { podman inspect --format "{{.State.$1}}" "$NAME"; }

@test "run gives the output and the exit code, and leaves nothing" {
    run podman run --rm --network none --name "$NAME" wharf.test/busybox sh -c 'echo out; id -u; exit 7'
    [ "$status" -eq 7 ]
    [ "$output" = $'out\n0' ]
    run -127 podman run --rm --network none wharf.test/busybox no-such-command
    run podman run --rm --network none wharf.test/busybox /etc
    [ "$status" -eq 126 ]
    [ -z "$(podman ps --all --quiet)" ]
    [ -z "$("$OCI" --root "$SHARED/oci" list --quiet)" ]
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -name 'libpod-*')" ]
}

@test "what run can be told: user, environment, volumes, tmpfs, limits, rights, the host's network" {
    mkdir "$SHARED/volume"
    echo given >"$SHARED/volume/file"
    run podman run --rm --network host --user user --env KEY=value --volume "$SHARED/volume:/data:ro" --tmpfs /scratch --memory 64m \
        --pids-limit 50 --cap-drop all --security-opt no-new-privileges --read-only --ulimit nofile=99:99 wharf.test/busybox sh -c '
        id -u; id -g; echo $KEY; cat /data/file; touch /data/x || echo read-only; touch /scratch/x && echo scratch
        grep -E "CapBnd|NoNewPrivs|Seccomp:" /proc/self/status; ulimit -n; readlink /proc/self/ns/net'
    [ "$status" -eq 0 ]
    [[ "$output" == *$'7\n8\nvalue\ngiven\n'*$'read-only\nscratch\n'* ]]
    echo "$output"
    [[ "$output" == *$'CapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n99\n'"$(readlink /proc/self/ns/net)" ]]
}

@test "exec, with and without a terminal, and with input" {
    sleeper
    run podman exec "$NAME" sh -c 'echo out; exit 4'
    [ "$status" -eq 4 ]
    [ "$output" = out ]
    [ "$(echo typed | podman exec --interactive "$NAME" cat)" = typed ]
    [ "$(podman exec --user 7 --env A=b --workdir /tmp "$NAME" sh -c 'echo $(id -u) $A $PWD')" = "7 b /tmp" ]
    run -127 podman exec "$NAME" no-such-command
    run on_terminal "$SHARED/podman" exec --interactive --tty "$NAME" sh -c 'tty; stty size; read line; echo "got $line"; exit 5' <<'SCRIPT'
expect /dev/pts/
expect 30 100
send hello\r
expect got hello
SCRIPT
    [ "$status" -eq 5 ]
}

@test "run on a terminal" {
    run on_terminal "$SHARED/podman" run --rm --interactive --tty --network none wharf.test/busybox sh <<'SCRIPT'
expect / #
send tty; echo in$((40 + 2))\r
expect /dev/pts/
expect in42
send exit 6\r
SCRIPT
    [ "$status" -eq 6 ]
}

@test "pause, unpause, top, stats, logs and stop" {
    podman run --detach --network none --name "$NAME" wharf.test/busybox \
        sh -c 'trap "echo stopping; exit 3" TERM; echo begun; while :; do sleep 0.05; done'
    wait_until logged begun
    podman pause "$NAME"
    [ "$(state Status)" = paused ]
    run podman exec "$NAME" true
    [ "$status" -ne 0 ]
    podman unpause "$NAME"
    [ "$(state Status)" = running ]
    [[ "$(podman top "$NAME" args)" == *"echo stopping"* ]]
    [ "$(podman stats --no-stream --format '{{.PIDs}}' "$NAME")" -ge 1 ]
    podman stop --time 10 "$NAME"
    [ "$(state ExitCode)" -eq 3 ]
    [ "$(podman logs "$NAME")" = $'begun\nstopping' ]
    podman start "$NAME"
    podman kill "$NAME"
    [ "$(podman wait "$NAME")" -eq 137 ]
    podman rm "$NAME"
}

@test "update changes a running container's limits" {
    sleeper --memory 64m
    podman update --memory 32m --memory-swap 32m --cpu-shares 200 "$NAME"
    [ "$(podman exec "$NAME" cat /sys/fs/cgroup/memory/memory.limit_in_bytes)" -eq $((32 << 20)) ]
    [ "$(podman exec "$NAME" cat /sys/fs/cgroup/cpu/cpu.shares)" -eq 200 ]
}

@test "rm --force of what runs, with others executing in it" {
    sleeper
    podman exec --detach "$NAME" sleep 2000
    pid=$(state Pid)
    podman rm --force --time 0 "$NAME"
    [ ! -e "/proc/$pid" ]
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -name 'libpod-*')" ]
}
