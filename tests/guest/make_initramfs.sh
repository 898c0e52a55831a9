#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make_initramfs.sh BUILD OUT: an initramfs of busybox, the binaries and root tests in BUILD, redis-server, jq and the
# shared libraries that they need. BUILD/guest/overlay.ko is what fetch_kernel.sh left there.
set -eu
build=$1
out=$2
here=$(dirname "$0")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

mkdir -p "$tree/bin" "$tree/etc" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/tmp" "$tree/run" "$tree/var" "$tree/root" \
    "$tree/wharf/tests/root"
chmod 1777 "$tree/tmp"
cp "$(command -v busybox)" "$tree/bin/busybox"
for applet in $("$tree/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
done
# busybox's shell would run its own applets and knows of no file of theirs; dash looks in PATH.
cp /bin/dash "$tree/bin/dash"
ln -sf dash "$tree/bin/sh"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$tree/etc/passwd"
printf 'root:x:0:\n' >"$tree/etc/group"
cp "$here/init.sh" "$tree/init"
cp "$here/end_to_end.sh" "$here/reboot.sh" "$tree/wharf/"
cp "$here/oci.sh" "$tree/wharf/tests/root/test_0_oci"
cp "$build/guest/overlay.ko" "$tree/wharf/overlay.ko"
chmod 755 "$tree/init" "$tree/wharf/end_to_end.sh" "$tree/wharf/reboot.sh" "$tree/wharf/tests/root/test_0_oci"

for binary in "$build/wharf" "$build"/wharf-*; do
    [ -x "$binary" ] && strip -o "$tree/wharf/${binary##*/}" "$binary"
done
for test in "$build"/tests/root/test_*; do
    strip -o "$tree/wharf/tests/root/${test##*/}" "$test"
done
cp "$(command -v redis-server)" "$(command -v jq)" "$tree/bin/"
for binary in "$tree"/wharf/wharf* "$tree"/wharf/tests/root/test_* "$tree/bin/redis-server" "$tree/bin/jq" "$tree/bin/dash"; do
    ldd "$binary" 2>/dev/null | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' || true
done | sort -u | while read -r library; do
    mkdir -p "$tree$(dirname "$library")"
    cp -L "$library" "$tree$library"
done
(cd "$tree" && find . | busybox cpio -o -H newc | gzip -1) >"$out.tmp"
mv "$out.tmp" "$out"
