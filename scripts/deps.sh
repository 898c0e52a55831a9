#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing: `deps.sh build` what building and running needs, `deps.sh demo` and
# `deps.sh test` what the demonstration and the tests need on top, `deps.sh podman` those whose runtime wharf-oci is in
# tests, `deps.sh conformance` what the OCI validation suite needs. Asks for root only when something is missing.
set -eu

build="gcc libc6-dev make musl-tools linux-libc-dev uthash-dev libuv1-dev libjansson-dev libmicrohttpd-dev
 librdkafka-dev libsqlite3-dev libsodium-dev libhiredis-dev libseccomp-dev libarchive-dev libcap-dev
 redis-server busybox-static"
podman="podman conmon containerd bats jq python3 busybox-static"
test="libcmocka-dev bats python3 strace kcat crun sqlite3 jq curl socat procps iproute2 util-linux xz-utils zstd bzip2
 clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev shellcheck mandoc
 qemu-system-x86 maven default-jre-headless mmdebstrap docker-compose systemd"

# Go is for the OCI validation suite alone.
conformance="golang-go ca-certificates iproute2 util-linux crun"

case "${1:-build}" in
build) wanted=$build ;;
demo) wanted="$build jq sqlite3" ;;
unit) wanted="$build libcmocka-dev sqlite3" ;;
test) wanted="$build $test" ;;
podman) wanted="$podman" ;;
conformance) wanted="$build $conformance" ;;
*)
    echo "usage: $0 build|demo|unit|test|podman|conformance" >&2
    exit 2
    ;;
esac

missing=
for package in $wanted; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed'; then
        missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "these packages are missing; install them as root, or run this as root:$missing" >&2
    exit 1
fi
echo "installing:$missing"
# Services are not to be started by their packages: wharf starts a Redis of its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of package names
if ! apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1; then
    apt-get update -qq
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
