#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Containers whose links lead out, and archives that do, against cp: held off, and not where the defence is switched off.

load ../e2e/helper

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    echo planted >file
}

teardown() { [ -z "${E2E_DIR:-}" ] || stop_stack; }

# A stack with a container that has ended and left links behind.
hostile_stack() {
    start_stack
    mkdir "$E2E_DIR/outside"
    echo secret >"$E2E_DIR/secret"
    wharf run --name dead busybox sh -c "ln -s $E2E_DIR/secret /secret; ln -s $E2E_DIR/outside /outside"
}

undefended() {
    export PATH=$WHARF_BUILD/faults:$PATH TEST_UNDEFENDED=$1
}

@test "a link in a container leads a copy to nothing of the host's" {
    hostile_stack
    run -1 wharf cp -L dead:/secret got
    [ ! -e got ]
    run -1 wharf cp file dead:/outside/planted
    [ -z "$(ls "$E2E_DIR/outside")" ]
}

@test "the same links lead out where a copy works on the container's files from outside" {
    undefended entered-root
    hostile_stack
    wharf cp -L dead:/secret got
    [ "$(cat got)" = secret ]
    wharf cp file dead:/outside/planted
    [ "$(cat "$E2E_DIR/outside/planted")" = planted ]
}

@test "what a container sends is not written through a link that it sent before" {
    echo safe >victim
    mkdir target
    python3 - <<'P'
import io, tarfile
with tarfile.open('evil.tar', 'w') as tar:
    for name, type, link in (('d', tarfile.DIRTYPE, ''), ('d/l', tarfile.SYMTYPE, '../..'), ('d/l/victim', tarfile.REGTYPE, '')):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size, info.mode = type, link, 7 if type == tarfile.REGTYPE else 0, 0o755
        tar.addfile(info, io.BytesIO(b'planted'))
P
    run -1 wharf-image unpack -- target <evil.tar
    [ "$(cat victim)" = safe ]
    rm -r target/d
    undefended closed-archives
    run -0 wharf-image unpack -- target <evil.tar
    [ "$(cat victim)" = planted ]
}
