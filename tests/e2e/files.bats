# SPDX-License-Identifier: Apache-2.0
# Files in and out of containers: cp and export.
# bats file_tags=e2e
load helper

setup_file() {
    start_stack
    wharf run -d --name web -v data:/data --tmpfs /mem -v "$E2E_DIR:/host:ro" busybox \
        sh -c 'echo kept >/data/f; echo lost >/mem/f; ln -s /etc/passwd /root/abs; ln -s nowhere /root/dangling
               mkdir -p /srv/tree/sub; echo deep >/srv/tree/sub/f; chmod 640 /srv/tree/sub/f
               chown 1000:1001 /srv/tree/sub/f; ln /srv/tree/sub/f /srv/tree/twin; ln -s sub/f /srv/tree/link
               touch /tmp/ready; exec sleep 1000'
    wharf create --name made -v data:/data busybox true
    wharf run --name done -v data:/data busybox sh -c 'mkdir /srv; echo here >/srv/f; ln -s /tmp/x /srv/out'
    ready() { wharf cp web:/tmp/ready - >/dev/null 2>&1; }
    eventually ready
}

setup() {
    WORK=$(mktemp -d "$E2E_DIR/work.XXXXXX")
    cd "$WORK" || return 1
    mkdir -p dir/sub
    echo one >file
    echo two >dir/sub/two
}

text_of() { wharf cp "$1" - | tar -xO; } # CONTAINER:FILE
names_in() { wharf cp "$1" - | tar -t | sort | tr '\n' ' '; }

@test "into a container: a file goes into a directory, or becomes the destination" {
    wharf cp file web:/tmp/into
    [ "$(text_of web:/tmp/into)" = one ]
    echo more >>file
    wharf cp file web:/tmp/into
    [ "$(text_of web:/tmp/into)" = $'one\nmore' ]
    wharf cp file web:/root
    wharf cp file web:/root/
    [ "$(text_of web:/root/file)" = $'one\nmore' ]
    run -1 wharf cp file web:/tmp/nodir/
    [[ "$output" == *"destination directory '/tmp/nodir/' does not exist"* ]]
    run -1 wharf cp file web:/tmp/into/
    [[ "$output" == *'is no directory'* ]]
    run -1 wharf cp file web:/no/such/file
    [[ "$output" == *"no directory '/no/such'"* ]]
    # There is no working directory: every path is from the root.
    wharf cp file web:relative
    [ "$(text_of web:/relative)" = $'one\nmore' ]
}

@test "into a container: a directory, or what is in it" {
    wharf cp dir web:/tmp/fresh
    [ "$(names_in web:/tmp/fresh)" = 'fresh/ fresh/sub/ fresh/sub/two ' ]
    wharf cp dir web:/tmp/fresh
    [ "$(names_in web:/tmp/fresh)" = 'fresh/ fresh/dir/ fresh/dir/sub/ fresh/dir/sub/two fresh/sub/ fresh/sub/two ' ]
    wharf cp dir/. web:/tmp/contents/
    wharf cp dir/. web:/tmp/contents
    [ "$(names_in web:/tmp/contents)" = 'contents/ contents/sub/ contents/sub/two ' ]
    wharf cp file web:/tmp/plain
    run -1 wharf cp dir web:/tmp/plain
    [[ "$output" == *'cannot copy a directory'* ]]
    mkdir replaced replaced/plain
    run -1 wharf cp replaced/. web:/tmp
    [[ "$output" == *"cannot make the directory 'plain'"* ]]
    run -1 wharf cp file/. web:/tmp
    run -1 wharf cp nothing web:/tmp
    [[ "$output" == *"'nothing'"*'No such file'* ]]
}

@test "out of a container, by the same rules" {
    wharf cp web:/srv/tree/sub/f got
    [ "$(cat got)" = deep ]
    wharf cp web:/srv/tree/sub/f .
    [ "$(stat -c '%a %u %g' f)" = '640 0 0' ]
    wharf cp -a web:/srv/tree/sub/f kept
    [ "$(stat -c '%a %u %g' kept)" = '640 1000 1001' ]
    wharf cp web:/srv/tree .
    wharf cp web:/srv/tree/. new
    [ "$(find tree new | sort | tr '\n' ' ')" = 'new new/link new/sub new/sub/f new/twin tree tree/link tree/sub tree/sub/f tree/twin ' ]
    [ "$(readlink tree/link)" = sub/f ]
    [ tree/twin -ef tree/sub/f ]
    run -1 wharf cp web:/srv/tree file
    [[ "$output" == *'cannot copy a directory'* ]]
    run -1 wharf cp web:/srv/tree/sub/f nodir/
    [[ "$output" == *'does not exist'* ]]
    run -1 wharf cp web:/srv/tree/sub/f no/such
    [[ "$output" == *"no directory 'no/'"* ]]
    run -1 wharf cp web:/nothing .
    [[ "$output" == *"there is no '/nothing'"* ]]
    run -1 wharf cp nobody:/etc .
    [[ "$output" == *"nobody"* ]]
    run -1 wharf cp web:/etc made:/etc
    run -1 wharf cp file other
    [[ "$output" == *'CONTAINER:PATH'* ]]
}

@test "links are copied as links, or followed with -L" {
    wharf cp web:/root/abs .
    [ "$(readlink abs)" = /etc/passwd ]
    wharf cp -L web:/root/abs followed
    grep -q guest followed
    ln -s file here
    wharf cp here web:/tmp/asis
    wharf cp -L here web:/tmp/behind
    [ "$(wharf cp web:/tmp/asis - | tar -tv | cut -c1)" = l ]
    [ "$(text_of web:/tmp/behind)" = one ]
    # A destination that is a link stands for where it leads, even to what is not there yet.
    wharf cp file web:/root/dangling
    [ "$(text_of web:/root/nowhere)" = one ]
    run -1 wharf cp -L web:/srv/tree/../nothing .
}

@test "archives on standard input and output" {
    wharf cp web:/srv/tree - | tar -x
    [ "$(cat tree/link)" = deep ]
    tar -cz --owner=1234 --group=5678 dir | wharf cp - web:/srv
    [ "$(text_of web:/srv/dir/sub/two)" = two ]
    [ "$(wharf cp web:/srv/dir - | tar -tv --numeric-owner | awk 'NR == 1 { print $2 }')" = 1234/5678 ]
    run -1 wharf cp - web:/srv/missing </dev/null
    [[ "$output" == *"is no directory"* || "$output" == *"no directory"* ]]
    run -1 wharf cp - web:/srv <"$(command -v busybox)"
    [[ "$output" == *'not a tar archive'* ]]
    tar -c dir/sub/two | head -c 700 >cut
    run -1 wharf cp - web:/srv <cut
}

@test "a container that runs shows what is mounted in it, paused too; one that does not its volumes" {
    [ "$(text_of web:/data/f)" = kept ]
    [ "$(text_of web:/mem/f)" = lost ]
    [ "$(text_of "web:/host/${WORK##*/}/file")" = one ]
    wharf pause web
    [ "$(text_of web:/mem/f)" = lost ]
    wharf cp file web:/mem/paused
    wharf unpause web
    [ "$(text_of web:/mem/paused)" = one ]
    run -1 wharf cp file "web:/host/${WORK##*/}/other"
    [[ "$output" == *'Read-only file system'* ]]
    [ "$(text_of done:/data/f)" = kept ]
    wharf cp file done:/data/by-done
    wharf cp file made:/data/by-made
    [ "$(text_of web:/data/by-done)" = one ]
    [ "$(text_of web:/data/by-made)" = one ]
    run -1 wharf cp web:/proc .
    [[ "$output" == *"kernel's own"* ]]
}

@test "containers that have never run, and those that have ended" {
    wharf cp file made:/root/before
    [ "$(text_of made:/root/before)" = one ]
    run -0 wharf diff made
    [[ "$output" == *'A /root/before'* ]]
    wharf create --name starts busybox cat /root/brought
    wharf cp file starts:/root/brought
    run -0 wharf start -a starts
    [ "$output" = one ]
    [ "$(text_of done:/srv/f)" = here ]
    wharf cp dir done:/srv
    [ "$(names_in done:/srv)" = 'srv/ srv/dir/ srv/dir/sub/ srv/dir/sub/two srv/f srv/out ' ]
    kill -9 "$(part_pid runtime)"
    copied() { wharf cp done:/srv/dir/sub/two - 2>/dev/null | tar -xO; }
    eventually copied
    [ "$(text_of done:/srv/dir/sub/two)" = two ]
    wharf rm starts
    run -1 wharf cp starts:/root/brought .
}

@test "what is large streams, and comes through whole" {
    head -c 300M /dev/urandom >big
    wharf cp big web:/tmp/big
    wharf cp web:/tmp/big - | tar -xO | cmp big
    wharf cp web:/tmp/big back
    cmp big back
    local pid peak
    pid=$(part_pid runtime)
    peak=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status")
    [ "$peak" -lt 100000 ]
    wharf run --rm -v data:/data busybox rm -f /data/big
}

# The processes for archives of this stack, which are the runtime's children.
serving() { pgrep -P "$(part_pid runtime)" -f 'wharf-image serve'; }
none_serving() { ! serving; }

@test "a client that goes away ends it, and a start ends what holds the layers" {
    local client
    wharf cp web:/bin/busybox - | head -c 10 >/dev/null || true
    eventually none_serving
    mkfifo held
    wharf cp done:/bin - >held 2>said &
    client=$!
    exec {reader}<held
    eventually serving
    wharf start done
    eventually none_serving
    cat <&"$reader" >/dev/null
    if wait "$client"; then return 1; fi
    grep -q 'cut off' said
    exec {reader}<&-
    wharf cp web:/bin - >held 2>/dev/null &
    client=$!
    exec {reader}<held
    eventually serving
    kill -9 "$client"
    exec {reader}<&-
    eventually none_serving
}

@test "nothing leads out of a container" {
    local secret=$E2E_DIR/secret
    echo secret >"$secret"
    mkdir "$E2E_DIR/outside"
    wharf create --name hostile busybox true
    wharf run --name dead busybox sh -c "mkdir -p /x; ln -s $secret /x/file; ln -s $E2E_DIR/outside /x/dir; ln -s / /x/root"
    wharf run -d --name live busybox sh -c "mkdir -p /x; ln -s $secret /x/file; ln -s $E2E_DIR/outside /x/dir
        ln -s / /x/root; ln -s /proc/1/root /x/proc; touch /ready; exec sleep 1000"
    up() { wharf cp live:/ready - >/dev/null 2>&1; }
    eventually up
    local c
    for c in dead live; do
        run -1 wharf cp -L "$c:/x/file" got
        run -1 wharf cp "$c:/x/dir/." got
        run -1 wharf cp file "$c:/x/dir/planted"
        run -1 wharf cp "$c:/x/root/../../..$secret" got
        run -1 wharf cp "$c:/../../../..$secret" got
        wharf cp "$c:/x/root/x/file" link
        [ "$(readlink link)" = "$secret" ]
        rm link
        tar -cPf evil.tar --transform 's,^,../../../../../,' file
        run ! wharf cp - "$c:/tmp" <evil.tar
        # Within the container a link is as good as what it leads to.
        wharf cp file "$c:/x/root/tmp/through"
        [ "$(text_of "$c:/tmp/through")" = one ]
    done
    [ -z "$(ls "$E2E_DIR/outside")" ]
    [ ! -e got ]
    run ! grep -r planted "$E2E_DIR/state/containers"
    wharf rm -f hostile dead live
}

@test "an archive from a container does not lead out of the destination" {
    mkdir target
    echo safe >victim
    python3 - <<'P'
import io, tarfile
def entry(name, type=tarfile.REGTYPE, link='', data=b'planted', mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = type, link, mode
    info.size = len(data) if type == tarfile.REGTYPE else 0
    return info, io.BytesIO(data)
def archive(path, *entries):
    with tarfile.open(path, 'w') as tar:
        for info, data in entries:
            tar.addfile(info, data)
root = entry('d', tarfile.DIRTYPE, mode=0o755)
archive('link.tar', root, entry('d/l', tarfile.SYMTYPE, '../..'), entry('d/l/victim'))
archive('absolute.tar', root, entry('/victim'))
archive('dots.tar', root, entry('d/../../victim'))
archive('hard.tar', root, entry('d/h', tarfile.LNKTYPE, '../victim'), entry('d/h'))
archive('aside.tar', root, entry('victim'))
archive('root.tar', entry('d', tarfile.SYMTYPE, '..'), entry('d/victim'))
archive('power.tar', root, entry('d/set', mode=0o6755), entry('d/null', tarfile.CHRTYPE))
P
    local each
    for each in link absolute dots hard aside root; do
        run -1 wharf-image unpack -- target <"$each.tar"
        rm -rf target/d
    done
    [ "$(cat victim)" = safe ]
    [ -z "$(ls target)" ]
    wharf-image unpack -- target <power.tar
    [ "$(find target/d | sort | tr '\n' ' ')" = 'target/d target/d/set ' ]
    [ "$(stat -c %a target/d/set)" = 755 ]
}

@test "export: the root file system without what is mounted in it" {
    wharf export -o web.tar web
    mkdir root
    tar -xf web.tar -C root
    [ "$(cat root/srv/tree/link)" = deep ]
    [ "$(tar -tf web.tar | grep -c '^./\(data\|mem\|host\|proc\)/.')" = 0 ]
    tar -tf web.tar | grep -qx './data/'
    wharf export done | tar -xO ./srv/f | grep -qx here
    run -1 wharf export nobody
    run -1 wharf export -o no/such/file done
    [ "$(ls)" = $'dir\nfile\nroot\nweb.tar' ]
    wharf import web.tar again --cmd sh >/dev/null
    [ "$(wharf run --rm again cat /srv/tree/link)" = deep ]
}

@test "history says who copied what, and who exported" {
    wharf create --name seen busybox true
    wharf cp file seen:/root/in
    wharf cp seen:/etc/passwd out
    wharf export seen >/dev/null
    run -1 wharf cp seen:/nothing out
    [ "$(history_types seen | tr '\n' ' ')" = 'container.created container.copied container.copied container.exported ' ]
    run -0 wharf history seen
    [ "$(wharf history --format json seen | jq -c '.data | select(.direction)' | tr '\n' ' ')" = \
        '{"direction":"in","path":"/root/in"} {"direction":"out","path":"/etc/passwd"} ' ]
    [ "$(wharf history --format json seen | jq -r .actor | grep -c '^unix:uid=0')" = 4 ]
    chain_is_whole
}

@test "commit: an image of a container's files and configuration" {
    wharf commit -a somebody -m 'as it is' web made-of:web
    run -0 wharf run --rm made-of:web cat /srv/tree/link /srv/tree/twin
    [ "$output" = $'deep\ndeep' ]
    # Nothing that was mounted, and nothing of what ran.
    [ -z "$(wharf run --rm made-of:web ls /data /mem /host /proc/sys/kernel/hostname | grep -v '^/\|^$')" ]
    run -0 wharf run --rm made-of:web stat -c '%a %u %g' /srv/tree/sub/f
    [ "$output" = '640 1000 1001' ]
    wharf create --name asked -e A=1 -e B=2 -u guest -w /tmp busybox sh -c 'echo $A $B $(id -un) $(pwd)'
    wharf cp file asked:/root/f
    wharf commit asked same
    run -0 wharf run --rm same
    [ "$output" = '1 2 guest /tmp' ]
    wharf commit -c 'ENV B=3 C="4 5"' -c 'USER root' -c 'WORKDIR /srv' -c 'CMD echo $A $B $C $(id -un) $(pwd)' asked other
    run -0 wharf run --rm other
    [ "$output" = '1 3 4 5 root /srv' ]
    wharf commit -c 'ENTRYPOINT ["cat", "/root/f"]' asked third
    run -0 wharf run --rm -u root third
    [ "$output" = one ]
    run -1 wharf commit -c 'EXPOSE 80' asked fourth
    [[ "$output" == *"'EXPOSE' is not supported"* ]]
    run -1 wharf commit nobody fourth
    run -1 wharf commit asked 'Bad Reference'
    run ! grep -q fourth <<<"$(wharf images)"
    [ "$(history_types asked | tail -3 | sort -u)" = container.committed ]
    [ "$(wharf history --format json web | jq -r 'select(.type | contains("committed")).data | .author + " " + .message')" = \
        'somebody as it is' ]
    [ ! -e "$WHARF_STATE_DIR"/images/.import-* ]
}

counted() { wharf cp counts:/root/n - 2>/dev/null | tar -xO | wc -c; }
counts_on() { [ "$(counted)" -gt "$1" ]; }

@test "commit pauses what runs, and lets it go on, also when the runtime is killed" {
    wharf run -d --name counts busybox sh -c 'while :; do echo -n x >>/root/n; done'
    eventually counts_on 0
    local before
    before=$(counted)
    wharf commit counts one-moment
    eventually counts_on "$before"
    state_is counts running
    run ! grep -q 'container.paused' <<<"$(history_types counts)"
    # Killed while it is paused: it goes on, and the commit is done again.
    local dir client
    dir=$WHARF_STATE_DIR/containers/$(member counts id)
    head -c 400M /dev/zero >zeros
    wharf cp zeros counts:/root
    wharf commit counts twice 2>/dev/null &
    client=$!
    eventually [ -e "$dir/commit" ]
    kill -9 "$(part_pid runtime)"
    wait "$client"
    [ ! -e "$dir/commit" ]
    before=$(counted)
    eventually counts_on "$before"
    has_happened counts container.adopted
    [ "$(wharf history --format json counts | jq -r 'select(.data.reference == "twice:latest").type')" = wharf.container.committed.v1 ]
    [ "$(wharf run --rm twice stat -c %s /root/zeros)" = $((400 * 1024 * 1024)) ]
    [ ! -e "$WHARF_STATE_DIR"/images/.import-* ]
    wharf commit --pause=false counts no-pause
    wharf rm -f counts
}

@test "a container with ids of its own: files have the ids that it counts by" {
    wharf run -d --name ids --userns auto -v data:/data --tmpfs /mem busybox \
        sh -c 'echo x >/root/f; echo y >/mem/f; chown 1000:1001 /root/f; touch /ready; exec sleep 1000'
    seen() { wharf cp ids:/ready - >/dev/null 2>&1; }
    eventually seen
    wharf cp -a ids:/root/f got
    [ "$(stat -c '%u %g' got)" = '1000 1001' ]
    [ "$(text_of ids:/mem/f)" = y ]
    chown 1000:1001 file
    wharf cp file ids:/root/as-root
    wharf cp -a file ids:/root/as-is
    wharf cp file ids:/data/by-ids
    owners() { wharf cp "ids:/root" - | tar -tv --numeric-owner | awk '$6 ~ /as-/ { print $2, $6 }' | sort; }
    [ "$(owners)" = $'0/0 root/as-root\n1000/1001 root/as-is' ]
    [ "$(wharf exec ids stat -c '%u %g' /root/as-root /root/as-is)" = $'0 0\n1000 1001' ]
    wharf export ids | tar -tv --numeric-owner ./root/f | grep -q 1000/1001
    wharf commit ids with-ids
    [ "$(wharf run --rm with-ids stat -c '%u %g' /root/f)" = '1000 1001' ]
    wharf stop -t 0 ids
    [ "$(owners)" = $'0/0 root/as-root\n1000/1001 root/as-is' ]
    wharf cp -a file ids:/root/later
    wharf start ids
    [ "$(wharf exec ids stat -c '%u %g' /root/later)" = '1000 1001' ]
    wharf rm -f ids
}
