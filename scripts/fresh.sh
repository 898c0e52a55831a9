#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves that nothing but this tree is needed: makes a bare Debian 12 root from this machine's own apt sources, clones the
# tree into it, and there installs, builds and runs the unit tests. Leaves nothing behind.
set -eu

tree=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
place=$(mktemp -d "${TMPDIR:-/tmp}/wharf-fresh.XXXXXX")
root=$place/root
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    if mountpoint -q "$root"; then umount -R "$root"; fi
    rm -rf --one-file-system "$place"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Only Debian's own archives: others may need keys that a bare root lacks.
# shellcheck disable=SC2016 # the placeholders are apt's
sources=$(apt-get indextargets 'Created-By: Packages' 'Origin: Debian' \
    --format 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) $(COMPONENT)' | sort -u)
if [ -z "$sources" ]; then
    echo "fresh: apt knows no Debian archive: run apt-get update first" >&2
    exit 1
fi

echo "fresh: making a bare Debian 12 in $root"
printf '%s\n' "$sources" | mmdebstrap --quiet --variant=apt --include=git,make,ca-certificates bookworm "$root" -
git clone -q "$tree" "$root/wharf"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# A root that is a mount, as on any machine: tests change its propagation.
mount --bind "$root" "$root"
mount --make-private "$root"
for at in proc dev; do
    mount --rbind "/$at" "$root/$at"
    mount --make-rslave "$root/$at"
done

run() {
    echo "fresh: $*"
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        chroot "$root" make -C /wharf "$@"
}
run deps
run -j2 WERROR=-Werror
run unit
echo "fresh: a bare Debian 12 builds this tree and passes its unit tests"
