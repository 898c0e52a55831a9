# SPDX-License-Identifier: Apache-2.0
# bats file_tags=e2e
# Pausing, renaming and updating containers, and what they have changed.
load helper

# The value of a cgroup file of a container, wherever its controller is: v1 name, v2 name.
limit_of() {
    local id file
    id=$(member "$1" id)
    for file in /sys/fs/cgroup/*/"$WHARF_CGROUP_PARENT"/*/"$id/$2" /sys/fs/cgroup/"$WHARF_CGROUP_PARENT"/*/"$id/$3"; do
        [ ! -e "$file" ] || { cat "$file"; return; }
    done
    return 1
}

counts() { wharf logs "$1" | wc -l; }
has_counted() { [ "$(counts "$1")" -gt "$2" ]; }

@test "a paused container does nothing, and goes on where it was" {
    wharf run -d --name ticker busybox sh -c 'while :; do echo tick; usleep 1000; done'
    eventually has_counted ticker 3
    wharf pause ticker
    state_is ticker paused
    wharf ps | grep -q Paused
    local before
    before=$(counts ticker)
    wharf run --rm busybox usleep 50000 # others do run
    [ "$(counts ticker)" = "$before" ]
    run -0 wharf pause ticker # nothing left to do
    wharf unpause ticker
    state_is ticker running
    eventually has_counted ticker "$before"
    has_happened ticker container.paused
    has_happened ticker container.unpaused
    wharf rm -f ticker
    run -1 wharf pause ticker
}

@test "stop, kill, restart and rm -f end a paused container" {
    local verb
    for verb in 'stop -t 5' kill 'rm -f'; do
        wharf run -d --name frozen busybox sh -c 'trap "exit 3" TERM; while :; do sleep 0.02; done'
        wharf pause frozen
        # shellcheck disable=SC2086
        wharf $verb frozen
        [ "$verb" = 'rm -f' ] || wharf wait frozen
        [ "$verb" != 'stop -t 5' ] || [ "$(member frozen exit_code)" = 3 ]
        [ "$verb" = 'rm -f' ] || wharf rm frozen
    done
    wharf run -d --name frozen busybox sh -c 'trap "exit 3" TERM; trap "exit 9" USR2; while :; do sleep 0.02; done'
    wharf pause frozen
    run -1 wharf start frozen
    [[ "$output" == *unpause* ]]
    wharf restart frozen
    state_is frozen running
    wharf pause frozen
    wharf kill -s USR2 frozen # not its end: it stays paused
    state_is frozen paused
    wharf unpause frozen
    run -0 wharf wait frozen
    [ "$output" = 9 ]
    wharf rm frozen
}

@test "a runtime that comes back finds what is paused" {
    wharf run -d --name frozen busybox sleep 1000
    wharf pause frozen
    kill -KILL "$(part_pid runtime)"
    eventually has_happened frozen container.adopted
    state_is frozen paused
    wharf unpause frozen
    state_is frozen running
    wharf rm -f frozen
}

@test "limits change at once, and hold for the next start" {
    wharf run -d --name limited -m 64m --pids-limit 20 busybox sleep 1000
    wharf update -m 128m --cpus 0.5 --pids-limit 33 limited
    [ "$(limit_of limited memory.limit_in_bytes memory.max)" = $((128 << 20)) ]
    [ "$(limit_of limited pids.max pids.max)" = 33 ]
    [[ "$(limit_of limited cpu.cfs_quota_us cpu.max)" == 50000* ]]
    wharf update -m 32m --pids-limit -1 --cpus 0 limited
    [ "$(limit_of limited memory.limit_in_bytes memory.max)" = $((32 << 20)) ]
    [ "$(limit_of limited pids.max pids.max)" = max ]
    wharf update --pids-limit 44 --restart on-failure:2 limited
    [ "$(member limited spec.restart_max)" = 2 ]
    [ "$(member limited spec.memory)" = $((32 << 20)) ]
    wharf restart -t 0 limited
    [ "$(limit_of limited memory.limit_in_bytes memory.max)" = $((32 << 20)) ]
    [ "$(limit_of limited pids.max pids.max)" = 44 ]
    wharf stop -t 0 limited
    wharf update --pids-limit 55 limited # of one that does not run
    wharf start limited
    [ "$(limit_of limited pids.max pids.max)" = 55 ]
    wharf history --format table limited | grep -q 'container.updated.*pids_limit=55'
    wharf rm -f limited
}

@test "what cannot be updated is refused, and nothing is changed" {
    wharf run -d --name fixed -m 64m --pids-limit 20 busybox sleep 1000
    run -1 wharf update fixed
    run -1 wharf update -m lots fixed
    run -1 wharf update --memory-swap 16m fixed
    [[ "$output" == *memory* ]]
    [ "$(limit_of fixed memory.limit_in_bytes memory.max)" = $((64 << 20)) ]
    wharf run -d --rm --name gone busybox sleep 1000
    run -1 wharf update --restart always gone
    wharf rm -f fixed gone
}

@test "less memory than is in use is refused, and every limit is as it was" {
    [ -d /sys/fs/cgroup/memory ] || skip "v2 takes the memory back or kills"
    wharf run -d --name full busybox sh -c 'head -c 30000000 /dev/zero >/dev/shm/x; echo written; sleep 1000'
    eventually logs_have full written
    local soft
    soft=$(limit_of full memory.soft_limit_in_bytes memory.low)
    run -1 wharf update -m 8m --memory-reservation 4m --cpu-shares 77 --pids-limit 9 full
    [[ "$output" == *"cannot update 'full': more memory than 8388608 bytes is in use"* ]]
    [ "$(limit_of full memory.soft_limit_in_bytes memory.low)" = "$soft" ]
    [ "$(limit_of full pids.max pids.max)" = max ]
    [ "$(limit_of full cpu.shares cpu.weight)" = 1024 ]
    wharf rm -f full
}

@test "a renamed container is found by its new name only, and the old one is free" {
    wharf run -d --name before busybox sleep 1000
    wharf run -d --name other busybox sleep 1000
    run -1 wharf rename before other
    [[ "$output" == *taken* ]]
    run -1 wharf rename before 'a b'
    wharf rename before after
    state_is after running
    run -1 wharf inspect before
    wharf run --rm --name before busybox true
    wharf rename other before
    wharf stop -t 0 before
    state_is before exited
    wharf rebuild --verify
    wharf rm -f before after
}

@test "diff shows what was added, changed and deleted, and nothing else" {
    wharf run --name changer busybox sh -c 'mkdir /made; echo x >/made/file; rm /etc/group; echo y >>/etc/passwd; ln -s /etc/shadow /link'
    run -0 wharf diff changer
    [ "$output" = "C /etc
D /etc/group
C /etc/passwd
A /link
A /made
A /made/file" ]
    wharf diff --format json changer | jq -es 'any(.[]; .path == "/made" and .kind == "added")'
    wharf create --name never busybox true
    run -0 wharf diff never
    [ -z "$output" ]
    run -1 wharf diff no-such-container
    rm -r "$E2E_DIR/rootfs"/{proc,sys,dev} # what an image lacks is made for the mounts
    wharf import "$E2E_DIR/rootfs" bare
    wharf run --name plain bare /bin/true
    run -0 wharf diff plain
    [ -z "$output" ]
    wharf rm changer never plain
}
