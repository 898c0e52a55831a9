#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The guest's first process. Ends with one line on the console: WHARF-GUEST-OK or WHARF-GUEST-FAILED.
export PATH=/wharf:/bin HOME=/root

# pivot_root(2) is refused while / is the initramfs; so everything moves to a tmpfs first.
if [ ! -e /moved ]; then
    mkdir /new
    mount -t tmpfs -o mode=755,size=600m none /new
    for dir in bin etc lib lib64 usr root wharf init; do
        [ ! -e /$dir ] || cp -a /$dir /new/
    done
    mkdir -p /new/dev /new/proc /new/sys /new/tmp /new/run /new/var
    : >/new/moved
    exec switch_root /new /init
fi

mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
exec </dev/null >/dev/ttyS0 2>&1
mkdir -p /dev/pts /dev/shm
mount -t devpts none /dev/pts
for dir in /dev/shm /tmp /run /var; do
    mount -t tmpfs none $dir
done
chmod 1777 /tmp /dev/shm
ln -s /proc/self/fd /dev/fd
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
insmod /wharf/overlay.ko
echo "guest: Linux $(uname -r), cgroup v2 with $(cat /sys/fs/cgroup/cgroup.controllers)"

failed=
root_tests=$(sed -n 's/.*root-tests=\([^ ]*\).*/\1/p' /proc/cmdline) # the beginning of their names
cycle=$(sed -n 's/.*wharf-reboot=\([^ ]*\).*/\1/p' /proc/cmdline)
if [ -n "$cycle" ]; then
    mkdir -p /disk
    mount -t ext4 /dev/nvme0n1 /disk || failed="$failed mount"
    echo "== reboot.sh $cycle"
    /wharf/reboot.sh "$cycle" || failed="$failed reboot.sh"
    umount /disk || failed="$failed umount"
elif [ -z "$root_tests" ]; then
    echo "== end_to_end.sh"
    /wharf/end_to_end.sh || failed="$failed end_to_end.sh"
fi
if [ -n "$root_tests" ]; then
    mkdir -p /disk
    mount -t ext4 /dev/nvme0n1 /disk || failed="$failed mount"
fi
for test in ${root_tests:+/wharf/tests/root/"$root_tests"*}; do
    echo "== ${test##*/}"
    WHARF_BUILD=/wharf WHARF_TEST_PATIENCE=10 WHARF_TEST_DIR=/disk $test || failed="$failed ${test##*/}"
done

echo "guest: done after $(cut -d' ' -f1 /proc/uptime) s"
if [ -z "$failed" ]; then
    echo WHARF-GUEST-OK
else
    echo "WHARF-GUEST-FAILED:$failed"
fi
poweroff -f
