#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The OCI runtime validation suite (github.com/opencontainers/runtime-tools): builds it once, runs its programs one at a time,
# each in namespaces of its own (inside.sh), and prints what passes.
#
#   conformance.sh DIRECTORY RUNTIME[,RUNTIME...] [PROGRAM...]     all programs if none is named
#
# Of several runtimes the first is ours; the others are columns beside it. Exit status 1 if a program of `passing` does not pass
# with ours.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
suite=$(cd "$1" && pwd)
IFS=, read -ra runtimes <<<"$2"
shift 2
version=v0.9.1-0.20251114084447-edf4cb3d2116
toolchain=v0.0.1-go1.22.12.linux-$(dpkg --print-architecture)

# The suite wants Go 1.21. An older one fetches a newer toolchain by the module proxy, with its checksum from the database.
go_command() {
    if [ "$(printf '%s\n' go1.21 "$(go env GOVERSION)" | sort -V | head -1)" = go1.21 ]; then
        echo go
        return
    fi
    local at=$suite/go/pkg/mod/golang.org/toolchain@$toolchain
    [ -d "$at" ] || go mod download "golang.org/toolchain@$toolchain"
    chmod +x "$at"/bin/* "$at"/pkg/tool/*/*
    echo "$at/bin/go"
}

build() {
    if [ ! -e "$suite/bin/.$version" ]; then
        local go
        export GOPATH=$suite/go GOCACHE=$suite/cache GOFLAGS=-modcacherw GOTOOLCHAIN=local CGO_ENABLED=0
        go=$(go_command)
        GOBIN=$suite/bin "$go" install -p 2 "github.com/opencontainers/runtime-tools/validation/...@$version" \
            "github.com/opencontainers/runtime-tools/cmd/runtimetest@$version"
        touch "$suite/bin/.$version"
    fi
    cp -f "$suite/go/pkg/mod/github.com/opencontainers/runtime-tools@$version"/rootfs-*.tar.gz "$suite"
}

# What a program says in TAP; and those that print an empty plan whatever happens, or nothing at all because the failure they
# wait for came, by their diagnostic: what a program thinks is wrong it quotes from the specification.
passes() { # PROGRAM OUTPUT STATUS
    [ "$3" = 0 ] || return 1
    ! grep -qE '^ *not ok|panic:|^[0-9]+ errors occurred' "$2" || return 1
    case $1 in
    process_rlimits_fail | process_capabilities_fail)
        # The container must not have been made, and for this reason.
        grep -q '^failed to create the container' "$2" && grep -qE "RLIMIT_TEST|CAP_TEST" "$2"
        ;;
    prestart | prestart_fail | poststart | poststart_fail | poststop | poststop_fail | hooks)
        # It succeeded if there is no diagnostic; what the runtime said itself is no part of it.
        grep -qx '1\.\.0' "$2" && ! grep -qE '^ *(error|stderr):|MUST' "$2"
        ;;
    *) grep -qE '^ *ok' "$2" ;;
    esac
}

# killsig sends its signal as soon as the container runs, and not only when the shell in it has set its trap: one that was too
# early is ignored (signal(7), a first process), and the program finds that the container goes on. That is no result.
was_too_early() { # PROGRAM OUTPUT
    [ "$1" = killsig ] && grep -q 'cannot delete the container .* it is running' "$2"
}

run_one() { # PROGRAM RUNTIME; prints "pass" or "fail"
    local output status run
    output=$suite/out/${2##*/}/$1
    mkdir -p "${output%/*}"
    for ((run = 0; run < 5; run++)); do
        status=0
        INTERFACE=$interface unshare --mount --pid --net --fork --kill-child "$here/inside.sh" "$suite" "$1" \
            "$(realpath "$(command -v "$2")")" >"$output" 2>&1 </dev/null || status=$?
        was_too_early "$1" "$output" || break
    done
    if passes "$1" "$output" "$status"; then echo pass; else echo fail; fi
}

build
# net_prio knows interfaces of the first network namespace only, by their names.
interface=$(basename -a /sys/class/net/* | grep -vx lo | head -1)
programs=("$@")
[ ${#programs[@]} -gt 0 ] || mapfile -t programs < <(cd "$suite/bin" && find . -type f ! -name 'runtimetest' ! -name '.*' -printf '%P\n' | sort)
wrong=0
declare -A passed
printf '%-34s' "program"
for runtime in "${runtimes[@]}"; do
    printf ' %-10s' "${runtime##*/}"
    passed[$runtime]=0
done
echo
for program in "${programs[@]}"; do
    line=$(printf '%-34s' "$program") note=
    for runtime in "${runtimes[@]}"; do
        result=$(run_one "$program" "$runtime")
        [ "$result" = fail ] || passed[$runtime]=$((passed[$runtime] + 1))
        line+=$(printf ' %-10s' "$result")
        [ "$runtime" = "${runtimes[0]}" ] || continue
        if ! grep -qx "$program" "$here/passing"; then
            [ "$result" = fail ] || note="not in 'passing'"
        elif [ "$result" = fail ]; then
            note="has passed before: see $suite/out/${runtime##*/}/$program" wrong=1
        fi
    done
    echo "$line $note"
done
printf '%-34s' "of ${#programs[@]} pass"
for runtime in "${runtimes[@]}"; do printf ' %-10s' "${passed[$runtime]}"; done
echo
exit $wrong
