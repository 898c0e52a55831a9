# SPDX-License-Identifier: Apache-2.0
# What the attacks on wharf-oci share: a bundle with the attacker in it.
load ../root/oci

setup_bundle() {
    cp "$WHARF_BUILD/security/attack" "$DIR/b/rootfs/bin/"
    echo secret >"$DIR/canary"
    config '.root.readonly = false'
}

attacker() { config --argjson args "$(jq -nc '$ARGS.positional' --args attack "$@")" '.process.args = $args'; }

# With the defence named, of the ordinary build; without it, of the build for tests.
defended() { OCI="$WHARF_BUILD/wharf-oci --root $DIR/root"; unset TEST_UNDEFENDED; }
undefended() {
    OCI="$WHARF_BUILD/faults/wharf-oci --root $DIR/root"
    export TEST_UNDEFENDED=$1
}

container() { # COMMAND...: runs the container as the bundle says
    run timeout 60 "$@" $OCI run --bundle "$DIR/b" "$ID" </dev/null
}

held_off() {
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"held off: "* ]]
}
succeeded() {
    echo "$output"
    [ "$status" -eq 0 ]
}

# An attacker runs; processes join it, with the command given, until it has its answer.
let_in() {
    $OCI run --detach --bundle "$DIR/b" "$ID" </dev/null >"$DIR/answer" 2>&1
    wait_until grep -q ready "$DIR/answer"
    while [ "$(status_of "$ID")" = running ]; do
        $OCI exec "$ID" "$@" </dev/null >/dev/null 2>&1 || true
    done
    $OCI delete "$ID"
    cat "$DIR/answer"
}
