/* SPDX-License-Identifier: Apache-2.0 */
/* A foreign config.json to a plan for wharf-init. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/oci_plan.h"
#include "runtime/sandbox/plan.h"

#define BASE                                                                                                 \
    "\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\"},"                                               \
    "\"process\":{\"cwd\":\"/\",\"args\":[\"x\"]},\"linux\":{\"namespaces\":[{\"type\":\"mount\"},"          \
    "{\"type\":\"ipc\"},{\"type\":\"network\",\"path\":\"/net\"}]"

static int compile(const char *text, struct buf *bytes, struct plan *plan, struct err *err)
{
    json_auto_t *config = json_loads(text, 0, NULL);
    assert_non_null(config);
    struct oci_plan_input input = {.config = config, .bundle = "/bundle", .n_cgroup_fds = 2};
    if (oci_plan(&input, bytes, NULL, err) < 0)
        return -1;
    const char *why = plan_decode(plan, bytes->data, bytes->size);
    if (why != NULL)
        fail_msg("%s", why);
    return 0;
}

static void steps_hooks_and_namespaces(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct plan plan;
    auto_buf struct buf bytes = BUF_INIT;
    const char *text =
        "{" BASE ",\"sysctl\":{\"net.ipv4.conf.eth0/1.forwarding\":\"1\"},\"rootfsPropagation\":\"shared\"},"
        "\"hooks\":{\"createContainer\":[{\"path\":\"/h\",\"args\":[\"h\",\"1\"],\"env\":[\"A=b\"],"
        "\"timeout\":9}],\"poststop\":[{\"path\":\"/p\"}]},"
        "\"mounts\":[{\"destination\":\"/d\",\"source\":\"data\","
        "\"options\":[\"rbind\",\"ro\",\"rro\",\"noatime\",\"rslave\"]}]}";
    if (compile(text, &bytes, &plan, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(plan.header.flags, PLAN_INIT);
    assert_true(plan.header.clone_flags == (CLONE_NEWNS | CLONE_NEWIPC));
    assert_true(plan.header.final_propagation == MS_SHARED);
    size_t cursor = 0;
    struct plan_step step;
    assert_true(plan_next_step(&plan, &cursor, &step));
    assert_int_equal(step.op, PLAN_OP_BIND_ROOT);
    assert_string_equal(step.a, "/bundle/rootfs");
    assert_true(plan_next_step(&plan, &cursor, &step));
    assert_int_equal(step.op, PLAN_OP_BIND);
    assert_string_equal(step.a, "/bundle/data");
    assert_true(step.flags == MS_REC);
    assert_true(step.attributes.set == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME));
    assert_true(step.attributes.clear == MOUNT_ATTR__ATIME);
    assert_true(step.attributes.set_all == MOUNT_ATTR_RDONLY);
    assert_true(step.attributes.propagation[0] == (MS_SLAVE | MS_REC));
    struct plan_hook_call hook;
    cursor = 0;
    assert_true(plan_next_hook(&plan, &cursor, &hook));
    assert_int_equal(hook.stage, PLAN_HOOK_CREATE_CONTAINER);
    assert_int_equal(hook.timeout_s, 9);
    assert_string_equal(hook.argv[1], "1");
    assert_null(hook.argv[2]);
    assert_string_equal(hook.envp[0], "A=b");
    assert_null(hook.envp[1]);
    assert_false(plan_next_hook(&plan, &cursor, &hook));
    struct plan_sysctl sysctl;
    cursor = 0;
    assert_true(plan_next_sysctl(&plan, &cursor, &sysctl));
    assert_string_equal(sysctl.path, "net/ipv4/conf/eth0.1/forwarding");
    struct plan_join join;
    cursor = 0;
    assert_true(plan_next_namespace(&plan, &cursor, &join));
    assert_string_equal(join.path, "/net");
    plan_release(&plan);
}

static void what_the_kernel_can_be_asked_for(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct plan plan;
    auto_buf struct buf bytes = BUF_INIT;
    const char *text =
        "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\",\"args\":[\"x\"],"
        "\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"flags\":[\"SCHED_FLAG_RECLAIM\"],\"runtime\":5,"
        "\"nice\":-3},\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\",\"priority\":4},"
        "\"apparmorProfile\":\"p\"},\"linux\":{\"namespaces\":[{\"type\":\"user\"},{\"type\":\"time\"}],"
        "\"timeOffsets\":{\"monotonic\":{\"secs\":-7,\"nanosecs\":9}},\"personality\":{\"domain\":"
        "\"LINUX32\"},"
        "\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":2},"
        "{\"containerID\":5,\"hostID\":4294967290,\"size\":3}],"
        "\"gidMappings\":[{\"containerID\":0,\"hostID\":7,\"size\":1}],"
        "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_NOTIFY\",\"listenerPath\":\"/l\","
        "\"flags\":[\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]}},"
        "\"mounts\":[{\"destination\":\"/d\",\"source\":\"/s\",\"options\":[\"rbind\",\"ridmap\"]}]}";
    if (compile(text, &bytes, &plan, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(plan.header.flags, PLAN_INIT | PLAN_HOST_MOUNTS | PLAN_USER_NAMESPACE |
                                            PLAN_EARLY_SOURCES | PLAN_PERSONALITY | PLAN_LISTENER);
    assert_true(plan.header.clone_flags == CLONE_NEWUSER);
    assert_string_equal(plan.time_offsets, "monotonic -7 9\n");
    assert_string_equal(plan.apparmor, "p");
    assert_int_equal(plan.scheduler->policy, 6);
    assert_int_equal(plan.scheduler->flags, 2);
    assert_int_equal(plan.scheduler->runtime, 5);
    assert_int_equal(plan.scheduler->nice, -3);
    assert_int_equal(plan.header.io_priority, 3 << 13 | 4);
    assert_int_equal(plan.header.personality, 8);
    size_t cursor = 0;
    struct plan_step step;
    assert_true(plan_next_step(&plan, &cursor, &step));
    assert_true(plan_next_step(&plan, &cursor, &step));
    assert_int_equal(step.op, PLAN_OP_BIND);
    assert_int_equal(step.mode, 1);
    assert_string_equal(step.b, "0 1000 2\n5 4294967290 3\n");
    assert_string_equal(step.c, "0 7 1\n");
    plan_release(&plan);
}

/* mount(8): of options that contradict each other the last one counts. */
static void mounts_as_others_write_them(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct plan plan;
    struct plan_step step;
    size_t cursor = 0;
    auto_buf struct buf bytes = BUF_INIT;
    const char *text =
        "{" BASE "},\"mounts\":[{\"destination\":\"old/way\",\"type\":\"tmpfs\",\"options\":"
        "[\"ro\",\"nosuid\",\"sync\",\"noatime\",\"iversion\",\"nomand\",\"rw\",\"suid\",\"async\","
        "\"strictatime\",\"size=1m\"]}]}";
    if (compile(text, &bytes, &plan, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(plan_next_step(&plan, &cursor, &step));
    assert_true(plan_next_step(&plan, &cursor, &step));
    assert_string_equal(step.path, "/old/way");
    assert_string_equal(step.b, "size=1m");
    assert_true(step.flags == (MS_STRICTATIME | MS_I_VERSION));
    plan_release(&plan);
}

static json_int_t number_at(const json_t *list, size_t index, const char *key)
{
    return json_integer_value(json_object_get(json_array_get(list, index), key));
}

/* "No limit" is 2^64-1, which is not a number that jansson has. */
static void numbers_without_a_sign(void **state)
{
    (void)state;
    static const char TEXT[] =
        "{\"l\":[{\"soft\":9223372036854775807,\"hard\": 18446744073709551615},"
        "{\"value\":9223372036854775808 ,\"valueTwo\":-1,\"t\":\"\\\"soft\\\":18446744073709551615\"}]}";
    json_error_t error;
    json_auto_t *document = oci_json_parse(TEXT, sizeof(TEXT) - 1, &error);
    const json_t *list = json_object_get(document, "l");
    assert_non_null(document);
    assert_true(number_at(list, 0, "soft") == INT64_MAX);
    assert_true((uint64_t)number_at(list, 0, "hard") == UINT64_MAX);
    assert_true(number_at(list, 1, "value") == INT64_MIN);
    assert_true(number_at(list, 1, "valueTwo") == -1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "t")),
                        "\"soft\":18446744073709551615");
    static const char *const WRONG[] = {
        "{\"uid\":18446744073709551615}",  "{\"soft\":18446744073709551616}",
        "{\"soft\":1844674407370955161x}", "{\"soft\":1,\"soft\":2}",
        "{\"soft\":18446744073709551615",  "{\"soft",
    };
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++)
        assert_null(oci_json_parse(WRONG[i], strlen(WRONG[i]), &error));
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *rest, *says;
    } CASES[] = {
        {"},\"hooks\":{\"prestart\":[{\"path\":\"x\"}]}", "'hooks.prestart[0].path' must be absolute"},
        {"},\"hooks\":{\"prestart\":{}}", "'hooks.prestart' must be an array"},
        {",\"sysctl\":{\"kernel.hostname\":\"x\"}}", "the sysctl 'kernel.hostname'"},
        {",\"sysctl\":{\"net/../kernel/panic\":\"x\"}}", "'linux.sysctl'"},
        {",\"rootfsPropagation\":\"x\"}", "'linux.rootfsPropagation' is 'x'"},
        {",\"maskedPaths\":[1]}", "'linux.maskedPaths' must be a list of texts"},
        {",\"devices\":[{\"type\":\"c\",\"path\":\"/dev/x\"}]}", "no major or minor number"},
        {",\"seccomp\":{}}", "'linux.seccomp.defaultAction' is missing"},
        {",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}}",
         "needs an absolute 'linux.seccomp.listenerPath'"},
        {",\"timeOffsets\":{\"boottime\":{\"secs\":1}}}", "'linux.timeOffsets' need a new time namespace"},
        {",\"uidMappings\":[{\"containerID\":0}]}", "need a user namespace"},
        {"},\"mounts\":[{\"destination\":\"/x\",\"source\":\"/y\",\"options\":[\"bind\",\"idmap\"]}]",
         "neither it nor 'linux' has 'uidMappings'"},
        {"},\"mounts\":[{\"destination\":\"/x\",\"source\":\"/y\",\"options\":[\"bind\"],"
         "\"uidMappings\":[{\"containerID\":0,\"hostID\":4294967296,\"size\":1}]}]",
         "'uidMappings[0]' must have"},
        {"},\"mounts\":[{\"destination\":\"/x\",\"type\":\"proc\",\"options\":[\"tmpcopyup\"]}]",
         "is for a tmpfs"},
        {"},\"hostname\":\"h\"", "need a uts namespace"},
        {"},\"mounts\":[{\"destination\":\"\",\"type\":\"tmpfs\"}]", "destination of a mount is empty"},
        {"},\"mounts\":[{\"destination\":\"/x\",\"type\":\"bind\"}]", "has no source"},
        {"},\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"idmap\"]}]",
         "cannot be mapped"},
        {"},\"process\":{\"cwd\":\"x\"}", "'process.cwd' must be an absolute path"},
        {"},\"process\":{\"cwd\":\"/\",\"args\":[\"x\"],\"user\":{\"uid\":4294967296}}",
         "'process.user.uid' must be from 0 to 4294967294"},
        {"},\"process\":{\"cwd\":\"/\",\"args\":[\"x\"],\"user\":{\"gid\":4294967295}}",
         "'process.user.gid' must be from 0 to 4294967294, not 4294967295"},
        {"},\"process\":{\"cwd\":\"/\",\"args\":[\"x\"],\"user\":{\"additionalGids\":[7,-1]}}",
         "'process.user.additionalGids[1]' must be from 0"},
        {"},\"process\":{\"cwd\":\"/\",\"args\":[\"x\"],\"user\":{\"umask\":512}}",
         "'process.user.umask' must be from 0 to 511"},
        {"},\"process\":{\"cwd\":\"/\",\"args\":[\"x\"],\"oomScoreAdj\":4294967296}",
         "'process.oomScoreAdj' must be from -1000 to 1000"},
        {"},\"process\":{\"cwd\":\"/\",\"args\":[\"x\"],\"consoleSize\":{\"height\":65536,\"width\":1}}",
         "'process.consoleSize.height'"},
        {"},\"process\":{\"cwd\":\"/"
         "\",\"args\":[\"x\"],\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":4294967290}}",
         "'process.scheduler.nice'"},
        {",\"devices\":[{\"type\":\"c\",\"path\":\"/dev/x\",\"major\":4097,\"minor\":3}]}",
         "'linux.devices[0].major'"},
        {",\"timeOffsets\":{\"boottime\":{\"secs\":\"1\"}}}",
         "'linux.timeOffsets.boottime.secs' must be a number"},
        {"},\"annotations\":{\"a\":1}", "'annotations' has no text for 'a'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err err = ERR_INIT;
        struct plan plan;
        auto_buf struct buf bytes = BUF_INIT;
        char text[1024];
        snprintf(text, sizeof(text), "{" BASE "%s}", CASES[i].rest);
        assert_int_equal(compile(text, &bytes, &plan, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        if (strstr(err.message, CASES[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.message, CASES[i].says);
    }
}

static int compile_process(const char *config_text, const char *process_text, struct buf *bytes,
                           struct plan *plan, struct err *err)
{
    json_auto_t *config = json_loads(config_text, 0, NULL);
    json_auto_t *process = json_loads(process_text, JSON_DECODE_ANY, NULL);
    assert_non_null(config);
    assert_non_null(process);
    struct oci_process_input input = {.config = config, .process = process, .n_cgroup_fds = 3};
    if (oci_plan_process(&input, bytes, err) < 0)
        return -1;
    const char *why = plan_decode(plan, bytes->data, bytes->size);
    if (why != NULL)
        fail_msg("%s", why);
    return 0;
}

static void one_more_process(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct plan plan;
    auto_buf struct buf bytes = BUF_INIT;
    const char *config =
        "{" BASE ",\"sysctl\":{\"net.x\":\"1\"},\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"}},"
        "\"hostname\":\"h\"}";
    const char *process = "{\"cwd\":\"/w\",\"args\":[\"y\",\"z\"],\"env\":[\"A=b\"],\"terminal\":true,"
                          "\"user\":{\"uid\":5,\"gid\":6,\"additionalGids\":[7]},\"noNewPrivileges\":true,"
                          "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1,\"hard\":2}]}";
    if (compile_process(config, process, &bytes, &plan, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(plan.header.flags, PLAN_INIT | PLAN_JOIN | PLAN_TERMINAL | PLAN_NO_NEW_PRIVS);
    assert_true(plan.header.clone_flags == (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET));
    assert_int_equal(plan.header.n_cgroups, 3);
    assert_int_equal(plan.header.uid, 5);
    assert_int_equal(plan.groups[0], 7);
    assert_string_equal(plan.argv[1], "z");
    assert_string_equal(plan.workdir, "/w");
    assert_null(plan.hostname);
    assert_true(plan.n_seccomp > 0);
    struct plan_sysctl sysctl;
    struct plan_rlimit limit;
    size_t cursor = 0;
    assert_false(plan_next_sysctl(&plan, &cursor, &sysctl));
    cursor = 0;
    assert_true(plan_next_rlimit(&plan, &cursor, &limit));
    plan_release(&plan);
}

/* For the shim, as `wharf exec` has it. The fuzzer of plans begins with these: WHARF_TRANSCRIPT_WRITE=1
 * writes them anew. */
static void one_more_process_for_the_shim(void **state)
{
    (void)state;
    static const char *const paths[] = {"tests/fuzz/corpus/plan/exec", "tests/fuzz/corpus/plan/privileged"};
    const char *config = "{" BASE ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"}}}";
    const char *process = "{\"cwd\":\"/w\",\"args\":[\"y\",\"z\"],\"env\":[\"A=b\"],\"terminal\":true,"
                          "\"user\":{\"uid\":5,\"gid\":6,\"additionalGids\":[7]},\"noNewPrivileges\":true}";
    const struct cgroup_layout layout = {.v2 = true, .n = 1};
    for (int unconfined = 0; unconfined < 2; unconfined++) {
        struct err err = ERR_INIT;
        struct plan plan;
        auto_buf struct buf bytes = BUF_INIT;
        json_auto_t *config_json = json_loads(config, 0, NULL);
        json_auto_t *process_json = json_loads(process, 0, NULL);
        const struct oci_process_input input = {.config = config_json,
                                                .process = process_json,
                                                .n_cgroup_fds = 1,
                                                .flags = PLAN_INPUT,
                                                .unconfined = unconfined == 1,
                                                .boot_id = "11111111-2222-3333-4444-555555555555",
                                                .layout = &layout,
                                                .incarnation = 3,
                                                .log_max_bytes = 1 << 20,
                                                .log_files = 2};
        if (oci_plan_process(&input, &bytes, &err) < 0)
            fail_msg("%s", err.message);
        const char *why = plan_decode(&plan, bytes.data, bytes.size);
        if (why != NULL)
            fail_msg("%s", why);
        assert_int_equal(plan.header.flags,
                         PLAN_JOIN | PLAN_TERMINAL | PLAN_NO_NEW_PRIVS | PLAN_INPUT | PLAN_CGROUP2);
        assert_int_equal(plan.header.incarnation, 3);
        assert_int_equal(plan.header.log_files, 2);
        assert_string_equal(plan.boot_id, input.boot_id);
        assert_null(plan.cgroup);
        assert_true((plan.n_seccomp > 0) == (unconfined == 0));
        if (getenv("WHARF_TRANSCRIPT_WRITE") != NULL)
            assert_int_equal(
                fs_write_file(AT_FDCWD, paths[unconfined], 0644, bytes.data, bytes.size, false, NULL), 0);
        auto_free char *seed = NULL;
        size_t size = 0;
        assert_int_equal(fs_read_file(AT_FDCWD, paths[unconfined], 1 << 20, &seed, &size, NULL), 0);
        plan_release(&plan);
        assert_null(plan_decode(&plan, seed, size)); /* not another format's */
        plan_release(&plan);
    }
}

static void what_is_no_process(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } CASES[] = {
        {"7", "the process must be an object"},
        {"{\"cwd\":\"/\",\"args\":[]}", "'process.args' is empty"},
        {"{\"cwd\":\"w\",\"args\":[\"y\"]}", "'process.cwd' must be an absolute path"},
        {"{\"args\":[\"y\"]}", "'process.cwd' is missing"},
        {"{\"cwd\":\"/\",\"args\":\"y\"}", "'process.args' must be a list of texts without NUL bytes"},
        {"{\"cwd\":\"/\",\"args\":[\"y\"],\"capabilities\":{\"bounding\":[\"CAP_X\"]}}",
         "unknown capability 'CAP_X'"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err err = ERR_INIT;
        struct plan plan;
        auto_buf struct buf bytes = BUF_INIT;
        assert_int_equal(compile_process("{" BASE "}}", CASES[i].text, &bytes, &plan, &err), -1);
        assert_string_equal(err.message, CASES[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_hooks_and_namespaces),    cmocka_unit_test(what_the_kernel_can_be_asked_for),
        cmocka_unit_test(numbers_without_a_sign),        cmocka_unit_test(mounts_as_others_write_them),
        cmocka_unit_test(what_is_wrong_is_named),        cmocka_unit_test(one_more_process),
        cmocka_unit_test(one_more_process_for_the_shim), cmocka_unit_test(what_is_no_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
