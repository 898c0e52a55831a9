# SPDX-License-Identifier: Apache-2.0
# What is mounted into containers: directories of the node, volumes, memory.
# bats file_tags=e2e
load helper

in_container() { wharf run --rm "$@"; }

setup() {
    DIR=$E2E_DIR/source
    mkdir -p "$DIR/sub"
    echo hello >"$DIR/file"
}

@test "a directory or a file of the node" {
    run -0 in_container -v "$DIR:/mnt/x" busybox sh -c 'cat /mnt/x/file; echo new >/mnt/x/new'
    [ "$output" = hello ]
    [ "$(cat "$DIR/new")" = new ]
    run ! in_container -v "$DIR:/mnt/x:ro" busybox touch /mnt/x/other
    [[ "$output" == *'Read-only file system'* ]]
    run -0 in_container -v "$DIR/file:/etc/passwd:ro" busybox cat /etc/passwd
    [ "$output" = hello ]
    run -0 in_container -v "$E2E_DIR/made/for/it:/x" busybox touch /x/here
    [ -f "$E2E_DIR/made/for/it/here" ]
    run -125 in_container --mount "type=bind,src=$E2E_DIR/nowhere,dst=/x" busybox true
    [[ "$output" == *nowhere*'No such file'* ]]
    [ ! -e "$E2E_DIR/nowhere" ]
    cd "$E2E_DIR"
    run -0 in_container -v ./source:/x busybox cat /x/file
}

@test "mounts within mounts, whatever their order" {
    run -0 in_container -v "$DIR:/a/b/c" --tmpfs /a busybox sh -c 'cat /a/b/c/file; grep -c " /a" /proc/self/mounts'
    [ "$output" = $'hello\n2' ]
    run -125 in_container -v "$DIR:/a" --tmpfs /a busybox true
    [[ "$output" == *'same target'* ]]
    run -125 in_container -v "$DIR:/proc/x" busybox true
    run -125 in_container -v "$DIR:/" busybox true
}

@test "a target that is a link in the image stays in the container" {
    ln -sfn /tmp "$E2E_DIR/rootfs/outside"
    local name=deep-${E2E_DIR##*.}
    wharf import "$E2E_DIR/rootfs" linked --cmd sh >/dev/null
    run -0 in_container -v "$DIR:/outside/$name" linked cat "/tmp/$name/file"
    [ "$output" = hello ]
    [ ! -e "/tmp/$name" ]
}

@test "memory" {
    run -0 in_container --tmpfs /t --tmpfs /u:exec,size=1m,mode=700 --mount type=tmpfs,dst=/w,tmpfs-size=2m,tmpfs-mode=755 \
        --tmpfs /dev/shm:size=4k busybox sh -c 'grep -E " /(t|u|w|dev/shm) " /proc/self/mounts | sort'
    [ "$output" = 'tmpfs /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=4k 0 0
tmpfs /t tmpfs rw,nosuid,nodev,noexec,relatime 0 0
tmpfs /u tmpfs rw,nosuid,nodev,relatime,size=1024k,mode=700 0 0
tmpfs /w tmpfs rw,nosuid,nodev,noexec,relatime,size=2048k,mode=755 0 0' ]
}

@test "propagation: a slave hears of the node's mounts, what is shared shows there" {
    mkdir -p "$DIR/shared"
    mount -t tmpfs shared "$DIR/shared"
    mount --make-shared "$DIR/shared"
    mkdir "$DIR/shared/late"
    wharf run -d --name listener -v "$DIR/shared:/s:rslave" busybox sleep 1000
    wharf run -d --name deaf -v "$DIR/shared:/s" busybox sleep 1000
    mount -t tmpfs late "$DIR/shared/late"
    touch "$DIR/shared/late/seen"
    [ -e "/proc/$(member listener pid)/root/s/late/seen" ]
    [ ! -e "/proc/$(member deaf pid)/root/s/late/seen" ]
    umount "$DIR/shared/late"
    run -0 in_container --cap-add sys_admin -v "$DIR/shared:/s:rshared" busybox mount -t tmpfs shown /s/late
    grep -q "^shown $DIR/shared/late" /proc/self/mounts
    # Nothing else of a container shows.
    run ! grep -E "$WHARF_STATE_DIR" /proc/self/mounts
    umount "$DIR/shared/late" "$DIR/shared"
    wharf rm -f listener deaf
}

@test "a volume outlives containers, and a new one gets the image's files" {
    mkdir -p "$E2E_DIR/rootfs/srv/deep"
    echo from-image >"$E2E_DIR/rootfs/srv/deep/file"
    chmod 750 "$E2E_DIR/rootfs/srv"
    chown 1000:1000 "$E2E_DIR/rootfs/srv" "$E2E_DIR/rootfs/srv/deep/file"
    ln -sf deep/file "$E2E_DIR/rootfs/srv/link"
    wharf import "$E2E_DIR/rootfs" filled --cmd sh >/dev/null
    run -0 in_container -v data:/srv filled sh -c 'cat /srv/link; stat -c %a:%u /srv /srv/deep/file; echo mine >/srv/mine'
    [ "$output" = $'from-image\n750:1000\n644:1000' ]
    run -0 in_container -v data:/elsewhere:ro busybox cat /elsewhere/mine /elsewhere/deep/file
    [ "$output" = $'mine\nfrom-image' ]
    run -0 in_container -v empty:/srv:nocopy filled ls /srv
    [ -z "$output" ]
    [ "$(wharf volume ls -q | sort | tr '\n' ' ')" = 'data empty ' ]
    wharf volume rm data empty
    [ -z "$(ls "$WHARF_STATE_DIR/volumes")" ]
}

@test "volumes by hand: create, inspect, rm, prune, and refusals" {
    [ "$(wharf volume create -l tier=back kept)" = kept ]
    [ "$(wharf volume create kept)" = kept ]
    [ "$(wharf volume inspect kept | jq -r '.[0].labels.tier')" = back ]
    [ "$(wharf volume inspect --format '{{.name}} {{index .labels "tier"}}' kept)" = 'kept back' ]
    [[ "$(wharf volume create)" =~ ^[0-9a-f]{64}$ ]]
    wharf create --name user -v kept:/x busybox true
    run -1 wharf volume rm kept
    [[ "$output" == *"used by container 'user'"* ]]
    run -0 wharf volume prune
    [[ "$output" =~ ^[0-9a-f]{64}$ ]]
    [ "$(wharf volume ls -q)" = kept ]
    wharf rm user
    run -0 wharf volume rm kept
    run -1 wharf volume rm kept
    [[ "$output" == *"no volume 'kept'"* ]]
    run -0 wharf volume rm -f kept
    run -1 wharf volume create 'a/b'
    run -1 wharf volume surprise
    run -1 wharf volume ls --force
    wharf events --format json | jq -r .type | grep -c 'wharf.volume' >"$BATS_TEST_TMPDIR/n"
    [ "$(cat "$BATS_TEST_TMPDIR/n")" -ge 4 ]
}

one_volume() { [ "$(wharf volume ls -q | wc -l)" = 1 ]; }
no_volumes() { [ -z "$(wharf volume ls -q)" ] && [ -z "$(ls "$WHARF_STATE_DIR/volumes")" ]; }

@test "a volume without a name goes with --rm, and with rm -v" {
    run -0 in_container -v /scratch busybox sh -c 'echo x >/scratch/file; cat /scratch/file'
    [ "$output" = x ]
    eventually no_volumes
    wharf run --name keeps -v /scratch busybox touch /scratch/file
    wharf rm keeps
    one_volume
    wharf run --name gives -v /scratch busybox true
    wharf rm -v gives
    eventually one_volume
    wharf volume prune
    no_volumes
}

@test "volumes survive the runtime's death, and a directory that nobody knows is found, not deleted" {
    in_container -v data:/d busybox sh -c 'echo precious >/d/file'
    mkdir "$WHARF_STATE_DIR/volumes/stranger" "$WHARF_STATE_DIR/volumes/.new-abc-half"
    echo evidence >"$WHARF_STATE_DIR/volumes/stranger/file"
    kill -9 "$(part_pid runtime)"
    run --separate-stderr -0 in_container -v data:/d -v stranger:/s busybox cat /d/file /s/file
    [ "$output" = $'precious\nevidence' ]
    [[ "$(wharf volume inspect stranger | jq -r '.[0].found')" == *'does not know'* ]]
    [ ! -e "$WHARF_STATE_DIR/volumes/.new-abc-half" ]
    wharf volume rm data stranger
}
