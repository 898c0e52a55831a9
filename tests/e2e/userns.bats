#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Containers with a user namespace of their own: who root in one of them is on the node, and what works in it all the same.
load helper

id_base() { wharf inspect --format json "$1" | jq .spec.id_base; }

# A directory of the node for all to write, with a file that root alone may read.
make_bound() {
    mkdir -p "$BATS_TEST_TMPDIR/bound"
    chmod 777 "$BATS_TEST_TMPDIR/bound" "$BATS_TEST_TMPDIR"
    echo secret >"$BATS_TEST_TMPDIR/bound/secret"
    chmod 600 "$BATS_TEST_TMPDIR/bound/secret"
}

@test "root in it is root of its own files and nobody on the node" {
    make_bound
    run --separate-stderr -0 wharf run --name own --userns auto -v "$BATS_TEST_TMPDIR/bound:/b" busybox sh -c '
        id -u; echo x >/new; chown 5:6 /new; stat -c %u:%g /new /bin/busybox; echo x >/b/written; stat -c %u:%g /b/secret
        cat /b/secret || echo refused; chown 0:0 /b/secret || echo refused'
    [ "${lines[0]}" = 0 ]
    [ "${lines[1]}" = 5:6 ]
    [ "${lines[2]}" = 0:0 ]
    [ "${lines[3]}" = 65534:65534 ]
    [ "$(grep -cx refused <<<"$output")" = 2 ]
    [ "$(grep -cx secret <<<"$output")" = 0 ]
    [ "$(stat -c %u:%g "$BATS_TEST_TMPDIR/bound/written")" = "$(id_base own):$(id_base own)" ]
    [ "$(stat -c %u "$BATS_TEST_TMPDIR/bound/secret")" = 0 ]
    # Nothing was chowned on the disk: the layers hold the container's own ids.
    local upper
    upper=$WHARF_STATE_DIR/containers/$(wharf ps -aq --no-trunc --filter name=own)/upper
    [ "$(stat -c %u:%g "$upper/new")" = 5:6 ]
    run -0 wharf diff own
    [[ $output == *"A /new"* ]]
    # Once more: what it wrote is there, and its ids are the same.
    wharf start own
    eventually state_is own exited
    wharf rm own
}

@test "without it the same reads the secret" {
    make_bound
    run -0 wharf run --rm --userns host -v "$BATS_TEST_TMPDIR/bound:/b" busybox cat /b/secret
    [ "$output" = secret ]
}

@test "its processes are other users on the node, and no two containers share one" {
    wharf run -d --name one --userns auto busybox sleep 1000
    wharf run -d --name two --userns auto --user guest busybox sleep 1000
    wharf create --name three --userns auto busybox true
    local one two three
    one=$(id_base one) two=$(id_base two) three=$(id_base three)
    [ "$(stat -c %u "/proc/$(member one pid)")" = "$one" ]
    [ "$(stat -c %u "/proc/$(member two pid)")" = $((two + 1000)) ]
    [ "$(tr -s ' ' <"/proc/$(member one pid)/uid_map")" = " 0 $one 65536" ]
    [ "$(tr -s ' ' <"/proc/$(member one pid)/gid_map")" = " 0 $one 65536" ]
    [ "$(printf '%s\n' "$one" "$two" "$three" | sort -n | uniq | wc -l)" = 3 ]
    [ $((one % 65536)) = 0 ] && [ $((two % 65536)) = 0 ] && [ $((three % 65536)) = 0 ]
    # Given back when it is gone, and not before.
    wharf rm three
    wharf create --name four --userns auto busybox true
    [ "$(id_base four)" = "$three" ]
    wharf rm -f one two four
}

@test "a runtime that comes back finds it as it was" {
    wharf run -d --name stays --userns auto busybox sleep 1000
    local pid base
    pid=$(member stays pid) base=$(id_base stays)
    kill -KILL "$(part_pid runtime)"
    eventually has_happened stays container.adopted
    [ "$(member stays pid)" = "$pid" ]
    wharf pause stays
    wharf unpause stays
    wharf update --memory 64m stays
    wharf create --name next --userns auto busybox true
    [ "$(id_base next)" != "$base" ]
    wharf restart -t 0 stays
    [ "$(id_base stays)" = "$base" ]
    [ "$(stat -c %u "/proc/$(member stays pid)")" = "$base" ]
    wharf rm -f stays next
}

@test "a volume is shared by the ids that containers have, whoever they are on the node" {
    wharf run --rm --userns auto -v shared:/v busybox sh -c 'echo 1 >/v/a && chown 1000:1000 /v/a && echo 2 >/v/b'
    run -0 wharf run --rm -v shared:/v busybox stat -c %n=%u:%g /v /v/a /v/b
    [ "$output" = $'/v=0:0\n/v/a=1000:1000\n/v/b=0:0' ]
    run --separate-stderr -0 wharf run --rm --userns auto --user guest -v shared:/v busybox sh -c 'echo 3 >>/v/a; cat /v/a; echo 4 >>/v/b || echo refused'
    [[ $output == $'1\n3\n'*refused* ]]
    wharf volume rm shared
}

@test "streams, users, limits and parameters work in it" {
    run --separate-stderr -0 wharf run --rm --userns auto --user guest busybox sh -c 'id -u; echo out >/dev/stdout; echo err >/dev/stderr'
    [ "$output" = $'1000\nout' ]
    [ "$stderr" = err ]
    run -0 wharf run --rm --userns auto -i busybox sh -c 'cat /dev/stdin' <<<typed
    [ "$output" = typed ]
    run -0 wharf run --rm --userns auto --init --oom-score-adj 300 --ulimit nofile=2000:3000 --tmpfs /t --sysctl net.ipv4.ip_forward=1 \
        busybox sh -c 'cat /proc/self/oom_score_adj; ulimit -n; ulimit -Hn; touch /t/x && stat -c %u /t/x; cat /proc/sys/net/ipv4/ip_forward
            echo x >/dev/null && stat -c %t:%T /dev/null; touch /dev/shm/x && echo shm; stat -c %u /dev/pts/ptmx'
    [ "$output" = $'300\n2000\n3000\n0\n1\n1:3\nshm\n0' ]
    run -137 wharf run --rm --userns auto -m 16m busybox tail /dev/zero
    run -1 wharf run --rm --userns auto --read-only busybox touch /x
    run -0 wharf run --rm --userns auto --uts host busybox hostname
    [ "$output" = "$(hostname)" ]
}

@test "a terminal is its own" {
    run -4 "$WHARF_BUILD/tests/at_terminal" 'see:# ' 'type:tty; stat -c %u:%g $(tty); echo x >/dev/tty\r' 'see:/dev/pts/0' 'see:0:5' 'see:x' 'see:# ' \
        'type:sh -c "echo ready; exec sleep 1000"\r' 'see:ready' 'see:ready' 'type:\x03' 'see:# ' 'type:exit 4\r' -- wharf run --rm -it --userns auto busybox sh
}

@test "another command in it is there with the same ids, its streams and limits, too" {
    wharf run -d --name joined --userns auto --ulimit nofile=100:5000 busybox sleep 1000
    run -0 wharf exec joined sh -c 'id -u; tr -s " " </proc/self/uid_map; echo out >/dev/stdout; ulimit -Hn; touch /x && stat -c %u /x'
    [ "$output" = "$(printf '0\n 0 %s 65536\nout\n5000\n0' "$(id_base joined)")" ]
    run -0 wharf exec -u guest joined sh -c 'id -u; echo out >/dev/stdout'
    [ "$output" = $'1000\nout' ]
    run -0 wharf exec -i joined cat /dev/stdin <<<typed
    [ "$output" = typed ]
    wharf rm -f joined
}

@test "a device is there with the rights that it has on the node" {
    run --separate-stderr -0 wharf run --rm --userns auto --device /dev/zero:/dev/mine busybox sh -c 'stat -c %u:%t:%T /dev/mine; head -c 3 /dev/mine | od -An -tx1
        mknod /tmp/n c 1 3 || echo refused'
    [[ $output == "65534:1:5"*"00 00 00"*refused ]]
}

@test "every right in it is none on the node" {
    run --separate-stderr -0 wharf run --rm --userns auto --cap-add ALL --security-opt seccomp=unconfined busybox sh -c '
        mount -t tmpfs none /tmp && echo mounted; hostname other && hostname
        mount -o remount,rw /proc/sys; echo 0 >/proc/sys/kernel/core_uses_pid || echo refused
        echo 1 >/proc/sys/kernel/sysrq || echo refused; mknod /tmp/m b 8 0 || echo refused'
    [[ $output == mounted$'\n'other$'\n'* ]]
    [ "$(grep -cx refused <<<"$output")" = 3 ]
}

@test "what cannot be is refused by its name" {
    run -125 wharf run --userns auto --privileged busybox true
    [[ $output == *"a privileged container is root on the node"* ]]
    local what
    for what in network pid ipc; do
        run -125 wharf run --userns auto --$what host busybox true
        [[ $output == *"the host's network, pid or ipc namespace"* ]]
    done
    wharf run -d --name other busybox sleep 1000
    run -125 wharf run --userns auto --network container:other busybox true
    [[ $output == *"cannot share a namespace with another container"* ]]
    wharf rm -f other
    run -125 wharf run --userns keep-id busybox true
    [[ $output == *"'keep-id' must be auto or host"* ]]
    run -125 wharf run --rm --userns auto --user 70000 busybox true
    [[ $output == *"cannot become the container's user '70000:0'"* ]]
    [ -z "$(wharf ps -aq)" ]
}

@test "the pool may be said, and ends" {
    wharf down
    wharf up --detach --userns-pool 1000000:131072
    wharf create --name a --userns auto busybox true
    wharf create --name b --userns auto busybox true
    [ "$(id_base a)" = 1000000 ]
    [ "$(id_base b)" = 1065536 ]
    run -1 wharf create --userns auto busybox true
    [[ $output == *"no range of 65536 ids is free on node 'e2e'"* ]]
    wharf rm a b
}
