#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run_guest.sh VMLINUZ INITRAMFS CONSOLE: boots the guest without KVM, shows its console, which goes to the file CONSOLE
# too, and succeeds if the guest says that all is well. The guest powers off by itself; the timeout is for when it cannot.
set -eu
code=0
disk=
if [ -n "${GUEST_ROOT_TESTS:-}" ]; then
    disk=$3.disk
    truncate -s 512M "$disk"
    mkfs.ext4 -q -F "$disk"
    trap 'rm -f "$disk"' EXIT
fi
timeout -k 5 "${GUEST_TIMEOUT_S:-600}" qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 1536 -nodefaults -no-reboot \
    ${disk:+-drive "file=$disk,if=none,id=disk,format=raw,cache=unsafe" -device nvme,drive=disk,serial=wharf} \
    -display none -serial "file:$3" -kernel "$1" -initrd "$2" \
    -append "console=ttyS0 quiet panic=-1 cgroup_no_v1=all random.trust_cpu=on ${GUEST_ROOT_TESTS:+root-tests=$GUEST_ROOT_TESTS}" </dev/null || code=$?
tr -d '\r' <"$3"
if [ "$code" != 0 ]; then
    echo "the guest did not power off by itself (status $code); its console is in '$3'" >&2
    exit 1
fi
tr -d '\r' <"$3" | grep -qx WHARF-GUEST-OK
