#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `make soak` runs: whole container lifecycles on the embedded log, and after each tenth of them what every process
# holds, what the disk has, and how long one lifecycle takes. Needs root.
#
#     soak.sh BUILD LIFECYCLES
#
# Ends with what was found against what is wanted: memory flat from the middle on (what is remembered of the newest commands
# and containers is full by then), nothing left behind, p50 at the end within 1.2x of the start.
set -euo pipefail

build=$(realpath "${1:-build}")
lifecycles=${2:-50000}
clients=4
samples=100
((lifecycles >= 2000)) || {
    echo "soak.sh: $lifecycles lifecycles show nothing: give 2000 or more" >&2
    exit 2
}
step=$((lifecycles / 10 - samples - 3)) # those that the latency is taken of are lifecycles, too, and three warm it up

place=$(mktemp -d /tmp/wharf-soak.XXXXXX)
chmod 755 "$place"
export WHARF_RUN_DIR=$place/run WHARF_CGROUP_PARENT=${place##*/}
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    "$build/wharf" down --stop >/dev/null 2>&1 || true
    find /sys/fs/cgroup -depth -type d -path "*/${place##*/}*" -exec rmdir {} \; 2>/dev/null || true
    rm -rf "$place"
}
trap cleanup EXIT

mkdir -p "$place/rootfs/bin"
cp /bin/busybox "$place/rootfs/bin/busybox"
for applet in true sh sleep echo cat; do ln -s busybox "$place/rootfs/bin/$applet"; done
"$build/wharf" up --detach --node soak --state-dir "$place/state" >/dev/null
"$build/wharf" import "$place/rootfs" busybox >/dev/null

# The processes of the stack: name and pid of each.
declare -A pids
while read -r name pid; do pids[$name]=$pid; done < <("$build/wharf" status --format json |
    jq -r '.supervisor | "supervisor \(.pid)", (.parts[] | "\(.name) \(.pid)")')
names=(supervisor writer runtime projector query redis)

memory_kb() { # private and shared, each page by its share
    awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup"
}
descriptors() {
    find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}
p50_ms() {
    "$build/bench/bench_command" "$samples" run "$build/wharf" run --rm busybox true | awk '{ print $3 }'
}
disk_kb() {
    du -sk "$place/state" | cut -f1
}

printf '%-10s %8s' lifecycles "p50 ms"
for name in "${names[@]}"; do printf ' %11s' "$name"; done
printf ' %6s %10s\n' fds "disk KB"
declare -A early late
row() { # how many lifecycles were run
    local fds=0 kb
    p50=$(p50_ms)
    printf '%-10s %8s' "$1" "$p50"
    for name in "${names[@]}"; do
        kb=$(memory_kb "${pids[$name]}")
        fds=$((fds + $(descriptors "${pids[$name]}")))
        late[$name]=$kb
        printf ' %8s KB' "$kb"
    done
    disk=$(disk_kb)
    printf ' %6s %10s\n' "$fds" "$disk"
    fds_now=$fds
}

row start
first_p50=$p50 first_fds=$fds_now
for ((tenth = 1; tenth <= 10; tenth++)); do
    CLIENTS=$clients "$build/bench/bench_command" "$step" run "$build/wharf" run --rm busybox true >"$place/rate"
    if grep FAILED "$place/rate"; then exit 1; fi
    row $((tenth * lifecycles / 10))
    if ((tenth == 5)); then
        middle_disk=$disk
        for name in "${names[@]}"; do early[$name]=${late[$name]}; done
    fi
done

bad=0
verdict() { # what, yes or no, the figures
    printf '%-34s %-4s %s\n' "$1" "$2" "$3"
    [ "$2" = yes ] || bad=1
}
echo
# The writer remembers 20,000 commands of a node, one a lifecycle here: until that is full its memory has to grow.
((lifecycles >= 40000)) || echo "memory is not judged: what is remembered fills up within 20,000 lifecycles, the first half of 40,000"
for name in "${names[@]}"; do
    ((lifecycles >= 40000)) || break
    flat=$(awk -v a="${early[$name]}" -v b="${late[$name]}" 'BEGIN { print b <= a * 1.05 + 512 ? "yes" : "no" }')
    verdict "memory of $name flat" "$flat" "${early[$name]} KB in the middle, ${late[$name]} KB at the end"
done
ratio=$(awk -v a="$first_p50" -v b="$p50" 'BEGIN { printf "%.2f", b / a }')
verdict "p50 within 1.2x of the start" "$(awk -v r="$ratio" 'BEGIN { print r <= 1.2 ? "yes" : "no" }')" \
    "$first_p50 ms, then $p50 ms: ${ratio}x"
verdict "no descriptor left" "$([ "$fds_now" -le $((first_fds + 5)) ] && echo yes || echo no)" "$first_fds, then $fds_now"
left=$(find "$place/state/containers" -mindepth 1 | wc -l)
verdict "no container directory left" "$([ "$left" -eq 0 ] && echo yes || echo no)" "$left"
echo "disk for each lifecycle: $(((disk - middle_disk) * 1024 * 2 / lifecycles)) bytes"
"$build/wharf" rebuild --verify
"$build/wharf" down --stop >/dev/null
left=$(find /sys/fs/cgroup -type d -path "*/${place##*/}/*" 2>/dev/null | wc -l)
verdict "no cgroup left" "$([ "$left" -eq 0 ] && echo yes || echo no)" "$left"
exit $bad
