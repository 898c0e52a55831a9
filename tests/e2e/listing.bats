#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Listings as docker's: templates, filters, and the options of what starts, stops and waits.
load helper

setup_file() {
    start_stack
    wharf run -d --name front -l tier=front -l x=1 -v data:/srv busybox sleep 1000
    wharf run -d --name host --network host busybox sleep 1000
    wharf run --name done busybox sh -c 'exit 3' || true
}

names() { wharf ps -a --format '{{.Names}}' "$@" | xargs; }

@test "templates of ps" {
    run -0 wharf ps --filter name=front --format '{{.ID}}\t{{.Names}} [{{.Label "tier"}}] {{.Mounts}} {{.Networks}}'
    [ "$output" = "$(wharf ps -q --filter name=front)"$'\tfront [front] data none' ]
    run -0 wharf ps -a --format 'table {{.Names}}\t{{.State}}\t{{.ExitCode}}'
    [ "${lines[0]}" = "NAMES   STATE     EXIT CODE" ]
    [ "${lines[1]}" = "done    exited    3" ]
    [ "$(wharf ps --no-trunc --filter name=host --format '{{.ID}}')" = "$(wharf ps -q --no-trunc --filter name=host)" ]
    [ "$(wharf ps --filter name=host --format '{{json .}}' | jq -r .name)" = host ]
    run -1 wharf ps --format '{{.Nope}}'
    [[ $output == *"'.Nope' is no field of this listing: give .ID, .Names, "* ]]
    run -1 wharf ps --format '{{range .}}{{end}}'
    [[ $output == *"is not understood"* ]]
    run -1 wharf ps --format nope
    [[ $output == *"'nope' is no format: give table, wide, json, or a template such as '{{.ID}}'"* ]]
}

@test "templates of other listings" {
    [ "$(wharf images --format '{{.Repository}}:{{.Tag}}')" = busybox:latest ]
    [ "$(wharf images --no-trunc --format '{{.ID}}')" = "$(wharf images --format '{{.Digest}}')" ]
    [ "$(wharf volume ls --format '{{.Name}} {{.Driver}}')" = "data local" ]
    run -0 wharf stats --no-stream --format '{{.Name}} {{.PIDs}} {{.ID}}' front
    [ "$output" = "front 1 $(wharf ps -q --filter name=front)" ]
    run -1 wharf stats --no-stream --format '{{.Names}}'
    [[ $output == *"'.Names' is no field of this listing: give .ID, "* ]]
}

@test "ps -s measures what containers wrote" {
    wharf run --name writes busybox sh -c 'head -c 5000 /dev/zero >/a; ln /a /b; mkdir /d; head -c 7 /dev/zero >/d/c; rm /bin/vi'
    [ "$(wharf ps -a -s --format json --filter name=writes | jq .size_bytes)" = 5007 ]
    run -0 wharf ps -a --filter name=writes --format '{{.Size}}'
    [[ $output == "5.01kB (virtual "*")" ]]
    run -0 wharf ps -s --filter name=front
    [[ ${lines[0]} == *SIZE ]]
    [[ ${lines[1]} == *"0B (virtual "*")" ]]
    wharf rm writes
}

@test "stats -a has those that do not run, and --no-trunc whole ids" {
    run -0 wharf stats -a --no-stream --format '{{.Name}} {{.CPUPerc}} {{.PIDs}}'
    [[ $output == *"done -- --"* ]]
    [[ $output == *"front 0."* ]]
    run -0 wharf stats --no-stream --no-trunc front
    [[ $output == *"$(wharf ps -q --no-trunc --filter name=front)"* ]]
}

@test "filters" {
    [ "$(names --filter id="$(wharf ps -q --filter name=front)")" = front ]
    [ "$(names --filter name=fron --filter name=don)" = "done front" ]
    [ "$(names --filter name='^/?(front|hos)$')" = front ]
    [ "$(names --filter exited=3)" = done ]
    [ "$(names --filter exited=0)" = "" ]
    [ "$(wharf ps --filter exited=3 --format '{{.Names}}')" = done ]
    [ "$(names --filter volume=data)" = front ]
    [ "$(names --filter volume=/srv)" = front ]
    [ "$(names --filter network=host)" = host ]
    [ "$(names --filter network=host --filter network=none)" = "done host front" ]
    [ "$(names --filter before=done)" = "host front" ]
    [ "$(names --filter since=front --filter network=none)" = done ]
    [ "$(names --filter health=none --filter label=tier)" = front ]
    [ "$(names --filter status=exited --filter ancestor=busybox)" = done ]
    [ "$(wharf ps -n 1 --filter volume=data --format '{{.Names}}')" = front ]
    [ "$(wharf volume ls -q --filter name=dat)" = data ]
    [ -z "$(wharf volume ls -q --filter label=none)" ]
    run -1 wharf ps --filter nope=1
    [[ $output == *"'nope=1' is no filter: give state=..., "* ]]
    run -1 wharf ps --filter before=nobody
    [[ $output == *"there is no container 'nobody'"* ]]
    run -1 wharf volume ls --filter nope=1
    [[ $output == *"is no filter: give name=... or label=..."* ]]
}

@test "stop and restart by a signal of one's own" {
    wharf run -d --name asked busybox sh -c 'trap "exit 7" USR1; echo ready; while :; do sleep 0.05; done'
    eventually logs_have asked ready
    wharf stop -s USR1 -t 20 asked
    [ "$(member asked exit_code)" = 7 ]
    wharf start asked
    eventually logs_have asked ready
    wharf restart --signal KILL --timeout 5 asked
    [ "$(wharf history --format json asked | jq -r 'select(.type | contains(".stopping")).data.signal' | xargs)" = "SIGUSR1 SIGKILL" ]
    run -1 wharf stop -s NOPE asked
    [[ $output == *"'NOPE' is no signal"* ]]
    state_is asked running
    wharf rm -f asked
}

@test "docker's options that mean nothing here are refused by name" {
    run -1 wharf rm --link front
    [[ $output == *"there are no links between containers"* ]]
    run -1 wharf logs --details front
    [[ $output == *"output has no attributes"* ]]
    run -1 wharf top front -ef
    [[ $output == *"unknown option '-e'"* ]]
}

@test "logs take several options at once" {
    wharf run --name lines busybox sh -c 'seq 1 8'
    [ "$(wharf logs -n 3 --since 10m lines | xargs)" = "6 7 8" ]
    run -0 wharf logs -t --since 10m -n all lines
    [ "$(grep -c '^20..-..-..T.*Z [1-8]$' <<<"$output")" = 8 ]
    [ -z "$(wharf logs --until 10m lines 2>&1)" ]
    run -0 wharf logs -f -n 1 lines
    [ "$output" = 8 ]
    wharf rm lines
}

@test "what docker's scripts say of listings is understood" {
    wharf run -d --name said busybox sh -c 'for i in 1 2 3; do echo $i; done; sleep 1000'
    eventually logs_have said 3
    [ "$(wharf logs --tail -1 said | wc -l)" = 3 ]
    [ "$(wharf logs --since 1h500ms said | wc -l)" = 3 ]
    wharf ps -q -n -1 | grep -q .
    [ -z "$(wharf ps -aq -f name=said -f status=dead -f status=removing)" ]
    [ "$(wharf ps -q -f name=said -f status=dead -f status=running | wc -l)" = 1 ]
    run -1 wharf logs ''
    [[ "$output" == *"'' is no container: give an id, a name, or node/name"* ]]
    run -1 wharf inspect ''
    [[ "$output" == *"'' is no container"* ]]
    wharf volume create kept
    [ "$(wharf volume ls -q -f name=kep)" = kept ]
    [ "$(wharf volume inspect -f '{{.name}}' kept)" = kept ]
    wharf volume prune -f
    cd "$BATS_TEST_TMPDIR"
    wharf run --rm -v ./made/here:/x busybox touch /x/file
    [ -e made/here/file ]
    wharf rm -f said
}
