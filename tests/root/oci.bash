# SPDX-License-Identifier: Apache-2.0
# What the tests of wharf-oci share: a bundle of busybox in a directory of its own, and nothing left behind.

setup() {
    DIR=$(mktemp -d)
    OCI="${WHARF_BUILD:-build}/wharf-oci --root $DIR/root"
    ID=wharf-test-$$-$BATS_TEST_NUMBER
    mkdir -p "$DIR/b/rootfs"/{bin,etc,proc,sys,dev,tmp}
    cp /bin/busybox "$DIR/b/rootfs/bin/"
    for applet in sh cat ls id true sleep mount grep readlink echo touch stat env ulimit hostname dirname test pwd tty stty \
        kill ps head wc dd seq tr nproc; do
        ln -s busybox "$DIR/b/rootfs/bin/$applet"
    done
    $OCI spec --bundle "$DIR/b"
    config '.process.terminal = false'
}

teardown() {
    local job
    for job in $(jobs -p); do # of a test that failed: what it waits for does not come any more
        kill "$job" 2>/dev/null || true
    done
    for left in "$DIR"/root/*; do
        [ -e "$left" ] && $OCI delete --force "${left##*/}"
    done
    rm -rf --one-file-system "$DIR"
    for hierarchy in /sys/fs/cgroup/*; do
        [ ! -e "$hierarchy/wharf-oci/$ID" ]
    done
}

config() {
    jq "$@" "$DIR/b/config.json" >"$DIR/new.json"
    mv "$DIR/new.json" "$DIR/b/config.json"
}
command() { config --arg c "$1" '.process.args = ["sh", "-c", $c]'; }
status_of() { $OCI state "$1" | jq -r .status; }
# Ends when the process does, however it is related to us.
wait_for_end() { timeout 10 tail --pid="$1" -f /dev/null; }
# Ends when the condition holds; a test whose condition never does fails.
wait_until() {
    local i
    for ((i = 0; i < 500; i++)); do
        "$@" && return 0
        sleep 0.02
    done
    return 1
}
# A container that runs until it is killed.
run_sleeper() {
    command 'sleep 1000'
    $OCI run --detach --bundle "$DIR/b" "$ID" </dev/null >/dev/null 2>&1
}
