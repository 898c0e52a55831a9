# SPDX-License-Identifier: Apache-2.0
# What managed containers are made from: the options of `wharf run` on real containers.
# bats file_tags=e2e
load helper

in_container() { wharf run --rm "$@"; }

cgroup_file() { cat "$(find "/sys/fs/cgroup/$1" -name "$2" -type d | head -1)/$3"; }

@test "--init reaps, hands signals on, and ends as the command does" {
    run -0 in_container --init busybox cat /proc/1/comm /proc/self/comm
    [ "$output" = $'wharf-init\ncat' ]
    run -7 in_container --init busybox sh -c 'exit 7'
    run -137 in_container --init busybox sh -c 'kill -9 $$'
    run -127 in_container --init busybox no-such-command
    # An orphan that has ended is nobody's zombie.
    run -0 in_container --init busybox sh -c '(true & echo $!) >/tmp/pid; read p </tmp/pid
        while [ -e /proc/$p ]; do :; done; echo reaped'
    [ "$output" = reaped ]
    run ! in_container --init busybox cat /proc/1/exe
    wharf run -d --name with-init --init busybox sh -c 'trap "echo got it; exit 3" TERM; echo up; while :; do sleep 0.02; done'
    eventually logs_have with-init up
    wharf stop with-init
    [ "$(member with-init exit_code)" = 3 ]
    logs_have with-init 'got it'
    wharf rm with-init
}

@test "groups by name and number" {
    run -0 in_container --group-add extra --group-add 55 busybox id -G
    [ "$output" = '0 55 1001' ]
    run -125 in_container --group-add no-such-group busybox true
    [[ "$output" == *no-such-group* ]]
}

@test "capabilities are added and dropped, and open their system calls" {
    run -0 in_container --cap-drop all --cap-add net_admin busybox grep CapBnd /proc/self/status
    [[ "$output" == *0000000000001000 ]]
    run -0 in_container --cap-add CAP_SYS_ADMIN busybox sh -c 'mount -t tmpfs x /tmp && unshare -n true && echo done'
    [ "$output" = done ]
    run ! in_container busybox mount -t tmpfs x /tmp
    run -125 in_container --cap-add nothing busybox true
}

@test "system call filters and no_new_privs" {
    run -0 in_container busybox grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status
    [ "$output" = $'NoNewPrivs:\t1\nSeccomp:\t2' ]
    run -0 in_container --security-opt seccomp=unconfined --security-opt no-new-privileges=false busybox \
        grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status
    [ "$output" = $'NoNewPrivs:\t0\nSeccomp:\t0' ]
    printf '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["rmdir"],"action":"SCMP_ACT_ERRNO","errnoRet":5,
        "includes":{"caps":["CAP_CHOWN"]}}]}' >"$BATS_TEST_TMPDIR/filter"
    run ! in_container --security-opt "seccomp=$BATS_TEST_TMPDIR/filter" busybox rmdir /tmp
    [[ "$output" == *'Input/output error'* ]]
    run -0 in_container --cap-drop chown --security-opt "seccomp=$BATS_TEST_TMPDIR/filter" busybox rmdir /tmp
}

@test "--privileged is root on the node, and is not to be overlooked" {
    wharf run --name mighty --privileged busybox sh -c 'grep -c "Seccomp:.0" /proc/self/status; [ -w /proc/sys/kernel/core_pattern ] || exit 1
        mount -t tmpfs x /tmp' >"$BATS_TEST_TMPDIR/out"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = 1 ]
    wharf history --format table mighty | grep -q 'container.created.* PRIVILEGED'
    wharf ps -a | grep -q 'PRIVILEGED.*mighty'
    [ "$(member mighty spec.privileged)" = true ]
    wharf rm mighty
}

@test "limits, kernel parameters and the OOM score" {
    run -0 in_container --ulimit nofile=100:200 --ulimit core=-1 busybox sh -c 'ulimit -n; ulimit -Hn; ulimit -c'
    [ "$output" = $'100\n200\nunlimited' ]
    run -125 in_container --ulimit nofile=100:2000000000 busybox true # above fs.nr_open
    [[ "$output" == *"cannot set the resource limit 'nofile'"* ]]
    run -0 in_container --sysctl net.ipv4.ip_forward=1 --sysctl kernel.shmmax=99999 --oom-score-adj 500 busybox \
        cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/self/oom_score_adj
    [ "$output" = $'1\n99999\n500' ]
    run -125 in_container --sysctl vm.swappiness=1 busybox true
    run -125 in_container --network host --sysctl net.ipv4.ip_forward=1 busybox true
    [[ "$output" == *"the host's"* ]]
    run -125 in_container -m 64m --memory-swap 32m busybox true
    run -0 in_container --shm-size 1m busybox sh -c 'df /dev/shm | tail -1'
    [[ "$output" == shm*\ 1024\ * ]]
    run -0 in_container --add-host peer:192.0.2.7 busybox grep peer /etc/hosts
    [ "$output" = $'192.0.2.7\tpeer' ]
}

@test "memory, swap and cpu weights reach the cgroup" {
    local id
    id=$(wharf run -d -m 64m --memory-swap -1 --memory-reservation 32m --cpu-shares 100 busybox sleep 1000)
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        [ "$(cgroup_file . "$id" memory.low)" = 33554432 ]
        [ "$(cgroup_file . "$id" memory.swap.max)" = max ]
        [ "$(cgroup_file . "$id" cpu.weight)" = 4 ]
        run -0 in_container -m 64m busybox cat /sys/fs/cgroup/memory.max
    else
        [ "$(cgroup_file memory "$id" memory.soft_limit_in_bytes)" = 33554432 ]
        [ "$(cgroup_file memory "$id" memory.memsw.limit_in_bytes)" -gt 1000000000000 ]
        [ "$(cgroup_file cpu "$id" cpu.shares)" = 100 ]
        run -0 in_container -m 64m --userns auto busybox cat /sys/fs/cgroup/memory/memory.limit_in_bytes
        [ "$output" = 67108864 ]
        run -0 in_container -m 64m busybox cat /sys/fs/cgroup/memory/memory.limit_in_bytes
    fi
    [ "$output" = 67108864 ] # which is what it can see of itself
    mkdir "$BATS_TEST_TMPDIR/own"
    touch "$BATS_TEST_TMPDIR/own/mine"
    run -0 in_container -v "$BATS_TEST_TMPDIR/own:/sys/fs/cgroup/memory" busybox ls /sys/fs/cgroup/memory
    [ "$output" = mine ]
    run -1 in_container busybox mkdir /sys/fs/cgroup/x
    [[ "$output" == *"Read-only file system"* ]]
    wharf rm -f "$id"
}

@test "devices of the node, with what may be done to them" {
    run -0 in_container --device /dev/null:/dev/nothing busybox sh -c 'echo x >/dev/nothing && stat -c "%F %t:%T" /dev/nothing'
    [ "$output" = 'character special file 1:3' ]
    run -0 in_container --cap-add syslog --device /dev/kmsg:/dev/log:r busybox sh -c ': </dev/log && echo read; : >/dev/log' || true
    [[ "$output" == *read* ]] || [[ "$output" == *'cgroups do not tell'* ]]
    run ! in_container --cap-add syslog busybox sh -c 'mknod /tmp/kmsg c 1 11 && : </tmp/kmsg'
    run -125 in_container --device /etc/passwd busybox true
    [[ "$output" == *'it is no device'* ]]
    run -125 in_container --device /dev/no-such-device busybox true
    run -125 in_container --device null busybox true
}

@test "namespaces of another container, or the node's" {
    local kinds='net ipc pid uts' kind pid
    wharf run -d --name owner -h its-name --add-host peer:192.0.2.7 busybox sh -c 'echo up; sleep 1000'
    pid=$(member owner pid)
    in_container --network container:owner --ipc container:owner --pid container:owner --uts container:owner busybox \
        sh -c "for k in $kinds; do readlink /proc/self/ns/\$k; done; hostname; grep -c . /proc/1/cmdline" >"$BATS_TEST_TMPDIR/out"
    for kind in $kinds; do readlink "/proc/$pid/ns/$kind"; done >"$BATS_TEST_TMPDIR/expected"
    printf 'its-name\n1\n' >>"$BATS_TEST_TMPDIR/expected"
    diff "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/out"
    # The names that are known in its network come along.
    run -0 in_container --network container:owner --add-host more:192.0.2.8 busybox cat /etc/hosts
    [[ "$output" == *$'\tits-name\n192.0.2.7\tpeer\n192.0.2.8\tmore' ]]
    in_container --network host --ipc host --pid host --uts host busybox \
        sh -c "for k in $kinds; do readlink /proc/self/ns/\$k; done" >"$BATS_TEST_TMPDIR/out"
    for kind in $kinds; do readlink "/proc/self/ns/$kind"; done | diff - "$BATS_TEST_TMPDIR/out"
    # POSIX shared memory is where the IPC namespace is.
    wharf exec owner sh -c 'echo shared >/dev/shm/word'
    in_container --ipc container:owner busybox sh -c 'cat /dev/shm/word; echo answer >/dev/shm/word' >"$BATS_TEST_TMPDIR/out"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = shared ]
    [ "$(wharf exec owner cat /dev/shm/word)" = answer ]
    [ "$(in_container busybox ls -A /dev/shm)" = "" ]
    run -125 in_container --ipc container:owner --shm-size 16m busybox true
    [[ "$output" == *"the size of /dev/shm is not set where that is the host's or another container's"* ]]
    echo node >"/dev/shm/${BATS_TEST_TMPDIR##*/}"
    [ "$(in_container --ipc host busybox cat "/dev/shm/${BATS_TEST_TMPDIR##*/}")" = node ]
    rm "/dev/shm/${BATS_TEST_TMPDIR##*/}"
    # What shares the first process's namespace ends with it, and cannot be started without it.
    wharf run -d --name lodger --pid container:owner busybox sleep 1000
    [ "$(member lodger spec.pid)" = "container:$(member owner id)" ]
    wharf stop -t 0 owner
    eventually state_is lodger exited
    run -1 wharf start lodger
    [[ "$output" == *"container 'owner'"*'is not running'* ]]
    wharf start owner
    wharf start lodger
    wharf rm -f lodger owner
    run -125 in_container --pid container:owner busybox true
    run -125 in_container --pid elsewhere busybox true
}

@test "wait for a condition, ps of the newest, logs until a time" {
    local waiter
    wharf create --name idle busybox true # never started, so that it does not run, and has no exit code
    [ "$(timeout 5 wharf wait idle)" = 0 ]
    wharf wait --condition removed idle >"$BATS_TEST_TMPDIR/idle" 3>&- &
    wharf run -d --name over busybox sh -c 'echo first; exit 4'
    [ "$(wharf wait over)" = 4 ]
    [ "$(wharf wait --condition not-running over)" = 4 ]
    wharf wait --condition next-exit over >"$BATS_TEST_TMPDIR/next" 3>&- &
    waiter=$!
    wharf wait --condition removed over >"$BATS_TEST_TMPDIR/removed" 3>&- &
    until [ ! -d "/proc/$waiter" ]; do wharf start over >/dev/null 2>&1 || true; done
    wait "$waiter"
    [ "$(cat "$BATS_TEST_TMPDIR/next")" = 4 ]
    run -1 wharf wait --condition someday over
    run -0 wharf ps -lq --no-trunc
    [ "$output" = "$(member over id)" ]
    local now
    eventually state_is over exited
    now=$(date -u +%FT%T.%NZ)
    wharf start over >/dev/null
    eventually state_is over exited
    [ "$(wharf logs over | wc -l)" -gt "$(wharf logs --until "$now" over | wc -l)" ]
    [ "$(wharf logs --until 1h over | wc -l)" = 0 ]
    run -1 wharf logs --until "$now" --tail 1 over
    run -1 wharf logs --until "$now" -f over
    wharf rm -f over idle >/dev/null
    wait
    [ "$(cat "$BATS_TEST_TMPDIR/idle")" = 0 ]
    [ "$(cat "$BATS_TEST_TMPDIR/removed")" = 4 ]
}
