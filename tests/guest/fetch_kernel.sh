#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fetch_kernel.sh DIR: unpacks Debian's cloud kernel into DIR: vmlinuz and overlay.ko. Nothing is installed.
set -eu
dir=$1
mkdir -p "$dir"
cd "$dir"
named() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }'; }
fetch() {
    package=$(named)
    [ -n "$package" ] && apt-get -o APT::Sandbox::User=root download -qq "$package"
}
rm -rf kernel linux-image-*.deb
fetch || { apt-get update -qq && fetch; }
dpkg-deb -x linux-image-*.deb kernel
cp kernel/lib/modules/*/kernel/fs/overlayfs/overlay.ko overlay.ko
cp kernel/boot/vmlinuz-* vmlinuz
rm -rf kernel linux-image-*.deb
