#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `make bench-oci` runs: wharf-oci beside crun, with the same bundle, in the same run. Needs root.
#
#     bench_oci.sh BUILD [RUNS]
set -euo pipefail

build=$(realpath "${1:-build}")
runs=${2:-200}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=tests/bench/peer.sh disable=SC1091
. "$here/peer.sh"
enter_private_mounts "$@"

place=$(mktemp -d /tmp/wharf-bench.XXXXXX)
cleanup() {
    crun --root "$place/crun" delete --force bench-exec 2>/dev/null || true
    "$build/wharf-oci" --root "$place/wharf-oci" delete --force bench-exec 2>/dev/null || true
    rm -rf "$place"
}
trap cleanup EXIT
make_bundle "$place"

# program NAME TEXT: an executable script. The names of containers are those of the processes that make them.
program() {
    printf '#!/bin/sh\n%s\n' "$2" >"$place/$1"
    chmod 755 "$place/$1"
}
for runtime in crun "$build/wharf-oci"; do
    name=${runtime##*/}
    call="$runtime --root $place/$name"
    program "$name-run" "exec $call run --bundle $place/bundle bench-\$\$"
    program "$name-steps" "$call create --bundle $place/bundle bench-\$\$ && $call start bench-\$\$ && exec $call delete --force bench-\$\$"
    program "$name-exec" "exec $call exec bench-exec /bin/true"
done

# What no runtime can do without: the config's system calls, by as many programs as are called.
mkdir -p "$place/rootfs"/{proc,dev,sys}
program bare-run "exec $build/bench/bench_bundle $place/bundle 1 >/dev/null"
program bare-steps "$build/bench/bench_bundle $place/bundle 1 >/dev/null && /bin/true && exec /bin/true"

echo "== run: create, start, wait, delete ($runs runs each, in turn)"
"$build/bench/bench_command" "$runs" "crun run" "$place/crun-run" -- "wharf-oci run (goal 0.7x)" "$place/wharf-oci-run"
echo "== create, start and delete, as podman and containerd call them"
"$build/bench/bench_command" "$runs" "crun" "$place/crun-steps" -- "wharf-oci (goal 0.7x)" "$place/wharf-oci-steps"
echo "== the bare kernel work of the same config, by itself and in a program"
"$build/bench/bench_bundle" "$place/bundle" "$runs"
"$build/bench/bench_command" "$runs" "bare" "$place/bare-run" -- "wharf-oci run (goal 2x)" "$place/wharf-oci-run"
echo "== the same in three programs, two of which do nothing"
"$build/bench/bench_command" "$runs" "bare" "$place/bare-steps" -- "wharf-oci create, start, delete (goal 2x)" "$place/wharf-oci-steps"

echo "== exec"
jq '.process.args = ["/bin/sleep", "1000"]' "$place/bundle/config.json" >"$place/config.json"
mv "$place/config.json" "$place/bundle/config.json"
crun --root "$place/crun" run --detach --bundle "$place/bundle" bench-exec </dev/null >/dev/null 2>&1
"$build/wharf-oci" --root "$place/wharf-oci" run --detach --bundle "$place/bundle" bench-exec </dev/null >/dev/null 2>&1
"$build/bench/bench_command" "$runs" "crun exec" "$place/crun-exec" -- "wharf-oci exec (goal 1x)" "$place/wharf-oci-exec"
