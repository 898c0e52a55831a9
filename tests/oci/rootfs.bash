# SPDX-License-Identifier: Apache-2.0
# What the tests of others with wharf-oci share.

OCI=$(realpath "${WHARF_BUILD:-build}/wharf-oci")
ON_TERMINAL=$BATS_TEST_DIRNAME/../root/on_terminal.py

# A root file system of busybox in the directory.
make_rootfs() {
    local applet
    mkdir -p "$1"/{bin,etc,proc,sys,dev,tmp,root}
    cp /bin/busybox "$1/bin/"
    for applet in sh cat ls id true sleep echo env tty stty hostname grep readlink touch kill ps head seq mount; do
        ln -s busybox "$1/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
    echo 'user:x:7:8:user:/tmp:/bin/sh' >>"$1/etc/passwd"
}

# Ends when the condition holds; a test whose condition never does fails.
wait_until() {
    local i
    for ((i = 0; i < 500; i++)); do
        "$@" && return 0
        sleep 0.02
    done
    return 1
}

on_terminal() { timeout 30 python3 "$ON_TERMINAL" "$@"; }
