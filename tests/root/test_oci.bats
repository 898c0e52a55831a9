#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# wharf-oci: containers from bundles, on the real kernel.

load oci

@test "run gives the command's output and exit code, and leaves nothing" {
    command 'echo out; echo err >&2; exit 7'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 7 ]
    [ "$output" = $'out\nerr' ]
    [ -z "$(ls -A "$DIR/root")" ]
}

@test "create, start, kill and delete, each state in its turn" {
    command 'trap "exit 0" TERM; touch /tmp/up; while :; do sleep 1; done'
    $OCI create "$ID" --bundle "$DIR/b" --pid-file "$DIR/pid"
    pid=$(cat "$DIR/pid")
    [ "$($OCI state "$ID" | jq -r '"\(.ociVersion) \(.id) \(.status) \(.pid) \(.bundle)"')" = "1.2.0 $ID created $pid $DIR/b" ]
    [ ! -e "$DIR/b/rootfs/tmp/up" ]
    run $OCI delete "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"which is not stopped: it is created"* ]]
    $OCI start "$ID"
    [ "$(status_of "$ID")" = running ]
    run $OCI start "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"it is not created but running"* ]]
    $OCI pause "$ID"
    [ "$(status_of "$ID")" = paused ]
    $OCI resume "$ID"
    for signal in 0 65 RTMIN+1x RTMIN+ RTMAX-31 FOO ''; do
        run $OCI kill "$ID" "$signal"
        [ "$status" -eq 1 ]
        [[ "$output" == *"'$signal' is no signal" ]]
    done
    $OCI kill "$ID" SIGRTMAX-1 # which the first process of a pid namespace may ignore
    $OCI kill "$ID" SIGKILL
    wait_for_end "$pid"
    [ "$(status_of "$ID")" = stopped ]
    run $OCI kill "$ID" TERM
    [ "$status" -eq 1 ]
    $OCI delete "$ID"
    run $OCI state "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"container '$ID' does not exist"* ]]
}

@test "an id is taken once, and must be one" {
    command 'sleep 100'
    $OCI create --bundle "$DIR/b" "$ID"
    run $OCI create --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"container '$ID' already exists"* ]]
    [ "$(status_of "$ID")" = created ]
    run $OCI create --bundle "$DIR/b" "../$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"is no container id"* ]]
}

@test "what cannot be executed is said at create, and nothing is left" {
    config '.process.args = ["no-such-command"]'
    run $OCI --log "$DIR/log" --log-format json create --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"cannot execute 'no-such-command': No such file or directory" ]]
    [ "$(jq -r '.level + " " + .msg' "$DIR/log")" = "error cannot execute 'no-such-command': No such file or directory" ]
    [ -z "$(ls -A "$DIR/root")" ]
}

@test "a configuration that is no file is refused, and not waited for" {
    rm "$DIR/b/config.json"
    mkfifo "$DIR/b/config.json"
    run timeout 10 $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"'$DIR/b/config.json' is no file"* ]]
}

@test "a container whose state.json is damaged is told of, and cleared by delete --force" {
    command 'sleep 100'
    ID=.$ID # as every id it is listed
    $OCI create --bundle "$DIR/b" "$ID"
    pid=$($OCI state "$ID" | jq .pid)
    [ "$($OCI list --quiet)" = "$ID" ]
    : >"$DIR/root/$ID/state.json"
    run $OCI list --quiet
    [[ "$output" == *"'state.json' of the container '$ID' is damaged"* ]]
    run $OCI delete "$ID"
    [ "$status" -eq 1 ]
    $OCI delete --force "$ID"
    wait_for_end "$pid"
    [ ! -e "$DIR/root/$ID" ]
}

@test "both logs quote what is named, whatever its bytes are" {
    local file=$DIR/none-$'\xff'\"
    run $OCI --log "$DIR/log" --log-format json create --bundle "$file" "$ID"
    [ "$(jq -r .msg "$DIR/log")" = "cannot use the bundle '$DIR/none-?\"': No such file or directory" ]
    run $OCI --log "$DIR/text" create --bundle "$file" "$ID"
    grep -qF "level=error msg=\"cannot use the bundle '$DIR/none-?\\\"': No such file or directory\"" "$DIR/text"
}

@test "what is not supported is refused by its name" {
    while read -r change name; do
        cp "$DIR/b/config.json" "$DIR/keep"
        config "$change"
        run $OCI run --bundle "$DIR/b" "$ID"
        [ "$status" -eq 1 ]
        [[ "$output" == *"'$name'"* ]]
        cp "$DIR/keep" "$DIR/b/config.json"
    done <<'CASES'
.linux.intelRdt={"closID":"x"} linux.intelRdt
.process.apparmorProfile="x" process.apparmorProfile
.process.selinuxLabel="x" process.selinuxLabel
.process.args="sh" process.args
.process.cwd="relative" process.cwd
.ociVersion="2.0" ociVersion
.hooks.poststop=[{"path":"relative"}] hooks.poststop[0].path
.mounts[0].options=["tmpcopyup"] tmpcopyup
.linux.namespaces+=[{"type":"user"}] linux.uidMappings
.linux.uidMappings=[{"containerID":0,"hostID":1,"size":1}] linux.uidMappings
.linux.timeOffsets={"boottime":{"secs":1}} linux.timeOffsets
.mounts[0].options=["idmap"] /proc
.process.scheduler={"policy":"SCHED_X"} process.scheduler.policy
.process.ioPriority={"class":"IOPRIO_CLASS_BE","priority":8} process.ioPriority.priority
.linux.personality={"domain":"BSD"} linux.personality.domain
.linux.seccomp={"defaultAction":"SCMP_ACT_NOTIFY"} linux.seccomp.listenerPath
.linux.resources.unified={"a":"b"} linux.resources.unified
CASES
    run $OCI --systemd-cgroup run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"--systemd-cgroup is not supported"* ]]
}

@test "mounts: bound directories and files, made where they are missing, with their options" {
    mkdir "$DIR/data"
    echo inside >"$DIR/data/file"
    config --arg d "$DIR/data" '.mounts += [
        {destination: "/new/dir", type: "bind", source: $d, options: ["rbind", "ro", "nosuid"]},
        {destination: "/etc/one", type: "bind", source: ($d + "/file"), options: ["bind", "rw"]},
        {destination: "/scratch", type: "tmpfs", source: "tmpfs", options: ["size=64k", "noexec"]},
        {destination: "/twice", type: "tmpfs", source: "tmpfs", options: ["size=64k"]},
        {destination: "/twice", type: "tmpfs", source: "tmpfs", options: ["remount", "ro", "size=128k"]},
        {destination: "/new/dir", options: ["remount", "bind", "nodev"]}]
        | .root.readonly = false'
    command 'cat /new/dir/file /etc/one; touch /new/dir/x; echo more >>/etc/one; grep -E " /(new|scratch|etc|twice)" /proc/self/mountinfo'
    run $OCI run --bundle "$DIR/b" "$ID"
    [[ "$output" == $'inside\ninside\ntouch: /new/dir/x: Read-only file system\n'* ]]
    [[ "$output" == *" /new/dir ro,nosuid,nodev"* ]]
    [[ "$output" == *" /twice ro,relatime - tmpfs tmpfs ro,size=128k"* ]]
    [[ "$output" == *" /scratch rw,noexec"*"size=64k"* ]]
    [ "$(cat "$DIR/data/file")" = $'inside\nmore' ]
}

@test "links in the root lead nowhere outside of it" {
    ln -s /../../../../../../../../tmp "$DIR/b/rootfs/etc/out"
    ln -s ../../../../../../etc "$DIR/b/rootfs/up"
    mkdir "$DIR/data"
    config --arg d "$DIR/data" '.mounts += [
        {destination: "/etc/out/wharf-oci-escape", type: "bind", source: $d, options: ["bind"]},
        {destination: "/up/wharf-oci-escape", type: "tmpfs"}] | .root.readonly = false'
    command 'test -d /tmp/wharf-oci-escape && test -d /etc/wharf-oci-escape && echo confined'
    run $OCI run --bundle "$DIR/b" "$ID"
    echo "$output"
    [ "$output" = confined ]
    [ ! -e /tmp/wharf-oci-escape ] && [ ! -e /etc/wharf-oci-escape ]
}

@test "user, groups, umask, limits, capabilities, oom score, names, sysctls" {
    config '.process.user = {uid: 5, gid: 6, additionalGids: [7, 8], umask: 54} | .domainname = "dom"
        | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}]
        | .process.oomScoreAdj = 77
        | .process.capabilities = {bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"]}
        | .linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "12345"}'
    command 'id; umask; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; grep -E "CapEff|NoNew" /proc/self/status
        cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/kernel/domainname; hostname'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$output" = "uid=5 gid=6 groups=7,8
0066
100
200
77
CapEff:	0000000000000020
NoNewPrivs:	1
1
12345
dom
wharf" ]
    config '.linux.sysctl = {"kernel.panic": "1"}'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"the sysctl 'kernel.panic' does not belong to a namespace"* ]]
}

@test "limits are in the cgroup that was asked for" {
    config --arg id "$ID" '.linux.cgroupsPath = "/wharf-oci/" + $id
        | .linux.resources += {memory: {limit: 33554432}, pids: {limit: 17}, cpu: {quota: 20000, period: 50000, shares: 512, cpus: "0"}}'
    command 'cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares cpuset/cpuset.cpus; touch pids/x'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$output" = "33554432
17
20000
512
0
touch: pids/x: Read-only file system" ]
    config '.linux.resources.pids.limit = "many"'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"'linux.resources.pids.limit' has a value of the wrong type"* ]]
}

@test "a cgroup that others are in is not taken" {
    mkdir -p "/sys/fs/cgroup/pids/wharf-oci/$ID"
    sleep 100 &
    other=$!
    echo $other >"/sys/fs/cgroup/pids/wharf-oci/$ID/cgroup.procs"
    command true
    run $OCI run --bundle "$DIR/b" "$ID"
    kill -0 $other
    kill $other
    wait $other || true
    rmdir "/sys/fs/cgroup/pids/wharf-oci/$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"has processes already"* ]]
}

@test "hooks run in order, with the state, where the spec says" {
    cat >"$DIR/hook" <<SH
#!/bin/sh
echo "\$1 \$(jq -r '.status + " " + .id') \$(readlink /proc/self/ns/mnt) \$(pwd)" >>"$DIR/hooks"
SH
    chmod +x "$DIR/hook"
    config --arg h "$DIR/hook" 'def hook(n): [{path: $h, args: ["hook", n], env: ["PATH=/bin:/usr/bin"]}];
        .hooks = {prestart: hook("prestart"), createRuntime: hook("createRuntime"), createContainer: hook("createContainer"),
            startContainer: [{path: "/bin/sh", args: ["sh", "-c", "cat >/tmp/seen"]}],
            poststart: hook("poststart"), poststop: hook("poststop")} | .root.readonly = false'
    command 'grep -o "\"status\":\"created\"" /tmp/seen; echo command'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$output" = $'"status":"created"\ncommand' ]
    own=$(readlink /proc/self/ns/mnt)
    [ "$(cut -d' ' -f1-3 "$DIR/hooks")" = "prestart created $ID
createRuntime created $ID
createContainer created $ID
poststart running $ID
poststop stopped $ID" ]
    [ "$(grep -v createContainer "$DIR/hooks" | cut -d' ' -f4 | sort -u)" = "$own" ]
    [ "$(grep createContainer "$DIR/hooks" | cut -d' ' -f4)" != "$own" ]
    [ "$(grep createContainer "$DIR/hooks" | cut -d' ' -f5)" = / ]
}

@test "a hook that fails or takes too long stops the creation, and nothing is left" {
    command 'echo never'
    for stage in prestart createRuntime createContainer startContainer; do
        config --arg s $stage '.hooks = {($s): [{path: "/bin/sh", args: ["sh", "-c", "exit 3"]}]}'
        run $OCI run --bundle "$DIR/b" "$ID"
        [ "$status" -eq 1 ]
        [[ "$output" == *"$stage"*"/bin/sh"*"exit status 3"* ]]
        [[ "$output" != *never* ]]
        [ -z "$(ls -A "$DIR/root")" ]
    done
    config '.hooks = {createRuntime: [{path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1}]}'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"not done after 1 s"* ]]
}

@test "the filter of the config is loaded, with and without no_new_privs" {
    config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"],
        syscalls: [{names: ["getcwd"], action: "SCMP_ACT_ERRNO", errnoRet: 38}]} | .process.args = ["/bin/busybox", "pwd"]'
    for nnp in true false; do
        for uid in 0 5; do
            config --argjson n $nnp --argjson u $uid '.process.noNewPrivileges = $n | .process.user.uid = $u'
            run $OCI run --bundle "$DIR/b" "$ID"
            [[ "$output" == *"Function not implemented"* ]]
        done
    done
    config '.linux.seccomp.syscalls[0].action = "SCMP_ACT_X"'
    run $OCI run --bundle "$DIR/b" "$ID"
    [[ "$output" == *"the action 'SCMP_ACT_X' of a system call filter is not supported"* ]]
}

@test "namespaces by path are joined" {
    unshare --net sleep 100 &
    other=$!
    until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
    config --arg p "/proc/$other/ns/net" '.linux.namespaces |= map(if .type == "network" then .path = $p else . end)'
    command 'readlink /proc/self/ns/net'
    expected=$(readlink /proc/$other/ns/net)
    run $OCI run --bundle "$DIR/b" "$ID"
    kill $other
    wait $other || true
    [ "$output" = "$expected" ]
}

@test "no descriptor of the host leaks, and those asked for arrive" {
    command 'for fd in /proc/self/fd/*; do case $(readlink $fd) in *hostdir*) echo leak;; esac; done; cat <&3'
    mkdir "$DIR/hostdir"
    echo preserved >"$DIR/three"
    run bash -c "exec 9<'$DIR/hostdir' 3<'$DIR/three'; $OCI run --preserve-fds 1 --bundle '$DIR/b' '$ID'"
    [ "$output" = preserved ]
    run bash -c "exec 3<'$DIR/three' 4<&-; $OCI run --preserve-fds 2 --bundle '$DIR/b' '$ID'"
    [ "$status" -eq 1 ]
    [[ "$output" == *"--preserve-fds 2: the descriptor 4 is not open"* ]]
}

@test "a terminal is the container's own, and its other end arrives at the socket" {
    config '.process.terminal = true | .process.consoleSize = {height: 33, width: 44} | .root.readonly = false'
    command 'test -t 0 && test -t 1 && stty size; readlink /proc/self/fd/0; echo done >/tmp/done'
    python3 - "$DIR/console" >"$DIR/shown" 3>&- <<'PY' &
import array, os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1] + ".new")
listener.listen()
os.rename(sys.argv[1] + ".new", sys.argv[1])  # there is nothing to connect to before
connection, _ = listener.accept()
_, ancillary, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4))
master = array.array("i", ancillary[0][2])[0]
try:
    while data := os.read(master, 1000):
        sys.stdout.write(data.decode()); sys.stdout.flush()
except OSError:
    pass
PY
    reader=$!
    until [ -S "$DIR/console" ]; do :; done
    $OCI create --bundle "$DIR/b" --console-socket "$DIR/console" "$ID"
    $OCI start "$ID"
    wait $reader
    [ "$(tr -d '\r' <"$DIR/shown")" = $'33 44\n/dev/pts/0' ]
    run $OCI create --bundle "$DIR/b" "$ID-2"
    [ "$status" -eq 1 ]
    [[ "$output" == *"--console-socket"* ]]
}

@test "a creator that is killed leaves what delete --force clears" {
    config '.hooks = {createRuntime: [{path: "/bin/sleep", args: ["sleep", "1000"]}]}'
    $OCI create --bundle "$DIR/b" "$ID" &
    creator=$!
    until [ -n "$(pgrep -P $creator -x sleep)" ]; do :; done
    [ "$(status_of "$ID")" = creating ]
    hook=$(pgrep -P $creator -x sleep)
    pid=$($OCI state "$ID" | jq .pid)
    kill -KILL $creator
    wait $creator || true
    kill -KILL "$hook"
    wait_for_end "$pid"
    [ "$(status_of "$ID")" = stopped ]
    $OCI delete --force "$ID"
    [ -z "$(ls -A "$DIR/root")" ]
}

@test "the runtime's program cannot be written from inside" {
    config '.process.args = ["/proc/self/exe"] | .process.noNewPrivileges = true'
    before=$(sha256sum "${WHARF_BUILD:-build}/wharf-oci")
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -ne 0 ]
    [ "$(sha256sum "${WHARF_BUILD:-build}/wharf-oci")" = "$before" ]
    command 'sleep 100'
    $OCI create --bundle "$DIR/b" --pid-file "$DIR/pid" "$ID"
    [[ "$(readlink "/proc/$(cat "$DIR/pid")/exe")" == "/memfd:wharf-init"* ]]
    run bash -c "echo x >/proc/$(cat "$DIR/pid")/exe"
    [ "$status" -ne 0 ]
}
