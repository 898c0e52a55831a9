#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# wharf-image: directories and archives, honest and hostile.

setup() {
    DIR=$(mktemp -d)
    mkdir "$DIR/store" "$DIR/tree" "$DIR/tree/bin" "$DIR/tree/etc" "$DIR/tree/tmp"
    echo program >"$DIR/tree/bin/tool"
    chmod 4755 "$DIR/tree/bin/tool"
    ln "$DIR/tree/bin/tool" "$DIR/tree/bin/same"
    ln -s /etc/passwd "$DIR/tree/bin/link"
    echo x >"$DIR/tree/etc/owned"
    chown 1000:1001 "$DIR/tree/etc/owned"
    chmod 1777 "$DIR/tree/tmp"
    mkfifo "$DIR/tree/tmp/fifo"
    set_xattr "$DIR/tree/etc/owned" user.note hello
    IMAGE=${WHARF_BUILD:-build}/wharf-image
}

teardown() {
    [ ! -e "$DIR/mnt" ] || umount "$DIR/mnt"
    rm -rf "$DIR"
}

set_xattr() { python3 -c 'import os,sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())' "$@"; }
get_xattr() { python3 -c 'import os,sys; print(os.getxattr(sys.argv[1], sys.argv[2]).decode())' "$@"; }
list_xattrs() { python3 -c 'import os,sys; print(*os.listxattr(sys.argv[1]))' "$@"; }

digest() { sed -n 's/.*"digest":"sha256:\([0-9a-f]*\)".*/\1/p' <<<"$1"; }

nothing_left() { [ -z "$(ls -A "$DIR/store")" ]; }

# A tar archive made entry by entry: python's tarfile writes what tar(1) would refuse to.
hostile() {
    python3 - "$DIR/hostile.tar" "$@" <<'PY'
import io, sys, tarfile
out = tarfile.open(sys.argv[1], "w")
for entry in sys.argv[2:]:
    kind, name, rest = entry.split("|")
    info = tarfile.TarInfo(name)
    info.mode = 0o755
    data = None
    if kind == "file":
        data = rest.encode(); info.size = len(data)
    elif kind == "sym":
        info.type = tarfile.SYMTYPE; info.linkname = rest
    elif kind == "hard":
        info.type = tarfile.LNKTYPE; info.linkname = rest
    elif kind == "dir":
        info.type = tarfile.DIRTYPE
    elif kind == "xattr":
        data = b""; key, value = rest.split("="); info.pax_headers = {"SCHILY.xattr." + key: value}
    out.addfile(info, io.BytesIO(data) if data is not None else None)
out.close()
PY
}

@test "a directory keeps modes, owners, links, pipes and attributes" {
    run "$IMAGE" import "$DIR/tree" "$DIR/store"
    [ "$status" -eq 0 ]
    root=$DIR/store/$(digest "$output")/rootfs
    [ "$(stat -c %a:%u:%g "$root/bin/tool")" = 4755:0:0 ]
    [ "$(stat -c %a:%u:%g "$root/etc/owned")" = 644:1000:1001 ]
    [ "$(stat -c %a "$root/tmp")" = 1777 ]
    [ "$(readlink "$root/bin/link")" = /etc/passwd ]
    [ -p "$root/tmp/fifo" ]
    [ "$(get_xattr "$root/etc/owned" user.note)" = hello ]
}

@test "the same tree has the same digest however it comes" {
    run "$IMAGE" import "$DIR/tree" "$DIR/store"
    expected=$(digest "$output")
    [ -n "$expected" ]
    for how in "" z j J --zstd; do
        # shellcheck disable=SC2086
        tar -C "$DIR/tree" --xattrs --xattrs-include='*' -c ${how:+$([ "${#how}" = 1 ] && echo "-$how" || echo "$how")} -f "$DIR/archive" .
        run "$IMAGE" import "$DIR/archive" "$DIR/store"
        [ "$status" -eq 0 ]
        [ "$(digest "$output")" = "$expected" ]
    done
    [ "$(ls -A "$DIR/store")" = "$expected" ]
    touch -d yesterday "$DIR/tree/bin/tool"
    run "$IMAGE" import "$DIR/tree" "$DIR/store"
    [ "$(digest "$output")" = "$expected" ]
    chmod 755 "$DIR/tree/bin/tool"
    run "$IMAGE" import "$DIR/tree" "$DIR/store"
    [ "$(digest "$output")" != "$expected" ]
}

@test "absolute paths stay inside" {
    hostile "file|/etc/wharf-escape-test|x"
    run "$IMAGE" import "$DIR/hostile.tar" "$DIR/store"
    [ "$status" -eq 0 ]
    [ -f "$DIR/store/$(digest "$output")/rootfs/etc/wharf-escape-test" ]
    [ ! -e /etc/wharf-escape-test ]
}

@test "paths with .. are refused" {
    hostile "file|a|x" "file|../../escape|x"
    run "$IMAGE" import "$DIR/hostile.tar" "$DIR/store"
    [ "$status" -eq 1 ]
    [[ "$output" == *"the path '../../escape' leads out of the image"* ]]
    nothing_left
}

@test "nothing is written through a symbolic link" {
    hostile "sym|out|$DIR/tree" "file|out/planted|x"
    run "$IMAGE" import "$DIR/hostile.tar" "$DIR/store"
    [ ! -e "$DIR/tree/planted" ]
    hostile "dir|a|" "sym|a/b|../../../.." "file|a/b/planted|x"
    run "$IMAGE" import "$DIR/hostile.tar" "$DIR/store"
    [ ! -e "$DIR/planted" ] && [ ! -e /planted ]
}

@test "hard links out of the tree are refused" {
    hostile "hard|mine|../../../../../../../../etc/passwd"
    run "$IMAGE" import "$DIR/hostile.tar" "$DIR/store"
    [ "$status" -eq 1 ]
    nothing_left
    hostile "hard|mine|/etc/passwd"
    run "$IMAGE" import "$DIR/hostile.tar" "$DIR/store"
    [ "$status" -eq 1 ]
    nothing_left
}

@test "attributes that overlayfs believes are dropped" {
    hostile "xattr|f|trusted.overlay.redirect=/etc" "xattr|g|user.kept=yes"
    run "$IMAGE" import "$DIR/hostile.tar" "$DIR/store"
    [ "$status" -eq 0 ]
    root=$DIR/store/$(digest "$output")/rootfs
    [ -z "$(list_xattrs "$root/f")" ]
    [ "$(get_xattr "$root/g" user.kept)" = yes ]
}

@test "what does not fit is refused with a clear message and leaves nothing" {
    mkdir "$DIR/mnt"
    mount -t tmpfs -o size=100m tmpfs "$DIR/mnt"
    python3 - "$DIR/bomb.tar.gz" <<'PY'
import sys, tarfile
class Zeros:
    def read(self, n): return bytes(n)
out = tarfile.open(sys.argv[1], "w:gz", compresslevel=1)
info = tarfile.TarInfo("bomb"); info.size = 400 << 20
out.addfile(info, Zeros())
out.close()
PY
    run "$IMAGE" import "$DIR/bomb.tar.gz" "$DIR/mnt"
    [ "$status" -eq 1 ]
    [[ "$output" == *"does not fit"* ]]
    [ -z "$(ls -A "$DIR/mnt")" ]
}

@test "what is no archive is said to be none" {
    echo "just text, long enough to look at" >"$DIR/text"
    run "$IMAGE" import "$DIR/text" "$DIR/store"
    [ "$status" -eq 1 ]
    [[ "$output" == *"is not a tar archive"* ]]
    tar -C "$DIR/tree" -czf "$DIR/whole.tgz" .
    head -c 200 "$DIR/whole.tgz" >"$DIR/cut.tgz"
    run "$IMAGE" import "$DIR/cut.tgz" "$DIR/store"
    [ "$status" -eq 1 ]
    run "$IMAGE" import "$DIR/none" "$DIR/store"
    [ "$status" -eq 1 ]
    [[ "$output" == *"cannot read '$DIR/none': No such file or directory"* ]]
    nothing_left
}
