/* SPDX-License-Identifier: Apache-2.0 */
/* From the options of `wharf run` to the data of the command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/client/spec_options.h"
#include "events/message.h"

#define ARGS_MAX 32

/* The spec for the words, which are split at blanks, before "IMAGE"; NULL and the error if they are refused.
 */
static json_t *make(const char *words, struct err *err)
{
    char text[1024];
    char *argv[ARGS_MAX];
    int argc = 0;
    struct spec_options options = {0};
    json_t *spec = NULL;
    snprintf(text, sizeof(text), "%s busybox", words);
    for (char *word = strtok(text, " "); word != NULL && argc < ARGS_MAX; word = strtok(NULL, " "))
        argv[argc++] = word;
    const struct option_target target = {run_option_rows, &options};
    if (options_parse(&target, 1, true, &argc, argv, err) == 0)
        spec_make(&options, argc, argv, false, &spec, err);
    options_release(run_option_rows, &options);
    return spec;
}

/* What the words say, beside the image; it is what the schema takes, too. */
static void expect(const char *words, const char *expected)
{
    struct err err = ERR_INIT;
    struct container_spec decoded;
    json_auto_t *spec = make(words, &err);
    json_auto_t *wanted = json_loads(expected, 0, NULL);
    assert_string_equal(err.message, "");
    assert_int_equal(schema_decode(&container_spec_schema, spec, "", &decoded, NULL, &err), 0);
    schema_release(&container_spec_schema, &decoded);
    json_object_del(spec, "image");
    if (!json_equal(spec, wanted))
        fail_msg("'%s' makes %s", words, json_dumps(spec, JSON_COMPACT));
}

static void refuse(const char *words, const char *why)
{
    struct err err = ERR_INIT;
    json_auto_t *spec = make(words, &err);
    assert_null(spec);
    if (strstr(err.message, why) == NULL)
        fail_msg("'%s': %s", words, err.message);
}

static void rights(void **state)
{
    (void)state;
    expect("--cap-add net_admin --cap-add CAP_SYS_ADMIN --cap-drop all",
           "{\"cap_add\":[\"CAP_NET_ADMIN\",\"CAP_SYS_ADMIN\"],\"cap_drop\":[\"ALL\"]}");
    expect("--privileged --init --group-add audio --group-add 7",
           "{\"privileged\":true,\"init\":true,\"group_add\":[\"audio\",\"7\"]}");
    expect("--security-opt no-new-privileges", "{\"new_privileges\":false}");
    expect("--security-opt no-new-privileges=false --security-opt seccomp=unconfined",
           "{\"new_privileges\":true,\"seccomp\":\"unconfined\"}");
    expect("--security-opt no-new-privileges:true", "{\"new_privileges\":false}");
    expect("--userns auto", "{\"userns\":\"auto\"}");
    expect("--userns host", "{\"userns\":\"host\"}");
    expect("--cgroup-parent /a/b", "{\"cgroup_parent\":\"/a/b\"}");
    refuse("--userns keep-id", "--userns 'keep-id' must be auto or host");
    refuse("--cap-add nothing", "'nothing' is no capability");
    refuse("--security-opt apparmor=x", "'apparmor=x' is not supported");
    refuse("--security-opt seccomp=", "not supported");
    refuse("--security-opt no-new-privileges=maybe", "true or false");
    refuse("--security-opt seccomp=/nowhere", "cannot read the system call filter '/nowhere'");
}

static void limits_and_parameters(void **state)
{
    (void)state;
    expect("--ulimit nofile=5 --ulimit core=1:-1", "{\"ulimits\":[\"nofile=5:5\",\"core=1:-1\"]}");
    expect("--sysctl net.ipv4.ip_forward=1 --sysctl kernel.sem=1=2",
           "{\"sysctls\":{\"net.ipv4.ip_forward\":\"1\",\"kernel.sem\":\"1=2\"}}");
    expect("--memory 8m --memory-swap -1 --memory-reservation 4m -c 5 --shm-size 1m --oom-score-adj -7",
           "{\"memory\":8388608,\"memory_swap\":-1,\"memory_reservation\":4194304,\"cpu_shares\":5,"
           "\"shm_size\":1048576,\"oom_score_adj\":-7}");
    expect("--memory-swap 16m", "{\"memory_swap\":16777216}");
    expect("--add-host a:::1 --add-host b=192.0.2.7", "{\"add_hosts\":[\"a:::1\",\"b:192.0.2.7\"]}");
    expect("--memory 0 --memory-swap 0 --cpus 0 --cpu-shares 0 --pids-limit 0 --shm-size 0", "{}");
    refuse("--add-host a:b", "'a:b' is no host to add: give NAME:ADDRESS with an IP address");
    refuse("--add-host a", "is no host to add");
    refuse("--add-host :::1", "is no host to add");
    refuse("--ulimit nofile", "'nofile' must be NAME=SOFT[:HARD]");
    refuse("--ulimit nofile=2:1", "not above");
    refuse("--sysctl kernel.hostname=x", "belongs to a namespace");
    refuse("--sysctl net.x", "NAME=VALUE");
    refuse("--oom-score-adj 1001", "1001");
    refuse("--cpu-shares 1", "'1'");
}

static void namespaces(void **state)
{
    (void)state;
    expect("--ipc host --pid container:web --uts private --network container:web",
           "{\"ipc\":\"host\",\"pid\":\"container:web\",\"network\":\"container:web\"}");
    refuse("--pid shareable", "--pid 'shareable' must be");
}

static void devices(void **state)
{
    (void)state;
    expect("--device /dev/a --device /dev/a:/dev/b --device /dev/a:r --device /dev/a:/dev/b:rw",
           "{\"devices\":[\"/dev/a:/dev/a:rwm\",\"/dev/a:/dev/b:rwm\",\"/dev/a:/dev/a:r\","
           "\"/dev/a:/dev/b:rw\"]}");
    refuse("--device dev/a", "'dev/a' must be");
    refuse("--device /dev/a:/dev/b:rx", "must be");
    refuse("--device /dev/a:b", "must be");
}

static void mounts(void **state)
{
    (void)state;
    expect("-v /a:/b -v /a/:/c/:ro,rslave",
           "{\"mounts\":[{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/b\",\"make_source\":true},"
           "{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/c\",\"make_source\":true,\"read_only\":true,"
           "\"propagation\":\"rslave\"}]}");
    expect("-v data:/b:nocopy -v /anonymous",
           "{\"mounts\":[{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/b\",\"no_copy\":true},"
           "{\"type\":\"volume\",\"target\":\"/anonymous\"}]}");
    expect("--mount type=bind,src=/a,dst=/b,readonly,bind-propagation=shared,bind-recursive=disabled",
           "{\"mounts\":[{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/b\",\"read_only\":true,"
           "\"propagation\":\"shared\",\"not_recursive\":true}]}");
    expect("--mount source=data,target=/b,volume-nocopy=true,ro=false",
           "{\"mounts\":[{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/b\",\"no_copy\":true}]}");
    expect(
        "--mount type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1770 --tmpfs /u --tmpfs /w:exec,size=2m",
        "{\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/t\",\"size\":1048576,\"mode\":1016},"
        "{\"type\":\"tmpfs\",\"target\":\"/u\"},"
        "{\"type\":\"tmpfs\",\"target\":\"/w\",\"options\":[\"exec\",\"size=2m\"]}]}");
    refuse("-v /a:b", "the target of the mount '/a:b' must be an absolute path");
    refuse("-v /a:/proc/x", "/proc");
    refuse("-v a/b:/c", "the source of the mount");
    refuse("-v /a:/b:nocopy", "'nocopy'");
    refuse("-v data:/b:rslave", "'rslave'");
    refuse("-v ./no-such-directory/../x:/b", "cannot mount './no-such-directory/../x'");
    refuse("--mount type=nfs,dst=/b", "'nfs'");
    refuse("--mount type=bind,src=/a", "target");
    refuse("--mount type=bind,src=/a,dst=/b,surprise=1", "'surprise=1'");
    refuse("--mount type=bind,src=/a,dst=/b,ro=maybe", "'maybe'");
    refuse("--mount type=bind,src=/a,dst=/b,bind-propagation=x", "'x'");
    refuse("--mount type=tmpfs,dst=/b,tmpfs-mode=9", "octal");
    refuse("--tmpfs relative", "absolute");
    refuse("--tmpfs /t:bind", "'bind'");
}

static void filters_come_from_files(void **state)
{
    (void)state;
    char path[] = "/tmp/test-filter-XXXXXX", words[64];
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fputs("{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n", file);
    fflush(file);
    snprintf(words, sizeof(words), "--security-opt seccomp=%s", path);
    expect(words, "{\"seccomp\":\"{\\\"defaultAction\\\":\\\"SCMP_ACT_ALLOW\\\"}\"}");
    fputs("x", file);
    fflush(file);
    refuse(words, "is no JSON");
    rewind(file);
    assert_int_equal(ftruncate(fd, 0), 0);
    fputs("{\"syscalls\":[]}", file);
    fflush(file);
    refuse(words, "defaultAction");
    fclose(file);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rights),     cmocka_unit_test(limits_and_parameters),
        cmocka_unit_test(namespaces), cmocka_unit_test(devices),
        cmocka_unit_test(mounts),     cmocka_unit_test(filters_come_from_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
