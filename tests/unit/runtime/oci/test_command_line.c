/* SPDX-License-Identifier: Apache-2.0 */
/* The flags of `update` and `exec` as the documents that they change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "runtime/oci/exec_process.h"
#include "runtime/oci/limits.h"

static void expect_json(const json_t *found, const char *text)
{
    json_auto_t *wanted = json_loads(text, 0, NULL);
    assert_non_null(wanted);
    assert_true(json_equal(found, wanted));
}

static void limits_over_what_is_there(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    json_auto_t *resources = json_loads("{\"memory\":{\"limit\":1,\"swappiness\":5}}", 0, NULL);
    const struct oci_limits limits = {.memory = "1g",
                                      .memory_swap = "-1",
                                      .memory_reservation = "64MiB",
                                      .kernel_memory = "7b",
                                      .cpuset_cpus = "0-1",
                                      .pids_limit = "0"};
    assert_int_equal(oci_limits(&limits, resources, &err), 0);
    expect_json(resources,
                "{\"memory\":{\"limit\":1073741824,\"swap\":-1,\"reservation\":67108864,\"kernel\":7,"
                "\"swappiness\":5},\"cpu\":{\"cpus\":\"0-1\"},\"pids\":{\"limit\":0}}");
}

static void what_is_no_limit(void **state)
{
    (void)state;
    static const char *const WRONG[] = {"",         "m",   "1x",  "1mm", "-1m", "9223372036854775808",
                                        "8388608t", "1 m", "1.5g"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct err err = ERR_INIT;
        json_auto_t *resources = json_object();
        const struct oci_limits limits = {.memory = WRONG[i]};
        if (oci_limits(&limits, resources, &err) == 0)
            fail_msg("'%s' was taken", WRONG[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void only_what_changes(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    json_auto_t *before =
        json_loads("{\"devices\":[{\"allow\":false}],\"cpu\":{\"shares\":5,\"quota\":7}}", 0, NULL);
    json_auto_t *given = json_loads(
        "{\"devices\":[{\"allow\":false}],\"cpu\":{\"shares\":5,\"quota\":8},\"pids\":null}", 0, NULL);
    json_auto_t *changed = oci_limits_changed(given, before, &err);
    expect_json(json_object_get(changed, "cpu"), "{\"quota\":8}");
    assert_null(json_object_get(changed, "devices"));
    json_object_set_new(given, "devices", json_pack("[{s:b}]", "allow", 1));
    assert_null(oci_limits_changed(given, before, &err));
    assert_string_equal(err.message,
                        "'linux.resources.devices' of a container that exists cannot be changed");
}

static json_t *exec_process(const struct oci_options *options, char *const *argv, struct err *err)
{
    json_auto_t *config = json_loads("{\"process\":{\"terminal\":true,\"cwd\":\"/w\",\"args\":[\"a\"],"
                                     "\"env\":[\"A=1\",\"B=2\"],\"user\":{\"uid\":1,\"gid\":2}}}",
                                     0, NULL);
    return oci_exec_process(config, NULL, options, argv, err);
}

static void a_process_of_the_containers_own(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char *const argv[] = {"b", "c", NULL};
    const char *env[] = {"A=3", "C="}, *gids[] = {"9"}, *caps[] = {"CAP_KILL"};
    const struct oci_options options = {
        .user = "7", .env = {env, 2}, .additional_gids = {gids, 1}, .caps = {caps, 1}, .no_new_privs = true};
    json_auto_t *process = exec_process(&options, argv, &err);
    if (process == NULL)
        fail_msg("%s", err.message);
    expect_json(process,
                "{\"terminal\":false,\"cwd\":\"/w\",\"args\":[\"b\",\"c\"],\"env\":[\"A=3\",\"B=2\",\"C=\"],"
                "\"user\":{\"uid\":7,\"gid\":2,\"additionalGids\":[9]},\"noNewPrivileges\":true,"
                "\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"effective\":[\"CAP_KILL\"],"
                "\"permitted\":[\"CAP_KILL\"],\"inheritable\":[\"CAP_KILL\"],\"ambient\":[\"CAP_KILL\"]}}");
    const char *wrong[] = {"=x"};
    const struct oci_options no_name = {.env = {wrong, 1}}, no_user = {.user = "7:"};
    assert_null(exec_process(&no_name, argv, &err));
    assert_null(exec_process(&no_user, argv, &err));
    assert_null(exec_process(&options, argv + 2, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_over_what_is_there),
        cmocka_unit_test(what_is_no_limit),
        cmocka_unit_test(only_what_changes),
        cmocka_unit_test(a_process_of_the_containers_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
