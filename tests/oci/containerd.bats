#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# containerd's runc shim with wharf-oci as its runc: a daemon of the test's own, an imported image, driven by ctr.

bats_require_minimum_version 1.5.0
load rootfs

setup_file() {
    export SHARED
    SHARED=$(mktemp -d)
    make_image
    cat >"$SHARED/config.toml" <<CONFIG
version = 2
root = "$SHARED/root"
state = "$SHARED/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$SHARED/containerd.sock"
CONFIG
    containerd --config "$SHARED/config.toml" >"$SHARED/log" 2>&1 3>&- &
    echo $! >"$SHARED/pid"
    wait_until test -S "$SHARED/containerd.sock"
    ctr images import --snapshotter native "$SHARED/image.tar"
}

teardown_file() {
    kill "$(cat "$SHARED/pid")"
    wait_until sh -c "! kill -0 $(cat "$SHARED/pid") 2>/dev/null"
    rm -rf --one-file-system "$SHARED"
}

# A docker archive: the root file system as one layer, a configuration that names its digest, a manifest.
make_image() {
    local layer config
    make_rootfs "$SHARED/rootfs"
    mkdir "$SHARED/image"
    tar -C "$SHARED/rootfs" -cf "$SHARED/image/layer.tar" .
    layer=$(sha256sum <"$SHARED/image/layer.tar" | cut -d' ' -f1)
    jq -n --arg layer "sha256:$layer" '{architecture: "amd64", os: "linux", config: {Env: ["PATH=/bin"], Cmd: ["sh"]},
        rootfs: {type: "layers", diff_ids: [$layer]}}' >"$SHARED/image/config.json"
    config=$(sha256sum <"$SHARED/image/config.json" | cut -d' ' -f1)
    mv "$SHARED/image/config.json" "$SHARED/image/$config.json"
    jq -n --arg config "$config.json" '[{Config: $config, RepoTags: ["wharf.test/busybox:1"], Layers: ["layer.tar"]}]' \
        >"$SHARED/image/manifest.json"
    tar -C "$SHARED/image" -cf "$SHARED/image.tar" .
}

ctr() { command ctr --address "$SHARED/containerd.sock" "$@"; }
run_container() { ctr run --snapshotter native --runc-binary "$OCI" --runc-root "$SHARED/oci" "$@"; }
status_of() { ctr task ls | awk -v id="$1" '$1 == id {print $3}'; }

is_stopped() { [ "$(status_of "$ID")" = STOPPED ]; }

setup() {
    ID=wharf-ctr-$$-$BATS_TEST_NUMBER
}

teardown() {
    ctr task kill --signal KILL "$ID" >/dev/null 2>&1 || true
    ctr task rm --force "$ID" >/dev/null 2>&1 || true
    ctr containers rm "$ID" >/dev/null 2>&1 || true
}

@test "run gives the output and the exit code, and leaves nothing" {
    run run_container --rm wharf.test/busybox:1 "$ID" sh -c 'echo out; exit 7'
    [ "$status" -eq 7 ]
    [ "${lines[0]}" = out ]
    [ -z "$(ls -A "$SHARED/oci/default")" ]
    run run_container --rm wharf.test/busybox:1 "$ID" no-such-command
    [ "$status" -ne 0 ]
    [[ "$output" == *"cannot execute 'no-such-command': No such file or directory"* ]]
    [ -z "$(ls -A "$SHARED/oci/default")" ]
}

@test "exec, ps, pause, resume, kill and delete" {
    run_container --detach --memory-limit 67108864 wharf.test/busybox:1 "$ID" sleep 1000
    [ "$(status_of "$ID")" = RUNNING ]
    [ "$("$OCI" --root "$SHARED/oci/default" list --quiet)" = "$ID" ]
    run ctr task exec --exec-id one "$ID" sh -c 'echo here; exit 5'
    [ "$status" -eq 5 ]
    [ "${lines[0]}" = here ]
    [ "$(ctr task ps "$ID" | wc -l)" -eq 2 ]
    ctr task pause "$ID"
    [ "$(status_of "$ID")" = PAUSED ]
    ctr task resume "$ID"
    [ "$(status_of "$ID")" = RUNNING ]
    ctr task kill --signal KILL "$ID"
    wait_until is_stopped
    ctr task rm "$ID" || [ $? -eq 137 ]
    ctr containers rm "$ID"
    [ -z "$(ls -A "$SHARED/oci/default")" ]
}

@test "a terminal, for the container and for exec" {
    printf '#!/bin/bash\n%s\n%s\n"$@"\n' "$(declare -p SHARED OCI)" "$(declare -f ctr run_container)" >"$SHARED/call"
    chmod +x "$SHARED/call"
    run on_terminal "$SHARED/call" run_container --rm --tty wharf.test/busybox:1 "$ID" sh <<'SCRIPT'
expect #
send echo in$((40 + 2)); tty\r
expect in42
expect /dev/pts/
send exit 6\r
SCRIPT
    [ "$status" -eq 6 ]
    run_container --detach wharf.test/busybox:1 "$ID" sleep 1000
    run on_terminal "$SHARED/call" ctr task exec --tty --exec-id two "$ID" sh -c 'echo ready; read line; echo "got $line"; exit 4' <<'SCRIPT'
expect ready
send hello\r
expect got hello
SCRIPT
    [ "$status" -eq 4 ]
}
