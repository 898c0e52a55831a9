#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# wharf-oci: what a config.json can ask of the kernel.

load oci

user_namespace='.linux.namespaces += [{type: "user"}]
    | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 5000}]
    | .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 5000}]'

@test "a user namespace: mappings, devices, mounts, and the way to a root that is not the user's" {
    mkdir "$DIR/data"
    echo secret >"$DIR/data/file"
    chmod 700 "$DIR/data"
    chown -R 100000:200000 "$DIR/data" "$DIR/b/rootfs"
    config --arg d "$DIR/data" "$user_namespace"' | .mounts += [
        {destination: "/data", type: "bind", source: $d, options: ["rbind", "nosuid"]}]
        | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}]'
    command 'cat /proc/self/uid_map /proc/self/gid_map; id -u; echo x >/dev/null && stat -c "%n %u %t:%T" /dev/null /dev/shm
        cat /data/file; echo more >/data/made; stat -c %u:%g /data/made; ulimit -n; touch /tmp/x 2>&1; readlink /proc/self/ns/user'
    run $OCI run --bundle "$DIR/b" "$ID"
    echo "$output"
    [ "$(head -9 <<<"$output" | tr -s ' ')" = " 0 100000 5000
 0 200000 5000
0
/dev/null 65534 1:3
/dev/shm 0 0:0
secret
0:0
100
touch: /tmp/x: Read-only file system" ]
    [ "$(stat -c %u:%g "$DIR/data/made")" = 100000:200000 ]
    [ "$(tail -1 <<<"$output")" != "$(readlink /proc/self/ns/user)" ]
}

@test "a user namespace: another user, hooks, exec, and a terminal's owner" {
    config "$user_namespace"' | .process.user = {uid: 7, gid: 8}'
    run_sleeper
    run $OCI exec "$ID" sh -c 'id; cat /proc/self/uid_map'
    [ "$(tr -s ' ' <<<"$output")" = "uid=7 gid=8
 0 100000 5000" ]
    pid=$($OCI state "$ID" | jq .pid)
    [ "$(stat -c %u "/proc/$pid/task")" = 100007 ]
}

@test "a user namespace by path is joined" {
    unshare --user sleep 100 &
    other=$!
    in_its_own() { [ "$(readlink /proc/$other/ns/user)" != "$(readlink /proc/self/ns/user)" ]; }
    wait_until in_its_own
    echo "0 100000 5000" >/proc/$other/uid_map
    echo "0 200000 5000" >/proc/$other/gid_map
    config --arg p /proc/$other/ns/user '.linux.namespaces += [{type: "user", path: $p}]'
    command 'readlink /proc/self/ns/user; id -u'
    expected=$(readlink /proc/$other/ns/user)
    run $OCI run --bundle "$DIR/b" "$ID"
    kill $other
    wait $other || true
    [ "$output" = "$expected"$'\n0' ]
}

@test "a time namespace has its offsets" {
    config '.linux.namespaces += [{type: "time"}]
        | .linux.timeOffsets = {boottime: {secs: 1000000, nanosecs: 5}, monotonic: {secs: 2000000}}'
    command 'tr -s " " </proc/self/timens_offsets; cat /proc/uptime'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$(head -2 <<<"$output")" = "monotonic 2000000 0
boottime 1000000 5" ]
    [ "$(tail -1 <<<"$output" | cut -d. -f1)" -gt 1000000 ]
}

@test "without a mount namespace the root is entered all the same, and nothing stays mounted" {
    config '.linux.namespaces |= map(select(.type != "mount")) | .root.readonly = false'
    command 'readlink /proc/self/ns/mnt; ls /; touch /tmp/made; exit 5'
    before=$(wc -l </proc/self/mountinfo)
    run $OCI run --bundle "$DIR/b" "$ID"
    echo "$output"
    [ "$status" -eq 5 ]
    [ "$output" = "$(readlink /proc/self/ns/mnt)
bin
dev
etc
proc
sys
tmp" ]
    [ -e "$DIR/b/rootfs/tmp/made" ]
    [ "$(wc -l </proc/self/mountinfo)" = "$before" ]
    # Nor when it is not made, and never the mount that was there before.
    mount -t tmpfs tmpfs "$DIR/b/rootfs/tmp"
    config '.process.args = ["missing"]'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [ "$(wc -l </proc/self/mountinfo)" = "$((before + 1))" ]
    umount "$DIR/b/rootfs/tmp"
}

# What mountinfo(5) says of the newest mount on $1: its options and its file system's.
mountinfo_of() { awk -v at="$1" '$5 == at { said = $6; sub(/.* - /, ""); said = said " " $0 } END { print said }' "${2:-/proc/self/mountinfo}"; }

@test "a new file system has every option that mount(8) gives it" {
    local options
    mkdir "$DIR/b/rootfs/t" "$DIR/t"
    while read -r options; do
        expected=$(unshare -m bash -euc "$(declare -f mountinfo_of)"'
            mount -n -t tmpfs -o "$1" from "$2"
            mountinfo_of "$2"' - "$options" "$DIR/t")
        [[ "$expected" == *" tmpfs from "* ]]
        config --arg o "$options" '.mounts = [.mounts[] | select(.destination != "/t")] +
            [{destination: "/t", type: "tmpfs", source: "from", options: ($o | split(","))}]'
        command 'grep " /t " /proc/self/mountinfo'
        run $OCI run --bundle "$DIR/b" "$ID"
        [ "$(mountinfo_of /t - <<<"$output")" = "$expected" ] || (echo "$options: $output, not $expected" && false)
    done <<OPTIONS
size=64k
ro,nosuid,nodev,noexec,strictatime,nodiratime,size=64k,mode=1750,uid=3
rw,noatime,nosymfollow,sync,dirsync,lazytime,nr_inodes=50
mpol=interleave:0,0,size=1m
mpol=interleave:0$(printf ',0%.0s' {1..150}),size=1m
OPTIONS
    config '.mounts[-1].options = ["size=64k", "colour=red"]'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"/t"*"Invalid argument"* ]]
}

@test "what is read-only below what is read-only, masked below what is masked" {
    config '.linux.readonlyPaths += ["/dev", "/dev/shm", "/proc", "/proc/sys"] | .linux.maskedPaths += ["/sys/fs", "/sys/fs/cgroup"]'
    command 'touch /dev/shm/x; touch /dev/x; echo 1 >/proc/sys/kernel/shmmax; ls -A /sys/fs'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$output" = "touch: /dev/shm/x: Read-only file system
touch: /dev/x: Read-only file system
sh: can't create /proc/sys/kernel/shmmax: Read-only file system" ]
}

@test "links of a directory that is bound at /sys lead where they lead" {
    mkdir -p "$DIR/sys" "$DIR/b/rootfs/target"
    ln -s /target "$DIR/sys/fs"
    config --arg s "$DIR/sys" '.mounts = [.mounts[] | select(.destination | startswith("/sys") | not)] +
        [{destination: "/sys", type: "none", source: $s, options: ["rbind"]}, {destination: "/sys/fs/x", type: "tmpfs", source: "tmpfs"}]'
    command 'grep -c " /target/x " /proc/self/mountinfo'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$output" = 1 ]
}

@test "tmpcopyup: a tmpfs begins with what it hides" {
    mkdir -p "$DIR/b/rootfs/etc/deep/er"
    echo text >"$DIR/b/rootfs/etc/deep/file"
    chmod 4711 "$DIR/b/rootfs/etc/deep/file"
    chown 3:4 "$DIR/b/rootfs/etc/deep/er"
    ln -s deep/file "$DIR/b/rootfs/etc/link"
    chmod 1777 "$DIR/b/rootfs/etc"
    config '.mounts += [{destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "ro", "size=1m"]}]'
    command 'cat /etc/link; stat -c "%a %u:%g %n" /etc /etc/deep/file /etc/deep/er; grep -c " /etc ro" /proc/self/mountinfo
        touch /etc/x'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$output" = "text
1777 0:0 /etc
4711 0:0 /etc/deep/file
755 3:4 /etc/deep/er
1
touch: /etc/x: Read-only file system" ]
}

@test "mapped mounts: by mappings of their own, by the container's, and for what is mounted below" {
    mkdir -p "$DIR/data/below"
    mount -t tmpfs tmpfs "$DIR/data"
    mkdir "$DIR/data/below"
    mount -t tmpfs tmpfs "$DIR/data/below"
    touch "$DIR/data/file" "$DIR/data/below/file"
    chown 1:2 "$DIR/data/file" "$DIR/data/below/file"
    config --arg d "$DIR/data" '.mounts += [
        {destination: "/one", type: "bind", source: $d, options: ["rbind", "idmap"],
            uidMappings: [{containerID: 0, hostID: 50, size: 10}], gidMappings: [{containerID: 0, hostID: 60, size: 10}]},
        {destination: "/all", type: "bind", source: $d, options: ["rbind", "ridmap"],
            uidMappings: [{containerID: 0, hostID: 50, size: 10}], gidMappings: [{containerID: 0, hostID: 60, size: 10}]}]'
    command 'stat -c "%u:%g %n" /one/file /one/below/file /all/file /all/below/file'
    run $OCI run --bundle "$DIR/b" "$ID"
    echo "$output"
    [ "$output" = "51:62 /one/file
1:2 /one/below/file
51:62 /all/file
51:62 /all/below/file" ]
    config "$user_namespace"' | .mounts[-1] |= del(.uidMappings, .gidMappings) | .mounts |= del(.[-2])'
    command 'stat -c "%u:%g %n" /all/file; touch /all/made; stat -c %u:%g /all/made'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$output" = "1:2 /all/file
0:0" ]
    [ "$(stat -c %u:%g "$DIR/data/made")" = 0:0 ]
    umount "$DIR/data/below" "$DIR/data"
}

@test "recursive attributes hold for what is mounted below" {
    mkdir -p "$DIR/data"
    mount -t tmpfs tmpfs "$DIR/data"
    mkdir "$DIR/data/below"
    mount -t tmpfs tmpfs "$DIR/data/below"
    config --arg d "$DIR/data" '.mounts += [{destination: "/d", type: "bind", source: $d,
        options: ["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnosymfollow"]}]'
    command 'grep -E " /d(/below)? " /proc/self/mountinfo | cut -d" " -f5,6'
    run $OCI run --bundle "$DIR/b" "$ID"
    umount "$DIR/data/below" "$DIR/data"
    [ "$output" = "/d ro,nosuid,nodev,noexec,noatime,nosymfollow
/d/below ro,nosuid,nodev,noexec,noatime,nosymfollow" ]
}

@test "scheduler, priority of input and output, personality" {
    config '.process.scheduler = {policy: "SCHED_BATCH", nice: 7, flags: ["SCHED_FLAG_RESET_ON_FORK"]}
        | .process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 6} | .linux.personality = {domain: "LINUX32"}'
    run_sleeper
    pid=$($OCI state "$ID" | jq .pid)
    [ "$(chrt -p "$pid" | head -1 | grep -o 'SCHED_.*')" = "SCHED_BATCH|SCHED_RESET_ON_FORK" ]
    [ "$(cut -d' ' -f19 "/proc/$pid/stat")" = 7 ]
    [ "$(ionice -p "$pid")" = "best-effort: prio 6" ]
    [ "$(cat "/proc/$pid/personality")" = 00000008 ]
}

@test "an execve that fails is said although the filter forbids to send" {
    printf '#!/no/such/interpreter\n' >"$DIR/b/rootfs/bin/broken"
    chmod +x "$DIR/b/rootfs/bin/broken"
    config '.process.args = ["broken"] | .linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_X86_64"],
        syscalls: [{names: ["execve"], action: "SCMP_ACT_ALLOW"}]}'
    run timeout 10 $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"cannot execute 'broken': No such file or directory" ]]
    [ -z "$(ls -A "$DIR/root")" ]
}

# Answers one notification: mkdir is said to have made, with the errno 17 otherwise.
listener() {
    python3 - "$DIR/listener" >"$DIR/heard" 3>&- <<'PY' &
import array, fcntl, json, os, socket, struct, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1] + ".new")
listener.listen()
os.rename(sys.argv[1] + ".new", sys.argv[1])  # there is nothing to connect to before
for _ in range(2):
    connection, _ = listener.accept()
    data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
    fd = array.array("i", ancillary[0][2])[0]
    print(data.decode(), flush=True)
    request = bytearray(80)
    fcntl.ioctl(fd, 0xC0502100, request)
    id, pid = struct.unpack_from("QI", request)
    fcntl.ioctl(fd, 0xC0182101, bytearray(struct.pack("QqiI", id, 0, -17, 0)))
PY
    heard=$!
    wait_until test -S "$DIR/listener"
}

@test "notifications of the filter go to the listener, of the first process and of one more" {
    config --arg p "$DIR/listener" '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", listenerPath: $p, listenerMetadata: "about it",
        syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY"}]} | .process.terminal = false'
    ln -s busybox "$DIR/b/rootfs/bin/mkdir"
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 1 ]
    [[ "$output" == *"cannot connect to 'linux.seccomp.listenerPath'"* ]]
    config '.linux.seccomp.syscalls[0].action = "SCMP_ACT_ERRNO"' # nothing to notify of: nobody has to be there
    run $OCI run --bundle "$DIR/b" "$ID" </dev/null
    [ "$status" -eq 0 ]
    [[ "$output" != *listenerPath* ]]
    config '.linux.seccomp.syscalls[0].action = "SCMP_ACT_NOTIFY"'
    listener
    command 'mkdir /tmp/x 2>&1; sleep 1000'
    $OCI run --detach --bundle "$DIR/b" "$ID" </dev/null >"$DIR/out" 2>&1
    wait_until test -s "$DIR/out"
    [ "$(cat "$DIR/out")" = "mkdir: can't create directory '/tmp/x': File exists" ]
    run timeout 10 $OCI exec "$ID" mkdir /tmp/y
    [ "$output" = "mkdir: can't create directory '/tmp/y': File exists" ]
    wait $heard
    [ "$(head -1 "$DIR/heard" | jq -r '"\(.fds[0]) \(.metadata) \(.state.id) \(.pid == .state.pid)"')" = "seccompFd about it $ID true" ]
    [ "$(tail -1 "$DIR/heard" | jq -r '"\(.fds[0]) \(.state.id) \(.pid == .state.pid)"')" = "seccompFd $ID false" ]
}

@test "a capability that cannot be given is told and left out" {
    config '.process.capabilities.bounding += ["CAP_NONSENSE"] | .process.args = ["true"]'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 0 ]
    [[ "$output" == *"the capability 'CAP_NONSENSE' cannot be given: it is left out"* ]]
}

@test "a hard limit that may not be raised is told and stays" {
    config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 2000000000}]' # above fs.nr_open
    command 'ulimit -n; ulimit -Hn'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 0 ]
    [[ "$output" == *"the limit RLIMIT_NOFILE is $(ulimit -Hn) instead of 2000000000: no more is allowed to this process"*"
100
$(ulimit -Hn)" ]]
}

@test "labels of security modules that the kernel lacks" {
    [ ! -e /sys/fs/selinux/enforce ]
    config '.linux.mountLabel = "a:b:c:s0" | .process.args = ["true"]'
    run $OCI run --bundle "$DIR/b" "$ID"
    [ "$status" -eq 0 ]
    [[ "$output" == *"'linux.mountLabel' has no effect: SELinux is not enabled in this kernel"* ]]
}

@test "features names what is supported" {
    run $OCI features
    [ "$(jq -r '.linux.namespaces | join(" ")' <<<"$output")" = "cgroup ipc mount network pid time user uts" ]
    for option in idmap ridmap tmpcopyup rro rnosymfollow rshared; do
        [ "$(jq --arg o $option '.mountOptions | index($o) != null' <<<"$output")" = true ]
    done
    [ "$(jq '.linux.seccomp.actions | index("SCMP_ACT_NOTIFY") != null' <<<"$output")" = true ]
    [ "$(jq .linux.intelRdt.enabled <<<"$output")" = false ]
}
