#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows that the simulation can fail: every patch in tests/sim/mutations is a bug, applied to a copy of the tree alone, and the
# simulation has to catch it. Usage: mutate.sh BUILD CC [PATCH...]
set -euo pipefail
build=$1 cc=$2
shift 2
seeds=${TEST_MUTATION_SEEDS:-20000} # as many as `make sim` runs; what matters is that those catch it
tree=$(mktemp -d "${TMPDIR:-/tmp}/wharf-mutations.XXXXXX")
trap 'rm -rf "$tree"' EXIT
git ls-files --cached --others --exclude-standard | tar -cf - -T - | tar -xf - -C "$tree"
mkdir "$tree/build"
cp -a "$build/obj" "$tree/build/obj"
survived=0
[ $# -gt 0 ] || set -- tests/sim/mutations/*.patch
for patch in "$@"; do
    name=$(basename "$patch" .patch)
    if ! patch -s -d "$tree" -p1 <"$patch"; then
        echo "mutation $name: the patch does not apply any more" >&2
        exit 1
    fi
    make -s -C "$tree" CC="$cc" WERROR= build/sim/sim >"$tree/output" 2>&1 || { cat "$tree/output" >&2; exit 1; }
    if caught=$("$tree/build/sim/sim" --seeds="$seeds" --jobs="$(nproc)" --fast 2>/dev/null); then
        echo "mutation $name: NOT caught in $seeds seeds" >&2
        survived=1
    else
        echo "mutation $name: caught: $(tail -1 <<<"$caught" | cut -c1-110)"
    fi
    patch -s -R -d "$tree" -p1 <"$patch"
done
exit $survived
