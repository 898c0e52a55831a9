#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs one program of the suite: `unshare --mount --pid --net --fork inside.sh SUITE PROGRAM RUNTIME`.
#
# Some programs leave mounts that their own clean-up then walks into with rm -rf, and some change the owner of /dev/null. So
# everything of the host is read-only here, but for the cgroups; /tmp, /run and /dev are new and empty, and go with the
# namespace, and so do the copies of what is run. On a host with cgroup v1 the hierarchies that the suite looks for and that
# are not mounted are mounted, as far as the kernel has them.
set -eu
suite=$1 program=$2 runtime=$3

mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /mnt
for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
    # shellcheck disable=SC2086 # three words
    set -- $node
    mknod -m 666 "/mnt/$1" c "$2" "$3"
done
mkdir /mnt/pts /mnt/shm /mnt/mqueue
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts /mnt/pts
ln -s pts/ptmx /mnt/ptmx
ln -s /proc/self/fd /mnt/fd
mount --move /mnt /dev
if [ "$(stat -f -c %T /sys/fs/cgroup)" = tmpfs ]; then
    mount -t tmpfs -o mode=755 tmpfs /mnt
    for at in /sys/fs/cgroup/*/; do
        mountpoint -q "$at" || continue
        mkdir "/mnt/$(basename "$at")"
        mount --move "$at" "/mnt/$(basename "$at")"
    done
    for controller in hugetlb net_cls net_prio; do
        mkdir -p "/mnt/$controller"
        mountpoint -q "/mnt/$controller" || mount -t cgroup -o "$controller" none "/mnt/$controller" 2>/dev/null ||
            rmdir "/mnt/$controller"
    done
    mount --move /mnt /sys/fs/cgroup
fi
# Some want an interface beside lo, which the host has, too. The end of a pair that is named last comes first.
[ -z "${INTERFACE:-}" ] || ip link add peer0 type veth peer name "$INTERFACE" 2>/dev/null || true
# The host's file systems, whatever they are, as far as they can be had read-only.
mount -o remount,bind,ro /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/suite
cp "$suite/bin/$program" "$suite/bin/runtimetest" "$suite"/rootfs-*.tar.gz /run/suite
cp "$runtime" /run/suite/runtime.bin
cat >/run/suite/runtime <<'SH'
#!/bin/sh
exec /run/suite/runtime.bin "$@"
SH
# crun up to 1.8 refuses what the suite's configurations begin with, although it knows nothing else of it.
[ "${runtime##*/}" != crun ] || cat >/run/suite/runtime <<'SH'
#!/bin/sh
previous=
for argument; do
    [ "$previous" != --bundle ] || sed -i 's/"ociVersion": *"1\.[1-9][^"]*"/"ociVersion": "1.0.2"/' "$argument/config.json"
    previous=$argument
done
exec /run/suite/runtime.bin "$@"
SH
chmod +x /run/suite/runtime
mount -t tmpfs -o mode=1777 tmpfs /tmp
cd /run/suite
export RUNTIME=/run/suite/runtime HOME=/tmp
exec timeout 120 "./$program"
