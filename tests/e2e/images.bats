# SPDX-License-Identifier: Apache-2.0
load helper

@test "import a directory, archives of every compression, and standard input" {
    tar -C "$E2E_DIR/rootfs" -cf "$BATS_TEST_TMPDIR/image.tar" .
    gzip -k "$BATS_TEST_TMPDIR/image.tar"
    xz -0 -k "$BATS_TEST_TMPDIR/image.tar"
    zstd -q -1 "$BATS_TEST_TMPDIR/image.tar"
    local suffix
    for suffix in tar tar.gz tar.xz tar.zst; do
        run -0 wharf import "$BATS_TEST_TMPDIR/image.$suffix" "from-${suffix//./-}:1"
        [ "$output" = "from-${suffix//./-}:1" ]
        [ "$(wharf run --rm "from-${suffix//./-}:1" echo "$suffix")" = "$suffix" ]
    done
    wharf import - piped <"$BATS_TEST_TMPDIR/image.tar.gz"
    [ "$(wharf run --rm piped echo hello)" = hello ]
    [ -z "$(find /var/tmp -maxdepth 1 -name 'wharf-import-*')" ]
}

@test "an image carries command, entrypoint, environment, directory and user" {
    wharf import "$E2E_DIR/rootfs" settings --entrypoint '["/bin/sh", "-c"]' --cmd '["echo $WHO in $(pwd) as $(id -u)"]' \
        -e WHO=me -w /tmp -u guest
    [ "$(wharf run --rm settings)" = "me in /tmp as 1000" ]
    [ "$(wharf run --rm -e WHO=you settings 'echo $WHO')" = you ]
}

is_healthy() { [ "$(member "$1" health)" = healthy ]; }

@test "an image carries labels, stop signal and health check, also as lines of a Dockerfile" {
    wharf import "$E2E_DIR/rootfs" checked -c 'LABEL tier=web made="by hand"' -c 'STOPSIGNAL SIGQUIT' \
        -c 'HEALTHCHECK --interval=50ms --retries=1 CMD test ! -e /bad' -c 'CMD trap "exit 7" QUIT; while :; do sleep 0.01; done'
    [ "$(wharf inspect -f '{{.reference}} {{index .config.labels "made"}} {{json .config.health_retries}}' checked)" = 'checked:latest by hand 1' ]
    digest=$(wharf images --format '{{.Digest}}' -f reference=checked:latest)
    [ "$(wharf inspect "${digest:7:12}" "$digest" | jq -r '.[].reference' | grep -cx checked:latest)" = 2 ]
    run -1 wharf inspect nothing-such
    [[ "$output" == *nothing-such* ]]
    wharf run -d --name by-image -l tier=other -l own=1 checked
    eventually is_healthy by-image
    [ "$(member by-image 'spec.labels | to_entries | map(.key + "=" + .value) | sort | join(",")')" = "made=by hand,own=1,tier=other" ]
    [ "$(wharf ps -q -f 'label=made=by hand' | wc -l)" = 1 ]
    wharf stop by-image
    [ "$(member by-image exit_code)" = 7 ]
    # What is committed has them, and what a change puts in their place.
    wharf commit -c 'LABEL own=2' -c 'HEALTHCHECK NONE' by-image unchecked
    wharf run -d --name by-commit unchecked
    [ "$(member by-commit 'spec.labels | to_entries | map(.key + "=" + .value) | sort | join(",")')" = "made=by hand,own=2,tier=other" ]
    [ "$(member by-commit spec.health_command)" = null ]
    [ "$(member by-commit spec.stop_signal)" = SIGQUIT ]
    wharf run -d --name not-checked --no-healthcheck checked
    [ "$(member not-checked spec.health_command)" = null ]
    # What is none at all is absent, and what is said of the check goes over what the image says.
    wharf import "$E2E_DIR/rootfs" bare -c 'HEALTHCHECK NONE' -c 'CMD []' -c 'ENTRYPOINT ["echo", "a"]'
    [ "$(wharf inspect -f '{{json .config}}' bare)" = '{"entrypoint":["echo","a"]}' ]
    [ "$(wharf run --rm bare)" = a ]
    wharf create --name slower --health-interval 5s checked
    [ "$(wharf inspect -f '{{.spec.health_interval_ms}} {{.spec.health_retries}}' slower)" = '5000 1' ]
    run -1 wharf create --health-interval 5s bare
    [[ "$output" == *"not by what command"* ]]
    wharf rm slower
    run -1 wharf import "$E2E_DIR/rootfs" bad -c 'HEALTHCHECK test'
    [[ "$output" == *"HEALTHCHECK test"*"must end with CMD and a command, or be NONE"* ]]
    run -1 wharf import "$E2E_DIR/rootfs" bad -c 'STOPSIGNAL SIGNOTHING'
    [[ "$output" == *"must be a signal"* ]]
    wharf rm -f by-image by-commit not-checked
}

@test "images lists, rmi removes, and an image in use stays" {
    cp -a "$E2E_DIR/rootfs" "$BATS_TEST_TMPDIR/spare"
    touch "$BATS_TEST_TMPDIR/spare/makes-it-different"
    wharf import "$BATS_TEST_TMPDIR/spare" spare:v2
    run -0 wharf images
    [[ "${lines[0]}" =~ ^REPOSITORY\ +TAG\ +IMAGE\ ID\ +CREATED\ +SIZE$ ]]
    [[ "$output" == *spare*v2* ]]
    [ "$(wharf images --format json | jq -r 'select(.reference == "spare:v2") | .digest' | cut -c1-7)" = sha256: ]
    wharf run -d --name user-of-it spare:v2 sleep 1000
    run -1 wharf rmi spare:v2
    [[ "$output" == *spare:v2* ]]
    wharf rm -f user-of-it
    wharf rmi spare:v2
    run -1 wharf rmi spare:v2
    run -125 wharf run --rm spare:v2 true
}

@test "the id that is listed stands for the image, and filters find it" {
    cp -a "$E2E_DIR/rootfs" "$BATS_TEST_TMPDIR/other"
    touch "$BATS_TEST_TMPDIR/other/one-of-its-own"
    wharf import "$BATS_TEST_TMPDIR/other" by-id:v1 -c 'LABEL tier=back'
    local id
    id=$(wharf images -q -f 'reference=by-i?')
    [[ "$id" =~ ^[0-9a-f]{12}$ ]]
    [ "$(wharf images -q -f 'reference=by-*:v1' -f label=tier)" = "$id" ]
    [ -z "$(wharf images -q -f label=tier=front -f 'reference=by-*')" ]
    [ "$(wharf run --rm "$id" echo found)" = found ]
    wharf rmi "$id"
    run -1 wharf rmi "$id"
    [[ "$output" == *"no image '$id'"* ]]
}

@test "what an image adds must fit into an event" {
    local i changes=() labels=()
    for i in 1 2 3 4 5 6; do
        changes+=(-c "LABEL i$i=$(head -c 100000 /dev/zero | tr '\0' x)")
        labels+=(-l "c$i=$(head -c 100000 /dev/zero | tr '\0' y)")
    done
    wharf import "$E2E_DIR/rootfs" large "${changes[@]}"
    run -125 wharf run --rm "${labels[@]}" large true
    [[ "$output" == *"what is asked for and what the image 'large' adds to it are more than 900000 bytes"* ]]
    wharf create --name half "${labels[@]}" busybox true
    run -1 wharf commit "${changes[@]}" half too-large
    [[ "$output" == *"its configuration would be too large for an image"* ]]
    wharf rm half
    [ "$(wharf run --rm large echo ok)" = ok ]
    run -1 wharf import "$E2E_DIR/rootfs" larger "${changes[@]}" -c "LABEL more=$(head -c 100000 /dev/zero | tr '\0' z)" \
        -c "LABEL yet=$(head -c 100000 /dev/zero | tr '\0' z)" -c "LABEL much=$(head -c 100000 /dev/zero | tr '\0' z)"
    [[ "$output" == *"900000 bytes"* ]]
}

@test "what is no image is refused and leaves nothing" {
    run -1 wharf import /no/such/place x
    [[ "$output" == *"/no/such/place"* ]]
    echo "this is no archive" >"$BATS_TEST_TMPDIR/noise.tar"
    run -1 wharf import "$BATS_TEST_TMPDIR/noise.tar" noise
    run -1 wharf import "$E2E_DIR/rootfs" 'Bad Name'
    run -1 wharf import "$E2E_DIR/rootfs"
    [[ "$(wharf images)" != *noise* ]]
}

@test "an archive cannot write outside its image" {
    mkdir -p "$BATS_TEST_TMPDIR/evil/a"
    echo x >"$BATS_TEST_TMPDIR/evil/a/file"
    tar -C "$BATS_TEST_TMPDIR/evil/a" --transform 's,^file,../../../../../../../../escaped,' -Pcf "$BATS_TEST_TMPDIR/evil.tar" file
    wharf import "$BATS_TEST_TMPDIR/evil.tar" evil || true
    [ ! -e /escaped ]
    [ ! -e "$E2E_DIR/escaped" ]
}
