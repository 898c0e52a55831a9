#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the compiler does not check: the direction of dependencies, the purity of the core, headers that stand alone, sizes of
# files and functions, and leftovers. Run from the top of the tree.
set -u
failed=0
fail() {
    echo "lint: $*" >&2
    failed=1
}

sources=$(git ls-files --cached --others --exclude-standard '*.c' '*.h' '*.def')

# Dependencies point one way: base <- events <- {writer, runtime, projector} <- cmd.
may_include() {
    case "$1" in
    base) echo base ;;
    events) echo base events ;;
    writer) echo base events writer ;;
    runtime) echo base events runtime ;;
    projector) echo base events projector ;;
    cmd | tests) echo base events writer runtime projector cmd tests ;;
    esac
}
for file in $sources; do
    folder=${file%%/*}
    allowed=" $(may_include "$folder") "
    while read -r included; do
        case "$allowed" in
        *" ${included%%/*} "*) ;;
        *) fail "$file includes \"$included\": $folder may include only$allowed" ;;
        esac
    done < <(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file")
done

# The functional core does no I/O: these files may use data types, strings and jansson, and nothing else of the system.
pure_files="events/schema.c events/snapshot.c events/check.c events/check_spec.c events/check_mount.c events/message.c base/capability.c events/container_state.c events/node_state.c events/exec_state.c
 events/deadletter.c base/buf.c base/id.c base/digest.c base/seal.c writer/placement.c writer/placement_file.c base/timestamp.c base/err.c runtime/output/cri.c runtime/proc_text.c
 $(git ls-files --cached --others --exclude-standard 'runtime/decide/*.c' 'runtime/decide/*.h') projector/project.c projector/past.c"
pure_headers=" ctype.h errno.h inttypes.h jansson.h limits.h signal.h sodium.h stdarg.h stdbool.h stddef.h stdint.h stdio.h
 stdlib.h string.h strings.h time.h uthash.h endian.h "
for file in $pure_files; do
    [ -f "$file" ] || continue
    while read -r included; do
        case "$pure_headers" in
        *[[:space:]]"$included"[[:space:]]*) ;;
        *) fail "$file is part of the pure core and must not include <$included>" ;;
        esac
    done < <(sed -n 's/^#include <\([^>]*\)>.*/\1/p' "$file")
    if grep -nE '\b(time|clock_gettime|gettimeofday|getrandom|rand|random|fopen|open|read|write|abort|exit)\(' "$file" |
        grep -v '^\S*//' | grep -q .; then
        fail "$file is part of the pure core and calls the system: $(grep -nE '\b(time|clock_gettime|gettimeofday|getrandom|rand|random|fopen|open|read|write|abort|exit)\(' "$file" | head -1)"
    fi
done

# Each header compiles alone.
for header in $(echo "$sources" | tr ' ' '\n' | grep '\.h$'); do
    grep -q 'No include guard' "$header" && continue
    echo "#include \"$header\"" |
        ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -I. -x c -fsyntax-only - || fail "$header does not compile alone"
done

# A file is one room, a function one screen.
for file in $sources; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 800 ] || fail "$file has $lines lines: 800 at most"
done
# shellcheck disable=SC2046
awk 'FNR == 1 { start = 0 }
     /^\{/ { start = FNR }
     /^\}/ { if (start && FNR - start > 71) { printf "lint: %s:%d: a function of %d lines, 70 at most\n", FILENAME, start, FNR - start - 1; bad = 1 } start = 0 }
     END { exit bad }' $(echo "$sources" | tr ' ' '\n' | grep '\.c$') >&2 || failed=1

# Every source says its licence first.
for file in $sources; do
    head -1 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || fail "$file lacks its licence line"
done

git grep -nIE '\b(TODO|FIXME|XXX|HACK)\b' -- '*.c' '*.h' '*.sh' '*.mk' Makefile ':!tests/lint' >&2 && fail "leftovers"
exit $failed
