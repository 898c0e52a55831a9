#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The OCI runtime validation suite (github.com/opencontainers/runtime-tools): builds it once, runs its programs one at a time,
# each in namespaces of its own (inside.sh), and prints what passes.
#
#   conformance.sh DIRECTORY RUNTIME [PROGRAM...]     all programs if none is named
#
# Exit status 1 if a program of `passing` does not pass. A program passes if it succeeds, says so in TAP without a "not ok",
# and, for those that print an empty plan whatever happens, says nothing of a failure.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
suite=$1 runtime=$(realpath "$2")
shift 2
version=v0.9.1-0.20251114084447-edf4cb3d2116

build() {
    mkdir -p "$suite"
    suite=$(cd "$suite" && pwd)
    if [ ! -e "$suite/bin/runtimetest" ]; then
        GOPATH=$suite/go GOBIN=$suite/bin GOFLAGS=-modcacherw CGO_ENABLED=0 go install -p 2 \
            "github.com/opencontainers/runtime-tools/validation/...@$version" \
            "github.com/opencontainers/runtime-tools/cmd/runtimetest@$version"
    fi
    if [ ! -e "$suite/rootfs-amd64.tar.gz" ]; then
        local root
        root=$(mktemp -d)
        mkdir -p "$root"/{bin,sbin,dev,proc,sys,tmp,etc,run,root,usr/bin,usr/sbin,var}
        cp /bin/busybox "$root/bin/busybox"
        for applet in $(/bin/busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
        tar -C "$root" -czf "$suite/rootfs-amd64.tar.gz" .
        rm -rf "$root"
    fi
}

passes() { # OUTPUT STATUS
    [ "$2" = 0 ] || return 1
    ! grep -qE '^ *not ok|panic:|^[0-9]+ errors occurred' "$1" || return 1
    grep -qE '^ *(ok|1\.\.)' "$1" || return 1
    if grep -qx '1\.\.0' "$1"; then
        ! grep -qiE 'error|fail|should|must' "$1" || return 1
    fi
}

build
mkdir -p "$suite/out"
programs=("$@")
[ ${#programs[@]} -gt 0 ] || mapfile -t programs < <(cd "$suite/bin" && find . -type f ! -name runtimetest -printf '%P\n' | sort)
lost=0 n=0
for program in "${programs[@]}"; do
    output=$suite/out/$program
    status=0
    unshare --mount --pid --net --fork --kill-child "$here/inside.sh" "$suite" "$program" "$runtime" \
        >"$output" 2>&1 </dev/null || status=$?
    if passes "$output" "$status"; then
        result=pass n=$((n + 1))
    elif grep -qx "$program" "$here/passing"; then
        result="FAIL (it has passed before)" lost=1
    else
        result=fail
    fi
    printf '%-36s %s\n' "$program" "$result"
done
echo "$n of ${#programs[@]} pass"
exit $lost
