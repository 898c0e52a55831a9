# SPDX-License-Identifier: Apache-2.0
# Files for systemd and compose, checked by the programs that will read them.
load helper

setup_file() { :; }
teardown_file() { :; }

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

@test "docker-compose accepts the compose file" {
    docker-compose config -q
    [ "$(docker-compose config --services | sort | tr '\n' ' ')" = "kafka projector query redis runtime writer " ]
}

@test "systemd accepts the units" {
    local unit
    for unit in packaging/systemd/*.service; do
        sed "s|/usr/bin/wharf|$WHARF_BUILD/wharf|" "$unit" >"$BATS_TEST_TMPDIR/${unit##*/}"
    done
    run -0 systemd-analyze verify --man=no "$BATS_TEST_TMPDIR"/*.service
    [ -z "$output" ]
    # The runtime's end must not be its containers' end.
    grep -qx KillMode=process packaging/systemd/wharf-runtime.service
}

@test "sysusers and tmpfiles are well-formed" {
    systemd-sysusers --dry-run "$PWD/packaging/sysusers.d/wharf.conf"
    mkdir -p "$BATS_TEST_TMPDIR/root/etc"
    printf 'root:x:0:0::/root:/bin/sh\nwharf:x:999:999::/:/bin/false\n' >"$BATS_TEST_TMPDIR/root/etc/passwd"
    printf 'root:x:0:\nwharf:x:999:\n' >"$BATS_TEST_TMPDIR/root/etc/group"
    systemd-tmpfiles --create --root "$BATS_TEST_TMPDIR/root" "$PWD/packaging/tmpfiles.d/wharf.conf"
    [ "$(stat -c '%a %g' "$BATS_TEST_TMPDIR/root/var/lib/wharf/log")" = "2770 999" ]
}

@test "the sample configuration is accepted as it is, and with every line in force" {
    WHARF_RUN_DIR=$BATS_TEST_TMPDIR run -1 wharf ps --config "$PWD/packaging/wharf.conf"
    [[ "$output" == *"cannot reach the query service"* ]]
    sed -n 's/^#\([a-z.-]* = \)/\1/p' packaging/wharf.conf | sed 's/the host name/sample/' | awk '!seen[$1]++' >"$BATS_TEST_TMPDIR/all.conf"
    WHARF_RUN_DIR=$BATS_TEST_TMPDIR run -1 wharf ps --config "$BATS_TEST_TMPDIR/all.conf"
    [[ "$output" == *"cannot reach the query service"* ]]
}
