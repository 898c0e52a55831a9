# SPDX-License-Identifier: Apache-2.0
# What wharf-oci does to containers of others is on the log: at once, or when the writer is back, and once.
load helper

setup() {
    ID=wharf-report-$$-$BATS_TEST_NUMBER
    BUNDLE=$E2E_DIR/bundle
    rm -rf "$BUNDLE"
    mkdir "$BUNDLE"
    ln -s ../rootfs "$BUNDLE/rootfs"
    wharf-oci spec --bundle "$BUNDLE"
    change '.process.terminal = false | .process.args = ["sleep", "1000"]'
    export WHARF_OCI_EVENT_LOG=$E2E_DIR/run/writer.sock
}

teardown() {
    oci delete --force "$ID" || true
}

oci() { wharf-oci --root "$E2E_DIR/oci" "$@"; }
# Nobody reads what a container that stays behind inherits.
quietly() { "$@" </dev/null >/dev/null 2>&1 3>&-; }
change() {
    jq "$1" "$BUNDLE/config.json" >"$BUNDLE/new"
    mv "$BUNDLE/new" "$BUNDLE/config.json"
}
reports() { find "$E2E_DIR/oci/@reports" -type f ! -name lock | wc -l; }
# What the log has of the container, in order.
actions() {
    sqlite3 "$E2E_DIR/state/log/wharf.events.db" "SELECT json_extract(value, '\$.data.action') FROM records
        WHERE json_extract(value, '\$.type') = 'wharf.oci.reported.v1'
        AND json_extract(value, '\$.data.container') = '$ID' ORDER BY offset" | tr '\n' ' '
}
has_actions() { [ "$(actions)" = "$1 " ]; }
history_has() { wharf history --format json "$1" | jq -r .data.action | grep -qx "$2"; }

@test "every action becomes an event with who and what" {
    quietly oci create --bundle "$BUNDLE" "$ID"
    oci start "$ID"
    oci pause "$ID"
    oci resume "$ID"
    oci update --pids-limit 100 "$ID"
    run -3 oci exec "$ID" sh -c 'exit 3'
    run -1 oci exec "$ID" no-such-command
    pid=$(oci state "$ID" | jq .pid)
    oci kill "$ID" KILL
    eventually sh -c "! kill -0 $pid 2>/dev/null"
    oci delete "$ID"
    run -1 oci kill "$ID" KILL
    eventually has_actions "created started paused resumed updated exec exited failed killed deleted"
    [ "$(reports)" -eq 0 ]
    eventually history_has "$ID" deleted
    history=$(wharf history --format json "$ID")
    [ "$(jq -c 'select(.data.action == "started") | [.data.pid, .data.command, .data.bundle, .data.uid, .data.root]' <<<"$history")" = \
        "[$pid,[\"sleep\",\"1000\"],\"$BUNDLE\",0,\"$E2E_DIR/oci\"]" ]
    [ "$(jq -c 'select(.data.action == "exited") | .data.exit_code' <<<"$history")" = 3 ]
    [ "$(jq -r 'select(.data.action == "failed") | .data.verb + ": " + .data.message' <<<"$history")" = \
        "exec: cannot execute 'no-such-command': No such file or directory" ]
    [ "$(jq -r 'select(.data.action == "killed") | .data.signal' <<<"$history")" = KILL ]
    [ "$(jq -r 'select(.data.action == "updated") | .data.limits' <<<"$history")" = '{"pids":{"limit":100}}' ]
    [[ "$(jq -r .actor <<<"$history" | sort -u)" == unix:uid=0,* ]]
}

@test "run: created, started, exited and deleted" {
    change '.process.args = ["sh", "-c", "exit 6"]'
    run -6 oci run --bundle "$BUNDLE" "$ID"
    eventually has_actions "created started exited deleted"
}

@test "with the writer away containers start at once, and the reports arrive later, once" {
    export WHARF_OCI_EVENT_LOG=$E2E_DIR/nowhere.sock
    began=$(date +%s%N)
    quietly oci run --detach --bundle "$BUNDLE" "$ID"
    oci pause "$ID"
    oci resume "$ID"
    [ $((($(date +%s%N) - began) / 1000000)) -lt 2000 ]
    [ "$(reports)" -eq 4 ]
    cp -r "$E2E_DIR/oci/@reports" "$E2E_DIR/copy"
    export WHARF_OCI_EVENT_LOG=$E2E_DIR/run/writer.sock
    oci kill "$ID" KILL
    [ "$(reports)" -eq 0 ]
    eventually has_actions "created started paused resumed killed"
    # Cut off between the answer and the removal, they are sent again.
    cp "$E2E_DIR"/copy/[0-9]* "$E2E_DIR/oci/@reports/"
    oci delete --force "$ID"
    [ "$(reports)" -eq 0 ]
    eventually has_actions "created started paused resumed killed deleted"
}

@test "a wharf-oci that was killed at work is reported by the next" {
    quietly oci run --detach --bundle "$BUNDLE" "$ID"
    wharf-oci --root "$E2E_DIR/oci" exec "$ID" sleep 1000 3>&- &
    joiner=$!
    eventually has_actions "created started exec"
    kill -KILL $joiner
    wait $joiner || true
    oci delete --force "$ID"
    eventually has_actions "created started exec failed deleted"
    [ "$(reports)" -eq 0 ]
}

@test "what the writer will never take, and what is damaged, is put aside, and holds nobody up" {
    mkdir -p "$E2E_DIR/oci/@reports"
    : >"$E2E_DIR/oci/@reports/00000000000000000000-0.pending" # as a power cut may leave it
    echo '{"container": "x", "action": "danced", "at": "2026-01-01T00:00:00Z", "uid": 0}' >"$E2E_DIR/oci/@reports/00000000000000000001-0"
    quietly oci --log "$E2E_DIR/log" run --detach --bundle "$BUNDLE" "$ID"
    [[ "$(cat "$E2E_DIR/log")" == *"cannot report to the event log: the writer answered 400: "*"/data/action"* ]]
    [ -e "$E2E_DIR/oci/@reports/00000000000000000001-0.refused" ]
    [ -e "$E2E_DIR/oci/@reports/00000000000000000000-0.pending.damaged" ]
    rm "$E2E_DIR"/oci/@reports/*.refused "$E2E_DIR"/oci/@reports/*.damaged
    eventually has_actions "created started"
}

@test "a configuration file names the writer, a flag is above it, and a wrong file does not hinder" {
    unset WHARF_OCI_EVENT_LOG
    export WHARF_CONFIG=$E2E_DIR/oci.conf
    echo "oci-event-log = $E2E_DIR/run/writer.sock" >"$WHARF_CONFIG"
    quietly oci run --detach --bundle "$BUNDLE" "$ID"
    oci --event-log "" pause "$ID"
    eventually has_actions "created started"
    echo "no-such-key = 1" >"$WHARF_CONFIG"
    run -0 oci resume "$ID"
    [[ "$output" == *"no-such-key"* ]]
    unset WHARF_CONFIG
    oci delete --force "$ID"
    has_actions "created started"
}
