# SPDX-License-Identifier: Apache-2.0
# bats file_tags=e2e
# Health checks: docker's options and rules, an event for each change and for nothing else.
load helper

health_is() { [ "$(member "$1" health)" = "$2" ]; }
changes() { wharf history --format json "$1" | jq -c 'select(.type | contains("health_changed")).data | [.health, .failures, .exit_code]'; }

@test "a container becomes healthy, unhealthy and healthy again, with an event for each change" {
    wharf run -d --name web --health-cmd 'echo looking; test ! -e /tmp/bad' --health-interval 50ms --health-retries 3 \
        busybox sleep 1000
    has_happened web container.started
    eventually health_is web healthy
    wharf ps | grep -q '(healthy)'
    wharf exec web touch /tmp/bad
    eventually health_is web unhealthy
    wharf ps | grep -q '(unhealthy)'
    wharf exec web rm /tmp/bad
    eventually health_is web healthy
    [ "$(changes web)" = '["healthy",0,0]
["unhealthy",3,1]
["healthy",0,0]' ]
    wharf history --format table web | grep -q 'health=unhealthy failures=3 exit_code=1 output=looking'
    # Checks are no execs: nobody asked for them.
    [ "$(wharf history --format json web | jq -r 'select(.type | contains("exec_started")).type' | wc -l)" = 2 ]
    wharf stop -t 0 web
    health_is web ""
    wharf start web
    eventually health_is web healthy
    wharf rm -f web
}

@test "a check that takes too long is ended, and one that cannot be executed has failed" {
    wharf run -d --name late --health-cmd 'echo slow; sleep 1000' --health-interval 20ms --health-timeout 50ms --health-retries 2 \
        busybox sleep 1000
    eventually health_is late unhealthy
    [ "$(changes late)" = '["unhealthy",2,null]' ]
    wharf pause late # nothing of a late check is in its way
    wharf unpause late
    wharf rm -f late
    make_rootfs "$E2E_DIR/shell-less"
    rm "$E2E_DIR/shell-less/bin/sh"
    wharf import "$E2E_DIR/shell-less" shell-less
    wharf run -d --name bare --health-cmd true --health-interval 20ms --health-retries 1 shell-less busybox sleep 1000
    eventually health_is bare unhealthy
    [ "$(changes bare)" = '["unhealthy",1,127]' ]
    wharf rm -f bare
}

@test "failures in the start period do not count, and success ends it" {
    wharf run -d --name slow --health-cmd 'echo check >>/tmp/checks; test -e /tmp/ready' --health-interval 20ms \
        --health-start-period 1h --health-start-interval 20ms --health-retries 1 busybox sleep 1000
    checked() { [ "$(wharf exec slow grep -c . /tmp/checks)" -ge 3 ]; }
    eventually checked
    health_is slow starting
    wharf ps | grep -q '(health: starting)'
    wharf exec slow touch /tmp/ready
    eventually health_is slow healthy
    wharf exec slow rm /tmp/ready
    eventually health_is slow unhealthy
    wharf rm -f slow
}

@test "a runtime that is killed goes on checking, and leaves no check behind" {
    wharf run -d --name tough --health-cmd 'test ! -e /tmp/bad' --health-interval 20ms --health-retries 1 busybox sleep 1000
    eventually health_is tough healthy
    local id
    id=$(member tough id)
    kill -KILL "$(part_pid runtime)"
    eventually has_happened tough container.adopted
    wharf exec tough touch /tmp/bad
    eventually health_is tough unhealthy
    wharf rm -f tough
    nothing_left() { [ -z "$(ls -A "$E2E_DIR/state/containers")" ]; }
    eventually nothing_left
    run -0 wharf events
    [[ $output != *orphan_destroyed* ]]
}

@test "what is wrong with a check is said before anything is created" {
    run -125 wharf run -d --health-interval 5s busybox true
    [[ $output == *"but not by what command"* ]]
    run -125 wharf run -d --health-cmd true --health-interval 5 busybox true
    [[ $output == *"'5' is no health interval"* ]]
    run -125 wharf run -d --health-cmd true --no-healthcheck busybox true
    [[ $output == *"exclude each other"* ]]
    wharf run -d --name unchecked --no-healthcheck busybox sleep 1000
    health_is unchecked ""
    wharf rm -f unchecked
}
