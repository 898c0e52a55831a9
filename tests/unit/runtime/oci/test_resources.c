/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources as values for cgroup files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "runtime/oci/resources.h"

static json_t *compile(const char *text, struct err *err)
{
    json_auto_t *resources = json_loads(text, 0, NULL);
    assert_non_null(resources);
    return oci_resources(resources, false, err);
}

/* The value that is written to the file first; NULL if none is. */
static const char *value_of(const json_t *values, const char *file)
{
    size_t i;
    json_t *item;
    json_array_foreach(values, i, item)
    {
        if (strcmp(json_string_value(json_array_get(item, 1)), file) == 0)
            return json_string_value(json_array_get(item, 2));
    }
    return NULL;
}

static void values_go_to_their_files(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    json_auto_t *values =
        compile("{\"memory\":{\"limit\":5,\"swap\":-1,\"disableOOMKiller\":true,\"useHierarchy\":false},"
                "\"cpu\":{\"cpus\":\"0-1\",\"mems\":\"\",\"quota\":-1},\"pids\":{\"limit\":-1},"
                "\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":9}]},"
                "\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":7}],"
                "\"network\":{\"classID\":3,\"priorities\":[{\"name\":\"lo\",\"priority\":4}]}}",
                &err);
    assert_non_null(values);
    assert_string_equal(value_of(values, "memory.limit_in_bytes"), "5");
    assert_string_equal(value_of(values, "memory.memsw.limit_in_bytes"), "-1");
    assert_string_equal(value_of(values, "memory.oom_control"), "1");
    assert_null(value_of(values, "memory.use_hierarchy"));
    assert_string_equal(value_of(values, "cpuset.cpus"), "0-1");
    assert_null(value_of(values, "cpuset.mems"));
    assert_string_equal(value_of(values, "pids.max"), "max");
    assert_string_equal(value_of(values, "blkio.throttle.read_bps_device"), "8:0 9");
    assert_string_equal(value_of(values, "hugetlb.2MB.limit_in_bytes"), "7");
    assert_string_equal(value_of(values, "net_cls.classid"), "3");
    assert_string_equal(value_of(values, "net_prio.ifpriomap"), "lo 4");
}

static void devices_are_denied_first_and_the_usual_allowed_last(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    json_auto_t *values =
        compile("{\"devices\":[{\"allow\":true,\"type\":\"b\",\"major\":8,\"access\":\"r\"}]}", &err);
    assert_non_null(values);
    assert_string_equal(value_of(values, "devices.deny"), "a");
    assert_string_equal(value_of(values, "devices.allow"), "b 8:* r");
    const json_t *last = json_array_get(values, json_array_size(values) - 1);
    assert_string_equal(json_string_value(json_array_get(last, 2)), "c 136:* rwm");
}

static json_t *compile_v2(const char *text, struct err *err)
{
    json_auto_t *resources = json_loads(text, 0, NULL);
    assert_non_null(resources);
    return oci_resources(resources, true, err);
}

static void v2_has_its_own_files(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    json_auto_t *values = compile_v2(
        "{\"memory\":{\"limit\":50,\"swap\":70,\"reservation\":-1,\"useHierarchy\":true},"
        "\"cpu\":{\"shares\":1024,\"quota\":-1,\"period\":5000,\"cpus\":\"0\"},\"pids\":{\"limit\":-1},"
        "\"blockIO\":{\"weight\":500,\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":9}]},"
        "\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":7}],"
        "\"rdma\":{\"mlx\":{\"hcaHandles\":3,\"hcaObjects\":4}},\"unified\":{\"memory.high\":\"40\"}}",
        &err);
    if (values == NULL)
        fail_msg("%s", err.message);
    assert_string_equal(value_of(values, "memory.max"), "50");
    assert_string_equal(value_of(values, "memory.swap.max"), "20");
    assert_string_equal(value_of(values, "memory.low"), "max");
    assert_string_equal(value_of(values, "memory.high"), "40");
    assert_string_equal(value_of(values, "cpu.weight"), "39");
    assert_string_equal(value_of(values, "cpu.max"), "max 5000");
    assert_string_equal(value_of(values, "cpuset.cpus"), "0");
    assert_string_equal(value_of(values, "pids.max"), "max");
    assert_string_equal(value_of(values, "io.weight"), "4950");
    assert_string_equal(value_of(values, "io.max"), "8:0 rbps=9");
    assert_string_equal(value_of(values, "hugetlb.2MB.max"), "7");
    assert_string_equal(value_of(values, "rdma.max"), "mlx hca_handle=3 hca_object=4");
    assert_string_equal(value_of(values, "devices.deny"), "a");
    assert_null(value_of(values, "cpu.shares"));
}

static void what_v2_does_not_have_is_named(void **state)
{
    static const struct {
        const char *text, *name;
    } CASES[] = {
        {"{\"memory\":{\"swappiness\":5}}", "memory.swappiness"},
        {"{\"memory\":{\"kernel\":5}}", "memory.kernel"},
        {"{\"memory\":{\"disableOOMKiller\":true}}", "memory.disableOOMKiller"},
        {"{\"memory\":{\"swap\":5}}", "memory.swap"},
        {"{\"memory\":{\"swap\":5,\"limit\":6}}", "memory.swap"},
        {"{\"cpu\":{\"realtimePeriod\":5}}", "cpu.realtimePeriod"},
        {"{\"network\":{\"classID\":5}}", "network.classID"},
        {"{\"blockIO\":{\"leafWeight\":5}}", "blockIO.leafWeight"},
        {"{\"unified\":{\"cgroup.procs\":\"1\"}}", "unified"},
        {"{\"unified\":{\"../memory.max\":\"1\"}}", "unified"},
        {"{\"unified\":{\"memory.max\":1}}", "unified"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err err = ERR_INIT;
        assert_null(compile_v2(CASES[i].text, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.message, CASES[i].name));
    }
}

static void wrong_values_are_named(void **state)
{
    static const struct {
        const char *text, *name;
    } CASES[] = {
        {"{\"memory\":{\"limit\":\"5\"}}", "memory.limit"},
        {"{\"cpu\":{\"cpus\":5}}", "cpu.cpus"},
        {"{\"memory\":[]}", "memory' must be an object"},
        {"{\"pids\":5}", "pids' must be an object"},
        {"{\"hugepageLimits\":{\"pageSize\":\"2MB\",\"limit\":1}}", "hugepageLimits' must be an array"},
        {"{\"blockIO\":{\"throttleReadBpsDevice\":{}}}", "blockIO.throttleReadBpsDevice' must be an array"},
        {"{\"unified\":{\"a\":\"b\"}}", "unified"},
        {"{\"rdma\":{\"a\":{}}}", "rdma"},
        {"{\"hugepageLimits\":[{\"pageSize\":\"../x\",\"limit\":1}]}", "hugepageLimits"},
        {"{\"devices\":[{\"allow\":true,\"type\":\"cc\"}]}", "devices"},
        {"{\"devices\":[{\"allow\":1}]}", "devices"},
        {"{\"devices\":[{\"allow\":false,\"access\":\"w\"}]}", "devices"},
        {"{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0}]}}", "throttleReadBpsDevice"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err err = ERR_INIT;
        assert_null(compile(CASES[i].text, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.message, CASES[i].name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_go_to_their_files),
        cmocka_unit_test(devices_are_denied_first_and_the_usual_allowed_last),
        cmocka_unit_test(v2_has_its_own_files),
        cmocka_unit_test(what_v2_does_not_have_is_named),
        cmocka_unit_test(wrong_values_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
