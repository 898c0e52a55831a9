#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs COMMAND once for each argument after `--`, as many at a time as there are processors, and prints what each said when it is
# over. Fails if one of them did.
#
#     side_by_side.sh COMMAND... -- ARGUMENT...
set -euo pipefail
command=()
while [ "$1" != -- ]; do
    command+=("$1")
    shift
done
shift
one() {
    local output status=0
    output=$("$@" 2>&1) || status=$?
    printf '== %s: %s\n%s\n' "${*: -1}" "$([ "$status" -eq 0 ] && echo passed || echo FAILED)" "$output"
    return "$status"
}
export -f one
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" bash -c 'one "$@"' one "${command[@]}"
