#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# wharf-oci killed at any step: delete --force clears what is left.

load oci

@test "killed anywhere in create, start, exec, update and delete, delete --force clears it" {
    command 'sleep 1000'
    timeout 120 unshare --pid --fork --mount --mount-proc "$BATS_TEST_DIRNAME/oci_crash.sh" "$(realpath "${WHARF_BUILD:-build}/wharf-oci")" "$DIR/b" "$DIR"
}
