#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real one-node Kafka (KRaft) for tests, on ports of its own on 127.0.0.1.
#
#   kafka.sh fetch         fetch the jars into $TEST_KAFKA_LIBS (default build/kafka/libs); nothing to do when they are there
#   kafka.sh start DIR     start a broker with its data in DIR; returns once it answers. DIR/address says where
#   kafka.sh stop DIR      stop it; DIR stays
#   kafka.sh restart DIR   stop and start, same data, same address
#   kafka.sh pause DIR     freeze it (SIGSTOP)
#   kafka.sh resume DIR    let it go on (SIGCONT)
#
# DIR/pid is the broker's process, DIR/broker.log what it says.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
libs=${TEST_KAFKA_LIBS:-$here/../../build/kafka/libs}
start_limit_s=60
stop_limit_s=15

die() {
    echo "kafka.sh: $*" >&2
    exit 1
}

fetch() {
    [ -e "$libs/.complete" ] && [ ! "$here/pom.xml" -nt "$libs/.complete" ] && return
    command -v mvn >/dev/null || die "mvn is missing: apt-get install maven default-jre-headless"
    mkdir -p "$libs"
    rm -f "$libs"/*.jar
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$(cd "$libs" && pwd)" >&2
    ls "$libs"/kafka_*.jar >/dev/null || die "maven has fetched no broker into '$libs'"
    touch "$libs/.complete"
}

# A port nobody listens on now. Somebody may take it before the broker does; then start tries others.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

configure() {
    local dir=$1 port controller
    port=$(free_port)
    controller=$(free_port)
    while [ "$controller" = "$port" ]; do controller=$(free_port); done
    cat >"$dir/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$dir/data
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.threads=1
EOF
    echo "127.0.0.1:$port" >"$dir/address"
    rm -rf "$dir/data"
    "${java[@]}" kafka.tools.StorageTool format -t "$(printf '%s' "$dir" | md5sum | cut -c1-22)" \
        -c "$dir/server.properties" >"$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; die "cannot format '$dir/data'"; }
}

# The broker's pid, if it is still that broker.
running() {
    local dir=$1 pid
    [ -s "$dir/pid" ] || return 1
    pid=$(cat "$dir/pid")
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$dir/server.properties" || return 1
    echo "$pid"
}

launch() {
    local dir=$1 deadline=$((SECONDS + start_limit_s))
    (
        cd /
        exec setsid "${java[@]}" kafka.Kafka "$dir/server.properties" </dev/null >>"$dir/broker.log" 2>&1
    ) &
    local pid=$!
    echo "$pid" >"$dir/pid"
    # kcat itself waits up to -m seconds for the broker, so this does not spin.
    until kcat -b "$(cat "$dir/address")" -L -m 1 >/dev/null 2>&1; do
        [ -d "/proc/$pid" ] || return 1
        [ "$SECONDS" -lt "$deadline" ] || { stop "$dir"; return 1; }
    done
}

prepare_java() {
    java=(java -Xmx384m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto
        -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$(cd "$libs" && pwd)/*")
}

# What an administrator may do to a topic: let its records go after so many milliseconds.
retention() {
    prepare_java
    "${java[@]}" kafka.admin.ConfigCommand --bootstrap-server "$(cat "$1/address")" --alter --entity-type topics \
        --entity-name "$2" --add-config "retention.ms=$3" >/dev/null
}

start() {
    local dir=$1 attempt
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    fetch
    prepare_java
    running "$dir" >/dev/null && return
    if [ -e "$dir/data/meta.properties" ]; then
        launch "$dir" && return
        die "the broker in '$dir' does not start again: see '$dir/broker.log'"
    fi
    for attempt in 1 2 3; do
        configure "$dir"
        launch "$dir" && return
    done
    tail -n 20 "$dir/broker.log" >&2
    die "the broker in '$dir' does not start after $attempt attempts"
}

stop() {
    local dir pid
    dir=$(cd "$1" && pwd)
    pid=$(running "$dir") || { rm -f "$dir/pid"; return 0; }
    kill -CONT "$pid"
    kill -TERM "$pid"
    if ! timeout "$stop_limit_s" tail --pid="$pid" -s 0.05 -f /dev/null; then
        kill -KILL "$pid"
        tail --pid="$pid" -s 0.05 -f /dev/null
    fi
    rm -f "$dir/pid"
}

signal() {
    local pid
    pid=$(running "$(cd "$2" && pwd)") || die "no broker runs in '$2'"
    kill "-$1" "$pid"
}

case "${1-}:$#" in
fetch:1) fetch ;;
start:2) start "$2" ;;
stop:2) stop "$2" ;;
restart:2) stop "$2" && start "$2" ;;
pause:2) signal STOP "$2" ;;
resume:2) signal CONT "$2" ;;
retention:4) retention "$2" "$3" "$4" ;;
*) die "usage: kafka.sh fetch | start DIR | stop DIR | restart DIR | pause DIR | resume DIR | retention DIR TOPIC MS" ;;
esac
