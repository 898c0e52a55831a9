#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In the guest: wharf-oci on cgroup v2 alone: limits by their new names, devices by a filter in the kernel, pause, kill, update.
set -eu
dir=/tmp/oci
bundle=$dir/bundle
id=guest
oci="wharf-oci --root $dir/root"
cgroup=/sys/fs/cgroup/wharf-oci/$id

fail() {
    echo "FAILED: $*"
    exit 1
}
value_is() { [ "$(cat "$1")" = "$2" ] || fail "'$1' is '$(cat "$1")' and not '$2'"; }
output_is() { [ "$output" = "$1" ] || fail "it printed '$output' and not '$1'"; }
config() {
    jq "$@" $bundle/config.json >$dir/new.json
    mv $dir/new.json $bundle/config.json
}
# shellcheck disable=SC2016 # jq's own variable
command() { config --arg c "$1" '.process.args = ["sh", "-c", $c]'; }
run() { output=$($oci run --bundle $bundle $id 2>&1 </dev/null) || true; }

mkdir -p $bundle/rootfs/bin $bundle/rootfs/dev $bundle/rootfs/proc $bundle/rootfs/sys $bundle/rootfs/tmp
cp /bin/busybox $bundle/rootfs/bin/
for applet in sh cat sleep mknod head ls grep id readlink; do ln -s busybox $bundle/rootfs/bin/$applet; done
$oci spec --bundle $bundle
config '.process.terminal = false | .root.readonly = false'

echo "-- resources"
config '.linux.resources += {memory: {limit: 33554432, swap: 50331648, reservation: 1048576},
    cpu: {shares: 512, quota: 20000, period: 50000, cpus: "0"}, pids: {limit: 17}, unified: {"memory.high": "30408704"}}'
command 'cd /sys/fs/cgroup; cat memory.max memory.low memory.high cpu.weight cpu.max cpuset.cpus pids.max; cat /proc/self/cgroup'
run
output_is "33554432
1048576
30408704
20
20000 50000
0
17
0::/"
[ ! -e $cgroup ] || fail "the cgroup '$cgroup' was left"
config '.linux.resources.memory = {swappiness: 5}'
run
case $output in *"'linux.resources.memory.swappiness' is not supported with cgroup v2"*) ;; *) fail "swappiness: $output" ;; esac
config '.linux.resources = {devices: []}'

echo "-- devices"
# No driver has this number: who may open it is told so, and who may not is told that instead.
config '.process.capabilities = ({} | .bounding = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"] | .effective = .bounding | .permitted = .bounding)'
command 'mknod /tmp/none c 240 7 && mknod /tmp/null c 1 3 && : </tmp/null; (: </tmp/none) 2>&1; echo x >/dev/null && echo done'
run
output_is "sh: can't open /tmp/none: Operation not permitted
done"
rm $bundle/rootfs/tmp/none $bundle/rootfs/tmp/null
config '.linux.resources.devices = [{allow: false, access: "rwm"}, {allow: true, type: "c", major: 240, access: "rm"}]'
command 'mknod /tmp/none c 240 7; (: </tmp/none) 2>&1; (: >>/tmp/none) 2>&1; mknod /tmp/other c 241 7 && echo made'
run
output_is "sh: can't open /tmp/none: No such device or address
sh: can't create /tmp/none: Operation not permitted
made"
rm $bundle/rootfs/tmp/none $bundle/rootfs/tmp/other

echo "-- pause, update, exec, kill"
command 'sleep 1000 & sleep 1000'
$oci run --detach --bundle $bundle $id </dev/null >/dev/null 2>&1
$oci pause $id
grep -qx "frozen 1" $cgroup/cgroup.events || fail "not frozen: $(cat $cgroup/cgroup.events)"
[ "$($oci state $id | jq -r .status)" = paused ] || fail "the state does not say paused"
$oci resume $id
$oci update --memory 67108864 --pids-limit 9 $id
value_is $cgroup/memory.max 67108864
value_is $cgroup/pids.max 9
output=$($oci exec $id cat /proc/self/cgroup)
output_is "0::/"
$oci events --stats $id | jq -e '.data.pids.current >= 2' >/dev/null || fail "no statistics"
pid=$($oci state $id | jq .pid)
$oci pause $id
$oci kill --all $id KILL
deadline=$(($(cut -d. -f1 /proc/uptime) + 30))
while grep -qs . $cgroup/cgroup.procs; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt $deadline ] || fail "processes are left: $(cat $cgroup/cgroup.procs)"
done
[ ! -e "/proc/$pid/exe" ] || fail "$pid is still there"
$oci delete $id
[ ! -e $cgroup ] || fail "the cgroup '$cgroup' was left"

echo "-- a container that makes cgroups of its own is deleted with them"
config '.mounts |= map(if .destination == "/sys/fs/cgroup" then .options -= ["ro"] else . end)'
command 'echo +pids >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null; mkdir -p /sys/fs/cgroup/a/b; echo 0 >/sys/fs/cgroup/a/b/cgroup.procs; sleep 1000'
ln -s busybox $bundle/rootfs/bin/mkdir
$oci run --detach --bundle $bundle $id </dev/null >/dev/null 2>&1
deadline=$(($(cut -d. -f1 /proc/uptime) + 30))
until [ -d $cgroup/a/b ]; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt $deadline ] || fail "no cgroup below '$cgroup'"
done
$oci delete --force $id
[ ! -e $cgroup ] || fail "the cgroup '$cgroup' was left"

echo "-- a user namespace, a terminal's devices and mapped mounts do without v1, too"
chown -R 100000:200000 $bundle/rootfs
config '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 5000}]
    | .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 5000}]'
command 'id -u; echo x >/dev/null && ls /dev/null'
run
output_is "0
/dev/null"
rm -rf $dir
