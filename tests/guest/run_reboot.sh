#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run_reboot.sh VMLINUZ INITRAMFS DIR: boots the guest with a disk again and again and cuts its power: QEMU is killed, and with it
# all that the guest had not written to its disk. The last boot judges and powers off; then the log on the disk is judged here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
vmlinuz=$1
initramfs=$2
dir=$3
limit_s=${GUEST_TIMEOUT_S:-300}
# How many starts of the burst are answered for when the power goes, for each power cut; 0 is as soon as the load stands.
read -ra cuts <<<"${GUEST_CUTS:-0 5}"

fail() {
    echo "$*; see '$dir'" >&2
    exit 1
}

boot() { # CYCLE CONSOLE
    qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 1536 -nodefaults -no-reboot -display none -serial "file:$2" \
        -drive "file=$dir/disk.img,if=none,id=disk,format=raw" -device nvme,drive=disk,serial=wharf \
        -kernel "$vmlinuz" -initrd "$initramfs" \
        -append "console=ttyS0 quiet panic=-1 cgroup_no_v1=all random.trust_cpu=on wharf-reboot=$1" </dev/null &
    qemu=$!
}

# Until the console has COUNT lines like PATTERN; fails when the guest has.
await() { # PATTERN COUNT CONSOLE
    local deadline=$((SECONDS + limit_s))
    until [ "$(grep -ac "$1" "$3")" -ge "$2" ]; do
        if grep -aq WHARF-GUEST-FAILED "$3" || [ $SECONDS -ge $deadline ] || ! kill -0 $qemu 2>/dev/null; then
            tr -d '\r' <"$3"
            fail "the guest did not get to '$1' $2 times"
        fi
        read -rt 0.05 <> <(:) || true
    done
}

rm -rf "$dir"
mkdir -p "$dir"
truncate -s 256M "$dir/disk.img"
mkfs.ext4 -q -F "$dir/disk.img"
qemu=
trap '[ -z "$qemu" ] || kill -KILL $qemu 2>/dev/null || true' EXIT
cycle=0
for cut in "${cuts[@]}"; do
    cycle=$((cycle + 1))
    console=$dir/console.$cycle
    : >"$console"
    boot "$cycle" "$console"
    await '^READY' 1 "$console"
    [ "$cut" = 0 ] || await '^acked ' "$cut" "$console"
    kill -KILL $qemu
    wait $qemu 2>/dev/null || true
    qemu=
    echo "boot $cycle: the power was cut after $(grep -ac '^acked ' "$console" || true) starts of the burst"
done
console=$dir/console.last
: >"$console"
boot last "$console"
await '^WHARF-GUEST-OK' 1 "$console"
wait $qemu
qemu=
debugfs -R "rdump /state/log $dir" "$dir/disk.img" >"$dir/debugfs.out" 2>&1 || fail "cannot read the disk"
python3 "$here/check_log.py" "$dir/log" "$dir"/console.* || fail "the log does not hold what it must"
echo "after ${#cuts[@]} power cuts everything holds"
rm -rf "$dir"
