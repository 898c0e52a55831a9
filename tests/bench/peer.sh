# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the benches that run crun share.

# crun refuses a host with v1 controllers beside an empty v2 unless hugetlb is mounted: done where only we see it.
enter_private_mounts() { # the script's arguments
    if [ -z "${WHARF_BENCH_INSIDE:-}" ]; then
        export WHARF_BENCH_INSIDE=1
        exec unshare --mount --propagation private "$0" "$@"
    fi
    if [ ! -e /sys/fs/cgroup/cgroup.controllers ] && [ -d /sys/fs/cgroup/memory ] && ! mountpoint -q /sys/fs/cgroup/hugetlb; then
        mkdir -p /sys/fs/cgroup/hugetlb
        mount -t cgroup -o hugetlb none /sys/fs/cgroup/hugetlb
    fi
}

# A root file system of busybox in DIRECTORY/rootfs, and crun's own configuration for it, running true.
make_bundle() { # DIRECTORY
    chmod 755 "$1"
    mkdir -p "$1/rootfs/bin" "$1/bundle"
    cp /bin/busybox "$1/rootfs/bin/busybox"
    for applet in true sh sleep echo cat dd head; do ln -s busybox "$1/rootfs/bin/$applet"; done
    (cd "$1/bundle" && crun spec && jq --arg root "$1/rootfs" \
        '.root.path = $root | .process.terminal = false | .process.args = ["/bin/true"]' config.json >config.new &&
        mv config.new config.json)
}
