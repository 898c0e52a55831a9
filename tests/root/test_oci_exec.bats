#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# wharf-oci exec: more processes in a container. What somebody inside can do to one that joins is in test_join.c.

load oci

@test "exec gives the command's output and exit code, in all of the container's namespaces and cgroups" {
    run_sleeper
    run $OCI exec "$ID" sh -c 'echo out; echo err >&2; exit 7'
    [ "$status" -eq 7 ]
    [ "$output" = $'out\nerr' ]
    for kind in mnt pid ipc uts net cgroup; do
        [ "$($OCI exec "$ID" readlink /proc/self/ns/$kind)" = "$($OCI exec "$ID" readlink /proc/1/ns/$kind)" ]
    done
    # Seen from inside, every path would be "/", whichever cgroup it is below.
    $OCI exec --detach --pid-file "$DIR/pid" "$ID" sleep 1000 </dev/null >/dev/null 2>&1
    pid=$(cat "$DIR/pid")
    [ "$(cat "/proc/$pid/cgroup")" = "$(cat "/proc/$($OCI state "$ID" | jq .pid)/cgroup")" ]
    $OCI kill "$ID" KILL
    wait_for_end "$pid"
    run $OCI exec "$ID" true
    [ "$status" -eq 1 ]
    [[ "$output" == *"cannot execute in the container '$ID': it is not running but stopped" ]]
}

@test "a created container can be joined, a paused one when it is resumed" {
    command 'sleep 1000'
    $OCI create --bundle "$DIR/b" "$ID" </dev/null >/dev/null 2>&1
    [ "$($OCI exec "$ID" echo here)" = here ]
    $OCI start "$ID"
    $OCI pause "$ID"
    run $OCI exec "$ID" true
    [ "$status" -eq 1 ]
    [[ "$output" == *"it is paused; resume it"* ]]
    $OCI exec --ignore-paused "$ID" echo later >"$DIR/out" 3>&- &
    joiner=$!
    wait_until sh -c "[ \$($OCI ps --format json $ID | jq length) -gt 1 ]"
    [ ! -s "$DIR/out" ]
    $OCI resume "$ID"
    wait "$joiner"
    [ "$(cat "$DIR/out")" = later ]
}

@test "flags before and behind the id change what the container's process says" {
    config '.process.env += ["KEEP=1", "SWAP=old"]'
    run_sleeper
    run $OCI exec --cwd /tmp -e SWAP=new "$ID" --env "MORE=a=b" --user 5:6 -g 7 --cap CAP_NET_ADMIN --no-new-privs sh -c \
        'id -u; id -G; pwd; echo $KEEP $SWAP $MORE; grep -E "CapEff|NoNewPrivs" /proc/self/status'
    [ "$status" -eq 0 ]
    [ "$output" = $'5\n6 7\n/tmp\n1 new a=b\nCapEff:\t0000000000001000\nNoNewPrivs:\t1' ]
    [ "$($OCI exec "$ID" sh -c 'env | grep -c SWAP; id -u')" = $'1\n0' ]
    run $OCI exec "$ID" -- echo -n x
    [ "$output" = x ]
}

@test "a process from a file, detached, with its pid in a file" {
    run_sleeper
    jq '.process | .args = ["sh", "-c", "echo $0 $V; exit 3", "zero"] | .env += ["V=v"]' "$DIR/b/config.json" >"$DIR/process.json"
    run $OCI exec --process "$DIR/process.json" "$ID"
    [ "$status" -eq 3 ]
    [ "$output" = "zero v" ]
    jq '.process | .args = ["sleep", "1000"]' "$DIR/b/config.json" >"$DIR/process.json"
    $OCI exec --pid-file "$DIR/pid" --process "$DIR/process.json" --detach "$ID" </dev/null >/dev/null 2>&1
    [ "$(tr '\0' ' ' <"/proc/$(cat "$DIR/pid")/cmdline")" = "sleep 1000 " ]
}

@test "what cannot be executed is said, and leaves nothing" {
    run_sleeper
    while IFS='|' read -r flags command message; do
        # shellcheck disable=SC2086 # several words
        run $OCI exec --pid-file "$DIR/pid" $flags "$ID" $command
        [ "$status" -eq 1 ]
        [[ "$output" == *"$message"* ]]
        [ ! -e "$DIR/pid" ]
        [ "$($OCI ps --format json "$ID" | jq length)" -eq 1 ]
    done <<'CASES'
|no-such|cannot execute 'no-such': No such file or directory
|/etc|cannot execute '/etc': Permission denied
--cwd /nowhere|true|cannot enter the working directory '/nowhere': No such file or directory
--cwd relative|true|'process.cwd' must be an absolute path
--user root|true|--user is UID or UID:GID in numbers, not 'root'
-g 1x|true|--additional-gids is a number, not '1x'
--env novalue|true|--env is KEY=VALUE, not 'novalue'
--cap CAP_NOPE|true|unknown capability 'CAP_NOPE'
--apparmor some|true|process.apparmorProfile
--process-label some|true|process.selinuxLabel
--process /dev/null|true|'/dev/null' is no JSON
--cgroup x|true|unknown option '--cgroup'
--tty --detach|true|name a socket for the terminal with --console-socket
--console-socket /nowhere|true|there is no terminal
|there is no command to execute
CASES
}

@test "ten at once, and the system call filter and limits hold for each" {
    config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO",
        errnoRet: 71}]} | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 77, hard: 77}]'
    ln -s busybox "$DIR/b/rootfs/bin/mkdir"
    run_sleeper
    for i in 1 2 3 4 5 6 7 8 9 10; do
        $OCI exec "$ID" sh -c 'ulimit -n; mkdir /tmp/x 2>&1; exit '$i >"$DIR/out.$i" 3>&- &
        joiners[i]=$!
    done
    for i in 1 2 3 4 5 6 7 8 9 10; do
        code=0
        wait "${joiners[i]}" || code=$?
        [ "$code" -eq "$i" ]
        [ "$(cat "$DIR/out.$i")" = $'77\nmkdir: can\'t create directory \'/tmp/x\': Protocol error' ]
    done
}

@test "signals for exec go to its process" {
    config ".root.readonly = false"
    run_sleeper
    $OCI exec "$ID" sh -c 'trap "exit 9" TERM; touch /tmp/up; while :; do sleep 0.05; done' 3>&- &
    joiner=$!
    wait_until test -e "$DIR/b/rootfs/tmp/up"
    kill -TERM $joiner
    code=0
    wait $joiner || code=$?
    [ "$code" -eq 9 ]
}
