#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# oci_crash.sh WHARF-OCI BUNDLE DIR: kills create, start, exec, update and delete at one system call after another, by strace(1), and demands
# that `delete --force` clears what is left. As the first process of a pid namespace, so that what outlives its container shows.
set -euo pipefail
program=$1 bundle=$2 dir=$3
ID=wharf-crash-$$
oci() { "$program" --root "$dir/root" "$@" </dev/null; }

# Those that change something others see, or wait for somebody; the rest is between two of them.
CALLS=openat,mkdirat,write,renameat,unlinkat,bind,connect,sendto,sendmsg,recvfrom,recvmsg,vfork,wait4,flock,poll,pidfd_send_signal,kill,exit_group

fail() {
    echo "killed at $1: $2" >&2
    exit 1
}

processes() { find /proc -maxdepth 1 -name '[0-9]*' | wc -l; }

# Whoever is on the way out when its creator is killed needs a moment.
until_alone() {
    local i
    for ((i = 0; i < 500; i++)); do
        [ "$(processes)" -le "$alone" ] && return 0
        sleep 0.01
    done
    ps ax >&2
    return 1
}

check_clear() {
    local message
    message=$(oci delete --force "$ID" 2>&1) || fail "$1" "delete --force: $message"
    [ ! -e "$dir/root/$ID" ] || fail "$1" "its directory is left"
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -name "$ID")" ] || fail "$1" "a cgroup is left"
    until_alone || fail "$1" "a process is left"
    [ "$(cat /proc/self/mounts)" = "$mounts" ] || fail "$1" "a mount is left"
}

# crash LEAST BEFORE VERB...: the verb, killed at each of its calls, LEAST at least, after BEFORE was done.
crash() {
    local least=$1 before=$2 call count n total=0
    shift 2
    "$before"
    strace -qq -e trace="$CALLS" -o "$dir/trace" "$program" --root "$dir/root" "$@" </dev/null >/dev/null 2>&1
    check_clear "no call of $1"
    while read -r count call; do
        for ((n = 1; n <= count; n += call_step[$call])); do
            "$before"
            strace -qq -e trace="$call" -e inject="$call":signal=KILL:when="$n" -o "$dir/trace.kill" "$program" --root "$dir/root" "$@" \
                </dev/null >/dev/null 2>&1 || true
            check_clear "call $n of $call in $1"
            total=$((total + 1))
        done
    done < <(sed -n 's/^\([a-z0-9_]*\)(.*/\1/p' "$dir/trace" | sort | uniq -c)
    echo "$1: killed at $total calls"
    [ "$total" -ge "$least" ] || fail "none" "only $total calls of $1 were found"
}

nothing() { :; }
created() { oci create --bundle "$bundle" "$ID" >/dev/null 2>&1; }
running() { created && oci start "$ID"; }

declare -A call_step
for call in ${CALLS//,/ }; do
    call_step[$call]=1
done
call_step[openat]=${STRIDE:-4}
call_step[write]=2

mounts=$(cat /proc/self/mounts)
# This shell, the find and the wc of `processes`, and the subshell that runs them.
alone=$(processes)
crash 30 nothing create --bundle "$bundle" "$ID"
crash 5 created start "$ID"
crash 15 running exec "$ID" true
crash 5 running update --pids-limit 50 "$ID"
crash 20 running delete --force "$ID"
